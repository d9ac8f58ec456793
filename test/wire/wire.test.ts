/** The rules of `docs/wire.md`: each has a test here whose title begins with its number. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createConnection } from 'node:net'
import type { Log, RelayOptions, Source } from 'sse-relay'
import { fetchSSE, isRelayError, parseSSE, readText } from 'sse-relay/client'
import { createLog, createMemoryLog, type LogStore, record } from 'sse-relay/log'
import { relay, resume } from 'sse-relay/node'
import * as protocols from 'sse-relay/protocols'
import {
  agui,
  anthropicMessages,
  openaiChat,
  openaiResponses,
  type Protocol,
  raw,
  uiMessage,
} from 'sse-relay/protocols'
import { type ClientOptions, openClient, stalling, throwing, truncated } from 'sse-relay/testing'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { listening } from '../serving.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const listen = async (answer: RequestListener) => `${await listening(answer)}/`

/** A server by this library. */
const relaying = (source: Source, options: RelayOptions = {}) =>
  listen((req, res) => void relay(req, res, source, { onError: () => {}, ...options }))

/** What a server says, byte by byte. */
async function ask(url: string, options: ClientOptions = {}) {
  const client = openClient(url, { method: 'POST', body: '{}', ...options })
  cleanups.push(() => client.leave())
  const { complete } = await client.closed
  return { status: await client.status, headers: await client.headers, body: client.received, complete }
}

/** Any server: one that says what a test wants it to. */
function saying(body: string, head: { status?: number; type?: string } = {}): Response {
  const { status = 200, type = 'text/event-stream' } = head
  return new Response(body, { status, headers: { 'content-type': type } })
}

async function readOf(response: Response) {
  const events: unknown[] = []
  try {
    for await (const event of parseSSE(response)) events.push(event)
    return { events, code: undefined }
  } catch (error) {
    if (!isRelayError(error)) throw error
    return { events, code: error.code, error }
  }
}

const frame = (said: string) => `data: ${JSON.stringify({ text: said })}\n\n`
const SENTINEL = 'data: [DONE]\n\n'
const EVENT_STREAM = { 'content-type': 'text/event-stream' }
const AS_EVENT_SOURCE: ClientOptions = { method: 'GET', body: undefined, headers: { accept: 'text/event-stream' } }

/** The failure in the last frame of a body. */
function failureIn(body: string): { code: string; message: string; retryable: boolean } {
  const [, json] = /event: error\n(?:id: .*\n)?data: (.*)\n\n$/.exec(body) ?? []
  expect(json, body).toBeDefined()
  return JSON.parse(json as string).error
}

async function* eventsOf(count: number) {
  for (let index = 1; index <= count; index++) yield `${index} `
}

describe('the request', () => {
  it.each(['GET', 'POST', 'PUT'])('1.1 a %s begins a run, without an accept header too', async (method) => {
    const url = await relaying(['Hello'])
    expect((await ask(url, { method, body: undefined })).body).toBe(frame('Hello') + SENTINEL)
    const seen: (string | undefined)[] = []
    const noting = await listen((req, res) => {
      seen.push(req.headers.accept)
      res.writeHead(200, EVENT_STREAM).end(SENTINEL)
    })
    for await (const _ of fetchSSE(noting, { method }));
    expect(seen).toEqual(['text/event-stream'])
  })

  it('1.2 a HEAD is answered with the head of a stream, and begins no run', async () => {
    const source = vi.fn(() => ['Hello'])
    const url = await relaying(source)
    const { headers: of } = await ask(url)
    const { status, headers, body } = await ask(url, { method: 'HEAD', body: undefined })
    expect([status, body, headers['content-type']]).toEqual([200, '', of['content-type']])
    expect(source).toHaveBeenCalledTimes(1)
  })

  it('1.4 an OPTIONS is answered with 204, and begins no run', async () => {
    const source = vi.fn(() => ['Hello'])
    const url = await relaying(source, { headers: { 'access-control-allow-origin': '*' } })
    const { status, headers, body } = await ask(url, { method: 'OPTIONS', body: undefined })
    expect([status, body, headers['access-control-allow-origin']]).toEqual([204, '', '*'])
    expect(source).not.toHaveBeenCalled()
  })

  it.each(['cut', 'refused', 'lost'])('1.3 a client whose answer is %s does not ask again', async (how) => {
    let requests = 0
    const url = await listen((_req, res) => {
      requests++
      if (how === 'lost') res.destroy()
      else if (how === 'refused') res.writeHead(503).end()
      else res.writeHead(200, EVENT_STREAM).end(frame('Hel'))
    })
    const reading = async () => {
      for await (const _ of fetchSSE(url, { method: 'POST', maxRetries: 5 }));
    }
    await expect(reading()).rejects.toSatisfy(isRelayError)
    expect(requests).toBe(1)
  })
})

