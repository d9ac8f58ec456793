import { describe, expect, it } from 'vitest'
import { read } from './read.js'

const CALL = { id: 'call_1', name: 'weather', input: '{"city":"Oslo"}', done: true }
const SECRET = 'sk-secret'

describe('the chunks of AI SDK 4', () => {
  const usage = { promptTokens: 25, completionTokens: 15, totalTokens: 40 }
  const whole = [
    { type: 'step-start', messageId: 'm', request: { body: SECRET }, warnings: [] },
    { type: 'reasoning', textDelta: 'Let me ' },
    { type: 'reasoning', textDelta: 'think.' },
    { type: 'reasoning-signature', signature: 'c2ln' },
    { type: 'text-delta', textDelta: 'Hello ' },
    { type: 'text-delta', textDelta: 'there.' },
    { type: 'source', source: { sourceType: 'url', id: 's', url: 'https://a.example', title: 'A' } },
    { type: 'tool-call-streaming-start', toolCallId: 'call_1', toolName: 'weather' },
    { type: 'tool-call-delta', toolCallId: 'call_1', toolName: 'weather', argsTextDelta: '{"city":' },
    { type: 'tool-call-delta', toolCallId: 'call_1', toolName: 'weather', argsTextDelta: '"Oslo"}' },
    { type: 'tool-call', toolCallId: 'call_1', toolName: 'weather', args: { city: 'Oslo' } },
    { type: 'step-finish', finishReason: 'tool-calls', usage, request: { body: SECRET } },
    { type: 'finish', finishReason: 'tool-calls', usage, response: { headers: { a: SECRET } } },
  ]

  it('are read whole: text, reasoning, calls with their arguments, counts, and nothing of the request', () => {
    const told = read(whole)
    expect(told).toMatchObject({
      text: 'Hello there.',
      reasoning: 'Let me think.',
      calls: [CALL],
      usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40 },
      finish: 'tool-calls',
      isComplete: true,
      rest: [
        { type: 'reasoning', text: '', signature: 'c2ln' },
        { type: 'data', name: 'citation', data: { url: 'https://a.example', title: 'A' } },
      ],
    })
    expect(JSON.stringify(told)).not.toContain(SECRET)
  })

  it('a call that comes without pieces has its arguments', () => {
    expect(read(whole.filter(({ type }) => !/streaming|tool-call-delta/.test(type))).calls).toEqual([CALL])
  })

  it('a cut answer ends with the reason unknown and no counts, and is not complete', () => {
    const none = { promptTokens: Number.NaN, completionTokens: Number.NaN, totalTokens: Number.NaN }
    const cut = [...whole.slice(0, 5), { type: 'finish', finishReason: 'unknown', usage: none }]
    expect(read(cut)).toMatchObject({ text: 'Hello ', isComplete: false, usage: {} })
  })

  it('what a tool answered closes its call, and the next step is a paragraph of its own', () => {
    const told = read([
      ...whole.slice(0, -1),
      { type: 'tool-result', toolCallId: 'call_1', toolName: 'weather', args: { city: 'Oslo' }, result: 'rain' },
      { type: 'step-start', messageId: 'm', request: {} },
      { type: 'text-delta', textDelta: 'It rains.' },
      { type: 'finish', finishReason: 'stop', usage },
    ])
    expect(told.text).toBe('Hello there.\n\nIt rains.')
    expect(told.rest).toContainEqual({ type: 'tool-result', id: 'call_1', name: 'weather', output: 'rain' })
    expect(told).toMatchObject({ finish: 'stop', isComplete: true })
  })
})

