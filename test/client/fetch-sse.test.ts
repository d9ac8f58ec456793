import { type ChildProcess, spawn } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { type FetchSSEOptions, type FetchStream, fetchSSE, type ParsedEvent, RelayError } from 'sse-relay/client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ScriptedServer, scriptedServer } from './browsers/scripted-server.js'

const RUN = 'run-0123456789abcdef'
const POST = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"messages":[]}' }
const EVENT_STREAM = { headers: { 'content-type': 'text/event-stream' } }
const frame = (seq: number, data = `token ${seq}`) => `id: ${RUN}:${seq}\ndata: ${data}\n\n`
const event = (seq: number, data = `token ${seq}`) => ({ id: `${RUN}:${seq}`, data })
const END = 'data: [DONE]\n\n'

const LEAST_MS = 250

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let server: ScriptedServer
beforeEach(async () => {
  server = await scriptedServer()
  cleanups.push(() => server.close())
  // The least wait before a retry that jitter can give, and not even that here.
  vi.spyOn(Math, 'random').mockReturnValue(0)
  const { setTimeout } = globalThis
  vi.stubGlobal('setTimeout', (run: () => void, ms: number) => setTimeout(run, ms === LEAST_MS ? 1 : ms))
})

interface Read {
  events: ParsedEvent[]
  ids: string[]
  error?: unknown
}

/** Reads to the end, whichever it is. */
async function read(stream: FetchStream): Promise<Read> {
  const seen: Read = { events: [], ids: [] }
  try {
    for await (const event of stream) {
      seen.events.push(event)
      seen.ids.push(stream.lastEventId)
    }
  } catch (error) {
    seen.error = error
  }
  return seen
}

/** Opens a stream, and has handed over what its first answer begins with. */
async function begin(options: FetchSSEOptions, first = frame(1)) {
  const stream = fetchSSE(server.url, options)
  const next = stream.next()
  const request = (await server.request()).open(first)
  await next
  return { stream, request }
}

/** What `promise` is by the time that everything which could have happened has: pending, or settled. */
async function stateOf(promise: Promise<unknown>): Promise<string> {
  let state = 'pending'
  promise.then(
    () => {
      state = 'resolved'
    },
    () => {
      state = 'rejected'
    },
  )
  await turns()
  return state
}

/** The timers of this length that are set from here on and neither cleared nor over. */
function timersOf(length: number): Set<unknown> {
  const pending = new Set<unknown>()
  const { setTimeout, clearTimeout } = globalThis
  vi.stubGlobal('setTimeout', (run: () => void, ms: number, ...args: unknown[]) => {
    const timer = setTimeout(run, ms, ...args)
    if (ms === length) pending.add(timer)
    return timer
  })
  vi.stubGlobal('clearTimeout', (timer: ReturnType<typeof setTimeout>) => {
    pending.delete(timer)
    clearTimeout(timer)
  })
  return pending
}

async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

describe('the first request', () => {
  it('is sent at the first next(), as it was given, and asks for an event stream', async () => {
    const stream = fetchSSE(new URL(server.url), { ...POST, method: 'PUT' })
    await turns()
    expect(server.requests).toHaveLength(0)
    const next = stream.next()
    const request = (await server.request()).end(`data: a\n\n${END}`)
    expect(request).toMatchObject({ method: 'PUT', path: '/api/chat', body: POST.body })
    expect(request.headers).toMatchObject({ 'content-type': 'application/json', accept: 'text/event-stream' })
    expect(request.headers).not.toHaveProperty('last-event-id')
    expect(request.headers).not.toHaveProperty('x-run-id')
    expect(await next).toEqual({ done: false, value: { data: 'a' } })
    expect(await stream.next()).toEqual({ done: true, value: undefined })
    expect(await stream.next()).toEqual({ done: true, value: undefined })
    expect(server.requests).toHaveLength(1)
  })

  it('brings the lastEventId to begin with, in UTF-8', async () => {
    const reading = read(fetchSSE(server.url, { lastEventId: 'run-of-ä:4' }))
    const request = (await server.request()).end(`id: run-of-ä:5\ndata: e\n\n${END}`)
    expect(Buffer.from(request.headers['last-event-id'] as string, 'latin1').toString()).toBe('run-of-ä:4')
    expect(await reading).toEqual({ events: [{ data: 'e', id: 'run-of-ä:5' }], ids: ['run-of-ä:5'] })
  })

  it('keeps an accept header of its own', async () => {
    const reading = read(fetchSSE(server.url, { headers: new Headers({ accept: '*/*' }) }))
    const request = (await server.request()).end(END)
    expect(request.headers.accept).toBe('*/*')
    expect(await reading).toEqual({ events: [], ids: [] })
  })

  describe.each(['GET', 'POST', 'PUT'])('is sent once with %s', (method) => {
    const init = method === 'GET' ? {} : { ...POST, method }
    const html = '<h1>Bad gateway</h1>'

    it.each([
      ['500', 500, 'http-status', true],
      ['502 of a proxy', 502, 'http-status', true],
      ['503', 503, 'http-status', true],
      ['408', 408, 'http-status', true],
      ['425', 425, 'http-status', true],
      ['429', 429, 'http-status', true],
      ['400', 400, 'http-status', false],
      ['401', 401, 'http-status', false],
      ['404', 404, 'http-status', false],
      ['an HTML page with status 200', 200, 'content-type', false],
    ])('whatever its answer: %s, also when the run has an id', async (_, status, code, retryable) => {
      for (const runId of [undefined, RUN]) {
        const stream = fetchSSE(server.url, { ...init, runId })
        const reading = read(stream)
        const request = (await server.request()).refuse(status, html, { 'retry-after': '0' })
        const { error } = await reading
        expect(error).toMatchObject({ name: 'RelayError', code, status, body: html, retryable, received: 0 })
        expect(request.headers['x-run-id']).toBe(runId)
        expect(stream.response?.status).toBe(status)
      }
      expect(server.requests).toHaveLength(2)
    })

    it('when its connection fails and nothing has an id', async () => {
      const reading = read(fetchSSE(server.url, init))
      ;(await server.request()).cut()
      expect((await reading).error).toMatchObject({ code: 'network', retryable: true, received: 0, lastEventId: '' })
      await turns()
      expect(server.requests).toHaveLength(1)
    })
  })

  it('says why its connection failed, which Node’s fetch has in the cause alone', async () => {
    const refused = Object.assign(new TypeError('fetch failed'), { cause: { message: '', code: 'ECONNREFUSED' } })
    const failing = async () => Promise.reject(refused)
    expect((await read(fetchSSE('/api/chat', { ...POST, fetch: failing }))).error).toMatchObject({
      code: 'network',
      message: 'The connection failed: fetch failed: ECONNREFUSED',
      cause: refused,
    })
    expect((await read(fetchSSE('http://127.0.0.1:9/', POST))).error).toMatchObject({
      code: 'invalid-option',
      message: expect.stringContaining('(fetch failed: bad port)'),
    })
  })

  it('keeps the code, the message and the word on retrying of a server of ours', async () => {
    const reading = read(fetchSSE(server.url, POST))
    const error = { code: 'rate-limit', message: 'Slow down', retryable: true }
    ;(await server.request()).refuse(429, { error })
    expect((await reading).error).toMatchObject({ ...error, status: 429, body: JSON.stringify({ error }) })
    expect((await reading).error).toBeInstanceOf(RelayError)
  })

  it('cannot be made with a run id that is none', () => {
    for (const runId of ['', 'short', 'x'.repeat(129), 'sixteen characters', `${RUN}\n`]) {
      expect(() => fetchSSE(server.url, { runId })).toThrow(expect.objectContaining({ code: 'invalid-option' }))
    }
  })

  it('is made with the fetch that was given', async () => {
    const fetch = vi.fn(async () => new Response(`data: a\n\n${END}`, EVENT_STREAM))
    const { events } = await read(fetchSSE('/api/chat', { ...POST, fetch, credentials: 'include' }))
    expect(events).toEqual([{ data: 'a' }])
    expect(fetch).toHaveBeenCalledExactlyOnceWith(
      '/api/chat',
      expect.objectContaining({ method: 'POST', body: POST.body, credentials: 'include' }),
    )
    expect(fetch.mock.contexts).toEqual([undefined])
  })

  it('tells onOpen of each answer that is an event stream, and of no other', async () => {
    const opened: [number, string | null][] = []
    const onOpen = ({ status, headers }: Response) => opened.push([status, headers.get('content-type')])
    const refused = read(fetchSSE(server.url, { onOpen }))
    ;(await server.request()).refuse(200, '<html>')
    await refused
    const failed = read(fetchSSE(server.url, { onOpen }))
    ;(await server.request()).refuse(503)
    await failed
    expect(opened).toEqual([])
    const { stream, request } = await begin({ onOpen })
    const rest = read(stream)
    request.cut()
    ;(await server.request()).end(END)
    await rest
    expect(opened).toEqual([
      [200, 'text/event-stream'],
      [200, 'text/event-stream'],
    ])
  })
})

