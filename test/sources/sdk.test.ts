import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import Anthropic from '@anthropic-ai/sdk'
import { serve } from '@hono/node-server'
import express from 'express'
import { Hono } from 'hono'
import OpenAI from 'openai'
import type { RelayOptions, Source, SourceContext, SourceStream, Summary } from 'sse-relay'
import { type ParsedEvent, parseSSE, type RelayError, readText } from 'sse-relay/client'
import { relay as relayExpress } from 'sse-relay/express'
import { relay as relayHono } from 'sse-relay/hono'
import { relay as relayNode } from 'sse-relay/node'
import { collect, providerError, type ReplayUpstream, replayUpstream } from 'sse-relay/testing'
import { relay as relayWeb } from 'sse-relay/web'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

/** What the servers do with the next request. */
let source: Source
let options: RelayOptions

let upstream: ReplayUpstream
beforeEach(async () => {
  upstream = await replayUpstream()
})
afterEach(() => upstream.close())

const app = new Hono().post('/', (c) => relayHono(c, source, options))

const hosts: [name: string, start: () => Server][] = [
  ['node', () => createServer((req, res) => void relayNode(req, res, source, options))],
  [
    'express',
    () => createServer(express().post('/', (req, res) => relayExpress(req, res, source, options)) as RequestListener),
  ],
  ['hono', () => serve({ fetch: app.fetch, port: 0 }) as Server],
  ['web', () => serve({ fetch: (request) => relayWeb(request, source, options), port: 0 }) as Server],
]

const messages = [{ role: 'user' as const, content: 'Hi' }]

type Ask = (context: Pick<SourceContext, 'signal'>) => SourceStream | PromiseLike<SourceStream>

const openai = () => new OpenAI({ apiKey: 'test', baseURL: `${upstream.url}/v1`, maxRetries: 0 })
const anthropic = () => new Anthropic({ apiKey: 'test', baseURL: upstream.url, maxRetries: 0 })
const chat = { model: 'm', messages, stream_options: { include_usage: true } }
const responses = { model: 'm', input: 'Hi' }
const claude = { model: 'm', max_tokens: 9, messages }

/** Each way to ask for a stream: a stream to be pulled, and a helper that reads by itself. */
const asks = {
  'openai-c': {
    'chat.completions.create': ({ signal }) => openai().chat.completions.create({ ...chat, stream: true }, { signal }),
    'chat.completions.stream': ({ signal }) => openai().chat.completions.stream(chat, { signal }),
  },
  'openai-responses': {
    'responses.create': ({ signal }) => openai().responses.create({ ...responses, stream: true }, { signal }),
    'responses.stream': ({ signal }) => openai().responses.stream(responses, { signal }),
  },
  anthropic: {
    'messages.create': ({ signal }) => anthropic().messages.create({ ...claude, stream: true }, { signal }),
    'messages.stream': ({ signal }) => anthropic().messages.stream(claude, { signal }),
  },
} satisfies Record<string, Record<string, Ask>>

interface Expected {
  text: string
  outcome: Summary['outcome']
  /** Of the failure that a client is told. */
  code?: string
  finishReason?: Summary['finishReason']
  usage?: Summary['usage']
}

const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'
const done = (text: string, finishReason: Expected['finishReason'], usage?: Expected['usage']): Expected => ({
  text,
  outcome: 'done',
  finishReason,
  usage,
})
const failed = (text: string, outcome: 'error' | 'truncated', code: string, usage?: Expected['usage']): Expected => ({
  text,
  outcome,
  code,
  usage,
})
const counted = (outputTokens: number) => ({ inputTokens: 25, outputTokens, cachedInputTokens: 0 })
const total = (inputTokens: number, outputTokens: number, reasoningTokens: number) => ({
  inputTokens,
  outputTokens,
  totalTokens: inputTokens + outputTokens,
  cachedInputTokens: 0,
  reasoningTokens,
})

