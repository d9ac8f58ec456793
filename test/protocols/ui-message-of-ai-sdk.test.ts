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
  validateUIMessages,
} from 'ai'
import { MockLanguageModelV4, simulateReadableStream } from 'ai/test'
import { type RelayOptions, type Source, toParts } from 'sse-relay'
import { parseSSE } from 'sse-relay/client'
import { agui, anthropicMessages, openaiChat, type UIMessageOptions, uiMessage } from 'sse-relay/protocols'
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

const said = (id: string, delta: string): Chunk[] => [
  { type: 'text-start', id },
  { type: 'text-delta', id, delta },
  { type: 'text-end', id },
]
const start = { type: 'start', messageId: 'm' }
const step = { type: 'start-step' }
const stepEnd = { type: 'finish-step' }
const end = (finishReason = 'stop') => ({ type: 'finish', finishReason })
const called = (toolCallId: string, toolName: string, more: object = {}): Chunk[] => [
  { type: 'tool-input-start', toolCallId, toolName, ...more },
  { type: 'tool-input-delta', toolCallId, inputTextDelta: '{"city":"Oslo"}' },
  { type: 'tool-input-available', toolCallId, toolName, input: { city: 'Oslo' }, ...more },
]
const output = (toolCallId: string, more: object = {}) => ({
  type: 'tool-output-available',
  toolCallId,
  output: 'yes',
  ...more,
})
const asks = (toolCallId: string, approvalId: string, more: object = {}) => ({
  type: 'tool-approval-request',
  toolCallId,
  approvalId,
  ...more,
})
const reset = { type: 'reset-step' }

/** Streams of agents that were made by hand, or merged. */
const oddRuns: Record<string, Chunk[]> = {
  'a call that comes again, with its id, after its step was taken back': [
    ...[start, step, ...said('1', 'No.'), ...called('c1', 'ask'), reset],
    ...[...said('1', 'Yes.'), ...called('c1', 'ask'), stepEnd, end('tool-calls')],
  ],
  'half a call that comes again, whole, after its step was taken back': [
    ...[start, step, ...called('c1', 'ask').slice(0, 2), reset],
    ...[...called('c1', 'ask'), stepEnd, end('tool-calls')],
  ],
  'half a call that was taken back, and nothing in its place': [
    ...[start, step, ...called('c1', 'ask').slice(0, 2), reset, ...said('1', 'Yes.'), stepEnd, end()],
  ],
  'a call of another tool under an id that was taken back, and its answer': [
    ...[start, step, ...called('c1', 'ask'), reset, ...called('c1', 'weather'), output('c1'), stepEnd, end()],
  ],
  'an approval that is asked for again after its step was taken back': [
    ...[start, step, ...called('c1', 'pay'), asks('c1', 'a1'), reset],
    ...[...called('c1', 'pay'), asks('c1', 'a2'), stepEnd, end('tool-calls')],
  ],
  'a step that is taken back before it has told anything': [
    ...[start, step, ...said('1', 'One.'), stepEnd, step, reset, ...said('2', 'Two.'), stepEnd, end()],
  ],
  'a step that is taken back before there is one': [start, reset, step, ...said('1', 'Yes.'), stepEnd, end()],
  'an id that is of another call in the next step: not asked for, not dynamic, without its title': [
    ...[start, step, ...called('c1', 'look', { dynamic: true, title: 'Look' })],
    ...[asks('c1', 'a1', { isAutomatic: true }), { type: 'tool-approval-response', approvalId: 'a1', approved: true }],
    ...[output('c1', { dynamic: true }), stepEnd, step, ...called('c1', 'weather'), output('c1'), stepEnd, end()],
  ],
  'an id that is of another call in the next step: asked for, which the first was not': [
    ...[start, step, ...called('c1', 'weather'), output('c1'), stepEnd],
    ...[step, ...called('c1', 'pay'), asks('c1', 'a1'), stepEnd, end('tool-calls')],
  ],
  'an approval that is asked for twice: the last counts': [
    start,
    ...[step, ...called('c1', 'pay'), asks('c1', 'a1'), asks('c1', 'a1'), asks('c1', 'a2'), stepEnd, end('tool-calls')],
  ],
  'a tool that has answered so far, and fails': [
    ...[start, step, ...called('c1', 'weather'), output('c1', { preliminary: true })],
    ...[{ type: 'tool-output-error', toolCallId: 'c1', errorText: 'No.' }, stepEnd, end()],
  ],
  'a tool that has failed, and answers': [
    ...[start, step, ...called('c1', 'weather'), { type: 'tool-output-error', toolCallId: 'c1', errorText: 'No.' }],
    ...[output('c1'), stepEnd, end()],
  ],
  'an approval with all that is said of it': [
    ...[start, step, ...called('c1', 'pay')],
    asks('c1', 'a1', {
      reason: 'It costs.',
      approvalDescriptor: { of: 'shop' },
      inputSchemaInput: null,
      signature: 's',
    }),
    ...[stepEnd, end('tool-calls')],
  ],
}

