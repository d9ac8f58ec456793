/** What can `parseSSE` read, how is it opened and cancelled, and is it an event stream at all? */

import { RelayError, show } from '../errors.js'
import type { ReadableStreamLike, ResponseLike } from '../types.js'
import { isTransient, serverError } from './wire-errors.js'

/** What `parseSSE` reads: a `fetch` response, a stream or iterable of bytes or strings, or a string. */
export type SSEInput =
  | ResponseLike
  | ReadableStreamLike<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>
  | string

/** Something to read. The first `read()` opens it. */
export interface Body {
  /** Makes the error for a response that is not an event stream from its body's text; absent if it is one. */
  refusal: ((text: string) => RelayError) | undefined
  read(): PromiseLike<ReadResult> | ReadResult
  /** Cancels it, and ignores a rejection. */
  cancel(): Promise<void>
}

interface ReadResult {
  done?: boolean | undefined
  value?: unknown
}

/** An address. An event stream would have line breaks. */
const ADDRESS = /^(?!(data|event|id|retry|):)([a-z]+:|\.{0,2}\/|[\w.:-]+\/)\S*$/i

/** @throws {RelayError} `invalid-source` for what cannot be read. */
export function toBody(input: SSEInput): Body {
  const hasHead = typeof (input as ResponseLike)?.headers?.get === 'function'
  const response = hasHead ? (input as ResponseLike) : undefined
  const isText = typeof input === 'string'
  const body = (
    isText ? textOf({ text: () => input }) : response ? (response.body ?? textOf(response)) : input
  ) as ReadableStream & AsyncIterable<unknown> & { destroy?(): unknown }
  // A request has headers and a body, too.
  const isOther = isText
    ? ADDRESS.test(input)
    : response && (typeof response.status !== 'number' || !(response.body || response.text))
  // A reader is preferred to an iterator: Safari's streams have no iterator.
  if (isOther || (!body?.getReader && !body?.[Symbol.asyncIterator])) throw unreadable(show(input))
  let opened: ReturnType<typeof open> | undefined
  const open = () => {
    if (response?.bodyUsed || body.locked)
      throw new RelayError('response-used', 'The body is read already: clone the Response')
    if (!body.getReader) {
      const iterator = body[Symbol.asyncIterator]()
      // Without this a mistake of the page would be told, and tried again, as a lost connection.
      if (!iterator?.next) throw unreadable('An iterator without next()')
      return iterator
    }
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
        const left = (opened ?? open()).return?.()
        // A Node stream's iterator waits for the next bytes; before the first bytes its `return()` releases nothing.
        body.destroy?.()
        await left
      } catch {}
    },
  }
}

/** The error for an input, or a chunk of one, that cannot be read. */
export function unreadable(what: string): RelayError {
  return new RelayError(
    'invalid-source',
    `${what} cannot be read: give an awaited Response, or a stream of bytes and strings; an address is for fetchSSE`,
  )
}

/** Absent for a response that is an event stream. */
function refusalOf({ ok, status, headers }: ResponseLike): Body['refusal'] {
  const type = headers.get('content-type') ?? ''
  // If two layers have set the header, the last value counts, as in Fetch.
  if (ok && /(^|,)\s*text\/event-stream\s*(;([^",]|"[^"]*")*)?$/i.test(type)) return
  return (body) => {
    // Hosts answer like this when a handler has ended without an answer.
    const isEmpty = status === 200 && !body && 'it is empty: does the handler return, or await, what relay returns?'
    const [code, message] = ok
      ? [
          'content-type',
          `The answer is no event stream, its content-type is ${type ? show(type) : 'missing'}: ${isEmpty || 'error.body has what it says'}`,
        ]
      : [
          'http-status',
          // A page gets status 0 with `no-cors`, which people add against CORS errors.
          status
            ? `The server answered with status ${status}`
            : "The answer is hidden from this page: leave out mode: 'no-cors', and have the server allow the origin",
        ]
    return serverError(body, code, message, { status, retryable: isTransient(status) })
  }
}

/**
 * A string, or the body of a `Response` without a stream (React Native's, or an empty one), as a stream: not every
 * engine has async iterators.
 */
function textOf(response: { text?(): Promise<string> | string }): ReadableStreamLike<string> {
  let done = false
  return {
    getReader: () => ({
      async read() {
        if (done) return { done }
        done = true
        return { done: false, value: (await response.text?.()) ?? '' }
      },
      async cancel() {},
      releaseLock() {},
    }),
  }
}
