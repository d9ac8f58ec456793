/**
 * What `tsc` must accept, and, behind each `@ts-expect-error`, what it must refuse. Nothing here is ever run.
 */
import type { createServer, IncomingMessage, ServerResponse } from 'node:http'
import type * as http2 from 'node:http2'
import type * as https from 'node:https'
import type { Readable } from 'node:stream'
import type Anthropic from '@anthropic-ai/sdk'
import type { Express, Request as ExpressRequest, Response as ExpressResponse, RequestHandler } from 'express'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import type { Context, Hono } from 'hono'
import IORedis from 'ioredis'
import type Koa from 'koa'
import type OpenAI from 'openai'
import { createClient, createCluster } from 'redis'
import {
  type ErrorCode,
  encodeComment,
  encodeEvent,
  isRelayError,
  type Outcome,
  type Part,
  type Protocol,
  RelayError,
  type RelayOptions,
  relay as relayOfRoot,
  relayTo,
  resume as resumeOfRoot,
  type Sink,
  type Source,
  type SourceContext,
  type Summary,
  type toParts,
} from 'sse-relay'
import { createParser, type EventStream, fetchSSE, type ParsedEvent, parseSSE, readText } from 'sse-relay/client'
import { relay as relayExpress, resume as resumeExpress } from 'sse-relay/express'
import { relay as relayFastify, resume as resumeFastify } from 'sse-relay/fastify'
import { relay as relayHono, resume as resumeHono } from 'sse-relay/hono'
import { relay as relayKoa, resume as resumeKoa } from 'sse-relay/koa'
import { createLog, type createMemoryLog, type Log, type LogStore, record } from 'sse-relay/log'
import { relay as relayNode, resume as resumeNode } from 'sse-relay/node'
import { parts, raw, text } from 'sse-relay/protocols'
import { createRedisLog } from 'sse-relay/redis'
import { relay as relayWeb, resume as resumeWeb } from 'sse-relay/web'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** Fails to compile where `T` is not `true`. */
function is<T extends true>(): T | undefined {
  return undefined
}

declare const openai: OpenAI
declare const anthropic: Anthropic
const messages = [{ role: 'user' as const, content: 'Hi' }]
const model = 'm'

/** The streams of the SDKs fit `Source`, as they are, as their promises, and in a function. */
export const sources: Source[] = [
  ({ signal }) => openai.chat.completions.create({ model, messages, stream: true }, { signal }),
  ({ signal }) => openai.chat.completions.stream({ model, messages }, { signal }),
  ({ signal }) => openai.responses.create({ model, input: 'Hi', stream: true }, { signal }),
  ({ signal }) => openai.responses.stream({ model, input: 'Hi' }, { signal }),
  ({ signal }) => anthropic.messages.create({ model, max_tokens: 9, messages, stream: true }, { signal }),
  ({ signal }) => anthropic.messages.stream({ model, max_tokens: 9, messages }, { signal }),
  async ({ signal }) => openai.chat.completions.create({ model, messages, stream: true }, { signal }),
  async ({ signal }) =>
    (await openai.chat.completions.create({ model, messages, stream: true }, { signal })).toReadableStream(),
  openai.chat.completions.create({ model, messages, stream: true }),
  openai.chat.completions.stream({ model, messages }),
  openai.responses.create({ model, input: 'Hi', stream: true }),
  openai.responses.stream({ model, input: 'Hi' }),
  anthropic.messages.create({ model, max_tokens: 9, messages, stream: true }),
  anthropic.messages.stream({ model, max_tokens: 9, messages }),
  anthropic.messages
    .stream({ model, max_tokens: 9, messages })
    .withResponse()
    .then(({ data }) => data),
]

/** Anything else one can iterate does too. */
export const ownSources: Source[] = [
  'Hello',
  ['Hello', { type: 'text', text: 'Hello' }, { event: 'progress', data: { step: 1 } }],
  new Set(['Hello']),
  {} as AsyncIterable<string>,
  {} as ReadableStream<string>,
  {} as ReadableStream,
  {} as Readable,
  Promise.resolve(['Hello']),
  async function* () {
    yield 'Hello'
  },
  function* () {
    yield 'Hello'
  },
  async function* ({ signal, runId, lastEventId }: SourceContext) {
    is<Equal<typeof signal, AbortSignal>>()
    is<Equal<typeof runId, string>>()
    is<Equal<typeof lastEventId, string | undefined>>()
    yield { type: 'usage', usage: { inputTokens: 1 } } satisfies Part
  },
  () => 'Hello',
  async () => ['Hello'],
]

