import { Chat } from '@ai-sdk/react'
import { DefaultChatTransport, readUIMessageStream, type UIMessage, uiMessageChunkSchema } from 'ai'
import fc from 'fast-check'
import type { OwnEvent, Part, ToolCallPart } from 'sse-relay'
import { parseSSE } from 'sse-relay/client'
import type { EncoderEnd, EncoderPart } from 'sse-relay/protocols'
import { type UIMessageOptions, uiMessage } from 'sse-relay/protocols'
import { type RelayOptions, relay } from 'sse-relay/web'
import { describe, expect, it } from 'vitest'
import { unit } from '../arbitrary.js'

type Chunk = Record<string, unknown> & { type: string }

/** The answer to a request whose source yields these, and then throws, if there is something to throw. */
function answer(
  source: Iterable<unknown>,
  { messageId = 'm', metadata, thrown, ...options }: UIMessageOptions & RelayOptions & { thrown?: unknown } = {},
): Promise<Response> {
  async function* generate() {
    yield* source
    if (thrown !== undefined) throw thrown
  }
  return relay(new Request('http://localhost/', { method: 'POST' }), generate, {
    heartbeatMs: 0,
    protocol: uiMessage({ messageId, ...(metadata && { metadata }) }),
    onError() {},
    ...options,
  })
}

const wireOf = async (...args: Parameters<typeof answer>) => (await answer(...args)).text()

/** The chunks as the AI SDK reads them: the data of every event, whatever the event is called. */
async function chunksOf(wire: string): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  for await (const { data } of parseSSE(wire.replaceAll('event: error\n', ''))) chunks.push(JSON.parse(data))
  return chunks
}

/** The wire as the AI SDK's client reads it: its transport, its schema, its reader. */
async function read(wire: string): Promise<{ message?: UIMessage; errors: string[] }> {
  const transport = new DefaultChatTransport({
    api: 'http://localhost/',
    fetch: async () => new Response(wire, { headers: { 'content-type': 'text/event-stream' } }),
  })
  const stream = await transport.sendMessages({
    chatId: 'c',
    messages: [],
    trigger: 'submit-message',
    messageId: undefined,
    abortSignal: undefined,
  })
  const errors: string[] = []
  let message: UIMessage | undefined
  for await (message of readUIMessageStream({ stream, onError: (error) => errors.push((error as Error).message) }));
  return { ...(message && { message }), errors }
}

const text = (piece: string) => ({ type: 'text' as const, text: piece })
const reasoning = (piece: string) => ({ type: 'reasoning' as const, text: piece })
const call = (index: number, input: string, more: Partial<ToolCallPart> = {}): ToolCallPart => ({
  type: 'tool-call',
  index,
  ...more,
  input,
})

