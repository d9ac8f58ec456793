import { describe, expect, it } from 'vitest'
import { toFailure } from '../../src/failure.js'

const SECRET = 'sk-secret'
const error = (name: string, message: string, fields: object = {}) =>
  Object.assign(new Error(message), { name, ...fields })
const headers = new Headers({ 'retry-after': '7' })

describe('what clients throw that say their provider’s status elsewhere', () => {
  it.each<[string, Error, object]>([
    [
      'Hugging Face, refused',
      error('ProviderApiError', SECRET, { httpRequest: {}, httpResponse: { status: 429, body: {} } }),
      { code: 'rate-limit', status: 429, retryable: true },
    ],
    [
      'Hugging Face, failed amid an answer of status 200',
      error('ProviderApiError', SECRET, { httpResponse: { status: 200 } }),
      { code: 'upstream-failure', status: 502, retryable: true },
    ],
    [
      'Replicate',
      error('ApiError', SECRET, { request: {}, response: new Response('', { status: 503 }) }),
      { code: 'overload', status: 503 },
    ],
    [
      'xsai, with when to come back',
      error('XSAIError', SECRET, { response: new Response('', { status: 429, headers }) }),
      { code: 'rate-limit', retryAfter: '7' },
    ],
    [
      'Vertex, in the cause',
      error('ClientError', SECRET, {
        cause: error('GoogleApiError', SECRET, { code: 429, status: 'RESOURCE_EXHAUSTED' }),
      }),
      { code: 'rate-limit' },
    ],
    ['Genkit', error('GenkitError', SECRET, { code: 429, status: 'RESOURCE_EXHAUSTED' }), { code: 'rate-limit' }],
    ['Genkit, away', error('GenkitError', SECRET, { code: 500, status: 'UNAVAILABLE' }), { code: 'overload' }],
    ['Genkit, late', error('GenkitError', SECRET, { status: 'DEADLINE_EXCEEDED' }), { code: 'upstream-timeout' }],
    [
      'Genkit, refused for good',
      error('GenkitError', SECRET, { code: 400, status: 'INVALID_ARGUMENT' }),
      { code: 'upstream-failure', retryable: false },
    ],
    [
      'the AI SDK, broken amid an answer of status 200',
      error('AI_APICallError', 'Failed to process successful response', {
        statusCode: 200,
        cause: new TypeError('terminated'),
      }),
      { code: 'upstream-failure', retryable: true },
    ],
    [
      'the sessions of OpenAI’s hosted agents, cut',
      error('Error', 'Session event stream ended before the turn reached idle or failed'),
      { code: 'truncated', retryable: true },
    ],
    [
      'HTTP/2 (the SDKs of AWS)',
      error('Error', SECRET, { code: 'ERR_HTTP2_STREAM_ERROR' }),
      { code: 'upstream-failure', retryable: true },
    ],
    ['a body whose compression was cut', error('Error', SECRET, { code: 'Z_BUF_ERROR' }), { code: 'upstream-failure' }],
    [
      'a body in broken chunks',
      error('Error', SECRET, { code: 'HPE_INVALID_CHUNK_SIZE' }),
      { code: 'upstream-failure', retryable: true },
    ],
    [
      'a certificate that nobody signed',
      error('Error', SECRET, { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }),
      { code: 'upstream-failure' },
    ],
    ['Bun, of a wrong host', error('Error', SECRET, { code: 'FailedToOpenSocket' }), { code: 'upstream-failure' }],
    [
      'the AI SDK, after its last try',
      error('AI_RetryError', SECRET, {
        lastError: error('AI_APICallError', SECRET, { statusCode: 429, responseHeaders: { 'retry-after': '7' } }),
      }),
      { code: 'rate-limit', retryAfter: '7' },
    ],
    [
      'several providers that were asked at once',
      new AggregateError([error('Error', SECRET), error('APIError', SECRET, { status: 503, headers })], SECRET),
      { code: 'overload', retryAfter: '7' },
    ],
    [
      'two addresses of one provider',
      new AggregateError([error('Error', SECRET, { code: 'ECONNREFUSED' })]),
      { code: 'upstream-failure' },
    ],
    [
      'got',
      error('HTTPError', SECRET, { response: { statusCode: 429, headers: { 'retry-after': '7' } } }),
      { code: 'rate-limit', retryAfter: '7' },
    ],
    ['a client that has the status for a code', error('Error', SECRET, { code: 429 }), { code: 'rate-limit' }],
    ['Gaxios', error('GaxiosError', SECRET, { code: '503' }), { code: 'overload' }],
    ['gRPC', error('Error', `8 RESOURCE_EXHAUSTED: ${SECRET}`, { code: 8, details: SECRET }), { code: 'rate-limit' }],
    ['gRPC, away', error('Error', `14 UNAVAILABLE: ${SECRET}`, { code: 14 }), { code: 'overload' }],
    ['gRPC, late', error('Error', `4 DEADLINE_EXCEEDED: ${SECRET}`, { code: 4 }), { code: 'upstream-timeout' }],
    ['gRPC, refused', error('Error', `7 PERMISSION_DENIED: ${SECRET}`, { code: 7 }), { code: 'upstream-failure' }],
  ])('%s', (_, thrown, expected) => {
    const failure = toFailure(thrown)
    expect(failure).toMatchObject(expected)
    expect(JSON.stringify(failure)).not.toContain(SECRET)
  })
})

describe('what clients throw that say it in words alone', () => {
  it.each([
    ['node-fetch', error('Error', 'Premature close', { code: 'ERR_STREAM_PREMATURE_CLOSE' })],
    ['@google/generative-ai', error('Error', '[GoogleGenerativeAI Error]: Error reading from the stream')],
    ['xsai', error('Error', `Error from server: {"error":{"message":"${SECRET}"}}`)],
    ['Replicate', error('Error', `{"detail":"${SECRET}"}`)],
    [
      'the Claude Agent SDK',
      error('Error', `Claude Code process exited with code 1. stderr: ${SECRET}`, { exitCode: 1 }),
    ],
    ['the Claude Agent SDK, killed', error('Error', 'Claude Code process terminated by signal SIGKILL')],
    ['OpenRouter, of a frame', error('ZodError', SECRET, { issues: [{ path: ['data', 'choices'], message: SECRET }] })],
    ['Codex', error('Error', `Codex Exec exited with code 1: ${SECRET}`)],
  ])('%s', (_, thrown) => {
    expect(toFailure(thrown)).toMatchObject({ code: 'upstream-failure', status: 502, retryable: true })
  })

  it.each([
    ['a schema of one’s own', error('ZodError', SECRET, { issues: [{ path: ['messages'], message: SECRET }] })],
    ['a word of one’s own', error('Error', 'No such detail')],
    ['a response that has no status', error('Error', 'x', { response: { body: 1 } })],
  ])('%s is a mistake of the server’s', (_, thrown) => {
    expect(toFailure(thrown).code).toBe('internal')
  })

  it('a run of OpenAI Agents without a final response was cut', () => {
    const thrown = error('ModelBehaviorError', 'Model did not produce a final response!')
    expect(toFailure(thrown)).toMatchObject({ code: 'truncated', retryable: true })
  })
})
