import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { RelayError } from 'sse-relay'
import { parseSSE } from 'sse-relay/client'
import { type ProviderName, providerError, type Replay, type ReplayUpstream, replayUpstream } from 'sse-relay/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { show } from '../../src/errors.js'
import { failureOf, mistake, outcomeOf, toFailure, typeMistake } from '../../src/failure.js'

/** What a provider may say, and a client must never see. */
const SECRET = 'sk-live-1234567890'

let upstream: ReplayUpstream
beforeEach(async () => {
  upstream = await replayUpstream()
})
afterEach(() => upstream.close())

const messages = [{ role: 'user' as const, content: 'Hi' }]

type Ask = (options?: { baseURL?: string; timeout?: number }) => Promise<AsyncIterable<unknown>>

/** Each way to ask a provider for a stream with its real SDK. */
const asks: { name: string; provider: ProviderName; trace: string; ask: Ask }[] = [
  {
    name: 'openai chat.completions.create',
    provider: 'openai',
    trace: 'openai-chat-error-midstream.sse',
    ask: async (options) => openai(options).chat.completions.create({ model: 'm', messages, stream: true }),
  },
  {
    name: 'openai chat.completions.stream',
    provider: 'openai',
    trace: 'openai-chat-error-midstream.sse',
    ask: async (options) => openai(options).chat.completions.stream({ model: 'm', messages }),
  },
  {
    name: 'openai responses.create',
    provider: 'openai',
    trace: 'openai-responses-error-event.sse',
    ask: async (options) => openai(options).responses.create({ model: 'm', input: 'Hi', stream: true }),
  },
  {
    name: 'openai responses.stream',
    provider: 'openai',
    trace: 'openai-responses-error-event.sse',
    ask: async (options) => openai(options).responses.stream({ model: 'm', input: 'Hi' }),
  },
  {
    name: 'anthropic messages.create',
    provider: 'anthropic',
    trace: 'anthropic-error-overloaded.sse',
    ask: async (options) => anthropic(options).messages.create({ model: 'm', max_tokens: 9, messages, stream: true }),
  },
  {
    name: 'anthropic messages.stream',
    provider: 'anthropic',
    trace: 'anthropic-error-overloaded.sse',
    ask: async (options) => anthropic(options).messages.stream({ model: 'm', max_tokens: 9, messages }),
  },
]

function openai(options: Parameters<Ask>[0]): OpenAI {
  return new OpenAI({ apiKey: SECRET, baseURL: `${upstream.url}/v1`, maxRetries: 0, ...options })
}
function anthropic(options: Parameters<Ask>[0]): Anthropic {
  return new Anthropic({ apiKey: SECRET, baseURL: upstream.url, maxRetries: 0, ...options })
}

async function errorOf(ask: Ask, options?: Parameters<Ask>[0]): Promise<Error> {
  try {
    for await (const _ of await ask(options));
  } catch (error) {
    expect(error).toBeInstanceOf(Error)
    return error as Error
  }
  throw new Error('Nothing was thrown')
}

const RATE_LIMIT = { code: 'rate-limit', status: 429, retryable: true }
const OVERLOAD = { code: 'overload', status: 503, retryable: true }
const TIMEOUT = { code: 'upstream-timeout', status: 504, retryable: true }
const UPSTREAM = { code: 'upstream-failure', status: 502, retryable: true }
const REFUSED = { ...UPSTREAM, retryable: false }
const INTERNAL = { code: 'internal', status: 500, retryable: false }

