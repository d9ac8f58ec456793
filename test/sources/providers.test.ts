import { describe, expect, it } from 'vitest'
import { Reading } from '../../src/sources/read-chunk.js'
import { read } from './read.js'

const CALL = { id: 'call_1', name: 'weather', input: '{"city":"Oslo"}', done: true }
const SECRET = 'sk-secret'

describe('the events of AG-UI', () => {
  const whole = [
    { type: 'RUN_STARTED', threadId: 't', runId: 'r', input: { messages: [SECRET] } },
    { type: 'STATE_SNAPSHOT', snapshot: { a: SECRET } },
    { type: 'MESSAGES_SNAPSHOT', messages: [{ id: 'u', role: 'user', content: SECRET }] },
    { type: 'REASONING_START', messageId: 'm1' },
    { type: 'REASONING_MESSAGE_START', messageId: 'm1', role: 'reasoning' },
    { type: 'REASONING_MESSAGE_CONTENT', messageId: 'm1', delta: 'Let me think.' },
    { type: 'REASONING_END', messageId: 'm1' },
    { type: 'TEXT_MESSAGE_START', messageId: 'm2', role: 'assistant' },
    { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm2', delta: 'Hello ' },
    { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm2', delta: 'there.' },
    { type: 'TEXT_MESSAGE_END', messageId: 'm2' },
    { type: 'TOOL_CALL_START', toolCallId: 'call_1', toolCallName: 'weather', parentMessageId: 'm2' },
    { type: 'TOOL_CALL_ARGS', toolCallId: 'call_1', delta: '{"city":' },
    { type: 'TOOL_CALL_ARGS', toolCallId: 'call_1', delta: '"Oslo"}' },
    { type: 'TOOL_CALL_END', toolCallId: 'call_1' },
    { type: 'RAW', event: { a: SECRET } },
    { type: 'REASONING_ENCRYPTED_VALUE', subtype: 'message', entityId: 'm1', encryptedValue: SECRET },
  ]
  const finished = { type: 'RUN_FINISHED', threadId: 't', runId: 'r' }

  it('are read whole; snapshots, raw events and what is encrypted stay here', () => {
    const told = read([...whole, finished])
    expect(told).toMatchObject({
      text: 'Hello there.',
      reasoning: 'Let me think.',
      calls: [CALL],
      rest: [],
      finish: 'tool-calls',
      isComplete: true,
    })
    expect(JSON.stringify(told)).not.toContain(SECRET)
  })

  it('say of a call that it waits for a person, and not of one that is for the client', () => {
    const interrupt = (reason: string) => ({
      ...finished,
      outcome: { type: 'interrupt', interrupts: [{ id: 'i1', reason, toolCallId: 'c1', message: 'SECRET' }] },
    })
    const begun = { type: 'TOOL_CALL_START', toolCallId: 'c1', toolCallName: 'pay' }
    const calls = (reason: string) => read([begun, { type: 'TOOL_CALL_END', toolCallId: 'c1' }, interrupt(reason)])
    const asked = calls('tool_call')
    expect(asked).toMatchObject({ calls: [{ executed: true, approval: 'i1' }], finish: 'tool-calls' })
    expect(JSON.stringify(asked)).not.toContain('SECRET')
    expect(calls('tanstack:client_tool_execution').calls[0]).not.toHaveProperty('executed')
  })

  it('are not complete without RUN_FINISHED, nor when it says cancelled', () => {
    expect(read(whole).isComplete).toBe(false)
    expect(read([...whole, { ...finished, outcome: { type: 'cancelled' } }]).isComplete).toBe(false)
  })

  it('counts are the sum of the models’', () => {
    const usage = [
      { model: 'a', inputTokens: 20, outputTokens: 10, cachedInputTokens: 5, cacheWriteInputTokens: 1 },
      { model: 'b', inputTokens: 5, outputTokens: 5, reasoningTokens: 4 },
    ]
    expect(read([...whole, { ...finished, usage }]).usage).toEqual({
      inputTokens: 25,
      outputTokens: 15,
      cachedInputTokens: 5,
      cacheWriteInputTokens: 1,
      reasoningTokens: 4,
    })
  })

  it('of TanStack AI have its reason and its counts', () => {
    const end = {
      ...finished,
      usage: {
        promptTokens: 25,
        completionTokens: 15,
        totalTokens: 40,
        promptTokensDetails: { cachedTokens: 5 },
        completionTokensDetails: { reasoningTokens: 4 },
      },
      metadata: { tanstack: { model: 'm', finishReason: 'length' } },
    }
    expect(read([...whole.slice(0, 10), end])).toMatchObject({
      usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40, cachedInputTokens: 5, reasoningTokens: 4 },
      finish: 'length',
    })
  })

  it('a run that is interrupted waits for the client', () => {
    expect(read([...whole, { ...finished, outcome: { type: 'interrupt', interrupts: [] } }])).toMatchObject({
      finish: 'tool-calls',
      isComplete: true,
    })
  })

  it('chunks without ids belong to what came before', () => {
    const told = read([
      { type: 'RUN_STARTED', threadId: 't', runId: 'r' },
      { type: 'TEXT_MESSAGE_CHUNK', messageId: 'm', role: 'assistant', delta: 'Hello ' },
      { type: 'TEXT_MESSAGE_CHUNK', delta: 'there.' },
      { type: 'TOOL_CALL_CHUNK', toolCallId: 'call_1', toolCallName: 'weather', delta: '{"city":' },
      { type: 'TOOL_CALL_CHUNK', delta: '"Oslo"}' },
      finished,
    ])
    expect(told).toMatchObject({ text: 'Hello there.', calls: [CALL] })
  })

  it('messages are paragraphs, and those of others than the assistant stay here', () => {
    const told = read([
      { type: 'TEXT_MESSAGE_START', messageId: 'a', role: 'system' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'a', delta: SECRET },
      { type: 'TEXT_MESSAGE_START', messageId: 'b', role: 'assistant' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'b', delta: 'One.' },
      { type: 'TEXT_MESSAGE_START', messageId: 'c', role: 'assistant' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'c', delta: 'Two.' },
    ])
    expect(told.text).toBe('One.\n\nTwo.')
  })

  it('what a tool answered closes its call, and what a subagent says is left out', () => {
    const told = read([
      ...whole,
      { type: 'TOOL_CALL_RESULT', messageId: 'm3', toolCallId: 'call_1', content: 'rain' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm9', delta: SECRET, subagentRunId: 's' },
      finished,
    ])
    expect(told).toMatchObject({ text: 'Hello there.', finish: 'stop' })
    expect(told.rest).toEqual([{ type: 'tool-result', id: 'call_1', name: 'weather', output: 'rain' }])
  })

  it('a custom event is data under its name', () => {
    expect(read([...whole, { type: 'CUSTOM', name: 'progress', value: { step: 1 } }]).rest).toEqual([
      { type: 'data', name: 'progress', data: { step: 1 } },
    ])
  })

  it('RUN_ERROR is a failure, with the status its code is', () => {
    const failed = { type: 'RUN_ERROR', message: `429 ${SECRET}`, code: '429', rawEvent: { message: SECRET } }
    expect(read([whole[0], failed]).error).toMatchObject({ message: `429 ${SECRET}`, status: 429 })
  })

  it('two runs of one stream are two answers', () => {
    expect(read([...whole.slice(0, 10), finished, ...whole.slice(0, 9)])).toMatchObject({
      text: 'Hello there.\n\nHello ',
      isComplete: false,
    })
  })

  it.each([
    ['a type in capitals that is none of them', { type: 'STATUS', text: 'x' }],
    ['CUSTOM without a value', { type: 'CUSTOM', name: 'x' }],
    ['RAW without an event', { type: 'RAW', source: 'x' }],
  ])('%s is the user’s own', (_, chunk) => {
    expect(read([chunk])).toMatchObject({ rest: [{ type: 'data', name: 'data', data: chunk }], isComplete: true })
  })
})

describe('the events of Gemini’s Interactions', () => {
  const delta = (index: number, delta: object) => ({ event_type: 'step.delta', index, delta })
  const usage = {
    total_input_tokens: 25,
    total_output_tokens: 11,
    total_thought_tokens: 4,
    total_cached_tokens: 5,
    total_tokens: 40,
  }
  const completed = (status: string) => ({
    event_type: 'interaction.completed',
    interaction: { id: 'i', status, usage, system_instruction: SECRET },
  })
  const whole = [
    {
      event_type: 'interaction.created',
      interaction: { id: 'i', model: 'm', status: 'in_progress', system_instruction: SECRET },
    },
    { event_type: 'step.start', index: 0, step: { type: 'thought' } },
    delta(0, { type: 'thought_summary', content: { type: 'text', text: 'Let me ' } }),
    delta(0, { type: 'thought_summary', content: { type: 'text', text: 'think.' } }),
    delta(0, { type: 'thought_signature', signature: 'c2ln' }),
    { event_type: 'step.stop', index: 0 },
    { event_type: 'step.start', index: 1, step: { type: 'model_output' } },
    delta(1, { type: 'text', text: 'Hello ' }),
    delta(1, { type: 'text', text: 'there.' }),
    delta(1, { type: 'text_annotation', annotations: [{ type: 'url_citation', url: 'https://a.example' }] }),
    { event_type: 'step.stop', index: 1 },
    {
      event_type: 'step.start',
      index: 2,
      step: { type: 'function_call', id: 'call_1', name: 'weather', arguments: {} },
    },
    delta(2, { type: 'arguments_delta', arguments: '{"city":' }),
    delta(2, { type: 'arguments_delta', arguments: '"Oslo"}' }),
    { event_type: 'step.stop', index: 2 },
  ]

  it('are read whole', () => {
    const told = read([...whole, completed('requires_action')])
    expect(told).toMatchObject({
      text: 'Hello there.',
      reasoning: 'Let me think.',
      calls: [CALL],
      usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40, cachedInputTokens: 5, reasoningTokens: 4 },
      finish: 'tool-calls',
      isComplete: true,
      rest: [
        { type: 'start', id: 'i', model: 'm' },
        { type: 'reasoning', text: '', signature: 'c2ln' },
        { type: 'data', name: 'citation', data: { type: 'url_citation', url: 'https://a.example' } },
      ],
    })
    expect(JSON.stringify(told)).not.toContain(SECRET)
  })

  it('are read under the names that they had before there were steps', () => {
    const content = (event: string, index: number, fields: object) => ({
      event_type: `content.${event}`,
      index,
      ...fields,
    })
    const said = (index: number, delta: object) => content('delta', index, { delta })
    const old = [
      { event_type: 'interaction.start', interaction: { id: 'i', model: 'm', status: 'in_progress' } },
      content('start', 0, { content: { type: 'thought' } }),
      said(0, { type: 'thought_summary', content: { type: 'text', text: 'Let me think.' } }),
      content('stop', 0, {}),
      content('start', 1, { content: { type: 'text' } }),
      said(1, { type: 'text', text: 'Hello there.' }),
      content('start', 2, { content: { type: 'function_call' } }),
      said(2, { type: 'function_call', id: 'call_1', name: 'weather', arguments: { city: 'Oslo' } }),
      said(3, { type: 'google_search_result', result: SECRET }),
      content('stop', 2, {}),
    ]
    const end = { event_type: 'interaction.complete', interaction: { id: 'i', status: 'requires_action', usage } }
    const told = read([...old, end])
    expect(told).toMatchObject({
      text: 'Hello there.',
      reasoning: 'Let me think.',
      calls: [CALL],
      usage: { inputTokens: 25, outputTokens: 15 },
      finish: 'tool-calls',
      isComplete: true,
    })
    expect(JSON.stringify(told)).not.toContain(SECRET)
    expect(read(old).isComplete).toBe(false)
  })

  it('arguments that come with the step’s start are whole', () => {
    const step = { type: 'function_call', id: 'call_1', name: 'weather', arguments: { city: 'Oslo' } }
    const told = read([
      { event_type: 'step.start', index: 0, step },
      { event_type: 'step.stop', index: 0 },
    ])
    expect(told.calls).toEqual([CALL])
  })

  it.each([
    ['completed', 'stop', true],
    ['incomplete', 'length', true],
    ['budget_exceeded', 'length', true],
    ['failed', undefined, false],
    ['cancelled', undefined, false],
    ['requires_continuation', undefined, false],
  ])('the status %s', (status, finish, isComplete) => {
    expect(read([...whole.slice(0, 11), completed(status)])).toMatchObject({ finish, isComplete })
  })

  it('an image is a file', () => {
    expect(read([delta(0, { type: 'image', data: 'AA==', mime_type: 'image/png' })]).rest).toEqual([
      { type: 'data', name: 'file', data: { mediaType: 'image/png', url: 'data:image/png;base64,AA==' } },
    ])
  })

  it('a failure that is yielded is one', () => {
    const failed = { event_type: 'error', error: { code: 'internal', message: SECRET } }
    expect(read([...whole, failed]).error?.message).toBe(SECRET)
  })
})

describe('the messages of a session of Gemini’s Live API', () => {
  const said = (serverContent: object) => ({ serverContent })
  const answer = [
    { setupComplete: { sessionId: 'SECRET' } },
    said({ modelTurn: { parts: [{ text: 'Hm', thought: true }, { text: 'Hel' }] } }),
    { usageMetadata: { promptTokenCount: 3, responseTokenCount: 2, totalTokenCount: 5 } },
    { sessionResumptionUpdate: { newHandle: 'SECRET', resumable: true } },
    said({ modelTurn: { parts: [{ text: 'lo' }] } }),
    said({ generationComplete: true }),
  ]
  const end = said({ turnComplete: true })

  it('are read, and complete when the turn is, where the session is left', () => {
    const reading = new Reading()
    const told = read([...answer, end], reading)
    expect(told).toMatchObject({
      text: 'Hello',
      reasoning: 'Hm',
      usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
      finish: 'stop',
      isComplete: true,
      rest: [],
    })
    expect(reading.isOver).toBe(true)
    expect(JSON.stringify(told)).not.toContain('SECRET')
  })

  it.each<[string, object[]]>([
    ['ends', []],
    ['is interrupted', [said({ interrupted: true }), end]],
  ])('are not complete where the session %s before', (_, rest) => {
    expect(read([...answer, ...rest])).toMatchObject({ text: 'Hello', isComplete: false })
  })

  it('have the transcript of what is spoken, and calls that the session answers', () => {
    const told = read([
      { toolCall: { functionCalls: [{ id: 'a', name: 'w', args: { city: 'Oslo' } }] } },
      said({ modelTurn: { parts: [{ inlineData: { mimeType: 'audio/pcm', data: 'AAAA' } }] } }),
      said({ outputTranscription: { text: 'Hello' }, inputTranscription: { text: 'SECRET' } }),
      end,
    ])
    expect(told).toMatchObject({
      text: 'Hello',
      calls: [{ id: 'a', name: 'w', input: '{"city":"Oslo"}', done: true, executed: true }],
      finish: 'stop',
      rest: [],
    })
  })

  it('leave an object of one’s own alone that has one of their names', () => {
    const own = { toolCall: { name: 'w' } }
    expect(read([own]).rest).toEqual([{ type: 'data', name: 'data', data: own }])
  })
})

describe('the events of Mistral’s conversations', () => {
  const event = (type: string, fields: object = {}) => ({ event: type, data: { type, createdAt: 'x', ...fields } })
  const output = (content: unknown, id = 'm') => event('message.output.delta', { id, outputIndex: 0, content })
  const call = (args: string) =>
    event('function.call.delta', { id: 'f', toolCallId: 'call_1', name: 'weather', outputIndex: 2, arguments: args })
  const done = event('conversation.response.done', {
    usage: { promptTokens: 25, completionTokens: 15, totalTokens: 40, connectorTokens: 3 },
  })
  const whole = [
    event('conversation.response.started', { conversationId: 'c' }),
    output({ type: 'thinking', thinking: [{ type: 'text', text: 'Hm.' }] }),
    output('Hello '),
    output({ type: 'text', text: 'there.' }),
    output({ type: 'tool_reference', tool: 'web_search', title: 'T', url: 'https://a.example' }),
    event('tool.execution.started', { id: 't', name: 'web_search', arguments: SECRET }),
    event('tool.execution.done', { id: 't', name: 'web_search', info: { a: SECRET } }),
    call('{"city":'),
    call('"Oslo"}'),
  ]

  it('are read whole; what the provider’s tools were asked and answered stays here', () => {
    const told = read([...whole, done])
    expect(told).toMatchObject({
      text: 'Hello there.',
      reasoning: 'Hm.',
      calls: [CALL],
      rest: [{ type: 'data', name: 'citation', data: { title: 'T', url: 'https://a.example' } }],
      usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40 },
      finish: 'tool-calls',
      isComplete: true,
    })
    expect(JSON.stringify(told)).not.toContain(SECRET)
  })

  it('are not complete without conversation.response.done', () => {
    expect(read(whole).isComplete).toBe(false)
  })

  it('two agents’ messages are two paragraphs', () => {
    const told = read([output('One.'), event('agent.handoff.done', { nextAgentName: SECRET }), output('Two.', 'n')])
    expect(told.text).toBe('One.\n\nTwo.')
  })

  it('an error is a failure', () => {
    const failed = event('conversation.response.error', { message: SECRET, code: 429 })
    expect(read([...whole, failed]).error).toMatchObject({ message: SECRET, status: 429 })
  })

  it('as the provider’s own event stream has them are read the same', () => {
    const told = read([
      { type: 'message.output.delta', id: 'm', output_index: 0, content: 'Hello' },
      {
        type: 'function.call.delta',
        tool_call_id: 'call_1',
        name: 'weather',
        output_index: 1,
        arguments: '{"city":"Oslo"}',
      },
      { type: 'conversation.response.done', usage: { prompt_tokens: 25, completion_tokens: 15 } },
    ])
    expect(told).toMatchObject({ text: 'Hello', calls: [CALL], usage: { inputTokens: 25, outputTokens: 15 } })
  })
})

