// What of a provider's headers, ids and errors reaches a client, whatever the SDK, the protocol and the moment?

import { createOpenAI } from '@ai-sdk/openai'
import { APICallError, jsonSchema, streamText, tool } from 'ai'
import type { Source } from 'sse-relay'
import * as all from 'sse-relay/protocols'
import { type Replay, type ReplayUpstream, readTrace, replayUpstream } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { afterAll, describe, expect, it } from 'vitest'
import { type Family, familyOf, messages, ways } from '../protocols/matrix/ways.js'

// The key of every client here, and every prompt, begin with SECRET too.
const HEADER = 'SECRET header'
const ERROR = 'SECRET error'
const ID = 'SECRET id'

const protocols = { ...all, openaiChat: () => all.openaiChat({ usage: true }) }
const names = Object.keys(protocols) as (keyof typeof protocols)[]

const headers = {
  'x-request-id': HEADER,
  'request-id': HEADER,
  'x-amzn-requestid': HEADER,
  'openai-organization': HEADER,
  'set-cookie': `session=${HEADER}`,
  'x-amz-bedrock-trace': HEADER,
  'retry-after': HEADER,
}

/** Everything in a trace that names a request, a message, an account or a model, marked. */
function marked(trace: string): string {
  const ids =
    /"(id|item_id|messageId|model|modelVersion|responseId|system_fingerprint|service_tier|obfuscation|signature|created_at)":"([^"]*)"/g
  return readTrace(trace)
    .toString()
    .replace(ids, (_, key, value) => `"${key}":"${ID} ${value}"`)
}

interface Case {
  /** A whole answer. */
  trace: string
  /** How the provider refuses a call. */
  refusal: object
  /** How it fails in the middle; bytes where it has its own trace of that. */
  failure?: string
}

const sse = (event: object) => `data: ${JSON.stringify(event)}\n\n`

const cases: Record<Exclude<Family, 'openai-compat'>, Case> = {
  'openai-chat': {
    trace: 'openai-chat-text.sse',
    refusal: { error: { message: ERROR, type: ERROR, param: ERROR, code: ERROR } },
    failure: sse({ error: { message: ERROR, type: 'server_error', param: ERROR, code: ERROR } }),
  },
  'openai-responses': {
    trace: 'openai-responses-text.sse',
    refusal: { error: { message: ERROR, type: ERROR, param: ERROR, code: ERROR } },
    failure: `event: error\n${sse({ type: 'error', code: ERROR, message: ERROR, param: null, sequence_number: 99 })}`,
  },
  anthropic: {
    trace: 'anthropic-thinking.sse',
    refusal: { type: 'error', error: { type: 'authentication_error', message: ERROR }, request_id: ID },
    failure: `event: error\n${sse({ type: 'error', error: { type: ERROR, message: ERROR }, request_id: ID })}`,
  },
  gemini: {
    trace: 'gemini-text.sse',
    refusal: { error: { code: 401, message: ERROR, status: ERROR } },
    failure: sse({ error: { code: 500, message: ERROR, status: ERROR } }),
  },
  mistral: {
    trace: 'mistral-text.sse',
    refusal: { object: 'error', message: ERROR, type: ERROR, code: ERROR },
    failure: sse({ error: { message: ERROR, type: ERROR, code: ERROR } }),
  },
  ollama: {
    trace: 'ollama-chat.ndjson',
    refusal: { error: ERROR },
    failure: `${JSON.stringify({ error: ERROR })}\n`,
  },
  bedrock: { trace: 'bedrock-converse.eventstream', refusal: { message: ERROR, __type: 'AccessDeniedException' } },
  'ai-sdk-ui': {
    trace: 'ai-sdk-ui-text.sse',
    refusal: { error: { message: ERROR } },
    failure: sse({ type: 'error', errorText: ERROR }),
  },
}

const rows = Object.entries(cases).flatMap(([name, given]) => {
  const family = familyOf(name)
  return ways[family]
    .filter((way) => !way.name.endsWith('fullStream'))
    .map((way) => ({ ...given, family, way, name: `${family} through ${way.name}` }))
})

