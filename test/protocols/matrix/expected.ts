/** What every trace holds, written down by hand from the trace. What a client does not get is not right. */
import type { FinishReason, Usage } from 'sse-relay'

export interface ToolCall {
  /** Absent where the provider gives none: then the protocols that need one make one up. */
  id?: string
  name: string
  input: unknown
}

export interface Expected {
  text: string
  reasoning?: string
  tools?: ToolCall[]
  /** They are answered in the stream, so that a client of OpenAI's, which runs what is named, is not told of them. */
  isAnswered?: true
  finish?: FinishReason
  /** Also of an answer that fails: the summary has what was counted until then. */
  usage?: Usage
  outcome: 'done' | 'error' | 'truncated'
  /** Of a failure: the code the client is told. */
  code?: string
  /** The names of what comes as data: citations, files, and whatever else. */
  data?: string[]
  /** Of the response; another than 200 if the failure comes before everything else. */
  status?: number
  /** Some ways in say less or something else; by the beginning of their names. */
  ways?: Record<string, Partial<Expected>>
}

const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'

/** What the AI SDK makes of the counts: it adds them up, and knows of no tokens what it was not told. */
const ai = (usage: Usage): Record<string, Partial<Expected>> => ({ ai: { usage } })
/** It gives no counts for an answer that fails. */
const aiUncounted: Record<string, Partial<Expected>> = { ai: { usage: undefined } }