describe('the frames of uiMessage()', () => {
  it('are those of the AI SDK, with its header, and end with the sentinel', async () => {
    const response = await answer(['Hello', ' there'])
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'x-vercel-ai-ui-message-stream': 'v1',
    })
    expect(await response.text()).toMatchInlineSnapshot(`
      "data: {"type":"start","messageId":"m"}

      data: {"type":"start-step"}

      data: {"type":"text-start","id":"0"}

      data: {"type":"text-delta","id":"0","delta":"Hello"}

      data: {"type":"text-delta","id":"0","delta":" there"}

      data: {"type":"text-end","id":"0"}

      data: {"type":"finish-step"}

      data: {"type":"finish"}

      data: [DONE]

      "
    `)
  })

  it('open and close a block for each run of reasoning and of text', async () => {
    const source = [reasoning('Let me '), reasoning('see.'), text('Four'), text('.'), reasoning('Sure?'), text('Yes.')]
    expect(await wireOf(source)).toMatchInlineSnapshot(`
      "data: {"type":"start","messageId":"m"}

      data: {"type":"start-step"}

      data: {"type":"reasoning-start","id":"0"}

      data: {"type":"reasoning-delta","id":"0","delta":"Let me "}

      data: {"type":"reasoning-delta","id":"0","delta":"see."}

      data: {"type":"reasoning-end","id":"0"}

      data: {"type":"text-start","id":"1"}

      data: {"type":"text-delta","id":"1","delta":"Four"}

      data: {"type":"text-delta","id":"1","delta":"."}

      data: {"type":"text-end","id":"1"}

      data: {"type":"reasoning-start","id":"2"}

      data: {"type":"reasoning-delta","id":"2","delta":"Sure?"}

      data: {"type":"reasoning-end","id":"2"}

      data: {"type":"text-start","id":"3"}

      data: {"type":"text-delta","id":"3","delta":"Yes."}

      data: {"type":"text-end","id":"3"}

      data: {"type":"finish-step"}

      data: {"type":"finish"}

      data: [DONE]

      "
    `)
  })

  it('tell a tool call as a dynamic tool: its input as it grows, and whole', async () => {
    const source = [
      text('Checking.'),
      call(1, '', { id: 'toolu_1', name: 'get_weather' }),
      call(1, '{"city"'),
      call(1, ':"Paris"}'),
      { type: 'finish', reason: 'tool-calls' },
    ]
    expect(await wireOf(source)).toMatchInlineSnapshot(`
      "data: {"type":"start","messageId":"m"}

      data: {"type":"start-step"}

      data: {"type":"text-start","id":"0"}

      data: {"type":"text-delta","id":"0","delta":"Checking."}

      data: {"type":"text-end","id":"0"}

      data: {"type":"tool-input-start","toolCallId":"toolu_1","toolName":"get_weather","dynamic":true}

      data: {"type":"tool-input-delta","toolCallId":"toolu_1","inputTextDelta":"{\\"city\\""}

      data: {"type":"tool-input-delta","toolCallId":"toolu_1","inputTextDelta":":\\"Paris\\"}"}

      data: {"type":"tool-input-available","toolCallId":"toolu_1","toolName":"get_weather","dynamic":true,"input":{"city":"Paris"}}

      data: {"type":"finish-step"}

      data: {"type":"finish","finishReason":"tool-calls"}

      data: [DONE]

      "
    `)
  })

  it('keep calls apart whose pieces come in turns', async () => {
    const source = [
      call(0, '{"a":', { id: 'a', name: 'first' }),
      call(1, '{"b":', { id: 'b', name: 'second' }),
      call(0, '1}'),
      call(1, '2}'),
    ]
    expect(await wireOf(source)).toMatchInlineSnapshot(`
      "data: {"type":"start","messageId":"m"}

      data: {"type":"start-step"}

      data: {"type":"tool-input-start","toolCallId":"a","toolName":"first","dynamic":true}

      data: {"type":"tool-input-delta","toolCallId":"a","inputTextDelta":"{\\"a\\":"}

      data: {"type":"tool-input-start","toolCallId":"b","toolName":"second","dynamic":true}

      data: {"type":"tool-input-delta","toolCallId":"b","inputTextDelta":"{\\"b\\":"}

      data: {"type":"tool-input-delta","toolCallId":"a","inputTextDelta":"1}"}

      data: {"type":"tool-input-delta","toolCallId":"b","inputTextDelta":"2}"}

      data: {"type":"tool-input-available","toolCallId":"a","toolName":"first","dynamic":true,"input":{"a":1}}

      data: {"type":"tool-input-available","toolCallId":"b","toolName":"second","dynamic":true,"input":{"b":2}}

      data: {"type":"finish-step"}

      data: {"type":"finish"}

      data: [DONE]

      "
    `)
  })

  it('tell a call without input as one with an empty object, and one without an id by one of our own', async () => {
    expect(await wireOf([call(0, '', { name: 'now' })])).toMatchInlineSnapshot(`
      "data: {"type":"start","messageId":"m"}

      data: {"type":"start-step"}

      data: {"type":"tool-input-start","toolCallId":"m-call-0","toolName":"now","dynamic":true}

      data: {"type":"tool-input-available","toolCallId":"m-call-0","toolName":"now","dynamic":true,"input":{}}

      data: {"type":"finish-step"}

      data: {"type":"finish"}

      data: [DONE]

      "
    `)
  })

  it('tell an input that is not JSON as the error of its call', async () => {
    expect(await wireOf([call(0, '{"city":', { id: 'a', name: 'get_weather' })])).toMatchInlineSnapshot(`
      "data: {"type":"start","messageId":"m"}

      data: {"type":"start-step"}

      data: {"type":"tool-input-start","toolCallId":"a","toolName":"get_weather","dynamic":true}

      data: {"type":"tool-input-delta","toolCallId":"a","inputTextDelta":"{\\"city\\":"}

      data: {"type":"tool-input-error","toolCallId":"a","toolName":"get_weather","dynamic":true,"input":"{\\"city\\":","errorText":"The input of this tool call is not JSON."}

      data: {"type":"finish-step"}

      data: {"type":"finish"}

      data: [DONE]

      "
    `)
  })

  it('hold own events and data parts as data parts, citations with a url as sources, files as files', async () => {
    const source = [
      { event: 'progress', data: { percent: 50 }, id: 'p' },
      { data: 'two\nlines' },
      { type: 'data', name: 'weather', data: { degrees: 21 } },
      { anything: 'else' },
      { type: 'data', name: 'citation', data: { url: 'https://example.com/a', title: 'A' } },
      { type: 'data', name: 'citation', data: { url: 'https://example.com/b', cited_text: 'b' } },
      { type: 'data', name: 'citation', data: { document_index: 0, cited_text: 'c' } },
      { type: 'data', name: 'file', data: { url: 'data:image/png;base64,AA==', mediaType: 'image/png' } },
      { type: 'data', name: 'file', data: { url: 'https://example.com/no-media-type' } },
    ]
    expect(await wireOf(source)).toMatchInlineSnapshot(`
      "data: {"type":"start","messageId":"m"}

      data: {"type":"start-step"}

      data: {"type":"data-progress","id":"p","data":{"percent":50}}

      data: {"type":"data-data","data":"two\\nlines"}

      data: {"type":"data-weather","data":{"degrees":21}}

      data: {"type":"data-data","data":{"anything":"else"}}

      data: {"type":"source-url","sourceId":"m-source-0","url":"https://example.com/a","title":"A"}

      data: {"type":"source-url","sourceId":"m-source-1","url":"https://example.com/b"}

      data: {"type":"data-citation","data":{"document_index":0,"cited_text":"c"}}

      data: {"type":"file","url":"data:image/png;base64,AA==","mediaType":"image/png"}

      data: {"type":"data-file","data":{"url":"https://example.com/no-media-type"}}

      data: {"type":"finish-step"}

      data: {"type":"finish"}

      data: [DONE]

      "
    `)
  })

  it('hold the usage and what metadata() adds in the message metadata, and the finish reason, once, at the end', async () => {
    const source = [
      { type: 'finish', reason: 'length' },
      { type: 'usage', usage: { inputTokens: 3 } },
      text('Hi'),
      { type: 'usage', usage: { outputTokens: 4 } },
    ]
    const metadata: UIMessageOptions['metadata'] = ({ finishReason, usage }) => ({
      model: 'm1',
      isCut: finishReason === 'length',
      cost: (usage?.outputTokens ?? 0) * 2,
    })
    expect(await wireOf(source, { metadata })).toMatchInlineSnapshot(`
      "data: {"type":"start","messageId":"m"}

      data: {"type":"start-step"}

      data: {"type":"text-start","id":"0"}

      data: {"type":"text-delta","id":"0","delta":"Hi"}

      data: {"type":"text-end","id":"0"}

      data: {"type":"finish-step"}

      data: {"type":"finish","finishReason":"length","messageMetadata":{"usage":{"inputTokens":3,"outputTokens":4},"model":"m1","isCut":true,"cost":8}}

      data: [DONE]

      "
    `)
  })

  it('are a message even for an answer without a part', async () => {
    expect(await wireOf([])).toMatchInlineSnapshot(`
      "data: {"type":"start","messageId":"m"}

      data: {"type":"start-step"}

      data: {"type":"finish-step"}

      data: {"type":"finish"}

      data: [DONE]

      "
    `)
  })

  it('are an error and nothing after it when the source fails in the middle', async () => {
    const thrown = Object.assign(new Error('sk-secret is overloaded'), { status: 529 })
    const source = [text('Hel'), call(0, '{"a', { id: 'a', name: 'f' })]
    expect(await wireOf(source, { thrown })).toMatchInlineSnapshot(`
      "data: {"type":"start","messageId":"m"}

      data: {"type":"start-step"}

      data: {"type":"text-start","id":"0"}

      data: {"type":"text-delta","id":"0","delta":"Hel"}

      data: {"type":"text-end","id":"0"}

      data: {"type":"tool-input-start","toolCallId":"a","toolName":"f","dynamic":true}

      data: {"type":"tool-input-delta","toolCallId":"a","inputTextDelta":"{\\"a"}

      event: error
      data: {"type":"error","errorText":"The service is overloaded. Please try again in a moment.","error":{"code":"overload","message":"The service is overloaded. Please try again in a moment.","retryable":true}}

      "
    `)
  })

  it('are an error after heartbeats alone, which are comments', async () => {
    const response = await relay(
      new Request('http://localhost/'),
      async function* () {
        yield await new Promise((_, reject) => setTimeout(reject, 200, new Error('secret')))
      },
      { protocol: uiMessage(), heartbeatMs: 20, onError() {} },
    )
    const wire = await response.text()
    expect(wire).toMatch(/^(: \n\n)+event: error\n/)
    expect(wire.replace(/^(: \n\n)+/, '')).toMatchInlineSnapshot(`
      "event: error
      data: {"type":"error","errorText":"Something went wrong on the server.","error":{"code":"internal","message":"Something went wrong on the server.","retryable":false}}

      "
    `)
  })

  it('take the id of the run where no message id is given, the same one everywhere', async () => {
    let run = ''
    const response = await relay(
      new Request('http://localhost/'),
      ({ runId }) => {
        run = runId
        return [call(0, '{}', { name: 'f' })]
      },
      { protocol: uiMessage() },
    )
    const [start, , toolInputStart] = await chunksOf(await response.text())
    expect(start).toEqual({ type: 'start', messageId: run })
    expect(toolInputStart?.toolCallId).toContain(run)
  })

  it('are not what answers a failure before the first part: that has a status and is JSON', async () => {
    const thrown = Object.assign(new Error('sk-secret'), { status: 429 })
    const response = await answer([], { thrown })
    expect(response.status).toBe(429)
    expect(response.headers.get('content-type')).toContain('application/json')
    expect(await response.text()).toMatchInlineSnapshot(
      `"{"error":{"code":"rate-limit","message":"Too many requests right now. Please try again in a moment.","retryable":true}}"`,
    )
  })
})

