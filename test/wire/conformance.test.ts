import { readFileSync } from 'node:fs'
import { createParser, type ParsedEvent, parseSSE } from 'sse-relay/client'
import { describe, expect, it } from 'vitest'

/** A case from the Web Platform Tests' facts or the standard's examples, as `fixtures/conformance.json` has it. */
interface Case {
  name: string
  chunks: string[]
  /** What a `MessageEvent` would be: `id` is its `lastEventId`. */
  expected: { event: string; data: string; id: string }[]
  initialLastEventId?: string
  finalLastEventId: string
  /** The reconnection time in the end; absent when the stream sets none. */
  retry?: number
}

const cases: Case[] = JSON.parse(readFileSync(new URL('./conformance.json', import.meta.url), 'utf8'))

type Seen = Pick<Case, 'expected' | 'finalLastEventId' | 'retry'>

const messageOf = ({ event = 'message', data }: ParsedEvent, lastEventId: string) => ({ event, data, id: lastEventId })

function readStrings(chunks: readonly string[], lastEventId?: string): Seen {
  const seen: Seen = { expected: [], finalLastEventId: '' }
  const parser = createParser({
    lastEventId,
    onEvent: (event) => seen.expected.push(messageOf(event, parser.lastEventId)),
    onRetry(retry) {
      seen.retry = retry
    },
  })
  for (const chunk of chunks) parser.feed(chunk)
  parser.end()
  seen.finalLastEventId = parser.lastEventId
  return seen
}

async function readBytes(chunks: readonly Uint8Array[], lastEventId?: string): Promise<Seen> {
  const seen: Seen = { expected: [], finalLastEventId: '' }
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })
  const events = parseSSE(body, {
    sentinel: false,
    lastEventId,
    onRetry(retry) {
      seen.retry = retry
    },
  })
  for await (const event of events) seen.expected.push(messageOf(event, events.lastEventId))
  seen.finalLastEventId = events.lastEventId
  return seen
}

const encoder = new TextEncoder()
const bytesOf = (text: string) => encoder.encode(text)
const each = (bytes: Uint8Array) => Array.from(bytes, (_, index) => bytes.subarray(index, index + 1))

const chunkings = [
  ['as given', (chunks: string[]) => chunks],
  ['in one chunk', (chunks: string[]) => [chunks.join('')]],
  // UTF-16 units, so that surrogates are parted too.
  ['in chunks of one unit', (chunks: string[]) => chunks.join('').split('')],
] as const
const byteChunkings = [
  ['as given', (chunks: string[]) => chunks.map(bytesOf)],
  ['in one chunk', (chunks: string[]) => [bytesOf(chunks.join(''))]],
  ['in chunks of one byte', (chunks: string[]) => each(bytesOf(chunks.join('')))],
] as const

it('there are 46 cases', () => {
  expect(cases).toHaveLength(46)
})

describe.each(cases)('$name', ({ chunks, initialLastEventId, ...stated }) => {
  const expected: Seen = {
    expected: stated.expected,
    finalLastEventId: stated.finalLastEventId,
    ...(stated.retry !== undefined && { retry: stated.retry }),
  }

  it.each(chunkings)('as strings, %s', (_, cut) => {
    expect(readStrings(cut(chunks), initialLastEventId)).toEqual(expected)
  })

  it.each(byteChunkings)('as bytes, %s', async (_, cut) => {
    expect(await readBytes(cut(chunks), initialLastEventId)).toEqual(expected)
  })
})

/** Bytes from text, in which `\xff` and its like stand for themselves. */
const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))