describe('the chunks of xsai', () => {
  const whole = [
    { type: 'text-delta', text: '' },
    { type: 'reasoning-delta', text: 'Let me think.' },
    { type: 'text-delta', text: 'Hello ' },
    { type: 'text-delta', text: 'there.' },
    { type: 'tool-call-streaming-start', toolCallId: 'call_1', toolName: 'weather' },
    { type: 'tool-call-delta', argsTextDelta: '{"city":', toolName: 'weather' },
    { type: 'tool-call-delta', argsTextDelta: '"Oslo"}', toolName: 'weather' },
    { type: 'finish', finishReason: 'tool_calls' },
    { type: 'tool-call', toolCallId: 'call_1', toolName: 'weather', toolCallType: 'function', args: '{"city":"Oslo"}' },
    { type: 'tool-result', toolCallId: 'call_1', toolName: 'weather', args: { city: 'Oslo' }, result: SECRET },
  ]

  it('are read whole, the pieces of a call without ids too', () => {
    expect(read(whole)).toMatchObject({
      text: 'Hello there.',
      reasoning: 'Let me think.',
      calls: [CALL],
      finish: 'tool-calls',
      isComplete: true,
    })
  })

  it('two calls at once keep their pieces', () => {
    const told = read([
      { type: 'tool-call-streaming-start', toolCallId: 'a', toolName: 'f' },
      { type: 'tool-call-delta', argsTextDelta: '{"x":1}', toolName: 'f' },
      { type: 'tool-call-streaming-start', toolCallId: 'b', toolName: 'g' },
      { type: 'tool-call-delta', argsTextDelta: '{"y":2}', toolName: 'g' },
      { type: 'finish', finishReason: 'tool_calls' },
    ])
    expect(told.calls).toMatchObject([
      { id: 'a', input: '{"x":1}' },
      { id: 'b', input: '{"y":2}' },
    ])
  })

  it('a cut answer ends with the reason other and no counts, and is not complete', () => {
    expect(read([...whole.slice(0, 4), { type: 'finish', finishReason: 'other' }]).isComplete).toBe(false)
  })

  it('a call that is told again between what two tools answered is told once', () => {
    const call = (id: string) => ({ type: 'tool-call', toolCallId: id, toolName: 'f', args: '{"x":1}' })
    const told = read([
      ...['a', 'b'].flatMap((id) => [
        { type: 'tool-call-streaming-start', toolCallId: id, toolName: 'f' },
        { type: 'tool-call-delta', argsTextDelta: '{"x":1}', toolName: 'f' },
      ]),
      { type: 'finish', finishReason: 'tool_calls' },
      ...['a', 'b'].flatMap((id) => [
        call(id),
        { type: 'tool-result', toolCallId: id, toolName: 'f', args: {}, result: 1 },
      ]),
    ])
    expect(told.calls).toMatchObject([{ id: 'a' }, { id: 'b' }])
  })

  it('a cut answer that brings the counts of the step before is not complete', () => {
    const usage = { prompt_tokens: 25, completion_tokens: 15, total_tokens: 40 }
    expect(read([...whole.slice(0, 4), { type: 'finish', finishReason: 'other', usage }]).isComplete).toBe(false)
  })

  it('an answer after what tools answered is another, whose cut is no end', () => {
    const second = [
      { type: 'text-delta', text: 'It ' },
      { type: 'finish', finishReason: 'other' },
    ]
    expect(read([...whole, ...second])).toMatchObject({ text: 'Hello there.\n\nIt ', isComplete: false })
    expect(read([...whole, second[0]])).toMatchObject({ isComplete: false })
  })
})

