/** What do Bedrock's InvokeModelWithResponseStream events say, and those of its agents, flows and knowledge bases? */
import { isObject } from '../errors.js'
import { readInner } from './inner-chunk.js'
import { jsonOf } from './json.js'
import { hasKey } from './keys.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface InvokeEvent {
  chunk?: { bytes: Uint8Array }
  /** From a flow. */
  flowOutputEvent?: { content?: { document?: unknown } }
  flowCompletionEvent?: { completionReason?: string }
  /** From RetrieveAndGenerateStream. */
  output?: { text?: string }
  citation?: unknown
  guardrail?: { action?: string }
}

/** The events of models that have their own format: Llama, Titan, Mistral, Cohere. */
interface ModelEvent {
  generation?: string
  outputText?: string
  /** From Cohere, which repeats the whole text at the end. */
  text?: string
  is_finished?: boolean
  finish_reason?: string | null
  outputs?: { text?: string; stop_reason?: string | null }[]
  stop_reason?: string | null
  completionReason?: string | null
  'amazon-bedrock-invocationMetrics'?: { inputTokenCount?: number; outputTokenCount?: number }
}

/** The keys of which a model's event has at least one. Any other JSON text is an agent's answer. */
const MODEL = /^(generation|outputText|text|outputs|is_finished|finish_reason|stop_reason|completionReason|amazon-.*)$/

const FLOW = /^flow(Output|Completion|Trace|MultiTurnInputRequest)Event$/

/**
 * The bytes hold each model's own events: the answer is complete where that model says so. An agent's bytes are text.
 */
export const bedrockInvoke: ChunkShape = {
  // An agent's trace holds its prompts, even before it answers. Calls that the caller should run are not read.
  is: (chunk) =>
    (chunk as InvokeEvent).chunk?.bytes instanceof Uint8Array ||
    Object.keys(chunk).some(
      (key) =>
        FLOW.test(key) ||
        (/^(trace|returnControl)$/.test(key) &&
          hasKey((chunk as Record<string, unknown>)[key], 'agentId', 'sessionId', 'invocationId')),
    ),

  // From a knowledge base.
  follows: ({ output, citation, guardrail }: InvokeEvent) =>
    isObject(output) || isObject(citation) || isObject(guardrail),

  signalOnly: () => 'Bedrock',

  read({ chunk, ...event }: InvokeEvent, reading: Reading) {
    if (chunk) readBytes(chunk.bytes, reading)
    else readAgent(event, reading)
  },
}

/** A flow says why it ended. The stream of a knowledge base has no sign of its end. */
function readAgent(event: InvokeEvent, reading: Reading): void {
  const { flowOutputEvent: flow, flowCompletionEvent: end, output, citation, guardrail } = event
  const document = flow?.content?.document
  if (document !== undefined) reading.text(isObject(document) ? JSON.stringify(document) : String(document))
  if (end) reading.end(end.completionReason === 'INPUT_REQUIRED' ? 'suspended' : end.completionReason)
  if (output || citation || guardrail) {
    reading.text(output?.text)
    reading.citation(citation)
    reading.end(guardrail?.action === 'INTERVENED' ? 'guardrail' : undefined)
  }
}

function readBytes(bytes: Uint8Array, reading: Reading): void {
  const text = new TextDecoder().decode(bytes)
  const json = jsonOf(text)
  const event: ModelEvent | undefined = isObject(json) ? json : undefined
  const isKnown = readInner(event, reading)
  if (!event || (!isKnown && !Object.keys(event).some((key) => MODEL.test(key)))) {
    reading.text(text)
    // An agent does not announce its end.
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
  reading.counts(event['amazon-bedrock-invocationMetrics'])
}
