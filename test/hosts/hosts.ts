// Which hosts are tested, and how is each of them started with its adapter?

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
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
import { relay as relayExpress } from 'sse-relay/express'
import { relay as relayFastify } from 'sse-relay/fastify'
import { relay as relayHono } from 'sse-relay/hono'
import { relay as relayKoa } from 'sse-relay/koa'
import { relay as relayNode } from 'sse-relay/node'
import type { AdapterHost, AdapterServing } from 'sse-relay/testing'
import { relay as relayWeb } from 'sse-relay/web'
import { it } from 'vitest'
import { Trial } from '../../src/testing/conformance/adapter-harness.js'
import { certificate } from './certificate.js'

/** What a host serves, at every path and for every method. */
export interface Serving extends AdapterServing {
  /** Puts middleware in front, the one that is usual there, in this order. */
  middleware?: readonly Middleware[] | undefined
  /** Runs right before `relay` is called, on the hosts that write to a response. */
  before?: ((req: IncomingMessage, res: ServerResponse) => unknown) | undefined
}

/** What users put in front of a handler. */
export type Middleware = 'compression' | 'cors' | 'security'

/** A server that runs. */
export interface Running {
  readonly url: string
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
  readonly returns: AdapterHost['returns']
  /** The middleware it can have in front, by the names of the packages. */
  readonly middleware: Readonly<Partial<Record<Middleware, string>>>
  listen(serving: Serving): Listener
}

type Listener = Server | ((listening: (server: Server) => void) => void)

/** How the hosts' own error handling answers. */
const HANDLED = { status: 418, body: 'handled by the host' } as const

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
  { ...nodeHost('node https', '1.1', certificate ?? ''), missing: !certificate },
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
  const listener = host.listen(serving)
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

type InFront = Pick<Serving, 'middleware' | 'before'>

/** One of the hosts, as the table of behaviours wants it. */
export function hostOf(host: Host, inFront: InFront = {}, onStart = (_: Running) => {}): AdapterHost {
  return {
    returns: host.returns,
    httpVersion: host.httpVersion,
    async listen(serving) {
      const running = await start(host, { ...serving, ...inFront })
      onStart(running)
      return running
    },
  }
}

/** Whether the host writes to a response of Node's that is at hand. */
export const writes = (host: Host) => host.returns !== 'response'