describe('tool calls of uiMessage()', () => {
  it('begin anew with a new id, even at the index of the call before: a second step counts from 0 again', async () => {
    const source = [call(0, '{"a":1}', { id: 'a', name: 'first' }), call(0, '{"b":2}', { id: 'b', name: 'second' })]
    expect(await inputsOf(source)).toEqual([
      ['a', 'first', { a: 1 }],
      ['b', 'second', { b: 2 }],
    ])
  })

  it('stay one call when their id is said with every piece', async () => {
    const source = [call(0, '{"a":', { id: 'a', name: 'f' }), call(0, '1}', { id: 'a', name: 'f' })]
    expect(await inputsOf(source)).toEqual([['a', 'f', { a: 1 }]])
  })

  it('stay one call when text comes between their pieces', async () => {
    const source = [call(0, '{"a":', { id: 'a', name: 'f' }), text(' '), call(0, '1}')]
    expect(await inputsOf(source)).toEqual([['a', 'f', { a: 1 }]])
  })

  it('have ids of their own where the source gives none, also at the same index', async () => {
    const source = [call(0, '{"a":1}', { name: 'f' }), text('and'), call(0, '{"a":2}', { name: 'f' })]
    const inputs = await inputsOf(source)
    expect(inputs.map(([, , input]) => input)).toEqual([{ a: 1 }, { a: 2 }])
    expect(new Set(inputs.map(([id]) => id)).size).toBe(2)
  })

  // Its reader refuses such a key wherever it stands, and would put the chat into its error state.
  it('with a key the AI SDK refuses to read are the error of the call, not of the chat', async () => {
    const { errors, message } = await read(await wireOf([call(0, '{"__proto__":1}', { id: 'a' })]))
    expect(errors).toEqual([])
    expect(message?.parts.at(-1)).toMatchObject({ type: 'dynamic-tool', toolCallId: 'a', state: 'output-error' })
  })

  async function inputsOf(source: Part[]): Promise<unknown[][]> {
    const chunks = await chunksOf(await wireOf(source))
    return chunks
      .filter(({ type }) => type === 'tool-input-available' || type === 'tool-input-error')
      .map(({ toolCallId, toolName, input }) => [toolCallId, toolName, input])
  }
})

