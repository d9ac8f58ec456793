// The process that must survive: all hosts in one server process, whose relays all share the signals of the process.
import { getEventListeners } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { Readable, Transform } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { serve as serveFetch } from '@hono/node-server'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { isRelayError } from 'sse-relay'
import { relay as relayExpress } from 'sse-relay/express'
import { relay as relayFastify } from 'sse-relay/fastify'
import { relay as relayHono } from 'sse-relay/hono'
import { relay as relayKoa } from 'sse-relay/koa'
import { relay as relayNode } from 'sse-relay/node'
import { relay as relayWeb } from 'sse-relay/web'
import { serve, until } from '../../scripts/processes.mjs'
import { describe, expectedOf, isUntold, planOf, READERS, takesNothing } from './plan.mjs'
import { connect, StormError, sourceOf } from './sources.mjs'

/** For who takes nothing, and those nobody says have left. The others are waited for longer than the storm waits for what must be noticed. */
const STALL_MS = 300
const PATIENT_MS = 180_000
const MAX_MS = 250
/** When something else answers. */
const ANSWER_MS = 5
/** More than the kernel's buffers of a connection hold. */
const MOST_PRODUCED = 24 * 1024 * 1024

/** Of all relays, as a server has them. */
const shutdown = new AbortController()
const stop = new AbortController()

/** The relays of a wave, by the path that was asked for. */
const relays = new Map()
/** What nobody was told of otherwise. */
const stray = []

process.on('uncaughtException', (error) => stray.push(`uncaught exception: ${error?.stack ?? String(error)}`))
process.on('unhandledRejection', (error) => stray.push(`unhandled rejection: ${error?.stack ?? String(error)}`))
process.on('warning', (warning) => stray.push(`warning: ${warning.stack}`))
console.warn = (...words) => {
  // Some hosts answer by other means here, on purpose, and that is said once.
  if (!/a response was made and nobody ever read its body/.test(words[0]))
    stray.push(`console.warn: ${words.join(' ')}`)
}
console.error = (...words) => {
  // What was thrown on purpose has nowhere else to go when onError throws; a host prints why a body broke.
  if (words.some((word) => word instanceof StormError || (isRelayError(word) && word.code === 'stalled'))) return
  stray.push(`console.error: ${words.map((word) => word?.stack ?? String(word)).join(' ')}`)
}

// Node opens them when something is first written, and what a host prints for once would look as if it was left behind.
for (const output of [process.stdout, process.stderr]) output.on('error', () => {})

/** How many there are of the objects that belong to one exchange: whatever keeps a relay keeps its options. */
const living = { options: 0, source: 0, request: 0, response: 0, signal: 0 }
const registry = new FinalizationRegistry((name) => living[name]--)
function track(name, object) {
  living[name]++
  registry.register(object, name)
  return object
}

/** What `relay` is called with for a request. */
function begin(path, request, response) {
  track('request', request)
  if (response) track('response', response)
  const plan = planAt(path)
  const relay = { plan, ended: 0, closed: 0, open: 0, produced: 0 }
  if (relays.has(path)) stray.push(`${describe(plan)}: asked for twice`)
  relays.set(path, relay)
  const watch = {
    opened: () => {
      relay.open++
    },
    closed: () => {
      relay.open = 0
    },
    set produced(bytes) {
      relay.produced = bytes
    },
    get produced() {
      return relay.produced
    },
    signal: (signal) => track('signal', signal),
  }
  const options = track('options', {
    shutdown: shutdown.signal,
    signal: stop.signal,
    heartbeatMs: plan.heartbeatMs,
    directWrites: plan.directWrites,
    stallTimeoutMs: takesNothing(plan) || isUntold(plan) || plan.reader === 'answered' ? STALL_MS : PATIENT_MS,
    ...(/stall|never|silent$/.test(plan.source) && !plan.endless && { maxDurationMs: MAX_MS }),
    onError() {
      if (plan.hook === 'onError throws') throw new StormError('onError throws')
      if (plan.hook === 'onError shows') return { status: 503, code: 'shown', message: 'Shown' }
    },
    onEnd({ outcome }) {
      relay.ended++
      relay.outcome = outcome
      if (plan.hook === 'onEnd throws') throw new StormError('onEnd throws')
      if (plan.hook === 'onEnd rejects') return Promise.reject(new StormError('onEnd rejects'))
    },
    onClose() {
      relay.closed++
    },
  })
  const source = sourceOf(plan, watch)
  if (source === Object(source)) track('source', source)
  return [source, options]
}

