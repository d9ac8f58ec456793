/** What do the clients of the dialects know in the end, of an answer that a server on loopback gives? */
import { HttpAgent } from '@ag-ui/client'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import Anthropic from '@anthropic-ai/sdk'
import { Agent, type Model, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, tool } from '@openai/agents'
import { ChatClient, fetchServerSentEvents } from '@tanstack/ai-client'
import { HttpAgent as HttpAgent0 } from 'ag-ui-client-0'
import {
  AbstractChat,
  type ChatState,
  DefaultChatTransport,
  generateText,
  getToolName,
  isToolUIPart,
  type LanguageModel,
  tool as sdkTool,
  streamText,
  type UIMessage,
} from 'ai'
import { AssistantMessageAccumulator, UIMessageStreamDecoder, unstable_toolResultStream } from 'assistant-stream'
import OpenAI from 'openai'
import type { Protocol } from 'sse-relay'
import { agui, anthropicMessages, openaiChat, openaiResponses, uiMessage } from 'sse-relay/protocols'
import { z } from 'zod'

type Fetch = typeof fetch

/** A call that the client would run. */
export type Call = [name: string, input: unknown]

export interface Told {
  text: string
  /** Absent where the client has no place for it. */
  reasoning?: string | undefined
  calls: Call[]
  /** Why the answer ended, in the client's words; nothing where it was not told that it has. */
  finish?: string | undefined
  /** The words of a failure, however the client tells it. */
  failure?: string | undefined
}

export interface Client {
  readonly name: string
  readonly dialect: string
  protocol(): Protocol
  /** Reads the answer of a url; `isWhole` is one that asks for one body. */
  read(url: string, isWhole: boolean, fetch?: Fetch): Promise<Told>
  /** It can ask for one body. */
  readonly asksWhole?: boolean
  /** An answer that is not complete (`length`, `content-filter`) is a failure to it. */
  readonly failsIncomplete?: boolean
  /** It runs a call by its name alone, whatever else is said of it. */
  readonly runsAny?: boolean
  /** A message of nothing but blanks is none to it. */
  readonly dropsBlank?: boolean
  /** After an answer of nothing it asks again, and says in the end that it did so too often. */
  readonly asksAgain?: boolean
  /** It takes an answer that ends cleanly in the middle for one, in some of its places at least. */
  readonly missesCuts?: boolean
}

/** The tools that an answer may call. */
export const TOOLS = ['weather', 'time', 'now', 'search', 'get_weather', 'get_time']

/** What was told until the client threw, and what it threw. */
async function telling(told: Told, reading: () => Promise<unknown>): Promise<Told> {
  try {
    await reading()
  } catch (error) {
    told.failure ??= (error as Error).message || String(error)
  }
  return told
}
const nothing = (): Told => ({ text: '', calls: [] })
/** What the input of a call says: half of it is none. */
function parse(input: string): unknown {
  try {
    return JSON.parse(input || '{}')
  } catch {
    return 'half'
  }
}

const key = { apiKey: 'test' }
const openai = (url: string, fetch: Fetch) => new OpenAI({ ...key, baseURL: `${url}/v1`, maxRetries: 0, fetch })
const anthropic = (url: string, fetch: Fetch) => new Anthropic({ ...key, baseURL: url, maxRetries: 0, fetch })
const messages = [{ role: 'user' as const, content: 'Hi' }]

function ofMessage({ content, stop_reason }: Anthropic.Message): Told {
  const told = nothing()
  for (const block of content) {
    if (block.type === 'text') told.text += block.text
    else if (block.type === 'thinking') told.reasoning = (told.reasoning ?? '') + block.thinking
    else if (block.type === 'tool_use' && stop_reason === 'tool_use') told.calls.push([block.name, block.input])
  }
  return { ...told, finish: stop_reason ?? undefined }
}

function messagesHelper(url: string, isWhole: boolean, fetch = globalThis.fetch): Promise<Told> {
  const told = nothing()
  const question = { model: 'any', max_tokens: 64, messages }
  return telling(told, async () => {
    const asked = isWhole
      ? anthropic(url, fetch).messages.create(question)
      : anthropic(url, fetch).messages.stream(question).finalMessage()
    Object.assign(told, ofMessage(await asked))
  })
}

