import { getEventListeners } from 'node:events'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { RelayError, type RelayOptions, type Source, type SourceContext, type Summary } from 'sse-relay'
import { parts } from 'sse-relay/protocols'
import { collect, providerError, type Replay, stalling, throwing, tokens, truncated } from 'sse-relay/testing'
import { describe, expect, it, vi } from 'vitest'
import {
  answerTo,
  ask,
  chat,
  type Feed,
  failureIn,
  feed,
  frame,
  fulfilled,
  open,
  overHosts,
  post,
  RUN_ID,
  relaying,
  SECRET,
  SENTINEL,
  upstream,
} from './harness.js'

overHosts((host) => {
  describe('the endings', () => {
    it('done: the protocol ends, then the sentinel', async () => {
      const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
      const source = () => [chat('Hello'), chat(' there', 'length'), { choices: [], usage }]
      const running = await relaying(host, source, { protocol: parts() })
      const { status, body, complete } = await ask(host, running)
      expect({ status, complete }).toEqual({ status: 200, complete: true })
      expect(body).toBe(
        `${['text', 'text'].map((type, index) => `data: {"type":"${type}","text":"${['Hello', ' there'][index]}"}\n\n`).join('')}` +
          'data: {"type":"usage","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}\n\n' +
          `data: {"type":"finish","reason":"length"}\n\n${SENTINEL}`,
      )
      const summary = await running.ended()
      expect(summary).toEqual({
        outcome: 'done',
        events: expect.any(Number),
        usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
        finishReason: 'length',
        text: 'Hello there',
        firstEventMs: expect.any(Number),
        durationMs: expect.any(Number),
        runId: expect.stringMatching(RUN_ID),
      })
      if (host.returns === 'summary') expect(await fulfilled(await running.call())).toEqual(summary)
    })

    it('done without an event is 200 and the sentinel', async () => {
      const running = await relaying(host, () => [])
      expect(await ask(host, running)).toMatchObject({ status: 200, body: SENTINEL, complete: true })
      const summary = await running.ended()
      expect(summary).toMatchObject({ outcome: 'done', events: 0, text: '' })
      expect(summary).not.toHaveProperty('firstEventMs')
    })

    interface Ending {
      outcome: Summary['outcome']
      how: string
      code?: string
      status: number
      retryable: boolean
      /** Whether there is an error that `onError` is given. */
      reported: boolean
      end(hands: { feed: Feed<unknown>; stop: AbortController; shutdown: AbortController }): void
      options?: RelayOptions
    }
    const bug = new TypeError(`messages is not iterable ${SECRET}`)
    const timeout = () => AbortSignal.abort(new DOMException('too long', 'TimeoutError')).reason
    const endings: Ending[] = [
      {
        outcome: 'error',
        how: 'when the source throws',
        code: 'internal',
        status: 500,
        retryable: false,
        reported: true,
        end: ({ feed }) => feed.fail(bug),
      },
      {
        outcome: 'truncated',
        how: 'when a provider does not say that it has ended',
        status: 502,
        retryable: true,
        reported: true,
        end({ feed }) {
          feed.push(chat(''))
          feed.end()
        },
      },
      {
        outcome: 'stopped',
        how: 'when the signal aborts',
        status: 409,
        retryable: false,
        reported: false,
        end: ({ stop }) => stop.abort(),
      },
      {
        outcome: 'stopped',
        how: 'when the signal aborts with a reason that means nothing here',
        status: 409,
        retryable: false,
        reported: false,
        end: ({ stop }) => stop.abort(SECRET),
      },
      {
        outcome: 'expired',
        how: 'when the signal aborts with a TimeoutError',
        status: 504,
        retryable: false,
        reported: false,
        end: ({ stop }) => stop.abort(timeout()),
      },
      {
        outcome: 'expired',
        how: 'when maxDurationMs is over',
        status: 504,
        retryable: false,
        reported: false,
        end: () => {},
        options: { maxDurationMs: 100 },
      },
      {
        outcome: 'shutdown',
        how: 'when the shutdown signal aborts',
        status: 503,
        retryable: true,
        reported: false,
        end: ({ shutdown }) => shutdown.abort(),
      },
    ]

    describe.each(endings.map((each) => [each.outcome, each.how, each] as const))(
      '%s, %s',
      (_, __, { outcome, code = outcome, status, retryable, reported, end, options }) => {
        async function arrange(...values: unknown[]) {
          const hand = feed<unknown>(...values)
          const stop = new AbortController()
          const shutdown = new AbortController()
          const onError = vi.fn()
          const running = await relaying(host, hand.source, {
            heartbeatMs: 0,
            signal: stop.signal,
            shutdown: shutdown.signal,
            onError,
            ...options,
          })
          const client = open(host, running)
          await hand.asked
          return { client, running, onError, hand, end: () => end({ feed: hand, stop, shutdown }) }
        }

        it('after the first event is an error frame that ends the stream', async () => {
          const { client, running, onError, hand, end } = await arrange(chat('Hello'))
          await client.until(frame('Hello'))
          end()
          const answer = await answerTo(client)
          expect(answer).toMatchObject({ status: 200, complete: true })
          const failure = { code, message: expect.any(String), retryable }
          expect(failureIn(answer.body)).toEqual(failure)
          expect(answer.body.startsWith(`${frame('Hello')}event: error\n`)).toBe(true)
          expect(answer.body).not.toContain('[DONE]')
          expect(answer.body).not.toContain(SECRET)
          const summary = await running.ended()
          expect(summary).toMatchObject({ outcome, events: 1, text: 'Hello', firstEventMs: expect.any(Number) })
          expect(hand.context.signal.aborted).toBe(true)
          if (host.returns === 'summary') expect(await fulfilled(await running.call())).toEqual(summary)
          if (!reported) return expect(onError).not.toHaveBeenCalled()
          expect(onError).toHaveBeenCalledOnce()
          expect(onError).toHaveBeenCalledWith(summary.error, {
            runId: summary.runId,
            failure: { ...failure, status },
            sent: true,
          })
        })

        it('before the first event is an HTTP status with a JSON body', async () => {
          const { client, running, onError, hand, end } = await arrange()
          end()
          const answer = await answerTo(client)
          expect(answer).toMatchObject({
            status,
            complete: true,
            headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store, no-transform' },
          })
          const failure = { code, message: expect.any(String), retryable }
          expect(JSON.parse(answer.body)).toEqual({ error: failure })
          expect(answer.body).not.toContain(SECRET)
          const summary = await running.ended()
          expect(summary).toMatchObject({ outcome, events: 0, text: '' })
          expect(summary).not.toHaveProperty('firstEventMs')
          expect(hand.context.signal.aborted).toBe(true)
          if (host.returns === 'summary') expect(await fulfilled(await running.call())).toEqual(summary)
          if (!reported) return expect(onError).not.toHaveBeenCalled()
          expect(onError).toHaveBeenCalledOnce()
          expect(onError).toHaveBeenCalledWith(summary.error, {
            runId: summary.runId,
            failure: { ...failure, status },
            sent: false,
          })
        })
      },
    )

    it('truncated is what a provider that ends without its last word comes to', async () => {
      const { openai } = await upstream({ trace: 'openai-chat-truncated-no-done.sse' })
      const running = await relaying(host, openai, { onError() {} })
      const { body } = await ask(host, running)
      expect(body.length).toBeGreaterThan(0)
      expect(failureIn(body)).toMatchObject({ code: 'truncated', retryable: true })
      expect(body).not.toContain('[DONE]')
      expect(await running.ended()).toMatchObject({ outcome: 'truncated' })
      const simple = await relaying(host, () => truncated('Hello there'), { onError() {} })
      expect(failureIn((await ask(host, simple)).body)).toMatchObject({ code: 'truncated' })
    })

    it('disconnected: the client left, and onEnd hears of it', async () => {
      const { source, context, asked, ...hand } = feed('Hello')
      const onError = vi.fn()
      const running = await relaying(host, source, { onError })
      const client = open(host, running)
      await client.until(frame('Hello'))
      client.leave()
      const summary = await running.ended()
      expect(summary).toMatchObject({ outcome: 'disconnected', events: 1, text: 'Hello' })
      expect(summary).not.toHaveProperty('error')
      expect(onError).not.toHaveBeenCalled()
      if (host.returns === 'summary') expect(await fulfilled(await running.call())).toEqual(summary)
      hand.end()
    })

    it('a signal that aborted before: the source is not asked', async () => {
      const source = vi.fn(() => tokens('Hello'))
      const running = await relaying(host, source, { signal: AbortSignal.abort() })
      expect(await ask(host, running)).toMatchObject({ status: 409 })
      const down = await relaying(host, source, { shutdown: AbortSignal.abort() })
      expect(await ask(host, down)).toMatchObject({ status: 503 })
      expect(source).not.toHaveBeenCalled()
    })

    it('a RelayError as the reason gives its own code', async () => {
      const hand = feed('Hello')
      const stop = new AbortController()
      const running = await relaying(host, hand.source, { signal: stop.signal })
      const client = open(host, running)
      await client.until(frame('Hello'))
      stop.abort(new RelayError('quota-used', 'Your plan has no tokens left', { expose: true, retryable: false }))
      const { body } = await answerTo(client)
      expect(failureIn(body)).toEqual({
        code: 'quota-used',
        message: 'Your plan has no tokens left',
        retryable: false,
      })
      const early = await relaying(host, hand.source, {
        signal: AbortSignal.abort(new RelayError('shutdown', SECRET)),
      })
      const answer = await ask(host, early)
      expect(answer.status).toBe(503)
      expect(answer.body).not.toContain(SECRET)
      expect(await early.ended()).toMatchObject({ outcome: 'shutdown' })
    })

    it('one shutdown signal ends all relays, and keeps none of their listeners', async () => {
      const shutdown = new AbortController()
      const source = ({ signal }: SourceContext) => stalling(['Hello'], { signal })
      const running = await relaying(host, source, { shutdown: shutdown.signal })
      const clients = Array.from({ length: 20 }, () => open(host, running))
      await Promise.all(clients.map((client) => client.until(frame('Hello'))))
      expect(getEventListeners(shutdown.signal, 'abort').length).toBeLessThanOrEqual(1)
      shutdown.abort()
      for (const client of clients) {
        const { body, complete } = await answerTo(client)
        expect(complete).toBe(true)
        expect(failureIn(body)).toMatchObject({ code: 'shutdown', retryable: true })
      }
      await running.ended(20)
      expect(running.ends.every(({ outcome }) => outcome === 'shutdown')).toBe(true)
      expect(getEventListeners(shutdown.signal, 'abort')).toEqual([])
    })
  })

  describe('the mapping of errors', () => {
    interface Mapping {
      what: string
      replay: Replay
      status: number
      code: string
      retryable?: boolean
      retryAfter?: string
      timeout?: number
    }
    const told = (status: number, headers = {}): Replay => ({
      ...providerError('openai', status, `No: ${SECRET}`),
      headers: { 'x-request-id': SECRET, ...headers },
    })
    const mappings: Mapping[] = [
      {
        what: '429 with Retry-After',
        replay: told(429, { 'retry-after': '7' }),
        status: 429,
        code: 'rate-limit',
        retryable: true,
        retryAfter: '7',
      },
      { what: '503', replay: told(503), status: 503, code: 'overload', retryable: true },
      {
        what: '529 with Retry-After',
        replay: told(529, { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' }),
        status: 503,
        code: 'overload',
        retryable: true,
        retryAfter: 'Wed, 21 Oct 2026 07:28:00 GMT',
      },
      { what: '408', replay: told(408), status: 504, code: 'upstream-timeout', retryable: true },
      { what: '504', replay: told(504), status: 504, code: 'upstream-timeout', retryable: true },
      {
        what: 'the timeout of the SDK',
        replay: { delayMs: Infinity },
        timeout: 50,
        status: 504,
        code: 'upstream-timeout',
      },
      { what: '500', replay: told(500), status: 502, code: 'upstream-failure' },
      { what: '401', replay: told(401), status: 502, code: 'upstream-failure', retryable: false },
      { what: '403', replay: told(403), status: 502, code: 'upstream-failure', retryable: false },
      { what: '404', replay: told(404), status: 502, code: 'upstream-failure', retryable: false },
      { what: '400', replay: told(400), status: 502, code: 'upstream-failure', retryable: false },
      { what: 'a connection that is reset', replay: { resetAfter: 0 }, status: 502, code: 'upstream-failure' },
    ]

    it.each(mappings.map((each) => [each.what, each.status, each.code, each] as const))(
      '%s of the upstream is %d %s',
      async (what, _, __, mapping) => {
        const { replay, status, code, retryable = expect.any(Boolean), retryAfter, timeout } = mapping
        const { openai } = await upstream(replay)
        const onError = vi.fn()
        const source = (context: SourceContext) => openai(context, timeout === undefined ? {} : { timeout })
        const running = await relaying(host, source, { onError })
        const answer = await ask(host, running, post())
        expect(JSON.parse(answer.body)).toEqual({ error: { code, message: expect.any(String), retryable } })
        expect(answer.status, what).toBe(status)
        expect(answer.headers['retry-after']).toBe(retryAfter)
        expect(answer.headers['cache-control']).toBe('no-store, no-transform')
        expect(JSON.stringify(answer)).not.toContain(SECRET)
        expect(await running.ended()).toMatchObject({ outcome: 'error' })
        expect(onError).toHaveBeenCalledOnce()
      },
    )

    it('the same 429 after the first token is an error frame', async () => {
      const limit = Object.assign(new Error(`No: ${SECRET}`), { status: 429, headers: { 'retry-after': '7' } })
      const running = await relaying(host, () => throwing(limit, ['Hello']), { onError() {} })
      const { status, body } = await ask(host, running)
      expect(status).toBe(200)
      expect(failureIn(body)).toMatchObject({ code: 'rate-limit', retryable: true })
      expect(body).not.toContain(SECRET)
    })

    it('an overload the provider tells in its stream is one', async () => {
      const { anthropic } = await upstream({ trace: 'anthropic-error-overloaded.sse' })
      const onError = vi.fn()
      const running = await relaying(host, anthropic, { onError })
      const { status, body } = await ask(host, running)
      expect(status).toBe(200)
      expect(failureIn(body)).toMatchObject({ code: 'overload', retryable: true })
      expect(onError.mock.lastCall?.[0]).toBeInstanceOf(Anthropic.APIError)
    })

    it('a connection lost in the middle is an upstream failure', async () => {
      const { openai } = await upstream({ resetAfter: 3, pauseMs: 20 })
      const running = await relaying(host, openai, { onError() {} })
      const { body } = await ask(host, running)
      expect(failureIn(body)).toMatchObject({ code: 'upstream-failure' })
      expect(await running.ended()).toMatchObject({ outcome: 'error', text: expect.stringContaining('Hello') })
    })

    it('a provider nobody can reach is an upstream failure', async () => {
      // A port below those that systems hand out, so that nobody has it by chance.
      const url = 'http://127.0.0.1:2'
      const openai = new OpenAI({ apiKey: SECRET, baseURL: url, maxRetries: 0 })
      const sources: Source[] = [
        ({ signal }) => openai.chat.completions.create({ model: 'm', messages: [], stream: true }, { signal }),
        () => fetch(url) as never,
      ]
      for (const source of sources) {
        const running = await relaying(host, source, { onError() {} })
        expect(await ask(host, running)).toMatchObject({
          status: 502,
          body: expect.stringContaining('upstream-failure'),
        })
      }
    })

    it("a timeout of the developer's own is an upstream timeout", async () => {
      const { upstream: provider } = await upstream({ delayMs: Infinity })
      const source = () => fetch(provider.url, { signal: AbortSignal.timeout(30) }) as never
      const running = await relaying(host, source, { onError() {} })
      expect(await ask(host, running)).toMatchObject({ status: 504, body: expect.stringContaining('upstream-timeout') })
    })

    it.each([
      ['a bug', () => (undefined as never as { messages: [] }).messages],
      ['a string', () => Promise.reject('no')],
      ['undefined', () => Promise.reject(undefined)],
      ['null', () => throwing(null)],
      ['a frozen object', () => throwing(Object.freeze({ a: 1 }))],
      [
        'an object whose properties throw',
        () =>
          throwing(
            new Proxy(
              {},
              {
                get() {
                  throw new Error('no')
                },
              },
            ),
          ),
      ],
    ])('anything else that is thrown is 500 internal: %s', async (_, source) => {
      const onError = vi.fn()
      const running = await relaying(host, source as Source, { onError })
      const answer = await ask(host, running)
      expect(answer.status).toBe(500)
      expect(JSON.parse(answer.body).error).toMatchObject({ code: 'internal', retryable: false })
      expect(onError).toHaveBeenCalledOnce()
    })

    it('expose: true keeps an error’s own status and message', async () => {
      const error = Object.assign(new Error('Your credit is used up'), { status: 402, expose: true })
      const running = await relaying(host, () => throwing(error), { onError() {} })
      const answer = await ask(host, running)
      expect(answer.status).toBe(402)
      expect(JSON.parse(answer.body).error).toMatchObject({
        code: expect.any(String),
        message: 'Your credit is used up',
      })
      const late = await relaying(host, () => throwing(error, ['Hello']), { onError() {} })
      expect(failureIn((await ask(host, late)).body)).toMatchObject({ message: 'Your credit is used up' })
    })

    it('expose: false, or nothing, does not', async () => {
      const error = Object.assign(new Error(SECRET), { status: 402, expose: false })
      const running = await relaying(host, () => throwing(error), { onError() {} })
      const answer = await ask(host, running)
      expect(answer.status).toBe(502)
      expect(answer.body).not.toContain(SECRET)
    })
  })

  describe('with the real SDKs', () => {
    const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'

    it.each(['openai', 'anthropic', 'anthropicStream'] as const)('%s is relayed whole', async (sdk) => {
      const sdks = await upstream()
      const running = await relaying(host, sdks[sdk], {}, { body: 'parsed' })
      const { status, body } = await ask(host, running, post())
      expect(status).toBe(200)
      const { outcome, text } = await collect(body)
      expect({ outcome, text }).toEqual({ outcome: 'done', text: ANSWER })
      expect(await running.ended()).toMatchObject({ outcome: 'done', text: ANSWER, finishReason: 'stop' })
    })
  })
})