/** What some hosts do, checked by the means of what all of them do. */
export function on(
  chosen: readonly Host[],
  title: string,
  check: (trial: Trial, host: Host, running: () => Running) => Promise<void>,
  inFront?: InFront,
): void {
  it.each(chosen.filter(({ missing }) => !missing).map((host) => [host.name, host] as const))(
    `%s: ${title}`,
    async (_, host) => {
      let running!: Running
      const adapter = hostOf(host, inFront, (started) => {
        running = started
      })
      await Trial.run(adapter, title, 10_000, (trial) => check(trial, host, () => running))
    },
  )
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
    listen({ headers, middleware = [], before, answer }) {
      const inFront = middleware.map((name) => CONNECT[name]() as express.RequestHandler)
      const handle = async (req: Request, res: Response) => {
        for (const [header, value] of headers) res.appendHeader(header, value)
        try {
          await before?.(req, res)
          await answer(
            (source, options) => relayNode(req, res, source, options),
            () => text(req),
          )
        } catch {
          res.writeHead(HANDLED.status).end(HANDLED.body)
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
      const tls = certificate === undefined ? undefined : { key: certificate, cert: certificate }
      if (httpVersion === '1.1') return tls ? createHttpsServer(tls, listener) : createServer(listener)
      const http2 = listener as never as (req: Http2ServerRequest, res: Http2ServerResponse) => void
      return tls ? createSecureServer(tls, http2) : createHttp2Server(http2)
    },
  }
}

function expressHost(name: string, module: typeof express): Host {
  return {
    name,
    httpVersion: '1.1',
    returns: 'summary',
    middleware: CONNECT_NAMES,
    listen({ headers, middleware = [], before, answer }) {
      const app = module()
      for (const name of middleware) app.use(CONNECT[name]() as express.RequestHandler)
      app.use((_, res, next) => {
        for (const [header, value] of headers) res.append(header, value)
        next()
      })
      if (before)
        app.use((req, res, next) => {
          Promise.resolve(before(req, res)).then(() => next(), next)
        })
      app.all('/', (req, res, next) => {
        answer(
          (source, options) => relayExpress(req, res, source, options),
          async () => {
            await new Promise((resolve, reject) => {
              module.json({ limit: MAX_BODY })(req, res, (error) => (error ? reject(error) : resolve(undefined)))
            })
            return JSON.stringify(req.body)
          },
        ).catch(next)
      })
      app.use(((_error, _req, res, _next) => {
        res.status(HANDLED.status).send(HANDLED.body)
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
    listen({ headers, middleware = [], before, answer }) {
      const options = { bodyLimit: MAX_BODY, logger, ...(httpVersion === '2' && { http2: true }) }
      const app = Fastify(options as FastifyServerOptions)
      for (const name of middleware) app.register(FASTIFY[name] as FastifyPluginAsync)
      app.removeAllContentTypeParsers()
      app.addContentTypeParser('*', (_request, _payload, done) => done(null))
      app.addHook('onRequest', async (_, reply) => {
        for (const [header, value] of headers) reply.header(header, value)
      })
      app.setErrorHandler((_error, _request, reply) => {
        reply.code(HANDLED.status).send(HANDLED.body)
      })
      app.register(async (app) => {
        app.all('/', async (request, reply) => {
          await before?.(request.raw, reply.raw)
          return answer(
            (source, options) => relayFastify(request, reply, source, options),
            () => text(request.raw),
          )
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
    listen({ headers, middleware = [], before, answer }) {
      const app = new Application()
      app.use(async (ctx, next) => {
        for (const [header, value] of headers) ctx.append(header, value)
        try {
          await next()
        } catch {
          ctx.status = HANDLED.status
          ctx.body = HANDLED.body
        }
      })
      for (const name of middleware) app.use(KOA[name]() as Koa.Middleware)
      app.use(async (ctx) => {
        await before?.(ctx.req, ctx.res)
        await answer(
          (source, options) => relayKoa(ctx, source, options),
          () => text(ctx.req),
        )
      })
      return createServer(app.callback())
    },
  }
}

function honoHost(name: string, httpVersion: Host['httpVersion']): Host {
  return {
    name,
    httpVersion,
    returns: 'response',
    middleware: HONO_NAMES,
    listen({ headers, middleware = [], answer }) {
      const app = new Hono()
      for (const name of middleware) app.use(HONO[name]() as MiddlewareHandler)
      app.use(async (c, next) => {
        for (const [header, value] of headers) c.header(header, value, { append: true })
        await next()
      })
      app.all('/', (c: Context) =>
        answer(
          (source, options) => relayHono(c, source, options),
          () => c.req.text(),
        ),
      )
      app.onError((_, c) => c.text(HANDLED.body, HANDLED.status))
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
    listen({ headers, answer }) {
      const handle = async (request: Request) => {
        try {
          const response = await answer(
            (source, options) => relayWeb(request, source, options),
            () => request.text(),
          )
          for (const [header, value] of headers) response.headers.append(header, value)
          return response
        } catch {
          return new Response(HANDLED.body, { status: HANDLED.status })
        }
      }
      return serveFetch(handle, httpVersion)
    },
  }
}

function serveFetch(fetch: Parameters<typeof serve>[0]['fetch'], httpVersion: Host['httpVersion']): Listener {
  return (listening) => {
    const http2 = httpVersion === '2' && { createServer: createHttp2Server }
    const server = serve({ fetch, port: 0, hostname: '127.0.0.1', ...http2 }, () => listening(server as Server))
  }
}
