/** What does an error of this library look like, and which codes does it have? */

/** The codes this library uses. The set is open: applications may use their own codes. */
export type ErrorCode =
  | 'rate-limit'
  | 'overload'
  | 'upstream-timeout'
  | 'upstream-failure'
  | 'internal'
  | 'truncated'
  | 'stopped'
  | 'shutdown'
  | 'expired'
  | 'invalid-field'
  | 'invalid-source'
  | 'invalid-option'
  | 'response-used'
  | 'run-exists'
  | 'run-not-found'
  | 'cursor-gone'
  | 'producer-lost'
  | 'log-failure'
  | 'http-status'
  | 'content-type'
  | 'idle-timeout'
  | 'event-timeout'
  | 'event-too-large'
  | 'invalid-json'
  | 'network'
  // Keeps the list above for completion while any string is allowed.
  | (string & {})

/** What a {@link RelayError} may carry besides its code and message. */
export interface RelayErrorOptions {
  /** @default false */
  retryable?: boolean
  /** An HTTP status: on the server the one to answer with, on the client the one that came. */
  status?: number
  /** On the server: whether `message` and `code` may be shown to the client. */
  expose?: boolean
  cause?: unknown
  /** On the client: the body of the error response, or the data of the error event, capped at 64 KiB. */
  body?: string
  /** On the client: how many events had been handed over. */
  received?: number
  /** On the client: the last event id at that moment. */
  lastEventId?: string
  /** On the client: the text after the last complete event, which was not delivered. */
  pending?: string
}

/** Every error of this library: a code to branch on, a message that names the value and the remedy. */
export class RelayError extends Error {
  override name = 'RelayError' as const
  declare readonly code: ErrorCode
  /** Whether asking again may help. A hint for the application: nothing here acts on it. */
  declare readonly retryable: boolean
  declare readonly status?: number
  declare readonly expose?: boolean
  declare readonly body?: string
  declare readonly received?: number
  declare readonly lastEventId?: string
  declare readonly pending?: string

  constructor(code: ErrorCode, message: string, options?: RelayErrorOptions) {
    // `Error` itself sets the cause, as a property that is not enumerable. An absent one would be printed as undefined.
    const { cause, ...more } = options ?? {}
    super(message, cause === undefined ? undefined : { cause })
    Object.assign(this, { code, retryable: false }, more)
  }
}

/** Whether `value` is a {@link RelayError}, from whichever copy of the package. */
export function isRelayError(value: unknown): value is RelayError {
  return value instanceof Error && value.name === 'RelayError' && typeof (value as RelayError).code === 'string'
}

/** How an error's message shows a value. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
  if (typeof value === 'function') return 'a function'
  if (!isObject(value)) return String(value)
  if (typeof (value as { then?: unknown }).then === 'function') return 'a promise that nobody awaited (await it first)'
  return `an object (${value.constructor?.name ?? 'without a prototype'})`
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
