/** Does every client of every dialect read what a source may say, and is nothing taken for an answer that is none? */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { env } from 'node:process'
import OpenAI from 'openai'
import type { RelayOptions, Source } from 'sse-relay'
import { createMemoryLog, record } from 'sse-relay/log'
import { relay, resume } from 'sse-relay/node'
import { openaiResponses } from 'sse-relay/protocols'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Answer, agentAnswerOf, answerOf } from './answers.js'
import { type Client, clients, type Told } from './clients.js'

// More of them: SEED=1000 COUNT=300 npm run packages -- dialects
const first = Number(env.SEED ?? 1)
const answers = Array.from({ length: Number(env.COUNT ?? 6) }, (_, index) => [
  answerOf(first + index),
  agentAnswerOf(first + index),
]).flat()

let server: Server
const listeners = new Map<string, RequestListener>()
beforeAll(async () => {
  server = createServer((req, res) => {
    const listener = listeners.get(req.url?.split('/')[1] ?? '')
    if (listener) listener(req, res)
    else res.writeHead(404).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

function serve(listener: RequestListener): string {
  const name = String(listeners.size)
  listeners.set(name, listener)
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}`
}

const common = { onError() {}, toolResults: true }

/** What a client makes of a source. */
function ask(client: Client, source: Source, options: RelayOptions = {}): Promise<Told> {
  const protocol = client.protocol()
  const url = serve((req, res) => void relay(req, res, source, { ...common, protocol, ...options }))
  return client.read(url, options.stream === false)
}

/** The frames of an answer. */
async function framesOf(client: Client, source: Source, options: RelayOptions = {}): Promise<string[]> {
  const protocol = client.protocol()
  const url = serve((req, res) => void relay(req, res, source, { ...common, protocol, ...options }))
  return (await (await fetch(url, { method: 'POST' })).text()).split(/(?<=\n\n)/)
}

const INCOMPLETE = /^(length|content-filter)$/
const sorted = (calls: readonly unknown[]) => calls.map((call) => JSON.stringify(call)).sort()
/** Blank lines between messages are not said where the messages are apart. */
const flat = (text = '') => text.replace(/\n/g, '')

function expectAmong(some: readonly unknown[], others: readonly unknown[]): void {
  const left = sorted(others)
  for (const call of sorted(some)) {
    const place = left.indexOf(call)
    expect(place, `${call} is not to be run`).not.toBe(-1)
    left.splice(place, 1)
  }
}

function check(client: Client, answer: Answer, told: Told, isWhole: boolean): void {
  const { text, reasoning, calls, finish, hasHalf } = answer
  const isIncomplete = INCOMPLETE.test(finish ?? '') || hasHalf
  const isNothing = text === '' && answer.told.length === 0
  if (isIncomplete && (client.failsIncomplete || (client.asksAgain && isNothing))) {
    expect(told.failure).toBeTypeOf('string')
    return
  }
  expect(told.failure).toBeUndefined()
  expect(told.finish, 'whether it ended').toBeTypeOf('string')
  if (client.dropsBlank) expect(told.text.replace(/\s/g, '')).toBe(text.replace(/\s/g, ''))
  else expect(flat(told.text)).toBe(flat(text))
  if (told.reasoning !== undefined) expect(flat(told.reasoning)).toBe(flat(reasoning))
  if (client.runsAny) return
  // An answer that is not complete may have calls that are: who runs them is the client's affair.
  if (isIncomplete || finish === 'other' || finish === 'error') expectAmong(told.calls, isWhole ? calls : answer.told)
  else expect(sorted(told.calls)).toEqual(sorted(calls))
}

function checkFailed(client: Client, { text, told: calls }: Answer, told: Told, when: string): void {
  expect(told.failure, when).toBeTypeOf('string')
  expect(JSON.stringify(told)).not.toContain('SECRET')
  if (!client.runsAny) expectAmong(told.calls, calls)
  expect(flat(text).startsWith(flat(told.text).replace(/\ufffd$/, '')), told.text).toBe(true)
}

async function* failingAfter(count: number, { source }: Answer) {
  yield* source.slice(0, count)
  throw Object.assign(new Error('SECRET'), { status: 529 })
}

describe.each(clients)('$name', (client) => {
  it.each(answers)('reads $name', async (answer) => {
    const told = await ask(client, answer.source as Source)
    const isNothing = answer.text === '' && answer.told.length === 0
    if (!client.asksAgain || !isNothing) check(client, answer, told, false)
    else if (!answer.hasHalf) expect(told.failure).toBeTypeOf('string')
  })

  if (client.asksWhole) {
    it.each(answers)('reads in one body $name', async (answer) => {
      check(client, answer, await ask(client, answer.source as Source, { stream: false }), true)
    })
  }

  it.each(answers)('takes for failed what fails before, in and after $name', async (answer) => {
    for (let count = 0; count <= answer.source.length; count++)
      checkFailed(client, answer, await ask(client, () => failingAfter(count, answer)), `after ${count} parts`)
    if (!client.asksWhole) return
    const told = await ask(client, () => failingAfter(answer.source.length, answer), { stream: false })
    checkFailed(client, answer, told, 'in one body')
  })

  it.each(answers)('is not told of an end where a connection ends in the middle of $name', async (answer) => {
    const frames = await framesOf(client, answer.source as Source)
    // The last are the ending: those before it are the answer.
    for (let count = 0; count < frames.length - 2; count++) {
      const url = serve((_req, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' }).end(frames.slice(0, count).join(''))
      })
      const told = await client.read(url, false)
      if (told.failure === undefined && !client.missesCuts) expect(told.finish, `after ${count}`).toBeUndefined()
    }
  })
})

describe.each(clients.filter(({ dialect }, index) => clients.findIndex((one) => one.dialect === dialect) === index))(
  '$dialect() with a log',
  (client) => {
    it.each(answers)('is the same from every event on: $name', async ({ source }) => {
      const log = createMemoryLog()
      const protocol = client.protocol()
      const whole = await framesOf(client, source as Source, { log, owner: null })
      const runId = /^id: (.+):1$/m.exec(whole[0] ?? '')?.[1] ?? ''
      const url = serve((req, res) => void resume(req, res, { ...common, log, owner: null, protocol }))
      for (let number = 0; number <= whole.length; number++) {
        const response = await fetch(url, { headers: { 'last-event-id': `${runId}:${number}` } })
        if (number === whole.length) expect(response.status).toBe(204)
        else expect(await response.text()).toBe(whole.slice(number).join(''))
      }
    })
  },
)

describe('openai', () => {
  it.each(answers)('reads on after every number of $name', async ({ source }) => {
    const kept = { ...common, log: createMemoryLog(), owner: null, protocol: openaiResponses() }
    const whole = serve((req, res) => void relay(req, res, source as Source, kept))
    const events: { type: string }[] = []
    const client = (url: string) => new OpenAI({ apiKey: 'test', baseURL: `${url}/v1`, maxRetries: 0 })
    for await (const event of await client(whole).responses.create({ model: 'any', input: 'Hi', stream: true }))
      events.push(event)
    const { response } = events[0] as unknown as { response: { id: string } }
    const rest = serve((req, res) => {
      const after = Number(new URL(req.url ?? '', 'http://localhost').searchParams.get('starting_after')) + 1
      void resume(req, res, { ...kept, runId: response.id.replace('resp_', ''), after, empty: 200 })
    })
    for (let number = 0; number < events.length; number++) {
      const read: object[] = []
      const from = { stream: true as const, starting_after: number }
      for await (const event of await client(rest).responses.retrieve(response.id, from)) read.push(event)
      expect(read).toEqual(events.slice(number + 1))
    }
  })
})

describe('TanStack AI', () => {
  const client = clients.find(({ name }) => name === '@tanstack/ai-client') as Client

  it.each(answers)('goes on where its connection breaks, after each event of $name', async (answer) => {
    const { length } = await framesOf(client, answer.source as Source)
    for (let count = 1; count < length; count++) {
      const kept = { ...common, log: createMemoryLog(), owner: null, protocol: client.protocol() }
      let asked = 0
      const url: string = serve(async (req, res) => {
        if (req.method === 'GET') return void resume(req, res, kept)
        if (++asked > 1) return void relay(req, res, answer.source as Source, kept)
        const runId = String(req.headers['x-run-id'])
        // The whole run is in the log, and a part of it is all that arrives.
        await record(answer.source as Source, { ...kept, runId })
        const whole = await (await fetch(url, { headers: { 'last-event-id': `${runId}:0` } })).text()
        const part = whole.split(/(?<=\n\n)/).slice(0, count)
        res.writeHead(200, { 'content-type': 'text/event-stream' })
        res.write(part.join(''), () => res.socket?.destroy())
      })
      check(client, answer, await client.read(url, false), false)
      expect(asked).toBe(2)
    }
  })
})
