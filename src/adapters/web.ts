/** How does a Web `Request` become a relay? Only a translation: web-sink.ts writes. */

import { lastEventIdOf } from '../headers.js'
import { type RelayOptions, type ResumeOptions, withRequest } from '../options.js'
import { relayTo, resumeTo } from '../relay.js'
import type { Source } from '../types.js'
import { type Respond, serveWeb, type WebRequest } from './web-sink.js'

export type { Connection, ErrorContext, RelayOptions, ResumeOptions, ShownFailure } from '../options.js'
export type { Source, SourceContext, Summary } from '../types.js'
export type { WebRequest } from './web-sink.js'

/**
 * Relays a source as the answer to a Web `Request`: for Next.js route handlers, SvelteKit, Bun, Deno, Workers.
 *
 * Read the request's body before, or begin to read it synchronously in the source function: an unread body is dropped
 * then.
 *
 * @returns the response, at the first event, the first heartbeat or the first failure: until then a failure has a
 * status of its own. Rejects only with what `onError` throws before that.
 * @example
 * ```ts
 * export const POST = async (request: Request) => {
 *   const { input } = (await request.json()) as { input: string }
 *   return relay(request, ({ signal }) => client.responses.create({ ...params, input, stream: true }, { signal }))
 * }
 * ```
 */
export function relay(request: WebRequest, source: Source, options?: RelayOptions): Promise<Response> {
  return serveWeb(request, (sink, head) => relayTo(sink, source, withRequest(options, head)), respond)
}

/**
 * Answers a request with events of a run in a log: those after the request's `Last-Event-ID`; without one, all of the
 * run with `runId` while that goes on. 204 if there is nothing to read, 404 if the run is unknown or another owner's,
 * 410 if those events are no longer kept. The source is never called.
 *
 * @returns the response, at the first event or heartbeat. Rejects only with what `onError` throws before that.
 * @example
 * ```ts
 * export const GET = (request: Request) => resume(request, { log, owner })
 * ```
 */
export function resume(request: WebRequest, options: ResumeOptions): Promise<Response> {
  return serveWeb(request, (sink, head) => resumeTo(sink, lastEventIdOf(head), withRequest(options, head)), respond)
}

const respond: Respond = (body, status, { 'set-cookie': cookies = [], ...headers }) => {
  // A plain object, which a host that makes its responses lazily need not take apart again.
  const response = new Response(body, { status, headers: headers as Record<string, string> })
  for (const cookie of [cookies].flat()) response.headers.append('set-cookie', cookie)
  return response
}
