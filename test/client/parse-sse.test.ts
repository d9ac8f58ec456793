import { getEventListeners, once } from 'node:events'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import {
  type EventStream,
  type ParsedEvent,
  type ParseSSEOptions,
  parseSSE,
  RelayError,
  type SSEInput,
} from 'sse-relay/client'
import { replayUpstream } from 'sse-relay/testing'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const encoder = new TextEncoder()
const EVENT_STREAM = { 'content-type': 'text/event-stream' }
const A_B = 'id: 1\ndata: a\n\ndata: b\n\n'

/** A body that gives a chunk for each read, and then is silent until something is done with it. */
function openBody(...chunks: string[]) {
  let controller!: ReadableStreamDefaultController<Uint8Array>
  const body = {
    reads: 0,
    cancels: 0,
    stream: new ReadableStream<Uint8Array>(
      {
        start(started) {
          controller = started
        },
        pull() {
          body.reads++
          const chunk = chunks.shift()
          if (chunk !== undefined) body.push(chunk)
        },
        cancel() {
          body.cancels++
        },
      },
      { highWaterMark: 0 },
    ),
    push: (text: string) => controller.enqueue(encoder.encode(text)),
    end: () => controller.close(),
    fail: (error: unknown) => controller.error(error),
  }
  return body
}

const eventually = (check: () => void) => vi.waitFor(check, 10_000)

const respond = (body: BodyInit | null, init: ResponseInit = {}) =>
  new Response(body, { headers: EVENT_STREAM, ...init })

async function* iterate<T>(...values: T[]): AsyncGenerator<T> {
  yield* values
}

interface Read {
  events: ParsedEvent[]
  ids: string[]
  error?: unknown
}

