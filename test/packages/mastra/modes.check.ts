/** Do the runs of Mastra come out right that wait for a person, that a guardrail stops, and those of a workflow? */
import { createOpenAI } from '@ai-sdk/openai'
import { Agent } from '@mastra/core/agent'
import { Mastra } from '@mastra/core/mastra'
import { InMemoryStore } from '@mastra/core/storage'
import { createTool } from '@mastra/core/tools'
import { createStep, createWorkflow } from '@mastra/core/workflows'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { arrive, calls, provider, SECRET, says, shown, text } from '../modes.js'

const tools = {
  weather: createTool({
    id: 'weather',
    description: SECRET,
    inputSchema: z.object({ city: z.string() }),
    execute: async () => ({ rain: SECRET }),
  }),
}

function agentAt(url: string, more: object = {}): Agent {
  const model = createOpenAI({ apiKey: SECRET, baseURL: `${url}/v1` }).chat('m') as never
  const agent = new Agent({ id: 'a', name: 'a', instructions: SECRET, model, maxRetries: 0, ...more })
  new Mastra({ agents: { a: agent }, storage: new InMemoryStore(), logger: false })
  return agent
}

describe('a run of Mastra', () => {
  it('that waits for an approval has ended for now, and asks no client to run the call', async () => {
    const agent = agentAt(await provider(says(calls('weather'))), { tools })
    const told = await arrive(({ signal }) => agent.stream('Hi', { requireToolApproval: true, abortSignal: signal }))
    expect(told).toMatchObject({ outcome: 'done', finishReason: 'tool-calls', text: 'Let me see.', results: [] })
    expect(told.calls.at(-1)).toMatchObject({ executed: true, done: true, approval: 'call_1' })
  })

  it('asks a page, and what comes of the answer is of the call that waited', async () => {
    const agent = agentAt(await provider(says(calls('weather')), says(text('2', 'It rains.'))), { tools })
    let runId = ''
    const asked = await shown(async ({ signal }) => {
      const stream = await agent.stream('Hi', { requireToolApproval: true, abortSignal: signal })
      runId = stream.runId
      return stream
    })
    expect(asked.parts.at(-1)).toMatchObject({ state: 'approval-requested', approval: { id: 'call_1' } })
    const answered = await shown(
      ({ signal }) => agent.approveToolCall({ runId, toolCallId: 'call_1', abortSignal: signal }),
      asked,
    )
    expect(answered.id).toBe(asked.id)
    expect(answered.parts.filter(({ type }) => type !== 'step-start')).toMatchObject([
      { text: 'Let me see.' },
      { toolCallId: 'call_1', input: { city: 'Oslo' }, state: 'output-available', output: null },
      { text: 'It rains.' },
    ])
  })

  it.each([
    ['before its model is asked', { inputProcessors: [{ id: 'p', processInput: stop }] }, ''],
    ['amid its text', { outputProcessors: [{ id: 'p', processOutputStream: stopAtText }] }, 'Hello '],
  ])('that a guardrail stops %s is filtered', async (_, processors, said) => {
    const agent = agentAt(await provider(says(text('1', 'Hello ', 'bad ', 'word'))), processors)
    const told = await arrive(({ signal }) => agent.stream('Hi', { abortSignal: signal }))
    expect(told).toMatchObject({ outcome: 'done', finishReason: 'content-filter', text: said })
  })

  it.each([false, true])('of a workflow has the text of its agent; then a step fails: %s', async (fails) => {
    const agent = agentAt(await provider(says(text('1', 'Hello ', 'there.'))))
    const any = { inputSchema: z.any(), outputSchema: z.any() }
    const first = createStep({ ...any, id: 'first', execute: async () => ({ prompt: SECRET }) })
    const last = createStep({
      ...any,
      id: 'last',
      execute: async () => {
        if (fails) throw new Error(SECRET)
        return { secret: SECRET }
      },
    })
    const workflow = createWorkflow({ ...any, id: 'w' })
      .then(first)
      .then(createStep(agent) as never)
      .then(last)
      .commit()
    new Mastra({ workflows: { w: workflow }, storage: new InMemoryStore(), logger: false })
    const run = await workflow.createRun()
    const told = await arrive(() => run.stream({ inputData: {} }).fullStream)
    expect(told).toMatchObject({ outcome: fails ? 'error' : 'done', text: 'Hello there.' })
  })
})

function stop({ abort }: { abort(reason: string): never }): never {
  return abort(SECRET)
}

function stopAtText({ part, abort }: { part: { payload?: { text?: string } }; abort(reason: string): never }) {
  if (part.payload?.text === 'bad ') abort(SECRET)
  return part
}
