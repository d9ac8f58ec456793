/** Do the runs of xsai come out right that call several tools at once, and whose later turn is cut? */
import { describe, expect, it } from 'vitest'
import { streamText, tool } from 'xsai'
import { z } from 'zod'
import { arrive, calls, provider, SECRET, says, saysHalf, text } from '../modes.js'

async function ask(url: string, abortSignal: AbortSignal) {
  const weather = await tool({
    name: 'weather',
    description: SECRET,
    parameters: z.object({ city: z.string() }),
    execute: () => SECRET,
  })
  return streamText({
    apiKey: SECRET,
    baseURL: `${url}/v1/`,
    model: 'm',
    messages: [{ role: 'user', content: 'Hi' }],
    tools: [weather],
    maxSteps: 3,
    streamOptions: { includeUsage: true },
    abortSignal,
  })
}

/** Two calls in one answer. */
const both = says(calls('weather')).replace(
  /data: \{[^\n]*"finish_reason":"tool_calls"/,
  (finish) =>
    `data: ${JSON.stringify({
      id: 'chatcmpl-1',
      choices: [
        {
          index: 0,
          delta: {
            tool_calls: [
              { index: 1, id: 'call_2', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
            ],
          },
          finish_reason: null,
        },
      ],
    })}\n\n${finish}`,
)

describe('a run of xsai', () => {
  it('that calls two tools tells each call once', async () => {
    const url = await provider(both, says(text('2', 'It ', 'rains.')))
    const told = await arrive(({ signal }) => ask(url, signal))
    expect(told).toMatchObject({ outcome: 'done', finishReason: 'stop', text: 'Let me see.\n\nIt rains.' })
    expect(told.calls.flatMap((call) => ('id' in call && call.id ? [call.id] : []))).toEqual(['call_1', 'call_2'])
    expect(told.results).toMatchObject([{ id: 'call_1' }, { id: 'call_2' }])
  })

  it('is truncated where its second turn was cut', async () => {
    const url = await provider(says(calls('weather')), saysHalf(text('2', 'It ')))
    expect((await arrive(({ signal }) => ask(url, signal))).outcome).toBe('truncated')
  })
})
