import { type Part, toParts } from 'sse-relay'
import { parseSSE } from 'sse-relay/client'
import { collect, readTrace, traceNames } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { describe, expect, it } from 'vitest'
import { Reading, readChunk } from '../../src/sources/read-chunk.js'

const text = (text: string): Part => ({ type: 'text', text })
const reasoning = (text: string): Part => ({ type: 'reasoning', text })
const tool = (index: number, input: string, head?: { id: string; name: string }): Part => ({
  type: 'tool-call',
  index,
  ...head,
  input,
})
const finish = (reason: string) => ({ type: 'finish', reason }) as Part
const usage = (usage: Record<string, number>): Part => ({ type: 'usage', usage })
const data = (data: unknown, name = 'data'): Part => ({ type: 'data', name, data })
const error = (error: object) => ({ type: 'error', error: expect.objectContaining(error) }) as unknown as Part

describe('toParts, of what is no provider’s', () => {
  it.each<[string, unknown, Part[]]>([
    ['a string', 'Hello', [text('Hello')]],
    ['a string of white space', '\n\n', [text('\n\n')]],
    ['an empty string', '', []],
    ['null', null, []],
    ['undefined', undefined, []],
    [
      'an event of one’s own',
      { event: 'progress', data: { step: 1 }, id: '7', retry: 5 },
      [data({ step: 1 }, 'progress')],
    ],
    ['an event without a name', { data: 'x' }, [data('x')]],
    ['an event without a prototype', Object.assign(Object.create(null), { data: 1 }), [data(1)]],
    ['an object that has more than an event', { data: 1, name: 'x' }, [data({ data: 1, name: 'x' })]],
    ['an object', { a: 1 }, [data({ a: 1 })]],
    ['an empty object', {}, [data({})]],
    ['an array', [1, 'a'], [data([1, 'a'])]],
    ['an object with a type of its own', { type: 'custom', text: 'x' }, [data({ type: 'custom', text: 'x' })]],
    ['what is nearly a part', { type: 'text' }, [data({ type: 'text' })]],
    ['what is nearly a tool call', { type: 'tool-call', input: {} }, [data({ type: 'tool-call', input: {} })]],
    ['what is nearly a chunk', { choices: 1 }, [data({ choices: 1 })]],
    ['a type that is no string', { type: 1 }, [data({ type: 1 })]],
    [
      'a question with choices of text',
      { question: 'q', choices: ['A', 'B'] },
      [data({ question: 'q', choices: ['A', 'B'] })],
    ],
    ['a question without choices', { question: 'q', choices: [] }, [data({ question: 'q', choices: [] })]],
    ['candidates that are names', { candidates: ['Ann'] }, [data({ candidates: ['Ann'] })]],
    ['metadata alone', { metadata: { sources: [1] } }, [data({ metadata: { sources: [1] } })]],
    [
      'an event whose data has choices',
      { event: 'quiz', data: { choices: ['A'] } },
      [data({ choices: ['A'] }, 'quiz')],
    ],
    ['a data part whose data has choices', data({ choices: ['A'] }, 'quiz'), [data({ choices: ['A'] }, 'quiz')]],
  ])('%s', (_, chunk, expected) => {
    expect(toParts(chunk)).toEqual(expected)
  })

  it('an instance of a class that no shape knows is refused by its name and keys', () => {
    class Message {
      data = 'x'
    }
    expect(() => toParts(new Message())).toThrow(expect.objectContaining({ code: 'invalid-source' }))
    expect(() => toParts(new Message())).toThrow(/\(Message\) with the keys data/)
  })

  it.each<Part>([
    text('a'),
    text(''),
    reasoning('a'),
    tool(0, '{"a"', { id: 'call_1', name: 'search' }),
    tool(1, ''),
    usage({ inputTokens: 1, outputTokens: 2, totalTokens: 3, cachedInputTokens: 0, reasoningTokens: 1 }),
    finish('length'),
    data({ url: 'x' }, 'citation'),
    data(undefined, 'file'),
    { type: 'error', error: new Error('no') },
  ])('the part %o is itself', (part) => {
    expect(toParts(part)).toEqual([part])
    if (part.type === 'error') expect(toParts(part)[0]).toBe(part)
  })

  it.each([
    ['bytes', new Uint8Array(1)],
    ['bytes', Buffer.from('a')],
    ['bytes', new ArrayBuffer(1)],
    ['bytes', new DataView(new ArrayBuffer(1))],
    ['1', 1],
    ['true', true],
    ['1', 1n],
    ['Symbol(a)', Symbol('a')],
    ['a function', () => {}],
  ])('%s are refused: %o', (what, chunk) => {
    expect(() => toParts(chunk)).toThrow(TypeError)
    expect(() => toParts(chunk)).toThrow(`The source yields ${what}`)
    if (what === 'bytes') expect(() => toParts(chunk)).toThrow('TextDecoderStream')
  })

  it('nothing is looked up by a name from the wire', () => {
    for (const name of ['constructor', '__proto__', 'toString']) {
      const chunk = { choices: [{ index: 0, delta: {}, finish_reason: name }] }
      expect(toParts(chunk)).toEqual([finish('other')])
      expect(toParts({ type: 'message_delta', delta: { stop_reason: name } })).toEqual([finish('other')])
      const response = { incomplete_details: { reason: name } }
      expect(toParts({ type: 'response.incomplete', response })).toEqual([finish('other')])
    }
  })
})

