import { getEventListeners } from 'node:events'
import { Agent, get, request, type ServerResponse } from 'node:http'
import { connect as connectHttp2, constants } from 'node:http2'
import { connect } from 'node:net'
import { text as readAll } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createGunzip } from 'node:zlib'
import Anthropic from '@anthropic-ai/sdk'
import { EventSource } from 'eventsource'
import OpenAI from 'openai'
import { RelayError, type RelayOptions, type Source, type SourceContext, type Summary } from 'sse-relay'
import { relay as relayNode } from 'sse-relay/node'
import { parts, raw, text } from 'sse-relay/protocols'
import {
  type ClientOptions,
  collect,
  flooding,
  openClient,
  probe,
  providerError,
  type Replay,
  type ReplayRequest,
  replayUpstream,
  stalling,
  type TestClient,
  throwing,
  tokens,
  truncated,
} from 'sse-relay/testing'
import { relay as relayWeb } from 'sse-relay/web'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Call, HANDLED, type Host, hosts, type Running, type Serving, start } from './hosts.js'
import { supports } from './support.js'

/** What no client may ever see. */
const SECRET = 'sk-live-7f3a9c'
const RUN_ID = /^[A-Za-z0-9_-]{16,128}$/
const MB = 1024 * 1024

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
let logged: unknown[] = []
const cleanups: (() => unknown)[] = []

