import type { RelayOptions } from '../options.js'
import type { Source } from '../types.js'
import { answer, type WebRequest } from './web-sink.js'

export type { ErrorContext, RelayOptions, ShownFailure } from '../options.js'
export type { Source, SourceContext, Summary } from '../types.js'
export type { WebRequest } from './web-sink.js'

/**
 * Relays a source as the answer to a Web `Request`: for Next.js route handlers, SvelteKit, Bun, Deno, Workers.
 *
 * Read the request's body before, or begin to read it synchronously in the source function: what nobody reads is
 * dropped then.
 *
 * @returns the response, at the first event, the first heartbeat or the first failure: until then a failure has a
 * status of its own. Rejects only with what `onError` throws before that.
 * @example
 * ```ts
 * export const POST = async (request: Request) => {
 *   const { messages } = await request.json()
 *   return relay(request, ({ signal }) => client.responses.create({ ...params, stream: true }, { signal }))
 * }
 * ```
 */
export function relay(request: WebRequest, source: Source, options?: RelayOptions): Promise<Response> {
  return answer(request, source, options, (body, status, headers) => {
    const all = new Headers()
    for (const [name, value] of Object.entries(headers)) for (const each of [value].flat()) all.append(name, each)
    return new Response(body, { status, headers: all })
  })
}