/** As many write it: the events alone. */
function messagesEvents(url: string, _: boolean, fetch = globalThis.fetch): Promise<Told> {
  const told = nothing()
  return telling(told, async () => {
    const stream = await anthropic(url, fetch).messages.create({ model: 'any', max_tokens: 64, messages, stream: true })
    const calls = new Map<number, [string, string]>()
    let index = -1
    for await (const event of stream) {
      if (event.type === 'content_block_start') {
        if (event.index !== ++index) throw new Error(`The block ${event.index} is not the next`)
        if (event.content_block.type === 'tool_use') calls.set(index, [event.content_block.name, ''])
      } else if (event.type === 'content_block_delta') {
        const { delta } = event
        if (event.index !== index) throw new Error(`A delta of the block ${event.index} amid ${index}`)
        if (delta.type === 'text_delta') told.text += delta.text
        else if (delta.type === 'thinking_delta') told.reasoning = (told.reasoning ?? '') + delta.thinking
        else if (delta.type === 'input_json_delta') (calls.get(index) as [string, string])[1] += delta.partial_json
      } else if (event.type === 'message_delta') told.finish = event.delta.stop_reason ?? undefined
    }
    if (told.finish === 'tool_use') for (const [name, input] of calls.values()) told.calls.push([name, parse(input)])
  })
}

function ofResponse({ output, output_text, status, incomplete_details }: OpenAI.Responses.Response): Told {
  const told: Told = { ...nothing(), text: output_text, finish: incomplete_details?.reason ?? status }
  for (const item of output) {
    if (item.type === 'reasoning')
      told.reasoning = (told.reasoning ?? '') + item.summary.map(({ text }) => text).join('')
    else if (item.type === 'function_call' && item.status === 'completed')
      told.calls.push([item.name, parse(item.arguments)])
  }
  return told
}

function responsesHelper(url: string, isWhole: boolean, fetch = globalThis.fetch): Promise<Told> {
  const told = nothing()
  const question = { model: 'any', input: 'Hi' }
  return telling(told, async () => {
    const { responses } = openai(url, fetch)
    const response = await (isWhole ? responses.create(question) : responses.stream(question).finalResponse())
    Object.assign(told, ofResponse(response))
    // It resolves where the answer broke off, and says so in its status.
    if (response.status === 'in_progress') told.finish = undefined
  })
}

function responsesEvents(url: string, _: boolean, fetch = globalThis.fetch): Promise<Told> {
  const told = nothing()
  return telling(told, async () => {
    let number = -1
    let text = ''
    for await (const event of await openai(url, fetch).responses.create({ model: 'any', input: 'Hi', stream: true })) {
      if ('sequence_number' in event && event.sequence_number !== ++number)
        throw new Error(`${event.sequence_number} is not the next after ${number - 1}`)
      if (event.type === 'response.output_text.delta') text += event.delta
      if (event.type !== 'response.completed' && event.type !== 'response.incomplete') continue
      const output_text = event.response.output
        .flatMap((item) => (item.type === 'message' ? item.content : []))
        .map((part) => (part.type === 'output_text' ? part.text : ''))
        .join('')
      Object.assign(told, ofResponse({ ...event.response, output_text }))
      if (output_text !== text) throw new Error('The response is not what was streamed')
    }
    told.text = text
  })
}

const REASON: Record<string, string> = { tool_calls: 'tool_calls', function_call: 'tool_calls' }
function ofCompletion({ message, finish_reason }: OpenAI.ChatCompletion.Choice): Told {
  const { content, tool_calls = [], reasoning_content } = message as typeof message & { reasoning_content?: string }
  return {
    text: content ?? '',
    reasoning: reasoning_content,
    calls: REASON[finish_reason]
      ? tool_calls.map((call) => ('function' in call ? [call.function.name, parse(call.function.arguments)] : ['', 0]))
      : [],
    finish: finish_reason,
  }
}

function chatHelper(url: string, isWhole: boolean, fetch = globalThis.fetch): Promise<Told> {
  const told = nothing()
  return telling(told, async () => {
    const { completions } = openai(url, fetch).chat
    const question = { model: 'any', messages }
    const { choices } = await (isWhole
      ? completions.create(question)
      : completions.stream(question).finalChatCompletion())
    Object.assign(told, ofCompletion(choices[0] as OpenAI.ChatCompletion.Choice))
    // The helper keeps no more of a delta than OpenAI says.
    if (!isWhole) told.reasoning = undefined
  })
}