describe('a lost connection', () => {
  it.each(['cut', 'reset', 'end'] as const)('without ids is an error after one POST, by %s', async (way) => {
    const { stream, request } = await begin(POST, 'data: a\n\ndata: pend')
    const reading = read(stream)
    request[way]()
    const { error } = await reading
    expect(error).toMatchObject({ name: 'RelayError', retryable: true, received: 1, lastEventId: '' })
    expect((error as RelayError).code).toBe(way === 'end' ? 'truncated' : 'network')
    expect((error as RelayError).pending).toBe('data: pend')
    await turns()
    expect(server.requests).toHaveLength(1)
  })

  it.each(['cut', 'reset', 'end'] as const)(
    'of a run whose events have no ids is an error too: from its first event all would come twice; by %s',
    async (way) => {
      const { stream, request } = await begin({ ...POST, runId: RUN }, 'data: a\n\n')
      const reading = read(stream)
      request[way]()
      const { events, error } = await reading
      expect(error).toMatchObject({ retryable: true, received: events.length + 1, lastEventId: '' })
      await turns()
      expect(server.requests).toHaveLength(1)
    },
  )

  it.each(['cut', 'reset', 'end'] as const)(
    'with ids is asked for again by GET, with the rest of the request and the last id: by %s',
    async (way) => {
      const { stream, request } = await begin(
        {
          ...POST,
          headers: {
            ...POST.headers,
            authorization: 'Bearer secret',
            'content-encoding': 'identity',
            'x-tenant': 'acme',
          },
        },
        frame(1) + frame(2),
      )
      const reading = read(stream)
      await vi.waitFor(() => expect(stream.lastEventId).toBe(`${RUN}:2`))
      request[way]()
      const again = (await server.request()).end(frame(3) + END)
      expect(await reading).toEqual({ events: [event(2), event(3)], ids: [`${RUN}:2`, `${RUN}:3`] })
      expect(again).toMatchObject({ method: 'GET', path: '/api/chat', body: '', lastEventId: `${RUN}:2` })
      expect(again.headers).toMatchObject({
        accept: 'text/event-stream',
        authorization: 'Bearer secret',
        'x-tenant': 'acme',
      })
      for (const name of ['content-type', 'content-length', 'content-encoding', 'transfer-encoding']) {
        expect(again.headers).not.toHaveProperty(name)
      }
      expect(server.requests).toHaveLength(2)
    },
  )

  it.each(['€ … 🚀', 'é', 'a b', 'x'.repeat(2000)])('sends the id %j as bytes of UTF-8', async (id) => {
    const { stream, request } = await begin(POST, `id: ${id}\ndata: a\n\n`)
    const reading = read(stream)
    request.cut()
    const again = (await server.request()).end(END)
    expect(again.lastEventId).toBe(id)
    expect(await reading).toEqual({ events: [], ids: [] })
  })

  it('uses an id that came without data, as an EventSource does', async () => {
    const onComment = vi.fn()
    const reading = read(fetchSSE(server.url, { ...POST, onComment }))
    const request = (await server.request()).open(`id: ${RUN}:0\n\n: read\n`)
    await vi.waitFor(() => expect(onComment).toHaveBeenCalled())
    request.cut()
    const outcome = await Promise.race([server.request(), reading])
    expect(outcome).toMatchObject({ method: 'GET', lastEventId: `${RUN}:0` })
    server.requests.at(-1)?.end(frame(1) + END)
    expect(await reading).toEqual({ events: [event(1)], ids: [`${RUN}:1`] })
  })

  it.each([
    ['given by the caller', { runId: RUN }, {}],
    ['told by the answer', {}, { 'x-run-id': RUN }],
  ])('before the first event is asked for from the start, by the run id %s', async (_, options, headers) => {
    const stream = fetchSSE(server.url, { ...POST, ...options })
    const reading = read(stream)
    ;(await server.request()).open(': ping\n\n', headers)
    await vi.waitFor(() => expect(stream.response).toBeDefined())
    expect(stream.runId).toBe(RUN)
    server.requests[0]?.cut()
    const again = (await server.request()).end(frame(1) + END)
    expect(again).toMatchObject({ method: 'GET', body: '', lastEventId: `${RUN}:0` })
    expect(again.headers['x-run-id']).toBe(RUN)
    expect(await reading).toEqual({ events: [event(1)], ids: [`${RUN}:1`] })
  })

  it('before the answer is asked for from the start, if the run has an id: the POST may have arrived', async () => {
    const reading = read(fetchSSE(server.url, { ...POST, runId: RUN }))
    ;(await server.request()).cut()
    const again = (await server.request()).end(frame(1) + END)
    expect(again).toMatchObject({ method: 'GET', lastEventId: `${RUN}:0` })
    expect(await reading).toEqual({ events: [event(1)], ids: [`${RUN}:1`] })
  })

  it('is asked for at the resumeUrl, with a run id that was made up for it', async () => {
    const stream = fetchSSE(server.url, { ...POST, resumeUrl: new URL('/api/resume?x=1', server.url) })
    expect(stream.runId).toMatch(/^[\w-]{16,128}$/)
    expect(fetchSSE(server.url, { resumeUrl: '/' }).runId).not.toBe(stream.runId)
    const reading = read(stream)
    const request = await server.request()
    expect(request.headers['x-run-id']).toBe(stream.runId)
    request.cut()
    const again = (await server.request()).end(END)
    expect(again).toMatchObject({ method: 'GET', path: '/api/resume?x=1', lastEventId: `${stream.runId}:0` })
    expect(await reading).toEqual({ events: [], ids: [] })
  })

  it('may be lost many times: each time from where it was', async () => {
    const { stream, request } = await begin(POST)
    const reading = read(stream)
    let latest = request
    for (let seq = 2; seq <= 12; seq++) {
      latest.cut()
      latest = await server.request()
      expect(latest.lastEventId).toBe(`${RUN}:${seq - 1}`)
      latest.open(frame(seq))
      await vi.waitFor(() => expect(stream.lastEventId).toBe(`${RUN}:${seq}`))
    }
    latest.end(END)
    const { events, error } = await reading
    expect(error).toBeUndefined()
    expect(events).toEqual(Array.from({ length: 11 }, (_, index) => event(index + 2)))
    expect(server.requests.map(({ method }) => method)).toEqual(['POST', ...Array(11).fill('GET')])
  })

  it.each(['idleTimeoutMs', 'eventTimeoutMs'])('may be noticed by a clock: %s', async (clock) => {
    vi.useFakeTimers()
    const requests: RequestInit[] = []
    const fetch = async (_url: string, init: RequestInit) => {
      if (requests.push(init) > 1) return new Response(frame(2) + END, EVENT_STREAM)
      const open = new ReadableStream({ start: (body) => body.enqueue(new TextEncoder().encode(frame(1))) })
      return new Response(open, EVENT_STREAM)
    }
    const reading = read(fetchSSE('/api/chat', { ...POST, [clock]: 50, fetch }))
    await vi.runAllTimersAsync()
    expect(await reading).toEqual({ events: [event(1), event(2)], ids: [`${RUN}:1`, `${RUN}:2`] })
    expect(requests.map(({ method }) => method)).toEqual(['POST', 'GET'])
    expect(new Headers(requests[1]?.headers).get('last-event-id')).toBe(`${RUN}:1`)
  })

  it('may be noticed by a clock while the server is silent before its headers', async () => {
    vi.useFakeTimers()
    const signals: AbortSignal[] = []
    const fetch = (_url: string, { signal }: RequestInit) => {
      signals.push(signal as AbortSignal)
      return new Promise<never>(() => {})
    }
    const reading = read(fetchSSE('/api/chat', { ...POST, idleTimeoutMs: 50, fetch }))
    await vi.runAllTimersAsync()
    expect((await reading).error).toMatchObject({ code: 'idle-timeout', retryable: true })
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  })

  it('has what it sends again dropped by sequence', async () => {
    const { stream, request } = await begin(POST)
    const reading = read(stream)
    request.send(frame(2))
    await vi.waitFor(() => expect(stream.lastEventId).toBe(`${RUN}:2`))
    request.cut()
    ;(await server.request()).end(frame(1) + frame(2) + frame(3) + frame(10) + END)
    expect(await reading).toEqual({
      events: [event(2), event(3), event(10)],
      ids: [2, 3, 10].map((seq) => `${RUN}:${seq}`),
    })
  })

  it('drops nothing that only looks alike: another run, ids without order, no ids, one connection', async () => {
    const wire = 'id: 7\ndata: a\n\nid: 7\ndata: b\n\n'
    const { stream, request } = await begin(POST, wire)
    const reading = read(stream)
    await vi.waitFor(() => expect(stream.lastEventId).toBe('7'))
    request.cut()
    const another = 'another-0123456789:1'
    ;(await server.request()).end(`data: c\n\nid: 3\ndata: d\n\nid: ${another}\ndata: e\n\n${END}`)
    expect((await reading).events.map(({ data }) => data)).toEqual(['b', 'c', 'd', 'e'])
    expect(stream.lastEventId).toBe(another)
  })

  it('does not begin with an event error: that is an answer', async () => {
    for (const body of [
      '{"error":{"code":"network","message":"No","retryable":true}}',
      '{"error":{"code":"truncated"}}',
      '',
    ]) {
      const { stream, request } = await begin({ ...POST, runId: RUN })
      const count = server.requests.length
      const reading = read(stream)
      request.send(`event: error\ndata: ${body}\n\n`)
      const { error } = await reading
      expect(error).toMatchObject({ name: 'RelayError', received: 1, lastEventId: `${RUN}:1`, body })
      expect(await request.closed).toBe(false)
      expect(server.requests).toHaveLength(count)
    }
  })

  it('cannot be resumed by mistakes: an event that is too large, or no JSON', async () => {
    const { stream, request } = await begin({ ...POST, maxEventSize: 100 })
    const reading = read(stream)
    request.send(`data: ${'x'.repeat(200)}`)
    expect((await reading).error).toMatchObject({ code: 'event-too-large', received: 1 })
    expect(await request.closed).toBe(false)
    expect(server.requests).toHaveLength(1)
  })
})

