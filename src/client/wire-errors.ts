/** Which error does the client throw for what went wrong on the wire? */

import { RelayError, type RelayErrorOptions } from '../errors.js'

/** The most characters that are kept of a response that is not an event stream: an error body needs no more. */
export const MAX_BODY = 65_536

/** The error that a server described in JSON, `{ error: { code, message, retryable } }`, else the given one. */
export function serverError(
  body: string,
  code: string,
  message: string,
  more: RelayErrorOptions = { retryable: false },
): RelayError {
  let error: { code?: unknown; type?: unknown; message?: unknown; retryable?: unknown } = {}
  try {
    error = JSON.parse(body).error ?? error
  } catch {
    // Not JSON: the error carries the text itself.
  }
  const pick = <T>(value: unknown, otherwise: T) => (typeof value === typeof otherwise ? (value as T) : otherwise)
  return new RelayError(pick(error.code ?? error.type, code), pick(error.message, message), {
    ...more,
    retryable: pick(error.retryable, more.retryable),
    body: body.slice(0, MAX_BODY),
  })
}

/** The error for a lost connection. An abort and our own errors stay as they are. */
export function networkError(cause: unknown): unknown {
  if (cause instanceof RelayError || (cause as Error)?.name === 'AbortError') return cause
  return new RelayError('network', `The connection failed: ${reasonOf(cause)}`, { cause, retryable: true })
}

/** What an error says. That of Node's `fetch` is in its cause. */
export function reasonOf(error: unknown): string {
  const { message, cause } = (error ?? {}) as { message?: unknown; cause?: { message?: unknown; code?: unknown } }
  const why = cause?.message || cause?.code
  return `${message ?? error}${why ? `: ${why}` : ''}`
}

/** Whether a status says that the same request may succeed later. */
export function isTransient(status: number): boolean {
  return status >= 500 || [408, 425, 429].includes(status)
}