/** A chunk of chat completions with these choices. */
const chat = (delta: object | null, more: object = {}) => ({
  choices: [{ index: 0, delta, finish_reason: null, ...more }],
})

describe('toParts, of OpenAI chat completions', () => {
  it.each<[string, object, Part[]]>([
    ['a delta', chat({ content: 'Hi' }), [text('Hi')]],
    ['the first delta', chat({ role: 'assistant', content: '', refusal: null }), []],
    ['no delta', chat(null), []],
    ['no choices, as Azure begins', { choices: [], prompt_filter_results: [] }, []],
    ['a choice that is null', { choices: [null] }, []],
    ['a choice without an index', { choices: [{ delta: { content: 'Hi' } }] }, [text('Hi')]],
    ['another choice than the first', { choices: [{ index: 1, delta: { content: 'No' }, finish_reason: 'stop' }] }, []],
    ['a refusal', chat({ refusal: 'No.' }), [text('No.')]],
    [
      'a refusal that is finished',
      chat({ refusal: 'No.' }, { finish_reason: 'stop' }),
      [text('No.'), finish('content-filter')],
    ],
    ['reasoning as DeepSeek and vLLM say it', chat({ content: null, reasoning_content: 'Hm' }), [reasoning('Hm')]],
    ['reasoning as OpenRouter and Ollama say it', chat({ content: '', reasoning: 'Hm' }), [reasoning('Hm')]],
    ['reasoning and text', chat({ content: 'Hi', reasoning_content: 'Hm' }), [reasoning('Hm'), text('Hi')]],
    ['reasoning that is empty', chat({ content: '4', reasoning_content: null }), [text('4')]],
    [
      'tool calls',
      chat({
        tool_calls: [
          { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } },
          { index: 1, function: { arguments: '{}' } },
          { index: 2 },
          { function: { arguments: '1' } },
        ],
      }),
      [tool(0, '', { id: 'a', name: 'f' }), tool(1, '{}'), tool(2, ''), tool(2, '1')],
    ],
    ['no tool calls', chat({ tool_calls: null }), []],
    ['text and its finish', chat({ content: 'Hi' }, { finish_reason: 'length' }), [text('Hi'), finish('length')]],
    [
      'usage',
      {
        choices: [],
        usage: {
          prompt_tokens: 9,
          completion_tokens: 12,
          total_tokens: 21,
          prompt_tokens_details: { cached_tokens: 4 },
          completion_tokens_details: { reasoning_tokens: 3 },
        },
      },
      [usage({ inputTokens: 9, outputTokens: 12, totalTokens: 21, cachedInputTokens: 4, reasoningTokens: 3 })],
    ],
    [
      'usage in part',
      { choices: [], usage: { prompt_tokens: 9, prompt_tokens_details: null } },
      [usage({ inputTokens: 9 })],
    ],
    ['no usage', { ...chat({ content: 'Hi' }), usage: null }, [text('Hi')]],
    [
      'a failure, as OpenRouter says it',
      { ...chat({ content: 'Hi' }, { finish_reason: 'error' }), error: { code: 502, message: 'Gone' } },
      [text('Hi'), error({ message: 'Gone', code: 502, status: 502 })],
    ],
    [
      'a failure alone, as OpenAI and vLLM say it',
      { error: { message: 'The server had an error', type: 'server_error', param: null, code: null } },
      [error({ message: 'The server had an error', type: 'server_error', status: undefined })],
    ],
  ])('%s', (_, chunk, expected) => {
    expect(toParts(chunk)).toEqual(expected)
  })

  it.each([
    ['stop', 'stop'],
    ['length', 'length'],
    ['tool_calls', 'tool-calls'],
    ['function_call', 'tool-calls'],
    ['content_filter', 'content-filter'],
    ['error', 'error'],
    ['STOP', 'stop'],
    ['end_turn', 'stop'],
    ['eos', 'stop'],
    ['weather', 'other'],
  ])('the finish_reason %s is %s', (reason, expected) => {
    expect(toParts(chat({}, { finish_reason: reason }))).toEqual([finish(expected)])
  })
})