describe.each(asks)('what $name throws', ({ provider, trace, ask }) => {
  it.each([
    [400, REFUSED],
    [401, REFUSED],
    [403, REFUSED],
    [404, REFUSED],
    [408, TIMEOUT],
    [409, REFUSED],
    [422, REFUSED],
    [429, RATE_LIMIT],
    [500, UPSTREAM],
    [502, UPSTREAM],
    [503, OVERLOAD],
    [504, TIMEOUT],
    [529, OVERLOAD],
  ])('for status %i', async (status, expected) => {
    const headers = { 'retry-after': '7', 'x-request-id': SECRET, 'request-id': SECRET }
    upstream.next({ ...providerError(provider, status, `No, ${SECRET}`), headers })
    const error = await errorOf(ask)
    expect(error.message).toContain(SECRET)
    const failure = toFailure(error)
    expect(failure).toEqual({ ...expected, message: expect.any(String), retryAfter: '7' })
    expect(JSON.stringify(failure)).not.toContain(SECRET)
  })

  it('for a failure told in the stream', async () => {
    upstream.next({ trace })
    expect(toFailure(await errorOf(ask))).toMatchObject(provider === 'anthropic' ? OVERLOAD : UPSTREAM)
  })

  it.each<[string, Replay, object]>([
    ['a reset before the answer', { resetAfter: 0, delayMs: 10 }, UPSTREAM],
    ['a reset in the middle', { resetAfter: 3, pauseMs: 20 }, UPSTREAM],
    [
      'what is not JSON',
      { status: 500, body: `<h1>${SECRET}</h1>`, headers: { 'content-type': 'text/html' } },
      UPSTREAM,
    ],
  ])('for %s', async (_, replay, expected) => {
    upstream.next(replay)
    const failure = toFailure(await errorOf(ask))
    expect(failure).toMatchObject(expected)
    expect(JSON.stringify(failure)).not.toContain(SECRET)
  })

  it('for a connection that is refused', async () => {
    const { url } = upstream
    await upstream.close()
    expect(toFailure(await errorOf(ask, { baseURL: url }))).toMatchObject(UPSTREAM)
  })

  it('for a timeout', async () => {
    upstream.next({ delayMs: Number.POSITIVE_INFINITY })
    expect(toFailure(await errorOf(ask, { timeout: 100 }))).toMatchObject(TIMEOUT)
  })
})

describe("what OpenAI's chat helper throws", () => {
  it('for an answer that was cut', async () => {
    // The other SDK streams end silently there, and the missing finish says so; this one looks for it itself.
    upstream.next({ trace: 'openai-chat-truncated-no-done.sse' })
    const error = await errorOf(asks.find(({ name }) => name === 'openai chat.completions.stream')?.ask as Ask)
    expect(error.message).toContain('missing finish_reason')
    expect(toFailure(error)).toMatchObject({ code: 'truncated', status: 502, retryable: true })
  })
})

describe('what other SDKs and fetch throw', () => {
  it.each<[string, unknown, object]>([
    ['a status', { status: 402 }, REFUSED],
    ['a statusCode', { statusCode: 429 }, RATE_LIMIT],
    ["AWS's metadata", { name: 'ThrottlingException', $metadata: { httpStatusCode: 400 } }, RATE_LIMIT],
    ["AWS's metadata without a status", { name: 'ModelStreamErrorException', $metadata: {} }, UPSTREAM],
    ['a name', { name: 'ServiceUnavailableException' }, OVERLOAD],
    ['a code', { code: 'rate_limit_exceeded', status: undefined }, RATE_LIMIT],
    ['a code of gRPC', { code: 'RESOURCE_EXHAUSTED', status: undefined }, RATE_LIMIT],
    ['a type', { type: 'overloaded_error', status: undefined }, OVERLOAD],
    ['a type within', { status: undefined, error: { type: 'error', error: { type: 'rate_limit_error' } } }, RATE_LIMIT],
    ['a status and a more telling type', { status: 500, type: 'overloaded_error' }, OVERLOAD],
    ['no status, where SDKs have one', { status: undefined }, UPSTREAM],
    ['a socket that was reset', { code: 'ECONNRESET' }, UPSTREAM],
    ['a socket that was refused', { code: 'ECONNREFUSED' }, UPSTREAM],
    ['a name without an address', { code: 'ENOTFOUND' }, UPSTREAM],
    ['a certificate', { code: 'CERT_HAS_EXPIRED' }, UPSTREAM],
    ['a socket that timed out', { code: 'ETIMEDOUT' }, TIMEOUT],
    ['headers that timed out (earendil-works/pi#3715)', { code: 'UND_ERR_HEADERS_TIMEOUT' }, TIMEOUT],
    ['fetch that failed', { message: 'fetch failed', cause: { code: 'EHOSTUNREACH' } }, UPSTREAM],
    ['fetch that timed out', { message: 'fetch failed', cause: { code: 'UND_ERR_CONNECT_TIMEOUT' } }, TIMEOUT],
    ["Deno's fetch, cut off", { message: 'error reading a body from connection' }, UPSTREAM],
    ["workerd's fetch, cut off", { message: 'Network connection lost.', retryable: true }, UPSTREAM],
    ['a body that timed out', { message: 'terminated', cause: { code: 'UND_ERR_BODY_TIMEOUT' } }, TIMEOUT],
    ['AbortSignal.timeout', new DOMException('The operation timed out', 'TimeoutError'), TIMEOUT],
    ['a cause', { message: 'x', cause: { message: 'y', cause: { status: 503 } } }, OVERLOAD],
  ])('%s', (_, error, expected) => {
    const thrown = error instanceof Error ? error : Object.assign(new Error(SECRET), error)
    const failure = toFailure(thrown)
    expect(failure).toMatchObject(expected)
    expect(JSON.stringify(failure)).not.toContain(SECRET)
  })

  it('a fetch that finds no server', async () => {
    const { url } = upstream
    await upstream.close()
    expect(toFailure(await fetch(url).catch((error) => error))).toMatchObject(UPSTREAM)
  })
})

