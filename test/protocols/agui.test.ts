import type { RelayOptions, Source, ToolCallPart } from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { relay } from 'sse-relay/node'
import { type AGUIOptions, type AnswerPart, agui, type EncoderEnd, type EncoderPart } from 'sse-relay/protocols'
import { describe, expect, it } from 'vitest'
import { listening } from '../serving.js'
import { type AGUIEvent, aguiEvents } from './agui-events.js'

// The clients themselves read the protocol in test/packages/dialects.

const encoder = (options?: AGUIOptions) => agui(options).encoder({ runId: 'r' })
const said = (parts: EncoderPart[], end: EncoderEnd = {}) => {
  const run = encoder()
  return aguiEvents(parts.map((part) => run.part(part)).join('') + run.end(end))
}
const answered = (parts: AnswerPart[], end: EncoderEnd = {}) => encoder().answer?.(parts, end)

const callPiece = (index: number, input: string, more: Partial<ToolCallPart> = {}): ToolCallPart => ({
  type: 'tool-call',
  index,
  input,
  ...more,
})
const result = (id: string, output: unknown = null): EncoderPart => ({ type: 'tool-result', id, output })
const text = (text: string): EncoderPart => ({ type: 'text', text })
const started = { type: 'RUN_STARTED', threadId: 'r', runId: 'r' }
const failure = { code: 'internal', message: 'No.', retryable: false }
const finished = { type: 'RUN_FINISHED', threadId: 'r', runId: 'r' }

/** The wire of a run over a socket. */
async function wireOf(source: Source, options: RelayOptions & AGUIOptions = {}): Promise<string> {
  const { threadId, runId, ...rest } = options
  const protocol = agui({ ...(threadId !== undefined && { threadId }), ...(runId !== undefined && { runId }) })
  const url = await listening((req, res) => void relay(req, res, source, { onError() {}, ...rest, protocol }))
  return (await fetch(url, { method: 'POST' })).text()
}

