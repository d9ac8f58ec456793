/** Which error does the client throw for what went wrong on the wire? */

import { RelayError, type RelayErrorOptions } from '../errors.js'

/** How much of a response that is no event stream is kept, in characters: past this an error body says nothing more. */
export const MAX_BODY = 65_536

/** The error that a server described in JSON, `{ error: { code, message, retryable } }`, or else the one given. */
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

/** What a lost connection looks like from here; an abort and an error of ours stay what they are. */
export function networkError(cause: unknown): unknown {
  if (cause instanceof RelayError || (cause as Error)?.name === 'AbortError') return cause
  return new RelayError('network', `The connection failed: ${(cause as Error)?.message ?? cause}`, {
    cause,
    retryable: true,
  })
}

/** Whether a status says that the same request may succeed later. */
export function isTransient(status: number): boolean {
  return status >= 500 || [408, 425, 429].includes(status)
}
