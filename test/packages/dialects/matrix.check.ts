/** Does what every provider says arrive in every client of every dialect? The last table of docs/matrix.md is made here. */
import { readFileSync, writeFileSync } from 'node:fs'
import { env } from 'node:process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Matrix, type Row, rows, startMatrix } from '../../protocols/matrix/cells.js'
import type { ProtocolUnderTest } from '../../protocols/matrix/readers.js'
import { CLIENTS, withClients } from '../../protocols/matrix/table.js'
import { type Client, clients, type Told } from './clients.js'

let matrix: Matrix
beforeAll(async () => {
  matrix = await startMatrix()
})
afterAll(() => matrix.close())

// What another relay sends, and streams of nothing but strings, test/protocols/matrix.test.ts has.
const asked = rows.filter(({ via, way }) => !via && !way.endsWith('textStream'))

async function run(client: Client, row: Row): Promise<{ told: Told; status: number; wire: string }> {
  let told: Told = { text: '', calls: [] }
  const protocol = {
    name: client.dialect as ProtocolUnderTest['name'],
    protocol: client.protocol,
    carries: { reasoning: false, tools: false, data: false, finish: false, usage: false },
    async read(url, fetch) {
      told = await client.read(url, false, fetch)
      return { text: told.text, reasoning: '', tools: [], data: [] }
    },
  } satisfies ProtocolUnderTest
  const { answer } = await matrix.run(row, protocol)
  return { told, status: answer.status, wire: answer.wire }
}

const sorted = (calls: readonly unknown[]) => calls.map((call) => JSON.stringify(call)).sort()
const flat = (text = '') => text.replace(/\n/g, '')

async function check(client: Client, row: Row): Promise<void> {
  const { text, reasoning, tools = [], finish, outcome, status: due = 200, isAnswered } = row.expected
  const { told, status, wire } = await run(client, row)
  expect(status).toBe(due)
  expect(wire).not.toContain('SECRET')
  const isCut = finish === 'length' || finish === 'content-filter'
  const isNothing = text === '' && tools.length === 0
  const isRefusing = (client.failsIncomplete && isCut) || (client.asksAgain && isNothing)
  if (outcome !== 'done' || isRefusing) {
    expect(told.failure).toBeTypeOf('string')
    expect(flat(text).startsWith(flat(told.text))).toBe(true)
    return
  }
  expect(told.failure).toBeUndefined()
  expect(told.finish).toBeTypeOf('string')
  expect(flat(told.text)).toBe(flat(text))
  if (told.reasoning !== undefined) expect(flat(told.reasoning)).toBe(flat(reasoning))
  const calls = isAnswered || isCut ? [] : tools.map(({ name, input }) => [name, input])
  if (!isCut && !client.runsAny) expect(sorted(told.calls)).toEqual(sorted(calls))
}

const right = new Map<Client, number>()

describe.each(clients)('$name', (client) => {
  it.each([...new Set(asked.map(({ trace }) => trace))])('reads %s, however it came', async (trace) => {
    const own = asked.filter((row) => row.trace === trace)
    for (const row of own) await check(client, row)
    right.set(client, (right.get(client) ?? 0) + own.length)
  })
})

describe('docs/matrix.md', () => {
  it('has what came out: `npm run packages -- dialects --update` writes it', ({ skip }) => {
    skip(right.size < clients.length, 'some clients were not tried')
    const lines = clients.map((client) => {
      const { dialect, name, failsIncomplete, runsAny, asksAgain, missesCuts } = client
      const remarks = [
        failsIncomplete && 'takes an answer that is not complete for a failure',
        runsAny && 'runs each call by its name, whatever else is said of it',
        asksAgain && 'asks again after an answer of nothing, until it gives up',
        missesCuts && 'takes an end of the connection in the middle for that of the answer',
      ].filter(Boolean)
      return `| \`${dialect}()\` | ${name} | ${right.get(client)} of ${asked.length} | ${remarks.join('; ')} |`
    })
    const path = new URL('../../../docs/matrix.md', import.meta.url)
    const page = readFileSync(path, 'utf8')
    const due = withClients(page, `${CLIENTS}${lines.join('\n')}\n`)
    if (env.PACKAGE_ROWS) writeFileSync(path, due)
    else expect(page).toBe(due)
  })
})
