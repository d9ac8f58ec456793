import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { RelayOptions, Source } from 'sse-relay'
import { relay } from 'sse-relay/node'
import { parts } from 'sse-relay/protocols'
import { readTrace, stalling, throwing, tokens } from 'sse-relay/testing'
import { LARGE, MIXED, type SeenRequest, type SuiteResult, TOKENS } from './suite.js'

/** What came of the suite in one place: its results, or why there are none. */
export interface Report {
  results?: SuiteResult[]
  error?: string
}

export interface SuiteServer {
  readonly url: string
  /** Serves this at a path. */
  serve(path: string, content: string, type: string): void
  /** What was reported under this name, now or later. */
  report(name: string): Promise<Report>
  close(): Promise<void>
}

/** What happened in one case, for the page to ask. */
class Scene {
  readonly requests: SeenRequest[] = []
  closed: Promise<'server' | 'client'> = new Promise(() => {})
  readonly runs = new Map<string, AbortController>()
  #told = 0
  #waiting: (() => void)[] = []

  go(): void {
    const waiting = this.#waiting.shift()
    if (waiting) waiting()
    else this.#told++
  }

  /** The next `go()`, or one that came before. */
  async told(): Promise<void> {
    if (this.#told > 0) this.#told--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}

interface Call {
  req: IncomingMessage
  res: ServerResponse
  scene: Scene
  url: URL
  lastEventId: string | undefined
}

const EVENT_STREAM = { 'content-type': 'text/event-stream' }

/** A relay of the source; the silence of these answers is not to be broken by heartbeats. */
const relayed =
  (source: (call: Call) => Source, options: RelayOptions = {}) =>
  (call: Call) =>
    relay(call.req, call.res, source(call), { heartbeatMs: 0, onError: () => {}, ...options })

const written = (write: (call: Call) => unknown) => (call: Call) => {
  call.res.writeHead(200, EVENT_STREAM).flushHeaders()
  return write(call)
}

async function* stepwise({ scene }: Call): AsyncGenerator<string> {
  for (const token of TOKENS) {
    yield token
    await scene.told()
  }
}

async function* slowly(): AsyncGenerator<string> {
  yield 'The'
  await sleep(200)
  yield ' answer'
}

const answers: Record<string, (call: Call) => unknown> = {
  tokens: relayed(stepwise),
  failing: relayed(() => throwing(Object.assign(new Error('a secret'), { status: 429 }), ['The', ' answer'])),
  refused: relayed(() => throwing(Object.assign(new Error('a secret'), { status: 429 }))),
  endless: relayed(
    () =>
      ({ signal }) =>
        stalling(['The'], { signal }),
  ),
  // What a body's own cancel() did reaches the network of Firefox with the next bytes only.
  beating: relayed(
    () =>
      ({ signal }) =>
        stalling(['The'], { signal }),
    { heartbeatMs: 500 },
  ),
  silent: relayed(
    () =>
      ({ signal }) =>
        stalling([], { signal }),
  ),
  slow: relayed(slowly, { heartbeatMs: 20, retryMs: 50 }),
  heartbeats: relayed(
    () =>
      ({ signal }) =>
        stalling(['The'], { signal }),
    { heartbeatMs: 20 },
  ),
  large: relayed(() => LARGE),
  echo: relayed(({ url }) => tokens(Array(20).fill(url.searchParams.get('text')), { everyMs: 1 })),
  parts: relayed(() => new Response(new Uint8Array(readTrace('openai-chat-usage.sse')), { headers: EVENT_STREAM }), {
    protocol: parts(),
  }),
  own: relayed(() => ['The', { event: 'citation', data: { page: 1 }, id: 'é-1' }, { data: 'one\ntwo' }]),

  stoppable({ req, res, scene }) {
    const runId = String(req.headers['x-run-id'])
    if (req.method === 'DELETE') {
      scene.runs.get(runId)?.abort()
      res.writeHead(204).end()
      return
    }
    const run = new AbortController()
    scene.runs.set(runId, run)
    scene.closed = closedOf(res)
    relay(req, res, ({ signal }) => stalling(['The'], { signal }), { heartbeatMs: 0, signal: run.signal })
  },

  cut: written(async ({ res, scene }) => {
    res.write('data: a\n\ndata: pend')
    await scene.told()
    res.destroy()
  }),
  reset: written(async ({ res, scene }) => {
    res.write('data: a\n\ndata: pend')
    await scene.told()
    res.socket?.resetAndDestroy()
  }),
  unended: written(({ res }) => res.end('data: a\n\ndata: pend')),
  bytes: written(async ({ res }) => {
    const event = JSON.stringify({ text: MIXED })
    for (const byte of Buffer.from(`: é\ndata: ${event}\n\ndata: [DONE]\n\n`)) {
      await new Promise((resolve) => res.write(Uint8Array.of(byte), resolve))
    }
    res.end()
  }),
  /** Its own list of events: three from where the reader was, and then it is cut in one way or another. */
  resumable: written(async ({ res, scene, lastEventId }) => {
    const from = Number(lastEventId?.split(':')[1] ?? 0)
    // Something the reader has, as a server may send that does not count exactly.
    const first = from === 6 ? 5 : from + 1
    res.write('retry: 5\n')
    for (let seq = first; seq <= Math.min(from + 3, 9); seq++) {
      res.write(`id: run-0123456789abc:${seq}\ndata: token ${seq}\n\n`)
      if (seq > from) await scene.told()
    }
    if (from >= 9) res.end('data: [DONE]\n\n')
    else if (from === 3) res.end()
    else if (from === 0) res.destroy()
    else res.socket?.resetAndDestroy()
  }),
  wide: written(({ res, lastEventId }) => {
    res.end(lastEventId ? 'data: [DONE]\n\n' : 'retry: 5\nid: € 日\ndata: a\n\n')
  }),
  offline: written(async ({ res, lastEventId }) => {
    if (lastEventId) res.end('id: run-0123456789abc:2\ndata: b\n\ndata: [DONE]\n\n')
    else res.end('retry: 3600000\nid: run-0123456789abc:1\ndata: a\n\n')
  }),
}

/** A server on loopback for the suite, and for what is to be loaded from it. */
export async function startSuiteServer(): Promise<SuiteServer> {
  const scenes = new Map<string, Scene>()
  const files = new Map<string, { content: string; type: string }>()
  const reports = new Map<string, { promise: Promise<Report>; resolve(report: Report): void }>()

  const reportOf = (name: string) => {
    let report = reports.get(name)
    if (!report) {
      let resolve!: (report: Report) => void
      const promise = new Promise<Report>((resolved) => {
        resolve = resolved
      })
      report = { promise, resolve }
      reports.set(name, report)
    }
    return report
  }

  const server = createServer(async (req, res) => {
    res.on('error', () => {})
    const closed = closedOf(res)
    const url = new URL(req.url ?? '/', 'http://localhost')
    const [, kind, name = '', rest] = url.pathname.split('/')
    const key = url.searchParams.get('key') ?? ''
    const scene = scenes.get(key) ?? new Scene()
    scenes.set(key, scene)
    const body = await text(req).catch(() => undefined)
    if (body === undefined) return
    const json = (value: unknown) =>
      res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value ?? null))

    if (kind === 'report') {
      reportOf(name).resolve(JSON.parse(body))
      json(null)
    } else if (kind === 'scene') {
      if (name === 'go') json(scene.go())
      else if (name === 'closed') json(await scene.closed)
      else json(scene.requests)
    } else if (kind === 'answer') {
      const { 'last-event-id': id, 'content-type': contentType, accept, 'x-run-id': runId } = req.headers
      // A header is bytes: this one is to be those of UTF-8.
      const lastEventId = id === undefined ? undefined : Buffer.from(String(id), 'latin1').toString()
      scene.requests.push({
        method: req.method ?? '',
        body,
        contentType,
        accept,
        lastEventId,
        runId: runId === undefined ? undefined : String(runId),
      })
      if (req.method !== 'DELETE') scene.closed = closed
      if (name === 'html') {
        res.writeHead(Number(rest), { 'content-type': 'text/html; charset=utf-8' }).end('<h1>Bad gateway €</h1>')
      } else await answers[name]?.({ req, res, scene, url, lastEventId })
    } else {
      const file = files.get(url.pathname)
      if (file) res.writeHead(200, { 'content-type': file.type, 'cache-control': 'no-store' }).end(file.content)
      else res.writeHead(404).end()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    serve: (path, content, type) => void files.set(path, { content, type }),
    report: (name) => reportOf(name).promise,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function closedOf(res: ServerResponse): Promise<'server' | 'client'> {
  return new Promise((resolve) => res.on('close', () => resolve(res.writableFinished ? 'server' : 'client')))
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