describe('the head', () => {
  it('2.1 is not sent before there is an event, or a heartbeat', async () => {
    const heard: string[] = []
    let hear: (() => void) | undefined
    const hearing = (...at: Parameters<RequestListener>) => {
      const [, res] = at
      const { writeHead } = res
      res.writeHead = function (this: ServerResponse, ...given: never[]) {
        heard.push('head')
        return Reflect.apply(writeHead, this, given)
      } as typeof res.writeHead
      return at
    }
    let options: RelayOptions = { heartbeatMs: 0 }
    const url = await listen((req, res) => {
      const at = hearing(req, res)
      void relay(
        ...(at as [IncomingMessage, ServerResponse]),
        async function* () {
          await new Promise<void>((resolve) => {
            hear = resolve
          })
          heard.push('event')
          yield 'Hello'
        },
        options,
      )
    })
    const asked = ask(url)
    await vi.waitFor(() => expect(hear).toBeDefined())
    hear?.()
    expect((await asked).body).toBe(frame('Hello') + SENTINEL)
    expect(heard).toEqual(['event', 'head'])

    options = { heartbeatMs: 20 }
    const client = openClient(url, { method: 'POST', body: '{}' })
    cleanups.push(() => client.leave())
    expect(await client.until(': \n\n')).toBe(': \n\n')
    expect(await client.status).toBe(200)
    expect(heard).toEqual(['event', 'head', 'head'])
    hear?.()
    await client.closed
  })

  it('2.2 says that it is an event stream, and asks caches and proxies to leave it alone', async () => {
    const { status, headers } = await ask(await relaying(['Hello']))
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    })
  })

  it('2.3 has no length, and nothing of the connection that the server set', async () => {
    const set: string[] = []
    const url = await listen((req, res) => {
      const { writeHead } = res
      res.writeHead = function (this: ServerResponse, ...given: unknown[]) {
        for (const headers of given) if (typeof headers === 'object') set.push(...Object.keys(headers as object))
        return Reflect.apply(writeHead, this, given)
      } as typeof res.writeHead
      void relay(req, res, ['Hello'])
    })
    expect((await ask(url)).headers).not.toHaveProperty('content-length')
    expect(set).toContain('content-type')
    expect(set.filter((name) => /^(content-length|connection|transfer-encoding)$/i.test(name))).toEqual([])
  })

  it('2.4 of a failure before it is a status of 400 or more, with the failure as JSON', async () => {
    const refusal = Object.assign(new Error('no'), { status: 429, headers: { 'retry-after': '2' } })
    const { status, headers, body } = await ask(await relaying(throwing(refusal)))
    expect(status).toBe(429)
    expect(headers).toMatchObject({ 'cache-control': 'no-store, no-transform', 'retry-after': '2' })
    expect(headers['content-type']).toMatch(/^application\/json\b/)
    expect(JSON.parse(body)).toEqual({ error: { code: 'rate-limit', message: expect.any(String), retryable: true } })
  })

  it.each([
    [204, 'text/event-stream', '', 'truncated'],
    [500, 'text/plain', 'no', 'http-status'],
    [404, 'text/event-stream', SENTINEL, 'http-status'],
    [200, 'text/html', '<p>data: [DONE]</p>', 'content-type'],
    [429, 'application/json', '{"error":{"code":"rate-limit","message":"Later.","retryable":true}}', 'rate-limit'],
  ])('2.5 a client takes %i with %s for a failure', async (status, type, body, code) => {
    const answer = status === 204 ? new Response(null, { status, headers: { 'content-type': type } }) : undefined
    const { events, code: thrown } = await readOf(answer ?? saying(body, { status, type }))
    expect(events).toEqual([])
    expect(thrown === code || (status === 204 && thrown !== undefined), `${thrown}`).toBe(true)
  })
})