describe('toParts, of the OpenAI Responses API', () => {
  const counts = {
    input_tokens: 11,
    input_tokens_details: { cached_tokens: 2 },
    output_tokens: 90,
    output_tokens_details: { reasoning_tokens: 64 },
    total_tokens: 101,
  }
  const counted = usage({
    inputTokens: 11,
    outputTokens: 90,
    totalTokens: 101,
    cachedInputTokens: 2,
    reasoningTokens: 64,
  })

  it.each<[string, object, Part[]]>([
    ['text', { type: 'response.output_text.delta', delta: 'Hi', sequence_number: 4 }, [text('Hi')]],
    ['text that is empty', { type: 'response.output_text.delta', delta: '' }, []],
    ['text once more, whole', { type: 'response.output_text.done', text: 'Hi' }, []],
    ['a refusal', { type: 'response.refusal.delta', delta: 'No.' }, [text('No.')]],
    ['reasoning', { type: 'response.reasoning_text.delta', delta: 'Hm' }, [reasoning('Hm')]],
    ['the summary of reasoning', { type: 'response.reasoning_summary_text.delta', delta: 'Hm' }, [reasoning('Hm')]],
    [
      'a function call',
      {
        type: 'response.output_item.added',
        output_index: 1,
        item: { type: 'function_call', call_id: 'c', name: 'f', id: 'fc' },
      },
      [tool(1, '', { id: 'c', name: 'f' })],
    ],
    ['another item', { type: 'response.output_item.added', output_index: 1, item: { type: 'message' } }, []],
    [
      'its arguments',
      { type: 'response.function_call_arguments.delta', output_index: 1, delta: '{"a"' },
      [tool(1, '{"a"')],
    ],
    [
      'its arguments once more, whole',
      { type: 'response.function_call_arguments.done', output_index: 1, arguments: '{}' },
      [],
    ],
    [
      'a citation',
      { type: 'response.output_text.annotation.added', annotation: { type: 'url_citation', url: 'u' } },
      [data({ type: 'url_citation', url: 'u' }, 'citation')],
    ],
    ['the beginning', { type: 'response.created', response: { usage: null } }, []],
    ['what is new', { type: 'response.something.new', delta: 'x' }, []],
    [
      'the end',
      { type: 'response.completed', response: { output: [{ type: 'message' }], usage: counts } },
      [counted, finish('stop')],
    ],
    ['the end without counts', { type: 'response.completed', response: { usage: null } }, [finish('stop')]],
    [
      'the end with a call',
      { type: 'response.completed', response: { output: [{ type: 'function_call' }] } },
      [finish('tool-calls')],
    ],
    [
      'an end for the length (QuantumNous/new-api#7241)',
      { type: 'response.incomplete', response: { incomplete_details: { reason: 'max_output_tokens' }, usage: counts } },
      [counted, finish('length')],
    ],
    [
      'an end for the filter',
      { type: 'response.incomplete', response: { incomplete_details: { reason: 'content_filter' } } },
      [finish('content-filter')],
    ],
    [
      'an end for no reason',
      { type: 'response.incomplete', response: { incomplete_details: null } },
      [finish('other')],
    ],
    [
      'a failure, which no SDK throws',
      { type: 'response.failed', response: { error: { code: 'rate_limit_exceeded', message: 'Slow' }, usage: counts } },
      [counted, error({ message: 'Slow', code: 'rate_limit_exceeded', status: undefined })],
    ],
    [
      'a failure without a word',
      { type: 'response.failed', response: { error: null } },
      [error({ status: undefined })],
    ],
    [
      'an error event',
      { type: 'error', code: 'server_error', message: 'Sorry', param: null, sequence_number: 7 },
      [error({ message: 'Sorry', code: 'server_error', status: undefined })],
    ],
  ])('%s', (_, chunk, expected) => {
    expect(toParts(chunk)).toEqual(expected)
  })
})

