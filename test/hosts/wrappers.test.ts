// Do answers arrive whatever middleware people put around a host? Loggers, metrics and monitoring wrap the response;
// hooks and middleware read the body. Each with a reader that is slow as well: then the wait for room must end.

import { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { Socket } from 'node:net'
import { Readable, Transform } from 'node:stream'
import Fastify from 'fastify'
import { Hono, type MiddlewareHandler } from 'hono'
import { etag } from 'hono/etag'
import { timeout } from 'hono/timeout'
import Koa from 'koa'
import { relay as relayFastify } from 'sse-relay/fastify'
import { relay as relayHono } from 'sse-relay/hono'
import { relay as relayKoa } from 'sse-relay/koa'
import { relay as relayNode } from 'sse-relay/node'
import { collect, flooding, openClient } from 'sse-relay/testing'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Feed, type Trial } from '../../src/testing/conformance/adapter-harness.js'
import { type Host, hosts, on, writes } from './hosts.js'

const frame = (token: string) => `data: ${JSON.stringify({ text: token })}\n\n`
const SENTINEL = 'data: [DONE]\n\n'
/** More than the buffers between hold while nobody reads: 4 MiB of the sender's, and little of the reader's. */
const LARGE = 5 * 1024 * 1024

/** Without types of its own. */
const onHeaders = createRequire(import.meta.url)('on-headers') as (res: ServerResponse, listener: () => void) => void

type Wrap = (res: ServerResponse, req: IncomingMessage) => unknown

/** What is put around a response of Node's, each as it is found in the wild. */
const WRAPPERS: Record<string, Wrap> = {
  // Copied from answer to answer: the body is gathered for a log line, and what `write` said is dropped.
  'a logger whose write returns nothing'(res) {
    const { write, end } = res
    const chunks: unknown[] = []
    res.write = ((...given: Parameters<typeof write>) => {
      chunks.push(given[0])
      write.apply(res, given)
    }) as never
    res.end = ((...given: Parameters<typeof end>) => {
      end.apply(res, given)
    }) as never
  },
  'a logger whose write is async'(res) {
    const { write } = res
    res.write = (async (...given: Parameters<typeof write>) => write.apply(res, given)) as never
  },
  'one that counts bytes and returns their number'(res) {
    const { write } = res
    let bytes = 0
    res.write = ((...given: Parameters<typeof write>) => {
      bytes += Buffer.byteLength(given[0] as string)
      write.apply(res, given)
      return bytes
    }) as never
  },
  'monitoring that wraps write, end and writeHead, and passes on what they say'(res) {
    for (const name of ['write', 'end', 'writeHead'] as const) {
      const own = res[name] as (...given: unknown[]) => unknown
      res[name] = function (this: ServerResponse, ...given: unknown[]) {
        return own.apply(this, given)
      } as never
    }
  },
  'monitoring that wraps the prototype of this response'(res) {
    const own = Object.getPrototypeOf(res)
    const wrapped = Object.create(own)
    wrapped.write = function (...given: unknown[]) {
      return own.write.apply(this, given)
    }
    Object.setPrototypeOf(res, wrapped)
  },
  'on-headers, which sets a header last'(res) {
    onHeaders(res, () => res.setHeader('x-late', '1'))
  },
  'one that listens for drain, finish and close'(res) {
    for (const name of ['drain', 'finish', 'close', 'pipe']) res.on(name, () => {})
  },
  'two of them, one around the other'(res, req) {
    WRAPPERS['a logger whose write returns nothing']?.(res, req)
    WRAPPERS['monitoring that wraps write, end and writeHead, and passes on what they say']?.(res, req)
  },
}

/** A token, silence, a token, the end: nothing may wait for a wake that does not come. */
async function arrives(trial: Trial): Promise<void> {
  const feed = new Feed('one')
  const served = await trial.serve(feed.source, { heartbeatMs: 0 })
  const client = trial.open(served)
  await trial.until(client, frame('one'))
  for (const token of ['two', 'three', 'four', 'five']) {
    feed.push(token)
    await trial.until(client, frame(token))
  }
  feed.end()
  const { complete } = await trial.answerTo(client)
  trial.equal('the answer is complete', complete, true)
  trial.match('the summary', await trial.ended(served), { outcome: 'done', events: 5 })
}