function chatEvents(url: string, _: boolean, fetch = globalThis.fetch): Promise<Told> {
  const told = nothing()
  return telling(told, async () => {
    const calls: [string, string][] = []
    for await (const { choices } of await openai(url, fetch).chat.completions.create({
      model: 'any',
      messages,
      stream: true,
    })) {
      const [choice] = choices
      if (!choice) continue
      const delta: typeof choice.delta & { reasoning_content?: string } = choice.delta
      told.text += delta.content ?? ''
      if (delta.reasoning_content) told.reasoning = (told.reasoning ?? '') + delta.reasoning_content
      for (const { index, function: call } of delta.tool_calls ?? []) {
        if (index > calls.length) throw new Error(`The call ${index} is not the next`)
        if (call?.name) calls[index] = [call.name, '']
        ;(calls[index] as [string, string])[1] += call?.arguments ?? ''
      }
      if (choice.finish_reason) told.finish = choice.finish_reason
    }
    if (told.finish === 'tool_calls') told.calls = calls.map(([name, input]) => [name, parse(input)])
  })
}

/** The AI SDK, which runs the tools itself. */
const aiSDK =
  (modelOf: (settings: { apiKey: string; baseURL: string; fetch: Fetch }) => LanguageModel) =>
  (url: string, isWhole: boolean, fetch = globalThis.fetch): Promise<Told> => {
    const told = nothing()
    const execute = (name: string) => (input: object) => {
      told.calls.push([name, input])
      return 'ok'
    }
    const tools = Object.fromEntries(
      TOOLS.map((name) => [name, sdkTool({ inputSchema: z.looseObject({}), execute: execute(name) })]),
    )
    const question = { model: modelOf({ ...key, baseURL: `${url}/v1`, fetch }), prompt: 'Hi', maxRetries: 0, tools }
    return telling(told, async () => {
      if (isWhole) {
        const { text, reasoningText, finishReason } = await generateText(question)
        Object.assign(told, { text, reasoning: reasoningText, finish: finishReason })
        return
      }
      const { stream } = streamText({ ...question, onError() {} })
      for await (const part of stream) {
        if (part.type === 'text-delta') told.text += part.text
        else if (part.type === 'reasoning-delta') told.reasoning = (told.reasoning ?? '') + part.text
        else if (part.type === 'error') throw part.error
        else if (part.type !== 'finish') continue
        else if (part.finishReason === 'interrupted') throw new Error('interrupted')
        else told.finish = part.finishReason
      }
    })
  }

/** The Agents SDK, which runs the tools itself: one turn of it. */
const agents =
  (modelOf: (client: never) => Model) =>
  (url: string, isWhole: boolean, fetch = globalThis.fetch): Promise<Told> => {
    const told = nothing()
    const tools = TOOLS.map((name) =>
      tool({
        name,
        description: 'd',
        parameters: { type: 'object', properties: {}, required: [], additionalProperties: true },
        strict: false,
        execute(input: unknown) {
          told.calls.push([name, input])
          return 'ok'
        },
      } as Parameters<typeof tool>[0]),
    )
    const agent = new Agent({
      name: 'a',
      model: modelOf(openai(url, fetch) as never),
      tools,
      toolUseBehavior: 'stop_on_first_tool',
    })
    const runner = new Runner({ tracingDisabled: true })
    return telling(told, async () => {
      const options = { maxTurns: 1 }
      const result = isWhole
        ? await runner.run(agent, 'Hi', options)
        : await runner.run(agent, 'Hi', { ...options, stream: true })
      if ('completed' in result) {
        for await (const _ of result) {
          // Read to its end.
        }
        await result.completed
        if (result.error) throw result.error
      }
      for (const { output } of result.rawResponses) {
        for (const item of output) {
          if (item.type !== 'message' || !Array.isArray(item.content)) continue
          for (const part of item.content) if ('text' in part) told.text += part.text
        }
      }
      told.finish = 'done'
    })
  }

/**
 * When a connection breaks, the agent cancels what is broken and lets the rejection of that end the process, whoever
 * reads it: here its cancelling does not reject.
 */
const calmly =
  (fetch: Fetch): Fetch =>
  async (input, init) => {
    const response = await fetch(input, init)
    if (!response.ok) return response
    const reader = response.body?.getReader()
    const cancel = () => reader?.cancel().catch(() => {})
    return Object.defineProperty(response, 'body', {
      value: { getReader: () => ({ read: () => reader?.read(), cancel }) },
    })
  }

interface AgentMessage {
  role: string
  content?: string
  toolCallId?: string
  toolCalls?: { id: string; function: { name: string; arguments: string } }[]
}

