/** What do the chunks of DashScope's own API say, for models and for applications? */
import { isObject } from '../errors.js'
import { readCompletion } from './openai-chat.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface DashScopeChunk {
  request_id?: string
  output?: {
    text?: string
    thoughts?: unknown
    finish_reason?: string
    choices?: { message?: { content?: unknown; reasoning_content?: unknown }; finish_reason?: string }[]
  }
  usage?: { models?: object[] }
}

/** DashScope's own API, for models and for applications. */
export const dashScope: ChunkShape = {
  is({ request_id: id, output }: DashScopeChunk) {
    if (typeof id !== 'string' || !isObject(output)) return false
    const { choices } = output
    return Array.isArray(choices) ? choices.every(({ message }) => isObject(message)) : 'finish_reason' in output
  },

  follows: ({ request_id: id, output }: DashScopeChunk) => typeof id === 'string' && isObject(output),

  read({ output, usage }: DashScopeChunk, reading: Reading) {
    readOutput(output ?? {}, reading)
    reading.counts(usage?.models ?? usage)
  },
}

/** Each chunk holds the whole text so far, unless the request asked for pieces. */
function readOutput(
  { text, choices, finish_reason: word }: NonNullable<DashScopeChunk['output']>,
  reading: Reading,
): void {
  const rest = (name: string, said: unknown) => {
    const told = (reading.notes[name] ?? '') as string
    if (typeof said !== 'string') return said
    const piece = told !== '' && said.startsWith(told) ? said.slice(told.length) : said
    reading.notes[name] = told + piece
    return piece
  }
  reading.text(rest('text', text) as string | undefined)
  if (choices) {
    const deltas = choices.map(({ message, ...choice }) => ({
      ...choice,
      delta: {
        ...message,
        content: rest('text', message?.content),
        reasoning_content: rest('thought', message?.reasoning_content),
      },
    }))
    readCompletion({ choices: deltas }, reading)
  }
  if (word) reading.end(word)
}
