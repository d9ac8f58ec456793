import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { relayTo, type Sink, type Source } from 'sse-relay'
import { relay as node, type RelayOptions } from 'sse-relay/node'
import { raw, text } from 'sse-relay/protocols'
import { collect, flooding, throwing } from 'sse-relay/testing'
import { relay as web } from 'sse-relay/web'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'

const MB = 1024 * 1024
const SECRET = 'sk-secret'
const request = new Request('http://localhost/')
const onError = () => {}

const unhandled: unknown[] = []
const note = (error: unknown) => void unhandled.push(error)
beforeEach(() => {
  process.on('unhandledRejection', note)
  process.on('uncaughtException', note)
})
afterEach(async () => {
  await new Promise(setImmediate)
  process.off('unhandledRejection', note)
  process.off('uncaughtException', note)
  vi.restoreAllMocks()
  expect(unhandled.splice(0)).toEqual([])
})

/** The answer of a relay, over the web adapter. */
const ask = async (source: Source, options?: RelayOptions) =>
  collect(await web(request, source, { onError, ...options }))

async function serve(source: Source, options: RelayOptions): Promise<string> {
  const server = createServer((req, res) => void node(req, res, source, { onError, ...options }))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

describe('what is thrown', () => {
  it.each<[string, () => unknown]>([
    ['an error without a message', () => Object.assign(new Error(), { message: undefined })],
    ['an error whose message is an object', () => Object.assign(new Error(), { message: { a: 1 } })],
    [
      'an error whose message throws',
      () =>
        Object.defineProperty(new Error(), 'message', {
          get() {
            throw new Error('no')
          },
        }),
    ],
  ])('may be %s', async (_, create) => {
    expect(await ask(() => throwing(create()))).toMatchObject({ status: 500, outcome: 'error' })
  })
})

describe('a failure the provider tells in its stream', () => {
  it.each([
    { object: 'error', message: SECRET, code: 500 },
    { error: SECRET },
    { error: SECRET, error_type: 'generation' },
    { id: 'x', error: { message: SECRET }, object: 'chat.completion.chunk' },
  ])('is a failure: %j', async (failure) => {
    const half = { id: 'x', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: 'Half' } }] }
    const body = `data: ${JSON.stringify(half)}\n\ndata: ${JSON.stringify(failure)}\n\ndata: [DONE]\n\n`
    const upstream = () => new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    for (const source of [upstream, () => [half, failure]]) {
      const answer = await ask(source)
      expect(answer).toMatchObject({ text: 'Half', outcome: 'error' })
      expect(JSON.stringify(answer)).not.toContain(SECRET)
    }
  })

  it('is read no further than its head, and let go when the reader leaves', async () => {
    let cancelled = false
    const body = new ReadableStream({
      pull: () => new Promise(() => {}),
      cancel() {
        cancelled = true
      },
    })
    const controller = new AbortController()
    const left = new Request('http://localhost/', { signal: controller.signal })
    const answer = web(left, () => new Response(body, { status: 500 }), { onError })
    await new Promise(setImmediate)
    controller.abort()
    await answer
    expect(cancelled).toBe(true)
  })
})

describe('an answer after the first one that is cut', () => {
  it.each<[string, object[]]>([
    [
      'of OpenAI chat',
      [
        { id: '1', choices: [{ index: 0, delta: { content: 'x' } }] },
        { id: '1', choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] },
        { id: '2', choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] },
      ],
    ],
    [
      'of Bedrock',
      [{ messageStart: {} }, { messageStop: { stopReason: 'tool_use' } }, { messageStart: { role: 'assistant' } }],
    ],
    ['of the AI SDK', [{ type: 'start' }, { type: 'finish', finishReason: 'stop', totalUsage: {} }, { type: 'start' }]],
  ])('is truncated: %s', async (_, chunks) => {
    expect((await ask(() => chunks)).error).toMatchObject({ code: 'truncated' })
  })
})

describe('what only looks like a provider', () => {
  it.each<[object, string]>([
    [{ event: 'quiz', data: { question: 'q', choices: ['A', 'B'] } }, 'quiz'],
    [{ type: 'data', name: 'quiz', data: { choices: ['A'] } }, 'quiz'],
    [{ metadata: { sources: [1] }, answer: 'x' }, 'data'],
    [{ metadata: { sources: [1] } }, 'data'],
    [{ question: 'q', choices: ['A'] }, 'data'],
    [{ question: 'q', choices: [] }, 'data'],
    [{ candidates: ['Ann'] }, 'data'],
  ])('is the source’s own: %j', async (chunk, event) => {
    expect(await ask(() => [chunk])).toMatchObject({ outcome: 'done', events: [{ event }] })
  })
})