interface Relayed {
  /** Everything a client got: status, headers, body. */
  received: string
  status: number
  /** What `onError` was given. */
  errors: unknown[]
}

/** Relays the source in a protocol, and what came of it. */
async function relayed(source: Source, protocol: keyof typeof protocols): Promise<Relayed> {
  const errors: unknown[] = []
  const options = { protocol: protocols[protocol](), onError: (error: unknown) => void errors.push(error) }
  const response = await relay(new Request('http://localhost/', { method: 'POST', body: '{}' }), source, options)
  const head = JSON.stringify([...response.headers])
  return { received: `${head}\n${await response.text()}`, status: response.status, errors }
}

/** One for all protocols. */
const upstreams = new Map<string, Promise<ReplayUpstream>>()
afterAll(async () => {
  for (const upstream of upstreams.values()) await (await upstream).close()
})

async function upstreamOf(replay: Replay): Promise<string> {
  const key = JSON.stringify(replay)
  const upstream = upstreams.get(key) ?? replayUpstream(replay)
  upstreams.set(key, upstream)
  return (await upstream).url
}

/**
 * raw() is the provider's own chunks: their ids and models belong to them. parts() has both in its part `start`, and
 * the signature of a thought, which openaiResponses(), anthropicMessages() and agui() have as well, and no more.
 */
function expectNoSecret({ received }: Relayed, protocol: string, ...more: string[]): void {
  for (const secret of protocol === 'raw'
    ? [HEADER, ERROR, 'SECRET key', 'SECRET prompt', ...more]
    : ['SECRET', ...more]) {
    const SIGNED = /^data: {"type":"start".*$|"(signature|encrypted_content|encryptedValue)":"[^"]*"/gm
    const seen = /^(parts|openaiResponses|anthropicMessages|agui)$/.test(protocol)
      ? received.replace(SIGNED, '')
      : received
    const at = seen.indexOf(secret)
    if (at !== -1) expect.fail(`${secret} is on the wire: … ${seen.slice(Math.max(0, at - 200), at + 80)} …`)
  }
}

const contentTypeOf = (trace: string) =>
  trace.endsWith('.ndjson') ? { 'content-type': 'application/x-ndjson' } : undefined

