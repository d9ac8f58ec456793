/**
 * What does a server import for itself? The codec, the parts, and the contract for adapters. The adapters of the hosts
 * have their own names, `sse-relay/express` for example.
 */
import { mistake } from './failure.js'

export { DONE, encodeComment, encodeEvent } from './encode.js'
export { type ErrorCode, isRelayError, RelayError, type RelayErrorOptions } from './errors.js'
export { type HeadersLike, lastEventIdOf, type RequestHead, type SinkHeaders } from './headers.js'
export type {
  Connection,
  ErrorContext,
  Log,
  RelayOptions,
  RelayToOptions,
  ResumeOptions,
  ResumeToOptions,
  ShownFailure,
} from './options.js'
export { relayTo, resumeTo } from './relay.js'
export type { RelayHandle, Sink } from './sink.js'
export { toParts } from './sources/read-chunk.js'
export type * from './types.js'

const HOSTS = 'sse-relay/express, /fastify, /hono, /koa, /node or /web'

/**
 * Is not here: each server has its own, `sse-relay/express` for example.
 *
 * @deprecated Import it from the name of your server.
 * @param _where is what no argument is, so that TypeScript says the words where it is called.
 * @throws {RelayError} `invalid-option`, always, with the names there are.
 */
export function relay(
  _where: 'import it from sse-relay/express, /fastify, /hono, /koa, /node or /web',
  ..._: unknown[]
): never {
  throw mistake('invalid-option', `sse-relay has no relay of its own: import it from the name of your server, ${HOSTS}`)
}

/**
 * Is not here: each server has its own, `sse-relay/express` for example.
 *
 * @deprecated Import it from the name of your server.
 * @param _where is what no argument is, so that TypeScript says the words where it is called.
 * @throws {RelayError} `invalid-option`, always, with the names there are.
 */
export function resume(
  _where: 'import it from sse-relay/express, /fastify, /hono, /koa, /node or /web',
  ..._: unknown[]
): never {
  throw mistake(
    'invalid-option',
    `sse-relay has no resume of its own: import it from the name of your server, ${HOSTS}`,
  )
}
