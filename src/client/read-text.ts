/** How does a program get the text or the parts of an answer, instead of its events? */

import { RelayError } from '../errors.js'
import type { ErrorPart, EventStream, Part } from '../types.js'
import { type ParseSSEOptions, parseSSE, type SSEInput } from './parse-sse.js'

/** What {@link readText} and {@link readParts} return. It can be read once. */
export interface ValueStream<T> extends AsyncIterator<T, undefined, undefined> {
  [Symbol.asyncIterator](): ValueStream<T>
  /** The last event id when the latest value was handed over. */
  readonly lastEventId: string
  /** Ends the reading and cancels the body, at once. */
  return(): Promise<IteratorReturnResult<undefined>>
  /** As `return()`, and rejects with the error. */
  throw(error?: unknown): Promise<IteratorReturnResult<undefined>>
}

/**
 * The answer's text, piece by piece, from the `text()` protocol: the `text` of each unnamed event. Named events and JSON
 * without a `text` are skipped. The input is what {@link parseSSE} reads, or a stream that it or `fetchSSE` returned.
 * `options` are those of `parseSSE`; for such a stream they are not used, it has its own.
 *
 * @throws {RelayError} what {@link parseSSE} throws, and `invalid-json` for an unnamed event that is not JSON.
 * @example
 * ```ts
 * for await (const text of readText(await fetch('/api/chat'))) output.textContent += text
 * ```
 */
export function readText(input: SSEInput | EventStream, options?: ParseSSEOptions): ValueStream<string> {
  return readJSON(input, options, (json) => {
    const text = (json as { text?: unknown } | null)?.text
    return typeof text === 'string' ? text : undefined
  })
}

/**
 * The answer's parts from the `parts()` protocol: text, reasoning, tool calls and data as they come, usage and
 * finish at the end. From the `text()` protocol, the text. Named events are skipped. The input and the options are those
 * of {@link readText}.
 *
 * @throws {RelayError} what {@link parseSSE} throws, and `invalid-json` for an unnamed event that is not JSON.
 * @example
 * ```ts
 * for await (const part of readParts(await fetch('/api/chat'))) {
 *   if (part.type === 'text') output.textContent += part.text
 * }
 * ```
 */
export function readParts(input: SSEInput | EventStream, options?: ParseSSEOptions): ValueStream<WirePart> {
  return readJSON(input, options, (json) => {
    const { type, text } = (json ?? {}) as { type?: unknown; text?: unknown }
    if (typeof type === 'string') return json as WirePart
    // An event of the text() protocol has no type.
    return typeof text === 'string' && text ? { type: 'text', text } : undefined
  })
}

/** What {@link readParts} yields: every part but the error, which is thrown. */
export type WirePart = Exclude<Part, ErrorPart>

/** The values that `pick` finds in the JSON of the unnamed events. */
function readJSON<T>(
  input: SSEInput | EventStream,
  options: ParseSSEOptions | undefined,
  pick: (json: unknown) => T | undefined,
): ValueStream<T> {
  const events =
    (input as EventStream | undefined)?.lastEventId === undefined
      ? parseSSE(input as SSEInput, options)
      : (input as EventStream)
  // All but `next()` is inherited: `return()`, `lastEventId`, and `fetchSSE`'s `runId` and `stop()`.
  return Object.assign(Object.create(events), {
    async next() {
      for (;;) {
        const result = await events.next()
        if (result.done) return result
        const { event, data } = result.value
        const value = event === undefined && data && pick(parse(data, events))
        if (value) return { done: false, value }
      }
    },
  })
}

function parse(data: string, events: EventStream): unknown {
  try {
    return JSON.parse(data)
  } catch (cause) {
    events.return()
    throw new RelayError('invalid-json', `An event is not JSON: ${data.slice(0, 80)}`, { cause, body: data })
  }
}