describe('toParts, of Anthropic messages', () => {
  const block = (content_block: object, index = 0) => ({ type: 'content_block_start', index, content_block })
  const delta = (delta: object, index = 0) => ({ type: 'content_block_delta', index, delta })

  it.each<[string, object, Part[]]>([
    ['text', delta({ type: 'text_delta', text: 'Hi' }), [text('Hi')]],
    ['text that is empty', delta({ type: 'text_delta', text: '' }), []],
    ['a block of text', block({ type: 'text', text: '' }), []],
    // Blocks begin empty; the helper stream goes on to fill the one it has handed out, with text that comes in deltas.
    ['a block that was filled since', block({ type: 'text', text: 'Hi' }), []],
    ['thinking', delta({ type: 'thinking_delta', thinking: 'Hm' }), [reasoning('Hm')]],
    [
      'the signature of thinking',
      delta({ type: 'signature_delta', signature: 'x' }),
      [{ type: 'reasoning', text: '', signature: 'x' }],
    ],
    ['a tool', block({ type: 'tool_use', id: 't', name: 'f', input: {} }, 1), [tool(1, '', { id: 't', name: 'f' })]],
    ['its input', delta({ type: 'input_json_delta', partial_json: '{"a"' }, 1), [tool(1, '{"a"')]],
    ['its input, empty', delta({ type: 'input_json_delta', partial_json: '' }, 1), []],
    [
      "a tool of the provider's",
      block({ type: 'server_tool_use', id: 't', name: 'web_search', input: {} }),
      [{ type: 'tool-call', index: 0, id: 't', name: 'web_search', input: '', executed: true }],
    ],
    ['a citation', delta({ type: 'citations_delta', citation: { url: 'u' } }), [data({ url: 'u' }, 'citation')]],
    ['what is new', delta({ type: 'new_delta', text: 'x' }), []],
    ['the end of a block', { type: 'content_block_stop', index: 0 }, []],
    ['a ping', { type: 'ping' }, []],
    ['the end', { type: 'message_stop' }, []],
    [
      'the beginning',
      { type: 'message_start', message: { usage: { input_tokens: 25, output_tokens: 1 } } },
      [usage({ inputTokens: 25, outputTokens: 1 })],
    ],
    ['the beginning without counts', { type: 'message_start', message: {} }, []],
    [
      'what the cache took and gave, which is input as well',
      {
        type: 'message_start',
        message: {
          usage: { input_tokens: 5, cache_creation_input_tokens: 10, cache_read_input_tokens: 100, output_tokens: 1 },
        },
      },
      [usage({ inputTokens: 115, outputTokens: 1, cachedInputTokens: 100, cacheWriteInputTokens: 10 })],
    ],
    [
      'the last counts',
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 15 } },
      [usage({ outputTokens: 15 }), finish('stop')],
    ],
    [
      'the last counts, with what is not known',
      {
        type: 'message_delta',
        delta: { stop_reason: null },
        usage: { input_tokens: null, cache_read_input_tokens: null, output_tokens: 15 },
      },
      [usage({ outputTokens: 15 })],
    ],
    [
      'an error event, which has the shape of our own part',
      { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' }, request_id: 'req_1' },
      [error({ message: 'Overloaded', type: 'overloaded_error', status: undefined })],
    ],
  ])('%s', (_, chunk, expected) => {
    expect(toParts(chunk)).toEqual(expected)
  })

  it.each([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['tool_use', 'tool-calls'],
    ['refusal', 'content-filter'],
    ['pause_turn', 'other'],
  ])('the stop_reason %s is %s', (stop_reason, expected) => {
    expect(toParts({ type: 'message_delta', delta: { stop_reason } })).toEqual([finish(expected)])
  })

  it("the input of the provider's own tools is no call for the client", () => {
    const reading = new Reading()
    const chunks = [
      block({ type: 'server_tool_use', id: 's', name: 'web_search', input: {} }, 0),
      delta({ type: 'input_json_delta', partial_json: '{"query"' }, 0),
      block({ type: 'tool_use', id: 't', name: 'f', input: {} }, 1),
      delta({ type: 'input_json_delta', partial_json: '{"a"' }, 1),
      block({ type: 'server_tool_use', id: 'u', name: 'web_search', input: {} }, 2),
      delta({ type: 'input_json_delta', partial_json: '{"query"' }, 2),
    ]
    const parts = chunks.flatMap((chunk) => {
      readChunk(chunk, reading)
      return [...reading.parts]
    })
    const executed = parts.flatMap((part) => (part.type === 'tool-call' && part.executed ? [part.index] : []))
    expect(executed).toEqual([0, 2])
    const called = parts.filter((part) => part.type === 'tool-call' && !executed.includes(part.index))
    expect(called).toEqual([tool(1, '', { id: 't', name: 'f' }), tool(1, '{"a"')])
  })
})

