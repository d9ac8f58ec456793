/** How does a request of Fastify become a relay? Only a translation: readable-sink.ts writes. */

import { awaited } from '../awaited-promise.js'
import { typeMistake } from '../failure.js'
import { lastEventIdOf, type RequestHead } from '../headers.js'
import { type RelayOptions, type ResumeOptions, withRequest } from '../options.js'
import { relayTo, resumeTo } from '../relay.js'
import { printError } from '../report.js'
import type { RelayHandle, Sink } from '../sink.js'
import type { Source, Summary } from '../types.js'
import { lackOf, type NodeRequest, type NodeResponse, type Remedies, serveNode, whenClosed } from './node-sink.js'
import { BodySink } from './readable-sink.js'

export type { Connection, ErrorContext, RelayOptions, ResumeOptions, ShownFailure } from '../options.js'
export type { Source, SourceContext, Summary } from '../types.js'
export type { NodeRequest, NodeResponse } from './node-sink.js'

/** The members that are used of Fastify's request. */
export interface FastifyRequest {
  readonly raw: NodeRequest
}

/** The members that are used of Fastify's reply. */
export interface FastifyReply {
  readonly raw: NodeResponse
  readonly sent: boolean
  code(status: number): unknown
  headers(headers: Record<string, string | string[]>): unknown
  removeHeader(name: string): unknown
  send(body: unknown): unknown
  hijack(): unknown
}

/**
 * Relays a source as the answer to a Fastify request. The answer goes out through `reply.send`: headers set earlier are
 * kept, and the `onSend` and `onResponse` hooks run. Do not call `reply.hijack()` before.
 *
 * @returns how it ended, once the answer is sent. Return this promise from the handler, or return the reply: what
 * `onError` throws before anything was sent goes to Fastify's error handler either way.
 * @example
 * ```ts
 * fastify.post('/api/chat', (request, reply) =>
 *   relay(request, reply, ({ signal }) => client.messages.create({ ...params, stream: true }, { signal })))
 * ```
 */
export function relay(
  request: FastifyRequest,
  reply: FastifyReply,
  source: Source,
  options?: RelayOptions,
): Promise<Summary> {
  return connect(request, reply, options, (sink, head) => relayTo(sink, source, withRequest(options, head)))
}

/**
 * Answers a Fastify request with events of a run in a log: those after the request's `Last-Event-ID`; without one, all
 * of the run with `runId` while that goes on. 204 if there is nothing to read, 404 if the run is unknown or another
 * owner's, 410 if those events are no longer kept. The source is never called.
 *
 * @returns how the connection ended. Rejects only with what `onError` throws before anything was sent.
 * @example
 * ```ts
 * fastify.get('/api/chat', (request, reply) => resume(request, reply, { log, owner }))
 * ```
 */
export function resume(request: FastifyRequest, reply: FastifyReply, options: ResumeOptions): Promise<Summary> {
  return connect(request, reply, options, (sink, head) =>
    resumeTo(sink, lastEventIdOf(head), withRequest(options, head)),
  )
}

const REMEDIES: Remedies = {
  before: 'It sends the head itself: take out reply.hijack(), reply.raw.writeHead() and reply.send() before it',
  since:
    'A handler that is async and returns nothing is an answer for Fastify: return what relay returns, or await it. Or is it a timeout?',
}

function connect(
  request: FastifyRequest,
  reply: FastifyReply,
  options: RelayOptions | undefined,
  begin: (sink: Sink, request: RequestHead) => RelayHandle,
): Promise<Summary> {
  const tell = (error: unknown) => {
    if (typeof reply?.send !== 'function' || reply.sent) printError(error)
    else reply.send(error instanceof Error ? error : new Error(String(error), { cause: error }))
  }
  return awaited((resolve, reject) => answer(request, reply, options, begin).then(resolve, reject), tell)
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  options: RelayOptions | undefined,
  begin: (sink: Sink, request: RequestHead) => RelayHandle,
): Promise<Summary> {
  const { raw: req } = request ?? {}
  const { raw: res } = reply ?? {}
  const lack = lackOf(req, res)
  if (lack) {
    // sse-relay/node would take the raw ones, and nobody would see what is missing.
    const remedy = request?.raw
      ? 'hand on request and reply as they are: the raw ones have not the headers of @fastify/cors and of your hooks'
      : "Node's own req and res are for sse-relay/node"
    throw typeMistake(
      'invalid-option',
      `relay takes (request, reply, source, options) of Fastify here, resume (request, reply, options), and ${lack}; ${remedy}`,
    )
  }
  const sink = new BodySink({
    res,
    options,
    remedies: REMEDIES,
    isUsed: () => reply.sent,
    send(status, headers, body) {
      // A content-length set earlier would cut the stream off.
      reply.removeHeader('content-length')
      reply.code(status)
      reply.headers(headers)
      reply.send(body)
    },
  })
  const over = new Promise<void>((resolve) => {
    res.on('finish', resolve)
    whenClosed(req, res, resolve)
  })
  const summary = await serveNode(req, res, sink, begin)
  if (sink.sent) await over
  // Without this Fastify sends what the handler resolves to, and complains of a second answer.
  reply.hijack()
  return summary
}
