/** How does a run look to a client that reads the provider's own chunks? */

import type { Rules } from '../check.js'
import { encodeEvent } from '../encode.js'
import { isObject } from '../errors.js'
import { failureOf } from '../failure.js'
import { checkOptions } from '../options.js'
import type { AnswerPart, Encoder, Failure, Protocol } from '../types.js'
import { anthropicError, dataFrame, failureFrame, namedFrame, parseData, toJson } from './frames.js'

/** Options of {@link raw}. */
export interface RawOptions {
  /**
   * `google-genai`: for Google's SDK, which accepts only `data` lines: no event names, no ids, no `retry`, no sentinel,
   * and failures in Gemini's format. The chunks must be Gemini's.
   */
  client?: 'google-genai'
}

const OPTIONS: Rules<keyof RawOptions> = {
  client: [(value: unknown) => value === 'google-genai', "give 'google-genai', or leave it out"],
}

const encoder: Encoder = {
  chunk: (chunk, event) => (event === undefined ? dataFrame(toJson(chunk)) : namedFrame(event, toJson(chunk))),
  part: (part) => dataFrame(toJson(part)),
  event: encodeEvent,
  end: () => '',
  fail: (error) => failureFrame({ type: 'error', error: anthropicError(error) }),
  answer: (parts) => parts.map(toValue),
}

const protocol: Protocol = { name: 'raw', encoder: () => encoder }

/** Statuses → Google's words for them. */
const GOOGLE_STATUS: Record<number, string> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  409: 'ABORTED',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

/** Our own code is in `details`, where Google puts everything else. */
function googleError({ code, message, retryable, status = failureOf(code).status }: Failure & { status?: number }) {
  const word = GOOGLE_STATUS[status] ?? 'UNKNOWN'
  return { error: { code: status, message, status: word, details: [{ reason: code, retryable }] } }
}

/** The response in a chunk of Code Assist, which has it within another object: the SDK knows it bare. */
function bare(chunk: object): object {
  const { response } = chunk as { response?: unknown }
  return isObject(response) ? response : chunk
}

const googleEncoder: Encoder = {
  chunk: (chunk) => (isObject(chunk) ? dataFrame(toJson(bare(chunk))) : ''),
  part: () => '',
  event: () => '',
  end: () => '',
  fail: (error) => dataFrame(toJson(googleError(error))),
  answer: toGoogleResponse,
}

const googleProtocol: Protocol = {
  name: 'raw',
  encoder: () => googleEncoder,
  sentinel: '',
  refusal: googleError,
  dataOnly: true,
}

/**
 * The provider's own chunks under their own event names, for a client that knows the provider. A failure still goes out
 * in our own words: what the provider said about it stays on the server.
 */
export function raw(options: RawOptions = {}): Protocol {
  checkOptions('raw', options, OPTIONS)
  return options.client ? googleProtocol : protocol
}

/** A chunk, a part or an own event as it stands in an answer of one body. */
function toValue(part: AnswerPart): unknown {
  if (part.type === 'chunk') return part.chunk
  return part.type === 'event' ? parseData(part.event.data) : part
}

interface Candidate {
  index?: number
  content?: { parts?: unknown[] }
}

/** One response made of all chunks: later fields win, and the parts of a candidate are joined in order. */
function toGoogleResponse(parts: readonly AnswerPart[]): object {
  const response: Record<string, unknown> = {}
  const candidates: Candidate[] = []
  for (const part of parts) {
    if (part.type !== 'chunk' || !isObject(part.chunk)) continue
    const { candidates: pieces = [], ...rest } = bare(part.chunk) as { candidates?: Candidate[] }
    Object.assign(response, rest)
    for (const piece of pieces) {
      const known = candidates.find(({ index = 0 }) => index === (piece.index ?? 0))
      if (!known) candidates.push({ ...piece })
      else {
        const said = [...(known.content?.parts ?? []), ...(piece.content?.parts ?? [])]
        Object.assign(known, piece, { content: { ...known.content, ...piece.content, parts: said } })
      }
    }
  }
  return { candidates, ...response }
}