const traces: Record<string, Expected> = {
  'openai-chat-text.sse': done(ANSWER, 'stop'),
  'openai-chat-usage.sse': done('Hello there! Streams', 'stop', total(19, 10, 0)),
  'openai-chat-tool-call.sse': done('', 'tool-calls'),
  'openai-chat-refusal.sse': done("I'm sorry, I can't help with that.", 'content-filter'),
  'openai-chat-content-filter.sse': done('First, take', 'content-filter'),
  'openai-chat-truncated-no-done.sse': failed('Hello there! Streams\n\n', 'truncated', 'truncated'),
  'openai-chat-error-midstream.sse': failed('Hello there! ', 'error', 'upstream-failure'),
  'openai-compat-deepseek-reasoning.sse': done('4', 'stop', {
    inputTokens: 9,
    outputTokens: 12,
    totalTokens: 21,
    reasoningTokens: 9,
  }),
  'openai-responses-text.sse': done(ANSWER, 'stop', total(11, 14, 0)),
  'openai-responses-reasoning-tool.sse': done('', 'tool-calls', total(11, 90, 64)),
  'openai-responses-error-event.sse': failed('Hello there! ', 'error', 'upstream-failure'),
  'anthropic-text.sse': done(ANSWER, 'stop', counted(15)),
  'anthropic-ping-only-then-text.sse': done('Hello there', 'stop', counted(5)),
  'anthropic-thinking.sse': done('27 × 453 = 12,231', 'stop', counted(48)),
  'anthropic-tool-use.sse': done('Checking.', 'tool-calls', counted(89)),
  'anthropic-truncated.sse': failed('Hello there! ', 'truncated', 'truncated', counted(1)),
  'anthropic-error-overloaded.sse': failed('Hello there! ', 'error', 'overload', counted(1)),
}

const allAsks = Object.values(asks).flatMap((asks) => Object.entries<Ask>(asks))
const matrix = Object.entries(asks).flatMap(([prefix, asks]) =>
  Object.entries(traces)
    .filter(([trace]) => trace.startsWith(prefix))
    .flatMap(([trace, expected]) =>
      Object.entries<Ask>(asks).map(([name, ask]) => [trace, name, ask, expected] as const),
    ),
)

