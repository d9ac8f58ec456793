// What stands against each threat of docs/security.md? One describe for each, under its name; that of the secrets is in
// secrets.test.ts.

import { readFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { encodeComment, encodeEvent, RelayError, type RelayOptions, type Source } from 'sse-relay'
import { createParser, fetchSSE, parseSSE, readParts, readText } from 'sse-relay/client'
import { createMemoryLog, type Log, record } from 'sse-relay/log'
import { relay as relayNode, resume as resumeNode } from 'sse-relay/node'
import * as all from 'sse-relay/protocols'
import { adapterBehaviours, collect, throwing } from 'sse-relay/testing'
import { relay, resume } from 'sse-relay/web'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { listening } from '../serving.js'

const SECRET = 'sk-live-7f3a9c'
const MB = 1024 * 1024

const protocols = { ...all }
const names = Object.keys(protocols) as (keyof typeof protocols)[]

/** What the table for adapters tries on each of them. */
const every = (sentences: string[]) =>
  it.each(sentences)('every adapter is tried: %s', (sentence) => {
    expect(adapterBehaviours.map(({ name }) => name)).toContain(sentence)
  })

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  vi.restoreAllMocks()
})

function answer(source: Source, options: RelayOptions = {}, init?: RequestInit): Promise<Response> {
  return relay(new Request('http://localhost/', init), source, { onError() {}, ...options })
}

const serve = async (listener: RequestListener) => `${await listening(listener)}/`

/** A chunk of OpenAI's chat completions that says all there is to say. */
function chat(content: string): object {
  return {
    id: 'c',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: { content }, finish_reason: 'stop' }],
  }
}

/** What would end an event, begin one, and end the stream, if it were on the wire as it is. */
const FORGERIES = [
  '\n\nevent: error\ndata: {"error":{"code":"internal"}}\n\n',
  '\r\rdata: [DONE]\r\r',
  '\r\n\r\nid: 7\r\nretry: 1\r\n\r\n',
  ': \n\ndata: x',
  '\u2028\u2029\u0085\0\ufeffdata: x',
]

describe('Field injection by what a model says', () => {
  it.each(names)('%s() sends it as data of one event, and nothing of it as a field', async (name) => {
    for (const forgery of FORGERIES) {
      const wire = await (await answer(() => [chat(forgery)], { protocol: protocols[name]() })).text()
      const events: { event?: string; id?: string; data: string }[] = []
      const parser = createParser({
        onEvent: (event) => events.push(event),
        onComment: () => expect.fail('a comment was forged'),
        onRetry: () => expect.fail('a retry was forged'),
      })
      parser.feed(wire)
      const said = events.filter(({ data }) => data !== '[DONE]')
      // In two dialects the events have the names of their types.
      const nameOf = (data: string) =>
        ['openaiResponses', 'anthropicMessages'].includes(name) && data !== '[DONE]' ? JSON.parse(data).type : undefined
      expect(events.map(({ event, id }) => ({ event, id }))).toEqual(
        events.map(({ data }) => ({ event: nameOf(data) })),
      )
      expect(events.length - said.length).toBe(name === 'agui' ? 0 : 1)
      expect(events.at(-1)?.data).toMatch(name === 'agui' ? /"type":"RUN_FINISHED"/ : /^\[DONE\]$/)
      // It is there, whole, in the JSON of one of them, and where the whole text comes after its pieces.
      const holding = said.filter(({ data }) => JSON.stringify(JSON.parse(data)).includes(escaped(forgery)))
      expect(holding).toHaveLength(name === 'openaiResponses' ? 5 : 1)
    }
  })
})

function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

describe('Field injection by names and ids', () => {
  it.each(['a\nb', 'a\rb', 'a\r\nevent: b', '\n', '7\ndata: [DONE]\n\n'])(
    'a line break is refused: %j',
    async (value) => {
      for (const chunk of [
        { event: value, data: 1 },
        { id: value, data: 1 },
        { type: 'data', name: value, data: 1 },
      ]) {
        const { events, error } = await collect(await answer(() => ['Hello', chunk]))
        expect(events).toHaveLength(1)
        expect(error).toMatchObject({ code: 'invalid-field' })
      }
    },
  )

  it('a name in JSON is a string of the JSON', async () => {
    const { events } = await collect(
      await answer(() => [{ event: 'a b', data: 1 }], { protocol: protocols.uiMessage() }),
    )
    expect(events.map(({ data }) => JSON.parse(data).type)).toContain('data-a b')
  })
})

