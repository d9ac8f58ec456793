// In whose context (`AsyncLocalStorage`) does what people put around an answer run? In that of its own request, whoever
// began the tick, produces the run, stops it, or reads it elsewhere.

import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Transform } from 'node:stream'
import { serve } from '@hono/node-server'
import Fastify from 'fastify'
import { Hono } from 'hono'
import Redis from 'ioredis'
import Koa from 'koa'
import * as ofFastify from 'sse-relay/fastify'
import * as ofHono from 'sse-relay/hono'
import * as ofKoa from 'sse-relay/koa'
import { createMemoryLog, type Log } from 'sse-relay/log'
import * as ofNode from 'sse-relay/node'
import { createRedisLog } from 'sse-relay/redis'
import { openClient, type TestClient } from 'sse-relay/testing'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { hasRedis, startRedis } from '../log/redis-server.js'

const requests = new AsyncLocalStorage<string>()

/** What ran where: in the context of its own request, or astray. */
class Notes {
  readonly own: string[] = []
  readonly astray: string[] = []

  note(request: string, what: string): void {
    const context = requests.getStore()
    if (context === request) this.own.push(`${request}: ${what}`)
    else this.astray.push(`${request}: ${what} in the context of ${context}`)
  }
}

/** Sources that wait for each other: all of them yield in one tick. */
class Lockstep {
  readonly #waiting: (() => void)[] = []
  readonly source = async function* (this: Lockstep) {
    for (let index = 0; index < 8; index++) {
      yield `${index} `
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }.bind(this)

  /** Lets all of them yield their next, from the context of none. */
  async until(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      for (const go of this.#waiting.splice(0)) go()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

/** What every adapter exports. */
type Verbs = Record<'relay' | 'resume', (...given: unknown[]) => unknown>
/** Answers the request of that name. */
type Answer = (name: string, adapter: unknown, ...host: unknown[]) => unknown
type Listening = Promise<string> | string

const nameOf = (path: string) => path.slice(1)

function address(server: Server): string {
  onTestFinished(() => void server.closeAllConnections())
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function spy(notes: Notes, name: string) {
  return new Transform({
    transform(chunk, _, done) {
      notes.note(name, 'a chunk')
      done(null, chunk)
    },
  })
}

/** Each with something around its answers that looks at every chunk. */
const SERVERS: Record<string, (notes: Notes, answer: Answer) => Listening> = {
  async 'a wrapper of write and end'(notes, answer) {
    const server = createServer((req, res) => {
      const name = nameOf(req.url as string)
      requests.run(name, () => {
        for (const method of ['write', 'end', 'writeHead'] as const) {
          const own = res[method] as (...given: unknown[]) => unknown
          res[method] = function (this: ServerResponse, ...given: unknown[]) {
            notes.note(name, method === 'write' ? 'a chunk' : method)
            return own.apply(this, given)
          } as never
        }
        res.on('finish', () => notes.note(name, 'finish'))
        answer(name, ofNode, req, res)
      })
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.on('listening', resolve))
    return address(server)
  },
  async 'an onSend hook of Fastify'(notes, answer) {
    const app = Fastify()
    onTestFinished(() => app.close())
    app.addHook('onRequest', (request, _, done) => requests.run(nameOf(request.url), done))
    app.addHook('onSend', async ({ url }, _, payload) => {
      notes.note(nameOf(url), 'onSend')
      return payload ? (payload as Transform).pipe(spy(notes, nameOf(url))) : payload
    })
    app.addHook('onResponse', async ({ url }) => notes.note(nameOf(url), 'onResponse'))
    app.get('/*', (request, reply) => answer(nameOf(request.url), ofFastify, request, reply))
    return app.listen({ port: 0, host: '127.0.0.1' })
  },
  async 'a middleware of Koa'(notes, answer) {
    const app = new Koa()
    app.use((ctx, next) => requests.run(nameOf(ctx.path), next))
    app.use(async (ctx, next) => {
      await next()
      notes.note(nameOf(ctx.path), 'the middleware')
      if (ctx.body) ctx.body = (ctx.body as Transform).pipe(spy(notes, nameOf(ctx.path)))
    })
    app.use((ctx) => answer(nameOf(ctx.path), ofKoa, ctx) as Promise<void>)
    const server = app.listen(0, '127.0.0.1')
    await new Promise((resolve) => server.on('listening', resolve))
    return address(server)
  },
  async 'a middleware of Hono'(notes, answer) {
    const app = new Hono()
    app.use((c, next) => requests.run(nameOf(c.req.path), next))
    app.use(async (c, next) => {
      await next()
      const name = nameOf(c.req.path)
      const looking = new TransformStream({
        transform(chunk, controller) {
          notes.note(name, 'a chunk')
          controller.enqueue(chunk)
        },
      })
      if (c.res.body) c.res = new Response(c.res.body.pipeThrough(looking), c.res)
    })
    app.get('/*', (c) => answer(nameOf(c.req.path), ofHono, c) as Promise<Response>)
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server
    await new Promise((resolve) => server.on('listening', resolve))
    return address(server)
  },
}

const NAMES = ['ann', 'ben', 'cid']
const RUN_ID = 'a-run-that-several-read'

describe.each(Object.entries(SERVERS))('%s', (_, listen) => {
  it('of streams that yield in one tick is each in its own', async () => {
    const notes = new Notes()
    const steps = new Lockstep()
    const url = await listen(notes, (_, adapter, ...host) =>
      (adapter as Verbs).relay(...host, steps.source, { heartbeatMs: 0 }),
    )
    const clients = NAMES.map((name) => openClient(`${url}/${name}`))
    await tokens(clients, notes, steps)
  })

  const LOGS: Record<string, () => Promise<[Log, Log]>> = {
    async memory() {
      const log = createMemoryLog()
      onTestFinished(() => log.close())
      return [log, log]
    },
    ...(hasRedis && {
      /** As two processes have it. */
      async Redis() {
        const redis = await startRedis()
        onTestFinished(() => redis.close())
        const open = () => {
          const client = new Redis(redis.port, '127.0.0.1')
          client.on('error', () => {})
          const log = createRedisLog(client)
          onTestFinished(async () => {
            await log.close()
            client.disconnect()
          })
          return log
        }
        return [open(), open()]
      },
    }),
  }

  /** Ann's run, read by all of them: by Ben in the same process, by Cid as if in another one. */
  async function read(openLogs: () => Promise<[Log, Log]>) {
    const notes = new Notes()
    const steps = new Lockstep()
    const [log, elsewhere] = await openLogs()
    const url = await listen(notes, (name, adapter, ...host) => {
      const { relay, resume } = adapter as Verbs
      const onClose = () => notes.note(name, 'onClose')
      const options = { owner: null, runId: RUN_ID, heartbeatMs: 0, onClose }
      const onEnd = () => notes.note(name, 'onEnd')
      if (name === 'ann') return relay(...host, steps.source, { ...options, log, onEnd })
      return resume(...host, { ...options, log: name === 'ben' ? log : elsewhere })
    })
    const clients: TestClient[] = []
    for (const name of NAMES) {
      const client = openClient(`${url}/${name}`)
      clients.push(client)
      await client.until('0 ')
    }
    const told = () =>
      vi.waitFor(() => {
        expect(notes.own).toEqual(expect.arrayContaining(['ann: onEnd', ...NAMES.map((name) => `${name}: onClose`)]))
      })
    return { notes, steps, clients, elsewhere, told }
  }

  it.each(Object.entries(LOGS))('of readers of one run, over %s, is each in its own', async (_, openLogs) => {
    const { notes, steps, clients, told } = await read(openLogs)
    await tokens(clients, notes, steps)
    await told()
    expect(notes.astray).toEqual([])
  })

  it.each(Object.entries(LOGS))(
    'of a run that another request stops, over %s, is each in its own',
    async (_, openLogs) => {
      const { notes, clients, elsewhere, told } = await read(openLogs)
      await requests.run('dan', () => elsewhere.stop(RUN_ID, { owner: null }))
      for (const client of clients) await client.closed
      await told()
      expect(notes.astray).toEqual([])
    },
  )
})

/** Lets all of the tokens come. */
async function tokens(clients: TestClient[], notes: Notes, steps: Lockstep): Promise<void> {
  let over = 0
  for (const client of clients) client.closed.then(() => over++)
  await steps.until(() => over === clients.length)
  for (const client of clients) expect(client.received).toContain('7 ')
  expect(notes.astray).toEqual([])
  for (const name of NAMES) expect(notes.own).toContain(`${name}: a chunk`)
}
