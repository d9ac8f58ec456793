/** Do the streams of Genkit come out right? */
import { openAICompatible } from '@genkit-ai/compat-oai'
import { genkit, z } from 'genkit'
import { describePackage, type PackageStream, SECRET } from '../harness.js'
import { openaiChat } from '../wires.js'

function ask(url: string, abortSignal: AbortSignal | undefined) {
  const ai = genkit({
    plugins: [openAICompatible({ name: 'fake', apiKey: SECRET, baseURL: `${url}/v1`, maxRetries: 0 })],
  })
  const weather = ai.defineTool(
    { name: 'weather', description: 'd', inputSchema: z.object({ city: z.string() }) },
    async () => SECRET,
  )
  return ai.generateStream({
    model: 'fake/gpt-5.5',
    system: SECRET,
    prompt: 'Hi',
    tools: [weather],
    // The call goes to the client instead of Genkit's own loop.
    returnToolRequests: true,
    ...(abortSignal && { abortSignal }),
  })
}

// Only the model's own plugin knows of cached and thought tokens, and this one says neither.
const usage = { inputTokens: 25, outputTokens: 15, totalTokens: 40 }
const common = { wire: openaiChat, bare: 'never', signalOnly: 'Genkit' } as const

const streams: PackageStream[] = [
  {
    name: 'generateStream',
    open: (url, signal) => ask(url, signal),
    differs: { whole: { usage } },
    ...common,
  },
  {
    name: 'the stream of generateStream alone',
    open: (url, signal) => {
      const { stream, response } = ask(url, signal)
      response.catch(() => {})
      return stream
    },
    differs: { whole: { usage: undefined } },
    ...common,
  },
]
describePackage('Genkit', streams)
