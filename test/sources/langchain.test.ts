import { describe, expect, it } from 'vitest'
import { toFailure } from '../../src/failure.js'
import { readAll } from './read-all.js'

const LC = { lc_serializable: true, lc_namespace: ['langchain_core', 'messages'], lc_kwargs: {} }

/** As LangChain's class has it: an instance, with the fields of its messages. */
class AIMessageChunk {
  constructor(fields: object) {
    Object.assign(
      this,
      LC,
      { content: '', tool_call_chunks: [], tool_calls: [], additional_kwargs: {}, response_metadata: {} },
      fields,
    )
  }
}
const chunk = (fields: object) => new AIMessageChunk(fields)
const openai = (fields: object) => chunk({ response_metadata: { model_provider: 'openai' }, ...fields })
const usage_metadata = {
  input_tokens: 25,
  output_tokens: 15,
  total_tokens: 40,
  input_token_details: { cache_read: 5 },
  output_token_details: { reasoning: 4 },
}
const usage = { inputTokens: 25, outputTokens: 15, totalTokens: 40, cachedInputTokens: 5, reasoningTokens: 4 }
const said = [
  openai({ id: 'c-1', additional_kwargs: { reasoning_content: 'Let me ' } }),
  openai({ id: 'c-1', additional_kwargs: { reasoning_content: 'think.' } }),
  openai({ id: 'c-1', content: 'Hello ' }),
  openai({ id: 'c-1', content: 'world' }),
  openai({
    id: 'c-1',
    tool_call_chunks: [{ index: 0, id: 'call_1', name: 'weather', args: '' }],
    tool_calls: [{ name: 'weather', args: {} }],
  }),
  openai({ id: 'c-1', tool_call_chunks: [{ index: 0, args: '{"city":' }] }),
  openai({ id: 'c-1', tool_call_chunks: [{ index: 0, args: '"Oslo"}' }] }),
]
const finished = openai({
  response_metadata: { finish_reason: 'tool_calls', model_provider: 'openai', system_fingerprint: 'SECRET' },
})
const counted = chunk({ usage_metadata })
const whole = {
  text: 'Hello world',
  reasoning: 'Let me think.',
  calls: [{ id: 'call_1', name: 'weather', input: '{"city":"Oslo"}', done: true }],
  finishReason: 'tool-calls',
  proof: 'given',
  errors: [],
  data: [],
}