describe('the chunks of Genkit', () => {
  class GenerateResponseChunk {
    role = 'model'
    custom = undefined
    previousChunks = [SECRET]
    constructor(
      readonly content: object[],
      readonly index = 0,
      role = 'model',
    ) {
      this.role = role
    }
  }
  const chunk = (part?: object, index?: number, role?: string) =>
    new GenerateResponseChunk(part ? [part] : [], index, role)
  const request = (input: object, partial = true) => ({
    toolRequest: { name: 'weather', ref: 'call_1', input, ...(partial && { partial }) },
  })
  const answer = [chunk(), chunk({ reasoning: 'Hm. ' }), chunk({ text: 'Hello ' }), chunk({ text: 'there.' })]
  const calls = [chunk(request({})), chunk(request({ city: 'Os' })), chunk(request({ city: 'Oslo' })), chunk()]
  const response = (finishReason: string) => ({
    message: { role: 'model', content: [{ text: SECRET }] },
    finishReason,
    usage: { inputTokens: 25, outputTokens: 15, thoughtsTokens: 4 },
    request: { messages: [SECRET] },
  })

  it('are read, and complete when the stream ends without a failure', () => {
    expect(read([...answer, ...calls])).toMatchObject({
      text: 'Hello there.',
      reasoning: 'Hm. ',
      calls: [CALL],
      isComplete: true,
    })
  })

  it('the response beside it has the counts and the reason, and what it repeats is not told again', () => {
    const told = read([...answer, response('length')])
    expect(told).toMatchObject({
      text: 'Hello there.',
      usage: { inputTokens: 25, outputTokens: 15, reasoningTokens: 4 },
      finish: 'length',
      isComplete: true,
    })
    expect(JSON.stringify(told)).not.toContain(SECRET)
  })

  it('a call that no chunk comes after is whole at the response', () => {
    expect(read([...calls.slice(0, 3), response('stop')])).toMatchObject({ calls: [CALL], finish: 'tool-calls' })
  })

  it('a tool that interrupts waits for the client', () => {
    expect(read([...calls, response('interrupted')])).toMatchObject({ finish: 'tool-calls', isComplete: true })
  })

  it.each([
    ['blocked', 'content-filter', true],
    ['unknown', undefined, false],
    ['other', 'other', true],
  ])('a response that ended as %s is %s', (word, finish, isComplete) => {
    expect(read([...answer, response(word)])).toMatchObject({ finish, isComplete })
  })

  it('a whole request is told at once, the tool’s answer closes it, and the next turn is a paragraph', () => {
    const told = read([
      chunk({ text: 'Looking.' }),
      chunk(request({ city: 'Oslo' }, false)),
      chunk({ toolResponse: { name: 'weather', ref: 'call_1', output: 'rain' } }, 1, 'tool'),
      chunk({ text: 'It rains.' }, 2),
    ])
    expect(told).toMatchObject({ text: 'Looking.\n\nIt rains.', calls: [CALL] })
    expect(told.rest).toEqual([{ type: 'tool-result', id: 'call_1', name: 'weather', output: 'rain' }])
  })

  it('an image is a file', () => {
    expect(read([chunk({ media: { url: 'data:image/png;base64,AA==', contentType: 'image/png' } })]).rest).toEqual([
      { type: 'data', name: 'file', data: { mediaType: 'image/png', url: 'data:image/png;base64,AA==' } },
    ])
  })
})

