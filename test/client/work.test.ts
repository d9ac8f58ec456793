// Twice as much of anything is twice the work: for what reads a stream, what joins an answer, and what encodes one.
// Work is counted, not timed: each element that a walk visits, each character that a method looks at or copies.

import { relayTo, type Sink } from 'sse-relay'
import { fetchSSE, type ParsedEvent, readParts, readText, type WirePart } from 'sse-relay/client'
import * as protocols from 'sse-relay/protocols'
import { describe, expect, it } from 'vitest'
import { JoinedAnswer } from '../../src/client/join-parts.js'

type Method = (this: unknown, ...args: unknown[]) => unknown
/** What a call costs, by what it was given and what it gave. */
type Cost = (self: { length: number }, args: unknown[], result: unknown) => number

const whole: Cost = ({ length }) => length
const result: Cost = (_, __, result) => (result as { length: number }).length
const found: Cost = ({ length }, [, from = 0], found) =>
  Math.max(0, (Number(found) < 0 ? length : Number(found) + 1) - Number(from))
const iterator = (values: Iterable<unknown>) => Object.getPrototypeOf(values[Symbol.iterator]())

const COSTS: [object, Record<string, Cost>][] = [
  [
    Array.prototype,
    {
      ...{ find: whole, findLast: whole, findIndex: whole, filter: whole, map: whole, some: whole, every: whole },
      ...{ forEach: whole, reduce: whole, join: whole, includes: whole, splice: whole, flatMap: whole, shift: whole },
      ...{ slice: result, concat: result, indexOf: found },
    },
  ],
  [
    String.prototype,
    {
      ...{ includes: whole, split: whole, replace: whole, replaceAll: whole, match: whole, search: whole },
      // Of a long text it is a view, and no copy.
      ...{ slice: () => 1, substring: () => 1, indexOf: found },
      // From the end, so that a short tail costs little.
      lastIndexOf: ({ length }, _, found) => length - Math.max(0, Number(found)),
      startsWith: (_, [start]) => String(start).length,
      endsWith: (_, [end]) => String(end).length,
    },
  ],
  [JSON, { parse: (_, [text]) => String(text).length, stringify: (_, __, text) => String(text).length }],
  ...[[], new Map(), new Set()].map((values): [object, Record<string, Cost>] => [iterator(values), { next: () => 1 }]),
]

async function workOf(task: () => unknown): Promise<number> {
  let work = 0
  const restore: (() => void)[] = []
  for (const [owner, costs] of COSTS) {
    for (const [name, cost] of Object.entries(costs)) {
      const methods = owner as Record<string, Method>
      const original = methods[name] as Method
      methods[name] = function (...args) {
        const result = original.apply(this, args)
        work += cost(this as never, args, result)
        return result
      }
      restore.push(() => {
        methods[name] = original
      })
    }
  }
  try {
    await task()
  } finally {
    for (const each of restore) each()
  }
  return work
}

/** The work for so much, twice and four times as much grows no faster. */
async function expectLinear(taskFor: (count: number) => () => unknown, count = 250) {
  const works: number[] = []
  for (const times of [1, 2, 4]) works.push(await workOf(taskFor(count * times)))
  const [once = 0, twice = 0, fourfold = 0] = works
  // A beginning that is the same for all makes the first ratio smaller.
  expect(twice / once, `${works}`).toBeLessThan(2.2)
  expect(fourfold / twice, `${works}`).toBeLessThan(2.2)
}

const RUN = 'run-0123456789abcdef'
const END = 'data: [DONE]\n\n'
const many = <T>(count: number, make: (index: number) => T) => Array.from({ length: count }, (_, index) => make(index))

/** Answers with these, one connection after another, in pieces that a network would bring. */
function answering(...wires: string[]) {
  return async () => {
    const wire = wires.shift() ?? ''
    const pieces = many(Math.ceil(wire.length / 1400), (index) => wire.slice(index * 1400, (index + 1) * 1400))
    const body = { [Symbol.asyncIterator]: () => ({ next: async () => ({ value: pieces.pop(), done: false }) }) }
    pieces.reverse()
    const next = async () => (pieces.length ? { value: pieces.pop(), done: false } : { value: undefined, done: true })
    return {
      ...{ ok: true, status: 200, headers: new Headers({ 'content-type': 'text/event-stream' }) },
      body: { ...body, [Symbol.asyncIterator]: () => ({ next }) },
    } as unknown as Response
  }
}

const drain = async (values: AsyncIterable<unknown>) => {
  for await (const _ of values);
}

describe('a stream', () => {
  const longId = 'x'.repeat(3000)
  it.each<[string, (count: number) => string[]]>([
    ['of events', (count) => ['data: a\n\n'.repeat(count) + END]],
    ['of events with ids', (count) => [many(count, (i) => `id: ${RUN}:${i + 1}\ndata: a\n\n`).join('') + END]],
    ['of events after one with a long id', (count) => [`id: ${longId}\n\n${'data: a\n\n'.repeat(count)}${END}`]],
    [
      'of events that come again after a lost connection',
      (count) => {
        const all = many(count, (i) => `id: ${RUN}:${i + 1}\ndata: a\n\n`).join('')
        return [all, all + END]
      },
    ],
    [
      'of events without ids after a long one that came before',
      (count) => [`id: ${longId}:9\ndata: a\n\n`, `id: ${longId}:1\ndata: b\n\n${'data: a\n\n'.repeat(count)}${END}`],
    ],
    ['of comments', (count) => [`data: a\n\n${': heartbeat\n'.repeat(count)}\n${END}`]],
    ['of event names', (count) => [many(count, (i) => `event: e${i}\ndata: a\n\n`).join('') + END]],
    ['of one event of many lines', (count) => [`${'data: a\n'.repeat(count)}\n${END}`]],
  ])(
    '%s',
    async (_, wires) => {
      await expectLinear(
        (count) => () => drain(fetchSSE('/', { method: 'POST', fetch: answering(...wires(count)), maxEventSize: 1e6 })),
      )
    },
    30_000,
  )

  it.each<[string, (index: number) => object]>([
    ['text()', (i) => ({ text: `${i} ` })],
    ['parts()', (i) => ({ type: 'data', name: 'n', data: i })],
    ['calls', (i) => ({ type: 'tool-call', index: i, id: `c${i}`, name: 'f', input: '{}', done: true })],
  ])('of %s, read as values', async (_, part) => {
    const wire = (count: number) => many(count, (i) => `data: ${JSON.stringify(part(i))}\n\n`).join('') + END
    for (const read of [readText, readParts]) await expectLinear((count) => () => drain(read(wire(count))))
  })
})