async function arrivesSlowly(trial: Trial): Promise<void> {
  const source = flooding({ chunkSize: 65_536, total: LARGE })
  const served = await trial.serve(() => source)
  const client = trial.open(served)
  client.pause()
  await trial.called(served)
  await new Promise((resolve) => setTimeout(resolve, 30))
  client.resume()
  const { body, complete } = await trial.answerTo(client)
  trial.equal('the answer is complete', complete, true)
  trial.equal('the length of the answer', (await collect(body)).text.length, LARGE)
}

for (const [what, wrap] of Object.entries(WRAPPERS)) {
  // Setting a prototype of HTTP/2's compatibility API takes its getters away.
  const around = hosts.filter((host) => writes(host) && (host.httpVersion === '1.1' || !what.includes('prototype')))
  const inFront = { before: (req: IncomingMessage, res: ServerResponse) => void wrap(res, req) }
  on(around, `tokens arrive through ${what}`, arrives, inFront)
  on(around.filter(isPlain), `a slow reader gets everything through ${what}`, arrivesSlowly, inFront)
}

/** One of each kind is enough for what takes time. */
function isPlain({ name }: Host): boolean {
  return /^(node http|express 5|fastify|koa 3)$/.test(name)
}

on(
  hosts.filter(({ name }) => /^(node http|express 5)$/.test(name)),
  'a wrapper that throws at the end drops the connection, and does not keep it',
  async (trial) => {
    vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => void vi.restoreAllMocks())
    const served = await trial.serve(() => ['Hello'], { heartbeatMs: 0 })
    const client = trial.open(served)
    await trial.within(client.closed, 'the connection is closed')
    await trial.ended(served)
  },
  {
    before(_, res) {
      res.end = (() => {
        throw new TypeError('The "list[0]" argument must be an instance of Buffer')
      }) as never
    },
  },
)

/** What reads the body that a host was handed, and hands the host another. */
const READERS: Record<string, (body: Readable) => unknown> = {
  async *'for await'(body) {
    for await (const chunk of body) yield chunk
  },
  'a pipe': (body) => body.pipe(new Transform({ transform: (chunk, _, done) => done(null, chunk) })),
  readable(body) {
    const out = new Readable({ read() {} })
    body.on('readable', () => {
      for (let chunk = body.read(); chunk !== null; chunk = body.read()) out.push(chunk)
    })
    body.on('end', () => out.push(null))
    return out
  },
  map: (body) => body.map((chunk: unknown) => chunk),
  compose: (body) =>
    body.compose(async function* (source: AsyncIterable<unknown>) {
      for await (const chunk of source) yield chunk
    } as never),
  data(body) {
    const out = new Readable({ read: () => void body.resume() })
    body.on('data', (chunk) => out.push(chunk) || body.pause())
    body.on('end', () => out.push(null))
    return out
  },
  'Readable.toWeb': (body) => Readable.fromWeb(Readable.toWeb(body) as never),
}

const asStream = (body: unknown) => (body instanceof Readable ? body : Readable.from(body as AsyncIterable<unknown>))

/** A server whose hook or middleware reads the body so. */
const SERVERS: Record<string, (read: (body: Readable) => unknown, source: () => never) => Promise<string>> = {
  async 'an onSend hook of Fastify'(read, source) {
    const app = Fastify()
    onTestFinished(() => app.close())
    app.addHook('onSend', async (_, __, payload) => asStream(read(payload as Readable)))
    app.get('/', (request, reply) => relayFastify(request, reply, source, { heartbeatMs: 0, stallTimeoutMs: 5000 }))
    return app.listen({ port: 0, host: '127.0.0.1' })
  },
  async 'a middleware of Koa'(read, source) {
    const app = new Koa()
    app.use(async (ctx, next) => {
      await next()
      ctx.body = asStream(read(ctx.body as Readable))
    })
    app.use((ctx) => relayKoa(ctx, source, { heartbeatMs: 0, stallTimeoutMs: 5000 }))
    const server = app.listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await new Promise((resolve) => server.on('listening', resolve))
    return `http://127.0.0.1:${(server.address() as { port: number }).port}`
  },
}