export const notSources: Source[] = [
  // @ts-expect-error a number cannot be iterated
  1,
  // @ts-expect-error nor can nothing
  undefined,
  // @ts-expect-error nor can an object
  { type: 'text', text: 'Hello' },
  // @ts-expect-error a function that forgot its `return`
  () => {},
  // @ts-expect-error an answer that is no stream: `stream: true` is missing
  () => anthropic.messages.create({ model, max_tokens: 9, messages }),
  // @ts-expect-error a function of something else
  (prompt: string) => [prompt],
]

/** The requests and responses of the hosts fit their adapters. */
export function hosts(
  app: Express,
  fastify: FastifyInstance,
  koa: Koa,
  log: ReturnType<typeof createMemoryLog>,
  hono: Hono,
  secrets: Hono<{ Bindings: { KEY: string }; Variables: { user: string } }>,
): void {
  const source: Source = 'Hello'

  app.post('/', (req, res) => relayExpress(req, res, source))
  app.post('/:id', async (req, res) => {
    const summary = await relayExpress(req, res, () => [req.params.id], { heartbeatMs: 1 })
    is<Equal<typeof summary, Summary | undefined>>()
  })
  const handler: RequestHandler<{ id: string }, unknown, { messages: string[] }> = (req, res) =>
    void relayExpress(req, res, req.body.messages)
  app.post('/:id', handler)
  relayExpress({} as ExpressRequest<{ id: string }>, {} as ExpressResponse<unknown, { user: string }>, source)
  relayExpress({} as IncomingMessage, {} as ServerResponse, source)

  const listener: Parameters<typeof createServer>[1] = (req, res) => void relayNode(req, res, source)
  const secure: Parameters<typeof https.createServer>[1] = (req, res) => void relayNode(req, res, source)
  const second: Parameters<typeof http2.createServer>[1] = (req, res) => void relayNode(req, res, source)
  is<Equal<ReturnType<typeof relayNode>, Promise<Summary>>>()
  relayNode({} as ExpressRequest, {} as ExpressResponse, source)

  fastify.post('/', (request, reply) => relayFastify(request, reply, source))
  fastify.post<{ Body: { messages: string[] }; Reply: { 200: string } }>('/:id', async (request, reply) => {
    const summary = await relayFastify(request, reply, () => request.body.messages, { heartbeatMs: 1 })
    is<Equal<typeof summary, Summary>>()
  })
  fastify.get('/', (request, reply) => resumeFastify(request, reply, { log, owner: null }))
  const routed: RouteHandlerMethod = (request, reply) => relayFastify(request, reply, source)
  const second5 = {} as FastifyInstance<http2.Http2SecureServer, http2.Http2ServerRequest, http2.Http2ServerResponse>
  second5.post('/', (request, reply) => relayFastify(request, reply, source))

  koa.use((ctx) => relayKoa(ctx, source))
  koa.use(async (ctx, next) => {
    if (ctx.path !== '/') return next()
    const nothing = await relayKoa(ctx, () => ['a'], { heartbeatMs: 1 })
    is<Equal<typeof nothing, void>>()
  })
  koa.use((ctx) => resumeKoa(ctx, { log, owner: null }))
  relayKoa({} as Koa.ParameterizedContext<{ user: string }, { session: object }, { answer: string }>, source)

  hono.post('/', (c) => relayHono(c, source))
  hono.post('/:id', async (c) => {
    const { messages } = await c.req.json<{ messages: string[] }>()
    return relayHono(c, () => [c.req.param('id'), ...messages], {
      waitUntil: (promise) => c.executionCtx.waitUntil(promise),
    })
  })
  secrets.post('/', (c) => relayHono(c, () => [c.env.KEY, c.var.user]))
  relayHono({} as Context, source)
  is<Equal<ReturnType<typeof relayHono>, Promise<Response>>>()

  const POST = async (request: Request) => relayWeb(request, source)
  const handle: (request: Request) => Response | Promise<Response> = POST
  hono.post('/web', (c) => relayWeb(c.req.raw, source))
  relayWeb(new Request('http://localhost'), source, { signal: AbortSignal.timeout(1) })

  // @ts-expect-error the root has no relay of its own
  relayOfRoot({} as Context, source)
  // @ts-expect-error
  relayOfRoot({} as IncomingMessage, {} as ServerResponse, source)
  // @ts-expect-error nor a resume
  resumeOfRoot({} as Context, { log, owner: null })

  // @ts-expect-error the response comes second
  relayNode({} as ServerResponse, {} as IncomingMessage, source)
  // @ts-expect-error the source is missing
  relayNode({} as IncomingMessage, {} as ServerResponse)
  // @ts-expect-error a Web request is not Node's
  relayNode({} as Request, {} as Response, source)
  // @ts-expect-error Node's request is not a Web one
  relayWeb({} as IncomingMessage, source)
  // @ts-expect-error the context, not its request
  relayHono({} as Context['req'], source)
  // @ts-expect-error the reply comes second
  relayFastify({} as FastifyReply, {} as FastifyRequest, source)
  // @ts-expect-error Fastify's, not Node's
  relayFastify({} as IncomingMessage, {} as ServerResponse, source)
  // @ts-expect-error the context of Koa, not of Hono
  relayKoa({} as Context, source)

  for (const each of [listener, secure, second, handle, routed]) void each
}

