/** What do servers and SDKs say whose chunk is little more than a piece of text, and a word for its end? */
import { isObject } from '../errors.js'
import { type Completion, readCompletion } from './openai-chat.js'
import { type ChunkShape, listOf, type Reading } from './reading-state.js'

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

interface TextChunk {
  /** llama.cpp's own `/completion`, and the fragments of LM Studio. */
  content?: string
  stop?: boolean
  stop_type?: string
  stopped_limit?: boolean
  tokens_evaluated?: number
  tokens_predicted?: number
  reasoningType?: string
  /** watsonx's text generation, and Ax. */
  results?: Result[]
  modelUsage?: { tokens?: object }
  /** DashScope's own API, of models and of applications. */
  request_id?: string
  output?: {
    text?: string
    thoughts?: unknown
    finish_reason?: string
    choices?: { message?: { content?: unknown; reasoning_content?: unknown }; finish_reason?: string }[]
  }
  usage?: { models?: object[] }
  /** SAP's orchestration: its chunks, and what was done to the prompt. By its SDK within an instance. */
  final_result?: Completion
  intermediate_results?: object
  _data?: TextChunk
  /** Dify. */
  event?: string
  task_id?: string
  workflow_run_id?: string
  answer?: string
  data?: { text?: string; status?: string; error?: unknown }
  metadata?: { usage?: object }
}

/**
 * llama.cpp, LM Studio, watsonx, Ax, DashScope, SAP, Dify. The answer is complete where the chunk says so; what LM Studio
 * yields throws where it failed.
 */
export const textServers: ChunkShape = {
  // Most have the prompt, settings or what tools and nodes of a flow were given beside the text.
  redact: false,

  is(chunk) {
    const told = within(chunk)
    const { content, stop, reasoningType, results, output, request_id, event, task_id, workflow_run_id } = told
    if (typeof event === 'string') return typeof (task_id ?? workflow_run_id) === 'string'
    if (typeof content === 'string') return typeof stop === 'boolean' || typeof reasoningType === 'string'
    if (typeof request_id === 'string') {
      const isDashScope = isObject(output) && ('choices' in output || 'text' in output)
      return isDashScope || 'final_result' in told || 'intermediate_results' in told
    }
    return Array.isArray(results) && results.length > 0 && results.every(isResult)
  },

  isEarly(chunk: TextChunk) {
    const { event = '', intermediate_results: before, final_result: result } = within(chunk)
    return /^(workflow|node)_(started|finished)$/.test(event) || (before !== undefined && !result)
  },

  read(outer: TextChunk, reading: Reading) {
    const chunk = within(outer)
    const { content, stop, reasoningType, results, output, usage } = chunk
    if (chunk.event) readDify(chunk, reading)
    else if (chunk.intermediate_results || chunk.final_result) {
      if (chunk.final_result) readCompletion(chunk.final_result, reading)
    } else if (output) {
      readDashScope(output, reading)
      reading.counts(usage?.models ?? usage)
    } else if (results) {
      for (const result of results) if (!result.index) readResult(result, reading)
      reading.counts(chunk.modelUsage?.tokens)
    } else if (reasoningType) {
      if (reasoningType === 'none') reading.text(content)
      else if (reasoningType === 'reasoning') reading.reasoning(content)
      reading.end()
    } else {
      reading.text(content)
      if (!stop) return
      reading.usage({ inputTokens: chunk.tokens_evaluated, outputTokens: chunk.tokens_predicted })
      reading.end(chunk.stop_type === 'limit' || chunk.stopped_limit ? 'length' : 'stop')
    }
  },
}

function within(chunk: TextChunk): TextChunk {
  return isObject(chunk._data) ? chunk._data : chunk
}

function isResult(result: unknown): boolean {
  if (!isObject(result)) return false
  if ('generated_text' in result) return true
  return 'index' in result && ['content', 'thought', 'functionCalls', 'finishReason'].some((key) => key in result)
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

/** All of the text so far in each chunk, unless it was asked for in pieces. */
function readDashScope(
  { text, choices, finish_reason: word }: NonNullable<TextChunk['output']>,
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

/** What nodes of a flow and tools were given and answered stays here. */
function readDify({ event, answer, data, metadata, ...told }: TextChunk, reading: Reading): void {
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
}
