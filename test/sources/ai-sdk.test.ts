import { describe, expect, it } from 'vitest'
import { read } from './read.js'

const SECRET = 'sk-secret'
const start = { type: 'start' }
const step = { type: 'start-step', request: { body: SECRET }, warnings: [] }
const text = (text: string) => ({ type: 'text-delta', id: '0', text })
const end = (finishReason: string, totalUsage: object = {}, rawFinishReason?: string) => ({
  type: 'finish',
  finishReason,
  ...(rawFinishReason !== undefined && { rawFinishReason }),
  totalUsage,
})
const usage = {
  inputTokens: 25,
  outputTokens: 15,
  totalTokens: 40,
  inputTokenDetails: { noCacheTokens: 19, cacheReadTokens: 5, cacheWriteTokens: 1 },
  outputTokenDetails: { textTokens: 11, reasoningTokens: 4 },
}
const call = (fields: object = {}) => ({
  type: 'tool-call',
  toolCallId: 'c1',
  toolName: 'weather',
  input: { city: 'Oslo' },
  ...fields,
})
const pieces = (input: string, more: object = {}) => [
  { type: 'tool-input-start', id: 'c1', toolName: 'weather', ...more },
  { type: 'tool-input-delta', id: 'c1', delta: input },
  { type: 'tool-input-end', id: 'c1' },
]

