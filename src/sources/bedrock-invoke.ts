/** What do the events of Bedrock's InvokeModelWithResponseStream and InvokeAgent hold? */
import { isObject } from '../errors.js'
import { readInner } from './inner.js'
import type { ChunkShape, Reading } from './reading.js'

interface InvokeEvent {
  chunk: { bytes: Uint8Array }
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

/** Bytes of each model's own events, which are complete where that model says so; of agents the bytes are text. */
export const bedrockInvoke: ChunkShape = {
  is: (chunk) => (chunk as Partial<InvokeEvent>).chunk?.bytes instanceof Uint8Array,

  signalOnly: () => 'Bedrock',

  redact: false,

  read({ chunk }: InvokeEvent, reading: Reading) {
    const text = new TextDecoder().decode(chunk.bytes)
    const event = parse(text)
    if (event === undefined) {
      reading.text(text)
      // An agent says nothing of its end.
      reading.end()
      return
    }
    const { outputs, is_finished: isFinished, ...model } = event
    const [output] = outputs ?? []
    if (!readInner(event, reading)) {
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

function parse(text: string): ModelEvent | undefined {
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}