describe.each(hosts)('%s', (_, start) => {
  let server: Server
  let url: string
  beforeAll(async () => {
    server = start()
    if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  })
  afterAll(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })

  /** Relays what comes of `ask` to the next request; the promise is of the summary. */
  function relayed(ask: Source, more: RelayOptions = {}): Promise<Summary> {
    source = ask
    return new Promise((resolve) => {
      options = { onError() {}, onEnd: resolve, ...more }
    })
  }
  const post = () => fetch(url, { method: 'POST', body: '{}' })

  it.each(matrix)('%s through %s', async (trace, _, ask, expected) => {
    upstream.always({ trace })
    const { text, outcome, code, finishReason, usage } = expected

    const ended = relayed(ask)
    const events: ParsedEvent[] = []
    let error: unknown
    try {
      for await (const event of parseSSE(await post())) events.push(event)
    } catch (thrown) {
      error = thrown
    }
    expect(events.map(({ data }) => JSON.parse(data).text).join('')).toBe(text)
    expect((error as RelayError | undefined)?.code).toBe(code)
    const { firstEventMs, ...summary } = await ended
    expect(summary).toEqual({
      outcome,
      text,
      events: events.length,
      runId: expect.stringMatching(/^[A-Za-z0-9_-]{16,128}$/),
      durationMs: expect.any(Number),
      ...(finishReason && { finishReason }),
      ...(usage && { usage }),
      ...(outcome !== 'done' && { error: expect.any(Error) }),
    })
    expect(firstEventMs !== undefined).toBe(events.length > 0)

    const again = relayed(ask)
    const texts: string[] = []
    const read = async () => {
      for await (const text of readText(await post())) texts.push(text)
    }
    if (code) await expect(read()).rejects.toMatchObject({ name: 'RelayError', code, received: events.length })
    else await read()
    expect(texts.join('')).toBe(text)
    expect((await again).outcome).toBe(outcome)
    for (const request of upstream.requests) expect(await request.closed).toMatchObject({ by: 'server' })
  })

  it.each(allAsks)('a refusal before the first token is the status of the answer: %s', async (name, ask) => {
    const provider = name.startsWith('messages') ? 'anthropic' : 'openai'
    upstream.next({ ...providerError(provider, 429, 'secret'), headers: { 'retry-after': '7' } })
    const ended = relayed(ask)
    const { status, headers, error } = await collect(await post())
    expect(status).toBe(429)
    expect(headers).toMatchObject({ 'retry-after': '7', 'cache-control': 'no-store, no-transform' })
    expect(error).toMatchObject({ code: 'rate-limit', retryable: true })
    expect(JSON.stringify(error)).not.toContain('secret')
    expect(await ended).toMatchObject({ outcome: 'error', events: 0, error: expect.objectContaining({ status: 429 }) })
  })

  it.each(allAsks)('a reset in the middle is an error: %s', async (_, ask) => {
    upstream.next({ resetAfter: 6, pauseMs: 5 })
    const ended = relayed(ask)
    const { error, text } = await collect(await post())
    expect(error).toMatchObject({ code: 'upstream-failure' })
    expect(ANSWER.startsWith(text)).toBe(true)
    expect(await ended).toMatchObject({ outcome: 'error', text })
  })

  it.each(allAsks)('an upstream that answers with a page is no answer that is complete: %s', async (_, ask) => {
    for (const body of ['<html>Welcome to the hotel</html>', '']) {
      upstream.next({ body, headers: { 'content-type': 'text/html' } })
      const ended = relayed(ask)
      const { outcome, error } = await collect(await post())
      expect(outcome).not.toBe('done')
      expect(error).toMatchObject({ status: 502, retryable: true })
      expect((await ended).outcome).not.toBe('done')
    }
  })

  it.each(allAsks)('a reader who leaves aborts the upstream: %s', async (_, ask) => {
    upstream.next({ stallAfter: 6 })
    const arrived = upstream.request()
    const ended = relayed(ask)
    for await (const _ of parseSSE(await post())) break
    expect(await (await arrived).closed).toMatchObject({ by: 'client' })
    expect(await ended).toMatchObject({ outcome: 'disconnected' })
  })

  it('an error that MessageStream tells while its reader is slow is not lost', async () => {
    const text = 'x'.repeat(65_536)
    const frame = (data: { type: string; [key: string]: unknown }) =>
      `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
    const usage = { input_tokens: 25, output_tokens: 1 }
    const body = [
      frame({ type: 'message_start', message: { id: 'm', type: 'message', role: 'assistant', content: [], usage } }),
      frame({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
      frame({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }).repeat(200),
      frame({ type: 'error', error: { type: 'overloaded_error', message: 'secret' } }),
    ].join('')
    upstream.next({ body })
    const arrived = upstream.request()
    let errored!: Promise<unknown>
    const ended = relayed(({ signal }) => {
      const stream = anthropic().messages.stream(claude, { signal })
      errored = new Promise((resolve) => stream.on('error', resolve))
      return stream
    })
    const response = await post()
    // The helper reads on by itself, to the error, which comes while the relay waits for its client.
    await (await arrived).closed
    await errored
    const { events, outcome, error } = await collect(response)
    expect({ events: events.length, outcome }).toEqual({ events: 200, outcome: 'error' })
    expect(error).toMatchObject({ code: 'overload', message: expect.not.stringContaining('secret') })
    expect(await ended).toMatchObject({ outcome: 'error', events: 200, error: { type: 'overloaded_error' } })
  })

  it.each([
    ['messages.stream', async () => anthropic().messages.stream(claude)],
    ['chat.completions.stream', async () => openai().chat.completions.stream(chat)],
    ['responses.stream', async () => openai().responses.stream(responses)],
  ] as const)('a helper stream that is handed over too late does not hang: %s', async (_, create) => {
    const late: Source = async () => {
      const stream = await create()
      await stream.done()
      return stream
    }
    const ended = relayed(late)
    const { status, error } = await collect(await post())
    expect({ status, code: error?.code }).toEqual({ status: 500, code: 'invalid-source' })
    expect(await ended).toMatchObject({
      outcome: 'error',
      error: { message: expect.stringContaining('create it in a function') },
    })
  })

  it.each([
    ['messages.stream', async () => anthropic().messages.stream(claude)],
    ['chat.completions.stream', async () => openai().chat.completions.stream(chat)],
    ['responses.stream', async () => openai().responses.stream(responses)],
  ] as const)('a helper stream that failed before it is handed over fails as it did: %s', async (_, create) => {
    upstream.next({ status: 529 })
    const ended = relayed(async () => {
      const stream = await create()
      await stream.done().catch(() => {})
      return stream
    })
    const { status, error } = await collect(await post())
    expect({ status, code: error?.code }).toEqual({ status: 503, code: 'overload' })
    expect(await ended).toMatchObject({ outcome: 'error', error: { status: 529 } })
  })

  it('a stream handed over without a function is relayed as well, and aborted when its reader leaves', async () => {
    for (const [name, ask] of allAsks) {
      upstream.next({ stallAfter: 6 })
      const arrived = upstream.request()
      const ended = relayed(ask({ signal: new AbortController().signal }) as Source)
      for await (const _ of parseSSE(await post())) break
      expect(await (await arrived).closed, name).toMatchObject({ by: 'client' })
      expect((await ended).outcome).toBe('disconnected')
    }
  })

  it('a stream that was relayed before is no source', async () => {
    const stream = await openai().chat.completions.create({ ...chat, stream: true })
    const ended = relayed(stream)
    expect((await collect(await post())).outcome).toBe('done')
    await ended
    const again = relayed(stream)
    expect(await collect(await post())).toMatchObject({ status: 500, outcome: 'error' })
    expect(await again).toMatchObject({ outcome: 'error', error: expect.any(Error) })
  })
})