describe('what the resuming request is answered', () => {
  /** Loses the connection after one event and answers each following request in turn. */
  async function lose(options: FetchSSEOptions = {}) {
    const { stream, request } = await begin({ ...POST, ...options })
    const reading = read(stream)
    request.cut()
    return { stream, reading }
  }

  it('204: there is no more, and the answer is not complete', async () => {
    const { reading } = await lose()
    ;(await server.request()).end('', 204, {})
    expect((await reading).error).toMatchObject({
      name: 'RelayError',
      code: 'truncated',
      status: 204,
      received: 1,
      lastEventId: `${RUN}:1`,
    })
    expect(server.requests).toHaveLength(2)
  })

  it.each([
    [404, 'run-not-found'],
    [410, 'cursor-gone'],
  ])('%i by a server of ours: %s, which is final', async (status, code) => {
    const { reading } = await lose()
    ;(await server.request()).refuse(status, { error: { code, message: 'Gone', retryable: false } })
    expect((await reading).error).toMatchObject({
      name: 'RelayError',
      code,
      status,
      message: 'Gone',
      retryable: false,
      received: 1,
      lastEventId: `${RUN}:1`,
    })
    expect(server.requests).toHaveLength(2)
  })

  it.each([400, 401, 403, 404, 405, 409, 410, 422, 451])('%i: final', async (status) => {
    const { reading } = await lose()
    ;(await server.request()).refuse(status, '<html>')
    expect((await reading).error).toMatchObject({ code: 'http-status', status, body: '<html>', received: 1 })
    expect(server.requests).toHaveLength(2)
  })

  it('an HTML page with status 200: final', async () => {
    const { reading } = await lose()
    ;(await server.request()).refuse(200, '<html>')
    expect((await reading).error).toMatchObject({ code: 'content-type', status: 200, body: '<html>', received: 1 })
    expect(server.requests).toHaveLength(2)
  })

  it.each([408, 425, 429, 500, 502, 503, 504, 529])('%i: asked again', async (status) => {
    const { reading, stream } = await lose()
    // Also if the body is an error of ours, whatever it says on retrying, which informs and acts on nothing.
    ;(await server.request()).refuse(status, { error: { code: 'shutdown', message: 'Down', retryable: false } })
    ;(await server.request()).cut()
    ;(await server.request()).refuse(status)
    const last = (await server.request()).end(frame(2) + END)
    expect(last).toMatchObject({ method: 'GET', lastEventId: `${RUN}:1` })
    expect(await reading).toEqual({ events: [event(2)], ids: [`${RUN}:2`] })
    expect(stream.response?.status).toBe(200)
    expect(server.requests).toHaveLength(5)
  })

  it('no answer, as often as maxRetries says, and then what was last: the budget is over', async () => {
    const { reading } = await lose({ maxRetries: 3 })
    for (let count = 0; count < 2; count++) (await server.request()).cut()
    ;(await server.request()).refuse(503, '<html>')
    expect((await reading).error).toMatchObject({
      code: 'http-status',
      status: 503,
      retryable: true,
      received: 1,
      lastEventId: `${RUN}:1`,
    })
    await turns()
    expect(server.requests).toHaveLength(4)
  })

  it('no connection at all says how far it came', async () => {
    const { stream, request } = await begin({ ...POST, maxRetries: 2 })
    const reading = read(stream)
    request.cut()
    await server.close()
    expect((await reading).error).toMatchObject({
      code: 'network',
      retryable: true,
      received: 1,
      lastEventId: `${RUN}:1`,
    })
  })

  it.each([{ maxRetries: 0 }, { retryForMs: 0 }])('never with %j', async (options) => {
    const { stream, request } = await begin({ ...POST, ...options })
    request.cut()
    expect((await read(stream)).error).toMatchObject({ code: 'network', received: 1 })
    expect(server.requests).toHaveLength(1)
  })

  it.each([-1, Number.NaN, '5'])('cannot be limited to %j', (value) => {
    for (const name of ['maxRetries', 'retryForMs'])
      expect(() => fetchSSE(server.url, { [name]: value })).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })

  it('one new event, which refills the budget; what came before does not', async () => {
    const { reading, stream } = await lose({ maxRetries: 2 })
    ;(await server.request()).cut()
    ;(await server.request()).open(frame(2))
    await vi.waitFor(() => expect(stream.lastEventId).toBe(`${RUN}:2`))
    server.requests.at(-1)?.cut()
    ;(await server.request()).cut()
    const repeating = (await server.request()).open(frame(1) + frame(2))
    await vi.waitFor(() => expect(stream.response).toBeDefined())
    await turns()
    repeating.end()
    const { events, error } = await reading
    expect(events).toEqual([event(2)])
    expect(error).toMatchObject({ code: 'truncated', received: 2, lastEventId: `${RUN}:2` })
    expect(server.requests).toHaveLength(5)
  })
})

