/** Do the streams of LangGraph come out right: an agent of LangChain in every mode, and the platform's client? */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ChatAnthropic } from '@langchain/anthropic'
import { Client } from '@langchain/langgraph-sdk'
import { ChatOpenAI } from '@langchain/openai'
import { createAgent, tool } from 'langchain'
import { z } from 'zod'
import { AFTER, CALL, describePackage, type PackageStream, SECRET } from '../harness.js'
import { anthropic, openaiChat, openaiResponses, type Wire } from '../wires.js'

const weather = tool(async () => `${SECRET} rain`, {
  name: 'weather',
  description: SECRET,
  schema: z.object({ city: z.string() }),
})

const models = {
  chat: (url: string) =>
    new ChatOpenAI({
      model: 'm',
      apiKey: SECRET,
      maxRetries: 0,
      configuration: { baseURL: `${url}/v1` },
    }),
  responses: (url: string) =>
    new ChatOpenAI({
      model: 'm',
      apiKey: SECRET,
      maxRetries: 0,
      useResponsesApi: true,
      configuration: { baseURL: `${url}/v1` },
    }),
  anthropic: (url: string) =>
    new ChatAnthropic({
      model: 'claude-m',
      apiKey: SECRET,
      maxRetries: 0,
      // In the modes of whole messages, too.
      streaming: true,
      anthropicApiUrl: url,
    }),
}

type Agent = ReturnType<typeof agentAt>
function agentAt(model: keyof typeof models, url: string) {
  return createAgent({ model: models[model](url), tools: [weather], systemPrompt: SECRET })
}

const input = { messages: [{ role: 'user', content: `${SECRET} question` }] }
const configurable = { tenant: SECRET }

/** `graph.stream()` in one mode or several. */
function open(model: keyof typeof models, streamMode: string | string[], subgraphs = false): PackageStream['open'] {
  return (url, signal) =>
    (agentAt(model, url) as { stream(input: object, options: object): unknown }).stream(input, {
      streamMode,
      configurable,
      ...(subgraphs && { subgraphs }),
      ...(signal && { signal }),
    })
}

const usage = { inputTokens: 25, outputTokens: 15, totalTokens: 40, cachedInputTokens: 5 }
const common = { turns: [CALL, AFTER], bare: 'stops' } as const
// The graph hides why OpenAI's model stopped from who reads its messages.
const noReason = { differs: { whole: { finishReason: undefined } } }

describePackage('LangGraph', [
  { ...common, ...noReason, name: 'messages, OpenAI chat', wire: openaiChat, open: open('chat', 'messages') },
  {
    ...common,
    name: 'messages, OpenAI Responses',
    wire: openaiResponses,
    open: open('responses', 'messages'),
  },
  {
    ...common,
    name: 'messages, Anthropic',
    wire: anthropic,
    open: open('anthropic', 'messages'),
    differs: { whole: { usage } },
  },
  {
    ...common,
    ...noReason,
    name: 'messages and updates',
    wire: openaiChat,
    open: open('chat', ['messages', 'updates']),
  },
  {
    ...common,
    ...noReason,
    name: 'every mode at once',
    wire: openaiChat,
    open: open('chat', ['values', 'messages', 'updates', 'custom', 'debug', 'tasks', 'checkpoints']),
  },
  {
    ...common,
    ...noReason,
    name: 'messages with subgraphs',
    wire: openaiChat,
    open: open('chat', 'messages', true),
  },
  {
    ...common,
    ...noReason,
    name: 'several with subgraphs',
    wire: openaiChat,
    open: open('chat', ['messages', 'updates'], true),
  },
  {
    ...common,
    name: 'updates',
    wire: anthropic,
    open: open('anthropic', 'updates'),
    isWhole: true,
    differs: {
      whole: { usage: { ...usage, outputTokens: 16, totalTokens: 41 } },
      reset: { text: '', status: 502 },
      failure: { text: '', status: 502 },
    },
  },
  {
    ...common,
    name: 'values',
    wire: anthropic,
    open: open('anthropic', 'values'),
    isWhole: true,
    differs: {
      whole: { usage: { ...usage, outputTokens: 16, totalTokens: 41 } },
      reset: { text: '', status: 502 },
      failure: { text: '', status: 502 },
    },
  },
  {
    ...common,
    name: 'streamEvents v3, OpenAI chat',
    wire: openaiChat,
    open: (url, signal) => events(agentAt('chat', url), 'v3', signal),
    bare: 'never',
    signalOnly: 'LangGraph',
  },
  {
    ...common,
    name: 'streamEvents v2, OpenAI chat',
    wire: openaiChat,
    open: (url, signal) => events(agentAt('chat', url), 'v2', signal),
    bare: 'at a token',
    signalOnly: 'LangChain',
    ...noReason,
  },
])

function events(agent: Agent, version: 'v2' | 'v3', signal: AbortSignal | undefined): unknown {
  return (agent as { streamEvents(input: object, options: object): unknown }).streamEvents(input, {
    version,
    configurable,
    ...(signal && { signal }),
  })
}

/** A server of the platform, which asks the fake provider: its words are written by hand after the SDK's types. */
const platform = createServer(async (req, res) => {
  const upstream = decodeURIComponent((req.url ?? '').split('/')[1] ?? '')
  const leaving = new AbortController()
  res.on('close', () => leaving.abort())
  const say = (event: string, data: unknown) => res.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  const head = { 'content-type': 'text/event-stream' }
  try {
    const messages = { role: 'user', content: 'Hi' }
    const model = models.chat(upstream)
    const pieces = await model.stream([messages as never], { signal: leaving.signal })
    res.writeHead(200, head)
    say('metadata', { run_id: SECRET, attempt: 1 })
    say('values', { messages: [{ type: 'human', content: SECRET }] })
    for await (const piece of pieces) {
      const { id, content, additional_kwargs, response_metadata, tool_calls, tool_call_chunks, usage_metadata } = piece
      say('messages', [
        {
          id,
          type: 'AIMessageChunk',
          content,
          additional_kwargs,
          response_metadata,
          tool_calls,
          tool_call_chunks,
          usage_metadata,
        },
        { tenant: SECRET },
      ])
    }
    say('updates', { model: SECRET })
  } catch (error) {
    const { status, name } = error as { status?: number; name: string }
    if (!res.headersSent && status)
      res.writeHead(status, { 'content-type': 'application/json' }).end(`{"detail":"${SECRET}"}`)
    else say('error', { error: name, message: SECRET })
  }
  res.end()
})
platform.listen(0, '127.0.0.1')
await once(platform, 'listening')
const platformUrl = `http://127.0.0.1:${(platform.address() as AddressInfo).port}`

const throughPlatform = (answer: Parameters<typeof openaiChat>[0]): Wire => openaiChat(answer)

describePackage('@langchain/langgraph-sdk', [
  {
    name: 'runs.stream, messages-tuple',
    wire: throughPlatform,
    open: (url, signal) =>
      new Client({
        apiUrl: `${platformUrl}/${encodeURIComponent(url)}`,
        apiKey: SECRET,
        callerOptions: { maxRetries: 0 },
      }).runs.stream(null, 'agent', {
        input: { messages: SECRET },
        streamMode: ['messages-tuple', 'updates', 'values'],
        onDisconnect: 'cancel',
        ...(signal && { signal }),
      }),
    bare: 'never',
    signalOnly: 'LangGraph',
  },
])
