/** How does a run look to a client of the OpenAI Chat Completions API? */

import { flag, type Rules, words } from '../check.js'
import { checkOptions } from '../options.js'
import { beginsCall, withoutRepeat } from '../tool-call-boundaries.js'
import type { AnswerPart, Encoder, FinishReason, Protocol, ToolCallPart, Usage } from '../types.js'
import {
  callsToRun,
  cannotTakeBack,
  dataFrame,
  failureFrame,
  HALF,
  isWhole,
  quote,
  reasonOf,
  toJson,
} from './frames.js'

/** Options of {@link openaiChat}. */
export interface OpenAIChatOptions {
  /** The `model` that every chunk names. @default 'sse-relay' */
  model?: string
  /** Whether a last chunk has the token counts, as with `stream_options.include_usage`. @default false */
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
 * them. Reasoning is in `delta.reasoning_content`, where DeepSeek and vLLM put it. Tool calls that no client may run
 * are left out, and so are results, data parts and own events, which have no place in this dialect. It can only append:
 * a call that is rejected, or whose input is replaced, after it was sent ends the run as `error`.
 */
export function openaiChat(options: OpenAIChatOptions = {}): Protocol {
  checkOptions('openaiChat', options, OPTIONS)
  const { model = 'sse-relay', usage: wanted = false } = options
  return {
    name: 'openai-chat',
    encoder: ({ runId }) => createEncoder(runId, model, wanted),
  }
}

/** A tool call as far as it has come. */
interface Call {
  id: string | undefined
  /** Its number in this dialect, which counts only tool calls. Absent if no client may run the call. */
  number?: number
  name: string
  input: string
  done?: boolean
  error?: string
  /** It was run elsewhere, or will be: its result came, or the source says so. */
  isAnswered?: boolean
}

function createEncoder(runId: string, model: string, wanted: boolean): Encoder {
  const id = `chatcmpl-${runId}`
  const created = Math.floor(Date.now() / 1000)
  const common = JSON.stringify({ id, object: 'chat.completion.chunk', created, model }).slice(0, -1)
  /** The latest call at each index and with each id: searching all calls would be slow where there are many. */
  const calls = new Map<number, Call>()
  const ids = new Map<string, Call>()
  /** The calls that were sent, and those of which only the end tells whether a client must run them. */
  const sent: Call[] = []
  const used = new Set<string>()
  const held: Call[] = []
  /** Whether the source marks its whole calls as done. The application's own parts may not. */
  let saysDone = false
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
  const callChunk = (call: object) => chunk(toJson({ tool_calls: [call] }))
  const grow = ({ number }: Call, input: string) => callChunk({ index: number, function: { arguments: input } })

  const beginCall = (piece: ToolCallPart, isHeld: boolean) => {
    const { index, id, name = 'tool', input, done, executed, error } = piece
    const call: Call = { id, name, input, ...(done && { done }), ...(error !== undefined && { error }) }
    calls.set(index, call)
    if (id !== undefined) ids.set(id, call)
    if (executed || error !== undefined) return ''
    if (!isHeld) return send(call)
    held.push(call)
    return ''
  }
  const send = (call: Call) => {
    const { id, name, done } = call
    call.number = sent.push(call) - 1
    // Two calls with one id could not be told apart by their results.
    const callId = id === undefined || used.has(id) ? `call_${runId}_${call.number}` : id
    used.add(callId)
    // Clients parse the arguments, so a call without any has an empty object.
    if (done) call.input ||= '{}'
    return callChunk({ index: call.number, id: callId, type: 'function', function: { name, arguments: call.input } })
  }
  const addToCall = (call: Call, part: ToolCallPart) => {
    const { input: given, done, executed, error, replaces, approval } = withoutRepeat(call, part)
    const { number } = call
    const isSent = number !== undefined
    if (isSent && (error ?? approval) !== undefined) throw cannotTakeBack('A tool call', 'openaiChat()')
    if (isSent && replaces && call.input !== '') throw cannotTakeBack('The input of a tool call', 'openaiChat()')
    // The client may have the call, but must not run it.
    if (executed || error !== undefined) call.isAnswered = true
    if (done) call.done = true
    const input = given || (isSent && done && call.input === '' ? '{}' : '')
    call.input = replaces ? input : call.input + input
    return isSent && input !== '' ? grow(call, input) : ''
  }

  return {
    part(part, hasResults = false) {
      switch (part.type) {
        case 'text':
          return part.text === '' ? '' : chunk(`{"content":${quote(part.text)}}`)
        case 'reasoning':
          // Signatures and redacted reasoning have no place here.
          return part.text === '' ? '' : chunk(`{"reasoning_content":${quote(part.text)}}`)
        case 'tool-call': {
          if (part.done) saysDone = true
          const known = calls.get(part.index)
          return !known || beginsCall(known, part) ? beginCall(part, hasResults) : addToCall(known, part)
        }
        case 'tool-result': {
          const call = ids.get(part.id)
          // A result ends its call: what follows at its index is another call.
          if (call) call.isAnswered = call.done = true
          return ''
        }
        default:
          return ''
      }
    },
    event: () => '',
    end({ finishReason, usage }) {
      let last = ''
      for (const call of held) if (!call.isAnswered) last += send(call)
      const asked = sent.filter(({ isAnswered }) => !isAnswered)
      const isCut = asked.some((call) => !isWhole(call, saysDone, finishReason))
      const reason = reasonOf(finishReason, asked.length > 0, isCut)
      for (const call of asked)
        if (call.input === '') last += grow(call, isWhole(call, saysDone, finishReason) ? '{}' : HALF)
      last += chunk('{}', JSON.stringify(FINISH[reason]))
      return wanted && usage
        ? `${last}${dataFrame(`${common},"choices":[],"usage":${JSON.stringify(toUsage(usage))}}`)}`
        : last
    },
    fail: ({ code, message, retryable }) => {
      const type = code === 'internal' ? 'server_error' : code
      const empty = sent.filter(({ input, isAnswered }) => input === '' && !isAnswered)
      return (
        empty.map((call) => grow(call, HALF)).join('') +
        failureFrame({ error: { code, message, retryable, type, param: null } })
      )
    },
    answer(parts, { finishReason, usage }) {
      const { message, isCut } = toMessage(parts, finishReason, runId)
      const reason = FINISH[reasonOf(finishReason, message.tool_calls !== undefined || isCut, isCut)]
      return {
        id,
        object: 'chat.completion',
        created,
        model,
        choices: [{ index: 0, message, logprobs: null, finish_reason: reason }],
        // Always, as OpenAI's own bodies have it: clients read its fields, or refuse a body without them.
        usage: toUsage(usage),
      }
    },
  }
}

/** The whole message, and whether a call was left out because it is not whole. */
function toMessage(parts: readonly AnswerPart[], finishReason: FinishReason | undefined, runId: string) {
  const { calls, isCut } = callsToRun(parts, finishReason)
  let content = ''
  let reasoning = ''
  for (const part of parts) {
    if (part.type === 'text') content += part.text
    else if (part.type === 'reasoning') reasoning += part.text
  }
  const tool_calls = [...calls.values()].map(({ id, name = 'tool', input }, index) => ({
    id: id ?? `call_${runId}_${index}`,
    type: 'function',
    function: { name, arguments: input || '{}' },
  }))
  const message = {
    role: 'assistant',
    content: content === '' && calls.size > 0 ? null : content,
    refusal: null,
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(calls.size > 0 && { tool_calls }),
  }
  return { message, isCut }
}

function toUsage({
  inputTokens = 0,
  outputTokens = 0,
  totalTokens,
  cachedInputTokens,
  reasoningTokens,
}: Usage = {}): object {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: totalTokens ?? inputTokens + outputTokens,
    ...(cachedInputTokens !== undefined && { prompt_tokens_details: { cached_tokens: cachedInputTokens } }),
    ...(reasoningTokens !== undefined && { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
  }
}
