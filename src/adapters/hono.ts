/** How does a request of Hono become a relay? No feature of its own, only a translation. */

import { mistake } from '../failure.js'
import type { RelayOptions } from '../options.js'
import { lastEventIdOf, type ResumeOptions, relayTo, resumeTo, withRequest } from '../relay.js'
import type { Source } from '../types.js'
import { type Respond, serveWeb, type WebRequest } from './web-sink.js'

export type { Connection, ErrorContext, RelayOptions, ShownFailure } from '../options.js'
export type { ResumeOptions } from '../relay.js'
export type { Source, SourceContext, Summary } from '../types.js'

/** As much of Hono's context as is needed. */
export interface HonoContext {
  readonly req: { readonly raw: WebRequest }
  /** Whether it has a response: Hono takes no second one. */
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
 * Answers a Hono request with a run of a log: from the event after the request's `Last-Event-ID`, or, while the run
 * with `runId` goes on, from its first. 204 when there is nothing to read, 404 for a run that is unknown or another
 * owner's, 410 when that part is kept no longer. The source is never called.
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
    // A length set earlier would cut the stream off there.
    c.header('content-length', undefined)
    // Beside those that middleware set; `newResponse` would put them in their place.
    for (const cookie of [cookies].flat()) c.header('set-cookie', cookie, { append: true })
    return c.newResponse(body, status as never, headers)
  }
}
