/** What do the events of Mistral's conversations, agents and transcriptions say? */
import { isObject } from '../errors.js'
import { readContent } from './content.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface ConversationEvent {
  type: string
  id?: string
  content?: unknown
  /** In a transcription. */
  text?: string
  toolCallId?: string
  tool_call_id?: string
  name?: string
  arguments?: unknown
  outputIndex?: number
  output_index?: number
  usage?: Record<string, number>
}

const TYPE =
  /^(conversation\.response|message\.output|function\.call|tool\.execution|agent\.handoff|transcription(\.text)?)\.\w+$/

/** The event itself: the SDK's objects hold it in `data`; over an event stream it comes alone, in snake case. */
function eventOf(chunk: object): Record<string, unknown> {
  const { data, event } = chunk as { data?: unknown; event?: unknown }
  return (isObject(data) && (data as { type?: unknown }).type === event ? data : chunk) as Record<string, unknown>
}

/**
 * The stream of `beta.conversations`, `beta.agents` and `audio.transcriptions`. The answer is complete at
 * `conversation.response.done` or `transcription.done`.
 */
export const mistralConversations: ChunkShape = {
  hasEnd: () => true,

  is(chunk) {
    const { type } = eventOf(chunk)
    return typeof type === 'string' && TYPE.test(type)
  },

  read(chunk: object, reading: Reading) {
    const event = eventOf(chunk) as unknown as ConversationEvent
    switch (event.type) {
      case 'message.output.delta': {
        const { content, id } = event
        // Each agent that the conversation is handed to writes its own message.
        if (id !== reading.notes.id) {
          reading.notes.id = id
          reading.paragraph('text')
        }
        if (isObject(content) && 'tool' in content) reading.citation({ ...content, type: undefined, tool: undefined })
        else readContent(reading, typeof content === 'string' ? content : [content].flat())
        break
      }
      case 'function.call.delta': {
        const { name, arguments: input } = event
        const id = event.toolCallId ?? event.tool_call_id
        reading.call(id ?? event.outputIndex ?? event.output_index, input, { id, name })
        break
      }
      case 'conversation.response.error':
        reading.error(event)
        break
      case 'transcription.text.delta':
        reading.text(event.text)
        break
      case 'conversation.response.done':
      case 'transcription.done':
        if (!reading.isTold('text')) reading.text(event.text)
        reading.counts(event.usage)
        reading.end('stop')
    }
  },
}
