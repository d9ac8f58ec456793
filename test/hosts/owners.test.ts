import express from 'express'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import type { RelayOptions } from 'sse-relay'
import { relay as relayExpress, resume as resumeExpress } from 'sse-relay/express'
import { relay as relayFastify, resume as resumeFastify } from 'sse-relay/fastify'
import { relay as relayHono } from 'sse-relay/hono'
import { relay as relayKoa } from 'sse-relay/koa'
import { createMemoryLog } from 'sse-relay/log'
import { relay as relayNode, resume as resumeNode } from 'sse-relay/node'
import { throwing } from 'sse-relay/testing'
import { relay as relayWeb } from 'sse-relay/web'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { listening } from '../serving.js'

const unhandled: unknown[] = []
const note = (error: unknown) => void unhandled.push(error)
const printed = vi.spyOn(console, 'error')

beforeEach(() => {
  unhandled.length = 0
  process.on('unhandledRejection', note)
  printed.mockReset().mockImplementation(() => {})
})
afterEach(async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})

const theirs = Object.assign(new Error('Pay first'), { statusCode: 402, status: 402 })
const options = {
  onError() {
    throw theirs
  },
}
const SOURCES: Record<string, () => never> = {
  'at once': (() => {
    throw new Error('bug')
  }) as never,
  later: (() => throwing(new Error('bug'))) as never,
}
const later = () => new Promise<void>((resolve) => setTimeout(resolve, 2))

describe.each(Object.entries(SOURCES))('a source that fails %s', (_, source) => {
  type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown
  const HANDLERS: Record<string, Handler> = {
    'returns what relay returns': (request, reply) => relayFastify(request, reply, source, options),
    'returns the reply': (request, reply) => {
      relayFastify(request, reply, source, options)
      return reply
    },
    'is async and returns the reply': async (request, reply) => {
      relayFastify(request, reply, source, options)
      return reply
    },
    'returns nothing': (request, reply) => {
      relayFastify(request, reply, source, options)
    },
    'waits for it': async (request, reply) => {
      await relayFastify(request, reply, source, options)
    },
    'returns the reply a while later': async (request, reply) => {
      relayFastify(request, reply, source, options)
      await later()
      return reply
    },
  }

  it.each(Object.entries(HANDLERS))(
    'under Fastify: a handler that %s leaves it to the error handler',
    async (_, handler) => {
      const app = Fastify()
      onTestFinished(() => app.close())
      app.get('/', handler)
      const response = await fetch(await app.listen({ port: 0, host: '127.0.0.1' }))
      expect([response.status, await response.json()]).toMatchObject([402, { message: 'Pay first' }])
    },
  )

  it('under Fastify: one that throws no error is told of it in the same way', async () => {
    const app = Fastify()
    onTestFinished(() => app.close())
    app.get('/', (request, reply) => {
      relayFastify(request, reply, source, {
        onError() {
          throw 'a word'
        },
      })
      return reply
    })
    expect(await (await fetch(await app.listen({ port: 0, host: '127.0.0.1' }))).json()).toMatchObject({
      message: 'a word',
    })
  })

  it.each([
    ['returns it', true],
    ['returns nothing', false],
  ])('under Express: a handler that %s leaves it to the error handlers', async (_, returns) => {
    const app = express()
    app.get('/', (req, res) => {
      const answer = relayExpress(req, res, source, options)
      return returns ? answer : undefined
    })
    app.use(((error, _req, res, _next) => void res.status(418).send(error.message)) as express.ErrorRequestHandler)
    const response = await fetch(await listening(app))
    expect([response.status, await response.text()]).toEqual([418, 'Pay first'])
  })

  it('under Node: nobody waits, so it is printed, and the client has the failure', async () => {
    const url = await listening((req, res) => void relayNode(req, res, source, options))
    const response = await fetch(url)
    expect([response.status, await response.json()]).toMatchObject([500, { error: { code: 'internal' } }])
    expect(printed.mock.calls).toEqual([[theirs]])
  })

  it.each([
    ['await', async (answer: Promise<unknown>) => void (await answer)],
    ['catch', (answer: Promise<unknown>) => answer.catch((error) => Promise.reject(error))],
    ['then', (answer: Promise<unknown>) => answer.then(() => {})],
  ])('under Node: who waits for it with %s has it, and an untouched response', async (_, wait) => {
    const url = await listening((req, res) => {
      wait(relayNode(req, res, source, options)).catch((error: Error) => res.writeHead(418).end(error.message))
    })
    const response = await fetch(url)
    expect([response.status, await response.text()]).toEqual([418, 'Pay first'])
  })

  it('under Koa: a middleware that does not wait has sent 404, and the app is told', async () => {
    const app = new Koa()
    const told = vi.fn()
    app.on('error', told)
    app.use((ctx) => void relayKoa(ctx, source, options))
    const response = await fetch(await listening(app.callback()))
    expect(response.status).toBeGreaterThanOrEqual(400)
    await vi.waitFor(() => expect(told.mock.calls[0]?.[0]).toBe(theirs))
  })

  it('under Hono and on Web: a handler that answers otherwise has it on the console', async () => {
    const app = new Hono()
    app.get('/hono', (c) => {
      relayHono(c, source, options)
      return c.text('mine')
    })
    app.get('/web', (c) => {
      relayWeb(c.req.raw, source, options)
      return c.text('mine')
    })
    for (const path of ['/hono', '/web']) {
      printed.mockClear()
      expect(await (await app.request(path)).text()).toBe('mine')
      await vi.waitFor(() => expect(printed.mock.calls).toEqual([[theirs]]))
    }
  })
})

it('holds for resume too', async () => {
  const log = createMemoryLog()
  onTestFinished(() => log.close())
  const failing = { ...log, get: undefined } as never
  const asked: RelayOptions = { log: failing, owner: 'ann', runId: 'short', ...options }
  const app = Fastify()
  onTestFinished(() => app.close())
  app.get('/', (request, reply) => {
    resumeFastify(request, reply, asked as never)
    return reply
  })
  expect((await fetch(await app.listen({ port: 0, host: '127.0.0.1' }))).status).toBe(402)
  expect((await fetch(await listening((req, res) => void resumeNode(req, res, asked as never)))).status).toBe(500)
  const other = express()
  other.get('/', (req, res) => void resumeExpress(req, res, asked as never))
  expect((await fetch(await listening(other))).status).toBe(402)
})