const call = (index: number, more: object = {}): WirePart =>
  ({ type: 'tool-call', index, input: '1', ...more }) as WirePart
/** Answers that have something many times, by their parts. */
const ANSWERS: [string, (count: number) => WirePart[]][] = [
  ['pieces of text', (count) => many(count, (i) => ({ type: 'text', text: `${i}` }))],
  ['data parts', (count) => many(count, (i) => ({ type: 'data', name: 'n', data: i }))],
  ['data with ids', (count) => many(count, (i) => ({ type: 'data', name: 'n', id: `${i}`, data: i }))],
  ['data with one id', (count) => many(count, (i) => ({ type: 'data', name: 'n', id: '1', data: i }))],
  ['calls', (count) => many(count, (i) => call(i, { id: `c${i}`, name: 'f', done: true }))],
  ['calls with one id', (count) => many(count, (i) => call(i, { id: 'c', name: 'f', done: true }))],
  ['calls at one index', (count) => many(count, (i) => call(0, { id: `c${i}`, name: 'f', done: true }))],
  ['pieces of one call', (count) => [call(0, { id: 'c', name: 'f' }), ...many(count, () => call(0))]],
  [
    'calls that grow by turns',
    (count) => [
      ...many(count, (i) => call(i, { id: `c${i}`, name: 'f' })),
      ...many(count, (i) => call(i)),
      ...many(count, (i) => call(i, { done: true })),
    ],
  ],
  [
    'calls and their results',
    (count) => [
      ...many(count, (i) => call(i, { id: `c${i}`, name: 'f', done: true })),
      ...many(count, (i): WirePart => ({ type: 'tool-result', id: `c${i}`, output: null })),
    ],
  ],
  ['results without calls', (count) => many(count, (i) => ({ type: 'tool-result', id: `r${i}`, output: null }))],
  ['reasoning and text by turns', (count) => many(count, (i) => ({ type: i % 2 ? 'text' : 'reasoning', text: 'a' }))],
  ['signatures', (count) => many(count, () => ({ type: 'reasoning', text: '', signature: 's' }))],
  ['answers', (count) => many(count, (i) => (i % 2 ? { type: 'text', text: 'a' } : { type: 'start', id: `${i}` }))],
]

describe('an answer that a hook joins', () => {
  it.each(ANSWERS)('of many %s', async (_, partsOf) => {
    await expectLinear((count) => {
      const parts = partsOf(count)
      return () => {
        const joined = new JoinedAnswer()
        for (const part of parts) joined.add(part)
        joined.end()
      }
    })
  })
})

describe('an answer that a protocol encodes', () => {
  const end = async (source: Iterable<unknown>, protocol: protocols.Protocol) => {
    const sink: Sink = { open() {}, write: () => true, end() {}, destroy() {}, schedule: queueMicrotask }
    const handle = relayTo(sink, source, { protocol, requireFinish: false, onError() {} })
    setTimeout(() => handle.drained(), 0)
    await handle.done
  }
  const chunkOf = (calls: object[]) => ({
    id: 'c',
    choices: [{ index: 0, delta: { tool_calls: calls }, finish_reason: null }],
  })
  const openaiCall = (i: number) => ({
    index: i,
    id: `c${i}`,
    type: 'function',
    function: { name: 'f', arguments: '{}' },
  })
  const SOURCES: [string, (count: number) => unknown[]][] = [
    ...ANSWERS,
    ['calls in one chunk', (count) => [chunkOf(many(count, openaiCall))]],
    ['calls in a chunk each', (count) => many(count, (i) => chunkOf([openaiCall(i)]))],
    ['calls without an index', (count) => [chunkOf(many(count, (i) => ({ ...openaiCall(i), index: undefined })))]],
    [
      'ends after its calls',
      (count) => [
        chunkOf(many(count, openaiCall)),
        ...many(count, () => ({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] })),
      ],
    ],
    ['own events', (count) => many(count, (i) => ({ event: `e${i}`, data: i }))],
  ]

  it.each(SOURCES)('of many %s', async (_, chunksOf) => {
    for (const make of Object.values(protocols)) {
      await expectLinear((count) => {
        const chunks = chunksOf(count)
        return () => end(chunks, make())
      }, 100)
    }
  })
})

describe('the meter', () => {
  it('sees a search through all that came before', async () => {
    const searching = (count: number) => () => {
      const seen: number[] = []
      for (let i = 0; i < count; i++) if (!seen.find((one) => one === i)) seen.push(i)
    }
    await expect(expectLinear(searching)).rejects.toThrow('to be less than')
    const walking = (count: number) => () => {
      const seen = new Map<number, ParsedEvent>()
      for (let i = 0; i < count; i++) for (const _ of seen.set(i, { data: '' }).values());
    }
    await expect(expectLinear(walking)).rejects.toThrow('to be less than')
  })
})
