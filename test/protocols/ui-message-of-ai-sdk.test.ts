import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import {
  convertToModelMessages,
  createUIMessageStream,
  dynamicTool,
  isStepCount,
  readUIMessageStream,
  streamText,
  tool,
  type UIMessage,
  type UIMessageChunk,
} from 'ai'
import { MockLanguageModelV4, simulateReadableStream } from 'ai/test'
import type { RelayOptions, Source } from 'sse-relay'
import { parseSSE } from 'sse-relay/client'
import { type UIMessageOptions, uiMessage } from 'sse-relay/protocols'
import { relay } from 'sse-relay/web'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { replaying } from '../serving.js'
import { type Chunk, call, finish, pieces, plain, reasoning, text } from './ai-sdk-model.js'

const city = z.object({ city: z.string() })
const tools = {
  /** Of the client. */
  ask: tool({ description: 'd', inputSchema: city }),
  weather: tool({ description: 'd', inputSchema: city, execute: async ({ city }) => ({ city, sky: 'rain' }) }),
  breaks: tool({
    description: 'd',
    inputSchema: city,
    execute: async (): Promise<string> => {
      throw new Error('sk-secret')
    },
  }),
  grows: tool({
    description: 'd',
    inputSchema: city,
    async *execute() {
      yield { done: false }
      yield { done: true }
    },
  }),
  /** Asks a person, and those that the application answers for itself. */
  pay: tool({
    description: 'd',
    title: 'Pay',
    metadata: { of: 'shop' },
    inputSchema: city,
    execute: async () => 'paid',
  }),
  look: tool({ description: 'd', inputSchema: city, execute: async () => 'seen' }),
  burn: tool({ description: 'd', inputSchema: city, execute: async () => 'burnt' }),
  unlisted: dynamicTool({ description: 'd', title: 'New', inputSchema: city, execute: async () => 'done' }),
}
const toolApproval = { pay: 'user-approval', look: 'approved', burn: 'denied' } as const

