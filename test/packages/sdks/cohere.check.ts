/** Do the streams of cohere-ai come out right? */
import { CohereClientV2 } from 'cohere-ai'
import { describePackage, SECRET } from '../harness.js'
import { cohere } from '../wires.js'

describePackage('cohere-ai', [
  {
    name: 'chatStream',
    wire: cohere,
    open: (url, signal) =>
      new CohereClientV2({ token: SECRET, environment: url, maxRetries: 0 } as never).chatStream(
        {
          model: 'm',
          messages: [
            { role: 'system', content: SECRET },
            { role: 'user', content: 'Hi' },
          ],
        },
        signal ? { abortSignal: signal } : {},
      ),
    bare: 'at a token',
    signalOnly: 'Cohere',
    // It counts no reasoning and no total.
    differs: { whole: { usage: { inputTokens: 25, outputTokens: 15, cachedInputTokens: 5 } } },
  },
])