/** JSON values, without the keys that the AI SDK's reader refuses. */
const json = fc.jsonValue({ maxDepth: 2 }).filter((value) => !/"(__proto__|constructor)"/.test(JSON.stringify(value)))
const pieces = fc.string({ unit, minLength: 1, maxLength: 8 })
const name = fc.string({ minLength: 1, maxLength: 8 })
const url = fc.webUrl()

const textPart = pieces.map(text)
const reasoningPart = pieces.map(reasoning)
const usagePart = fc.record({
  type: fc.constant('usage' as const),
  usage: fc.record({ inputTokens: fc.nat(), outputTokens: fc.nat() }, { requiredKeys: [] }),
})
const finishPart = fc.record({
  type: fc.constant('finish' as const),
  reason: fc.constantFrom('stop', 'length', 'tool-calls', 'content-filter', 'error', 'other') as fc.Arbitrary<'stop'>,
})
const citation = fc.record({
  type: fc.constant('data' as const),
  name: fc.constant('citation'),
  data: fc.record({ url, title: fc.string() }),
})
const file = fc.record({
  type: fc.constant('data' as const),
  name: fc.constant('file'),
  data: fc.record({ url, mediaType: fc.constantFrom('image/png', 'application/pdf') }),
})
const dataPart = fc.record({
  type: fc.constant('data' as const),
  name: name.filter((name) => name !== 'citation' && name !== 'file'),
  data: json,
})
const ownEvent: fc.Arbitrary<OwnEvent> = fc.record(
  {
    data: json.filter((data) => data !== '[DONE]'),
    event: fc.string({ maxLength: 8 }).filter((event) => event !== 'error'),
    retry: fc.nat(),
  },
  { requiredKeys: ['data'] },
)
const anyData = fc.oneof(citation, file, dataPart, ownEvent)

