import type { RelayOptions } from '../options.js'
import type { Source } from '../types.js'
import { answer, type WebRequest } from './web-sink.js'

export type { ErrorContext, RelayOptions, ShownFailure } from '../options.js'
export type { Source, SourceContext, Summary } from '../types.js'

/** As much of Hono's context as is needed. */
export interface HonoContext {
  readonly req: { readonly raw: WebRequest }
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
  return answer(c?.req?.raw, source, options, (body, status, { 'set-cookie': cookies = [], ...headers }) => {
    // A length set earlier would cut the stream off there.
    c.header('content-length', undefined)
    // Beside those that middleware set; `newResponse` would put them in their place.
    for (const cookie of [cookies].flat()) c.header('set-cookie', cookie, { append: true })
    return c.newResponse(body, status as never, headers)
  })
}
