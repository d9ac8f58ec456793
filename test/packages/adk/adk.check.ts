/** Do the streams of Google's Agent Development Kit come out right? */
import { FunctionTool, Gemini, InMemoryRunner, LlmAgent, LogLevel, StreamingMode, setLogLevel } from '@google/adk'
import { z } from 'zod'
import { AFTER, CALL, describePackage, type PackageStream, SECRET } from '../harness.js'
import { gemini } from '../wires.js'

setLogLevel(LogLevel.ERROR)

const weather = new FunctionTool({
  name: 'weather',
  description: SECRET,
  parameters: z.object({ city: z.string() }),
  execute: () => ({ rain: SECRET }),
})

/** `runner.runAsync()`. */
function open(streamingMode: StreamingMode): PackageStream['open'] {
  return (url, signal) => {
    process.env.GOOGLE_GEMINI_BASE_URL = url
    const model = new Gemini({ model: 'gemini-2.5-flash', apiKey: SECRET })
    const agent = new LlmAgent({ name: 'a', model, instruction: SECRET, tools: [weather] })
    const runner = new InMemoryRunner({ agent, appName: 'app' })
    return run(runner, streamingMode, signal)
  }
}

async function run(runner: InMemoryRunner, streamingMode: StreamingMode, abortSignal: AbortSignal | undefined) {
  const session = await runner.sessionService.createSession({ appName: 'app', userId: SECRET })
  const newMessage = { role: 'user', parts: [{ text: 'Hi' }] }
  const ids = { userId: SECRET, sessionId: session.id }
  return runner.runAsync({ ...ids, newMessage, runConfig: { streamingMode }, ...(abortSignal && { abortSignal }) })
}

describePackage('@google/adk', [
  {
    name: 'runAsync, sse',
    wire: gemini,
    turns: [CALL, AFTER],
    open: open(StreamingMode.SSE),
    bare: 'never',
    signalOnly: 'the Google ADK',
    // The ids of calls are its own.
    differs: { whole: { calls: [{ name: 'weather', input: '{"city":"Oslo"}' }] } },
  },
])
