/** What do the events of Gemini's Interactions say? */
import type { ChunkShape, Reading } from './reading-state.js'

interface InteractionEvent {
  event_type: string
  index?: number
  step?: { type?: string; id?: string; name?: string; arguments?: unknown }
  delta?: {
    type?: string
    text?: string
    signature?: string
    id?: string
    name?: string
    content?: { text?: string }
    arguments?: unknown
    annotations?: unknown[]
    data?: string
    uri?: string
    mime_type?: string
  }
  interaction?: { id?: string; model?: string; status?: string; usage?: Record<string, number> }
  error?: unknown
}

/** Before there were steps, their events were those of their `content`. */
const EVENT = /^(interaction|step)\.|^content\.(start|delta|stop)$/

/** The stream of `interactions.create`. The answer is complete at `interaction.completed`, whose status says why. */
export const geminiInteractions: ChunkShape = {
  hasEnd: () => true,

  is(chunk) {
    const { event_type: type } = chunk as Record<string, unknown>
    return typeof type === 'string' && (EVENT.test(type) || (type === 'error' && 'error' in chunk))
  },

  // The stream's `controller.abort()` closes nothing while the provider is silent.
  signalOnly: () => 'Gemini Interactions',

  read({ event_type, index, step, delta, interaction, error }: InteractionEvent, reading: Reading) {
    switch (event_type.replace('content', 'step')) {
      case 'interaction.created':
      case 'interaction.start':
        reading.start(interaction?.id, interaction?.model)
        break
      case 'step.start':
        if (step?.type === 'model_output') reading.paragraph('text')
        if (step?.type === 'thought') reading.paragraph('reasoning')
        if (step?.type === 'function_call') {
          reading.call(index, '', { id: step.id, name: step.name })
          if (Object.keys(step.arguments ?? {}).length > 0) reading.calls.whole(index, step.arguments)
        }
        break
      case 'step.delta':
        if (delta) readDelta(index, delta, reading)
        break
      case 'step.stop':
        reading.calls.done(index)
        break
      case 'error':
        reading.error(error)
        break
      case 'interaction.completed':
      case 'interaction.complete': {
        const { status, usage = {} } = interaction ?? {}
        const { total_output_tokens: output, total_thought_tokens: thought } = usage
        reading.usage({
          inputTokens: usage.total_input_tokens,
          outputTokens: output === undefined ? output : output + (thought ?? 0),
          totalTokens: usage.total_tokens,
          cachedInputTokens: usage.total_cached_tokens,
          reasoningTokens: thought,
        })
        // After `requires_continuation` the SDK's client continues by itself.
        if (status !== 'requires_continuation') reading.end(status)
      }
    }
  },
}

function readDelta(index: number | undefined, delta: NonNullable<InteractionEvent['delta']>, reading: Reading): void {
  switch (delta.type) {
    case 'text':
      reading.text(delta.text)
      break
    case 'thought_summary':
      reading.reasoning(delta.content)
      break
    case 'thought_signature':
      reading.signature(delta.signature)
      break
    case 'function_call':
      reading.calls.whole(index, delta.arguments, delta)
      break
    case 'arguments_delta':
      reading.call(index, delta.arguments)
      break
    case 'text_annotation':
      for (const annotation of delta.annotations ?? []) reading.citation(annotation)
      break
    default:
      if (delta.mime_type) reading.file(delta.mime_type, delta.uri, delta.data)
  }
}