describe.each(Object.entries(SERVERS))('%s that reads the body', (_, serve) => {
  it.each(Object.entries(READERS))('by %s passes on every token as it comes', async (_, read) => {
    const feed = new Feed('one')
    const client = openClient(await serve(read, feed.source as never))
    await client.until(frame('one'))
    for (const token of ['two', 'three', 'four', 'five']) {
      feed.push(token)
      await client.until(frame(token))
    }
    feed.end()
    expect(await client.closed).toMatchObject({ complete: true })
    expect(client.received).toContain(SENTINEL)
  })

  it.each(Object.entries(READERS))('by %s passes on an answer larger than all buffers', async (_, read) => {
    const client = openClient(await serve(read, (() => flooding({ chunkSize: 65_536, total: LARGE })) as never))
    expect(await client.closed).toMatchObject({ complete: true })
    expect((await collect(client.received)).text.length).toBe(LARGE)
  })

  it('and leaves it half read lets go of the source', async () => {
    const feed = new Feed('one')
    const read = async function* (body: Readable) {
      for await (const chunk of body) {
        yield chunk
        return
      }
    }
    const client = openClient(await serve(read, feed.source as never))
    await client.closed
    await feed.aborted
  })
})

/** As `light-my-request` has it, for tests without a socket: what is ended has been sent. */
class Injected extends ServerResponse {
  body = ''

  override write(text: string) {
    this.body += text
    return true
  }

  override end(text?: unknown) {
    this.body += text ?? ''
    super.end()
    this.emit('finish')
    this.destroyed = true
    process.nextTick(() => this.emit('close'))
    return this
  }
}

it.each([
  ['at once', () => Promise.reject({ status: 429 }), 'error'],
  ['at once, without a promise', () => raise({ status: 429 }), 'error'],
  ['whole', () => ['Hello'], 'done'],
])(
  'a response that has sent its end before end() returns, of an answer that comes %s, was not left',
  async (_, source, outcome) => {
    const req = new IncomingMessage(new Socket())
    const res = new Injected(req)
    const onClose = vi.fn()
    await relayNode(req, res, source as never, { onClose, onError() {} })
    await vi.waitFor(() => expect(onClose).toHaveBeenCalledOnce())
    expect(onClose.mock.lastCall?.[0]).toMatchObject({ outcome, status: outcome === 'done' ? 200 : 429 })
    expect(res.body).toContain(outcome === 'done' ? SENTINEL : 'rate-limit')
  },
)

function raise(error: unknown): never {
  throw error
}

describe('middleware of Hono', () => {
  const through = (stream: ReadableStream) => stream.pipeThrough(new TransformStream())
  const MIDDLEWARE: Record<string, MiddlewareHandler> = {
    'that puts a stream around the body': async (c, next) => {
      await next()
      c.res = new Response(through(c.res.body as ReadableStream), c.res)
    },
    'that sets a header last': async (c, next) => {
      await next()
      c.header('x-late', '1')
    },
    'with a timeout that is not reached': timeout(60_000),
  }

  it.each(Object.entries(MIDDLEWARE))('%s passes on every token', async (_, middleware) => {
    const app = new Hono()
    app.use(middleware)
    app.get('/', (c) => relayHono(c, () => ['one', 'two'], { heartbeatMs: 0 }))
    expect(await (await app.request('/')).text()).toBe(frame('one') + frame('two') + SENTINEL)
  })

  it('etag, which reads the whole answer first, gets it: docs/hosts.md says how to keep it away', async () => {
    const app = new Hono()
    app.use(etag())
    app.get('/', (c) => relayHono(c, () => ['one', 'two']))
    expect(await (await app.request('/')).text()).toBe(frame('one') + frame('two') + SENTINEL)
  })

  const another: MiddlewareHandler = async (c, next) => {
    await Promise.race([next(), new Promise((resolve) => setTimeout(resolve, 5))])
    c.res = c.text('late', 504)
  }

  it.each([
    ['by another answer', another],
    ['by its timeout', timeout(5)],
  ] as [string, MiddlewareHandler][])(
    'that answers while the model thinks, %s, ends the run at its first token',
    async (_, middleware) => {
      const feed = new Feed<string>()
      const onEnd = vi.fn()
      const app = new Hono()
      app.use(middleware)
      app.get('/', (c) => relayHono(c, feed.source, { heartbeatMs: 0, onEnd }))
      const response = await app.request('/')
      expect(response.status).toBe(504)
      for (let count = 0; count < 20; count++) feed.push('token')
      feed.end()
      await feed.aborted
      expect(onEnd.mock.calls).toMatchObject([[{ outcome: 'disconnected' }]])
      expect(onEnd.mock.lastCall?.[0].events).toBeLessThan(2)
    },
  )
})
