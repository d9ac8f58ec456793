/** Do the streams of Mastra's agents come out right? */
import { createOpenAI } from '@ai-sdk/openai'
import { Agent } from '@mastra/core/agent'
import { createTool } from '@mastra/core/tools'
import { z } from 'zod'
import { AFTER, CALL, describePackage, type PackageStream, SECRET } from '../harness.js'
import { openaiChat, openaiResponses } from '../wires.js'

const weather = createTool({
  id: 'weather',
  description: SECRET,
  inputSchema: z.object({ city: z.string() }),
  execute: async () => ({ rain: SECRET }),
})

/** What `agent.stream()` resolves to, or its `fullStream`. */
function open(api: 'chat' | 'responses', whole: boolean): PackageStream['open'] {
  return async (url, signal) => {
    // Its own types are of another version of the provider's interface.
    const model = createOpenAI({ apiKey: SECRET, baseURL: `${url}/v1` })[api]('m') as never
    const agent = new Agent({ id: 'a', name: SECRET, instructions: SECRET, model, tools: { weather }, maxRetries: 0 })
    // It would log what the provider refused.
    agent.__setLogger({ error() {}, warn() {}, info() {}, debug() {}, trackException() {} } as never)
    const output = await agent.stream('Hi', {
      modelSettings: { maxRetries: 0 },
      ...(signal && { abortSignal: signal }),
    })
    return whole ? output : output.fullStream
  }
}

const common = { turns: [CALL, AFTER], bare: 'never', signalOnly: 'Mastra' } as const
// The `finish` counts all steps; what was cached and thought it adds up as well.
const usage = { inputTokens: 50, outputTokens: 30, totalTokens: 80, cachedInputTokens: 10, reasoningTokens: 8 }
// It asks again five times after a cut, text after text.
const again = Array(5).fill('Hello world').join('\n\n')

describePackage('Mastra', [
  {
    ...common,
    name: 'agent.stream, OpenAI Responses',
    wire: openaiResponses,
    open: open('responses', true),
    differs: { whole: { usage }, cut: { text: again } },
  },
  {
    ...common,
    name: 'agent.stream().fullStream, OpenAI chat',
    wire: openaiChat,
    open: open('chat', false),
    differs: { whole: { usage, reasoning: '' }, cut: { text: again } },
  },
])
