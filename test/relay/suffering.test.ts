/**
 * What users of other clients suffered from, and not here: each title is the complaint as it would be made of us. The
 * rest of these complaints is where the behaviour is tested: fetch-sse, parse-sse, parse, client and browsers.
 */

import { fetchSSE, type ParsedEvent, parseSSE, type RelayError, readParts, readText } from 'sse-relay/client'
import { readTrace } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ScriptedServer, scriptedServer } from '../client/browsers/scripted-server.js'

const RUN = 'run-0123456789abcdef'
const POST = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"messages":[]}' }
const END = 'data: [DONE]\n\n'
const frame = (seq: number, data = `token ${seq}`) => `id: ${RUN}:${seq}\ndata: ${data}\n\n`

let server: ScriptedServer
beforeEach(async () => {
  server = await scriptedServer()
  vi.spyOn(Math, 'random').mockReturnValue(0)
})
afterEach(async () => {
  vi.restoreAllMocks()
  await server.close()
})

interface Read<T> {
  values: T[]
  error?: RelayError
}

/** Reads to the end, whichever it is. */
async function read<T>(values: AsyncIterable<T>): Promise<Read<T>> {
  const seen: Read<T> = { values: [] }
  try {
    for await (const value of values) seen.values.push(value)
  } catch (error) {
    seen.error = error as RelayError
  }
  return seen
}

const dataOf = ({ values }: Read<ParsedEvent>) => values.map(({ data }) => data)

describe('the end of the stream', () => {
  // openai/openai-node#2725, rexxars/eventsource-parser#18, openai/openai-go#697, anomalyco/opencode#40454,
  // google-gemini/gemini-cli#29059, langchain-ai/langgraph#6155: some sides with the standard, some with the user.
  it('a gateway left out the last blank line, and the end of the answer was gone without a word', async () => {
    const wire = 'data: {"text":"The"}\n\ndata: {"finish_reason":"stop"}\n'
    const strict = await read(parseSSE(wire))
    expect(strict.error).toMatchObject({ code: 'truncated', pending: 'data: {"finish_reason":"stop"}\n' })
    const sentinel = ({ data }: ParsedEvent) => data.includes('finish_reason')
    const lenient = await read(parseSSE(wire, { eof: 'dispatch', sentinel }))
    expect(lenient.error).toBeUndefined()
    expect(dataOf(lenient)).toEqual(['{"text":"The"}', '{"finish_reason":"stop"}'])
    const plain = await read(parseSSE(wire, { eof: 'dispatch', sentinel: false }))
    expect(dataOf(plain)).toHaveLength(2)
    // The sentinel itself may be what lacks it.
    expect(await read(parseSSE('data: 1\n\ndata: [DONE]\n', { eof: 'dispatch' }))).toEqual({ values: [{ data: '1' }] })
  })

  it('half a number at the end of a cut stream was taken for a whole one', async () => {
    const { values, error } = await read(parseSSE('data: 1\n\ndata: 1'))
    expect(values).toEqual([{ data: '1' }])
    expect(error).toMatchObject({ code: 'truncated', received: 1, pending: 'data: 1' })
  })

  // anthropics/anthropic-sdk-typescript#842 and its PR #920, openclaw/openclaw PR #120030, anomalyco/opencode#26170.
  it('a connection that closed before message_stop was a complete answer', async () => {
    const sentinel = ({ event }: ParsedEvent) => event === 'message_stop'
    const trace = (name: string) =>
      new Response(new Uint8Array(readTrace(name)), { headers: { 'content-type': 'text/event-stream' } })
    const cut = await read(parseSSE(trace('anthropic-truncated.sse'), { sentinel }))
    expect(cut.values.length).toBeGreaterThan(1)
    expect(cut.error).toMatchObject({ code: 'truncated', received: cut.values.length })
    const whole = await read(parseSSE(trace('anthropic-text.sse'), { sentinel }))
    expect(whole.error).toBeUndefined()
    expect(whole.values.at(-1)?.event).toBe('message_stop')
  })

  // earendil-works/pi#7954
  it('the server kept the connection after [DONE], and the loop hung', async () => {
    const reading = read(fetchSSE(server.url, { ...POST, runId: RUN }))
    const request = (await server.request()).open(frame(1) + END)
    expect(await reading).toEqual({ values: [{ id: `${RUN}:1`, data: 'token 1' }] })
    // It is let go, and nobody reconnects.
    expect(await request.closed).toBe(false)
    expect(server.requests).toHaveLength(1)
  })
})