/** Options. */
export const options: RelayOptions[] = [
  {},
  { protocol: text(), heartbeatMs: 0, stallTimeoutMs: 1, maxDurationMs: 1, retryMs: 1 },
  { headers: { 'x-a': '1' } },
  { headers: new Headers() },
  { headers: [['x-a', '1']] },
  { signal: AbortSignal.timeout(1), shutdown: new AbortController().signal },
  { waitUntil: (promise) => void promise.then(() => {}) },
  { onEnd() {} },
  { onEnd: async ({ usage }) => usage?.outputTokens },
  { onEnd: async ({ outcome, text, finishReason, error }) => console.log(outcome, text, finishReason, error) },
  { onError() {} },
  { onError: (error) => console.error(error) },
  { onError: (error) => void console.error(error) },
  { onError: () => undefined },
  { onError: () => ({ status: 402, code: 'pay-first', message: 'Pay first', retryable: true }) },
  { onError: (_, { sent }) => (sent ? undefined : { status: 418 }) },
  {
    onError(error, { runId, failure, sent }) {
      is<Equal<typeof error, unknown>>()
      is<Equal<typeof runId, string>>()
      is<Equal<typeof sent, boolean>>()
      is<Equal<NonNullable<typeof failure>['status'], number>>()
      throw error
    },
  },
  {
    onEnd(summary) {
      is<Equal<typeof summary, Summary>>()
    },
  },
  // @ts-expect-error a protocol is what text() returns
  { protocol: text },
  // @ts-expect-error durations are numbers
  { heartbeatMs: '8s' },
  { log, owner: 'ann' },
  { ...(Math.random() > 0.5 && { log, owner: null }) },
  // @ts-expect-error there is no such option
  { heartbeat: 1 },
  // @ts-expect-error a signal, not its controller
  { signal: new AbortController() },
  // @ts-expect-error the message goes into an object
  { onError: (error) => String(error) },
  // @ts-expect-error what is shown has a number for its status
  { onError: () => ({ status: '402' }) },
  // @ts-expect-error what is shown has to be there in time
  { onError: async () => ({ status: 402 }) },
]

