/** What do the messages of the Claude Agent SDK say? */
import { anthropic, type MessagesUsage, readCounts } from './anthropic.js'
import { hasKey } from './keys.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface Block {
  type?: string
  text?: string
  thinking?: string
  id?: string
  name?: string
  input?: unknown
  tool_use_id?: string
  content?: unknown
  is_error?: boolean
}

interface Message {
  type: string
  subtype?: string
  parent_tool_use_id?: string | null
  event?: object
  message?: { id?: string; content?: string | Block[] }
  error?: string
  is_error?: boolean
  api_error_status?: number | null
  stop_reason?: string | null
  result?: string
  errors?: string[]
  usage?: MessagesUsage
}

/**
 * Claude Agent SDK. The answer is complete at a `result` that is not an error: each turn has its own `message_stop`.
 * Details of the session (folders, tools), tool results and what a subagent says stay on the server.
 */
export const claudeAgent: ChunkShape = {
  // In the package before this one, messages had no `uuid`.
  is: (chunk) =>
    'session_id' in chunk &&
    hasKey(chunk, 'uuid', 'parent_tool_use_id', 'apiKeySource', 'num_turns') &&
    typeof (chunk as { type?: unknown }).type === 'string',

  read(message: Message, reading: Reading) {
    const { type, event, parent_tool_use_id: parent } = message
    if (parent) return
    reading.calls.areExecuted = true
    if (type === 'stream_event' && event && anthropic.is(event)) {
      // These are single tokens; whole messages repeat them later.
      reading.kept.isStreamed = true
      anthropic.read(event as never, reading)
      if (reading.proof === 'given') reading.proof = 'missing'
    } else if (type === 'assistant') readAssistant(message, reading)
    else if (type === 'user') readAnswers(message, reading)
    else if (type === 'result') readResult(message, reading)
  },
}

/**
 * A whole block of a message. If `error` is set, its text is the provider's words, and the result reports the failure.
 */
function readAssistant({ message, error }: Message, reading: Reading): void {
  if (error) {
    reading.notes.error = error
    return
  }
  const { id: messageId, content } = message ?? {}
  if (reading.kept.isStreamed || !Array.isArray(content)) return
  if (reading.notes.message !== messageId) {
    reading.begin()
    reading.notes.message = messageId
  }
  for (const { type, text, thinking, id, name, input } of content) {
    if (type === 'text') reading.text(text)
    else if (type === 'thinking') reading.reasoning(thinking)
    else if (type === 'tool_use') reading.calls.whole(id, input, { id, name })
  }
}

function readAnswers({ message }: Message, reading: Reading): void {
  if (!Array.isArray(message?.content)) return
  for (const { type, tool_use_id: id, content, is_error: isError } of message.content) {
    if (type === 'tool_result' && id) reading.result(id, content, undefined, isError)
  }
}

function readResult(message: Message, reading: Reading): void {
  const { subtype, usage } = message
  // The counts of all turns. A turn's own counts may have come before.
  reading.notes.counts = undefined
  readCounts(usage, reading)
  if (subtype === 'success' && !message.is_error) {
    // The output of the SDK's own commands comes only here.
    if (!reading.sawText) reading.text(message.result)
    reading.end(message.stop_reason)
  } else {
    const words = message.result ?? message.errors?.join('\n') ?? `The run ended as ${subtype}`
    reading.error({ message: words, status: message.api_error_status, type: reading.notes.error ?? subtype })
  }
}
