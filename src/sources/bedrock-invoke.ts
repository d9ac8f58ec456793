/** What do the events of Bedrock's InvokeModelWithResponseStream and InvokeAgent hold? */
import { isObject } from '../errors.js'
import { readInner } from './inner-chunk.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface InvokeEvent {
  chunk?: { bytes: Uint8Array }
}

/** What the models say that have events of their own: Llama, Titan, Mistral, Cohere. */
interface ModelEvent {
  generation?: string
  outputText?: string
  /** Of Cohere, which tells all of it again at its end. */
  text?: string
  is_finished?: boolean
  finish_reason?: string | null
  outputs?: { text?: string; stop_reason?: string | null }[]
  stop_reason?: string | null
  completionReason?: string | null
  'amazon-bedrock-invocationMetrics'?: { inputTokenCount?: number; outputTokenCount?: number }
}

/** Words of which a model's event has one. Another JSON text is what an agent answers. */
const MODEL = /^(generation|outputText|text|outputs|is_finished|finish_reason|stop_reason|completionReason|amazon-.*)$/

/** Bytes of each model's own events, which are complete where that model says so; of agents the bytes are text. */
export const bedrockInvoke: ChunkShape = {
  // What an agent traces has its prompts, also before it answers; what it would have the caller run is not read.
  is: (chunk) =>
    (chunk as InvokeEvent).chunk?.bytes instanceof Uint8Array ||
    Object.entries(chunk).some(([key, event]) => /^(trace|returnControl)$/.test(key) && isAgentEvent(event)),

  isEarly: ({ chunk }: InvokeEvent) => !chunk,

  signalOnly: () => 'Bedrock',

  redact: false,

  read({ chunk }: InvokeEvent, reading: Reading) {
    if (!chunk) return
    const text = new TextDecoder().decode(chunk.bytes)
    const event = parse(text)
    const isKnown = event !== undefined && readInner(event, reading)
    if (!event || (!isKnown && !Object.keys(event).some((key) => MODEL.test(key)))) {
      reading.text(text)
      // An agent says nothing of its end.
      reading.end()
      return
    }
    const { outputs, is_finished: isFinished, ...model } = event
    const [output] = outputs ?? []
    if (!isKnown) {
      reading.text(
        model.generation ?? model.outputText ?? output?.text ?? (isFinished === false ? model.text : undefined),
      )
      const word = model.stop_reason ?? model.completionReason ?? output?.stop_reason ?? model.finish_reason
      if (word) reading.end(word)
    }
    const metrics = event['amazon-bedrock-invocationMetrics']
    reading.counts(metrics)
  },
}

function isAgentEvent(event: unknown): boolean {
  return isObject(event) && ['agentId', 'sessionId', 'invocationId'].some((key) => key in event)
}

function parse(text: string): ModelEvent | undefined {
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}
