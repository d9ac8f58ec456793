/** What do Genkit's chunks say, and the response at their end? */
import { isObject } from '../errors.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface GenkitChunk {
  role?: string
  index?: number
  content?: GenkitPart[]
  /** In the response. */
  finishReason?: string
  usage?: object
}

interface GenkitPart {
  text?: string
  reasoning?: string
  toolRequest?: { name?: string; ref?: string; input?: unknown; partial?: boolean }
  toolResponse?: { name?: string; ref?: string; output?: unknown }
  media?: { url?: string; contentType?: string }
  data?: unknown
}

/**
 * The stream of `generateStream`, and the response beside it, which alone has the counts and the reason. If its model
 * failed or was cut, the stream throws, so the end of the stream proves that the answer is complete.
 */
export const genkit: ChunkShape = {
  hasResults: true,

  is(chunk) {
    const { content, role, index, finishReason, message } = chunk as Record<string, unknown>
    if (typeof role === 'string' && typeof index === 'number') return Array.isArray(content)
    return typeof finishReason === 'string' && isObject(message) && 'usage' in chunk && 'request' in chunk
  },

  signalOnly: () => 'Genkit',

  read(chunk: GenkitChunk, reading: Reading) {
    const { role, index, content, finishReason: word, usage } = chunk
    const turn = reading.notes.turn as number | undefined
    // A tool's answer and the model's next answer are messages of their own.
    if (index !== undefined && turn !== undefined && index > turn) {
      settle(reading)
      reading.begin()
    }
    if (index !== undefined) reading.notes.turn = index
    if (word !== undefined) {
      settle(reading)
      reading.counts(usage)
      // A tool that interrupts waits for the client.
      reading.end(word === 'interrupted' ? 'tool_calls' : word)
      return
    }
    const parts = content ?? []
    if (!parts.some(({ toolRequest }) => toolRequest?.partial)) settle(reading)
    for (const part of parts) readPart(part, role, reading)
    reading.end()
  },
}

function readPart(part: GenkitPart, role: string | undefined, reading: Reading): void {
  const { toolRequest, toolResponse, media } = part
  if (toolResponse) reading.result(toolResponse.ref ?? toolResponse.name, toolResponse.output, toolResponse.name)
  if (role !== 'model') return
  reading.text(part.text)
  reading.reasoning(part.reasoning)
  if (media) reading.file(media.contentType, media.url)
  if (toolRequest?.partial) partial(reading).set(toolRequest.ref ?? toolRequest.name, toolRequest)
  else if (toolRequest) whole(toolRequest, reading)
}

/**
 * The partial calls that wait. Each piece has the arguments as far as they could be parsed, so a piece need not begin
 * with the one before it: the last one counts.
 */
function partial({ notes }: Reading): Map<string | undefined, NonNullable<GenkitPart['toolRequest']>> {
  notes.partial ??= new Map()
  return notes.partial as never
}

function settle(reading: Reading): void {
  for (const request of partial(reading).values()) whole(request, reading)
  partial(reading).clear()
}

function whole({ ref, name, input }: NonNullable<GenkitPart['toolRequest']>, reading: Reading): void {
  reading.calls.whole(ref, input, { id: ref, name })
}
