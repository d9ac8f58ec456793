import { EventEmitter, on } from 'node:events'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { encodeEvent, type Part, type Source, toParts } from 'sse-relay'
import { parts } from 'sse-relay/protocols'
import { collect } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'

const chat = (content: string, finish: string | null = null) => ({
  id: 'c',
  choices: [{ index: 0, delta: { content }, finish_reason: finish }],
})
const ollama = (content: string, done = false) => ({ message: { content }, done })

async function* of(...values: unknown[]): AsyncGenerator<unknown> {
  yield* values
}

/** The parts, the text and the outcome of a source that is relayed. */
async function relayed(source: Source) {
  const errors: unknown[] = []
  let outcome: string | undefined
  let usage: object | undefined
  const response = await relay(new Request('http://x/', { method: 'POST' }), source, {
    protocol: parts(),
    heartbeatMs: 0,
    onError: (error) => void errors.push(error),
    onEnd: (summary) => {
      ;({ outcome, usage } = summary)
    },
  })
  const body = await response.text()
  const events = body.split('\n\n').filter((event) => event.startsWith('data: {'))
  const read = events.map((event) => JSON.parse(event.slice(6)) as Part)
  const text = read.map((part) => (part.type === 'text' ? part.text : '')).join('')
  return { read, text, outcome, usage, errors, body }
}

const bytes = (...pieces: string[]) => of(...pieces.map((piece) => new TextEncoder().encode(piece)))
const response = (type: string, ...pieces: string[]) =>
  new Response(
    new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece))
        controller.close()
      },
    }),
    { headers: { 'content-type': type } },
  )
const ndjson = [ollama('Hel'), ollama('lo'), ollama('', true)].map((chunk) => `${JSON.stringify(chunk)}\n`).join('')
const gemini = (text: string, finishReason?: string) =>
  JSON.stringify({ candidates: [{ content: { parts: [{ text }] }, finishReason }] })
const array = `[${gemini('Hel')},\r\n${gemini('l"]}o')}\r\n,${gemini('', 'STOP')}]`
const events = [chat('Hel'), chat('lo'), chat('', 'stop')]
  .map((chunk) => encodeEvent({ data: JSON.stringify(chunk) }))
  .join('')
const cutUp = (text: string) => text.match(/[\s\S]{1,7}/g) ?? []

beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {})
})
afterEach(() => vi.restoreAllMocks())

