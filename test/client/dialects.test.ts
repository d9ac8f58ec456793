// Which dialects `readText`, `readParts` and a second loop read, and that nothing half passes for a whole answer.
import { fetchSSE, parseSSE, readParts, readText } from 'sse-relay/client'
import { describe, expect, it } from 'vitest'

const END = 'data: [DONE]\n\n'
/** Events on the wire: each is its data, or its name and its data. */
const wire = (...events: (object | [event: string, data: unknown])[]) =>
  events
    .map((event) => (Array.isArray(event) ? event : [undefined, event]))
    .map(([event, data]) => `${event === undefined ? '' : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`)
    .join('')

async function read<T>(values: AsyncIterable<T>): Promise<{ values: T[]; error?: unknown }> {
  const seen: T[] = []
  try {
    for await (const value of values) seen.push(value)
  } catch (error) {
    return { values: seen, error }
  }
  return { values: seen }
}

const chunk = (delta: object, finish: string | null = null, more: object = {}) => ({
  id: 'c',
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...more,
})
const typed = (type: string, more: object = {}) => [type, { type, ...more }] as [string, unknown]
const ANTHROPIC = [
  typed('message_start', { message: { id: 'm', content: [] } }),
  typed('content_block_start', { index: 0, content_block: { type: 'thinking', thinking: '' } }),
  typed('content_block_delta', { index: 0, delta: { type: 'thinking_delta', thinking: 'hm' } }),
  typed('ping'),
  typed('content_block_delta', { index: 1, delta: { type: 'text_delta', text: 'Hel' } }),
  typed('content_block_delta', { index: 1, delta: { type: 'text_delta', text: 'lo' } }),
  typed('content_block_delta', { index: 2, delta: { type: 'input_json_delta', partial_json: '{}' } }),
  typed('message_delta', { delta: { stop_reason: 'end_turn' } }),
] as const

describe('readText', () => {
  it.each<[string, string, string[]]>([
    ['text()', wire(['status', { step: 1 }], { text: 'Hel' }, { text: 'lo' }, { page: 1 }) + END, ['Hel', 'lo']],
    [
      'parts(): no reasoning, no arguments',
      wire(
        { type: 'start', id: 'a' },
        { type: 'reasoning', text: 'hm' },
        { type: 'text', text: 'Hello' },
        { type: 'tool-call', index: 0, name: 'f', input: '{}', text: 'no' },
        { type: 'finish', reason: 'stop' },
      ) + END,
      ['Hello'],
    ],
    [
      'OpenAI’s chat chunks',
      wire(
        { id: '', choices: [], prompt_filter_results: [] },
        chunk({ role: 'assistant', content: '' }),
        chunk({ reasoning_content: 'hm' }),
        chunk({ content: 'Hel' }),
        chunk({ content: 'lo' }, null, { usage: null }),
        chunk({ tool_calls: [{ index: 0, function: { arguments: '{}' } }] }),
        chunk({}, 'stop'),
        { id: 'c', choices: [], usage: {} },
      ) + END,
      ['Hel', 'lo'],
    ],
    [
      'text in blocks, beside what the model thinks (Mistral, Databricks)',
      wire(
        chunk({ content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] }] }),
        chunk({ content: [{ type: 'reasoning', summary: [{ type: 'summary_text', text: 'hm' }] }] }),
        chunk({ content: [{ type: 'text', text: 'Hel' }, { type: 'text', text: 'lo' }, null] }),
        chunk({ content: ' there' }),
        chunk({}, 'stop'),
      ) + END,
      ['Hello', ' there'],
    ],
    ['a refusal', wire(chunk({ refusal: 'No.' }), chunk({}, 'stop')) + END, ['No.']],
    [
      'the first of several choices',
      wire(chunk({ content: 'a' }), { choices: [{ index: 1, delta: { content: 'b' } }] }, chunk({ content: 'c' })) +
        END,
      ['a', 'c'],
    ],
    ['completions of old', wire({ choices: [{ index: 0, text: 'Hello', finish_reason: null }] }) + END, ['Hello']],
    ['Anthropic’s events, which end without a sentinel', wire(...ANTHROPIC, typed('message_stop')), ['Hel', 'lo']],
    ['Anthropic’s events with one', wire(...ANTHROPIC, typed('message_stop')) + END, ['Hel', 'lo']],
    [
      'Anthropic’s events whose names a proxy took',
      wire(...[...ANTHROPIC, typed('message_stop')].map(([, data]) => data as object)),
      ['Hel', 'lo'],
    ],
    ['an answer of nothing but own events with names', wire(['file', { url: 'x' }]) + END, []],
    ['an empty answer', END, []],
  ])('reads %s', async (_, text, due) => {
    expect(await read(readText(text))).toEqual({ values: due })
  })

  it.each<[string, string, string, string]>([
    ['OpenAI’s chunks without [DONE]', wire(chunk({ content: 'a' }), chunk({}, 'stop')), 'a', 'truncated'],
    ['Anthropic’s events without message_stop', wire(...ANTHROPIC), 'Hello', 'truncated'],
    [
      'a failure amid OpenAI’s chunks',
      wire(chunk({ content: 'a' }), { error: { code: 'rate_limit_exceeded', message: 'Slow' } }) + END,
      'a',
      'rate_limit_exceeded',
    ],
    ['a failure instead of them', wire({ error: { type: 'server_error', message: 'No' } }) + END, '', 'server_error'],
    [
      'a failure amid Anthropic’s events',
      wire(...ANTHROPIC, ['error', { type: 'error', error: { type: 'overloaded_error', message: 'Busy' } }]),
      'Hello',
      'overloaded_error',
    ],
    ['JSON that is cut', `${wire(chunk({ content: 'a' }))}data: {"choi\n\n`, 'a', 'invalid-json'],
  ])('says how %s ended', async (_, text, due, code) => {
    const { values, error } = await read(readText(text))
    expect(values.join('')).toBe(due)
    expect(error).toMatchObject({ name: 'RelayError', code })
  })

  const foreign: [string, RegExp, string][] = [
    [
      'the AI SDK’s UI messages',
      /UI messages.*useChat/,
      wire({ type: 'start', messageId: 'm' }, { type: 'start-step' }),
    ],
    ['the same without an id', /UI messages/, wire({ type: 'start' }, { type: 'start-step' }, { type: 'text-start' })],
    ['the AI SDK’s own stream', /UI messages/, wire({ type: 'text-delta', id: '0', text: 'a' })],
    ['the Responses', /Responses.*openai/, wire(typed('response.created'), typed('response.output_text.delta'))],
    ['AG-UI', /AG-UI.*@ag-ui/, wire({ type: 'RUN_STARTED' }, { type: 'TEXT_MESSAGE_CONTENT', delta: 'a' })],
    ['Gemini', /Gemini.*@google\/genai/, wire({ candidates: [{ content: { parts: [{ text: 'a' }] } }] })],
    ['Cohere', /Cohere.*cohere-ai/, wire(typed('message-start'), typed('content-delta'))],
    ['a dialect that nobody knows', /no text.*token, index.*parseSSE/, wire({ token: 'a', index: 0 }, { token: 'b' })],
    ['another one', /no text.*content, stop.*parseSSE/, wire({ content: 'a', stop: false })],
  ]
  it.each(foreign)('refuses %s by name, with who reads it', async (_, message, text) => {
    for (const reader of [readText, readParts]) {
      const { values, error } = await read<unknown>(reader(text + END))
      expect(values).toEqual([])
      expect(error).toMatchObject({ code: 'invalid-source', message: expect.stringMatching(message) })
      expect(error).toMatchObject({ message: expect.stringContaining(reader.name) })
    }
  })

  it('lets go of the body of a dialect that it does not read', async () => {
    let isCancelled = false
    const body = new ReadableStream<string>({
      start: (controller) => controller.enqueue(wire({ candidates: [] })),
      cancel() {
        isCancelled = true
      },
    })
    const texts = readText(body)
    await expect(texts.next()).rejects.toMatchObject({ code: 'invalid-source' })
    expect([isCancelled, body.locked]).toEqual([true, false])
    expect(await texts.next()).toEqual({ done: true, value: undefined })
  })
})