describe('UTF-8', () => {
  it.each<[string, Uint8Array, ParsedEvent[]]>([
    [
      'what is not UTF-8 becomes U+FFFD',
      latin1('data: \xff|\xc0\x80|\xfe\n\n'),
      [{ data: '\ufffd|\ufffd\ufffd|\ufffd' }],
    ],
    ['a surrogate in UTF-8 is three of them', latin1('data: \xed\xa0\x80\n\n'), [{ data: '\ufffd\ufffd\ufffd' }]],
    [
      'a character cut off by a line break is one, and the break still counts',
      latin1('data: \xe6\x97\ndata: b\n\n'),
      [{ data: '\ufffd\nb' }],
    ],
    ['a character cut off by another is one', latin1('data: \xf0\x9f\x9a\xc3\xa9\n\n'), [{ data: '\ufffdé' }]],
    ['a stray continuation byte is one', latin1('data: a\x80b\n\n'), [{ data: 'a\ufffdb' }]],
    ['fields that are damaged are unknown', latin1('d\xe9ta: 1\ndata: 2\n\n'), [{ data: '2' }]],
    [
      'events and ids may be damaged too',
      latin1('event: \xff\nid: \xfe\ndata: 1\n\n'),
      [{ event: '\ufffd', id: '\ufffd', data: '1' }],
    ],
    [
      'characters of one to four bytes stay whole',
      bytesOf('data: aé日🚀\u0000\u0080\u2028\n\n'),
      [{ data: 'aé日🚀\u0000\u0080\u2028' }],
    ],
    [
      'NEL, U+2028 and U+2029 are no line ends',
      bytesOf('data: a\u0085b\u2028c\u2029d\n\n'),
      [{ data: 'a\u0085b\u2028c\u2029d' }],
    ],
    ['one BOM is taken off', bytesOf('\ufeffdata: 1\n\n'), [{ data: '1' }]],
    ['of two BOMs one is taken off', bytesOf('\ufeff\ufeffdata: 1\n\ndata: 2\n\n'), [{ data: '2' }]],
    ['a BOM within a line stays', bytesOf('data: \ufeff1\n\n'), [{ data: '\ufeff1' }]],
    ['a BOM of UTF-16 is no BOM', latin1('\xff\xfedata: 1\n\ndata: 2\n\n'), [{ data: '2' }]],
    [
      'the three characters that a BOM looks like in Latin-1 are no BOM',
      bytesOf('ï»¿data: 1\n\ndata: 2\n\n'),
      [{ data: '2' }],
    ],
  ])('%s', async (_, bytes, expected) => {
    // Cut at every place, and everywhere at once.
    for (let at = 0; at <= bytes.length; at++) {
      const cut = [bytes.subarray(0, at), bytes.subarray(at)]
      expect(await all(parseSSE(iterate(cut), { sentinel: false })), `cut at ${at}`).toEqual(expected)
    }
    expect(await all(parseSSE(iterate(each(bytes)), { sentinel: false }))).toEqual(expected)
  })

  it('a character cut off by the end of the body is one U+FFFD, if the tail is dispatched', async () => {
    const bytes = latin1('data: a\xf0\x9f\x9a')
    for (const chunks of [[bytes], each(bytes)]) {
      expect(await all(parseSSE(iterate(chunks), { sentinel: false, eof: 'dispatch' }))).toEqual([{ data: 'a\ufffd' }])
    }
  })

  it('a chunk that is longer than what is decoded at once is decoded as one', async () => {
    // Characters of three bytes, at each of the three places a cut may have.
    for (const before of ['', 'a', 'ab']) {
      const data = before + '日本'.repeat(10_000)
      expect(await all(parseSSE(iterate([bytesOf(`data: ${data}\n\n`)]), { sentinel: false }))).toEqual([{ data }])
    }
  })

  it('a view of a larger buffer is read as far as it goes', async () => {
    const buffer = bytesOf('xxxxdata: 1\n\nxxxx')
    const views = [buffer.subarray(4, 13), Buffer.from(buffer.buffer, 4, 9), new DataView(buffer.buffer, 4, 9)]
    for (const view of [...views, buffer.slice(4, 13).buffer]) {
      expect(await all(parseSSE(iterate([view as Uint8Array]), { sentinel: false }))).toEqual([{ data: '1' }])
    }
  })
})

async function* iterate<T>(values: Iterable<T>): AsyncGenerator<T> {
  yield* values
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const seen: T[] = []
  for await (const value of values) seen.push(value)
  return seen
}