describe('what is no failure of a provider', () => {
  it.each([
    new TypeError("Cannot read properties of undefined (reading 'choices')"),
    new Error(SECRET),
    new SyntaxError('Unexpected token'),
    Object.assign(new Error('no such file'), { code: 'ENOENT' }),
    Object.assign(new Error('a'), { cause: new Error('b', { cause: 'c' }) }),
    new AggregateError([], 'a'),
    Object.assign(new Error(), { message: undefined }),
    Object.assign(new Error(), { message: { a: 1 } }),
    'a string',
    SECRET,
    undefined,
    null,
    0,
    Symbol('a'),
    {},
    Object.create(null),
  ])('%o is internal', (error) => {
    const failure = toFailure(error)
    expect(failure).toMatchObject(INTERNAL)
    expect(JSON.stringify(failure)).not.toContain(SECRET)
  })

  // Not in the table, whose titles look at what they name.
  it('an error whose message throws when it is read is internal', () => {
    const error = Object.defineProperty(new Error(), 'message', {
      get() {
        throw new Error('no')
      },
    })
    expect(toFailure(error)).toMatchObject(INTERNAL)
  })

  it('a cause that is a circle is looked at only so far', () => {
    const error = new Error('a')
    error.cause = error
    expect(toFailure(error)).toMatchObject(INTERNAL)
  })
})

describe('a RelayError', () => {
  it.each([
    'rate-limit',
    'overload',
    'upstream-timeout',
    'upstream-failure',
    'internal',
    'truncated',
    'stopped',
    'shutdown',
    'expired',
  ])('with the code %s is that failure, in our words', (code) => {
    const failure = toFailure(new RelayError(code, SECRET, { body: SECRET, pending: SECRET, cause: SECRET }))
    expect(failure).toEqual(failureOf(code))
    expect(JSON.stringify(failure)).not.toContain(SECRET)
  })

  it.each(['my-code', 'constructor', '__proto__', 'toString', 'invalid-option'])(
    'with another code, %s, is internal',
    (code) => {
      expect(toFailure(new RelayError(code, SECRET))).toEqual(failureOf('internal'))
    },
  )

  it.each<[string, string, object, object]>([
    ['an answer that was refused', 'data', { status: 401 }, REFUSED],
    [
      'too many requests',
      '{"error":{"code":"insufficient_quota","message":"sk-live-1234567890"}}',
      { status: 429 },
      RATE_LIMIT,
    ],
    [
      'what is no event stream',
      '<html>',
      { headers: { 'content-type': 'text/html' } },
      { code: 'upstream-failure', status: 502 },
    ],
    [
      'a failure in the stream',
      'event: error\ndata: {"error":{"type":"overloaded_error","message":"sk-live-1234567890"}}\n\n',
      {},
      OVERLOAD,
    ],
    ['a failure in the stream, of no known kind', 'event: error\ndata: sk-live-1234567890\n\n', {}, UPSTREAM],
    [
      'a failure in the stream, with a code of its own',
      'event: error\ndata: {"error":{"code":"sk-live-1234567890"}}\n\n',
      {},
      UPSTREAM,
    ],
    [
      'an answer that was cut',
      'data: sk-live-1234567890\n\ndata: sk-live',
      {},
      { code: 'truncated', status: 502, retryable: true },
    ],
  ])('of parseSSE within a source, for %s', async (_, body, init, expected) => {
    const response = new Response(body, { headers: { 'content-type': 'text/event-stream' }, ...init })
    const error = await errorOf(async () => parseSSE(response))
    const failure = toFailure(error)
    expect(failure).toMatchObject(expected)
    expect(JSON.stringify(failure)).not.toContain(SECRET)
  })

  it.each([
    ['idle-timeout', TIMEOUT],
    ['event-timeout', TIMEOUT],
    ['network', UPSTREAM],
    ['content-type', UPSTREAM],
    ['invalid-json', UPSTREAM],
  ])('of the client with the code %s', (code, expected) => {
    expect(toFailure(new RelayError(code, SECRET))).toMatchObject(expected)
  })
})

