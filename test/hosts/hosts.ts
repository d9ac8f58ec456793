import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { createRequire } from 'node:module'
import type { AddressInfo, Server, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import fastifyCompress from '@fastify/compress'
import fastifyCors from '@fastify/cors'
import fastifyHelmet from '@fastify/helmet'
import { serve } from '@hono/node-server'
import koaCors from '@koa/cors'
import compression from 'compression'
import cors from 'cors'
import express from 'express'
import Fastify, { type FastifyPluginAsync, type FastifyServerOptions } from 'fastify'
import helmet from 'helmet'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { compress } from 'hono/compress'
import { cors as honoCors } from 'hono/cors'
import { secureHeaders } from 'hono/secure-headers'
import Koa from 'koa'
import koaCompress from 'koa-compress'
import koaHelmet from 'koa-helmet'
import type { RelayOptions, Source, SourceContext } from 'sse-relay'
import { relay as relayExpress } from 'sse-relay/express'
import { relay as relayFastify } from 'sse-relay/fastify'
import { relay as relayHono } from 'sse-relay/hono'
import { relay as relayKoa } from 'sse-relay/koa'
import { relay as relayNode } from 'sse-relay/node'
import type { AdapterServing } from 'sse-relay/testing'
import { relay as relayWeb } from 'sse-relay/web'
import { certificate } from './certificate.js'

/** When the request's body is read: before `relay`, never, or beginning in the source function. */
export type BodyReading = 'parsed' | 'unread' | 'in-factory'

/** What a host serves, at every path and for every method. */
export interface Serving {
  source: Source
  options?: RelayOptions
  /** @default 'unread' */
  body?: BodyReading
  /** Headers the host sets itself before `relay`; the one without a response at that time adds them to what it gets. */
  headers?: [name: string, value: string][]
  /** Puts middleware in front, the one that is usual there, in this order. */
  middleware?: readonly Middleware[]
  /** Runs right before `relay` is called. */
  before?(request: BeforeRelay): unknown
  /** Takes over the calls of `relay`. */
  answer?: AdapterServing['answer']
}

/** What users put in front of a handler. */
export type Middleware = 'compression' | 'cors' | 'security'

export interface BeforeRelay {
  /** Of the hosts that write to a response. */
  req: IncomingMessage
  res: ServerResponse
  /** Resolves when the client has left. */
  left: Promise<void>
}

/** One request that came to a host. */
export interface Call {
  /** What `relay` returned; `threw` if it threw instead. */
  settled: Promise<PromiseSettledResult<unknown> | { status: 'threw'; reason: unknown }>
  /** Resolves when the request's body was read to its end. */
  bodyEnd: Promise<void>
}

export interface Running {
  readonly url: string
  readonly calls: readonly Call[]
  /** The first request to come, or the one with this index. */
  call(index?: number): Promise<Call>
  /** What reached the host's own error handling, which answers {@link HANDLED}. */
  readonly errors: unknown[]
  /** How many connections are open. */
  readonly connections: number
  /** Drops every connection. */
  close(): Promise<void>
}

export interface Host {
  readonly name: string
  readonly httpVersion: '1.1' | '2'
  /** Whether its address is `https:`, with a certificate nobody has signed. */
  readonly tls?: boolean
  /** Whether this machine lacks something it needs. */
  readonly missing?: boolean
  /** What its `relay` resolves to; a response is sent by a host that hides Node's own. */
  readonly returns: 'summary' | 'response' | 'nothing'
  /** The middleware it can have in front, by the names of the packages. */
  readonly middleware: Readonly<Partial<Record<Middleware, string>>>
  listen(calls: Calls): Listener
}

type Listener = Server | ((listening: (server: Server) => void) => void)

/** How the hosts' own error handling answers. */
export const HANDLED = { status: 418, body: 'handled by the host' }

/** What the fetch hosts do not have. */
const NODES_OWN = { req: undefined as never, res: undefined as never }

const MAX_BODY = 16 * 1024 * 1024

/** Without types of its own: as much of it as is used is the same in both versions. */
const require = createRequire(import.meta.url)
const express4 = require('express4') as typeof express
const koa2 = require('koa2') as typeof Koa

const CONNECT = { compression, cors, security: helmet }
const CONNECT_NAMES = { compression: 'compression', cors: 'cors', security: 'helmet' }
const FASTIFY = { compression: fastifyCompress, cors: fastifyCors, security: fastifyHelmet }
const FASTIFY_NAMES = { compression: '@fastify/compress', cors: '@fastify/cors', security: '@fastify/helmet' }
const KOA = { compression: koaCompress, cors: koaCors, security: koaHelmet }
const KOA_NAMES = { compression: 'koa-compress', cors: '@koa/cors', security: 'koa-helmet' }
const HONO = { compression: compress, cors: honoCors, security: secureHeaders }
const HONO_NAMES = { compression: 'hono/compress', cors: 'hono/cors', security: 'hono/secure-headers' }

export const hosts: readonly Host[] = [
  nodeHost('node http', '1.1'),
  nodeHost('node http2', '2'),
  { ...nodeHost('node http2 tls', '2', certificate ?? ''), missing: !certificate },
  expressHost('express 5', express),
  expressHost('express 4', express4),
  fastifyHost('fastify', '1.1'),
  fastifyHost('fastify http2', '2'),
  koaHost('koa 3', Koa),
  koaHost('koa 2', koa2),
  honoHost('hono', '1.1'),
  honoHost('hono http2', '2'),
  webHost('web', '1.1'),
  webHost('web http2', '2'),
]

/** Starts a host on 127.0.0.1 and a free port. */
export async function start(host: Host, serving: Serving): Promise<Running> {
  const calls = new Calls(serving)
  const listener = host.listen(calls)
  const server = await new Promise<Server>((resolve) => {
    if (typeof listener === 'function') listener(resolve)
    else listener.listen(0, '127.0.0.1', () => resolve(listener))
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  return {
    url: `${host.tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    calls: calls.list,
    call: (index = 0) => calls.at(index),
    errors: calls.errors,
    get connections() {
      return sockets.size
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

/** The calls of `relay` in one server, and what the handlers of all hosts have in common. */
class Calls {
  readonly serving: Serving
  readonly list: Call[] = []
  readonly errors: unknown[] = []
  readonly #waiting: (() => void)[] = []

  constructor(serving: Serving) {
    this.serving = serving
  }

  async at(index: number): Promise<Call> {
    while (!this.list[index]) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.list[index]
  }

  /** Calls `relay` as a handler does, and takes down what comes of it. */
  relay<T>(
    incoming: IncomingMessage | Http2ServerRequest,
    read: () => Promise<unknown>,
    relay: (source: Source, options: RelayOptions | undefined) => Promise<T>,
  ): Promise<T> {
    const { answer } = this.serving
    if (answer) return answer(relay, async () => String(await read()))
    const bodyEnd = new Promise<void>((resolve) => {
      if (incoming.readableEnded) resolve()
      else incoming.on('end', () => resolve())
    })
    const call = (settled: Call['settled']) => {
      this.list.push({ settled, bodyEnd })
      for (const wake of this.#waiting.splice(0)) wake()
    }
    try {
      const promise = relay(this.#source(read), this.serving.options)
      call(Promise.allSettled([promise]).then(([result]) => result))
      return promise
    } catch (reason) {
      call(Promise.resolve({ status: 'threw', reason }))
      throw reason
    }
  }

  /** What the host's own error handling does with an error. */
  handle(error: unknown): typeof HANDLED {
    this.errors.push(error)
    return HANDLED
  }

  #source(read: () => Promise<unknown>): Source {
    const { source, body } = this.serving
    if (body !== 'in-factory' || typeof source !== 'function') return source
    return (context: SourceContext) => {
      const reading = read()
      return reading.then(() => source(context))
    }
  }
}

function nodeHost(name: string, httpVersion: Host['httpVersion'], certificate?: string): Host {
  // The two servers have the same names for everything that is used here.
  type Request = IncomingMessage
  type Response = ServerResponse
  return {
    name,
    httpVersion,
    tls: certificate !== undefined,
    returns: 'summary',
    middleware: CONNECT_NAMES,
    listen(calls) {
      const { headers = [], body, middleware = [], before } = calls.serving
      const inFront = middleware.map((name) => CONNECT[name]() as express.RequestHandler)
      const handle = async (req: Request, res: Response) => {
        for (const [header, value] of headers) res.appendHeader(header, value)
        try {
          if (body === 'parsed') await text(req)
          if (before) await before({ req, res, left: leftOf(res) })
          const read = () => text(req)
          await calls.relay(req, read, (source, options) => relayNode(req, res, source, options))
        } catch (error) {
          const { status, body } = calls.handle(error)
          res.writeHead(status).end(body)
        }
      }
      const listener = (req: Request, res: Response) => {
        const next = (index: number): unknown => {
          const each = inFront[index]
          if (!each) return handle(req, res)
          return each(req as express.Request, res as express.Response, () => next(index + 1))
        }
        next(0)
      }
      if (httpVersion === '1.1') return createServer(listener)
      const http2 = listener as never as (req: Http2ServerRequest, res: Http2ServerResponse) => void
      return certificate ? createSecureServer({ key: certificate, cert: certificate }, http2) : createHttp2Server(http2)
    },
  }
}

function expressHost(name: string, module: typeof express): Host {
  return {
    name,
    httpVersion: '1.1',
    returns: 'summary',
    middleware: CONNECT_NAMES,
    listen(calls) {
      const { headers = [], body, middleware = [], before } = calls.serving
      const app = module()
      for (const name of middleware) app.use(CONNECT[name]() as express.RequestHandler)
      if (body === 'parsed') app.use(module.json({ limit: MAX_BODY }))
      app.use((_, res, next) => {
        for (const [header, value] of headers) res.append(header, value)
        next()
      })
      if (before)
        app.use((req, res, next) => {
          Promise.resolve(before({ req, res, left: leftOf(res) })).then(() => next(), next)
        })
      app.all('/', (req, res) =>
        calls.relay(
          req,
          () => text(req),
          (source, options) => relayExpress(req, res, source, options),
        ),
      )
      app.use(((error, _req, res, _next) => {
        const { status, body } = calls.handle(error)
        res.status(status).send(body)
      }) as express.ErrorRequestHandler)
      return createServer(app)
    },
  }
}

function fastifyHost(name: string, httpVersion: Host['httpVersion']): Host {
  // What it has to complain of.
  const logger = { level: 'warn', stream: { write: (line: string) => console.error(line) } }
  return {
    name,
    httpVersion,
    returns: 'summary',
    middleware: FASTIFY_NAMES,
    listen(calls) {
      const { headers = [], body, middleware = [], before } = calls.serving
      const options = { bodyLimit: MAX_BODY, logger, ...(httpVersion === '2' && { http2: true }) }
      const app = Fastify(options as FastifyServerOptions)
      for (const name of middleware) app.register(FASTIFY[name] as FastifyPluginAsync)
      if (body !== 'parsed') {
        app.removeAllContentTypeParsers()
        app.addContentTypeParser('*', (_request, _payload, done) => done(null))
      }
      app.addHook('onRequest', async (_, reply) => {
        for (const [header, value] of headers) reply.header(header, value)
      })
      app.setErrorHandler((error, _, reply) => {
        const { status, body } = calls.handle(error)
        reply.code(status).send(body)
      })
      app.register(async (app) => {
        app.all('/', async (request, reply) => {
          const { raw: req } = request
          if (before) await before({ req, res: reply.raw, left: leftOf(reply.raw) })
          const read = () => text(req)
          return calls.relay(req, read, (source, options) => relayFastify(request, reply, source, options))
        })
      })
      return (listening) => {
        app.listen({ port: 0, host: '127.0.0.1' }, () => listening(app.server))
      }
    },
  }
}

function koaHost(name: string, Application: typeof Koa): Host {
  return {
    name,
    httpVersion: '1.1',
    returns: 'nothing',
    middleware: KOA_NAMES,
    listen(calls) {
      const { headers = [], body, middleware = [], before } = calls.serving
      const app = new Application()
      app.use(async (ctx, next) => {
        for (const [header, value] of headers) ctx.append(header, value)
        try {
          await next()
        } catch (error) {
          const handled = calls.handle(error)
          ctx.status = handled.status
          ctx.body = handled.body
        }
      })
      for (const name of middleware) app.use(KOA[name]() as Koa.Middleware)
      app.use(async (ctx) => {
        if (body === 'parsed') await text(ctx.req)
        if (before) await before({ req: ctx.req, res: ctx.res, left: leftOf(ctx.res) })
        const read = () => text(ctx.req)
        await calls.relay(ctx.req, read, (source, options) => relayKoa(ctx, source, options))
      })
      return createServer(app.callback())
    },
  }
}

/** What `@hono/node-server` hands to an app besides the request. */
interface Bindings {
  incoming: IncomingMessage | Http2ServerRequest
}

function honoHost(name: string, httpVersion: Host['httpVersion']): Host {
  return {
    name,
    httpVersion,
    returns: 'response',
    middleware: HONO_NAMES,
    listen(calls) {
      const { headers = [], body, middleware = [], before } = calls.serving
      const app = new Hono<{ Bindings: Bindings }>()
      for (const name of middleware) app.use(HONO[name]() as MiddlewareHandler)
      app.use(async (c, next) => {
        for (const [header, value] of headers) c.header(header, value, { append: true })
        await next()
      })
      app.all('/', async (c: Context<{ Bindings: Bindings }>) => {
        if (body === 'parsed') await c.req.json()
        if (before) await before({ ...NODES_OWN, left: aborted(c.req.raw.signal) })
        return calls.relay(
          c.env.incoming,
          () => c.req.text(),
          (source, options) => relayHono(c, source, options),
        )
      })
      app.onError((error, c) => {
        const { status, body } = calls.handle(error)
        return c.text(body, status as 418)
      })
      return serveFetch(app.fetch, httpVersion)
    },
  }
}

function webHost(name: string, httpVersion: Host['httpVersion']): Host {
  return {
    name,
    httpVersion,
    returns: 'response',
    middleware: {},
    listen(calls) {
      const { headers = [], body, before } = calls.serving
      const handle = async (request: Request, { incoming }: Bindings) => {
        try {
          if (body === 'parsed') await request.json()
          if (before) await before({ ...NODES_OWN, left: aborted(request.signal) })
          const read = () => request.text()
          const response = await calls.relay(incoming, read, (source, options) => relayWeb(request, source, options))
          for (const [header, value] of headers) response.headers.append(header, value)
          return response
        } catch (error) {
          const { status, body } = calls.handle(error)
          return new Response(body, { status })
        }
      }
      return serveFetch(handle as never, httpVersion)
    },
  }
}

function serveFetch(fetch: Parameters<typeof serve>[0]['fetch'], httpVersion: Host['httpVersion']): Listener {
  return (listening) => {
    const http2 = httpVersion === '2' && { createServer: createHttp2Server }
    const server = serve({ fetch, port: 0, hostname: '127.0.0.1', ...http2 }, () => listening(server as Server))
  }
}

function leftOf(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => res.on('close', () => resolve()))
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