describe('Unbounded growth by a client', () => {
  every([
    'the reader of a POST with 5 MB that nobody reads leaves before the first token',
    'an unread body of 5 MB is no obstacle for a failure',
    'a reader that takes nothing costs little, and is dropped',
    'the wait ends when the reader leaves',
  ])
})

describe('Unbounded growth by an upstream', () => {
  /** An event stream with one line that has no end. */
  function endless(): ReadableStream<Uint8Array> & { taken: number } {
    const piece = new TextEncoder().encode(`${'x'.repeat(MB)}`)
    let first = true
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        stream.taken += piece.length
        if (stream.taken > 400 * MB) controller.error(new Error('nobody stopped it'))
        else controller.enqueue(first ? new TextEncoder().encode('data: ') : piece)
        first = false
      },
    }) as ReadableStream<Uint8Array> & { taken: number }
    stream.taken = 0
    return stream
  }
  const headers = { 'content-type': 'text/event-stream' }

  it('a line without an end is the failure of the upstream, and is not kept for ever', async () => {
    const body = endless()
    const { status, error } = await collect(await answer(() => new Response(body, { headers })))
    expect({ status, code: error?.code }).toEqual({ status: 502, code: 'upstream-failure' })
    expect(body.taken).toBeLessThan(80 * MB)
  })
})

describe('Header injection', () => {
  it('a Last-Event-ID comes back in no header and in no field', async () => {
    const id = 'a: b, c\u00e9'
    let given: string | undefined
    const response = await answer(
      ({ lastEventId }) => {
        given = lastEventId
        return ['Hello']
      },
      {},
      { headers: { 'last-event-id': id } },
    )
    expect(given).toBeDefined()
    expect(JSON.stringify([...response.headers]) + (await response.text())).not.toContain('a: b')
  })
})

const ANSWERS: [string, Source, RequestInit, number][] = [
  ['a stream', () => ['Hello'], {}, 200],
  ['a stream of a GET', () => ['Hello'], { headers: { accept: 'text/event-stream' } }, 200],
  ['HEAD', () => ['Hello'], { method: 'HEAD' }, 200],
  ['the end of an EventSource', () => ['Hello'], { headers: { 'last-event-id': `${'a'.repeat(32)}:end` } }, 204],
  ['a refusal', () => throwing(Object.assign(new Error(), { status: 429 })), {}, 429],
  ['a failure', () => throwing(new Error('bug')), {}, 500],
  ['a mistake', 42 as never, {}, 500],
]

describe('Caches that store private answers', () => {
  it.each(ANSWERS)('%s is not to be stored', async (_, source, init, status) => {
    const response = await answer(source, {}, init)
    expect(response.status).toBe(status)
    expect(response.headers.get('cache-control')).toBe('no-store, no-transform')
    expect(response.headers.has('etag')).toBe(false)
    await response.body?.cancel()
  })
})

describe('Cross-site reading', () => {
  it.each(ANSWERS)('%s says nothing of other origins', async (_, source, init) => {
    const headers = { ...init.headers, origin: 'https://evil.example', cookie: 'session=1' }
    const response = await answer(source, {}, { ...init, headers })
    const names = [...response.headers.keys()]
    expect(names.filter((name) => /^(access-control-|cross-origin-|timing-allow)/.test(name))).toEqual([])
    await response.body?.cancel()
  })

  every(['headers that the host set earlier are on a stream', 'headers that the host set earlier are on a failure'])

  it('a client sends what it was told to, and to where it was told to', async () => {
    const seen: { path: string | undefined; cookie: unknown; authorization: unknown }[] = []
    const url = await serve((req, res) => {
      const { cookie, authorization } = req.headers
      seen.push({ path: req.url, cookie, authorization })
      relayNode(req, res, () => ['Hello'])
    })
    for await (const _ of fetchSSE(`${url}chat`, {
      method: 'POST',
      body: '{}',
      headers: { authorization: 'Bearer a' },
    }));
    expect(seen).toEqual([{ path: '/chat', cookie: undefined, authorization: 'Bearer a' }])
  })
})