describe('expose', () => {
  const exposed = (error: object) => toFailure(Object.assign(new Error('Pay first'), { expose: true }, error))

  it('shows the own words, status, code and retryable of an error', () => {
    expect(exposed({ status: 402, code: 'pay-first', retryable: true })).toEqual({
      code: 'pay-first',
      message: 'Pay first',
      status: 402,
      retryable: true,
    })
    expect(toFailure(new RelayError('pay-first', 'Pay first', { expose: true, status: 402 }))).toEqual({
      code: 'pay-first',
      message: 'Pay first',
      status: 402,
      retryable: false,
    })
  })

  it.each([
    [{ status: 400 }, 'http-status', 400],
    [{ status: 404 }, 'http-status', 404],
    [{ statusCode: 413 }, 'http-status', 413],
    [{ status: 429 }, 'rate-limit', 429],
    [{ status: 503 }, 'overload', 503],
    [{ status: 200 }, 'http-status', 502],
    [{ status: 99 }, 'http-status', 502],
    [{}, 'http-status', 500],
  ])('as http-errors has it: %o', (error, code, status) => {
    expect(exposed(error)).toMatchObject({ code, status, message: 'Pay first' })
  })

  it.each([undefined, false, 'true', 1, {}])('is true and nothing else: %o', (expose) => {
    expect(JSON.stringify(exposed({ expose, status: 402, code: 'pay-first' }))).not.toMatch(/Pay first|pay-first|402/)
  })
})

describe('Retry-After', () => {
  const retryAfter = (headers: unknown) => toFailure(Object.assign(new Error(''), { status: 429, headers })).retryAfter
  const date = 'Wed, 21 Oct 2026 07:28:00 GMT'

  it.each([['7'], [date], ['0']])('%s is passed on', (value) => {
    expect(retryAfter(new Headers({ 'retry-after': value }))).toBe(value)
    expect(retryAfter({ 'retry-after': value })).toBe(value)
  })

  it.each([
    [SECRET],
    ['7\r\nset-cookie: a=b'],
    ['-1'],
    ['1e9'],
    ['1.5'],
    ['12345678901'],
    [' 7'],
    [''],
    [null],
    [undefined],
    [{}],
    [['7']],
  ])('%j is not', (value) => {
    const passed = retryAfter({ 'retry-after': value })
    expect(passed).toBeUndefined()
  })

  it('as a number is passed on as text', () => {
    expect(retryAfter({ 'retry-after': 7 })).toBe('7')
  })

  it('of what is no headers is none', () => {
    for (const headers of [undefined, null, 'retry-after: 7', [], { get: 1 }])
      expect(retryAfter(headers)).toBeUndefined()
  })
})

describe('the words', () => {
  it.each([
    ['rate-limit', 429, true],
    ['overload', 503, true],
    ['upstream-timeout', 504, true],
    ['upstream-failure', 502, true],
    ['internal', 500, false],
    ['truncated', 502, true],
    ['stopped', 409, false],
    ['shutdown', 503, true],
    ['expired', 504, false],
    ['constructor', 500, false],
    ['my-code', 500, false],
  ])('of %s: status %i, retryable %s', (code, status, retryable) => {
    expect(failureOf(code)).toEqual({ code, status, retryable, message: expect.stringMatching(/^[A-Z][^:;]*\.$/) })
  })

  it('are a new object each time, for whoever changes it', () => {
    expect(failureOf('internal')).not.toBe(failureOf('internal'))
  })

  it.each([
    ['truncated', 'truncated'],
    ['stopped', 'stopped'],
    ['shutdown', 'shutdown'],
    ['expired', 'expired'],
    ['rate-limit', 'error'],
    ['disconnected', 'error'],
    ['done', 'error'],
  ])('the outcome of %s is %s', (code, outcome) => {
    expect(outcomeOf(code)).toBe(outcome)
  })

  it('of a mistake of the developer are ours to show by their code, and the message is for the developer', () => {
    for (const error of [mistake('invalid-source', 'Give a stream'), typeMistake('invalid-source', 'Give a stream')]) {
      expect(toFailure(error)).toEqual(failureOf('invalid-source'))
      expect(error.message).toBe('Give a stream')
    }
    expect(typeMistake('invalid-source', '')).toBeInstanceOf(TypeError)
  })
})

describe('show', () => {
  it.each([
    ['a', '"a"'],
    ['a\n', '"a\\n"'],
    ['x'.repeat(100), `"${'x'.repeat(80)}…"`],
    [1, '1'],
    [1n, '1'],
    [undefined, 'undefined'],
    [null, 'null'],
    [Symbol('a'), 'Symbol(a)'],
    [() => {}, 'a function'],
    [class A {}, 'a function'],
    [{}, 'an object (Object)'],
    [[], 'an object (Array)'],
    [new Date(), 'an object (Date)'],
    [Object.create(null), 'an object (without a prototype)'],
  ])('%o', (value, shown) => {
    expect(show(value)).toBe(shown)
  })
})