describe('the events of Mistral’s transcriptions', () => {
  const event = (type: string, fields: object) => ({ event: type, data: { type, ...fields } })
  const pieces = [
    event('transcription.language', { audioLanguage: 'en' }),
    event('transcription.text.delta', { text: 'Hello ' }),
    event('transcription.text.delta', { text: 'there.' }),
    event('transcription.segment', { text: 'Hello there.', start: 0, end: 1 }),
  ]
  const done = event('transcription.done', {
    text: 'Hello there.',
    usage: { promptTokens: 3, completionTokens: 2, totalTokens: 5 },
  })

  it.each([
    ['in pieces', [...pieces, done]],
    ['whole', [done]],
    ['over an event stream', [...pieces, done].map(({ data }) => data)],
  ])('are read: %s', (_, chunks) => {
    expect(read(chunks)).toMatchObject({
      text: 'Hello there.',
      usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
      finish: 'stop',
      isComplete: true,
    })
  })

  it('are not complete without the last', () => {
    expect(read(pieces)).toMatchObject({ text: 'Hello there.', isComplete: false })
  })
})

describe('the events of Bedrock’s InvokeModelWithResponseStream', () => {
  const bytes = (event: object | string) => ({
    chunk: { bytes: new TextEncoder().encode(typeof event === 'string' ? event : JSON.stringify(event)) },
  })
  const metrics = { 'amazon-bedrock-invocationMetrics': { inputTokenCount: 25, outputTokenCount: 15 } }

  it('of Anthropic are read by their shape', () => {
    const told = read([
      bytes({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello' } }),
      bytes({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 15 } }),
      bytes({ type: 'message_stop', ...metrics }),
    ])
    expect(told).toMatchObject({
      text: 'Hello',
      usage: { inputTokens: 25, outputTokens: 15 },
      finish: 'stop',
      isComplete: true,
    })
    expect(
      read([bytes({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } })]),
    ).toMatchObject({ text: 'Hi', isComplete: false })
  })

  it.each([
    ['Llama', { generation: 'Hello', stop_reason: null }, { generation: '', stop_reason: 'length', ...metrics }],
    [
      'Titan',
      { outputText: 'Hello', index: 0, completionReason: null },
      { outputText: '', completionReason: 'LENGTH' },
    ],
    [
      'Mistral',
      { outputs: [{ text: 'Hello', stop_reason: null }] },
      { outputs: [{ text: '', stop_reason: 'length' }] },
    ],
    [
      'Nova',
      { contentBlockDelta: { contentBlockIndex: 0, delta: { text: 'Hello' } } },
      { messageStop: { stopReason: 'max_tokens' } },
    ],
    [
      'Cohere',
      { text: 'Hello', is_finished: false, event_type: 'text-generation' },
      { is_finished: true, finish_reason: 'MAX_TOKENS', text: 'Hello', response: { chat_history: ['SECRET'] } },
    ],
    [
      'DeepSeek',
      { choices: [{ index: 0, text: 'Hello', stop_reason: null }] },
      { choices: [{ index: 0, text: '', stop_reason: 'length' }] },
    ],
    [
      'OpenAI',
      { choices: [{ index: 0, delta: { content: 'Hello' } }] },
      { choices: [{ index: 0, delta: {}, finish_reason: 'length' }] },
    ],
  ])('of %s too', (_, first, last) => {
    expect(read([bytes(first)])).toMatchObject({ text: 'Hello', isComplete: false })
    expect(read([bytes(first), bytes(last)])).toMatchObject({ text: 'Hello', finish: 'length', isComplete: true })
  })

  it('of an agent are text', () => {
    const told = read([bytes('Hello '), { trace: { trace: SECRET } }, bytes('there.')])
    expect(told).toMatchObject({ text: 'Hello there.', rest: [], isComplete: true })
  })

  it('of an agent may be JSON, and what it traces before them stays here', () => {
    const trace = { agentId: 'a', sessionId: 's', trace: { orchestrationTrace: 'SECRET' } }
    const told = read([{ trace }, { chunk: { bytes: new TextEncoder().encode('{"a":1}') } }, { trace }])
    expect(told).toMatchObject({ text: '{"a":1}', isComplete: true, rest: [] })
    expect(read([{ returnControl: { invocationId: 'i', invocationInputs: [] } }])).toMatchObject({ rest: [] })
  })

  it('do not claim a trace of the user’s', () => {
    expect(read([{ trace: 'x' }, { trace: { step: 1 } }]).rest).toHaveLength(2)
  })
})

