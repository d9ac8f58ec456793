import type { ServerResponse } from 'node:http'
import type { RelayOptions, Source, Summary } from 'sse-relay'
import { relay as relayNode } from 'sse-relay/node'
import { text } from 'sse-relay/protocols'
import { type ClientOptions, stalling, tokens } from 'sse-relay/testing'
import { describe, expect, it, vi } from 'vitest'
import {
  answerTo,
  ask,
  failureIn,
  feed,
  frame,
  fulfilled,
  logged,
  open,
  overHosts,
  relaying,
  SECRET,
  SENTINEL,
  serving,
  upstream,
  within,
  writes,
} from './harness.js'

overHosts((host) => {
  describe('bad input', () => {
    /** Serves what cannot be served, and gives the answer with what `onError` was told. */
    async function refused(source: Source, options?: unknown, request: ClientOptions = {}) {
      const running = await serving(host, { source, options: options as RelayOptions })
      const answer = await ask(host, running, request)
      const { settled } = await running.call()
      expect(await settled).toMatchObject({ status: 'fulfilled' })
      expect(answer).toMatchObject({ status: 500, complete: true })
      const { error } = JSON.parse(answer.body)
      return { ...error, said: logged.splice(0), running } as {
        code: string
        message: string
        retryable: boolean
        said: (Error & { code?: string })[]
      }
    }

    it.each([
      ['undefined', undefined],
      ['null', null],
      ['42', 42],
      ['true', true],
      ['an object (Object)', {}],
      ['an object (Object)', { choices: [{ message: { content: 'Hello' } }] }],
    ])('a source that is %s: %j', async (shown, value) => {
      for (const source of [value, () => value, async () => value, Promise.resolve(value)]) {
        const { code, said } = await refused(source as Source)
        expect(code).toBe('invalid-source')
        expect(said).toHaveLength(1)
        expect(said[0]).toMatchObject({ code: 'invalid-source' })
        expect(said[0]?.message).toContain(shown)
        expect(said[0]?.message).toContain('stream: true')
      }
    })

    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    it.each([
      ['a BigInt in an object', { tokens: 1n }, 'BigInt'],
      ['a cycle', cycle, 'circular'],
      ['a BigInt in an event', { event: 'count', data: 1n }, 'BigInt'],
      ['a cycle in a data part', { type: 'data', name: 'x', data: cycle }, 'circular'],
      ['a function as data', { data: () => {} }, 'function'],
      ['a BigInt', 1n, '1'],
      ['a number', 42, '42'],
      ['a symbol', Symbol('x'), 'x'],
      ['a function', () => {}, 'function'],
      ['bytes', new Uint8Array([104, 105]), 'parseSSE'],
      ['a buffer', Buffer.from('hi'), 'parseSSE'],
    ])('a chunk that is %s', async (_, chunk, named) => {
      const { code, said } = await refused(() => [chunk])
      expect(code).toBe('invalid-source')
      expect(said).toHaveLength(1)
      expect(said[0]?.message).toContain(named)
      const onError = vi.fn()
      const late = await relaying(host, () => ['Hello', chunk], { onError })
      const { body } = await ask(host, late)
      expect(failureIn(body)?.code).toBe('invalid-source')
      expect(onError).toHaveBeenCalledOnce()
    })

    it('bytes in any form are a TypeError that names parseSSE', async () => {
      const bytes = new TextEncoder().encode('data: x\n\n')
      const sources = [
        () => new Blob([bytes]).stream(),
        () => bytes,
        () => new Response('data: x\n\n').body as never,
        bytes,
        async function* () {
          yield bytes
        },
      ]
      for (const source of sources) {
        const { code, said } = await refused(source as Source)
        expect(code).toBe('invalid-source')
        expect(said).toHaveLength(1)
        expect(said[0]).toBeInstanceOf(TypeError)
        expect(said[0]?.message).toContain('parseSSE')
      }
    })

    // Whoever takes such an answer for a chunk would ask for ever, without a turn for anything else.
    let patience = 100
    it.each<[string, () => Source]>([
      ['has a next() that throws', () => iterable({ next: () => fails() })],
      ['has no next()', () => iterable({})],
      ['answers next() with no object', () => iterable({ next: () => (--patience > 0 ? 7 : { done: true }) })],
      ['has a return() that throws', () => iterable({ next: () => fails(), return: () => fails() })],
      ['throws when it is iterated', () => ({ [Symbol.asyncIterator]: fails }) as never],
      ['has no iterator', () => ({ [Symbol.asyncIterator]: () => undefined }) as never],
      ['is a stream that fails', () => new ReadableStream({ pull: (controller) => controller.error(new Error('no')) })],
    ])('an iterable that %s ends as an error', async (_, make) => {
      const { said } = await refused(make as Source)
      expect(said).toHaveLength(1)
    })

    it('an iterable that was consumed before', async () => {
      const generator = (async function* () {
        yield 'Hello'
      })()
      const running = await serving(host, { source: generator })
      expect((await ask(host, running)).body).toBe(frame('Hello') + SENTINEL)
      const again = await ask(host, running)
      expect(again.status).toBe(500)
      expect(JSON.parse(again.body).error.code).toBe('invalid-source')
      expect(logged).toHaveLength(1)
      expect((logged.splice(0)[0] as Error).message).toMatch(/read before.*function/)
    })

    it('a ReadableStream that was consumed before, or is locked', async () => {
      const locked = new ReadableStream()
      locked.getReader()
      for (const source of [locked, () => locked]) {
        const { code, said } = await refused(source)
        expect(code).toBe('invalid-source')
        expect(said).toHaveLength(1)
      }
      const stream = new Blob(['x']).stream().pipeThrough(new TextDecoderStream())
      const running = await serving(host, { source: stream })
      expect((await ask(host, running)).body).toBe(frame('x') + SENTINEL)
      const again = await ask(host, running)
      expect(again.status).toBe(500)
      expect(JSON.parse(again.body).error.code).toBe('invalid-source')
      expect(logged.splice(0)).toHaveLength(1)
    })

    it('a stream of an SDK that was consumed before', async () => {
      const { openai, anthropicStream } = await upstream()
      for (const create of [openai, anthropicStream]) {
        let stream: ReturnType<typeof create> | undefined
        const running = await serving(host, {
          source(context) {
            stream ??= create(context)
            return stream
          },
        })
        expect((await ask(host, running)).body).toContain(SENTINEL)
        const again = await ask(host, running)
        expect(again.status).toBe(500)
        expect(JSON.parse(again.body).error.code).toBe('invalid-source')
        expect(logged.splice(0)).toHaveLength(1)
      }
    })

    it.each<[string, unknown, string]>([
      ['heartbeatMs', -1, '-1'],
      ['heartbeatMs', '8s', '8s'],
      ['heartbeatMs', Number.NaN, 'NaN'],
      ['stallTimeoutMs', 0, '0'],
      ['stallTimeoutMs', null, 'null'],
      ['maxDurationMs', 'soon', 'soon'],
      ['maxDurationMs', -5, '-5'],
      ['retryMs', 1.5, '1.5'],
      ['retryMs', -1, '-1'],
      ['retryMs', Number.POSITIVE_INFINITY, 'Infinity'],
      ['signal', {}, 'object'],
      ['signal', new AbortController(), 'AbortController'],
      ['shutdown', true, 'true'],
      ['waitUntil', 1, '1'],
      ['onError', 'log', 'log'],
      ['onEnd', {}, 'object'],
      ['protocol', 'text', 'text'],
      ['protocol', text, 'function'],
      ['protocol', null, 'null'],
      ['headers', { 'bad name': 'x' }, 'bad name'],
      ['headers', { 'x-a': 'one\r\ntwo: 2' }, 'two'],
      ['headers', { 'x-a': '日本' }, '日本'],
      ['headers', 42, '42'],
      ['headers', 'x-a: b', 'x-a'],
      ['log', console, 'logger'],
      ['log', {}, 'log'],
    ])('the option %s cannot be %o', async (name, value, shown) => {
      const source = vi.fn(() => tokens('Hello'))
      const { code, retryable, said } = await refused(source, { [name]: value })
      expect({ code, retryable }).toEqual({ code: 'invalid-option', retryable: false })
      expect(said).toHaveLength(1)
      expect(said[0]).toMatchObject({ code: 'invalid-option' })
      expect(said[0]?.message).toContain(name)
      expect(said[0]?.message).toContain(shown)
      expect(source).not.toHaveBeenCalled()
    })

    it('an invalid option is told to onError and onEnd as well, and a stream handed in is let go of', async () => {
      const source = stalling(['Hello'])
      const onError = vi.fn()
      const running = await relaying(host, source, { heartbeatMs: -1, onError })
      expect((await ask(host, running)).status).toBe(500)
      expect(onError).toHaveBeenCalledOnce()
      expect(await running.ended()).toMatchObject({ outcome: 'error', error: { code: 'invalid-option' } })
      await source.until(({ returned }) => returned)
    })

    it.each([['text'], [42], [true], [() => {}]])('options that are no object: %o', async (options) => {
      const { code, said } = await refused(() => tokens('Hello'), options)
      expect(code).toBe('invalid-option')
      expect(said).toHaveLength(1)
    })

    it('no options at all are fine, and so is null', async () => {
      for (const options of [undefined, null, {}]) {
        const running = await serving(host, { source: () => tokens('Hello'), options: options as never })
        expect((await ask(host, running)).body).toBe(frame('Hello') + SENTINEL)
      }
    })

    it('a protocol that fails ends the run, not the process', async () => {
      const fails = () => {
        throw new Error(SECRET)
      }
      const encoder = { part: fails, event: fails, end: fails, fail: fails }
      const running = await relaying(host, () => tokens('Hello'), {
        protocol: { name: 'broken', encoder: () => encoder },
        onError() {},
      })
      expect(await ask(host, running)).toMatchObject({ status: 500, complete: true })
      const late = await relaying(host, () => ['Hello', 'more'], {
        protocol: { name: 'broken', encoder: () => ({ ...encoder, part: () => 'data: x\n\n' }) },
        onError() {},
      })
      const { body } = await ask(host, late)
      expect(body.startsWith('data: x\n\ndata: x\n\nevent: error\n')).toBe(true)
      expect(failureIn(body)?.code).toBe('internal')
      expect(body).not.toContain(SECRET)
      const none = await relaying(host, () => tokens('Hello'), {
        protocol: { name: 'broken', encoder: fails },
        onError() {},
      })
      expect(await ask(host, none)).toMatchObject({ status: 500, complete: true })
    })

    it('a waitUntil that throws ends the run, not the process', async () => {
      const waitUntil = () => {
        throw new Error('This context has ended')
      }
      const running = await relaying(host, () => tokens('Hello'), { waitUntil, onError() {} })
      expect(await ask(host, running)).toMatchObject({ status: 500, complete: true })
    })

    if (writes(host)) {
      it.each([
        ['whose headers are sent', (res: ServerResponse) => void res.writeHead(200).write('mine')],
        ['that has ended', (res: ServerResponse) => void res.writeHead(200).end('mine')],
      ])('a response %s is left to its owner', async (_, use) => {
        const source = vi.fn(() => tokens('Hello'))
        const onError = vi.fn()
        let response: ServerResponse | undefined
        const running = await relaying(
          host,
          source,
          { onError },
          {
            before({ res }) {
              response = res
              use(res)
            },
          },
        )
        const client = open(host, running)
        await client.until('mine')
        const summary = await running.ended()
        expect(summary).toMatchObject({ outcome: 'error', error: { code: 'response-used' } })
        expect((summary.error as Error).message).toContain('untouched response')
        expect(await fulfilled(await running.call())).toEqual(host.returns === 'summary' ? summary : undefined)
        expect(onError).toHaveBeenCalledOnce()
        expect(source).not.toHaveBeenCalled()
        if (!response?.writableEnded) response?.end()
        expect(await answerTo(client)).toMatchObject({ status: 200, body: 'mine', complete: true })
      })

      it('a second relay on a response ends as an error, and the first goes on', async () => {
        const hand = feed('Hello')
        let first: Promise<Summary> | undefined
        const onError = vi.fn()
        const running = await relaying(
          host,
          () => tokens('never'),
          { onError },
          {
            async before({ req, res }) {
              first = relayNode(req, res, hand.source)
              await vi.waitFor(() => expect(res.headersSent).toBe(true))
            },
          },
        )
        const client = open(host, running)
        expect(await running.ended()).toMatchObject({ outcome: 'error', error: { code: 'response-used' } })
        hand.push(' there')
        hand.end()
        expect(await answerTo(client)).toMatchObject({
          complete: true,
          body: frame('Hello') + frame(' there') + SENTINEL,
        })
        expect(await first).toMatchObject({ outcome: 'done' })
        expect(onError).toHaveBeenCalledOnce()
      })

      it('of two relays on a response the one that speaks first has it', async () => {
        const hand = feed<string>()
        let first: Promise<Summary> | undefined
        const running = await relaying(
          host,
          () => tokens('Hello'),
          {},
          {
            before({ req, res }) {
              first = relayNode(req, res, hand.source, { onError() {} })
            },
          },
        )
        expect(await ask(host, running)).toMatchObject({ complete: true, body: frame('Hello') + SENTINEL })
        expect(await running.ended()).toMatchObject({ outcome: 'done' })
        hand.push('late')
        const { outcome } = await within(first as Promise<Summary>, 'the other relay has settled')
        expect(['error', 'disconnected']).toContain(outcome)
      })

      it('a response that someone else ends in the middle is a disconnect', async () => {
        const hand = feed('Hello')
        let response: ServerResponse | undefined
        const running = await relaying(
          host,
          hand.source,
          {},
          {
            before({ res }) {
              response = res
            },
          },
        )
        const client = open(host, running)
        await client.until(frame('Hello'))
        response?.end('mine')
        // Large enough to be written in this very tick, before anyone is told of the end.
        hand.push('x'.repeat(20_000))
        await answerTo(client)
        expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
        expect(hand.context.signal.aborted).toBe(true)
      })
    }
  })
})

const fails = (): never => {
  throw new Error('no')
}

function iterable(iterator: object): Source {
  return { [Symbol.asyncIterator]: () => iterator } as never
}