describe('the chunks of a LangChain model', () => {
  it('of OpenAI chat are read with reasoning, text, growing call, counts and finish', () => {
    const read = readAll([...said, finished, counted])
    expect(read).toMatchObject({ ...whole, usage, signalOnly: 'LangChain' })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('without their classes, as JSON, are read the same', () => {
    expect(readAll(JSON.parse(JSON.stringify([...said, finished, counted])))).toMatchObject({ ...whole, usage })
  })

  it('are complete at a finish reason, or at counts without content after some, and not before', () => {
    expect(readAll(said).proof).toBe('missing')
    expect(readAll([...said, finished]).proof).toBe('given')
    expect(readAll([...said, counted]).proof).toBe('given')
    expect(readAll([counted]).proof).toBe('missing')
  })

  it('of Anthropic have thoughts with a signature, calls by the block, and counts in halves', () => {
    const read = readAll([
      chunk({
        id: 'msg_1',
        response_metadata: { model_provider: 'anthropic' },
        usage_metadata: {
          input_tokens: 25,
          output_tokens: 1,
          total_tokens: 26,
          input_token_details: { cache_read: 5 },
        },
      }),
      chunk({ content: [{ index: 0, type: 'thinking', thinking: 'Let me think.' }] }),
      chunk({ content: [{ index: 0, type: 'thinking', signature: 'sig' }] }),
      chunk({ content: 'Hello world' }),
      chunk({ tool_call_chunks: [{ id: 'call_1', index: 2, name: 'weather', args: '' }] }),
      chunk({ tool_call_chunks: [{ index: 2, args: '{"city":"Oslo"}' }] }),
      chunk({
        additional_kwargs: { stop_reason: 'tool_use' },
        usage_metadata: { input_tokens: 0, output_tokens: 15, total_tokens: 15 },
      }),
    ])
    expect(read).toMatchObject({
      ...whole,
      usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40, cachedInputTokens: 5 },
    })
    expect(read.parts).toContainEqual({ type: 'reasoning', text: '', signature: 'sig' })
  })

  it.each([undefined, 'v1'])('over Responses (%s) do not repeat the reasoning', (output_version) => {
    const of = (fields: object) =>
      openai({ response_metadata: { model_provider: 'openai', output_version }, ...fields })
    const reasoning = { id: 'rs_1', summary: [{ text: 'Let me think.' }] }
    const read = readAll([
      of({ content: [{ type: 'reasoning', reasoning: 'Let me think.' }], additional_kwargs: { reasoning } }),
      of({ content: [{ type: 'text', text: 'Hello world', index: 0 }] }),
      of({
        content: [{ type: 'tool_call', id: 'call_1', name: 'weather', args: {} }],
        tool_call_chunks: [{ id: 'call_1', name: 'weather', index: 2, args: '{"city":"Oslo"}' }],
      }),
      of({
        content: [{ type: 'reasoning', reasoning: 'Let me think.' }],
        response_metadata: { status: 'completed', instructions: 'SECRET', incomplete_details: null },
        usage_metadata,
      }),
    ])
    expect(read).toMatchObject({ ...whole, usage })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it.each([
    [{ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }, 'length'],
    [{ finishReason: 'STOP' }, 'stop'],
    [{ stopReason: 'end_turn' }, 'stop'],
    [{ stop_reason: 'max_tokens' }, 'length'],
    [{ done_reason: 'stop' }, 'stop'],
    [{ finishReason: 'SAFETY' }, 'content-filter'],
  ])('end with %o, whichever package says so', (response_metadata, finishReason) => {
    const start = openai({ content: 'Hello' })
    expect(readAll([start, chunk({ response_metadata })])).toMatchObject({ finishReason, proof: 'given' })
  })

  it('that say they failed or were cancelled are not complete', () => {
    for (const status of ['failed', 'cancelled']) {
      expect(readAll([openai({ content: 'Hello' }), chunk({ response_metadata: { status } })]).proof).toBe('broken')
    }
    expect(
      readAll([openai({ content: 'Hello' }), openai({ response_metadata: { status: 'in_progress' } })]).proof,
    ).toBe('missing')
  })

  it('of a model that tells neither who it is nor why it stops are complete when they end', () => {
    expect(readAll([chunk({ content: 'a' }), chunk({ content: 'b' })])).toMatchObject({ text: 'ab', proof: 'given' })
  })

  it('of LangChain 0.3, which names no provider, still need a proof once they count', () => {
    const counts = { input_tokens: 25, output_tokens: 1, total_tokens: 26 }
    expect(readAll([chunk({ usage_metadata: counts }), chunk({ content: 'Hello' })]).proof).toBe('missing')
  })

  it('of two answers are two: the second one’s end is waited for', () => {
    const second = [openai({ id: 'c-2', content: 'Again' })]
    expect(readAll([...said, finished, ...second])).toMatchObject({ text: 'Hello world\n\nAgain', proof: 'missing' })
    expect(readAll([...said, finished, openai({ id: 'c-1', content: '!' })])).toMatchObject({
      text: 'Hello world!',
      proof: 'given',
    })
  })

  it('that refuse are filtered', () => {
    const refusal = openai({ additional_kwargs: { refusal: 'No.' } })
    const end = openai({ response_metadata: { finish_reason: 'stop' } })
    expect(readAll([refusal, end])).toMatchObject({ text: 'No.', finishReason: 'content-filter' })
  })
})

describe('a map of LangChain runnables', () => {
  const end = (id: string) => openai({ id, response_metadata: { finish_reason: 'stop', instructions: 'SECRET' } })

  it('is what its models say, each under a name, complete when each has ended', () => {
    const turns = ['joke', 'poem', 'joke', 'poem'].map((id) => ({ [id]: openai({ id, content: id }) }))
    expect(readAll([...turns, { joke: end('joke') }]).proof).toBe('missing')
    const read = readAll([...turns, { joke: end('joke') }, { poem: end('poem') }])
    expect(read).toMatchObject({ text: 'joke\n\npoem\n\njoke\n\npoem', proof: 'given', data: [] })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('of something else is the user’s own', () => {
    for (const own of [{ answer: 'Hello' }, { context: [{ pageContent: 'a' }] }, {}])
      expect(readAll([own]).data).toEqual([['data', own]])
  })
})

describe('streamEvents of version 2', () => {
  const event = (event: string, data: object, more: object = {}) => ({
    event,
    run_id: 'r',
    name: 'ChatOpenAI',
    metadata: { tenant: 'SECRET' },
    data,
    ...more,
  })

  it('has the chunks of the model, and not what went in nor what is repeated', () => {
    const read = readAll([
      event('on_chat_model_start', { input: { messages: ['SECRET'] } }),
      ...[...said, finished, counted].map((chunk) => event('on_chat_model_stream', { chunk })),
      event('on_chat_model_end', { output: chunk({ content: 'Hello world', usage_metadata }) }),
      event('on_chain_end', { output: 'SECRET' }),
    ])
    expect(read).toMatchObject({ ...whole, usage, signalOnly: 'LangChain' })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('has them under the word of version 1, too', () => {
    const stream = [...said, finished, counted].map((chunk) => event('on_llm_stream', { chunk }))
    expect(readAll(stream)).toMatchObject({ ...whole, usage })
  })

  it.each(['on_chain_error', 'on_chat_model_error', 'on_llm_error'])('that says %s and ends has failed', (name) => {
    const failed = event(name, { error: { message: 'SECRET', status: 429 } })
    const stream = said.slice(0, 4).map((chunk) => event('on_chat_model_stream', { chunk }))
    expect(readAll([...stream, failed])).toMatchObject({ proof: 'broken', failure: { status: 429 } })
    expect(readAll([...stream, failed]).parts).toEqual(readAll(stream).parts)
    // It was tried again, or another model was asked.
    const again = [...said.slice(0, 4), finished].map((chunk) =>
      event('on_chat_model_stream', { chunk }, { run_id: 's' }),
    )
    expect(readAll([...stream, failed, ...again])).toMatchObject({ proof: 'given', failure: undefined })
  })

  it('is read as JSON, too, as LangChain writes it', () => {
    const json = (fields: object) => ({
      lc: 1,
      type: 'constructor',
      id: ['langchain_core', 'messages', 'AIMessageChunk'],
      kwargs: { ...fields },
    })
    const written = [...said, finished, counted].map(json)
    expect(readAll(written)).toMatchObject({ ...whole, usage })
    expect(readAll(written.map((chunk) => event('on_chat_model_stream', { chunk })))).toMatchObject({ ...whole, usage })
  })

  it('takes the finish of the whole message where no piece has it', () => {
    const output = openai({
      content: 'Hello world',
      response_metadata: { model_provider: 'openai', finish_reason: 'length' },
    })
    const stream = said.slice(0, 4).map((chunk) => event('on_chat_model_stream', { chunk }))
    expect(readAll(stream).proof).toBe('missing')
    expect(readAll([...stream, event('on_chat_model_end', { output })])).toMatchObject({
      finishReason: 'length',
      proof: 'given',
    })
  })

  it('that was cut is not complete because Anthropic counted at the beginning', () => {
    const counts = { input_tokens: 25, output_tokens: 1, total_tokens: 26 }
    const response_metadata = { model_provider: 'anthropic' }
    const pieces = [chunk({ response_metadata, usage_metadata: counts }), chunk({ content: 'Hello' })]
    const output = chunk({ content: 'Hello', response_metadata, usage_metadata: counts })
    const stream = pieces.map((chunk) => event('on_chat_model_stream', { chunk }))
    expect(readAll([...stream, event('on_chat_model_end', { output })]).proof).toBe('missing')
  })

  it('has events of one’s own, text of older models, and what tools answered as results', () => {
    const read = readAll([
      event('on_custom_event', { step: 1 }, { name: 'progress' }),
      event('on_llm_stream', { chunk: { text: 'Hello' } }),
      event('on_tool_start', { input: 'SECRET' }),
    ])
    expect(read.data).toEqual([['progress', { step: 1 }]])
    expect(read.text).toBe('Hello')
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('of a model that does not stream has its text at its end', () => {
    const output = chunk({ id: 'c-1', content: 'Hello', tool_call_chunks: undefined, usage_metadata })
    const read = readAll([event('on_chat_model_start', { input: 'SECRET' }), event('on_chat_model_end', { output })])
    expect(read).toMatchObject({ text: 'Hello', proof: 'given' })
  })
})

describe('streamEvents without a version', () => {
  const block = (index: number, fields: object) => ({ event: 'content-block-delta', index, delta: fields })
  const start = [
    { event: 'message-start', id: 'c-1' },
    { event: 'provider', provider: 'openai', name: 'response.created', payload: { instructions: 'SECRET' } },
    { event: 'content-block-start', index: 0, content: { type: 'reasoning', reasoning: '' } },
    block(0, { type: 'reasoning-delta', reasoning: 'Let me think.' }),
    { event: 'content-block-start', index: 1, content: { type: 'text', text: '' } },
    block(1, { type: 'text-delta', text: 'Hello ' }),
    block(1, { type: 'text-delta', text: 'world' }),
    {
      event: 'content-block-start',
      index: 2,
      content: { type: 'tool_call_chunk', id: 'call_1', name: 'weather', args: '', index: 0 },
    },
  ]
  const end = [
    { event: 'content-block-finish', index: 1, content: { type: 'text', text: 'Hello world' } },
    {
      event: 'content-block-finish',
      index: 2,
      content: { type: 'tool_call', id: 'call_1', name: 'weather', args: { city: 'Oslo' } },
    },
    {
      event: 'message-finish',
      reason: 'tool_use',
      usage: usage_metadata,
      responseMetadata: { system_fingerprint: 'SECRET' },
    },
  ]

  it.each([
    [
      'appended',
      [block(2, { type: 'tool-call-delta', args: '{"city":' }), block(2, { type: 'tool-call-delta', args: '"Oslo"}' })],
    ],
    [
      'told again so far',
      [
        block(2, { type: 'block-delta', fields: { type: 'tool_call_chunk', args: '{"city":' } }),
        block(2, { type: 'block-delta', fields: { type: 'tool_call_chunk', args: '{"city":"Oslo"}' } }),
      ],
    ],
    ['whole only', []],
  ])('has calls whose arguments are %s', (_, pieces) => {
    const read = readAll([...start, ...pieces, ...end])
    expect(read).toMatchObject({ ...whole, usage, signalOnly: 'LangChain' })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('has reasoning that begins with its block, images whole, and calls that no client may run', () => {
    const block = (event: string, index: number, content: object) => ({
      event: `content-block-${event}`,
      index,
      content,
    })
    const read = readAll([
      { event: 'message-start', id: 'm' },
      block('start', 0, { type: 'reasoning', reasoning: 'Hm' }),
      block('finish', 1, { type: 'image', data: 'AAAA', mimeType: 'image/png' }),
      block('start', 2, { type: 'tool_call_chunk', id: 'a', name: 'w', args: '{"x' }),
      block('finish', 2, { type: 'invalid_tool_call', id: 'a', name: 'w', args: '{"x', error: 'SECRET' }),
      { event: 'message-finish', reason: 'tool_use' },
    ])
    expect(read).toMatchObject({ reasoning: 'Hm', data: [['file', { url: 'data:image/png;base64,AAAA' }]] })
    expect(read.parts.find((part) => part.type === 'tool-call' && part.error)).toMatchObject({ done: true })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('is complete at a message-finish with a reason: one that was cut has none, or no finish', () => {
    expect(readAll([...start, { event: 'message-finish' }]).proof).toBe('missing')
    expect(readAll(start).proof).toBe('missing')
  })

  it('tells a failure that it yields without its words', () => {
    const { errors } = readAll([...start, { event: 'error', message: 'SECRET', code: 'rate_limit_exceeded' }])
    expect(toFailure(errors[0])).toMatchObject({ code: 'rate-limit', message: expect.not.stringContaining('SECRET') })
  })

  it('leaves an event of one’s own alone that has one of its names', () => {
    expect(readAll([{ event: 'usage', data: { seats: 3 } }]).data).toEqual([['usage', { seats: 3 }]])
  })
})
