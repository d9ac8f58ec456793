/** What do the events of a prediction on Replicate say? */
import type { ChunkShape, Reading } from './reading-state.js'

interface ServerSentEvent {
  event: string
  data: string
}

/**
 * The stream of `replicate.stream`, instances of a class. The answer is complete at `done`, unless that gives a reason.
 */
export const replicate: ChunkShape = {
  // An object literal of this form is an event of the user's own.
  is(chunk) {
    const { event, data } = chunk as Record<string, unknown>
    return typeof data === 'string' && /^(output|logs|done|error)$/.test(event as string) && !isLiteral(chunk)
  },

  signalOnly: () => 'Replicate',

  read({ event, data }: ServerSentEvent, reading: Reading) {
    if (event === 'output') reading.text(data)
    if (event === 'error') reading.error(data)
    if (event !== 'done') return
    const { reason } = JSON.parse(data || '{}') as { reason?: string }
    if (reason === 'error') reading.error('The prediction failed')
    else reading.end(reason)
  },
}

function isLiteral(chunk: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(chunk)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
