// What is the answer of each protocol in one body, for `stream: false`, and what does its client make of that?
import { GoogleGenAI } from '@google/genai'
import { readUIMessageStream, type UIMessage, type UIMessageChunk } from 'ai'
import OpenAI, { RateLimitError } from 'openai'
import type { RelayOptions, Source } from 'sse-relay'
import { parseSSE } from 'sse-relay/client'
import { createMemoryLog } from 'sse-relay/log'
import { relay } from 'sse-relay/node'
import { openaiChat, type Protocol, parts, raw, text, uiMessage } from 'sse-relay/protocols'
import { collect, readTrace } from 'sse-relay/testing'
import { describe, expect, it } from 'vitest'
import { listening } from '../serving.js'

const RUN_ID = 'one-body-run-0001'

async function serve(source: Source, protocol: Protocol, options: RelayOptions = {}): Promise<string> {
  return listening((req, res) => {
    void relay(req, res, source, { onError() {}, runId: RUN_ID, protocol, stream: false, ...options })
  })
}
const ask = async (source: Source, protocol: Protocol, options?: RelayOptions) =>
  (await fetch(await serve(source, protocol, options), { method: 'POST' })).json()

/** One of everything that a source may yield. */
const everything: unknown[] = [
  { type: 'start', id: 'a', model: 'b' },
  { type: 'reasoning', text: 'Look' },
  { type: 'reasoning', text: ' up.' },
  'Hel',
  { type: 'text', text: 'lo' },
  { type: 'tool-call', index: 0, id: 'call_1', name: 'weather', input: '{"city":' },
  { event: 'progress', data: { percent: 50 } },
  { type: 'tool-call', index: 0, input: '"Oslo"}', done: true },
  { type: 'tool-call', index: 1, id: 'call_2', name: 'search', input: '', done: true, executed: true },
  { type: 'tool-result', id: 'call_2', output: { hits: 3 } },
  { type: 'tool-call', index: 2, id: 'call_3', name: 'weather', input: '{"ci', error: 'no such city' },
  { type: 'data', name: 'citation', data: { url: 'https://example.com', title: 'a' } },
  { type: 'data', name: 'file', data: { url: 'https://example.com/a.png', mediaType: 'image/png' } },
  { type: 'data', name: 'place', data: 1, id: 'x' },
  { type: 'data', name: 'place', data: 2, id: 'x' },
  { type: 'data', name: 'gone', data: 2, transient: true },
  '\n\nBye',
  { type: 'usage', usage: { inputTokens: 25, cachedInputTokens: 5, outputTokens: 15, reasoningTokens: 2 } },
  { type: 'finish', reason: 'tool-calls' },
]

describe('text()', () => {
  it('is the text', async () => {
    expect(await ask(everything, text())).toEqual({ text: 'Hello\n\nBye' })
  })
})

describe('parts()', () => {
  it('is the parts, whole, with the finish and the usage last', async () => {
    const { parts: said } = await ask(everything, parts())
    expect(said.slice(0, 5)).toEqual([
      { type: 'start', id: 'a', model: 'b' },
      { type: 'reasoning', text: 'Look up.' },
      { type: 'text', text: 'Hello' },
      { type: 'tool-call', index: 0, id: 'call_1', name: 'weather', input: '{"city":"Oslo"}', done: true },
      { type: 'event', event: 'progress', data: '{"percent":50}' },
    ])
    expect(said.slice(-3)).toEqual([
      { type: 'text', text: '\n\nBye' },
      { type: 'usage', usage: { inputTokens: 25, cachedInputTokens: 5, outputTokens: 15, reasoningTokens: 2 } },
      { type: 'finish', reason: 'tool-calls' },
    ])
  })
})

