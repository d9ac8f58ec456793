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

/** What a `fetch` throws. One of the page's own (ky, ofetch, axios) may throw answers too, which have a status. */
interface Thrown {
  message?: unknown
  cause?: { message?: unknown }
  response?: { status?: unknown }
  status?: unknown
}

/** What `fetch` says, in one runtime or another, of an address that it cannot ask: the cause is Node's. */
const NO_URL = /(parse|valid).* URL|URL.*(valid|credentials)|scheme|bad port/i

/**
 * What a lost connection looks like from here; an abort and an error of ours stay what they are. An address that cannot
 * be asked is a mistake, the same however often it is tried, unless a server has led there.
 */
export function networkError(cause: unknown, isLed = false): unknown {
  if (cause instanceof RelayError || (cause as Error)?.name === 'AbortError') return cause
  const { message, cause: reason, response, status = response?.status } = (cause ?? {}) as Thrown
  if (typeof status === 'number')
    return new RelayError(
      'http-status',
      `The server answered with status ${status}, and this fetch throws that: have it return the answer, which says more`,
      { cause, status, retryable: isTransient(status) },
    )
  if (!isLed && NO_URL.test(`${message} ${reason?.message}`))
    return unsendable(cause, 'outside of a page give a whole URL, https://…, and never with a password in it')
  return new RelayError('network', `The connection failed: ${message ?? cause}`, { cause, retryable: true })
}

/** Of a request that `fetch` sends to nobody, whatever the connection. */
export function unsendable(cause: unknown, remedy: string): RelayError {
  return new RelayError('invalid-option', `The request cannot be sent (${(cause as Error).message}): ${remedy}`, {
    cause,
  })
}

/** Whether a status says that the same request may succeed later. */
export function isTransient(status: number): boolean {
  return status >= 500 || [408, 425, 429].includes(status)
}
