/** Do the streams of Strands Agents come out right? */
import { Agent, Message, TextBlock, tool } from '@strands-agents/sdk'
import { OpenAIModel } from '@strands-agents/sdk/models/openai'
import { z } from 'zod'
import { AFTER, CALL, describePackage, SECRET } from '../harness.js'
import { openaiChat } from '../wires.js'

const modelOf = (url: string) =>
  new OpenAIModel({
    api: 'chat',
    apiKey: SECRET,
    modelId: 'gpt-5.5',
    clientConfig: { baseURL: `${url}/v1`, maxRetries: 0 },
  })

const weather = tool({
  name: 'weather',
  description: 'd',
  inputSchema: z.object({ city: z.string() }),
  callback: () => SECRET,
})

// It does not pass on how many of the tokens were reasoning, nor OpenAI's reasoning itself.
const differs = {
  reasoning: '',
  usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40, cachedInputTokens: 5 },
}

describePackage('Strands Agents', [
  {
    name: '@strands-agents/sdk, Agent.stream, two turns',
    wire: openaiChat,
    turns: [CALL, AFTER],
    open: (url, cancelSignal) =>
      new Agent({
        model: modelOf(url),
        systemPrompt: SECRET,
        tools: [weather],
        printer: false,
        retryStrategy: null,
      }).stream('Hi', cancelSignal ? { cancelSignal } : {}),
    differs: { whole: { ...differs, text: 'Hello world\n\nIt rains.' } },
    bare: 'never',
    signalOnly: 'Strands Agents',
  },
  {
    name: "@strands-agents/sdk, a model's own stream",
    wire: openaiChat,
    open: (url, cancelSignal) =>
      modelOf(url).stream([new Message({ role: 'user', content: [new TextBlock('Hi')] })], {
        systemPrompt: SECRET,
        toolSpecs: [weather.toolSpec],
        ...(cancelSignal && { cancelSignal }),
      } as never),
    differs: { whole: differs },
    bare: 'never',
    signalOnly: 'Strands Agents',
  },
])
