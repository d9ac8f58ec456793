// What people put around a host and in front of it, and what they test it with, as it is installed: loggers, sessions,
// timeouts, the proxy of Node, Nest's interceptors, doubles of Node's request and response.

import 'reflect-metadata'
import { EventEmitter } from 'node:events'
import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  Module,
  type NestInterceptor,
  Req,
  RequestTimeoutException,
  Res,
  UseInterceptors,
} from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import express from 'express'
import Koa from 'koa'
import httpMocks from 'node-mocks-http'
import { catchError, map, type Observable, TimeoutError, tap, throwError, timeout } from 'rxjs'
import { relay as relayExpress } from 'sse-relay/express'
import { relay as relayKoa } from 'sse-relay/koa'
import { relay as relayNode } from 'sse-relay/node'
import { collect, openClient, stalling } from 'sse-relay/testing'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Feed } from '../../../src/testing/conformance/adapter-harness.js'

const require = createRequire(import.meta.url)
/** Without types of its own. */
const supertest = require('supertest') as (app: unknown) => {
  get(path: string): Promise<{ status: number; text: string }> & { timeout(ms: number): Promise<unknown> }
}
const frame = (token: string) => `data: ${JSON.stringify({ text: token })}\n\n`
const SENTINEL = 'data: [DONE]\n\n'

async function listen(handler: RequestListener): Promise<string> {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.closeAllConnections())
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

/** Tokens with silences between them, each as it comes. */
async function arrives(url: string, feed: Feed<string>): Promise<void> {
  const client = openClient(url)
  for (const token of ['one', 'two', 'three', 'four']) {
    feed.push(token)
    await client.until(frame(token))
  }
  feed.end()
  expect(await client.closed).toMatchObject({ complete: true })
}

describe('what stands before a route of Express', () => {
  const BEFORE: Record<string, () => express.RequestHandler> = {
    // Its `write` returns nothing.
    'express-requests-logger': () =>
      require('express-requests-logger')({ logger: { info() {}, warn() {}, error() {} } }),
    morgan: () => require('morgan')('combined', { stream: { write() {} } }),
    'response-time': () => require('response-time')(),
    'pino-http': () => require('pino-http')({}, { write() {} }),
    // It wraps `write` and `end`.
    'express-mung': () => require('express-mung').write((chunk: unknown) => chunk),
    // Its `end` waits until the session is saved.
    'express-session': () => require('express-session')({ secret: 'x', resave: true, saveUninitialized: true }),
    'connect-timeout': () => require('connect-timeout')('60s'),
  }

  it.each(Object.entries(BEFORE))('%s holds back no token', async (_, before) => {
    const feed = new Feed<string>()
    const app = express()
    app.use(before())
    app.get('/', (req, res) => relayExpress(req, res, feed.source, { heartbeatMs: 0 }))
    await arrives(await listen(app), feed)
  })
})

it('connect-timeout, while the model thinks, ends the run with its 503', async () => {
  const feed = new Feed<string>()
  const onEnd = vi.fn()
  const app = express()
  app.set('env', 'test')
  app.use(require('connect-timeout')('20ms'))
  app.get('/', (req, res) => relayExpress(req, res, feed.source, { heartbeatMs: 0, onEnd }))
  expect((await fetch(await listen(app))).status).toBe(503)
  await feed.aborted
  await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
})

describe('http-proxy-middleware', () => {
  /** As docs/deploy.md has it. */
  const TOLD = {
    proxyReq: (toServer: ClientRequest, _: unknown, res: ServerResponse) => res.on('close', () => toServer.destroy()),
    proxyRes: (fromServer: IncomingMessage, _: unknown, res: ServerResponse) =>
      fromServer.on('aborted', () => res.destroy()),
  }

  async function inFront(source: Feed<string>['source'], on: object): Promise<string> {
    const target = await listen((req, res) => void relayNode(req, res, source, { heartbeatMs: 0 }))
    const app = express()
    app.use(require('http-proxy-middleware').createProxyMiddleware({ target, on }))
    return listen(app)
  }

  it.each([
    ['as it comes', {}],
    ['that is told', TOLD],
  ])('%s holds back no token', async (_, on) => {
    const feed = new Feed<string>()
    await arrives(await inFront(feed.source, on), feed)
  })

  it('that is told passes on that the reader left before the first token', async () => {
    const feed = new Feed<string>()
    const client = openClient(await inFront(feed.source, TOLD), { method: 'POST' })
    await feed.asked
    client.leave()
    await feed.aborted
  })

  it('that is told passes on that the server died', async () => {
    const feed = new Feed('one')
    let die = () => {}
    const source: typeof feed.source = (context) => feed.source(context)
    const target = await listen((req, res) => {
      die = () => void req.socket.destroy()
      relayNode(req, res, source, { heartbeatMs: 0 })
    })
    const app = express()
    app.use(require('http-proxy-middleware').createProxyMiddleware({ target, on: TOLD }))
    const client = openClient(await listen(app))
    await client.until(frame('one'))
    die()
    expect(await client.closed).toMatchObject({ complete: false })
  })
})

