/** The ways out: every protocol's real client, and what it made of the answer. */
import Anthropic, { APIError as AnthropicError } from '@anthropic-ai/sdk'
import {
  DefaultChatTransport,
  getToolName,
  isToolUIPart,
  readUIMessageStream,
  type UIMessage,
  type UIMessageChunk,
} from 'ai'
import OpenAI, { APIError } from 'openai'
import type { FinishReason, Part, Protocol, Usage } from 'sse-relay'
import { isRelayError, parseSSE, readText } from 'sse-relay/client'
import { agui, anthropicMessages, openaiChat, openaiResponses, parts, raw, text, uiMessage } from 'sse-relay/protocols'
import { aguiEvents } from '../agui-events.js'
import type { ToolCall } from './expected.js'
import { anthropic, type Family, messages, openai } from './ways.js'

/** What a client knows in the end. */
export interface Answer {
  text: string
  reasoning: string
  tools: ToolCall[]
  /** The names of the data parts. */
  data: string[]
  finish?: FinishReason | string
  usage?: Usage
  /** Of a failure, in whatever words the client has for it. */
  failure?: { code?: string; message?: string; status?: number }
  /** For raw(): what the provider's own client read. */
  chunks?: unknown[]
  /** The whole response as it was on the wire. */
  wire: string
  status: number
}

type Reading = Omit<Answer, 'wire' | 'status'>
type Fetch = typeof fetch

export interface ProtocolUnderTest {
  name: 'text' | 'parts' | 'raw' | 'openaiChat' | 'openaiResponses' | 'anthropicMessages' | 'agui' | 'uiMessage'
  protocol(): Protocol
  /** What a client of this protocol can learn besides the text and how it ended. */
  carries: { reasoning: boolean; tools: boolean; data: boolean; finish: boolean; usage: boolean }
  /** Its client runs the calls it is told of, so it is not told of those that were answered in the stream. */
  runsCalls?: true
  /** What is left of the finish in its words, which may be fewer, and what it makes of none. */
  finish?(reason: FinishReason | undefined, hasCalls: boolean): FinishReason | undefined
  /** What is left of the counts in its words. */
  usage?(usage: Usage | undefined): Usage | undefined
  /** What a complete answer ends with. @default the sentinel */
  end?: RegExp
  read(url: string, fetch: Fetch, family: Family | undefined): Promise<Reading>
}

/** OpenAI's and Anthropic's scales are shorter, and an answer ends for some reason there. */
const shorter: ProtocolUnderTest['finish'] = (reason, hasCalls) => {
  if (reason === undefined) return hasCalls ? 'tool-calls' : 'stop'
  return reason === 'error' || reason === 'other' ? 'stop' : reason
}

const everything = { reasoning: true, tools: true, data: true, finish: true, usage: true }
const nothing = { reasoning: false, tools: false, data: false, finish: false, usage: false }

