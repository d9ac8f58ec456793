import {
  createUIMessageStream,
  isStepCount,
  readUIMessageStream,
  streamText,
  tool,
  type UIMessage,
  type UIMessageChunk,
} from 'ai'
import { MockLanguageModelV4, simulateReadableStream } from 'ai/test'
import type { Source } from 'sse-relay'
import { parseSSE } from 'sse-relay/client'
import { uiMessage } from 'sse-relay/protocols'
import { relay } from 'sse-relay/web'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

type Chunk = Record<string, unknown> & { type: string }

const usage = {
  inputTokens: { total: 25, noCache: 20, cacheRead: 5, cacheWrite: 0 },
  outputTokens: { total: 15, text: 11, reasoning: 4 },
}
const finish = (unified = 'stop') => ({ type: 'finish', finishReason: { unified, raw: unified }, usage })
const text = (id: string, ...deltas: string[]) => [
  { type: 'text-start', id },
  ...deltas.map((delta) => ({ type: 'text-delta', id, delta })),
  { type: 'text-end', id },
]
const reasoning = (id: string, ...deltas: string[]) => [
  { type: 'reasoning-start', id },
  ...deltas.map((delta) => ({ type: 'reasoning-delta', id, delta })),
  { type: 'reasoning-end', id },
]
const pieces = (id: string, toolName: string, deltas: string[], more: object = {}) => [
  { type: 'tool-input-start', id, toolName, ...more },
  ...deltas.map((delta) => ({ type: 'tool-input-delta', id, delta })),
  { type: 'tool-input-end', id },
]
const call = (toolCallId: string, toolName: string, input: string, more: object = {}) => ({
  type: 'tool-call',
  toolCallId,
  toolName,
  input,
  ...more,
})

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
}

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
  length: [[...text('1', 'Hello '), finish('length')]],
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
    onError() {},
    repairToolCall: async ({ toolCall, error }) =>
      error.name === 'AI_InvalidToolInputError' && toolCall.input.endsWith('}}')
        ? { ...toolCall, input: toolCall.input.slice(0, -1) }
        : null,
  })
}

async function messageOf(stream: ReadableStream<UIMessageChunk>): Promise<UIMessage | undefined> {
  let last: UIMessage | undefined
  for await (const message of readUIMessageStream({ stream, onError() {} })) last = message
  return last
}

/** What the relay makes of it, as `useChat` reads it. */
async function relayed(source: Source): Promise<UIMessage | undefined> {
  const response = await relay(new Request('http://localhost/', { method: 'POST' }), source, {
    protocol: uiMessage(),
    onError() {},
  })
  const chunks: UIMessageChunk[] = []
  for await (const { data } of parseSSE(response)) chunks.push(JSON.parse(data))
  return messageOf(simulateReadableStream({ chunks, initialDelayInMs: null, chunkDelayInMs: null }))
}

/**
 * A message without what differs for no reader: ids of blocks and sources, marks of steps, whose words a failure has;
 * and the blocks of one text are one.
 */
function plain(message: UIMessage | undefined): Record<string, unknown>[] {
  const parts = (message?.parts ?? []).flatMap((part): Record<string, unknown>[] => {
    const { type, text, state, url, title, mediaType, filename, data, id } = part as Record<string, unknown>
    const has = (fields: object) =>
      Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
    if (type === 'step-start') return []
    if (type === 'text' || type === 'reasoning') return [{ type, text, state }]
    if (/^source|^file/.test(type as string)) return [has({ type, url, title, mediaType, filename })]
    if (/^data-/.test(type as string)) return [has({ type, id, data })]
    const call = part as unknown as Record<string, unknown>
    return [
      has({
        tool: call.toolName ?? (type as string).slice(5),
        toolCallId: call.toolCallId,
        state,
        input: call.input ?? call.rawInput,
        output: call.output,
        hasError: call.errorText !== undefined,
        providerExecuted: call.providerExecuted === true,
      }),
    ]
  })
  const joined: typeof parts = []
  for (const part of parts) {
    const last = joined.at(-1)
    if (last && typeof part.text === 'string' && last.type === part.type) last.text = `${last.text}${part.text}`
    else joined.push(part)
  }
  return joined
}

describe('a stream of the AI SDK through uiMessage() is the message that its own would be', () => {
  it.each(Object.entries(runs))('%s', async (_, steps) => {
    const theirs = plain(await messageOf(ask(steps).toUIMessageStream({ sendSources: true }) as never))
    expect(theirs).not.toEqual([])
    expect(plain(await relayed(() => ask(steps).stream)), 'the full stream').toEqual(theirs)
    const ui = () => ask(steps).toUIMessageStream({ sendSources: true })
    expect(plain(await relayed(ui as never)), 'the UI message stream').toEqual(theirs)
  })

  it('data with an id, which replaces what came before, and data for now only', async () => {
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
