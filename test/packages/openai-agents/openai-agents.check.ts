/** Do the streams of @openai/agents come out right? */
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from '@openai/agents'
import OpenAI from 'openai'
import { z } from 'zod'
import { AFTER, CALL, describePackage, type PackageStream, SECRET } from '../harness.js'
import { openaiChat, openaiResponses } from '../wires.js'

setTracingDisabled(true)

const weather = tool({
  name: 'weather',
  description: SECRET,
  parameters: z.object({ city: z.string() }),
  execute: async () => `${SECRET} rain`,
})

/** `run(agent, input, { stream: true, signal })`, with a client of one's own. */
function open(useResponses: boolean): PackageStream['open'] {
  return (url, signal) => {
    // The compiler takes its class for that of another folder of packages.
    const openAIClient = new OpenAI({ apiKey: SECRET, baseURL: `${url}/v1`, maxRetries: 0 })
    const runner = new Runner({
      modelProvider: new OpenAIProvider({ openAIClient: openAIClient as never, useResponses }),
    })
    const agent = new Agent({ name: SECRET, instructions: SECRET, model: 'm', tools: [weather] })
    return runner.run(agent, 'Hi', { stream: true, ...(signal && { signal }) })
  }
}

const common = { turns: [CALL, AFTER], bare: 'stops' } as const

describePackage('@openai/agents', [
  { ...common, name: 'run, OpenAI chat', wire: openaiChat, open: open(false) },
  { ...common, name: 'run, OpenAI Responses', wire: openaiResponses, open: open(true) },
])