describe('openaiChat()', () => {
  const messages = [{ role: 'user' as const, content: 'Hello?' }]
  const client = (url: string) => new OpenAI({ apiKey: 'test', baseURL: url, maxRetries: 0 })
  const complete = async (source: Source, options?: RelayOptions) =>
    client(await serve(source, openaiChat({ model: 'mine' }), options)).chat.completions.create({
      model: 'mine',
      messages,
    })

  it('is a chat.completion to the official client', async () => {
    expect(await complete(everything)).toMatchObject({
      id: `chatcmpl-${RUN_ID}`,
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'mine',
      choices: [
        {
          index: 0,
          finish_reason: 'tool_calls',
          message: {
            role: 'assistant',
            content: 'Hello\n\nBye',
            reasoning_content: 'Look up.',
            refusal: null,
            tool_calls: [
              { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
            ],
          },
        },
      ],
      usage: {
        prompt_tokens: 25,
        completion_tokens: 15,
        total_tokens: 40,
        prompt_tokens_details: { cached_tokens: 5 },
        completion_tokens_details: { reasoning_tokens: 2 },
      },
    })
  })

  it('has counts of nothing where the source has none', async () => {
    expect((await complete(['Hello'])).usage).toEqual({ prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 })
  })

  it('has no text where there are calls alone, and says when one is not whole', async () => {
    const call = { type: 'tool-call', index: 0, name: 'weather', input: '', done: true }
    const whole = (await complete([call])).choices[0]
    expect([whole?.message.content, whole?.finish_reason]).toEqual([null, 'tool_calls'])
    const half = (await complete([call, { type: 'tool-call', index: 1, name: 'weather', input: '{' }])).choices[0]
    expect([half?.message.tool_calls?.length, half?.finish_reason]).toEqual([1, 'length'])
    const none = (await complete(['Hello', { type: 'tool-call', index: 1, name: 'weather', input: '{}' }])).choices[0]
    expect([none?.message.tool_calls?.length, none?.finish_reason]).toEqual([1, 'tool_calls'])
  })

  it('is an error of the client where the run fails, also in the middle', async () => {
    const source = async function* () {
      yield 'Hello'
      throw Object.assign(new Error('SECRET'), { status: 429 })
    }
    const failure = await complete(source).then(String, (error) => error)
    expect(failure).toBeInstanceOf(RateLimitError)
    expect(failure).toMatchObject({ status: 429, code: 'rate-limit' })
    expect(String(failure)).not.toContain('SECRET')
  })
})

describe('uiMessage()', () => {
  /** What the AI SDK makes of the stream. */
  async function streamed(source: Source): Promise<UIMessage | undefined> {
    const url = await serve(source, uiMessage({ metadata: () => ({ a: 1 }) }), { stream: true, toolResults: true })
    const { events } = await collect(await fetch(url, { method: 'POST' }))
    const chunks = events.map(({ data }) => data).filter((data) => data !== '[DONE]')
    const stream = new ReadableStream<UIMessageChunk>({
      start(controller) {
        for (const data of chunks) controller.enqueue(JSON.parse(data))
        controller.close()
      },
    })
    let message: UIMessage | undefined
    for await (message of readUIMessageStream({ stream }));
    return message
  }
  const whole = (source: Source) => ask(source, uiMessage({ metadata: () => ({ a: 1 }) }), { toolResults: true })

  it.each([
    ['everything', everything],
    ['nothing', []],
    [
      'several answers',
      [
        { type: 'start', id: 'x' },
        'a',
        { type: 'tool-call', index: 0, id: 'c', name: 'n', input: '{}', done: true },
        { type: 'tool-result', id: 'c', output: null, error: 'no' },
        { type: 'start', id: 'y' },
        { type: 'tool-call', index: 0, id: 'c', name: 'n', input: 'no JSON', done: true },
        '\n\nb',
        { type: 'finish', reason: 'stop' },
      ],
    ],
    [
      'a call that is cut',
      [
        { type: 'tool-call', index: 0, name: 'n', input: '{' },
        { type: 'finish', reason: 'length' },
      ],
    ],
    [
      'data amid a text',
      ['a', { event: 'own', data: 1 }, 'b', { type: 'data', name: 'citation', data: { url: 'https://x.test' } }, 'c'],
    ],
    ['a result without its call', [{ type: 'tool-result', id: 'z', name: 'n', output: [1] }]],
  ])('is the message that the AI SDK makes of the stream: %s', async (_, source) => {
    expect(await whole(source)).toEqual(JSON.parse(JSON.stringify(await streamed(source))))
  })
})

describe('uiMessage() with a log', () => {
  it('asks for its metadata once, for the stream and the body', async () => {
    let asked = 0
    const protocol = uiMessage({ metadata: () => ({ asked: ++asked }) })
    const log = createMemoryLog()
    expect(await ask(['Hello'], protocol, { log, owner: null })).toMatchObject({ metadata: { asked: 1 } })
    expect(asked).toBe(1)
  })
})

describe('raw()', () => {
  const chunks = async (trace: string) => {
    const chunks: object[] = []
    for await (const { data } of parseSSE(readTrace(trace).toString(), { sentinel: false }))
      chunks.push(JSON.parse(data))
    return chunks
  }

  it('is the chunks, and own events by their data', async () => {
    const provider = await chunks('gemini-text.sse')
    expect(await ask([...provider, { event: 'a', data: { b: 1 } }, { data: 'c' }], raw())).toEqual([
      ...provider,
      { b: 1 },
      'c',
    ])
  })

  it('is one response to Google’s own client', async () => {
    const url = await serve(await chunks('gemini-thinking-tool.sse'), raw({ client: 'google-genai' }))
    const client = new GoogleGenAI({ apiKey: 'test', httpOptions: { baseUrl: url } })
    const response = await client.models.generateContent({ model: 'any', contents: 'Hello?' })
    const stream = await new GoogleGenAI({
      apiKey: 'test',
      httpOptions: {
        baseUrl: await serve(await chunks('gemini-thinking-tool.sse'), raw({ client: 'google-genai' }), {
          stream: true,
        }),
      },
    }).models.generateContentStream({ model: 'any', contents: 'Hello?' })
    const said = []
    let last: typeof response | undefined
    for await (last of stream) said.push(...(last.candidates?.[0]?.content?.parts ?? []))
    expect(said.length).toBeGreaterThan(1)
    expect(response.candidates?.[0]?.content?.parts).toEqual(said)
    expect(response.candidates?.[0]?.finishReason).toBe(last?.candidates?.[0]?.finishReason)
    expect(response.usageMetadata).toEqual(last?.usageMetadata)
  })
})

describe('with a log', () => {
  it('a request that names a run which is there is refused, since of that there are frames alone', async () => {
    const log = createMemoryLog()
    const url = await serve(['Hello'], text(), { log, owner: null, runId: undefined })
    const post = () => fetch(url, { method: 'POST', headers: { 'x-run-id': RUN_ID } })
    expect(await (await post()).json()).toEqual({ text: 'Hello' })
    const again = await post()
    expect([again.status, await again.json()]).toMatchObject([409, { error: { code: 'run-exists' } }])
  })
})
