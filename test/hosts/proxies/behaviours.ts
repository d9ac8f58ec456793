/** What must come through whatever is in front: each is tried, and says in the table's words how it was. */
import type { RelayOptions, Source, SourceContext, Summary } from 'sse-relay'
import { collect, throwing } from 'sse-relay/testing'
import { expect } from 'vitest'
import { type Running, start } from '../hosts.js'
import type { Row } from './fronts.js'
import { startNginx } from './nginx.js'
import { type Asking, openReader, type Reader } from './reader.js'

export interface Verdicts {
  tokens: string
  silence: string
  leaving: string
  refusal: string
  cut: string
}

export type Behaviour = keyof Verdicts

const YES = 'yes'

/** Every behaviour, as the head of its column, and as a sentence. */
export const behaviours: Readonly<Record<Behaviour, { column: string; title: string; good: string }>> = {
  tokens: { column: 'tokens one by one', title: 'each token is there before the source yields the next', good: YES },
  silence: { column: 'silence kept alive', title: 'heartbeats come through and keep a silent answer alive', good: YES },
  leaving: { column: 'leaving noticed', title: 'a reader who leaves stops the upstream', good: YES },
  refusal: {
    column: 'statuses and headers',
    title: 'a refusal is its status, with the headers of the host',
    good: YES,
  },
  cut: {
    column: 'a server that dies',
    title: 'an answer whose server died is not taken for a whole one',
    good: 'seen by HTTP',
  },
}

/** Tries one behaviour in one row. Throws where something is wrong that no row may have. */
export async function attempt(behaviour: Behaviour, row: Row, options: RelayOptions = {}): Promise<string> {
  await using stage = await Stage.open(row, options)
  return await trials[behaviour](stage)
}

const trials: Record<Behaviour, (stage: Stage) => Promise<string>> = { tokens, silence, leaving, refusal, cut }

/** A server with what is in front of it. */
class Stage implements AsyncDisposable {
  readonly row: Row
  /** Those of every request. */
  readonly #common: RelayOptions
  #source: Source = []
  #options: RelayOptions = {}
  #server!: Running
  /** The server's own address, and then that of each proxy. */
  readonly #addresses: string[] = []
  readonly #closing: (() => unknown)[] = []

  private constructor(row: Row, common: RelayOptions) {
    this.row = row
    this.#common = common
  }

