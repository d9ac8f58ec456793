import { Agent, createServer, request, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text as readAll } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SourceContext } from 'sse-relay'
import { type ClientOptions, flooding, probe, stalling, type TestClient, throwing, tokens } from 'sse-relay/testing'
import { describe, expect, it, vi } from 'vitest'
import type { Serving } from '../hosts.js'
import {
  answerTo,
  ask,
  cleanups,
  closedAfter,
  failureIn,
  feed,
  frame,
  logged,
  open,
  overHosts,
  post,
  type Relaying,
  relaying,
  SENTINEL,
  upload,
  upstream,
  within,
} from './harness.js'

/** Whether Node says of a response that waits for its turn that the connection has closed: from 24 on it does. */
async function tellsQueued(): Promise<boolean> {
  let isTold = false
  const responses: ServerResponse[] = []
  const server = createServer((_, res) => {
    if (responses.push(res) === 1) return
    res.on('close', () => {
      isTold = true
    })
    client.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(2))
  // All connections are closed then, and what that leads to is said some turns later, if at all.
  await new Promise<void>((resolve) => client.on('close', () => server.close(() => resolve())))
  for (let turn = 0; turn < 50 && !isTold; turn++) await sleep(2)
  return isTold
}

const nodeTellsQueued = await tellsQueued()

overHosts((host) => {
  const http1 = host.httpVersion === '1.1'

  describe('a disconnect aborts the upstream', () => {
    const phases = ['before the first token', 'after the first token'] as const
    const bodies: { what: string; body?: Serving['body']; before?: Serving['before']; client: ClientOptions }[] = [
      { what: 'of a GET', client: {} },
      { what: 'of a POST whose body was parsed', body: 'parsed', client: post() },
      {
        what: 'of a POST whose body was parsed a while ago',
        body: 'parsed',
        before: () => sleep(20),
        client: post(),
      },
      { what: 'of a POST whose body the source function reads', body: 'in-factory', client: post(300_000) },
      { what: 'of a POST with 300 kB that nobody reads', client: post(300_000) },
      { what: 'of a POST with 5 MB that nobody reads', client: post(5_000_000) },
    ]

    describe.each(phases)('%s', (phase) => {
      it.for(bodies.map((each) => [each.what, each] as const))(
        '%s',
        async ([, { body, before, client: request }], { annotate }) => {
          const replay = phase === phases[0] ? { delayMs: Infinity } : { stallAfter: 4 }
          const { upstream: provider, openai, anthropic } = await upstream(replay)
          const asked = provider.request()
          let signal: AbortSignal | undefined
          const source = (context: SourceContext) => {
            signal = context.signal
            return phase === phases[0] ? openai(context) : anthropic(context)
          }
          // Without heartbeats: a write would find out about the client as well.
          const running = await relaying(host, source, { heartbeatMs: 0 }, { body, before })
          const client = open(host, running, request)
          const exchange = await within(asked, 'the upstream was asked')
          if (request.body) {
            const { bodyEnd } = await running.call()
            await within(bodyEnd, 'the body was read or dropped')
          }
          if (phase === phases[1]) await client.until(frame('Hello'))
          annotate(await closedAfter(exchange, () => client.leave()))
          expect(await running.ended()).toMatchObject({
            outcome: 'disconnected',
            text: phase === phases[1] ? 'Hello' : '',
          })
          expect(signal?.reason).toMatchObject({ name: 'AbortError' })
          expect(signal?.reason).toBeInstanceOf(Error)
        },
      )
    })

    it('of a POST whose body is still on its way', async ({ annotate }) => {
      const { upstream: provider, openai } = await upstream({ delayMs: Infinity })
      const asked = provider.request()
      const running = await relaying(host, openai, { heartbeatMs: 0 })
      const leave = upload(host, running)
      const exchange = await within(asked, 'the upstream was asked')
      annotate(await closedAfter(exchange, leave))
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
    })

    it('of a POST whose body the source function is still reading', async () => {
      const source = ({ signal }: SourceContext) => stalling<string>([], { signal })
      const running = await relaying(host, source, { heartbeatMs: 0 }, { body: 'in-factory' })
      const leave = upload(host, running)
      await within(running.call(), 'relay was called')
      leave()
      // Not an error of the source, though its reading fails of this.
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
    })

    if (http1)
      describe('of requests that were sent without waiting for the answers', () => {
        const REQUESTS = 12

        /** Sends them over one connection, and leaves when all have come. */
        async function leaveAll({ url, call }: Relaying): Promise<void> {
          const socket = connect(Number(new URL(url).port), '127.0.0.1')
          socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(REQUESTS))
          await within(call(REQUESTS - 1), 'relay was called for all of them')
          socket.destroy()
        }

        if (host.returns !== 'response' || nodeTellsQueued)
          it('also of those whose turn had not come', async () => {
            const source = ({ signal }: SourceContext) => stalling(['Hello'], { signal })
            const running = await relaying(host, source, { heartbeatMs: 0 })
            await leaveAll(running)
            await running.ended(REQUESTS)
            expect(running.ends.map(({ outcome }) => outcome)).toEqual(Array(REQUESTS).fill('disconnected'))
          })
        // A limit of @hono/node-server on Node 20 and 22, told of in docs/hosts.md: when this fails, it is gone.
        else
          it('not of those whose turn had not come, which the host does not tell of: clocks end them', async () => {
            const stop = new AbortController()
            const signals: AbortSignal[] = []
            const source = ({ signal }: SourceContext) => {
              signals.push(signal)
              return signals.length === REQUESTS ? flooding() : stalling(['Hello'], { signal })
            }
            const options = { heartbeatMs: 0, stallTimeoutMs: 100, signal: stop.signal }
            const running = await relaying(host, source, options)
            await leaveAll(running)
            await running.ended(2)
            logged.splice(0)
            expect(running.ends.map(({ outcome }) => outcome).sort()).toEqual(['disconnected', 'stalled'])
            expect(signals.filter(({ aborted }) => aborted)).toEqual([signals[0], signals[REQUESTS - 1]])
            stop.abort()
            await running.ended(REQUESTS)
            expect(running.ends.slice(2).map(({ outcome }) => outcome)).toEqual(Array(REQUESTS - 2).fill('stopped'))
          })
      })

    it('of a client that left while nobody had begun to read its body', async () => {
      const { openai } = await upstream({ delayMs: Infinity })
      let client: TestClient | undefined
      const running = await relaying(
        host,
        openai,
        { heartbeatMs: 0 },
        {
          async before() {
            client?.leave()
            // As long as nobody reads, the host cannot know.
            await sleep(30)
          },
        },
      )
      client = open(host, running, post(300_000))
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected', events: 0 })
    })

    it('of a client whose machine crashed', async ({ annotate }) => {
      const { upstream: provider, anthropic } = await upstream({ stallAfter: 4 })
      const asked = provider.request()
      const running = await relaying(host, anthropic, { heartbeatMs: 0 })
      const client = open(host, running, post())
      await client.until(frame('Hello'))
      annotate(await closedAfter(await asked, () => client.reset()))
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
    })

    it('of a stream that was handed in without a function', async ({ annotate }) => {
      const { upstream: provider, openai } = await upstream({ stallAfter: 3 })
      const asked = provider.request()
      const running = await relaying(host, openai({}), { heartbeatMs: 0 })
      const client = open(host, running)
      await client.until(frame('Hello'))
      annotate(await closedAfter(await asked, () => client.leave()))
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
    })

    it("of the SDK's helper stream", async ({ annotate }) => {
      const { upstream: provider, anthropicStream } = await upstream({ stallAfter: 4 })
      const asked = provider.request()
      const running = await relaying(host, anthropicStream, { heartbeatMs: 0 })
      const client = open(host, running)
      await client.until(frame('Hello'))
      annotate(await closedAfter(await asked, () => client.leave()))
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
    })

    it('of a stream that comes only after the client left', async () => {
      let deliver: (stream: unknown) => void = () => {}
      const { asked, ...late } = feed()
      const source = (context: SourceContext) => {
        late.source(context)
        return new Promise<AsyncIterable<unknown>>((resolve) => {
          deliver = resolve as never
        })
      }
      const running = await relaying(host, source, { heartbeatMs: 0 })
      const client = open(host, running)
      await asked
      client.leave()
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected', events: 0 })
      const stream = probe(stalling(['Hello']))
      const aborted = vi.fn()
      deliver(Object.assign(stream, { controller: { abort: aborted } }))
      await stream.until(({ returned }) => returned)
      expect(aborted).toHaveBeenCalledOnce()
      expect(stream.pulled).toBe(0)
    })

    it('but a normal end does not', async () => {
      const { upstream: provider, openai } = await upstream()
      const asked = provider.request()
      let signal: AbortSignal | undefined
      const running = await relaying(host, (context) => {
        signal = context.signal
        return openai(context)
      })
      const answer = await ask(host, running, post(300_000))
      expect(answer).toMatchObject({ status: 200, complete: true })
      expect(answer.body.endsWith(SENTINEL)).toBe(true)
      expect(await (await asked).closed).toMatchObject({ by: 'server' })
      // Not even when the connection goes, after that.
      await running.close()
      expect(signal?.aborted).toBe(false)
    })

    it('an unread body of 5 MB is no obstacle for a failure', async () => {
      const limit = Object.assign(new Error(), { status: 429 })
      const running = await relaying(host, () => throwing(limit), { onError() {} })
      expect(await ask(host, running, post(5_000_000))).toMatchObject({ status: 429, complete: true })
    })

    if (http1) {
      it('a connection is kept for the next request, whether its body was read or not', async () => {
        const running = await relaying(host, ({ signal }) => tokens('Hello there', { everyMs: 1, signal }))
        const agent = new Agent({ keepAlive: true, maxSockets: 1 })
        cleanups.push(() => agent.destroy())
        const ports = new Set<number | undefined>()
        for (const { method, headers, body } of [post(300_000), {} as ClientOptions, post(300_000), post()]) {
          const received = await new Promise<string>((resolve, reject) => {
            const asking = request(running.url, { agent, method, headers }, async (response) => {
              ports.add(response.socket.localPort)
              resolve(await readAll(response))
            })
            asking.on('error', reject)
            asking.end(body)
          })
          expect(received).toBe(frame('Hello') + frame(' there') + SENTINEL)
        }
        expect(ports.size).toBe(1)
      })
    }

    it('a client that had left before relay was called costs nothing', async () => {
      const source = vi.fn(() => tokens('Hello'))
      let client: TestClient | undefined
      const running = await relaying(
        host,
        source,
        {},
        {
          async before({ left }) {
            client?.leave()
            await left
          },
        },
      )
      client = open(host, running)
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected', events: 0 })
      expect(source).not.toHaveBeenCalled()
    })

    if (http1) {
      it('of an HTTP/1.0 client', async ({ annotate }) => {
        const { upstream: provider, openai } = await upstream({ stallAfter: 3 })
        const asked = provider.request()
        const running = await relaying(host, openai, { heartbeatMs: 0 })
        const client = open(host, running, { httpVersion: '1.0' })
        await client.until(frame('Hello'))
        annotate(await closedAfter(await asked, () => client.leave()))
        expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
      })

      it('an HTTP/1.0 client gets the whole answer', async () => {
        const running = await relaying(host, () => tokens('Hello there'))
        const { status, headers, body } = await ask(host, running, { httpVersion: '1.0' })
        expect(status).toBe(200)
        expect(headers).not.toHaveProperty('transfer-encoding')
        expect(body).toBe(frame('Hello') + frame(' there') + SENTINEL)
      })
    }
  })

  describe('after our own abort', () => {
    it('an upstream that ends silently is no finished answer', async () => {
      const controller = new AbortController()
      const source = ({ signal }: SourceContext) => stalling(['Hello'], { signal, silent: true })
      const onError = vi.fn()
      const running = await relaying(host, source, { signal: controller.signal, onError })
      const client = open(host, running)
      await client.until(frame('Hello'))
      controller.abort()
      const { body } = await answerTo(client)
      expect(failureIn(body)?.code).toBe('stopped')
      expect(body).not.toContain('[DONE]')
      expect(onError).not.toHaveBeenCalled()
    })

    it.each([
      ['an error by another name', () => Object.assign(new Error('aborted'), { name: 'Error' })],
      ['an error with a status', () => Object.assign(new Error('limit'), { status: 429 })],
      ['the reason itself', (signal: AbortSignal) => signal.reason],
      ['a string', () => 'gone'],
    ])('what the upstream throws is no news: %s', async (_, errorOf) => {
      const controller = new AbortController()
      const onError = vi.fn()
      async function* source({ signal }: SourceContext) {
        yield 'Hello'
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        throw errorOf(signal)
      }
      const running = await relaying(host, source, { signal: controller.signal, onError })
      const client = open(host, running)
      await client.until(frame('Hello'))
      controller.abort()
      expect(failureIn((await answerTo(client)).body)?.code).toBe('stopped')
      expect(await running.ended()).toMatchObject({ outcome: 'stopped' })
      expect(onError).not.toHaveBeenCalled()
    })
  })
})
