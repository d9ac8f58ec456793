/** What did a client get? A whole answer, read to its end. */

import { isComplete } from '../client/final-events.js'
import { type ParseSSEOptions, parseSSE, type SSEInput } from '../client/parse-sse.js'
import { isObject, isRelayError, type RelayError } from '../errors.js'
import type { ParsedEvent } from '../types.js'

/** How a collected answer ended, as far as its reader can know. */
export type CollectedOutcome = 'done' | 'error' | 'truncated' | 'stopped' | 'shutdown' | 'expired'

const ENDINGS: readonly CollectedOutcome[] = ['truncated', 'stopped', 'shutdown', 'expired']

/** A whole answer, as {@link collect} gives it. */
export interface Collected {
  /** The HTTP status, when the input was a response. */
  status?: number
  /** The response's headers by their lower-case names, when the input was a response. */
  headers?: Record<string, string>
  /** Every event except the sentinel and the error frame. */
  events: ParsedEvent[]
  /** The `text` of every unnamed event whose data is JSON with a string `text`, joined. */
  text: string
  /** How many comments came: heartbeats, mostly. */
  comments: number
  /**
   * `done` after the sentinel, or after the last event of a dialect that has one of its own. `truncated` for a body
   * that ended without either. An error frame with the code `truncated`, `stopped`, `shutdown` or `expired` gives that
   * outcome. Every other failure is `error`, and so is every status that is not 2xx, whatever its code.
   */
  outcome: CollectedOutcome
  /** What `parseSSE` threw, for every outcome except `done`. */
  error?: RelayError
  /** The last event id at the end. */
  lastEventId: string
}

/** An answer that is whole already, as Fastify's `inject` and supertest give it. */
export interface WholeResponse {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, unknown>>
  /** Of `inject`. */
  readonly body?: unknown
  /** Of supertest. */
  readonly text?: unknown
}

/**
 * The whole answer, once it is over: its events, its text, and how it ended. Nothing on the wire makes it throw: no
 * error status, no cut, no reset.
 *
 * @param input What `parseSSE` takes: a Response, a stream or iterable of bytes or strings, or a string. Also what
 * Fastify's `inject` and supertest resolve to.
 * @param options Those of `parseSSE`.
 * @throws {RelayError} `invalid-source` or `invalid-option`, for what `parseSSE` does not take.
 * @throws `AbortError` when `options.signal` aborts.
 * @example
 * const { outcome, text } = await collect(await fetch(url))
 */
export async function collect(input: SSEInput | WholeResponse, options: ParseSSEOptions = {}): Promise<Collected> {
  return isWhole(input) ? collectEvents(toResponse(input), options) : collectEvents(input, options)
}

async function collectEvents(input: SSEInput, options: ParseSSEOptions): Promise<Collected> {
  const collected: Collected = { events: [], text: '', comments: 0, outcome: 'done', lastEventId: '' }
  if (isResponse(input)) {
    collected.status = input.status
    collected.headers = Object.fromEntries(input.headers)
  }
  const stream = parseSSE(input, {
    ...options,
    onComment(comment) {
      collected.comments++
      options.onComment?.(comment)
    },
  })
  try {
    for await (const event of stream) {
      collected.events.push(event)
      if (event.event === undefined) collected.text += textOf(event.data)
    }
  } catch (error) {
    if (!isRelayError(error)) throw error
    // A body may end without the sentinel after the dialect's own last event.
    const last = collected.events.at(-1)
    const isCut = error.code !== 'truncated' || error.status !== undefined || error.body !== undefined
    if (isCut || !last || !isComplete(last)) {
      collected.error = error
      // An error status came before the answer began, so its code is not the ending of a stream.
      collected.outcome = (error.status === undefined && ENDINGS.find((ending) => ending === error.code)) || 'error'
    }
  }
  collected.lastEventId = stream.lastEventId
  return collected
}

function isWhole(input: SSEInput | WholeResponse): input is WholeResponse {
  const { statusCode, headers, body, text } = (input ?? {}) as Partial<WholeResponse>
  return Number.isInteger(statusCode) && isObject(headers) && [body, text].some((said) => typeof said === 'string')
}

function toResponse({ statusCode, headers, body, text }: WholeResponse): Response {
  const values = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)]))
  const said = typeof body === 'string' ? body : String(text)
  // A Response with one of these statuses cannot have a body.
  const isBare = [101, 204, 205, 304].includes(statusCode)
  return new Response(isBare ? null : said, { status: statusCode, headers: values as [string, string][] })
}

/** Recognised by its shape: a host may have replaced the global class. */
function isResponse(input: SSEInput): input is Response {
  return typeof (input as Response | undefined)?.headers?.entries === 'function'
}

function textOf(data: string): string {
  try {
    const text: unknown = JSON.parse(data)?.text
    return typeof text === 'string' ? text : ''
  } catch {
    return ''
  }
}