/** What the messages of AG-UI say: a call without a result is for the client. */
export function ofAgentMessages(messages: AgentMessage[]): Told {
  const told = nothing()
  const answered = new Set(messages.map(({ toolCallId }) => toolCallId))
  for (const { role, content = '', toolCalls = [] } of messages) {
    if (role === 'assistant') told.text += content
    else if (role === 'reasoning') told.reasoning = (told.reasoning ?? '') + content
    for (const { id, function: call } of toolCalls)
      if (!answered.has(id)) told.calls.push([call.name, parse(call.arguments)])
  }
  return told
}

const agent =
  (Agent: typeof HttpAgent) =>
  async (url: string, isWhole: boolean, fetch = globalThis.fetch): Promise<Told> => {
    if (isWhole) {
      // None of these asks for one body: it is what they make of the stream.
      const response = await fetch(url, { method: 'POST' })
      const body = await response.json()
      if (!response.ok) return { ...nothing(), failure: body.error.message }
      return { ...ofAgentMessages(body.newMessages), finish: body.metadata?.finishReason ?? 'done' }
    }
    const client = new Agent({ url, threadId: 't_1', fetch: calmly(fetch) } as ConstructorParameters<
      typeof HttpAgent
    >[0])
    const told = nothing()
    await telling(told, () =>
      client.runAgent({ runId: 'r_1' }, {
        onRunErrorEvent({ event }: { event: { message: string } }) {
          told.failure = event.message
        },
        onRunFinishedEvent({ event }: { event: object }) {
          told.finish = (event as { metadata?: { finishReason?: string } }).metadata?.finishReason ?? 'done'
        },
      } as Parameters<HttpAgent['runAgent']>[1]),
    )
    return { ...told, ...ofAgentMessages(client.messages as AgentMessage[]) }
  }

async function tanstack(url: string, _: boolean, fetch = globalThis.fetch): Promise<Told> {
  const told = nothing()
  const client = new ChatClient({
    connection: fetchServerSentEvents(url, { reconnect: { delayMs: 10 }, fetchClient: fetch }),
    onChunk(chunk) {
      if (chunk.type !== 'RUN_FINISHED') return
      told.finish = (chunk as { metadata?: { finishReason?: string } }).metadata?.finishReason ?? 'done'
    },
  })
  await telling(told, () => client.sendMessage('Hi'))
  told.failure ??= client.getError()?.message
  const results = new Set<string>()
  const calls: [id: string, name: string, input: string][] = []
  for (const { role, parts } of client.getMessages()) {
    if (role !== 'assistant') continue
    for (const part of parts) {
      if (part.type === 'text') told.text += part.content
      else if (part.type === 'thinking') told.reasoning = (told.reasoning ?? '') + part.content
      else if (part.type === 'tool-call') calls.push([part.id, part.name, part.arguments])
      else if (part.type === 'tool-result') results.add(part.toolCallId)
    }
  }
  told.calls = calls.filter(([id]) => !results.has(id)).map(([, name, input]) => [name, parse(input)])
  client.dispose()
  return told
}

/** The state that `useChat` keeps in React. */
class State implements ChatState<UIMessage> {
  status: ChatState<UIMessage>['status'] = 'ready'
  error: Error | undefined
  messages: UIMessage[] = []
  pushMessage = (message: UIMessage) => void this.messages.push(message)
  popMessage = () => void this.messages.pop()
  replaceMessage = (index: number, message: UIMessage) => {
    this.messages[index] = message
  }
  snapshot = structuredClone
}
class Chat extends AbstractChat<UIMessage> {}

async function useChat(url: string, isWhole: boolean, fetch = globalThis.fetch): Promise<Told> {
  const told = nothing()
  let message: UIMessage | undefined
  if (isWhole) {
    const response = await fetch(url, { method: 'POST' })
    const body = await response.json()
    if (!response.ok) return { ...told, failure: body.error.message }
    message = body
    told.finish = 'done'
  } else {
    const chat = new Chat({
      state: new State(),
      transport: new DefaultChatTransport<UIMessage>({ api: url, fetch }),
      onFinish({ finishReason }) {
        told.finish = finishReason ?? 'done'
      },
    })
    await chat.sendMessage({ text: 'Hi' })
    if (chat.error) told.failure = chat.error.message
    message = chat.lastMessage
  }
  if (message?.role !== 'assistant') return told
  for (const part of message.parts) {
    if (part.type === 'text') told.text += part.text
    else if (part.type === 'reasoning') told.reasoning = (told.reasoning ?? '') + part.text
    // `onToolCall` hears of the calls of a server's tools as well, as it does where the AI SDK streams: this is what is open.
    else if (isToolUIPart(part) && part.state === 'input-available' && !part.providerExecuted)
      told.calls.push([getToolName(part), part.input])
  }
  // Of an answer that has failed it asks nothing.
  return told.failure === undefined ? told : { ...told, calls: [] }
}

