import type { RelayOptions } from '../options.js'
import type { Source, Summary } from '../types.js'
import { type NodeRequest, type NodeResponse, relay as relayNode } from './node.js'

export type { ErrorContext, RelayOptions, ShownFailure } from '../options.js'
export type { Source, SourceContext, Summary } from '../types.js'

/** As much of Express's request as is needed, of Express 4 or 5. */
export interface ExpressRequest extends NodeRequest {
  next?: ((error?: unknown) => void) | undefined
}

/**
 * Relays a source as the answer to an Express request. Put body parsers before it, or begin to read the body
 * synchronously in the source function.
 *
 * @returns how it ended; nothing when `onError` threw before anything was sent, and the error went to the error
 * handlers of the app (`next(error)`). Never rejects under Express.
 * @example
 * ```ts
 * app.post('/api/chat', (req, res) =>
 *   relay(req, res, ({ signal }) => client.messages.create({ ...params, stream: true }, { signal })))
 * ```
 */
export async function relay(
  req: ExpressRequest,
  res: NodeResponse,
  source: Source,
  options?: RelayOptions,
): Promise<Summary | undefined> {
  try {
    return await relayNode(req, res, source, options)
  } catch (error) {
    // Express 4 takes no notice of a handler's promise.
    if (!req.next) throw error
    req.next(error)
  }
}