describe('the wait before a retry', () => {
  /**
   * A stream that begins with one event, is lost, and then never gets an answer again; with the waits between its
   * requests by the fake clock.
   */
  async function waits(answers: (() => Response)[] = [], options: FetchSSEOptions = {}, wire = frame(1)) {
    vi.useFakeTimers()
    const times: number[] = []
    const fetch = async () => {
      times.push(Date.now())
      if (times.length === 1) return new Response(wire, EVENT_STREAM)
      const answer = answers.shift()
      if (!answer) throw new TypeError('fetch failed')
      return answer()
    }
    const reading = read(fetchSSE('/api/chat', { ...POST, ...options, fetch }))
    await vi.runAllTimersAsync()
    const { error } = await reading
    expect(vi.getTimerCount()).toBe(0)
    return { waits: times.slice(1).map((time, index) => time - (times[index] as number)), error }
  }

  const DOUBLED = [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]

  it('doubles up to a cap', async () => {
    vi.mocked(Math.random).mockReturnValue(0.999_999)
    const { waits: all } = await waits([], { retryForMs: 3600_000 })
    expect(all.slice(0, 8)).toEqual(DOUBLED.map((ms) => ms - 1))
  })

  it.each([0, 0.25, 0.5])('is a random part of that, %d of it, but never less than 250 ms', async (part) => {
    vi.mocked(Math.random).mockReturnValue(part)
    const { waits: all } = await waits([], { maxRetries: 8 })
    expect(all).toEqual(DOUBLED.map((ms) => Math.max(LEAST_MS, ms * part)))
  })

  it('is drawn anew each time', async () => {
    let count = 0
    vi.mocked(Math.random).mockImplementation(() => count++ / 10)
    const { waits: all } = await waits([], { maxRetries: 4 })
    expect(all).toEqual([250, 250, 800, 2400])
  })

  it('begins from what the server said with retry, which the caller hears too', async () => {
    vi.mocked(Math.random).mockReturnValue(0.5)
    const onRetry = vi.fn()
    const { waits: all } = await waits([], { maxRetries: 3, onRetry }, `retry: 3000\n${frame(1)}`)
    expect(all).toEqual([1500, 3000, 6000])
    expect(onRetry.mock.calls).toEqual([[3000]])
  })

  it.each([0, 5, 10])('grows though the server said retry: %d', async (retry) => {
    vi.mocked(Math.random).mockReturnValue(0.999_999)
    const { waits: all } = await waits([], { maxRetries: 12 }, `retry: ${retry}\n${frame(1)}`)
    expect(all[0]).toBe(LEAST_MS)
    expect(all.at(-1)).toBeGreaterThan(10_000)
  })

  it('is capped whatever the server said with retry', async () => {
    vi.mocked(Math.random).mockReturnValue(0.5)
    const { waits: all } = await waits([], { maxRetries: 2 }, `retry: 99999999999\n${frame(1)}`)
    expect(all).toEqual([15_000, 15_000])
  })

  const refusing =
    (status: number, headers: Record<string, string> = {}) =>
    () =>
      new Response('', { status, headers })

  it.each([429, 503])('is at least what the server said with Retry-After in a %i, once', async (status) => {
    const answers = ['7', '0', 'soon', '2'].map((after) => refusing(status, { 'retry-after': after }))
    const { waits: all } = await waits(answers, { maxRetries: 6 })
    expect(all).toEqual([250, 7000, 250, 250, 2000, 250])
  })

  it('is what the server said though less of the time without life is left, as long as all of it would do', async () => {
    const refusal = refusing(503, { 'retry-after': '80' })
    const { waits: all } = await waits([refusal, refusal, refusal], {})
    expect(all).toEqual([250, 80_000, 80_000])
    const { waits: impatient } = await waits([refusal, refusal], { retryForMs: 5000 })
    expect(impatient).toEqual([250, 5000])
  })

  it.each([
    ['an hour slow', -3600_000],
    ['an hour fast', 3600_000],
    ['right', 0],
  ])('goes by the clock of the server where Retry-After is a date and the one here is %s', async (_, offBy) => {
    const there = () => Date.now() - offBy
    const dated = () => {
      const date = new Date(there()).toUTCString()
      return refusing(503, { date, 'retry-after': new Date(Date.parse(date) + 20_000).toUTCString() })()
    }
    const { waits: all } = await waits([dated], { maxRetries: 2 })
    expect(all).toEqual([250, 20_000])
  })

  it.each([
    ['a month', String(31 * 86_400)],
    ['for ever', 'Infinity'],
    ['a date in a year', new Date(Date.now() + 365 * 86_400_000).toUTCString()],
  ])('is no longer than two minutes when Retry-After says %s', async (_, after) => {
    const { waits: all } = await waits([refusing(503, { 'retry-after': after })], {
      retryForMs: Infinity,
      maxRetries: 2,
    })
    expect(all).toEqual([250, 120_000])
    const { waits: none } = await waits([refusing(503, { 'retry-after': '-5' })], { maxRetries: 2 })
    expect(none).toEqual([250, 250])
  })

  it('is kept when a request that timed out rejects late, and one request is made after it', async () => {
    vi.useFakeTimers()
    vi.mocked(Math.random).mockReturnValue(0.5)
    const times: number[] = []
    const fetch = async (_url: string, { signal }: RequestInit) => {
      times.push(Date.now())
      if (times.length === 1) return new Response(frame(1), EVENT_STREAM)
      if (times.length === 4) return new Response(frame(2) + END, EVENT_STREAM)
      return new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    }
    const reading = read(fetchSSE('/api/chat', { ...POST, idleTimeoutMs: 100, fetch }))
    await vi.runAllTimersAsync()
    expect(await reading).toMatchObject({ events: [event(1), event(2)] })
    expect(times.slice(1).map((time) => time - (times[0] as number))).toEqual([500, 1600, 3700])
  })

  it('is over when the browser comes online, and leaves nothing at the window', async () => {
    const target = new EventTarget()
    const listening = new Set<unknown>()
    vi.stubGlobal('addEventListener', (name: string, listener: () => void) => {
      listening.add(listener)
      target.addEventListener(name, listener)
    })
    vi.stubGlobal('removeEventListener', (name: string, listener: () => void) => {
      listening.delete(listener)
      target.removeEventListener(name, listener)
    })
    vi.mocked(Math.random).mockReturnValue(0.999)
    const { stream, request } = await begin({ ...POST, maxRetries: 3 }, `retry: 3600000\n${frame(1)}`)
    const reading = read(stream)
    request.cut()
    await vi.waitFor(() => expect(listening.size).toBe(1))
    expect(server.requests).toHaveLength(1)
    target.dispatchEvent(new Event('online'))
    ;(await server.request()).cut()
    expect(server.requests[1]).toMatchObject({ method: 'GET', lastEventId: `${RUN}:1` })
    await vi.waitFor(() => expect(listening.size).toBe(1))
    target.dispatchEvent(new Event('online'))
    ;(await server.request()).end(END)
    expect(await reading).toEqual({ events: [], ids: [] })
    expect(listening.size).toBe(0)
  })

  it('and everything else knows nothing of whether the page is seen', async () => {
    const document = Object.assign(new EventTarget(), { hidden: false, visibilityState: 'visible' })
    const window = new EventTarget()
    const listen = vi.spyOn(document, 'addEventListener')
    const asked: string[] = []
    vi.stubGlobal('document', document)
    vi.stubGlobal('window', window)
    vi.stubGlobal('addEventListener', (name: string) => asked.push(name))
    vi.stubGlobal('removeEventListener', () => {})
    const { stream, request } = await begin(POST)
    const reading = read(stream)
    for (const state of ['hidden', 'visible']) {
      Object.assign(document, { hidden: state === 'hidden', visibilityState: state })
      for (const name of ['visibilitychange', 'pagehide', 'pageshow', 'focus', 'blur', 'freeze', 'resume']) {
        document.dispatchEvent(new Event(name))
        window.dispatchEvent(new Event(name))
      }
      await turns()
    }
    request.send(frame(2))
    await vi.waitFor(() => expect(stream.lastEventId).toBe(`${RUN}:2`))
    request.cut()
    ;(await server.request()).end(END)
    expect(await reading).toMatchObject({ events: [event(2)] })
    expect(listen).not.toHaveBeenCalled()
    expect(new Set(asked)).toEqual(new Set(['online']))
    expect(server.requests).toHaveLength(2)
  })
})

