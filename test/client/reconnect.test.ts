// What a client does that lost its connection: which id it sends, how often it asks, and how it is still stopped.

import { fetchSSE, type ParsedEvent, parseSSE, type RelayError, readParts, readText } from 'sse-relay/client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type ScriptedServer, scriptedServer } from './browsers/scripted-server.js'

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

describe('after a lost connection', () => {
  // rexxars/eventsource-client#2, #3, #13.
  it('the question is not asked again after its answer has ended, nor after the page has left', async () => {
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
  it('an event without an id, or with NUL in it, leaves the last one as it is', async () => {
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
  it('the last id is sent once, whatever the case of the header the caller gave', async () => {
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
  it('an id that no header can hold is sent as it came or is an error, soon and not for ever', async () => {
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
  it('stop and abort work on an answer that was resumed', async () => {
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
    expect(await stopping).toBe(true)
    expect(await resumed.closed).toBe(false)
    await expect(stream.next()).rejects.toMatchObject({ code: 'stopped' })
    controller.abort()
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  })

  // Azure/fetch-event-source#95
  it('a connection that was given up and fails later is not retried a second time', async () => {
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
    const reading = read(fetchSSE(server.url, { ...POST, fetch, idleTimeoutMs: 1000 }))
    const resumed = (await server.request()).open(frame(2))
    // It was given up by the clock; now it fails as well.
    fail?.(new Error('late'))
    resumed.end(END)
    expect(dataOf(await reading)).toEqual(['token 1', 'token 2'])
    expect(fetch).toHaveBeenCalledTimes(2)
  })

  // Azure/fetch-event-source#84, assistant-ui/assistant-ui PR #4068.
  it('a stream that is left before it began says nothing, and the next one is read whole', async () => {
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

describe('what stands between the events of an answer', () => {
  // openai/openai-node PR #2433
  it('an event of 12 MiB is no trouble', async () => {
    const large = 'x'.repeat(12 * 1024 * 1024)
    expect(dataOf(await read(parseSSE(`data: ${large}\n\n${END}`)))).toEqual([large])
  })

  // Azure/fetch-event-source#15, anthropics/anthropic-sdk-typescript PR #903, vercel/ai PR #15880.
  it('heartbeats and empty messages are nothing to readText and readParts', async () => {
    const heartbeats = ': \n: ping\n\n:\n\n\n\n'
    const wire = `${heartbeats}data: {"text":"a"}\n\n${heartbeats}id: 7\n\nevent: ping\n\nevent: ping\ndata:\n\n`
    expect(await read(readText(`${wire}${END}`))).toEqual({ values: ['a'] })
    expect(await read(readText(`${wire}data:\n\ndata\n\ndata: {"text":"b"}\n\n${END}`))).toEqual({ values: ['a', 'b'] })
    expect(await read(readParts(`data: \n\ndata: {"type":"text","text":"b"}\n\n${END}`))).toEqual({
      values: [{ type: 'text', text: 'b' }],
    })
  })

  // janhq/jan#8280, anomalyco/opencode#38106.
  it('events of another kind, and data that is no part, are passed over by readParts', async () => {
    const wire = `event: citation\ndata: not JSON\n\nevent: text\ndata: {"type":"text","text":"no"}\n\n`
    const part = { type: 'text', text: 'yes' }
    expect(await read(readParts(`${wire}data: ${JSON.stringify(part)}\n\ndata: 1\n\ndata: null\n\n${END}`))).toEqual({
      values: [part],
    })
  })

  // rexxars/eventsource-parser PR #31, anomalyco/opencode#23442, Wei-Shaw/sub2api#1471.
  it('an error that a proxy wrote into half an event is told with its words', async () => {
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
})
