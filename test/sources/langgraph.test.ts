import { describe, expect, it } from 'vitest'
import { readAll } from './read-all.js'

const LC = { lc_serializable: true, lc_namespace: ['langchain_core', 'messages'], lc_kwargs: {} }
const base = { ...LC, content: '', additional_kwargs: {}, response_metadata: {} }
const piece = (fields: object) => ({
  ...base,
  tool_call_chunks: [],
  tool_calls: [],
  response_metadata: { model_provider: 'openai' },
  ...fields,
})
const metadata = { langgraph_node: 'model', langgraph_step: 1, tenant: 'SECRET' }
const tuple = (message: object) => [message, metadata]
const usage_metadata = { input_tokens: 25, output_tokens: 15, total_tokens: 40 }
const usage = { inputTokens: 25, outputTokens: 15, totalTokens: 40 }
const ask = { ...base, id: 'h-1', content: 'SECRET question' }
const tool = { ...base, id: 't-1', content: 'rain', tool_call_id: 'call_1', name: 'weather', status: 'success' }

const first = [
  piece({ id: 'c-1', content: 'Hello ' }),
  piece({ id: 'c-1', content: 'world' }),
  piece({ id: 'c-1', tool_call_chunks: [{ index: 0, id: 'call_1', name: 'weather', args: '{"city":' }] }),
  piece({ id: 'c-1', tool_call_chunks: [{ index: 0, args: '"Oslo"}' }] }),
  piece({ id: 'c-1', usage_metadata }),
]
const second = [piece({ id: 'c-2', content: 'It rains.' }), piece({ id: 'c-2', usage_metadata })]
const wholeFirst = piece({
  id: 'c-1',
  content: 'Hello world',
  tool_calls: [{ id: 'call_1', name: 'weather', args: { city: 'Oslo' } }],
  usage_metadata,
})
const wholeSecond = {
  ...base,
  id: 'c-2',
  content: 'It rains.',
  tool_calls: [],
  response_metadata: { finish_reason: 'stop', model_provider: 'openai' },
  usage_metadata,
}
const whole = {
  text: 'Hello world\n\nIt rains.',
  calls: [{ id: 'call_1', name: 'weather', input: '{"city":"Oslo"}' }],
  results: [{ id: 'call_1', output: 'rain' }],
  usage,
  proof: 'given',
  errors: [],
  data: [],
}
const clean = (chunks: unknown[]) => {
  const read = readAll(chunks)
  expect(JSON.stringify(read)).not.toContain('SECRET')
  return read
}

const messages = [...first, tool, ...second].map(tuple)
const updates = [
  { model: { messages: [wholeFirst] } },
  { tools: { messages: [tool] } },
  { model: { messages: [wholeSecond] } },
]
const values = [
  { messages: [ask] },
  { messages: [ask, wholeFirst] },
  { messages: [ask, wholeFirst, tool] },
  { messages: [ask, wholeFirst, tool, wholeSecond] },
]
/** All modes at once, in the order in which LangGraph has them. */
const several = [
  ['values', values[0]],
  ['tasks', { id: 'x', input: { messages: [ask] }, name: 'SECRET' }],
  ['debug', { type: 'task', payload: 'SECRET' }],
  ...first.map((message) => ['messages', tuple(message)]),
  ['updates', updates[0]],
  ['values', values[1]],
  ['messages', tuple(tool)],
  ['updates', updates[1]],
  ['values', values[2]],
  ['checkpoints', { config: 'SECRET' }],
  ...second.map((message) => ['messages', tuple(message)]),
  ['updates', updates[2]],
  ['values', values[3]],
]

