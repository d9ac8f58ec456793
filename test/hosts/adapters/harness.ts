import { connect as connectHttp2, constants } from 'node:http2'
import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import type { RelayOptions, Source, SourceContext, Summary } from 'sse-relay'
import {
  type ClientOptions,
  openClient,
  type Replay,
  type ReplayRequest,
  replayUpstream,
  type TestClient,
} from 'sse-relay/testing'
import { afterAll, afterEach, beforeEach, describe, expect, vi } from 'vitest'
import { supports } from '../../support.js'
import { type Call, type Host, hosts, type Running, type Serving, start } from '../hosts.js'

/** What no client may ever see. */
export const SECRET = 'sk-live-7f3a9c'
export const RUN_ID = /^[A-Za-z0-9_-]{16,128}$/
export const MB = 1024 * 1024

// The process of the host must not die of anything a source, a client or a developer does.
const unhandled: unknown[] = []
const note = (problem: unknown) => void unhandled.push(problem)
process.on('unhandledRejection', note)
process.on('uncaughtException', note)
process.on('warning', note)
afterAll(() => {
  process.off('unhandledRejection', note)
  process.off('uncaughtException', note)
  process.off('warning', note)
})

/** What went to `console.error`. A test that expects something there takes it out. */
export const logged: unknown[] = []
/** What a test leaves to be closed after it, the last first. */
export const cleanups: (() => unknown)[] = []

beforeEach(() => {
  logged.length = 0
  vi.spyOn(console, 'error').mockImplementation((...values) => void logged.push(...values))
})

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  // Rejections are found to be unhandled when the microtasks of a turn are done.
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  vi.restoreAllMocks()
  expect(unhandled.splice(0)).toEqual([])
  expect(logged).toEqual([])
})

/** A host that runs, with every summary its `onEnd` was given. */
export type Relaying = Running & { ends: Summary[]; ended(count?: number): Promise<Summary> }

/** An answer read to its end. */
export interface Answer {
  status: number
  headers: Record<string, string>
  body: string
  /** Whether HTTP calls the answer complete. */
  complete: boolean
}

