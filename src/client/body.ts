/** What can `parseSSE` read, how is it opened and cancelled, and is it an event stream at all? */

import { RelayError } from '../errors.js'
import type { ReadableStreamLike, ResponseLike } from '../types.js'
import { isTransient, serverError } from './failures.js'

/** What `parseSSE` reads: a `fetch` response, a stream or iterable of bytes or strings, or a string. */
export type SSEInput =
  | ResponseLike
  | ReadableStreamLike<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>
  | string

/** Something to read. It is opened by the first `read()` and not before. */
export interface Body {
  /** Makes the error of a response that is no event stream from what its body says; absent if it is one. */
  refusal: ((text: string) => RelayError) | undefined
  read(): PromiseLike<ReadResult> | ReadResult
  /** Cancels it, and ignores what that rejects with. */
  cancel(): Promise<void>
}

interface ReadResult {
  done?: boolean | undefined
  value?: unknown
}

/** @throws {RelayError} `invalid-source` for what cannot be read. */
export function toBody(input: SSEInput): Body {
  const response = typeof (input as ResponseLike)?.headers?.get === 'function' ? (input as ResponseLike) : undefined
  const body = (
    typeof input === 'string' ? textOf({ text: () => input }) : response ? (response.body ?? textOf(response)) : input
  ) as ReadableStream & AsyncIterable<unknown>
  // A reader is asked for before an iterator: Safari's streams have no iterator.
  if (!body?.getReader && !body?.[Symbol.asyncIterator]) throw unreadable(String(input))
  let opened: ReturnType<typeof open> | undefined
  const open = () => {
    if (response?.bodyUsed || body.locked)
      throw new RelayError('response-used', 'The body is read already: clone the Response')
    if (!body.getReader) return body[Symbol.asyncIterator]()
    const reader = body.getReader()
    return {
      next: () => reader.read(),
      return() {
        const cancelled = reader.cancel()
        reader.releaseLock()
        return cancelled
      },
    }
  }
  return {
    refusal: response && refusalOf(response),
    read() {
      opened ??= open()
      return opened.next()
    },
    async cancel() {
      try {
        await (opened ?? open()).return?.()
      } catch {}
    },
  }
}

/** The error for an input, or a chunk of one, that nobody can read. */
export function unreadable(what: string): RelayError {
  return new RelayError(
    'invalid-source',
    `parseSSE cannot read ${what}: give an awaited Response, or a stream of bytes and strings`,
  )
}

/** Absent for a response that is an event stream. */
function refusalOf({ ok, status, headers }: ResponseLike): Body['refusal'] {
  const type = headers.get('content-type') ?? ''
  if (ok && /^text\/event-stream *(;|$)/i.test(type)) return
  const [code, message] = ok
    ? ['content-type', `The answer is no event stream but "${type}"`]
    : ['http-status', `The server answered with status ${status}`]
  return (body) => serverError(body, code, message, { status, retryable: isTransient(status) })
}

/** A string, or the body of a `Response` that has no stream: React Native's, or an empty one. */
async function* textOf(response: { text?(): Promise<string> | string }): AsyncGenerator<string> {
  yield (await response.text?.()) ?? ''
}
