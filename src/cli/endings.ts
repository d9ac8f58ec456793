/** How an event stream says that its answer is over, as far as it is known from outside. */
import { DONE, type ParsedEvent } from '../types.js'

/** The last events of the dialects that have no sentinel: Anthropic's, and OpenAI's Responses. */
const LAST_TYPES = new Set(['message_stop', 'response.completed', 'response.incomplete', 'response.failed'])

/** Whether the answer is complete with this event. */
export function isEnding({ event, data }: ParsedEvent, sentinel: string = DONE): boolean {
  return data === sentinel || (event !== undefined && LAST_TYPES.has(event))
}
