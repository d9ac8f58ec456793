import { readFileSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import { attempt, type Behaviour, behaviours } from './proxies/behaviours.js'
import { type Row, rows } from './proxies/fronts.js'
import { isSkipped, missing } from './proxies/nginx.js'
import { withTable } from './proxies/table.js'

vi.setConfig({ testTimeout: 60_000 })

const results = new Map<string, string>()
const keyOf = (row: Row, name: Behaviour) => `${rows.indexOf(row)} ${name}`
const names = Object.keys(behaviours) as Behaviour[]

const skipped = ({ nginx }: Row) => nginx.length > 0 && isSkipped
const titleOf = (row: Row) =>
  `${row.host.name} behind ${row.front}${row.remark && ` (${row.remark})`}${skipped(row) ? ` (skipped: ${missing})` : ''}`

describe.each(rows.map((row) => [titleOf(row), row] as const))('%s', (_, row) => {
  const each = names.map((name) => [behaviours[name].title, name] as const)
  it.skipIf(skipped(row)).each(each)('%s', async (_, name) => {
    const verdict = await attempt(name, row)
    results.set(keyOf(row, name), verdict)
    expect(verdict).toBe(row.instead[name] ?? behaviours[name].good)
  })
})

/** Those that write to Node's response, which is written past where that is the same. */
const onNode = rows.filter(({ host }) => ['node http', 'express 5', 'fastify', 'koa 3'].includes(host.name))

describe.each(onNode.map((row) => [titleOf(row), row] as const))('%s, without direct writes', (_, row) => {
  const each = names.map((name) => [behaviours[name].title, name] as const)
  it.skipIf(skipped(row)).each(each)('%s', async (_, name) => {
    expect(await attempt(name, row, { directWrites: false })).toBe(row.instead[name] ?? behaviours[name].good)
  })
})

describe('docs/deploy.md', () => {
  it('has the table of what came out: node scripts/proxies.mjs writes it', async ({ skip }) => {
    skip(results.size < rows.length * names.length, 'some cells were not run')
    const page = readFileSync(new URL('../../docs/deploy.md', import.meta.url), 'utf8')
    const written = withTable(page, rows, (row, name) => results.get(keyOf(row, name)) as string)
    await expect(written).toMatchFileSnapshot('../../docs/deploy.md')
  })
})