export const protocols: ProtocolUnderTest[] = [
  { name: 'text', protocol: text, carries: { ...nothing, data: true }, read: readTextAnswer },
  { name: 'parts', protocol: parts, carries: everything, read: readPartsAnswer },
  { name: 'raw', protocol: raw, carries: everything, read: readRawAnswer },
  {
    name: 'openaiChat',
    protocol: () => openaiChat({ model: 'relayed', usage: true }),
    carries: { ...everything, data: false },
    runsCalls: true,
    finish: shorter,
    // A sum and its parts. What went into a cache has no place in it.
    usage(usage) {
      if (!usage) return
      const { cacheWriteInputTokens: _, inputTokens = 0, outputTokens = 0, ...more } = usage
      return { totalTokens: inputTokens + outputTokens, ...more, inputTokens, outputTokens }
    },
    read: readChatAnswer,
  },
  {
    name: 'openaiResponses',
    protocol: () => openaiResponses({ model: 'relayed' }),
    carries: { ...everything, data: false },
    runsCalls: true,
    // It says why an answer is not complete, and no more.
    finish: (reason, hasCalls) =>
      reason === 'length' || reason === 'content-filter' ? reason : hasCalls ? 'tool-calls' : 'stop',
    // Where there are no counts it says none.
    usage({ inputTokens = 0, outputTokens = 0, ...more } = {}) {
      const none = { cachedInputTokens: 0, cacheWriteInputTokens: 0, reasoningTokens: 0 }
      return { ...none, totalTokens: inputTokens + outputTokens, ...more, inputTokens, outputTokens }
    },
    read: readResponsesAnswer,
  },
  {
    name: 'anthropicMessages',
    protocol: () => anthropicMessages({ model: 'relayed' }),
    carries: { ...everything, data: false },
    runsCalls: true,
    finish: shorter,
    // It adds nothing up, and begins with counts of nothing.
    usage({ totalTokens: _, ...usage } = {}) {
      return { inputTokens: 0, outputTokens: 0, ...usage }
    },
    read: readMessagesAnswer,
  },
  {
    name: 'agui',
    protocol: agui,
    carries: everything,
    // A call that has a result is not for its client to run.
    runsCalls: true,
    end: /"type":"RUN_FINISHED".*\n\n$/,
    read: readAGUIAnswer,
  },
  { name: 'uiMessage', protocol: uiMessage, carries: everything, read: readUIAnswer },
]

/** Reads an answer of the protocol with its client. */
export async function read(protocol: ProtocolUnderTest, url: string, family?: Family): Promise<Answer> {
  let wire = ''
  let status = 0
  const decoder = new TextDecoder()
  // Not a clone: a client that gives up would take it down with it.
  const recording: Fetch = async (...request) => {
    const response = await fetch(...request)
    status = response.status
    const look = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(bytes, controller) {
        wire += decoder.decode(bytes, { stream: true })
        controller.enqueue(bytes)
      },
    })
    return new Response(response.body?.pipeThrough(look), response)
  }
  const reading = await protocol.read(url, recording, family)
  return { ...reading, wire, status }
}

const empty = (): Reading => ({ text: '', reasoning: '', tools: [], data: [] })
const post = { method: 'POST', body: '{}' }

async function readTextAnswer(url: string, fetch: Fetch): Promise<Reading> {
  const answer = empty()
  const response = await fetch(url, post)
  const copy = response.clone()
  answer.failure = await failureOf(async () => {
    for await (const text of readText(response)) answer.text += text
  })
  // readText passes named events over.
  await failureOf(async () => {
    for await (const { event } of parseSSE(copy)) if (event) answer.data.push(event)
  })
  return answer
}

async function readPartsAnswer(url: string, fetch: Fetch): Promise<Reading> {
  const answer = empty()
  const calls = new Calls()
  const executed = new Set<number>()
  answer.failure = await failureOf(async () => {
    for await (const { data, event } of parseSSE(await fetch(url, post))) {
      const part: Part = JSON.parse(data)
      if (event !== undefined) throw new Error(`parts() does not name its events: ${event}`)
      switch (part.type) {
        case 'text':
        case 'reasoning':
          answer[part.type] += part.text
          break
        case 'tool-call':
          // Of those that the provider runs itself a client only learns.
          if (part.executed) executed.add(part.index)
          if (!executed.has(part.index)) calls.add(part.index, part.id, part.name, part.input)
          break
        case 'usage':
          if (answer.usage) throw new Error('The usage came twice')
          answer.usage = part.usage
          break
        case 'finish':
          if (answer.finish) throw new Error('The finish came twice')
          answer.finish = part.reason
          break
        case 'data':
          answer.data.push(part.name)
          break
        case 'start':
        case 'tool-result':
          break
        default:
          throw new Error(`Unexpected part ${data}`)
      }
    }
  })
  return { ...answer, tools: calls.list }
}