describe('any sequence of parts through uiMessage()', () => {
  const anything = fc.oneof(
    textPart,
    reasoningPart,
    // Pieces of calls as no provider would send them: without an id or a name, cut anywhere, in any order.
    fc
      .record(
        {
          type: fc.constant('tool-call' as const),
          index: fc.nat(2),
          id: fc.constantFrom('a', 'b'),
          name,
          input: fc.constantFrom('', '{', '{"a":', '1}', '{}', 'null'),
        },
        { requiredKeys: ['type', 'index', 'input'] },
      )
      // No two calls at a time have the same id, though.
      .map(({ id, ...part }) => ({ ...part, ...(id && { id: `${id}${part.index}` }) })),
    usagePart,
    finishPart,
    anyData,
  )
  const parts = fc.array(anything, { maxLength: 20 })

  it('is chunks the AI SDK knows, each in its place, from start to finish', async () => {
    await fc.assert(
      fc.asyncProperty(parts, async (source) => {
        const wire = await wireOf(source)
        const chunks = await chunksOf(wire)
        await expectKnown(chunks)
        expectOrder(chunks)
        expect(chunks.at(-2)).toEqual({ type: 'finish-step' })
        expect(chunks.at(-1)?.type).toBe('finish')
        expect(wire.endsWith('\n\ndata: [DONE]\n\n')).toBe(true)
        expect((await read(wire)).errors).toEqual([])
      }),
      { numRuns: 150 },
    )
  })

  it('is an error and nothing after it when it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.tuple(textPart, parts), async ([first, rest]) => {
        const wire = await wireOf([first, ...rest], { thrown: new Error('secret') })
        const [error, ...chunks] = (await chunksOfFailed(wire)).reverse()
        await expectKnown(chunks)
        expectOrder(chunks.reverse())
        expect(chunks.map(({ type }) => type)).not.toContain('finish')
        const [said] = /event: error\ndata: .*\n\n$/.exec(wire) ?? []
        expect(said).toBe(`event: error\ndata: ${JSON.stringify(error)}\n\n`)
        expect(error).toMatchObject({ type: 'error', errorText: 'Something went wrong on the server.' })
        expect(wire).not.toContain('secret')
        expect((await read(wire)).errors).toEqual(['Something went wrong on the server.'])
      }),
      { numRuns: 100 },
    )
  })

  /** What is on the wire of a failure, the failure included: there is no sentinel to stop at. */
  async function chunksOfFailed(wire: string): Promise<Chunk[]> {
    const chunks: Chunk[] = []
    for await (const { data } of parseSSE(wire.replace(/^event: error\n/gm, ''), { sentinel: false })) {
      chunks.push(JSON.parse(data))
    }
    return chunks
  }

  async function expectKnown(chunks: Chunk[]): Promise<void> {
    for (const chunk of chunks) {
      expect([chunk, await uiMessageChunkSchema().validate?.(chunk)]).toEqual([chunk, { success: true, value: chunk }])
    }
  }

  function expectOrder(chunks: Chunk[]): void {
    if (chunks.length === 0) return
    expect(chunks[0]).toEqual({ type: 'start', messageId: 'm' })
    expect(chunks[1]).toEqual({ type: 'start-step' })
    const blocks = new Set<unknown>()
    let open: { kind: string; id: unknown } | undefined
    const calls = new Set<unknown>()
    for (const [index, { type, id, toolCallId, inputTextDelta, delta }] of chunks.entries()) {
      const where = `${index}: ${type}`
      const [, kind = '', step = ''] = /^(text|reasoning)-(start|delta|end)$/.exec(type) ?? []
      switch (step || type) {
        case 'start':
          if (kind === '') expect(index, where).toBe(0)
          else {
            expect({ open, isNew: !blocks.has(id) }, where).toEqual({ open: undefined, isNew: true })
            blocks.add(id)
            open = { kind, id }
          }
          break
        case 'delta':
          expect(open, where).toEqual({ kind, id })
          expect(delta, where).not.toBe('')
          break
        case 'end':
          expect(open, where).toEqual({ kind, id })
          open = undefined
          break
        case 'start-step':
          expect(index, where).toBe(1)
          break
        case 'tool-input-start':
          expect({ open, isOpen: calls.has(toolCallId) }, where).toEqual({ open: undefined, isOpen: false })
          calls.add(toolCallId)
          break
        case 'tool-input-delta':
          expect(calls.has(toolCallId), where).toBe(true)
          expect(inputTextDelta, where).not.toBe('')
          break
        case 'tool-input-available':
        case 'tool-input-error':
          expect(calls.delete(toolCallId), where).toBe(true)
          break
        case 'finish-step':
          expect({ open, calls: [...calls], left: chunks.length - index }, where).toEqual({
            open: undefined,
            calls: [],
            left: 2,
          })
          break
        case 'finish':
          expect(index, where).toBe(chunks.length - 1)
      }
    }
  }
})

/** The wire of these parts, encoded one by one, as the relay would. */
function encoded(parts: EncoderPart[], end: EncoderEnd = {}): string {
  const encoder = uiMessage({ messageId: 'm' }).encoder({ runId: 'r' })
  return `${parts.map((part) => encoder.part(part)).join('')}${encoder.end(end)}data: [DONE]\n\n`
}

/** What becomes of such a wire in `useChat`: the calls that its page would run, and the message. */
async function chatted(wire: string): Promise<{ ran: unknown[]; parts: Record<string, unknown>[]; error?: Error }> {
  const chunks = await chunksOf(wire)
  for (const chunk of chunks) {
    expect([chunk, await uiMessageChunkSchema().validate?.(chunk)]).toEqual([chunk, { success: true, value: chunk }])
  }
  const ran: unknown[] = []
  const chat = new Chat({
    transport: new DefaultChatTransport({ api: 'http://localhost/', fetch: async () => new Response(wire) }),
    onToolCall: ({ toolCall }) => {
      ran.push([toolCall.toolCallId, toolCall.input])
    },
  })
  await chat.sendMessage({ text: 'Hi' })
  const parts = (chat.lastMessage?.parts ?? []) as Record<string, unknown>[]
  return { ran, parts: JSON.parse(JSON.stringify(parts)), ...(chat.error && { error: chat.error }) }
}

const START = { type: 'start' } as const
const result = (id: string, output: unknown, more: { name?: string; error?: string } = {}): EncoderPart => ({
  type: 'tool-result',
  id,
  output,
  ...more,
})
const step = { type: 'step-start' }

describe('the messages of a request', () => {
  const opened = (originalMessages: unknown) =>
    uiMessage({ originalMessages } as UIMessageOptions)
      .encoder({ runId: 'r' })
      .part({ type: 'text', text: 'Hi' })

  it('are a page’s own words: what is none of the SDK’s messages says nothing, and is no mistake', () => {
    const messages = [null, 5, 'x', {}, [], [null], [{}], [{ role: 'assistant' }], [{ role: 'user', id: 'u' }]]
    for (const given of messages) expect(opened(given)).toContain('"messageId":"r"')
    for (const parts of [undefined, null, 'x', [null], [{ toolCallId: 5 }], [{ toolCallId: 'c', approval: 'x' }]])
      expect(opened([{ role: 'assistant', id: 'm', parts }])).toContain('"messageId":"m"')
  })
})