/** What happened is known by its words. */
export function words(summary: Summary, part: Part, thrown: unknown): void {
  is<Equal<Outcome, 'done' | 'error' | 'truncated' | 'stopped' | 'shutdown' | 'expired' | 'disconnected' | 'stalled'>>()
  is<Equal<typeof summary.outcome, Outcome>>()
  // @ts-expect-error no outcome of that name
  summary.outcome === 'finished'

  switch (part.type) {
    case 'text':
    case 'reasoning':
      is<Equal<typeof part.text, string>>()
      break
    case 'tool-call':
      is<Equal<typeof part.input, string>>()
      break
    case 'usage':
      is<Equal<typeof part.usage.inputTokens, number | undefined>>()
      break
    case 'finish':
      is<Equal<typeof part.reason, 'stop' | 'length' | 'tool-calls' | 'content-filter' | 'error' | 'other'>>()
      break
    case 'data':
      is<Equal<typeof part.data, unknown>>()
      break
    case 'start':
      is<Equal<typeof part.created, number | undefined>>()
      break
    case 'tool-result':
      is<Equal<typeof part.output, unknown>>()
      break
    case 'error':
      is<Equal<typeof part.error, unknown>>()
      break
    default:
      is<Equal<typeof part, never>>()
  }
  is<Equal<ReturnType<typeof toParts>, Part[]>>()
  for (const protocol of [text(), parts(), raw()]) is<Equal<typeof protocol, Protocol>>()

  if (isRelayError(thrown)) {
    is<Equal<typeof thrown, RelayError>>()
    is<Equal<typeof thrown.name, 'RelayError'>>()
    is<Equal<typeof thrown.code, ErrorCode>>()
    is<Equal<typeof thrown.retryable, boolean>>()
    is<Equal<typeof thrown.status, number | undefined>>()
    // The set is open.
    thrown.code === 'rate-limit' || thrown.code === 'my-code'
  }
  new RelayError('my-code', 'No', { status: 402, expose: true, retryable: false, cause: thrown })
  // @ts-expect-error a message is needed
  new RelayError('my-code')
  // @ts-expect-error a status is a number
  new RelayError('my-code', 'No', { status: '402' })
}

/** The codec. */
export function codec(): void {
  is<Equal<ReturnType<typeof encodeEvent>, string>>()
  encodeEvent({ data: '', event: 'a', id: '1', retry: 1 })
  encodeEvent({ data: '', event: undefined })
  encodeComment()
  encodeComment('ping')
  // @ts-expect-error data is needed
  encodeEvent({ event: 'a' })
  // @ts-expect-error data is text
  encodeEvent({ data: { a: 1 } })
  // @ts-expect-error retry is a number
  encodeEvent({ data: '', retry: '1' })
  // @ts-expect-error there is no such field
  encodeEvent({ data: '', type: 'a' })

  const parser = createParser({
    onEvent(event) {
      is<Equal<typeof event, ParsedEvent>>()
    },
    onComment: (comment) => is<Equal<typeof comment, string>>(),
    onRetry: (retry) => is<Equal<typeof retry, number>>(),
    lastEventId: '1',
    maxEventSize: 1,
  })
  parser.feed('')
  is<Equal<typeof parser.lastEventId, string>>()
  is<Equal<ReturnType<typeof parser.end>, string>>()
  parser.reset()
  // @ts-expect-error onEvent is needed
  createParser({})
  // @ts-expect-error in an object
  createParser(() => {})
  // @ts-expect-error a parser is fed text
  parser.feed(new Uint8Array())
}