// What each log does about it, Redis included, is in src/testing/conformance/log.ts.
describe('Replay across owners', () => {
  const RUN = 'run-with-a-secret-1'
  const OTHERS = ['bob', 'an', 'ann2', 'Ann', ' ann', 'ann ', '*', 'null', 'undefined', '__proto__', null]

  /** The owner is what a header says, as if a session had said so. */
  async function open() {
    const log = createMemoryLog()
    let calls = 0
    const url = await serve(async (req, res) => {
      const named = req.headers['x-owner'] as string | undefined
      const owner = named === undefined ? null : decodeURIComponent(named)
      const runId = new URL(req.url as string, 'http://localhost').searchParams.get('run') ?? undefined
      const options = { log, owner, onError() {} }
      if (req.method === 'POST') relayNode(req, res, () => [`${++calls}`], options)
      else if (req.method === 'DELETE') res.end(String(await log.stop(String(runId), { owner })))
      else resumeNode(req, res, { ...options, runId })
    })
    const ask = (owner: string | null, init: RequestInit = {}, query = '') =>
      fetch(url + query, {
        ...init,
        headers: { ...(init.headers as object), ...(owner !== null && { 'x-owner': encodeURIComponent(owner) }) },
      })
    return { log, ask, calls: () => calls }
  }

  /** A run of Ann's that goes on, with a secret in it. */
  async function begin(log: Log) {
    let end!: () => void
    const over = new Promise<void>((resolve) => {
      end = resolve
    })
    const summary = record(
      async function* () {
        yield SECRET
        await over
      },
      { log, owner: 'ann', runId: RUN },
    )
    cleanups.push(async () => {
      end()
      await summary
    })
    return async () => {
      end()
      return summary
    }
  }

  it('for anyone else the run is not there, while it goes on and after: not to read, not to follow, not to stop', async () => {
    const { log, ask, calls } = await open()
    const end = await begin(log)
    for (const moment of ['going on', 'over']) {
      for (const owner of OTHERS) {
        const at = `${moment}, for ${JSON.stringify(owner)}`
        for (const id of [`${RUN}:0`, `${RUN}:1`]) {
          const foreign = await ask(owner, { headers: { 'last-event-id': id } })
          const unknown = await ask(owner, { headers: { 'last-event-id': `${RUN}-not:0` } })
          const [body, same] = [await foreign.text(), await unknown.text()]
          expect([foreign.status, body], at).toEqual([unknown.status, same])
          expect(foreign.status, at).toBe(404)
          expect(body, at).not.toContain(SECRET)
          expect(foreign.headers.get('x-run-id'), at).toBe(unknown.headers.get('x-run-id'))
        }
        expect((await ask(owner, {}, `?run=${RUN}`)).status, at).toBe(204)
        expect(await (await ask(owner, { method: 'DELETE' }, `?run=${RUN}`)).text(), at).toBe('false')
        const taken = await ask(owner, { method: 'POST', headers: { 'x-run-id': RUN } })
        expect([taken.status, await taken.text()], at).toEqual([409, expect.not.stringContaining(SECRET)])
      }
      if (moment === 'going on') expect((await end()).outcome).toBe('done')
    }
    expect(calls()).toBe(0)
    const mine = await ask('ann', { headers: { 'last-event-id': `${RUN}:0` } })
    expect(await mine.text()).toContain(SECRET)
  })

  it('a login that is missing opens nothing: an owner that is no text is refused, and the source is not called', async () => {
    const log = createMemoryLog()
    await begin(log)
    for (const owner of [undefined, '', 0, 1, true, {}, ['ann']] as never[]) {
      let calls = 0
      const errors: unknown[] = []
      const options = { log, owner, onError: (error: unknown) => void errors.push(error) }
      const response = await relay(new Request('http://localhost/', { method: 'POST' }), () => [`${++calls}`], options)
      const read = await resume(new Request('http://localhost/', { headers: { 'last-event-id': `${RUN}:0` } }), options)
      for (const { status } of [response, read]) expect(status).toBe(500)
      expect(await read.text()).not.toContain(SECRET)
      expect(errors).toEqual([expect.any(TypeError), expect.any(TypeError)])
      await expect(log.stop(RUN, { owner })).rejects.toThrow(TypeError)
      await expect(log.create(RUN, { owner })).rejects.toThrow(TypeError)
      expect(calls).toBe(0)
    }
  })
})