  static async open(row: Row, common: RelayOptions): Promise<Stage> {
    const stage = new Stage(row, common)
    try {
      const server = await start(row.host, {
        middleware: row.middleware,
        headers: HOST_HEADERS,
        async answer(relay, readBody) {
          await readBody()
          return relay(stage.#source, stage.#options)
        },
      })
      stage.#server = server
      stage.#closing.push(() => server.close())
      stage.#addresses.push(server.url)
      for (const each of row.nginx) {
        const nginx = await startNginx(each, (stage.#addresses.at(-1) as string).replace(/\/$/, ''))
        stage.#closing.push(() => nginx.close())
        stage.#addresses.push(nginx.url)
      }
    } catch (error) {
      await stage[Symbol.asyncDispose]()
      throw error
    }
    return stage
  }

  /** What the requests that come from now on are answered with. */
  serve(source: Source, options: RelayOptions = {}): void {
    this.#source = source
    this.#options = { heartbeatMs: 0, onError() {}, ...this.#common, ...options }
  }

  /** Asks in front of everything. */
  ask(asking: Asking = {}): Reader {
    const { gzip, httpVersion } = this.row
    const headers = { ...(gzip && { 'accept-encoding': 'gzip' }), ...asking.headers }
    return this.#reader(openReader(this.#addresses.at(-1) as string, { httpVersion, ...asking, headers }))
  }

  /** Asks the server itself. */
  askDirectly(): Reader {
    return this.#reader(openReader(this.#addresses[0] as string))
  }

  /** The server dies, and all its connections with it. */
  die(): Promise<void> {
    return this.#server.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.reverse()) await close()
  }

  #reader(reader: Reader): Reader {
    this.#closing.push(() => reader.leave())
    return reader
  }
}

const HOST_HEADERS: [string, string][] = [
  ['x-from-host', 'kept'],
  ['set-cookie', 'a=1'],
  ['set-cookie', 'b=2'],
]
const TOKENS = ['One ', 'by ', 'one', '.']
const HEARTBEAT = ': \n\n'
const SENTINEL = 'data: [DONE]\n\n'
const frame = (token: string) => `data: ${JSON.stringify({ text: token })}\n\n`
const frames = (tokens: readonly string[]) => tokens.map(frame).join('')

/** A source in the hand of the test. */
function hand() {
  let controller!: ReadableStreamDefaultController<string>
  let ask!: (context: SourceContext) => void
  let end!: (summary: Summary) => void
  const stream = new ReadableStream<string>({
    start(given) {
      controller = given
    },
  })
  return {
    asked: within(new Promise<SourceContext>((resolve) => (ask = resolve)), 'the source is asked for'),
    ended: new Promise<Summary>((resolve) => (end = resolve)),
    onEnd: (summary: Summary) => end(summary),
    source(context: SourceContext) {
      ask(context)
      return stream
    },
    yield: (token: string) => controller.enqueue(token),
    end: () => controller.close(),
  }
}

const LIMIT_MS = 20_000

function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout>
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Not in ${LIMIT_MS} ms: ${what}`)), LIMIT_MS)
  })
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer))
}

async function whole(reader: Reader) {
  const complete = await within(reader.over, `the answer is over: ${reader.received}`)
  return { status: await reader.status, headers: await reader.headers, body: reader.received, complete }
}

/** What has not happened in the time of so many whole exchanges by the same way is not going to. */
const EXCHANGES = 40

async function happens(stage: Stage, holds: () => boolean): Promise<boolean> {
  stage.serve(() => ['x'])
  for (let count = 0; count < EXCHANGES; count++) {
    if (holds()) return true
    expect((await whole(stage.ask())).body).toBe(frame('x') + SENTINEL)
  }
  return holds()
}

async function tokens(stage: Stage): Promise<string> {
  const source = hand()
  stage.serve(source.source)
  const reader = stage.ask()
  await source.asked
  const early: string[] = []
  for (const [index, token] of TOKENS.entries()) {
    source.yield(token)
    if (await happens(stage, () => reader.received === frames(TOKENS.slice(0, index + 1)))) early.push(token)
  }
  const before = reader.received
  source.end()
  expect((await reader.headers)['content-encoding']).toBe(stage.row.encoding)
  expect(await whole(reader)).toMatchObject({ status: 200, complete: true, body: frames(TOKENS) + SENTINEL })
  if (early.length === TOKENS.length) return YES
  return before === '' ? 'no: all at the end' : `no: ${JSON.stringify(early)} in time`
}

async function silence(stage: Stage): Promise<string> {
  const before = await silent(stage, [])
  const after = await silent(stage, ['Thinking'])
  return before === after ? before : `no: ${before.slice(4)} before the first token, ${after.slice(4)} after it`
}

/** Silence after these tokens, for longer than anything in front waits. */
async function silent(stage: Stage, tokens: string[]): Promise<string> {
  const { heartbeatMs, silence } = stage.row
  const source = hand()
  stage.serve(source.source, { heartbeatMs })
  const reader = stage.ask()
  const { signal } = await source.asked
  for (const token of tokens) source.yield(token)
  // The same silence without anything in front: when its heartbeats are there, those of the other were sent.
  stage.serve(() => new ReadableStream<string>(), { heartbeatMs })
  const control = stage.askDirectly()
  const beats = (count: number) => (received: string) => received.split(HEARTBEAT).length > count
  const told = Promise.race([reader.until(beats(silence)), control.until(beats(silence + 3))])
  await within(told, `heartbeats, or an end: ${reader.received}`)
  control.leave()
  if (reader.ended) {
    const { status, body, complete } = await whole(reader)
    if (status !== 200) return `no: ${status}`
    expect({ complete, outcome: (await collect(body)).outcome }).toEqual({ complete: false, outcome: 'truncated' })
    expect(await happens(stage, () => signal.aborted)).toBe(true)
    return 'no: cut'
  }
  const alive = await happens(stage, () => beats(silence)(reader.received))
  source.yield('Here')
  source.end()
  const { complete, body } = await whole(reader)
  expect({ complete, ...(await collect(body)) }).toMatchObject({
    complete: true,
    outcome: 'done',
    text: [...tokens, 'Here'].join(''),
  })
  return alive ? YES : 'no: held back'
}

async function leaving(stage: Stage): Promise<string> {
  const before = await left(stage, [])
  const after = await left(stage, ['One'])
  return before === after ? before : `before the first token ${before}, after it ${after}`
}

/** Leaves after these tokens, in a silence in which nothing is written. */
async function left(stage: Stage, tokens: string[]): Promise<string> {
  const source = hand()
  stage.serve(source.source, { onEnd: source.onEnd })
  const reader = stage.ask()
  const { signal } = await source.asked
  for (const token of tokens) source.yield(token)
  await happens(stage, () => reader.received === frames(tokens))
  reader.leave()
  if (await happens(stage, () => signal.aborted)) {
    expect(await within(source.ended, 'the run has ended')).toMatchObject({ outcome: 'disconnected' })
    return YES
  }
  source.yield('for nobody')
  source.end()
  expect(await within(source.ended, 'the run has ended')).toMatchObject({ outcome: 'done' })
  return 'no: paid to the end'
}

/** What the middleware puts on every answer to a page of another origin. */
const OF_MIDDLEWARE: Record<string, Record<string, string>> = {
  cors: { 'access-control-allow-origin': '*' },
  security: { 'x-content-type-options': 'nosniff', 'x-frame-options': 'SAMEORIGIN' },
}

async function refusal(stage: Stage): Promise<string> {
  const { middleware = [], nginx } = stage.row
  const host: Record<string, unknown> = { 'x-from-host': 'kept', 'set-cookie': 'a=1, b=2' }
  for (const name of middleware) Object.assign(host, OF_MIDDLEWARE[name])
  const headers = { ...host, 'cache-control': 'no-store, no-transform' }

  const limited = Object.assign(new Error('Too many'), { status: 429, headers: { 'retry-after': '7' } })
  stage.serve(() => throwing(limited))
  const refused = await whole(stage.ask())
  expect(refused).toMatchObject({
    status: 429,
    complete: true,
    headers: { ...headers, 'content-type': 'application/json; charset=utf-8', 'retry-after': '7' },
  })
  expect(JSON.parse(refused.body)).toMatchObject({ error: { code: 'rate-limit', retryable: true } })

  stage.serve(() => throwing(limited, ['One']))
  const failed = await whole(stage.ask())
  expect(failed).toMatchObject({
    status: 200,
    complete: true,
    headers: { ...headers, 'content-type': 'text/event-stream; charset=utf-8' },
  })
  // nginx takes it as said to it.
  expect(failed.headers['x-accel-buffering']).toBe(nginx.length > 0 ? undefined : 'no')
  expect(await collect(failed.body)).toMatchObject({ outcome: 'error', text: 'One', error: { code: 'rate-limit' } })

  if (middleware.includes('cors')) {
    const asked: unknown[] = []
    stage.serve((context) => {
      asked.push(context)
      return ['x']
    })
    const preflight = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' }
    const { status, headers } = await whole(stage.ask({ method: 'OPTIONS', headers: preflight }))
    expect({ status, asked, headers }).toMatchObject({
      status: 204,
      asked: [],
      headers: { ...OF_MIDDLEWARE.cors, 'access-control-allow-headers': 'content-type' },
    })
  }
  return YES
}

async function cut(stage: Stage): Promise<string> {
  const source = hand()
  stage.serve(source.source)
  const reader = stage.ask()
  await source.asked
  source.yield('One')
  await happens(stage, () => reader.received === frame('One'))
  await stage.die()
  const { complete, body } = await whole(reader)
  expect(await collect(body)).toMatchObject({ outcome: 'truncated', text: 'One' })
  return complete ? 'by the missing `[DONE]` alone' : 'seen by HTTP'
}
