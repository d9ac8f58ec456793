// Are the bytes on a connection those that Node would have written, and is Node's own way taken wherever they might not be?
import { once } from 'node:events'
import { createServer, OutgoingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, connect, type Server, Socket } from 'node:net'
import { PassThrough, type Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import compression from 'compression'
import fc from 'fast-check'
import fastify from 'fastify'
import Koa from 'koa'
import type { RelayOptions, Source } from 'sse-relay'
import { relay as relayFastify } from 'sse-relay/fastify'
import { relay as relayKoa } from 'sse-relay/koa'
import { relay } from 'sse-relay/node'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { unit } from '../arbitrary.js'
import { certificate } from './certificate.js'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  vi.restoreAllMocks()
})

const turn = () => new Promise(setImmediate)

async function listen(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closing.push(() => new Promise((resolve) => server.close(resolve)))
  return (server.address() as AddressInfo).port
}

const GET = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'

/** All that a connection brings until it is closed, but for the date. */
async function bytesOf(port: number, request = GET, dial: (port: number) => Socket = dialPlain): Promise<string> {
  const socket = dial(port)
  socket.write(request)
  return (await buffer(socket)).toString('latin1').replaceAll(/^date: .*$/gim, 'date')
}
const dialPlain = (port: number) => connect(port, '127.0.0.1')
const dialTls = (port: number) => connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })

/** The same answer both ways. */
async function bothWays(
  make: () => Source,
  {
    request,
    before,
    dial,
    create = createServer,
    options,
  }: {
    request?: string
    before?: (res: ServerResponse) => void
    dial?: (port: number) => Socket
    create?: (listener: RequestListener) => Server
    options?: RelayOptions
  } = {},
): Promise<{ direct: string; through: string; written: number }> {
  let written = 0
  const serve = (directWrites: boolean) =>
    listen(
      create((req, res) => {
        before?.(res)
        const { socket } = res
        if (directWrites && socket) {
          const { write } = socket
          socket.write = function (this: Socket, ...args: never[]) {
            if (/^[0-9a-f]+\r\n[\s\S]*\r\n$/.test(String(args[0])) && args.length === 2) written++
            return Reflect.apply(write, this, args)
          } as never
        }
        relay(req, res, make(), { onError() {}, ...options, directWrites })
      }),
    )
  const direct = await bytesOf(await serve(true), request, dial)
  const through = await bytesOf(await serve(false), request, dial)
  return { direct, through, written }
}

/** Yields the pieces, and lets the event loop turn after each of the empty ones. */
const inTicks = (pieces: readonly string[]) =>
  async function* () {
    for (const piece of pieces) {
      if (piece === '') await turn()
      else yield piece
    }
  }

const PIECES = ['Hello', '', ' there', '!', '', '日本 🚀', '', 'é'.repeat(300), '', 'x'.repeat(20_000), '', 'end']

function corked(res: ServerResponse): void {
  res.cork()
  setImmediate(() => res.uncork())
}

