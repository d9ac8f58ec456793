import { createParser as createReference } from 'eventsource-parser'
import fc from 'fast-check'
import { createParser, type ParsedEvent, type ParserOptions, parseSSE, type RelayError } from 'sse-relay/client'
import { describe, expect, it } from 'vitest'
import { runs } from '../arbitrary.js'

function parse(chunks: string | readonly string[], options: Partial<ParserOptions> = {}): ParsedEvent[] {
  const events: ParsedEvent[] = []
  const parser = createParser({ onEvent: (event) => events.push(event), ...options })
  for (const chunk of [chunks].flat()) parser.feed(chunk)
  return events
}

function thrownBy(task: () => unknown): unknown {
  try {
    task()
  } catch (error) {
    return error
  }
  throw new Error('Nothing was thrown')
}

describe('a parser', () => {
  it('hands an event over at the blank line that ends it, within feed', () => {
    const events: ParsedEvent[] = []
    const parser = createParser({ onEvent: (event) => events.push(event) })
    parser.feed('data: 1\n')
    expect(events).toEqual([])
    parser.feed('\ndata: 2')
    expect(events).toEqual([{ data: '1' }])
    parser.feed('\n\n')
    expect(events).toEqual([{ data: '1' }, { data: '2' }])
  })

  it('takes a CR for a line end at once, and an LF that follows for a part of it', () => {
    const events: ParsedEvent[] = []
    const parser = createParser({ onEvent: (event) => events.push(event) })
    parser.feed('data: 1\r')
    parser.feed('\r')
    expect(events).toEqual([{ data: '1' }])
    parser.feed('\ndata: 2\r')
    parser.feed('\n')
    expect(events).toHaveLength(1)
    parser.feed('\r')
    expect(events).toHaveLength(2)
  })

  it('a CRLF split over chunks is one line end (rexxars/eventsource-parser#17)', () => {
    expect(parse(['data: 1\r', '\ndata: 2\r', '\n\r', '\n'])).toEqual([{ data: '1\n2' }])
  })

  it.each([
    ['\n', '\n'],
    ['\r', '\r'],
    ['\r\n', '\r\n'],
    ['\n', '\r'],
    ['\r', '\r\n'],
    ['\r\n', '\r'],
  ])('ends lines with %j and blocks with %j (hey-api/hey-api#3054)', (line, blank) => {
    expect(parse(`event: a${line}data: 1${line}data: 2${line}${blank}data: 3${line}${blank}`)).toEqual([
      { event: 'a', data: '1\n2' },
      { data: '3' },
    ])
  })

  it('has an event only where there is data: not for a heartbeat, not for more blank lines (Azure/fetch-event-source#15)', () => {
    expect(parse('\n\n: ping\n\nevent: a\n\nid: 1\n\nretry: 1\n\n\n\ndata\n\n\n')).toEqual([{ data: '' }])
  })

  it('an event has a type only when it is not the default one, and an id only when its own block has one', () => {
    expect(
      parse('data: 1\n\nevent\nid\ndata: 2\n\nevent: a\nevent:\ndata: 3\n\nid: 7\ndata: 4\n\ndata: 5\n\n'),
    ).toEqual([{ data: '1' }, { data: '2', id: '' }, { data: '3' }, { data: '4', id: '7' }, { data: '5' }])
  })

  it('the type of one event is not that of the next, with data or without', () => {
    expect(parse('event: a\n\ndata: 1\n\nevent: b\ndata: 2\n\ndata: 3\n\n')).toEqual([
      { data: '1' },
      { event: 'b', data: '2' },
      { data: '3' },
    ])
  })

  it('keeps the spaces of a token but the one after the colon (mpetazzoni/sse.js#33)', () => {
    expect(parse('data:  world\n\ndata:\tworld\n\ndata:world \n\ndata: \n\ndata:\u00a0x\n\n')).toEqual([
      { data: ' world' },
      { data: '\tworld' },
      { data: 'world ' },
      { data: '' },
      { data: '\u00a0x' },
    ])
  })

  it('a field without a colon has an empty value (lukeed/fetch-event-stream#6)', () => {
    expect(parse('data: 1\nevent\ndata\nid\n\n')).toEqual([{ data: '1\n', id: '' }])
  })

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])(
    'nothing is looked up by the name %s from the wire',
    (name) => {
      const [event, ...rest] = parse(`${name}: 1\n${name}\nevent: ${name}\nid: ${name}\ndata: ${name}\n\n`)
      expect(Object.entries(event ?? {}).sort()).toEqual([
        ['data', name],
        ['event', name],
        ['id', name],
      ])
      expect(Object.getPrototypeOf(event)).toBe(Object.prototype)
      expect(rest).toEqual([])
    },
  )

  it('has the last event id of an event when it hands the event over', () => {
    const ids: string[] = []
    const parser = createParser({ onEvent: () => ids.push(parser.lastEventId), lastEventId: '0' })
    parser.feed('data: a\n\nid: 1\ndata: b\n\ndata: c\n\nid: 2\n\ndata: d\n\nid\ndata: e\n\nid: 3\ndata: f')
    expect(ids).toEqual(['0', '1', '1', '2', ''])
    expect(parser.lastEventId).toBe('')
  })

  it('an id counts from the blank line on, with data or without', () => {
    const parser = createParser({ onEvent() {} })
    parser.feed('id: 1\n')
    expect(parser.lastEventId).toBe('')
    parser.feed('\n')
    expect(parser.lastEventId).toBe('1')
    parser.feed('id: 2\nid: 3\0\n\n')
    expect(parser.lastEventId).toBe('2')
  })

  it('a retry counts when its line is read, and is digits only', () => {
    const retries: number[] = []
    const parser = createParser({ onEvent() {}, onRetry: (retry) => retries.push(retry) })
    parser.feed('retry: 10\n')
    expect(retries).toEqual([10])
    parser.feed(
      'retry: 020\nretry: 1x\nretry:  3\nretry: -1\nretry: 1.5\nretry: 1e3\nretry\nretry:\nretry: ٣\nretry:0\r',
    )
    expect(retries).toEqual([10, 20, 0])
  })

  it('hands over comments, less one leading space', () => {
    const comments: string[] = []
    parse(': a\n:b\n:  c\n:\n: \n:: d\ndata: 1\n: e', { onComment: (comment) => comments.push(comment) })
    expect(comments).toEqual(['a', 'b', ' c', '', '', ': d'])
  })

  it('end() drops the unfinished block and returns its text; the last event id stays', () => {
    const events: ParsedEvent[] = []
    const parser = createParser({ onEvent: (event) => events.push(event) })
    for (const chunk of ['id: 1\ndata: 1\n', '\nid: 2\nda', 'ta: 2\ndat']) parser.feed(chunk)
    expect(parser.end()).toBe('id: 2\ndata: 2\ndat')
    expect(parser.lastEventId).toBe('1')
    parser.feed('a: 3\n\ndata: 4\n\n')
    expect(events).toEqual([{ data: '1', id: '1' }, { data: '4' }])
    expect(parser.end()).toBe('')
  })

  it('what end() returns has LF for every line end, and is whole however it came', () => {
    for (const chunks of [['data: 0\r\n\r\nid: 2\r\ndata: 2\rdat'], [...'data: 0\r\n\r\nid: 2\r\ndata: 2\rdat']]) {
      const parser = createParser({ onEvent() {} })
      for (const chunk of chunks) parser.feed(chunk)
      expect(parser.end()).toBe('id: 2\ndata: 2\ndat')
    }
  })

  it.each([
    ['data: 1\r', '\n\ndata: 2\n\n'],
    ['data: 1', '\ufeffdata: 2\n\n'],
    ['event: a\nid: b\ndata: 1\n', 'data: 2\n\n'],
    ['', '\ufeffdata: 2\n\n'],
  ])('nothing of a stream that ended with %j is left for the next', (first, second) => {
    for (const forget of ['end', 'reset'] as const) {
      const events: ParsedEvent[] = []
      const parser = createParser({ onEvent: (event) => events.push(event) })
      parser.feed(first)
      parser[forget]()
      parser.feed(second)
      expect(events).toEqual([{ data: '2' }])
    }
  })

  it('reset() forgets the last event id too', () => {
    const parser = createParser({ onEvent() {}, lastEventId: '0' })
    parser.feed('id: 1\n\n')
    parser.reset()
    expect(parser.lastEventId).toBe('')
  })

  it.each([undefined, null, {}, () => {}, { onEvent: 1 }])(
    'createParser(%o) is refused, and told what it takes',
    (options) => {
      expect(thrownBy(() => createParser(options as never))).toMatchObject({
        name: 'RelayError',
        code: 'invalid-option',
        message: expect.stringContaining('{ onEvent }'),
      })
    },
  )
})

