import { describe, expect, it } from 'vitest'
import { toFailure } from '../../src/failure.js'
import { readAll } from './read-all.js'

const chunk = (type: string, payload: object = {}) => ({ type, runId: 'r', from: 'AGENT', payload })
const step = [
  chunk('step-start', { request: { body: 'SECRET' } }),
  chunk('reasoning-delta', { id: '1', text: 'Let me think.' }),
  chunk('text-delta', { id: '2', text: 'Hello ' }),
  chunk('text-delta', { id: '2', text: 'world' }),
  chunk('tool-call-input-streaming-start', { toolCallId: 'call_1', toolName: 'weather' }),
  chunk('tool-call-delta', { toolCallId: 'call_1', toolName: 'weather', argsTextDelta: '{"city":' }),
  chunk('tool-call-delta', { toolCallId: 'call_1', toolName: 'weather', argsTextDelta: '"Oslo"}' }),
  chunk('tool-call-input-streaming-end', { toolCallId: 'call_1' }),
  chunk('tool-call', { toolCallId: 'call_1', toolName: 'weather', args: { city: 'Oslo' } }),
]
const finish = (reason: string) =>
  chunk('finish', {
    stepResult: { reason },
    output: { usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40, cachedInputTokens: 5, reasoningTokens: 4 } },
    metadata: { headers: 'SECRET' },
  })

