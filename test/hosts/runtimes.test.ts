import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RelayOptions } from 'sse-relay'
import {
  type ClientOptions,
  type Collected,
  collect,
  openClient,
  providerError,
  type Replay,
  type ReplayRequest,
  type ReplayUpstream,
  replayUpstream,
  type TestClient,
} from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { bundle } from '../client/browsers/engines.js'
import { supports } from '../support.js'
import { isSkipped, type RuntimeName, runtimeProgram, type Serving, serve } from './runtimes/programs.js'
import { FLOOD, SECRET, type Seen } from './runtimes/server.js'

// They take their time to start, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

/** What the real SDK is told by the replay, and the text of it. */
const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'
const SENTINEL = 'data: [DONE]\n\n'
const frame = (text: string) => `data: ${JSON.stringify({ text })}\n\n`

interface Runtime {
  name: RuntimeName
  /** Starts the server from its script, whose path this is. */
  start(program: string, script: string, folder: string): Promise<Serving>
  /** When it tells that a reader left, besides at the next write, which may be a heartbeat. */
  notices: { always: boolean; afterBody: boolean }
  /** What it prints of a response that fails, which is how a reader who takes nothing is dropped. */
  prints?: RegExp
}

const runtimes: Runtime[] = [
  {
    name: 'Bun',
    start: (program, script) => serve(program, ['run', script]),
    notices: { always: true, afterBody: true },
  },
  {
    name: 'Deno',
    start: (program, script) => serve(program, ['run', '--no-config', '--allow-net', '--allow-env', script]),
    // A request with a body, but for the shortest, hides it until the response has begun.
    notices: { always: true, afterBody: false },
  },
  {
    name: 'workerd',
    start(program, _script, folder) {
      const config = join(folder, 'config.capnp')
      writeFileSync(config, CONFIG)
      return serve(program, ['serve', '--control-fd=1', config])
    },
    notices: { always: false, afterBody: false },
    prints: /^.*Uncaught exception: .*RelayError: The client took nothing for stallTimeoutMs and was dropped$/gm,
  },
]