describe('events', () => {
  it('3.1 end their lines with LF, begin with no mark, and are read with any line ends in any pieces', async () => {
    const { body } = await ask(await relaying(['日本 🚀\r\n', { event: 'status', data: 'x' }]))
    expect(body).toBe(`${frame('日本 🚀\r\n')}event: status\ndata: x\n\n${SENTINEL}`)
    for (const end of ['\n', '\r', '\r\n']) {
      const bytes = new TextEncoder().encode(`\ufeff${body.replaceAll('\n', end)}`)
      const pieces = new ReadableStream<Uint8Array>({
        start(controller) {
          for (const byte of bytes) controller.enqueue(Uint8Array.of(byte))
          controller.close()
        },
      })
      const events = []
      for await (const event of parseSSE(pieces)) events.push(event)
      expect(events).toEqual([{ data: '{"text":"日本 🚀\\r\\n"}' }, { event: 'status', data: 'x' }])
    }
  })

  it.each([
    { event: 'a\nb', data: '' },
    { event: 'a\rb', data: '' },
    { id: 'a\nb', data: '' },
    { id: 'a\rb', data: '' },
    { id: 'a\0b', data: '' },
  ])('3.2 the source cannot send %j', async (event) => {
    const { status, body } = await ask(await relaying([event]))
    expect([status, JSON.parse(body).error.code]).toEqual([500, 'invalid-field'])
  })

  it('3.3 each line of the data is a line of its own', async () => {
    const { body } = await ask(await relaying([{ event: 'note', data: 'a\nb\rid: 1\r\nevent: error\n' }]))
    expect(body).toBe(`event: note\ndata: a\ndata: b\ndata: id: 1\ndata: event: error\ndata: \n\n${SENTINEL}`)
  })

  it('3.4 nothing comes inside of a block: heartbeats do not, nor does an ending', async () => {
    const large = 'x'.repeat(300_000)
    const url = await relaying(
      async function* () {
        for (let index = 0; index < 20; index++) yield { event: 'large', data: large }
        throw new Error('no')
      },
      { heartbeatMs: 5 },
    )
    const client = openClient(url, { method: 'POST', body: '{}' })
    cleanups.push(() => client.leave())
    // Slowly, so that the server has to wait in the middle of a block.
    client.pause()
    const waiting = setInterval(() => {
      client.resume()
      client.pause()
    }, 20)
    setTimeout(() => {
      clearInterval(waiting)
      client.resume()
    }, 300)
    await client.closed
    clearInterval(waiting)
    const blocks = client.received.split('\n\n').filter((block) => block !== ': ')
    expect(blocks.filter((block) => block === `event: large\ndata: ${large}`)).toHaveLength(20)
    expect(blocks.slice(20).filter((block) => block !== '')).toEqual([expect.stringMatching(/^event: error\n/)])
  })

  it('3.5 retry is a line of the first event', async () => {
    const { body } = await ask(await relaying(['a', 'b'], { retryMs: 2000 }))
    expect(body).toBe(`retry: 2000\n${frame('a')}${frame('b')}${SENTINEL}`)
  })

  it('3.6 a client passes over what it does not know', async () => {
    const body = `colour: red\ndata: {"text":"a","more":{"b":1}}\nweight\n\nevent: surprise\ndata: x\n\n${SENTINEL}`
    let answer = ''
    for await (const piece of readText(saying(body))) answer += piece
    expect(answer).toBe('a')
  })

  it('3.7 what breaks a line in Unicode alone is escaped, and breaks none for a client', async () => {
    const odd = 'a\u0085b\u2028c\u2029d'
    const { body } = await ask(await relaying([odd]))
    expect(body).toBe(`data: {"text":"a\\u0085b\\u2028c\\u2029d"}\n\n${SENTINEL}`)
    for (const wire of [body, `data: {"text":"${odd}"}\n\n${SENTINEL}`]) {
      let answer = ''
      for await (const piece of readText(saying(wire))) answer += piece
      expect(answer).toBe(odd)
    }
  })
})

describe('heartbeats', () => {
  it('4.1 are comments with a blank line, after silence', async () => {
    const { body } = await ask(
      await relaying(
        async function* () {
          yield 'a'
          await new Promise((resolve) => setTimeout(resolve, 100))
          yield 'b'
        },
        { heartbeatMs: 20 },
      ),
    )
    expect(body.replace(/(: \n\n)+/, ': \n\n')).toBe(`${frame('a')}: \n\n${frame('b')}${SENTINEL}`)
  })

  it('4.2 are no events for a client', async () => {
    const comments: string[] = []
    const events = []
    const body = `: \n: \n${frame('a')}: \n\n: x\n\n${SENTINEL}`
    for await (const event of parseSSE(saying(body), { onComment: (comment) => comments.push(comment) }))
      events.push(event)
    expect(events).toEqual([{ data: '{"text":"a"}' }])
    expect(comments).toHaveLength(4)
  })

  it('4.3 are announced in the head, and silence instead of them is a lost connection', async () => {
    expect((await ask(await relaying(['a']))).headers).toMatchObject({ 'x-heartbeat-ms': '8000' })
    expect((await ask(await relaying(['a'], { heartbeatMs: 20 }))).headers).toMatchObject({ 'x-heartbeat-ms': '20' })
    for (const heartbeatMs of [0, Infinity]) {
      expect((await ask(await relaying(['a'], { heartbeatMs }))).headers).not.toHaveProperty('x-heartbeat-ms')
    }
  })
})

const dialects = Object.values(protocols).map((make) => [make().name, make()] as const)

