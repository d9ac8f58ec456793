/** What the examples of hosts without a page share: a real server, asked over a socket, with a replayed provider. */
import {
  type ClientOptions,
  collect,
  openClient,
  providerError,
  type ReplayUpstream,
  replayUpstream,
  type TestClient,
} from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Serving } from '../test/hosts/runtimes/programs.js'
import { supports } from '../test/support.js'

const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'
const TOKENS = 10
const PAUSE_MS = 60
const QUESTION = {
  method: 'POST',
  headers: { 'content-type': 'application/json', 'accept-encoding': 'gzip' },
  body: JSON.stringify({ messages: [{ role: 'user', content: 'What is an event stream?' }] }),
} satisfies ClientOptions

export interface ExampleHost {
  host: string
  version: string
  /** The folder of the example. */
  example: string
  /** The environment has the key and the address of the provider, and the port; 0 is any. */
  start(env: Record<string, string>): Promise<Serving>
}

/** What tests of one host alone have: the same server. */
export interface Started {
  server(): Serving
  upstream(): ReplayUpstream
  /** Asks. */
  open(): TestClient
}

/** Checks an example whose chat is at `/api/chat`. More tests may follow. */
export function checkHost({ host, version, example, start }: ExampleHost, more?: (started: Started) => void): void {
  const title = `${host} ${version}`
  describe(title, () => {
    supports(host, version, example)
    let upstream: ReplayUpstream
    let server: Serving
    const clients: TestClient[] = []

    beforeAll(async () => {
      upstream = await replayUpstream()
      server = await start({ PORT: '0', ANTHROPIC_API_KEY: 'test', ANTHROPIC_BASE_URL: upstream.url })
    })
    // What it prints are the failures asked for here, so it is of interest after others only.
    afterEach(({ task }) => {
      for (const client of clients.splice(0)) client.leave()
      if (task.result?.state === 'fail') console.error(server?.output.slice(-4000))
    })
    afterAll(async () => {
      await server?.close()
      await upstream?.close()
    })

    const open = () => {
      const client = openClient(`${server.url}/api/chat`, QUESTION)
      clients.push(client)
      return client
    }

    it('sends each token when it is there, uncompressed, and says at the end that all were sent', async () => {
      upstream.next({ pauseMs: PAUSE_MS })
      const client = open()
      const moments = new Map<number, number>()
      await client.until((received) => {
        moments.set(received.split('\n\n').length, performance.now())
        return received.endsWith('data: [DONE]\n\n')
      })
      expect(await client.status).toBe(200)
      expect(await client.headers).toMatchObject({
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
      })
      expect(await client.headers).not.toHaveProperty('content-encoding')
      expect((await client.closed).complete).toBe(true)
      const { outcome, text, events } = await collect(client.received)
      expect({ outcome, text }).toEqual({ outcome: 'done', text: ANSWER })
      expect(events).toHaveLength(TOKENS)
      // A busy machine may join two; a host that holds them back joins all.
      expect(moments.size).toBeGreaterThan(TOKENS / 2)
      const times = [...moments.values()]
      expect((times.at(-1) as number) - (times[0] as number)).toBeGreaterThan((TOKENS * PAUSE_MS) / 2)
    })

    it('has sent what there is while the provider is silent', async () => {
      upstream.next({ stallAfter: 4 })
      await open().until('data: {"text":"Hello"}\n\n')
    })

    it.each([
      ['while the model thinks', { delayMs: Number.POSITIVE_INFINITY }, undefined],
      ['in the middle of the answer', { stallAfter: 4 }, 'data: {"text":"Hello"}'],
    ])('stops the upstream when the reader leaves %s', async (when, replay, received) => {
      upstream.next(replay)
      const asked = upstream.request()
      const client = open()
      const request = await asked
      if (received) await client.until(received)
      const left = performance.now()
      client.leave()
      expect((await request.closed).by).toBe('client')
      console.log(`${title}: the upstream was closed ${Math.round(performance.now() - left)} ms after, ${when}`)
    })

    it('answers a refusal of the provider with its status', async () => {
      // The SDK itself would ask again.
      const headers = { 'x-should-retry': 'false', 'retry-after': '7' }
      upstream.next({ ...providerError('anthropic', 429, 'the key sk-secret has no more'), headers })
      const answer = await fetch(`${server.url}/api/chat`, QUESTION)
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '7'])
      const { error } = await collect(answer)
      expect(error).toMatchObject({ code: 'rate-limit', retryable: true })
      expect(error?.body).not.toContain('secret')
    })

    it('tells a provider that breaks off with an event, and not with a plain end', async () => {
      upstream.next({ endAfter: 8 })
      const { outcome, text } = await collect(await fetch(`${server.url}/api/chat`, QUESTION))
      expect(outcome).toBe('truncated')
      expect(ANSWER.startsWith(text)).toBe(true)
    })

    more?.({ server: () => server, upstream: () => upstream, open })
  })
}