describe('the events of Strands Agents', () => {
  class ModelStreamUpdateEvent {
    type = 'modelStreamUpdateEvent'
    agent = { systemPrompt: SECRET }
    constructor(readonly event: object) {}
  }
  class AgentEvent {
    agent = { systemPrompt: SECRET }
    constructor(
      readonly type: string,
      fields: object = {},
    ) {
      Object.assign(this, fields)
    }
  }
  const start = { type: 'modelMessageStartEvent', role: 'assistant' }
  const text = (text: string) => ({ type: 'modelContentBlockDeltaEvent', delta: { type: 'textDelta', text } })
  const stop = (stopReason: string) => ({ type: 'modelMessageStopEvent', stopReason })
  const metadata = {
    type: 'modelMetadataEvent',
    usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40, cacheReadInputTokens: 5 },
  }
  const call = [
    { type: 'modelContentBlockStartEvent', start: { type: 'toolUseStart', toolUseId: 'call_1', name: 'weather' } },
    { type: 'modelContentBlockDeltaEvent', delta: { type: 'toolUseInputDelta', input: '{"city":' } },
    { type: 'modelContentBlockDeltaEvent', delta: { type: 'toolUseInputDelta', input: '"Oslo"}' } },
    { type: 'modelContentBlockStopEvent' },
  ]
  const model = [
    start,
    { type: 'modelContentBlockStartEvent' },
    { type: 'modelContentBlockDeltaEvent', delta: { type: 'reasoningContentDelta', text: 'Hm.' } },
    { type: 'modelContentBlockStopEvent' },
    { type: 'modelContentBlockStartEvent' },
    text('Hello '),
    text('there.'),
    { type: 'modelContentBlockStopEvent' },
    ...call,
    stop('toolUse'),
    metadata,
  ]
  const agent = (events: object[]) => events.map((event) => new ModelStreamUpdateEvent(event))

  it('of a model are read whole', () => {
    expect(read(model)).toMatchObject({
      text: 'Hello there.',
      reasoning: 'Hm.',
      calls: [CALL],
      usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40, cachedInputTokens: 5 },
      finish: 'tool-calls',
      isComplete: true,
    })
  })

  it('of an agent hold what its model says; prompts, errors and tools’ answers stay here', () => {
    const told = read([
      new AgentEvent('beforeInvocationEvent'),
      new AgentEvent('messageAddedEvent', { message: { role: 'user', content: [{ text: SECRET }] } }),
      ...agent(model),
      new AgentEvent('afterModelCallEvent', { error: new Error(SECRET) }),
      new AgentEvent('afterToolCallEvent', {
        result: { toolUseId: 'call_1', status: 'success', content: [{ text: 'rain' }] },
      }),
      ...agent([start, text('It rains.'), stop('endTurn')]),
      new AgentEvent('agentResultEvent', { result: SECRET }),
    ])
    expect(told).toMatchObject({
      text: 'Hello there.\n\nIt rains.',
      calls: [{ ...CALL, executed: true }],
      rest: [{ type: 'tool-result', id: 'call_1', name: 'weather', output: [{ text: 'rain' }] }],
      finish: 'stop',
      isComplete: true,
    })
    expect(JSON.stringify(told)).not.toContain(SECRET)
  })

  it('of a graph or a swarm are what the agents of its nodes say, complete as it says itself', () => {
    class MultiAgentEvent {
      invocationState = { secret: SECRET }
      constructor(
        readonly type: string,
        fields: object = {},
      ) {
        Object.assign(this, fields)
      }
    }
    const of = (nodeId: string, events: object[]) =>
      events.map((event) => new MultiAgentEvent('nodeStreamUpdateEvent', { nodeId, inner: { source: 'agent', event } }))
    const begins = new MultiAgentEvent('beforeMultiAgentInvocationEvent', { orchestrator: { prompt: SECRET } })
    const one = of('one', agent(model))
    const two = of('two', agent([start, text('It rains.'), stop('endTurn')]))
    const end = (status: string) => new MultiAgentEvent('multiAgentResultEvent', { result: { status, error: SECRET } })
    expect(read([begins, ...one, ...two]).isComplete).toBe(false)
    const told = read([
      begins,
      ...one,
      ...two,
      new MultiAgentEvent('nodeResultEvent', { result: SECRET }),
      end('COMPLETED'),
    ])
    expect(told).toMatchObject({ text: 'Hello there.\n\nIt rains.', calls: [CALL], finish: 'stop', isComplete: true })
    expect(JSON.stringify(told)).not.toContain(SECRET)
    expect(read([begins, ...one, end('FAILED')]).error).toBeInstanceOf(Error)
    expect(read([begins, ...one, end('INTERRUPTED')])).toMatchObject({ finish: 'tool-calls', isComplete: true })
    expect(read([begins, ...one, end('CANCELLED')]).isComplete).toBe(false)
  })

  it('of nodes that speak by turns keep the pieces of their calls', () => {
    const piece = (input: string) => ({
      type: 'modelContentBlockDeltaEvent',
      delta: { type: 'toolUseInputDelta', input },
    })
    const begin = (toolUseId: string) => ({
      type: 'modelContentBlockStartEvent',
      start: { type: 'toolUseStart', toolUseId, name: 'f' },
    })
    const of = (nodeId: string, event: object) => ({
      type: 'nodeStreamUpdateEvent',
      invocationState: {},
      nodeId,
      inner: { event: { type: 'modelStreamUpdateEvent', agent: {}, event } },
    })
    const told = read([
      ...['a', 'b'].flatMap((id) => [of(id, start), of(id, begin(id))]),
      ...['{"x":', '1}'].flatMap((input) => ['a', 'b'].map((id) => of(id, piece(input)))),
    ])
    expect(told.calls).toMatchObject([
      { id: 'a', input: '{"x":1}' },
      { id: 'b', input: '{"x":1}' },
    ])
  })

  it('is not complete without the model’s stop, nor when the next turn has none', () => {
    expect(read(agent(model.slice(0, 7))).isComplete).toBe(false)
    expect(read(agent([...model, start, text('It ')])).isComplete).toBe(false)
  })

  it.each([
    ['stopSequence', 'stop'],
    ['maxTokens', 'length'],
    ['modelContextWindowExceeded', 'length'],
    ['contentFiltered', 'content-filter'],
    ['guardrailIntervened', 'content-filter'],
    ['pauseTurn', 'other'],
  ])('the reason %s is %s', (word, finish) => {
    expect(read([start, text('a'), stop(word)])).toMatchObject({ finish, isComplete: true })
  })

  it('is not complete when it was cancelled', () => {
    expect(read([start, text('a'), stop('cancelled')]).isComplete).toBe(false)
  })
})

