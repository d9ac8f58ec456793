/** Do the streams of LangChain's models come out right? */
import { ChatAnthropic } from '@langchain/anthropic'
import { ChatPromptTemplate } from '@langchain/core/prompts'
import { ChatOpenAI } from '@langchain/openai'
import { describePackage, type PackageStream, SECRET } from '../harness.js'
import { anthropic, openaiChat, openaiResponses } from '../wires.js'

const input = [
  { role: 'system', content: SECRET },
  { role: 'user', content: 'Hi' },
]
const metadata = { tenant: SECRET }

const chat = (url: string) =>
  new ChatOpenAI({
    model: 'm',
    apiKey: SECRET,
    maxRetries: 0,
    streamUsage: true,
    configuration: { baseURL: `${url}/v1` },
  })
const responses = (url: string, outputVersion?: 'v1') =>
  new ChatOpenAI({
    model: 'm',
    apiKey: SECRET,
    maxRetries: 0,
    useResponsesApi: true,
    configuration: { baseURL: `${url}/v1` },
    ...(outputVersion && { outputVersion }),
  })
const claude = (url: string) =>
  new ChatAnthropic({ model: 'claude-m', apiKey: SECRET, maxRetries: 0, anthropicApiUrl: url, streamUsage: true })

const models: [
  api: string,
  wire: PackageStream['wire'],
  model: (url: string) => ReturnType<typeof chat | typeof claude>,
][] = [
  ['OpenAI chat', openaiChat, chat],
  ['OpenAI Responses', openaiResponses, responses],
  ['OpenAI Responses, outputVersion v1', openaiResponses, (url) => responses(url, 'v1')],
  ['Anthropic', anthropic, claude],
]

// It does not count its thoughts.
const usage = { inputTokens: 25, outputTokens: 15, totalTokens: 40, cachedInputTokens: 5 }

describePackage(
  'LangChain',
  models.flatMap(([api, wire, model]): PackageStream[] => {
    const differs = api === 'Anthropic' ? { whole: { usage } } : {}
    const common = { wire, bare: 'at a token', signalOnly: 'LangChain', differs } as const
    return [
      {
        ...common,
        name: `model.stream, ${api}`,
        open: (url, signal) => model(url).stream(input, { metadata, ...(signal && { signal }) }),
      },
      {
        ...common,
        name: `model.streamEvents v2, ${api}`,
        open: (url, signal) =>
          (model(url) as ChatOpenAI).streamEvents(input, { version: 'v2', metadata, ...(signal && { signal }) }),
      },
      {
        ...common,
        name: `model.streamEvents, ${api}`,
        open: (url, signal) =>
          (model(url) as ChatOpenAI).streamEvents(input, { metadata, ...(signal && { signal }) } as never),
        bare: 'never',
        // LangChain adds up what Anthropic counts twice.
        ...(api === 'Anthropic' && { differs: { whole: { usage: { ...usage, outputTokens: 16, totalTokens: 41 } } } }),
      },
      {
        ...common,
        name: `prompt.pipe(model).stream, ${api}`,
        open: (url, signal) =>
          ChatPromptTemplate.fromMessages([
            ['system', SECRET],
            ['user', '{question}'],
          ])
            .pipe(model(url) as ReturnType<typeof chat>)
            .stream({ question: 'Hi' }, { metadata, ...(signal && { signal }) }),
      },
    ]
  }),
)