describe('a stream of Mastra', () => {
  it('is read with its reasoning, text, growing call, counts and finish, and nothing of its requests', () => {
    const read = readAll([chunk('start', { id: 'a' }), ...step, finish('tool-calls')])
    expect(read).toMatchObject({
      proof: 'given',
      text: 'Hello world',
      reasoning: 'Let me think.',
      calls: [{ id: 'call_1', name: 'weather', input: '{"city":"Oslo"}', done: true }],
      usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40, cachedInputTokens: 5, reasoningTokens: 4 },
      finishReason: 'tool-calls',
      signalOnly: 'Mastra',
      errors: [],
      data: [],
    })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('of several steps has each text as a paragraph of its own, and the result of its tool closes the call', () => {
    const result = chunk('tool-result', { toolCallId: 'call_1', toolName: 'weather', result: { rain: true } })
    const stepFinish = chunk('step-finish', { stepResult: { reason: 'tool-calls' } })
    const next = [chunk('step-start'), chunk('text-delta', { id: '3', text: 'It rains.' })]
    const read = readAll([...step, result, stepFinish, ...next, finish('stop')])
    expect(read).toMatchObject({
      proof: 'given',
      text: 'Hello world\n\nIt rains.',
      finishReason: 'stop',
      results: [{ id: 'call_1', output: { rain: true } }],
    })
  })

  it('that was interrupted, aborted or only ended has no proof', () => {
    expect(readAll([...step, finish('interrupted')]).proof).toBe('broken')
    expect(readAll([...step, chunk('abort'), finish('tripwire')]).proof).not.toBe('given')
    expect(readAll(step).proof).toBe('missing')
  })

  it('tells a refusal by its status', () => {
    const error = { message: 'SECRET', name: 'AI_APICallError', statusCode: 429 }
    const { errors } = readAll([chunk('start'), chunk('error', { error }), finish('error')])
    expect(toFailure(errors[0]).code).toBe('rate-limit')
  })

  it('that ends as an error without having told it is a failure', () => {
    expect(readAll([chunk('start'), finish('error')])).toMatchObject({ errors: [expect.any(Error)], proof: 'missing' })
  })

  it('that a guardrail stopped is filtered', () => {
    const tripwire = chunk('tripwire', { reason: 'SECRET' })
    expect(readAll([tripwire, finish('tripwire')])).toMatchObject({ finishReason: 'content-filter', proof: 'given' })
  })

  it('whose guardrail trips before its model speaks, or amid its text, is filtered, without a word of why', () => {
    const before = chunk('tripwire', { reason: 'SECRET', processorId: 'p' })
    // It comes without the rest there.
    const amid = { type: 'tripwire', payload: { reason: 'SECRET', processorId: 'p' } }
    for (const chunks of [[before], [chunk('start'), ...step.slice(0, 3), amid]]) {
      const read = readAll(chunks)
      expect(read).toMatchObject({ finishReason: 'content-filter', proof: 'given', data: [] })
      expect(JSON.stringify(read)).not.toContain('SECRET')
    }
  })

  it.each(['tool-call-approval', 'tool-call-suspended'])(
    'that ends with %s waits for a person, and runs the call itself, later',
    (type) => {
      const asks = chunk(type, { toolCallId: 'call_1', toolName: 'weather', args: {}, suspendPayload: 'SECRET' })
      const read = readAll([chunk('start'), ...step, asks])
      expect(read).toMatchObject({
        proof: 'given',
        finishReason: 'tool-calls',
        calls: [{ id: 'call_1', input: '{"city":"Oslo"}', done: true, executed: true }],
      })
      // What a tool waits for that has suspended itself is no question whether it may run.
      expect(read.calls[0]?.approval).toBe(type === 'tool-call-approval' ? 'call_1' : undefined)
      expect(JSON.stringify(read)).not.toContain('SECRET')
      expect(readAll([...step, asks, chunk('step-start'), chunk('text-delta', { text: 'On' })]).proof).toBe('missing')
    },
  )

  it('leaves a call alone that failed: its result says so without the words of the tool', () => {
    const failed = chunk('tool-error', { toolCallId: 'call_1', toolName: 'weather', error: { message: 'SECRET' } })
    const read = readAll([...step, failed, finish('stop')])
    expect(read.results).toEqual([{ id: 'call_1', output: null, error: expect.any(String) }])
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('of a network is what its agents say, complete at its own end', () => {
    const of = (type: string, payload: object) => ({ ...chunk(type, payload), from: 'NETWORK' })
    const inner = (type: string, payload: object) => of(`agent-execution-event-${type}`, chunk(type, payload))
    const said = [inner('text-delta', { text: 'Hello' }), inner('finish', { stepResult: { reason: 'stop' } })]
    expect(readAll(said)).toMatchObject({ text: 'Hello', proof: 'missing' })
    const end = of('network-execution-event-finish', { usage: { inputTokens: 1, outputTokens: 2 } })
    expect(readAll([...said, end])).toMatchObject({ proof: 'given', usage: { inputTokens: 1, outputTokens: 2 } })
  })

  it('of a network has what it says at the end as a paragraph, and may wait for a person in an agent', () => {
    const of = (type: string, payload: object) => ({ ...chunk(type, payload), from: 'NETWORK' })
    const said = of('agent-execution-event-text-delta', chunk('text-delta', { text: 'Hello' }))
    const read = readAll([said, of('routing-agent-text-start', {}), of('routing-agent-text-delta', { text: 'All.' })])
    expect(read.text).toBe('Hello\n\nAll.')
    for (const type of ['agent-execution-approval', 'tool-execution-suspended', 'workflow-execution-suspended'])
      expect(readAll([said, of(type, { toolCallId: 'c', suspendPayload: 'SECRET' })])).toMatchObject({
        proof: 'given',
        finishReason: 'tool-calls',
      })
  })

  it('of a workflow is what the agents of its steps say; what a step was given, wrote and gave stays here', () => {
    const of = (type: string, payload: object) => ({ ...chunk(type, payload), from: 'WORKFLOW' })
    const wrote = (output: object) => ({ ...chunk('workflow-step-output', { output, stepName: 's' }), from: 'USER' })
    const steps = [
      of('workflow-start', { workflowId: 'w' }),
      of('workflow-step-start', { payload: { prompt: 'SECRET' } }),
      wrote({ type: 'note', text: 'SECRET' }),
      ...[chunk('start'), ...step, finish('stop')].map(wrote),
      of('workflow-step-result', { output: { text: 'SECRET' } }),
    ]
    expect(readAll(steps).proof).toBe('missing')
    const read = readAll([...steps, of('workflow-finish', { workflowStatus: 'success' })])
    expect(read).toMatchObject({ proof: 'given', text: 'Hello world', calls: [{ id: 'call_1' }], data: [] })
    expect(JSON.stringify(read)).not.toContain('SECRET')
    // Where its agent failed, the workflow may go on; where it did not, it says so.
    expect(readAll([...steps, of('workflow-finish', { workflowStatus: 'suspended' })])).toMatchObject({
      proof: 'given',
      finishReason: 'tool-calls',
    })
  })

  it('of a workflow is complete when it succeeded, and a failure when it failed', () => {
    const end = (workflowStatus: string) => ({
      ...chunk('workflow-finish', { workflowStatus, output: { usage: { inputTokens: 3, outputTokens: 4 } } }),
      from: 'WORKFLOW',
    })
    expect(readAll([end('success')])).toMatchObject({ proof: 'given', usage: { inputTokens: 3 } })
    expect(readAll([end('failed')]).errors).toHaveLength(1)
  })
})