describe('endings', () => {
  it.each(dialects.filter(([, { sentinel }]) => sentinel !== ''))(
    '5.1 a complete answer in %s ends with the sentinel',
    async (_, protocol) => {
      const { body, complete } = await ask(await relaying(['Hello'], { protocol }))
      expect([body.endsWith(`\n\n${SENTINEL}`), complete]).toEqual([true, true])
    },
  )

  it.each(dialects)('5.2 no other answer in %s holds it', async (_, protocol) => {
    const stop = new AbortController()
    const shutdown = new AbortController()
    const endings: [Source, RelayOptions, AbortController?][] = [
      [throwing(new Error('no'), ['Hello']), {}],
      [truncated('Hello there'), {}],
      [stalling(['Hello']), { signal: stop.signal }, stop],
      [stalling(['Hello']), { shutdown: shutdown.signal }, shutdown],
    ]
    for (const [source, options, controller] of endings) {
      const client = openClient(await relaying(source, { protocol, ...options }), { method: 'POST', body: '{}' })
      await client.until('Hello')
      controller?.abort()
      await client.closed
      expect(client.received).not.toContain('[DONE]')
      expect(client.received).toContain('event: error\n')
    }
  })

  it.each(dialects)(
    '5.3 a failed answer in %s ends with an event error that holds the failure',
    async (_, protocol) => {
      const { status, body } = await ask(await relaying(throwing(new Error('no'), ['Hello']), { protocol }))
      expect(status).toBe(200)
      expect(failureIn(body)).toMatchObject({ code: 'internal', message: expect.any(String), retryable: false })
    },
  )

  it.each([
    ['complete', ['Hello'] as Source],
    ['failed', throwing(new Error('no'), ['Hello'])],
  ])('5.4 the response of a %s answer is ended, with nothing after the ending', async (_, source) => {
    const { body, complete } = await ask(await relaying(source))
    expect(complete).toBe(true)
    expect(body.match(/\[DONE\]|event: error/g)).toHaveLength(1)
    expect(body).toMatch(/(data: \[DONE\]|event: error\ndata: .*)\n\n$/)
  })

  it('5.5 a reader that takes nothing is dropped without an ending', async () => {
    let ended = (_outcome: string) => {}
    const outcome = new Promise<string>((resolve) => {
      ended = resolve
    })
    const flood = async function* () {
      for (;;) yield { event: 'large', data: 'x'.repeat(100_000) }
    }
    const url = await relaying(flood, { stallTimeoutMs: 100, onEnd: ({ outcome }) => ended(outcome) })
    const socket = createConnection(Number(new URL(url).port), '127.0.0.1')
    cleanups.push(() => socket.destroy())
    socket.on('error', () => {})
    socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
    expect(await outcome).toBe('stalled')
    let received = ''
    socket.setEncoding('latin1').on('data', (bytes: string) => {
      received += bytes
    })
    await new Promise((resolve) => socket.once('close', resolve))
    expect(received).not.toContain('[DONE]')
    expect(received).not.toContain('event: error')
    // The last chunk of HTTP would make it look whole.
    expect(received.endsWith('0\r\n\r\n')).toBe(false)
  })

  it.each(['', frame('Hel'), `${frame('Hel')}data: {"text":"lo"}`, 'data: [DONE]\n'])(
    '5.6 a client takes a body that ends with %j for truncated, and its last block for none',
    async (body) => {
      const { events, code } = await readOf(saying(body))
      expect(code).toBe('truncated')
      expect(events).toEqual(body.startsWith(frame('Hel')) ? [{ data: '{"text":"Hel"}' }] : [])
    },
  )

  it('5.7 a client stops at the sentinel, but not at one after a failure', async () => {
    const cancel = vi.fn()
    const open = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode(frame('a') + SENTINEL)),
      cancel,
    })
    const { events, code } = await readOf(new Response(open, { headers: EVENT_STREAM }))
    expect([events.length, code]).toEqual([1, undefined])
    expect(cancel).toHaveBeenCalledTimes(1)

    const failed = `event: error\ndata: {"error":{"code":"overload","message":"Busy.","retryable":true}}\n\n${SENTINEL}`
    expect((await readOf(saying(failed))).code).toBe('overload')
  })

  it.each([{ event: 'error', data: '{}' }, { data: '[DONE]' }, { event: 'x', data: '[DONE]' }])(
    '5.8 a source cannot send %j',
    async (event) => {
      const { status, body } = await ask(await relaying([event]))
      expect([status, JSON.parse(body).error.code]).toEqual([500, 'invalid-field'])
    },
  )
})

describe('failures', () => {
  it.each(dialects)(
    '6.1 the failure has a code, a message and retryable, as an answer and in %s',
    async (_, protocol) => {
      const failure = { code: 'overload', message: expect.any(String), retryable: true }
      const overloaded = Object.assign(new Error('no'), { status: 529 })
      expect(JSON.parse((await ask(await relaying(throwing(overloaded), { protocol }))).body).error).toMatchObject(
        failure,
      )
      expect(failureIn((await ask(await relaying(throwing(overloaded, ['a']), { protocol }))).body)).toMatchObject(
        failure,
      )
    },
  )

  it('6.2 a client takes a code that it does not know', async () => {
    const body = 'event: error\ndata: {"error":{"code":"out-of-tea","message":"No tea.","retryable":false},"b":1}\n\n'
    expect((await readOf(saying(body))).error).toMatchObject({ code: 'out-of-tea', message: 'No tea.' })
  })

  it('6.3 the message is not what was thrown, unless onError or the error says so', async () => {
    const secret = Object.assign(new Error('key sk-123'), { status: 500, headers: {} })
    for (const source of [throwing(secret), throwing(secret, ['a'])])
      expect((await ask(await relaying(source))).body).not.toContain('sk-123')
    const shown = await ask(await relaying(throwing(secret), { onError: () => ({ message: 'Ask Ann.' }) }))
    expect(JSON.parse(shown.body).error.message).toBe('Ask Ann.')
  })

  it('6.4 retryable makes no client ask again', async () => {
    let requests = 0
    const url = await listen((_req, res) => {
      requests++
      res.writeHead(503, { 'content-type': 'application/json' })
      res.end('{"error":{"code":"overload","message":"Busy.","retryable":true}}')
    })
    const reading = async () => {
      for await (const _ of fetchSSE(url, { method: 'POST' }));
    }
    await expect(reading()).rejects.toMatchObject({ code: 'overload', retryable: true })
    expect(requests).toBe(1)
  })
})