beforeEach(() => {
  logged = []
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
type Relaying = Running & { ends: Summary[]; ended(count?: number): Promise<Summary> }

/** An answer read to its end. */
interface Answer {
  status: number
  headers: Record<string, string>
  body: string
  /** Whether HTTP calls the answer complete. */
  complete: boolean
}

function within<T>(promise: Promise<T>, what: string, ms = 10_000): Promise<T> {
  let timer: ReturnType<typeof setTimeout>
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Not in ${ms} ms: ${what}`)), ms)
  })
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer))
}

/** Serves a source, and sees to it that each `relay` settles and each run ends, once. */
async function relaying(
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
async function serving(host: Host, serving: Serving): Promise<Running> {
  const running = await start(host, serving)
  cleanups.push(async () => {
    await running.close()
    await within(Promise.all(running.calls.map(({ settled }) => settled)), 'every call of relay has settled')
  })
  return running
}

function open(host: Host, { url }: Running, options: ClientOptions = {}): TestClient {
  const client = openClient(url, { httpVersion: host.httpVersion, ...options })
  cleanups.push(() => client.leave())
  return client
}

async function answerTo(client: TestClient): Promise<Answer> {
  const { complete } = await within(client.closed, `the answer is over: ${client.received}`)
  return { status: await client.status, headers: await client.headers, body: client.received, complete }
}

function ask(host: Host, running: Running, options: ClientOptions = {}): Promise<Answer> {
  return answerTo(open(host, running, options))
}

function post(size = 0): ClientOptions {
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(size) }] })
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body }
}

/** Begins a POST and sends only a part of its body; returns how to leave. */
function upload(host: Host, { url }: Running): () => void {
  let leave: () => void
  if (host.httpVersion === '2') {
    const session = connectHttp2(url)
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
function failureIn(body: string): { code: string; message: string; retryable: boolean } | undefined {
  const [, json] = /(?:^|\n)event: error\ndata: ([^\n]*)\n\n$/.exec(body) ?? []
  return json === undefined ? undefined : JSON.parse(json).error
}

const frame = (token: string) => `data: ${JSON.stringify({ text: token })}\n\n`
const SENTINEL = 'data: [DONE]\n\n'

/** A source in the hand of a test, with its signal. */
interface Feed<T> {
  source(context: SourceContext): AsyncIterable<T>
  context: SourceContext
  push(value: T): void
  end(): void
  fail(error: unknown): void
  /** Resolves when the source was asked for. */
  asked: Promise<void>
}

function feed<T>(...values: T[]): Feed<T> {
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
function chat(content: string, finish: string | null = null, usage?: object) {
  return { choices: [{ index: 0, delta: { content }, finish_reason: finish }], ...(usage && { usage }) }
}

async function upstream(replay?: Replay) {
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
async function closedAfter(exchange: ReplayRequest, leave: () => void): Promise<string> {
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
function memory(): number {
  gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

describe.each(hosts.map((host) => [host.name, host] as const))('%s', (_, host) => {
  supports(host.name)
  const http1 = host.httpVersion === '1.1'
  const writes = host.returns === 'summary'
  /** Whether the host's own headers are set before `relay` is called; the bare one adds them to what it is given. */
  const earlier = !host.name.startsWith('web')

  async function fulfilled({ settled }: Call): Promise<unknown> {
    const result = await within(settled, 'relay has settled')
    if (result.status !== 'fulfilled') throw result.reason
    return result.value
  }

  describe('the commit', () => {
    it('comes with the first event, while the source goes on', async () => {
      const { source, push, end } = feed('Hello')
      const running = await relaying(host, source)
      const client = open(host, running)
      expect(await client.status).toBe(200)
      expect(await client.until(frame('Hello'))).toBe(frame('Hello'))
      push(' there')
      await client.until(frame(' there'))
      end()
      expect(await answerTo(client)).toMatchObject({
        complete: true,
        body: frame('Hello') + frame(' there') + SENTINEL,
      })
    })

    it('comes with the first heartbeat, and then a failure is an event', async () => {
      const { source, fail } = feed()
      const running = await relaying(host, source, { heartbeatMs: 20, onError: () => {} })
      const client = open(host, running)
      await client.until(': \n')
      expect(await client.status).toBe(200)
      fail(Object.assign(new Error(SECRET), { status: 429 }))
      const { body, complete } = await answerTo(client)
      expect(failureIn(body)).toMatchObject({ code: 'rate-limit' })
      expect(body).toMatch(/^(: \n)+event: error\n/)
      expect(complete).toBe(true)
    })

    it('waits for the first part, so that what fails before has a status of its own', async () => {
      const overloaded = Object.assign(new Error('busy'), { status: 429 })
      const running = await relaying(host, () => throwing(overloaded, ['', chat(''), undefined, '']), {
        onError: () => {},
      })
      const { status, headers, body } = await ask(host, running)
      expect(status).toBe(429)
      expect(headers['content-type']).toBe('application/json; charset=utf-8')
      expect(JSON.parse(body)).toEqual({
        error: { code: 'rate-limit', message: expect.any(String), retryable: true },
      })
    })
  })

  describe('the headers', () => {
    it('are those of an event stream that nobody stores, transforms or buffers', async () => {
      const running = await relaying(host, () => tokens('Hello'))
      const { status, headers } = await ask(host, running)
      expect(status).toBe(200)
      expect(headers).toMatchObject({
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
      })
      if (host.httpVersion === '2') {
        expect(headers).not.toHaveProperty('connection')
        expect(headers).not.toHaveProperty('transfer-encoding')
      }
    })

    it('leave the connection to the host, whatever the options say', async () => {
      const headers = { connection: 'close', 'transfer-encoding': 'chunked', 'keep-alive': 'timeout=1', 'x-model': 'm' }
      const running = await relaying(host, () => tokens('Hello'), { headers })
      const answer = await ask(host, running)
      expect(answer).toMatchObject({ status: 200, complete: true, headers: { 'x-model': 'm' } })
      expect(answer.headers['keep-alive']).not.toBe('timeout=1')
      if (!writes) {
        const response = (await fulfilled(await running.call())) as Response
        expect(response.headers.has('connection')).toBe(false)
        expect(response.headers.has('transfer-encoding')).toBe(false)
      }
    })

    const EARLIER: [string, string][] = [
      ['access-control-allow-origin', 'https://app.example'],
      ['set-cookie', 'session=1; Path=/'],
      ['set-cookie', 'theme=dark'],
    ]
    const kept = {
      'access-control-allow-origin': 'https://app.example',
      'set-cookie': 'session=1; Path=/, theme=dark',
    }

    it('that the host set earlier are kept on a stream', async () => {
      const running = await relaying(host, () => tokens('Hello'), {}, { headers: EARLIER })
      expect(await ask(host, running)).toMatchObject({ status: 200, headers: kept, complete: true })
    })

    it('that the host set earlier are kept on a failure', async () => {
      const running = await relaying(host, () => throwing(new Error('bug')), { onError() {} }, { headers: EARLIER })
      expect(await ask(host, running)).toMatchObject({
        status: 500,
        headers: { ...kept, 'content-type': 'application/json; charset=utf-8' },
      })
    })

    it('that the host set earlier are kept on HEAD and on 204', async () => {
      const running = await serving(host, { source: () => tokens('Hello'), headers: EARLIER })
      expect(await ask(host, running, { method: 'HEAD' })).toMatchObject({ status: 200, headers: kept })
      const over = { 'last-event-id': `${'a'.repeat(32)}:end` }
      expect(await ask(host, running, { headers: over })).toMatchObject({ status: 204, headers: kept })
    })

    if (earlier) {
      it('a length set earlier does not cut the stream', async () => {
        const running = await relaying(host, () => tokens('Hello there'), {}, { headers: [['content-length', '5']] })
        expect(await ask(host, running)).toMatchObject({ complete: true, body: expect.stringContaining(SENTINEL) })
      })
    }

    it('of the options win over those of the library, but for content-type', async () => {
      const headers = { 'Cache-Control': 'private', 'X-Model': 'small', 'content-type': 'text/plain' }
      const running = await relaying(host, () => tokens('Hello'), { headers })
      expect((await ask(host, running)).headers).toMatchObject({
        'cache-control': 'private',
        'x-model': 'small',
        'content-type': 'text/event-stream; charset=utf-8',
        'x-accel-buffering': 'no',
      })
    })

    it('of the options are on a failure too', async () => {
      const headers = new Headers({ 'cache-control': 'private', 'x-model': 'small', 'content-type': 'text/plain' })
      const running = await relaying(host, () => throwing(new Error('bug')), { headers, onError() {} })
      expect((await ask(host, running)).headers).toMatchObject({
        'cache-control': 'private',
        'x-model': 'small',
        'content-type': 'application/json; charset=utf-8',
      })
    })

    if (earlier) {
      it('of the options win over those the host set earlier', async () => {
        const options = { headers: [['x-model', 'small']] as const }
        const running = await relaying(host, () => tokens('Hello'), options, { headers: [['x-model', 'large']] })
        expect((await ask(host, running)).headers['x-model']).toBe('small')
      })
    }

    it('of the options hold several cookies, and lose none of the host', async () => {
      const headers: [string, string][] = [
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
      ]
      const running = await relaying(host, () => tokens('Hello'), { headers }, { headers: [['set-cookie', 'c=3']] })
      const cookies = (await ask(host, running)).headers['set-cookie']?.split(', ').sort()
      expect(cookies).toEqual(['a=1', 'b=2', 'c=3'])
    })

    it('of the protocol are sent', async () => {
      const protocol = { ...text(), headers: { 'x-dialect': 'text' } }
      const running = await relaying(host, () => tokens('Hello'), { protocol })
      expect((await ask(host, running)).headers['x-dialect']).toBe('text')
    })
  })

  describe('a disconnect aborts the upstream', () => {
    const phases = ['before the first token', 'after the first token'] as const
    const bodies: { what: string; body?: Serving['body']; before?: Serving['before']; client: ClientOptions }[] = [
      { what: 'of a GET', client: {} },
      { what: 'of a POST whose body was parsed', body: 'parsed', client: post() },
      {
        what: 'of a POST whose body was parsed a while ago',
        body: 'parsed',
        before: () => sleep(20),
        client: post(),
      },
      { what: 'of a POST whose body the source function reads', body: 'in-factory', client: post(300_000) },
      { what: 'of a POST with 300 kB that nobody reads', client: post(300_000) },
      { what: 'of a POST with 5 MB that nobody reads', client: post(5_000_000) },
    ]

    describe.each(phases)('%s', (phase) => {
      it.for(bodies.map((each) => [each.what, each] as const))(
        '%s',
        async ([, { body, before, client: request }], { annotate }) => {
          const replay = phase === phases[0] ? { delayMs: Infinity } : { stallAfter: 4 }
          const { upstream: provider, openai, anthropic } = await upstream(replay)
          const asked = provider.request()
          let signal: AbortSignal | undefined
          const source = (context: SourceContext) => {
            signal = context.signal
            return phase === phases[0] ? openai(context) : anthropic(context)
          }
          // Without heartbeats: a write would find out about the client as well.
          const running = await relaying(host, source, { heartbeatMs: 0 }, { body, before })
          const client = open(host, running, request)
          const exchange = await within(asked, 'the upstream was asked')
          if (request.body) {
            const { bodyEnd } = await running.call()
            await within(bodyEnd, 'the body was read or dropped')
          }
          if (phase === phases[1]) await client.until(frame('Hello'))
          annotate(await closedAfter(exchange, () => client.leave()))
          expect(await running.ended()).toMatchObject({
            outcome: 'disconnected',
            text: phase === phases[1] ? 'Hello' : '',
          })
          expect(signal?.reason).toMatchObject({ name: 'AbortError' })
          expect(signal?.reason).toBeInstanceOf(Error)
        },
      )
    })

    it('of a POST whose body is still on its way', async ({ annotate }) => {
      const { upstream: provider, openai } = await upstream({ delayMs: Infinity })
      const asked = provider.request()
      const running = await relaying(host, openai, { heartbeatMs: 0 })
      const leave = upload(host, running)
      const exchange = await within(asked, 'the upstream was asked')
      annotate(await closedAfter(exchange, leave))
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
    })

    it('of a POST whose body the source function is still reading', async () => {
      const source = ({ signal }: SourceContext) => stalling<string>([], { signal })
      const running = await relaying(host, source, { heartbeatMs: 0 }, { body: 'in-factory' })
      const leave = upload(host, running)
      await within(running.call(), 'relay was called')
      leave()
      // Not an error of the source, though its reading fails of this.
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
    })

    it('of a client that left while nobody had begun to read its body', async () => {
      const { openai } = await upstream({ delayMs: Infinity })
      let client: TestClient | undefined
      const running = await relaying(
        host,
        openai,
        { heartbeatMs: 0 },
        {
          async before() {
            client?.leave()
            // As long as nobody reads, the host cannot know.
            await sleep(30)
          },
        },
      )
      client = open(host, running, post(300_000))
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected', events: 0 })
    })

    it('of a client whose machine crashed', async ({ annotate }) => {
      const { upstream: provider, anthropic } = await upstream({ stallAfter: 4 })
      const asked = provider.request()
      const running = await relaying(host, anthropic, { heartbeatMs: 0 })
      const client = open(host, running, post())
      await client.until(frame('Hello'))
      annotate(await closedAfter(await asked, () => client.reset()))
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
    })

    it('of a stream that was handed in without a function', async ({ annotate }) => {
      const { upstream: provider, openai } = await upstream({ stallAfter: 3 })
      const asked = provider.request()
      const running = await relaying(host, openai({}), { heartbeatMs: 0 })
      const client = open(host, running)
      await client.until(frame('Hello'))
      annotate(await closedAfter(await asked, () => client.leave()))
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
    })

    it("of the SDK's helper stream", async ({ annotate }) => {
      const { upstream: provider, anthropicStream } = await upstream({ stallAfter: 4 })
      const asked = provider.request()
      const running = await relaying(host, anthropicStream, { heartbeatMs: 0 })
      const client = open(host, running)
      await client.until(frame('Hello'))
      annotate(await closedAfter(await asked, () => client.leave()))
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
    })

    it('of a stream that comes only after the client left', async () => {
      let deliver: (stream: unknown) => void = () => {}
      const { asked, ...late } = feed()
      const source = (context: SourceContext) => {
        late.source(context)
        return new Promise<AsyncIterable<unknown>>((resolve) => {
          deliver = resolve as never
        })
      }
      const running = await relaying(host, source, { heartbeatMs: 0 })
      const client = open(host, running)
      await asked
      client.leave()
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected', events: 0 })
      const stream = probe(stalling(['Hello']))
      const aborted = vi.fn()
      deliver(Object.assign(stream, { controller: { abort: aborted } }))
      await stream.until(({ returned }) => returned)
      expect(aborted).toHaveBeenCalledOnce()
      expect(stream.pulled).toBe(0)
    })

    it('but a normal end does not', async () => {
      const { upstream: provider, openai } = await upstream()
      const asked = provider.request()
      let signal: AbortSignal | undefined
      const running = await relaying(host, (context) => {
        signal = context.signal
        return openai(context)
      })
      const answer = await ask(host, running, post(300_000))
      expect(answer).toMatchObject({ status: 200, complete: true })
      expect(answer.body.endsWith(SENTINEL)).toBe(true)
      expect(await (await asked).closed).toMatchObject({ by: 'server' })
      // Not even when the connection goes, after that.
      await running.close()
      expect(signal?.aborted).toBe(false)
    })

    it('an unread body of 5 MB is no obstacle for a failure', async () => {
      const limit = Object.assign(new Error(), { status: 429 })
      const running = await relaying(host, () => throwing(limit), { onError() {} })
      expect(await ask(host, running, post(5_000_000))).toMatchObject({ status: 429, complete: true })
    })

    if (http1) {
      it('a connection is kept for the next request, whether its body was read or not', async () => {
        const running = await relaying(host, ({ signal }) => tokens('Hello there', { everyMs: 1, signal }))
        const agent = new Agent({ keepAlive: true, maxSockets: 1 })
        cleanups.push(() => agent.destroy())
        const ports = new Set<number | undefined>()
        for (const { method, headers, body } of [post(300_000), {} as ClientOptions, post(300_000), post()]) {
          const received = await new Promise<string>((resolve, reject) => {
            const asking = request(running.url, { agent, method, headers }, async (response) => {
              ports.add(response.socket.localPort)
              resolve(await readAll(response))
            })
            asking.on('error', reject)
            asking.end(body)
          })
          expect(received).toBe(frame('Hello') + frame(' there') + SENTINEL)
        }
        expect(ports.size).toBe(1)
      })
    }

    it('a client that had left before relay was called costs nothing', async () => {
      const source = vi.fn(() => tokens('Hello'))
      let client: TestClient | undefined
      const running = await relaying(
        host,
        source,
        {},
        {
          async before({ left }) {
            client?.leave()
            await left
          },
        },
      )
      client = open(host, running)
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected', events: 0 })
      expect(source).not.toHaveBeenCalled()
    })

    if (http1) {
      it('of an HTTP/1.0 client', async ({ annotate }) => {
        const { upstream: provider, openai } = await upstream({ stallAfter: 3 })
        const asked = provider.request()
        const running = await relaying(host, openai, { heartbeatMs: 0 })
        const client = open(host, running, { httpVersion: '1.0' })
        await client.until(frame('Hello'))
        annotate(await closedAfter(await asked, () => client.leave()))
        expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
      })

      it('an HTTP/1.0 client gets the whole answer', async () => {
        const running = await relaying(host, () => tokens('Hello there'))
        const { status, headers, body } = await ask(host, running, { httpVersion: '1.0' })
        expect(status).toBe(200)
        expect(headers).not.toHaveProperty('transfer-encoding')
        expect(body).toBe(frame('Hello') + frame(' there') + SENTINEL)
      })
    }
  })

  describe('after our own abort', () => {
    it('an upstream that ends silently is no finished answer', async () => {
      const controller = new AbortController()
      const source = ({ signal }: SourceContext) => stalling(['Hello'], { signal, silent: true })
      const onError = vi.fn()
      const running = await relaying(host, source, { signal: controller.signal, onError })
      const client = open(host, running)
      await client.until(frame('Hello'))
      controller.abort()
      const { body } = await answerTo(client)
      expect(failureIn(body)?.code).toBe('stopped')
      expect(body).not.toContain('[DONE]')
      expect(onError).not.toHaveBeenCalled()
    })

    it.each([
      ['an error by another name', () => Object.assign(new Error('aborted'), { name: 'Error' })],
      ['an error with a status', () => Object.assign(new Error('limit'), { status: 429 })],
      ['the reason itself', (signal: AbortSignal) => signal.reason],
      ['a string', () => 'gone'],
    ])('what the upstream throws is no news: %s', async (_, errorOf) => {
      const controller = new AbortController()
      const onError = vi.fn()
      async function* source({ signal }: SourceContext) {
        yield 'Hello'
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        throw errorOf(signal)
      }
      const running = await relaying(host, source, { signal: controller.signal, onError })
      const client = open(host, running)
      await client.until(frame('Hello'))
      controller.abort()
      expect(failureIn((await answerTo(client)).body)?.code).toBe('stopped')
      expect(await running.ended()).toMatchObject({ outcome: 'stopped' })
      expect(onError).not.toHaveBeenCalled()
    })
  })

  describe('the endings', () => {
    it('done: the protocol ends, then the sentinel', async () => {
      const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
      const source = () => [chat('Hello'), chat(' there', 'length'), { choices: [], usage }]
      const running = await relaying(host, source, { protocol: parts() })
      const { status, body, complete } = await ask(host, running)
      expect({ status, complete }).toEqual({ status: 200, complete: true })
      expect(body).toBe(
        `${['text', 'text'].map((type, index) => `data: {"type":"${type}","text":"${['Hello', ' there'][index]}"}\n\n`).join('')}` +
          'data: {"type":"usage","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}\n\n' +
          `data: {"type":"finish","reason":"length"}\n\n${SENTINEL}`,
      )
      const summary = await running.ended()
      expect(summary).toEqual({
        outcome: 'done',
        events: expect.any(Number),
        usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
        finishReason: 'length',
        text: 'Hello there',
        firstEventMs: expect.any(Number),
        durationMs: expect.any(Number),
        runId: expect.stringMatching(RUN_ID),
      })
      if (writes) expect(await fulfilled(await running.call())).toEqual(summary)
    })

    it('done without an event is 200 and the sentinel', async () => {
      const running = await relaying(host, () => [])
      expect(await ask(host, running)).toMatchObject({ status: 200, body: SENTINEL, complete: true })
      const summary = await running.ended()
      expect(summary).toMatchObject({ outcome: 'done', events: 0, text: '' })
      expect(summary).not.toHaveProperty('firstEventMs')
    })

    interface Ending {
      outcome: Summary['outcome']
      how: string
      code?: string
      status: number
      retryable: boolean
      /** Whether there is an error that `onError` is given. */
      reported: boolean
      end(hands: { feed: Feed<unknown>; stop: AbortController; shutdown: AbortController }): void
      options?: RelayOptions
    }
    const bug = new TypeError(`messages is not iterable ${SECRET}`)
    const timeout = () => AbortSignal.abort(new DOMException('too long', 'TimeoutError')).reason
    const endings: Ending[] = [
      {
        outcome: 'error',
        how: 'when the source throws',
        code: 'internal',
        status: 500,
        retryable: false,
        reported: true,
        end: ({ feed }) => feed.fail(bug),
      },
      {
        outcome: 'truncated',
        how: 'when a provider does not say that it has ended',
        status: 502,
        retryable: true,
        reported: true,
        end({ feed }) {
          feed.push(chat(''))
          feed.end()
        },
      },
      {
        outcome: 'stopped',
        how: 'when the signal aborts',
        status: 409,
        retryable: false,
        reported: false,
        end: ({ stop }) => stop.abort(),
      },
      {
        outcome: 'stopped',
        how: 'when the signal aborts with a reason that means nothing here',
        status: 409,
        retryable: false,
        reported: false,
        end: ({ stop }) => stop.abort(SECRET),
      },
      {
        outcome: 'expired',
        how: 'when the signal aborts with a TimeoutError',
        status: 504,
        retryable: false,
        reported: false,
        end: ({ stop }) => stop.abort(timeout()),
      },
      {
        outcome: 'expired',
        how: 'when maxDurationMs is over',
        status: 504,
        retryable: false,
        reported: false,
        end: () => {},
        options: { maxDurationMs: 100 },
      },
      {
        outcome: 'shutdown',
        how: 'when the shutdown signal aborts',
        status: 503,
        retryable: true,
        reported: false,
        end: ({ shutdown }) => shutdown.abort(),
      },
    ]

    describe.each(endings.map((each) => [each.outcome, each.how, each] as const))(
      '%s, %s',
      (_, __, { outcome, code = outcome, status, retryable, reported, end, options }) => {
        async function arrange(...values: unknown[]) {
          const hand = feed<unknown>(...values)
          const stop = new AbortController()
          const shutdown = new AbortController()
          const onError = vi.fn()
          const running = await relaying(host, hand.source, {
            heartbeatMs: 0,
            signal: stop.signal,
            shutdown: shutdown.signal,
            onError,
            ...options,
          })
          const client = open(host, running)
          await hand.asked
          return { client, running, onError, hand, end: () => end({ feed: hand, stop, shutdown }) }
        }

        it('after the first event is an error frame that ends the stream', async () => {
          const { client, running, onError, hand, end } = await arrange(chat('Hello'))
          await client.until(frame('Hello'))
          end()
          const answer = await answerTo(client)
          expect(answer).toMatchObject({ status: 200, complete: true })
          const failure = { code, message: expect.any(String), retryable }
          expect(failureIn(answer.body)).toEqual(failure)
          expect(answer.body.startsWith(`${frame('Hello')}event: error\n`)).toBe(true)
          expect(answer.body).not.toContain('[DONE]')
          expect(answer.body).not.toContain(SECRET)
          const summary = await running.ended()
          expect(summary).toMatchObject({ outcome, events: 1, text: 'Hello', firstEventMs: expect.any(Number) })
          expect(hand.context.signal.aborted).toBe(true)
          if (writes) expect(await fulfilled(await running.call())).toEqual(summary)
          if (!reported) return expect(onError).not.toHaveBeenCalled()
          expect(onError).toHaveBeenCalledOnce()
          expect(onError).toHaveBeenCalledWith(summary.error, {
            runId: summary.runId,
            failure: { ...failure, status },
            sent: true,
          })
        })

        it('before the first event is an HTTP status with a JSON body', async () => {
          const { client, running, onError, hand, end } = await arrange()
          end()
          const answer = await answerTo(client)
          expect(answer).toMatchObject({
            status,
            complete: true,
            headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store, no-transform' },
          })
          const failure = { code, message: expect.any(String), retryable }
          expect(JSON.parse(answer.body)).toEqual({ error: failure })
          expect(answer.body).not.toContain(SECRET)
          const summary = await running.ended()
          expect(summary).toMatchObject({ outcome, events: 0, text: '' })
          expect(summary).not.toHaveProperty('firstEventMs')
          expect(hand.context.signal.aborted).toBe(true)
          if (writes) expect(await fulfilled(await running.call())).toEqual(summary)
          if (!reported) return expect(onError).not.toHaveBeenCalled()
          expect(onError).toHaveBeenCalledOnce()
          expect(onError).toHaveBeenCalledWith(summary.error, {
            runId: summary.runId,
            failure: { ...failure, status },
            sent: false,
          })
        })
      },
    )

    it('truncated is what a provider that ends without its last word comes to', async () => {
      const { openai } = await upstream({ trace: 'openai-chat-truncated-no-done.sse' })
      const running = await relaying(host, openai, { onError() {} })
      const { body } = await ask(host, running)
      expect(body.length).toBeGreaterThan(0)
      expect(failureIn(body)).toMatchObject({ code: 'truncated', retryable: true })
      expect(body).not.toContain('[DONE]')
      expect(await running.ended()).toMatchObject({ outcome: 'truncated' })
      const simple = await relaying(host, () => truncated('Hello there'), { onError() {} })
      expect(failureIn((await ask(host, simple)).body)).toMatchObject({ code: 'truncated' })
    })

    it('disconnected: the client left, and onEnd hears of it', async () => {
      const { source, context, asked, ...hand } = feed('Hello')
      const onError = vi.fn()
      const running = await relaying(host, source, { onError })
      const client = open(host, running)
      await client.until(frame('Hello'))
      client.leave()
      const summary = await running.ended()
      expect(summary).toMatchObject({ outcome: 'disconnected', events: 1, text: 'Hello' })
      expect(summary).not.toHaveProperty('error')
      expect(onError).not.toHaveBeenCalled()
      if (writes) expect(await fulfilled(await running.call())).toEqual(summary)
      hand.end()
    })

    it('a signal that aborted before: the source is not asked', async () => {
      const source = vi.fn(() => tokens('Hello'))
      const running = await relaying(host, source, { signal: AbortSignal.abort() })
      expect(await ask(host, running)).toMatchObject({ status: 409 })
      const down = await relaying(host, source, { shutdown: AbortSignal.abort() })
      expect(await ask(host, down)).toMatchObject({ status: 503 })
      expect(source).not.toHaveBeenCalled()
    })

    it('a RelayError as the reason gives its own code', async () => {
      const hand = feed('Hello')
      const stop = new AbortController()
      const running = await relaying(host, hand.source, { signal: stop.signal })
      const client = open(host, running)
      await client.until(frame('Hello'))
      stop.abort(new RelayError('quota-used', 'Your plan has no tokens left', { expose: true, retryable: false }))
      const { body } = await answerTo(client)
      expect(failureIn(body)).toEqual({
        code: 'quota-used',
        message: 'Your plan has no tokens left',
        retryable: false,
      })
      const early = await relaying(host, hand.source, {
        signal: AbortSignal.abort(new RelayError('shutdown', SECRET)),
      })
      const answer = await ask(host, early)
      expect(answer.status).toBe(503)
      expect(answer.body).not.toContain(SECRET)
      expect(await early.ended()).toMatchObject({ outcome: 'shutdown' })
    })

    it('one shutdown signal ends all relays, and keeps none of their listeners', async () => {
      const shutdown = new AbortController()
      const source = ({ signal }: SourceContext) => stalling(['Hello'], { signal })
      const running = await relaying(host, source, { shutdown: shutdown.signal })
      const clients = Array.from({ length: 20 }, () => open(host, running))
      await Promise.all(clients.map((client) => client.until(frame('Hello'))))
      expect(getEventListeners(shutdown.signal, 'abort').length).toBeLessThanOrEqual(1)
      shutdown.abort()
      for (const client of clients) {
        const { body, complete } = await answerTo(client)
        expect(complete).toBe(true)
        expect(failureIn(body)).toMatchObject({ code: 'shutdown', retryable: true })
      }
      await running.ended(20)
      expect(running.ends.every(({ outcome }) => outcome === 'shutdown')).toBe(true)
      expect(getEventListeners(shutdown.signal, 'abort')).toEqual([])
    })
  })

  describe('the mapping of errors', () => {
    interface Mapping {
      what: string
      replay: Replay
      status: number
      code: string
      retryable?: boolean
      retryAfter?: string
      timeout?: number
    }
    const told = (status: number, headers = {}): Replay => ({
      ...providerError('openai', status, `No: ${SECRET}`),
      headers: { 'x-request-id': SECRET, ...headers },
    })
    const mappings: Mapping[] = [
      {
        what: '429 with Retry-After',
        replay: told(429, { 'retry-after': '7' }),
        status: 429,
        code: 'rate-limit',
        retryable: true,
        retryAfter: '7',
      },
      { what: '503', replay: told(503), status: 503, code: 'overload', retryable: true },
      {
        what: '529 with Retry-After',
        replay: told(529, { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' }),
        status: 503,
        code: 'overload',
        retryable: true,
        retryAfter: 'Wed, 21 Oct 2026 07:28:00 GMT',
      },
      { what: '408', replay: told(408), status: 504, code: 'upstream-timeout', retryable: true },
      { what: '504', replay: told(504), status: 504, code: 'upstream-timeout', retryable: true },
      {
        what: 'the timeout of the SDK',
        replay: { delayMs: Infinity },
        timeout: 50,
        status: 504,
        code: 'upstream-timeout',
      },
      { what: '500', replay: told(500), status: 502, code: 'upstream-failure' },
      { what: '401', replay: told(401), status: 502, code: 'upstream-failure', retryable: false },
      { what: '403', replay: told(403), status: 502, code: 'upstream-failure', retryable: false },
      { what: '404', replay: told(404), status: 502, code: 'upstream-failure', retryable: false },
      { what: '400', replay: told(400), status: 502, code: 'upstream-failure', retryable: false },
      { what: 'a connection that is reset', replay: { resetAfter: 0 }, status: 502, code: 'upstream-failure' },
    ]

    it.each(mappings.map((each) => [each.what, each.status, each.code, each] as const))(
      '%s of the upstream is %d %s',
      async (what, _, __, mapping) => {
        const { replay, status, code, retryable = expect.any(Boolean), retryAfter, timeout } = mapping
        const { openai } = await upstream(replay)
        const onError = vi.fn()
        const source = (context: SourceContext) => openai(context, timeout === undefined ? {} : { timeout })
        const running = await relaying(host, source, { onError })
        const answer = await ask(host, running, post())
        expect(JSON.parse(answer.body)).toEqual({ error: { code, message: expect.any(String), retryable } })
        expect(answer.status, what).toBe(status)
        expect(answer.headers['retry-after']).toBe(retryAfter)
        expect(answer.headers['cache-control']).toBe('no-store, no-transform')
        expect(JSON.stringify(answer)).not.toContain(SECRET)
        expect(await running.ended()).toMatchObject({ outcome: 'error' })
        expect(onError).toHaveBeenCalledOnce()
      },
    )

    it('the same 429 after the first token is an error frame', async () => {
      const limit = Object.assign(new Error(`No: ${SECRET}`), { status: 429, headers: { 'retry-after': '7' } })
      const running = await relaying(host, () => throwing(limit, ['Hello']), { onError() {} })
      const { status, body } = await ask(host, running)
      expect(status).toBe(200)
      expect(failureIn(body)).toMatchObject({ code: 'rate-limit', retryable: true })
      expect(body).not.toContain(SECRET)
    })

    it('an overload the provider tells in its stream is one', async () => {
      const { anthropic } = await upstream({ trace: 'anthropic-error-overloaded.sse' })
      const onError = vi.fn()
      const running = await relaying(host, anthropic, { onError })
      const { status, body } = await ask(host, running)
      expect(status).toBe(200)
      expect(failureIn(body)).toMatchObject({ code: 'overload', retryable: true })
      expect(onError.mock.lastCall?.[0]).toBeInstanceOf(Anthropic.APIError)
    })

    it('a connection lost in the middle is an upstream failure', async () => {
      const { openai } = await upstream({ resetAfter: 3, pauseMs: 20 })
      const running = await relaying(host, openai, { onError() {} })
      const { body } = await ask(host, running)
      expect(failureIn(body)).toMatchObject({ code: 'upstream-failure' })
      expect(await running.ended()).toMatchObject({ outcome: 'error', text: expect.stringContaining('Hello') })
    })

    it('a provider nobody can reach is an upstream failure', async () => {
      // A port below those that systems hand out, so that nobody has it by chance.
      const url = 'http://127.0.0.1:2'
      const openai = new OpenAI({ apiKey: SECRET, baseURL: url, maxRetries: 0 })
      const sources: Source[] = [
        ({ signal }) => openai.chat.completions.create({ model: 'm', messages: [], stream: true }, { signal }),
        () => fetch(url) as never,
      ]
      for (const source of sources) {
        const running = await relaying(host, source, { onError() {} })
        expect(await ask(host, running)).toMatchObject({
          status: 502,
          body: expect.stringContaining('upstream-failure'),
        })
      }
    })

    it("a timeout of the developer's own is an upstream timeout", async () => {
      const { upstream: provider } = await upstream({ delayMs: Infinity })
      const source = () => fetch(provider.url, { signal: AbortSignal.timeout(30) }) as never
      const running = await relaying(host, source, { onError() {} })
      expect(await ask(host, running)).toMatchObject({ status: 504, body: expect.stringContaining('upstream-timeout') })
    })

    it.each([
      ['a bug', () => (undefined as never as { messages: [] }).messages],
      ['a string', () => Promise.reject('no')],
      ['undefined', () => Promise.reject(undefined)],
      ['null', () => throwing(null)],
      ['a frozen object', () => throwing(Object.freeze({ a: 1 }))],
      [
        'an object whose properties throw',
        () =>
          throwing(
            new Proxy(
              {},
              {
                get() {
                  throw new Error('no')
                },
              },
            ),
          ),
      ],
    ])('anything else that is thrown is 500 internal: %s', async (_, source) => {
      const onError = vi.fn()
      const running = await relaying(host, source as Source, { onError })
      const answer = await ask(host, running)
      expect(answer.status).toBe(500)
      expect(JSON.parse(answer.body).error).toMatchObject({ code: 'internal', retryable: false })
      expect(onError).toHaveBeenCalledOnce()
    })

    it('expose: true keeps an error’s own status and message', async () => {
      const error = Object.assign(new Error('Your credit is used up'), { status: 402, expose: true })
      const running = await relaying(host, () => throwing(error), { onError() {} })
      const answer = await ask(host, running)
      expect(answer.status).toBe(402)
      expect(JSON.parse(answer.body).error).toMatchObject({
        code: expect.any(String),
        message: 'Your credit is used up',
      })
      const late = await relaying(host, () => throwing(error, ['Hello']), { onError() {} })
      expect(failureIn((await ask(host, late)).body)).toMatchObject({ message: 'Your credit is used up' })
    })

    it('expose: false, or nothing, does not', async () => {
      const error = Object.assign(new Error(SECRET), { status: 402, expose: false })
      const running = await relaying(host, () => throwing(error), { onError() {} })
      const answer = await ask(host, running)
      expect(answer.status).toBe(502)
      expect(answer.body).not.toContain(SECRET)
    })
  })

  describe('secrets', () => {
    function secretive() {
      const error = new Error(`No: ${SECRET}`, { cause: new Error(SECRET) })
      error.stack = `Error: ${SECRET}\n    at secret.ts`
      return Object.assign(error, {
        status: 401,
        headers: { authorization: SECRET, 'x-request-id': SECRET, 'retry-after': SECRET },
        error: { message: SECRET },
        requestID: SECRET,
        code: SECRET,
        type: SECRET,
      })
    }

    it.each([
      ['before the first event', []],
      ['after the first event', ['Hello']],
    ])('never reach the client %s, and the original reaches onError once', async (_, chunks) => {
      const error = secretive()
      for (const protocol of [text(), parts(), raw()]) {
        const onError = vi.fn()
        const running = await relaying(host, () => throwing(error, chunks), { onError, protocol })
        expect(JSON.stringify(await ask(host, running))).not.toContain(SECRET)
        expect(onError).toHaveBeenCalledOnce()
        expect(onError.mock.lastCall?.[0]).toBe(error)
        expect((await running.ended()).error).toBe(error)
      }
    })

    it('without onError the original reaches console.error once', async () => {
      const error = secretive()
      const running = await relaying(host, () => throwing(error))
      expect(JSON.stringify(await ask(host, running))).not.toContain(SECRET)
      expect(logged.splice(0)).toEqual([error])
      const late = await relaying(host, () => throwing(error, ['Hello']))
      expect(JSON.stringify(await ask(host, late))).not.toContain(SECRET)
      expect(logged.splice(0)).toEqual([error])
    })

    it('what a RelayError of an upstream says is the upstream’s', async () => {
      const error = new RelayError('overload', SECRET, { status: 503, body: SECRET })
      const running = await relaying(host, () => throwing(error), { onError() {} })
      const answer = await ask(host, running)
      expect(answer.status).toBe(503)
      expect(JSON.stringify(answer)).not.toContain(SECRET)
    })
  })

  describe('onError', () => {
    const shown = { status: 402, code: 'no-credit', message: 'Please top up', retryable: true }

    it('decides what is shown before anything was sent', async () => {
      const running = await relaying(host, () => throwing(new Error(SECRET)), { onError: () => shown })
      const { status, body } = await ask(host, running)
      expect(status).toBe(402)
      expect(JSON.parse(body)).toEqual({ error: { code: 'no-credit', message: 'Please top up', retryable: true } })
    })

    it('decides what is shown after something was sent', async () => {
      const running = await relaying(host, () => throwing(new Error(SECRET), ['Hello']), { onError: () => shown })
      const { status, body } = await ask(host, running)
      expect(status).toBe(200)
      expect(failureIn(body)).toEqual({ code: 'no-credit', message: 'Please top up', retryable: true })
    })

    it('shows the rest of the usual when it returns a part', async () => {
      const onError = () => ({ message: 'Come back later' })
      const running = await relaying(host, () => throwing(Object.assign(new Error(), { status: 429 })), { onError })
      const { status, body } = await ask(host, running)
      expect(status).toBe(429)
      expect(JSON.parse(body).error).toEqual({ code: 'rate-limit', message: 'Come back later', retryable: true })
    })

    it.each([[{ status: 200 }], [{ status: 99 }], [{ status: '402' }], [{ code: 7, message: {} }], ['no'], [null]])(
      'cannot break the answer by returning %j',
      async (value) => {
        const running = await relaying(host, () => throwing(new Error(SECRET)), { onError: () => value as never })
        const { status, body } = await ask(host, running)
        expect(status).toBe(500)
        expect(JSON.parse(body).error).toMatchObject({ code: 'internal', message: expect.any(String) })
      },
    )

    it('that throws before anything was sent leaves the response to the host’s error handling', async () => {
      const error = new Error(SECRET)
      const onError = () => {
        throw error
      }
      const running = await relaying(host, () => throwing(error), { onError }, { headers: [['x-early', '1']] })
      const answer = await ask(host, running, post())
      expect(answer).toMatchObject(HANDLED)
      expect(running.errors).toEqual([error])
      if (earlier) expect(answer.headers['x-early']).toBe('1')
      expect(answer.headers).not.toHaveProperty('x-accel-buffering')
      const { settled } = await running.call()
      // Express 4 takes no notice of a handler's promise, so there it must not reject.
      if (host.name.startsWith('express')) expect(await settled).toMatchObject({ status: 'fulfilled' })
      else expect(await settled).toMatchObject({ status: 'rejected', reason: error })
      expect(await running.ended()).toMatchObject({ outcome: 'error', error })
    })

    it('that throws after something was sent is written to the console, and the client is told', async () => {
      const thrown = new Error('in onError')
      const onError = () => {
        throw thrown
      }
      const running = await relaying(host, () => throwing(new Error(SECRET), ['Hello']), { onError })
      const { body, complete } = await ask(host, running)
      expect(complete).toBe(true)
      expect(failureIn(body)).toMatchObject({ code: 'internal' })
      expect(logged.splice(0)).toEqual([thrown])
      expect(running.errors).toEqual([])
    })

    it('that rejects does not end the process', async () => {
      const rejection = new Error('in onError')
      const onError = (() => Promise.reject(rejection)) as never
      const running = await relaying(host, () => throwing(new Error(SECRET)), { onError })
      expect((await ask(host, running)).status).toBe(500)
      expect(logged.splice(0)).toEqual([rejection])
    })
  })

  describe('onEnd', () => {
    it('is not waited for, and what it rejects with goes to onError', async () => {
      const failure = new Error('in onEnd')
      let reject: (error: Error) => void = () => {}
      const onEnd = () =>
        new Promise((_, no) => {
          reject = no
        })
      const onError = vi.fn()
      const running = await relaying(host, () => tokens('Hello'), { onEnd, onError })
      expect(await ask(host, running)).toMatchObject({ complete: true, body: frame('Hello') + SENTINEL })
      await fulfilled(await running.call())
      expect(onError).not.toHaveBeenCalled()
      reject(failure)
      await vi.waitFor(() => expect(onError).toHaveBeenCalledOnce())
      expect(onError).toHaveBeenCalledWith(failure, { runId: expect.stringMatching(RUN_ID), sent: true })
    })

    it('that throws reaches the console without onError', async () => {
      const failure = new Error('in onEnd')
      const onEnd = () => {
        throw failure
      }
      const running = await relaying(host, () => tokens('Hello'), { onEnd })
      expect(await ask(host, running)).toMatchObject({ complete: true, body: frame('Hello') + SENTINEL })
      await vi.waitFor(() => expect(logged).toHaveLength(1))
      expect(logged.splice(0)).toEqual([failure])
    })

    it('is given at most 1 MiB of text', async () => {
      const running = await relaying(host, () => flooding({ chunkSize: 50_000, total: 2 * MB }))
      expect((await ask(host, running)).complete).toBe(true)
      expect((await running.ended()).text).toHaveLength(MB)
    })
  })

  it('waitUntil is given the end of the run, onEnd included', async () => {
    const promises: Promise<unknown>[] = []
    let finish: () => void = () => {}
    const onEnd = () =>
      new Promise<void>((resolve) => {
        finish = resolve
      })
    const waitUntil = (promise: Promise<unknown>) => void promises.push(promise)
    const running = await relaying(host, () => tokens('Hello'), { onEnd, waitUntil })
    await ask(host, running)
    expect(promises).toHaveLength(1)
    let over = false
    promises[0]?.then(() => {
      over = true
    })
    await new Promise(setImmediate)
    expect(over).toBe(false)
    finish()
    await within(promises[0] as Promise<unknown>, 'the promise of waitUntil is settled')

    const failing = await relaying(host, () => throwing(new Error('bug'), ['Hello']), {
      waitUntil,
      onError() {},
      onEnd: () => Promise.reject(new Error('in onEnd')),
    })
    await ask(host, failing)
    await within(promises[1] as Promise<unknown>, 'the promise of waitUntil is settled')
  })

  it('retryMs is a retry field before the first event', async () => {
    const running = await relaying(host, () => tokens('Hello'), { retryMs: 1234 })
    const retries: number[] = []
    const { body } = await ask(host, running)
    expect(body).toBe(`retry: 1234\n${frame('Hello')}${SENTINEL}`)
    const { events, outcome } = await collect(body, { onRetry: (ms) => retries.push(ms) })
    expect({ retries, events, outcome }).toEqual({
      retries: [1234],
      events: [{ data: '{"text":"Hello"}' }],
      outcome: 'done',
    })
  })

  describe('backpressure', () => {
    /** Resolves when the source was asked for nothing more in a while: the client's machine and ours are full. */
    async function quiet(source: { produced: number }): Promise<void> {
      for (let same = 0, before = -1; same < 3; before = source.produced) {
        await sleep(30)
        same = source.produced > 0 && source.produced === before ? same + 1 : 0
      }
    }

    it('a client that reads nothing costs little of 200 MB, and is dropped', async ({ annotate }) => {
      const source = flooding({ chunkSize: 65_536, total: 200 * MB })
      // What earlier tests left goes in a few turns.
      let before = memory()
      for (let last = Infinity; last - before > 65_536; before = Math.min(before, memory())) {
        last = before
        await sleep(20)
      }
      let peak = -Infinity
      const running = await relaying(host, () => source, { stallTimeoutMs: 500, onError() {} })
      const client = open(host, running, post())
      client.pause()
      while (running.ends.length === 0) {
        await sleep(60)
        peak = Math.max(peak, memory() - before)
      }
      const summary = await running.ended()
      expect(summary).toMatchObject({ outcome: 'stalled' })
      expect(summary.durationMs).toBeGreaterThanOrEqual(500)
      expect(summary.durationMs).toBeLessThan(5000)
      await source.until(({ returned, pending }) => returned && !pending)
      annotate(`${(source.produced / MB).toFixed(2)} MB asked for, ${(peak / MB).toFixed(2)} MB of memory at most`)
      // The buffers of two sockets in the kernel take a few MB, which are nobody's heap.
      expect(source.produced).toBeLessThan(8 * MB)
      expect(peak).toBeLessThan(8 * MB)
      client.resume()
      expect(await within(client.closed, 'the client was dropped')).toMatchObject({ complete: false })
      expect(client.received).not.toContain('[DONE]')
      // The server of the fetch hosts writes the error of a dropped body to the console.
      if (!writes) logged = []
    })

    it('a client that reads on gets everything', async () => {
      const source = flooding({ chunkSize: 65_536, total: 16 * MB })
      const running = await relaying(host, () => source)
      const client = open(host, running)
      client.pause()
      await quiet(source)
      expect(source.produced).toBeLessThan(12 * MB)
      client.resume()
      const { body, complete } = await answerTo(client)
      expect(complete).toBe(true)
      const { text, outcome } = await collect(body)
      expect(outcome).toBe('done')
      expect(text.length).toBe(16 * MB)
    })

    it('the wait ends when the client leaves', async () => {
      const source = flooding({ chunkSize: 65_536, total: 200 * MB })
      const running = await relaying(host, () => source)
      const client = open(host, running)
      client.pause()
      await quiet(source)
      client.leave()
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
      await source.until(({ returned }) => returned)
    })

    it('the wait ends when the run is stopped', async () => {
      const source = flooding({ chunkSize: 65_536, total: 200 * MB })
      const stop = new AbortController()
      const running = await relaying(host, () => source, { signal: stop.signal })
      const client = open(host, running)
      client.pause()
      await quiet(source)
      stop.abort()
      expect(await running.ended()).toMatchObject({ outcome: 'stopped' })
      await source.until(({ returned }) => returned)
      client.resume()
      const { body, complete } = await answerTo(client)
      expect(complete).toBe(true)
      expect(failureIn(body)?.code).toBe('stopped')
    })

    it('a client that does not take all of one large event is dropped too', async () => {
      const running = await relaying(host, () => ['x'.repeat(30 * MB)], { stallTimeoutMs: 300, onError() {} })
      const client = open(host, running)
      client.pause()
      // A fetch host takes an event whole, and then no sentinel.
      expect(await running.ended()).toMatchObject({ outcome: writes ? 'stalled' : 'done', events: 1 })
      await vi.waitFor(() => expect(running.connections).toBe(0), { timeout: 10_000 })
      client.resume()
      expect(await within(client.closed, 'the client was dropped')).toMatchObject({ complete: false })
      if (!writes) logged = []
    })

    if (writes) {
      // What a fetch host has taken is out of our hands.
      it('a client that does not take the end is dropped too, though the answer is done', async () => {
        const large = { ...text().encoder({ runId: '' }), end: () => frame('x'.repeat(30 * MB)) }
        const protocol = { name: 'large', encoder: () => large }
        const running = await relaying(host, () => tokens('Hello'), { protocol, stallTimeoutMs: 300 })
        const client = open(host, running)
        client.pause()
        expect(await running.ended()).toMatchObject({ outcome: 'done' })
        await vi.waitFor(() => expect(running.connections).toBe(0), { timeout: 10_000 })
        client.resume()
        expect(await within(client.closed, 'the client was dropped')).toMatchObject({ complete: false })
      })
    }
  })

  describe('heartbeats', () => {
    it('are comments while the source is silent', async () => {
      const { source, push, end } = feed<string>()
      const running = await relaying(host, source, { heartbeatMs: 15 })
      const client = open(host, running)
      expect(await client.until(': \n: \n: \n')).toMatch(/^(: \n)+$/)
      push('Hello')
      await client.until((received) => received.includes(`${frame('Hello')}: \n`))
      end()
      const { body } = await answerTo(client)
      expect(body).toMatch(/^(: \n){3,}data: {"text":"Hello"}\n\n(: \n)+data: \[DONE\]\n\n$/)
      expect(await running.ended()).toMatchObject({ outcome: 'done', events: 1 })
    })

    it('begin before the source function has answered', async () => {
      const source = ({ signal }: SourceContext) =>
        new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      const running = await relaying(host, source, { heartbeatMs: 15 })
      const client = open(host, running, post())
      await client.until(': \n: \n')
      client.leave()
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected', events: 0 })
    })

    it('are never inside an event', async () => {
      const { source, push, end } = feed<string>()
      const running = await relaying(host, source, { heartbeatMs: 3 })
      const client = open(host, running)
      // Each event takes many packets, and the next comes while heartbeats do.
      for (let count = 1; count <= 5; count++) {
        push('x'.repeat(300_000))
        await client.until((received) => received.split('x"}').length > count && received.endsWith(': \n'))
      }
      end()
      const { body } = await answerTo(client)
      expect(body).toMatch(/^(?:: \n|data: [^\n]*\n\n)+$/)
      expect((await collect(body)).text.length).toBe(5 * 300_000)
    })
  })

  describe('events of the source’s own', () => {
    it('pass through', async () => {
      const source = () => ['Hello', { event: 'citation', data: { url: '/a' }, id: '5', retry: 10 }, { data: 'plain' }]
      const running = await relaying(host, source)
      expect((await ask(host, running)).body).toBe(
        `${frame('Hello')}event: citation\nid: 5\nretry: 10\ndata: {"url":"/a"}\n\ndata: plain\n\n${SENTINEL}`,
      )
      expect(await running.ended()).toMatchObject({ events: 3, text: 'Hello' })
    })

    it('have a data line for each line of their data, whatever ends it', async () => {
      const running = await relaying(host, () => [{ data: 'a\nb\rc\r\nd\r\r\n' }])
      const { body } = await ask(host, running)
      expect(body).toBe(`data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: \n\n${SENTINEL}`)
      expect((await collect(body)).events).toEqual([{ data: 'a\nb\nc\nd\n\n' }])
    })

    it('text cannot forge one', async () => {
      const forged = '\n\nevent: error\ndata: no\r\rdata: [DONE]\n\n'
      const running = await relaying(host, () => [forged, { type: 'text', text: forged }, forged])
      const { events, outcome, text } = await collect((await ask(host, running)).body)
      expect({ count: events.length, outcome, text }).toEqual({ count: 3, outcome: 'done', text: forged.repeat(3) })
    })

    it('objects the library does not know are data', async () => {
      const running = await relaying(host, () => ['Hello', { temperature: 1 }])
      expect((await ask(host, running)).body).toBe(
        `${frame('Hello')}event: data\ndata: {"temperature":1}\n\n${SENTINEL}`,
      )
    })

    it.each([
      ['a line break in event', { event: 'a\nb', data: 1 }],
      ['a CR in event', { event: 'a\rb', data: 1 }],
      ['a line break in id', { id: '1\n', data: 1 }],
      ['NUL in id', { id: '1\0', data: 1 }],
      ['a negative retry', { retry: -1, data: 1 }],
      ['a retry that is no integer', { retry: 1.5, data: 1 }],
      ['an event that is no string', { event: 7, data: 1 }],
      ['the name error', { event: 'error', data: 1 }],
      ['the sentinel as data', { data: '[DONE]' }],
      ['a data part named error', { type: 'data', name: 'error', data: 1 }],
    ])('%s is invalid-field', async (_, chunk) => {
      const onError = vi.fn()
      const early = await relaying(host, () => [chunk], { onError })
      const refused = await ask(host, early)
      expect(refused.status).toBe(500)
      expect(JSON.parse(refused.body).error).toMatchObject({ code: 'invalid-field', retryable: false })
      const late = await relaying(host, () => ['Hello', chunk, 'never'], { onError })
      const { status, body } = await ask(host, late)
      expect(status).toBe(200)
      expect(failureIn(body)?.code).toBe('invalid-field')
      expect(body).not.toContain('[DONE]')
      expect(body).not.toContain('never')
      expect(onError).toHaveBeenCalledTimes(2)
      expect(await late.ended()).toMatchObject({ outcome: 'error', error: onError.mock.lastCall?.[0], events: 1 })
    })
  })

  describe('HEAD', () => {
    it('is answered with the headers only, and never calls the source', async () => {
      const source = vi.fn(() => tokens('Hello'))
      const running = await serving(host, { source })
      expect(await ask(host, running, { method: 'HEAD' })).toMatchObject({
        status: 200,
        headers: {
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-store, no-transform',
          'x-accel-buffering': 'no',
        },
        body: '',
      })
      expect(source).not.toHaveBeenCalled()
    })

    it('lets go of a source that was handed in without a function', async () => {
      const source = tokens('Hello')
      const running = await serving(host, { source })
      await ask(host, running, { method: 'HEAD' })
      await source.until(({ returned }) => returned)
      expect(source.pulled).toBe(0)
    })
  })

  if (host.middleware.compression) {
    describe('compression in front', () => {
      it('is told not to transform, so tokens go out one by one', async () => {
        const { source, push, end } = feed('Hello')
        const running = await relaying(host, source, {}, { middleware: ['compression'] })
        const client = open(host, running, { headers: { 'accept-encoding': 'gzip, br' } })
        await client.until(frame('Hello'))
        expect(await client.headers).not.toHaveProperty('content-encoding')
        push(' there')
        await client.until(frame(' there'))
        end()
        expect(await answerTo(client)).toMatchObject({
          complete: true,
          body: frame('Hello') + frame(' there') + SENTINEL,
        })
      })

      it('loses no client that leaves', async ({ annotate }) => {
        const { upstream: provider, openai } = await upstream({ stallAfter: 3 })
        const asked = provider.request()
        const running = await relaying(host, openai, { heartbeatMs: 0 }, { middleware: ['compression'] })
        const client = open(host, running, { headers: { 'accept-encoding': 'gzip, br' } })
        await client.until(frame('Hello'))
        annotate(await closedAfter(await asked, () => client.leave()))
        expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
      })

      if (http1) {
        it('is flushed where the headers of the options let it transform', async () => {
          const { source, push, end } = feed('Hello')
          const headers = { 'cache-control': 'no-cache' }
          const running = await relaying(host, source, { headers }, { middleware: ['compression'] })
          let received = ''
          let changed = () => {}
          const over = new Promise<void>((resolve, reject) => {
            get(running.url, { headers: { 'accept-encoding': 'gzip' } }, (response) => {
              const body = response.headers['content-encoding'] ? response.pipe(createGunzip()) : response
              body.on('data', (bytes) => {
                received += bytes
                changed()
              })
              body.on('end', resolve)
              body.on('error', reject)
            }).on('error', reject)
          })
          const until = async (expected: string) => {
            while (!received.includes(expected))
              await new Promise<void>((resolve) => {
                changed = resolve
              })
          }
          await within(until(frame('Hello')), 'the first token has come')
          push(' there')
          await within(until(frame(' there')), 'the second token has come')
          end()
          await within(over, 'the answer is over')
          expect(received).toBe(frame('Hello') + frame(' there') + SENTINEL)
        })
      }
    })
  }

  describe('an EventSource', () => {
    const accept = { accept: 'text/event-stream' }

    it('on a GET is told at the sentinel that there is nothing more', async () => {
      const running = await relaying(host, () => tokens('Hello'))
      const { body } = await ask(host, running, { headers: accept })
      const { runId } = await running.ended()
      expect(body).toBe(`${frame('Hello')}id: ${runId}:end\n${SENTINEL}`)
    })

    it('on a GET is told at an error frame that there is nothing more', async () => {
      const running = await relaying(host, () => throwing(new Error('bug'), ['Hello']), { onError() {} })
      const { body } = await ask(host, running, { headers: { accept: 'text/html, text/event-stream;q=0.9' } })
      const { runId } = await running.ended()
      expect(body.startsWith(`${frame('Hello')}id: ${runId}:end\nevent: error\n`)).toBe(true)
      expect((await collect(body)).error?.lastEventId).toBe(`${runId}:end`)
    })

    it('neither a POST nor a GET that accepts something else has ids', async () => {
      const running = await relaying(host, () => tokens('Hello'))
      const body = frame('Hello') + SENTINEL
      expect(await ask(host, running, { ...post(), headers: accept })).toMatchObject({ body })
      expect(await ask(host, running, { headers: { accept: 'application/json' } })).toMatchObject({ body })
    })

    it('that comes back with this id is answered 204, and the source is not asked', async () => {
      const source = vi.fn(() => tokens('Hello'))
      const running = await serving(host, { source })
      const headers = { ...accept, 'last-event-id': `${'0123456789abcdef'.repeat(2)}:end` }
      for (const request of [{ headers }, { ...post(), headers }]) {
        expect(await ask(host, running, request)).toMatchObject({
          status: 204,
          body: '',
          headers: { 'cache-control': 'no-store, no-transform' },
        })
      }
      expect(source).not.toHaveBeenCalled()
    })

    it.each([
      ['7', '7'],
      ['tag:end', 'tag:end'],
      [Buffer.from('naïve 日本🚀').toString('latin1'), 'naïve 日本🚀'],
    ])('any other id reaches the source function: %j', async (sent, lastEventId) => {
      const source = vi.fn((_: SourceContext) => tokens('Hello'))
      const running = await relaying(host, source)
      expect(await ask(host, running, { headers: { 'last-event-id': sent } })).toMatchObject({ status: 200 })
      expect(source.mock.lastCall?.[0].lastEventId).toBe(lastEventId)
    })

    if (http1) {
      it.each([
        ['is over', () => tokens('Hello')],
        ['has failed', () => throwing(new Error('bug'), ['Hello'])],
      ])('does not run the prompt again when the answer %s', async (_, answer) => {
        const source = vi.fn(answer)
        const running = await serving(host, { source, options: { retryMs: 1, onError() {} } })
        const eventSource = new EventSource(running.url)
        cleanups.push(() => eventSource.close())
        const closed = new Promise<void>((resolve) => {
          eventSource.addEventListener('error', () => {
            if (eventSource.readyState === EventSource.CLOSED) resolve()
          })
        })
        await within(closed, 'the EventSource has given up')
        expect(running.calls).toHaveLength(2)
        expect(source).toHaveBeenCalledOnce()
      })
    }
  })

  describe('bad input', () => {
    /** Serves what cannot be served, and gives the answer with what `onError` was told. */
    async function refused(source: Source, options?: unknown, request: ClientOptions = {}) {
      const running = await serving(host, { source, options: options as RelayOptions })
      const answer = await ask(host, running, request)
      const { settled } = await running.call()
      expect(await settled).toMatchObject({ status: 'fulfilled' })
      expect(answer).toMatchObject({ status: 500, complete: true })
      const { error } = JSON.parse(answer.body)
      return { ...error, said: logged.splice(0), running } as {
        code: string
        message: string
        retryable: boolean
        said: (Error & { code?: string })[]
      }
    }

    it.each([
      ['undefined', undefined],
      ['null', null],
      ['42', 42],
      ['true', true],
      ['an object (Object)', {}],
      ['an object (Object)', { choices: [{ message: { content: 'Hello' } }] }],
    ])('a source that is %s: %j', async (shown, value) => {
      for (const source of [value, () => value, async () => value, Promise.resolve(value)]) {
        const { code, said } = await refused(source as Source)
        expect(code).toBe('invalid-source')
        expect(said).toHaveLength(1)
        expect(said[0]).toMatchObject({ code: 'invalid-source' })
        expect(said[0]?.message).toContain(shown)
        expect(said[0]?.message).toContain('stream: true')
      }
    })

    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    it.each([
      ['a BigInt in an object', { tokens: 1n }, 'BigInt'],
      ['a cycle', cycle, 'circular'],
      ['a BigInt in an event', { event: 'count', data: 1n }, 'BigInt'],
      ['a cycle in a data part', { type: 'data', name: 'x', data: cycle }, 'circular'],
      ['a function as data', { data: () => {} }, 'function'],
      ['a BigInt', 1n, '1'],
      ['a number', 42, '42'],
      ['a symbol', Symbol('x'), 'x'],
      ['a function', () => {}, 'function'],
      ['bytes', new Uint8Array([104, 105]), 'parseSSE'],
      ['a buffer', Buffer.from('hi'), 'parseSSE'],
    ])('a chunk that is %s', async (_, chunk, named) => {
      const { code, said } = await refused(() => [chunk])
      expect(code).toBe('invalid-source')
      expect(said).toHaveLength(1)
      expect(said[0]?.message).toContain(named)
      const onError = vi.fn()
      const late = await relaying(host, () => ['Hello', chunk], { onError })
      const { body } = await ask(host, late)
      expect(failureIn(body)?.code).toBe('invalid-source')
      expect(onError).toHaveBeenCalledOnce()
    })

    it('bytes in any form are a TypeError that names parseSSE', async () => {
      const bytes = new TextEncoder().encode('data: x\n\n')
      const sources = [
        () => new Blob([bytes]).stream(),
        () => bytes,
        () => new Response('data: x\n\n').body as never,
        bytes,
        async function* () {
          yield bytes
        },
      ]
      for (const source of sources) {
        const { code, said } = await refused(source as Source)
        expect(code).toBe('invalid-source')
        expect(said).toHaveLength(1)
        expect(said[0]).toBeInstanceOf(TypeError)
        expect(said[0]?.message).toContain('parseSSE')
      }
    })

    // Whoever takes such an answer for a chunk would ask for ever, without a turn for anything else.
    let patience = 100
    it.each<[string, () => Source]>([
      ['has a next() that throws', () => iterable({ next: () => fails() })],
      ['has no next()', () => iterable({})],
      ['answers next() with no object', () => iterable({ next: () => (--patience > 0 ? 7 : { done: true }) })],
      ['has a return() that throws', () => iterable({ next: () => fails(), return: () => fails() })],
      ['throws when it is iterated', () => ({ [Symbol.asyncIterator]: fails }) as never],
      ['has no iterator', () => ({ [Symbol.asyncIterator]: () => undefined }) as never],
      ['is a stream that fails', () => new ReadableStream({ pull: (controller) => controller.error(new Error('no')) })],
    ])('an iterable that %s ends as an error', async (_, make) => {
      const { said } = await refused(make as Source)
      expect(said).toHaveLength(1)
    })

    it('an iterable that was consumed before', async () => {
      const generator = (async function* () {
        yield 'Hello'
      })()
      const running = await serving(host, { source: generator })
      expect((await ask(host, running)).body).toBe(frame('Hello') + SENTINEL)
      const again = await ask(host, running)
      expect(again.status).toBe(500)
      expect(JSON.parse(again.body).error.code).toBe('invalid-source')
      expect(logged).toHaveLength(1)
      expect((logged.splice(0)[0] as Error).message).toMatch(/read before.*function/)
    })

    it('a ReadableStream that was consumed before, or is locked', async () => {
      const locked = new ReadableStream()
      locked.getReader()
      for (const source of [locked, () => locked]) {
        const { code, said } = await refused(source)
        expect(code).toBe('invalid-source')
        expect(said).toHaveLength(1)
      }
      const stream = new Blob(['x']).stream().pipeThrough(new TextDecoderStream())
      const running = await serving(host, { source: stream })
      expect((await ask(host, running)).body).toBe(frame('x') + SENTINEL)
      const again = await ask(host, running)
      expect(again.status).toBe(500)
      expect(JSON.parse(again.body).error.code).toBe('invalid-source')
      expect(logged.splice(0)).toHaveLength(1)
    })

    it('a stream of an SDK that was consumed before', async () => {
      const { openai, anthropicStream } = await upstream()
      for (const create of [openai, anthropicStream]) {
        let stream: ReturnType<typeof create> | undefined
        const running = await serving(host, {
          source(context) {
            stream ??= create(context)
            return stream
          },
        })
        expect((await ask(host, running)).body).toContain(SENTINEL)
        const again = await ask(host, running)
        expect(again.status).toBe(500)
        expect(JSON.parse(again.body).error.code).toBe('invalid-source')
        expect(logged.splice(0)).toHaveLength(1)
      }
    })

    it.each<[string, unknown, string]>([
      ['heartbeatMs', -1, '-1'],
      ['heartbeatMs', '8s', '8s'],
      ['heartbeatMs', Number.NaN, 'NaN'],
      ['stallTimeoutMs', 0, '0'],
      ['stallTimeoutMs', null, 'null'],
      ['maxDurationMs', 'soon', 'soon'],
      ['maxDurationMs', -5, '-5'],
      ['retryMs', 1.5, '1.5'],
      ['retryMs', -1, '-1'],
      ['retryMs', Number.POSITIVE_INFINITY, 'Infinity'],
      ['signal', {}, 'object'],
      ['signal', new AbortController(), 'AbortController'],
      ['shutdown', true, 'true'],
      ['waitUntil', 1, '1'],
      ['onError', 'log', 'log'],
      ['onEnd', {}, 'object'],
      ['protocol', 'text', 'text'],
      ['protocol', text, 'function'],
      ['protocol', null, 'null'],
      ['headers', { 'bad name': 'x' }, 'bad name'],
      ['headers', { 'x-a': 'one\r\ntwo: 2' }, 'two'],
      ['headers', { 'x-a': '日本' }, '日本'],
      ['headers', 42, '42'],
      ['headers', 'x-a: b', 'x-a'],
      ['log', console, 'logger'],
      ['log', {}, 'log'],
    ])('the option %s cannot be %o', async (name, value, shown) => {
      const source = vi.fn(() => tokens('Hello'))
      const { code, retryable, said } = await refused(source, { [name]: value })
      expect({ code, retryable }).toEqual({ code: 'invalid-option', retryable: false })
      expect(said).toHaveLength(1)
      expect(said[0]).toMatchObject({ code: 'invalid-option' })
      expect(said[0]?.message).toContain(name)
      expect(said[0]?.message).toContain(shown)
      expect(source).not.toHaveBeenCalled()
    })

    it('an invalid option is told to onError and onEnd as well, and a stream handed in is let go of', async () => {
      const source = stalling(['Hello'])
      const onError = vi.fn()
      const running = await relaying(host, source, { heartbeatMs: -1, onError })
      expect((await ask(host, running)).status).toBe(500)
      expect(onError).toHaveBeenCalledOnce()
      expect(await running.ended()).toMatchObject({ outcome: 'error', error: { code: 'invalid-option' } })
      await source.until(({ returned }) => returned)
    })

    it.each([['text'], [42], [true], [() => {}]])('options that are no object: %o', async (options) => {
      const { code, said } = await refused(() => tokens('Hello'), options)
      expect(code).toBe('invalid-option')
      expect(said).toHaveLength(1)
    })

    it('no options at all are fine, and so is null', async () => {
      for (const options of [undefined, null, {}]) {
        const running = await serving(host, { source: () => tokens('Hello'), options: options as never })
        expect((await ask(host, running)).body).toBe(frame('Hello') + SENTINEL)
      }
    })

    it('a protocol that fails ends the run, not the process', async () => {
      const fails = () => {
        throw new Error(SECRET)
      }
      const encoder = { part: fails, event: fails, end: fails, fail: fails }
      const running = await relaying(host, () => tokens('Hello'), {
        protocol: { name: 'broken', encoder: () => encoder },
        onError() {},
      })
      expect(await ask(host, running)).toMatchObject({ status: 500, complete: true })
      const late = await relaying(host, () => ['Hello', 'more'], {
        protocol: { name: 'broken', encoder: () => ({ ...encoder, part: () => 'data: x\n\n' }) },
        onError() {},
      })
      const { body } = await ask(host, late)
      expect(body.startsWith('data: x\n\ndata: x\n\nevent: error\n')).toBe(true)
      expect(failureIn(body)?.code).toBe('internal')
      expect(body).not.toContain(SECRET)
      const none = await relaying(host, () => tokens('Hello'), {
        protocol: { name: 'broken', encoder: fails },
        onError() {},
      })
      expect(await ask(host, none)).toMatchObject({ status: 500, complete: true })
    })

    it('a waitUntil that throws ends the run, not the process', async () => {
      const waitUntil = () => {
        throw new Error('This context has ended')
      }
      const running = await relaying(host, () => tokens('Hello'), { waitUntil, onError() {} })
      expect(await ask(host, running)).toMatchObject({ status: 500, complete: true })
    })

    if (writes) {
      it.each([
        ['whose headers are sent', (res: ServerResponse) => void res.writeHead(200).write('mine')],
        ['that has ended', (res: ServerResponse) => void res.end('mine')],
      ])('a response %s is left to its owner', async (_, use) => {
        const source = vi.fn(() => tokens('Hello'))
        const onError = vi.fn()
        let response: ServerResponse | undefined
        const running = await relaying(
          host,
          source,
          { onError },
          {
            before({ res }) {
              response = res
              use(res)
            },
          },
        )
        const client = open(host, running)
        await client.until('mine')
        const summary = await running.ended()
        expect(summary).toMatchObject({ outcome: 'error', error: { code: 'response-used' } })
        expect((summary.error as Error).message).toContain('untouched response')
        expect(await fulfilled(await running.call())).toEqual(summary)
        expect(onError).toHaveBeenCalledOnce()
        expect(source).not.toHaveBeenCalled()
        if (!response?.writableEnded) response?.end()
        expect(await answerTo(client)).toMatchObject({ status: 200, body: 'mine', complete: true })
      })

      it('a second relay on a response ends as an error, and the first goes on', async () => {
        const hand = feed('Hello')
        let first: Promise<Summary> | undefined
        const onError = vi.fn()
        const running = await relaying(
          host,
          () => tokens('never'),
          { onError },
          {
            async before({ req, res }) {
              first = relayNode(req, res, hand.source)
              await vi.waitFor(() => expect(res.headersSent).toBe(true))
            },
          },
        )
        const client = open(host, running)
        expect(await running.ended()).toMatchObject({ outcome: 'error', error: { code: 'response-used' } })
        hand.push(' there')
        hand.end()
        expect(await answerTo(client)).toMatchObject({
          complete: true,
          body: frame('Hello') + frame(' there') + SENTINEL,
        })
        expect(await first).toMatchObject({ outcome: 'done' })
        expect(onError).toHaveBeenCalledOnce()
      })

      it('of two relays on a response the one that speaks first has it', async () => {
        const hand = feed<string>()
        let first: Promise<Summary> | undefined
        const running = await relaying(
          host,
          () => tokens('Hello'),
          {},
          {
            before({ req, res }) {
              first = relayNode(req, res, hand.source, { onError() {} })
            },
          },
        )
        expect(await ask(host, running)).toMatchObject({ complete: true, body: frame('Hello') + SENTINEL })
        expect(await running.ended()).toMatchObject({ outcome: 'done' })
        hand.push('late')
        const { outcome } = await within(first as Promise<Summary>, 'the other relay has settled')
        expect(['error', 'disconnected']).toContain(outcome)
      })

      it('a response that someone else ends in the middle is a disconnect', async () => {
        const hand = feed('Hello')
        let response: ServerResponse | undefined
        const running = await relaying(
          host,
          hand.source,
          {},
          {
            before({ res }) {
              response = res
            },
          },
        )
        const client = open(host, running)
        await client.until(frame('Hello'))
        response?.end('mine')
        // Large enough to be written in this very tick, before anyone is told of the end.
        hand.push('x'.repeat(20_000))
        await answerTo(client)
        expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
        expect(hand.context.signal.aborted).toBe(true)
      })
    }
  })

  describe('with the real SDKs', () => {
    const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'

    it.each(['openai', 'anthropic', 'anthropicStream'] as const)('%s is relayed whole', async (sdk) => {
      const sdks = await upstream()
      const running = await relaying(host, sdks[sdk], {}, { body: 'parsed' })
      const { status, body } = await ask(host, running, post())
      expect(status).toBe(200)
      const { outcome, text } = await collect(body)
      expect({ outcome, text }).toEqual({ outcome: 'done', text: ANSWER })
      expect(await running.ended()).toMatchObject({ outcome: 'done', text: ANSWER, finishReason: 'stop' })
    })
  })
})

describe('web without a server', () => {
  const request = (init?: RequestInit) => new Request('http://localhost/', init)

  it('a body that is cancelled is a disconnect, for runtimes that tell it only so', async () => {
    const source = stalling(['Hello'])
    const onEnd = vi.fn()
    const response = await relayWeb(request(), source, { onEnd })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe(frame('Hello'))
    await reader.cancel()
    expect(onEnd).toHaveBeenCalledOnce()
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'disconnected' })
    expect(source.returned).toBe(true)
  })

  it('a request that is aborted is a disconnect, for runtimes that tell it only so, and its body just ends', async () => {
    const client = new AbortController()
    const source = stalling(['Hello'])
    const onEnd = vi.fn()
    const response = await relayWeb(request({ signal: client.signal }), source, { onEnd })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    client.abort('The client left')
    expect(await reader.read()).toMatchObject({ done: true })
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'disconnected' })
    expect(source.returned).toBe(true)
  })

  it('a body that nobody pulls takes nothing into memory', async () => {
    const source = flooding({ chunkSize: 1024, total: 200 * MB })
    const response = await relayWeb(request(), source)
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate)
    expect(source.produced).toBeLessThan(256 * 1024)
    await response.body?.cancel()
    await source.until(({ returned }) => returned)
  })

  it('a body that nobody pulls is an error after stallTimeoutMs', async () => {
    const source = flooding({ total: 200 * MB })
    const onEnd = vi.fn()
    const response = await relayWeb(request(), source, { stallTimeoutMs: 30, onEnd })
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'stalled' })
    await expect(response.text()).rejects.toMatchObject({ code: 'stalled' })
  })

  it.each([
    ['done', () => tokens('Hello')],
    ['error', () => throwing(new Error('bug'))],
  ])('leaves no listener on the signal of the request after the outcome %s', async (outcome, source) => {
    const client = new AbortController()
    const asked = request({ signal: client.signal })
    const before = getEventListeners(asked.signal, 'abort').length
    const onEnd = vi.fn()
    await (await relayWeb(asked, source, { onEnd, onError() {} })).text()
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome })
    await new Promise(setImmediate)
    expect(getEventListeners(asked.signal, 'abort').length).toBe(before)
  })

  it('a request whose body was read, or is being read, is left alone', async () => {
    const asked = request({ method: 'POST', body: 'Hello' })
    const source = async () => [await asked.text()]
    expect(await (await relayWeb(asked, source)).text()).toBe(frame('Hello') + SENTINEL)
    expect(await (await relayWeb(asked, () => tokens('again'))).text()).toBe(frame('again') + SENTINEL)
  })
})

const fails = (): never => {
  throw new Error('no')
}

function iterable(iterator: object): Source {
  return { [Symbol.asyncIterator]: () => iterator } as never
}
