// Kinds of faults that people reported of providers and gateways, each with many examples: what is read of each?
import { toParts } from 'sse-relay'
import { describe, expect, it } from 'vitest'
import { read } from './read.js'
import { readAll } from './read-all.js'

const ARGS = '{"city":"Oslo"}'
const INPUT = { city: 'Oslo' }

/** A chunk of chat completions. */
const chat = (delta: unknown, choice: object = {}, chunk: object = {}) => ({
  id: 'c',
  object: 'chat.completion.chunk',
  model: 'm',
  choices: [{ index: 0, delta, finish_reason: null, ...choice }],
  ...chunk,
})
const end = (word: unknown = 'stop', delta: object = {}, chunk: object = {}) =>
  chat(delta, { finish_reason: word }, chunk)
const hi = chat({ role: 'assistant', content: 'Hi' })
const tools = (...calls: unknown[]) => chat({ tool_calls: calls })
const tool = (index: unknown, id?: unknown, name?: string, args?: unknown) => ({
  ...(index !== undefined && { index }),
  ...(id !== undefined && { id }),
  type: 'function',
  function: { ...(name !== undefined && { name }), ...(args !== undefined && { arguments: args }) },
})
const called = (id: string | undefined, name = 'w', input = ARGS) => ({ ...(id && { id }), name, input, done: true })

/** Of Anthropic. */
const begun = { type: 'message_start', message: { id: 'm1', usage: { input_tokens: 10, output_tokens: 1 } } }
const block = (index: number, type: string, fields: object) => ({
  type: 'content_block_start',
  index,
  content_block: { type, ...fields },
})
const piece = (index: number, partial_json: string) => ({
  type: 'content_block_delta',
  index,
  delta: { type: 'input_json_delta', partial_json },
})
const say = (text: string) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })
const closed = (index: number) => ({ type: 'content_block_stop', index })
const ended = [
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 5 } },
  { type: 'message_stop' },
]
const w = (fields: object = {}) => ({ id: 'a', name: 'w', input: {}, ...fields })

/** Of Responses. */
const event = (type: string, fields: object = {}) => ({ type: `response.${type}`, sequence_number: 1, ...fields })
const created = event('created', { response: { id: 'r', model: 'm' } })
const completed = (output: unknown = [], fields: object = {}) =>
  event('completed', { response: { id: 'r', status: 'completed', output, ...fields } })
const item = (fields: object = {}) => ({ type: 'function_call', id: 'f', call_id: 'a', name: 'w', ...fields })
const added = (index: number | undefined, fields: object) =>
  event('output_item.added', { output_index: index, item: fields })
const done = (index: number | undefined, fields: object) =>
  event('output_item.done', { output_index: index, item: fields })
const message = { type: 'message', id: 'x', content: [{ type: 'output_text', text: 'Hello' }] }

/** Of LangChain. */
const lc = (content: unknown) => ({ content, tool_call_chunks: [], response_metadata: {} })

type Row = [name: string, chunks: unknown[], right: object]
const table = (title: string, rows: Row[]) =>
  it.each(rows)(title, (_, chunks, right) => {
    expect(read(chunks)).toMatchObject(right)
  })

