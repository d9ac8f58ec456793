import { describe, expect, it } from 'vitest'
import { toFailure } from '../../src/failure.js'
import { readAll } from './read-all.js'

const event = (fields: object) => ({
  invocationId: 'e-1',
  author: 'a',
  actions: { stateDelta: { note: 'SECRET' } },
  ...fields,
})
const says = (partial: boolean, ...parts: object[]) => event({ partial, content: { role: 'model', parts } })
const usageMetadata = { promptTokenCount: 25, candidatesTokenCount: 11, thoughtsTokenCount: 4, totalTokenCount: 40 }
const finish = event({ partial: false, finishReason: 'STOP', usageMetadata })
const call = { functionCall: { id: 'adk-1', name: 'weather', args: { city: 'Oslo' } } }
const answer = event({
  content: { role: 'user', parts: [{ functionResponse: { id: 'adk-1', name: 'weather', response: { rain: true } } }] },
})
const partials = [
  says(true, { text: 'Let me ', thought: true }),
  says(true, { text: 'Hello ' }),
  says(true, { text: 'world' }),
]
const whole = says(false, { text: 'Let me ', thought: true }, { text: 'Hello world' })

describe('a stream of the Google ADK', () => {
  it('is read once: its whole events repeat the partial ones', () => {
    const read = readAll([...partials, whole, finish])
    expect(read).toMatchObject({
      proof: 'given',
      text: 'Hello world',
      reasoning: 'Let me ',
      finishReason: 'stop',
      usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40, reasoningTokens: 4 },
      signalOnly: 'the Google ADK',
      errors: [],
      data: [],
    })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('without streaming has its text in whole events', () => {
    expect(readAll([{ ...whole, finishReason: 'STOP', usageMetadata }])).toMatchObject({
      text: 'Hello world',
      proof: 'given',
    })
  })

  it('goes on after its tools have answered: only then comes its last word', () => {
    const turn = [...partials, whole, says(false, call), answer, finish]
    expect(readAll(turn)).toMatchObject({
      proof: 'missing',
      calls: [{ id: 'adk-1', name: 'weather', input: '{"city":"Oslo"}', done: true, executed: true }],
      results: [{ id: 'adk-1', output: { rain: true } }],
    })
    const next = [says(true, { text: 'It rains.' }), { ...says(false, { text: 'It rains.' }), finishReason: 'STOP' }]
    expect(readAll([...turn, ...next])).toMatchObject({
      proof: 'given',
      text: 'Hello world\n\nIt rains.',
      finishReason: 'stop',
    })
  })

  it('that ends with what a tool answered, because that was said, is complete', () => {
    const last = { ...answer, actions: { skipSummarization: true } }
    expect(readAll([says(false, call), finish, last]).proof).toBe('given')
  })

  it('has no partial calls: their arguments may not be whole', () => {
    const partial = says(true, { functionCall: { id: 'adk-1', name: 'weather', args: { ci: '' } } })
    expect(readAll([partial, says(false, call)]).calls).toMatchObject([{ input: '{"city":"Oslo"}' }])
  })

  it('waits for a call that takes long: that is for the client', () => {
    const long = { ...says(false, call), longRunningToolIds: ['adk-1'] }
    const { calls } = readAll([long])
    expect(calls[0]?.executed).toBeUndefined()
  })

  it('that was cut has no proof, though all of its text came whole', () => {
    expect(readAll([...partials, whole]).proof).toBe('missing')
  })

  it.each([
    ['429', 'SECRET', 'rate-limit'],
    ['UNKNOWN_ERROR', 'got status: INTERNAL. {"error":{"code":503,"message":"SECRET"}}', 'overload'],
    ['UNKNOWN_ERROR', 'SECRET', 'upstream-failure'],
  ])('tells the failure %s %s by its status', (errorCode, errorMessage, code) => {
    const { errors } = readAll([event({ errorCode, errorMessage })])
    expect(toFailure(errors[0])).toMatchObject({ code, message: expect.not.stringContaining('SECRET') })
  })

  it.each([
    ['SAFETY', 'content-filter'],
    ['PROHIBITED_CONTENT', 'content-filter'],
    ['MAX_TOKENS', 'length'],
  ])('that has %s for an error has a finish', (errorCode, finishReason) => {
    expect(readAll([event({ errorCode })])).toMatchObject({ finishReason, proof: 'given', errors: [] })
  })

  it('passes over what the user said', () => {
    expect(readAll([{ ...says(false, { text: 'SECRET' }), author: 'user' }]).text).toBe('')
  })
})