/** Reads to the end, whichever it is. */
async function read(stream: EventStream): Promise<Read> {
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

const parse = (input: SSEInput, options?: ParseSSEOptions) => read(parseSSE(input, options))
const dataOf = ({ events }: Read) => events.map(({ data }) => data)

/** What is left behind: the lock on the body, listeners on the signal. */
function leftBehind(stream: ReadableStream, signal?: AbortSignal) {
  return { locked: stream.locked, listeners: signal ? getEventListeners(signal, 'abort').length : 0 }
}
const NOTHING = { locked: false, listeners: 0 }

describe('parseSSE reads', () => {
  const wire = 'id: 1\ndata: é日🚀\n\nevent: x\ndata: 2\n\ndata: [DONE]\n\n'
  const bytes = encoder.encode(wire)
  const streamOf = (chunk: unknown) =>
    new ReadableStream({
      start(controller) {
        controller.enqueue(chunk)
        controller.close()
      },
    })

  it.each<[string, () => SSEInput]>([
    ['a Response', () => respond(wire)],
    ['a Response in pieces', () => respond(streamOf(bytes))],
    ['a stream of bytes', () => streamOf(bytes)],
    ['a stream of strings', () => streamOf(wire)],
    ['an async iterable of bytes', () => iterate(bytes.subarray(0, 16), bytes.subarray(16))],
    ['an async iterable of strings', () => iterate(wire.slice(0, 16), '', wire.slice(16))],
    ["Node's Readable", () => Readable.from([Buffer.from(wire)])],
    ['a string', () => wire],
    [
      'a stream that cannot be iterated, as Safari has it (lukeed/fetch-event-stream#3)',
      () => Object.assign(streamOf(bytes), { [Symbol.asyncIterator]: undefined, values: undefined }),
    ],
    [
      'no more of a stream than its reader',
      () => {
        const stream = streamOf(bytes)
        return { getReader: () => stream.getReader() }
      },
    ],
    [
      'a Response without a body, as React Native has it',
      () => ({ ok: true, status: 200, headers: new Headers(EVENT_STREAM), text: async () => wire }),
    ],
    [
      'a Response whose body is a Node stream, as node-fetch has it',
      () => ({ ok: true, status: 200, headers: new Headers(EVENT_STREAM), body: Readable.from([bytes]) }),
    ],
  ])('%s', async (_, input) => {
    expect(await parse(input())).toEqual({
      events: [
        { data: 'é日🚀', id: '1' },
        { event: 'x', data: '2' },
      ],
      ids: ['1', '1'],
    })
  })

  it('where there is no TextDecoderStream, as in Expo (vercel/ai#13588)', async () => {
    vi.stubGlobal('TextDecoderStream', undefined)
    expect(dataOf(await parse(respond(wire)))).toEqual(['é日🚀', '2'])
  })

  it.each([
    [undefined],
    [null],
    [1],
    [{}],
    [[]],
    [() => {}],
    [Promise.resolve(respond(wire))],
    // As axios has it: what it brings is no body.
    [{ status: 200, headers: new Headers(EVENT_STREAM), data: {} }],
  ])('not %o, and says so at once', (input) => {
    expect(() => parseSSE(input as never)).toThrow(
      expect.objectContaining({ code: 'invalid-source', message: expect.stringContaining('an awaited Response') }),
    )
  })

  it.each([[undefined], [{}], [Promise.resolve(iterate(wire))]])(
    'no iterator like %o, which is no lost connection',
    async (iterator) => {
      const { error } = await parse({ [Symbol.asyncIterator]: () => iterator as never })
      expect(error).toMatchObject({
        code: 'invalid-source',
        message: expect.stringContaining('without next()'),
        retryable: false,
      })
    },
  )

  it.each([[1], [null], [{}], [['a']]])('no chunk like %o', async (chunk) => {
    const { error } = await parse(iterate('data: 1\n\n', chunk as never))
    expect(error).toMatchObject({
      code: 'invalid-source',
      message: expect.stringContaining('bytes and strings'),
      received: 1,
    })
  })
})

describe('parseSSE pulls', () => {
  it('nothing before it is asked', async () => {
    const body = openBody(A_B)
    const events = parseSSE(respond(body.stream))
    await new Promise(setImmediate)
    expect(body.reads).toBe(0)
    expect(body.stream.locked).toBe(false)
    await events.return()
  })

  it('no chunk that was not asked for: what one held is handed over first', async () => {
    const body = openBody(A_B, 'data: c\n\n')
    const events = parseSSE(body.stream)
    const reads: number[] = []
    for (let count = 0; count < 3; count++) {
      await events.next()
      await new Promise(setImmediate)
      reads.push(body.reads)
    }
    expect(reads).toEqual([1, 1, 2])
    await events.return()
  })

  it('as many chunks as an event takes', async () => {
    const body = openBody(': ping\n', '\n\n', 'data: ', '1\n', '\n', 'data: 2')
    const events = parseSSE(body.stream)
    expect(await events.next()).toEqual({ done: false, value: { data: '1' } })
    expect(body.reads).toBe(5)
    await events.return()
  })

  it('in turn for those who ask ahead of the answer', async () => {
    const body = openBody()
    const events = parseSSE(body.stream)
    const answers: string[] = []
    const ask = (name: string) => events.next().then(({ value }) => answers.push(`${name}=${value?.data}`))
    const first = [ask('1'), ask('2'), ask('3')]
    body.push('data: a\n\n')
    await first[0]
    await new Promise(setImmediate)
    const later = [ask('4'), ask('5')]
    body.push('data: b\n\n')
    body.push('data: c\n\ndata: d\n\n')
    body.push('data: [DONE]\n\n')
    await Promise.all([...first, ...later])
    expect(answers).toEqual(['1=a', '2=b', '3=c', '4=d', '5=undefined'])
  })

  it('in turn also for who asks again the moment an answer is there', async () => {
    const events = parseSSE(iterate('data: a\n\ndata: b\n\n', 'data: c\n\ndata: [DONE]\n\n'))
    const answers: string[] = []
    const note = (name: string) => (result: IteratorResult<ParsedEvent>) =>
      answers.push(`${name}=${result.value?.data}`)
    const first = events.next()
    const third = first.then(() => events.next()).then(note('3'))
    const second = events.next().then(note('2'))
    await Promise.all([first.then(note('1')), second, third])
    expect(answers).toEqual(['1=a', '2=b', '3=c'])
  })

  it('no more once someone who asked ahead got the end', async () => {
    const events = parseSSE('data: 1\n\n')
    const answers = await Promise.allSettled([events.next(), events.next(), events.next()])
    expect(answers).toEqual([
      { status: 'fulfilled', value: { done: false, value: { data: '1' } } },
      { status: 'rejected', reason: expect.objectContaining({ code: 'truncated' }) },
      { status: 'fulfilled', value: { done: true, value: undefined } },
    ])
  })
})

describe('the sentinel', () => {
  it('completes the stream and is not handed over, nor is what follows', async () => {
    expect(await parse('data: 1\n\ndata: [DONE]\n\ndata: 2\n\nevent: error\ndata: 3\n\n')).toEqual({
      events: [{ data: '1' }],
      ids: [''],
    })
  })

  it('ends a body that stays open, and cancels it (earendil-works/pi#7954)', async () => {
    const body = openBody('data: 1\n\n', 'data: [DONE]\n\n')
    const { signal } = new AbortController()
    expect(dataOf(await parse(respond(body.stream), { signal }))).toEqual(['1'])
    expect(body.cancels).toBe(1)
    expect(leftBehind(body.stream, signal)).toEqual(NOTHING)
  })

  it('cancels the body when it is read, before its events are handed over', async () => {
    const body = openBody('data: 1\n\ndata: 2\n\ndata: [DONE]\n\n')
    const events = parseSSE(body.stream)
    await events.next()
    expect(body.cancels).toBe(1)
    expect(dataOf(await read(events))).toEqual(['2'])
  })

  it('may have another text', async () => {
    const { events, error } = await parse('data: [DONE]\n\ndata: end\n\ndata: 2\n\n', { sentinel: 'end' })
    expect({ events, error }).toEqual({ events: [{ data: '[DONE]' }] })
  })

  it('may be a predicate; the event it is true for is handed over', async () => {
    const body = openBody('data: 1\n\ndata: [DONE]\n\nevent: message_stop\ndata: 2\n\ndata: 3\n\n')
    const seen: ParsedEvent[] = []
    const sentinel = (event: ParsedEvent) => {
      seen.push(event)
      return event.event === 'message_stop'
    }
    const { events, error } = await parse(body.stream, { sentinel })
    expect(error).toBeUndefined()
    expect(events).toEqual([{ data: '1' }, { data: '[DONE]' }, { event: 'message_stop', data: '2' }])
    expect(seen).toEqual(events)
    expect(body.cancels).toBe(1)
  })

  it('may be a predicate that is never true: then the stream is truncated', async () => {
    const { events, error } = await parse('data: 1\n\n', { sentinel: () => false })
    expect(events).toHaveLength(1)
    expect(error).toMatchObject({ code: 'truncated', received: 1 })
  })

  it('may be a predicate that throws: then that is thrown', async () => {
    const body = openBody('data: 1\n\n')
    const thrown = new Error('no')
    const { error } = await parse(body.stream, {
      sentinel() {
        throw thrown
      },
    })
    expect(error).toBe(thrown)
    expect(body.cancels).toBe(1)
  })

  it('may be false: every event, errors and sentinels too, and the end is that of the body', async () => {
    expect(await parse(`${A_B}data: [DONE]\n\nevent: error\ndata: {}\n\n`, { sentinel: false })).toEqual({
      events: [{ data: 'a', id: '1' }, { data: 'b' }, { data: '[DONE]' }, { event: 'error', data: '{}' }],
      ids: ['1', '1', '1', '1'],
    })
    expect(await parse('', { sentinel: false })).toEqual({ events: [], ids: [] })
  })

  it('ends a stream only once: then it is over for good', async () => {
    const events = parseSSE('data: 1\n\ndata: [DONE]\n\n')
    expect(events[Symbol.asyncIterator]()).toBe(events)
    expect(dataOf(await read(events))).toEqual(['1'])
    expect(await events.next()).toEqual({ done: true, value: undefined })
    expect(await read(events)).toMatchObject({ events: [], ids: [], error: { code: 'response-used' } })
  })
})

describe('an event named error', () => {
  const failure = (error: unknown) => `${A_B}event: error\ndata: ${JSON.stringify({ error })}\n\n`

  it("is thrown with the server's own code, message and retryable, after the events before it", async () => {
    const body = openBody(`${failure({ code: 'rate-limit', message: 'Slow down', retryable: true })}data: c\n\n`)
    const { signal } = new AbortController()
    const { events, error } = await parse(respond(body.stream), { signal })
    expect(events).toHaveLength(2)
    expect(error).toBeInstanceOf(RelayError)
    expect(error).toMatchObject({
      name: 'RelayError',
      code: 'rate-limit',
      message: 'Slow down',
      retryable: true,
      received: 2,
      lastEventId: '1',
      body: '{"error":{"code":"rate-limit","message":"Slow down","retryable":true}}',
    })
    expect(body.cancels).toBe(1)
    expect(leftBehind(body.stream, signal)).toEqual(NOTHING)
  })

  it.each([
    ['a code of its own', failure({ code: 'my-code' }), { code: 'my-code', retryable: false }],
    [
      "a provider's words",
      failure({ type: 'overloaded_error', message: 'Overloaded' }),
      { code: 'overloaded_error', message: 'Overloaded' },
    ],
    [
      'a code that is no string',
      failure({ code: 502, message: 1, retryable: 'yes' }),
      { code: 'upstream-failure', retryable: false },
    ],
    ['no error', 'event: error\ndata: {}\n\n', { code: 'upstream-failure' }],
    ['null', 'event: error\ndata: null\n\n', { code: 'upstream-failure', body: 'null' }],
    [
      'what is not JSON',
      'event: error\ndata: out of\ndata: memory\n\n',
      { code: 'upstream-failure', body: 'out of\nmemory' },
    ],
    ['nothing', 'event: error\ndata\n\n', { code: 'upstream-failure', body: '' }],
  ])('may hold %s', async (_, wire, expected) => {
    const { error } = await parse(wire)
    expect(error).toMatchObject({ name: 'RelayError', message: expect.any(String), ...expected })
    expect((error as RelayError).message).not.toBe('')
  })

  it('is an error for a predicate too, and before it', async () => {
    const { error } = await parse(failure({ code: 'internal', message: 'No' }), {
      sentinel: ({ event }) => event === 'error',
    })
    expect(error).toMatchObject({ code: 'internal' })
  })

  it('is no success when the sentinel comes after it, as vLLM sends it', async () => {
    const { error } = await parse('event: error\ndata: {"error":{"message":"No"}}\n\ndata: [DONE]\n\n')
    expect(error).toMatchObject({ message: 'No' })
  })

  it('has a body of no more than 64 KiB', async () => {
    const { error } = await parse(`event: error\ndata: ${'x'.repeat(100_000)}\n\n`)
    expect((error as RelayError).body).toHaveLength(65_536)
  })
})

describe('a body that ends without its sentinel', () => {
  it('is truncated: a partial answer is never taken for a complete one (anthropics/anthropic-sdk-typescript#842)', async () => {
    const { events, error } = await parse(respond(`${A_B}id: 2\ndata: {"te`))
    expect(events).toHaveLength(2)
    expect(error).toBeInstanceOf(RelayError)
    expect(error).toMatchObject({
      code: 'truncated',
      retryable: true,
      received: 2,
      lastEventId: '1',
      pending: 'id: 2\ndata: {"te',
    })
  })

  it.each([
    ['an empty body', ''],
    ['heartbeats', ': ping\n: ping\n'],
    ['the sentinel without its blank line', 'data: [DONE]\n'],
  ])('is truncated: %s', async (_, wire) => {
    expect((await parse(respond(wire))).error).toMatchObject({
      code: 'truncated',
      received: 0,
      lastEventId: '',
      pending: wire,
    })
  })

  it('is truncated, and has what was begun in many chunks', async () => {
    const { error } = await parse(iterate('data: 1\n', '\nevent: a\nda', 'ta: 2\n', 'data'))
    expect(error).toMatchObject({ received: 1, pending: 'event: a\ndata: 2\ndata' })
  })

  it('is over after that', async () => {
    const events = parseSSE('')
    await expect(events.next()).rejects.toMatchObject({ code: 'truncated' })
    expect(await events.next()).toEqual({ done: true, value: undefined })
  })
})

describe('an event that no blank line ended', () => {
  const tails = ['id: 2\ndata: 12', 'id: 2\ndata: 12\n', 'id: 2\ndata: 12\r', 'id: 2\ndata: 12\r\n']

  it.each(tails)('%j is discarded, with its id', async (tail) => {
    for (const eof of [undefined, 'discard'] as const) {
      expect(await parse(`data: 0\n\n${tail}`, { sentinel: false, eof })).toEqual({
        events: [{ data: '0' }],
        ids: [''],
      })
    }
  })

  it.each(tails)("%j is handed over with eof: 'dispatch' (openai/openai-node#2725)", async (tail) => {
    for (const chunks of [[`data: 0\n\n${tail}`], [...`data: 0\n\n${tail}`]]) {
      expect(await parse(iterate(...chunks), { sentinel: false, eof: 'dispatch' })).toEqual({
        events: [{ data: '0' }, { data: '12', id: '2' }],
        ids: ['', '2'],
      })
    }
  })

  it("completes the stream with eof: 'dispatch' when it is the sentinel", async () => {
    const { events, error } = await parse('data: 1\n\ndata: [DONE]', { eof: 'dispatch' })
    expect({ events, error }).toEqual({ events: [{ data: '1' }] })
  })

  it("is handed over before the stream is truncated with eof: 'dispatch'", async () => {
    const { events, error } = await parse('data: 1\n\ndata: 2', { eof: 'dispatch' })
    expect(events).toHaveLength(2)
    expect(error).toMatchObject({ code: 'truncated', received: 2, pending: '' })
  })

  it("adds nothing to a stream that ended well with eof: 'dispatch'", async () => {
    for (const end of ['\n\n', '\r\r', '\r\n\r\n', '\n\n: a', '\n\nevent: b', '\n\nid: 7']) {
      expect(dataOf(await parse(`data: 1${end}`, { sentinel: false, eof: 'dispatch' }))).toEqual(['1'])
    }
  })
})

describe('lastEventId', () => {
  it('is that of the event just handed over, though its chunk held more, and ids of their own', async () => {
    const events = parseSSE('data: a\n\nid: 1\ndata: b\n\nid: 2\n\ndata: c\n\nid\ndata: d\n\nid: 3\n\nid: 4', {
      sentinel: false,
      lastEventId: '0',
    })
    expect(events.lastEventId).toBe('0')
    expect(await read(events)).toMatchObject({ ids: ['0', '1', '2', ''] })
    // The end is behind the block that has only an id; what had no blank line does not count.
    expect(events.lastEventId).toBe('3')
  })

  it('stays when the loop is left', async () => {
    const events = parseSSE('id: 1\ndata: a\n\nid: 2\ndata: b\n\n')
    for await (const event of events) {
      expect(event.data).toBe('a')
      break
    }
    expect(events.lastEventId).toBe('1')
  })

  it('is not that of events that were read and never handed over, when the reading is aborted', async () => {
    const controller = new AbortController()
    const events = parseSSE('id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n', { signal: controller.signal })
    await events.next()
    controller.abort()
    await expect(events.next()).rejects.toMatchObject({ name: 'AbortError' })
    // Who resumes from here is sent b and c again.
    expect(events.lastEventId).toBe('1')
  })

  it('counts an id that came alone, when the reading is aborted', async () => {
    const controller = new AbortController()
    const body = openBody('id: 1\ndata: a\n\n', 'id: 2\n\n')
    const events = parseSSE(body.stream, { signal: controller.signal })
    await events.next()
    const next = events.next()
    await eventually(() => expect(body.reads).toBe(3))
    controller.abort()
    await expect(next).rejects.toMatchObject({ name: 'AbortError' })
    expect(events.lastEventId).toBe('2')
  })
})

describe('clocks', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  })
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0)
  })

  /** What becomes of a `next()`, looked at without waiting for it. */
  function watch(promise: Promise<unknown>) {
    const watched: { value?: unknown; error?: unknown } = {}
    promise.then(
      (value) => {
        watched.value = value
      },
      (error) => {
        watched.error = error
      },
    )
    return watched
  }

  it('a body that stalls after its headers ends with idle-timeout (MoonshotAI/kimi-code#1050)', async () => {
    const body = openBody(A_B, 'data: half')
    const { signal } = new AbortController()
    const events = parseSSE(respond(body.stream), { idleTimeoutMs: 1000, signal })
    await events.next()
    await events.next()
    const next = watch(events.next())
    await vi.advanceTimersByTimeAsync(999)
    expect(next).toEqual({})
    await vi.advanceTimersByTimeAsync(1)
    expect(next.error).toMatchObject({
      name: 'RelayError',
      code: 'idle-timeout',
      message: expect.stringContaining('1000 ms'),
      retryable: true,
      received: 2,
      lastEventId: '1',
      pending: 'data: half',
    })
    expect(body.cancels).toBe(1)
    expect(leftBehind(body.stream, signal)).toEqual(NOTHING)
  })

  it('heartbeats satisfy idleTimeoutMs, and not eventTimeoutMs (earendil-works/pi#5558)', async () => {
    for (const [name, code] of [
      ['idleTimeoutMs', undefined],
      ['eventTimeoutMs', 'event-timeout'],
    ] as const) {
      const body = openBody()
      const events = parseSSE(body.stream, { [name]: 1000 })
      const next = watch(events.next())
      for (let count = 0; count < 5; count++) {
        await vi.advanceTimersByTimeAsync(300)
        if (body.cancels === 0) body.push(': ping\n')
      }
      expect(next).toEqual(code ? { error: expect.objectContaining({ code, retryable: true, received: 0 }) } : {})
      expect(body.cancels).toBe(code ? 1 : 0)
      await events.return()
    }
  })

  it('ids, retries and halves of events are no events for eventTimeoutMs', async () => {
    const body = openBody()
    const next = watch(parseSSE(body.stream, { eventTimeoutMs: 1000 }).next())
    for (const piece of ['id: 1\n\n', 'retry: 5\n', 'event: a\n\n', 'data: 1\n']) {
      await vi.advanceTimersByTimeAsync(249)
      body.push(piece)
    }
    await vi.advanceTimersByTimeAsync(4)
    expect(next.error).toMatchObject({
      code: 'event-timeout',
      message: expect.stringContaining('No event came for 1000 ms'),
    })
  })

  it('each byte and each event begins the time again', async () => {
    const body = openBody()
    const events = parseSSE(body.stream, { idleTimeoutMs: 1000, eventTimeoutMs: 1000 })
    for (let count = 0; count < 5; count++) {
      const next = watch(events.next())
      await vi.advanceTimersByTimeAsync(900)
      body.push('data: 1\n\n')
      await vi.advanceTimersByTimeAsync(0)
      expect(next).toMatchObject({ value: { done: false } })
    }
    await events.return()
  })

  it('a reader that takes its time is not timed', async () => {
    const body = openBody('data: 1\n\ndata: 2\n\n')
    const events = parseSSE(body.stream, { idleTimeoutMs: 1000, eventTimeoutMs: 1000 })
    await events.next()
    await vi.advanceTimersByTimeAsync(100_000)
    expect(await events.next()).toMatchObject({ value: { data: '2' } })
    await vi.advanceTimersByTimeAsync(100_000)
    body.push('data: 3\n\n')
    expect(await events.next()).toMatchObject({ value: { data: '3' } })
    await events.return()
  })

  it.each([Number.POSITIVE_INFINITY, 2 ** 40])('a timeout of %d is no timeout of a millisecond', async (ms) => {
    const body = openBody()
    const events = parseSSE(body.stream, { idleTimeoutMs: ms, eventTimeoutMs: ms })
    const next = watch(events.next())
    await vi.advanceTimersByTimeAsync(1_000_000)
    expect(next).toEqual({})
    await events.return()
  })

  it.each([
    ['the sentinel', (body: ReturnType<typeof openBody>) => body.push('data: [DONE]\n\n')],
    ['an error', (body) => body.push('event: error\ndata\n\n')],
    ['the end', (body) => body.end()],
    ['a reset', (body) => body.fail(new Error('reset'))],
    ['an abort', (_, controller) => controller.abort()],
    ['return()', (_, __, events) => events.return()],
  ] as [string, (body: ReturnType<typeof openBody>, controller: AbortController, events: EventStream) => void][])(
    'no timer is left behind by %s',
    async (_, act) => {
      const body = openBody()
      const controller = new AbortController()
      const events = parseSSE(body.stream, { idleTimeoutMs: 1000, eventTimeoutMs: 1000, signal: controller.signal })
      const next = watch(events.next())
      await vi.advanceTimersByTimeAsync(1)
      expect(vi.getTimerCount()).toBe(2)
      act(body, controller, events)
      await vi.advanceTimersByTimeAsync(1)
      expect(Object.keys(next)).toHaveLength(1)
      expect(vi.getTimerCount()).toBe(0)
      expect(leftBehind(body.stream, controller.signal)).toEqual(NOTHING)
    },
  )

  it('no timer is left behind by a response that is refused', async () => {
    for (const response of [respond('', { status: 500 }), new Response('<html>')]) {
      await parse(response, { idleTimeoutMs: 1000, eventTimeoutMs: 1000 })
    }
    const used = respond('')
    await used.text()
    await parse(used, { idleTimeoutMs: 1000, eventTimeoutMs: 1000 })
    await parse('', { idleTimeoutMs: 1000, eventTimeoutMs: 1000, signal: AbortSignal.abort() })
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a response that is no event stream', () => {
  it.each([
    ['with a status', { status: 500 }, 'http-status'],
    ['with another type', { headers: { 'content-type': 'application/x-ndjson' } }, 'content-type'],
  ])('%s is told within seconds, with what came of its body, also where that does not end', async (_, init, code) => {
    vi.useFakeTimers()
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        for (;;) {
          controller.enqueue(encoder.encode('{}\n'))
          await new Promise((resolve) => setTimeout(resolve, 1000))
        }
      },
    })
    const parsing = parse(new Response(body, init))
    await vi.advanceTimersByTimeAsync(6000)
    vi.useRealTimers()
    const { error } = await parsing
    expect(error).toMatchObject({ code, body: expect.stringMatching(/^(\{\}\n){4,6}$/) })
  })

  it('with a status is an error with its body, not a stream of nothing (Azure/fetch-event-source#70)', async () => {
    const { error } = await parse(respond('Out of order', { status: 500 }))
    expect(error).toBeInstanceOf(RelayError)
    expect(error).toMatchObject({
      code: 'http-status',
      message: expect.stringContaining('500'),
      status: 500,
      body: 'Out of order',
      retryable: true,
      received: 0,
    })
  })

  it.each([
    [400, false],
    [401, false],
    [404, false],
    [408, true],
    [425, true],
    [429, true],
    [502, true],
    [503, true],
  ])('with status %i, its retryable is %s', async (status, retryable) => {
    expect((await parse(respond('', { status }))).error).toMatchObject({
      code: 'http-status',
      status,
      retryable,
      body: '',
    })
  })

  it('an answer that the page may not see is told so, and not as a status of the server', async () => {
    // What fetch gives with `no-cors`: opaque, as this one is but for its type.
    const { error } = await parse(Response.error())
    expect(error).toMatchObject({ code: 'http-status', status: 0, message: expect.stringContaining("'no-cors'") })
  })

  it("keeps the server's own code, message and retryable when its body is our error JSON", async () => {
    const body = JSON.stringify({ error: { code: 'overload', message: 'Busy', retryable: true } })
    for (const init of [{ status: 400, headers: { 'content-type': 'application/json' } }, { status: 400 }]) {
      expect((await parse(respond(body, init))).error).toMatchObject({
        code: 'overload',
        message: 'Busy',
        status: 400,
        retryable: true,
        body,
      })
    }
  })

  it.each(['null', '1', '"x"', '[]', '{}', '{"error":null}', '{"error":"x"}', '{"error":{"code":1}}', '{"error":{'])(
    'whose body is %s is told by its status',
    async (body) => {
      expect((await parse(respond(body, { status: 403 }))).error).toMatchObject({
        code: 'http-status',
        status: 403,
        body,
      })
    },
  )

  it('has no more of its body than 64 KiB, and the rest is not read', async () => {
    const body = openBody(...Array.from({ length: 100 }, () => 'é'.repeat(10_000)))
    const { error } = await parse(respond(body.stream, { status: 500 }))
    expect((error as RelayError).body).toBe('é'.repeat(65_536))
    expect(body.reads).toBe(7)
    expect(body.cancels).toBe(1)
    expect(leftBehind(body.stream)).toEqual(NOTHING)
  })

  it.each([
    'text/html',
    'application/json',
    'text/event-streams',
    'x text/event-stream',
    'text/plain; text/event-stream',
    'text/event-stream, text/html',
  ])('with the content type %j is an error with its body, not a stream of nothing', async (type) => {
    const { error } = await parse(respond('<h1>Hello</h1>', { headers: { 'content-type': type } }))
    expect(error).toMatchObject({
      code: 'content-type',
      message: expect.stringContaining(JSON.stringify(type)),
      status: 200,
      body: '<h1>Hello</h1>',
    })
  })

  it("with the status of an answer keeps the server's own code all the same, when its body is our error JSON", async () => {
    const body = JSON.stringify({ error: { code: 'overload', message: 'Busy', retryable: true } })
    const { error } = await parse(new Response(body, { headers: { 'content-type': 'application/json' } }))
    expect(error).toMatchObject({ code: 'overload', message: 'Busy', status: 200, retryable: true, body })
  })

  it('without a content type is an error', async () => {
    const { error } = await parse(new Response(encoder.encode('data: 1\n\n')))
    expect(error).toMatchObject({
      code: 'content-type',
      message: expect.stringMatching(/content-type is missing: error\.body/),
      body: 'data: 1\n\n',
    })
  })

  it('that is empty, as that of a handler which returned too early, says so', async () => {
    const { error } = await parse(new Response(''))
    const message = expect.stringMatching(
      /content-type is "text\/plain;.*it is empty: does the handler return, or await/,
    )
    expect(error).toMatchObject({ code: 'content-type', message })
    const bare = await parse(new Response(null))
    expect(bare.error).toMatchObject({ message: expect.stringMatching(/is missing: it is empty: does/) })
    expect((await parse(new Response(null, { status: 204 }))).error).toMatchObject({
      message: expect.not.stringContaining('handler'),
    })
  })

  it.each([
    'text/event-stream',
    'text/event-stream;',
    'Text/Event-Stream ; charset=UTF-8',
    'text/event-stream;charset=windows-1252',
    'text/event-stream\t; charset=utf-8',
    'text/event-stream; note="one, two"',
    // Two layers have set it.
    'text/event-stream, text/event-stream;charset=utf-8',
    'text/plain, text/event-stream',
  ])('is not what has the content type %j', async (type) => {
    expect(dataOf(await parse(respond('data: …\n\ndata: [DONE]\n\n', { headers: { 'content-type': type } })))).toEqual([
      '…',
    ])
  })

  it('is one in React Native too', async () => {
    const response = {
      ok: false,
      status: 429,
      headers: new Headers(),
      text: async () => '{"error":{"code":"rate-limit"}}',
    }
    expect((await parse(response)).error).toMatchObject({ code: 'rate-limit', status: 429 })
  })

  it.each(['is cut', 'stalls'])('whose own body %s is told by its status all the same', async (how) => {
    const body = openBody('{"error":{"code":')
    const idleTimeoutMs = how === 'stalls' ? 50 : undefined
    const reading = parse(respond(body.stream, { status: 401 }), { idleTimeoutMs })
    await eventually(() => expect(body.reads).toBe(2))
    if (how === 'is cut') body.fail(new TypeError('terminated'))
    expect((await reading).error).toMatchObject({
      code: 'http-status',
      status: 401,
      retryable: false,
      body: '{"error":{"code":',
    })
  })

  it('is not read before it is asked, and is let go by return()', async () => {
    const body = openBody('x')
    const events = parseSSE(respond(body.stream, { status: 500 }))
    await events.return()
    expect(body).toMatchObject({ reads: 0, cancels: 1 })
  })

  it('is one whose body was read before', async () => {
    const response = respond('data: 1\n\n')
    await response.text()
    expect((await parse(response)).error).toMatchObject({
      code: 'response-used',
      message: expect.stringContaining('clone'),
    })
  })

  it('is one whose body someone else reads', async () => {
    const response = respond('data: 1\n\n')
    response.body?.getReader()
    expect((await parse(response)).error).toMatchObject({ code: 'response-used' })
  })
})

