/**
 * The core: the codec, the parts, and the contract for adapters. Hosts are under their own names,
 * `sse-relay/express` for example.
 */
export { DONE, encodeComment, encodeEvent } from './encode.js'
export { type ErrorCode, isRelayError, RelayError, type RelayErrorOptions } from './errors.js'
export type { HeadersLike } from './headers.js'
export type { ErrorContext, Log, RelayOptions, ShownFailure } from './options.js'
export {
  lastEventIdOf,
  type RelayHandle,
  type RelayToOptions,
  type RequestHead,
  type ResumeOptions,
  type ResumeToOptions,
  relayTo,
  resumeTo,
  type Sink,
  type SinkHeaders,
} from './relay.js'
export { toParts } from './sources/index.js'
export type * from './types.js'
