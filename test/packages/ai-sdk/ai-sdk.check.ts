/** Do the streams of the AI SDK come out right, in each of its versions: 4, 5, 6 and 7? */
import { createOpenAI as openai7 } from '@ai-sdk/openai'
import * as ai7 from 'ai'
import * as ai4 from 'ai4'
import * as ai5 from 'ai5'
import * as ai6 from 'ai6'
import { createOpenAI as openai4 } from 'openai4'
import { createOpenAI as openai5 } from 'openai5'
import { createOpenAI as openai6 } from 'openai6'
import { z } from 'zod'
import { describePackage, type PackageStream, SECRET } from '../harness.js'
import { openaiChat, openaiResponses } from '../wires.js'

/** What is used of every version, whose types have nothing in common. */
interface Version {
  streamText(options: object): Result
  ToolLoopAgent: new (options: object) => { stream(options: object): Promise<Result> }
}
interface Result {
  fullStream: unknown
  stream: unknown
  textStream: unknown
  toUIMessageStream(): unknown
  toUIMessageStreamResponse(): Response
}
type Provider = (options: object) => Record<'chat' | 'responses', (model: string) => unknown>

const versions: [number, Version, Provider][] = [
  [4, ai4 as unknown as Version, openai4 as unknown as Provider],
  [5, ai5 as unknown as Version, openai5 as unknown as Provider],
  [6, ai6 as unknown as Version, openai6 as unknown as Provider],
  [7, ai7 as unknown as Version, openai7 as unknown as Provider],
]

// A tool without `execute` is the client's. Until version 4 its schema is called otherwise.
const city = z.object({ city: z.string() })
const tools = { weather: { description: 'd', inputSchema: city, parameters: city } }

const words = { system: SECRET, messages: [{ role: 'user', content: 'Hi' }], maxRetries: 0, onError() {} }
const streams: PackageStream[] = versions.flatMap(([version, { streamText, ToolLoopAgent }, createOpenAI]) => {
  const model = (url: string, api: 'chat' | 'responses') =>
    createOpenAI({ apiKey: SECRET, baseURL: `${url}/v1`, compatibility: 'strict' })[api]('gpt-5.5')
  const ask = (url: string, abortSignal: AbortSignal | undefined, api: 'chat' | 'responses' = 'responses') =>
    streamText({
      model: model(url, api),
      ...words,
      // Version 7 takes the system prompt under another name.
      ...(version === 7 && { instructions: SECRET, system: undefined }),
      tools,
      abortSignal,
    })
  const full = (result: Result) => (version === 7 ? result.stream : result.fullStream)
  const common = { bare: 'never', signalOnly: 'the AI SDK' } as const

  // Version 4 has fewer counts, and no reasoning of chat completions.
  const fewer = { usage: { inputTokens: 25, outputTokens: 15, totalTokens: 40 } }
  const old: PackageStream['differs'] = version === 4 ? { whole: fewer } : {}
  // A failure amid an answer of Responses is not read by version 5: to it the answer just ends.
  const unheard: PackageStream['differs'] =
    version === 5 ? { failure: { outcome: 'truncated', code: 'truncated' } } : {}
  const list: PackageStream[] = [
    {
      name: `ai ${version}, the full stream, Responses`,
      wire: openaiResponses,
      open: (url, signal) => full(ask(url, signal)),
      differs: { ...old, ...unheard },
      ...common,
    },
    {
      name: `ai ${version}, the full stream, chat completions`,
      wire: openaiChat,
      open: (url, signal) => full(ask(url, signal, 'chat')),
      differs: { whole: { ...old.whole, reasoning: '' } },
      ...common,
    },
    {
      name: `ai ${version}, the result of streamText`,
      wire: openaiResponses,
      open: (url, signal) => ask(url, signal),
      differs: { ...old, ...unheard },
      ...common,
    },
  ]
  if (version >= 6) {
    list.push({
      name: `ai ${version}, the result of ToolLoopAgent`,
      wire: openaiResponses,
      open: (url, abortSignal) =>
        new ToolLoopAgent({ model: model(url, 'responses'), instructions: SECRET, tools, maxRetries: 0 }).stream({
          prompt: 'Hi',
          abortSignal,
        }),
      ...common,
    })
  }
  if (version >= 5) {
    // It has no counts, and instead of the provider's words its own.
    const ui: PackageStream['differs'] = {
      whole: { usage: undefined },
      ...unheard,
      'refused 429': { status: 502, code: 'upstream-failure' },
      reset: { code: 'upstream-failure' },
    }
    // What version 6 says of a cut answer is what it says of a whole one that ended for another reason.
    const cut = version === 6 ? { cut: { outcome: 'done', code: undefined } } : {}
    const hides = version === 6 ? { hides: "Version 6's UI message stream says `other` of a cut answer" } : {}
    list.push(
      {
        name: `ai ${version}, the UI message stream`,
        wire: openaiResponses,
        open: (url, signal) => ask(url, signal).toUIMessageStream(),
        differs: { ...ui, ...cut },
        ...hides,
        bare: 'never',
      },
      {
        name: `ai ${version}, the Response of the UI message stream`,
        wire: openaiResponses,
        open: (url, signal) => ask(url, signal).toUIMessageStreamResponse(),
        differs: { ...ui, ...cut },
        ...hides,
        bare: 'never',
      },
    )
  }
  return list
})

describePackage('the AI SDK', streams)