describe('the default dialect', () => {
  it('7.1 the answer is the text of the unnamed events, joined', async () => {
    const { body } = await ask(await relaying(['Hel', '', 'lo \n', 'you']))
    expect(body).toBe(`${frame('Hel')}${frame('lo \n')}${frame('you')}${SENTINEL}`)
    let answer = ''
    for await (const piece of readText(saying(body))) answer += piece
    expect(answer).toBe('Hello \nyou')
  })

  it('7.2 every other event has a type', async () => {
    const { body } = await ask(await relaying([{ type: 'data', name: 'status', data: { step: 1 } }, 'a']))
    expect(body).toBe(`event: status\ndata: {"step":1}\n\n${frame('a')}${SENTINEL}`)
  })
})

describe('EventSource', () => {
  it('8.1 the last event of its GET has the id of the end', async () => {
    const { body } = await ask(await relaying(['a']), AS_EVENT_SOURCE)
    expect(body).toMatch(/\n\nid: [A-Za-z0-9_-]{16,128}:end\ndata: \[DONE\]\n\n$/)
    const failed = await ask(await relaying(throwing(new Error('no'), ['a'])), AS_EVENT_SOURCE)
    expect(failed.body).toMatch(/\n\nid: [A-Za-z0-9_-]{16,128}:end\nevent: error\ndata: .*\n\n$/)
  })

  it('8.2 with that id it is answered 204, and no run begins', async () => {
    const source = vi.fn(() => ['a'])
    const headers = { accept: 'text/event-stream', 'last-event-id': '0123456789abcdef:end' }
    const { status, body } = await ask(await relaying(source), { ...AS_EVENT_SOURCE, headers })
    expect([status, body]).toEqual([204, ''])
    expect(source).not.toHaveBeenCalled()
  })

  it('8.3 any other id reaches the application', async () => {
    const url = await relaying(({ lastEventId }) => [`after ${lastEventId}`])
    const headers = { accept: 'text/event-stream', 'last-event-id': '41' }
    expect((await ask(url, { ...AS_EVENT_SOURCE, headers })).body).toContain('after 41')
  })
})

const RUN = 'run-0123456789abcdef'
const asOwner = (owner: string) => ({ 'x-owner': owner })

/** A server that keeps its runs; a request says whose it is. */
function keeping(source: Source, log: Log = createMemoryLog(), options: RelayOptions = {}): Promise<string> {
  cleanups.push(() => log.close())
  return listen((req, res) => {
    const shared = { onError: () => {}, log, owner: String(req.headers['x-owner'] ?? 'ann'), ...options }
    void (req.method === 'GET' ? resume(req, res, shared) : relay(req, res, source, shared))
  })
}

const begin = (url: string, runId: string | undefined = RUN, owner = 'ann') =>
  ask(url, { headers: { ...(runId && { 'x-run-id': runId }), ...asOwner(owner) } })
const readOn = (url: string, lastEventId: string, owner = 'ann') =>
  ask(url, { method: 'GET', body: undefined, headers: { 'last-event-id': lastEventId, ...asOwner(owner) } })
const numbered = (number: number, rest: string) => `id: ${RUN}:${number}\n${rest}`

