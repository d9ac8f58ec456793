/** What do servers and SDKs say whose chunk is little more than a piece of text, and a word for its end? */
import { isObject } from '../errors.js'
import { type Completion, readCompletion } from './openai-chat.js'
import { type ChunkShape, listOf, type Reading } from './reading-state.js'

// None of them has `redact`: beside the text stand the prompt, settings, or what tools and nodes of a flow were given.

interface Fragment {
  content?: string
  /** LM Studio. */
  reasoningType?: string
  tokensCount?: number
  /** llama.cpp. */
  stop?: boolean
  stop_type?: string
  stopped_limit?: boolean
  tokens_evaluated?: number
  tokens_predicted?: number
}

/** The fragments of LM Studio's SDK. It throws where it failed, so each may be the last. */
export const lmStudio: ChunkShape = {
  redact: false,

  is: ({ content, reasoningType, tokensCount }: Fragment) =>
    typeof content === 'string' && typeof reasoningType === 'string' && typeof tokensCount === 'number',

  read({ content, reasoningType }: Fragment, reading: Reading) {
    if (reasoningType === 'none') reading.text(content)
    else if (reasoningType === 'reasoning') reading.reasoning(content)
    reading.end()
  },
}

const LLAMA = /^(tokens|tokens_predicted|id_slot|slot_id|multimodal|generation_settings)$/

/** llama.cpp's own `/completion`. */
export const llamaCpp: ChunkShape = {
  redact: false,

  // Two words that anybody has.
  is(chunk: Fragment) {
    const { content, stop } = chunk
    return typeof content === 'string' && typeof stop === 'boolean' && Object.keys(chunk).some((key) => LLAMA.test(key))
  },

  follows: ({ content, stop }: Fragment) => typeof content === 'string' && typeof stop === 'boolean',

  read(chunk: Fragment, reading: Reading) {
    reading.text(chunk.content)
    if (!chunk.stop) return
    reading.usage({ inputTokens: chunk.tokens_evaluated, outputTokens: chunk.tokens_predicted })
    reading.end(chunk.stop_type === 'limit' || chunk.stopped_limit ? 'length' : 'stop')
  },
}

interface Result {
  index?: number
  /** watsonx. */
  generated_text?: string
  generated_token_count?: number
  input_token_count?: number
  stop_reason?: string
  /** Ax. */
  content?: string
  thought?: string
  functionCalls?: { id?: string; function?: { name?: string; params?: unknown } }[]
  finishReason?: string
}

interface Results {
  results?: Result[]
  modelUsage?: { tokens?: object }
}

/** The text generation of watsonx, and Ax. Of several answers the first is read. */
export const textResults: ChunkShape = {
  redact: false,

  is(chunk: Results) {
    const { results } = chunk
    return Array.isArray(results) && results.length > 0 && results.every((result) => isResult(result, chunk))
  },

  follows: ({ results }: Results) => Array.isArray(results),

  read({ results, modelUsage }: Results, reading: Reading) {
    for (const result of results ?? []) if (!result.index) readResult(result, reading)
    reading.counts(modelUsage?.tokens)
  },
}

/** What somebody found may be such a list as well: a piece of an answer has more of one. */
function isResult(result: unknown, told: Results): boolean {
  if (!isObject(result)) return false
  if ('generated_text' in result) return 'stop_reason' in result || 'generated_token_count' in result
  const hasMore = ['thought', 'functionCalls', 'finishReason'].some((key) => key in result)
  return 'index' in result && (hasMore || ['remoteId', 'sessionId', 'modelUsage'].some((key) => key in told))
}

function readResult(result: Result, reading: Reading): void {
  reading.reasoning(result.thought)
  reading.text(result.generated_text ?? result.content)
  for (const { id, function: called } of listOf(result.functionCalls))
    reading.call(id, called?.params, { id, name: called?.name })
  reading.usage({ inputTokens: result.input_token_count, outputTokens: result.generated_token_count })
  const word = result.stop_reason ?? result.finishReason
  if (word) reading.end(word)
}

interface Orchestrated {
  request_id?: string
  final_result?: Completion
  /** What was done to the prompt. */
  intermediate_results?: object
  /** By its SDK all of that is within an instance. */
  _data?: Orchestrated
}