describe('maxEventSize', () => {
  const tooLarge = { name: 'RelayError', code: 'event-too-large', message: expect.stringContaining('maxEventSize (16') }

  it.each([
    ['a data line', 'data: 7890123456'],
    ['several lines', 'event: 8\ndata: 67\n'],
    ['fields that are unknown', '0123456789\ndata:7'],
    ['an id and a retry', 'id: 5\nretry:2\ndata'],
  ])('counts the characters of %s', (_, block) => {
    expect(parse(`${block}\n\n`, { maxEventSize: 16 })).toHaveLength(1)
    expect(thrownBy(() => parse(`${block}7`, { maxEventSize: 16 }))).toMatchObject(tooLarge)
    expect(thrownBy(() => parse(`${block}7\n\n`, { maxEventSize: 16 }))).toMatchObject(tooLarge)
  })

  it('is about each event by itself: small ones may come without end', () => {
    expect(parse('data: 7890123456\n\n'.repeat(100), { maxEventSize: 16 })).toHaveLength(100)
    expect(parse('id: 1\n\n'.repeat(100), { maxEventSize: 16 })).toEqual([])
  })

  it('heartbeats may come without end, also within a block', () => {
    expect(parse(`data: 1\n${': ping\n'.repeat(100)}data: 2\n\n`, { maxEventSize: 16 })).toEqual([{ data: '1\n2' }])
  })

  it('a comment that never ends is too large', () => {
    expect(thrownBy(() => parse([':', ...'x'.repeat(100)], { maxEventSize: 16 }))).toMatchObject(tooLarge)
  })

  it.each([
    ['in one piece', [`data: 1234\n: 78901\n`]],
    ['in two', ['data: 1234\n: 7', '8901\n']],
    ['in many', [...`data: 1234\n: 78901\n`]],
  ])('a comment counts beside the event while its line goes on: %s', (_, chunks) => {
    expect(thrownBy(() => parse(chunks, { maxEventSize: 16 }))).toMatchObject(tooLarge)
    expect(parse([...chunks, 'data: 2\n\n'], { maxEventSize: 17 })).toEqual([{ data: '1234\n2' }])
  })

  it.each([
    ['whole ones', ': heartbeat\n', 12],
    ['pieces of them', ': heartbeat\n', 5],
    ['with CRLF, cut in the middle', ': heartbeat\r\n', 12],
    ['empty ones', ':\n', 1],
  ])('no more than that is kept of comments: %s', (_, comment, cut) => {
    for (const head of ['', 'data: 1\n', 'data: 1\nid: 2\n']) {
      for (const [most, maxEventSize] of [
        [70_000, undefined],
        [100, 50],
      ] as const) {
        const parser = createParser({ onEvent() {}, maxEventSize })
        parser.feed(head)
        for (let i = 0; i < 100_000; i++) {
          parser.feed(comment.slice(0, cut))
          parser.feed(comment.slice(cut))
        }
        parser.feed(': one that goes on')
        const pending = parser.end()
        expect(pending.startsWith(`${head}:`)).toBe(true)
        expect(pending.endsWith('\n: one that goes on')).toBe(true)
        expect(pending.length).toBeLessThan(2 * most)
        expect(parser.end()).toBe('')
      }
    }
  })

  it('an event that comes in one chunk is as large as one that comes in many (openai/openai-node#2433)', () => {
    const data = 'x'.repeat(1_000_000)
    expect(thrownBy(() => parse(`data: ${data}\n\n`, { maxEventSize: 1000 }))).toMatchObject({
      code: 'event-too-large',
    })
    expect(parse(`data: ${data}\n\n`)).toEqual([{ data }])
  })
})