describe('silence', () => {
  // earendil-works/pi#5558, MoonshotAI/kimi-code#1050 and #1798, QwenLM/qwen-code PR #5143.
  it('heartbeats kept a dead answer alive for ever', async () => {
    const reading = read(fetchSSE(server.url, { ...POST, idleTimeoutMs: 20_000, eventTimeoutMs: 200 }))
    const request = (await server.request()).open('data: 1\n\n')
    const heartbeats = setInterval(() => request.send(': \n'), 10)
    try {
      expect((await reading).error).toMatchObject({ code: 'event-timeout', received: 1, retryable: true })
    } finally {
      clearInterval(heartbeats)
    }
    expect(await request.closed).toBe(false)
    expect(server.requests).toHaveLength(1)
  })

  it('a slow model was cut off because heartbeats did not count', async () => {
    const reading = read(fetchSSE(server.url, { ...POST, idleTimeoutMs: 1500 }))
    const request = (await server.request()).open()
    let count = 0
    await new Promise<void>((resolve) => {
      const heartbeats = setInterval(() => {
        request.send(': \n')
        if (++count < 20) return
        clearInterval(heartbeats)
        resolve()
      }, 100)
    })
    request.end(`data: 1\n\n${END}`)
    expect(await reading).toEqual({ values: [{ data: '1' }] })
  })
})

describe('reconnecting', () => {
  // rexxars/eventsource-client#2, #3, #13.
  it('the question was asked again after its answer had ended, or after the page had left', async () => {
    const ended = read(fetchSSE(server.url, POST))
    ;(await server.request()).end(`retry: 1\n${frame(1)}${END}`)
    await ended
    for await (const _ of (async function* () {
      const stream = fetchSSE(server.url, POST)
      const next = stream.next()
      ;(await server.request()).end(`retry: 1\n${frame(1)}`)
      yield await next
      await stream.return()
    })());
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'POST'])
  })

  // EventSource/eventsource#358
  it('an event without an id made the client forget the last one', async () => {
    const stream = fetchSSE(server.url, POST)
    const reading = read(stream)
    const request = (await server.request()).open(
      `${frame(1)}data: a\n\nid\u0000: x\ndata: b\n\nid: \u0000\ndata: c\n\n`,
    )
    await vi.waitFor(() => expect(stream.lastEventId).toBe(`${RUN}:1`))
    request.send(': read\n')
    await new Promise((resolve) => setTimeout(resolve, 20))
    request.cut()
    expect((await server.request()).end(END).lastEventId).toBe(`${RUN}:1`)
    expect(dataOf(await reading)).toEqual(['token 1', 'a', 'b', 'c'])
  })

  // EventSource/eventsource#182
  it('a header of another case sent a stale id, and the whole answer came again', async () => {
    for (const name of ['Last-Event-ID', 'last-event-id', 'LAST-EVENT-ID']) {
      const stream = fetchSSE(server.url, { ...POST, headers: { [name]: 'stale' } })
      const next = stream.next()
      const request = (await server.request()).open(frame(1))
      await next
      const reading = read(stream)
      request.cut()
      expect((await server.request()).end(END).lastEventId).toBe(`${RUN}:1`)
      await reading
    }
  })

  // nodejs/undici PR #5746 (GHSA-q9qx-47rg-rhc7)
  it('an id of the server that no header can hold made every reconnection fail, for ever', async () => {
    for (const id of ['…', '日本', 'é', '\u0001', '\u007f', 'tab\tin it']) {
      let asked: string | null | undefined
      const fetch = vi.fn(async (url: string, init: RequestInit) => {
        const answer = (wire: string) => new Response(wire, { headers: { 'content-type': 'text/event-stream' } })
        if (init.method === 'POST') return answer(`id: ${id}\ndata: a\n\n`)
        // What Node's fetch would not send, it refuses here.
        asked = new Request(url, init).headers.get('last-event-id')
        return answer(END)
      })
      const { values, error } = await read(fetchSSE(server.url, { ...POST, fetch, maxRetries: 2 }))
      expect(values).toEqual([{ id, data: 'a' }])
      // Either it goes out as it came in, or the loss is an error: soon, and not for ever.
      if (error) expect(error).toMatchObject({ name: 'RelayError', code: 'network', received: 1 })
      else expect(Buffer.from(asked ?? '', 'latin1').toString()).toBe(id)
      expect(fetch.mock.calls.length).toBeLessThanOrEqual(3)
    }
  })

  // vercel/ai#18458, #6502
  it('stop and abort did nothing once the answer had been resumed', async () => {
    const controller = new AbortController()
    const stream = fetchSSE(server.url, { ...POST, stopUrl: server.url, signal: controller.signal })
    const next = stream.next()
    ;(await server.request()).open(frame(1))
    await next
    server.requests[0]?.cut()
    const second = stream.next()
    const resumed = (await server.request()).open(frame(2))
    await second
    const stopping = stream.stop()
    expect((await server.request()).end('', 204, {})).toMatchObject({
      method: 'DELETE',
      path: `/api/chat/${stream.runId}`,
    })
    await stopping
    const pending = stream.next()
    controller.abort()
    await expect(pending).rejects.toMatchObject({ name: 'AbortError' })
    expect(await resumed.closed).toBe(false)
  })

  // Azure/fetch-event-source#95
  it('the failure of a connection that was given up retried a second time beside the first', async () => {
    let fail: ((error: Error) => void) | undefined
    const fetch = vi.fn(async (url: string, init: RequestInit) => {
      if (fetch.mock.calls.length > 1) return globalThis.fetch(url, init)
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(frame(1)))
          fail = (error) => controller.error(error)
        },
      })
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    })
    const reading = read(fetchSSE(server.url, { ...POST, fetch, idleTimeoutMs: 50 }))
    const resumed = (await server.request()).open(frame(2))
    // It was given up by the clock; now it fails as well.
    fail?.(new Error('late'))
    resumed.end(END)
    expect(dataOf(await reading)).toEqual(['token 1', 'token 2'])
    expect(fetch).toHaveBeenCalledTimes(2)
  })
})

