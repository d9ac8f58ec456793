/** What does the demo's server answer: the page, the answer, and what happened to the request upstream? */
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { relay, resume } from '../../adapters/node.js'
import { isRelayError, RelayError } from '../../errors.js'
import { isRunId, parseEventId } from '../../event-id.js'
import { createMemoryLog } from '../../log/index.js'
import type { Summary } from '../../types.js'
import { findProvider, type Message } from './choose-provider.js'
import { FAILURES, type Failure } from './replay.js'

export interface DemoOptions {
  /** Where keys and models are looked up. @default process.env */
  env?: NodeJS.ProcessEnv
  /** Answers under every host name, not only under those of this machine. @default false */
  isOpen?: boolean
  /** Gets a line about each answer. @default console.log */
  log?: (line: string) => void
}

export interface Demo {
  /** Not listening yet. */
  server: Server
  /** The name of the provider, as the page shows it. */
  provider: string
  /** Ends the open answers as `shutdown`, then the server. */
  close(): Promise<void>
}

interface Question {
  messages: Message[]
  /** An id that the page chose, with which it asks what happened to the request upstream. */
  ask?: string
  demo?: Failure
  /** Whether the answer outlives its connection. */
  keep?: boolean
}

const BODY_LIMIT = 1024 * 1024
const POLL_MS = 5000
const GRACE_MS = 2000
/** The number of questions whose end upstream is remembered. */
const REMEMBERED = 500

const UNKNOWN = { state: 'unknown' }

