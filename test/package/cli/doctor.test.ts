// Whether doctor finds in a server what is wrong with it, and nothing else.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { createSecureServer } from 'node:http2'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createGzip, gzipSync, constants as zlib } from 'node:zlib'
import compression from 'compression'
import express from 'express'
import { relay as relayExpress } from 'sse-relay/express'
import { createMemoryLog } from 'sse-relay/log'
import { relay } from 'sse-relay/node'
import { replayUpstream } from 'sse-relay/testing'
import { describe, expect, it, vi } from 'vitest'
import { LIMITS } from '../../../src/cli/doctor/idle-timeouts.js'
import type { Arrival, ObserveOptions } from '../../../src/cli/doctor/observe.js'
import { RULES } from '../../../src/cli/doctor/rules.js'
import { DONE, FRAMES, HEADERS, type Script, scripted, serve } from './broken.js'
import { type Ask, look, POST, tokens } from './look.js'

// Silences of ten seconds are among what is looked for; the tests wait beside each other.
vi.setConfig({ testTimeout: 60_000, maxConcurrency: 40 })

const ORIGIN = 'https://your.app'
const gathered: RequestListener = async (_req, res) => {
  await wait(1500)
  res.writeHead(200, HEADERS).end(FRAMES.join('') + DONE)
}

const gzipped =
  (flushes: boolean, headers: Record<string, string> = HEADERS): RequestListener =>
  async (req, res) => {
    res.writeHead(200, { ...headers, 'content-encoding': 'gzip' })
    if (req.method === 'HEAD') return void res.end()
    res.flushHeaders()
    const gzip = createGzip()
    gzip.pipe(res)
    for (const frame of [...FRAMES, DONE]) {
      await wait(130)
      gzip.write(frame)
      if (flushes) gzip.flush(zlib.Z_SYNC_FLUSH)
    }
    gzip.end()
  }

/** An Express app as they are written by hand: HEAD is answered by the GET route, which runs on. */
function runsForHead(): RequestListener {
  const app = express()
  app.get('/', async (_req, res) => {
    res.set(HEADERS).flushHeaders()
    for (let index = 0; index < 40; index++) {
      await wait(100)
      res.write(FRAMES[0])
    }
    res.end(DONE)
  })
  return app as unknown as RequestListener
}

const hangsOnHead: RequestListener = (req, res) => req.method !== 'HEAD' && scripted({})(req, res)

const cors =
  (preflight: Script, headers: Record<string, string> = { 'access-control-allow-origin': ORIGIN }): RequestListener =>
  (req, res) =>
    scripted(
      req.method === 'OPTIONS' ? { frames: [], ...preflight } : { headers: { ...HEADERS, ...headers }, pauseMs: 20 },
    )(req, res)

const ALLOWED = {
  'access-control-allow-origin': ORIGIN,
  'access-control-allow-methods': 'POST',
  'access-control-allow-headers': 'content-type',
}

/** What a page needs that asks, reads on and stops. */
const RESUMABLE = {
  'access-control-allow-origin': ORIGIN,
  'access-control-allow-methods': 'GET, POST, DELETE',
  'access-control-allow-headers': 'content-type, x-run-id, last-event-id',
  'access-control-expose-headers': 'x-run-id, x-heartbeat-ms, retry-after, date',
}

/** A relay with a log, and these headers on each of its answers. */
const kept = (headers: Record<string, string>): RequestListener => {
  const log = createMemoryLog()
  return (req, res) => {
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
    if (req.method === 'OPTIONS') res.writeHead(204).end()
    else relay(req, res, tokens, { log, owner: null })
  }
}

const lengthOf = (frames: readonly string[]) => String(Buffer.byteLength(frames.join('')))

/** Three events at once. */
const THREES = Array.from({ length: 8 }, () => FRAMES.slice(0, 3).join(''))

