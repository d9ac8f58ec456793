/** How does a request of Express become a relay? Only a translation: node-sink.ts writes and flushes. */

import type { RelayOptions, ResumeOptions } from '../options.js'
import type { Source, Summary } from '../types.js'
import { type NodeRequest, type NodeResponse, relay as relayNode, resume as resumeNode } from './node.js'

export type { Connection, ErrorContext, RelayOptions, ResumeOptions, ShownFailure } from '../options.js'
export type { Source, SourceContext, Summary } from '../types.js'

/** The members that are used of Express's request, in Express 4 and 5. */
export interface ExpressRequest extends NodeRequest {
  next?: ((error?: unknown) => void) | undefined
}

/**
 * Relays a source as the answer to an Express request. Put body parsers before it, or begin to read the body
 * synchronously in the source function.
 *
 * @returns how it ended; nothing if `onError` threw before anything was sent: then the error went to the error handlers
 * of the app (`next(error)`). Never rejects under Express.
 * @example
 * ```ts
 * app.post('/api/chat', (req, res) =>
 *   relay(req, res, ({ signal }) => client.messages.create({ ...params, stream: true }, { signal })))
 * ```
 */
export function relay(
  req: ExpressRequest,
  res: NodeResponse,
  source: Source,
  options?: RelayOptions,
): Promise<Summary | undefined> {
  return handled(req, relayNode(req, res, source, options))
}

/**
 * Answers an Express request with events of a run in a log: those after the request's `Last-Event-ID`; without one, all
 * of the run with `runId` while that goes on. 204 if there is nothing to read, 404 if the run is unknown or another
 * owner's, 410 if those events are no longer kept. The source is never called.
 *
 * @returns how the connection ended; nothing if an error went to the error handlers of the app.
 * @example
 * ```ts
 * app.get('/api/chat', (req, res) => resume(req, res, { log, owner: res.locals.user.id }))
 * ```
 */
export function resume(req: ExpressRequest, res: NodeResponse, options: ResumeOptions): Promise<Summary | undefined> {
  return handled(req, resumeNode(req, res, options))
}

function handled(req: ExpressRequest, answer: Promise<Summary>): Promise<Summary | undefined> {
  const { next } = req
  // Express 4 ignores a handler's promise.
  return next ? answer.catch((error) => next(error) as undefined) : answer
}