const HTML = 'text/html; charset=utf-8'
const CSS = 'text/css; charset=utf-8'
const SCRIPT = 'text/javascript; charset=utf-8'
const FILES: ReadonlyMap<string, [name: string, type: string]> = new Map([
  ['/', ['page/index.html', HTML]],
  ['/page.css', ['page/page.css', CSS]],
  ['/page.js', ['page/page.js', SCRIPT]],
  ['/timeline.js', ['page/timeline.js', SCRIPT]],
  ['/favicon.svg', ['page/favicon.svg', 'image/svg+xml']],
])
const FILE_HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy': "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** The demo as an HTTP server. */
export async function createDemo({
  env = process.env,
  isOpen = false,
  log = console.log,
}: DemoOptions = {}): Promise<Demo> {
  const provider = await findProvider(env)
  const shutdown = new AbortController()
  const upstreams = new Map<string, Promise<object>>()
  const runs = createMemoryLog()
  /** The readers of each kept run, so that their connections can be cut. */
  const readers = new Map<string, Set<ServerResponse>>()

  async function route(req: IncomingMessage, res: ServerResponse): Promise<unknown> {
    checkHost(req, isOpen)
    const { pathname, searchParams } = new URL(`http://demo${req.url}`)
    if (pathname.startsWith('/api/')) checkOrigin(req)
    if (pathname === '/api/chat') {
      allow(req, res, 'POST', 'GET')
      if (req.method === 'POST') return answer(req, res, toQuestion(await readBody(req)))
      addReader(parseEventId(lastEventIdOf(req))?.runId, res)
      return resume(req, res, { log: runs, owner: null })
    }
    const [, runId] = /^\/api\/chat\/([\w-]+)(?:\/connection)?$/.exec(pathname) ?? []
    if (runId !== undefined) {
      allow(req, res, 'DELETE')
      if (pathname.endsWith('/connection')) for (const reader of readers.get(runId) ?? []) reader.destroy()
      else if (isRunId(runId)) await runs.stop(runId, { owner: null })
      return res.writeHead(204, { 'cache-control': 'no-store' }).end()
    }
    allow(req, res, 'GET', 'HEAD')
    if (pathname === '/api/provider') return sendJSON(res, 200, { name: provider.name, real: provider.real })
    if (pathname === '/api/upstream') {
      const end = upstreams.get(searchParams.get('ask') ?? '') ?? UNKNOWN
      // Waits, but not for ever: the page asks again.
      const open = setTimeout(POLL_MS, { state: 'open' }, { ref: false })
      return sendJSON(res, 200, await Promise.race([end, open]))
    }
    return sendFile(res, pathname)
  }

  function addReader(runId: string | undefined, res: ServerResponse): void {
    if (runId === undefined) return
    const known = readers.get(runId) ?? new Set()
    readers.set(runId, known.add(res))
    res.once('close', () => {
      known.delete(res)
      if (known.size === 0) readers.delete(runId)
    })
  }

  function answer(req: IncomingMessage, res: ServerResponse, question: Question): Promise<Summary> {
    const { messages, ask, demo, keep } = question
    const call = provider.call(messages, demo)
    let leftAt = performance.now()
    res.once('close', () => {
      leftAt = performance.now()
    })
    if (keep) addReader(String(req.headers['x-run-id']), res)
    let calls = 0
    const source = ({ signal }: { signal: AbortSignal }) => {
      calls++
      return call.start(signal)
    }
    let ended = (_: Summary) => {}
    const end = new Promise<Summary>((resolve) => {
      ended = resolve
    })
    const run = relay(req, res, source, {
      ...(keep && { log: runs, owner: null }),
      shutdown: shutdown.signal,
      onError: (error) => log(`  ${error instanceof Error ? `${error.name}: ${error.message}` : error}`),
      onEnd(summary) {
        log(toLine(summary))
        ended(summary)
      },
    })
    remember(
      ask,
      // A kept run goes on after its reader has left, so the end of the run counts.
      (keep ? end : run).then(async ({ outcome }) => {
        const end = await call.ended()
        if (!end) return UNKNOWN
        if (keep) return { state: 'closed', ...end, calls }
        if (outcome !== 'disconnected') return { state: 'closed', ...end }
        const afterMs = performance.now() - leftAt
        const count = end.total === undefined ? '' : `, ${end.sent} of ${end.total} tokens sent`
        log(`  upstream ${end.by === 'client' ? 'closed by client' : end.by} after ${afterMs.toFixed(1)} ms${count}`)
        return { state: 'closed', ...end, afterMs }
      }),
    )
    return run
  }

  function remember(ask: string | undefined, end: Promise<object>): void {
    end.catch((error) => log(`  ${error}`))
    if (ask === undefined) return
    upstreams.set(ask, end)
    for (const oldest of upstreams.keys()) {
      if (upstreams.size <= REMEMBERED) break
      upstreams.delete(oldest)
    }
  }

  let answering = 0
  const server = createServer((req, res) => {
    answering++
    res.once('close', () => {
      answering--
      closeWhenDone()
    })
    route(req, res).catch((error) => {
      // A client that left while it was asking gets no answer.
      if (res.headersSent || res.destroyed) return
      const known = isRelayError(error) && error.expose
      if (!known) log(`  ${error}`)
      const { status = 500, code, message }: RelayError = known ? error : FAILED
      sendJSON(res, status, { error: { code, message, retryable: false } })
    })
  })

  // A browser holds connections that it has not used yet, which Node does not count as idle.
  function closeWhenDone(): void {
    if (shutdown.signal.aborted && answering === 0) server.closeAllConnections()
  }

  return {
    server,
    provider: provider.name,
    async close() {
      shutdown.abort()
      await runs.close({ graceMs: 0 })
      const closed = new Promise((resolve) => server.close(resolve))
      closeWhenDone()
      const impatience = globalThis.setTimeout(() => server.closeAllConnections(), GRACE_MS)
      await closed
      clearTimeout(impatience)
    },
  }
}

const refusal = (status: number, code: string, message: string) =>
  new RelayError(code, message, { status, expose: true })

const FAILED = refusal(500, 'internal', 'The demo failed; its log says why')

const lastEventIdOf = ({ headers }: IncomingMessage) => headers['last-event-id'] as string | undefined

function allow(req: IncomingMessage, res: ServerResponse, ...methods: string[]): void {
  if (methods.includes(req.method ?? '')) return
  res.setHeader('allow', methods.join(', '))
  throw refusal(405, 'method-not-allowed', `${req.method} is not answered here, but ${methods.join(' and ')}`)
}

