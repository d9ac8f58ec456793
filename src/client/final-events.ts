/** How does an event stream say that its answer is over, in any dialect, as far as its events show that? */
import { DONE, type ParsedEvent } from '../types.js'

/** The last events of the dialects: Anthropic's, those of OpenAI's Responses, and AG-UI's, which have no names. */
const COMPLETE = /^(message_stop|response\.(completed|incomplete)|RUN_FINISHED)$/
const FAILED = /^(error|response\.failed|RUN_ERROR)$/

/** Whether the answer is complete with this event. */
export function isComplete(event: ParsedEvent, sentinel: string = DONE): boolean {
  return event.data === sentinel || COMPLETE.test(typeOf(event))
}

/** Whether the answer has failed with this event. */
export function isFailed(event: ParsedEvent): boolean {
  return FAILED.test(typeOf(event))
}

function typeOf({ event, data }: ParsedEvent): string {
  if (event !== undefined || !data.includes('"RUN_')) return event ?? ''
  try {
    const { type } = JSON.parse(data)
    return /^RUN_/.test(type) ? type : ''
  } catch {
    return ''
  }
}
