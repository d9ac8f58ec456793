/** What the providers also send and no trace holds: the other endings, and the traps, as bodies in their shapes. */
import type { Expected } from './expected.js'

export interface Variant extends Expected {
  body: string
  /** @default an event stream */
  contentType?: string
}

const sse = (...chunks: (object | string)[]) =>
  chunks.map((chunk) => `data: ${typeof chunk === 'string' ? chunk : JSON.stringify(chunk)}\n\n`).join('')
const named = (...events: { type: string }[]) => events.map((event) => `event: ${event.type}\n${sse(event)}`).join('')
const ndjson = (...lines: object[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join('')

const chat = (delta: object, finish: string | null = null, more: object = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 0,
  model: 'test',
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...more,
})
const hello = chat({ role: 'assistant', content: 'Hello' })

const message = (stop: string, ...blocks: { type: string }[]) =>
  named(
    {
      type: 'message_start',
      message: {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model: 'test',
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: 3, cache_read_input_tokens: 2, cache_creation_input_tokens: 1, output_tokens: 1 },
      },
    } as { type: string },
    ...blocks,
    { type: 'message_delta', delta: { stop_reason: stop }, usage: { output_tokens: 7 } } as { type: string },
    { type: 'message_stop' },
  )
const block = (index: number, start: object, ...deltas: object[]) => [
  { type: 'content_block_start', index, content_block: start },
  ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
  { type: 'content_block_stop', index },
]
const said = (text: string) => block(0, { type: 'text', text: '' }, { type: 'text_delta', text })
const messageUsage = { inputTokens: 6, outputTokens: 7, cachedInputTokens: 2, cacheWriteInputTokens: 1 }
const aiMessage = { ai: { usage: { ...messageUsage, totalTokens: 13 } } }

const responses = (...events: { type: string }[]) =>
  named(
    ...[
      {
        type: 'response.created',
        response: { id: 'resp_1', object: 'response', created_at: 0, model: 'test', output: [] },
      },
      {
        type: 'response.output_item.added',
        output_index: 0,
        item: { id: 'msg_1', type: 'message', status: 'in_progress', content: [], role: 'assistant' },
      },
      ...events,
    ].map((event, index) => ({ ...event, sequence_number: index })),
  )
const part = (part: object) => ({
  type: 'response.content_part.added',
  item_id: 'msg_1',
  output_index: 0,
  content_index: 0,
  part,
})
const delta = (kind: string, text: string) => ({
  type: `response.${kind}.delta`,
  item_id: 'msg_1',
  output_index: 0,
  content_index: 0,
  delta: text,
})
const whole = (content: object) => ({
  type: 'response.output_item.done',
  output_index: 0,
  item: { id: 'msg_1', type: 'message', status: 'completed', role: 'assistant', content: [content] },
})
const outputText = [part({ type: 'output_text', text: '', annotations: [] }), delta('output_text', 'Hello')]
const ended = (status: string, more: object = {}) => ({
  type: `response.${status}`,
  response: {
    id: 'resp_1',
    object: 'response',
    created_at: 0,
    model: 'test',
    output: [],
    status,
    usage: {
      input_tokens: 5,
      input_tokens_details: { cached_tokens: 4 },
      output_tokens: 3,
      output_tokens_details: { reasoning_tokens: 2 },
      total_tokens: 8,
    },
    ...more,
  },
})
const annotation = { type: 'url_citation', url: 'https://example.com', title: 'Ex', start_index: 0, end_index: 5 }
const responsesUsage = { inputTokens: 5, outputTokens: 3, totalTokens: 8, cachedInputTokens: 4, reasoningTokens: 2 }

const gemini = (parts: object[], more: object = {}) => ({
  candidates: [{ content: { role: 'model', parts }, index: 0, ...more }],
})

const mistral = (delta: object, finish: string | null = null, more: object = {}) => ({
  ...chat(delta, finish, more),
})

const ollama = (content: string, more: object = { done: false }) => ({
  model: 'test',
  created_at: '2026-11-20T08:52:19Z',
  message: { role: 'assistant', content },
  ...more,
})