/** The promise, with a limit. */
export function within<T>(promise: Promise<T>, what: string, ms = 10_000): Promise<T> {
  let timer: ReturnType<typeof setTimeout>
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Not in ${ms} ms: ${what}`)), ms)
  })
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer))
}

/** Serves a source, and sees to it that each `relay` settles and each run ends, once. */
export async function relaying(
  host: Host,
  source: Source,
  options: RelayOptions = {},
  serving: Omit<Serving, 'source' | 'options'> = {},
): Promise<Relaying> {
  const ends: Summary[] = []
  let wake = () => {}
  const running = await start(host, {
    ...serving,
    source,
    options: {
      ...options,
      onEnd(summary) {
        ends.push(summary)
        wake()
        return options.onEnd?.(summary)
      },
    },
  })
  cleanups.push(async () => {
    await running.close()
    const calls = running.calls.map(({ settled }) => settled)
    await within(Promise.all(calls), 'every call of relay has settled')
    await within(ended(running.calls.length), 'every run has ended')
    expect(ends).toHaveLength(running.calls.length)
  })
  async function ended(count = 1): Promise<Summary> {
    while (ends.length < count)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    return ends[count - 1] as Summary
  }
  return Object.assign(running, { ends, ended: (count?: number) => within(ended(count), 'the run has ended') })
}

/** The same for requests that no run answers, such as HEAD. */
export async function serving(host: Host, serving: Serving): Promise<Running> {
  const running = await start(host, serving)
  cleanups.push(async () => {
    await running.close()
    await within(Promise.all(running.calls.map(({ settled }) => settled)), 'every call of relay has settled')
  })
  return running
}

export function open(host: Host, { url }: Running, options: ClientOptions = {}): TestClient {
  const client = openClient(url, { httpVersion: host.httpVersion, rejectUnauthorized: false, ...options })
  cleanups.push(() => client.leave())
  return client
}

export async function answerTo(client: TestClient): Promise<Answer> {
  const { complete } = await within(client.closed, `the answer is over: ${client.received}`)
  return { status: await client.status, headers: await client.headers, body: client.received, complete }
}

export function ask(host: Host, running: Running, options: ClientOptions = {}): Promise<Answer> {
  return answerTo(open(host, running, options))
}

export function post(size = 0): ClientOptions {
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(size) }] })
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body }
}

/** Begins a POST and sends only a part of its body; returns how to leave. */
export function upload(host: Host, { url }: Running): () => void {
  let leave: () => void
  if (host.httpVersion === '2') {
    const session = connectHttp2(url, { rejectUnauthorized: false })
    const stream = session.request({ ':method': 'POST', 'content-type': 'application/json' }, { endStream: false })
    stream.on('error', () => {})
    stream.write('{"messages":')
    leave = () => {
      stream.close(constants.NGHTTP2_CANCEL)
      session.close()
    }
  } else {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write('POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 300000\r\n\r\n{"messages":')
    leave = () => socket.destroy()
  }
  cleanups.push(leave)
  return leave
}

/** The failure in the error frame that ends a body. */
export function failureIn(body: string): { code: string; message: string; retryable: boolean } | undefined {
  const [, json] = /(?:^|\n)event: error\ndata: ([^\n]*)\n\n$/.exec(body) ?? []
  return json === undefined ? undefined : JSON.parse(json).error
}

export const frame = (token: string) => `data: ${JSON.stringify({ text: token })}\n\n`
export const SENTINEL = 'data: [DONE]\n\n'

/** A source in the hand of a test, with its signal. */
export interface Feed<T> {
  source(context: SourceContext): AsyncIterable<T>
  context: SourceContext
  push(value: T): void
  end(): void
  fail(error: unknown): void
  /** Resolves when the source was asked for. */
  asked: Promise<void>
}

export function feed<T>(...values: T[]): Feed<T> {
  const steps: (() => { done?: boolean; value?: T })[] = values.map((value) => () => ({ value }))
  let wake = () => {}
  let ask = () => {}
  const step = (next: (typeof steps)[number]) => {
    steps.push(next)
    wake()
  }
  async function* generate() {
    for (;;) {
      while (steps.length > 0) {
        const { done, value } = (steps.shift() as (typeof steps)[number])()
        if (done) return
        yield value as T
      }
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  const hand: Feed<T> = {
    source(context) {
      hand.context = context
      ask()
      return generate()
    },
    context: undefined as never,
    push: (value) => step(() => ({ value })),
    end: () => step(() => ({ done: true })),
    fail: (error) =>
      step(() => {
        throw error
      }),
    asked: new Promise((resolve) => {
      ask = resolve
    }),
  }
  return hand
}

/** A chunk of OpenAI's chat completions, which owes a proof that the answer is complete. */
export function chat(content: string, finish: string | null = null, usage?: object) {
  return { choices: [{ index: 0, delta: { content }, finish_reason: finish }], ...(usage && { usage }) }
}

/** A replayed provider, and what the real SDKs ask it. */
export async function upstream(replay?: Replay) {
  const upstream = await replayUpstream(replay)
  cleanups.push(() => upstream.close())
  // The keys are secrets: the SDKs put them into their errors' requests.
  const openai = new OpenAI({ apiKey: SECRET, baseURL: `${upstream.url}/v1`, maxRetries: 0 })
  const anthropic = new Anthropic({ apiKey: SECRET, baseURL: upstream.url, maxRetries: 0 })
  const messages = [{ role: 'user' as const, content: 'Hello' }]
  return {
    upstream,
    openai: ({ signal }: { signal?: AbortSignal }, options = {}) =>
      openai.chat.completions.create({ model: 'm', messages, stream: true }, { signal, ...options }),
    anthropic: ({ signal }: { signal?: AbortSignal }) =>
      anthropic.messages.create({ model: 'm', max_tokens: 9, messages, stream: true }, { signal }),
    anthropicStream: ({ signal }: { signal?: AbortSignal }) =>
      anthropic.messages.stream({ model: 'm', max_tokens: 9, messages }, { signal }),
  }
}

/** How long the upstream's socket lives on after `leave`, in milliseconds. Aims at 100, and fails far above. */
export async function closedAfter(exchange: ReplayRequest, leave: () => void): Promise<string> {
  const left = performance.now()
  leave()
  const { by } = await within(exchange.closed, "the upstream's socket is closed")
  const took = performance.now() - left
  expect(by).toBe('client')
  expect(took).toBeLessThan(1000)
  return `closed after ${took.toFixed(1)} ms`
}

setFlagsFromString('--expose-gc')
const gc: () => void = runInNewContext('gc')

/** Bytes in use after a collection; `external` includes what array buffers hold. */
export function memory(): number {
  gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** What `relay` resolved to. */
export async function fulfilled({ settled }: Call): Promise<unknown> {
  const result = await within(settled, 'relay has settled')
  if (result.status !== 'fulfilled') throw result.reason
  return result.value
}

/** Whether the host writes to a response of Node's that is at hand. */
export const writes = (host: Host) => host.returns !== 'response'

/** Whether the host's own headers are set before `relay` is called; the bare one adds them to what it is given. */
export const setsEarlier = (host: Host) => !host.name.startsWith('web')

/** Runs the same tests over every host. */
export function overHosts(tests: (host: Host) => void): void {
  for (const host of hosts) {
    describe.skipIf(host.missing)(host.name, () => {
      supports(host.name)
      tests(host)
    })
  }
}