describe('work', () => {
  type Method = (this: string, ...args: never[]) => unknown

  /** How many characters a call looks at or copies, of a string that is in one piece. */
  const costs: Record<string, (text: string, args: unknown[], result: unknown) => number> = {
    indexOf: ({ length }, [, from = 0], found) => (found === -1 ? length : Number(found) + 1) - Number(from),
    includes: ({ length }) => length,
    slice: (_, __, result) => String(result).length,
    substring: (_, __, result) => String(result).length,
    startsWith: (_, [start]) => String(start).length,
    charCodeAt: () => 1,
    split: ({ length }) => length,
    match: ({ length }) => length,
    replace: ({ length }) => length,
    search: ({ length }) => length,
  }

  /**
   * The work of a task: every character that a method of strings had to look at, counted each time. What is longer than
   * any chunk was put together here: whoever looks into it has all of its pieces joined.
   */
  function workOf(longest: number, task: () => void): number {
    const strings = String.prototype as unknown as Record<string, Method>
    const originals = { ...Object.fromEntries(Object.keys(costs).map((name) => [name, strings[name] as Method])) }
    let work = 0
    for (const [name, original] of Object.entries(originals)) {
      strings[name] = function (...args) {
        const result = original.apply(this, args)
        work += Math.max(this.length > longest ? this.length : 0, costs[name]?.(this, args, result) ?? 0)
        return result
      }
    }
    try {
      task()
    } finally {
      Object.assign(strings, originals)
    }
    return work
  }

  /** The work for a text in pieces of this length. */
  function workFor(text: string, step: number, options: Partial<ParserOptions> = {}): number {
    const chunks = Array.from({ length: Math.ceil(text.length / step) }, (_, index) =>
      text.slice(index * step, (index + 1) * step),
    )
    const parser = createParser({ onEvent() {}, onComment() {}, ...options })
    return workOf(step, () => {
      for (const chunk of chunks) parser.feed(chunk)
      parser.end()
    })
  }

  const full = { maxEventSize: 1_000_000 }
  const shapes: [string, string, string, Partial<ParserOptions>?][] = [
    ['one data line', 'data: ', 'x'],
    ['data lines', '', 'data: 1\n'],
    ['data lines that end in CR', '', 'data: 1\r'],
    ['a comment', ':', 'x'],
    ['a comment after a nearly full event', `data: ${'x'.repeat(999_000)}\n:`, 'x', full],
    ['a comment after half an event', `data: ${'x'.repeat(500_000)}\n:`, 'x', full],
    ['a comment without a limit', `data: ${'x'.repeat(999_000)}\n:`, 'x'],
    ['an unknown field', '', 'x'],
    ['events', '', 'data: 1\n\n'],
    ['events with ids', '', 'id: 1\ndata: 1\n\n'],
    ['ids', '', 'id: 1\n'],
    ['one id', 'id: ', 'x'],
    ['events after a long id', `id: ${'x'.repeat(100_000)}\n\n`, 'data: 1\n\n'],
    ['one event name', 'event: ', 'x'],
    ['event names', '', 'event: a\n'],
    ['events that end in CRLF', '', 'data: 1\r\n\r\n'],
    ['blank lines', '', '\n'],
    ['CRs before one LF', '', '\r'],
    ['comments', '', ':\n'],
    ['comments within an event', 'data: 1\n', ':\n'],
    ['comments and fields by turns', '', ':\nid: 1\n'],
    ['spaces', '', ' '],
    ['ids with NUL', '', 'id: \0\n'],
    ['a retry', 'retry: ', '9'],
    ['marks', '', '\ufeff'],
  ]
  it.each(shapes)(
    'a stream of %s that is twice as long is twice the work (rexxars/eventsource-parser#19)',
    (_, head, unit, options) => {
      for (const step of [64, 1_000_000]) {
        const base = workFor(head, step, options)
        const works = [16_384, 32_768, 65_536].map((size) => {
          const text = `${head + unit.repeat(size / unit.length)}\n\n`
          try {
            return workFor(text, step, options) - base
          } catch (error) {
            expect(error).toMatchObject({ code: 'event-too-large' })
            return 1
          }
        })
        const [small = 0, double = 0, fourfold = 0] = works
        expect(double / small, `chunks of ${step}`).toBeLessThan(2.2)
        expect(fourfold / double, `chunks of ${step}`).toBeLessThan(2.2)
      }
    },
  )

  it('of anything that repeats itself is twice as much for twice as much', () => {
    fc.assert(
      fc.property(stream, stream, fc.constantFrom(1, 7, 64, 1_000_000), (head, unit, step) => {
        fc.pre(unit !== '')
        const [small = 0, double = 0] = [8_192, 16_384].map((size) =>
          workFor(head + unit.repeat(Math.ceil(size / unit.length)), step),
        )
        expect(double / small).toBeLessThan(2.5)
      }),
      runs(100),
    )
  })
})

