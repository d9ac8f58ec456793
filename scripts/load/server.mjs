// The process that is measured: one HTTP server, whose answers are written either by `relay` or by the loop of the guides.
import { createServer } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { relay } from 'sse-relay/node'
import { data, serve } from '../processes.mjs'
import { frameOf, TOKEN_MS, textOf } from './tokens.mjs'

const { side, heartbeatMs } = data()

/** What a model is here: one interval, behind the iterator that `relay` takes. */
class Tokens {
  #left
  #next = 0
  #id
  #ready = 0
  #waiting
  #timer

  constructor(id, count, firstMs) {
    this.#id = id
    this.#left = count
    this.#timer = setInterval(() => this.#tick(), firstMs)
  }

  [Symbol.asyncIterator]() {
    return this
  }

  next() {
    if (this.#left === 0) return Promise.resolve({ done: true, value: undefined })
    if (this.#ready > 0) return Promise.resolve(this.#take())
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  return() {
    clearInterval(this.#timer)
    return Promise.resolve({ done: true, value: undefined })
  }

  #tick() {
    this.#ready++
    if (!this.#waiting) return
    const resolve = this.#waiting
    this.#waiting = undefined
    resolve(this.#take())
  }

  #take() {
    this.#ready--
    if (--this.#left === 0) clearInterval(this.#timer)
    return { done: false, value: textOf(this.#id, this.#next++) }
  }
}

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
}

const handlers = {
  relay(req, res, { id, count, silentMs }) {
    const options = silentMs ? { heartbeatMs } : undefined
    relay(req, res, () => new Tokens(id, count, silentMs || TOKEN_MS), options)
  },

  /** As the guides have it, except that the interval is cleared when the response closes, which is the right time. */
  loop(_req, res, { id, count, silentMs }) {
    res.writeHead(200, HEADERS)
    let next = 0
    const timer = setInterval(() => {
      res.write(frameOf(id, next++))
      if (next < count) return
      clearInterval(timer)
      clearInterval(heartbeat)
      res.end('data: [DONE]\n\n')
    }, silentMs || TOKEN_MS)
    const heartbeat = silentMs ? setInterval(() => res.write(': \n'), heartbeatMs) : undefined
    res.on('close', () => {
      clearInterval(timer)
      clearInterval(heartbeat)
    })
  },

  /** The loop of who has an iterator, as the SDKs give one: the same source as the relay's. */
  async 'for await'(_req, res, { id, count, silentMs }) {
    res.writeHead(200, HEADERS)
    const tokens = new Tokens(id, count, silentMs || TOKEN_MS)
    const heartbeat = silentMs ? setInterval(() => res.write(': \n'), heartbeatMs) : undefined
    res.on('close', () => {
      tokens.return()
      clearInterval(heartbeat)
    })
    for await (const text of tokens) res.write(`data: ${JSON.stringify({ text })}\n\n`)
    clearInterval(heartbeat)
    res.end('data: [DONE]\n\n')
  },
}

const handle = handlers[side]
const server = createServer((req, res) => {
  const [, id, count, silentMs] = req.url.split('/')
  handle(req, res, { id, count: Number(count), silentMs: Number(silentMs) })
})
// The same clocks on both sides, and none that ends a stream.
server.requestTimeout = 0

const lag = monitorEventLoopDelay()
lag.enable()

serve({
  /** The longest time in which this process did nothing at all. */
  lag: () => lag.max / 1e6,
  listen: () => new Promise((resolve) => server.listen(0, '127.0.0.1', 65_535, () => resolve(server.address().port))),
  connections: () => new Promise((resolve) => server.getConnections((_, count) => resolve(count))),
  cpu: () => ({ ...process.cpuUsage(), at: performance.now() }),
  rss: () => process.memoryUsage.rss(),
  memory() {
    // The second collection takes what the finalizers of the first let go of.
    for (let round = 0; round < 3; round++) globalThis.gc()
    return process.memoryUsage()
  },
})