// The name of the threat in docs/security.md.
describe('Secrets in errors', () => {
  describe.each(names)('%s() keeps to itself what it is told of', (protocol) => {
    it.each(rows)('a whole answer: $name', async ({ trace, way }) => {
      const replay = trace.endsWith('.eventstream') ? { trace } : { body: marked(trace) }
      const url = await upstreamOf({ ...replay, headers: { ...headers, ...contentTypeOf(trace) } })
      const result = await relayed(({ signal }) => way.open(url, signal), protocol)
      expect(result.status).toBe(200)
      expect(result.received).toMatch(/\[DONE\]|RUN_FINISHED/)
      expectNoSecret(result, protocol)
    })

    it.each(rows)('a refusal before the first token: $name', async ({ refusal, way }) => {
      const url = await upstreamOf({ status: 401, body: JSON.stringify(refusal), headers })
      const result = await relayed(({ signal }) => way.open(url, signal), protocol)
      expectNoSecret(result, protocol)
      if (!way.textOnly) expect(result.errors).toHaveLength(1)
    })

    it.each(rows)('a failure in the middle: $name', async ({ trace, failure, way }) => {
      // The frames of the first token, and then the failure.
      const frames = marked(trace).split(trace.endsWith('.ndjson') ? /(?<=\n)/ : /(?<=\n\r?\n)/)
      const body = [...frames.slice(0, Math.min(6, frames.length / 2)), failure].join('')
      const replay = failure === undefined ? { trace: 'bedrock-converse-throttled.eventstream' } : { body }
      const url = await upstreamOf({ ...replay, headers: { ...headers, ...contentTypeOf(trace) } })
      const result = await relayed(({ signal }) => way.open(url, signal), protocol)
      expectNoSecret(result, protocol, 'Too many tokens')
      if (way.textOnly) return
      expect(result.received).not.toContain('[DONE]')
      // What the client is not told, the developer is; but for Mistral's SDK, which tells nobody.
      expect(result.errors).toHaveLength(1)
      if (way.name === '@mistralai/mistralai') return
      const [error] = result.errors
      expect(`${error} ${JSON.stringify(error)}`).toMatch(failure === undefined ? /Too many tokens/ : ERROR)
    })

    it.each(rows)('an answer that is cut: $name', async ({ trace, way }) => {
      const replay = trace.endsWith('.eventstream')
        ? { body: readTrace(trace).subarray(0, 300) }
        : { body: marked(trace), endAfter: 2 }
      const type =
        contentTypeOf(trace) ??
        (trace.endsWith('.eventstream') && { 'content-type': 'application/vnd.amazon.eventstream' })
      const url = await upstreamOf({ ...replay, headers: { ...headers, ...type } })
      expectNoSecret(await relayed(({ signal }) => way.open(url, signal), protocol), protocol)
    })

    it('a tool of the AI SDK that fails, and the raw chunks it was asked for', async () => {
      const url = await upstreamOf({ trace: 'openai-chat-tool-call.sse', headers })
      const failing = tool({
        inputSchema: jsonSchema<object>({ type: 'object', additionalProperties: true }),
        execute(_: object): Promise<string> {
          throw new APICallError({
            message: ERROR,
            url: ERROR,
            requestBodyValues: { prompt: ERROR },
            responseHeaders: { 'x-request-id': HEADER },
            responseBody: ERROR,
          })
        },
      })
      const source: Source = ({ signal: abortSignal }) =>
        streamText({
          model: createOpenAI({ apiKey: 'SECRET key', baseURL: `${url}/v1` }).chat('test'),
          messages,
          tools: { get_weather: failing, get_time: failing },
          includeRawChunks: true,
          maxRetries: 0,
          abortSignal,
          onError() {},
        }).stream
      const result = await relayed(source, protocol)
      expectNoSecret(result, protocol)
      // What the calls are is not lost, but for clients that would run what is named to them.
      if (!['text', 'openaiChat', 'openaiResponses', 'anthropicMessages'].includes(protocol))
        expect(result.received).toContain('call_a1B2')
    })

    it('a result of a tool of the AI SDK', async () => {
      const url = await upstreamOf({ trace: 'openai-chat-tool-call.sse', headers })
      const inputSchema = jsonSchema<object>({ type: 'object', additionalProperties: true })
      const source: Source = ({ signal: abortSignal }) =>
        streamText({
          model: createOpenAI({ apiKey: 'SECRET key', baseURL: `${url}/v1` }).chat('test'),
          messages,
          tools: {
            get_weather: tool({ inputSchema, execute: async (_: object) => ERROR }),
            get_time: tool({ inputSchema, needsApproval: true, execute: async (_: object) => ERROR }),
          },
          maxRetries: 0,
          abortSignal,
          onError() {},
        }).stream
      const result = await relayed(source, protocol)
      // raw() passes on the part that holds it, and uiMessage() what a page of the AI SDK is to see.
      if (protocol !== 'raw' && protocol !== 'uiMessage') expectNoSecret(result, protocol)
      if (protocol === 'parts') expect(result.received).not.toContain('"type":"data"')
    })

    it("the words of the server's own errors", async () => {
      const error = Object.assign(new Error(ERROR), { code: ERROR, headers, request_id: ID, cause: new Error(ERROR) })
      const before = await relayed(() => Promise.reject(error), protocol)
      const after = await relayed(async function* () {
        yield 'Hello'
        throw error
      }, protocol)
      for (const result of [before, after]) {
        expectNoSecret(result, protocol, ID)
        expect(result.errors).toEqual([error])
      }
      expect(before.status).toBe(500)
    })
  })
})