const HELLO = ['Hello', ' there', '! ', 'Streams'].map(text)
const ANSWER = [...HELLO, ...['\n\n', 'work ', '— ', 'naïve ', '日本', '🚀'].map(text)]
const started = usage({ inputTokens: 25, outputTokens: 1, cachedInputTokens: 0, cacheWriteInputTokens: 0 })
const counted = (outputTokens: number) =>
  usage({ inputTokens: 25, outputTokens, cachedInputTokens: 0, cacheWriteInputTokens: 0 })

/** Each trace's parts, and whether the provider proved that the answer was complete. */
const traces: Record<string, { proof: 'given' | 'missing'; parts: Part[] }> = {
  'openai-chat-text.sse': { proof: 'given', parts: [...ANSWER, finish('stop')] },
  'openai-chat-usage.sse': {
    proof: 'given',
    parts: [
      ...HELLO,
      finish('stop'),
      usage({ inputTokens: 19, outputTokens: 10, totalTokens: 29, cachedInputTokens: 0, reasoningTokens: 0 }),
    ],
  },
  'openai-chat-tool-call.sse': {
    proof: 'given',
    parts: [
      tool(0, '', { id: 'call_a1B2', name: 'get_weather' }),
      tool(0, '{"'),
      tool(0, 'city":"Par'),
      tool(0, 'is"}'),
      tool(1, '', { id: 'call_c3D4', name: 'get_time' }),
      tool(1, '{"tz":"CET"}'),
      finish('tool-calls'),
    ],
  },
  'openai-chat-refusal.sse': {
    proof: 'given',
    parts: [text("I'm sorry, "), text("I can't help with that."), finish('content-filter')],
  },
  'openai-chat-content-filter.sse': {
    proof: 'given',
    parts: [text('First, '), text('take'), finish('content-filter')],
  },
  'openai-chat-truncated-no-done.sse': { proof: 'missing', parts: [...HELLO, text('\n\n')] },
  'openai-chat-error-midstream.sse': {
    proof: 'missing',
    parts: [
      ...HELLO.slice(0, 3),
      error({
        message: 'The server had an error while processing your request. Sorry about that!',
        type: 'server_error',
        status: undefined,
      }),
    ],
  },
  'openai-compat-deepseek-reasoning.sse': {
    proof: 'given',
    parts: [
      reasoning('Add '),
      reasoning('2+2.'),
      text('4'),
      finish('stop'),
      usage({ inputTokens: 9, outputTokens: 12, totalTokens: 21, reasoningTokens: 9 }),
    ],
  },
  'openai-responses-text.sse': {
    proof: 'given',
    parts: [
      ...ANSWER,
      usage({ inputTokens: 11, outputTokens: 14, totalTokens: 25, cachedInputTokens: 0, reasoningTokens: 0 }),
      finish('stop'),
    ],
  },
  'openai-responses-reasoning-tool.sse': {
    proof: 'given',
    parts: [
      reasoning('**Checking'),
      reasoning(' weather**'),
      tool(1, '', { id: 'call_x9', name: 'get_weather' }),
      tool(1, '{"ci'),
      tool(1, 'ty":"Paris"}'),
      usage({ inputTokens: 11, outputTokens: 90, totalTokens: 101, cachedInputTokens: 0, reasoningTokens: 64 }),
      finish('tool-calls'),
    ],
  },
  'openai-responses-error-event.sse': {
    proof: 'missing',
    parts: [
      ...HELLO.slice(0, 3),
      error({ message: 'An error occurred while processing your request.', code: 'server_error', status: undefined }),
    ],
  },
  'anthropic-text.sse': { proof: 'given', parts: [started, ...ANSWER, counted(15), finish('stop')] },
  'anthropic-ping-only-then-text.sse': {
    proof: 'given',
    parts: [started, ...HELLO.slice(0, 2), counted(5), finish('stop')],
  },
  'anthropic-thinking.sse': {
    proof: 'given',
    parts: [
      started,
      reasoning('Let me add '),
      reasoning('27*453.'),
      { type: 'reasoning', text: '', signature: 'EqQBCgIYAhIM1gbcDa9GJwZA2b3h==' },
      text('27 × 453 = 12,231'),
      counted(48),
      finish('stop'),
    ],
  },
  'anthropic-tool-use.sse': {
    proof: 'given',
    parts: [
      started,
      text('Checking.'),
      tool(1, '', { id: 'toolu_01T1x1fJ34qAmk2tNTrN7Up6', name: 'get_weather' }),
      tool(1, '{"loc'),
      tool(1, 'ation": "San'),
      tool(1, 'ta Cruz, CA"}'),
      counted(89),
      finish('tool-calls'),
    ],
  },
  'anthropic-truncated.sse': { proof: 'missing', parts: [started, ...HELLO.slice(0, 3)] },
  'anthropic-error-overloaded.sse': {
    proof: 'missing',
    parts: [
      started,
      ...HELLO.slice(0, 3),
      error({ message: 'Overloaded', type: 'overloaded_error', status: undefined }),
    ],
  },
}