describe('the bytes of a connection', () => {
  it.each<[string, Parameters<typeof bothWays>[1]]>([
    ['that is closed after the answer', {}],
    ['that is kept alive, with two answers', { request: GET.replace('connection: close\r\n', '') + GET }],
    [
      'with requests that do not wait for each other',
      { request: GET.replace('connection: close\r\n', '').repeat(3) + GET },
    ],
    ['with trailers', { before: (res) => void res.setHeader('trailer', 'x-end') }],
    ['with cookies', { before: (res) => void res.setHeader('set-cookie', ['a=1', 'b=2']) }],
    ['that were corked', { before: corked }],
    [
      'over TLS',
      { dial: dialTls, create: (listener) => createHttpsServer({ key: certificate, cert: certificate }, listener) },
    ],
  ])('%s are those that Node writes', async (name, how) => {
    if (name === 'over TLS' && !certificate) return expect(process.env.CI).toBe(undefined)
    const { direct, through, written } = await bothWays(inTicks(PIECES), how)
    expect(direct).toBe(through)
    expect(direct).toContain('data: [DONE]\n\n\r\n0\r\n')
    expect(written).toBeGreaterThan(0)
  })

  it.each<[string, Parameters<typeof bothWays>[1]]>([
    ['of HTTP/1.0', { request: GET.replace('1.1', '1.0') }],
    ['of HEAD', { request: GET.replace('GET', 'HEAD') }],
    [
      'behind compression',
      {
        create: (listener) =>
          createServer((req, res) => compression()(req as never, res as never, () => listener(req, res))),
      },
    ],
  ])('%s are left to Node', async (_, how) => {
    const { direct, through, written } = await bothWays(inTicks(PIECES), how)
    expect(direct).toBe(through)
    expect(written).toBe(0)
  })

  it('are those that Node writes for any text in any ticks', async () => {
    let pieces: string[] = []
    const ports = await Promise.all(
      [true, false].map((directWrites) =>
        listen(createServer((req, res) => void relay(req, res, inTicks(pieces)(), { directWrites }))),
      ),
    )
    const piece = fc.oneof(
      fc.constant(''),
      fc.string({ unit, maxLength: 40 }),
      fc.string({ unit: 'grapheme-ascii', maxLength: 400 }),
      fc.constantFrom('\ud83d', '\ude80', '\r\n', '\0', 'ÿ'.repeat(127), '0\r\n\r\n'),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (generated) => {
        pieces = generated
        const [direct, through] = await Promise.all(ports.map((port) => bytesOf(port)))
        expect(direct).toBe(through)
      }),
      { numRuns: 150 },
    )
  })
})

describe('a response whose methods somebody replaces', () => {
  /** How often `write` of the response is called, from a moment on. */
  async function chunksSeen(replace: (res: ServerResponse, seen: () => void) => void, after: number): Promise<number> {
    let seen = 0
    const port = await listen(
      createServer((req, res) => {
        relay(req, res, async function* () {
          for (let index = 0; index < 10; index++) {
            if (index === after) replace(res, () => void seen++)
            yield `token ${index}`
            await turn()
          }
        })
      }),
    )
    const bytes = await bytesOf(port)
    expect(bytes.match(/token \d/g)).toHaveLength(10)
    return seen
  }
  const wrap = (owner: object, name: 'write' | 'end' | '_send' | '_writeRaw', seen: () => void) => {
    const methods = owner as Record<string, (...args: unknown[]) => unknown>
    const original = methods[name] as (...args: unknown[]) => unknown
    methods[name] = function (this: unknown, ...args) {
      if (name === 'write') seen()
      return Reflect.apply(original, this, args)
    }
    return () => {
      methods[name] = original
    }
  }

  it.each([0, 5])('is written through it, before the token %i and after', async (after) => {
    expect(await chunksSeen((res, seen) => void wrap(res, 'write', seen), after)).toBeGreaterThanOrEqual(10 - after)
  })

  it('is written through it also where all responses are changed in place', async () => {
    let restore = () => {}
    const seen = await chunksSeen((_, seen) => {
      restore = wrap(OutgoingMessage.prototype, 'write', seen)
    }, 5)
    restore()
    expect(seen).toBeGreaterThanOrEqual(5)
  })

  it.each(['end', '_send', '_writeRaw'] as const)('is written through it, if it is only %s', async (name) => {
    const writes = vi.spyOn(OutgoingMessage.prototype, 'write')
    const port = await listen(
      createServer((req, res) => {
        wrap(res, name, () => {})
        relay(req, res, inTicks(PIECES)())
      }),
    )
    await bytesOf(port)
    expect(writes.mock.calls.length).toBeGreaterThan(3)
  })
})

