/** What a source yields, recognised by its shape: no SDK is imported. */
import { RelayError, show } from '../errors.js'
import { typeMistake } from '../failure.js'
import type { OwnEvent, Part } from '../types.js'
import { aiSDK } from './ai-sdk.js'
import { aiSDKUI } from './ai-sdk-ui.js'
import { anthropic } from './anthropic.js'
import { bedrock } from './bedrock.js'
import { isResponse, readEventStream } from './event-stream.js'
import { gemini } from './gemini.js'
import { mistral } from './mistral.js'
import { ollama } from './ollama.js'
import { openaiChat } from './openai-chat.js'
import { openaiResponses } from './openai-responses.js'
import { type ChunkShape, createReading, isPart, pushData, pushError, type Reading } from './reading.js'

export { createReading, isResponse, type Reading, readEventStream }

/** In the order in which they are asked. */
const SHAPES: readonly ChunkShape[] = [
  openaiChat,
  anthropic,
  openaiResponses,
  gemini,
  mistral,
  ollama,
  bedrock,
  aiSDKUI,
  aiSDK,
]

/**
 * A chunk as parts: a string as text, a provider's chunk as what it says, a part as itself, an event of one's
 * own as data under its name, any other object as data named `data`. Empty chunks have no parts.
 *
 * @throws {TypeError} for bytes, and for values that are neither text nor object.
 * @throws {RelayError} `upstream-failure` for a provider's chunk that is not in the provider's format.
 */
export function toParts(chunk: unknown): Part[] {
  const reading = createReading()
  const own = readChunk(chunk, reading)
  return own ? [{ type: 'data', name: own.event ?? 'data', data: own.data }] : reading.parts
}

/** Reads one chunk: `reading.parts` are its parts then, or it is an event of one's own, which is returned. */
export function readChunk(chunk: unknown, reading: Reading): OwnEvent | undefined {
  const { parts } = reading
  parts.length = 0
  reading.shape = undefined
  if (typeof chunk === 'string') {
    if (chunk !== '') parts.push({ type: 'text', text: chunk })
    return
  }
  if (chunk === null || chunk === undefined) return
  if (typeof chunk !== 'object') throw wrongChunk(show(chunk), 'yield strings or objects')
  for (const shape of SHAPES) {
    if (shape.is(chunk)) {
      reading.shape = shape
      // It waits for its provider's last word, unless that was given.
      if (reading.proof === 'not-needed') reading.proof = 'missing'
      try {
        shape.read(chunk as never, reading)
      } catch (cause) {
        throw new RelayError(
          'upstream-failure',
          "A chunk is not in its provider's format: something in it has another type",
          { cause, retryable: true },
        )
      }
      return
    }
  }
  if (ArrayBuffer.isView(chunk) || chunk instanceof ArrayBuffer) {
    throw wrongChunk('bytes', 'read an event stream with parseSSE, text with TextDecoderStream')
  }
  if (isPart(chunk)) {
    // An error event of the Anthropic Messages API has the shape of our own error part.
    if (chunk.type === 'error' && typeof chunk.error === 'object' && !(chunk.error instanceof Error))
      pushError(reading, chunk.error)
    else parts.push(chunk)
  } else if (isFailure(chunk, reading)) pushError(reading, chunk.error || chunk)
  else if (isOwnEvent(chunk)) return chunk
  else pushData(reading, 'data', chunk)
}

/** A plain object with `data` and no keys but those of an event. */
function isOwnEvent(chunk: object): chunk is OwnEvent {
  if (!('data' in chunk)) return false
  const prototype = Object.getPrototypeOf(chunk)
  if (prototype !== Object.prototype && prototype !== null) return false
  return Object.keys(chunk).every((key) => /^(data|event|id|retry)$/.test(key))
}

/**
 * A failure alone, as servers say it in their streams: `{ error: … }`, `{ object: 'error', … }`, and, between chunks of
 * a provider, whatever has an `error`.
 */
function isFailure(chunk: object, reading: Reading): chunk is { error?: unknown } {
  const { error, object } = chunk as { error?: unknown; object?: unknown }
  return object === 'error' || (!!error && (reading.proof !== 'not-needed' || Object.keys(chunk).length === 1))
}

function wrongChunk(what: string, remedy: string): TypeError {
  return typeMistake('invalid-source', `The source yields ${what}: ${remedy}`)
}