const { constantFrom, oneof, string, array, tuple, nat } = fc
const concat = (...parts: fc.Arbitrary<string>[]) => tuple(...parts).map((values) => values.join(''))

const odd = constantFrom(
  '',
  ' ',
  '  ',
  ':',
  '\0',
  '\t',
  '\ufeff',
  'ï»¿',
  'data',
  '[DONE]',
  'é',
  '日',
  '🚀',
  '\ud83d',
  '\u2028',
)
const name = constantFrom('constructor', '__proto__', 'toString', 'message', 'error', 'hasOwnProperty')
const value = oneof(
  odd,
  name,
  constantFrom('a', '1', '0012', '1x', '99999999999999999999'),
  concat(odd, string({ maxLength: 5 }), odd),
)
const field = oneof(
  { arbitrary: constantFrom('data', 'event', 'id', 'retry'), weight: 8 },
  constantFrom('', 'Data', ' data', 'data ', 'dat', 'dataa', 'data\0', '\0data', '\ufeffdata', 'events', 'ID', 'retr'),
  name,
)
const line = oneof(
  { arbitrary: concat(field, constantFrom(':', ': ', ':  ', ':\t', ''), value), weight: 6 },
  { arbitrary: field, weight: 1 },
  { arbitrary: concat(constantFrom(':', ': '), value), weight: 1 },
  { arbitrary: string({ unit: 'grapheme-composite', maxLength: 8 }), weight: 1 },
  { arbitrary: constantFrom(''), weight: 4 },
)
const lineEnd = oneof(
  { arbitrary: constantFrom('\n'), weight: 4 },
  constantFrom('\r', '\r\n', '\n\n', '\r\r', '\n\r', '\r\n\r\n'),
)
/** An event stream, or what is nearly one. */
const stream = concat(
  oneof({ arbitrary: constantFrom(''), weight: 4 }, constantFrom('\ufeff', '\ufeff\ufeff', '\n', ' ', '\r\n')),
  array(concat(line, lineEnd), { maxLength: 30 }).map((lines) => lines.join('')),
  oneof(constantFrom(''), line),
)
const cuts = oneof({ arbitrary: array(nat(1000), { maxLength: 12 }), weight: 3 }, constantFrom('each' as const))