describe('the full stream of the AI SDK, versions 5 to 7', () => {
  it.each([
    ['version 5, cut', end('unknown', {}), false],
    ['version 6, cut', end('other', { inputTokenDetails: {}, outputTokenDetails: {} }), false],
    ['version 6, cut, with zeros for counts (xAI)', end('other', { inputTokens: 0, outputTokens: 0 }), false],
    ['version 6, another reason, which the provider said', end('other', usage, 'pause_turn'), true],
    ['version 6, another reason that nobody gave, with counts', end('other', usage), true],
    ['version 6, cut, with counts (xAI)', { ...end('other', usage), rawFinishReason: undefined }, false],
    ['version 7, cut', end('interrupted', {}), false],
    ['cut, in its provider’s words (Workers AI)', end('error', { outputTokens: 0 }, 'stream-truncated'), false],
    ['broken off, in its provider’s words (DeepSeek)', end('other', usage, 'insufficient_system_resource'), false],
    ['an error of the model, in its provider’s words', end('error', usage, 'MALFORMED_FUNCTION_CALL'), true],
    ['stop', end('stop', usage), true],
    ['length', end('length', usage), true],
    ['stop without counts', end('stop', {}), true],
  ])('%s: complete is %s', (_, finish, isComplete) => {
    expect(read([start, step, text('Hello'), finish])).toMatchObject({ text: 'Hello', isComplete })
  })

  it('a failure is one, as an error or as the object that version 5 makes of it', () => {
    expect(read([start, { type: 'error', error: new Error(SECRET) }]).error?.message).toBe(SECRET)
    const told = { type: 'error', error: { type: 'error', error: { code: 'server_error', message: SECRET } } }
    expect(read([start, step, text('a'), told]).error).toBeInstanceOf(Error)
  })

  it('an abort is a cut', () => {
    expect(read([start, step, text('a'), { type: 'abort', reason: SECRET }]).error).toMatchObject({ code: 'truncated' })
  })

  it('counts are on our scale', () => {
    expect(read([start, end('stop', usage)]).usage).toEqual({
      inputTokens: 25,
      outputTokens: 15,
      totalTokens: 40,
      cachedInputTokens: 5,
      cacheWriteInputTokens: 1,
      reasoningTokens: 4,
    })
  })

  it('a call that comes in pieces and whole is told once', () => {
    expect(read([start, step, ...pieces('{"city":"Oslo"}'), call(), end('tool-calls')])).toMatchObject({
      calls: [{ id: 'c1', name: 'weather', input: '{"city":"Oslo"}', done: true }],
      finish: 'tool-calls',
    })
  })

  it('an input that was repaired is told as it is now', () => {
    const told = read([start, step, ...pieces('{"city":"Oslo"}}'), call(), end('tool-calls')])
    expect(told.calls).toEqual([{ id: 'c1', name: 'weather', input: '{"city":"Oslo"}', done: true }])
  })

  it.each([
    ['its pieces', [...pieces('{"city":1}')]],
    ['nothing', []],
  ])('an input that was rejected, after %s: no client may run it', (_, before) => {
    const told = read([
      start,
      step,
      ...before,
      call({ input: { city: 1 }, invalid: true, dynamic: true, error: new Error(SECRET) }),
      { type: 'tool-error', toolCallId: 'c1', toolName: 'weather', input: { city: 1 }, error: SECRET, dynamic: true },
      { type: 'finish-step', finishReason: 'tool-calls', response: { headers: { a: SECRET } } },
      end('tool-calls'),
    ])
    expect(told.calls).toEqual([
      { id: 'c1', name: 'weather', input: '{"city":1}', done: true, error: expect.any(String) },
    ])
    expect(JSON.stringify(told)).not.toContain(SECRET)
  })

  it('a call that the provider runs is executed, and its result closes it', () => {
    const told = read([
      start,
      step,
      ...pieces('{"q":1}', { providerExecuted: true }),
      call({ input: { q: 1 }, providerExecuted: true }),
      { type: 'tool-result', toolCallId: 'c1', toolName: 'weather', output: 'rain', providerExecuted: true },
      text('It rains.'),
      end('stop'),
    ])
    expect(told).toMatchObject({ calls: [{ id: 'c1', executed: true, done: true }], finish: 'stop' })
    expect(told.rest).toEqual([{ type: 'tool-result', id: 'c1', name: 'weather', output: 'rain' }])
  })

  it('a call that waits for a person’s approval is the agent’s to run, and nobody else’s', () => {
    const full = { type: 'tool-approval-request', approvalId: 'a', toolCall: call() }
    const ui = { type: 'tool-approval-request', approvalId: 'a', toolCallId: 'c1' }
    for (const asks of [full, ui]) {
      expect(read([start, step, ...pieces('{"city":"Oslo"}'), call(), asks, end('tool-calls', usage)])).toMatchObject({
        calls: [{ id: 'c1', input: '{"city":"Oslo"}', done: true, executed: true, approval: 'a' }],
        rest: [],
        finish: 'tool-calls',
        isComplete: true,
      })
    }
    // The application has answered itself: there is nobody to ask.
    const [told] = read([start, step, call(), { ...full, isAutomatic: true }]).calls
    expect(told).toMatchObject({ executed: true })
    expect(told).not.toHaveProperty('approval')
  })

  it('a call that was not allowed has not failed', () => {
    const denied = { type: 'tool-output-denied', toolCallId: 'c1', toolName: 'weather' }
    expect(read([start, step, call(), denied]).rest).toEqual([
      { type: 'tool-result', id: 'c1', name: 'weather', output: null, error: expect.stringContaining('not allowed') },
    ])
  })

  it('a call of the provider says that it waits, too, and none does that was answered', () => {
    const asks = { type: 'tool-approval-request', approvalId: 'a', toolCall: call() }
    const theirs = call({ providerExecuted: true })
    expect(read([start, step, theirs, asks]).calls).toMatchObject([{ executed: true, done: true, approval: 'a' }])
    const answered = { type: 'tool-result', toolCallId: 'c1', toolName: 'weather', output: 'rain' }
    expect(read([start, step, theirs, answered, asks]).calls[0]).not.toHaveProperty('approval')
  })

  it('of results that grow only the last is told, and what a tool threw is not', () => {
    const told = read([
      start,
      step,
      call(),
      { type: 'tool-result', toolCallId: 'c1', toolName: 'weather', output: 'ra', preliminary: true },
      { type: 'tool-result', toolCallId: 'c1', toolName: 'weather', output: 'rain' },
      call({ toolCallId: 'c2' }),
      { type: 'tool-error', toolCallId: 'c2', toolName: 'weather', error: new Error(SECRET) },
    ])
    expect(told.rest).toEqual([
      { type: 'tool-result', id: 'c1', name: 'weather', output: 'rain' },
      { type: 'tool-result', id: 'c2', name: 'weather', output: null, error: expect.any(String) },
    ])
    expect(JSON.stringify(told)).not.toContain(SECRET)
  })

  it('the same id in a later step is another call, and the steps are paragraphs', () => {
    const told = read([
      start,
      step,
      text('One.'),
      call(),
      { type: 'tool-result', toolCallId: 'c1', toolName: 'weather', output: 1 },
      { type: 'finish-step', finishReason: 'tool-calls' },
      step,
      text('Two.'),
      call({ input: { city: 'Bergen' } }),
      end('tool-calls'),
    ])
    expect(told.text).toBe('One.\n\nTwo.')
    expect(told.calls).toMatchObject([{ input: '{"city":"Oslo"}' }, { input: '{"city":"Bergen"}' }])
  })
})

