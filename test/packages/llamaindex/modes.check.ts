/** Does the workflow of an agent of LlamaIndex come out right? */
import { OpenAI } from '@llamaindex/openai'
import { agent } from '@llamaindex/workflow'
import { tool } from 'llamaindex'
import { describe, expect, it } from 'vitest'
import { arrive, calls, provider, SECRET, says, saysHalf, text } from '../modes.js'

const weather = tool({
  name: 'weather',
  description: SECRET,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } as never,
  execute: () => SECRET,
})
const agentAt = (url: string) =>
  agent({
    llm: new OpenAI({ model: 'gpt-5.5' as never, apiKey: SECRET, baseURL: `${url}/v1`, maxRetries: 0 }),
    tools: [weather as never],
    systemPrompt: SECRET,
  })

describe('an agent of LlamaIndex', () => {
  it('has what its model says and calls, and nothing of its prompts and state', async () => {
    const url = await provider(says(calls('weather')), says(text('2', 'It ', 'rains.')))
    const told = await arrive(() => agentAt(url).runStream('Hi'))
    expect(told).toMatchObject({ outcome: 'done', finishReason: 'stop', text: 'Let me see.\n\nIt rains.' })
    expect(told.calls.at(-1)).toMatchObject({ executed: true, done: true })
    expect(told.results).toMatchObject([{ id: 'call_1', output: null }])
  })

  it('is truncated where its last answer was cut', async () => {
    const url = await provider(says(calls('weather')), saysHalf(text('2', 'It ')))
    const told = await arrive(() => agentAt(url).runStream('Hi'))
    expect(told.outcome).toBe('truncated')
  })
})