/** `localhost`, a name below it, or a loopback address, with or without a port. */
const LOOPBACK = /^((.+\.)?localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i

/** A site whose name was made to lead to this machine (DNS rebinding) would pass as the demo's own page. */
function checkHost({ headers: { host = '' } }: IncomingMessage, isOpen: boolean): void {
  if (isOpen || LOOPBACK.test(host)) return
  throw refusal(403, 'foreign-host', `"${host}" is no name of this machine: start the demo with --host to allow it`)
}

/** A page of another site or port may send a request here, and spend the user's tokens. */
function checkOrigin({ headers }: IncomingMessage): void {
  const { host, origin, 'sec-fetch-site': site } = headers
  const isOwn = origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)
  if (!isOwn || site === 'cross-site' || site === 'same-site') {
    throw refusal(403, 'cross-site', 'This is answered to this server’s own page, and to what is no browser')
  }
}

async function readBody(req: IncomingMessage): Promise<unknown> {
  let chunks: Buffer[] = []
  let size = 0
  for await (const chunk of req) {
    size += chunk.length
    // Reads on without keeping anything: a client reads a refusal only after it has sent everything.
    if (size > BODY_LIMIT) chunks = []
    else chunks.push(chunk)
  }
  if (size > BODY_LIMIT) throw refusal(413, 'body-too-large', `The body has ${size} bytes; the limit is ${BODY_LIMIT}`)
  try {
    return JSON.parse(Buffer.concat(chunks).toString())
  } catch (error) {
    throw refusal(400, 'invalid-json', `The body is not JSON: ${(error as Error).message}`)
  }
}

const isMessage = (value: Message | null) =>
  (value?.role === 'user' || value?.role === 'assistant') && typeof value.content === 'string' && value.content !== ''

function toQuestion(body: unknown): Question {
  const { messages, ask, demo, keep } = (body ?? {}) as Partial<Question>
  if (!Array.isArray(messages) || messages.length === 0 || !messages.every(isMessage)) {
    const shape = '{ "messages": [{ "role": "user" | "assistant", "content": "…" }] }'
    throw refusal(400, 'invalid-messages', `The body is not of the shape ${shape}, with at least one message`)
  }
  if (ask !== undefined && !/^[\w-]{8,64}$/.test(ask)) {
    throw refusal(400, 'invalid-ask', '"ask" is not an id of 8 to 64 letters, digits, - and _')
  }
  if (demo !== undefined && !FAILURES.includes(demo)) {
    throw refusal(400, 'invalid-demo', `"demo" is none of ${FAILURES.join(', ')}: ${JSON.stringify(demo)}`)
  }
  return { messages: messages.map(({ role, content }) => ({ role, content })), ask, demo, keep: keep === true }
}

function sendJSON(res: ServerResponse, status: number, value: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
  res.end(JSON.stringify(value))
}

async function sendFile(res: ServerResponse, pathname: string): Promise<void> {
  // The built library beside this file: its client, and the chunks that the client imports.
  const [, script] = /^\/sse-relay\/([a-z0-9-]+\.js)$/i.exec(pathname) ?? []
  const [name, type] = script ? [script, SCRIPT] : (FILES.get(pathname) ?? [])
  const content = name && (await readFile(new URL(name, import.meta.url)).catch(() => undefined))
  if (!content) throw refusal(404, 'not-found', `There is nothing at ${pathname}`)
  res.writeHead(200, { ...FILE_HEADERS, 'content-type': type }).end(content)
}

function toLine({ outcome, events, firstEventMs, durationMs, usage }: Summary): string {
  const first = firstEventMs === undefined ? 'none' : `${Math.round(firstEventMs)} ms`
  const tokens = usage ? `  tokens in ${usage.inputTokens ?? '?'}, out ${usage.outputTokens ?? '?'}` : ''
  return `${outcome.padEnd(12)}  events ${events}  first ${first}  in all ${Math.round(durationMs)} ms${tokens}`
}
