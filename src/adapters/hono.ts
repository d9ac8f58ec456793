/** How does a request of Hono become a relay? Only a translation: web-sink.ts writes. */

import { mistake } from '../failure.js'
import { lastEventIdOf } from '../headers.js'
import { type RelayOptions, type ResumeOptions, withRequest } from '../options.js'
import { relayTo, resumeTo } from '../relay.js'
import type { Source } from '../types.js'
import { type Respond, serveWeb, type WebRequest } from './web-sink.js'

export type { Connection, ErrorContext, RelayOptions, ResumeOptions, ShownFailure } from '../options.js'
export type { Source, SourceContext, Summary } from '../types.js'

/** The members that are used of Hono's context. */
export interface HonoContext {
  readonly req: { readonly raw: WebRequest }
  /** Whether the context has a response: Hono takes no second one. */
  readonly finalized?: boolean
  header(name: string, value?: string, options?: { append?: boolean }): void
  newResponse(body: ReadableStream | string | null, status: never, headers: Record<string, string | string[]>): Response
}

/**
 * Relays a source as the answer to a Hono request. Headers that middleware set earlier are kept.
 *
 * @returns the response, at the first event, the first heartbeat or the first failure. Rejects only with what
 * `onError` throws before that, for `app.onError`.
 * @example
 * ```ts
 * app.post('/api/chat', async (c) => {
 *   const { messages } = await c.req.json()
 *   return relay(c, ({ signal }) => client.chat.completions.create({ ...params, stream: true }, { signal }))
 * })
 * ```
 */
export function relay(c: HonoContext, source: Source, options?: RelayOptions): Promise<Response> {
  return serveWeb(c?.req?.raw, (sink, head) => relayTo(sink, source, withRequest(options, head)), responding(c), c)
}

/**
 * Answers a Hono request with events of a run in a log: those after the request's `Last-Event-ID`; without one, all of
 * the run with `runId` while that goes on. 204 if there is nothing to read, 404 if the run is unknown or another
 * owner's, 410 if those events are no longer kept. The source is never called.
 *
 * @returns the response, at the first event or heartbeat. Rejects only with what `onError` throws before that.
 * @example
 * ```ts
 * app.get('/api/chat', (c) => resume(c, { log, owner: c.get('userId') }))
 * ```
 */
export function resume(c: HonoContext, options: ResumeOptions): Promise<Response> {
  return serveWeb(
    c?.req?.raw,
    (sink, head) => resumeTo(sink, lastEventIdOf(head), withRequest(options, head)),
    responding(c),
    c,
  )
}

function responding(c: HonoContext): Respond {
  return (body, status, { 'set-cookie': cookies = [], ...headers }) => {
    if (c.finalized) throw mistake('response-used', 'Something else has answered this request: a timeout, say')
    // A content-length set earlier would cut the stream off.
    c.header('content-length', undefined)
    // Added to the cookies that middleware set; `newResponse` would replace those.
    for (const cookie of [cookies].flat()) c.header('set-cookie', cookie, { append: true })
    return c.newResponse(body, status as never, headers)
  }
}
