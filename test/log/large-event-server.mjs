// The process that is measured: one run, whose one event is large, for many readers.
import { createServer } from 'node:http'
import { serve as serveHono } from '@hono/node-server'
import Fastify from 'fastify'
import { Hono } from 'hono'
import * as ofFastify from 'sse-relay/fastify'
import * as ofHono from 'sse-relay/hono'
import { createMemoryLog, record } from 'sse-relay/log'
import * as ofNode from 'sse-relay/node'
import { data, serve } from '../../scripts/processes.mjs'

const { host, size } = data()
const log = createMemoryLog()
const options = { log, owner: null, runId: 'one-large-event-for-all', heartbeatMs: 0, stallTimeoutMs: 600_000 }
const sockets = new Set()

/** A server of the host that lets everybody read the run. */
const HOSTS = {
  node: () => createServer((req, res) => ofNode.resume(req, res, options)).listen(0, '127.0.0.1'),
  async fastify() {
    const app = Fastify()
    app.get('/', (request, reply) => ofFastify.resume(request, reply, options))
    await app.listen({ port: 0, host: '127.0.0.1' })
    return app.server
  },
  hono() {
    const app = new Hono()
    app.get('/', (c) => ofHono.resume(c, options))
    return serveHono({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
  },
}

serve({
  async listen() {
    const begun = new Promise((resolve) => {
      const source = async function* () {
        yield 'x'.repeat(size)
        resolve()
        await new Promise(() => {})
      }
      record(source, { log, runId: options.runId, owner: null })
    })
    await begun
    const server = await HOSTS[host]()
    server.on('connection', (socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
    })
    if (!server.listening) await new Promise((resolve) => server.on('listening', resolve))
    return server.address().port
  },
  written: () => [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0),
  memory() {
    for (let round = 0; round < 3; round++) globalThis.gc()
    const { heapUsed, external, rss } = process.memoryUsage()
    return { held: heapUsed + external, rss }
  },
})
