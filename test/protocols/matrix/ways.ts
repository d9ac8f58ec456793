/** The ways in: every provider's real SDK, pointed at the replay upstream, as a user hands its stream to `relay`. */

import { type IncomingMessage, request } from 'node:http'
import { createServer, type Http2ServerResponse } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import Anthropic from '@anthropic-ai/sdk'
import { BedrockRuntimeClient, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime'
import { GoogleGenAI } from '@google/genai'
import { Chat as MistralChat } from '@mistralai/mistralai/sdk/chat.js'
import { DefaultChatTransport, jsonSchema, type LanguageModel, streamText, tool } from 'ai'
import { Ollama } from 'ollama'
import OpenAI from 'openai'
import type { SourceStream } from 'sse-relay'

// The SDK warns of model names that it does not know.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false })

/** The provider a trace is from: the beginning of its name. */
export const families = [
  'openai-chat',
  'openai-compat',
  'openai-responses',
  'anthropic',
  'gemini',
  'mistral',
  'ollama',
  'bedrock',
  'ai-sdk-ui',
] as const
export type Family = (typeof families)[number]

export function familyOf(trace: string): Family {
  const family = families.find((name) => trace.startsWith(name))
  if (!family) throw new Error(`No provider is known for the trace ${trace}`)
  return family
}

/** One way to ask a provider for a stream. */
export interface Way {
  name: string
  /** What the SDK makes of the answer, from the upstream at `url`. */
  open(url: string, signal?: AbortSignal): SourceStream | PromiseLike<SourceStream>
  /** Strings only: all that the provider said besides the text is gone, failures too. */
  textOnly?: boolean
  /**
   * How the stream is stopped when it is handed in as it is: by what it has itself, or not at all, because the SDK
   * stops for nothing but the signal its call was given. The name is the one in the warning.
   */
  bare: 'stops' | { warned: string }
}

// None of the two may be seen by a client.
const PROMPT = 'SECRET prompt'
const apiKey = 'SECRET key'

export const messages: { role: 'user'; content: string }[] = [{ role: 'user', content: PROMPT }]
const once = { maxRetries: 0 }

export const openai = (url: string) => new OpenAI({ apiKey, baseURL: `${url}/v1`, ...once })
export const anthropic = (url: string) => new Anthropic({ apiKey, baseURL: url, ...once })

const anyInput = jsonSchema<object>({ type: 'object', additionalProperties: true })
const tools = { get_weather: tool({ inputSchema: anyInput }), get_time: tool({ inputSchema: anyInput }) }

function generation(model: LanguageModel, abortSignal?: AbortSignal) {
  // The SDK writes errors to the console itself, unless it is told otherwise.
  return streamText({ model, messages, tools, abortSignal, ...once, onError() {} })
}

function aiWays(name: string, model: (url: string) => LanguageModel): Way[] {
  const bare = { warned: 'AI SDK' }
  return [
    { name: `${name} stream`, open: (url, signal) => generation(model(url), signal).stream, bare },
    {
      name: `${name} textStream`,
      open: (url, signal) => generation(model(url), signal).textStream,
      textOnly: true,
      bare,
    },
  ]
}

const chatParams = {
  model: 'test',
  messages,
  stream: true,
  stream_options: { include_usage: true },
} satisfies OpenAI.ChatCompletionCreateParamsStreaming

const chatWays: Way[] = [
  {
    name: 'openai chat create',
    open: (url, signal) => openai(url).chat.completions.create(chatParams, { signal }),
    bare: 'stops',
  },
  {
    name: 'openai chat .stream()',
    open: (url, signal) => openai(url).chat.completions.stream(chatParams, { signal }),
    bare: 'stops',
  },
  ...aiWays('ai, openai chat,', (url) => createOpenAI({ apiKey, baseURL: `${url}/v1` }).chat('test')),
]

/** An event stream of any provider, and of another relay. */
export const response: Way = {
  name: 'fetch Response',
  open: (url, signal) => fetch(`${url}/v1/stream`, { method: 'POST', signal }),
  bare: 'stops',
}

export const ways: Record<Family, Way[]> = {
  'openai-chat': [...chatWays, response],
  'openai-compat': [...chatWays, response],
  'openai-responses': [
    {
      name: 'openai responses create',
      open: (url, signal) => openai(url).responses.create({ model: 'test', input: PROMPT, stream: true }, { signal }),
      bare: 'stops',
    },
    {
      name: 'openai responses .stream()',
      open: (url, signal) => openai(url).responses.stream({ model: 'test', input: PROMPT }, { signal }),
      bare: 'stops',
    },
    ...aiWays('ai, openai responses,', (url) => createOpenAI({ apiKey, baseURL: `${url}/v1` }).responses('test')),
    response,
  ],
  anthropic: [
    {
      name: 'anthropic create',
      open: (url, signal) =>
        anthropic(url).messages.create({ model: 'test', max_tokens: 64, messages, stream: true }, { signal }),
      bare: 'stops',
    },
    {
      name: 'anthropic .stream()',
      open: (url, signal) => anthropic(url).messages.stream({ model: 'test', max_tokens: 64, messages }, { signal }),
      bare: 'stops',
    },
    ...aiWays('ai, anthropic,', (url) => createAnthropic({ apiKey, baseURL: `${url}/v1` })('test')),
    {
      // The name that `stream` had until version 7, and still has.
      name: 'ai, anthropic, fullStream',
      open: (url, signal) => generation(createAnthropic({ apiKey, baseURL: `${url}/v1` })('test'), signal).fullStream,
      bare: { warned: 'AI SDK' },
    },
    response,
  ],
  gemini: [
    {
      name: '@google/genai',
      open: (url, abortSignal) =>
        new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url } }).models.generateContentStream({
          model: 'test',
          contents: PROMPT,
          config: { abortSignal },
        }),
      bare: { warned: 'Gemini' },
    },
    response,
  ],
  mistral: [
    {
      name: '@mistralai/mistralai',
      open: (url, signal) =>
        // What `new Mistral().chat` is: the whole client is a thousand files.
        new MistralChat({ apiKey, serverURL: url }).stream(
          { model: 'test', messages },
          signal && { fetchOptions: { signal } },
        ),
      bare: 'stops',
    },
    response,
  ],
  ollama: [
    {
      name: 'ollama',
      open: (url) => new Ollama({ host: url }).chat({ model: 'test', messages, stream: true }),
      bare: 'stops',
    },
  ],
  bedrock: [
    {
      name: '@aws-sdk/client-bedrock-runtime',
      open: (url, abortSignal) => converse(url, abortSignal),
      bare: { warned: 'Bedrock' },
    },
  ],
  'ai-sdk-ui': [
    {
      name: 'ai DefaultChatTransport',
      open: (url, abortSignal) =>
        new DefaultChatTransport({ api: `${url}/chat` }).sendMessages({
          trigger: 'submit-message',
          chatId: 'chat',
          messageId: undefined,
          messages: [{ id: '1', role: 'user', parts: [{ type: 'text', text: PROMPT }] }],
          abortSignal,
        }),
      bare: 'stops',
    },
    response,
  ],
}

