/** How does a run look to a client of the OpenAI Chat Completions API? */

import { flag, type Rules, words } from '../check.js'
import { checkOptions } from '../options.js'
import type { Encoder, FinishReason, Protocol, Usage } from '../types.js'
import { dataFrame, failureFrame } from './frames.js'

/** Options of {@link openaiChat}. */
export interface OpenAIChatOptions {
  /** The `model` that every chunk names. @default 'sse-relay' */
  model?: string
  /** Whether a last chunk tells the token counts, as `stream_options.include_usage` asks for. @default false */
  usage?: boolean
}

const OPTIONS: Rules<keyof OpenAIChatOptions> = { model: words, usage: flag }

const FINISH: Record<FinishReason, string> = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
  error: 'stop',
  other: 'stop',
}

/**
 * OpenAI's `chat.completion.chunk` events, whatever the upstream is: any OpenAI client pointed at your server reads
 * them. Reasoning is in `delta.reasoning_content`, where DeepSeek and vLLM put it. Data parts and own events
 * have no place in this dialect and are left out.
 */
export function openaiChat(options: OpenAIChatOptions = {}): Protocol {
  checkOptions('openaiChat', options, OPTIONS)
  const { model = 'sse-relay', usage: wanted = false } = options
  return {
    name: 'openai-chat',
    encoder: ({ runId }) => createEncoder(runId, model, wanted),
  }
}

function createEncoder(runId: string, model: string, wanted: boolean): Encoder {
  const created = Math.floor(Date.now() / 1000)
  const common = JSON.stringify({ id: `chatcmpl-${runId}`, object: 'chat.completion.chunk', created, model }).slice(
    0,
    -1,
  )
  // This dialect numbers tool calls alone; a provider's indexes may count other blocks too.
  const calls: { given: number; id: string | undefined }[] = []
  let begun = false

  const chunk = (delta: string, finish = 'null') => {
    const role = begun ? '' : frame('{"role":"assistant","content":""}', 'null')
    begun = true
    return role + frame(delta, finish)
  }
  const frame = (delta: string, finish: string) =>
    dataFrame(
      `${common},"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}]${wanted ? ',"usage":null' : ''}}`,
    )

  return {
    part(part) {
      switch (part.type) {
        case 'text':
          return chunk(`{"content":${JSON.stringify(part.text)}}`)
        case 'reasoning':
          return chunk(`{"reasoning_content":${JSON.stringify(part.text)}}`)
        case 'tool-call': {
          const { index: given, id, name, input } = part
          // Another id is another call: a source that has several answers may count from 0 again.
          const known = calls.findLastIndex((call) => call.given === given && (id === undefined || call.id === id))
          const index = known === -1 ? calls.push({ given, id }) - 1 : known
          const call =
            known === -1
              ? { index, id: id ?? `call_${runId}_${index}`, type: 'function', function: { name, arguments: input } }
              : { index, function: { arguments: input } }
          return chunk(JSON.stringify({ tool_calls: [call] }))
        }
        default:
          return ''
      }
    },
    event: () => '',
    end({ finishReason = calls.length > 0 ? 'tool-calls' : 'stop', usage }) {
      const last = chunk('{}', JSON.stringify(FINISH[finishReason]))
      return wanted && usage
        ? `${last}${dataFrame(`${common},"choices":[],"usage":${JSON.stringify(toUsage(usage))}}`)}`
        : last
    },
    fail: ({ code, message, retryable }) =>
      failureFrame({
        error: { code, message, retryable, type: code === 'internal' ? 'server_error' : code, param: null },
      }),
  }
}

function toUsage({
  inputTokens = 0,
  outputTokens = 0,
  totalTokens,
  cachedInputTokens,
  reasoningTokens,
}: Usage): object {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: totalTokens ?? inputTokens + outputTokens,
    ...(cachedInputTokens !== undefined && { prompt_tokens_details: { cached_tokens: cachedInputTokens } }),
    ...(reasoningTokens !== undefined && { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
  }
}