describe('the events of Codex', () => {
  const item = (id: string, type: string, fields: object, event = 'item.completed') => ({
    type: event,
    item: { id, type, ...fields },
  })
  const command = { command: `cat ${SECRET}`, aggregated_output: SECRET, status: 'completed' }
  const whole = [
    { type: 'thread.started', thread_id: 't' },
    { type: 'turn.started' },
    item('0', 'reasoning', { text: 'Hm.' }),
    item('1', 'command_execution', command, 'item.started'),
    item('1', 'command_execution', command),
    item('2', 'agent_message', { text: 'Hello there.' }),
    { type: 'turn.completed', usage: { input_tokens: 25, cached_input_tokens: 5, output_tokens: 15 } },
  ]

  it('are read whole; commands, files and plans stay here', () => {
    const told = read(whole)
    expect(told).toMatchObject({
      text: 'Hello there.',
      reasoning: 'Hm.',
      usage: { inputTokens: 25, outputTokens: 15, cachedInputTokens: 5 },
      finish: 'stop',
      isComplete: true,
    })
    expect(JSON.stringify(told)).not.toContain(SECRET)
  })

  it('two messages are two paragraphs, and one that is told again is told once', () => {
    const told = read([
      ...whole.slice(0, 2),
      item('2', 'agent_message', { text: 'Hello' }, 'item.updated'),
      item('2', 'agent_message', { text: 'Hello there.' }),
      item('3', 'agent_message', { text: 'Done.' }),
    ])
    expect(told).toMatchObject({ text: 'Hello there.\n\nDone.', isComplete: false })
  })

  it('a failed turn is a failure', () => {
    expect(read([...whole.slice(0, 3), { type: 'turn.failed', error: { message: SECRET } }]).error?.message).toBe(
      SECRET,
    )
  })

  it('that it connects again is no failure, another error is', () => {
    const again = { type: 'error', message: 'Reconnecting... 1/5 (stream disconnected)' }
    expect(read([...whole.slice(0, 3), again, ...whole.slice(3)])).toMatchObject({ error: undefined, isComplete: true })
    expect(read([...whole.slice(0, 3), { type: 'error', message: SECRET }]).error?.message).toBe(SECRET)
  })
})

