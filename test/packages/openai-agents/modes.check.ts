/** Do the runs of @openai/agents come out right that hand on, wait for a person, or come to their limits? */
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from '@openai/agents'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { arrive, calls, provider, SECRET, says, saysHalf, shown, text } from '../modes.js'

setTracingDisabled(true)

const runnerAt = (url: string) =>
  new Runner({
    modelProvider: new OpenAIProvider({
      openAIClient: new OpenAI({ apiKey: SECRET, baseURL: `${url}/v1`, maxRetries: 0 }) as never,
      useResponses: false,
    }),
  })
const weather = (needsApproval: boolean) =>
  tool({
    name: 'weather',
    description: SECRET,
    parameters: z.object({ city: z.string() }),
    needsApproval,
    execute: async () => SECRET,
  })
const base = { name: 'a', instructions: SECRET, model: 'm' }

describe('a run of @openai/agents', () => {
  const other = new Agent({ ...base, name: 'billing' })
  const agent = new Agent({ ...base, handoffs: [other] })
  const handsOn = calls('transfer_to_billing', '{}')

  it('that hands on has both agents’ texts, and closes the call of the hand-off', async () => {
    const url = await provider(says(handsOn), says(text('2', 'I am ', 'billing.')))
    const told = await arrive(({ signal }) => runnerAt(url).run(agent, 'Hi', { stream: true, signal }))
    expect(told).toMatchObject({ outcome: 'done', finishReason: 'stop', text: 'Let me see.\n\nI am billing.' })
    expect(told.results).toMatchObject([{ id: 'call_1', output: null }])
  })

  it('that hands on is truncated where the second agent’s answer was cut', async () => {
    const url = await provider(says(handsOn), saysHalf(text('2', 'I am ')))
    const told = await arrive(({ signal }) => runnerAt(url).run(agent, 'Hi', { stream: true, signal }))
    expect(told.outcome).toBe('truncated')
  })

  it('that waits for an approval has ended for now, and asks no client to run the call', async () => {
    const url = await provider(says(calls('weather')))
    const agent = new Agent({ ...base, tools: [weather(true)] })
    const told = await arrive(({ signal }) => runnerAt(url).run(agent, 'Hi', { stream: true, signal }))
    expect(told).toMatchObject({ outcome: 'done', finishReason: 'tool-calls', results: [] })
    expect(told.calls.at(-1)).toMatchObject({ executed: true, done: true, approval: 'call_1' })
  })

  it('asks a page, and what comes of the answer is of the call that waited', async () => {
    const runner = runnerAt(await provider(says(calls('weather')), says(text('2', 'It rains.'))))
    const agent = new Agent({ ...base, tools: [weather(true)] })
    let run: Awaited<ReturnType<typeof stream>> | undefined
    const stream = (signal: AbortSignal) => runner.run(agent, 'Hi', { stream: true, signal })
    const asked = await shown(async ({ signal }) => {
      run = await stream(signal)
      return run
    })
    expect(asked.parts.at(-1)).toMatchObject({ state: 'approval-requested', approval: { id: 'call_1' } })
    const { state, interruptions } = run as NonNullable<typeof run>
    for (const one of interruptions) state.approve(one)
    const answered = await shown(({ signal }) => runner.run(agent, state, { stream: true, signal }), asked)
    expect(answered.id).toBe(asked.id)
    expect(answered.parts.filter(({ type }) => type !== 'step-start')).toMatchObject([
      { text: 'Let me see.' },
      { toolCallId: 'call_1', input: { city: 'Oslo' }, state: 'output-available', output: null },
      { text: 'It rains.' },
    ])
  })

  it('that comes to its limit of turns says what it was given to say', async () => {
    const url = await provider(says(calls('weather')))
    const agent = new Agent({ ...base, tools: [weather(false)] })
    const told = await arrive(({ signal }) =>
      runnerAt(url).run(agent, 'Hi', {
        stream: true,
        signal,
        maxTurns: 1,
        errorHandlers: { maxTurns: () => ({ finalOutput: 'I gave up.' }) },
      }),
    )
    expect(told).toMatchObject({ outcome: 'done', finishReason: 'stop', text: 'Let me see.\n\nI gave up.' })
  })
})