describe('a connection that fails', () => {
  it('is an error with its cause, after the events that came', async () => {
    const body = openBody(`${A_B}data: half`)
    const { signal } = new AbortController()
    const events = parseSSE(respond(body.stream), { signal })
    await events.next()
    await events.next()
    const cause = new TypeError('terminated')
    const next = events.next()
    body.fail(cause)
    await expect(next).rejects.toMatchObject({
      name: 'RelayError',
      code: 'network',
      message: expect.stringContaining('terminated'),
      cause,
      retryable: true,
      received: 2,
      lastEventId: '1',
      pending: 'data: half',
    })
    expect(await events.next()).toEqual({ done: true, value: undefined })
    expect(leftBehind(body.stream, signal)).toEqual(NOTHING)
  })

  it('by a reset socket is that too', async () => {
    let reset!: () => void
    const server = createServer((_, res) => {
      reset = () => res.socket?.resetAndDestroy()
      res.writeHead(200, EVENT_STREAM).write(`${A_B}data: c`)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanups.push(() => server.close())
    const events = parseSSE(await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
    await events.next()
    await events.next()
    reset()
    await expect(events.next()).rejects.toMatchObject({
      code: 'network',
      received: 2,
      lastEventId: '1',
      cause: expect.any(TypeError),
    })
  })

  it('without an Error is that too', async () => {
    const body = openBody()
    const next = parseSSE(body.stream).next()
    body.fail('gone')
    await expect(next).rejects.toMatchObject({
      code: 'network',
      message: expect.stringContaining('gone'),
      cause: 'gone',
    })
  })

  it('passes on a RelayError of an iterable as it is', async () => {
    const thrown = new RelayError('my-code', 'No')
    async function* generate() {
      yield 'data: 1\n\n'
      throw thrown
    }
    const { events, error } = await parse(generate())
    expect(events).toHaveLength(1)
    expect(error).toBe(thrown)
  })

  it('by an iterable that throws before it is a promise is that too', async () => {
    const iterable = {
      [Symbol.asyncIterator]: () => ({
        next(): never {
          throw new Error('now')
        },
      }),
    }
    expect((await parse(iterable)).error).toMatchObject({ code: 'network', message: expect.stringContaining('now') })
  })
})

describe('an event that is too large', () => {
  it('is an error, after the events before it, whatever its chunks (rexxars/eventsource-parser#32)', async () => {
    const wire = `${A_B}data: ${'x'.repeat(20)}\n\ndata: c\n\n`
    for (const chunks of [[wire], [...wire]]) {
      const body = openBody(...chunks)
      const { events, error } = await parse(body.stream, { maxEventSize: 20 })
      expect(events).toHaveLength(2)
      expect(error).toMatchObject({ code: 'event-too-large', received: 2, lastEventId: '1', retryable: false })
      expect((error as RelayError).pending).toMatch(/^data: x*/)
      expect(body.cancels).toBe(1)
      expect(leftBehind(body.stream)).toEqual(NOTHING)
    }
  })
})

describe('comments and retries', () => {
  it('are told when they are read, up to the end', async () => {
    const told: unknown[] = []
    await parse(': a\nretry: 5\n\n: b\ndata: [DONE]\n\n: c\nretry: 6\n\n', {
      onComment: (comment) => told.push(comment),
      onRetry: (retry) => told.push(retry),
    })
    expect(told).toEqual(['a', 5, 'b'])
  })

  it('are not told once a callback has ended the reading, though their chunk was read', async () => {
    const controller = new AbortController()
    const told: unknown[] = []
    const { events, error } = await parse(': a\n: b\nretry: 5\ndata: 1\n\n', {
      signal: controller.signal,
      onComment(comment) {
        told.push(comment)
        controller.abort()
      },
      onRetry: (retry) => told.push(retry),
    })
    expect({ told, events }).toEqual({ told: ['a'], events: [] })
    expect(error).toMatchObject({ name: 'AbortError' })
  })

  it.each(['onComment', 'onRetry'])('an error of %s is thrown by the reading, and cancels the body', async (name) => {
    const thrown = new Error('no')
    const body = openBody('data: 1\n\n: a\nretry: 1\n')
    const { events, error } = await parse(body.stream, {
      [name]() {
        throw thrown
      },
    })
    expect(events).toHaveLength(1)
    expect(error).toBe(thrown)
    expect(body.cancels).toBe(1)
  })
})

/** Bodies that do not end when they are told to, each with what tells whether it was told. */
const stubborn: [string, () => { input: SSEInput; told(): boolean }][] = [
  [
    'a stream whose cancel() never settles',
    () => {
      const body = openBody('data: 1\n\ndata: 2\n\n')
      let told = false
      const reader = body.stream.getReader()
      const cancel = () => {
        told = true
        return new Promise(() => {})
      }
      return {
        input: { getReader: () => ({ read: () => reader.read(), cancel, releaseLock() {} }) },
        told: () => told,
      }
    },
  ],
  [
    'a stream whose cancel() rejects',
    () => {
      let told = false
      let sent = false
      const input = new ReadableStream<string>(
        {
          pull(controller) {
            if (!sent) controller.enqueue('data: 1\n\ndata: 2\n\n')
            sent = true
          },
          cancel() {
            told = true
            throw new Error('I will not')
          },
        },
        { highWaterMark: 0 },
      )
      return { input, told: () => told }
    },
  ],
  [
    'a generator, whose return() waits for its next()',
    () => {
      let told = false
      async function* generate() {
        yield 'data: 1\n\ndata: 2\n\n'
        await new Promise(() => {})
      }
      const generator = generate()
      return {
        input: {
          [Symbol.asyncIterator]: () => ({
            next: () => generator.next(),
            return() {
              told = true
              return generator.return()
            },
          }),
        },
        told: () => told,
      }
    },
  ],
  [
    'an iterator whose return() rejects',
    () => {
      let told = false
      let sent = false
      return {
        input: {
          [Symbol.asyncIterator]: () => ({
            async next() {
              if (sent) return new Promise<never>(() => {})
              sent = true
              return { done: false, value: 'data: 1\n\ndata: 2\n\n' }
            },
            async return() {
              told = true
              throw new Error('I will not')
            },
          }),
        },
        told: () => told,
      }
    },
  ],
  [
    'an iterator without return()',
    () => {
      let sent = false
      return {
        input: {
          [Symbol.asyncIterator]: () => ({
            async next() {
              if (sent) return new Promise<never>(() => {})
              sent = true
              return { done: false, value: 'data: 1\n\ndata: 2\n\n' }
            },
          }),
        },
        told: () => true,
      }
    },
  ],
]

describe('an abort', () => {
  const aborted = expect.objectContaining({ name: 'AbortError' })

  it('before there is a stream: nothing is read (Azure/fetch-event-source#98)', async () => {
    const body = openBody(A_B)
    const signal = AbortSignal.abort()
    const events = parseSSE(respond(body.stream), { signal })
    await expect(events.next()).rejects.toBe(signal.reason)
    expect(signal.reason).toEqual(aborted)
    expect(body).toMatchObject({ reads: 0, cancels: 1 })
    expect(leftBehind(body.stream, signal)).toEqual(NOTHING)
    expect(await events.next()).toEqual({ done: true, value: undefined })
  })

  it('before the first next(): nothing is read', async () => {
    const body = openBody(A_B)
    const controller = new AbortController()
    const events = parseSSE(respond(body.stream), { signal: controller.signal })
    controller.abort()
    await expect(events.next()).rejects.toEqual(aborted)
    expect(body).toMatchObject({ reads: 0, cancels: 1 })
    expect(leftBehind(body.stream, controller.signal)).toEqual(NOTHING)
  })

  it('before the first next(): the body is cancelled at once, not when someone reads', () => {
    const body = openBody(A_B)
    const controller = new AbortController()
    parseSSE(respond(body.stream), { signal: controller.signal })
    controller.abort()
    expect(body).toMatchObject({ reads: 0, cancels: 1 })
    expect(leftBehind(body.stream, controller.signal)).toEqual(NOTHING)
  })

  it('during a read: the body is cancelled at once and the read is over', async () => {
    const body = openBody(A_B)
    const controller = new AbortController()
    const events = parseSSE(respond(body.stream), { signal: controller.signal })
    await events.next()
    await events.next()
    const next = events.next()
    await eventually(() => expect(body.reads).toBe(2))
    controller.abort()
    expect(body.cancels).toBe(1)
    expect(leftBehind(body.stream, controller.signal)).toEqual(NOTHING)
    await expect(next).rejects.toBe(controller.signal.reason)
    expect(await events.next()).toEqual({ done: true, value: undefined })
  })

  it('during a read that several wait for: the first is told, the others find the end', async () => {
    const body = openBody()
    const controller = new AbortController()
    const events = parseSSE(body.stream, { signal: controller.signal })
    const all = Promise.allSettled([events.next(), events.next(), events.next()])
    await eventually(() => expect(body.reads).toBe(1))
    controller.abort()
    expect((await all).map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  })

  it('between reads: the body is cancelled at once, and what was read is not handed over', async () => {
    const body = openBody(A_B)
    const controller = new AbortController()
    const events = parseSSE(body.stream, { signal: controller.signal })
    const seen: ParsedEvent[] = []
    await expect(async () => {
      for await (const event of events) {
        seen.push(event)
        controller.abort()
        expect(body.cancels).toBe(1)
        expect(leftBehind(body.stream, controller.signal)).toEqual(NOTHING)
      }
    }).rejects.toEqual(aborted)
    expect(seen).toEqual([{ data: 'a', id: '1' }])
  })

  it('between reads, after the sentinel was read: what is left is not handed over', async () => {
    const controller = new AbortController()
    const events = parseSSE('data: 1\n\ndata: 2\n\ndata: [DONE]\n\n', { signal: controller.signal })
    await events.next()
    controller.abort()
    await expect(events.next()).rejects.toEqual(aborted)
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  it.each([200, 500])('while a body of status %i and no event stream is read', async (status) => {
    const body = openBody('<html>')
    const controller = new AbortController()
    const next = parseSSE(new Response(body.stream, { status }), { signal: controller.signal }).next()
    await eventually(() => expect(body.reads).toBe(2))
    controller.abort()
    await expect(next).rejects.toEqual(aborted)
    expect(body.cancels).toBe(1)
  })

  it.each(stubborn)('does not wait for %s', async (_, make) => {
    for (const pending of [true, false]) {
      const { input, told } = make()
      const controller = new AbortController()
      const events = parseSSE(input, { signal: controller.signal })
      await events.next()
      if (pending) await events.next()
      const next = pending ? events.next() : undefined
      await new Promise(setImmediate)
      controller.abort()
      expect(told()).toBe(true)
      await expect(next ?? events.next()).rejects.toEqual(aborted)
      expect(getEventListeners(controller.signal, 'abort')).toEqual([])
    }
  })

  it('of a fetch, with the same signal for both, is the same AbortError', async () => {
    const upstream = await replayUpstream({ body: 'data: 1\n\n', stallAfter: 1 })
    cleanups.push(() => upstream.close())
    const controller = new AbortController()
    const { signal } = controller
    const events = parseSSE(await fetch(upstream.url, { signal }), { signal })
    await events.next()
    const next = events.next()
    controller.abort()
    await expect(next).rejects.toEqual(aborted)
    expect(await upstream.requests[0]?.closed).toMatchObject({ by: 'client' })
  })

  it('of a fetch alone is an AbortError as well, no failure of the network', async () => {
    const upstream = await replayUpstream({ body: 'data: 1\n\n', stallAfter: 1 })
    cleanups.push(() => upstream.close())
    const controller = new AbortController()
    const events = parseSSE(await fetch(upstream.url, { signal: controller.signal }))
    await events.next()
    const next = events.next()
    controller.abort()
    await expect(next).rejects.toEqual(aborted)
  })

  it('throws a reason that is an Error as it is, and any other as the cause of an AbortError', async () => {
    const reason = new Error('enough')
    await expect(parseSSE('', { signal: AbortSignal.abort(reason) }).next()).rejects.toBe(reason)
    await expect(parseSSE('', { signal: AbortSignal.abort('enough') }).next()).rejects.toMatchObject({
      name: 'AbortError',
      cause: 'enough',
    })
    const signal = AbortSignal.timeout(1)
    await expect(parseSSE(openBody().stream, { signal }).next()).rejects.toMatchObject({ name: 'TimeoutError' })
  })

  it('after the end changes nothing', async () => {
    const controller = new AbortController()
    const events = parseSSE('data: 1\n\ndata: [DONE]\n\n', { signal: controller.signal })
    await read(events)
    controller.abort()
    expect(await events.next()).toEqual({ done: true, value: undefined })
  })

  it('finds no listeners of streams that are over, whatever their end', async () => {
    const { signal } = new AbortController()
    const inputs: SSEInput[] = [
      'data: [DONE]\n\n',
      'event: error\ndata\n\n',
      '',
      respond('', { status: 500 }),
      new Response(''),
    ]
    const used = respond('')
    await used.text()
    for (const input of [...inputs, used, iterate(1 as never)]) await parse(input, { signal })
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('leaving', () => {
  const ways: [string, (events: EventStream) => Promise<unknown>][] = [
    ['return()', (events) => events.return()],
    ['throw()', (events) => events.throw(new Error('mine')).catch(() => {})],
    [
      'break',
      async (events) => {
        for await (const _ of events) break
      },
    ],
    [
      'an error in the loop',
      async (events) => {
        await expect(async () => {
          for await (const _ of events) throw new Error('mine')
        }).rejects.toThrow('mine')
      },
    ],
  ]

  it.each(ways)(
    'by %s cancels the body, releases the lock and leaves no listener (lukeed/fetch-event-stream)',
    async (_, leave) => {
      const body = openBody(A_B, 'data: c\n\n')
      const { signal } = new AbortController()
      const events = parseSSE(respond(body.stream), { signal })
      await events.next()
      await leave(events)
      expect(body.cancels).toBe(1)
      expect(leftBehind(body.stream, signal)).toEqual(NOTHING)
      expect(await events.next()).toEqual({ done: true, value: undefined })
      expect(body.reads).toBe(1)
    },
  )

  it.each(ways.slice(0, 2))('by %s before the first next() does the same', async (_, leave) => {
    const body = openBody(A_B)
    const { signal } = new AbortController()
    const events = parseSSE(respond(body.stream), { signal })
    await leave(events)
    expect(body).toMatchObject({ reads: 0, cancels: 1 })
    expect(leftBehind(body.stream, signal)).toEqual(NOTHING)
    expect(await events.next()).toEqual({ done: true, value: undefined })
  })

  it('by return() during a read does the same at once, and the read is over', async () => {
    const body = openBody()
    const { signal } = new AbortController()
    const events = parseSSE(body.stream, { signal })
    const reads = [events.next(), events.next()]
    await eventually(() => expect(body.reads).toBe(1))
    const returned = events.return()
    expect(body.cancels).toBe(1)
    expect(leftBehind(body.stream, signal)).toEqual(NOTHING)
    for (const result of await Promise.all([returned, ...reads]))
      expect(result).toEqual({ done: true, value: undefined })
  })

  it('by throw() rejects with what it was given', async () => {
    const error = new Error('mine')
    await expect(parseSSE('').throw(error)).rejects.toBe(error)
  })

  it.each(stubborn)('does not wait for %s', async (_, make) => {
    const { input, told } = make()
    const events = parseSSE(input)
    await events.next()
    await events.next()
    const next = events.next()
    await new Promise(setImmediate)
    expect(await events.return()).toEqual({ done: true, value: undefined })
    expect(told()).toBe(true)
    expect(await next).toEqual({ done: true, value: undefined })
  })

  it('closes the connection', async () => {
    const upstream = await replayUpstream({ body: 'data: 1\n\n', stallAfter: 1 })
    cleanups.push(() => upstream.close())
    for await (const _ of parseSSE(await fetch(upstream.url))) break
    expect(await upstream.requests[0]?.closed).toMatchObject({ by: 'client' })
  })

  const moments: [string, (events: EventStream) => unknown][] = [
    ['before the first next()', () => {}],
    [
      'during a read',
      async (events) => {
        await events.next()
        events.next().catch(() => {})
      },
    ],
  ]
  const leaves: [string, (events: EventStream, controller: AbortController) => unknown][] = [
    ['return()', (events) => events.return()],
    ['an abort', (_, controller) => controller.abort()],
  ]
  describe.each(moments)('%s', (_, come) => {
    // Their iterators answer return() after the next bytes, or let go of nothing (whatwg/streams#1255).
    it.each(leaves)('closes the connection of a Node stream by %s', async (_, leave) => {
      const upstream = await replayUpstream({ body: 'data: 1\n\n', stallAfter: 1 })
      cleanups.push(() => upstream.close())
      const [answer] = await once(get(upstream.url, { agent: false }), 'response')
      const controller = new AbortController()
      const events = parseSSE(answer, { signal: controller.signal })
      await come(events)
      await leave(events, controller)
      expect(await upstream.requests[0]?.closed).toMatchObject({ by: 'client' })
      expect(answer.destroyed).toBe(true)
    })
  })

  it('twice is no mistake, nor is leaving a body that someone else reads', async () => {
    const response = respond('data: 1\n\n')
    response.body?.getReader()
    const events = parseSSE(response)
    await events.return()
    await events.return()
    expect(await events.next()).toEqual({ done: true, value: undefined })
  })
})