describe('a run that is kept', () => {
  it.each(['short', 'x'.repeat(129), 'a b c d e f g h i j'])('9.1 is not begun under the id %j', async (runId) => {
    const source = vi.fn(() => ['a'])
    const { status } = await begin(await keeping(source), runId)
    expect(status).toBe(400)
    expect(source).not.toHaveBeenCalled()
  })

  it('9.1 has the id that the client chose, of 128 random bits if it is this one', async () => {
    const seen: (string | undefined)[] = []
    const log = createMemoryLog()
    cleanups.push(() => log.close())
    const url = await listen((req, res) => {
      seen.push(req.headers['x-run-id'] as string)
      void relay(req, res, ['a'], { log, owner: null })
    })
    for (let time = 0; time < 2; time++) {
      const stream = fetchSSE(url, { method: 'POST', resumeUrl: url })
      for await (const _ of stream);
      expect(stream.response?.headers.get('x-run-id')).toBe(seen.at(-1))
    }
    expect(new Set(seen).size).toBe(2)
    for (const id of seen) expect(id).toMatch(/^[A-Za-z0-9_-]{16,128}$/)
  })

  it('9.2 says its id in the head, for who begins and for who reads on', async () => {
    const url = await keeping(['a', 'b'])
    const { headers } = await begin(url, undefined)
    expect(headers['x-run-id']).toMatch(/^[A-Za-z0-9_-]{16,128}$/)
    expect((await readOn(url, `${headers['x-run-id']}:1`)).headers['x-run-id']).toBe(headers['x-run-id'])
  })

  it('9.3 numbers every event, the sentinel and the failure too, and replaces the ids of a source', async () => {
    const complete = await begin(await keeping(['a', { event: 'x', data: 'y', id: 'mine' }]))
    expect(complete.body).toBe(numbered(1, frame('a')) + numbered(2, 'event: x\ndata: y\n\n') + numbered(3, SENTINEL))
    const failed = await begin(await keeping(throwing(new Error('no'), ['a'])))
    expect(failed.body).toMatch(new RegExp(`^id: ${RUN}:1\\n.*\\n\\nid: ${RUN}:2\\nevent: error\\ndata: .*\\n\\n$`))
  })

  it('9.4 is read on from an id: 200 with the rest, 204, 404, 410 or 503, and no run begins', async () => {
    const source = vi.fn(() => eventsOf(3))
    const url = await keeping(source)
    const { body } = await begin(url)
    const rest = await readOn(url, `${RUN}:1`)
    expect([rest.status, rest.body]).toEqual([200, body.slice(numbered(1, frame('1 ')).length)])
    expect((await readOn(url, `${RUN}:0`)).body).toBe(body)
    expect(await readOn(url, `${RUN}:4`)).toMatchObject({ status: 204, body: '' })
    for (const [id, owner] of [
      ['unknown-0123456789:1', 'ann'],
      [`${RUN}:1`, 'bob'],
    ]) {
      const { status, body } = await readOn(url, id as string, owner)
      expect([status, JSON.parse(body).error.code]).toEqual([404, 'run-not-found'])
    }
    // A request that would begin a run reads, too, if it says an id.
    const posted = await ask(url, { headers: { 'last-event-id': `${RUN}:1` } })
    expect(posted.body).toBe(rest.body)
    expect(source).toHaveBeenCalledTimes(1)

    const small = await keeping(
      async function* () {
        for (let index = 0; index < 50; index++) {
          yield 'x'.repeat(100)
          await new Promise(setImmediate)
        }
      },
      createMemoryLog({ maxBytes: 2000 }),
    )
    await begin(small)
    const gone = await readOn(small, `${RUN}:1`)
    expect([gone.status, JSON.parse(gone.body).error.code]).toEqual([410, 'cursor-gone'])

    let goOn = () => {}
    const going = await keeping(async function* () {
      yield 'a'
      await new Promise<void>((resolve) => {
        goOn = resolve
      })
    })
    const running = begin(going)
    await vi.waitFor(async () => expect((await readOn(going, `${RUN}:999`)).status).toBe(410))
    goOn()
    await running

    const reject = () => Promise.reject(new Error('out of reach'))
    const store: LogStore = { create: reject, begin: reject, append: reject, get: reject, read: reject }
    const lost = await readOn(await keeping(source, createLog(store)), `${RUN}:1`)
    expect([lost.status, JSON.parse(lost.body).error.code]).toEqual([503, 'log-failure'])
  })

  it('9.4 is read on by a client with the last id it took, in UTF-8, or from before the first', async () => {
    const seen: string[] = []
    const url = await listen((req, res) => {
      if (req.method === 'GET') {
        seen.push(Buffer.from(String(req.headers['last-event-id']), 'latin1').toString())
        res.writeHead(200, EVENT_STREAM).end(SENTINEL)
      } else if (seen.length === 0) res.writeHead(200, EVENT_STREAM).end(`id: é…\n${frame('a')}`)
      else res.writeHead(200, EVENT_STREAM).end()
    })
    for await (const _ of fetchSSE(url, { method: 'POST', onRetry: () => {} }));
    for await (const _ of fetchSSE(url, { method: 'POST', runId: RUN }));
    expect(seen).toEqual(['é…', `${RUN}:0`])
  })

  it('9.5 is the same for every reader, and a client drops what it has', async () => {
    let go = () => {}
    const url = await keeping(async function* () {
      yield* eventsOf(3)
      await new Promise<void>((resolve) => {
        go = resolve
      })
      yield* eventsOf(3)
    })
    const first = openClient(url, { method: 'POST', body: '{}', headers: { 'x-run-id': RUN } })
    cleanups.push(() => first.leave())
    await first.until(`${RUN}:3`)
    const readers = [readOn(url, `${RUN}:0`), readOn(url, `${RUN}:0`)]
    go()
    await first.closed
    const bodies = [first.received, ...(await Promise.all(readers)).map(({ body }) => body)]
    expect(new Set(bodies).size).toBe(1)
    expect([...first.received.matchAll(/^id: .*:(\d+)$/gm)].map(([, number]) => number).join()).toBe('1,2,3,4,5,6,7')

    const repeating = await listen((req, res) => {
      res.writeHead(200, EVENT_STREAM)
      if (req.method === 'POST') res.end(`retry: 1\n${numbered(1, frame('a'))}${numbered(2, frame('b'))}`)
      else res.end(numbered(1, frame('a')) + numbered(2, frame('b')) + numbered(3, frame('c')) + numbered(4, SENTINEL))
    })
    let answer = ''
    for await (const piece of readText(fetchSSE(repeating, { method: 'POST' }))) answer += piece
    expect(answer).toBe('abc')
  })

  it('9.6 is not begun twice under one id', async () => {
    const source = vi.fn(() => eventsOf(2))
    const url = await keeping(source)
    const { body } = await begin(url)
    expect((await begin(url)).body).toBe(body)
    const foreign = await begin(url, RUN, 'bob')
    expect([foreign.status, JSON.parse(foreign.body).error.code]).toEqual([409, 'run-exists'])
    expect(source).toHaveBeenCalledTimes(1)
  })

  it('9.7 outlives a connection that ends between two events, and a client reads on', async () => {
    const source = vi.fn(async function* () {
      for (let index = 1; index <= 10; index++) {
        yield `${index} `
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    })
    const url = await keeping(source, createMemoryLog(), { maxDurationMs: 250, retryMs: 1 })
    const { body, complete } = await begin(url)
    expect(complete).toBe(true)
    expect(body).toMatch(/\n\n$/)
    expect(body).not.toMatch(/\[DONE\]|event: error/)

    let answer = ''
    const stream = fetchSSE(url, { method: 'POST', resumeUrl: url })
    for await (const piece of readText(stream)) answer += piece
    expect(answer).toBe('1 2 3 4 5 6 7 8 9 10 ')
    expect(source).toHaveBeenCalledTimes(2)
  })

  it('9.8 is given up at 204 and at what will not change, and asked for again otherwise', async () => {
    let status = 0
    let requests = 0
    const url = await listen((req, res) => {
      if (req.method === 'POST') res.writeHead(200, EVENT_STREAM).end(`retry: 1\n${numbered(1, frame('a'))}`)
      else {
        requests++
        res.writeHead(status).end()
      }
    })
    const tries = async (answered: number) => {
      status = answered
      requests = 0
      const reading = async () => {
        for await (const _ of fetchSSE(url, { method: 'POST', maxRetries: 3 }));
      }
      const error = await reading().catch((error) => error)
      expect(isRelayError(error)).toBe(true)
      if (answered === 204) expect(error.code).toBe('truncated')
      return requests
    }
    for (const final of [204, 400, 401, 403, 404, 409, 410, 422])
      expect([final, await tries(final)]).toEqual([final, 1])
    for (const passing of [408, 425, 429, 500, 503]) expect([passing, await tries(passing)]).toEqual([passing, 3])
  })

  it('9.8 is asked for after a wait that doubles, is drawn at random, and has retry and retry-after in it', async () => {
    const waits: number[] = []
    vi.spyOn(Math, 'random').mockReturnValue(0.5)
    const { setTimeout: timer } = globalThis
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((task: () => void, ms = 0, ...rest: []) => {
      if (new Error().stack?.includes('backOff')) {
        waits.push(ms)
        return timer(task, 0)
      }
      return timer(task, ms, ...rest)
    }) as typeof setTimeout)
    cleanups.push(() => vi.restoreAllMocks())
    let requests = 0
    const body = (text: string) => new Response(text, { headers: EVENT_STREAM })
    const fetch = async () => {
      requests++
      if (requests === 1) return body(`retry: 100\n${numbered(1, frame('a'))}`)
      if (requests === 3) return new Response(null, { status: 503, headers: { 'retry-after': '2' } })
      return requests < 5 ? new Response(null, { status: 503 }) : body(numbered(2, SENTINEL))
    }
    for await (const _ of fetchSSE('http://localhost/', { method: 'POST', fetch }));
    expect(waits).toEqual([250, 250, 2200, 400])
  })

  it('9.9 ends with producer-lost, under the id of the end, when its producer never comes', async () => {
    const log = createMemoryLog()
    const url = await keeping(['a'], log)
    await log.create(RUN, { owner: 'ann', startMs: 50 })
    const { body } = await readOn(url, `${RUN}:0`)
    expect(body).toMatch(new RegExp(`^(: \\n)*id: ${RUN}:end\\nevent: error\\n`))
    expect(failureIn(body.replace(/id: .*:end\n/, ''))).toMatchObject({ code: 'producer-lost', retryable: true })
    // Whoever comes, with any place in it, is told the same.
    const told = body.slice(body.indexOf('id: '))
    for (const place of [0, 7]) {
      const again = await readOn(url, `${RUN}:${place}`)
      expect([again.status, again.body.slice(again.body.indexOf('id: '))]).toEqual([200, told])
    }
  })

  it('9.10 tells an EventSource without an id where it is, in a block that is no event', async () => {
    const log = createMemoryLog()
    cleanups.push(() => log.close())
    const url = await listen((req, res) => void relay(req, res, ['a'], { log, owner: null, runId: RUN }))
    const { body } = await ask(url, AS_EVENT_SOURCE)
    expect(body).toBe(`id: ${RUN}:0\n\n${numbered(1, frame('a'))}${numbered(2, SENTINEL)}`)
    expect((await readOf(saying(body))).events).toEqual([{ data: '{"text":"a"}', id: `${RUN}:1` }])
  })

  it('9.11 is not ended by a reader that leaves', async () => {
    let go = () => {}
    const log = createMemoryLog()
    const url = await keeping(async function* () {
      yield 'a'
      await new Promise<void>((resolve) => {
        go = resolve
      })
      yield 'b'
    }, log)
    const reader = openClient(url, { method: 'POST', body: '{}', headers: { 'x-run-id': RUN } })
    await reader.until(`${RUN}:1`)
    reader.leave()
    await reader.closed
    go()
    expect((await readOn(url, `${RUN}:1`)).body).toBe(numbered(2, frame('b')) + numbered(3, SENTINEL))
    // What a worker records is another one.
    await expect(record(['x'], { log, runId: RUN, owner: 'ann' })).rejects.toMatchObject({ code: 'run-exists' })
  })
})