describe('a stream of LangGraph', () => {
  it('of messages is what the models say, turn by turn, and what tools answered as results', () => {
    expect(clean(messages)).toMatchObject(whole)
    expect(readAll(messages.slice(0, -1)).proof).toBe('missing')
  })

  it('of updates alone has the text of the whole messages', () => {
    expect(clean(updates)).toMatchObject({ ...whole, finishReason: 'stop' })
  })

  it('of updates alone that was cut is not complete, whether its model counts at its end or, as Anthropic, before', () => {
    const cut = (provider: string, counts?: object) => ({
      model: {
        messages: [
          piece({
            id: 'c-1',
            content: 'Hello',
            response_metadata: { model_provider: provider },
            usage_metadata: counts,
          }),
        ],
      },
    })
    expect(readAll([cut('openai')])).toMatchObject({ text: 'Hello', proof: 'missing' })
    const begun = { input_tokens: 25, output_tokens: 1, total_tokens: 26 }
    expect(readAll([cut('anthropic', begun)])).toMatchObject({ text: 'Hello', proof: 'missing' })
  })

  it('of values alone has the messages that are new, and not the history that was asked with', () => {
    expect(clean(values)).toMatchObject({ ...whole, finishReason: 'stop' })
  })

  it('of several modes says each thing once', () => {
    expect(clean(several)).toMatchObject({ ...whole, finishReason: 'stop' })
  })

  it('of a whole message and then the pieces of another is of two, and the second one’s end is waited for', () => {
    const { usage_metadata: _, ...wordless } = wholeSecond
    const mixed = [{ ...wordless, id: 'c-0', content: 'Of a subgraph.' }, ...second].map(tuple)
    expect(clean(mixed)).toMatchObject({ text: 'Of a subgraph.\n\nIt rains.', proof: 'given' })
    expect(clean(mixed.slice(0, -1)).proof).toBe('missing')
  })

  it('whose tools are not seen has run the calls of a turn after which another begins', () => {
    expect(clean([...first, ...second].map(tuple))).toMatchObject({
      calls: [{ id: 'call_1', input: '{"city":"Oslo"}', done: true, executed: true }],
      text: whole.text,
    })
    expect(clean(first.map(tuple))).toMatchObject({ calls: [{ id: 'call_1', done: true }], finishReason: 'tool-calls' })
  })

  it.each<[string, object[]]>([
    [
      'debug',
      [
        { step: 1, type: 'task', timestamp: 't', payload: { id: 'x', name: 'model', input: { messages: [ask] } } },
        { step: 1, type: 'checkpoint', timestamp: 't', payload: { values: { messages: [ask] } } },
      ],
    ],
    [
      'tasks',
      [
        { id: 'x', name: 'model', input: { messages: [ask] }, triggers: [], interrupts: [] },
        { id: 'x', name: 'model', result: { messages: ['SECRET'] }, interrupts: [] },
      ],
    ],
    ['checkpoints', [{ config: {}, values: { messages: [ask] }, metadata: { source: 'loop' }, next: [], tasks: [] }]],
    ['tools', [{ event: 'on_tool_start', toolCallId: 'call_1', name: 'weather', input: 'SECRET' }]],
  ])('of %s alone says nothing of what the graph was asked', (_, chunks) => {
    expect(clean(chunks)).toMatchObject({ parts: [], proof: 'missing' })
  })

  it('of tools alone has what they answered, as results', () => {
    const end = { event: 'on_tool_end', toolCallId: 'call_1', name: 'weather', output: tool }
    expect(clean([end]).results).toEqual([{ id: 'call_1', output: 'rain' }])
  })

  it('with subgraphs is read with its namespaces, in one mode and in several', () => {
    expect(clean(messages.map((chunk, at) => [at % 2 ? ['agent:1'] : [], chunk]))).toMatchObject(whole)
    expect(clean(several.map(([mode, chunk]) => [['agent:1'], mode, chunk]))).toMatchObject({
      ...whole,
      finishReason: 'stop',
    })
    expect(clean(updates.map((chunk) => [[], chunk]))).toMatchObject({ ...whole, finishReason: 'stop' })
  })

  it('has what a node wrote: a part as it is, anything else as data', () => {
    const custom = [
      ['custom', { step: 1 }],
      ['custom', 'half'],
      ['custom', { type: 'data', name: 'citation', data: { url: 'x' } }],
      [['agent:1'], 'custom', { step: 2 }],
    ]
    expect(readAll(custom).data).toEqual([
      ['custom', { step: 1 }],
      ['custom', 'half'],
      ['citation', { url: 'x' }],
      ['custom', { step: 2 }],
    ])
  })

  it('of a node that answers without a model has its message', () => {
    const answer = { ...base, id: 'a-1', content: 'Ready.', tool_calls: [] }
    expect(readAll([tuple(answer)])).toMatchObject({ text: 'Ready.', proof: 'given' })
    expect(readAll([tuple(ask)]).parts).toEqual([])
  })

  it('of models that speak by turns keeps each one’s calls apart', () => {
    const call = (id: string, args: string, head: object = {}) =>
      tuple(piece({ id, tool_call_chunks: [{ index: 0, args, ...head }] }))
    const { calls } = readAll([
      call('a', '{"a":', { id: 'call_a', name: 'one' }),
      call('b', '{"b":', { id: 'call_b', name: 'two' }),
      call('a', '1}'),
      call('b', '2}'),
    ])
    expect(calls).toMatchObject([
      { id: 'call_a', input: '{"a":1}' },
      { id: 'call_b', input: '{"b":2}' },
    ])
  })

  it.each([
    ['alone', [{ __interrupt__: [{ value: 'SECRET' }] }]],
    [
      'after other modes',
      [
        ['values', { messages: [ask] }],
        ['updates', { __interrupt__: [{ value: 'SECRET' }] }],
      ],
    ],
    ['in a subgraph', [[['sub:1'], 'updates', { __interrupt__: [{ value: 'SECRET' }] }]]],
    [
      'in events of version 2',
      [{ event: 'on_chain_stream', run_id: 'r', name: 'LangGraph', data: { chunk: { __interrupt__: ['SECRET'] } } }],
    ],
    [
      'in events of version 3',
      [{ type: 'event', method: 'values', params: { namespace: [], data: { __interrupt__: ['SECRET'] } } }],
    ],
  ])('that waits for a person, %s, has ended for now, and says nothing of what it asks', (_, chunks) => {
    expect(readAll(chunks)).toMatchObject({
      proof: 'given',
      parts: [{ type: 'finish', reason: 'tool-calls' }],
      finishReason: 'tool-calls',
    })
  })

  it('that waits after a call runs it itself, later; what was cut before is not complete', () => {
    const asks = { actionRequests: [{ name: 'weather', args: {}, description: 'SECRET' }] }
    expect(
      clean([...first.map(tuple), ['updates', { __interrupt__: [{ id: 'i', value: asks }] }]]).calls,
    ).toMatchObject([{ executed: true, approval: 'call_1' }])
    const interrupt = ['updates', { __interrupt__: [{ value: 'SECRET' }] }]
    expect(clean([...first.map(tuple), interrupt])).toMatchObject({
      proof: 'given',
      finishReason: 'tool-calls',
      calls: [{ id: 'call_1', input: '{"city":"Oslo"}', executed: true }],
    })
    expect(clean([tuple(first[0] as object), interrupt]).proof).toBe('missing')
  })

  it('that goes on after a person has agreed does not end with the reason of what was said before', () => {
    const asked = { ...wholeFirst, response_metadata: { finish_reason: 'tool_calls', model_provider: 'openai' } }
    const answer = second.map((message) => ['messages', tuple(message)])
    expect(clean([['updates', { review: { messages: [asked] } }], ...answer])).toMatchObject({
      proof: 'given',
      finishReason: 'stop',
    })
    const state = { messages: [ask, asked] }
    const told = clean([['values', state], ['updates', { review: { messages: [asked] } }], ...answer])
    expect(told).toMatchObject({ proof: 'given', text: 'It rains.' })
    expect(told.finishReason).not.toBe('tool-calls')
  })

  it('of models that speak by turns is complete when each has ended, in whatever order', () => {
    const says = (id: string, content: string) => tuple(piece({ id, content }))
    const ends = (id: string) => tuple(piece({ id, usage_metadata }))
    const turns = [says('a', 'A'), says('b', 'B'), says('a', 'A'), says('b', 'B')]
    for (const [one, other] of ['ab', 'ba']) {
      expect(readAll([...turns, ends(one as string)]).proof).toBe('missing')
      expect(readAll([...turns, ends(one as string), ends(other as string)])).toMatchObject({ proof: 'given', usage })
      // One that goes on after the other has ended.
      const late = [...turns, ends(one as string), says(other as string, 'late')]
      expect(readAll(late).proof).toBe('missing')
      expect(readAll([...late, ends(other as string)]).proof).toBe('given')
    }
  })

  it('whose first try broke off, and was made again, is complete as the second is', () => {
    const again = [piece({ id: 'x', content: 'Hel' }), ...second].map(tuple)
    expect(readAll(again)).toMatchObject({ text: 'Hel\n\nIt rains.', proof: 'given' })
  })

  it('leaves a list of one’s own alone', () => {
    for (const list of [[1, 'a'], [{ a: 1 }, { b: 2 }], ['messages'], [['a'], { b: 1 }], ['custom', 1, 2]]) {
      expect(readAll([list]).data).toEqual([['data', list]])
    }
  })
})