describe('the run id', () => {
  it.each([
    ['resumeUrl', { resumeUrl: '/resume' }],
    ['stopUrl', { stopUrl: '/stop' }],
  ])('is made up when there is a %s, and said in x-run-id', async (_, options) => {
    const stream = fetchSSE(server.url, { ...POST, ...options })
    const { runId } = stream
    expect(runId).toMatch(/^[\w-]{16,128}$/)
    const reading = read(stream)
    const request = (await server.request()).end(END)
    expect(request.headers['x-run-id']).toBe(runId)
    await reading
    expect(stream.runId).toBe(runId)
  })

  it('is the one given, and is there before the request', async () => {
    const stream = fetchSSE(server.url, { ...POST, resumeUrl: '/resume', runId: RUN })
    expect(stream.runId).toBe(RUN)
    const reading = read(stream)
    expect((await server.request()).end(END).headers['x-run-id']).toBe(RUN)
    await reading
  })

  it('is what the answer says where the request had none', async () => {
    const stream = fetchSSE(server.url)
    const reading = read(stream)
    const request = (await server.request()).open(': \n', { 'x-run-id': RUN })
    await vi.waitFor(() => expect(stream.runId).toBe(RUN))
    request.cut()
    ;(await server.request()).end(END, 200, { 'content-type': 'text/event-stream', 'x-run-id': 'another-run-01234567' })
    await reading
    expect(stream.runId).toBe(RUN)
    expect(server.requests[1]?.headers).toMatchObject({ 'x-run-id': RUN, 'last-event-id': `${RUN}:0` })
  })

  it.each([
    ['given', { runId: 'mine-0123456789abcdef' }],
    ['made up', { resumeUrl: '/resume' }],
    ['that of a place', { lastEventId: 'mine-0123456789abcdef:3' }],
  ])(
    'stays the one that was %s, whatever the answer says: a stop is not for the run of another',
    async (_, options) => {
      const stream = fetchSSE(server.url, { ...options, stopUrl: server.url })
      const { runId } = stream
      const reading = read(stream)
      ;(await server.request()).open(frame(1), { 'x-run-id': 'victim-0123456789abcdef' })
      await vi.waitFor(() => expect(stream.response).toBeDefined())
      expect(stream.runId).toBe(runId)
      const stopping = stream.stop()
      expect((await server.request()).end('', 204, {}).path).toBe(`/api/chat/${runId}`)
      await stopping
      await reading
    },
  )

  it('is random also where the platform has no crypto', () => {
    vi.mocked(Math.random).mockRestore()
    vi.stubGlobal('crypto', undefined)
    const ids = Array.from({ length: 100 }, () => fetchSSE(server.url, { stopUrl: '/stop' }).runId)
    expect(new Set(ids).size).toBe(100)
    for (const id of ids) expect(id).toMatch(/^[\w-]{16,128}$/)
  })

  it('is none otherwise', async () => {
    const stream = fetchSSE(server.url, POST)
    const reading = read(stream)
    expect((await server.request()).end(END).headers).not.toHaveProperty('x-run-id')
    await reading
    expect(stream.runId).toBeUndefined()
  })
})