describe('tool calls of a provider or an agent, in useChat', () => {
  it('are available when they are done, and not when what has come happens to be JSON', async () => {
    const wire = encoded([
      call(0, '{"a":1}', { id: 'a', name: 'f' }),
      text('x'),
      call(1, '12', { id: 'b', name: 'g' }),
      reasoning('y'),
      call(1, '3', { done: true }),
      call(0, '', { done: true }),
      call(2, '', { id: 'c', name: 'h', done: true }),
    ])
    const { ran, error } = await chatted(wire)
    expect(error).toBeUndefined()
    expect(ran).toEqual([
      ['b', 123],
      ['a', { a: 1 }],
      ['c', {}],
    ])
    const order = (await chunksOf(wire)).map(({ type, toolCallId }) => `${type} ${toolCallId ?? ''}`)
    expect(order.indexOf('tool-input-available b')).toBeGreaterThan(order.lastIndexOf('reasoning-delta '))
  })

  it('have the value that replaces what came in pieces', async () => {
    const { ran, parts } = await chatted(
      encoded([
        call(0, '{"a":1}}', { id: 'a', name: 'f' }),
        call(0, '{"a":2}', { done: true, replaces: true }),
        call(1, '{"b":1}', { id: 'b', name: 'g', replaces: true, done: true }),
      ]),
    )
    expect(ran).toEqual([
      ['a', { a: 2 }],
      ['b', { b: 1 }],
    ])
    expect(parts).toMatchObject([step, { state: 'input-available', input: { a: 2 } }, { input: { b: 1 } }])
  })

  it.each([
    ['in the first piece', [call(0, '{"q":1}', { id: 'a', name: 'search', executed: true, done: true })]],
    ['later', [call(0, '{"q"', { id: 'a', name: 'search' }), call(0, ':1}', { executed: true, done: true })]],
    ['by a result that closes the call', [call(0, '{"q":1}', { id: 'a', name: 'search' }), result('a', null)]],
  ])('that the provider runs are not for the page: said %s', async (_, pieces) => {
    const { ran, parts } = await chatted(encoded([...pieces, result('a', { hits: 2 }), text('Two.')]))
    expect(ran).toEqual([])
    expect(parts).toMatchObject([
      step,
      {
        type: 'dynamic-tool',
        toolCallId: 'a',
        toolName: 'search',
        state: 'output-available',
        input: { q: 1 },
        output: { hits: 2 },
        providerExecuted: true,
      },
      { type: 'text', text: 'Two.' },
    ])
  })

  it.each([
    ['in the first piece', [call(0, '{"a":1}', { id: 'a', name: 'f', error: 'No.' })], { a: 1 }],
    ['in the last', [call(0, '{"a"', { id: 'a', name: 'f' }), call(0, ':', { error: 'No.', done: true })], '{"a":'],
    ['before any input', [call(0, '', { id: 'a', name: 'f' }), call(0, '', { error: 'No.' })], ''],
  ])('that were rejected are errors and never run: said %s', async (_, pieces, input) => {
    const { ran, parts, error } = await chatted(encoded(pieces, { finishReason: 'tool-calls' }))
    expect({ ran, error }).toEqual({ ran: [] })
    expect(parts).toMatchObject([step, { toolCallId: 'a', state: 'output-error', errorText: 'No.', input }])
  })

  it('that are rejected after their end are errors in the message', async () => {
    const { parts } = await chatted(encoded([call(0, '{}', { id: 'a', done: true }), call(0, '', { error: 'No.' })]))
    expect(parts).toMatchObject([step, { toolCallId: 'a', state: 'output-error', errorText: 'No.' }])
  })

  it('whose whole text is not JSON are errors', async () => {
    const { ran, parts } = await chatted(encoded([call(0, '{"a":', { id: 'a', name: 'f', done: true })]))
    expect(ran).toEqual([])
    expect(parts).toMatchObject([
      step,
      { state: 'output-error', input: '{"a":', errorText: 'The input of this tool call is not JSON.' },
    ])
  })

  it.each([
    [
      'another call of the run was said to be',
      'tool-calls',
      [call(1, '{}', { id: 'b', name: 'g', done: true })],
      ['b'],
    ],
    ['the answer was longer than allowed', 'length', [], []],
    ['the answer was filtered', 'content-filter', [], []],
    ['the answer failed', 'error', [], []],
  ] as const)('that were not said to be whole are errors where %s', async (_, finishReason, others, runs) => {
    const pieces = [call(0, '{"a":1}', { id: 'a', name: 'f' }), ...others]
    const { ran, parts } = await chatted(encoded(pieces, { finishReason }))
    expect(ran.map((run) => (run as unknown[])[0])).toEqual(runs)
    expect(parts[1]).toMatchObject({
      toolCallId: 'a',
      state: 'output-error',
      errorText: 'The answer ended before this tool call was whole.',
    })
  })

  it.each(['stop', 'tool-calls', 'other', undefined] as const)(
    'of a source that never says so are whole at the end, if they are JSON: finish %s',
    async (finishReason) => {
      const pieces = [call(0, '{"a":', { id: 'a' }), call(1, '{"b":', { id: 'b' }), text('x'), call(0, '1}')]
      const { ran, parts } = await chatted(encoded(pieces, finishReason && { finishReason }))
      expect(ran).toEqual([['a', { a: 1 }]])
      expect(parts[2]).toMatchObject({ toolCallId: 'b', state: 'output-error' })
    },
  )

  it('have their results, also those that failed, and those whose call is not of this run', async () => {
    const { parts, error } = await chatted(
      encoded([
        call(0, '{}', { id: 'a', name: 'f', done: true }),
        call(1, '{}', { id: 'b', name: 'g', done: true }),
        result('b', null, { error: 'The tool failed.' }),
        result('a', [1]),
        result('z', 'late', { name: 'h' }),
        result('y', null),
        // An earlier result was a preliminary one.
        result('a', [1, 2]),
      ]),
    )
    expect(error).toBeUndefined()
    expect(parts).toMatchObject([
      step,
      { toolCallId: 'a', state: 'output-available', output: [1, 2] },
      { toolCallId: 'b', state: 'output-error', errorText: 'The tool failed.' },
      { toolCallId: 'z', toolName: 'h', state: 'output-available', output: 'late', providerExecuted: true },
      { toolCallId: 'y', state: 'output-available', output: null },
    ])
    expect(parts[1]).not.toHaveProperty('providerExecuted')
  })

  it('may be answered with what the AI SDK refuses to read: the chat goes on without those keys', async () => {
    const output = JSON.parse('{"page":{"__proto__":{"x":1},"constructor":{"prototype":1}},"n":[{"constructor":"ok"}]}')
    const { parts, error } = await chatted(
      encoded([call(0, '{}', { id: 'a', done: true }), result('a', output), { type: 'data', name: 'd', data: output }]),
    )
    expect(error).toBeUndefined()
    const read = { page: {}, n: [{ constructor: 'ok' }] }
    expect(parts).toMatchObject([step, { output: read }, { type: 'data-d', data: read }])
  })

  it('of two answers are never merged, whatever their ids and indexes', async () => {
    const { ran, parts } = await chatted(
      encoded([
        START,
        text('Let me look.'),
        call(0, '{"n":1}', { id: 'call_0', name: 'f', done: true }),
        result('call_0', 'one'),
        START,
        text('And again.'),
        call(1, '{"n":2}', { id: 'call_0', name: 'f', done: true }),
        result('call_0', 'two'),
        START,
        text('Done.'),
        START,
      ]),
    )
    expect(ran).toEqual([
      ['call_0', { n: 1 }],
      ['call_0', { n: 2 }],
    ])
    expect(parts).toMatchObject([
      step,
      { type: 'text', text: 'Let me look.', state: 'done' },
      { toolCallId: 'call_0', input: { n: 1 }, output: 'one' },
      step,
      { type: 'text', text: 'And again.', state: 'done' },
      { toolCallId: 'call_0', input: { n: 2 }, output: 'two' },
      step,
      { type: 'text', text: 'Done.', state: 'done' },
    ])
  })

  it('that a result ended are not gone on with', async () => {
    const { ran, parts } = await chatted(
      encoded([
        call(0, '{"n":1}', { id: 'x', name: 'f' }),
        result('x', 'one'),
        call(0, '{"n":2}', { id: 'x', name: 'f' }),
      ]),
    )
    expect(ran.map((run) => (run as unknown[])[1])).toEqual([{ n: 2 }])
    expect(parts).toMatchObject([step, { toolCallId: 'x', output: 'one', providerExecuted: true }, { input: { n: 2 } }])
  })

  it('of one answer that have the same id are two calls', async () => {
    const { ran } = await chatted(
      encoded([
        call(0, '{"n":1}', { id: 'x', name: 'f', done: true }),
        call(1, '{"n":2}', { id: 'x', name: 'f', done: true }),
        call(0, '{"n":3}', { name: 'f', done: true }),
        call(0, '{"n":4}', { name: 'f', done: true }),
      ]),
    )
    expect(ran.map((run) => (run as unknown[])[1])).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }])
    expect(new Set(ran.map((run) => (run as unknown[])[0])).size).toBe(4)
  })

  it('come after reasoning whose signature is not told, and beside data that is replaced or not kept', async () => {
    const { parts } = await chatted(
      encoded([
        { type: 'reasoning', text: '', redacted: 'r' },
        reasoning('Hm'),
        { type: 'reasoning', text: '', signature: 's' },
        reasoning('m'),
        { type: 'data', name: 'weather', data: 'loading', id: 'w' },
        { type: 'data', name: 'status', data: 'looking', transient: true },
        { type: 'data', name: 'weather', data: 21, id: 'w' },
        { type: 'data', name: 'citation', data: { url: 'https://example.com' }, id: 's1' },
      ]),
    )
    expect(parts).toMatchObject([
      step,
      { type: 'reasoning', text: 'Hmm' },
      { type: 'data-weather', id: 'w', data: 21 },
      { type: 'source-url', sourceId: 's1' },
    ])
    expect(parts).toHaveLength(4)
  })

  it('are waited for: nothing is sent for a start alone, nor for what has no place', () => {
    const encoder = uiMessage().encoder({ runId: 'r' })
    expect(encoder.part({ type: 'start', id: 'x', model: 'y' })).toBe('')
    expect(encoder.part({ type: 'reasoning', text: '', signature: 's' })).toBe('')
  })

  it('in any order are chunks that the AI SDK reads', async () => {
    const flag = fc.constantFrom(true, undefined)
    const piece = fc.record({
      type: fc.constant('tool-call' as const),
      index: fc.nat(2),
      id: fc.constantFrom('a', 'b', undefined),
      name: fc.constantFrom('f', undefined),
      input: fc.constantFrom('', '{', '{}', '1}', '{"__proto__":1}'),
      done: flag,
      replaces: flag,
      executed: flag,
      error: fc.constantFrom('No.', undefined, undefined, undefined),
    })
    const answered = fc.record({
      type: fc.constant('tool-result' as const),
      id: fc.constantFrom('a', 'b', 'c'),
      output: fc.jsonValue({ maxDepth: 1 }),
      error: fc.constantFrom('Failed.', undefined),
    })
    const any = fc.oneof(piece, answered, fc.constant(START), textPart, reasoningPart, dataPart)
    await fc.assert(
      fc.asyncProperty(fc.array(any, { maxLength: 14 }), finishPart, async (source, { reason }) => {
        const wire = encoded(JSON.parse(JSON.stringify(source)), { finishReason: reason })
        for (const chunk of await chunksOf(wire)) {
          expect((await uiMessageChunkSchema().validate?.(chunk))?.success).toBe(true)
        }
        const { errors, message } = await read(wire)
        expect(errors).toEqual([])
        const open = message?.parts.filter((part) => 'state' in part && /streaming/.test(String(part.state)))
        expect(open ?? []).toEqual([])
      }),
      { numRuns: 150 },
    )
  })
})