describe('the chunks of LlamaIndex', () => {
  const chat = (delta: object, finish_reason: string | null = null) => ({
    id: 'c',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason }],
  })
  const chunk = (raw: object | null, delta: string) => ({ raw, options: {}, delta })

  it('hold their provider’s, whose words count', () => {
    const told = read([
      chunk(chat({ content: 'Hello ' }), 'Hello '),
      chunk(chat({ content: 'there.' }), 'there.'),
      chunk(
        chat({ tool_calls: [{ index: 0, id: 'call_1', function: { name: 'weather', arguments: '{"city":' } }] }),
        '',
      ),
      chunk(chat({ tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] }), ''),
      chunk(chat({}, 'tool_calls'), ''),
    ])
    expect(told).toMatchObject({ text: 'Hello there.', calls: [CALL], finish: 'tool-calls', isComplete: true })
  })

  it('a cut one is not complete', () => {
    expect(read([chunk(chat({ content: 'Hello ' }), 'Hello ')]).isComplete).toBe(false)
  })

  it('of an agent are what its model says and that its tools answered; prompts and state stay here', () => {
    const event = (data: object) => ({ data, toJSON: () => data, [Symbol.toStringTag]: 'WorkflowEvent(4.0)' })
    const says = (raw: object, delta = '') => event({ delta, response: SECRET, currentAgentName: 'a', raw })
    const output = { id: 'call_1', result: 'rain', isError: false }
    const turn = [
      event({ userInput: SECRET }),
      event({ input: [{ role: 'system', content: SECRET }], currentAgentName: 'a' }),
      says(chat({ content: 'Hello there.' }), 'Hello there.'),
      says(
        chat({ tool_calls: [{ index: 0, id: 'call_1', function: { name: 'weather', arguments: '{"city":"Oslo"}' } }] }),
      ),
      says(chat({}, 'tool_calls')),
      event({ agentName: 'a', toolCalls: [SECRET] }),
      event({ toolName: 'weather', toolKwargs: { city: 'Oslo' }, toolId: 'call_1', toolOutput: output }),
    ]
    const next = says({ ...chat({ role: 'assistant', content: 'It rains.' }), id: 'c2' }, 'It rains.')
    expect(read([...turn, next]).isComplete).toBe(false)
    const told = read([
      ...turn,
      next,
      says({ ...chat({}, 'stop'), id: 'c2' }),
      event({ state: SECRET, result: SECRET }),
    ])
    expect(told).toMatchObject({
      text: 'Hello there.\n\nIt rains.',
      calls: [{ ...CALL, executed: true }],
      rest: expect.arrayContaining([{ type: 'tool-result', id: 'call_1', name: 'weather', output: 'rain' }]),
      finish: 'stop',
      isComplete: true,
    })
    expect(JSON.stringify(told)).not.toContain(SECRET)
    // What a workflow without agents yields is the user's own.
    expect(read([event({ step: 1 })]).rest).toMatchObject([{ type: 'data' }])
  })

  it('of Anthropic’s and Gemini’s are read by their shapes', () => {
    const anthropic = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } }
    const gemini = { candidates: [{ content: { parts: [{ text: 'Hi' }] }, finishReason: 'STOP' }] }
    expect(read([chunk(anthropic, 'Hi'), chunk({ type: 'message_stop' }, '')])).toMatchObject({
      text: 'Hi',
      isComplete: true,
    })
    expect(read([chunk(gemini, 'Hi')])).toMatchObject({ text: 'Hi', finish: 'stop', isComplete: true })
  })

  it('of a provider that is not known have their text, and of an engine its message’s', () => {
    class EngineResponse {
      stream = true
      sourceNodes = [SECRET]
      raw = null
      constructor(readonly message: object) {}
    }
    expect(read([chunk({ anything: SECRET }, 'Hello')])).toMatchObject({ text: 'Hello', isComplete: true })
    const told = read([new EngineResponse({ role: 'assistant', content: 'Hello' })])
    expect(told).toMatchObject({ text: 'Hello', rest: [] })
  })
})

describe('an MCP server whose tool a person is to allow, over Responses', () => {
  const asked = {
    type: 'response.output_item.done',
    output_index: 0,
    item: { type: 'mcp_approval_request', id: 'mcpr_1', name: 'delete', arguments: '{"id":1}' },
  }
  const ended = { type: 'response.completed', response: { status: 'completed', output: [asked.item] } }

  it('is complete, and waits: its finish is that of calls', () => {
    const { isComplete, finish, calls } = read([{ type: 'response.created', response: {} }, asked, ended])
    expect({ isComplete, finish }).toEqual({ isComplete: true, finish: 'tool-calls' })
    expect(calls).toEqual([
      { id: 'mcpr_1', name: 'delete', input: '{"id":1}', done: true, executed: true, approval: 'mcpr_1' },
    ])
  })

  it('and is not asked for in the answer after it', () => {
    const next = [
      { type: 'response.created', response: { id: 'resp_2' } },
      { type: 'response.output_text.delta', output_index: 0, delta: 'Done.' },
      { type: 'response.completed', response: { id: 'resp_2', status: 'completed', output: [{ type: 'message' }] } },
    ]
    const { isComplete, finish, text } = read([{ type: 'response.created', response: {} }, asked, ended, ...next])
    expect({ isComplete, finish, text }).toEqual({ isComplete: true, finish: 'stop', text: 'Done.' })
  })
})
