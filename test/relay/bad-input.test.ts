// What becomes of sources, chunks, options and protocols that are none? An answer that is a failure, told once.

import type { RelayOptions, Source } from 'sse-relay'
import { relay as relayOfRoot, resume as resumeOfRoot } from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { text } from 'sse-relay/protocols'
import { collect, stalling, tokens } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

/** What went to `console.error`. A test that expects something there takes it out. */
const logged: unknown[] = []
beforeEach(() => {
  vi.spyOn(console, 'error').mockImplementation((...values) => void logged.push(...values))
})
afterEach(async () => {
  await new Promise(setImmediate)
  vi.restoreAllMocks()
  expect(logged.splice(0)).toEqual([])
})

const ask = async (source: unknown, options?: unknown) =>
  collect(await relay(new Request('http://localhost/'), source as Source, options as RelayOptions))

/** Asks for what cannot be served, and gives what was said of it, on the wire and to the developer. */
async function refused(source: unknown, options?: unknown) {
  const { status, outcome, error } = await ask(source, options)
  expect({ status, outcome }).toEqual({ status: 500, outcome: 'error' })
  const said = logged.splice(0) as (Error & { code?: string })[]
  expect(said).toHaveLength(1)
  return { code: error?.code, retryable: error?.retryable, said: said[0] as Error & { code?: string } }
}

const fails = (): never => {
  throw new Error('no')
}
const iterable = (iterator: object) => ({ [Symbol.asyncIterator]: () => iterator })

describe('a source', () => {
  it.each([
    ['undefined', undefined],
    ['null', null],
    ['42', 42],
    ['true', true],
    ['an object (Object)', {}],
    ['an object (Object)', { choices: [{ message: { content: 'Hello' } }] }],
  ])('that is %s is refused, with the remedy: %j', async (shown, value) => {
    for (const source of [value, () => value, async () => value, Promise.resolve(value)]) {
      const { code, said } = await refused(source)
      expect([code, said.code]).toEqual(['invalid-source', 'invalid-source'])
      expect(said.message).toContain(shown)
      expect(said.message).toContain('stream: true')
    }
  })

  it.each([
    ['undefined', undefined],
    ['an object (Object)', {}],
    ['a promise that nobody awaited', Promise.resolve(tokens('never'))],
    ['an object (Array)', [{ text: 'Hello' }]],
  ])('whose iterator is %s is refused, with the remedy', async (shown, iterator) => {
    for (const method of [Symbol.asyncIterator, Symbol.iterator]) {
      const { code, said } = await refused({ [method]: () => iterator })
      expect([code, said.code]).toEqual(['invalid-source', 'invalid-source'])
      expect(said.message).toContain(`The source's iterator is ${shown}`)
      expect(said.message).toContain('async *[Symbol.asyncIterator]()')
    }
  })

  it('that holds bytes amid its chunks is a TypeError that names what to return instead', async () => {
    const bytes = new TextEncoder().encode('data: x\n\n')
    const first = { choices: [], prompt_filter_results: [] }
    const yielding = async function* () {
      yield first
      yield bytes
    }
    for (const source of [() => [first, bytes], yielding]) {
      const { code, said } = await refused(source)
      expect(code).toBe('invalid-source')
      expect(said).toBeInstanceOf(TypeError)
      expect(said.message).toContain('return the Response or the stream of bytes itself')
    }
  })

  // Whoever takes such an answer for a chunk would ask for ever, without a turn for anything else.
  let patience = 100
  it.each<[string, () => unknown]>([
    ['has a next() that throws', () => iterable({ next: fails })],
    ['has no next()', () => iterable({})],
    ['answers next() with no object', () => iterable({ next: () => (--patience > 0 ? 7 : { done: true }) })],
    ['has a return() that throws', () => iterable({ next: fails, return: fails })],
    ['throws when it is iterated', () => ({ [Symbol.asyncIterator]: fails })],
    ['has no iterator', () => ({ [Symbol.asyncIterator]: () => undefined })],
    ['is a stream that fails', () => new ReadableStream({ pull: (controller) => controller.error(new Error('no')) })],
  ])('that %s ends as an error', async (_, make) => {
    await refused(make)
  })

  it('that was consumed before, or is locked, is refused', async () => {
    const locked = new ReadableStream()
    locked.getReader()
    for (const source of [locked, () => locked]) expect((await refused(source)).code).toBe('invalid-source')
    const generator = (async function* () {
      yield 'Hello'
    })()
    for (const source of [generator, new Blob(['Hello']).stream().pipeThrough(new TextDecoderStream())]) {
      expect(await ask(source)).toMatchObject({ outcome: 'done', text: 'Hello' })
      const { code, said } = await refused(source)
      expect(code).toBe('invalid-source')
      if (source === generator) expect(said.message).toMatch(/read before.*function/)
    }
  })
})

