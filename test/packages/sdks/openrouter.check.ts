/** Do the streams of @openrouter/sdk come out right? */
import { OpenRouter } from '@openrouter/sdk'
import { describePackage, SECRET } from '../harness.js'
import { openrouter } from '../wires.js'

describePackage('@openrouter/sdk', [
  {
    name: 'chat.send',
    wire: openrouter,
    open: (url, signal) =>
      new OpenRouter({ apiKey: SECRET, serverURL: url, retryConfig: { strategy: 'none' } }).chat.send(
        {
          chatRequest: {
            model: 'm',
            messages: [
              { role: 'system', content: SECRET },
              { role: 'user', content: 'Hi' },
            ],
            stream: true,
          },
        },
        signal ? { signal } : {},
      ),
    bare: 'stops',
  },
])
