import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import * as http2 from 'node:http2'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import {
  collect,
  flooding,
  openClient,
  probe,
  providerError,
  type ReplayUpstream,
  readTrace,
  replayUpstream,
  stalling,
  type TestClient,
  throwing,
  tokens,
  traceNames,
  truncated,
} from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { freePort } from '../../scripts/free-port.mjs'
import { certificate } from '../hosts/certificate.js'
import { listening, replaying } from '../serving.js'

const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'

function serveBytes(...pieces: (string | Buffer)[]): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', async () => {
      for (const piece of pieces) {
        socket.write(piece)
        // Each piece its own packet, as far as a turn of the event loop makes it so.
        await new Promise(setImmediate)
      }
      socket.end()
    })
  })
  return listening(server)
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const values: T[] = []
  for await (const value of source) values.push(value)
  return values
}

const EVENT_STREAM = { 'content-type': 'text/event-stream' }

describe('collect', () => {
  it('a whole answer is done, without its sentinel', async () => {
    const wire =
      ': hello\n\nid: 1\ndata: {"text":"a"}\n\nevent: citation\ndata: {"text":"no"}\n\n: \ndata: {"text":"b"}\n\ndata: [DONE]\n\n'
    expect(await collect(wire)).toEqual({
      events: [
        { data: '{"text":"a"}', id: '1' },
        { data: '{"text":"no"}', event: 'citation' },
        { data: '{"text":"b"}' },
      ],
      text: 'ab',
      comments: 2,
      outcome: 'done',
      lastEventId: '1',
    })
  })

  it.each(['null', '1', 'plain', '{"text":1}', '[]', ''])('data %j adds an event and no text', async (data) => {
    const { events, text } = await collect(`data: ${data}\n\ndata: [DONE]\n\n`)
    expect({ events, text }).toEqual({ events: [{ data }], text: '' })
  })

  it('a body that just ends is truncated', async () => {
    const { outcome, events, error } = await collect('data: 1\n\n')
    expect({ outcome, events, code: error?.code }).toEqual({
      outcome: 'truncated',
      events: [{ data: '1' }],
      code: 'truncated',
    })
  })

  it.each([
    ['truncated', 'truncated'],
    ['stopped', 'stopped'],
    ['shutdown', 'shutdown'],
    ['expired', 'expired'],
    ['rate-limit', 'error'],
    ['disconnected', 'error'],
  ])('an error frame with the code %s is the outcome %s', async (code, outcome) => {
    const collected = await collect(
      `data: 1\n\nevent: error\ndata: {"error":{"code":"${code}","message":"m","retryable":true}}\n\n`,
    )
    expect(collected).toMatchObject({
      outcome,
      events: [{ data: '1' }],
      error: { code, message: 'm', retryable: true },
    })
  })

  it('a refusing response is an error with its status, whatever its code', async () => {
    const body = JSON.stringify({ error: { code: 'truncated', message: 'm', retryable: true } })
    const response = new Response(body, {
      status: 502,
      headers: { 'Content-Type': 'application/json', 'X-Run-Id': 'r' },
    })
    expect(await collect(response)).toMatchObject({
      status: 502,
      headers: { 'content-type': 'application/json', 'x-run-id': 'r' },
      outcome: 'error',
      error: { code: 'truncated', status: 502 },
      events: [],
    })
  })

  it('a reset in the middle is an error, not a throw', async () => {
    const upstream = await replaying({ body: 'data: 1\n\ndata: 2\n\ndata: 3\n\n', resetAfter: 2, pauseMs: 20 })
    expect(await collect(await fetch(upstream.url))).toMatchObject({ outcome: 'error', error: { code: 'network' } })
  })

  it('what is no input is refused', async () => {
    await expect(collect(1 as never)).rejects.toMatchObject({ code: 'invalid-source' })
  })

  it('the comments are handed on to onComment', async () => {
    const comments: string[] = []
    await collect(': a\n: b\ndata: [DONE]\n\n', { onComment: (comment) => comments.push(comment) })
    expect(comments).toHaveLength(2)
  })

  it('an abort is thrown', async () => {
    const controller = new AbortController()
    const source = stalling(['data: 1\n\n'])
    const collected = collect(source, { signal: controller.signal })
    await source.until(({ pulled, pending }) => pulled === 2 && pending)
    controller.abort()
    await expect(collected).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('sources', () => {
  it('a probe tells what was pulled, that it is pending, and that it was left', async () => {
    const source = probe(stalling(['a', 'b']))
    const iterator = source[Symbol.asyncIterator]()
    expect(source).toMatchObject({ pulled: 0, pending: false, returned: false })
    await iterator.next()
    await iterator.next()
    expect(source).toMatchObject({ pulled: 2, yielded: 2, pending: false })
    void iterator.next()
    await source.until(({ pending }) => pending)
    expect(source).toMatchObject({ pulled: 3, yielded: 2, pending: true, returned: false, finished: false })
    void iterator.return?.()
    await source.until(({ returned }) => returned)
    expect(source).toMatchObject({ pending: true, returned: true, finished: false, threw: false })
  })

  it('a probe reads arrays and streams, and leaving its loop leaves them', async () => {
    let cancelled = false
    const stream = new ReadableStream<string>({
      start: (controller) => controller.enqueue('a'),
      cancel() {
        cancelled = true
      },
    })
    const source = probe(stream)
    for await (const value of source) {
      expect(value).toBe('a')
      break
    }
    expect(source.returned).toBe(true)
    expect(cancelled).toBe(true)
    expect(await all(probe([1, 2]))).toEqual([1, 2])
  })

  it('a source that ends is finished, one that throws threw', async () => {
    const ends = tokens('a')
    await all(ends)
    expect(ends).toMatchObject({ finished: true, threw: false, returned: false, yielded: 1, pulled: 2 })

    const error = new Error('no')
    const throws = throwing(error, ['a', 'b'])
    await expect(all(throws)).rejects.toBe(error)
    expect(throws).toMatchObject({ finished: false, threw: true, pending: false, yielded: 2 })
  })

  it.each(['Hello there,  world\n\nnew 日本 🚀 ', ' a', '', ' \n'])(
    'the tokens of %j are the text again',
    async (text) => {
      expect((await all(tokens(text))).join('')).toBe(text)
    },
  )

  it.each([{ everyMs: 0 }, { everyMs: 2 }, {}])('tokens come one by one with %j', async (options) => {
    expect(await all(tokens(['a', 'b', 'c'], options))).toEqual(['a', 'b', 'c'])
  })

  it.each([{ everyMs: 0 }, { everyMs: 60_000 }])(
    'an abort ends the wait for a token with its reason, with %j',
    async (options) => {
      const controller = new AbortController()
      const source = tokens('a b c', { ...options, signal: controller.signal })
      const read = all(source)
      await source.until(({ pending }) => pending)
      const reason = new Error('enough')
      controller.abort(reason)
      await expect(read).rejects.toBe(reason)
    },
  )

  it('a stalling source throws the reason of the abort, and tells it', async () => {
    const controller = new AbortController()
    const source = stalling([1, 2], { signal: controller.signal })
    const read = all(source)
    await source.until(({ yielded, pending }) => yielded === 2 && pending)
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(read).rejects.toBe(reason)
    expect(await source.aborted).toBe(reason)
  })

  it('a silent one ends as if it were finished', async () => {
    const source = stalling([1, 2], { signal: AbortSignal.abort(), silent: true })
    expect(await all(source)).toEqual([1, 2])
  })

  it('a flood produces what is pulled and no more', async () => {
    const source = flooding({ chunkSize: 1000, total: 2500 })
    const iterator = source[Symbol.asyncIterator]()
    expect(source.produced).toBe(0)
    await iterator.next()
    expect(source.produced).toBe(1000)
    expect((await all(source)).map((chunk) => chunk.length)).toEqual([1000, 500])
    expect(source.produced).toBe(2500)
  })

  it('a truncated answer has text and no finish reason', async () => {
    const chunks = await all(truncated('Hello there'))
    expect(chunks.map(({ choices }) => choices[0]?.delta.content).join('')).toBe('Hello there')
    expect(chunks.every(({ choices }) => choices[0]?.finish_reason === null)).toBe(true)
  })
})

describe.each(['1.0', '1.1', '2'] as const)('a client over HTTP/%s', (httpVersion) => {
  // The compatibility API answers both, so one listener is enough.
  const start = (listener: RequestListener) =>
    listening(httpVersion === '2' ? http2.createServer(listener as never) : listener)

  it('reads a whole answer', async () => {
    const url = await start((_, res) => {
      res.writeHead(201, { ...EVENT_STREAM, 'X-A': ['1', '2'] })
      res.write('data: né\n\n')
      res.end('data: [DONE]\n\n')
    })
    const client = openClient(url, { httpVersion })
    expect(await client.status).toBe(201)
    expect(await client.headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-a': '1, 2' })
    expect(await client.closed).toEqual({ complete: true, by: 'server' })
    expect(client.received).toBe('data: né\n\ndata: [DONE]\n\n')
    expect(await client.until('DONE')).toBe(client.received)
  })

  it('sends its method, headers, path and body', async () => {
    const url = await start(async (req, res) => {
      let body = ''
      for await (const chunk of req) body += chunk
      res.end(JSON.stringify([req.method, req.url, req.headers['x-a'], req.headers['content-length'], body]))
    })
    const client = openClient(new URL('/chat?q=1', url), { headers: { 'x-a': 'b' }, body: '{"a":"é"}', httpVersion })
    await client.closed
    expect(JSON.parse(client.received)).toEqual(['POST', '/chat?q=1', 'b', '10', '{"a":"é"}'])
  })

  it.each(['HEAD', 'GET'])('reads an answer to %s without a body', async (method) => {
    const url = await start((_, res) => void res.writeHead(method === 'HEAD' ? 200 : 204).end())
    const client = openClient(url, { method, httpVersion })
    expect(await client.status).toBe(method === 'HEAD' ? 200 : 204)
    expect(await client.closed).toEqual({ complete: true, by: 'server' })
    expect(client.received).toBe('')
  })

  it.each(['leave', 'reset'] as const)('that uses %s is gone for the server', async (way) => {
    const { promise: gone, resolve } = deferred<boolean>()
    const url = await start((_, res) => {
      res.on('close', () => resolve(res.writableEnded))
      res.write('data: 1\n\n')
    })
    const client = openClient(url, { httpVersion })
    await client.until('data: 1')
    client[way]()
    expect(await gone).toBe(false)
    expect(await client.closed).toMatchObject({ complete: false, by: 'client' })
  })

  it('tells a cut answer from a whole one', async () => {
    const url = await start((req, res) => {
      res.write('data: 1\n\n', () => setImmediate(() => req.socket.destroy()))
    })
    const client = openClient(url, { httpVersion })
    await client.until('data: 1')
    // HTTP/1.0 has no way to know.
    expect(await client.closed).toMatchObject({ complete: httpVersion === '1.0', by: 'server' })
  })

  it('that waits for what the answer has not says so', async () => {
    const url = await start((_, res) => void res.end('data: 1\n\n'))
    const client = openClient(url, { httpVersion })
    await expect(client.until('data: 2')).rejects.toThrow(/never received "data: 2", but "data: 1/)
    await expect(client.until(() => false)).rejects.toThrow('the answer is complete')
  })

  it('that pauses is sent only so much, and reads the rest when it resumes', async () => {
    const total = 24 * 1024 * 1024
    let taken = 0
    const { promise: full, resolve } = deferred<void>()
    const url = await start(async (_, res) => {
      for await (const chunk of flooding({ chunkSize: 65_536, total })) {
        taken += chunk.length
        if (res.write(chunk)) continue
        // What still drains without a reader is on its way into the buffers of the two systems.
        const timer = setTimeout(resolve, 300)
        await once(res, 'drain')
        clearTimeout(timer)
      }
      res.end()
    })
    const client = openClient(url, { httpVersion })
    client.pause()
    await full
    expect(taken).toBeLessThan(total / 2)
    client.resume()
    expect(await client.closed).toEqual({ complete: true, by: 'server' })
    expect(client.received).toHaveLength(total)
  })

  it('that is slow reads in portions', async () => {
    const url = await start((_, res) => void res.end('x'.repeat(1000)))
    const client = openClient(url, { httpVersion })
    client.slow(2000)
    const steps: number[] = []
    let before = 0
    await client.until(({ length }) => {
      steps.push(length - before)
      before = length
      return length === 1000
    })
    expect(steps.length).toBeGreaterThanOrEqual(5)
    expect(Math.max(...steps)).toBeLessThanOrEqual(200)
    expect(await client.closed).toEqual({ complete: true, by: 'server' })
  })

  it('that finds no server tells why in closed', async () => {
    const client = openClient(`http://127.0.0.1:${await freePort()}`, { httpVersion })
    expect(await client.closed).toMatchObject({ complete: false, by: 'server', error: { code: 'ECONNREFUSED' } })
    await expect(client.status).rejects.toThrow('ECONNREFUSED')
    await expect(client.until('a')).rejects.toThrow('ECONNREFUSED')
  })

  it('that leaves at once makes no noise', async () => {
    const url = await start(() => {})
    const client = openClient(url, { httpVersion })
    client.leave()
    expect(await client.closed).toMatchObject({ complete: false, by: 'client' })
  })
})

describe('an HTTP/2 client', () => {
  it.each([
    ['leaves', (client: TestClient) => client.leave()],
    ['has its answer', () => {}],
  ])('that %s closes its connection', async (_, way) => {
    const server = http2.createServer((_, res) => void res.end('ok'))
    const closed = new Promise((resolve) => server.on('session', (session) => session.on('close', () => resolve(true))))
    const client = openClient(await listening(server), { httpVersion: '2' })
    await client.until('ok')
    way(client)
    expect(await closed).toBe(true)
  })

  it.each([
    ['destroyed', (res: http2.Http2ServerResponse) => res.stream.destroy()],
    ['closed', (res: http2.Http2ServerResponse) => res.stream.close(http2.constants.NGHTTP2_NO_ERROR)],
    ['cancelled', (res: http2.Http2ServerResponse) => res.stream.close(http2.constants.NGHTTP2_CANCEL)],
    ['failed', (res: http2.Http2ServerResponse) => res.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)],
  ])('knows a stream that was %s in the middle', async (_, cut) => {
    const url = await listening(
      http2.createServer((_, res) => {
        res.write('data: 1\n\n', () => setImmediate(cut, res))
      }),
    )
    const client = openClient(url, { httpVersion: '2' })
    expect(await client.closed).toMatchObject({ complete: false, by: 'server' })
  })

  it('is done with a stream that was closed before its body was taken', async () => {
    const url = await listening(
      http2.createServer((_, res) => {
        res.stream.on('finish', () => res.stream.close(http2.constants.NGHTTP2_NO_ERROR))
        res.end('too much')
      }),
    )
    const client = openClient(url, { httpVersion: '2', body: 'x'.repeat(300_000) })
    expect(await client.closed).toMatchObject({ by: 'server' })
    expect(client.received).toBe('too much')
  })

  it('has no half-closed connection', async () => {
    const client = openClient(await listening(http2.createServer()), { httpVersion: '2' })
    expect(() => client.halfClose()).toThrow('use HTTP/1')
    client.leave()
  })
})

describe.skipIf(!certificate)('a client of an https: URL', () => {
  const options = { key: certificate, cert: certificate, allowHTTP1: true }

  async function serveTls(listener: RequestListener): Promise<string> {
    const url = await listening(http2.createSecureServer(options, listener as never))
    return url.replace('http:', 'https:')
  }

  it.each(['1.1', '2'] as const)(
    'over HTTP/%s asks for a certificate that is trusted, unless told not to',
    async (httpVersion) => {
      const url = await serveTls((req, res) => res.end(req.httpVersion))
      const trusting = openClient(url, { httpVersion, rejectUnauthorized: false })
      expect(await trusting.closed).toEqual({ complete: true, by: 'server' })
      expect(trusting.received).toMatch(httpVersion)
      const { complete, error } = await openClient(url, { httpVersion }).closed
      expect({ complete, code: (error as NodeJS.ErrnoException).code }).toEqual({
        complete: false,
        code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
      })
    },
  )

  it.each([
    ['1.1', 'leave'],
    ['1.1', 'reset'],
    ['2', 'leave'],
    ['2', 'reset'],
  ] as const)('over HTTP/%s is seen to %s', async (httpVersion, how) => {
    let left: () => void
    const gone = new Promise<void>((resolve) => {
      left = resolve
    })
    const url = await serveTls((_, res) => {
      res.on('close', () => left())
      res.write('data: 1\n\n')
    })
    const client = openClient(url, { httpVersion, rejectUnauthorized: false })
    await client.until('data: 1')
    client[how]()
    expect(await client.closed).toMatchObject({ complete: false, by: 'client' })
    await gone
  })
})

describe('an HTTP/1 client', () => {
  it('reads chunks however they are cut', async () => {
    const wire = Buffer.from(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nné\r\n\r\nA\r\n日本🚀\r\n0\r\n\r\n',
    )
    const client = openClient(await serveBytes(...Array.from(wire, (_, index) => wire.subarray(index, index + 1))))
    expect(await client.closed).toEqual({ complete: true, by: 'server' })
    expect(client.received).toBe('né\r\n日本🚀')
  })

  it.each([
    ['in its head', 'HTTP/1.1 200 OK\r\n'],
    ['in a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc'],
    ['before the last chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n'],
    ['before its length', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc'],
  ])('knows an answer that was cut %s', async (_, wire) => {
    const client = openClient(await serveBytes(wire))
    expect(await client.closed).toMatchObject({
      complete: false,
      by: 'server',
      error: { message: 'The answer was cut' },
    })
  })

  it.each(['transfer-encoding: chunked\r\n\r\nx\r\n', 'content-length: x\r\n\r\nabc'])(
    'takes no length of %j',
    async (wire) => {
      const client = openClient(await serveBytes(`HTTP/1.1 200 OK\r\n${wire}`))
      expect(await client.closed).toMatchObject({
        complete: false,
        error: { message: expect.stringContaining('no number') },
      })
    },
  )

  it('says what is no HTTP', async () => {
    const client = openClient(await serveBytes('220 smtp\r\n'))
    await expect(client.status).rejects.toThrow('This is no HTTP/1 answer: "220 smtp"')
  })

  it('that half-closes is still read from by a server that allows it', async () => {
    const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
      socket.resume()
      socket.on('end', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'))
    })
    const client = openClient(await listening(server))
    client.halfClose()
    expect(await client.until('ok')).toBe('ok')
  })
})

function deferred<T>() {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

describe('the replay upstream and the real clients', () => {
  const openaiFor = (upstream: ReplayUpstream) =>
    new OpenAI({ apiKey: 'test', baseURL: `${upstream.url}/v1`, maxRetries: 0 })
  const anthropicFor = (upstream: ReplayUpstream) =>
    new Anthropic({ apiKey: 'test', baseURL: upstream.url, maxRetries: 0 })
  const messages = [{ role: 'user' as const, content: 'Hi' }]
  const chat = (upstream: ReplayUpstream, signal?: AbortSignal) =>
    openaiFor(upstream).chat.completions.create({ model: 'gpt', messages, stream: true }, { signal })
  const responses = (upstream: ReplayUpstream) =>
    openaiFor(upstream).responses.create({ model: 'gpt', input: 'Hi', stream: true })
  const claude = (upstream: ReplayUpstream) =>
    anthropicFor(upstream).messages.create({ model: 'claude', max_tokens: 100, messages, stream: true })

  const named = (pattern: RegExp) => traceNames().filter((name) => pattern.test(name))
  const chatTraces = named(/^(openai-(chat|compat)|mistral).*\.sse$/)
  const responsesTraces = named(/^openai-responses/)
  const anthropicTraces = named(/^anthropic/)

  it('openai reads the default chat trace', async () => {
    const upstream = await replaying()
    const chunks = await all(await chat(upstream))
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(ANSWER)
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop')
    expect(upstream.requests[0]).toMatchObject({
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { authorization: 'Bearer test' },
      json: { model: 'gpt', stream: true, messages },
      sent: chunks.length + 1,
    })
    expect(await upstream.requests[0]?.closed).toMatchObject({ by: 'server' })
  })

  it('openai reads the default responses trace', async () => {
    const events = await all(await responses(await replaying()))
    expect(events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('')).toBe(
      ANSWER,
    )
    expect(events.at(-1)?.type).toBe('response.completed')
  })

  it('anthropic reads the default messages trace', async () => {
    const events = await all(await claude(await replaying()))
    const texts = events.map((event) =>
      event.type === 'content_block_delta' && event.delta.type === 'text_delta' ? event.delta.text : '',
    )
    expect(texts.join('')).toBe(ANSWER)
    expect(events.at(-1)?.type).toBe('message_stop')
  })

  it.each([
    ...chatTraces.map((trace) => [trace, chat] as const),
    ...responsesTraces.map((trace) => [trace, responses] as const),
    ...anthropicTraces.map((trace) => [trace, claude] as const),
  ])('%s is read to its end or to its error', async (trace, ask) => {
    const upstream = await replaying({ trace })
    const events: unknown[] = []
    const read = async () => {
      for await (const event of await ask(upstream)) events.push(event)
    }
    if (/error/.test(trace)) await expect(read()).rejects.toThrow(ask === claude ? 'Overloaded' : /error/)
    else await read()
    // What the clients keep to themselves: the sentinel, pings, and the frame they throw as an error.
    const frames = readTrace(trace)
      .toString()
      .split('\n\n')
      .filter((frame) => /^data:/m.test(frame))
    const hidden = frames.filter((frame) => /^data: \[DONE\]$|^event: (ping|error)$|^data: \{"error"/m.test(frame))
    expect(events).toHaveLength(frames.length - hidden.length)
  })

  it.each([
    [401, OpenAI.AuthenticationError, Anthropic.AuthenticationError],
    [404, OpenAI.NotFoundError, Anthropic.NotFoundError],
    [429, OpenAI.RateLimitError, Anthropic.RateLimitError],
    [500, OpenAI.InternalServerError, Anthropic.InternalServerError],
    [529, OpenAI.InternalServerError, Anthropic.InternalServerError],
  ])("status %i is the clients' own error", async (status, openaiError, anthropicError) => {
    const upstream = await replaying({ status, headers: { 'retry-after': '7' } })
    for (const ask of [chat, responses]) {
      const error = await ask(upstream).then(
        () => undefined,
        (error: unknown) => error,
      )
      expect(error).toBeInstanceOf(openaiError)
      expect(error).toMatchObject({ status, message: `${status} The provider answers with ${status}` })
    }
    const error = await claude(upstream).then(
      () => undefined,
      (error: InstanceType<typeof Anthropic.APIError>) => error,
    )
    expect(error).toBeInstanceOf(anthropicError)
    expect(error).toMatchObject({
      status,
      error: { type: 'error', error: { message: `The provider answers with ${status}` } },
    })
    expect(error?.headers?.get('retry-after')).toBe('7')
  })

  it('providerError gives a refusal its message', async () => {
    const upstream = await replaying()
    upstream.next(providerError('openai', 429, 'Slow down'))
    await expect(chat(upstream)).rejects.toThrow('429 Slow down')
    await all(await chat(upstream))
  })

  it('an abort of the client closes the connection, seen from both sides', async () => {
    const upstream = await replaying({ stallAfter: 3 })
    const controller = new AbortController()
    const arrived = upstream.request()
    const stream = await chat(upstream, controller.signal)
    const seen: unknown[] = []
    for await (const chunk of stream) {
      seen.push(chunk)
      if (seen.length === 3) controller.abort()
    }
    expect(await (await arrived).closed).toMatchObject({ by: 'client', atMs: expect.any(Number) })
    expect((await arrived).sent).toBe(3)
  })

  it('endAfter ends silently, resetAfter with an error, seen from the client', async () => {
    const upstream = await replaying()
    upstream.next({ endAfter: 3 })
    upstream.next({ resetAfter: 3, pauseMs: 20 })
    expect(await all(await chat(upstream))).toHaveLength(3)
    const seen: unknown[] = []
    await expect(async () => {
      for await (const chunk of await chat(upstream)) seen.push(chunk)
    }).rejects.toThrow('terminated')
    expect(seen).toHaveLength(3)
    for (const request of upstream.requests) expect(await request.closed).toMatchObject({ by: 'server' })
  })
})

describe('the replay upstream', () => {
  it.each([
    ['anthropic-text.sse', 'text/event-stream; charset=utf-8'],
    ['gemini-text.sse', 'text/event-stream; charset=utf-8'],
    ['ollama-chat.ndjson', 'application/x-ndjson'],
    ['bedrock-converse.eventstream', 'application/vnd.amazon.eventstream'],
  ])('replays %s byte for byte as %s', async (trace, type) => {
    const upstream = await replaying({ trace })
    const response = await fetch(`${upstream.url}/anything`)
    expect(response.headers.get('content-type')).toBe(type)
    expect(Buffer.from(await response.arrayBuffer())).toEqual(readTrace(trace))
    const { sent } = upstream.requests[0] ?? { sent: 0 }
    const text = readTrace(trace).toString()
    expect(sent).toBe(
      type.includes('amazon') ? 1 : text.split(type.includes('ndjson') ? /\n(?!$)/ : /\n\r?\n(?!$)/).length,
    )
  })

  it('takes next() in turn and then always()', async () => {
    const upstream = await replaying({ body: 'data: standard\n\n' })
    upstream.next({ body: 'data: 1\n\n' })
    upstream.next({ body: 'data: 2\n\n' })
    const texts = []
    for (let count = 0; count < 3; count++) texts.push(await (await fetch(upstream.url)).text())
    upstream.always({ body: 'ok', headers: { 'content-type': 'text/plain' } })
    texts.push(await (await fetch(upstream.url)).text())
    expect(texts).toEqual(['data: 1\n\n', 'data: 2\n\n', 'data: standard\n\n', 'ok'])
  })

  it('waits before the headers and between frames as it is told', async () => {
    const indexes: number[] = []
    const upstream = await replaying({
      body: 'data: 0\n\ndata: 1\n\ndata: 2\n\n',
      delayMs: 50,
      pauseMs(index) {
        indexes.push(index)
        return 30
      },
    })
    const arrived = upstream.request()
    await (await fetch(upstream.url)).text()
    expect(indexes).toEqual([1, 2])
    const { atMs } = await (await arrived).closed
    // Timers may be a millisecond early.
    expect(atMs).toBeGreaterThan(105)
  })

  it('never answers with a delay of Infinity', async () => {
    const upstream = await replaying({ delayMs: Infinity })
    const client = openClient(upstream.url)
    const request = await upstream.request()
    client.leave()
    expect(await request.closed).toMatchObject({ by: 'client' })
    expect(request.sent).toBe(0)
  })

  it('stalls with the headers sent and the connection open', async () => {
    const upstream = await replaying({ stallAfter: 0 })
    const client = openClient(`${upstream.url}/v1/messages`, { method: 'POST' })
    expect(await client.status).toBe(200)
    const [request] = upstream.requests
    await upstream.close()
    expect(await request?.closed).toMatchObject({ by: 'server' })
    expect(await client.closed).toMatchObject({ complete: false, by: 'server' })
  })

  it('sends nothing more to a client that reads nothing', async () => {
    const upstream = await replaying({ body: `data: ${'x'.repeat(65_536)}\n\n`.repeat(500) })
    const client = openClient(upstream.url)
    client.pause()
    const request = await upstream.request()
    // Who reads gets it all in the meantime.
    expect(await openClient(upstream.url).closed).toEqual({ complete: true, by: 'server' })
    expect(request.sent).toBeLessThan(250)
    client.reset()
    expect(await request.closed).toMatchObject({ by: 'client' })
  })

  it('says that there is no such path, and no such trace', async () => {
    const upstream = await replaying()
    const response = await fetch(`${upstream.url}/v2/nothing?a=b`)
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ error: { message: 'There is no GET /v2/nothing?a=b here' } })
    expect(() => upstream.next({ trace: '../index.ts' })).toThrow('There is no trace "../index.ts": take one of ai-sdk')
    await expect(replayUpstream({ trace: 'x' })).rejects.toThrow(RangeError)
  })

  it('counts tokens at the end where an OpenAI client asked for it, and only there', async () => {
    const upstream = await replaying()
    const client = new OpenAI({ apiKey: 'test', baseURL: `${upstream.url}/v1` })
    const ask = async (options: object) => {
      const chunks: OpenAI.ChatCompletionChunk[] = []
      const request = { model: 'any', messages: [], stream: true as const, ...options }
      for await (const chunk of await client.chat.completions.create(request)) chunks.push(chunk)
      const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')
      return { text, usage: chunks.flatMap(({ usage }) => usage ?? []) }
    }
    expect(await ask({})).toEqual({ text: ANSWER, usage: [] })
    expect(await ask({ stream_options: { include_usage: true } })).toEqual({
      text: ANSWER,
      usage: [{ prompt_tokens: 19, completion_tokens: 14, total_tokens: 33 }],
    })
  })

  it('has its traces in a table of the guide, each of them', async () => {
    const guide = await readFile(new URL('../../docs/testing.md', import.meta.url), 'utf8')
    const named = [...guide.matchAll(/^\| `([\w-]+\.(?:sse|ndjson|eventstream))` \|/gm)].map(([, name]) => name)
    expect(named.sort()).toEqual(traceNames())
  })

  describe('that records', () => {
    let folder = ''
    const fileIn = async () => {
      folder = await mkdtemp(join(tmpdir(), 'trace-'))
      onTestFinished(() => rm(folder, { recursive: true }))
      return join(folder, 'chat.sse')
    }
    const recorded = async (path: string) => JSON.parse(await readFile(`${path}.json`, 'utf8'))
    const ask = (url: string) =>
      fetch(`${url}/v1/chat/completions?x=1`, {
        method: 'POST',
        headers: { authorization: 'Bearer sk-secret', 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'm', stream: true, messages: ['prompt'] }),
      })

    it('sends one request on with its key, streams through, and writes bytes and times and nothing else', async () => {
      const path = await fileIn()
      let go = () => {}
      const first = new Promise<void>((resolve) => {
        go = resolve
      })
      const provider = await listening(async (req, res) => {
        expect(req.headers.authorization).toBe('Bearer sk-secret')
        expect(await text(req)).toContain('prompt')
        res.writeHead(200, { 'content-type': 'text/event-stream', 'openai-organization': 'org-secret' })
        res.write('data: {"a":1}\n\n')
        await first
        res.end('data: [DO')
      })
      const upstream = await replaying({ body: 'data: other\n\n' })
      upstream.next({ forward: provider, record: path })
      const response = await ask(upstream.url)
      const reader = (response.body as ReadableStream<Uint8Array>).getReader()
      expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('data: {"a":1}\n\n')
      go()
      expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('data: [DO')
      expect((await reader.read()).done).toBe(true)
      expect(await readFile(path, 'utf8')).toBe('data: {"a":1}\n\ndata: [DO')
      const told = await recorded(path)
      expect(told).toEqual({
        status: 200,
        contentType: 'text/event-stream',
        end: 'end',
        chunks: [
          [expect.any(Number), 15],
          [expect.any(Number), 9],
        ],
      })
      for (const file of await readdir(folder))
        expect(await readFile(join(folder, file), 'utf8')).not.toMatch(/secret|prompt/)
      expect(await (await ask(upstream.url)).text()).toBe('data: other\n\n')
    })

    it('plays a trace in its chunks at their times, or in events as fast as it can', async () => {
      const path = await fileIn()
      await writeFile(path, 'data: 1\n\ndata: 2\n\n')
      const told = { status: 200, contentType: 'text/event-stream', end: 'end' }
      await writeFile(
        `${path}.json`,
        JSON.stringify({
          ...told,
          chunks: [
            [30, 4],
            [90, 14],
          ],
        }),
      )
      const upstream = await replaying({ trace: path, pauseMs: 'recorded' })
      const asked = upstream.request()
      const slow = await fetch(upstream.url)
      expect(slow.headers.get('content-type')).toBe('text/event-stream')
      expect(await slow.text()).toBe('data: 1\n\ndata: 2\n\n')
      // Timers may be a millisecond early.
      expect((await (await asked).closed).atMs).toBeGreaterThan(85)
      upstream.always({ trace: path })
      const fast = upstream.request()
      expect(await (await fetch(upstream.url)).text()).toBe('data: 1\n\ndata: 2\n\n')
      expect((await fast).sent).toBe(2)
    })

    it('writes down a refusal and a reset, and plays them so', async () => {
      const path = await fileIn()
      const provider = await replaying({ ...providerError('openai', 429) })
      const upstream = await replaying({ forward: provider.url, record: path })
      const refused = await ask(upstream.url)
      expect(await refused.json()).toMatchObject({ error: { code: 'rate_limit_exceeded' } })
      expect(refused.status).toBe(429)
      expect(await recorded(path)).toMatchObject({ status: 429, contentType: 'application/json' })
      upstream.next({ trace: path })
      expect((await ask(upstream.url)).status).toBe(429)

      provider.always({ body: 'data: 1\n\ndata: 2\n\n', resetAfter: 1, pauseMs: 50 })
      await expect(ask(upstream.url).then((response) => response.text())).rejects.toThrow()
      expect(await recorded(path)).toMatchObject({ end: 'reset' })
      upstream.next({ trace: path, pauseMs: 20 })
      await expect(ask(upstream.url).then((response) => response.text())).rejects.toThrow()
    })

    it('lets go of the provider when its client leaves, and says so in the trace', async () => {
      const path = await fileIn()
      const provider = await replaying({ body: 'data: 1\n\ndata: 2\n\n', stallAfter: 1 })
      const upstream = await replaying({ forward: provider.url, record: path })
      const asked = provider.request()
      const client = openClient(upstream.url)
      await client.until('data: 1')
      client.leave()
      expect((await (await asked).closed).by).toBe('client')
      await vi.waitFor(async () => expect(await recorded(path)).toMatchObject({ end: 'left' }))
      const playing = await replaying({ trace: path })
      const again = openClient(playing.url)
      await again.until('data: 1')
      again.leave()
      expect(await again.closed).toMatchObject({ complete: false })
    })

    it('hands on an upload byte for byte, and what the answer says in its headers', async () => {
      let came: Buffer | undefined
      const provider = await listening(async (req, res) => {
        came = await buffer(req)
        const packed = gzipSync('{"error":{}}')
        const type = { 'content-type': 'application/json', 'content-encoding': 'gzip' }
        res.writeHead(429, { ...type, 'content-length': packed.length, 'retry-after': '7', 'x-request-id': 'r1' })
        res.end(packed)
      })
      const upstream = await replaying({ forward: provider })
      const upload = new Uint8Array([0, 255, 254, 128, 10, 13])
      const refused = await fetch(`${upstream.url}/v1/files`, { method: 'POST', body: upload })
      expect([...(came ?? [])]).toEqual([...upload])
      expect(refused.status).toBe(429)
      expect(refused.headers.get('retry-after')).toBe('7')
      expect(refused.headers.get('x-request-id')).toBe('r1')
      expect(await refused.json()).toEqual({ error: {} })
    })

    it('makes the folders of a trace; where it cannot be written says so and resets the answer', async () => {
      const path = join(await fileIn(), 'traces', 'weather.sse')
      const provider = await replaying({ body: 'data: 1\n\n' })
      const upstream = await replaying({ forward: provider.url, record: path })
      await (await ask(upstream.url)).text()
      expect(await readFile(path, 'utf8')).toBe('data: 1\n\n')

      const printed = vi.spyOn(console, 'error').mockImplementation(() => {})
      upstream.next({ forward: provider.url, record: join(path, 'below-a-file.sse') })
      await expect(ask(upstream.url).then((response) => response.text())).rejects.toThrow()
      expect(printed).toHaveBeenCalledWith(expect.objectContaining({ message: expect.stringContaining('weather.sse') }))
      printed.mockRestore()
    })

    it('answers 502 where nobody is, and refuses what cannot be', async () => {
      const upstream = await replaying({ forward: 'http://127.0.0.1:1' })
      expect((await ask(upstream.url)).status).toBe(502)
      expect(() => upstream.next({ record: 'x' })).toThrow('give forward as well')
      expect(() => upstream.next({ forward: 'api.openai.com' })).toThrow('give the address of a provider')
      expect(() => upstream.next({ trace: 'openai-chat-text.sse', pauseMs: 'recorded' })).toThrow('that was recorded')
    })
  })

  it.each(['/v1/chat/completions', '/v1/responses', '/v1/messages'])('says any text as %s does', async (path) => {
    const words = 'A long answer: naïve 日本🚀\n\n  twice.'.repeat(50)
    const upstream = await replaying({ text: words })
    const answer = await relay(new Request('http://localhost'), () => fetch(upstream.url + path, { method: 'POST' }), {
      onEnd: ({ outcome, text, usage, finishReason }) =>
        expect({ outcome, text, finishReason, usage }).toMatchObject({
          outcome: 'done',
          text: words,
          finishReason: 'stop',
          usage: { inputTokens: 10 },
        }),
    })
    expect(await collect(answer)).toMatchObject({ outcome: 'done', text: words })
  })

  it('survives clients that leave at any moment', async () => {
    const upstream = await replaying({ pauseMs: 1 })
    const url = `${upstream.url}/v1/responses`
    await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const client = openClient(url, { body: '{"a":1}' })
        if (index % 3 === 1) await client.status
        if (index % 3 === 2) await client.until('response.output_text.delta')
        if (index % 2) client.leave()
        else client.reset()
        await client.closed
      }),
    )
    // The head of a request whose body never comes.
    const half = openClient(url, { headers: { 'content-length': '100' } })
    half.halfClose()
    await half.closed
    const client = openClient(url, { body: '{}' })
    expect(await client.closed).toEqual({ complete: true, by: 'server' })
    for (const request of upstream.requests) await request.closed
  })

  it('is closed by await using, with what is open', async () => {
    const upstream = await replayUpstream({ stallAfter: 1 })
    const client = openClient(`${upstream.url}/v1/messages`, { body: '{}' })
    await client.until('message_start')
    await upstream[Symbol.asyncDispose]()
    expect(await client.closed).toMatchObject({ complete: false, by: 'server' })
    await expect(fetch(upstream.url)).rejects.toThrow()
  })
})