/** The provider's own client where there is one that reads event streams; else the JSON of the events. */
async function readRawAnswer(url: string, fetch: Fetch, family: Family | undefined): Promise<Reading> {
  const chunks: unknown[] = []
  const failure = await failureOf(async () => {
    const own = await openOwn(url, fetch, family)
    if (own) for await (const chunk of own) chunks.push(chunk)
    else for await (const { data } of parseSSE(await fetch(url, post))) chunks.push(JSON.parse(data))
  })
  return { ...empty(), chunks, failure }
}

function openOwn(
  url: string,
  fetch: Fetch,
  family: Family | undefined,
): PromiseLike<AsyncIterable<unknown>> | undefined {
  switch (family) {
    case 'openai-chat':
    case 'openai-compat':
      return openai(url).withOptions({ fetch }).chat.completions.create({ model: 'test', messages, stream: true })
    case 'openai-responses':
      return openai(url).withOptions({ fetch }).responses.create({ model: 'test', input: 'Hello?', stream: true })
    case 'anthropic':
      return anthropic(url)
        .withOptions({ fetch })
        .messages.create({ model: 'test', max_tokens: 64, messages, stream: true })
  }
}

const FROM_OPENAI: Record<string, FinishReason> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool-calls',
  content_filter: 'content-filter',
}