/** What a model may say, a list of chunks for each step. */
const runs: Record<string, Chunk[][]> = {
  text: [[...text('1', 'Hello ', 'there.'), finish()]],
  'text in two blocks': [[...text('1', 'One.'), ...text('2', 'Two.'), finish()]],
  'reasoning and text': [[...reasoning('1', 'Let me ', 'think.'), ...text('2', 'Hello.'), finish()]],
  'reasoning twice': [
    [...reasoning('1', 'One.'), ...text('2', 'a'), ...reasoning('3', 'Two.'), ...text('4', 'b'), finish()],
  ],
  'a source with an address': [
    [
      ...text('1', 'Hi.'),
      { type: 'source', sourceType: 'url', id: 's', url: 'https://a.example', title: 'A' },
      finish(),
    ],
  ],
  'a source that is a document': [
    [
      ...text('1', 'Hi.'),
      { type: 'source', sourceType: 'document', id: 's', mediaType: 'application/pdf', title: 'A', filename: 'a.pdf' },
      finish(),
    ],
  ],
  'a file': [[{ type: 'file', mediaType: 'image/png', data: { type: 'data', data: 'AAAA' } }, finish()]],
  'a call for the client, in pieces': [
    [...pieces('c1', 'ask', ['{"city":', '"Oslo"}']), call('c1', 'ask', '{"city":"Oslo"}'), finish('tool-calls')],
  ],
  'a call for the client, whole': [[call('c1', 'ask', '{"city":"Oslo"}'), finish('tool-calls')]],
  'two calls at once, their pieces mixed': [
    [
      { type: 'tool-input-start', id: 'c1', toolName: 'ask' },
      { type: 'tool-input-start', id: 'c2', toolName: 'ask' },
      { type: 'tool-input-delta', id: 'c1', delta: '{"city":' },
      { type: 'tool-input-delta', id: 'c2', delta: '{"city":"Rome"}' },
      { type: 'tool-input-delta', id: 'c1', delta: '"Oslo"}' },
      { type: 'tool-input-end', id: 'c1' },
      { type: 'tool-input-end', id: 'c2' },
      call('c1', 'ask', '{"city":"Oslo"}'),
      call('c2', 'ask', '{"city":"Rome"}'),
      finish('tool-calls'),
    ],
  ],
  'a tool that answers, and the next step': [
    [...text('1', 'Looking.'), call('c1', 'weather', '{"city":"Oslo"}'), finish('tool-calls')],
    [...text('1', 'It rains.'), finish()],
  ],
  'the same id in two steps': [
    [...pieces('c1', 'weather', ['{"city":"Oslo"}']), call('c1', 'weather', '{"city":"Oslo"}'), finish('tool-calls')],
    [...text('1', 'And now?'), finish()],
  ],
  'a tool that throws': [
    [call('c1', 'breaks', '{"city":"Oslo"}'), finish('tool-calls')],
    [...text('1', 'Sorry.'), finish()],
  ],
  'a tool whose answer grows': [
    [call('c1', 'grows', '{"city":"Oslo"}'), finish('tool-calls')],
    [...text('1', 'Done.'), finish()],
  ],
  'an input that is not what was asked for': [
    [...pieces('c1', 'ask', ['{"city":1}']), call('c1', 'ask', '{"city":1}'), finish('tool-calls')],
    [...text('1', 'Sorry.'), finish()],
  ],
  'an input that is no JSON, and is repaired': [
    [...pieces('c1', 'ask', ['{"city":"Oslo"}}']), call('c1', 'ask', '{"city":"Oslo"}}'), finish('tool-calls')],
  ],
  'a tool that there is not': [
    [call('c1', 'nothing', '{"city":"Oslo"}'), finish('tool-calls')],
    [...text('1', 'Sorry.'), finish()],
  ],
  'a tool of the provider': [
    [
      ...pieces('c1', 'search', ['{"q":"x"}'], { providerExecuted: true, dynamic: true }),
      call('c1', 'search', '{"q":"x"}', { providerExecuted: true, dynamic: true }),
      { type: 'tool-result', toolCallId: 'c1', toolName: 'search', result: { hits: 1 }, dynamic: true },
      ...text('1', 'Found.'),
      finish(),
    ],
  ],
  'a tool of the provider that failed': [
    [
      call('c1', 'search', '{"q":"x"}', { providerExecuted: true, dynamic: true }),
      { type: 'tool-result', toolCallId: 'c1', toolName: 'search', result: 'no', isError: true, dynamic: true },
      ...text('1', 'Nothing.'),
      finish(),
    ],
  ],
  'a call that a person is to allow': [
    [
      ...text('1', 'May I?'),
      ...pieces('c1', 'pay', ['{"city":"Oslo"}']),
      call('c1', 'pay', '{"city":"Oslo"}'),
      finish('tool-calls'),
    ],
  ],
  'two calls that a person is to allow, and one that runs': [
    [
      call('c1', 'pay', '{"city":"Oslo"}'),
      call('c2', 'weather', '{"city":"Oslo"}'),
      call('c3', 'pay', '{"city":"Rome"}'),
      finish('tool-calls'),
    ],
  ],
  'calls that the application allows and refuses itself': [
    [call('c1', 'look', '{"city":"Oslo"}'), call('c2', 'burn', '{"city":"Oslo"}'), finish('tool-calls')],
    [...text('1', 'Well.'), finish()],
  ],
  'a call of the provider that a person is to allow': [
    [
      call('c1', 'search', '{"q":"x"}', { providerExecuted: true, dynamic: true }),
      { type: 'tool-approval-request', approvalId: 'a', toolCallId: 'c1' },
      finish('tool-calls'),
    ],
  ],
  'a tool that the page does not know, by its own title': [
    [
      ...pieces('c1', 'unlisted', ['{"city":"Oslo"}'], { dynamic: true }),
      call('c1', 'unlisted', '{"city":"Oslo"}'),
      finish('tool-calls'),
    ],
    [...text('1', 'Done.'), finish()],
  ],
  'an input that is not what was asked for, whole': [
    [call('c1', 'weather', '{"city":1}'), finish('tool-calls')],
    [...text('1', 'Sorry.'), finish()],
  ],
  'a file of a thought': [
    [
      { type: 'reasoning-file', mediaType: 'image/png', data: { type: 'data', data: 'AAAA' } },
      ...text('1', 'Hi.'),
      finish(),
    ],
  ],
  'a text with the places of its sources': [
    [
      { type: 'text-start', id: '1' },
      { type: 'text-delta', id: '1', delta: 'It rains.' },
      {
        type: 'text-end',
        id: '1',
        citations: [
          {
            source: { type: 'source', sourceType: 'url', id: 's', url: 'https://a.example' },
            startIndex: 0,
            endIndex: 2,
          },
        ],
      },
      finish(),
    ],
  ],
  length: [[...text('1', 'Hello '), finish('length')]],
}