describe('parsing', () => {
  // hey-api/hey-api#3054, mpetazzoni/sse.js#17, EventSource/eventsource#326, rexxars/eventsource-parser#17.
  it('a server with CRLF, and packets that cut it in two, lost or doubled events', async () => {
    const wire = [
      'data: {"text":"a"}',
      ': ping',
      '',
      'event: x',
      'data: 1',
      'data: 2',
      '',
      'data: [DONE]',
      '',
      '',
    ].join('\r\n')
    for (let cut = 0; cut <= wire.length; cut++) {
      const chunks = async function* () {
        yield wire.slice(0, cut)
        yield wire.slice(cut)
      }
      expect(await read(parseSSE(chunks()))).toEqual({
        values: [{ data: '{"text":"a"}' }, { event: 'x', data: '1\n2' }],
      })
    }
  })

  // rexxars/eventsource-parser#19, openai/openai-node PR #1913, #2324, #2336, Azure/fetch-event-source#88.
  it('an image in an event froze the page, because each chunk copied all before it', async () => {
    const size = 8 * 1024 * 1024
    const chunk = new TextEncoder().encode('x'.repeat(64))
    const chunks = async function* () {
      yield 'data: '
      for (let sent = 0; sent < size; sent += chunk.length) yield chunk
      yield `\n\n${END}`
    }
    const started = performance.now()
    const { values, error } = await read(parseSSE(chunks()))
    expect(error).toBeUndefined()
    expect(values[0]?.data.length).toBe(size)
    // Squared, this is minutes; the limit is for a slow machine.
    expect(performance.now() - started).toBeLessThan(15_000)
  })

  // openai/openai-node PR #2433
  it('an image in an event was refused for its size', async () => {
    const large = 'x'.repeat(12 * 1024 * 1024)
    expect(dataOf(await read(parseSSE(`data: ${large}\n\n${END}`)))).toEqual([large])
  })

  // Azure/fetch-event-source#15, anthropics/anthropic-sdk-typescript PR #903, vercel/ai PR #15880.
  it('a heartbeat was an empty message, and an empty message broke the reading of JSON', async () => {
    const heartbeats = ': \n: ping\n\n:\n\n\n\n'
    const wire = `${heartbeats}data: {"text":"a"}\n\n${heartbeats}id: 7\n\nevent: ping\n\nevent: ping\ndata:\n\n`
    expect(await read(readText(`${wire}${END}`))).toEqual({ values: ['a'] })
    expect(await read(readText(`${wire}data:\n\ndata\n\ndata: {"text":"b"}\n\n${END}`))).toEqual({ values: ['a', 'b'] })
    expect(await read(readParts(`data: \n\ndata: {"type":"text","text":"b"}\n\n${END}`))).toEqual({
      values: [{ type: 'text', text: 'b' }],
    })
  })

  // mpetazzoni/sse.js#33, #48, #107, #108, Azure/fetch-event-source#43, bigskysoftware/htmx#2343, #3588.
  it('words were glued together and lines lost, because spaces and line breaks fell off the tokens', async () => {
    const tokens = ['Hello', ' world', '  twice', '\n', '\n\n', '\tcode', '\r\n', ' ', '\u00a0', '\ufeff', 'end ']
    const answer = await relay(new Request('http://localhost/'), () => tokens)
    expect(await read(readText(answer))).toEqual({ values: tokens })
  })

  // janhq/jan#8280, anomalyco/opencode#38106.
  it('an event of another kind went into the schema of the answer, and the stream crashed', async () => {
    const wire = `event: citation\ndata: not JSON\n\nevent: text\ndata: {"type":"text","text":"no"}\n\n`
    const part = { type: 'text', text: 'yes' }
    expect(await read(readParts(`${wire}data: ${JSON.stringify(part)}\n\ndata: 1\n\ndata: null\n\n${END}`))).toEqual({
      values: [part],
    })
  })

  // rexxars/eventsource-parser PR #31, anomalyco/opencode#23442, Wei-Shaw/sub2api#1471.
  it('an error that a proxy wrote into half an event was lost, or a riddle', async () => {
    const failure = 'event: error\ndata: {"error":{"message":"quota"}}\n\n'
    const between = await read(readText(`data: {"text":"a"}\n\ndata: {"text":"Hel\n${failure}`))
    expect(between).toMatchObject({
      values: ['a'],
      error: { name: 'RelayError', body: expect.stringContaining('quota') },
    })
    const within = await read(readText(`data: {"text":"a"}\n\ndata: {"text":"Hel${failure}`))
    expect(within).toMatchObject({
      values: ['a'],
      error: { code: 'invalid-json', body: expect.stringContaining('quota') },
    })
  })

  // The same of mpetazzoni/sse.js, run.
  it('an event named constructor threw a TypeError', async () => {
    const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty']
    const wire = names.map((name) => `event: ${name}\n${name}: 1\ndata: {"text":"no"}\n\n`).join('')
    expect((await read(parseSSE(wire + END))).values.map(({ event }) => event)).toEqual(names)
    expect(await read(readText(wire + END))).toEqual({ values: [] })
  })
})