export const expected: Record<string, Expected> = {
  'openai-chat-text.sse': { text: ANSWER, finish: 'stop', outcome: 'done' },
  'openai-chat-usage.sse': {
    text: 'Hello there! Streams',
    finish: 'stop',
    usage: { inputTokens: 19, outputTokens: 10, totalTokens: 29, cachedInputTokens: 0, reasoningTokens: 0 },
    outcome: 'done',
  },
  'openai-chat-tool-call.sse': {
    text: '',
    tools: [
      { id: 'call_a1B2', name: 'get_weather', input: { city: 'Paris' } },
      { id: 'call_c3D4', name: 'get_time', input: { tz: 'CET' } },
    ],
    finish: 'tool-calls',
    outcome: 'done',
  },
  // The provider's own finish is `stop`.
  'openai-chat-refusal.sse': { text: "I'm sorry, I can't help with that.", finish: 'content-filter', outcome: 'done' },
  'openai-chat-content-filter.sse': { text: 'First, take', finish: 'content-filter', outcome: 'done' },
  'openai-chat-error-midstream.sse': { text: 'Hello there! ', outcome: 'error', code: 'upstream-failure' },
  'openai-chat-truncated-no-done.sse': {
    text: 'Hello there! Streams\n\n',
    outcome: 'truncated',
    code: 'truncated',
  },
  'openai-compat-deepseek-reasoning.sse': {
    text: '4',
    reasoning: 'Add 2+2.',
    finish: 'stop',
    usage: { inputTokens: 9, outputTokens: 12, totalTokens: 21, reasoningTokens: 9 },
    outcome: 'done',
    // The AI SDK's OpenAI provider does not read `reasoning_content`.
    ways: {
      ai: {
        reasoning: undefined,
        usage: { inputTokens: 9, outputTokens: 12, totalTokens: 21, cachedInputTokens: 0, reasoningTokens: 9 },
      },
    },
  },
  'openai-responses-text.sse': {
    text: ANSWER,
    finish: 'stop',
    usage: { inputTokens: 11, outputTokens: 14, totalTokens: 25, cachedInputTokens: 0, reasoningTokens: 0 },
    outcome: 'done',
  },
  'openai-responses-reasoning-tool.sse': {
    text: '',
    reasoning: '**Checking weather**',
    tools: [{ id: 'call_x9', name: 'get_weather', input: { city: 'Paris' } }],
    finish: 'tool-calls',
    usage: { inputTokens: 11, outputTokens: 90, totalTokens: 101, cachedInputTokens: 0, reasoningTokens: 64 },
    outcome: 'done',
  },
  'openai-responses-error-event.sse': { text: 'Hello there! ', outcome: 'error', code: 'upstream-failure' },
  'anthropic-text.sse': {
    text: ANSWER,
    finish: 'stop',
    usage: { inputTokens: 25, outputTokens: 15, cachedInputTokens: 0, cacheWriteInputTokens: 0 },
    outcome: 'done',
    ways: ai({ inputTokens: 25, outputTokens: 15, totalTokens: 40, cachedInputTokens: 0, cacheWriteInputTokens: 0 }),
  },
  'anthropic-ping-only-then-text.sse': {
    text: 'Hello there',
    finish: 'stop',
    usage: { inputTokens: 25, outputTokens: 5, cachedInputTokens: 0, cacheWriteInputTokens: 0 },
    outcome: 'done',
    ways: ai({ inputTokens: 25, outputTokens: 5, totalTokens: 30, cachedInputTokens: 0, cacheWriteInputTokens: 0 }),
  },
  'anthropic-thinking.sse': {
    text: '27 × 453 = 12,231',
    reasoning: 'Let me add 27*453.',
    finish: 'stop',
    usage: { inputTokens: 25, outputTokens: 48, cachedInputTokens: 0, cacheWriteInputTokens: 0 },
    outcome: 'done',
    ways: ai({ inputTokens: 25, outputTokens: 48, totalTokens: 73, cachedInputTokens: 0, cacheWriteInputTokens: 0 }),
  },
  'anthropic-tool-use.sse': {
    text: 'Checking.',
    tools: [{ id: 'toolu_01T1x1fJ34qAmk2tNTrN7Up6', name: 'get_weather', input: { location: 'Santa Cruz, CA' } }],
    finish: 'tool-calls',
    usage: { inputTokens: 25, outputTokens: 89, cachedInputTokens: 0, cacheWriteInputTokens: 0 },
    outcome: 'done',
    ways: ai({ inputTokens: 25, outputTokens: 89, totalTokens: 114, cachedInputTokens: 0, cacheWriteInputTokens: 0 }),
  },
  'anthropic-error-overloaded.sse': {
    text: 'Hello there! ',
    usage: { inputTokens: 25, outputTokens: 1, cachedInputTokens: 0, cacheWriteInputTokens: 0 },
    outcome: 'error',
    code: 'overload',
    ways: aiUncounted,
  },
  'anthropic-truncated.sse': {
    text: 'Hello there! ',
    usage: { inputTokens: 25, outputTokens: 1, cachedInputTokens: 0, cacheWriteInputTokens: 0 },
    outcome: 'truncated',
    code: 'truncated',
    ways: aiUncounted,
  },
  'gemini-text.sse': {
    text: 'Hello there! naïve 日本🚀\n\nline end',
    finish: 'stop',
    // 12 of the answer and 45 of its thoughts.
    usage: { inputTokens: 8, outputTokens: 57, totalTokens: 65, reasoningTokens: 45 },
    outcome: 'done',
  },
  'gemini-thinking-tool.sse': {
    text: 'Calling it.',
    reasoning: '**Planning**\n\n',
    tools: [{ name: 'get_weather', input: { city: 'Paris' } }],
    // The provider's own is `STOP`.
    finish: 'tool-calls',
    usage: { inputTokens: 8, outputTokens: 57, totalTokens: 65, reasoningTokens: 45 },
    outcome: 'done',
  },
  'gemini-prompt-blocked.sse': {
    text: '',
    finish: 'content-filter',
    usage: { inputTokens: 8, totalTokens: 8 },
    outcome: 'done',
  },
  'gemini-error-midstream.sse': {
    text: 'Hello',
    usage: { inputTokens: 8, totalTokens: 8 },
    outcome: 'error',
    code: 'overload',
  },
  'mistral-text.sse': {
    text: 'Hi there',
    finish: 'stop',
    usage: { inputTokens: 4, outputTokens: 3, totalTokens: 7 },
    outcome: 'done',
  },
  'ollama-chat.ndjson': {
    text: ANSWER,
    finish: 'stop',
    usage: { inputTokens: 26, outputTokens: 282 },
    outcome: 'done',
  },
  'ollama-thinking-tool.ndjson': {
    text: '',
    reasoning: 'Hm, tool.',
    tools: [{ name: 'get_weather', input: { city: 'Paris' } }],
    // The provider's own is `stop`.
    finish: 'tool-calls',
    usage: { inputTokens: 26, outputTokens: 282 },
    outcome: 'done',
  },
  // A plain Error with the provider's words: nothing tells it from one of the server's own.
  'ollama-error.ndjson': { text: 'Hello', outcome: 'error', code: 'upstream-failure' },
  'bedrock-converse.eventstream': {
    text: 'Hi there',
    reasoning: 'Hmm',
    tools: [{ id: 'tooluse_1', name: 'get_weather', input: { city: 'Paris' } }],
    finish: 'tool-calls',
    usage: { inputTokens: 10, outputTokens: 5, totalTokens: 15 },
    outcome: 'done',
  },
  'bedrock-converse-throttled.eventstream': {
    text: 'Hi',
    reasoning: 'Hmm',
    outcome: 'error',
    code: 'rate-limit',
  },
  'ai-sdk-ui-text.sse': {
    text: ANSWER,
    finish: 'stop',
    usage: { inputTokens: 19, outputTokens: 10 },
    outcome: 'done',
  },
  'ai-sdk-ui-full.sse': {
    text: '21 °C',
    reasoning: 'Let me think',
    tools: [{ id: 'call_1', name: 'get_weather', input: { city: 'Paris' } }],
    isAnswered: true,
    data: ['progress', 'toast', 'citation'],
    finish: 'stop',
    outcome: 'done',
  },
  // It neither says that it is over nor why, and useChat takes it for whole all the same.
  'ai-sdk-ui-minimal.sse': { text: 'Hi', outcome: 'truncated', code: 'truncated' },
  'ai-sdk-ui-error.sse': { text: 'Par', outcome: 'error', code: 'upstream-failure' },
  'ai-sdk-ui-abort.sse': { text: 'Par', outcome: 'truncated', code: 'truncated' },
}