const signed = (signature: string) => ({ providerMetadata: { mock: { signature } } })
/** The same, of what the provider says for itself. */
const signedRuns: Record<string, Chunk[][]> = {
  'a signature at the end of a thought': [
    [
      { type: 'reasoning-start', id: '1' },
      { type: 'reasoning-delta', id: '1', delta: 'Hm.' },
      { type: 'reasoning-end', id: '1', ...signed('end') },
      ...text('2', 'Hi.'),
      finish(),
    ],
  ],
  'a signature in a piece without text': [
    [
      { type: 'reasoning-start', id: '1' },
      { type: 'reasoning-delta', id: '1', delta: 'Hm.' },
      { type: 'reasoning-delta', id: '1', delta: '', ...signed('piece') },
      { type: 'reasoning-end', id: '1' },
      { type: 'text-start', id: '2', ...signed('start') },
      { type: 'text-delta', id: '2', delta: 'Hi.' },
      { type: 'text-end', id: '2' },
      finish(),
    ],
  ],
  'thoughts that are encrypted': [
    [
      { type: 'reasoning-start', id: '1', ...signed('hidden') },
      { type: 'reasoning-end', id: '1' },
      ...text('2', 'Hi.'),
      finish(),
    ],
  ],
  'a call, its answer, a file and a source': [
    [
      call('c1', 'weather', '{"city":"Oslo"}', signed('call')),
      { type: 'source', sourceType: 'url', id: 's', url: 'https://a.example', ...signed('source') },
      { type: 'file', mediaType: 'image/png', data: { type: 'data', data: 'AAAA' }, ...signed('file') },
      { type: 'custom', kind: 'mock.thing', ...signed('custom') },
      finish('tool-calls'),
    ],
    [...text('1', 'It rains.'), finish()],
  ],
  'a tool of the provider': [
    [
      call('c1', 'search', '{"q":"x"}', { providerExecuted: true, dynamic: true, ...signed('call') }),
      { type: 'tool-result', toolCallId: 'c1', toolName: 'search', result: 1, dynamic: true, ...signed('result') },
      ...text('1', 'Found.'),
      finish(),
    ],
  ],
}

function ask(steps: Chunk[][]) {
  const model = new MockLanguageModelV4({
    doStream: steps.map((chunks) => ({
      stream: simulateReadableStream({
        chunks: [{ type: 'stream-start', warnings: [] }, ...chunks],
        initialDelayInMs: null,
        chunkDelayInMs: null,
      }),
    })) as never,
  })
  return streamText({
    model,
    tools,
    prompt: 'Hi',
    stopWhen: isStepCount(5),
    toolApproval,
    experimental_toolApprovalSecret: 'of this test',
    onError() {},
    repairToolCall: async ({ toolCall, error }) =>
      error.name === 'AI_InvalidToolInputError' && toolCall.input.endsWith('}}')
        ? { ...toolCall, input: toolCall.input.slice(0, -1) }
        : null,
  })
}

async function messageOf(stream: ReadableStream<UIMessageChunk>, message?: UIMessage): Promise<UIMessage | undefined> {
  let last: UIMessage | undefined
  const before = message && structuredClone(message)
  for await (const one of readUIMessageStream({ stream, onError() {}, ...(before && { message: before }) })) last = one
  return last
}

async function answer(source: Source, options: RelayOptions & UIMessageOptions): Promise<Response> {
  const { originalMessages, providerMetadata, ...rest } = options
  return relay(new Request('http://localhost/', { method: 'POST' }), source, {
    protocol: uiMessage({
      ...(originalMessages && { originalMessages }),
      ...(providerMetadata && { providerMetadata }),
    }),
    onError() {},
    ...rest,
  })
}

/** What the relay makes of it, as `useChat` reads it, which may have the message already that the answer goes on with. */
async function relayed(
  source: Source,
  options: RelayOptions & UIMessageOptions = {},
  message?: UIMessage,
): Promise<UIMessage | undefined> {
  const chunks: UIMessageChunk[] = []
  for await (const { data } of parseSSE(await answer(source, options))) chunks.push(JSON.parse(data))
  return messageOf(simulateReadableStream({ chunks, initialDelayInMs: null, chunkDelayInMs: null }), message)
}