/** Cuts at the given thousandths of the length, empty chunks included, or everywhere. */
function slice<T extends string | Uint8Array>(whole: T, cuts: number[] | 'each'): T[] {
  const { length } = whole
  const places =
    cuts === 'each' ? Array.from({ length }, (_, index) => index) : cuts.map((cut) => Math.round((cut * length) / 1000))
  const sorted = [0, ...places.sort((a, b) => a - b), length]
  return sorted.slice(1).map((end, index) => whole.slice(sorted[index], end) as T)
}

/** All that a stream says, in its order. */
type Said = (
  | { event: string; data: string; id?: string; lastEventId: string }
  | { comment: string }
  | { retry: number }
  | { lastEventId: string }
)[]

function said(chunks: readonly string[]): Said {
  const all: Said = []
  const parser = createParser({
    onEvent: ({ event = '', ...rest }) => all.push({ event, ...rest, lastEventId: parser.lastEventId }),
    onComment: (comment) => all.push({ comment }),
    onRetry: (retry) => all.push({ retry }),
  })
  for (const chunk of chunks) parser.feed(chunk)
  all.push({ lastEventId: parser.lastEventId })
  return all
}

function saidByReference(chunks: readonly string[]): Said {
  const all: Said = []
  let lastEventId = ''
  const parser = createReference({
    onId(id) {
      lastEventId = id
    },
    onEvent: ({ event = '', data, id }) => all.push({ event, data, ...(id !== undefined && { id }), lastEventId }),
    onComment: (comment) => all.push({ comment }),
    onRetry: (retry) => all.push({ retry }),
  })
  for (const chunk of chunks) parser.feed(chunk)
  all.push({ lastEventId })
  return all
}