describe('what a server says in a field of its own', () => {
  table('is not lost: %s', [
    ['text in two fields at once (Together)', [chat({ content: 'Hi' }, { text: 'Hi' }), end('eos')], { text: 'Hi' }],
    [
      'a message instead of deltas',
      [{ choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] }],
      { text: 'Hi' },
    ],
    [
      'a message after the deltas (MiniMax)',
      [hi, { id: 'c', choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] }],
      { text: 'Hi' },
    ],
    [
      'a message after the finish (MiniMax)',
      [
        hi,
        end(),
        {
          id: 'c',
          object: 'chat.completion',
          choices: [{ message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
        },
      ],
      { text: 'Hi', finish: 'stop', isComplete: true },
    ],
    [
      'references (Volcengine)',
      [chat({ content: 'Hi' }, {}, { references: [{ title: 't', url: 'u', summary: 's' }] }), end()],
      { rest: [{}, { name: 'citation', data: { title: 't', url: 'u' } }] },
    ],
    [
      'what was found (Z.ai)',
      [chat({ content: 'Hi' }, {}, { web_search: [{ title: 't', link: 'u', content: 's' }] }), end()],
      { rest: [{}, { name: 'citation', data: { title: 't', url: 'u' } }] },
    ],
    [
      'calls in a message',
      [{ choices: [{ message: { tool_calls: [tool(undefined, 'a', 'w', ARGS)] }, finish_reason: 'tool_calls' }] }],
      { calls: [called('a')], finish: 'tool-calls' },
    ],
    [
      'reasoning in details alone',
      [chat({ reasoning_details: [{ type: 'reasoning.text', text: 'Hm' }] }), end()],
      { reasoning: 'Hm' },
    ],
    [
      'a summary in details',
      [chat({ reasoning_details: [{ type: 'reasoning.summary', summary: 'Hm' }] }), end()],
      { reasoning: 'Hm' },
    ],
    [
      'reasoning told twice',
      [chat({ reasoning: 'Hm', reasoning_details: [{ type: 'reasoning.text', text: 'Hm' }] }), end()],
      { reasoning: 'Hm' },
    ],
    [
      'reasoning in blocks (Databricks)',
      [
        chat({ content: [{ type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm', signature: 's' }] }] }),
        chat({ content: [{ type: 'text', text: 'Hi' }] }),
        end(),
      ],
      { reasoning: 'Hm', rest: [{}, { signature: 's' }], text: 'Hi' },
    ],
    [
      'reasoning in steps (Perplexity)',
      [chat({ content: '', reasoning_steps: [{ thought: 'Hm', type: 'web_search', web_search: {} }] }), hi, end()],
      { reasoning: 'Hm', text: 'Hi' },
    ],
    ['reasoning_text (GitHub Copilot)', [chat({ reasoning_text: 'Hm' }), end()], { reasoning: 'Hm' }],
    ['thinking', [chat({ thinking: 'Hm' }), end()], { reasoning: 'Hm' }],
    ['thinking_content', [chat({ thinking_content: 'Hm' }), end()], { reasoning: 'Hm' }],
    ['thought', [chat({ thought: 'Hm' }), end()], { reasoning: 'Hm' }],
    [
      'the signature in blocks (LiteLLM)',
      [
        chat({ reasoning_content: 'Hm', thinking_blocks: [{ thinking: 'Hm' }] }),
        chat({ thinking_blocks: [{ signature: 's' }] }),
        end(),
      ],
      { reasoning: 'Hm', rest: [{}, { signature: 's' }] },
    ],
    [
      'search results',
      [
        chat({ content: 'Hi' }, {}, { citations: ['u'], search_results: [{ title: 't', url: 'u', snippet: 's' }] }),
        end(),
      ],
      { rest: [{}, { name: 'citation', data: { url: 'u', title: 't' } }] },
    ],
    [
      'sources of Azure’s own search',
      [chat({ context: { citations: [{ title: 't', url: 'u', content: 'SECRET' }] } }), end()],
      { rest: [{}, { name: 'citation', data: { url: 'u', title: 't' } }] },
    ],
    [
      'a function_call beside an empty list',
      [chat({ function_call: { name: 'w', arguments: ARGS }, tool_calls: [] }), end('function_call')],
      { calls: [called(undefined)], finish: 'tool-calls' },
    ],
    [
      'a function_call, and the same in the list, once',
      [
        chat({ function_call: { name: 'w', arguments: ARGS }, tool_calls: [tool(0, 'a', 'w', ARGS)] }),
        end('tool_calls'),
      ],
      { calls: [called('a')], finish: 'tool-calls' },
    ],
    [
      'a function_call',
      [
        chat({ function_call: { name: 'w', arguments: '' } }),
        chat({ function_call: { arguments: ARGS } }),
        end('function_call'),
      ],
      { calls: [called(undefined)] },
    ],
    ['texts under other types', [chat({ content: [{ type: 'output_text', text: 'H' }, 'i'] }), end()], { text: 'Hi' }],
    [
      'an image (Ollama)',
      [
        { model: 'm', created_at: 't', done: false, completed: 1, total: 2 },
        { model: 'm', created_at: 't', done: true, done_reason: 'stop', image: 'AAAA' },
      ],
      { rest: [{}, { name: 'file', data: { url: 'data:image/png;base64,AAAA' } }], isComplete: true },
    ],
    [
      'an image (Bedrock)',
      [
        { contentBlockStart: { contentBlockIndex: 0, start: { image: { format: 'webp' } } } },
        {
          contentBlockDelta: { contentBlockIndex: 0, delta: { image: { source: { bytes: Uint8Array.of(1, 2, 3) } } } },
        },
      ],
      { rest: [{ name: 'file', data: { mediaType: 'image/webp', url: 'data:image/webp;base64,AQID' } }] },
    ],
    [
      'redacted reasoning in bytes (Bedrock)',
      [{ contentBlockDelta: { delta: { reasoningContent: { redactedContent: Uint8Array.of(1, 2, 3) } } } }],
      { rest: [{ redacted: 'AQID' }] },
    ],
    [
      'an image of a LangChain model, and a source',
      [
        lc([{ type: 'image_url', image_url: { url: 'data:x' } }]),
        lc([{ type: 'image', data: 'AAAA', mimeType: 'image/png' }]),
        lc([{ type: 'text', text: 'Hi', annotations: [{ url: 'u' }] }]),
      ],
      {
        text: 'Hi',
        rest: [
          { name: 'file', data: { url: 'data:x' } },
          { name: 'file', data: { url: 'data:image/png;base64,AAAA' } },
          { name: 'citation', data: { url: 'u' } },
        ],
      },
    ],
    ['a block without a list', [chat({ content: { type: 'text', text: 'Hi' } }), end()], { text: 'Hi' }],
    [
      'what is in a file (OpenRouter) is no source',
      [chat({ content: 'Hi', annotations: [{ type: 'file', file: { content: [{ text: 'SECRET' }] } }] }), end()],
      { text: 'Hi', rest: [{}] },
    ],
    [
      'an image amid the content',
      [chat({ content: [{ type: 'image_url', image_url: { url: 'data:x' } }] }), end()],
      { rest: [{}, { name: 'file', data: { url: 'data:x' } }] },
    ],
  ])
})

describe('of two fields for one thing', () => {
  table('the one that is filled counts: %s', [
    ['reasoning', [chat({ reasoning_content: '', reasoning: 'Hm' }), end()], { reasoning: 'Hm' }],
    ['a word for the end', [hi, chat({}, { finish_reason: '', stop_reason: 'length' })], { finish: 'length' }],
  ])
})

describe('thoughts of Gemini behind OpenAI’s API', () => {
  const google = (fields: object) => ({ extra_content: { google: fields } })
  const thought = (content: string) => chat({ content, ...google({ thought: true }) })
  const right = { text: 'Hi', reasoning: 'Hm, so', isComplete: true }
  table('are reasoning, without their tag: %s', [
    ['flagged', [thought('Hm,'), thought(' so'), hi, end()], right],
    ['in a tag', [thought('<thought>Hm,'), thought(' so'), chat({ content: '</thought>Hi' }), end()], right],
    ['all at once', [thought('<thought>Hm, so</thought>Hi'), end()], right],
  ])
  table('have signatures: %s', [
    [
      'of the answer',
      [chat({ content: 'Hi', ...google({ thought_signature: 's' }) }), end()],
      { text: 'Hi', rest: [{}, { signature: 's' }] },
    ],
    [
      'of a call, through LiteLLM',
      [tools({ ...tool(0, 'a', 'w', ARGS), provider_specific_fields: { thought_signature: 's' } }), end('tool_calls')],
      { calls: [called('a')], rest: [{}, { signature: 's' }] },
    ],
  ])
})

describe('a word for the end', () => {
  const words = (list: string) => list.split(' ').map((word): [string] => [word])

  it.each(
    words(
      'abort aborted network_error insufficient_system_resource interrupted cancelled canceled failed timeout timed_out TIMEOUT server_error internal_error internal_server_error connection_error connection_closed client_disconnect disconnected request_cancelled user_cancelled shutdown preempted engine_error overloaded service_unavailable deadline_exceeded expired stream_error upstream_failure killed terminated stream_closed premature_close crashed unexpected_eof out_of_memory internal rate_limit time_limit quota_exceeded model_error generation_error unknown',
    ),
  )('that says it was broken off is no proof: %s', (word) => {
    expect(read([hi, end(word)]).isComplete).toBe(false)
  })

  it.each(words('null none NONE FINISH_REASON_UNSPECIFIED in_progress not_finished'))(
    'that says nothing is none: %s',
    (word) => {
      expect(read([end(word, { content: 'Hi' })])).toMatchObject({ isComplete: false, finish: undefined })
      expect(read([end(word, { content: 'Hi' }), end()])).toMatchObject({ isComplete: true, finish: 'stop' })
    },
  )

  it.each(
    Object.entries({
      stop: 'stop STOP end_turn eos eos_token stop_token end finish finished normal COMPLETE completed done end_of_text end_of_turn end_of_sentence end_token stop_sequence stop_str success stopped REASON_STOP FINISH_REASON_STOP',
      length:
        'length max_tokens MAX_TOKENS max_output_tokens max_completion_tokens max_new_tokens max_length token_limit length_limit context_length_exceeded model_context_window_exceeded model_length max_tokens_reached incomplete REASON_MAX_LEN REASON_MAX_CONTEXT truncated',
      'tool-calls':
        'tool_calls tool_call tool_use TOOL_CALL tools function_call function_calls requires_action REASON_TOOL_CALLS',
      'content-filter':
        'content_filter content_filtered SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT sensitive refusal refused guardrail_intervened moderation risk_control ERROR_TOXIC policy_violation flagged MODEL_ARMOR unsafe harmful',
      error:
        'error MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL MALFORMED_RESPONSE TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE malformed_tool_use',
      other: 'OTHER pause_turn repetition IMAGE_OTHER NO_IMAGE compaction interrupt',
    }).flatMap(([reason, list]) => list.split(' ').map((word): [string, string] => [word, reason])),
  )('has its meaning: %s is %s', (word, finish) => {
    expect(read([hi, end(word)])).toMatchObject({ isComplete: true, finish })
  })
})

describe('the proof', () => {
  const complete = { isComplete: true }
  const cut = { isComplete: false }
  table('is of the answer: %s', [
    [
      'a late verdict without an id',
      [hi, end(), { id: null, choices: [{ index: 0, delta: {}, finish_reason: null }] }],
      complete,
    ],
    [
      'an id of its own in each chunk',
      [
        { ...hi, id: '1' },
        { ...end(), id: '2' },
        { ...chat({ content: '!' }), id: '3' },
      ],
      { isComplete: true, text: 'Hi!' },
    ],
    [
      'no ids, and a late token',
      [
        { ...hi, id: undefined },
        { ...end(), id: undefined },
        { ...chat({ content: '!' }), id: undefined },
      ],
      complete,
    ],
    [
      'a role in each chunk',
      [hi, end('stop', { role: 'assistant' }), chat({ role: 'assistant', content: '' })],
      complete,
    ],
    [
      'other, and no word of the provider (a model of the AI SDK)',
      [
        { type: 'text-delta', id: '0', delta: 'Hi' },
        { type: 'finish', finishReason: { unified: 'other' }, usage: { inputTokens: {}, outputTokens: { total: 2 } } },
      ],
      cut,
    ],
    [
      'other, in a word of the provider (a model of the AI SDK)',
      [
        { type: 'text-delta', id: '0', delta: 'Hi' },
        { type: 'finish', finishReason: { unified: 'other', raw: 'pause_turn' }, usage: {} },
      ],
      complete,
    ],
    ['a reason of Anthropic’s, and no message_stop', [begun, say('Hi'), ...ended.slice(0, 1)], cut],
    [
      'a message_delta of Anthropic’s without a reason is none',
      [begun, say('Hi'), { type: 'message_delta', delta: { stop_reason: null }, usage: { output_tokens: 5 } }],
      cut,
    ],
    ['a second answer that is cut', [hi, end(), { ...chat({ role: 'assistant', content: 'x' }), id: 'd' }], cut],
    [
      'a second answer without ids that is cut',
      [
        { ...hi, id: '' },
        { ...end(), id: '' },
        { ...chat({ role: 'assistant', content: 'x' }), id: '' },
      ],
      cut,
    ],
    [
      'an empty chunk with a role at the end, and an id of its own in each',
      ['a', 'b', 'c'].map((id, n) => ({ ...[hi, end(), chat({ role: 'assistant', content: '' })][n], id })),
      complete,
    ],
    [
      'the same, and the answer that it began',
      ['a', 'b', 'c', 'd'].map((id, n) => ({
        ...[hi, end(), chat({ role: 'assistant' }), chat({ content: 'Hi' })][n],
        id,
      })),
      cut,
    ],
    [
      'the same after calls: what an agent says next is waited for',
      ['a', 'b', 'c'].map((id, n) => ({ ...[hi, end('tool_calls'), chat({ role: 'assistant' })][n], id })),
      cut,
    ],
    ['a stop before the answer is none', [end('stop', { role: 'assistant' }), hi], cut],
    ['a stop before the answer, and after it', [end('stop', { role: 'assistant' }), hi, end()], complete],
    [
      'a stop before the answer is none, of Gemini (CLIProxyAPI)',
      [
        { responseId: 'r', candidates: [{ content: { parts: [] }, finishReason: 'STOP' }] },
        { responseId: 'r', candidates: [{ content: { parts: [{ text: 'Hi' }] } }] },
      ],
      cut,
    ],
    ['a stop, and nothing before or after it', [end('stop', { role: 'assistant' })], complete],
    ['counts before the answer are none', [{ id: 'c', choices: [], usage: { prompt_tokens: 1 } }, hi], cut],
    ['counts amid the answer are none', [hi, { id: 'c', choices: [], usage: { prompt_tokens: 1 } }, hi], cut],
    [
      'counts before the answer, and after it',
      [{ id: 'c', choices: [], usage: { prompt_tokens: 1 } }, hi, { id: 'c', usage: { prompt_tokens: 1 } }],
      complete,
    ],
    [
      'counts before the finish, and a late token',
      [hi, { id: 'c', choices: [], usage: { prompt_tokens: 1 } }, end(), chat({ content: '!' })],
      complete,
    ],
    ['counts with each chunk are none', [chat({ content: 'Hi' }, {}, { usage: { prompt_tokens: 1 } })], cut],
    [
      'of a realtime answer, that ran out of room',
      [created, event('done', { response: { status: 'incomplete', status_details: { reason: 'max_output_tokens' } } })],
      { isComplete: true, finish: 'length' },
    ],
    ['completed, but cancelled', [created, completed([], { status: 'cancelled' })], cut],
    [
      'completed, but incomplete',
      [created, completed([], { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })],
      { isComplete: true, finish: 'length' },
    ],
    [
      'a stop that was a failure of the provider behind it (OpenRouter)',
      [hi, end('stop', {}, { choices: [{ index: 0, finish_reason: 'stop', native_finish_reason: 'network_error' }] })],
      cut,
    ],
    ['response.done', [created, event('done', { response: { status: 'completed' } })], complete],
  ])

  it.each([
    ['alone', { finish_reason: null }],
    ['with a word', { finish_reason: 'error' }],
  ])('is none where a choice says that it failed, %s', (_, fields) => {
    const { error } = read([hi, chat({}, { ...fields, error: { code: 502, message: 'SECRET' } })])
    expect(error).toMatchObject({ status: 502 })
  })

  it('is none where a realtime answer failed, which says why', () => {
    const told = { type: 'failed', error: { code: 'rate_limit_exceeded', message: 'SECRET' } }
    const { error } = read([created, event('done', { response: { status: 'failed', status_details: told } })])
    expect(error).toMatchObject({ code: 'rate_limit_exceeded' })
  })

  it('is none where an event of a response is its error', () => {
    const { error, isComplete } = read([created, event('error', { error: { code: 'x', message: 'SECRET' } })])
    expect({ message: error?.message, isComplete }).toEqual({ message: 'SECRET', isComplete: false })
  })

  it('is none where the status says that it failed', () => {
    const told = read([
      created,
      completed([], { status: 'failed', error: { code: 'server_error', message: 'SECRET' } }),
    ])
    expect(told.error).toBeInstanceOf(Error)
  })
})

describe('an answer that ends without a word', () => {
  const langchain = (fields: object) => ({
    lc_namespace: ['langchain_core', 'messages'],
    content: '',
    tool_call_chunks: [],
    additional_kwargs: {},
    response_metadata: { model_provider: 'openai' },
    ...fields,
  })

  it.each(['tool_calls', 'length', 'content_filter'])('does not end with %s of the answer before', (word) => {
    const first = langchain({ id: 'a', content: 'Hm.', response_metadata: { finish_reason: word } })
    const last = [langchain({ id: 'b', content: 'So.' }), langchain({ id: 'b', usage_metadata: { output_tokens: 1 } })]
    expect(readAll([first]).finishReason).not.toBe('stop')
    expect(readAll([first, ...last])).toMatchObject({ finishReason: 'stop', proof: 'given' })
    expect(readAll([first, ...last.slice(0, 1)])).toMatchObject({ proof: 'missing' })
  })

  it('has no word, where none came', () => {
    const last = [langchain({ id: 'b', content: 'So.' }), langchain({ id: 'b', usage_metadata: { output_tokens: 1 } })]
    expect(readAll(last).finishReason).toBeUndefined()
  })
})

describe('calls, by whatever they are keyed,', () => {
  const two = { calls: [called('a'), called('b', 'v')] }
  const nameless = { calls: [called(undefined), called(undefined, 'v')] }
  table('of tools that the server runs are none of the client’s: %s', [
    [
      'MCP (Z.ai)',
      [
        tools({ index: 0, id: 'm', type: 'mcp', mcp: { type: 'mcp_list_tools', tools: [{ name: 'search' }] } }),
        tools({ index: 1, id: 'n', type: 'mcp', mcp: { type: 'mcp_call', name: 'search', output: 'SECRET' } }),
        hi,
        end(),
      ],
      { calls: [], text: 'Hi', finish: 'stop' },
    ],
    [
      'a search of xAI’s, which is called a custom tool',
      [
        created,
        done(0, item({ type: 'custom_tool_call', name: 'x_keyword_search', input: '{"query":"x"}' })),
        done(1, message),
        completed(),
      ],
      { calls: [{ executed: true }], text: 'Hello', finish: 'stop' },
    ],
    [
      'a call of the client’s after one',
      [
        tools({ index: 0, id: 'c', type: 'code_interpreter', code_interpreter: { input: '1' } }),
        tools(tool(1, 'a', 'w', ARGS)),
        end('tool_calls'),
      ],
      { calls: [called('a')], finish: 'tool-calls' },
    ],
  ])

  table('come out apart and whole: %s', [
    [
      'an input under the number of another block (SGLang)',
      [
        begun,
        block(1, 'tool_use', w()),
        piece(0, '{"city":'),
        piece(0, '"Oslo"}'),
        closed(1),
        block(2, 'tool_use', w({ id: 'b', name: 'v' })),
        piece(1, ARGS),
        closed(2),
        ...ended,
      ],
      two,
    ],
    [
      'another id at the end (vLLM)',
      [
        created,
        added(0, item()),
        done(0, item({ arguments: ARGS })),
        completed([item({ id: 'g', call_id: 'other', arguments: '{ "city": "Oslo" }' })]),
      ],
      { calls: [called('a')] },
    ],
    [
      'another call at the end, under the same number',
      [
        created,
        added(0, item()),
        done(0, item({ arguments: ARGS })),
        completed([item({ id: 'g', call_id: 'b', name: 'v', arguments: ARGS })]),
      ],
      two,
    ],
    [
      'ids, and index 0 for all',
      [tools(tool(0, 'a', 'w', ARGS)), tools(tool(0, 'b', 'v', ARGS)), end('tool_calls')],
      two,
    ],
    [
      'ids, index 0, by turns',
      [
        tools(tool(0, 'a', 'w', '')),
        tools(tool(0, 'b', 'v', '')),
        tools(tool(0, 'a', undefined, ARGS)),
        tools(tool(0, 'b', undefined, ARGS)),
        end('tool_calls'),
      ],
      two,
    ],
    [
      'ids alone, by turns',
      [
        tools(tool(undefined, 'a', 'w', '')),
        tools(tool(undefined, 'b', 'v', '')),
        tools(tool(undefined, 'a', undefined, ARGS)),
        tools(tool(undefined, 'b', undefined, ARGS)),
        end('tool_calls'),
      ],
      two,
    ],
    ['ids that are numbers', [tools(tool(0, 7, 'w', ARGS)), end('tool_calls')], { calls: [called('7')] }],
    [
      'an index that is a text',
      [
        tools(tool('0', 'a', 'w', ''), tool('1', 'b', 'v', '')),
        tools(tool('1', undefined, undefined, ARGS)),
        tools(tool('0', undefined, undefined, ARGS)),
        end('tool_calls'),
      ],
      two,
    ],
    [
      'an index that is null',
      [tools(tool(null, 'a', 'w', '')), tools(tool(null, undefined, undefined, ARGS)), end('tool_calls')],
      { calls: [called('a')] },
    ],
    [
      'neither, whole',
      [tools(tool(undefined, undefined, 'w', ARGS)), tools(tool(undefined, undefined, 'v', ARGS)), end('tool_calls')],
      nameless,
    ],
    [
      'neither, in pieces',
      [
        tools(tool(undefined, undefined, 'w', '{"city":')),
        tools(tool(undefined, undefined, undefined, '"Oslo"}')),
        tools(tool(undefined, undefined, 'v', ARGS)),
        end('tool_calls'),
      ],
      nameless,
    ],
    [
      'the name in each piece',
      [tools(tool(0, undefined, 'w', '{"city":')), tools(tool(0, undefined, 'w', '"Oslo"}')), end('tool_calls')],
      { calls: [called(undefined)] },
    ],
    [
      'another id in each piece',
      [tools(tool(0, 'a', 'w', '{"city":')), tools(tool(0, 'b', undefined, '"Oslo"}')), end('tool_calls')],
      { calls: [called('a')] },
    ],
    [
      'another index in each piece (Nebius)',
      [
        tools(tool(0, 'a', 'w', '{"city":')),
        tools(tool(1, undefined, undefined, '"Os')),
        tools(tool(2, undefined, undefined, 'lo"}')),
        tools(tool(3, 'b', 'v', '')),
        tools(tool(4, undefined, undefined, ARGS)),
        end('tool_calls'),
      ],
      two,
    ],
    [
      'the name in each piece, and nothing else',
      [
        tools(tool(undefined, undefined, 'w', '{"city":')),
        tools(tool(undefined, null, 'w', '"Oslo"')),
        tools(tool(undefined, null, 'w', '}')),
        tools(tool(undefined, undefined, 'v', ARGS)),
        end('tool_calls'),
      ],
      nameless,
    ],
    [
      'the name and another id in each piece (OCI)',
      [
        tools(tool(0, 'a', 'w', '{"city":')),
        tools(tool(0, 'a2', 'w', '"Oslo"}')),
        tools(tool(0, 'b', 'v', '{"city":')),
        tools(tool(0, 'b2', 'v', '"Oslo"}')),
        end('tool_calls'),
      ],
      two,
    ],
    [
      'index 0 for all, and no ids (the SDK of Mistral)',
      [tools(tool(0, 'null', 'w', ARGS), tool(0, 'null', 'v', ARGS)), end('tool_calls')],
      nameless,
    ],
    [
      'one id for both (DeepSeek, GLM)',
      [
        tools(tool(0, 'a', 'w', ARGS)),
        tools(tool(1, 'a', 'v', '')),
        tools(tool(1, 'a', undefined, '{"city":')),
        tools(tool(1, 'a', undefined, '"Oslo"}')),
        end('tool_calls'),
      ],
      { calls: [called('a'), called(undefined, 'v')] },
    ],
    [
      'one id for all blocks (Kimi)',
      [
        begun,
        block(0, 'tool_use', w()),
        piece(0, ARGS),
        closed(0),
        block(1, 'tool_use', w()),
        piece(1, '{"city":"Rome"}'),
        closed(1),
        ...ended,
      ],
      { calls: [called('a'), called(undefined, 'w', '{"city":"Rome"}')] },
    ],
    [
      'an id for some',
      [
        { candidates: [{ content: { parts: [{ functionCall: { name: 'w', args: {} } }] } }] },
        { candidates: [{ content: { parts: [{ functionCall: { id: 'b', name: 'v' } }] }, finishReason: 'STOP' }] },
      ],
      { calls: [called(undefined, 'w', '{}'), called('b', 'v', '{}')] },
    ],
    [
      'the word "null" for an id (Mistral within LangChain)',
      [
        { ...lc(''), tool_call_chunks: [{ index: 0, id: 'null', name: 'w', args: ARGS }] },
        { ...lc(''), tool_call_chunks: [{ index: 0, id: 'null', name: 'v', args: ARGS }] },
        { ...lc(''), response_metadata: { finish_reason: 'tool_calls' } },
      ],
      nameless,
    ],
    [
      'the name once more, after all of it',
      [tools(tool(0, 'a', 'w', ARGS)), tools(tool(0, undefined, 'w', '')), end(), tools(tool(0, undefined, 'w', ''))],
      { calls: [called('a')] },
    ],
    [
      'no name, and the id, in the second piece',
      [tools(tool(0, undefined, undefined, '{"city":')), tools(tool(0, 'a', 'w', '"Oslo"}')), end('tool_calls')],
      { calls: [called('a')] },
    ],
    [
      'an empty name before the name',
      [tools(tool(0, 'a', '', '')), tools(tool(0, '', 'w', ARGS)), end('tool_calls')],
      { calls: [called('a')] },
    ],
    [
      'the same id in the next answer',
      [
        tools(tool(0, 'a', 'w', ARGS)),
        end('tool_calls'),
        { ...chat({ role: 'assistant', tool_calls: [tool(0, 'a', 'w', ARGS)] }), id: 'd' },
        { ...end('tool_calls'), id: 'd' },
      ],
      { calls: [called('a'), called('a')] },
    ],
    [
      'blocks by turns',
      [
        begun,
        block(0, 'tool_use', w()),
        block(1, 'tool_use', w({ id: 'b', name: 'v' })),
        piece(0, '{"city":'),
        piece(1, ARGS),
        piece(0, '"Oslo"}'),
        ...ended,
      ],
      two,
    ],
    [
      'blocks that are closed before their input (agentgateway)',
      [
        begun,
        block(0, 'tool_use', w()),
        closed(0),
        piece(0, '{"city":'),
        piece(0, '"Oslo"}'),
        block(1, 'tool_use', w({ id: 'b', name: 'v' })),
        closed(1),
        piece(1, ARGS),
        ...ended,
      ],
      two,
    ],
    [
      'blocks that are all 0',
      [
        begun,
        block(0, 'tool_use', w()),
        piece(0, ARGS),
        block(0, 'tool_use', w({ id: 'b', name: 'v' })),
        piece(0, ARGS),
        ...ended,
      ],
      two,
    ],
    [
      'items without an index',
      [
        created,
        added(undefined, item()),
        added(undefined, item({ id: 'g', call_id: 'b', name: 'v' })),
        event('function_call_arguments.delta', { item_id: 'f', delta: ARGS }),
        event('function_call_arguments.delta', { item_id: 'g', delta: ARGS }),
        completed(),
      ],
      two,
    ],
    [
      'items with an index, pieces without',
      [
        created,
        added(0, item()),
        added(1, item({ id: 'g', call_id: 'b', name: 'v' })),
        event('function_call_arguments.delta', { item_id: 'f', delta: ARGS }),
        event('function_call_arguments.delta', { item_id: 'g', delta: ARGS }),
        completed(),
      ],
      two,
    ],
    [
      'pieces that have the index of another item',
      [
        created,
        added(0, { type: 'reasoning', id: 'x' }),
        added(1, item()),
        event('function_call_arguments.delta', { output_index: 0, item_id: 'f', delta: ARGS }),
        done(1, item({ arguments: ARGS })),
        completed(),
      ],
      { calls: [called('a')] },
    ],
    [
      'items with another id each time',
      [
        created,
        added(0, item()),
        event('function_call_arguments.delta', { output_index: 0, item_id: 'f2', delta: ARGS }),
        done(0, item({ id: 'f3', arguments: ARGS })),
        completed(),
      ],
      { calls: [called('a')] },
    ],
    [
      'items that are all 0',
      [
        created,
        added(0, item()),
        done(0, item({ arguments: ARGS })),
        added(0, item({ id: 'g', call_id: 'b', name: 'v' })),
        done(0, item({ id: 'g', call_id: 'b', name: 'v', arguments: ARGS })),
        completed(),
      ],
      two,
    ],
  ])
})

describe('what comes after the finish is of the same answer', () => {
  const late = { calls: [called('a')], finish: 'tool-calls', isComplete: true }
  table('%s', [
    ['a call', [hi, end(), tools(tool(0, 'a', 'w', ARGS))], late],
    ['a call that was announced', [hi, end('tool_calls'), tools(tool(0, 'a', 'w', ARGS))], late],
    [
      'the rest of its arguments',
      [tools(tool(0, 'a', 'w', '{"city":')), end('tool_calls'), tools(tool(0, undefined, undefined, '"Oslo"}'))],
      late,
    ],
    [
      'all of its arguments, in pieces',
      [
        tools(tool(0, 'a', 'w', '')),
        end(),
        tools(tool(0, undefined, undefined, '{"city":')),
        tools(tool(0, undefined, undefined, '"Oslo"}')),
      ],
      late,
    ],
    [
      'and before another answer',
      [
        tools(tool(0, 'a', 'w', '{"city":')),
        end('tool_calls'),
        tools(tool(0, undefined, undefined, '"Oslo"}')),
        { ...chat({ role: 'assistant', content: 'x' }), id: 'd' },
        { ...end(), id: 'd' },
      ],
      { calls: [called('a')], text: 'x', finish: 'stop' },
    ],
  ])

  it('an end without a word leaves no call open', () => {
    const counts = { id: 'c', choices: [], usage: { prompt_tokens: 1 } }
    expect(read([tools(tool(0, 'a', 'w', ARGS)), counts])).toMatchObject(late)
  })

  it.each(['length', 'content_filter', 'error'])('a stop that a gateway adds does not replace %s', (word) => {
    expect(read([hi, end(word), end()]).finish).toBe(word.replace('_', '-'))
  })
})

describe('a call in whose middle the model ran out of room', () => {
  const half = '{"city":"Os'
  const open = expect.not.objectContaining({ done: true })
  table('is not whole, and the answer has ended for that: %s', [
    ['tool_calls (vLLM)', [tools(tool(0, 'a', 'w', half)), end('tool_calls')], { calls: [open], finish: 'length' }],
    [
      'stop, after a call that is whole',
      [tools(tool(0, 'a', 'w', ARGS), tool(1, 'b', 'w', half)), end()],
      { calls: [called('a'), open], finish: 'length' },
    ],
    [
      'of Anthropic, whose block is closed all the same',
      [
        begun,
        block(0, 'tool_use', w()),
        piece(0, half),
        closed(0),
        { type: 'message_delta', delta: { stop_reason: 'max_tokens' } },
        { type: 'message_stop' },
      ],
      { calls: [open], finish: 'length' },
    ],
    [
      'of Bedrock',
      [
        { contentBlockStart: { contentBlockIndex: 0, start: { toolUse: { toolUseId: 'a', name: 'w' } } } },
        { contentBlockDelta: { contentBlockIndex: 0, delta: { toolUse: { input: half } } } },
        { contentBlockStop: { contentBlockIndex: 0 } },
        { messageStop: { stopReason: 'max_tokens' } },
      ],
      { calls: [open], finish: 'length' },
    ],
    [
      'of Responses, whose item is whole all the same',
      [
        created,
        added(0, item()),
        event('function_call_arguments.done', { output_index: 0, arguments: half }),
        done(0, item({ arguments: half, status: 'incomplete' })),
        event('incomplete', {
          response: { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
        }),
      ],
      { calls: [open], finish: 'length' },
    ],
    [
      'in a list of its own, after a text with a quote',
      [tools(tool(0, 'a', 'w', '{"a":"\\"}","b":[1,')), end('tool_calls')],
      { calls: [open], finish: 'length' },
    ],
  ])
  table('is another matter than one that is no JSON, or of plain text: %s', [
    [
      'brackets in a text',
      [tools(tool(0, 'a', 'w', '{"a":"[{\\"["}')), end('tool_calls')],
      { calls: [{ done: true }], finish: 'tool-calls' },
    ],
    [
      'one bracket too many',
      [tools(tool(0, 'a', 'w', '{"a":1}}')), end('tool_calls')],
      { calls: [{ done: true }], finish: 'tool-calls' },
    ],
    [
      'plain text',
      [tools({ index: 0, id: 'a', custom: { name: 'code', input: 'f({"' } }), end('tool_calls')],
      { calls: [{ input: '"f({\\""', done: true }], finish: 'tool-calls' },
    ],
  ])
})

describe('a call whose name never comes', () => {
  it('is none that anybody could run', () => {
    const nameless = { id: 'a', input: ARGS, done: true, error: expect.any(String) as string }
    expect(read([tools(tool(0, 'a', undefined, ARGS)), end('tool_calls')]).calls).toEqual([nameless])
  })
})

describe('a stream that is taken up in its middle', () => {
  const rest = event('function_call_arguments.delta', { item_id: 'f', output_index: 0, delta: '"Oslo"}' })
  table('tells no call before its name: %s', [
    [
      'arguments',
      [
        rest,
        event('function_call_arguments.done', { item_id: 'f', output_index: 0, arguments: ARGS }),
        done(0, item({ arguments: ARGS })),
        completed([item({ arguments: ARGS })]),
      ],
      { calls: [called('a')] },
    ],
    [
      'an input of text',
      [
        event('custom_tool_call_input.delta', { item_id: 'f', output_index: 0, delta: 'i' }),
        event('custom_tool_call_input.done', { item_id: 'f', output_index: 0, input: 'hi' }),
        done(0, item({ type: 'custom_tool_call', input: 'hi' })),
        completed(),
      ],
      { calls: [called('a', 'w', '"hi"')] },
    ],
    ['nothing but the end', [completed([message, item({ arguments: ARGS })])], { text: 'Hello', calls: [called('a')] }],
    [
      'a sign of life first',
      [{ type: 'keepalive', sequence_number: 0 }, completed([message])],
      { text: 'Hello', rest: [] },
    ],
  ])

  it('a failure within its event has its code', () => {
    expect(read([{ type: 'error', sequence_number: 1, error: { code: 'x', message: 'SECRET' } }]).error).toMatchObject({
      message: 'SECRET',
      code: 'x',
    })
    expect(read([{ throttlingException: { message: 'SECRET' } }]).error).toMatchObject({ type: 'throttlingException' })
  })
})

describe('a whole value', () => {
  const whole = { calls: [called('a')] }
  table('counts where no piece came, and is not told twice: %s', [
    [
      'in the item at its end',
      [created, added(0, item({ arguments: '' })), done(0, item({ arguments: ARGS })), completed()],
      whole,
    ],
    [
      'in the arguments at their end',
      [
        created,
        added(0, item()),
        event('function_call_arguments.done', { output_index: 0, arguments: ARGS }),
        completed(),
      ],
      whole,
    ],
    ['in the item at its beginning', [created, added(0, item({ arguments: ARGS })), completed()], whole],
    [
      'in both, and in pieces',
      [
        created,
        added(0, item({ arguments: ARGS })),
        event('function_call_arguments.delta', { output_index: 0, delta: ARGS }),
        done(0, item({ arguments: ARGS })),
        completed(),
      ],
      whole,
    ],
    ['as a value', [created, done(0, item({ arguments: INPUT })), completed()], whole],
    ['in the response alone', [created, completed([item({ arguments: ARGS })])], whole],
    [
      'in several texts of one message',
      [
        created,
        completed([{ type: 'message', content: ['Hel', 'lo'].map((text) => ({ type: 'output_text', text })) }]),
      ],
      { text: 'Hello' },
    ],
    [
      'of a custom tool',
      [
        created,
        added(0, item({ type: 'custom_tool_call', input: '' })),
        event('custom_tool_call_input.done', { output_index: 0, input: 'hi' }),
        completed(),
      ],
      { calls: [called('a', 'w', '"hi"')] },
    ],
    [
      'of a custom tool, in pieces alone',
      [
        created,
        added(0, item({ type: 'custom_tool_call', input: '' })),
        event('custom_tool_call_input.delta', { output_index: 0, delta: 'h"' }),
        event('custom_tool_call_input.delta', { output_index: 0, delta: 'i' }),
        completed(),
      ],
      { calls: [called('a', 'w', '"h\\"i"')] },
    ],
    [
      'of a custom tool of chat',
      [
        tools({ index: 0, id: 'a', type: 'custom', custom: { name: 'w', input: 'h' } }),
        tools({ index: 0, custom: { input: 'i' } }),
        end('tool_calls'),
      ],
      { calls: [called('a', 'w', '"hi"')] },
    ],
    [
      'of a custom tool without input',
      [tools({ index: 0, id: 'a', type: 'custom', custom: { name: 'w' } }), end('tool_calls')],
      { calls: [called('a', 'w', '""')] },
    ],
    [
      'of a computer, in a list',
      [created, done(0, item({ type: 'computer_call', name: undefined, actions: [{ type: 'wait' }] })), completed()],
      { calls: [called('a', 'computer', '[{"type":"wait"}]')], finish: 'tool-calls' },
    ],
    [
      'of a shell that the API runs',
      [
        created,
        done(0, item({ type: 'shell_call', name: undefined, action: {}, environment: { type: 'container' } })),
        done(1, { type: 'shell_call_output', call_id: 'a', output: [] }),
        completed(),
      ],
      { calls: [{ ...called('a', 'shell', '{}'), executed: true }], finish: 'stop' },
    ],
    [
      'an object that is empty before the value (Gemini)',
      [
        { candidates: [{ content: { parts: [{ functionCall: { name: 'w', args: {} } }] } }] },
        { candidates: [{ content: { parts: [{ functionCall: { args: INPUT } }] }, finishReason: 'STOP' }] },
      ],
      { calls: [called(undefined)] },
    ],
    [
      'in pieces, where its end is empty (agentgateway)',
      [
        created,
        added(0, item()),
        event('function_call_arguments.delta', { output_index: 0, delta: ARGS }),
        event('function_call_arguments.done', { output_index: 0, arguments: '' }),
        done(0, item({ arguments: '' })),
        completed([item({ arguments: '{}' })]),
      ],
      whole,
    ],
    [
      'of a custom tool, in pieces, where its end is empty',
      [
        created,
        added(0, item({ type: 'custom_tool_call', input: '' })),
        event('custom_tool_call_input.delta', { output_index: 0, delta: 'hi' }),
        event('custom_tool_call_input.done', { output_index: 0 }),
        done(0, item({ type: 'custom_tool_call', input: '' })),
        completed(),
      ],
      { calls: [called('a', 'w', '"hi"')] },
    ],
    [
      'in pieces, where its end has none',
      [
        created,
        added(0, item()),
        event('function_call_arguments.delta', { output_index: 0, delta: ARGS }),
        done(0, item()),
        completed(),
      ],
      whole,
    ],
    [
      'of a tool of the server’s of which nobody has heard',
      [created, done(0, { type: 'web_fetch_call', id: 'a', arguments: ARGS, output: 'SECRET' }), completed()],
      { calls: [{ ...called('a', 'web_fetch'), executed: true }], finish: 'stop' },
    ],
    [
      'of the API’s own tools',
      [created, done(0, { type: 'code_interpreter_call', id: 'a', code: '1' }), completed()],
      { calls: [{ ...called('a', 'code_interpreter', '{"code":"1"}'), executed: true }] },
    ],
    [
      'sources in the item',
      [created, done(0, { ...message, content: [{ text: 'Hi', annotations: [{ url: 'u' }] }] }), completed()],
      { text: 'Hi', rest: [{}, { name: 'citation', data: { url: 'u' } }] },
    ],
    [
      'a first piece of text in the block’s beginning',
      [begun, block(0, 'text', { text: 'Hel' }), say('lo'), closed(0), ...ended],
      { text: 'Hello' },
    ],
    ['in the block’s beginning', [begun, block(0, 'tool_use', w({ input: INPUT })), closed(0), ...ended], whole],
    ['in a block that never ends', [begun, block(0, 'tool_use', w({ input: INPUT })), ...ended], whole],
    [
      'in the block’s beginning, before an empty piece',
      [begun, block(0, 'tool_use', w({ input: INPUT })), piece(0, '{}'), closed(0), ...ended],
      whole,
    ],
    ['in the block’s beginning as text', [begun, block(0, 'tool_use', w({ input: ARGS })), closed(0), ...ended], whole],
    [
      'of a tool that the provider runs',
      [begun, block(0, 'mcp_tool_use', w({ input: INPUT })), closed(0), ...ended],
      { calls: [{ ...called('a'), executed: true }] },
    ],
    [
      'of thinking',
      [begun, block(0, 'thinking', { thinking: 'Hm', signature: 's' }), closed(0), ...ended],
      { reasoning: 'Hm', rest: [{}, { signature: 's' }] },
    ],
    [
      'an object that is empty before the pieces',
      [tools(tool(0, 'a', 'w', {})), tools(tool(0, undefined, undefined, ARGS)), end('tool_calls')],
      whole,
    ],
    [
      'a text that is empty before the pieces',
      [tools(tool(0, 'a', 'w', '{}')), tools(tool(0, undefined, undefined, ARGS)), end('tool_calls')],
      whole,
    ],
    [
      'in pieces, and all of them again',
      [
        tools(tool(0, 'a', 'w', '{"city":')),
        tools(tool(0, undefined, undefined, '"Oslo"}')),
        end('tool_calls', { tool_calls: [tool(0, 'a', 'w', ARGS)] }),
      ],
      whole,
    ],
    [
      'all so far with each piece',
      [
        tools(tool(0, 'a', 'w', '{"ci')),
        tools(tool(0, 'a', 'w', '{"city":"Os')),
        end('tool_calls', { tool_calls: [tool(0, 'a', 'w', ARGS)] }),
      ],
      whole,
    ],
    [
      'all so far with each piece, also after a colon (Qianfan)',
      [
        tools(tool(0, 'a', 'w', '{')),
        tools(tool(0, 'a', 'w', '{"city":')),
        tools(tool(0, 'a', 'w', '{"city":"Os')),
        tools(tool(0, 'a', 'w', ARGS)),
        end('tool_calls'),
      ],
      whole,
    ],
    [
      'all so far with each piece, where the first ends with a colon',
      [
        tools(tool(0, 'a', 'w', '{"city":')),
        tools(tool(0, undefined, undefined, '{"city":"O')),
        tools(tool(0, undefined, undefined, ARGS)),
        end('tool_calls'),
      ],
      whole,
    ],
    [
      'in pieces, where a value within begins as the whole does',
      [
        tools(tool(0, 'a', 'w', '{"a":')),
        tools(tool(0, undefined, undefined, '{"a":1}')),
        tools(tool(0, undefined, undefined, '}')),
        end('tool_calls'),
      ],
      { calls: [called('a', 'w', '{"a":{"a":1}}')], finish: 'tool-calls' },
    ],
    [
      'in pieces, and all of them again in other words',
      [
        tools(tool(0, 'a', 'w', '{"city":')),
        tools(tool(0, undefined, undefined, '"Oslo"}')),
        tools(tool(0, undefined, undefined, '{ "city": "Oslo" }')),
        end('tool_calls'),
      ],
      whole,
    ],
    [
      'all so far as a value each time',
      [
        tools(tool(0, 'a', 'w', '{"city":"O"}')),
        tools(tool(0, 'a', 'w', '{"city":"Os"}')),
        tools(tool(0, 'a', 'w', ARGS)),
        end('tool_calls'),
      ],
      whole,
    ],
    [
      'in pieces, and one bracket too many',
      [tools(tool(0, 'a', 'w', ARGS)), tools(tool(0, undefined, undefined, '}')), end('tool_calls')],
      whole,
    ],
    [
      'an object in a text, where no value ends',
      [
        tools(tool(0, 'a', 'w', '{"code":"f({})')),
        tools(tool(0, undefined, undefined, '{}')),
        tools(tool(0, undefined, undefined, '"}')),
        end('tool_calls'),
      ],
      { calls: [called('a', 'w', '{"code":"f({}){}"}')] },
    ],
    [
      'a value within that begins like the whole',
      [
        tools(tool(0, 'a', 'w', '{"not":')),
        tools(tool(0, undefined, undefined, '{"not":')),
        tools(tool(0, undefined, undefined, '{}}}')),
        end('tool_calls'),
      ],
      { calls: [called('a', 'w', '{"not":{"not":{}}}')] },
    ],
    [
      'null, where there are no arguments',
      [tools(tool(0, 'a', 'w', 'null')), end('tool_calls')],
      { calls: [called('a', 'w', '{}')] },
    ],
    [
      'null in an item, where there are no arguments',
      [created, done(0, item({ arguments: 'null' })), completed()],
      { calls: [called('a', 'w', '{}')] },
    ],
    [
      'in a message after pieces without arguments',
      [
        tools(tool(0, 'a', 'w', '')),
        { id: 'c', choices: [{ finish_reason: 'tool_calls', message: { tool_calls: [tool(0, 'a', 'w', ARGS)] } }] },
      ],
      whole,
    ],
    [
      'text in its end',
      [created, event('output_text.done', { output_index: 0, text: 'Hello' }), completed()],
      { text: 'Hello' },
    ],
    ['text in the item', [created, added(0, { type: 'message' }), done(0, message), completed()], { text: 'Hello' }],
    ['text in the response', [created, completed([message])], { text: 'Hello' }],
    [
      'in arguments without any item',
      [created, event('function_call_arguments.done', { item_id: 'a', name: 'w', arguments: ARGS }), completed()],
      { ...whole, finish: 'tool-calls' },
    ],
    [
      'an image in the response',
      [created, completed([{ type: 'image_generation_call', id: 'i', result: 'AAAA' }])],
      { rest: [{}, { name: 'file', data: { url: 'data:image/png;base64,AAAA' } }] },
    ],
    [
      'text in all of them',
      [
        created,
        added(0, { type: 'message' }),
        event('output_text.delta', { delta: 'Hello' }),
        event('output_text.done', { text: 'Hello' }),
        done(0, message),
        completed([message]),
      ],
      { text: 'Hello' },
    ],
    [
      'a refusal in its end',
      [created, event('refusal.done', { refusal: 'No' }), completed()],
      { text: 'No', finish: 'content-filter' },
    ],
    [
      'reasoning in the item',
      [created, done(0, { type: 'reasoning', summary: [{ text: 'A' }, { text: 'B' }] }), completed()],
      { reasoning: 'A\n\nB' },
    ],
    [
      'reasoning in its end',
      [created, event('reasoning_summary_text.done', { text: 'A' }), completed()],
      { reasoning: 'A' },
    ],
    [
      'reasoning under another name (OpenRouter), and in its end',
      [created, event('reasoning.delta', { delta: 'A' }), event('reasoning.done', { text: 'A' }), completed()],
      { reasoning: 'A' },
    ],
  ])

  it('is left out where chunks are read one by one', () => {
    expect(toParts(event('output_text.done', { text: 'Hello' }))).toEqual([])
    expect(toParts(done(0, message))).toEqual([])
  })
})

describe('counts', () => {
  const counts = (usage: object, right: object): Row => [
    JSON.stringify(usage),
    [hi, end(), { id: 'c', choices: [], usage }],
    { isComplete: true, usage: right },
  ]
  const told = (last: object, right: object): Row => [
    JSON.stringify(last),
    [hi, end(), { id: 'c', ...last }],
    { isComplete: true, usage: right },
  ]
  const usage = { prompt_tokens: 1, completion_tokens: 2 }
  const read12 = { inputTokens: 1, outputTokens: 2 }
  it.each([
    [
      'xAI’s reasoning',
      {
        prompt_tokens: 10,
        completion_tokens: 2,
        total_tokens: 30,
        completion_tokens_details: { reasoning_tokens: 18 },
      },
      { inputTokens: 10, outputTokens: 20, totalTokens: 30, reasoningTokens: 18 },
    ],
    [
      'Bedrock’s cache',
      {
        inputTokens: 1,
        outputTokens: 2,
        totalTokens: 12,
        cacheReadInputTokens: 4,
        cacheWriteInputTokens: 5,
        cacheDetails: [{ ttl: '5m', inputTokens: 5 }],
      },
      { inputTokens: 10, outputTokens: 2, totalTokens: 12, cachedInputTokens: 4, cacheWriteInputTokens: 5 },
    ],
    [
      'and OpenAI’s are not',
      {
        prompt_tokens: 10,
        completion_tokens: 20,
        total_tokens: 30,
        prompt_tokens_details: { cached_tokens: 5 },
        completion_tokens_details: { reasoning_tokens: 18 },
      },
      { inputTokens: 10, outputTokens: 20, totalTokens: 30, cachedInputTokens: 5, reasoningTokens: 18 },
    ],
  ])('are counted beside the others where the total says so: %s', (_, usage, right) => {
    const bedrock = 'inputTokens' in usage
    expect(read([hi, end(), bedrock ? { metadata: { usage } } : { id: 'c', choices: [], usage }]).usage).toEqual(right)
  })

  table('are read under every name, wherever they stand: %s', [
    told({ usage }, read12),
    told({ choices: null, usage }, read12),
    told({ usage: { promptTokens: 1, completionTokens: 2 } }, read12),
    told({ usage: { input_tokens: 1, output_tokens: 2 } }, read12),
    told({ choices: [{ index: 0, delta: {}, usage }] }, read12),
    told({ choices: [], object: 'chat.completion.chunk', x_groq: { usage } }, read12),
    counts({ ...usage, prompt_cache_hit_tokens: 1 }, { cachedInputTokens: 1 }),
    counts({ ...usage, cached_tokens: 1 }, { cachedInputTokens: 1 }),
    counts(
      { ...usage, cacheReadInputTokenCount: 1, cacheWriteInputTokenCount: 4 },
      { cachedInputTokens: 1, cacheWriteInputTokens: 4 },
    ),
    counts({ ...usage, reasoning_tokens: 1 }, { reasoningTokens: 1 }),
    counts({ prompt_tokens: '1', completion_tokens: '2' }, read12),
    counts(
      { ...usage, prompt_tokens_details: { cached_tokens: 1, cache_creation_tokens: 4 } },
      { cachedInputTokens: 1, cacheWriteInputTokens: 4 },
    ),
    counts(
      { ...usage, cache_creation_input_tokens: 4, cache_read_input_tokens: 1 },
      { cachedInputTokens: 1, cacheWriteInputTokens: 4 },
    ),
    counts({ ...usage, prompt_tokens_details: 'x', completion_tokens_details: null }, read12),
    ...[{ usage: read12 }, { totalUsage: read12 }].map(
      (messageMetadata): Row => [
        `in the metadata of a UI message: ${JSON.stringify(messageMetadata)}`,
        [
          { type: 'text-delta', id: '0', delta: 'Hi' },
          { type: 'finish', messageMetadata },
        ],
        { isComplete: true, usage: read12 },
      ],
    ),
    [
      'in the metadata of a UI message before its finish, and only all of them',
      [
        { type: 'message-metadata', messageMetadata: { totalTokens: 3, model: 'm' } },
        { type: 'text-delta', id: '0', delta: 'Hi' },
        { type: 'finish' },
      ],
      { isComplete: true, usage: { totalTokens: 3 } },
    ],
    ...['usage', 'tokenUsage', 'token_usage'].map(
      (name): Row => [
        `in the metadata of a message of LangChain’s: ${name}`,
        [lc('Hi'), { ...lc(''), response_metadata: { finish_reason: 'stop', [name]: usage } }],
        { isComplete: true, usage: read12 },
      ],
    ),
    [
      'under the Live API’s name',
      [
        { serverContent: { modelTurn: { parts: [{ text: 'Hi' }] } } },
        { serverContent: { turnComplete: true }, usageMetadata: { promptTokenCount: 1, responseTokenCount: 2 } },
      ],
      { text: 'Hi', isComplete: true, usage: read12 },
    ],
    [
      'halves',
      [
        begun,
        say('Hi'),
        {
          type: 'message_delta',
          delta: { stop_reason: 'end_turn' },
          usage: { output_tokens: 5, cache_read_input_tokens: 90 },
        },
        { type: 'message_stop' },
      ],
      { usage: { inputTokens: 100, outputTokens: 5 } },
    ],
    [
      'a zero after the count',
      [
        begun,
        say('Hi'),
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { input_tokens: 0, output_tokens: 5 } },
        { type: 'message_stop' },
      ],
      { usage: { inputTokens: 10, outputTokens: 5 } },
    ],
    [
      'in the last event',
      [begun, say('Hi'), { type: 'message_stop', usage: { output_tokens: 5 } }],
      { usage: { inputTokens: 10, outputTokens: 5 } },
    ],
  ])
})

describe('a field of another form', () => {
  const hello = { text: 'Hi', isComplete: true }
  table('does not end the run: %s', [
    [
      'a call in a list, where Cohere has none',
      [
        { type: 'tool-call-start', index: 0, delta: { message: { tool_calls: [tool(undefined, 'a', 'w', '')] } } },
        { type: 'tool-call-delta', index: 0, delta: { message: { tool_calls: [{ function: { arguments: ARGS } }] } } },
        { type: 'message-end', delta: { finish_reason: 'TOOL_CALL' } },
      ],
      { calls: [called('a')] },
    ],
    [
      'a call without a list, where Ollama has one',
      [
        {
          model: 'm',
          message: { content: 'Hi', tool_calls: { function: { name: 'w', arguments: INPUT } } },
          done: false,
        },
        { model: 'm', message: {}, done: true },
      ],
      { ...hello, calls: [called(undefined)] },
    ],
    ['arguments as a value', [tools(tool(0, 'a', 'w', INPUT)), end('tool_calls')], { calls: [called('a')] }],
    ['no arguments', [tools(tool(0, 'a', 'w', null)), end('tool_calls')], { calls: [{ id: 'a', done: true }] }],
    [
      'a name beside no function',
      [tools({ index: 0, id: 'a', name: 'w', arguments: ARGS }), end('tool_calls')],
      { calls: [called('a')] },
    ],
    [
      'a call without a list',
      [chat({ tool_calls: tool(0, 'a', 'w', ARGS) }), end('tool_calls')],
      { calls: [called('a')] },
    ],
    [
      'a finish in two words, and counts with their parts (a model of the AI SDK)',
      [
        { type: 'stream-start', warnings: [] },
        { type: 'text-delta', id: '0', delta: 'Hi' },
        {
          type: 'finish',
          finishReason: { unified: 'length', raw: 'max' },
          usage: { inputTokens: { total: 3, cacheRead: 1 }, outputTokens: { total: 4, reasoning: 2 } },
        },
      ],
      {
        ...hello,
        finish: 'length',
        usage: { inputTokens: 3, cachedInputTokens: 1, outputTokens: 4, reasoningTokens: 2 },
      },
    ],
    [
      'an outcome in one word (AG-UI)',
      [
        { type: 'RUN_STARTED' },
        { type: 'TEXT_MESSAGE_CHUNK', messageId: 'm', delta: 'Hi' },
        { type: 'RUN_FINISHED', outcome: 'interrupt' },
      ],
      { ...hello, finish: 'tool-calls' },
    ],
    ['a digit that is a number, and no text (Workers AI)', [{ response: 7 }, { response: null }], { text: '7' }],
    ['no calls in a list', [tools(null), hi, end()], hello],
    [
      'a function that is null',
      [tools({ index: 0, id: 'a', function: null }), tools(tool(0, undefined, 'w', ARGS)), end()],
      { calls: [called('a')] },
    ],
    ['content that is false', [chat({ content: false }), hi, end()], hello],
    ['a finish in an object', [hi, end({ type: 'stop' })], { ...hello, finish: 'stop' }],
    ['a finish that is a number', [hi, end(1)], { ...hello, finish: 'other' }],
    ['a choice without its list', [{ ...hi, choices: hi.choices[0] }, end()], hello],
    [
      'places that are texts',
      [
        {
          ...hi,
          choices: [
            { index: '1', delta: { content: 'x' } },
            { index: '0', delta: { content: 'Hi' } },
          ],
        },
        end(),
      ],
      hello,
    ],
    [
      'a choice without a delta',
      [{ ...hi, choices: [{ index: 0, logprobs: null }] }, { ...hi, choices: [{}] }, hi, end()],
      { ...hello, rest: [{ type: 'start' }] },
    ],
    [
      'a message without a finish, and counts',
      [{ choices: [{ message: { role: 'assistant', content: 'Hi' } }] }, { usage: { prompt_tokens: 1 } }],
      hello,
    ],
    ['no calls as an object', [chat({ content: 'Hi', tool_calls: {} }), end()], { ...hello, calls: [] }],
    ['reasoning as an object', [chat({ reasoning: { content: 'Hm' } }), hi, end()], { ...hello, reasoning: 'Hm' }],
    [
      'reasoning as a list',
      [chat({ reasoning_content: [{ type: 'text', text: 'Hm' }] }), hi, end()],
      { ...hello, reasoning: 'Hm' },
    ],
    ['a number for text', [chat({ content: 7 }), end()], { text: '7', isComplete: true }],
    [
      'holes in lists',
      [chat({ content: [null, { type: 'text', text: 'Hi' }], images: [null], reasoning_details: [null] }), end()],
      hello,
    ],
    ['objects for lists', [chat({ content: 'Hi', annotations: {}, images: {} }), end()], hello],
    ['a text for a list', [chat({ content: 'Hi' }, {}, { citations: 'u' }), end()], hello],
    [
      'nothing for objects',
      [hi, chat(null), { id: 'c', choices: [null] }, end('stop', {}, { usage: '', error: null })],
      hello,
    ],
    [
      'nothing for events’ objects',
      [
        { type: 'message_start', message: null },
        { ...say(''), delta: null },
        say('Hi'),
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: null },
        { type: 'message_stop' },
      ],
      hello,
    ],
    [
      'nothing for responses',
      [
        event('created', { response: null }),
        added(0, null as never),
        event('output_text.delta', { delta: 'Hi' }),
        completed([null]),
      ],
      hello,
    ],
    [
      'nothing for parts',
      [
        { candidates: [{ content: { parts: null } }] },
        { candidates: [{ content: { parts: [null, { text: 'Hi' }] }, finishReason: 'STOP' }] },
      ],
      hello,
    ],
  ])

  table('reasoning in several items is in paragraphs: %s', [
    [
      'by items',
      [
        created,
        added(0, { type: 'reasoning' }),
        event('reasoning_summary_text.delta', { summary_index: 0, delta: '**A**' }),
        added(1, { type: 'reasoning' }),
        event('reasoning_summary_text.delta', { summary_index: 0, delta: '**B**' }),
        completed(),
      ],
      { reasoning: '**A**\n\n**B**' },
    ],
    [
      'by parts',
      [
        created,
        event('reasoning_summary_part.added'),
        event('reasoning_summary_text.delta', { delta: '**A**' }),
        event('reasoning_summary_part.added'),
        event('reasoning_summary_text.delta', { delta: '**B**' }),
        completed(),
      ],
      { reasoning: '**A**\n\n**B**' },
    ],
  ])
})