describe('a stream that was made by hand is the message that its own reader makes of it', () => {
  it.each(Object.entries(oddRuns))('%s', async (_, chunks) => {
    const stream = () => simulateReadableStream({ chunks, initialDelayInMs: null, chunkDelayInMs: null })
    const given = (message: UIMessage | undefined) =>
      message?.parts.map((part) => ('approval' in part ? part.approval?.id : undefined))
    const theirs = await messageOf(stream() as never)
    const ours = await relayed(stream as never)
    expect(plain(ours)).toEqual(plain(theirs))
    expect(given(ours)).toEqual(given(theirs))
    const body = (await (await answer(stream as never, { stream: false })).json()) as UIMessage
    expect(plain(body)).toEqual(plain(theirs))
    expect(given(body)).toEqual(given(theirs))
  })

  it('and no answer to a call that was taken back ends the chat', async () => {
    const chunks = [start, step, ...called('c1', 'weather'), reset, output('c1', { preliminary: true }), output('c1')]
    const wire = await (await answer(() => [...chunks, ...said('1', 'Yes.'), stepEnd, end()], {})).text()
    expect(wire).not.toContain('tool-output')
    expect(wire).toContain('[DONE]')
  })
})

it('a call of which its reader was not asked has failed where it is denied: the SDK refuses another message', async () => {
  const automatic = [
    ...[asks('c1', 'a1', { isAutomatic: true }), { type: 'tool-approval-response', approvalId: 'a1', approved: false }],
    { type: 'tool-output-denied', toolCallId: 'c1' },
  ]
  const chunks = [
    start,
    step,
    ...called('c1', 'burn'),
    ...automatic,
    stepEnd,
    step,
    ...said('1', 'No.'),
    stepEnd,
    end(),
  ]
  const ofVersion = async (client?: 'ai-6') => {
    const protocol = uiMessage(client ? { client } : {})
    const response = await relay(new Request('http://localhost/'), () => chunks, { protocol, stream: false })
    const message = (await response.json()) as UIMessage
    await expect(validateUIMessages({ messages: [message] })).resolves.toHaveLength(1)
    return message.parts[1]
  }
  expect(await ofVersion()).toMatchObject({ state: 'output-denied', approval: { approved: false } })
  expect(await ofVersion('ai-6')).toMatchObject({ state: 'output-error' })
})

describe('the citations of a text', () => {
  const cited = (citations: unknown): Source => {
    const chunks = [start, step, ...said('1', 'It rains.'), stepEnd, end()] as Chunk[]
    return () => chunks.map((chunk) => (chunk.type === 'text-end' ? { ...chunk, citations } : chunk))
  }
  const own = { providerMetadata: { p: 'sk-own' }, extra: 'sk-extra' }
  const source = { type: 'source', sourceType: 'url', id: 's', url: 'https://a.example', title: 'A' }
  const places = { startIndex: 0, endIndex: 9, citedText: 'rain' }

  it('are what the AI SDK has of them, and nothing that the provider says besides', async () => {
    const given = cited([{ ...places, ...own, source: { ...source, ...own } }])
    const wire = await (await answer(given, {})).text()
    expect(wire).toContain(JSON.stringify([{ source, ...places }]).slice(1, -1))
    expect(wire).not.toContain('sk-')
    const more = await (await answer(given, { providerMetadata: true })).text()
    expect(more.match(/sk-own/g)).toHaveLength(1)
    expect(more).not.toContain('sk-extra')
  })

  it('are no failure where they are none', async () => {
    const wire = await (await answer(cited([null, 5, { source: null }, {}]), {})).text()
    expect(wire).toContain('"citations":[]')
    expect(wire).toContain('[DONE]')
  })

  it('stay here where the page has a version that knows none', async () => {
    const given = cited([{ ...places, source }])
    const response = await relay(new Request('http://localhost/'), given, { protocol: uiMessage({ client: 'ai-6' }) })
    expect(await response.text()).not.toContain('citations')
  })
})