/** The text that eventsource-parser takes for a BOM, on purpose. */
const looksLikeBOM = (text: string) => /^(ï»¿|ï?$|ï»$)/.test(text)

describe('against eventsource-parser 4.1', () => {
  it('random streams say the same, however both are cut', () => {
    fc.assert(
      fc.property(stream, cuts, cuts, (text, ours, theirs) => {
        fc.pre(!looksLikeBOM(text))
        expect(said(slice(text, ours))).toEqual(saidByReference(slice(text, theirs)))
      }),
      runs(4000),
    )
  })

  it('random bytes say the same, however they are cut', async () => {
    const bytes = oneof(
      stream.map((text) => new TextEncoder().encode(text)),
      // Not always UTF-8.
      tuple(stream, array(tuple(nat(1000), nat(255)), { maxLength: 4 })).map(([text, damage]) => {
        const bytes = new TextEncoder().encode(text)
        for (const [place, byte] of damage) bytes[Math.floor((place * bytes.length) / 1001)] = byte
        return bytes
      }),
    )
    await fc.assert(
      fc.asyncProperty(bytes, cuts, async (bytes, cuts) => {
        const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
        fc.pre(!looksLikeBOM(text))
        const all: Said = []
        const events = parseSSE(iterate(slice(bytes, cuts)), {
          sentinel: false,
          onComment: (comment) => all.push({ comment }),
          onRetry: (retry) => all.push({ retry }),
        })
        for await (const { event = '', ...rest } of events)
          all.push({ event, ...rest, lastEventId: events.lastEventId })
        all.push({ lastEventId: events.lastEventId })
        // An event waits for its reader, a comment does not: each kind is in its own order.
        const byKind = (all: Said) => [
          all.filter((one) => 'comment' in one || 'retry' in one),
          all.filter((one) => 'lastEventId' in one),
        ]
        expect(byKind(all)).toEqual(byKind(saidByReference([text])))
      }),
      runs(1500),
    )
  })

  it('differs in its two known deviations, both about the BOM', () => {
    expect(parse('ï»¿data: 1\n\n')).toEqual([])
    expect(saidByReference(['ï»¿data: 1\n\n'])).toHaveLength(2)

    // The decoder takes off one, and the parser behind it another.
    const twice = '\ufeff\ufeffdata: 1\n\n'
    expect(parse(twice)).toEqual([])
    expect(saidByReference([new TextDecoder().decode(new TextEncoder().encode(twice))])).toHaveLength(2)
  })
})

describe('however a stream is cut', () => {
  it('maxEventSize gives the same events and the same error', () => {
    const read = (chunks: readonly string[], maxEventSize: number) => {
      const events: ParsedEvent[] = []
      const parser = createParser({ onEvent: (event) => events.push(event), maxEventSize })
      let error: Pick<RelayError, 'code' | 'message'> | undefined
      try {
        for (const chunk of chunks) parser.feed(chunk)
      } catch (thrown) {
        const { code, message } = thrown as RelayError
        error = { code, message }
      }
      return { events, error, lastEventId: parser.lastEventId }
    }
    fc.assert(
      fc.property(stream, cuts, nat(40), (text, cuts, max) => {
        expect(read(slice(text, cuts), max + 1)).toEqual(read([text], max + 1))
      }),
      runs(3000),
    )
  })

  it('what end() returns makes the same events as the rest would have made', () => {
    fc.assert(
      fc.property(stream, cuts, stream, (text, cuts, rest) => {
        const events: ParsedEvent[] = []
        const parser = createParser({ onEvent: (event) => events.push(event) })
        for (const chunk of slice(text, cuts)) parser.feed(chunk)
        const pending = parser.end()
        // A BOM or an LF in this place would be another thing.
        fc.pre(!/^\ufeff|^$/.test(pending) && !rest.startsWith('\n'))
        parser.feed(pending + rest)
        expect(events).toEqual(parse(text + rest))
      }),
      runs(1500),
    )
  })
})

async function* iterate<T>(values: Iterable<T>): AsyncGenerator<T> {
  yield* values
}