describe('the events of a prediction on Replicate', () => {
  class ServerSentEvent {
    constructor(
      readonly event: string,
      readonly data: string,
      readonly id = '1:0',
    ) {}
    toString() {
      return this.data
    }
  }
  const output = [new ServerSentEvent('output', 'Hello '), new ServerSentEvent('logs', SECRET)]

  it('are its text, and complete at a done without a reason', () => {
    const told = read([...output, new ServerSentEvent('output', 'there.\nBye'), new ServerSentEvent('done', '{}')])
    expect(told).toMatchObject({ text: 'Hello there.\nBye', rest: [], isComplete: true })
  })

  it('are not complete when they end without it, or were canceled', () => {
    expect(read(output).isComplete).toBe(false)
    expect(read([...output, new ServerSentEvent('done', '{"reason":"canceled"}')]).isComplete).toBe(false)
  })

  it('a prediction that failed is a failure', () => {
    expect(read([...output, new ServerSentEvent('done', '{"reason":"error"}')]).error).toBeInstanceOf(Error)
    expect(read([...output, new ServerSentEvent('error', SECRET)]).error?.message).toBe(SECRET)
  })

  it('an event of the user’s own with such a name stays one', () => {
    expect(() => read([{ event: 'output', data: 'x' }])).toThrow('own')
  })
})