/** What a host does with what `onError` throws. */
const HANDLED = 418
/** What answers where the relay takes too long. */
const LATE = 504

function planAt(path) {
  return planOf(...path.slice(1).split('/').map(Number))
}

/** What stands around a host that writes to Node's response. */
function wrap(req, res) {
  const { around, reader } = planAt(req.url)
  if (around === 'logger' || around === 'both') {
    const { write } = res
    res.write = (...given) => {
      write.apply(res, given)
    }
  }
  if (around === 'monitor' || around === 'both') {
    for (const name of ['write', 'end', 'writeHead']) {
      const own = res[name]
      res[name] = (...given) => own.apply(res, given)
    }
  }
  beginUpload(req)
  if (reader === 'answered') setTimeout(() => res.headersSent || res.writeHead(LATE).end(), ANSWER_MS)
}

/** Someone takes the first piece of an upload, and leaves the rest; or stands still. */
function beginUpload(req) {
  const { reader, variant } = planAt(req.url)
  if (reader !== 'in-upload') return
  if (variant % 3 === 0) req.pause()
  else if (variant % 3 === 1) req.once('data', () => req.pause())
  else req.on('data', () => req.pause())
}

/** What a hook or a middleware makes of the body it is handed. */
const READ = {
  nothing: (body) => body,
  'for await': (body) =>
    Readable.from(
      (async function* () {
        for await (const chunk of body) yield chunk
      })(),
    ),
  pipe: (body) => body.on('error', () => {}).pipe(new Transform({ transform: (chunk, _, done) => done(null, chunk) })),
  readable(body) {
    const out = new Readable({ read() {}, destroy: (error, done) => done(error, body.destroy()) })
    body.on('readable', () => {
      for (let chunk = body.read(); chunk !== null; chunk = body.read()) out.push(chunk)
    })
    body.on('end', () => out.push(null))
    return out
  },
}

function onNode(req, res) {
  wrap(req, res)
  relayNode(req, res, ...begin(req.url, req, res)).catch(() => res.headersSent || res.writeHead(HANDLED).end())
}

const app = express()
app.disable('x-powered-by')
app.use((req, res) => {
  wrap(req, res)
  relayExpress(req, res, ...begin(req.url, req, res))
})
app.use((_error, _req, res, _next) => res.headersSent || res.sendStatus(HANDLED))

const fastify = Fastify({ exposeHeadRoutes: false })
fastify.removeAllContentTypeParsers()
fastify.addContentTypeParser('*', (_request, _payload, done) => done(null))
fastify.addHook('onSend', async ({ url }, _, payload) =>
  payload instanceof Readable ? READ[planAt(url).around](payload) : payload,
)
fastify.setErrorHandler((_error, _request, reply) => reply.code(HANDLED).send())
fastify.all('*', (request, reply) => {
  beginUpload(request.raw)
  if (planAt(request.url).reader === 'answered') setTimeout(() => reply.sent || reply.code(LATE).send(), ANSWER_MS)
  relayFastify(request, reply, ...begin(request.url, request.raw, reply.raw))
  return reply
})

const koa = new Koa()
koa.on('error', () => {})
koa.use(async (ctx, next) => {
  try {
    const late = planAt(ctx.url).reader === 'answered' && wait(ANSWER_MS).then(() => LATE)
    if ((await Promise.race([next(), late || new Promise(() => {})])) === LATE) {
      ctx.status = LATE
      ctx.body = ''
    } else if (ctx.body instanceof Readable) ctx.body = READ[planAt(ctx.url).around](ctx.body)
  } catch {
    ctx.status = HANDLED
    ctx.body = ''
  }
})
koa.use((ctx) => {
  beginUpload(ctx.req)
  return relayKoa(ctx, ...begin(ctx.url, ctx.req, ctx.res))
})

const hono = new Hono()
hono.use(async (c, next) => {
  if (planAt(c.req.path).reader !== 'answered') return next()
  await Promise.race([next(), wait(ANSWER_MS)])
  if (!c.finalized) c.res = c.body(null, LATE)
})
hono.all('*', (c) => relayHono(c, ...begin(c.req.path, c.req.raw)))
hono.onError((_, c) => c.body(null, HANDLED))

const onWeb = (request) => {
  const { pathname } = new URL(request.url)
  const answer = relayWeb(request, ...begin(pathname, request)).catch(() => new Response(null, { status: HANDLED }))
  if (planAt(pathname).reader !== 'answered') return answer
  return Promise.race([answer, wait(ANSWER_MS).then(() => new Response(null, { status: LATE }))])
}