describe('agui()', () => {
  it('leaves a call open that waits for a person, and ends with an interrupt for it', () => {
    const waits = callPiece(0, '', { executed: true, done: true, approval: 'i1' })
    const first = callPiece(0, '{}', { id: 'a', name: 'pay', executed: true, done: true })
    const other = callPiece(1, '{}', { id: 'b', name: 'search', executed: true, done: true })
    const events = said([first, waits, other], { finishReason: 'tool-calls' })
    expect(events.filter(({ type }) => type === 'TOOL_CALL_RESULT')).toMatchObject([{ toolCallId: 'b' }])
    expect(events.at(-1)).toEqual({
      ...finished,
      outcome: { type: 'interrupt', interrupts: [{ id: 'i1', reason: 'tool_call', toolCallId: 'a' }] },
      metadata: { finishReason: 'tool-calls' },
    })
    expect(answered([{ ...first, approval: 'i1' }])).toMatchObject({ outcome: { type: 'interrupt' } })
    // Whoever was asked is answered by the tool, or by the failure.
    expect(said([first, waits, result('a')]).at(-1)).not.toHaveProperty('outcome')
    const run = encoder()
    const failed = [first, waits].map((part) => run.part(part)).join('') + run.fail({ ...failure })
    expect(aguiEvents(failed)).toContainEqual(expect.objectContaining({ type: 'TOOL_CALL_RESULT', toolCallId: 'a' }))
  })

  it('opens and closes text, reasoning and the run', () => {
    expect(
      said([
        { type: 'start', id: 'm' },
        { type: 'reasoning', text: 'Look' },
        { type: 'reasoning', text: '.' },
        text('Let me '),
        text('see.'),
      ]),
    ).toEqual([
      started,
      { type: 'REASONING_START', messageId: 'r-0' },
      { type: 'REASONING_MESSAGE_START', messageId: 'r-0', role: 'reasoning' },
      { type: 'REASONING_MESSAGE_CONTENT', messageId: 'r-0', delta: 'Look' },
      { type: 'REASONING_MESSAGE_CONTENT', messageId: 'r-0', delta: '.' },
      { type: 'REASONING_MESSAGE_END', messageId: 'r-0' },
      { type: 'REASONING_END', messageId: 'r-0' },
      { type: 'TEXT_MESSAGE_START', messageId: 'r-1', role: 'assistant' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'r-1', delta: 'Let me ' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'r-1', delta: 'see.' },
      { type: 'TEXT_MESSAGE_END', messageId: 'r-1' },
      finished,
    ])
  })

  it('says what the request called the run and its thread', async () => {
    const wire = await wireOf(['Hello'], { threadId: 't_1', runId: 'r_1' })
    const events = aguiEvents(wire)
    expect(events[0]).toEqual({ type: 'RUN_STARTED', threadId: 't_1', runId: 'r_1' })
    expect(events.at(-1)).toMatchObject({ type: 'RUN_FINISHED', threadId: 't_1', runId: 'r_1' })
  })

  it('ends with RUN_FINISHED and nothing after it, with the counts and the finish', async () => {
    const wire = await wireOf([
      { type: 'text', text: 'Hello' },
      { type: 'usage', usage: { inputTokens: 25, outputTokens: 15 } },
      { type: 'finish', reason: 'length' },
    ])
    expect(wire).not.toContain('[DONE]')
    expect(aguiEvents(wire).at(-1)).toMatchObject({
      type: 'RUN_FINISHED',
      usage: [{ inputTokens: 25, outputTokens: 15 }],
      metadata: { finishReason: 'length' },
    })
  })

  it('is a run also when the source has nothing to say', () => {
    expect(said([])).toEqual([started, finished])
  })

  it('hands on what the provider signed or encrypted, with the reasoning it is of', () => {
    const events = said([
      { type: 'reasoning', text: 'Look.' },
      { type: 'reasoning', text: '', signature: 'sig' },
      { type: 'reasoning', text: '', redacted: 'enc' },
      { type: 'reasoning', text: '', signature: 'of nothing' },
    ])
    const encrypted = events.filter(({ type }) => type === 'REASONING_ENCRYPTED_VALUE')
    expect(encrypted).toEqual([
      { type: 'REASONING_ENCRYPTED_VALUE', subtype: 'message', entityId: 'r-0', encryptedValue: 'sig' },
      { type: 'REASONING_ENCRYPTED_VALUE', subtype: 'message', entityId: 'r-1', encryptedValue: 'enc' },
    ])
    // The message is there before what belongs to it, also where nothing of it is shown.
    expect(events.filter(({ type }) => type === 'REASONING_MESSAGE_START')).toHaveLength(2)
  })

  it('makes CUSTOM of own events and data parts, and loses nothing of them', async () => {
    const events = aguiEvents(
      await wireOf([
        { event: 'status', data: { step: 1 } },
        { event: 'note', data: 'as it is' },
        'Hello',
        { type: 'data', name: 'citation', data: { url: 'https://example.com' }, id: 'c1', transient: true },
        { data: 7 },
      ]),
    )
    expect(events.filter(({ type }) => type === 'CUSTOM')).toEqual([
      { type: 'CUSTOM', name: 'status', value: { step: 1 } },
      { type: 'CUSTOM', name: 'note', value: 'as it is' },
      {
        type: 'CUSTOM',
        name: 'citation',
        value: { url: 'https://example.com' },
        metadata: { id: 'c1', transient: true },
      },
      { type: 'CUSTOM', name: 'data', value: 7 },
    ])
  })

  it('makes a message of each answer, without the blank line between them', () => {
    const events = said([{ type: 'start' }, text('One.'), { type: 'start' }, text('\n\nTwo.')])
    expect(events.filter(({ type }) => type === 'TEXT_MESSAGE_CONTENT')).toEqual([
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'r-0', delta: 'One.' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'r-1', delta: 'Two.' },
    ])
  })

  it('says a failure as RUN_ERROR, whatever is open, and nothing after it', async () => {
    const wire = await wireOf(async function* () {
      yield 'Hello'
      throw new Error('SECRET')
    })
    expect(wire).not.toContain('SECRET')
    expect(wire).toContain('\nevent: error\n')
    const last = aguiEvents(wire).at(-1)
    expect(last).toMatchObject({ type: 'RUN_ERROR', code: 'internal', error: { code: 'internal', retryable: false } })
    expect(last?.message).toMatch(/\w/)
  })

  it('leaves no call to its client where the run fails: none that is half, none that is run elsewhere', async () => {
    const events = aguiEvents(
      await wireOf(async function* () {
        yield callPiece(0, '{"q":1}', { id: 'a', name: 'search', executed: true, done: true })
        yield callPiece(1, '{"ci', { id: 'b', name: 'weather' })
        throw new Error('SECRET')
      }),
    )
    expect(events.slice(-4)).toMatchObject([
      { type: 'TOOL_CALL_END', toolCallId: 'b' },
      { type: 'TOOL_CALL_RESULT', toolCallId: 'b', content: 'The answer ended before this tool call was whole.' },
      { type: 'TOOL_CALL_RESULT', toolCallId: 'a', content: '' },
      { type: 'RUN_ERROR' },
    ])
  })

  it('keeps its ids in a log: whoever comes later reads the same run', async () => {
    const log = createMemoryLog()
    const url = await listening(
      (req, res) => void relay(req, res, ['Hello', ' there'], { log, owner: null, protocol: agui() }),
    )
    const first = await fetch(url, { method: 'POST', headers: { 'x-run-id': 'run-1234567890-abcdef' } })
    const whole = await first.text()
    expect(whole).toContain('"messageId":"run-1234567890-abcdef-0"')
    // As TanStack AI does it: the same request again, with the last id.
    const again = await fetch(url, { method: 'POST', headers: { 'last-event-id': 'run-1234567890-abcdef:2' } })
    expect(await again.text()).toBe(whole.slice(whole.indexOf('id: run-1234567890-abcdef:3')))
  })
})

