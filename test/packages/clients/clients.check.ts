/** Do the streams of providers' own clients come out right? */
import { BedrockRuntimeClient, InvokeModelWithResponseStreamCommand } from '@aws-sdk/client-bedrock-runtime'
import { createSseStream } from '@azure/core-sse'
import { GoogleGenAI } from '@google/genai'
import { GoogleGenerativeAI } from '@google/generative-ai'
import { VertexAI } from '@google-cloud/vertexai'
import { InferenceClient } from '@huggingface/inference'
import { WatsonXAI } from '@ibm-cloud/watsonx-ai'
import { Mistral } from '@mistralai/mistralai'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { NoAuthAuthenticator } from 'ibm-cloud-sdk-core'
import Replicate from 'replicate'
import { from } from 'rxjs'
import { expect } from 'vitest'
import { streamText, tool } from 'xsai'
import { z } from 'zod'
import { describePackage, type PackageStream, SECRET } from '../harness.js'
import { anthropic, gemini, openaiChat } from '../wires.js'
import { bedrockHandler } from './bedrock.js'
import { conversations, interactions, replicate, textGeneration, watsonx, workersAI } from './wires.js'

const NO_DETAILS = { inputTokens: 25, outputTokens: 15, totalTokens: 40 }
// Their calls have no ids.
const NO_IDS = { calls: [{ name: 'weather', input: '{"city":"Oslo"}' }] }
const messages = [
  { role: 'system' as const, content: SECRET },
  { role: 'user' as const, content: 'Hi' },
]

describePackage('Google', [
  {
    name: '@google/genai, interactions',
    wire: interactions,
    open: (url, signal) =>
      new GoogleGenAI({ apiKey: SECRET, httpOptions: { baseUrl: url } }).interactions.create(
        { model: 'gemini-3-pro', input: 'Hi', system_instruction: SECRET, stream: true },
        { maxRetries: 0, ...(signal && { signal }) } as never,
      ),
    bare: 'at a token',
    signalOnly: 'Gemini Interactions',
  },
  {
    name: '@google/generative-ai, the result of generateContentStream',
    wire: gemini,
    open: (url, signal) =>
      new GoogleGenerativeAI(SECRET)
        .getGenerativeModel({ model: 'm', systemInstruction: SECRET }, { baseUrl: url })
        .generateContentStream('Hi', signal ? { signal } : {}),
    differs: { whole: NO_IDS },
    bare: 'never',
    signalOnly: 'Gemini',
  },
  {
    name: '@google-cloud/vertexai, the result of generateContentStream',
    wire: gemini,
    open: (url) => {
      const model = new VertexAI({ project: 'p', location: 'l', apiEndpoint: new URL(url).host }).getGenerativeModel({
        model: 'm',
        systemInstruction: SECRET,
      })
      Object.assign(model, { fetchToken: async () => SECRET })
      return overHttp(() => model.generateContentStream('Hi'))
    },
    differs: { whole: NO_IDS },
    bare: 'never',
    signal: 'never',
    signalOnly: 'Gemini',
  },
])

/** Vertex speaks to nothing but https. */
async function overHttp<T>(ask: () => Promise<T>): Promise<T> {
  const { fetch } = globalThis
  globalThis.fetch = (url, init) => fetch(String(url).replace('https:', 'http:'), init)
  try {
    return await ask()
  } finally {
    globalThis.fetch = fetch
  }
}

describePackage('Mistral', [
  {
    name: '@mistralai/mistralai, beta.conversations.startStream',
    wire: conversations,
    open: (url, signal) =>
      new Mistral({ apiKey: SECRET, serverURL: url, retryConfig: { strategy: 'none' } }).beta.conversations.startStream(
        { model: 'm', instructions: SECRET, inputs: 'Hi' },
        signal ? { fetchOptions: { signal } } : {},
      ),
    differs: { whole: { reasoning: '', usage: NO_DETAILS } },
    bare: 'stops',
  },
])

describePackage('Bedrock', [
  {
    name: '@aws-sdk/client-bedrock-runtime, InvokeModelWithResponseStream, Anthropic',
    wire: anthropic,
    open: async (url, abortSignal) => {
      const client = new BedrockRuntimeClient({
        region: 'us-east-1',
        credentials: { accessKeyId: 'a', secretAccessKey: SECRET },
        maxAttempts: 1,
        requestHandler: bedrockHandler(url),
      })
      const { body } = await client.send(
        new InvokeModelWithResponseStreamCommand({ modelId: 'm', body: JSON.stringify({ system: SECRET, messages }) }),
        abortSignal ? { abortSignal } : {},
      )
      return body
    },
    differs: { whole: { usage: { inputTokens: 25, outputTokens: 15, cachedInputTokens: 5 } } },
    bare: 'never',
    signalOnly: 'Bedrock',
  },
])

