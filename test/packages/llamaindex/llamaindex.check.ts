/** Does the stream of LlamaIndex come out right? */
import { OpenAI } from '@llamaindex/openai'
import { describePackage, SECRET } from '../harness.js'
import { openaiChat } from '../wires.js'

describePackage('LlamaIndex', [
  {
    name: '@llamaindex/openai, chat',
    wire: openaiChat,
    open: (url) =>
      new OpenAI({ model: 'gpt-5.5' as never, apiKey: SECRET, baseURL: `${url}/v1`, maxRetries: 0 }).chat({
        messages: [
          { role: 'system', content: SECRET },
          { role: 'user', content: 'Hi' },
        ],
        stream: true,
      }),
    differs: {
      // It leaves out the chunks that hold only reasoning.
      whole: { reasoning: '' },
    },
    bare: 'never',
    signal: 'never',
    signalOnly: 'LlamaIndex',
  },
])