it('koa-logger, which counts what goes by, holds back no token', async () => {
  const feed = new Feed<string>()
  const app = new Koa()
  app.use(require('koa-logger')(() => {}))
  app.use((ctx) => relayKoa(ctx, feed.source, { heartbeatMs: 0 }))
  await arrives(await listen(app.callback()), feed)
})

describe('an interceptor of Nest', () => {
  type Intercept = (context: ExecutionContext, next: CallHandler) => Observable<unknown>

  async function nest(intercept: Intercept, source: Feed<string>['source'], onEnd = () => {}): Promise<string> {
    class Interceptor implements NestInterceptor {
      intercept = intercept
    }
    class Chat {
      chat(req: never, res: never) {
        return relayNode(req, res, source, { heartbeatMs: 0, onEnd })
      }
    }
    // What the compiler makes of @Get() chat(@Req() req, @Res() res).
    const method = Object.getOwnPropertyDescriptor(Chat.prototype, 'chat') as PropertyDescriptor
    Get()(Chat.prototype, 'chat', method)
    Req()(Chat.prototype, 'chat', 0)
    Res()(Chat.prototype, 'chat', 1)
    UseInterceptors(Interceptor)(Chat)
    Controller()(Chat)
    class App {}
    Module({ controllers: [Chat] })(App)
    const app = await NestFactory.create(App, { logger: false })
    onTestFinished(() => app.close())
    await app.listen(0, '127.0.0.1')
    return `http://127.0.0.1:${app.getHttpServer().address().port}/`
  }

  it.each([
    ['that logs', (_: ExecutionContext, next: CallHandler) => next.handle().pipe(tap(() => {}))],
    [
      'that wraps what the handler returns',
      (_: ExecutionContext, next: CallHandler) => next.handle().pipe(map((data) => ({ data }))),
    ],
  ])('%s holds back no token, and adds none', async (_, intercept) => {
    const feed = new Feed<string>()
    await arrives(await nest(intercept, feed.source), feed)
  })

  it('that gives up while the model thinks ends the run with its 408', async () => {
    const feed = new Feed<string>()
    const onEnd = vi.fn()
    const gaveUp: Intercept = (_, next) =>
      next.handle().pipe(
        timeout(20),
        catchError((error) =>
          throwError(() => (error instanceof TimeoutError ? new RequestTimeoutException() : error)),
        ),
      )
    const response = await fetch(await nest(gaveUp, feed.source, onEnd))
    expect(response.status).toBe(408)
    await feed.aborted
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
  })
})

describe('node-mocks-http', () => {
  it.each([
    ['as it comes', {}],
    ['with events', { eventEmitter: EventEmitter }],
  ])('%s takes a whole answer, and no timer is left', async (_, options) => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    for (const relay of [relayExpress, relayNode]) {
      const res = httpMocks.createResponse(options)
      const onClose = vi.fn()
      const req = httpMocks.createRequest({ method: 'POST', url: '/', body: { a: 1 } })
      expect(await relay(req as never, res as never, () => ['Hello'], { onClose })).toMatchObject({ outcome: 'done' })
      expect(await collect(res._getData())).toMatchObject({ outcome: 'done', text: 'Hello' })
      await vi.waitFor(() => expect(onClose).toHaveBeenCalledOnce())
      expect(timers()).toBeLessThanOrEqual(before)
    }
  })
})

it('supertest reads an answer, and stops one', async () => {
  const source = stalling(['Hello'])
  const app = express()
  app.get('/', (req, res) => relayExpress(req, res, () => ['Hello']))
  app.get('/stalling', (req, res) => relayExpress(req, res, source))
  const { status, text } = await supertest(app).get('/')
  expect([status, text]).toEqual([200, frame('Hello') + SENTINEL])
  await expect(supertest(app).get('/stalling').timeout(100)).rejects.toThrow(/timeout/i)
  await source.until(({ returned }) => returned)
})

it.each([
  ['headers', { resume() {} }, {}],
  ['writeHead', { headers: {} }, { on() {} }],
])('a double without %s is told so', async (what, req, res) => {
  await expect(relayNode(req as never, res as never, () => ['Hello'])).rejects.toThrow(what)
})