describe('bytes and responses are read by what they are', () => {
  it.each<[string, () => Source, string]>([
    ['an event stream in bytes', () => bytes(...cutUp(events)), 'Hello'],
    ['a JSON text a line, in bytes', () => bytes(...cutUp(ndjson)), 'Hello'],
    ['a JSON array in bytes', () => bytes(...cutUp(array)), 'Hell"]}o'],
    ['a response that does not say what it is', () => response('', ...cutUp(events)), 'Hello'],
    ['a response that says no more than that it is bytes', () => response('binary/octet-stream', ndjson), 'Hello'],
    ['a response of NDJSON', () => response('application/x-ndjson', ...cutUp(ndjson)), 'Hello'],
    ['a response of JSON lines', () => response('application/jsonl; charset=utf-8', ndjson), 'Hello'],
    [
      'a JSON text sequence',
      () => response('application/json-seq', ndjson.replaceAll('{"message', '\u001e{"message')),
      'Hello',
    ],
    ['a response that is one JSON array', () => response('application/json', ...cutUp(array)), 'Hell"]}o'],
    ['a response of plain text', () => response('text/plain; charset=utf-8', 'Hel', 'lo'), 'Hello'],
    ['the body of a response', () => response('text/event-stream', ...cutUp(events)).body as ReadableStream, 'Hello'],
    ['an event stream that begins with a comment', () => bytes(': hi\n\n', events), 'Hello'],
    ['blank lines before the first line', () => bytes('\n\n', ndjson), 'Hello'],
    [
      'characters that are cut in two',
      () => of(...Array.from(new TextEncoder().encode(ndjson.replace('Hel', 'Hél')), (byte) => Uint8Array.of(byte))),
      'Héllo',
    ],
  ])('%s', async (_, source, text) => {
    expect(await relayed(source())).toMatchObject({ text, outcome: 'done', errors: [] })
  })

  it.each<[string, () => Source]>([
    ['an event stream', () => bytes(events.slice(0, events.lastIndexOf('data: ')))],
    ['NDJSON between its lines', () => bytes(ndjson.slice(0, ndjson.indexOf('\n') + 1))],
    ['NDJSON in the middle of a line', () => bytes(ndjson.slice(0, -9))],
    ['a JSON array', () => bytes(array.slice(0, array.lastIndexOf(',{')))],
  ])('%s that is cut is truncated', async (_, source) => {
    expect((await relayed(source())).outcome).toBe('truncated')
  })

  it('what came before a line that is broken is told', async () => {
    const source = bytes(ndjson.replace('{"message":{"content":""}', '{"message":{SECRET'))
    const { text, outcome, body } = await relayed(source)
    expect({ text, outcome }).toEqual({ text: 'Hello', outcome: 'error' })
    expect(body).not.toContain('SECRET')
  })

  it('half an event of a provider that names its events is a failure, and no hole in the answer', async () => {
    const start = encodeEvent({ event: 'message_start', data: '{"type":"message_start","message":{}}' })
    const half = encodeEvent({ event: 'content_block_delta', data: '{"type":"content_block_delta","SECRET' })
    const end = encodeEvent({ event: 'message_stop', data: '{"type":"message_stop"}' })
    const { outcome, body } = await relayed(response('text/event-stream', start, half, end))
    expect(outcome).toBe('error')
    expect(body).toContain('"code":"upstream-failure"')
    expect(body).not.toContain('SECRET')
  })

  const message = (fields: object) => ({
    content: '',
    additional_kwargs: {},
    response_metadata: { model_provider: 'openai' },
    tool_calls: [],
    tool_call_chunks: [],
    ...fields,
  })
  const finish = { response_metadata: { finish_reason: 'stop' } }
  const asked = { content: 'SECRET', additional_kwargs: {}, response_metadata: {}, type: 'human', id: 'h' }
  const answer = { ...message({ id: 'a', content: 'Hello', ...finish }), tool_call_chunks: undefined }
  const metadata = { langgraph_node: 'model', tenant: 'SECRET' }
  const encoded = (...events: [string, unknown][]) =>
    bytes(...events.map(([event, data]) => encodeEvent({ event, data: JSON.stringify(data) })))
  const run = (event: string, data: object): [string, unknown] => ['data', { event, run_id: 'r', metadata, data }]

  it.each<[string, () => Source]>([
    [
      'messages',
      () =>
        encoded(
          ['messages', [message({ id: 'a', content: 'Hello' }), metadata]],
          ['messages', [message({ id: 'a', ...finish }), metadata]],
        ),
    ],
    ['values', () => encoded(['values', { messages: [asked] }], ['values', { messages: [asked, answer] }])],
    ['updates', () => encoded(['updates', { model: { messages: [answer] } }])],
    [
      'debug and updates',
      () =>
        encoded(
          ['debug', { step: 1, type: 'task', payload: { input: 'SECRET' } }],
          ['tasks', { id: 't', name: 'model', triggers: [], input: 'SECRET' }],
          ['updates', { model: { messages: [answer] } }],
        ),
    ],
    [
      'streamEvents',
      () =>
        encoded(
          run('on_chain_start', { input: 'SECRET' }),
          run('on_chat_model_stream', {
            chunk: { lc: 1, type: 'constructor', id: [], kwargs: message({ content: 'Hello' }) },
          }),
          run('on_chat_model_stream', { chunk: { lc: 1, type: 'constructor', id: [], kwargs: message(finish) } }),
          run('on_chain_end', { output: 'SECRET' }),
        ),
    ],
  ])('an event stream of LangGraph’s own, of %s, says the answer and nothing else', async (_, source) => {
    const { text, outcome, body, errors } = await relayed(source())
    expect({ text, outcome, errors }).toEqual({ text: 'Hello', outcome: 'done', errors: [] })
    expect(body).not.toContain('SECRET')
  })

  it('what no shape knows in NDJSON is an upstream’s word and no data of one’s own; parts in it are read', async () => {
    const lines = (...values: object[]) =>
      response('application/x-ndjson', ...values.map((value) => `${JSON.stringify(value)}\n`))
    const { outcome, body } = await relayed(lines({ foo: { bar: 'SECRET' } }))
    expect({ outcome, leaks: body.includes('SECRET') }).toEqual({ outcome: 'truncated', leaks: false })
    const parts = [
      { type: 'text', text: 'Hello' },
      { type: 'data', name: 'status', data: 1 },
    ]
    expect(await relayed(lines(...parts))).toMatchObject({ outcome: 'done', text: 'Hello', read: parts })
  })

  it('Assistants are refused by name over an event stream, too', async () => {
    const { body, errors } = await relayed(
      encoded(['thread.run.created', { id: 'run_1', object: 'thread.run', instructions: 'SECRET' }]),
    )
    expect(String(errors[0])).toContain('Assistants')
    expect(body).not.toContain('SECRET')
  })

  it('bytes that are none of these, and a JSON text that is no stream, are refused with the remedy', async () => {
    const html = await relayed(bytes('<html>'))
    expect(html.outcome).toBe('error')
    expect(String(html.errors[0])).toContain('TextDecoderStream')
    const whole = await relayed(response('application/json', '{"choices":[]}'))
    expect(whole.outcome).toBe('error')
    expect(String(whole.errors[0])).toContain('stream: true')
  })

  const event = (json: object) => `data: ${JSON.stringify(json)}\n\n`
  const said = [event(chat('Hi')), event(chat('', 'stop')), 'data: [DONE]\n\n']

  it.each<[string, () => Source]>([
    ['called text', () => response('text/plain; charset=utf-8', ...cutUp(said.join('')))],
    ['called text, with names', () => response('text/plain', ...cutUp(`event: x\n${said.join('event: x\n')}`))],
    ['called JSON', () => response('application/json', ...said)],
    ['called NDJSON', () => response('application/x-ndjson', ...said)],
    ['framed twice', () => response('text/event-stream', ...said.map((line) => `data: ${line.trim()}\n\n`))],
    [
      'with signs of life in its data',
      () =>
        response(
          'text/event-stream',
          'data:\n\n',
          // What was a comment before a gateway framed it anew.
          'data: : ping - 2026-11-30 10:00:00.5+00:00\n\n',
          said[0] ?? '',
          'data: ping\n\n',
          'data: [keep-alive]\n\n',
          'data: keepalive 2\n\n',
          ...said.slice(1),
        ),
    ],
    ['in quotes at its end', () => response('text/event-stream', said[0] ?? '', 'data: "[DONE]"\n\n')],
    ['in small letters at its end', () => response('text/event-stream', said[0] ?? '', 'data: [done] \n\n')],
  ])('an event stream is one, %s', async (_, source) => {
    expect(await relayed(source())).toMatchObject({ text: 'Hi', outcome: 'done', errors: [] })
  })

  it.each(['Error', 'upstream_error', 'stream-failed'])(
    'an event named %s amid a provider’s is its failure',
    async (name) => {
      const source = response(
        'text/event-stream',
        said[0] ?? '',
        `event: ${name}\ndata: {"message":"SECRET"}\n\n`,
        'data: [DONE]\n\n',
      )
      const { outcome, body } = await relayed(source)
      expect({ outcome, leaks: body.includes('SECRET') }).toEqual({ outcome: 'error', leaks: false })
    },
  )

  const lines = (end: string) =>
    [
      'f:{"messageId":"m"}',
      '2:[{"a":1}]',
      'g:"Hm"',
      '9:{"toolCallId":"c","toolName":"w","args":{"x":1}}',
      'a:{"toolCallId":"c","result":"SECRET"}',
      'e:{"finishReason":"tool-calls","usage":{"promptTokens":1,"completionTokens":1},"isContinued":false}',
      '0:"Hel"',
      '0:"lo"',
      end,
      '',
    ].join('\n')
  const finish4 = (reason: string) => `d:{"finishReason":"${reason}","usage":{"promptTokens":1,"completionTokens":2}}`

  it.each<[string, (text: string) => Source]>([
    ['as its response', (text) => response('text/plain; charset=utf-8', ...cutUp(text))],
    ['in bytes', (text) => bytes(...cutUp(text))],
  ])('the data stream of the AI SDK 4 is read, %s', async (_, source) => {
    const { text, outcome, body, read } = await relayed(source(lines(finish4('stop'))))
    expect({ text, outcome, leaks: body.includes('SECRET') }).toEqual({ text: 'Hello', outcome: 'done', leaks: false })
    expect(read.slice(0, 6)).toMatchObject([
      { type: 'data', name: 'data', data: [{ a: 1 }] },
      { type: 'reasoning', text: 'Hm' },
      { type: 'tool-call', id: 'c', name: 'w', input: '{"x":1}', done: true },
      { type: 'tool-result', id: 'c', output: null },
      { type: 'text', text: 'Hel' },
      { type: 'text', text: 'lo' },
    ])
    expect((await relayed(source(lines('')))).outcome).toBe('truncated')
    expect((await relayed(source(lines(finish4('unknown'))))).outcome).toBe('truncated')
    const failed = await relayed(source(lines('3:"SECRET"')))
    expect({ outcome: failed.outcome, leaks: failed.body.includes('SECRET') }).toEqual({
      outcome: 'error',
      leaks: false,
    })
    expect((await relayed(source('3:"SECRET"\n'))).outcome).toBe('error')
  })

  it('lines of JSON are read where they are called JSON, and one that is a failure is that failure', async () => {
    expect(await relayed(response('application/json', ...cutUp(ndjson)))).toMatchObject({
      text: 'Hello',
      outcome: 'done',
    })
    const { errors } = await relayed(response('application/json', '{"error":{"message":"x",\n"code":429}}'))
    expect(errors[0]).toMatchObject({ message: 'x', status: 429 })
  })

  it.each(['application/x-ndjson', 'application/json', ''])(
    'a body of %s without a chunk is truncated',
    async (type) => {
      for (const body of type === 'application/json' ? ['', '[]'] : ['', '\n'])
        expect((await relayed(response(type, body))).outcome).toBe('truncated')
    },
  )

  it.each(['data: the plural of datum', 'event', 'events: none', 'd', '{"a":1}'])(
    'plain text stays text: %s',
    async (text) => {
      expect(await relayed(response('text/plain', ...cutUp(text)))).toMatchObject({ text, outcome: 'done' })
    },
  )

  it.each<[string, object]>([
    ['undici', { statusCode: 429, headers: { 'retry-after': '7' }, body: Readable.from([Buffer.from('SECRET')]) }],
    ['axios', { status: 429, headers: { 'retry-after': '7' }, data: Readable.from([Buffer.from('SECRET')]) }],
    [
      'Node’s http',
      Object.assign(Readable.from([Buffer.from('SECRET')]), { statusCode: 429, headers: { 'retry-after': '7' } }),
    ],
    ['Azure', { status: '429', headers: { 'retry-after': '7' }, body: Readable.from([Buffer.from('SECRET')]) }],
  ])('a refusal that %s gives is one', async (_, source) => {
    const { errors, outcome, body } = await relayed(source as Source)
    expect(outcome).toBe('error')
    expect(errors[0]).toMatchObject({ status: 429 })
    expect(body).not.toContain('SECRET')
  })

  it('text that Node’s http, undici or axios gives is text', async () => {
    const source = {
      statusCode: 200,
      headers: { 'content-type': 'text/plain' },
      body: Readable.from([Buffer.from('Hi')]),
    }
    expect(await relayed(source)).toMatchObject({ text: 'Hi', outcome: 'done' })
  })

  it.each([
    ['application/x-ndjson', ndjson, 'done', 'Hello'],
    ['application/json', '{"error":{"message":"SECRET","code":503}}', 'error', ''],
    ['text/plain', 'Hi', 'done', 'Hi'],
    ['text/event-stream', events, 'done', 'Hello'],
    ['text/event-stream', '', 'truncated', ''],
    ['text/html', '<html>SECRET</html>', 'error', ''],
  ])('what Node’s http gives is its own body: %s', async (type, content, outcome, text) => {
    const server = createServer((_, res) => res.writeHead(200, { 'content-type': type }).end(content)).listen(0)
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const told = await relayed(() => new Promise((resolve) => get({ port, agent: false }, resolve as never)) as never)
    expect(told).toMatchObject({ text, outcome })
    expect(told.body).not.toContain('SECRET')
    if (outcome === 'error') expect(told.body).toMatch(/"code":"(overload|upstream-failure)"/)
  })

  it('the body of node-fetch is destroyed at once, also while it is silent', async () => {
    const body = new Readable({ read() {} })
    body.push(said[0])
    const headers = new Headers({ 'content-type': 'text/event-stream' })
    const answer = await relay(new Request('http://x/'), { ok: true, status: 200, headers, body } as never)
    await answer.body?.cancel()
    await vi.waitFor(() => expect(body.destroyed).toBe(true))
  })

  it.each([
    ['NDJSON', ndjson.slice(0, 60)],
    ['an event stream', 'data: {"response":"Hello"}\n\n'],
  ])('leaving cancels a body of %s at once, also while it is silent', async (_, begin) => {
    let cancelled = false
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode(begin)),
      cancel: () => {
        cancelled = true
      },
    })
    const answer = await relay(new Request('http://x/'), body)
    await answer.body?.cancel()
    await vi.waitFor(() => expect(cancelled).toBe(true))
  })
})

