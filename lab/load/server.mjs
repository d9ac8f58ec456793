// The process that is measured: one HTTP server, whose answers are written by `relay` or by a loop, from the same source.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { relay } from 'sse-relay/node'
import { data, serve } from '../../scripts/processes.mjs'
import { TOKEN_MS, textOf } from './tokens.mjs'

const { side, heartbeatMs } = data()

/** What has said its first token, and waits until all streams are open. */
let held

/** What a model is here: one interval, behind the iterator of an SDK, which the signal of the call stops. */
class Tokens {
  #left
  #next = 0
  #id
  #ready = 0
  #waiting
  #everyMs
  #timer

  constructor({ id, count, silentMs }, signal) {
    this.#id = id
    this.#left = count
    this.#everyMs = silentMs || TOKEN_MS
    this.#ready = silentMs ? 0 : 1
    if (held) held.add(this)
    else this.begin()
    signal?.addEventListener('abort', () => this.return())
  }

  begin() {
    this.#timer = setInterval(() => this.#tick(), this.#everyMs)
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
    held?.delete(this)
    clearInterval(this.#timer)
    const end = { done: true, value: undefined }
    this.#waiting?.(end)
    return Promise.resolve(end)
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
  relay(req, res, stream) {
    relay(req, res, ({ signal }) => new Tokens(stream, signal), { heartbeatMs: heartbeatOf(stream) })
  },

  /**
   * What a loop must do of what the relay does: it stops the model when the reader leaves, waits for one that is slow,
   * beats while the model thinks, and tells a failure from an end.
   */
  async loop(_req, res, stream) {
    const leaving = new AbortController()
    const { signal } = leaving
    res.on('close', () => leaving.abort())
    res.writeHead(200, HEADERS)
    const heartbeat = setInterval(() => res.write(': \n'), heartbeatOf(stream))
    try {
      for await (const text of new Tokens(stream, signal)) {
        if (!res.write(`data: ${JSON.stringify({ text })}\n\n`)) await once(res, 'drain', { signal })
        heartbeat.refresh()
      }
      res.end('data: [DONE]\n\n')
    } catch {
      if (!signal.aborted) res.end('event: error\ndata: {}\n\n')
    } finally {
      clearInterval(heartbeat)
    }
  },

  /** What the guides show, with heartbeats where there would be none otherwise. */
  async guide(_req, res, stream) {
    res.writeHead(200, HEADERS)
    const heartbeat = stream.silentMs ? setInterval(() => res.write(': \n'), heartbeatMs) : undefined
    for await (const text of new Tokens(stream)) res.write(`data: ${JSON.stringify({ text })}\n\n`)
    clearInterval(heartbeat)
    res.end('data: [DONE]\n\n')
  },
}

/** The default of the relay where it is not what is measured. */
const heartbeatOf = ({ silentMs }) => (silentMs ? heartbeatMs : 8000)

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
  /** From here on streams say one token, and wait. */
  hold() {
    held = new Set()
  },
  /** Lets them go on: over a second, so that not all of them speak at once for ever. */
  begin() {
    for (const tokens of held) setTimeout(() => tokens.begin(), Math.random() * TOKEN_MS)
    held = undefined
  },
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