describe('a reader that takes nothing', () => {
  it('holds the source back, and is read on when it takes more; its response tells both, as Node has it', async () => {
    let made = 0
    let response!: ServerResponse
    let drains = 0
    const port = await listen(
      createServer((req, res) => {
        response = res.on('drain', () => void drains++)
        relay(req, res, async function* () {
          for (; made < 2000; made++) {
            yield 'x'.repeat(8000)
            await turn()
          }
        })
      }),
    )
    const socket = connect(port, '127.0.0.1')
    socket.write(GET)
    await once(socket, 'readable')
    // What the kernel and the response hold; then it stands still.
    let before = -1
    await vi.waitFor(
      () => {
        const now = made
        const stands = now === before
        before = now
        if (!stands) throw new Error('it goes on')
      },
      { timeout: 20_000, interval: 200 },
    )
    expect(made).toBeLessThan(2000)
    expect(response.writableNeedDrain).toBe(true)
    drains = 0
    const bytes = await buffer(socket)
    expect(made).toBe(2000)
    expect(drains).toBeGreaterThan(0)
    expect(bytes.subarray(-26).toString()).toContain('[DONE]')
  })

  it('leaves no listener on a connection that is kept alive', async () => {
    const counts: number[] = []
    const port = await listen(
      createServer((req, res) => {
        counts.push(req.socket.listenerCount('drain'))
        relay(req, res, inTicks(['x'.repeat(200_000), '', 'y'.repeat(200_000), '']))
      }),
    )
    const socket = connect(port, '127.0.0.1')
    const answers = buffer(socket)
    for (let count = 0; count < 4; count++) socket.write(count < 3 ? GET.replace('connection: close\r\n', '') : GET)
    expect((await answers).toString('latin1').match(/\[DONE\]/g)).toHaveLength(4)
    expect(new Set(counts).size).toBe(1)
  })
})

/** What a host does with the body before it is sent. */
type Meddle = (body: Readable) => Readable

const asItIs: Meddle = (body) => body

const hosts: Record<string, (source: () => Source, options: RelayOptions, meddle: Meddle) => Promise<Server>> = {
  async Fastify(source, options, meddle) {
    const app = fastify()
    app.addHook('onSend', async (_request, _reply, body) => meddle(body as Readable))
    app.get('/', (request, reply) => relayFastify(request, reply as never, source(), options))
    await app.ready()
    return app.server
  },
  async Koa(source, options, meddle) {
    const app = new Koa()
    app.use(async (ctx, next) => {
      await next()
      ctx.body = meddle(ctx.body as Readable)
    })
    app.use((ctx) => relayKoa(ctx as never, source(), options))
    return createServer(app.callback())
  },
}

describe.each(Object.keys(hosts))('%s, which pipes a body', (name) => {
  /** The bytes of an answer, and how often its response was written to. */
  async function answerOf(directWrites: boolean, meddle = asItIs, request = GET) {
    const make = hosts[name] as (typeof hosts)[string]
    const server = await make(() => inTicks(PIECES)(), { directWrites }, meddle)
    const port = await listen(server)
    const writes = vi.spyOn(Socket.prototype, 'write')
    const bytes = await bytesOf(port, request)
    const direct = writes.mock.calls.filter((args) => args.length === 2 && /^[0-9a-f]+\r\n/.test(String(args[0])))
    writes.mockRestore()
    return { bytes: bytes.replaceAll(/^keep-alive: .*$/gim, ''), direct: direct.length }
  }

  it.each([
    ['closed after the answer', GET],
    ['kept alive', GET.replace('connection: close\r\n', '') + GET],
  ])('writes the bytes that Node writes to a connection that is %s', async (_, request) => {
    const direct = await answerOf(true, asItIs, request)
    const through = await answerOf(false, asItIs, request)
    expect(direct.bytes).toBe(through.bytes)
    expect(direct.bytes).toContain('data: [DONE]\n\n\r\n0\r\n')
    expect(direct.direct).toBeGreaterThan(2)
    expect(through.direct).toBe(0)
  })

  it('leaves it to the body where that goes through another stream', async () => {
    const { bytes, direct } = await answerOf(true, (body) => body.pipe(new PassThrough()))
    expect(bytes).toContain('data: [DONE]')
    expect(direct).toBe(0)
  })

  it('leaves it to the body where somebody else listens to it', async () => {
    const seen: Buffer[] = []
    const { bytes, direct } = await answerOf(true, (body) => body.on('data', (piece) => seen.push(piece)))
    const text = Buffer.concat(seen).toString()
    expect(text.match(/^data: /gm)).toHaveLength(bytes.match(/^data: /gm)?.length ?? 0)
    expect(text).toContain('data: [DONE]')
    expect(direct).toBe(0)
  })
})