describe('errors', () => {
  // Azure/fetch-event-source#70, #10, mpetazzoni/sse.js#40, #72.
  it('the status and the words of a refusal could not be had', async () => {
    const reading = read(readText(fetchSSE(server.url, POST)))
    ;(await server.request()).refuse(402, {
      error: { code: 'quota', message: 'Out of tokens', retryable: false },
      limit: 10,
    })
    const { error } = await reading
    expect(error).toMatchObject({ code: 'quota', message: 'Out of tokens', status: 402 })
    expect(JSON.parse(error?.body ?? '')).toMatchObject({ limit: 10 })
  })

  // openai/openai-node#537, anthropics/anthropic-sdk-typescript#346.
  it('the error was [object Object]', async () => {
    for (const data of ['{"error":{"message":{"text":"no"}}}', '{"error":"no"}', '{"message":"no"}', '["no"]', 'no']) {
      const { error } = await read(parseSSE(`event: error\ndata: ${data}\n\n`))
      expect(error).toMatchObject({ name: 'RelayError', body: data })
      expect(error?.message).not.toMatch(/\[object|undefined/)
      expect(error?.message.length).toBeGreaterThan(10)
    }
  })

  it('a page of HTML, or JSON, with status 200 was an answer of no tokens', async () => {
    for (const type of ['text/html', 'application/json', '']) {
      const reading = read(readText(fetchSSE(server.url, POST)))
      ;(await server.request()).refuse(200, '{"error":"no"}', { 'content-type': type })
      expect((await reading).error).toMatchObject({ code: 'content-type', status: 200, body: '{"error":"no"}' })
    }
  })
})

describe('where it runs', () => {
  // Azure/fetch-event-source#39, #20, #8, #21.
  it('document and window were not defined', async () => {
    expect(globalThis).not.toHaveProperty('document')
    expect(globalThis).not.toHaveProperty('window')
    const stream = fetchSSE(server.url, { ...POST, runId: RUN })
    const reading = read(stream)
    ;(await server.request()).cut()
    ;(await server.request()).end(frame(1) + END)
    expect(dataOf(await reading)).toEqual(['token 1'])
  })

  // Azure/fetch-event-source#84, assistant-ui/assistant-ui PR #4068.
  it('a component that was mounted twice read two streams, and the first one went on talking', async () => {
    const called: string[] = []
    const mount = (name: string) => {
      const controller = new AbortController()
      const { signal } = controller
      const hooks = { onOpen: () => called.push(`${name} opened`), onComment: () => called.push(`${name} beat`) }
      const reading = read(fetchSSE(server.url, { ...POST, signal, ...hooks }))
      return { reading, unmount: () => controller.abort() }
    }
    const first = mount('first')
    first.unmount()
    const second = mount('second')
    expect((await first.reading).error).toMatchObject({ name: 'AbortError' })
    let request = await server.request()
    // The first one may have been sent; then it is gone.
    if (server.requests.length > 1) {
      expect(await request.closed).toBe(false)
      request = await server.request()
    }
    request.end(`: \ndata: 1\n\n${END}`)
    expect(dataOf(await second.reading)).toEqual(['1'])
    expect(called).toEqual(['second opened', 'second beat'])
  })
})
