/** What does `sse-relay/client` export: what reads an event stream of tokens, in any runtime? */

export { type ErrorCode, isRelayError, RelayError, type RelayErrorOptions } from '../errors.js'
export { DONE, type EventStream, type ParsedEvent, type ReadableStreamLike, type ResponseLike } from '../types.js'
export { type FetchLike, type FetchSSEOptions, type FetchStream, fetchSSE } from './fetch-sse.js'
export { type ParseSSEOptions, parseSSE, type SSEInput } from './parse-sse.js'
export { createParser, type Parser, type ParserOptions } from './parser.js'
export { SSEParserStream, type SSEParserStreamOptions } from './parser-stream.js'
export { readParts, readText, type ValueStream, type WirePart } from './read-text.js'