describe('the chunks of Workers AI', () => {
  it('are text and calls; only the sentinel is the end', () => {
    const told = read([
      { response: 'Hello ', p: 'abc' },
      { response: 'there.', p: 'ab' },
      {
        response: '',
        tool_calls: [
          { name: 'weather', arguments: { city: 'Oslo' } },
          { name: 'time', arguments: {} },
        ],
      },
      { response: '', usage: { prompt_tokens: 25, completion_tokens: 15, total_tokens: 40 } },
    ])
    expect(told).toMatchObject({
      text: 'Hello there.',
      calls: [
        { name: 'weather', input: '{"city":"Oslo"}', done: true },
        { name: 'time', input: '{}', done: true },
      ],
      usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40 },
      isComplete: false,
    })
  })

  it('an object of the user’s with a response stays theirs', () => {
    const own = { response: 'x', step: 1 }
    expect(read([own])).toMatchObject({ rest: [{ type: 'data', name: 'data', data: own }], isComplete: true })
  })
})

describe('the tokens of Hugging Face', () => {
  const token = (text: string, special = false) => ({
    index: 1,
    token: { id: 5, text, logprob: -1, special },
    generated_text: null,
    details: null,
  })
  const last = (finish_reason: string) => ({
    ...token('</s>', true),
    generated_text: 'Hello there.',
    details: { finish_reason, generated_tokens: 15, input_length: 25 },
  })

  it.each([
    ['eos_token', 'stop'],
    ['stop_sequence', 'stop'],
    ['length', 'length'],
  ])('are text without the special ones, and complete with the whole text: %s', (word, finish) => {
    expect(read([token('Hello '), token('there.'), last(word)])).toMatchObject({
      text: 'Hello there.',
      usage: { inputTokens: 25, outputTokens: 15 },
      finish,
      isComplete: true,
    })
  })

  it('are not complete before it', () => {
    expect(read([token('Hello ')]).isComplete).toBe(false)
  })
})