describe('a stream of the AI SDK through uiMessage() is the message that its own would be', () => {
  it.each(Object.entries(runs))('%s', async (_, steps) => {
    const theirs = plain(await messageOf(ask(steps).toUIMessageStream({ sendSources: true }) as never))
    expect(theirs).not.toEqual([])
    const ui = () => ask(steps).toUIMessageStream({ sendSources: true })
    for (const [name, source] of [
      ['the full stream', () => ask(steps).stream],
      ['the UI message stream', ui as never],
    ] as const) {
      expect(plain(await relayed(source)), name).toEqual(theirs)
      const body = (await (await answer(source, { stream: false })).json()) as UIMessage
      expect(plain(body), `${name}, in one body`).toEqual(theirs)
    }
  })

  it.each(Object.entries(signedRuns))(
    'has what the provider says for itself only where that may go along: %s',
    async (_, steps) => {
      const ui = () => ask(steps).toUIMessageStream({ sendSources: true })
      const message = await messageOf(ui() as never)
      expect(JSON.stringify(message)).toContain('"mock"')
      for (const source of [() => ask(steps).stream, ui as never]) {
        expect(plain(await relayed(source, { providerMetadata: true }))).toEqual(plain(message))
        const body = await answer(source, { providerMetadata: true, stream: false })
        expect(plain((await body.json()) as UIMessage)).toEqual(plain(message))
        expect(JSON.stringify(await relayed(source))).not.toContain('"mock"')
        expect(await (await answer(source, { stream: false })).text()).not.toContain('"mock"')
      }
    },
  )

  it.each([
    'anthropic-thinking.sse',
    'anthropic-tool-use.sse',
    'openai-responses-text.sse',
    'openai-responses-reasoning-tool.sse',
  ])('has what a provider wants back in the next turn: %s', async (trace) => {
    const upstream = await replaying()
    const settings = { apiKey: 'sk-secret', baseURL: `${upstream.url}/v1` }
    const model = trace.startsWith('anthropic') ? createAnthropic(settings)('test') : createOpenAI(settings)('test')
    const result = () => {
      upstream.next({ trace })
      return streamText({
        model,
        prompt: 'Hi',
        maxOutputTokens: 99,
        onError() {},
        tools: { get_weather: { inputSchema: z.object({}) } },
      })
    }
    const message = await messageOf(result().toUIMessageStream() as never)
    for (const source of [() => result().stream, () => result().toUIMessageStream() as never]) {
      expect(plain(await relayed(source, { providerMetadata: true }))).toEqual(plain(message))
      const body = (await (await answer(source, { providerMetadata: true, stream: false })).json()) as UIMessage
      expect(plain(body)).toEqual(plain(message))
      // And so the next turn is what it would be.
      expect(await convertToModelMessages([body])).toEqual(await convertToModelMessages([message as UIMessage]))
    }
  })

  it('has what its developer says of the message, at its start, amid it and at its end', async () => {
    const stream = () =>
      ask(runs.text as Chunk[][]).toUIMessageStream({
        messageMetadata: ({ part }) =>
          /^(start|text-end|finish)$/.test(part.type) ? { [part.type]: true } : undefined,
      })
    const theirs = await messageOf(stream() as never)
    expect(theirs?.metadata).toEqual({ start: true, 'text-end': true, finish: true })
    expect((await relayed(stream as never))?.metadata).toEqual(theirs?.metadata)
    expect(await (await answer(stream as never, { stream: false })).json()).toMatchObject({
      metadata: theirs?.metadata,
    })
  })

  it('lacks the keys that end its reader’s chat, wherever they are', async () => {
    const bad = JSON.parse('{"mock":{"__proto__":{"a":1},"b":2}}')
    const stream = () =>
      createUIMessageStream({
        execute({ writer }) {
          writer.write({ type: 'start', messageMetadata: bad })
          writer.write({ type: 'text-start', id: '1', providerMetadata: bad })
          writer.write({ type: 'text-delta', id: '1', delta: 'Hi.' })
          writer.write({ type: 'text-end', id: '1' })
          writer.write({ type: 'message-metadata', messageMetadata: bad })
          writer.write({ type: 'finish' })
        },
      })
    const response = await answer(stream as never, { providerMetadata: true })
    const wire = await response.text()
    expect(wire).not.toContain('__proto__')
    expect(wire.match(/"b":2/g)).toHaveLength(3)
  })

  it('lacks a step that was taken back', async () => {
    const stream = () =>
      createUIMessageStream({
        execute({ writer }) {
          const said = (id: string, delta: string) => {
            writer.write({ type: 'text-start', id })
            writer.write({ type: 'text-delta', id, delta })
          }
          writer.write({ type: 'start' })
          writer.write({ type: 'start-step' })
          said('1', 'No.')
          writer.write({ type: 'tool-input-start', toolCallId: 'c1', toolName: 'ask' })
          writer.write({ type: 'reset-step' })
          said('2', 'Yes.')
          writer.write({ type: 'text-end', id: '2' })
          writer.write({ type: 'finish-step' })
          writer.write({ type: 'finish' })
        },
      })
    const theirs = plain(await messageOf(stream()))
    expect(theirs).toMatchObject([{ type: 'step-start' }, { text: 'Yes.' }])
    expect(plain(await relayed(stream as never))).toEqual(theirs)
    expect(plain((await (await answer(stream as never, { stream: false })).json()) as UIMessage)).toEqual(theirs)
  })

  it('has data with an id once, and no data that was for now only', async () => {
    const stream = () =>
      createUIMessageStream({
        execute({ writer }) {
          writer.write({ type: 'start' })
          writer.write({ type: 'data-progress', id: 'p', data: { step: 1 } })
          writer.write({ type: 'data-progress', id: 'p', data: { step: 2 } })
          writer.write({ type: 'data-note', data: 'for now', transient: true })
          writer.write({ type: 'data-note', data: 'to keep' })
          writer.merge(ask(runs.text as Chunk[][]).toUIMessageStream({ sendStart: false }))
        },
      })
    const theirs = plain(await messageOf(stream()))
    expect(plain(await relayed(stream as never))).toEqual(theirs)
  })
})