describe('Prototype pollution by names', () => {
  const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty']
  /** As `JSON.parse` makes them: keys of their own. */
  const hostile = JSON.parse(
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"a":{"__proto__":{"polluted":1}}}',
  )

  afterEach(() => {
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
    expect({}.toString).toBe(Object.prototype.toString)
    expect({}.constructor).toBe(Object)
  })

  const chunks = [
    ...NAMES.flatMap((name) => [
      { event: name, id: name, data: hostile },
      { type: 'data', name, data: hostile },
      { type: 'tool-call', index: 0, id: name, name, input: JSON.stringify(hostile) },
      { [name]: hostile },
    ]),
    JSON.parse('{"__proto__":{"polluted":1},"type":"text","text":"Hello"}'),
    JSON.parse('{"type":"usage","usage":{"__proto__":{"polluted":1},"constructor":2,"inputTokens":1}}'),
    JSON.parse(
      '{"choices":[{"index":0,"delta":{"content":"a","__proto__":{"polluted":1}},"finish_reason":"__proto__"}],"__proto__":{"polluted":1}}',
    ),
    JSON.parse('{"type":"message_delta","delta":{"stop_reason":"constructor"},"usage":{"__proto__":{"polluted":1}}}'),
    { type: 'message_stop' },
  ]

  it.each(names)('through %s() and the client they are names like others', async (name) => {
    let summary: object | undefined
    const wire = await (
      await answer(() => chunks, {
        protocol: protocols[name](),
        onEnd(end) {
          summary = end
        },
      })
    ).text()
    expect(summary).toMatchObject({ outcome: 'done' })
    const { events, outcome } = await collect(wire)
    expect(outcome).toBe('done')
    expect(events.length).toBeGreaterThan(0)
    for (const event of events) expect(Object.getPrototypeOf(event)).toBe(Object.prototype)
    // The others are read by clients of their own.
    if (name !== 'text' && name !== 'parts' && name !== 'raw') return
    expect(events.filter(({ event }) => event === '__proto__').length).toBeGreaterThan(0)
    expect(events.filter(({ id }) => id === '__proto__').length).toBeGreaterThan(0)
    for await (const _ of readText(wire));
    for await (const part of readParts(wire)) expect(Object.getPrototypeOf(part)).toBe(Object.prototype)
  })

  it('a code by such a name has no entry in a table', async () => {
    for (const code of NAMES) {
      const signal = AbortSignal.abort(new RelayError(code, SECRET))
      const response = await answer(() => ['Hello'], { signal })
      expect(response.status).toBe(500)
      expect(await response.json()).toEqual({ error: { code, message: expect.any(String), retryable: false } })
      const told = `event: error\ndata: {"error":{"code":"${code}","message":"m","__proto__":{"polluted":1}}}\n\n`
      await expect(parseSSE(told).next()).rejects.toMatchObject({ code, message: 'm' })
    }
  })
})

describe('Parsers with bad worst cases', () => {
  it('line breaks without number are encoded in a moment', () => {
    expect(encodeEvent({ data: '\r\n'.repeat(MB) }).length).toBe(MB * 7 + 8)
    expect(encodeComment('\r'.repeat(MB)).length).toBe(MB * 3 + 3)
  })

  it.each(names)('the input of a call is not read again for each text that interrupts it: %s()', async (name) => {
    const source = function* () {
      for (let count = 0; count < 5000; count++) {
        yield { type: 'tool-call', index: 0, id: 'c', name: 'f', input: count === 0 ? '{"a":"' : 'x' }
        yield { type: 'text', text: 'x' }
      }
    }
    const parse = vi.spyOn(JSON, 'parse')
    const response = await answer(() => source(), { protocol: protocols[name]() })
    expect(await response.text()).toMatch(/\[DONE\]|RUN_FINISHED|message_stop/)
    const read = parse.mock.calls.reduce((sum, [text]) => sum + text.length, 0)
    expect(read).toBeLessThan(20_000)
  })
})

describe('docs/security.md', () => {
  const page = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8')
  const own = ['security', 'secrets']
    .map((name) => readFileSync(new URL(`${name}.test.ts`, import.meta.url), 'utf8'))
    .join('\n')
  const threats = [...page.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading as string)
  const NOT_THREATS = ['What is yours', 'Reporting']

  it('names the threats that are tried here, and no others', () => {
    const tried = [...own.matchAll(/^describe\('([^']+)'/gm)].map(([, title]) => title as string)
    const due = threats.filter((heading) => !NOT_THREATS.includes(heading))
    expect(due.length).toBeGreaterThan(8)
    expect(tried.filter((title) => title !== 'docs/security.md').sort()).toEqual(due.sort())
  })
})