describe('events that hold a provider’s chunk, as parsers hand them over', () => {
  const chunk = (delta: object, finish_reason: string | null = null) => ({
    id: 'c',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason }],
  })

  it.each([
    ['eventsource-parser', (data: string) => ({ data })],
    ['@azure/core-sse', (data: string) => ({ data, event: '', id: '' })],
    ['watsonx', (data: string) => ({ id: 1, event: 'message', data: data.startsWith('{') ? JSON.parse(data) : data })],
  ])('%s', (_, event) => {
    const answer = [chunk({ content: 'Hello' }), chunk({}, 'stop')].map((chunk) => event(JSON.stringify(chunk)))
    expect(read(answer)).toMatchObject({ text: 'Hello', finish: 'stop', isComplete: true })
    expect(read(answer.slice(0, 1)).isComplete).toBe(false)
  })

  it('the sentinel after them is their end', () => {
    const answer = { data: JSON.stringify(chunk({ content: 'Hello' })) }
    expect(read([answer, { data: '[DONE]' }])).toMatchObject({ text: 'Hello', isComplete: true })
  })
})

it('the events of OpenAI’s Assistants are refused by name', () => {
  const event = { event: 'thread.run.created', data: { object: 'thread.run', instructions: SECRET } }
  expect(() => read([event])).toThrow(/Assistants.*Responses/)
  // Someone's own threads are theirs.
  expect(() => read([{ event: 'thread.created', data: { title: 'x' } }])).toThrow('own')
})