describe('events that say their type in their name alone', () => {
  const said: [string, object][] = [
    ['response.created', { response: { id: 'r', instructions: 'SECRET' } }],
    ['response.output_text.delta', { delta: 'Hello' }],
    ['response.completed', { response: { status: 'completed', output: [] } }],
  ]
  const events = said.map(([event, data]) => ({ event, data: JSON.stringify(data) }))

  it.each<[string, () => Source]>([
    ['in bytes', () => bytes(events.map(encodeEvent).join(''))],
    ['as objects', () => of(...events)],
  ])('are chunks, %s', async (_, source) => {
    const { text, outcome, body } = await relayed(source())
    expect({ text, outcome }).toEqual({ text: 'Hello', outcome: 'done' })
    expect(body).not.toContain('SECRET')
  })

  it('an event of the relay before is none, whatever its name', async () => {
    const own = ['tool_status', 'finish', 'abort'].map((event) => encodeEvent({ event, data: '{"a":1}' }))
    const { read } = await relayed(bytes(...own, encodeEvent({ data: '{"text":"Hi"}' }), 'data: [DONE]\n\n'))
    expect(read.map((part) => (part.type === 'data' ? part.name : part.type))).toEqual([
      'tool_status',
      'finish',
      'abort',
      'text',
    ])
  })
})