describe('what the chunks of the AI SDK hold', () => {
  const secret = (name: string) => `SECRET-${name}`
  /** With what lies around a chunk in any version, and what none has yet. */
  const planted = (chunk: Chunk, name = chunk.type): Chunk => ({
    ...chunk,
    ...Object.fromEntries(
      ['request', 'response', 'warnings', 'headers', 'rawValue', 'providerOptions', 'unheardOf', 'error']
        .filter((key) => !(key in chunk))
        .map((key) => [key, { a: secret(`${name}.${key}`) }]),
    ),
    providerMetadata: { p: { id: secret(`${name}.providerMetadata`) } },
  })
  const shared = [
    planted({ type: 'reasoning-start', id: secret('block') }),
    planted({ type: 'reasoning-end', id: secret('block') }),
    planted({ type: 'text-start', id: secret('block') }),
    planted({ type: 'custom', kind: `p.${secret('kind')}` }),
  ]
  const ofTool = (name: string) => ({
    title: secret(`${name}.title`),
    toolMetadata: { a: secret(`${name}.toolMetadata`) },
  })
  const approval = {
    ...{ approvalId: secret('approvalId'), reason: secret('request.reason'), signature: secret('signature') },
    isAutomatic: true,
  }
  const response = { approvalId: secret('approvalId'), approved: true, reason: secret('response.reason') }
  const full = [
    planted(start),
    planted(step),
    planted({ type: 'raw' }),
    planted({ type: 'response-metadata', id: secret('responseId'), modelId: secret('modelId') }),
    ...shared,
    planted({ type: 'text-delta', id: 't', text: 'Hi.' }),
    planted({ type: 'text-end', id: 't' }),
    planted({ type: 'source', sourceType: 'url', id: 's', url: 'https://a.example', snippet: secret('snippet') }),
    planted({ type: 'tool-input-start', id: 'c1', toolName: 'pay', ...ofTool('call') }),
    planted({ type: 'tool-call', toolCallId: 'c1', toolName: 'pay', input: {}, ...ofTool('call') }),
    planted({ type: 'tool-approval-request', ...approval, toolCall: { toolCallId: 'c1', input: secret('toolCall') } }),
    planted({ type: 'tool-approval-response', ...response, toolCall: { toolCallId: 'c1', input: secret('toolCall') } }),
    planted({ type: 'tool-result', toolCallId: 'c1', output: secret('soFar'), preliminary: true }),
    planted({ type: 'tool-result', toolCallId: 'c1', input: secret('result.input'), output: secret('output') }),
    planted({ type: 'tool-call', toolCallId: 'c2', toolName: 'pay', input: {}, invalid: true }),
    planted({ type: 'tool-error', toolCallId: 'c2', toolName: 'pay', input: secret('error.input') }),
    planted({ type: 'steering-message', id: secret('steering'), message: { content: secret('steering') } }),
    planted({ type: 'finish-step', rawFinishReason: secret('rawFinishReason'), usage: { raw: secret('raw') } }),
    planted({ type: 'finish', finishReason: 'stop', totalUsage: { inputTokens: 1, raw: secret('raw') } }),
  ]
  const ui = [
    planted({ ...start, messageMetadata: { a: secret('messageMetadata') } }),
    planted(step),
    ...shared,
    planted({ type: 'text-delta', id: 't', delta: 'Hi.' }),
    planted({ type: 'text-end', id: 't' }),
    planted({ type: 'source-url', sourceId: 's', url: 'https://a.example' }),
    planted({ type: 'data-note', id: secret('data.id'), data: secret('data') }),
    planted({ type: 'tool-input-start', toolCallId: 'c1', toolName: 'pay', ...ofTool('call') }),
    planted({ type: 'tool-input-available', toolCallId: 'c1', toolName: 'pay', input: {}, ...ofTool('call') }),
    planted({ type: 'tool-approval-request', ...approval, toolCallId: 'c1', approvalDescriptor: secret('descriptor') }),
    planted({ type: 'tool-approval-response', ...response }),
    planted({ type: 'tool-output-available', toolCallId: 'c1', output: secret('soFar'), preliminary: true }),
    planted({ type: 'tool-output-available', toolCallId: 'c1', output: secret('output') }),
    planted({ type: 'tool-input-error', toolCallId: 'c2', toolName: 'pay', input: {}, errorText: secret('errorText') }),
    planted({ type: 'tool-output-error', toolCallId: 'c2', errorText: secret('errorText') }),
    planted({ type: 'message-metadata', messageMetadata: { b: secret('messageMetadata') } }),
    planted({ type: 'finish', messageMetadata: { c: secret('messageMetadata') } }),
  ]
  /** What the developer wrote: of tools, in approvals, for the page. */
  const written = ['approvalId', 'call.title', 'call.toolMetadata', 'request.reason', 'response.reason', 'signature']
  const forPage = ['data', 'data.id', 'descriptor', 'messageMetadata']
  const outputs = ['output', 'soFar']

  it.each([
    ['the full stream', full, written],
    ['the UI message stream', ui, [...written, ...forPage]],
  ])('goes out by who wrote it: %s', async (_, chunks, fields) => {
    const found = async (options: RelayOptions & UIMessageOptions) => {
      const wire = await (await answer(() => chunks, options)).text()
      return [...new Set(wire.match(/SECRET-[\w.-]+/g))].map((name) => name.slice('SECRET-'.length)).sort()
    }
    expect(await found({ toolResults: false })).toEqual([...fields].sort())
    expect(await found({})).toEqual([...fields, ...outputs].sort())
    const more = (await found({ providerMetadata: true })).filter((name) => !/\.providerMetadata$/.test(name))
    expect(more).toEqual([...fields, ...outputs, 'kind'].sort())
    const body = async (options: RelayOptions) => (await answer(() => chunks, { ...options, stream: false })).text()
    expect((await body({ toolResults: false })).match(/SECRET-[\w.-]+/g)?.map((name) => name.slice(7))).toSatisfy(
      (names: string[]) => names.every((name) => fields.includes(name)),
    )
  })
})