async function converse(url: string, abortSignal?: AbortSignal): Promise<SourceStream> {
  const client = new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint: await http2Front(url),
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  })
  const input = { modelId: 'test', messages: [{ role: 'user' as const, content: [{ text: PROMPT }] }] }
  const { stream } = await client.send(new ConverseStreamCommand(input), { abortSignal })
  return stream as SourceStream
}

const fronts = new Map<string, Promise<string>>()

/**
 * The AWS client speaks HTTP/2 only: the same upstream behind a server that does. What is closed here is closed there.
 * The header `x-pause-ms` of an answer asks for a pause after each message of it.
 */
function http2Front(url: string): Promise<string> {
  let front = fronts.get(url)
  if (!front) {
    const server = createServer((req, res) => {
      const { 'content-type': type = '' } = req.headers
      const upstream = request(url + req.url, { method: req.method, headers: { 'content-type': type } }, (answer) => {
        const { connection: _, 'transfer-encoding': __, 'keep-alive': ___, ...headers } = answer.headers
        res.writeHead(answer.statusCode ?? 502, headers)
        forward(answer, res).catch(() => res.stream.destroy())
      })
      upstream.on('error', () => res.stream.destroy())
      req.pipe(upstream)
      res.on('close', () => upstream.destroy())
    })
    server.unref()
    front = new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
    })
    fronts.set(url, front)
  }
  return front
}

async function forward(answer: IncomingMessage, res: Http2ServerResponse): Promise<void> {
  const pauseMs = Number(answer.headers['x-pause-ms'] ?? 0)
  for await (const bytes of answer) {
    if (pauseMs === 0) res.write(bytes)
    else {
      for (const message of binaryMessages(bytes)) {
        res.write(message)
        await setTimeout(pauseMs)
        if (res.stream.destroyed) return
      }
    }
  }
  res.end()
}

/** The messages of a binary event stream: each begins with its length. */
export function binaryMessages(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + bytes.readUInt32BE(at)
    messages.push(bytes.subarray(at, end))
    at = end
  }
  return messages
}
