import { describe, expect, it } from 'vitest'
import { toFailure } from '../../src/failure.js'
import { Reading } from '../../src/sources/read-chunk.js'
import { read } from './read.js'
import { readAll } from './read-all.js'

/** The SDK's events are instances of classes. */
class RunRawModelStreamEvent {
  type = 'raw_model_stream_event'
  constructor(readonly data: object) {}
}
class RunItemStreamEvent {
  type = 'run_item_stream_event'
  constructor(
    readonly name: string,
    readonly item: object,
  ) {}
}
const raw = (data: object) => new RunRawModelStreamEvent(data)
const model = (event: object) => raw({ type: 'model', event, providerData: { rawModelEventSource: 'SECRET' } })
const started = raw({ type: 'response_started', providerData: { response: { instructions: 'SECRET' } } })
const usage = { inputTokens: 25, outputTokens: 15, totalTokens: 40 }
const done = raw({ type: 'response_done', response: { id: 'r', usage, output: [{ content: 'SECRET' }] } })
const delta = (delta: string) => raw({ type: 'output_text_delta', delta })
const called = new RunItemStreamEvent('tool_called', {
  type: 'tool_call_item',
  rawItem: { type: 'function_call', callId: 'call_1', name: 'weather', arguments: '{"city":"Oslo"}' },
  agent: { instructions: 'SECRET' },
})
const answered = new RunItemStreamEvent('tool_output', {
  type: 'tool_call_output_item',
  rawItem: { type: 'function_call_result', callId: 'call_1', name: 'weather' },
  output: 'rain',
})
const chunk = (delta: object, finish_reason: string | null = null) =>
  model({ id: 'c', choices: [{ index: 0, delta, finish_reason }] })
const event = (type: string, fields: object) => model({ type: `response.${type}`, ...fields })

