/** What do the events of Google's Agent Development Kit say? */
import { meaningOf } from './finish.js'
import { type ContentPart, readContentPart, readUsage, type UsageMetadata } from './gemini.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface EventPart extends ContentPart {
  functionResponse?: { id?: string; name?: string; response?: unknown }
}

interface Event {
  author: string
  partial?: boolean
  interrupted?: boolean
  content?: { role?: string; parts?: EventPart[] }
  finishReason?: string
  usageMetadata?: UsageMetadata
  groundingMetadata?: unknown
  /** The ids of the calls that something outside the run answers. */
  longRunningToolIds?: string[]
  errorCode?: string
  errorMessage?: string
  actions?: { skipSummarization?: boolean; escalate?: boolean }
}

/**
 * Google ADK. The answer is complete at the `finishReason` of the last turn: after its tools have answered, the model
 * is called again. A non-partial event repeats the partial events before it. The stream never throws.
 */
export const adk: ChunkShape = {
  hasResults: true,

  signalOnly: () => 'the Google ADK',

  is: (chunk) => 'invocationId' in chunk && typeof (chunk as { author?: unknown }).author === 'string',

  read(event: Event, reading: Reading) {
    const { content, partial, finishReason, usageMetadata, actions, errorCode } = event
    const parts = event.author === 'user' ? [] : (content?.parts ?? [])
    const says = parts.some(({ text, functionCall }) => text || functionCall)
    if (says && (reading.proof === 'given' || reading.notes.answered)) reading.begin()
    for (const part of parts) readPart(part, event, reading)
    if (says) reading.notes.partial = partial === true
    reading.citation(event.groundingMetadata)
    if (usageMetadata) readUsage(usageMetadata, reading)
    if (errorCode) readFailure(errorCode, event.errorMessage, reading)
    else if (event.interrupted) reading.finish('interrupted')
    else if (finishReason && !partial) readEnd(finishReason, reading)
    if (actions?.skipSummarization || actions?.escalate) reading.end()
  },
}

function readPart(part: EventPart, { partial: isPartial, longRunningToolIds: long }: Event, reading: Reading): void {
  const { functionCall: call, functionResponse: answer } = part
  if (answer) {
    reading.result(answer.id, answer.response, answer.name)
    reading.notes.answered = true
    reading.proof = 'missing'
  } else if (call) {
    // The arguments in a partial event may be incomplete.
    if (isPartial) return
    const executed = !long?.includes(call.id as string)
    reading.calls.whole(call.id, call.args, { ...call, executed })
  } else if (isPartial || !reading.notes.partial) readContentPart(part, reading)
}

/** After a tool's answer, a finish reason ends nothing until the model has spoken again. */
function readEnd(word: string, reading: Reading): void {
  if (reading.notes.answered) reading.finish(word)
  else reading.end(word)
}

/**
 * `errorCode` is a reason for stopping without text, an HTTP status, or a failure whose message may contain the status.
 */
function readFailure(code: string, message: string | undefined, reading: Reading): void {
  if (!/^(other|error|broken|nothing)$/.test(meaningOf(code))) {
    reading.end(code)
    return
  }
  const [, status] = /"code":\s*(\d{3})\b/.exec(message ?? '') ?? []
  reading.error({ message, code: /^\d{3}$/.test(code) ? Number(code) : Number(status) || code })
}
