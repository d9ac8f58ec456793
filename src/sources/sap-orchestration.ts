/** What do the chunks of SAP's orchestration say: an OpenAI answer, beside what was done to the prompt? */
import { isObject } from '../errors.js'
import { type Completion, readCompletion } from './openai-chat.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface Orchestrated {
  request_id?: string
  final_result?: Completion
  /** What was done to the prompt. */
  intermediate_results?: object
  /** The SDK's instances hold all of these fields in here. */
  _data?: Orchestrated
}

const MODULE = /^(templating|llm|grounding|(in|out)put_\w+)$/

/** SAP's orchestration. */
export const sapOrchestration: ChunkShape = {
  is(chunk) {
    const { request_id: id, final_result: result, intermediate_results: before } = withoutClass(chunk)
    if (typeof id !== 'string') return false
    return Array.isArray(result?.choices) || (isObject(before) && Object.keys(before).some((key) => MODULE.test(key)))
  },

  read(chunk: Orchestrated, reading: Reading) {
    const { final_result: result } = withoutClass(chunk)
    if (result) readCompletion(result, reading)
  },
}

function withoutClass(chunk: Orchestrated): Orchestrated {
  return isObject(chunk._data) ? chunk._data : chunk
}