describe('server-sent events as objects', () => {
  const held = (data: unknown, more: object = {}) => ({ data, ...more })
  it.each<[string, object[], string]>([
    [
      'a provider’s chunks as texts',
      [held(JSON.stringify(chat('Hi', 'stop')), { event: '', id: '' }), held('[DONE]')],
      'Hi',
    ],
    ['a provider’s chunks as values', [held(chat('Hi', 'stop'), { event: 'message', id: 1 })], 'Hi'],
    ['the sentinel after a chunk proves it', [held(JSON.stringify(chat('Hi'))), held('[DONE]')], 'Hi'],
  ])('%s', async (_, chunks, text) => {
    expect(await relayed(of(...chunks))).toMatchObject({ text, outcome: 'done' })
  })

  it('a failure among them is one, and masked', async () => {
    const { outcome, body } = await relayed(
      of(held(JSON.stringify(chat('Hi'))), { event: 'error', data: '{"error":{"message":"sk-secret"}}' }),
    )
    expect(outcome).toBe('error')
    expect(body).not.toContain('sk-secret')
  })

  it('half a JSON amid them is a failure, and none of the user’s own', async () => {
    const { outcome, body } = await relayed(of(held(JSON.stringify(chat('Hi'))), held('{"message":"sk-secret')))
    expect(outcome).toBe('error')
    expect(body).not.toContain('sk-secret')
    expect(body).toContain('"code":"upstream-failure"')
  })

  it('an event of one’s own stays one', async () => {
    const { body, outcome } = await relayed(of({ event: 'status', data: '{"step":1}' }, { data: { a: 1 } }))
    expect(body).toContain('event: status\ndata: {"step":1}\n\n')
    expect(outcome).toBe('done')
  })
})

