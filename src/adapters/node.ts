/** How does a request of Node's `http` and `http2` become a relay? Only a translation: node-sink.ts writes and flushes. */

import { typeMistake } from '../failure.js'
import { lastEventIdOf, type RequestHead } from '../headers.js'
import { type RelayOptions, type ResumeOptions, withRequest } from '../options.js'
import { relayTo, resumeTo } from '../relay.js'
import type { RelayHandle, Sink } from '../sink.js'
import type { Source, Summary } from '../types.js'
import { lackOf, type NodeRequest, type NodeResponse, NodeSink, serveNode } from './node-sink.js'

export type { Connection, ErrorContext, RelayOptions, ResumeOptions, ShownFailure } from '../options.js'
export type { Source, SourceContext, Summary } from '../types.js'
export type { NodeRequest, NodeResponse } from './node-sink.js'

/**
 * Relays a source as the answer to a request of Node's `http`, `https` or `http2` (compatibility API).
 *
 * Read the request's body before, or begin to read it synchronously in the source function: an unread body is dropped
 * then, because a large one would hide that the client left.
 *
 * @returns how it ended. Rejects only with what `onError` throws before anything was sent.
 * @example
 * ```ts
 * createServer((req, res) => {
 *   relay(req, res, ({ signal }) => client.messages.create({ ...params, stream: true }, { signal }))
 * })
 * ```
 */
export function relay(req: NodeRequest, res: NodeResponse, source: Source, options?: RelayOptions): Promise<Summary> {
  return connect(req, res, options, (sink, request) => relayTo(sink, source, withRequest(options, request)))
}

/**
 * Answers a request with events of a run in a log: those after the request's `Last-Event-ID`; without one, all of the
 * run with `runId` while that goes on. 204 if there is nothing to read, 404 if the run is unknown or another owner's,
 * 410 if those events are no longer kept. The source is never called.
 *
 * @returns how the connection ended. Rejects only with what `onError` throws before anything was sent.
 * @example
 * ```ts
 * createServer((req, res) => resume(req, res, { log, owner }))
 * ```
 */
export function resume(req: NodeRequest, res: NodeResponse, options: ResumeOptions): Promise<Summary> {
  return connect(req, res, options, (sink, request) =>
    resumeTo(sink, lastEventIdOf(request), withRequest(options, request)),
  )
}

function connect(
  req: NodeRequest,
  res: NodeResponse,
  options: RelayOptions | undefined,
  begin: (sink: Sink, request: RequestHead) => RelayHandle,
): Promise<Summary> {
  const lack = lackOf(req, res)
  if (lack) {
    const remedy =
      'a Web Request is for sse-relay/web, what Fastify, Koa and Hono give for sse-relay/fastify, /koa and /hono'
    return Promise.reject(
      typeMistake(
        'invalid-option',
        `relay takes (req, res, source, options) here, resume (req, res, options), and ${lack}; ${remedy}`,
      ),
    )
  }
  return serveNode(req, res, new NodeSink(res, options), begin)
}