describe('a chunk', () => {
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
    ['bytes', new Uint8Array([104, 105]), 'TextDecoderStream'],
    ['a buffer', Buffer.from('hi'), 'TextDecoderStream'],
  ])('that is %s is refused, before and after the first event', async (_, chunk, named) => {
    const { code, said } = await refused(() => [chunk])
    expect(code).toBe('invalid-source')
    expect(said.message).toContain(named)
    const late = await ask(() => ['Hello', chunk])
    expect(late).toMatchObject({ status: 200, text: 'Hello', error: { code: 'invalid-source' } })
    expect(logged.splice(0)).toHaveLength(1)
  })
})

it.each([
  ['relay', relayOfRoot],
  ['resume', resumeOfRoot],
])('%s is not in the root of the package, which says where it is', (_, ofRoot) => {
  expect(() => ofRoot(new Request('http://localhost/') as never, ['Hello'])).toThrow(
    expect.objectContaining({ code: 'invalid-option', message: expect.stringMatching(/sse-relay\/express.*\/web/) }),
  )
})

describe('the options', () => {
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
    ['headers', { 'x-a': 'a\u0001b' }, 'x-a'],
    ['headers', { 'x-a': 'a\u007fb' }, 'x-a'],
    ['headers', 42, '42'],
    ['headers', 'x-a: b', 'x-a'],
    ['log', console, 'logger'],
    ['log', {}, 'log'],
    ['log', createMemoryLog, 'createMemoryLog()'],
  ])('%s cannot be %o', async (name, value, shown) => {
    const source = vi.fn(() => tokens('Hello'))
    const { code, retryable, said } = await refused(source, { [name]: value })
    expect({ code, retryable, said: said.code }).toEqual({ code: 'invalid-option', retryable: false, said: code })
    expect(said.message).toContain(name)
    expect(said.message).toContain(shown)
    expect(source).not.toHaveBeenCalled()
  })

  it('that are wrong let go of a stream that was handed in', async () => {
    const source = stalling(['Hello'])
    expect((await refused(source, { heartbeatMs: -1 })).code).toBe('invalid-option')
    await source.until(({ returned }) => returned)
  })

  it.each([['text'], [42], [true], [() => {}]])('cannot be %o', async (options) => {
    expect((await refused(() => tokens('Hello'), options)).code).toBe('invalid-option')
  })

  it('may be missing, or null', async () => {
    for (const options of [undefined, null, {}]) {
      expect(await ask(() => tokens('Hello'), options)).toMatchObject({ outcome: 'done', text: 'Hello' })
    }
  })

  it('may have a header that is undefined: it is not sent', async () => {
    const headers = { 'x-model': 'm', 'x-request-id': undefined }
    const response = await relay(new Request('http://localhost/'), ['Hello'], { headers })
    expect([response.headers.get('x-model'), response.headers.has('x-request-id')]).toEqual(['m', false])
    await response.text()
  })

  it('hold headers as pairs, an object or Headers, and a protocol has its own: all are sent', async () => {
    const protocol = { ...text(), headers: { 'x-dialect': 'text' } }
    for (const headers of [[['x-model', 'm']], { 'x-model': 'm' }, new Headers({ 'x-model': 'm' })] as never[]) {
      const response = await relay(new Request('http://localhost/'), ['Hello'], { headers, protocol })
      expect([response.headers.get('x-dialect'), response.headers.get('x-model')]).toEqual(['text', 'm'])
      await response.text()
    }
  })
})

it('a waitUntil that throws ends the run, and what was not read is let go', async () => {
  const cancel = vi.fn()
  const waitUntil = () => {
    throw new Error('This context has ended')
  }
  await refused(new ReadableStream({ cancel }), { waitUntil })
  expect(cancel).toHaveBeenCalledOnce()
})