/** Each server, the one finding it must yield, and what that says. */
const faults: [
  fault: string,
  code: string,
  server: RequestListener | Script,
  said: RegExp,
  ask?: Ask,
  more?: Partial<ObserveOptions>,
][] = [
  [
    'answers 401',
    'http-status',
    { status: 401, headers: { 'content-type': 'application/json' }, frames: ['{"error":"no key"}'] },
    /^status 401: \{"error":"no key"\}$/,
  ],
  ['redirects', 'http-status', { status: 302, headers: { location: '/there' }, frames: [] }, /^302, to \/there$/],
  ['answers 204', 'http-status', { status: 204, headers: {}, frames: [] }, /^status 204$/],
  [
    'sends text/plain',
    'content-type',
    { headers: { ...HEADERS, 'content-type': 'text/plain' } },
    /^content-type is text\/plain$/,
  ],
  ['sends no content type', 'content-type', { headers: { 'cache-control': 'no-store, no-transform' } }, /missing/],
  [
    'answers with nothing, as for a handler that does not wait',
    'empty',
    { headers: {}, frames: [] },
    /^status 200, no body, and content-type is missing$/,
  ],
  [
    'names another charset',
    'charset',
    { headers: { ...HEADERS, 'content-type': 'text/event-stream; charset=iso-8859-1' } },
    /iso-8859-1/,
  ],
  [
    'leaves out no-transform',
    'no-transform',
    { headers: { ...HEADERS, 'cache-control': 'no-cache' } },
    /^cache-control is no-cache$/,
  ],
  [
    'lets caches keep a GET',
    'cacheable',
    { headers: { ...HEADERS, 'cache-control': 'no-transform' } },
    /^cache-control is no-transform$/,
  ],
  ['compresses, and flushes', 'compressed', gzipped(true), /gzip/],
  [
    'knows the length before',
    'content-length',
    { headers: { ...HEADERS, 'content-length': lengthOf([...FRAMES, DONE]) } },
    /^content-length is \d+$/,
  ],
  [
    'holds the head back for more than ten seconds',
    'held-headers',
    { delayMs: 10_500 },
    /^the head came after 1\d\.\d s .* Bun\.serve \(idleTimeout\) after 10 s \[/,
  ],
  ['gathers the answer', 'buffered', gathered, /^12 events came within \d+ ms, after 1\.\d s of nothing$|^13 events/],
  [
    'gathers it in lumps',
    'buffered',
    { frames: [0, 1, 2].map(() => FRAMES.join('')).concat(DONE), pauseMs: (index) => (index < 3 ? 700 : 0) },
    /^37 events came in 3 lumps/,
  ],
  [
    'gathers it for 300 ms at a time',
    'lumps',
    { frames: [...THREES, DONE], pauseMs: 300 },
    /^events came 3 at a time, every \d+ ms, with nothing in between$/,
  ],
  [
    'sends two events together again and again',
    'lumps',
    { frames: [...THREES.map((frames) => frames.replace(/^.*\n\n/, '')), DONE], pauseMs: 200 },
    /^events came 2 at a time, every \d+ ms/,
  ],
  [
    'is silent for more than ten seconds',
    'silence',
    { pauseMs: (index) => (index === 6 ? 10_500 : 80) },
    /^nothing came for 1\d\.\d s, .* Bun\.serve/,
  ],
  ['is cut in the middle', 'truncated', { frames: FRAMES, end: 'destroy' }, /1[12] events$/],
  ['ends without the sentinel', 'sentinel-missing', { frames: FRAMES }, /after 12 events without \[DONE\]$/],
  ['ends half-way through an event', 'sentinel-missing', { frames: [...FRAMES, 'data: {"text":"ha'] }, /12 events/],
  ['ends without any event', 'sentinel-missing', { frames: [] }, /after 0 events/],
  ['sends the sentinel twice', 'sentinel-doubled', { frames: [...FRAMES, DONE, DONE] }, /^\[DONE\] came 2 times$/],
  [
    'goes on after the sentinel',
    'after-end',
    { frames: [...FRAMES, DONE, FRAMES[0] as string] },
    /^1 after \[DONE\], the first of them \{"text":"piece 0 "\}$/,
  ],
  ['does not end the response', 'left-open', { end: 'never' }, /still open [3-9]\.\d s after \[DONE\]$/],
  [
    'reports a failure',
    'failed',
    { frames: [...FRAMES, 'event: error\ndata: {"error":{"code":"overload"}}\n\n'] },
    /overload/,
  ],
  ['runs the stream for HEAD', 'head', runsForHead(), /went on as if for a GET/],
  ['never answers HEAD', 'head', hangsOnHead, /HEAD was not answered within 1\d\.\d s/],
  [
    'answers OPTIONS with 404',
    'cors-preflight',
    cors({ status: 404 }),
    /^OPTIONS was answered with 404$/,
    POST,
    { origin: ORIGIN },
  ],
  [
    'does not allow the content type',
    'cors-preflight',
    cors({ status: 204, headers: { 'access-control-allow-origin': '*' } }),
    /allow-headers is missing, without content-type$/,
    POST,
    { origin: ORIGIN },
  ],
  [
    'has a wildcard where authorization is sent',
    'cors-preflight',
    cors({ status: 204, headers: { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' } }),
    /without authorization$/,
    { ...POST, headers: { ...POST.headers, authorization: 'Bearer x' } },
    { origin: ORIGIN },
  ],
  [
    'does not allow PUT',
    'cors-preflight',
    cors({ status: 204, headers: ALLOWED }),
    /allow-methods is POST, without PUT/,
    { ...POST, method: 'PUT' },
    { origin: ORIGIN },
  ],
  [
    'allows the origin to OPTIONS only',
    'cors-origin',
    cors({ status: 204, headers: ALLOWED }, {}),
    /^access-control-allow-origin is missing, for the origin https:\/\/your\.app$/,
    POST,
    { origin: ORIGIN },
  ],
  [
    'has the origin set by two layers',
    'cors-origin',
    cors({ status: 204, headers: ALLOWED }, { 'access-control-allow-origin': `${ORIGIN}, ${ORIGIN}` }),
    /two layers/,
    POST,
    { origin: ORIGIN },
  ],
  [
    'has a wildcard where cookies are sent',
    'cors-origin',
    cors({}, { 'access-control-allow-origin': '*' }),
    /with cookies$/,
    { headers: { cookie: 'a=b' } },
    { origin: ORIGIN },
  ],
  [
    'does not allow what fetchSSE sends to read on',
    'cors-resume',
    kept({ ...RESUMABLE, 'access-control-allow-headers': 'content-type' }),
    /^access-control-allow-headers is content-type, without last-event-id, x-run-id$/,
    POST,
    { origin: ORIGIN },
  ],
  [
    'has a wildcard for what fetchSSE sends, where cookies are sent',
    'cors-resume',
    kept({
      ...RESUMABLE,
      'access-control-allow-credentials': 'true',
      'access-control-allow-headers': '*, content-type',
    }),
    /without last-event-id, x-run-id$/,
    { ...POST, headers: { ...POST.headers, cookie: 'a=b' } },
    { origin: ORIGIN },
  ],
  [
    'lets no page of another origin stop a run of a log',
    'cors-stop',
    kept({ ...RESUMABLE, 'access-control-allow-methods': 'GET, POST' }),
    /^access-control-allow-methods is GET, POST, without DELETE$/,
    POST,
    { origin: ORIGIN },
  ],
  [
    'exposes nothing of an answer without a log',
    'cors-exposed',
    (req, res) => {
      for (const [name, value] of Object.entries(ALLOWED)) res.setHeader(name, value)
      if (req.method === 'OPTIONS') res.writeHead(204).end()
      else relay(req, res, tokens)
    },
    /^access-control-expose-headers is missing, without x-heartbeat-ms$/,
    POST,
    { origin: ORIGIN },
  ],
  [
    'exposes the run’s id of an answer with a log, and no more',
    'cors-exposed',
    kept({ ...RESUMABLE, 'access-control-expose-headers': 'X-Run-Id' }),
    /is X-Run-Id, without x-heartbeat-ms, retry-after, date$/,
    POST,
    { origin: ORIGIN },
  ],
  [
    'breaks a line inside of the data',
    'malformed',
    { frames: [...FRAMES, 'data: two\nlines\n\n', DONE] },
    /^line 26, byte \d+: no field/,
  ],
]

const page = readFileSync(new URL('../../../docs/doctor.md', import.meta.url), 'utf8')
const [, findingsOfPage = ''] = page.split(/^## Findings$/m)

describe('doctor', () => {
  it('has a broken server for every rule', () => {
    const shown = new Set(faults.map(([, code]) => code))
    expect(RULES.map(({ code }) => code).filter((code) => !shown.has(code))).toEqual([])
  })

  it('has a section for every rule on its page, with the same severity, and no other', () => {
    const sections = [...findingsOfPage.matchAll(/^### (\S+)\n\n(Fault|Warning)\b/gm)]
    const told = sections.map(([, code, severity]) => [code, severity?.toLowerCase()])
    expect(told.sort()).toEqual(RULES.map(({ code, severity }) => [code, severity]).sort())
    expect(page.match(/^### /gm)?.length).toBe(RULES.length)
  })

  it('has the limits it knows on its page, with their sources', () => {
    const rows = [...findingsOfPage.matchAll(/^\| ([^|]+) \| (\d+) s[^|]* \| ([^|]+) \|$/gm)]
    const told = rows.map(([, where, seconds, source]) => ({ where, seconds: Number(seconds), source }))
    expect(told).toEqual(LIMITS)
  })
})

describe.concurrent('a server that', () => {
  it.each(faults)('%s yields %s and nothing else', async (_, code, server, said, ask, options) => {
    await using served = await serve(typeof server === 'function' ? server : scripted(server))
    const paced = typeof server !== 'function' && ['buffered', 'lumps'].includes(code) ? server : undefined
    const { findings } = await look(served.url, ask, options, paced)
    expect(findings.map(({ code }) => code)).toEqual([code])
    expect(findings[0]?.what).toMatch(said)
  })
})

const FIRST = FRAMES[0] as string
const AT = Buffer.byteLength(FIRST)

describe.concurrent('a malformed stream', () => {
  it.each([
    ['a line break inside of the data', 'data: two\nlines\n\n', 4, AT + 10, /a line break inside of the data/],
    ['a field in capitals', 'Data: x\n\n', 3, AT, /"Data" is no field, .* write "data"/],
    ['a space before the field', ' data: x\n\n', 3, AT, /" data" is no field/],
    ['JSON without a field', '{"text":"x"}\n\n', 3, AT, /no field, which clients ignore: "\{/],
    ['an event without data', 'event: ping\n\n', 3, AT, /event "ping" has no data line/],
    ['bytes that are no UTF-8', Buffer.from('data: {"text":"\xff"}\n\n', 'latin1'), 3, AT, /no UTF-8/],
    ['NUL in an id', 'id: a\0b\ndata: x\n\n', 3, AT, /an id with NUL/],
    ['a retry that is no number', 'data: x\nretry: soon\n\n', 4, AT + 8, /no number of milliseconds/],
    [
      'an event spliced into another',
      'data: {"text":"haevent: error\ndata: {}\n\n',
      3,
      AT,
      /begins as JSON and is none/,
    ],
  ] as const)('is told by line and byte: %s', async (_, frame, line, byte, said) => {
    await using served = await serve(scripted({ frames: [FIRST, frame, ...FRAMES, DONE], pauseMs: 30 }))
    const { findings } = await look(served.url, POST)
    expect(findings.map(({ code }) => code)).toEqual(['malformed'])
    expect(findings[0]?.places).toEqual([{ line, byte, what: expect.stringMatching(said) }])
  })

  it('is one whose last event has no blank line', async () => {
    await using served = await serve(scripted({ frames: [...FRAMES, 'data: [DONE]\n'], pauseMs: 30 }))
    const { findings } = await look(served.url, POST)
    expect(findings.map(({ code }) => code)).toEqual(['malformed'])
    expect(findings[0]?.what).toMatch(/^line 25, byte \d+: the last block has no blank line/)
  })

  it('is told apart from one with other line ends, comments, a byte order mark and fields without a value', async () => {
    const odd = '\ufeff: hello\r\ndata\r\rid\nretry: 10\n\nevent: a\ndata: {\n\ndata: [DONE]\r\n\r\n'
    await using served = await serve(scripted({ frames: [odd] }))
    expect((await look(served.url, POST)).codes).toEqual([])
  })
})

describe.concurrent('nothing is wrong with', () => {
  it('a relay, also when the model thinks first and HEAD is asked for', async () => {
    await using served = await serve((req, res) =>
      relay(req, res, async function* (context) {
        await wait(1500)
        yield* tokens(context)
      }),
    )
    const { findings, observation, notes } = await look(served.url)
    expect(findings).toEqual([])
    expect(observation.head).toMatchObject({ answer: { status: 200 }, busy: false })
    expect(observation.arrivals.length).toBeGreaterThan(10)
    expect(notes).toEqual([expect.stringMatching(/^No heartbeat was due/)])
  })

  it('a relay of a server that gives early hints, and says that its answers are coded in none', async () => {
    await using served = await serve((req, res) => {
      res.writeEarlyHints({ link: '</style.css>; rel=preload' })
      relay(req, res, tokens, { headers: { 'content-encoding': 'none' } })
    })
    const { findings, observation } = await look(served.url)
    expect(findings).toEqual([])
    expect(observation.head).toMatchObject({ answer: { status: 200 } })
  })

  it('a relay whose heartbeats keep a long silence short', async () => {
    await using served = await serve((req, res) =>
      relay(
        req,
        res,
        async function* (context) {
          yield* tokens(context, 3)
          await wait(11_000)
          yield* tokens(context, 3)
        },
        { heartbeatMs: 3000 },
      ),
    )
    const { findings, notes } = await look(served.url, POST)
    expect(findings).toEqual([])
    expect(notes.join()).toMatch(/Heartbeats came [3-9]\.\d s apart/)
  })

  it('a relay behind the compression middleware of Express', async () => {
    const app = express()
    app.use(compression({ threshold: 0 }))
    app.post('/', (req, res) => relayExpress(req, res, tokens))
    await using served = await serve(app as unknown as RequestListener)
    expect((await look(served.url, POST)).findings).toEqual([])
  })

  it('a relay that lets the page of another origin in', async () => {
    await using served = await serve((req, res) => {
      res.setHeader('access-control-allow-origin', ORIGIN).setHeader('access-control-allow-headers', 'content-type')
      res.setHeader('access-control-expose-headers', 'x-heartbeat-ms')
      if (req.method === 'OPTIONS') res.writeHead(204).end()
      else relay(req, res, tokens)
    })
    const { findings, observation, notes } = await look(served.url, POST, { origin: ORIGIN })
    expect(findings).toEqual([])
    expect(notes).toContain(`A page of ${ORIGIN} may send this request and read its answer.`)
    expect(observation.cors?.preflight).toMatchObject({ status: 204, asked: ['content-type'] })
  })

  it('a relay with a log whose page may also read on and stop', async () => {
    const allowed = { ...RESUMABLE, 'access-control-allow-credentials': 'true' }
    await using served = await serve(kept(allowed))
    const cookie = { ...POST, headers: { ...POST.headers, cookie: 'a=b' } }
    const { findings, observation, notes } = await look(served.url, cookie, { origin: ORIGIN })
    expect(findings).toEqual([])
    expect(notes).toContain(`A page of ${ORIGIN} may send this request, also to read on, and read its answer.`)
    expect(notes.join()).not.toMatch(/DELETE/)
    expect(observation.cors).toMatchObject({
      preflight: { method: 'POST', asked: ['content-type'] },
      resume: { method: 'GET', asked: ['last-event-id', 'x-run-id'] },
      stop: { method: 'DELETE', asked: ['x-run-id'] },
    })
  })

  it('a relay with a log that an EventSource of another origin reads, which asks for no permission', async () => {
    await using served = await serve(
      kept({ 'access-control-allow-origin': ORIGIN, 'access-control-expose-headers': '*' }),
    )
    const { findings, observation } = await look(served.url, {}, { origin: ORIGIN })
    expect(findings).toEqual([])
    expect(observation.cors).toEqual({ origin: ORIGIN, credentials: false })
  })

  it('a provider’s own stream, which ends in its own way', async () => {
    await using upstream = await replayUpstream({ pauseMs: 80, headers: HEADERS })
    const ask = { ...POST, body: '{"stream":true}' }
    expect((await look(`${upstream.url}/v1/messages`, ask)).findings).toEqual([])
    expect((await look(`${upstream.url}/v1/chat/completions`, ask)).findings).toEqual([])
    expect((await look(`${upstream.url}/v1/responses`, ask)).findings).toEqual([])
  })

  it('a fast answer after a long thought', async () => {
    const script = { pauseMs: (index: number) => (index === 0 ? 1500 : 25) }
    await using served = await serve(scripted(script))
    expect((await look(served.url, POST, {}, script)).findings).toEqual([])
  })

  it('an answer of three events, but that buffering cannot be told from it is said', async () => {
    await using served = await serve(scripted({ frames: [[...FRAMES.slice(0, 2), DONE].join('')] }))
    const { findings, notes } = await look(served.url, POST)
    expect(findings).toEqual([])
    expect(notes).toContainEqual(expect.stringMatching(/^Too short to tell .* \(3 events\)/))
  })

  it('a server without x-accel-buffering, but that an nginx in front would need it is said', async () => {
    await using served = await serve(scripted({}))
    const { findings, notes, unsure } = await look(served.url, POST, {}, {})
    expect({ findings, unsure }).toEqual({ findings: [], unsure: undefined })
    expect(notes).toContainEqual(expect.stringMatching(/^No x-accel-buffering: no\. .*nothing to fix on this way/))
  })

  it('a short answer without x-accel-buffering, but not that there is nothing to fix', async () => {
    await using served = await serve(scripted({ frames: [[...FRAMES.slice(0, 2), DONE].join('')] }))
    const { notes } = await look(served.url, POST)
    expect(notes).toContainEqual(expect.stringMatching(/^No x-accel-buffering: no\. Ask the server itself/))
  })

  it('a stream without a sentinel, or with another one, where that is said', async () => {
    await using endless = await serve(scripted({ frames: FRAMES }))
    await using other = await serve(scripted({ frames: [...FRAMES, 'data: over\n\n'] }))
    expect((await look(endless.url, POST, { sentinel: false })).findings).toEqual([])
    expect((await look(other.url, POST, { sentinel: 'over' })).findings).toEqual([])
  })

  it('a stream that goes on for longer than one looks, and that is said', async () => {
    await using served = await serve(scripted({ frames: FRAMES, end: 'never' }))
    const { findings, notes } = await look(served.url, POST, { maxMs: 3000 })
    expect(findings).toEqual([])
    expect(notes).toContainEqual(expect.stringMatching(/^Left after \d+\.\d s, with the stream still open/))
  })

  const openssl = ['/usr/bin/openssl', '/opt/homebrew/bin/openssl', '/usr/local/bin/openssl'].find(existsSync)
  it.skipIf(!openssl && !process.env.CI)('a relay over HTTP/2, which is asked for as a browser does', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sse-relay-tls-'))
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const how = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1']
    await promisify(execFile)(openssl ?? 'openssl', [...how, '-subj', '/CN=localhost', '-keyout', key, '-out', cert])
    const server = createSecureServer({ key: readFileSync(key), cert: readFileSync(cert), allowHTTP1: true })
    rmSync(folder, { recursive: true })
    server.on('request', (req, res) => relay(req, res, tokens))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
    try {
      await expect(look(url, POST)).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
      const { findings, observation } = await look(url, {}, { insecure: true })
      expect(findings).toEqual([])
      expect(observation).toMatchObject({ httpVersion: '2', ending: 'complete', head: { answer: { status: 200 } } })
      expect(observation.events.length).toBe(31)
    } finally {
      server.close()
    }
  })
})

describe.concurrent('what could not be told', () => {
  it.each([
    [
      'a burst after less than a second of nothing',
      600,
      FRAMES.join('') + DONE,
      /^13 of 13 events came at once, after /,
    ],
    ['a burst at once', 0, FRAMES.join('') + DONE, /^Too short to tell/],
    ['two events', 50, FRAMES.slice(0, 1).join('') + DONE, /^Too short to tell/],
  ])('is whether something buffers, of %s', async (_, pauseMs, frame, said) => {
    const script = { frames: [frame], pauseMs }
    await using served = await serve(scripted(script))
    const { findings, notes, unsure } = await look(served.url, POST, {}, script)
    expect({ findings, unsure }).toEqual({ findings: [], unsure: 'buffering' })
    expect(notes[0]).toMatch(said)
  })

  it('never stands beside a silence that is another one than that of the finding', async () => {
    await using served = await serve(gathered)
    const { codes, notes } = await look(served.url, POST)
    expect(codes).toEqual(['buffered'])
    expect(notes.join()).not.toContain('longest silence')
  })
})

describe.concurrent('a refusal', () => {
  it.each([
    [
      'a page with a title',
      '<!doctype html><html><head><title>502 Bad\n Gateway</title></head><body><h1>x</h1>',
      '502 Bad Gateway',
    ],
    [
      'a page without',
      '<html><style>p{}</style><body><h1>Not here</h1><p>Go&nbsp;away</p></body>',
      'Not here Go&nbsp;away',
    ],
    ['JSON that holds a tag', '{"error":"<title>no</title>"}', '{"error":"<title>no</title>"}'],
    ['an empty body', '', undefined],
  ])('is told in one line: %s', async (_, body, said) => {
    await using served = await serve((_req, res) => void res.writeHead(502).end(body))
    const { findings } = await look(served.url, POST)
    expect(findings[0]?.what).toBe(`status 502${said === undefined ? '' : `: ${said}`}`)
  })
})

const MiB = 1024 * 1024

describe('a stream without an end to it', () => {
  const endless =
    (piece: Buffer, headers: Record<string, string> = {}): RequestListener =>
    (_req, res) => {
      res.writeHead(200, { ...HEADERS, ...headers })
      const write = () => {
        while (!res.destroyed && res.write(piece));
        res.once('drain', write)
      }
      write()
    }
  const block = (text: string) => Buffer.from(text.repeat(Math.ceil(65_536 / text.length)))
  const bomb = gzipSync(Buffer.alloc(24 * MiB, 'data: {"text":"x"}\n\n'))
  const sizeOf = (arrivals: Arrival[]) => arrivals.reduce((sum, { bytes }) => sum + bytes, 0)

  it.each([
    ['events', endless(block('data: x\n\n'))],
    ['heartbeats', endless(block(': \n\n'))],
    ['blank lines', endless(block('\n'))],
    ['lines that are no fields', endless(block('x\n'))],
    ['one comment', endless(block(':x'))],
    ['an event of many lines', endless(block('data\n'))],
    ['a bomb of gzip', endless(bomb, { 'content-encoding': 'gzip' })],
    [
      'a whole bomb of gzip',
      ((_req, res) => void res.writeHead(200, { ...HEADERS, 'content-encoding': 'gzip' }).end(bomb)) as RequestListener,
    ],
  ])('is left, whatever it sends: %s', async (_, server) => {
    await using served = await serve(server)
    const { observation } = await look(served.url, POST, { maxBytes: MiB })
    expect(observation.ending).not.toBe('complete')
    const { arrivals, events, comments, flaws } = observation
    expect(sizeOf(arrivals)).toBeLessThan(2 * MiB)
    expect(events.length + comments.length).toBeLessThan(140_000)
    expect(flaws.length).toBeLessThanOrEqual(1000)
  })

  it('is left after 8 MiB of one line', async () => {
    await using served = await serve(endless(block('x')))
    const { observation } = await look(served.url, POST)
    expect(observation.limit).toBe('8 MiB')
    expect(sizeOf(observation.arrivals)).toBeLessThan(9 * MiB)
  })

  it('is one whose head never ends, too', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {})
      socket.write('HTTP/1.1 200 OK\r\n')
      const write = () => {
        while (!socket.destroyed && socket.write(`x-more: ${'x'.repeat(1000)}\r\n`));
        socket.once('drain', write)
      }
      write()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    await expect(look(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)).rejects.toThrow()
    server.close()
  })
})

describe.concurrent('in front of a good server', () => {
  it('compression that is not told to leave it alone is found', async () => {
    const app = express()
    app.use(compression({ threshold: 0 }))
    app.post('/', (req, res) =>
      scripted({ headers: { ...HEADERS, 'cache-control': 'no-store' }, pauseMs: 150 })(req, res),
    )
    await using served = await serve(app as unknown as RequestListener)
    expect((await look(served.url, POST)).codes).toEqual(['buffered', 'compressed', 'no-transform'])
  })

  it('compression that does not flush is found', async () => {
    await using served = await serve(gzipped(false))
    expect((await look(served.url, POST)).codes).toEqual(['buffered', 'compressed'])
  })
})