async function readChatAnswer(url: string, fetch: Fetch): Promise<Reading> {
  const answer = empty()
  const calls = new Calls()
  const client = new OpenAI({ apiKey: 'test', baseURL: `${url}/v1`, maxRetries: 0, fetch })
  answer.failure = await failureOf(async () => {
    const stream = await client.chat.completions.create({
      model: 'any',
      messages,
      stream: true,
      stream_options: { include_usage: true },
      tools: [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object' } } }],
    })
    for await (const { choices, usage, model, object } of stream) {
      if (model !== 'relayed' || object !== 'chat.completion.chunk') throw new Error(`Unexpected ${model}, ${object}`)
      if (usage) {
        answer.usage = {
          inputTokens: usage.prompt_tokens,
          outputTokens: usage.completion_tokens,
          totalTokens: usage.total_tokens,
          ...(usage.prompt_tokens_details && { cachedInputTokens: usage.prompt_tokens_details.cached_tokens }),
          ...(usage.completion_tokens_details && { reasoningTokens: usage.completion_tokens_details.reasoning_tokens }),
        }
      }
      const choice = choices[0]
      if (!choice) continue
      const delta: typeof choice.delta & { reasoning_content?: string } = choice.delta
      answer.text += delta.content ?? ''
      answer.reasoning += delta.reasoning_content ?? ''
      for (const call of delta.tool_calls ?? []) {
        calls.add(call.index, call.id, call.function?.name, call.function?.arguments ?? '')
      }
      if (choice.finish_reason) answer.finish = FROM_OPENAI[choice.finish_reason]
    }
  })
  return { ...answer, tools: calls.list }
}

async function readResponsesAnswer(url: string, fetch: Fetch): Promise<Reading> {
  const answer = empty()
  const calls = new Calls()
  const client = new OpenAI({ apiKey: 'test', baseURL: `${url}/v1`, maxRetries: 0, fetch })
  answer.failure = await failureOf(async () => {
    const stream = client.responses.stream({ model: 'any', input: 'Hello?' })
    for await (const event of stream) {
      if (event.type === 'response.output_text.delta') answer.text += event.delta
      else if (event.type === 'response.reasoning_summary_text.delta') answer.reasoning += event.delta
      else if (event.type === 'response.function_call_arguments.delta')
        calls.add(event.output_index, undefined, undefined, event.delta)
      else if (event.type === 'response.output_item.added' && event.item.type === 'function_call')
        calls.add(event.output_index, event.item.call_id, event.item.name, '')
    }
    const response = await stream.finalResponse()
    if (response.model !== 'relayed') throw new Error(`Unexpected ${response.model}`)
    if (response.output_text !== answer.text) throw new Error('The response is not what was streamed')
    const { usage, output, incomplete_details: why } = response
    const named = output.flatMap((item) =>
      item.type === 'function_call' && item.status === 'completed' ? [[item.call_id, JSON.parse(item.arguments)]] : [],
    )
    const grown = calls.list.map(({ id, input }) => [id, input])
    if (JSON.stringify(named) !== JSON.stringify(grown)) throw new Error('The calls are not those that were streamed')
    if (why?.reason) answer.finish = why.reason === 'max_output_tokens' ? 'length' : 'content-filter'
    else answer.finish = named.length > 0 ? 'tool-calls' : 'stop'
    if (usage) {
      answer.usage = {
        inputTokens: usage.input_tokens,
        outputTokens: usage.output_tokens,
        totalTokens: usage.total_tokens,
        cachedInputTokens: usage.input_tokens_details.cached_tokens,
        cacheWriteInputTokens: usage.input_tokens_details.cache_write_tokens,
        reasoningTokens: usage.output_tokens_details.reasoning_tokens,
      }
    }
  })
  return { ...answer, tools: calls.list }
}

const FROM_ANTHROPIC: Record<string, FinishReason> = {
  end_turn: 'stop',
  max_tokens: 'length',
  tool_use: 'tool-calls',
  refusal: 'content-filter',
}

async function readMessagesAnswer(url: string, fetch: Fetch): Promise<Reading> {
  const answer = empty()
  const client = new Anthropic({ apiKey: 'test', baseURL: url, maxRetries: 0, fetch })
  const calls = new Calls()
  answer.failure = await failureOf(async () => {
    const stream = client.messages.stream({ model: 'any', max_tokens: 64, messages })
    for await (const event of stream) {
      if (event.type === 'content_block_start' && event.content_block.type === 'tool_use')
        calls.add(event.index, event.content_block.id, event.content_block.name, '')
      if (event.type !== 'content_block_delta') continue
      const { delta } = event
      if (delta.type === 'text_delta') answer.text += delta.text
      else if (delta.type === 'thinking_delta') answer.reasoning += delta.thinking
      else if (delta.type === 'input_json_delta') calls.add(event.index, undefined, undefined, delta.partial_json)
    }
    const { usage, stop_reason: reason, model } = await stream.finalMessage()
    if (model !== 'relayed') throw new Error(`Unexpected ${model}`)
    answer.finish = FROM_ANTHROPIC[reason ?? '']
    const { cache_read_input_tokens: read, cache_creation_input_tokens: written, output_tokens_details: of } = usage
    const thought = (of as { thinking_tokens?: number } | null | undefined)?.thinking_tokens
    answer.usage = {
      inputTokens: usage.input_tokens + (read ?? 0) + (written ?? 0),
      outputTokens: usage.output_tokens,
      ...(typeof read === 'number' && { cachedInputTokens: read }),
      ...(typeof written === 'number' && { cacheWriteInputTokens: written }),
      ...(thought !== undefined && { reasoningTokens: thought }),
    }
  })
  return { ...answer, tools: calls.list }
}

/** By the order that its strictest client wants: that one reads it in test/packages/dialects. */
async function readAGUIAnswer(url: string, fetch: Fetch): Promise<Reading> {
  const answer = empty()
  const calls = new Calls()
  const results = new Set<unknown>()
  const response = await fetch(url, post)
  const body = await response.text()
  if (!response.ok) return { ...answer, failure: { status: response.status, ...JSON.parse(body).error } }
  const ids: unknown[] = []
  for (const { type, ...event } of aguiEvents(body)) {
    const { delta, toolCallId: id } = event as { delta: string; toolCallId: string }
    if (type === 'TEXT_MESSAGE_CONTENT') answer.text += delta
    else if (type === 'REASONING_MESSAGE_CONTENT') answer.reasoning += delta
    else if (type === 'TOOL_CALL_START') calls.add(ids.push(id) - 1, id, event.toolCallName as string, '')
    else if (type === 'TOOL_CALL_ARGS') calls.add(ids.indexOf(id), undefined, undefined, delta)
    else if (type === 'TOOL_CALL_RESULT') results.add(id)
    else if (type === 'CUSTOM') answer.data.push(event.name as string)
    else if (type === 'RUN_ERROR') answer.failure = { code: event.code as string, message: event.message as string }
    else if (type === 'RUN_FINISHED') {
      answer.finish = (event.metadata as { finishReason?: string } | undefined)?.finishReason
      answer.usage = (event.usage as Usage[] | undefined)?.[0]
    }
  }
  return { ...answer, tools: calls.list.filter(({ id }) => !results.has(id)) }
}

async function readUIAnswer(url: string, fetch: Fetch): Promise<Reading> {
  const answer = empty()
  let message: UIMessage | undefined
  const transport = new DefaultChatTransport({ api: url, fetch })
  answer.failure = await failureOf(async () => {
    const chunks = await transport.sendMessages({
      trigger: 'submit-message',
      chatId: 'chat',
      messageId: undefined,
      messages: [{ id: '1', role: 'user', parts: [{ type: 'text', text: 'Hello?' }] }],
      abortSignal: undefined,
    })
    const look = new TransformStream<UIMessageChunk, UIMessageChunk>({
      transform(chunk, controller) {
        if (chunk.type === 'finish') answer.finish = chunk.finishReason
        // A message keeps nothing that is transient.
        if (chunk.type.startsWith('data-')) answer.data.push(chunk.type.slice(5))
        else if (chunk.type === 'source-url') answer.data.push('citation')
        else if (chunk.type === 'file') answer.data.push('file')
        controller.enqueue(chunk)
      },
    })
    let failed: unknown
    const snapshots = readUIMessageStream({
      stream: chunks.pipeThrough(look),
      onError(error) {
        failed = error
      },
    })
    for await (const snapshot of snapshots) message = snapshot
    if (failed) throw failed
  })
  const { usage } = (message?.metadata ?? {}) as { usage?: Usage }
  answer.usage = usage
  for (const part of message?.parts ?? []) {
    if (part.type === 'text' || part.type === 'reasoning') answer[part.type] += part.text
    else if (isToolUIPart(part)) {
      const { toolCallId: id, input, state, providerExecuted } = part
      const name = getToolName(part)
      if (!/^(in|out)put-available$/.test(state) && !answer.failure) throw new Error(`The call is ${state}`)
      if (!providerExecuted) answer.tools.push({ id, name, input })
    } else if (!/^(data-|source-url$|file$|step-start$)/.test(part.type))
      throw new Error(`Unexpected part ${JSON.stringify(part)}`)
  }
  return answer
}

async function failureOf(reading: () => Promise<void>): Promise<Answer['failure']> {
  try {
    await reading()
    return undefined
  } catch (error) {
    const { message } = error as Error
    if (isRelayError(error)) return { code: error.code, message, status: error.status }
    if (error instanceof AnthropicError) {
      const { code, message } =
        (error.error as { error?: { code?: string; message?: string } } | undefined)?.error ?? {}
      return { code, message, status: error.status }
    }
    if (error instanceof APIError) {
      const { code, status, error: told } = error
      return { code: code ?? undefined, message: (told as Error | undefined)?.message, status }
    }
    // Anthropic's client: the frame's data as it is.
    const { error: told, status } = error as {
      error?: { error?: { code?: string; message?: string } }
      status?: number
    }
    if (told?.error) return { ...told.error, status }
    return { message, ...(status !== undefined && { status }) }
  }
}

/** Tool calls as they grow. */
class Calls {
  readonly #calls = new Map<number, { id?: string; name?: string; input: string }>()

  add(index: number, id: string | undefined, name: string | undefined, input: string): void {
    const call = this.#calls.get(index)
    if (!call) this.#calls.set(index, { id, name, input })
    else if (id || name) throw new Error(`The call ${index} was begun twice`)
    else call.input += input
  }

  get list(): ToolCall[] {
    return [...this.#calls.values()].map(({ id, name = '', input }) => ({
      ...(id !== undefined && { id }),
      name,
      input: JSON.parse(input || '{}'),
    }))
  }
}