describe('parts that an application makes of each chunk with toParts', () => {
  const made = (chunks: Chunk[]): Source =>
    async function* () {
      for (const chunk of chunks) yield* toParts(chunk)
    }
  const asked = [start, step, ...called('c1', 'pay'), asks('c1', 'a1'), stepEnd, end('tool-calls')]

  it('ask for what waits for a person, with the input that came in pieces and whole', async () => {
    const [, tool] = plain(await relayed(made(asked)))
    expect(tool).toMatchObject({ state: 'approval-requested', input: { city: 'Oslo' } })
    expect(toParts(asks('c1', 'a1'))).toEqual([
      { type: 'tool-call', index: 0, id: 'c1', input: '', done: true, executed: true, approval: 'a1' },
    ])
  })

  it('hand nobody a call that the application allows itself', async () => {
    expect(toParts(asks('c1', 'a1', { isAutomatic: true }))).toMatchObject([{ id: 'c1', executed: true }])
  })

  it.each([
    ['openaiChat', openaiChat()],
    ['anthropicMessages', anthropicMessages()],
    ['agui', agui()],
  ])('have an input once, for clients to whom it can only be added: %s', async (_, protocol) => {
    const source = made([start, step, ...called('c1', 'ask'), stepEnd, end('tool-calls')])
    const wire = await (await relay(new Request('http://localhost/'), source, { protocol })).text()
    expect(wire.match(/Oslo/g)).toHaveLength(1)
    expect(wire).not.toContain('event: error')
  })
})