const MODULE = /^(templating|llm|grounding|(in|out)put_\w+)$/

/** SAP's orchestration. */
export const sapOrchestration: ChunkShape = {
  redact: false,

  is(chunk) {
    const { request_id: id, final_result: result, intermediate_results: before } = withoutClass(chunk)
    if (typeof id !== 'string') return false
    return Array.isArray(result?.choices) || (isObject(before) && Object.keys(before).some((key) => MODULE.test(key)))
  },

  isEarly: (chunk: Orchestrated) => !withoutClass(chunk).final_result,

  read(chunk: Orchestrated, reading: Reading) {
    const { final_result: result } = withoutClass(chunk)
    if (result) readCompletion(result, reading)
  },
}

function withoutClass(chunk: Orchestrated): Orchestrated {
  return isObject(chunk._data) ? chunk._data : chunk
}

interface DashScopeChunk {
  request_id?: string
  output?: {
    text?: string
    thoughts?: unknown
    finish_reason?: string
    choices?: { message?: { content?: unknown; reasoning_content?: unknown }; finish_reason?: string }[]
  }
  usage?: { models?: object[] }
}

/** DashScope's own API, of models and of applications. */
export const dashScope: ChunkShape = {
  redact: false,

  is({ request_id: id, output }: DashScopeChunk) {
    if (typeof id !== 'string' || !isObject(output)) return false
    const { choices } = output
    return Array.isArray(choices) ? choices.every(({ message }) => isObject(message)) : 'finish_reason' in output
  },

  follows: ({ request_id: id, output }: DashScopeChunk) => typeof id === 'string' && isObject(output),

  read({ output, usage }: DashScopeChunk, reading: Reading) {
    readOutput(output ?? {}, reading)
    reading.counts(usage?.models ?? usage)
  },
}

/** All of the text so far in each chunk, unless it was asked for in pieces. */
function readOutput(
  { text, choices, finish_reason: word }: NonNullable<DashScopeChunk['output']>,
  reading: Reading,
): void {
  const rest = (name: string, said: unknown) => {
    const told = (reading.notes[name] ?? '') as string
    if (typeof said !== 'string') return said
    const piece = told !== '' && said.startsWith(told) ? said.slice(told.length) : said
    reading.notes[name] = told + piece
    return piece
  }
  reading.text(rest('text', text) as string | undefined)
  if (choices) {
    const deltas = choices.map(({ message, ...choice }) => ({
      ...choice,
      delta: {
        ...message,
        content: rest('text', message?.content),
        reasoning_content: rest('thought', message?.reasoning_content),
      },
    }))
    readCompletion({ choices: deltas }, reading)
  }
  if (word) reading.end(word)
}

interface DifyEvent {
  event: string
  task_id?: string
  answer?: string
  data?: { text?: string; status?: string; error?: unknown }
  metadata?: { usage?: object }
}

/** Of an application's own jobs there are events and ids of tasks, too. */
const DIFY = /^((agent|message|text|tts|workflow|node|iteration|loop|parallel|human)_\w+|message|error|ping)$/
const DIFY_ID = /^(message|conversation|workflow_run)_id$/

/** Dify. What nodes of a flow and tools were given and answered stays here. */
export const dify: ChunkShape = {
  redact: false,

  is(chunk: DifyEvent) {
    const { event, task_id: task } = chunk
    return typeof task === 'string' && DIFY.test(event) && Object.keys(chunk).some((key) => DIFY_ID.test(key))
  },

  follows: ({ event, task_id: task }: DifyEvent) => typeof event === 'string' && typeof task === 'string',

  isEarly: ({ event }: DifyEvent) => /^(workflow|node)_(started|finished)$/.test(event),

  read({ event, answer, data, metadata, ...told }: DifyEvent, reading: Reading) {
    if (event === 'message' || event === 'agent_message') reading.text(answer)
    else if (event === 'text_chunk') reading.text(data?.text)
    else if (event === 'message_end') {
      reading.counts(metadata?.usage)
      reading.end()
    } else if (event === 'error') reading.error(told)
    else if (event === 'workflow_finished') {
      if (data?.status === 'failed') reading.error({ message: String(data.error) })
      else reading.end(data?.status === 'stopped' ? 'cancelled' : undefined)
    }
  },
}
