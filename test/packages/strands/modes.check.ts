/** Do the graphs of Strands Agents come out right, whose agents speak one after the other or at once? */
import { Agent, Graph } from '@strands-agents/sdk'
import { OpenAIModel } from '@strands-agents/sdk/models/openai'
import { describe, expect, it } from 'vitest'
import { arrive, provider, SECRET, says, saysHalf, text } from '../modes.js'

function graphAt(url: string, edges: [string, string][]): Graph {
  const node = (id: string) =>
    new Agent({
      id,
      name: id,
      systemPrompt: SECRET,
      printer: false,
      retryStrategy: null,
      model: new OpenAIModel({
        api: 'chat',
        apiKey: SECRET,
        modelId: 'm',
        clientConfig: { baseURL: `${url}/v1`, maxRetries: 0 },
      }),
    })
  return new Graph({
    nodes: [node('one'), node('two')],
    edges,
    maxSteps: 4,
    ...(edges.length === 0 && { sources: ['one', 'two'] }),
  })
}

describe('a graph of Strands Agents', () => {
  it('has what its agents say, as paragraphs', async () => {
    const url = await provider(says(text('1', 'One ', 'says.')), says(text('2', 'Two ', 'says.')))
    const told = await arrive(() => graphAt(url, [['one', 'two']]).stream('Hi'))
    expect(told).toMatchObject({ outcome: 'done', finishReason: 'stop', text: 'One says.\n\nTwo says.' })
  })

  it('has failed where one of them did', async () => {
    const url = await provider(says(text('1', 'One ', 'says.')), saysHalf(text('2', 'Two ')))
    const told = await arrive(() => graphAt(url, [['one', 'two']]).stream('Hi'))
    expect(told.outcome).toBe('error')
  })

  it('whose agents speak at once is whole', async () => {
    const url = await provider(says(text('1', 'a', 'a')), says(text('2', 'b', 'b')))
    const told = await arrive(() => graphAt(url, []).stream('Hi'))
    expect(told.outcome).toBe('done')
    expect(told.text.replace(/\W/g, '').split('').sort().join('')).toBe('aabb')
  })
})