describe('tool calls through agui()', () => {
  const results = (events: AGUIEvent[]) =>
    events.flatMap(({ type, toolCallId, content }) => (type === 'TOOL_CALL_RESULT' ? [[toolCallId, content]] : []))

  it('are of one message when they are made at once, and of the text before them', () => {
    const parts = [
      callPiece(0, '', { id: 'a', name: 'f' }),
      callPiece(1, '{"m":', { id: 'b', name: 'g' }),
      callPiece(0, '{"n":1}', { done: true }),
      callPiece(1, '2}', { done: true }),
    ]
    const bare = said(parts)
    expect(bare.slice(1, -1)).toEqual([
      { type: 'TOOL_CALL_START', toolCallId: 'a', toolCallName: 'f', parentMessageId: 'r-0' },
      { type: 'TOOL_CALL_START', toolCallId: 'b', toolCallName: 'g', parentMessageId: 'r-0' },
      { type: 'TOOL_CALL_ARGS', toolCallId: 'b', delta: '{"m":' },
      { type: 'TOOL_CALL_ARGS', toolCallId: 'a', delta: '{"n":1}' },
      { type: 'TOOL_CALL_END', toolCallId: 'a' },
      { type: 'TOOL_CALL_ARGS', toolCallId: 'b', delta: '2}' },
      { type: 'TOOL_CALL_END', toolCallId: 'b' },
    ])
    const after = said([text('Let me see.'), ...parts, text('\n\nWell.')])
    expect(after.filter(({ type }) => type === 'TOOL_CALL_START')).toMatchObject([
      { parentMessageId: 'r-0' },
      { parentMessageId: 'r-0' },
    ])
    // A message that was closed takes no more text.
    expect(after.at(-3)).toEqual({ type: 'TEXT_MESSAGE_CONTENT', messageId: 'r-1', delta: 'Well.' })
  })

  it('have their results as text, and what is called after that is called by another message', () => {
    const events = said([
      callPiece(0, '{}', { id: 'a', name: 'f', done: true }),
      result('a', { degrees: 21 }),
      // Its result closes a call.
      callPiece(1, '{}', { id: 'b', name: 'f' }),
      result('b', '21 °C'),
      result('c', 3),
      result('a', 'once more'),
    ])
    expect(results(events)).toEqual([
      ['a', '{"degrees":21}'],
      ['b', '21 °C'],
      ['c', '3'],
    ])
    expect(events.filter(({ type }) => type === 'TOOL_CALL_START')).toMatchObject([
      { toolCallId: 'a', parentMessageId: 'r-0' },
      { toolCallId: 'b', parentMessageId: 'r-2' },
      // A result is not without its call.
      { toolCallId: 'c', toolCallName: 'tool' },
    ])
  })

  it('that no client is to run have a result, so that none does', () => {
    const error = 'The tool could not be called with this input.'
    const events = said([
      callPiece(0, '{"q":1}', { id: 'a', name: 'search', executed: true, done: true }),
      callPiece(1, '{"x', { id: 'b', name: 'f', error }),
      callPiece(2, '{"y":1}', { id: 'c', name: 'f', done: true }),
      callPiece(2, '', { error }),
      { type: 'tool-result', id: 'd', name: 'f', output: null, error: 'The tool failed.' },
      callPiece(4, '{"z":', { id: 'e', name: 'f' }),
    ])
    expect(results(events)).toEqual([
      ['b', error],
      ['c', error],
      ['d', 'The tool failed.'],
      ['e', 'The answer ended before this tool call was whole.'],
      ['a', ''],
    ])
  })

  it('of parts that never say done are whole if they are JSON and the answer was not cut', () => {
    const parts = [callPiece(0, '{"n":1}', { id: 'a', name: 'f' })]
    expect(results(said(parts))).toEqual([])
    expect(results(said(parts, { finishReason: 'length' }))).toHaveLength(1)
    expect(results(said([callPiece(0, '{"n":', { id: 'a', name: 'f' })]))).toHaveLength(1)
  })

  it('without arguments have an empty object', () => {
    for (const parts of [
      [callPiece(0, '', { id: 'a', name: 'f', done: true })],
      [callPiece(0, '', { id: 'a', name: 'f' })],
    ]) {
      expect(said(parts)).toContainEqual({ type: 'TOOL_CALL_ARGS', toolCallId: 'a', delta: '{}' })
    }
  })

  it('of two answers are never merged, whatever their ids and indexes', () => {
    const events = said([
      { type: 'start', id: 'm1' },
      callPiece(0, '{"n":1}', { id: 'x', name: 'f', done: true }),
      { type: 'start', id: 'm2' },
      callPiece(1, '{"n":2}', { id: 'x', name: 'f', done: true }),
      callPiece(0, '{"n":3}', { name: 'f' }),
      callPiece(0, '{"n":4}', { name: 'f' }),
    ])
    const calls = events.filter(({ type }) => type === 'TOOL_CALL_START')
    expect(new Set(calls.map(({ toolCallId }) => toolCallId)).size).toBe(4)
    expect(calls[0]?.parentMessageId).not.toBe(calls[1]?.parentMessageId)
  })

  it('may be replaced as long as nothing of their input was sent, and after that end the run as error', async () => {
    const replaced = callPiece(0, '{"n":2}', { replaces: true, done: true })
    expect(said([callPiece(0, '', { id: 'a', name: 'f' }), replaced])).toContainEqual({
      type: 'TOOL_CALL_ARGS',
      toolCallId: 'a',
      delta: '{"n":2}',
    })
    const events = aguiEvents(await wireOf([callPiece(0, '{"n":1}', { id: 'a', name: 'f' }), replaced]))
    expect(events.at(-1)).toMatchObject({ type: 'RUN_ERROR', code: 'internal' })
  })
})