const plain: PackageStream['differs'] = {
  whole: { reasoning: '', calls: [], usage: undefined, finishReason: 'stop' },
}

describePackage('Replicate', [
  {
    name: 'replicate, stream',
    wire: replicate,
    open: (url, signal) => {
      const client = new Replicate({
        auth: SECRET,
        baseUrl: url,
        // The prediction is made; what is streamed is what is asked of the fake provider.
        fetch: (asked, init) =>
          String(asked).endsWith('/predictions')
            ? Promise.resolve(Response.json({ id: 'p_1', urls: { stream: url } }, { status: 201 }))
            : fetch(asked, init),
      })
      return client.stream('meta/m', { input: { prompt: SECRET }, ...(signal && { signal }) } as never)
    },
    differs: {
      whole: { ...plain.whole, finishReason: undefined },
    },
    bare: 'never',
    signalOnly: 'Replicate',
  },
])

describePackage('Hugging Face', [
  {
    name: '@huggingface/inference, textGenerationStream',
    wire: textGeneration,
    open: (url, signal) =>
      new InferenceClient(SECRET).textGenerationStream(
        { inputs: 'Hi', endpointUrl: url },
        { retry_on_error: false, ...(signal && { signal }) },
      ),
    differs: { whole: { ...plain.whole, usage: { inputTokens: 25, outputTokens: 15 } } },
    bare: 'never',
    signalOnly: 'Hugging Face',
  },
  {
    name: '@huggingface/inference, chatCompletionStream',
    wire: openaiChat,
    open: (url, signal) =>
      new InferenceClient(SECRET, { endpointUrl: url }).chatCompletionStream(
        { model: 'm', messages },
        { retry_on_error: false, ...(signal && { signal }) },
      ),
    bare: 'never',
  },
])

const watsonxAt = (serviceUrl: string) =>
  WatsonXAI.newInstance({ version: '2024-05-31', serviceUrl, authenticator: new NoAuthAuthenticator() })
const question = { modelId: 'm', projectId: 'p', messages }

describePackage('watsonx', [
  {
    name: '@ibm-cloud/watsonx-ai, textChatStream',
    wire: watsonx,
    open: (url, signal) =>
      watsonxAt(url).textChatStream({ ...question, returnObject: true, ...(signal && { signal }) }),
    bare: 'at a token',
  },
  {
    name: '@ibm-cloud/watsonx-ai, textChatStream, by its lines',
    wire: watsonx,
    open: (url, signal) => watsonxAt(url).textChatStream({ ...question, ...(signal && { signal }) }),
    bare: 'at a token',
  },
])

describePackage('xsai', [
  {
    name: 'xsai, the result of streamText',
    isAnswered: true,
    wire: openaiChat,
    open: async (url, abortSignal) =>
      streamText({
        apiKey: SECRET,
        baseURL: `${url}/v1/`,
        model: 'm',
        messages,
        maxSteps: 1,
        tools: [
          await tool({
            name: 'weather',
            description: 'd',
            parameters: z.object({ city: z.string() }),
            execute: () => SECRET,
          }),
        ],
        ...(abortSignal && { abortSignal }),
      }),
    differs: {
      whole: { usage: undefined },
      // It throws away what it has not handed out yet.
      failure: { text: expect.any(String), status: expect.any(Number) },
    },
    bare: 'at a token',
  },
])

const ask = (url: string, signal: AbortSignal | undefined) =>
  fetch(url, { method: 'POST', body: '{}', ...(signal && { signal }) })
const bodyOf = async (url: string, signal: AbortSignal | undefined) => {
  const response = await ask(url, signal)
  if (!response.ok) throw Object.assign(new Error(await response.text()), { status: response.status })
  return response.body as ReadableStream<Uint8Array>
}

describePackage('event streams', [
  {
    name: '@azure/core-sse, createSseStream',
    wire: openaiChat,
    open: async (url, signal) => createSseStream((await bodyOf(url, signal)) as never),
    bare: 'never',
  },
  {
    name: 'eventsource-parser, EventSourceParserStream',
    wire: openaiChat,
    open: async (url, signal) =>
      (await bodyOf(url, signal))
        .pipeThrough(new TextDecoderStream() as never)
        .pipeThrough(new EventSourceParserStream()),
    bare: 'stops',
  },
  {
    name: 'the bytes of Workers AI',
    wire: workersAI,
    open: bodyOf,
    differs: { whole: { reasoning: '', usage: NO_DETAILS, calls: [{ name: 'weather', input: '{"city":"Oslo"}' }] } },
    bare: 'stops',
  },
  {
    name: 'rxjs, an Observable of chunks',
    wire: openaiChat,
    open: async (url, signal) =>
      from(
        (await bodyOf(url, signal))
          .pipeThrough(new TextDecoderStream() as never)
          .pipeThrough(new EventSourceParserStream()),
      ),
    bare: 'at a token',
  },
])