describe('streamEvents of LangGraph, version 3', () => {
  const event = (method: string, data: unknown, namespace: string[] = []) => ({
    type: 'event',
    seq: 1,
    method,
    params: { namespace, timestamp: 1, data },
  })
  const says = (fields: object) => event('messages', fields, ['model:1'])

  it('has what the models say, the results of tools and what nodes wrote, and nothing of the graph', () => {
    const read = clean([
      event('lifecycle', { event: 'running', graph_name: 'SECRET' }),
      event('values', values[0]),
      event('tasks', { input: 'SECRET' }),
      says({ event: 'message-start', id: 'c-1', run_id: 'r' }),
      says({ event: 'content-block-delta', index: 0, delta: { type: 'text-delta', text: 'Hello' } }),
      says({
        event: 'content-block-start',
        index: 1,
        content: { type: 'tool_call_chunk', id: 'call_1', name: 'weather', args: '' },
      }),
      says({ event: 'content-block-delta', index: 1, delta: { type: 'tool-call-delta', args: '{"city":"Oslo"}' } }),
      says({ event: 'message-finish', reason: 'tool_use', usage: usage_metadata }),
      event('custom', { step: 1 }),
      event('tools', { event: 'tool-started', tool_call_id: 'call_1', input: 'SECRET' }),
      event('tools', { event: 'tool-finished', tool_call_id: 'call_1', output: 'rain' }),
      event('updates', { node: 'model', values: 'SECRET' }),
      says({ event: 'message-start', id: 'c-2' }),
      says({ event: 'content-block-delta', index: 0, delta: { type: 'text-delta', text: 'It rains.' } }),
      says({ event: 'message-finish', reason: 'stop', usage: usage_metadata }),
    ])
    expect(read).toMatchObject({
      text: 'Hello\n\nIt rains.',
      calls: [{ id: 'call_1', name: 'weather', input: '{"city":"Oslo"}' }],
      results: [{ id: 'call_1', output: 'rain' }],
      data: [['custom', { step: 1 }]],
      usage,
      finishReason: 'stop',
      proof: 'given',
      signalOnly: 'LangGraph',
    })
  })

  it('is not complete while its last message has no reason', () => {
    const text = says({ event: 'content-block-delta', index: 0, delta: { type: 'text-delta', text: 'Hello' } })
    const cut = [
      says({ event: 'message-start', id: 'c-1' }),
      text,
      says({ event: 'message-finish' }),
      event('lifecycle', { event: 'completed' }),
    ]
    expect(readAll(cut).proof).toBe('missing')
  })

  it('of models that speak by turns is complete when each has ended', () => {
    const of = (place: string, fields: object) => event('messages', fields, [place])
    const begins = (place: string) => of(place, { event: 'message-start', id: place })
    const says = (place: string, text: string) =>
      of(place, { event: 'content-block-delta', index: 0, delta: { type: 'text-delta', text } })
    const ends = (place: string) => of(place, { event: 'message-finish', reason: 'stop' })
    const turns = [begins('a'), says('a', 'A'), begins('b'), says('b', 'B'), says('a', 'A'), ends('b')]
    expect(readAll(turns).proof).toBe('missing')
    expect(readAll([...turns, ends('a')]).proof).toBe('given')
    // One after the other in one place.
    expect(readAll([...turns, ends('a'), begins('a'), says('a', 'C')])).toMatchObject({
      text: 'A\n\nB\n\nA\n\nC',
      proof: 'missing',
    })
  })

  it('keeps the words of a failure to itself', () => {
    const { failure, parts, proof } = readAll([event('lifecycle', { event: 'failed', error: 'SECRET' })])
    expect({ parts, proof }).toEqual({ parts: [], proof: 'broken' })
    expect(failure).toBeInstanceOf(Error)
  })
})