const hosts = {
  http: () => createServer(onNode).listen(0, '127.0.0.1'),
  express: () => createServer(app).listen(0, '127.0.0.1'),
  fastify: () => {
    fastify.ready(() => fastify.server.listen(0, '127.0.0.1'))
    return fastify.server
  },
  koa: () => createServer(koa.callback()).listen(0, '127.0.0.1'),
  hono: () => serveFetch({ fetch: hono.fetch, port: 0, hostname: '127.0.0.1' }),
  web: () => serveFetch({ fetch: onWeb, port: 0, hostname: '127.0.0.1' }),
  http2: () => createHttp2Server(onNode).listen(0, '127.0.0.1'),
  'hono-http2': () =>
    serveFetch({ fetch: hono.fetch, port: 0, hostname: '127.0.0.1', createServer: createHttp2Server }),
}
const servers = {}

serve({
  async listen(urls) {
    connect(urls)
    const ports = {}
    for (const [name, listen] of Object.entries(hosts)) {
      servers[name] = listen()
      while (!servers[name].address()) await wait(1)
      ports[name] = servers[name].address().port
    }
    return ports
  },

  /** Waits until nothing is going on, and tells what is wrong with the exchanges so far. */
  async quiet({ limitMs, seed, indices }) {
    const problems = []
    await until(async () => (await connections()) === 0 && [...relays.values()].every(isOver), limitMs)
    for (const relay of relays.values()) problems.push(...judge(relay))
    for (const index of indices) {
      const plan = planOf(seed, index)
      const begun = Array.from({ length: plan.requests }, (_, part) => relays.has(`/${seed}/${index}/${part}`))
      const { begins } = READERS[plan.reader]
      if (begins === 1 && begun.includes(false)) problems.push({ index, what: 'no relay began' })
      if (begins === 0 && begun.includes(true)) problems.push({ index, what: 'a relay began' })
    }
    for (const [name, server] of Object.entries(servers)) {
      const open = await connectionsOf(server)
      if (open > 0) problems.push({ what: `${open} connections of ${name} are still open` })
    }
    problems.push(...stray.splice(0).map((what) => ({ what })))
    const outcomes = {}
    for (const { outcome } of relays.values()) outcomes[outcome ?? 'none'] = (outcomes[outcome ?? 'none'] ?? 0) + 1
    const begun = relays.size
    relays.clear()
    return { problems, begun, outcomes }
  },

  /** What there is when nothing is going on. */
  async rest() {
    for (let round = 0; round < 6; round++) {
      await wait(20)
      globalThis.gc()
    }
    const resources = {}
    for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1
    const listeners = [shutdown, stop].flatMap(({ signal }) => getEventListeners(signal, 'abort')).length
    return {
      heap: process.memoryUsage().heapUsed,
      rss: process.memoryUsage.rss(),
      objects: { ...living },
      resources,
      listeners,
    }
  },
})

async function connections() {
  const counts = await Promise.all(Object.values(servers).map(connectionsOf))
  return counts.reduce((sum, count) => sum + count)
}

function connectionsOf(server) {
  return new Promise((resolve) => server.getConnections((error, count) => resolve(error ? 0 : count)))
}

function isOver({ plan, ended, closed, open }) {
  return (ended > 0 || plan.source === 'none') && closed > 0 && open === 0
}

function judge({ plan, ended, closed, open, outcome, produced }) {
  const problems = []
  const { index, part, source, reader } = plan
  const tell = (what) => problems.push({ index, what: part ? `${what} (request ${part})` : what })
  const expected = source === 'none' ? 0 : 1
  if (ended !== expected) tell(`onEnd was called ${ended} times`)
  if (closed !== 1) tell(`onClose was called ${closed} times`)
  if (open > 0) tell('the source was not closed')
  if (produced > MOST_PRODUCED) tell(`the source produced ${produced} bytes for a reader who takes none`)
  if (source === 'none' || outcome === undefined) return problems
  const { outcomes } = expectedOf(plan)
  const { whole } = READERS[reader]
  const right = whole ? outcomes : [...outcomes, 'disconnected', 'stalled']
  // Who comes too late finds the response in other hands.
  if (reader === 'answered') right.push('error')
  if (!right.includes(outcome)) tell(`the outcome is ${outcome}, not ${right.join(' or ')}`)
  return problems
}
