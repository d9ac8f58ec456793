/** Do the streams of AG-UI's own client and of TanStack AI come out right? */
import { HttpAgent } from '@ag-ui/client'
import { chat } from '@tanstack/ai'
import { createOpenaiChat, createOpenaiChatCompletions } from '@tanstack/ai-openai'
import { describePackage, type PackageStream, SECRET, type Seen } from '../harness.js'
import { openaiChat, openaiResponses } from '../wires.js'
import { agui } from './wires.js'

const input = { threadId: 't_1', runId: 'r_1', state: {}, tools: [], context: [], forwardedProps: {} }

/** TanStack takes a controller, not a signal. */
function controllerOf(signal: AbortSignal | undefined): AbortController {
  const controller = new AbortController()
  signal?.addEventListener('abort', () => controller.abort())
  return controller
}

/**
 * When a connection breaks, the agent (1.0.0) cancels what is broken and lets the rejection of that end the process,
 * whoever reads it: here its cancelling does not reject.
 */
const calmly: typeof fetch = async (input, init) => {
  const response = await fetch(input, init)
  if (!response.ok) return response
  const reader = response.body?.getReader()
  const cancel = () => reader?.cancel().catch(() => {})
  return Object.defineProperty(response, 'body', {
    value: { getReader: () => ({ read: () => reader?.read(), cancel }) },
  })
}

type Adapter = Parameters<typeof chat>[0]['adapter']
const tanstack = (
  name: string,
  wire: PackageStream['wire'],
  adapter: (baseURL: string) => Adapter,
  whole: Partial<Seen> = {},
): PackageStream => ({
  name,
  wire,
  open: (url, signal) =>
    chat({
      adapter: adapter(`${url}/v1`),
      messages: [{ role: 'user', content: 'Hi' }],
      systemPrompts: [SECRET],
      tools: [
        {
          name: 'weather',
          description: 'd',
          inputSchema: { type: 'object', properties: { city: { type: 'string' } } },
        },
      ],
      abortController: controllerOf(signal),
    } as Parameters<typeof chat>[0]),
  bare: 'at a token',
  signalOnly: 'TanStack AI',
  differs: { whole, cut: { outcome: 'done', code: undefined } },
  hides: "TanStack AI 0.58 says `RUN_FINISHED` with the reason `stop` after a provider's stream that was cut",
})

describePackage('AG-UI', [
  {
    name: '@ag-ui/client, HttpAgent.run, an Observable',
    wire: agui,
    open: (url, signal) => {
      const agent = new HttpAgent({ url, fetch: calmly })
      signal?.addEventListener('abort', () => agent.abortRun())
      return agent.run({ ...input, messages: [{ id: 'u_1', role: 'user', content: 'Hi' }] })
    },
    // To unsubscribe from it stops nothing; its own `abortRun` does.
    bare: 'never',
  },
  {
    name: 'a fetch Response of an AG-UI server',
    wire: agui,
    open: (url, signal) => fetch(url, { method: 'POST', body: '{}', ...(signal && { signal }) }),
    bare: 'stops',
  },
  tanstack('@tanstack/ai, Responses', openaiResponses, (baseURL) =>
    createOpenaiChat('gpt-5.5', SECRET, { baseURL, maxRetries: 0 }),
  ),
  tanstack(
    '@tanstack/ai, chat completions',
    openaiChat,
    (baseURL) => createOpenaiChatCompletions('gpt-5.5', SECRET, { baseURL, maxRetries: 0 }),
    // It does not read what DeepSeek and others think aloud.
    { reasoning: '' },
  ),
])
