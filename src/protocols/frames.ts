/** What do the frames of all dialects share: JSON as data, and the failure frame? */

import { encodeEvent } from '../encode.js'
import { mistake } from '../failure.js'
import type { AnswerPart, Encoder, Failure, FinishReason, ToolCallPart } from '../types.js'

/**
 * Other characters that Unicode counts as line breaks. JSON and event streams allow them, but readers that split lines
 * as their language does cut a token there and fail: Python's `splitlines`, `iter_lines` of httpx, a `.` in JavaScript.
 * So they are escaped, which changes nothing in the value.
 */
const OTHER_BREAK = /[\u0085\u2028\u2029]/

function escaped(json: string): string {
  return json.replace(/[\u0085\u2028\u2029]/g, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A source's text as JSON text. */
export function quote(text: string): string {
  const json = JSON.stringify(text)
  return OTHER_BREAK.test(json) ? escaped(json) : json
}

/** A frame of JSON text. `JSON.stringify` escapes line breaks, so the text is not searched for them. */
export function dataFrame(json: string): string {
  return `data: ${json}\n\n`
}

/** A named frame whose name comes from a source. */
export function namedFrame(event: string, json: string): string {
  refuseError(event)
  return encodeEvent({ event, data: json })
}

/** An event named `error` ends a run for the client, so only the relay may send one. */
export function refuseError(event: string | undefined): void {
  if (event === 'error') {
    throw mistake(
      'invalid-field',
      'A source cannot send an event or data part named "error": throw the error, or choose another name',
    )
  }
}

/** The failure frame of most protocols; `payload` holds `error: { code, message, retryable }`. */
export function failureFrame(payload: object): string {
  return `event: error\ndata: ${toJson(payload)}\n\n`
}

/**
 * A failure as the encoder writes it, if there is an encoder that can; else in a form that has every dialect's fields.
 */
export function failureFrames(
  encoder: () => Encoder | undefined,
  { code, message, retryable }: Pick<Failure, 'code' | 'message' | 'retryable'>,
): string {
  try {
    const frames: unknown = encoder()?.fail({ code, message, retryable })
    // Without a blank line at its end no client would see the frame.
    if (typeof frames === 'string' && frames.endsWith('\n\n')) return frames
  } catch {
    // The encoder failed too. The ending is sent all the same.
  }
  return failureFrame({ type: 'error', error: { type: code, code, message, retryable }, errorText: message })
}

/** From our failure codes, and then from statuses, to the error types that Anthropic's clients know. */
const ANTHROPIC_TYPES: Record<string, string | null | undefined> = {
  __proto__: null,
  'rate-limit': 'rate_limit_error',
  overload: 'overloaded_error',
  'upstream-timeout': 'timeout_error',
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  409: 'conflict_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
}

/** A failure with the type that Anthropic's clients know it by. */
export function anthropicError({ code, message, retryable, status }: Failure & { status?: number }): object {
  const type = ANTHROPIC_TYPES[code] ?? ANTHROPIC_TYPES[status ?? 500] ?? 'api_error'
  return { type, code, message, retryable }
}

/** The finish reasons of an answer whose last call may be cut. */
export const CUT = /^(length|content-filter|error)$/

/**
 * Whether a call is whole that is not marked as done, as the application's own parts may never be: its text decides.
 */
export function seemsWhole(input: string, reason: FinishReason = 'stop'): boolean {
  return !CUT.test(reason) && isJSON(input || '{}')
}

/** Whether a call is whole at the end of its answer. `saysDone`: the source marks its whole calls as done. */
export function isWhole(
  { done, input }: { done?: boolean | undefined; input: string },
  saysDone: boolean,
  reason: FinishReason | undefined,
): boolean {
  return done || (!saysDone && seemsWhole(input, reason))
}

export function isJSON(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** The data of an own event, which is text by now. If it is JSON, its value goes out. */
export function parseData(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** The calls of a whole answer that have a result in it. Some agents number their calls anew in each turn. */
export function callsAnswered(parts: readonly AnswerPart[]): Set<AnswerPart> {
  const answered = new Set<AnswerPart>()
  const latest = new Map<string | undefined, AnswerPart>()
  for (const part of parts) {
    if (part.type === 'tool-call') latest.set(part.id, part)
    const call = part.type === 'tool-result' && latest.get(part.id)
    if (call) answered.add(call)
  }
  return answered
}

/**
 * The calls of a whole answer that its client must run, by their parts, and whether any call is not whole. Of two calls
 * with one id, which results could not tell apart, the second loses its id. With `isValue` the client gets the input as
 * a value, not as text, so input that is not JSON counts as not whole.
 */
export function callsToRun(
  parts: readonly AnswerPart[],
  reason: FinishReason | undefined,
  isValue = false,
): { calls: Map<AnswerPart, ToolCallPart>; isCut: boolean } {
  const calls = new Map<AnswerPart, ToolCallPart>()
  const answered = callsAnswered(parts)
  const used = new Set<string | undefined>()
  const saysDone = parts.some((part) => part.type === 'tool-call' && part.done)
  let isCut = false
  for (const part of parts) {
    if (part.type !== 'tool-call' || part.executed || part.error !== undefined || answered.has(part)) continue
    const { id, input } = part
    if (isWhole(part, saysDone, reason) && (!isValue || isJSON(input || '{}')))
      calls.set(part, { ...part, id: used.has(id) ? undefined : id })
    else isCut = true
    used.add(id)
  }
  return { calls, isCut }
}

/** The finish reason that the client gets. It does not run the calls of an answer that ends with `length`. */
export function reasonOf(reason: FinishReason = 'stop', isAsking: boolean, isCut: boolean): FinishReason {
  if (isAsking && isCut && reason !== 'content-filter') return 'length'
  if (reason !== 'stop' && reason !== 'tool-calls') return reason
  return isAsking ? 'tool-calls' : 'stop'
}

/** The input of half a call that has none yet. Clients take no input for `{}`, and would run the call with that. */
export const HALF = '{'

/** The error that ends the run: the client would run what the provider has taken back. */
export function cannotTakeBack(what: string, protocol: string): Error {
  return mistake(
    'internal',
    `${what} changed after ${protocol} had sent it, and this dialect can only append: relay with uiMessage() or parts(), which can say so, or say it in the first piece of the call`,
  )
}

/**
 * A source's value as JSON text.
 *
 * @throws {RelayError} `invalid-source` for a BigInt, a cycle, and a value that JSON cannot hold; `upstream-failure`
 * for one that is nested too deeply for the stack, which nobody writes by hand.
 */
export function toJson(value: unknown): string {
  let json: string | undefined
  let cause: unknown
  try {
    json = JSON.stringify(value)
  } catch (error) {
    cause = error
  }
  if (json === undefined) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : `${typeof value} has no JSON`
    throw mistake(
      cause instanceof RangeError ? 'upstream-failure' : 'invalid-source',
      `The source yields what cannot be written as JSON (${reason}): convert it first`,
      cause,
    )
  }
  // In a long text three searches take a quarter of the expression's time; in a token it is the other way round.
  return json.includes('\u0085') || json.includes('\u2028') || json.includes('\u2029') ? escaped(json) : json
}