describe('the whole answer of agui()', () => {
  it('is the messages that a client makes of the events', () => {
    const parts: AnswerPart[] = [
      { type: 'reasoning', text: 'Look.', signature: 'sig' },
      { type: 'text', text: 'Let me see.' },
      callPiece(0, '{"city":"Oslo"}', { id: 'a', name: 'weather', done: true }),
      callPiece(1, '', { id: 'b', name: 'time', done: true }),
      { type: 'tool-result', id: 'a', output: { degrees: 21 } },
      { type: 'event', event: { event: 'status', data: '{"step":1}' } },
      { type: 'text', text: '\n\n21 °C.' },
    ]
    expect(answered(parts, { finishReason: 'stop', usage: { inputTokens: 25 } })).toEqual({
      threadId: 'r',
      runId: 'r',
      newMessages: [
        { id: 'r-0', role: 'reasoning', content: 'Look.', encryptedValue: 'sig' },
        {
          id: 'r-1',
          role: 'assistant',
          content: 'Let me see.',
          toolCalls: [
            { id: 'a', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
            { id: 'b', type: 'function', function: { name: 'time', arguments: '{}' } },
          ],
        },
        { id: 'r-2', role: 'tool', toolCallId: 'a', content: '{"degrees":21}' },
        { id: 'r-3', role: 'assistant', content: '21 °C.' },
      ],
      custom: [{ name: 'status', value: { step: 1 } }],
      usage: [{ inputTokens: 25 }],
      metadata: { finishReason: 'stop' },
    })
  })
})