/** The upstream of the tests is on this machine, which a worker may not reach by itself. */
const CONFIG = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "main", esModule = embed "workerd.js")],
      compatibilityDate = "2026-11-17",
    )),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`

const programs = new Map(
  await Promise.all(runtimes.map(async ({ name }) => [name, await runtimeProgram(name)] as const)),
)
const titleOf = (name: RuntimeName) => {
  const { version, missing } = programs.get(name) ?? {}
  return isSkipped({ missing }) ? `${name} (skipped: ${missing})` : `${name} ${version}`
}

describe.each(runtimes.map((runtime) => [titleOf(runtime.name), runtime] as const))('%s', (_, runtime) => {
  const program = programs.get(runtime.name)

  describe.skipIf(isSkipped({ missing: program?.missing }))('serves', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sse-relay-runtime-'))
    let server: Serving
    let upstream: ReplayUpstream
    let cases = 0
    /** Begun first, because it takes its time: Bun cuts a connection after ten seconds without a byte. */
    let silent: Promise<Collected>
    const clients: TestClient[] = []

    beforeAll(async () => {
      if (!program?.path) throw new Error(program?.missing)
      const name = runtime.name.toLowerCase()
      const script = join(folder, `${name}.js`)
      writeFileSync(script, await bundle(new URL(`./runtimes/${name}.ts`, import.meta.url), 'esm'))
      upstream = await replayUpstream()
      server = await runtime.start(program.path, script, folder)
      const { url, asked } = answered('web', { pauseMs: (index) => (index === 3 ? 11_000 : 0) })
      silent = fetch(url, { method: 'POST' }).then((answer) => collect(answer))
      await asked
    })
    afterEach(({ task }) => {
      for (const client of clients.splice(0)) client.leave()
      if (task.result?.state === 'fail') console.error(server?.output.slice(-4000))
    })
    afterAll(async () => {
      await server?.close()
      await upstream?.close()
      rmSync(folder, { recursive: true, force: true })
    })

    /** One exchange, with what the server saw of it. */
    interface Exchange {
      url: string
      open(options?: ClientOptions): TestClient
      seen(): Promise<Seen>
      /** Resolves when that many runs have ended. */
      ended(): Promise<Seen>
    }

    function exchange(
      adapter: string,
      source: string,
      options: RelayOptions = {},
      query: Record<string, string> = {},
    ): Exchange {
      const name = String(++cases)
      const all = { case: name, options: JSON.stringify(options), upstream: upstream.url, ...query }
      const url = `${server.url}/${adapter}/${source}?${new URLSearchParams(all)}`
      const seen = async () => (await (await fetch(`${server.url}/seen?case=${name}`)).json()) as Seen
      return {
        url,
        seen,
        open(options) {
          const client = openClient(url, { method: 'POST', ...options })
          clients.push(client)
          return client
        },
        async ended() {
          for (const limit = performance.now() + 20_000; performance.now() < limit; await sleep(20)) {
            const now = await seen()
            expect(now.contexts.strays).toEqual([])
            if (now.ends.length > 0) return now
          }
          throw new Error(`The run has not ended: ${JSON.stringify(await seen())}`)
        },
      }
    }

    /** The same, of the provider's SDK, which is answered like this. */
    function answered(adapter: string, replay: Replay, options?: RelayOptions) {
      upstream.next(replay)
      return { ...exchange(adapter, 'openai', options), asked: upstream.request() }
    }

    /** So that a disconnect is noticed. */
    const heartbeatMs = runtime.notices.always ? 0 : 100

    /** Lets the client leave, and waits until the upstream's socket is closed. */
    async function leaves(client: TestClient, request: ReplayRequest): Promise<string> {
      const left = performance.now()
      client.leave()
      const { by } = await request.closed
      const took = performance.now() - left
      expect(by).toBe('client')
      // Aims at 100, and fails far above.
      expect(took).toBeLessThan(5000)
      return `closed after ${took.toFixed(1)} ms`
    }

    /** What holds for every adapter. */
    describe.each(['web', 'hono'])('sse-relay/%s', (adapter) => {
      if (adapter === 'hono') supports(`hono on ${runtime.name}`)
      else supports(runtime.name, program?.version)
      it('sends each token when it is there, with the headers of an event stream', async () => {
        const { open, asked } = answered(adapter, { stallAfter: 3 })
        const client = open()
        await client.until(frame('Hello'))
        expect(await client.status).toBe(200)
        expect(await client.headers).toMatchObject({
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-store, no-transform',
          'x-accel-buffering': 'no',
        })
        expect(await client.headers).not.toHaveProperty('content-encoding')
        // The upstream is silent from here on, and has not ended.
        expect((await asked).sent).toBe(3)
      })

      it('says at the end that the answer is complete', async () => {
        const { url, ended } = answered(adapter, { trace: 'openai-chat-usage.sse' })
        const { outcome, text } = await collect(await fetch(url, { method: 'POST' }))
        expect(outcome).toBe('done')
        const { ends, aborted } = await ended()
        expect(ends).toMatchObject([{ outcome: 'done', text, usage: { inputTokens: 19, outputTokens: 10 } }])
        expect(aborted).toBeUndefined()
      })

      it('answers a refusal of the provider with its status, before the first token', async () => {
        const refusal = { ...providerError('openai', 429, `Limit for ${SECRET}`), headers: { 'retry-after': '7' } }
        const { url, seen } = answered(adapter, refusal)
        const answer = await fetch(url, { method: 'POST' })
        expect(answer.status).toBe(429)
        expect(Object.fromEntries(answer.headers)).toMatchObject({
          'retry-after': '7',
          'content-type': 'application/json; charset=utf-8',
          'cache-control': 'no-store, no-transform',
        })
        const body = await answer.text()
        expect(JSON.parse(body).error).toMatchObject({ code: 'rate-limit', retryable: true })
        expect(body).not.toContain(SECRET)
        expect((await seen()).errors).toEqual([expect.stringContaining(SECRET)])
      })

      it('tells a failure in the middle with an event, without the sentinel and without secrets', async () => {
        const { open, ended } = exchange(adapter, 'failing', {}, { after: '2' })
        const client = open()
        expect(await client.closed).toMatchObject({ complete: true })
        expect(client.received).toMatch(/^(data: \{"text":"\d "\}\n\n){2}event: error\ndata: .*\n\n$/)
        expect(client.received).not.toContain(SECRET)
        expect(await ended()).toMatchObject({
          ends: [{ outcome: 'error', text: '0 1 ' }],
          errors: [`The key ${SECRET} is wrong`],
        })
      })

      it.for([
        ['before the first token', { delayMs: Number.POSITIVE_INFINITY }, undefined],
        ['in the middle of the answer', { stallAfter: 3 }, frame('Hello')],
      ] as const)('aborts the upstream when the reader leaves %s', async ([, replay, received], { annotate }) => {
        const { open, asked, ended } = answered(adapter, replay, { heartbeatMs })
        const client = open()
        const request = await asked
        if (received) await client.until(received)
        annotate(await leaves(client, request))
        expect(await ended()).toMatchObject({ ends: [{ outcome: 'disconnected' }], aborted: 'AbortError' })
      })

      it('answers HEAD with the headers alone, and asks nobody', async () => {
        const { url, seen } = exchange(adapter, 'given', {}, { given: '["Hello"]' })
        const answer = await fetch(url, { method: 'HEAD' })
        expect(answer.status).toBe(200)
        expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
        expect((await seen()).asked).toBe(0)
      })

      it('answers 204 to an EventSource that comes back after the end', async () => {
        const { url, seen } = exchange(adapter, 'given', {}, { given: '["Hello"]' })
        const headers = { accept: 'text/event-stream' }
        const { lastEventId } = await collect(await fetch(url, { headers }))
        expect(lastEventId).toMatch(/^[\w-]{16,128}:end$/)
        const again = await fetch(url, { headers: { ...headers, 'last-event-id': lastEventId } })
        expect(again.status).toBe(204)
        expect(again.headers.get('cache-control')).toBe('no-store, no-transform')
        expect((await seen()).asked).toBe(1)
      })

      it('keeps every cookie', async () => {
        const cookies: [string, string][] = [
          ['set-cookie', 'a=1'],
          ['set-cookie', 'b=2'],
        ]
        const { url } = exchange(adapter, 'given', { headers: cookies }, { given: '["Hello"]' })
        const { headers } = await fetch(url, { method: 'POST' })
        const all = adapter === 'hono' ? ['session=1', 'a=1', 'b=2'] : ['a=1', 'b=2']
        expect(headers.getSetCookie().sort()).toEqual(all.sort())
      })

      it('asks the source for no more than a reader takes, and drops who reads nothing', async ({ annotate }) => {
        const { open, ended } = exchange(adapter, 'flood', { stallTimeoutMs: 1000 })
        const client = open()
        client.pause()
        const { ends, pulled } = await ended()
        expect(ends).toMatchObject([{ outcome: 'stalled' }])
        // What the sockets of two processes hold, of 200 MiB.
        expect(pulled).toBeLessThan(FLOOD / 8)
        annotate(`${pulled} of ${FLOOD} pieces of 64 KiB`)
        client.resume()
        expect((await client.closed).complete).toBe(false)
      })
    })

    describe('the rest of the table', () => {
      supports(runtime.name, program?.version)
      it('whoever triggers it, each hook runs in the context of its own request', async () => {
        const all = ['first', 'second'].map((name) => {
          const replay = name === 'first' ? { stallAfter: 3 } : { delayMs: Number.POSITIVE_INFINITY }
          upstream.next(replay)
          return exchange('web', 'openai', { heartbeatMs: 100 }, { shutdown: 'yes' })
        })
        for (const { open } of all) await open().until((received) => received !== '')
        await fetch(`${server.url}/shutdown?case=another`)
        for (const { ended, seen } of all) {
          expect((await ended()).ends).toMatchObject([{ outcome: 'shutdown' }])
          await expect
            .poll(async () => (await seen()).contexts)
            .toEqual({
              own: expect.arrayContaining(['source', 'abort', 'onEnd', 'onClose']),
              strays: [],
            })
        }
      })

      it('a heartbeat commits, and then a refusal is an event', async () => {
        const { open } = answered('web', { ...providerError('openai', 429), delayMs: 1000 }, { heartbeatMs: 50 })
        const client = open()
        await client.until(': \n\n')
        expect(await client.status).toBe(200)
        expect(await client.closed).toMatchObject({ complete: true })
        expect(client.received).toMatch(/^(: \n\n)+event: error\ndata: \{"error":\{"code":"rate-limit".*\n\n$/)
      })

      it('an answer that the provider did not finish is truncated', async () => {
        const { url, ended } = answered('web', { endAfter: 4 })
        const { outcome, text } = await collect(await fetch(url, { method: 'POST' }))
        expect(outcome).toBe('truncated')
        expect(ANSWER.startsWith(text)).toBe(true)
        expect((await ended()).ends).toMatchObject([{ outcome: 'truncated', text }])
      })

      it('an upstream that is cut off is a failure', async () => {
        const { url } = answered('web', { resetAfter: 4, pauseMs: 20 })
        const { outcome, error } = await collect(await fetch(url, { method: 'POST' }))
        expect({ outcome, code: error?.code }).toEqual({ outcome: 'error', code: 'upstream-failure' })
      })

      it('an error of the function before the first token is a 500 that says nothing', async () => {
        const { url } = exchange('web', 'failing')
        const answer = await fetch(url, { method: 'POST' })
        expect(answer.status).toBe(500)
        expect(await answer.text()).not.toContain(SECRET)
      })

      it('an answer without an event is the sentinel alone', async () => {
        const { open } = exchange('web', 'given')
        const client = open()
        await client.closed
        expect([await client.status, client.received]).toEqual([200, SENTINEL])
      })

      it('line breaks of every kind are data lines, and cannot be fields', async () => {
        const given = [{ data: 'a\rid: 7\r\nevent: no\nb' }, 'text\r\n\r\ndata: [DONE]']
        const { url } = exchange('web', 'given', {}, { given: JSON.stringify(given) })
        const { events, text, outcome } = await collect(await fetch(url, { method: 'POST' }))
        expect(events[0]).toEqual({ data: 'a\nid: 7\nevent: no\nb' })
        expect({ text, outcome }).toEqual({ text: given[1], outcome: 'done' })
      })

      it('a line break in the name of an event is refused', async () => {
        const given = [{ event: 'a\ndata: b', data: 'c' }]
        const { url } = exchange('web', 'given', {}, { given: JSON.stringify(given) })
        const { error } = await collect(await fetch(url, { method: 'POST' }))
        expect([error?.status, error?.code]).toEqual([500, 'invalid-field'])
      })

      it('a run that takes too long ends as expired, and its upstream with it', async () => {
        const { url, asked, ended } = answered('web', { stallAfter: 3 }, { maxDurationMs: 500 })
        const { outcome } = await collect(await fetch(url, { method: 'POST' }))
        expect(outcome).toBe('expired')
        expect((await (await asked).closed).by).toBe('client')
        expect(await ended()).toMatchObject({ ends: [{ outcome: 'expired' }], aborted: 'AbortError' })
      })

      it('a reader who reads on gets all of a long answer', async () => {
        const { url } = exchange('web', 'counting', {}, { count: '20000' })
        const { text, events, outcome } = await collect(await fetch(url, { method: 'POST' }))
        expect(outcome).toBe('done')
        expect(events).toHaveLength(20_000)
        expect(text).toBe(Array.from({ length: 20_000 }, (_, index) => `${index} `).join(''))
      })

      it('a body that nobody reads does not hide that the reader left', async ({ annotate }) => {
        const heartbeatMs = runtime.notices.afterBody ? 0 : 100
        const { open, asked } = answered('web', { delayMs: Number.POSITIVE_INFINITY }, { heartbeatMs })
        const client = open({ body: 'x'.repeat(5_000_000) })
        annotate(await leaves(client, await asked))
      })

      it('a reader whose machine crashed is noticed too', async () => {
        const { open, asked } = answered('web', { stallAfter: 3 }, { heartbeatMs })
        const client = open()
        await client.until(frame('Hello'))
        client.reset()
        expect((await (await asked).closed).by).toBe('client')
      })

      it('eleven seconds of silence are survived with the default heartbeat', async () => {
        const { outcome, text, comments } = await silent
        expect({ outcome, text }).toEqual({ outcome: 'done', text: ANSWER })
        expect(comments).toBeGreaterThan(0)
      })

      /** What is true where a runtime cannot tell, so that a better one is noticed. */
      async function unnoticed(body: string, replay: Replay, received?: string) {
        const { open, asked, seen } = answered('web', replay, { heartbeatMs: 0, maxDurationMs: 5000 })
        const client = open({ body })
        const request = await asked
        if (received) await client.until(received)
        else await expect.poll(seen).toMatchObject({ asked: 1 })
        // The body was sent by then.
        await sleep(200)
        client.leave()
        // Nothing but the end of the run ends it.
        expect((await request.closed).atMs).toBeGreaterThan(3000)
        expect((await seen()).ends).toMatchObject([{ outcome: 'expired' }])
      }

      if (!runtime.notices.always) {
        it('without a heartbeat nobody notices that a reader left while the provider is silent', () =>
          unnoticed('{}', { stallAfter: 3 }, frame('Hello')))
      }
      if (!runtime.notices.afterBody) {
        it('without a heartbeat nobody notices that the reader of a POST left before the first token', () =>
          unnoticed('x'.repeat(1000), { delayMs: Number.POSITIVE_INFINITY }))
      }
    })

    it('and of all that nothing ran in the context of another request', async () => {
      for (let name = 1; name <= cases; name++) {
        const { contexts } = (await (await fetch(`${server.url}/seen?case=${name}`)).json()) as Seen
        expect(contexts.strays).toEqual([])
      }
    })

    it('and after all that no rejection was left to nobody, and it still runs', async () => {
      expect(await (await fetch(`${server.url}/unhandled`)).json()).toEqual([])
      expect(server.output.replace(runtime.prints ?? '', '')).not.toMatch(/unhandled|uncaught/i)
    })
  })
})