describe('what holds, gives or pushes a stream', () => {
  it.each<[string, () => unknown]>([
    ['an object with a stream', () => ({ stream: of(chat('Hi', 'stop')) })],
    [
      'an object with a fullStream',
      () => ({ fullStream: of(chat('Hi', 'stop')), usage: Promise.reject(new Error('no')) }),
    ],
    ['an object with events', () => ({ events: of(chat('Hi', 'stop')) })],
    ['an object with data', () => ({ data: of(chat('Hi', 'stop')), response: new Response('') })],
    ['lists of chunks', () => of([chat('H')], [chat('i'), chat('', 'stop')])],
    ['lists of parts, as toParts() gives them', () => of([], [{ type: 'text', text: 'H' }], toParts(chat('i')))],
    [
      'what an event emitter emits',
      () => {
        const emitter = new EventEmitter()
        const events = on(emitter, 'data', { close: ['end'] })
        emitter.emit('data', chat('Hi', 'stop'))
        emitter.emit('end')
        return events
      },
    ],
    // biome-ignore lint/suspicious/noThenProperty: that is what it is about
    ['what is iterable and thenable', () => Object.assign(of(chat('Hi', 'stop')), { then: () => {} })],
    [
      'what has toStream() and toTextStream()',
      () => ({
        toStream: () => of(chat('Hi', 'stop')),
        toTextStream: () => of('no'),
        [Symbol.asyncIterator]: () => of('no'),
      }),
    ],
    ['a stream of streams', () => of(of(chat('H')), of(chat('i', 'stop')))],
    [
      'a stream of a ReadableStream and text',
      () =>
        of(
          new ReadableStream({
            start: (c) => {
              c.enqueue('H')
              c.close()
            },
          }),
          'i',
        ),
    ],
    [
      'an Observable',
      () => ({
        subscribe: (observer: { next(value: unknown): void; complete(): void }) => {
          observer.next(chat('Hi', 'stop'))
          observer.complete()
          return { unsubscribe() {} }
        },
      }),
    ],
  ])('%s', async (_, source) => {
    expect(await relayed(source as Source)).toMatchObject({ text: 'Hi', outcome: 'done', errors: [] })
  })

  it('the whole answer beside a stream says why it ended and what it cost', async () => {
    const response = Promise.resolve({ finishReason: 'length', usage: { inputTokens: 2, outputTokens: 3 } })
    const { read, outcome } = await relayed((() => ({ stream: of('Hi'), response })) as unknown as Source)
    expect(outcome).toBe('done')
    expect(read.slice(1)).toEqual([
      { type: 'usage', usage: { inputTokens: 2, outputTokens: 3 } },
      { type: 'finish', reason: 'length' },
    ])
  })

  it('the whole answer beside a stream may only repeat it, and stays here', async () => {
    const response = Promise.resolve({ response: { candidates: [], text: 'sk-secret' } })
    const genkits = { role: 'model', index: 0, content: [{ text: 'Hello' }] }
    const { outcome, body } = await relayed((() => ({ stream: of(genkits), response })) as unknown as Source)
    expect(outcome).toBe('done')
    expect(body).not.toContain('sk-secret')
  })

  it('the whole answer beside a stream may fail, and its own words stay here', async () => {
    const response = Promise.reject(Object.assign(new Error('sk-secret'), { status: 500 }))
    const { outcome, body } = await relayed((() => ({ stream: of('Hi'), response })) as unknown as Source)
    expect(outcome).toBe('error')
    expect(body).not.toContain('sk-secret')
  })

  it('a stop unsubscribes from an Observable that is silent', async () => {
    const stop = new AbortController()
    const unsubscribe = vi.fn()
    const answer = await relay(
      new Request('http://x/'),
      {
        subscribe: (observer: { next(value: unknown): void }) => {
          observer.next('Hi')
          return { unsubscribe }
        },
      } as unknown as Source,
      { signal: stop.signal },
    )
    stop.abort()
    expect(await collect(answer)).toMatchObject({ text: 'Hi' })
    expect(unsubscribe).toHaveBeenCalledOnce()
  })

  it('an Observable that overtakes its reader before it can be stopped fails the run, and is left', async () => {
    let isLeft = false
    const fast = {
      subscribe({ next }: { next(value: string): void }) {
        for (let n = 0; n < 70_000; n++) next('x')
        return {
          unsubscribe() {
            isLeft = true
          },
        }
      },
    }
    const { outcome, errors } = await relayed(fast as Source)
    expect({ outcome, isLeft }).toEqual({ outcome: 'error', isLeft: true })
    expect(String(errors[0])).toContain('faster than its reader')
  })

  it('the error and the type of an Observable’s events are read', async () => {
    const { body, outcome } = await relayed({
      subscribe(observer: { next(value: unknown): void; error(error: unknown): void }) {
        observer.next({ type: 'step', data: 1 })
        observer.error(new Error('no'))
      },
    } as unknown as Source)
    expect(body).toContain('event: step\ndata: 1\n\n')
    expect(outcome).toBe('error')
  })
})