describe('an answer as providers give it, read by the AI SDK', () => {
  /** Calls whose pieces come in turns, as those of parallel calls do. */
  const parallel = fc
    .array(fc.tuple(name, json, fc.array(fc.nat(), { maxLength: 3 })), { minLength: 1, maxLength: 3 })
    .chain((calls) =>
      fc.array(fc.nat(2), { maxLength: 12 }).map((turns) => {
        const queues = calls.map(([name, input, cuts], index) => {
          const [first = '', ...rest] = cut(JSON.stringify(input), cuts)
          return [
            { index, name, first: true, input: first },
            ...rest.map((input) => ({ index, name, first: false, input })),
          ]
        })
        const taken = turns.flatMap((turn) => queues[turn]?.shift() ?? [])
        return { calls, pieces: [...taken, ...queues.flat()] }
      }),
    )
  const group = fc.oneof(
    fc.array(textPart, { minLength: 1, maxLength: 4 }).map((parts) => ({ parts })),
    fc.array(reasoningPart, { minLength: 1, maxLength: 4 }).map((parts) => ({ parts })),
    anyData.map((part) => ({ parts: [part] })),
    parallel,
  )

  it('is the same message: text, reasoning, tool inputs, data, sources and files, in their order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(group, { maxLength: 8 }),
        fc.option(usagePart, { nil: undefined }),
        async (groups, usage) => {
          const source: unknown[] = usage ? [usage] : []
          const expected: Record<string, unknown>[] = []
          let calls = 0
          let last: Record<string, unknown> | undefined
          for (const group of groups) {
            if ('calls' in group) {
              // Each group has indexes of its own, as the blocks of one answer have.
              const offset = calls
              for (const { index, name, first, input } of group.pieces) {
                source.push(call(offset + index, input, first ? { id: `call-${offset + index}`, name } : {}))
              }
              const order = new Set(group.pieces.map(({ index }) => index))
              for (const index of order) {
                const [toolName, input] = group.calls[index] as [string, unknown, number[]]
                const toolCallId = `call-${offset + index}`
                expected.push({ type: 'dynamic-tool', toolCallId, toolName, state: 'input-available', input })
              }
              calls += group.calls.length
              last = undefined
              continue
            }
            for (const part of group.parts) {
              source.push(part)
              if ('type' in part && (part.type === 'text' || part.type === 'reasoning')) {
                if (last?.type === part.type) last.text += part.text
                else {
                  last = { type: part.type, text: part.text, state: 'done' }
                  expected.push(last)
                }
              } else expected.push(expectedData(part))
            }
          }
          const { message, errors } = await read(await wireOf(source))
          expect(errors).toEqual([])
          expect(message?.id).toBe('m')
          expect(message?.metadata).toEqual(usage && { usage: usage.usage })
          // The reader hands out no snapshot for the beginning of a step alone.
          const parts = message?.parts.filter(({ type }) => type !== 'step-start') ?? []
          expect(parts).toHaveLength(expected.length)
          expect(parts).toMatchObject(JSON.parse(JSON.stringify(expected)))
        },
      ),
      { numRuns: 100 },
    )
  })

  function cut(text: string, cuts: number[]): string[] {
    const at = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length]
    return at.slice(1).map((end, index) => text.slice(at[index], end))
  }

  function expectedData(part: Part | OwnEvent): Record<string, unknown> {
    if (!('type' in part)) {
      const { event = 'data', data } = part
      return { type: `data-${event}`, data: typeof data === 'string' ? parsed(data) : data }
    }
    const { name, data } = part as { name: string; data: { url?: string } }
    if (name === 'citation') return { type: 'source-url', ...data }
    return name === 'file' ? { type: 'file', ...data } : { type: `data-${name}`, data }
  }

  /** A string of an own event goes out as it is; if that is JSON, its value is what arrives. */
  function parsed(text: string): unknown {
    try {
      return JSON.parse(text)
    } catch {
      return text
    }
  }
})