describe('what @langchain/langgraph-sdk yields', () => {
  const plain = (fields: object) => ({
    type: 'AIMessageChunk',
    content: '',
    additional_kwargs: {},
    response_metadata: {},
    tool_call_chunks: [],
    ...fields,
  })
  const begin = { event: 'metadata', data: { run_id: 'r', attempt: 1 } }

  it('of events is what their models say', () => {
    const piece = (fields: object) => ({
      event: 'events',
      data: { event: 'on_chat_model_stream', run_id: 'r', metadata, data: { chunk: plain(fields) } },
    })
    const read = clean([
      begin,
      { event: 'events', data: { event: 'on_chain_start', run_id: 'r', metadata, data: { input: 'SECRET' } } },
      piece({ content: 'Hello ' }),
      piece({ content: 'world', response_metadata: { finish_reason: 'stop' } }),
    ])
    expect(read).toMatchObject({ text: 'Hello world', proof: 'given', finishReason: 'stop' })
  })

  it('of messages is what the models say, and nothing of the state', () => {
    const read = clean([
      begin,
      { event: 'values', data: { messages: [{ type: 'human', content: 'SECRET' }] } },
      {
        event: 'messages',
        data: [plain({ id: 'c-1', content: 'Hello ', response_metadata: { model_provider: 'openai' } }), metadata],
      },
      { id: '3', event: 'messages', data: [plain({ id: 'c-1', content: 'world' }), metadata] },
      { event: 'updates', data: { node: { secret: 'SECRET' } } },
      { event: 'custom', data: { step: 1 } },
      {
        event: 'messages',
        data: [plain({ id: 'c-1', response_metadata: { finish_reason: 'stop' }, usage_metadata }), metadata],
      },
      {
        event: 'messages',
        data: [
          { type: 'tool', content: 'rain', tool_call_id: 'call_1', additional_kwargs: {}, response_metadata: {} },
          metadata,
        ],
      },
      { event: 'end', data: null },
    ])
    expect(read).toMatchObject({
      text: 'Hello world',
      data: [['custom', { step: 1 }]],
      usage,
      finishReason: 'stop',
      proof: 'given',
    })
  })

  it('of whole texts so far has what is new in each', () => {
    const partial = (content: string, more: object = {}) => ({
      event: 'messages/partial',
      data: [
        {
          id: 'c-1',
          type: 'ai',
          content,
          additional_kwargs: {},
          response_metadata: { model_provider: 'openai' },
          ...more,
        },
      ],
    })
    const end = { response_metadata: { model_provider: 'openai', finish_reason: 'stop' } }
    const chunks = [
      begin,
      { event: 'messages/metadata', data: { 'c-1': { metadata } } },
      partial('Hello '),
      partial('Hello world'),
    ]
    expect(clean(chunks)).toMatchObject({ text: 'Hello world', proof: 'missing' })
    expect(clean([...chunks, partial('Hello world', end)])).toMatchObject({
      text: 'Hello world',
      proof: 'given',
      finishReason: 'stop',
    })
  })

  it('that failed is a failure without its words', () => {
    const read = readAll([begin, { event: 'error', data: { error: 'BadRequest', message: 'SECRET' } }])
    expect(read.errors).toHaveLength(1)
    expect(read.data).toEqual([])
  })

  it('is not taken for events of one’s own, nor those for it', () => {
    const own = [
      { event: 'custom', data: 1 },
      { event: 'updates', data: { a: 1 } },
      { event: 'end', data: 'x' },
      { event: 'metadata', data: { a: 1 } },
    ]
    expect(readAll(own).data).toEqual(own.map(({ event, data }) => [event, data]))
  })
})
