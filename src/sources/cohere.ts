/** What do the events of Cohere's chat say, in camel case (the SDK) or snake case (the wire), in versions 2 and 1? */
import { isObject } from '../errors.js'
import { meaningOf } from './finish.js'
import { listOf } from './list-of.js'
import type { ChunkShape, Reading } from './reading-state.js'
import { emptied, withoutRequest } from './redact.js'

interface ToolCall {
  id?: string
  function?: { name?: string; arguments?: string }
}

interface Tokens {
  inputTokens?: number
  outputTokens?: number
  input_tokens?: number
  output_tokens?: number
}

interface Counts {
  tokens?: Tokens | undefined
  billedUnits?: Tokens | undefined
  billed_units?: Tokens
  cachedTokens?: number
  cached_tokens?: number
}

interface Citation {
  sources?: { document?: { id?: unknown; title?: unknown; url?: unknown } | null }[]
}

interface ChatEvent {
  type: string
  id?: string
  index?: number
  delta?: {
    message?: {
      content?: { text?: string; thinking?: string }
      toolPlan?: string
      tool_plan?: string
      /** Some servers send a list. */
      toolCalls?: ToolCall | ToolCall[]
      tool_calls?: ToolCall | ToolCall[]
      citations?: Citation
    }
    finishReason?: string
    finish_reason?: string
    error?: string
    usage?: Counts
  }
}

const EVENT = /^(message|content|tool-plan|tool-call|citation)-(start|delta|end)$/

/** Cohere. The answer is complete at `message-end`, unless that event reports a failure. */
export const cohere: ChunkShape = {
  hasEnd: () => true,

  signalOnly: () => 'Cohere',

  is(chunk) {
    const { type, delta, index } = chunk as ChatEvent
    return EVENT.test(type) && (isObject(delta) || typeof index === 'number')
  },

  event: ({ type }: ChatEvent) => type,

  redact(chunk: ChatEvent) {
    const { delta } = chunk
    const citations = delta?.message?.citations
    const rest = withoutRequest(chunk)
    return citations ? { ...rest, delta: { ...delta, message: { citations: withoutAnswer(citations) } } } : rest
  },

  read({ type, id, index, delta = {} }: ChatEvent, reading: Reading) {
    const { message = {} } = delta
    switch (type) {
      case 'message-start':
        reading.begin()
        reading.start(id)
        break
      case 'content-start':
      case 'content-delta':
        reading.reasoning(message.content?.thinking)
        reading.text(message.content?.text)
        break
      case 'tool-plan-delta':
        reading.reasoning(message.toolPlan ?? message.tool_plan)
        break
      case 'tool-call-start':
      case 'tool-call-delta':
        for (const { id, function: called } of listOf(message.toolCalls ?? message.tool_calls))
          reading.call(index, called?.arguments, { id, name: called?.name })
        break
      case 'tool-call-end':
        reading.calls.done(index)
        break
      case 'citation-start':
        reading.citation(message.citations && withoutAnswer(message.citations))
        break
      case 'message-end':
        readEnd(delta, reading)
    }
  },
}

/** An event of version 1, in either spelling. */
interface OldEvent {
  event_type?: string
  eventType?: string
  text?: string
  tool_call_delta?: { index?: number; name?: string; parameters?: string; text?: string }
  toolCallDelta?: OldEvent['tool_call_delta']
  tool_calls?: { name?: string; parameters?: unknown }[]
  toolCalls?: OldEvent['tool_calls']
  citations?: object[]
  finish_reason?: string
  finishReason?: string
  response?: { meta?: { tokens?: Tokens; billed_units?: Tokens; billedUnits?: Tokens } }
}

const OLD_EVENT =
  /^(stream-(start|end)|text-generation|citation-generation|search-(queries-generation|results)|tool-(calls|input)-\w+|debug)$/

/** Cohere's version 1. The answer is complete at `stream-end`, an event that also holds the history. */
export const cohere1: ChunkShape = {
  signalOnly: () => 'Cohere',

  is: (chunk) => OLD_EVENT.test((chunk as OldEvent).event_type ?? (chunk as OldEvent).eventType ?? ''),

  read(event: OldEvent, reading: Reading) {
    const { event_type, eventType: type = event_type, text, citations, finish_reason, response } = event
    const piece = event.tool_call_delta ?? event.toolCallDelta
    if (type === 'text-generation') reading.text(text)
    else if (type === 'citation-generation') for (const citation of listOf(citations)) reading.citation(citation)
    else if (type === 'tool-calls-chunk') {
      reading.reasoning(text)
      if (piece) reading.call(piece.index, piece.parameters, { name: piece.name })
    } else if (type === 'tool-calls-generation')
      for (const [index, { name, parameters }] of listOf(event.tool_calls ?? event.toolCalls).entries())
        reading.calls.whole(index, parameters, { name })
    else if (type === 'stream-end') {
      const { tokens, billed_units: billed, billedUnits = billed } = response?.meta ?? {}
      readEnd({ finishReason: event.finishReason ?? finish_reason ?? 'ERROR', usage: { tokens, billedUnits } }, reading)
    }
  },
}

/** A source may be a tool's answer or a document of the request: its content is not for the client. */
function withoutAnswer({ sources, ...citation }: Citation): object {
  const kept = sources?.map((source) => {
    const { id, title, url } = source.document ?? {}
    return emptied(source, { toolOutput: undefined, tool_output: undefined, document: { id, title, url } })
  })
  return { ...citation, ...(kept && { sources: kept }) }
}

function readEnd(delta: NonNullable<ChatEvent['delta']>, reading: Reading): void {
  const { usage } = delta
  const tokens = usage?.tokens ?? usage?.billedUnits ?? usage?.billed_units
  reading.counts({ ...usage, ...tokens })
  const word = delta.finishReason ?? delta.finish_reason
  if (delta.error || word === 'ERROR' || (word && meaningOf(word) === 'broken'))
    reading.error({ message: delta.error, type: word })
  else reading.end(word)
}
