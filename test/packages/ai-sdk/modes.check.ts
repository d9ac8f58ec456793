/** Do the runs of the AI SDK come out right that wait for an approval? */
import { createOpenAI as openai7 } from '@ai-sdk/openai'
import * as ai7 from 'ai'
import * as ai6 from 'ai6'
import { createOpenAI as openai6 } from 'openai6'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { arrive, calls, provider, SECRET, says } from '../modes.js'

interface Result {
  fullStream: unknown
  toUIMessageStream(): unknown
}
type Version = [number, (options: object) => Result, (options: object) => { chat(model: string): unknown }]
const versions = [
  [6, ai6.streamText, openai6],
  [7, ai7.streamText, openai7],
] as unknown as Version[]

describe.each(versions)('a run of the AI SDK, version %s', (version, streamText, createOpenAI) => {
  const ask = async (abortSignal: AbortSignal) =>
    streamText({
      model: createOpenAI({ apiKey: SECRET, baseURL: `${await provider(says(calls('weather')))}/v1` }).chat('m'),
      [version === 7 ? 'instructions' : 'system']: SECRET,
      messages: [{ role: 'user', content: 'Hi' }],
      tools: {
        weather: {
          description: 'd',
          inputSchema: z.object({ city: z.string() }),
          needsApproval: true,
          execute: async () => SECRET,
        },
      },
      ...(version === 7 && { toolApproval: { weather: 'user-approval' } }),
      abortSignal,
    })

  it.each([
    ['the full stream', (result: Result) => result],
    ['the UI message stream', (result: Result) => result.toUIMessageStream()],
  ])('that waits for an approval asks no client to run the call: %s', async (_, open) => {
    const told = await arrive((async ({ signal }: { signal: AbortSignal }) => open(await ask(signal))) as never)
    expect(told).toMatchObject({ outcome: 'done', finishReason: 'tool-calls', text: 'Let me see.', results: [] })
    expect(told.calls.at(-1)).toMatchObject({ executed: true, done: true })
  })
})