/** What `useDataStreamRuntime` of assistant-ui is made of. */
async function assistantUI(url: string, _: boolean, fetch = globalThis.fetch): Promise<Told> {
  const told = nothing()
  const response = await fetch(url, { method: 'POST' })
  if (!response.ok) return { ...told, failure: await response.text() }
  const tools = Object.fromEntries(
    TOOLS.map((name) => [
      name,
      {
        parameters: { type: 'object', properties: {} },
        execute(input: unknown) {
          told.calls.push([name, input])
          return 'ok'
        },
      },
    ]),
  )
  let last: { parts: readonly object[]; status?: unknown } | undefined
  await telling(told, async () => {
    const messages = response.body
      ?.pipeThrough(new UIMessageStreamDecoder())
      .pipeThrough(
        unstable_toolResultStream(tools as never, new AbortController().signal, () => {
          throw new Error('No human is asked')
        }),
      )
      .pipeThrough(new AssistantMessageAccumulator())
    for await (last of messages as unknown as AsyncIterable<typeof last>);
  })
  const { type, reason, error } = (last?.status ?? {}) as {
    type?: string
    reason?: string
    error?: { message?: string } | string
  }
  if (error !== undefined) told.failure ??= typeof error === 'string' ? error : error.message
  if (told.failure === undefined) told.finish = reason ?? type
  for (const part of (last?.parts ?? []) as Record<string, unknown>[]) {
    if (part.type === 'text') told.text += part.text
    else if (part.type === 'reasoning') told.reasoning = (told.reasoning ?? '') + part.text
  }
  return told
}

const byAnthropic = { dialect: 'anthropicMessages', protocol: () => anthropicMessages() }
const byResponses = { dialect: 'openaiResponses', protocol: () => openaiResponses() }
const byChat = { dialect: 'openaiChat', protocol: () => openaiChat() }
const byAgents = { dialect: 'agui', protocol: () => agui({ threadId: 't_1', runId: 'r_1' }), missesCuts: true }

export const clients: Client[] = [
  { ...byAnthropic, name: '@anthropic-ai/sdk, messages.stream()', read: messagesHelper, asksWhole: true },
  { ...byAnthropic, name: '@anthropic-ai/sdk, the events', read: messagesEvents, missesCuts: true },
  {
    ...byAnthropic,
    name: '@ai-sdk/anthropic',
    read: aiSDK((settings) => createAnthropic(settings)('any')),
    asksWhole: true,
  },
  { ...byResponses, name: 'openai, responses.stream()', read: responsesHelper, asksWhole: true },
  { ...byResponses, name: 'openai, the events of a response', read: responsesEvents, missesCuts: true },
  {
    ...byResponses,
    name: '@ai-sdk/openai, responses',
    read: aiSDK((settings) => createOpenAI(settings)('any')),
    asksWhole: true,
  },
  {
    ...byResponses,
    name: '@openai/agents, responses',
    read: agents((client) => new OpenAIResponsesModel(client, 'any')),
    asksWhole: true,
    failsIncomplete: true,
    runsAny: true,
  },
  { ...byChat, name: 'openai, chat.completions.stream()', read: chatHelper, asksWhole: true },
  { ...byChat, name: 'openai, the chunks of a completion', read: chatEvents, missesCuts: true },
  {
    ...byChat,
    name: '@ai-sdk/openai, chat',
    read: aiSDK((settings) => createOpenAI(settings).chat('any')),
    asksWhole: true,
  },
  {
    ...byChat,
    name: '@openai/agents, chat',
    read: agents((client) => new OpenAIChatCompletionsModel(client, 'any')),
    asksWhole: true,
    runsAny: true,
    asksAgain: true,
    missesCuts: true,
  },
  { ...byAgents, name: '@ag-ui/client 1.0.0', read: agent(HttpAgent), asksWhole: true },
  { ...byAgents, name: '@ag-ui/client 0.0.59', read: agent(HttpAgent0 as unknown as typeof HttpAgent) },
  { ...byAgents, name: '@tanstack/ai-client', read: tanstack, dropsBlank: true },
  {
    dialect: 'uiMessage',
    protocol: () => uiMessage(),
    name: 'useChat',
    read: useChat,
    asksWhole: true,
    missesCuts: true,
  },
  {
    dialect: 'uiMessage',
    protocol: () => uiMessage({ client: 'assistant-ui' }),
    name: 'assistant-stream',
    read: assistantUI,
  },
]