describe('the UI message stream of the AI SDK', () => {
  const delta = (delta: string) => ({ type: 'text-delta', id: '0', delta })
  const open = [{ type: 'start', messageId: 'm' }, { type: 'start-step' }]
  const finish = (finishReason?: string) => ({ type: 'finish', ...(finishReason && { finishReason }) })
  const head = { toolCallId: 'c1', toolName: 'weather' }

  it.each([
    ['interrupted', false],
    ['unknown', false],
    ['stop', true],
    // Version 6 says so of a cut answer too: it cannot be told.
    ['other', true],
    [undefined, true],
  ])('a finish with the reason %s: complete is %s', (reason, isComplete) => {
    const told = read([
      ...open,
      { type: 'text-start', id: '0' },
      delta('a'),
      { type: 'text-end', id: '0' },
      finish(reason),
    ])
    expect(told).toMatchObject({ text: 'a', isComplete })
  })

  it('a call after the end of a text has its id', () => {
    const told = read([
      ...open,
      delta('a'),
      { type: 'text-end', id: '0' },
      { type: 'tool-input-start', ...head },
      { type: 'tool-input-delta', toolCallId: 'c1', inputTextDelta: '{"city":"Oslo"}' },
      { type: 'tool-input-available', ...head, input: { city: 'Oslo' } },
      finish('tool-calls'),
    ])
    expect(told.calls).toEqual([{ id: 'c1', name: 'weather', input: '{"city":"Oslo"}', done: true }])
  })

  it('an input error is a call that no client may run', () => {
    const told = read([...open, { type: 'tool-input-error', ...head, input: { city: 1 }, errorText: SECRET }])
    expect(told.calls).toEqual([
      { id: 'c1', name: 'weather', input: '{"city":1}', done: true, error: expect.any(String) },
    ])
    expect(JSON.stringify(told)).not.toContain(SECRET)
  })

  it('what the provider runs is executed', () => {
    const told = read([
      ...open,
      { type: 'tool-input-available', ...head, input: {}, providerExecuted: true },
      { type: 'tool-output-available', toolCallId: 'c1', output: 'rain', providerExecuted: true },
      finish('stop'),
    ])
    expect(told).toMatchObject({ calls: [{ executed: true }], finish: 'stop' })
  })

  it('a step that is taken back leaves nobody a call to run, half or whole, and its ids are free', () => {
    const half = [
      { type: 'tool-input-start', ...head },
      { type: 'tool-input-delta', toolCallId: 'c1', inputTextDelta: '{"city":' },
    ]
    const whole = { type: 'tool-input-available', toolCallId: 'c2', toolName: 'weather', input: {} }
    const again = { type: 'tool-input-available', ...head, input: { city: 'Rome' } }
    const told = read([...open, delta('No.'), ...half, whole, { type: 'reset-step' }, delta('Yes.'), again])
    const error = expect.any(String)
    expect(told.calls).toEqual([
      { id: 'c1', name: 'weather', input: '{"city":', done: true, error },
      { id: 'c2', name: 'weather', input: '{}', done: true, error },
      { id: 'c1', name: 'weather', input: '{"city":"Rome"}', done: true },
    ])
    expect(told.text).toBe('No.\n\nYes.')
    expect(read([...open, ...half, { type: 'reset-step' }, delta('Yes.'), finish('stop')]).finish).toBe('stop')
  })

  it('data parts keep their id, and whether they are for now only', () => {
    expect(
      read([
        ...open,
        { type: 'data-progress', id: 'p', data: { step: 1 } },
        { type: 'data-note', data: 'x', transient: true },
      ]).rest.filter(({ type }) => type === 'data'),
    ).toEqual([
      { type: 'data', name: 'progress', data: { step: 1 }, id: 'p' },
      { type: 'data', name: 'note', data: 'x', transient: true },
    ])
  })
})