describe('what is not known', () => {
  it('a list with anything else in it stays the user’s', async () => {
    const own = [chat('Hi'), null]
    expect(await relayed(of(own) as Source)).toMatchObject({ read: [{ name: 'data', data: own }], outcome: 'done' })
  })

  it('stays here once a provider’s shape is known', async () => {
    const { body, outcome } = await relayed(of(chat('Hi'), { code: 'X', secret: 'sk-secret' }, chat('', 'stop')))
    expect(outcome).toBe('done')
    expect(body).not.toContain('sk-secret')
  })

  it.each<[string, object]>([
    ['a type that says so', { type: 'job.failed', message: 'sk-secret' }],
    ['an error among other keys', { error: 'sk-secret', code: 3 }],
    ['a status that says so', { status: 'error', detail: 'sk-secret' }],
    ['an event that says so', { event: 'conversation.response.error', data: { message: 'sk-secret' } }],
    ['an Error', new Error('sk-secret')],
  ])('amid a provider’s chunks %s is a failure, and masked', async (_, chunk) => {
    const { body, outcome } = await relayed(of(chat('Hi'), chunk))
    expect(outcome).toBe('error')
    expect(body).not.toContain('sk-secret')
  })

  const FAILURES: object[] = [
    { message: 'sk-secret' },
    { detail: 'sk-secret', request_id: 'x' },
    { code: 'X', message: 'sk-secret', other: 1 },
    { statusCode: 429, message: 'sk-secret' },
    { status: 500, title: 'x', detail: 'sk-secret' },
    { error_code: 110, error_msg: 'sk-secret' },
    { errcode: 40001, errmsg: 'sk-secret' },
    { ret: -1, msg: 'sk-secret', sid: 'x' },
    { __type: 'ThrottlingException', message: 'sk-secret' },
    { err: { message: 'sk-secret' } },
    { success: false, errors: [{ code: 1, message: 'sk-secret' }] },
    { success: false },
    { errors: [{ message: 'sk-secret' }] },
    { kind: 'step', step: { code: 500, message: 'sk-secret' } },
    { base_resp: { status_code: 1008, status_msg: 'sk-secret' }, choices: null },
    { base_resp: { status_code: 1008, status_msg: 'sk-secret' }, choices: null, usage: { total_tokens: 0 } },
    { header: { code: 10013, message: 'sk-secret' }, payload: {} },
    { id: 'x', choices: [], error: { message: 'sk-secret' } },
    { error: { message: 'sk-secret' }, request_id: 'x' },
    [{ error: { message: 'sk-secret', code: 429, status: 'RESOURCE_EXHAUSTED' } }],
  ]

  it.each(FAILURES)('of an upstream %j is a failure, and masked, also before its sentinel', async (failure) => {
    const event = (json: object) => `data: ${JSON.stringify(json)}\n\n`
    for (const source of [
      of(chat('Hi'), failure),
      response('text/event-stream', event(chat('Hi')), event(failure), 'data: [DONE]\n\n'),
      response('application/x-ndjson', JSON.stringify(failure)),
    ]) {
      const { body, outcome } = await relayed(source as Source)
      expect({ outcome, leaks: body.includes('sk-secret') }).toEqual({ outcome: 'error', leaks: false })
    }
  })

  const sse = (...chunks: unknown[]) =>
    response('text/event-stream', ...chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`), 'data: [DONE]\n\n')

  it.each<object>([
    { fault: { faultstring: 'sk-secret', detail: { errorcode: 'QuotaViolation' } } },
    { detail: [{ loc: ['body'], msg: 'sk-secret', type: 'value_error' }] },
    { exception: 'sk-secret' },
    { ok: false },
    { timeout: true },
    { state: 'FAILED' },
    { type: 'rate_limit' },
    { Response: { Error: { Code: 'LimitExceeded', Message: 'sk-secret' } } },
    { wait: 'sk-secret', seconds: 30 },
  ])('in words that nobody knows, %j, takes from the sentinel behind it what it would prove', async (failure) => {
    const sentinel = Object.freeze({ data: '[DONE]' })
    const held = (chunk: object) => ({ data: JSON.stringify(chunk) })
    for (const source of [sse(chat('Hi'), failure), of(held(chat('Hi')), failure, sentinel)]) {
      const { body, outcome } = await relayed(source as Source)
      expect({ outcome, leaks: body.includes('sk-secret') }).toEqual({ outcome: 'truncated', leaks: false })
    }
    // Of an answer whose provider has said its end, or goes on, it is not the last word.
    for (const source of [sse(chat('Hi', 'stop'), failure), sse(chat('H'), failure, chat('i'))])
      expect(await relayed(source)).toMatchObject({ outcome: 'done' })
  })

  it.each<[string, string]>([
    ['a text', 'data: "sk-secret"\n\n'],
    ['a number', 'data: 502\n\n'],
    ['a list', 'data: [{"boom":"sk-secret"}]\n\n'],
    ['the name of an event', 'event: timeout\ndata: \n\n'],
    ['its name, and nothing in it', 'event: abort\ndata: {}\n\n'],
    ['an event that is named', 'event: closed\ndata: sk-secret\n\n'],
  ])('in %s amid chunks it takes that from it as well', async (_, event) => {
    const source = response('text/event-stream', `data: ${JSON.stringify(chat('Hi'))}\n\n`, event, 'data: [DONE]\n\n')
    const { body, outcome } = await relayed(source)
    expect({ outcome, leaks: body.includes('sk-secret') }).toEqual({ outcome: 'truncated', leaks: false })
  })

  it('beside plain text an object may be anything: its sentinel is the only end it has', async () => {
    const source = response('text/event-stream', 'data: Hi\n\n', 'data: {"sources":[]}\n\n', 'data: [DONE]\n\n')
    expect(await relayed(source)).toMatchObject({ outcome: 'done', text: 'Hi' })
    const failed = response('text/event-stream', 'data: Hi\n\n', 'event: fault\ndata: {"x":"sk-secret"}\n\n')
    expect(await relayed(failed)).toMatchObject({ outcome: 'error' })
  })

  it.each<string>([
    '{"code":429,"msg":"sk-secret"}',
    '{"detail":"sk-secret"}',
    '{"success":false,"reason":"sk-secret"}',
    '{"error":"sk-secret","request_id":"r"}',
    'upstream timeout: sk-secret',
  ])('in an event that a parser hands over it is one, and no event of the user’s own: %s', async (data) => {
    const parsed = (data: string) => ({ id: undefined, event: undefined, data })
    const source = of(parsed(JSON.stringify(chat('Hi'))), parsed(data), parsed('[DONE]'))
    const { body, outcome } = await relayed(source as Source)
    expect({ outcome, leaks: body.includes('sk-secret') }).toEqual({ outcome: 'error', leaks: false })
    if (!data.startsWith('{')) return
    expect((await relayed(of(parsed(data)) as Source)).outcome).toBe('error')
  })

  it('what no shape knows in an event of a parser stays here; an event with a name is the user’s own', async () => {
    const held = (json: object) => ({ data: JSON.stringify(json) })
    const own = { event: 'status', data: '{"step":1}' }
    const { body, read, outcome } = await relayed(
      of(held(chat('Hi')), held({ x: 'sk-secret' }), own, { data: 'own' }, held(chat('', 'stop'))),
    )
    expect({ outcome, leaks: body.includes('sk-secret') }).toEqual({ outcome: 'done', leaks: false })
    expect(body).toContain('event: status')
    expect(body).toContain('own')
    expect(read.length).toBeGreaterThan(0)
  })

  it.each<object>([
    {},
    { type: 'ping', time: 1 },
    { heartbeat: 1 },
    { status: 'ok' },
    { code: 0, msg: 'success' },
    { done: true },
    { type: 'end' },
  ])('%j, which says that all is well, takes nothing from the sentinel behind it', async (fine) => {
    expect(await relayed(sse(chat('Hi'), fine))).toMatchObject({ outcome: 'done' })
  })

  it.each<[string, object]>([
    ['is no JSON', { name: 'AI_JSONParseError', message: 'JSON parsing failed', cause: new SyntaxError('x') }],
    ['is none of its kind', { name: 'AI_TypeValidationError', cause: new Error('x') }],
    ['never came', { name: 'AI_NoOutputGeneratedError' }],
  ])('what the AI SDK says of a chunk that %s is its provider’s failure, and no bug here', async (_, fields) => {
    const told = (error: Error) =>
      of({ type: 'start' }, { type: 'text-delta', id: '0', text: 'Hi' }, { type: 'error', error })
    const { body } = await relayed(told(Object.assign(new Error('sk-secret'), fields)))
    expect(body).toContain('"code":"upstream-failure"')
    expect(body).not.toContain('sk-secret')
    expect((await relayed(told(new TypeError('x is undefined')))).body).toContain('"code":"internal"')
  })

  it.each<[string, object[]]>([
    [
      'Messages',
      [
        { type: 'message_start', message: { id: 'm' } },
        { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } },
      ],
    ],
    [
      'Responses',
      [
        { type: 'response.created', response: { id: 'r' } },
        { type: 'response.output_text.delta', delta: 'Hi' },
      ],
    ],
    ['Gemini', [{ candidates: [{ content: { parts: [{ text: 'Hi' }] } }] }]],
    ['AG-UI', [{ type: 'RUN_STARTED' }, { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta: 'Hi' }]],
  ])('a sentinel is no end of an API that has an end of its own: %s', async (_, chunks) => {
    expect(await relayed(sse(...chunks))).toMatchObject({ outcome: 'truncated' })
  })

  it('but of one that said no beginning it is', async () => {
    const text = { type: 'response.output_text.delta', item_id: 'm', delta: 'Hi' }
    expect(await relayed(sse(text))).toMatchObject({ outcome: 'done' })
  })

  it.each(['error', 'canceled', 'timeout'])('an event named for the end is none whose reason is %s', async (reason) => {
    const answer = `event: output\ndata: Hi\n\nevent: done\ndata: {"reason":"${reason}"}\n\n`
    expect(await relayed(response('text/event-stream', answer))).toMatchObject({ outcome: 'truncated', text: 'Hi' })
    const whole = answer.replace(`"${reason}"`, '"stop","topic":"how to cancel"')
    expect(await relayed(response('text/event-stream', whole))).toMatchObject({ outcome: 'done', text: 'Hi' })
  })

  it('an event named for the end is one where a chunk’s shape is known, too', async () => {
    const piece = { content: 'Hi', additional_kwargs: {}, response_metadata: {}, tool_call_chunks: [] }
    const events = `event: data\ndata: ${JSON.stringify(piece)}\n\n`
    for (const end of ['event: end\ndata: \n\n', 'event: done\ndata: {}\n\n'])
      expect(await relayed(response('text/event-stream', events, end))).toMatchObject({ outcome: 'done' })
    for (const end of ['', 'event: done\ndata: {"error":"sk-secret"}\n\n', 'event: failed\ndata: {}\n\n'])
      expect(await relayed(response('text/event-stream', events, end))).not.toMatchObject({ outcome: 'done' })
  })

  it.each<[object, object]>([
    [
      { id: 'x', choices: [], error: { message: 'sk-secret', code: 429 } },
      { code: 429, status: 429 },
    ],
    [{ error: { message: 'sk-secret', status: 'UNAVAILABLE', code: 503 } }, { code: 'UNAVAILABLE', status: 503 }],
    [{ error: 'sk-secret', status: 500 }, { status: 500 }],
    [{ error: { message: 'sk-secret' }, request_id: 'x' }, { status: undefined }],
  ])('as the first thing of a source %j is a failure with its code', async (failure, told) => {
    const { body, errors } = await relayed(of(failure))
    expect(errors[0]).toMatchObject({ message: 'sk-secret', ...told })
    expect(body).not.toContain('sk-secret')
  })

  it.each<object>([
    { question: 'Which?', choices: [{ text: 'A' }, { text: 'B' }] },
    { status: 'searching', message: 'sources' },
    { code: 200, message: 'ok' },
    { error: 'no such city', row: 5 },
    { errors: [{ message: 'x' }] },
    [{ error: { message: 'no such city' }, row: 5 }],
    { error: ['no such city'], row: 5 },
  ])('as the first thing of a source %j is the user’s own', async (own) => {
    expect(await relayed(of(own))).toMatchObject({ read: [{ name: 'data', data: own }], outcome: 'done' })
  })

  it.each<object>([
    { type: 'status', message: 'searching' },
    { status: 'searching', message: 'sources' },
    { code: 0, msg: 'success' },
    { type: 'progress', info: { message: 'Searching the web' } },
    { kind: 'step', step: { description: 'Reads the page' }, at: 1 },
  ])('amid a provider’s chunks %j is no failure, and stays here', async (own) => {
    expect((await relayed(of(chat('Hi'), own, chat('', 'stop')))).outcome).toBe('done')
  })

  it.each([
    new Map([['a', 1]]),
    new Date(0),
    new (class Prompt {
      value = 'sk-secret'
    })(),
  ])('an instance of a class is refused by name: %o', async (chunk) => {
    const { outcome, errors, body } = await relayed(of(chunk))
    expect(outcome).toBe('error')
    expect(String(errors[0])).toContain(chunk.constructor.name)
    expect(body).not.toContain('sk-secret')
  })

  /** As LangChain has it, whose streams are of a class of its own. */
  const closed = (...chunks: string[]) => {
    const stream = new ReadableStream({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(chunk)
        controller.close()
      },
    })
    class IterableReadableStream {
      getReader() {
        return stream.getReader()
      }
    }
    return new IterableReadableStream()
  }

  it('an answer of an SDK that yields an empty text is an empty one', async () => {
    expect(await relayed(closed('') as Source)).toMatchObject({ outcome: 'done' })
  })

  it.each<[string, object]>([
    ['AWS', { $metadata: {}, stream: of() }],
    ['LangChain', closed()],
    ['Vertex', { stream: of(), response: Promise.resolve({ response: {} }) }],
  ])('an answer of an SDK that yields nothing is no empty one: %s', async (_, answer) => {
    expect(await relayed(answer as Source)).toMatchObject({ outcome: 'truncated' })
  })

  it('the counts of a run are those of its last turn, and nothing of a turn before it', async () => {
    const counted = (id: string, usage: object) => ({ ...chat('Hi', 'stop'), id, usage })
    const first = counted('a', { prompt_tokens: 9, prompt_tokens_details: { cached_tokens: 8 } })
    const last = {
      ...counted('b', { prompt_tokens: 2 }),
      choices: [{ index: 0, delta: { role: 'assistant', content: 'a' } }],
    }
    const end = counted('b', { prompt_tokens: 2, completion_tokens: 1 })
    expect(await relayed(of(first, last, end))).toMatchObject({
      outcome: 'done',
      usage: { inputTokens: 2, outputTokens: 1 },
    })
    expect((await relayed(of(first, last, end))).usage).not.toHaveProperty('cachedInputTokens')
  })

  it('a sentinel after nothing is the end of nothing, but of a relay’s empty answer', async () => {
    const done = 'data: [DONE]\n\n'
    expect((await relayed(response('text/event-stream', done))).outcome).toBe('truncated')
    const headers = { 'content-type': 'text/event-stream', 'x-run-id': 'r' }
    expect((await relayed(new Response(done, { headers }))).outcome).toBe('done')
  })

  it('a run of objects of the user’s own and without text says so once on the console', async () => {
    const { read } = await relayed(of({ a: 1 }))
    await relayed(of({ a: 2 }))
    expect(read).toEqual([{ type: 'data', name: 'data', data: { a: 1 } }])
    const said = vi
      .mocked(console.warn)
      .mock.calls.filter(([message]) => String(message).includes('without a word of text'))
    expect(said.length).toBeLessThanOrEqual(1)
  })
})