describe('a run of OpenAI Agents', () => {
  it('over chat completions has each text once, and is complete at the finish of its last turn', () => {
    const turn = [
      started,
      chunk({ role: 'assistant', content: 'Hello' }),
      delta('Hello'),
      chunk({ tool_calls: [{ index: 0, id: 'call_1', function: { name: 'weather', arguments: '{"city":' } }] }),
      chunk({ tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] }),
      chunk({}, 'tool_calls'),
      done,
      called,
      answered,
    ]
    const next = [started, chunk({ role: 'assistant', content: 'It rains.' }), delta('It rains.')]
    expect(readAll([...turn, ...next])).toMatchObject({ text: 'Hello\n\nIt rains.', proof: 'missing' })
    const read = readAll([...turn, ...next, chunk({}, 'stop'), done])
    expect(read).toMatchObject({
      proof: 'given',
      finishReason: 'stop',
      calls: [{ id: 'call_1', name: 'weather', input: '{"city":"Oslo"}', done: true, executed: true }],
      results: [{ id: 'call_1', output: 'rain' }],
    })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('that was cut has no proof in the `response_done` that comes all the same', () => {
    expect(readAll([started, chunk({ content: 'Hello' }), delta('Hello'), done]).proof).toBe('missing')
  })

  it('over Responses has reasoning, growing calls and counts of the API’s own events', () => {
    const turn = [
      started,
      event('created', { response: { id: 'r', model: 'm', instructions: 'SECRET' } }),
      event('reasoning_summary_text.delta', { delta: 'Let me think.', output_index: 0, summary_index: 0 }),
      delta('Hello'),
      event('output_text.delta', { delta: 'Hello', output_index: 1 }),
      event('output_text.done', { text: 'Hello', output_index: 1 }),
      event('output_item.added', {
        output_index: 2,
        item: { type: 'function_call', call_id: 'call_1', name: 'weather' },
      }),
      event('function_call_arguments.delta', { output_index: 2, delta: '{"city":"Oslo"}' }),
      event('completed', {
        response: { status: 'completed', usage: { input_tokens: 25, output_tokens: 15, total_tokens: 40 } },
      }),
      done,
      new RunItemStreamEvent('message_output_created', {
        type: 'message_output_item',
        rawItem: { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hello' }] },
      }),
    ]
    const read = readAll(turn)
    expect(read).toMatchObject({
      text: 'Hello',
      reasoning: 'Let me think.',
      calls: [{ id: 'call_1', input: '{"city":"Oslo"}' }],
      usage,
      proof: 'given',
    })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('of a model whose own events are not known is read in the SDK’s words', () => {
    const foreign = model({ type: 'text-delta', id: '1', delta: 'Hello' })
    const turn = [started, foreign, delta('Hello'), done, called, answered, started, delta('It rains.')]
    expect(readAll(turn).proof).toBe('missing')
    expect(readAll([...turn, done])).toMatchObject({
      text: 'Hello\n\nIt rains.',
      calls: [{ id: 'call_1', name: 'weather', input: '{"city":"Oslo"}', done: true }],
      usage,
      proof: 'given',
    })
  })

  it('closes the call of a hand-off, and the next agent’s answer is a paragraph', () => {
    const handed = new RunItemStreamEvent('handoff_occurred', {
      type: 'handoff_output_item',
      rawItem: { type: 'function_call_result', callId: 'call_h', name: 'transfer_to_b', output: 'SECRET' },
    })
    const call = chunk({
      tool_calls: [{ index: 0, id: 'call_h', function: { name: 'transfer_to_b', arguments: '{}' } }],
    })
    const next = [started, chunk({ role: 'assistant', content: 'I am B.' }), delta('I am B.'), chunk({}, 'stop'), done]
    const read = readAll([started, call, chunk({}, 'tool_calls'), done, handed, ...next])
    expect(read).toMatchObject({
      text: 'I am B.',
      proof: 'given',
      finishReason: 'stop',
      calls: [{ id: 'call_h', executed: true }],
      results: [{ id: 'call_h', output: null }],
    })
  })

  it('that was given an answer at its limits ends with that, and tells no message twice', () => {
    const created = (text: string) =>
      new RunItemStreamEvent('message_output_created', {
        type: 'message_output_item',
        rawItem: { type: 'message', role: 'assistant', content: [{ type: 'output_text', text }] },
      })
    const turn = [
      started,
      chunk({ role: 'assistant', content: 'Let me ' }),
      delta('Let me '),
      chunk({ content: 'look. ' }),
      delta('look. '),
      chunk({ tool_calls: [{ index: 0, id: 'call_1', function: { name: 'weather', arguments: '{}' } }] }),
      chunk({}, 'tool_calls'),
      done,
      created('Let me look. '),
      called,
      answered,
    ]
    expect(readAll(turn)).toMatchObject({ text: 'Let me look. ', finishReason: 'tool-calls' })
    expect(readAll([...turn, created('I gave up.')])).toMatchObject({
      text: 'Let me look. \n\nI gave up.',
      finishReason: 'stop',
      proof: 'given',
    })
    // Of a model that does not stream, the message is all there is.
    expect(readAll([started, done, created('Whole.')])).toMatchObject({ text: 'Whole.', proof: 'given' })
  })

  it('says of a call that it waits for a person, by the id that the answer names', () => {
    const of = (type: string) => ({ type, rawItem: { callId: 'c1', name: 'pay', arguments: '{"city":"Oslo"}' } })
    const { parts } = readAll([
      new RunItemStreamEvent('tool_called', of('tool_call_item')),
      new RunItemStreamEvent('tool_approval_requested', of('tool_approval_item')),
    ])
    expect(parts).toEqual([
      { type: 'tool-call', index: 0, id: 'c1', name: 'pay', input: '{"city":"Oslo"}', executed: true, done: true },
      { type: 'tool-call', index: 0, input: '', executed: true, done: true, approval: 'c1' },
    ])
  })

  it('says nothing of its agents, hand-offs and approvals of calls that it did not tell', () => {
    const silent = [
      { type: 'agent_updated_stream_event', agent: { instructions: 'SECRET' } },
      new RunItemStreamEvent('handoff_requested', { type: 'handoff_call_item', rawItem: { name: 'SECRET' } }),
      new RunItemStreamEvent('tool_approval_requested', {
        type: 'tool_approval_item',
        rawItem: { arguments: 'SECRET' },
      }),
      new RunItemStreamEvent('message_output_created', {
        type: 'message_output_item',
        rawItem: { content: [{ type: 'refusal', refusal: 'SECRET' }] },
      }),
    ]
    expect(readAll(silent).parts).toEqual([])
  })
})

describe('a session of OpenAI’s hosted agents', () => {
  const event = (type: string, fields: object = {}) => ({
    type: `agent.session.${type}`,
    event_id: 'e',
    session_id: 's',
    ...fields,
  })
  const at = { item_id: 'i', output_index: 0, turn_id: 't' }
  const message = {
    type: 'message',
    id: 'i',
    role: 'assistant',
    content: [{ type: 'output_text', text: 'Hello there.' }],
  }
  const call = { type: 'function_call', id: 'f', call_id: 'call_1', name: 'weather', arguments: { city: 'Oslo' } }
  const usage = { input_tokens: 3, output_tokens: 2, total_tokens: 5 }
  const begun = [
    // A session is idle before its turn, too.
    event('idle', { session: { id: 's' } }),
    event('created', { session: { id: 's', instructions: 'SECRET' } }),
    event('turn.created', { turn: { id: 't', input: 'SECRET' } }),
    event('turn.item.added', {
      output_index: null,
      item: { type: 'message', role: 'user', content: [{ text: 'SECRET' }] },
    }),
    event('turn.reasoning_summary_text.delta', { ...at, summary_index: 0, delta: 'Hm' }),
    event('turn.item.added', { ...at, item: { ...message, content: [] } }),
    event('turn.output_text.delta', { ...at, delta: 'Hello ' }),
    { type: 'agent.output.command_execution_output.delta', event_id: 'e', delta: 'SECRET' },
    event('turn.output_text.delta', { ...at, delta: 'there.' }),
    event('turn.output_text.done', { ...at, text: 'Hello there.' }),
    event('turn.item.done', { ...at, item: message }),
  ]
  const completed = event('turn.completed', { turn: { status: 'completed' }, usage })
  const idle = event('idle', { session: { id: 's', instructions: 'SECRET' } })

  it('is read, complete when its turn is, and left when it is idle', () => {
    const reading = new Reading()
    const told = read([...begun, completed, idle], reading)
    expect(told).toMatchObject({
      text: 'Hello there.',
      reasoning: 'Hm',
      usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
      finish: 'stop',
      isComplete: true,
      rest: [],
    })
    expect(reading.isOver).toBe(true)
    expect(JSON.stringify(told)).not.toContain('SECRET')
    const first = new Reading()
    read(begun.slice(0, 1), first)
    expect(first.isOver).toBe(false)
  })

  it.each<[string, object[]]>([
    ['ends', []],
    ['is cancelled', [event('turn.cancelled'), idle]],
    ['begins another turn', [completed, event('turn.created')]],
  ])('is not complete where it %s', (_, rest) => {
    expect(read([...begun, ...rest]).isComplete).toBe(false)
  })

  it.each([
    event('turn.failed', { turn: { error: { code: 'rate_limit_exceeded', message: 'SECRET' } } }),
    event('failed', { session: { error: { code: 'rate_limit_exceeded', message: 'SECRET' } } }),
    { type: 'error', event_id: 'e', session_id: 's', error: { code: 'rate_limit_exceeded', message: 'SECRET' } },
  ])('has failed where it says so: %o', (failure) => {
    expect(toFailure(read([...begun, failure]).error)).toMatchObject({ code: 'rate-limit' })
  })

  it('is what its first agent says: the turns of subagents stay here', () => {
    const theirs = { turn_id: 'sub', item_id: 'x', output_index: 0 }
    const told = read([
      ...begun,
      event('turn.created', { turn_id: 'sub', turn: { id: 'sub', subagent_id: 'a' } }),
      event('turn.output_text.delta', { ...theirs, delta: 'SECRET' }),
      event('turn.completed', { turn_id: 'sub', turn: { id: 'sub', subagent_id: 'a' }, usage: { input_tokens: 99 } }),
    ])
    expect(told).toMatchObject({ text: 'Hello there.', usage: {}, isComplete: false })
  })

  it('has calls, which wait for the client until they are answered', () => {
    const asked = [...begun, event('turn.item.done', { ...at, output_index: 1, item: call })]
    const right = { id: 'call_1', name: 'weather', input: '{"city":"Oslo"}', done: true }
    expect(read([...asked, event('requires_action')])).toMatchObject({
      calls: [right],
      finish: 'tool-calls',
      isComplete: true,
    })
    const output = { type: 'function_call_output', call_id: 'call_1', output: 'rain' }
    const answered = event('turn.item.added', { output_index: null, item: output })
    expect(read([...asked, answered, completed])).toMatchObject({
      calls: [right],
      rest: [{ type: 'tool-result', id: 'call_1', output: 'rain' }],
      finish: 'stop',
    })
  })
})