/** The JSON of each event, without SDK. */
async function chunksOf(trace: string): Promise<unknown[]> {
  const chunks: unknown[] = []
  for await (const { data } of parseSSE(new Blob([new Uint8Array(readTrace(trace))]).stream(), { sentinel: false })) {
    if (data !== '[DONE]') chunks.push(JSON.parse(data))
  }
  return chunks
}

describe('a trace as parts', () => {
  it('is expected of every trace of OpenAI, of what imitates it, and of Anthropic', () => {
    const names = traceNames().filter((name) => /^(openai|anthropic)-.*\.sse$/.test(name))
    expect(Object.keys(traces).sort()).toEqual(names)
  })

  it.each(Object.entries(traces))('%s', async (name, { proof, parts }) => {
    const reading = new Reading()
    const seen: Part[] = []
    for (const chunk of await chunksOf(name)) {
      expect(readChunk(chunk, reading)).toBeUndefined()
      seen.push(...reading.parts)
    }
    // Once an answer what its provider calls it, and at the end of each call that it is whole.
    const isExtra = (part: Part) => part.type === 'start' || (part.type === 'tool-call' && part.done === true)
    expect(seen.filter((part) => !isExtra(part))).toEqual(parts)
    expect(seen.filter(({ type }) => type === 'start')).toHaveLength(1)
    const indexes = (all: Part[]) => [
      ...new Set(all.flatMap((part) => (part.type === 'tool-call' ? [part.index] : []))),
    ]
    expect(indexes(seen.filter((part) => 'done' in part))).toEqual(indexes(parts))
    expect(reading.proof).toBe(proof)
  })

  it.each(Object.entries(traces))('%s, each chunk by itself', async (name, { parts }) => {
    const seen = (await chunksOf(name)).flatMap((chunk) => toParts(chunk))
    // A chunk by itself does not know of the refusal before it.
    const expected = name.includes('refusal') ? [...parts.slice(0, -1), finish('stop')] : parts
    expect(seen).toEqual(expected)
  })
})