describe('readParts', () => {
  it.each([
    ['OpenAI’s chat chunks', wire(chunk({ content: 'a' })) + END],
    ['Anthropic’s events', wire(...ANTHROPIC, typed('message_stop'))],
  ])('refuses %s by name: their calls would be lost', async (name, text) => {
    expect(await read(readParts(text))).toMatchObject({
      values: [],
      error: { code: 'invalid-source', message: expect.stringContaining(name) },
    })
  })
})

describe('a stream', () => {
  const ANSWER = wire({ text: 'a' }, { text: 'b' }) + END
  const readers: [string, () => AsyncIterable<unknown>][] = [
    ['parseSSE', () => parseSSE(ANSWER)],
    ['readText', () => readText(ANSWER)],
    ['readParts', () => readParts(ANSWER)],
    [
      'fetchSSE',
      () =>
        fetchSSE('http://localhost/', {
          fetch: async () => new Response(ANSWER, { headers: { 'content-type': 'text/event-stream' } }),
        }),
    ],
  ]
  const again = { values: [], error: { name: 'RelayError', code: 'response-used' } }

  it.each(readers)('of %s that was iterated throws when it is iterated again', async (_, open) => {
    const whole = open()
    expect((await read(whole)).values).toHaveLength(2)
    expect(await read(whole)).toMatchObject(again)
    const half = open()
    for await (const _ of half) break
    expect(await read(half)).toMatchObject(again)
    const both = open()
    const first = both[Symbol.asyncIterator]()
    await first.next()
    expect(await read(both)).toMatchObject(again)
    expect((await first.next()).done).toBe(false)
  })

  it('that was read as text cannot be read as text, parts or events any more', async () => {
    for (const second of [readText, readParts, (events: ReturnType<typeof parseSSE>) => events]) {
      const events = parseSSE(ANSWER)
      expect(await read(readText(events))).toEqual({ values: ['a', 'b'] })
      await expect(async () => {
        for await (const _ of second(events)) expect.unreachable()
      }).rejects.toMatchObject({ code: 'response-used' })
    }
  })

  it('that a loop has read cannot be read as text', async () => {
    const events = parseSSE(ANSWER)
    for await (const _ of events) break
    expect(() => readText(events)).toThrow(expect.objectContaining({ code: 'response-used' }))
  })

  it('of which the first event was asked for by hand is read to its end by a loop', async () => {
    for (const [, open] of readers) {
      const values = open()
      await (values as AsyncIterator<unknown> & AsyncIterable<unknown>).next()
      expect((await read(values)).values).toHaveLength(1)
    }
  })
})