/** By names that begin as the traces of the same provider do. */
export const variants: Record<string, Variant> = {
  'openai-chat: max tokens': {
    body: sse(hello, chat({}, 'length'), '[DONE]'),
    text: 'Hello',
    finish: 'length',
    outcome: 'done',
  },
  'openai-chat: reasoning and text at once, an unknown finish': {
    body: sse(chat({ reasoning: 'Hm.' }), hello, chat({}, 'weather'), '[DONE]'),
    text: 'Hello',
    reasoning: 'Hm.',
    finish: 'other',
    outcome: 'done',
    ways: { ai: { reasoning: undefined } },
  },
  'openai-compat: an error in a chunk (OpenRouter)': {
    body: sse(
      hello,
      chat({ content: '' }, 'error', { error: { code: 502, message: 'Provider disconnected: SECRET' } }),
      '[DONE]',
    ),
    text: 'Hello',
    outcome: 'error',
    code: 'upstream-failure',
    // The AI SDK does not look at it.
    ways: { ai: { finish: 'error', outcome: 'done', code: undefined } },
  },
  'openai-compat: an error and then [DONE] (vLLM)': {
    body: sse(hello, { error: { object: 'error', message: 'CUDA out of memory: SECRET', code: 400 } }, '[DONE]'),
    text: 'Hello',
    outcome: 'error',
    code: 'upstream-failure',
  },
  'openai-compat: no finish, but token counts': {
    body: sse(
      hello,
      { ...hello, choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } },
      '[DONE]',
    ),
    text: 'Hello',
    usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 },
    outcome: 'done',
    // The two that ask for a finish themselves.
    ways: {
      'openai chat .stream()': { outcome: 'truncated', code: 'truncated' },
      ai: {
        usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3, cachedInputTokens: 0, reasoningTokens: 0 },
        outcome: 'truncated',
        code: 'truncated',
      },
    },
  },
  'openai-compat: [DONE] without a finish': {
    body: sse(hello, '[DONE]'),
    text: 'Hello',
    outcome: 'truncated',
    code: 'truncated',
    // The sentinel is hidden by the SDKs, and proof enough where it is seen.
    ways: { 'fetch Response': { outcome: 'done', code: undefined } },
  },
  'openai-responses: max tokens': {
    body: responses(...outputText, ended('incomplete', { incomplete_details: { reason: 'max_output_tokens' } })),
    text: 'Hello',
    finish: 'length',
    usage: responsesUsage,
    outcome: 'done',
  },
  'openai-responses: cut by the filter': {
    body: responses(...outputText, ended('incomplete', { incomplete_details: { reason: 'content_filter' } })),
    text: 'Hello',
    finish: 'content-filter',
    usage: responsesUsage,
    outcome: 'done',
  },
  'openai-responses: refusal': {
    body: responses(
      part({ type: 'refusal', refusal: '' }),
      delta('refusal', 'No.'),
      whole({ type: 'refusal', refusal: 'No.' }),
      ended('completed'),
    ),
    text: 'No.',
    finish: 'content-filter',
    usage: responsesUsage,
    outcome: 'done',
  },
  'openai-responses: failed': {
    body: responses(...outputText, ended('failed', { error: { code: 'server_error', message: 'It broke: SECRET' } })),
    text: 'Hello',
    usage: responsesUsage,
    outcome: 'error',
    code: 'upstream-failure',
    ways: { ai: { usage: undefined } },
  },
  'openai-responses: rate limit in the stream': {
    body: responses(
      ...outputText,
      ended('failed', { usage: null, error: { code: 'rate_limit_exceeded', message: 'Too many: SECRET' } }),
    ),
    text: 'Hello',
    outcome: 'error',
    code: 'rate-limit',
  },
  'openai-responses: citation': {
    body: responses(
      ...outputText,
      {
        type: 'response.output_text.annotation.added',
        item_id: 'msg_1',
        output_index: 0,
        content_index: 0,
        annotation_index: 0,
        annotation,
      } as { type: string },
      whole({ type: 'output_text', text: 'Hello', annotations: [annotation] }),
      ended('completed'),
    ),
    text: 'Hello',
    data: ['citation'],
    finish: 'stop',
    usage: responsesUsage,
    outcome: 'done',
  },
  'openai-responses: cut': {
    body: responses(...outputText),
    text: 'Hello',
    outcome: 'truncated',
    code: 'truncated',
  },
  'anthropic: max tokens': {
    body: message('max_tokens', ...said('Hello')),
    text: 'Hello',
    finish: 'length',
    usage: messageUsage,
    outcome: 'done',
    ways: aiMessage,
  },
  'anthropic: refusal': {
    body: message('refusal', ...said('Hello')),
    text: 'Hello',
    finish: 'content-filter',
    usage: messageUsage,
    outcome: 'done',
    ways: aiMessage,
  },
  'anthropic: paused turn': {
    body: message('pause_turn', ...said('Hello')),
    text: 'Hello',
    finish: 'other',
    usage: messageUsage,
    outcome: 'done',
    // The AI SDK calls it a stop.
    ways: { ai: { finish: 'stop', usage: aiMessage.ai.usage } },
  },
  'anthropic: citation': {
    body: message(
      'end_turn',
      ...block(
        0,
        { type: 'text', text: '', citations: [] },
        { type: 'text_delta', text: 'Hello' },
        {
          type: 'citations_delta',
          citation: {
            type: 'web_search_result_location',
            url: 'https://example.com',
            title: 'Ex',
            cited_text: 'Hello',
            encrypted_index: 'x',
          },
        },
      ),
    ),
    text: 'Hello',
    data: ['citation'],
    finish: 'stop',
    usage: messageUsage,
    outcome: 'done',
    ways: aiMessage,
  },
  "anthropic: the provider's own tool": {
    body: message(
      'end_turn',
      ...block(
        0,
        { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: {} },
        { type: 'input_json_delta', partial_json: '{"query":"x"}' },
      ),
      ...block(1, { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_1', content: [] }),
      ...block(2, { type: 'text', text: '' }, { type: 'text_delta', text: 'Hello' }),
    ),
    text: 'Hello',
    finish: 'stop',
    usage: messageUsage,
    outcome: 'done',
    ways: aiMessage,
  },
  'anthropic: two calls, one without arguments': {
    body: message(
      'tool_use',
      ...block(
        0,
        { type: 'tool_use', id: 'toolu_1', name: 'get_time', input: {} },
        {
          type: 'input_json_delta',
          partial_json: '',
        },
      ),
      ...block(
        1,
        { type: 'tool_use', id: 'toolu_2', name: 'get_weather', input: {} },
        { type: 'input_json_delta', partial_json: '{"city":"Pa' },
        { type: 'input_json_delta', partial_json: 'ris"}' },
      ),
    ),
    text: '',
    tools: [
      { id: 'toolu_1', name: 'get_time', input: {} },
      { id: 'toolu_2', name: 'get_weather', input: { city: 'Paris' } },
    ],
    finish: 'tool-calls',
    usage: messageUsage,
    outcome: 'done',
    ways: aiMessage,
  },
  'gemini: max tokens': {
    body: sse(gemini([{ text: 'Hello' }], { finishReason: 'MAX_TOKENS' })),
    text: 'Hello',
    finish: 'length',
    outcome: 'done',
  },
  'gemini: stopped for safety': {
    body: sse(gemini([{ text: 'Hello' }]), gemini([], { finishReason: 'SAFETY' })),
    text: 'Hello',
    finish: 'content-filter',
    outcome: 'done',
  },
  'gemini: two calls with ids, a file': {
    body: sse(
      gemini([{ inlineData: { mimeType: 'image/png', data: 'AAAA' } }]),
      gemini(
        [
          { functionCall: { id: 'a', name: 'get_weather', args: { city: 'Paris' } } },
          { functionCall: { id: 'b', name: 'get_time' } },
        ],
        { finishReason: 'STOP' },
      ),
    ),
    text: '',
    data: ['file'],
    tools: [
      { id: 'a', name: 'get_weather', input: { city: 'Paris' } },
      { id: 'b', name: 'get_time', input: {} },
    ],
    finish: 'tool-calls',
    outcome: 'done',
  },
  'gemini: cut': { body: sse(gemini([{ text: 'Hello' }])), text: 'Hello', outcome: 'truncated', code: 'truncated' },
  'mistral: thinking': {
    body: sse(
      mistral({
        role: 'assistant',
        content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'Hm.' }] }],
      }),
      mistral({ content: [{ type: 'text', text: 'Hello' }] }),
      mistral({ content: '' }, 'length', { usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } }),
      '[DONE]',
    ),
    text: 'Hello',
    reasoning: 'Hm.',
    finish: 'length',
    usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 },
    outcome: 'done',
  },
  'mistral: a call': {
    body: sse(
      mistral({
        role: 'assistant',
        content: '',
        tool_calls: [{ index: 0, id: 'call_1', function: { name: 'get_weather', arguments: '{"city":"Paris"}' } }],
      }),
      mistral({ content: '' }, 'tool_calls'),
      '[DONE]',
    ),
    text: '',
    tools: [{ id: 'call_1', name: 'get_weather', input: { city: 'Paris' } }],
    finish: 'tool-calls',
    outcome: 'done',
  },
  // Its SDK takes the event for a chunk that is not valid.
  'mistral: an error in the stream': {
    body: sse(mistral({ content: 'Hello' }), {
      error: { message: 'It broke: SECRET', type: 'server_error', code: 500 },
    }),
    text: 'Hello',
    outcome: 'error',
    code: 'upstream-failure',
  },
  'mistral: cut': { body: sse(mistral({ content: 'Hello' })), text: 'Hello', outcome: 'truncated', code: 'truncated' },
  'ollama: max tokens': {
    body: ndjson(
      ollama('Hello'),
      ollama('', { done: true, done_reason: 'length', prompt_eval_count: 1, eval_count: 2 }),
    ),
    contentType: 'application/x-ndjson',
    text: 'Hello',
    finish: 'length',
    usage: { inputTokens: 1, outputTokens: 2 },
    outcome: 'done',
  },
  'ollama: cut': {
    body: ndjson(ollama('Hello')),
    contentType: 'application/x-ndjson',
    text: 'Hello',
    outcome: 'truncated',
    code: 'truncated',
  },
}