describe('what a request was made of', () => {
  it('stays on the server when raw() sends the events that repeat it', async () => {
    const response = { id: 'r', instructions: SECRET, tools: [{ server_url: SECRET }], metadata: { a: SECRET } }
    const chunks = [
      { type: 'response.created', sequence_number: 0, response: { ...response, user: SECRET, prompt: SECRET } },
      { type: 'response.completed', sequence_number: 1, response: { ...response, output: [] } },
    ]
    const answer = await ask(() => chunks, { protocol: raw() })
    expect(answer).toMatchObject({ outcome: 'done', events: [{ event: 'response.created' }, {}] })
    expect(JSON.stringify(answer)).not.toContain(SECRET)
    const ollama = await ask(() => [{ response: 'Hi', done: true, context: [1, 2, 3] }], { protocol: raw() })
    expect(ollama.events[0]?.data).toBe('{"response":"Hi","done":true}')
  })
})

describe('a header the host refuses', () => {
  it.each([{ 'x-title': 'a\u0001b' }, { 'x-title': 'a\u007fb' }])(
    'is an answer with status 500: %j',
    async (headers) => {
      for (const options of [{ headers }, { protocol: { ...text(), headers } }]) {
        const url = await serve(() => ['Hello'], options)
        const response = await fetch(url)
        expect(response.status).toBe(500)
        expect(await response.json()).toMatchObject({ error: { code: 'invalid-option' } })
      }
    },
  )

  it('of the host itself is not taken', async () => {
    const headers = { 'content-length': '5', te: 'gzip', trailer: 'x', host: 'elsewhere' }
    expect(await collect(await fetch(await serve(() => ['Hello'], { headers })))).toMatchObject({ text: 'Hello' })
  })
})

describe('a signal', () => {
  it('of the whole server reaches every relay, whatever the sink of one does', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {})
    const shutdown = new AbortController()
    const never = () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) })
    const sink = (end: () => void): Sink => ({
      open() {},
      write: () => true,
      end,
      destroy() {},
      schedule: queueMicrotask,
    })
    const broken = () => {
      throw new Error('no')
    }
    const relays = [broken, () => {}, () => {}].map((end) => relayTo(sink(end), never, { shutdown: shutdown.signal }))
    shutdown.abort()
    const ends = await Promise.all(relays.map((relay) => relay.done))
    expect(ends.map(({ outcome }) => outcome)).toEqual(['shutdown', 'shutdown', 'shutdown'])
    for (const relay of relays) relay.left()
  })
})

describe('a source', () => {
  it('that is promised twice is read once', async () => {
    const twice = {
      // biome-ignore lint/suspicious/noThenProperty: a thenable of someone's own is what is tried
      then(resolve: (source: string[]) => void) {
        resolve(['a'])
        resolve(['b'])
      },
    }
    expect((await ask(() => twice as never)).text).toBe('a')
  })

  it.each([256, 65_536])(
    'that is always ready with %i characters lets others come to their turn',
    async (chunkSize) => {
      const source = flooding({ chunkSize, total: 8 * MB })
      let over = false
      const answer = ask(() => source).finally(() => {
        over = true
      })
      let most = 0
      for (let before = 0; !over; before = source.produced) {
        await new Promise(setImmediate)
        most = Math.max(most, source.produced - before)
      }
      expect((await answer).outcome).toBe('done')
      expect(most).toBeLessThan(MB)
    },
  )

  it('that is always ready with nothing lets others come to their turn', async () => {
    let asked = 0
    const source = function* () {
      for (; asked < 100_000; asked++) yield ''
    }
    const answer = ask(() => source())
    let most = 0
    for (let before = 0; asked < 100_000; before = asked) {
      await new Promise(setImmediate)
      most = Math.max(most, asked - before)
    }
    expect((await answer).outcome).toBe('done')
    expect(most).toBeLessThan(10_000)
  })
})

it('an encoder that has no failure frame fails as the others do', async () => {
  const protocol = {
    name: 'mine',
    encoder: () => ({ ...text().encoder({ runId: 'x' }), fail: () => undefined as never }),
  }
  const source = async function* () {
    yield 'Hello'
    throw new Error('bug')
  }
  expect(await ask(source, { protocol })).toMatchObject({ text: 'Hello', error: { code: 'internal' } })
})