describe('the proof of a complete answer', () => {
  const proofOf = (...chunks: unknown[]) => {
    const reading = new Reading()
    for (const chunk of chunks) readChunk(chunk, reading)
    return reading.proof
  }

  it.each<[string, unknown[], string]>([
    ['is not needed of strings', ['a', ''], 'not-needed'],
    ['is not needed of parts, events and objects', [text('a'), { data: 1 }, { a: 1 }], 'not-needed'],
    ['is missing after a delta', [chat({ content: 'a' })], 'missing'],
    ['is missing after the first chunk of Azure', [{ choices: [], prompt_filter_results: [] }], 'missing'],
    ['is a finish_reason', [chat({ content: 'a' }), chat({}, { finish_reason: 'length' })], 'given'],
    ['is not the finish_reason of another choice', [{ choices: [{ index: 1, finish_reason: 'stop' }] }], 'missing'],
    [
      'is the last usage, for servers that give no finish_reason (pydantic/pydantic-ai#6610)',
      [chat({ content: 'a' }), { choices: [], usage: {} }],
      'given',
    ],
    [
      'is not the usage that comes with every chunk',
      [{ ...chat({ content: 'a' }), usage: { total_tokens: 1 } }],
      'missing',
    ],
    [
      'is not a finish_reason of a failure',
      [{ ...chat({}, { finish_reason: 'error' }), error: { message: 'x' } }],
      'missing',
    ],
    [
      'is missing after a stop_reason alone',
      [{ type: 'message_delta', delta: { stop_reason: 'end_turn' } }],
      'missing',
    ],
    ['is message_stop', [{ type: 'message_start' }, { type: 'message_stop' }], 'given'],
    ['is missing after text of a response', [{ type: 'response.output_text.done', text: 'a' }], 'missing'],
    ['is response.completed', [{ type: 'response.created' }, { type: 'response.completed', response: {} }], 'given'],
    ['is response.incomplete', [{ type: 'response.incomplete', response: {} }], 'given'],
    ['is not response.failed', [{ type: 'response.failed', response: {} }], 'missing'],
    [
      'is missing when another chat completion begins after the calls of the first',
      [
        chat({ content: 'a' }),
        chat({}, { finish_reason: 'tool_calls' }),
        { id: '2', ...chat({ role: 'assistant' }) },
      ].map((chunk) => ({ id: '1', ...chunk })),
      'missing',
    ],
    [
      'is missing when another message of Bedrock begins',
      [{ messageStart: {} }, { messageStop: { stopReason: 'tool_use' } }, { messageStart: { role: 'assistant' } }],
      'missing',
    ],
    [
      'is missing when another answer of the AI SDK begins',
      [{ type: 'start' }, { type: 'finish', finishReason: 'stop', totalUsage: {} }, { type: 'start' }],
      'missing',
    ],
    ['stays given, whatever follows', [{ type: 'message_stop' }, { type: 'ping' }, 'a', chat({})], 'given'],
    [
      'is given by an end that comes with the answer, after one before it',
      [chat({}, { finish_reason: 'stop' }), chat({ content: 'a' }, { finish_reason: 'stop' })],
      'given',
    ],
    ['stays missing, whatever follows of one’s own', [chat({ content: 'a' }), 'a', { data: 1 }], 'missing'],
  ])('%s', (_, chunks, expected) => {
    expect(proofOf(...chunks)).toBe(expected)
  })
})

