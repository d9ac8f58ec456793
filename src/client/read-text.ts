/** How does a program get the text or the parts of an answer instead of its events? */

import { isObject, RelayError } from '../errors.js'
import type { ErrorPart, EventStream, Part } from '../types.js'
import { type Dialect, dialectOf, failureIn, notRead, PARTS, TEXT } from './dialects.js'
import { type ParseSSEOptions, readInput, type SSEInput } from './parse-sse.js'
import { refuseTaken, take } from './reading-loop.js'

/** What {@link readText} and {@link readParts} return. It can be read only once. */
export interface ValueStream<T> extends AsyncIterator<T, undefined, undefined> {
  [Symbol.asyncIterator](): ValueStream<T>
  /** The last event id when the latest value was handed over. */
  readonly lastEventId: string
  /** Ends the reading and cancels the body, at once. */
  return(): Promise<IteratorReturnResult<undefined>>
  /** Ends like `return()`, then rejects with the error. */
  throw(error?: unknown): Promise<IteratorReturnResult<undefined>>
}

/**
 * Yields the answer's text, piece by piece. The first event that shows it decides the dialect: `text()`, whose named
 * events and JSON without a `text` are skipped; `parts()`; OpenAI's chat chunks; Anthropic's events, which end with
 * their `message_stop`. Any other dialect is an error that names what reads it. The input is whatever {@link parseSSE}
 * reads, or a stream that it or `fetchSSE` returned. `options` are those of `parseSSE`; such a stream has its own, so
 * they are not used.
 *
 * @throws {RelayError} what {@link parseSSE} throws; `invalid-json` for an unnamed event that is not JSON;
 * `invalid-source` for a dialect that is not read here; the provider's own code for a failure in its dialect.
 * @example
 * ```ts
 * for await (const text of readText(await fetch('/api/chat'))) output.textContent += text
 * ```
 */
export function readText(input: SSEInput | EventStream, options?: ParseSSEOptions): ValueStream<string> {
  return readJSON('readText', input, options, (json, dialect) => {
    if (!dialect.text) throw notRead('readText', dialect)
    const text = dialect.text(json as never)
    return typeof text === 'string' ? text : undefined
  })
}

/**
 * Yields the answer's parts from the `parts()` protocol: text, reasoning, tool calls and data as they come, usage and
 * finish at the end. From the `text()` protocol it yields the text. Named events are skipped. Any other dialect is an
 * error that names what reads it. The input and the options are those of {@link readText}.
 *
 * @throws {RelayError} what {@link readText} throws.
 * @example
 * ```ts
 * for await (const part of readParts(await fetch('/api/chat'))) {
 *   if (part.type === 'text') output.textContent += part.text
 * }
 * ```
 */
export function readParts(input: SSEInput | EventStream, options?: ParseSSEOptions): ValueStream<WirePart> {
  return readJSON('readParts', input, options, (json, dialect) => {
    if (dialect !== TEXT && dialect !== PARTS) throw notRead('readParts', dialect)
    const { type, text } = (json ?? {}) as { type?: unknown; text?: unknown }
    if (typeof type === 'string') return json as WirePart
    // An event of the text() protocol has no type.
    return typeof text === 'string' && text ? { type: 'text', text } : undefined
  })
}

/** What {@link readParts} yields: every part except the error, which is thrown. */
export type WirePart = Exclude<Part, ErrorPart>

/** The values that `pick` finds in the events' JSON, once their dialect is known. */
function readJSON<T>(
  what: string,
  input: SSEInput | EventStream,
  options: ParseSSEOptions | undefined,
  pick: (json: unknown, dialect: Dialect) => T | undefined,
): ValueStream<T> {
  const isStream = (input as EventStream | undefined)?.lastEventId !== undefined
  const events = isStream ? (input as EventStream) : readInput(what, input as SSEInput, options)
  // What this function returned inherits its events and has none: reading it again would find an empty answer.
  refuseTaken(Object.getPrototypeOf(events))
  take(events)
  let dialect: Dialect | undefined
  /** An object that no dialect knows. If nothing else comes, the whole answer was in an unknown dialect. */
  let unknown: object | undefined

  /** The value in an event; `undefined` for most events that are not text. */
  function read(event: string | undefined, data: string): T | undefined {
    const isOwn = event !== undefined && (dialect ? !dialect.isNamed : !data.startsWith('{'))
    if (isOwn || !data) return
    let json: unknown
    try {
      json = JSON.parse(data)
    } catch (cause) {
      if (event !== undefined) return
      throw new RelayError('invalid-json', `An event is not JSON, so parseSSE is for it: ${data.slice(0, 80)}`, {
        cause,
        body: data,
      })
    }
    if (!isObject(json)) return
    dialect ??= dialectOf(json, event)
    const failure = dialect !== TEXT && dialect !== PARTS && event === undefined && failureIn(json, data)
    if (failure) throw failure
    if (!dialect) {
      if (event === undefined) unknown ??= json
      return
    }
    const value = pick(json, dialect)
    if (dialect.isEnd?.(json as never)) events.return()
    return value
  }

  // Everything except `next()` is inherited: `return()`, `lastEventId`, and `fetchSSE`'s `runId` and `stop()`.
  return Object.assign(Object.create(events), {
    async next() {
      for (;;) {
        const result = await events.next()
        if (result.done) {
          const strange = !dialect && unknown
          unknown = undefined
          if (strange)
            throw new RelayError(
              'invalid-source',
              `${what} found no text, and events that it does not know, with the keys ${Object.keys(strange).join(', ')}: read them with parseSSE`,
            )
          return result
        }
        try {
          const { event, data } = result.value
          // The standard's name for an event without a name; handwritten servers send it.
          const value = read(event === 'message' ? undefined : event, data)
          if (value) return { done: false, value }
        } catch (error) {
          events.return()
          throw error
        }
      }
    },
    [Symbol.asyncIterator]() {
      take(this)
      return this
    },
  })
}