describe('stop()', () => {
  const STOPPED = 'event: error\ndata: {"error":{"code":"stopped","message":"Stopped","retryable":false}}\n\n'

  it.each([
    ['appended', '/api/runs', '/api/runs'],
    ['appended to a path that ends with a slash', '/api/runs/', '/api/runs'],
    ['put where :runId is', '/api/runs/:runId?now=1', undefined],
  ])('sends a DELETE to the stopUrl, with the run id %s', async (_, path, prefix) => {
    const stopUrl = new URL(server.url).origin + path
    const { stream, request } = await begin({ ...POST, headers: { authorization: 'Bearer secret' }, stopUrl })
    const reading = read(stream)
    const stopping = stream.stop()
    const asked = await server.request()
    expect(asked).toMatchObject({
      method: 'DELETE',
      path: prefix ? `${prefix}/${stream.runId}` : `/api/runs/${stream.runId}?now=1`,
      body: '',
    })
    expect(asked.headers.authorization).toBe('Bearer secret')
    expect(asked.headers).not.toHaveProperty('last-event-id')
    expect(asked.headers).not.toHaveProperty('content-type')
    request.end(STOPPED)
    asked.end('', 204, {})
    expect(await stopping).toBe(true)
    expect((await reading).error).toMatchObject({ code: 'stopped', received: 1 })
    expect(server.requests).toHaveLength(2)
  })

  it('is of the run that a lastEventId is a place in, unless another is given', () => {
    const stream = fetchSSE(server.url, { lastEventId: 'run-of-a-test-0001:4', stopUrl: '/api/chat' })
    expect(stream.runId).toBe('run-of-a-test-0001')
    const own = fetchSSE(server.url, { lastEventId: 'run-of-a-test-0001:4', runId: 'run-of-a-test-0002' })
    expect(own.runId).toBe('run-of-a-test-0002')
    expect(fetchSSE(server.url, { lastEventId: 'short:4' }).runId).toBeUndefined()
  })

  it('works before the first token, and before the answer', async () => {
    const stream = fetchSSE(server.url, { ...POST, stopUrl: `${server.url}/` })
    const reading = read(stream)
    const request = await server.request()
    const stopping = stream.stop()
    expect(await request.closed).toBe(false)
    const asked = (await server.request()).end('', 204, {})
    expect(asked).toMatchObject({ method: 'DELETE', path: `/api/chat/${stream.runId}` })
    expect(request.headers['x-run-id']).toBe(stream.runId)
    expect(await stopping).toBe(true)
    expect((await reading).error).toMatchObject({ code: 'stopped', received: 0 })
  })

  it('ends the reading at once and frees its connection, before the server is told', async () => {
    const order: string[] = []
    const fetch = async (_: string, { method, signal }: RequestInit) => {
      order.push(String(method))
      if (method === 'DELETE') return new Promise<never>(() => {})
      signal?.addEventListener('abort', () => order.push('freed'))
      return new Response(
        new ReadableStream({ start: (body) => body.enqueue(new TextEncoder().encode(frame(1))) }),
        EVENT_STREAM,
      )
    }
    const stream = fetchSSE('/', { ...POST, stopUrl: '/', fetch })
    await stream.next()
    const next = stream.next()
    stream.stop()
    await expect(next).rejects.toMatchObject({ code: 'stopped', received: 1, lastEventId: `${RUN}:1` })
    expect(await stream.next()).toEqual({ done: true, value: undefined })
    expect(order).toEqual(['POST', 'freed', 'DELETE'])
  })

  it('is told again until the server has answered, and says whether it did', async () => {
    const { stream } = await begin({ ...POST, stopUrl: server.url })
    const stopping = stream.stop()
    ;(await server.request()).cut()
    ;(await server.request()).refuse(503)
    ;(await server.request()).refuse(429)
    expect((await server.request()).end('', 204, {}).method).toBe('DELETE')
    expect(await stopping).toBe(true)
    expect(await stream.stop()).toBe(true)
    expect(server.requests).toHaveLength(5)
  })

  it.each([401, 403, 404, 405])('is not told again when the server answers %i, and was not heard', async (status) => {
    const { stream } = await begin({ ...POST, stopUrl: server.url })
    const stopping = stream.stop()
    ;(await server.request()).refuse(status)
    expect(await stopping).toBe(false)
    expect(server.requests).toHaveLength(2)
  })

  /** A stream whose server is out of reach from now on, by the fake clock. */
  async function unreachable(isBack: () => boolean) {
    vi.useFakeTimers()
    const deletes: number[] = []
    const fetch = async (_: string, { method }: RequestInit) => {
      if (method !== 'DELETE') return new Response(frame(1), EVENT_STREAM)
      deletes.push(Date.now())
      if (!isBack()) throw new TypeError('fetch failed')
      return new Response(null, { status: 204 })
    }
    const stream = fetchSSE('/', { ...POST, stopUrl: '/', fetch })
    await stream.next()
    return { stream, deletes, began: Date.now() }
  }

  it('gives up after two minutes, and says so instead of rejecting', async () => {
    vi.mocked(Math.random).mockReturnValue(0.5)
    const { stream, deletes, began } = await unreachable(() => false)
    const stopping = stream.stop()
    await vi.runAllTimersAsync()
    expect(await stopping).toBe(false)
    expect((deletes.at(-1) as number) - began).toBe(120_000)
  })

  it('that was pressed offline is told when the browser is online again, however long that takes', async () => {
    const target = new EventTarget()
    const navigator = { onLine: false }
    vi.stubGlobal('navigator', navigator)
    vi.stubGlobal('addEventListener', target.addEventListener.bind(target))
    vi.stubGlobal('removeEventListener', target.removeEventListener.bind(target))
    const { stream, deletes } = await unreachable(() => navigator.onLine)
    const stopping = stream.stop()
    await vi.advanceTimersByTimeAsync(3600_000)
    // Every thirty seconds, since the browser may be wrong.
    expect(deletes).toHaveLength(121)
    navigator.onLine = true
    target.dispatchEvent(new Event('online'))
    await vi.advanceTimersByTimeAsync(0)
    expect(await stopping).toBe(true)
    expect(deletes).toHaveLength(122)
  })

  it('is told of an answer whose connection was lost for good: the run may go on', async () => {
    const { stream, request } = await begin({ ...POST, stopUrl: server.url, maxRetries: 0 })
    request.cut()
    expect((await read(stream)).error).toMatchObject({ code: 'network' })
    const stopping = stream.stop()
    expect((await server.request()).end('', 204, {}).method).toBe('DELETE')
    expect(await stopping).toBe(true)
  })

  /** A run that goes on while the reader is refused: logged out, sent to a page, behind what is kept. */
  it.each([
    ['401', 401, {}],
    ['403 with words of its own', 403, { 'content-type': 'application/json' }, '{"error":{"code":"login"}}'],
    ['404 for another owner', 404, {}],
    ['410', 410, {}],
    ['a page of HTML', 200, { 'content-type': 'text/html' }],
  ])(
    'is told of an answer that could not be read on: %s',
    async (_, status, headers: Record<string, string>, body = '') => {
      const { stream, request } = await begin({ ...POST, stopUrl: server.url })
      const reading = read(stream)
      request.cut()
      ;(await server.request()).end(body, status, headers)
      expect((await reading).error).toMatchObject({ status })
      const stopping = stream.stop()
      expect((await server.request()).end('', 204, {}).method).toBe('DELETE')
      expect(await stopping).toBe(true)
    },
  )

  it('is told of an answer that something before the server gave up', async () => {
    const stream = fetchSSE(server.url, { ...POST, stopUrl: server.url })
    const reading = read(stream)
    ;(await server.request()).end('<h1>Gateway timeout</h1>', 504, { 'content-type': 'text/html' })
    await reading
    const stopping = stream.stop()
    expect((await server.request()).end('', 204, {}).method).toBe('DELETE')
    expect(await stopping).toBe(true)
  })

  it.each([
    ['429', 429, ''],
    ['502 in words of its own', 502, '{"error":{"code":"upstream-failure"}}'],
  ])('has nothing to tell where the question was refused: %s', async (_, status, body) => {
    const stream = fetchSSE(server.url, { ...POST, stopUrl: server.url })
    const reading = read(stream)
    ;(await server.request()).end(body, status, { 'content-type': 'application/json' })
    await reading
    expect(await stream.stop()).toBe(true)
    expect(server.requests).toHaveLength(1)
  })

  it('that was refused can be told again', async () => {
    const { stream } = await begin({ ...POST, stopUrl: server.url })
    const stopping = stream.stop()
    ;(await server.request()).refuse(401)
    expect(await stopping).toBe(false)
    const again = stream.stop()
    ;(await server.request()).end('', 204, {})
    expect(await again).toBe(true)
  })

  it.each([
    ['failed', 'event: error\ndata: {"error":{"code":"overload"}}\n\n'],
    ['was complete', END],
  ])('does nothing when the answer %s before', async (_, end) => {
    const { stream, request } = await begin({ ...POST, stopUrl: server.url })
    request.end(end)
    await read(stream)
    expect(await stream.stop()).toBe(true)
    expect(server.requests).toHaveLength(1)
  })

  it('before the request is made ends the stream, and nothing is sent', async () => {
    const stream = fetchSSE(server.url, { ...POST, stopUrl: server.url })
    await stream.stop()
    expect(await read(stream)).toEqual({ events: [], ids: [] })
    expect(server.requests).toHaveLength(0)
  })

  it('after the end does nothing', async () => {
    const stream = fetchSSE(server.url, { ...POST, stopUrl: server.url })
    const reading = read(stream)
    ;(await server.request()).end(END)
    await reading
    await stream.stop()
    expect(server.requests).toHaveLength(1)
  })

  it('without a stopUrl leaves', async () => {
    const { stream, request } = await begin(POST)
    const reading = read(stream)
    expect(await stream.stop()).toBe(true)
    expect(await reading).toEqual({ events: [], ids: [] })
    expect(await request.closed).toBe(false)
    expect(server.requests).toHaveLength(1)
  })

  it('is sent to its end when the page leaves at once', async () => {
    const { stream, request } = await begin({ ...POST, stopUrl: server.url })
    const stopping = stream.stop()
    await stream.return()
    expect(await request.closed).toBe(false)
    expect((await server.request()).end('', 204, {}).method).toBe('DELETE')
    await stopping
  })

  it('lets go of an answer with a body', async () => {
    const cancel = vi.fn()
    const fetch = async (_: string, { method }: RequestInit) =>
      method === 'DELETE'
        ? new Response(new ReadableStream({ cancel }))
        : new Response(
            new ReadableStream({ start: (body) => body.enqueue(new TextEncoder().encode(frame(1))) }),
            EVENT_STREAM,
          )
    const stream = fetchSSE('/', { ...POST, stopUrl: '/', fetch })
    await stream.next()
    await stream.stop()
    expect(cancel).toHaveBeenCalledOnce()
    await stream.return()
  })
})