describe('a failure that servers which imitate OpenAI tell in the stream', () => {
  it.each([
    { object: 'error', message: 'no', code: 500 },
    { error: 'no' },
    { error: 'no', error_type: 'generation' },
    { id: 'x', error: { message: 'no' }, object: 'chat.completion.chunk' },
  ])('is a failure in a body and as an object: %j', async (failure) => {
    const half = { id: 'x', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: 'Half' } }] }
    const body = `data: ${JSON.stringify(half)}\n\ndata: ${JSON.stringify(failure)}\n\ndata: [DONE]\n\n`
    const upstream = () => new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    for (const source of [upstream, () => [half, failure]]) {
      const answer = await collect(await relay(new Request('http://localhost'), source, { onError() {} }))
      expect(answer).toMatchObject({ text: 'Half', outcome: 'error' })
    }
  })
})

describe("a chunk that is not in its provider's format", () => {
  it.each<[string, object]>([
    ['content that is no list', { choices: [{ index: 0, delta: { content: true } }] }],
    ['calls that are none', { choices: [{ index: 0, delta: { tool_calls: ['f'] } }] }],
    ['parts that are no list', { candidates: [{ content: { parts: {} } }] }],
    ['a message in place of its text', { done: false, message: { content: { text: 'x' } } }],
  ])('is the failure of the upstream: %s', async (_, chunk) => {
    expect(() => toParts(chunk)).toThrow(expect.objectContaining({ code: 'upstream-failure', retryable: true }))
    const answer = await collect(await relay(new Request('http://localhost'), [chunk], { onError() {} }))
    expect(answer).toMatchObject({ status: 502, error: { code: 'upstream-failure' } })
  })

  it.each<[string, object]>([
    ['reasoning that has no text', { choices: [{ index: 0, delta: { reasoning: { a: 1 } } }] }],
    ['a signature that is none', { type: 'content_block_delta', delta: { type: 'signature_delta', signature: 1 } }],
  ])('is left out where the answer does not need it: %s', (_, chunk) => {
    expect(toParts(chunk)).toEqual([])
  })

  it('arguments that are a value are their JSON (ggml-org/llama.cpp#20198)', () => {
    const call = { index: 0, id: 'a', function: { name: 'f', arguments: { x: 1 } } }
    expect(toParts(chat({ tool_calls: [call] }))).toEqual([
      { ...tool(0, '{"x":1}', { id: 'a', name: 'f' }), done: true, replaces: true },
    ])
  })
})