/** What `parseSSE` and `readText` read. */
export async function reading(response: Response, readable: Readable): Promise<void> {
  const inputs: EventStream[] = [
    parseSSE(response),
    parseSSE(await fetch('/')),
    parseSSE(response.body as ReadableStream<Uint8Array>),
    parseSSE(response.body as NonNullable<Response['body']>),
    parseSSE({} as ReadableStream<string>),
    parseSSE({} as AsyncIterable<Uint8Array>),
    parseSSE({} as AsyncIterable<string>),
    parseSSE(readable),
    parseSSE('data: 1\n\n'),
    parseSSE({ ok: true, status: 200, headers: new Headers(), text: async () => '' }),
    parseSSE(response, { sentinel: false, eof: 'dispatch', signal: new AbortController().signal }),
    parseSSE(response, { sentinel: ({ event }) => event === 'message_stop', idleTimeoutMs: 1, eventTimeoutMs: 1 }),
  ]
  for (const events of inputs) {
    for await (const { event, data, id } of events) {
      is<Equal<typeof event, string | undefined>>()
      is<Equal<typeof data, string>>()
      is<Equal<typeof id, string | undefined>>()
    }
    is<Equal<typeof events.lastEventId, string>>()
    // @ts-expect-error it says, and is not told
    events.lastEventId = ''
    const next = await events.next()
    is<Equal<typeof next, IteratorResult<ParsedEvent, undefined>>>()
    await events.return()
  }
  for (const texts of [readText(response), readText(parseSSE(response), {})]) {
    for await (const text of texts) text satisfies string
  }

  // As Expo has it, whose response has neither `bytes` nor `clone`.
  type ExpoInit = Pick<RequestInit, 'body' | 'credentials' | 'headers' | 'method' | 'signal' | 'redirect'>
  const expoFetch = {} as (
    url: string,
    init?: ExpoInit,
  ) => Promise<Pick<Response, 'ok' | 'status' | 'headers' | 'body' | 'bodyUsed' | 'text'>>
  for await (const text of readText(fetchSSE('https://a.example', { fetch: expoFetch }))) text satisfies string

  // @ts-expect-error the promise is not awaited
  parseSSE(fetch('/'))
  // @ts-expect-error there is no body
  parseSSE(null)
  // @ts-expect-error there may be no body
  parseSSE(response.body)
  // @ts-expect-error true is no sentinel
  parseSSE(response, { sentinel: true })
  // @ts-expect-error keep is not among the choices
  parseSSE(response, { eof: 'keep' })
  // @ts-expect-error durations end in Ms
  parseSSE(response, { idleTimeout: 1 })
  // @ts-expect-error the promise is not awaited
  readText(fetch('/'))
}

/** The contract for adapters. */
export function adapter(sink: Sink): void {
  const handle = relayTo(sink, 'Hello', { request: { method: 'GET', header: (name) => name }, heartbeatMs: 1 })
  handle.drained()
  handle.left()
  is<Equal<typeof handle.done, Promise<Summary>>>()
  // @ts-expect-error a sink has to say whether it takes more
  relayTo({ ...sink, write() {} }, 'Hello')
  // @ts-expect-error and how it is dropped
  relayTo({ open() {}, write: () => true, end() {}, schedule() {} }, 'Hello')
}

/** The clients of Redis fit, as they are. */
export const logs = [
  createRedisLog(new IORedis()),
  createRedisLog(new IORedis.Cluster([])),
  createRedisLog(createClient()),
  createRedisLog(await createClient().connect(), { ttlMs: 1000 }),
  createRedisLog(createCluster({ rootNodes: [] })),
]
// @ts-expect-error: a client of something else.
createRedisLog({ query() {} })

/** A log wants an owner; a store of one's own has five methods, and more only where processes share it. */
declare const log: Log
declare const store: LogStore
export const own: Log = createLog(store)
createLog({ create: () => true, begin: async () => true, append() {}, get: () => undefined, read: () => [] })
// @ts-expect-error: `read` is missing.
createLog({ create: () => true, begin: () => true, append() {}, get: () => undefined })
is<Equal<ReturnType<Log['stop']>, Promise<boolean>>>()
is<Equal<ReturnType<typeof record>, Promise<Summary>>>()
record(({ signal, runId }) => openai.responses.create({ model, input: runId, stream: true }, { signal }), {
  log,
  owner: null,
})
// @ts-expect-error: without an owner.
record(['a'], { log })
// @ts-expect-error: the owner is a text or null.
record(['a'], { log, owner: 1 })

/** And `resume` takes the host's own arguments. */
export function resumed(app: Express, hono: Hono<{ Variables: { user: string } }>): unknown {
  app.get('/', (req, res) => resumeExpress(req, res, { log, owner: 'ann', runId: undefined }))
  hono.get('/', (c) => resumeHono(c, { log, owner: c.var.user, maxDurationMs: 1000 }))
  const listener: Parameters<typeof createServer>[1] = (req, res) => void resumeNode(req, res, { log, owner: null })
  const second: Parameters<typeof http2.createServer>[1] = (req, res) => void resumeNode(req, res, { log, owner: null })
  // @ts-expect-error: without a log there is nothing to resume.
  resumeWeb({} as Request, { owner: 'ann' })
  // @ts-expect-error: whose is it?
  resumeWeb({} as Request, { log })
  return [listener, second, resumeWeb({} as Request, { log, owner: 'ann' })]
}