describe('leaving', () => {
  /** A fetch, and a body, that ignore their signal; and what was done with them. */
  function deaf() {
    const answers: ((response: Response) => void)[] = []
    const requests: RequestInit[] = []
    const body = { reads: 0, cancels: 0 }
    const stream = () =>
      new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            body.reads++
            if (body.reads > 1) return new Promise(() => {})
            controller.enqueue(new TextEncoder().encode(frame(1)))
          },
          cancel() {
            body.cancels++
            return new Promise(() => {})
          },
        },
        { highWaterMark: 0 },
      )
    const fetch = vi.fn((_: string, init: RequestInit) => {
      requests.push(init)
      return new Promise<Response>((resolve) => answers.push(resolve))
    })
    let response: Response | undefined
    const answer = () => {
      response = new Response(stream(), EVENT_STREAM)
      answers.shift()?.(response)
    }
    return { fetch, requests, answer, body, locked: () => response?.body?.locked ?? false }
  }

  interface Leaving {
    stream: FetchStream
    controller: AbortController
  }
  const ways: [string, (leaving: Leaving) => unknown][] = [
    ['an abort', ({ controller }) => controller.abort()],
    ['return()', ({ stream }) => stream.return()],
    ['throw()', ({ stream }) => stream.throw(new Error('mine')).catch(() => {})],
  ]

  type Deaf = ReturnType<typeof deaf>
  const states: [string, (stream: FetchStream, host: Deaf) => unknown][] = [
    ['before the request', () => {}],
    ['while it waits for the answer', (stream) => void stream.next().catch(() => {})],
    [
      'while it waits for a read',
      async (stream, host) => {
        const first = stream.next()
        host.answer()
        await first
        stream.next().catch(() => {})
        await turns()
        expect(host.body.reads).toBe(2)
      },
    ],
    [
      'in the work of the consumer',
      async (stream, host) => {
        const first = stream.next()
        host.answer()
        await first
      },
    ],
  ]

  describe.each(ways)('by %s', (name, leave) => {
    it.each(states)('%s acts at once, with a fetch and a body that ignore their signal', async (state, enter) => {
      const host = deaf()
      const controller = new AbortController()
      const onOpen = vi.fn()
      const clocks = { idleTimeoutMs: 60_000, eventTimeoutMs: 60_000 }
      const timers = timersOf(60_000)
      const { signal } = controller
      const stream = fetchSSE('/', { ...POST, ...clocks, runId: RUN, signal, fetch: host.fetch, onOpen })
      await enter(stream, host)
      const opened = onOpen.mock.calls.length
      const pending = state.startsWith('while') ? stream.next() : undefined
      const left = leave({ stream, controller })
      const next = pending ?? stream.next()
      if (name === 'an abort' && !pending) await expect(next).rejects.toMatchObject({ name: 'AbortError' })
      else expect(await stateOf(next)).toBe('resolved')
      await left
      expect(await stream.next()).toEqual({ done: true, value: undefined })
      expect(host.requests).toHaveLength(state === 'before the request' ? 0 : 1)
      for (const request of host.requests) expect(request.signal?.aborted).toBe(true)
      expect(getEventListeners(signal, 'abort')).toEqual([])
      expect(timers.size).toBe(0)
      expect(host.body.cancels).toBe(opened)
      expect(host.locked()).toBe(false)
      // The answer comes all the same: its body is let go, and nobody is told.
      if (state === 'while it waits for the answer') {
        host.answer()
        await turns()
        expect(host.body).toEqual({ reads: 0, cancels: 1 })
        expect(onOpen).not.toHaveBeenCalled()
      }
    })

    it('during the wait before a retry acts at once, and nothing more is sent', async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
      vi.mocked(Math.random).mockReturnValue(0.5)
      const listeners = new Set<unknown>()
      vi.stubGlobal('addEventListener', (_: string, listener: unknown) => listeners.add(listener))
      vi.stubGlobal('removeEventListener', (_: string, listener: unknown) => listeners.delete(listener))
      const fetch = vi.fn(async () => {
        if (fetch.mock.calls.length > 1) return new Promise<Response>(() => {})
        return new Response(frame(1), EVENT_STREAM)
      })
      const controller = new AbortController()
      const stream = fetchSSE('/', { ...POST, signal: controller.signal, fetch })
      await stream.next()
      const next = stream.next()
      next.catch(() => {})
      await turns()
      expect(vi.getTimerCount()).toBe(1)
      expect(listeners.size).toBe(1)
      const left = leave({ stream, controller })
      expect(await stateOf(next)).toBe(name === 'an abort' ? 'rejected' : 'resolved')
      if (name === 'an abort') await expect(next).rejects.toBe(controller.signal.reason)
      await left
      expect(vi.getTimerCount()).toBe(0)
      expect(listeners.size).toBe(0)
      expect(getEventListeners(controller.signal, 'abort')).toEqual([])
      await turns()
      // A fetch that ignores its signal would send it.
      expect(fetch).toHaveBeenCalledOnce()
      expect(await stream.next()).toEqual({ done: true, value: undefined })
    })
  })

  it('by break, and by an error in the loop, closes the connection', async () => {
    for (const leave of ['break', 'throw']) {
      const { signal } = new AbortController()
      const stream = fetchSSE(server.url, { ...POST, runId: RUN, signal })
      const leaving = (async () => {
        for await (const _ of stream) {
          if (leave === 'break') break
          throw new Error('mine')
        }
      })()
      const request = (await server.request()).open(frame(1) + frame(2))
      if (leave === 'break') await leaving
      else await expect(leaving).rejects.toThrow('mine')
      expect(await request.closed).toBe(false)
      expect(getEventListeners(signal, 'abort')).toEqual([])
      expect(await stream.next()).toEqual({ done: true, value: undefined })
    }
    expect(server.requests).toHaveLength(2)
  })

  it('by an abort closes the connection: before the headers, and in a read', async () => {
    for (const state of ['headers', 'read']) {
      const controller = new AbortController()
      const stream = fetchSSE(server.url, { ...POST, runId: RUN, signal: controller.signal })
      const first = stream.next()
      const request = await server.request()
      if (state === 'read') {
        request.open(frame(1))
        await first
      }
      const pending = state === 'read' ? stream.next() : first
      controller.abort()
      await expect(pending).rejects.toBe(controller.signal.reason)
      expect(await request.closed).toBe(false)
    }
    await turns()
    expect(server.requests).toHaveLength(2)
  })

  it('by a signal that has aborted sends nothing', async () => {
    const stream = fetchSSE(server.url, { ...POST, runId: RUN, signal: AbortSignal.abort() })
    await expect(stream.next()).rejects.toMatchObject({ name: 'AbortError' })
    await turns()
    expect(server.requests).toHaveLength(0)
  })

  it('throws a reason that is an Error as it is, and any other as the cause of an AbortError', async () => {
    const reason = new Error('enough')
    await expect(fetchSSE('/', { signal: AbortSignal.abort(reason) }).next()).rejects.toBe(reason)
    await expect(fetchSSE('/', { signal: AbortSignal.abort('enough') }).next()).rejects.toMatchObject({
      name: 'AbortError',
      cause: 'enough',
    })
    const timeout = fetchSSE(server.url, { signal: AbortSignal.timeout(20) })
    await expect(timeout.next()).rejects.toMatchObject({ name: 'TimeoutError' })
  })

  it('leaves no listener on a signal that outlives many streams, whatever their end', async () => {
    const { signal } = new AbortController()
    const answers = [
      () => new Response(END, EVENT_STREAM),
      () => new Response('', EVENT_STREAM),
      () => new Response('event: error\ndata\n\n', EVENT_STREAM),
      () => new Response('', { status: 503 }),
      () => new Response('<html>'),
      () => Promise.reject(new TypeError('fetch failed')),
    ]
    for (const answer of answers) {
      const fetch = async () => answer()
      await read(fetchSSE('/', { signal, fetch }))
      await read(fetchSSE('/', { signal, fetch, runId: RUN, maxRetries: 2 }))
    }
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('answers several who wait: one with the reason, the others with the end', async () => {
    const { fetch } = deaf()
    const controller = new AbortController()
    const stream = fetchSSE('/', { signal: controller.signal, fetch })
    const all = Promise.allSettled([stream.next(), stream.next(), stream.next()])
    controller.abort()
    expect((await all).map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  })

  it('keeps the order of those who ask ahead', async () => {
    const stream = fetchSSE(server.url)
    const all = Promise.all([stream.next(), stream.next(), stream.next()])
    ;(await server.request()).end(frame(1) + frame(2) + END)
    expect((await all).map(({ value }) => value)).toEqual([event(1), event(2), undefined])
  })

  it('reads nothing that was not asked for', async () => {
    const host = deaf()
    const stream = fetchSSE('/', { fetch: host.fetch })
    const first = stream.next()
    host.answer()
    await first
    await turns()
    expect(host.body.reads).toBe(1)
    await stream.return()
  })
})

describe('a server that restarts in the middle of an answer', () => {
  const TOKENS = 40

  /**
   * A server in a process of its own, on the same port each time. Its list of events is all it needs: an event stream
   * from any of them on, a few at a time.
   */
  const program = `
    import { createServer } from 'node:http'
    const [port, ids] = process.argv.slice(1)
    createServer((req, res) => {
      const last = req.headers['last-event-id']
      process.stdout.write(req.method + ' ' + (last ?? '-') + '\\n')
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      let seq = Number(last?.split(':')[1] ?? 0)
      const send = () => {
        if (++seq > ${TOKENS}) return res.end('data: [DONE]\\n\\n')
        res.write((ids === 'ids' ? 'retry: 5\\nid: ${RUN}:' + seq + '\\n' : '') + 'data: token ' + seq + '\\n\\n')
        setTimeout(send, 5)
      }
      send()
    }).listen(Number(port), '127.0.0.1', function () { process.stdout.write('on ' + this.address().port + '\\n') })`

  async function start(ids: boolean, port = 0) {
    const args = ['--input-type=module', '--eval', program, String(port), ids ? 'ids' : 'none']
    const child: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout?.on('data', (bytes) => {
      output += bytes
    })
    await vi.waitFor(() => expect(output).toContain('on '), { timeout: 20_000 })
    const kill = async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    }
    cleanups.push(kill)
    const requests = () => output.split('\n').filter((line) => /^(GET|POST|DELETE)/.test(line))
    return { kill, requests, port: Number(/on (\d+)/.exec(output)?.[1]) }
  }

  it('is not noticed with ids: every token comes exactly once', async () => {
    vi.mocked(Math.random).mockReturnValue(0.5)
    let process = await start(true)
    const { port } = process
    const requests: string[] = []
    let refused = 0
    const stream = fetchSSE(`http://127.0.0.1:${port}/`, {
      ...POST,
      fetch: (url, init) =>
        fetch(url, init).catch((error) => {
          refused++
          throw error
        }),
    })
    const seen: ParsedEvent[] = []
    for await (const event of stream) {
      seen.push(event)
      if (seen.length !== 5 && seen.length !== 20) continue
      await process.kill()
      requests.push(...process.requests())
      const before = refused
      // Down for as long as it takes to be asked in vain.
      const up = vi
        .waitFor(() => expect(refused).toBeGreaterThan(before), { timeout: 20_000, interval: 1 })
        .then(() => start(true, port))
      up.then((started) => {
        process = started
      })
      cleanups.push(() => up)
    }
    requests.push(...process.requests())
    expect(seen.map(({ data }) => data)).toEqual(Array.from({ length: TOKENS }, (_, index) => `token ${index + 1}`))
    expect(requests.map((request) => request.split(' ')[0])).toEqual(['POST', 'GET', 'GET'])
    expect(refused).toBeGreaterThanOrEqual(2)
  })

  it('is an error without ids, and the server saw one POST', async () => {
    const process = await start(false)
    const seen: ParsedEvent[] = []
    const reading = (async () => {
      for await (const event of fetchSSE(`http://127.0.0.1:${process.port}/`, POST)) {
        seen.push(event)
        if (seen.length === 5) await process.kill()
      }
    })()
    await expect(reading).rejects.toMatchObject({ name: 'RelayError', code: 'network', retryable: true })
    await expect(reading).rejects.toMatchObject({ received: seen.length })
    expect(seen.length).toBeGreaterThanOrEqual(5)
    expect(seen.length).toBeLessThan(TOKENS)
    expect(process.requests()).toEqual(['POST -'])
  })
})