describe('dialects', () => {
  const google = raw({ client: 'google-genai' })
  const assistant = uiMessage({ client: 'assistant-ui' })
  const chunk = { candidates: [{ content: { parts: [{ text: 'Hello' }] }, finishReason: 'STOP' }] }
  const overloaded = Object.assign(new Error('no'), { status: 529 })
  const words: [Protocol, Source, end: RegExp, failure: RegExp, body: object][] = [
    [agui(), ['Hello'], /"RUN_FINISHED".*\n\n$/, /event: error\ndata: {"type":"RUN_ERROR".*\n\n$/, { error: {} }],
    [
      google,
      [chunk],
      /"STOP".*\n\n$/,
      /\ndata: {"error":{"code":503,.*\n\n$/,
      { error: { code: 503, status: 'UNAVAILABLE' } },
    ],
    [
      openaiResponses(),
      ['Hello'],
      /"response.completed".*\n\ndata: \[DONE\]\n\n$/,
      /event: response.failed\n.*\n\nevent: error\n.*\n\n$/,
      { error: { type: expect.any(String) } },
    ],
    [
      anthropicMessages(),
      ['Hello'],
      /"message_stop"}\n\ndata: \[DONE\]\n\n$/,
      /event: error\ndata: {"type":"error".*\n\n$/,
      { type: 'error', error: { type: 'overloaded_error' } },
    ],
    [assistant, ['Hello'], /"finish".*\n\ndata: \[DONE\]\n\n$/, /\ndata: {"type":"error".*\n\ndata: \[DONE\]\n\n$/, {}],
  ]

  it.each(words)('10.1 a complete answer ends in the words of $name', async (protocol, source, end) => {
    const { body } = await ask(await relaying(source, { protocol }))
    expect(body).toMatch(end)
    if (protocol.sentinel === '') expect(body).not.toContain('[DONE]')
  })

  it.each(words)('10.2 a failure is said in the words of $name', async (protocol, source, _, failure) => {
    const { body } = await ask(await relaying(throwing(overloaded, source as string[]), { protocol }))
    expect(body).toMatch(failure)
    if (protocol !== google && protocol !== assistant) expect(failureIn(body).code).toBe('overload')
  })

  it.each(words)('10.3 a refusal has the body of $name', async (protocol, _source, _end, _failure, due) => {
    const { status, body } = await ask(await relaying(throwing(overloaded), { protocol }))
    expect(status).toBe(503)
    expect(JSON.parse(body)).toMatchObject(due)
  })

  it.each([
    [anthropicMessages(), 'event: ping\n'],
    [openaiResponses(), 'event: keepalive\n'],
  ])('10.4 its own heartbeat comes once the run has begun: $name', async (protocol, due) => {
    const source = async function* () {
      await new Promise((resolve) => setTimeout(resolve, 60))
      yield 'Hello'
      await new Promise((resolve) => setTimeout(resolve, 60))
    }
    const { body } = await ask(await relaying(source, { protocol, heartbeatMs: 10 }))
    expect(body).toMatch(/^(: \n\n)+event: /)
    expect(body.indexOf(due)).toBeGreaterThan(body.indexOf('Hello'))
  })

  it('10.5 a client that bears nothing but data gets nothing else', async () => {
    const options = { protocol: google, retryMs: 5, log: createMemoryLog(), owner: null }
    const { body } = await ask(await relaying([chunk], options))
    expect(body).toMatch(/^data: {.*}\n\n(: \n\n)?$/)
  })

  it.each([openaiChat(), openaiResponses(), anthropicMessages(), google])(
    '10.6 own events are left out of $name',
    async (protocol) => {
      const { body } = await ask(await relaying([{ event: 'own', data: 'mine' }, 'a'], { protocol }))
      expect(body).not.toContain('mine')
    },
  )

  it.each(dialects)('10.7 a whole answer in %s is one JSON body, and a failure has its status', async (_, protocol) => {
    const whole = await ask(await relaying(['Hel', 'lo'], { protocol, stream: false }))
    expect([whole.status, whole.headers['content-type']]).toEqual([200, 'application/json; charset=utf-8'])
    expect(JSON.stringify(JSON.parse(whole.body))).toMatch(/Hel(lo|","lo)/)
    const failed = await ask(await relaying(throwing(overloaded, ['Hello']), { protocol, stream: false }))
    expect([failed.status, JSON.parse(failed.body).error.code]).toEqual([503, 'overload'])
  })
})
