// What no test thought of: generated streams, cut anywhere, against a reference written here after the HTML standard
// and against eventsource-parser; generated events through the encoder and back; provider chunks with something wrong
// in them through the sources and the protocols.
//
//   npm run fuzz                           ten million slices
//   npm run fuzz -- --quick                100 000, as CI does
//   npm run fuzz -- --slices 1e6 --seed 7  so many, of another seed
//   npm run fuzz -- --seed 7 --case 1234   one case again
//
// A slice is one piece given to a reader. The same seed gives the same cases, on any machine.
import { deepStrictEqual } from 'node:assert'
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { createParser as createOther } from 'eventsource-parser'

if (!existsSync(new URL('../dist/index.js', import.meta.url))) {
  console.error('Nothing to fuzz: run `npm run build` first.')
  process.exit(1)
}

// The package by its own name: what is built is what is tried.
const { encodeComment, encodeEvent, isRelayError, relayTo, toParts } = await import('sse-relay')
const { createParser, parseSSE } = await import('sse-relay/client')
const protocols = await import('sse-relay/protocols')
const { readTrace, traceNames } = await import('sse-relay/testing')

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    slices: { type: 'string' },
    seed: { type: 'string' },
    case: { type: 'string' },
  },
})
const target = Number(flags.slices ?? (flags.quick ? 1e5 : 1e7))
const seed = Number(flags.seed ?? (flags.quick ? 1 : Date.now() % 1e9))
if (!(target > 0) || !Number.isInteger(seed)) throw new Error('--slices takes a positive number, --seed an integer')

let slices = 0
// Which providers' streams need a signal is not the matter here.
console.warn = () => {}

// Chance

/** A generator of numbers from 0 up to 1 (mulberry32). */
function random(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** What a case may ask of chance. */
class Chance {
  constructor(seed, index) {
    this.next = random(Math.imul(seed, 2_654_435_761) ^ Math.imul(index + 1, 40_503))
  }

  /** An integer from 0 up to `below`. */
  int(below) {
    return Math.floor(this.next() * below)
  }

  of(list) {
    return list[this.int(list.length)]
  }

  is(probability) {
    return this.next() < probability
  }

  /** Mostly small, at times large. */
  size(most) {
    return Math.floor(most ** this.next())
  }

  list(most, make) {
    return Array.from({ length: this.int(most + 1) }, make)
  }
}

// The reference: the HTML standard's words, one after the other, over the whole text.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

/** All that a stream says, in its order: events with the last event id at that moment, comments, retries. */
function interpret(stream, { bom = true, maxEventSize = Infinity } = {}) {
  const said = []
  let text = stream
  // "If the character is U+FEFF BOM, ignore it": the stream's first.
  if (bom && text.startsWith('\ufeff')) text = text.slice(1)
  // "stream = [ bom ] *event; end-of-line = ( cr lf / cr / lf )": what comes after the last is no line.
  const lines = text.split(/\r\n|\r|\n/)
  const rest = lines.pop()
  let lastEventId = ''
  let dataBuffer = ''
  let typeBuffer = ''
  let idBuffer
  let size = 0
  /** Not of the standard: whether the line makes its event too large. */
  const isTooLarge = (line) => {
    // A comment counts while its line goes on.
    if (line.startsWith(':')) return size + line.length > maxEventSize
    size += line.length
    return size > maxEventSize
  }
  for (const line of lines) {
    if (line === '') {
      // "If the line is empty (a blank line): dispatch the event."
      size = 0
      if (idBuffer !== undefined) lastEventId = idBuffer
      if (dataBuffer !== '') {
        // "If the data buffer's last character is a U+000A LINE FEED (LF) character, then remove it."
        const event = { data: dataBuffer.slice(0, -1) }
        if (typeBuffer !== '') event.event = typeBuffer
        if (idBuffer !== undefined) event.id = idBuffer
        said.push(['event', event, lastEventId])
      }
      dataBuffer = typeBuffer = ''
      idBuffer = undefined
      continue
    }
    if (isTooLarge(line)) return { said, lastEventId, tooLarge: true }
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    let value = colon === -1 ? '' : line.slice(colon + 1)
    if (value.startsWith(' ')) value = value.slice(1)
    if (colon === 0) said.push(['comment', value])
    else if (field === 'event') typeBuffer = value
    else if (field === 'data') dataBuffer += `${value}\n`
    else if (field === 'id') {
      if (!value.includes('\0')) idBuffer = value
    } else if (field === 'retry' && value !== '' && [...value].every((digit) => digit >= '0' && digit <= '9')) {
      said.push(['retry', Number(value)])
    }
  }
  return { said, lastEventId, tooLarge: rest !== '' && isTooLarge(rest) }
}

// Streams

const BREAKS = ['\n', '\n', '\n', '\r\n', '\r\n', '\r']
const FIELDS = [
  'data',
  'data',
  'data',
  'data',
  'event',
  'id',
  'retry',
  'dat',
  'Data',
  'data ',
  ' data',
  '',
  'x',
  '\ufeffdata',
]
const BITS = [
  ...[
    '',
    ' ',
    '  ',
    'a',
    'token',
    ':',
    '::',
    'data: x',
    '{"text":"Hello"}',
    '[DONE]',
    'error',
    '\0',
    '\ufeff',
    '\t',
    '\v',
  ],
  ...[
    '\u0085',
    '\u2028',
    '\u2029',
    'é',
    '日本',
    '🚀',
    '\ud83d',
    '\ude80',
    '__proto__',
    'constructor',
    '0',
    '12',
    '1.5',
    '-1',
    '٣',
  ],
]

function makeValue(chance) {
  if (chance.is(0.004)) return chance.of(BITS).padEnd(1, 'x').repeat(chance.size(60_000))
  let value = ''
  for (let count = chance.int(5); count > 0; count--) value += chance.of(BITS)
  return value
}

function makeLine(chance) {
  const field = chance.of(FIELDS)
  if (field === 'retry' && chance.is(0.7)) return `retry:${chance.is(0.5) ? ' ' : ''}${chance.int(100_000)}`
  if (chance.is(0.06)) return field
  if (chance.is(0.1)) return chance.of([':', ': ', ': heartbeat', `: ${makeValue(chance)}`])
  return `${field}:${chance.is(0.6) ? ' ' : ''}${makeValue(chance)}`
}

function makeStream(chance) {
  let stream = chance.is(0.1) ? chance.of(['\ufeff', '\ufeff\ufeff']) : ''
  const own = chance.is(0.5) ? chance.of(BREAKS) : undefined
  for (let events = chance.int(7); events > 0; events--) {
    for (let lines = chance.int(5); lines > 0; lines--) stream += makeLine(chance) + (own ?? chance.of(BREAKS))
    stream += own ?? chance.of(BREAKS)
  }
  if (chance.is(0.3)) stream += makeLine(chance)
  return stream
}

/** Cuts at places of chance: into many pieces, few, or none; some are empty. */
function cut(chance, whole) {
  const { length } = whole
  const most = length > 5000 ? 40 : length
  const places = chance.is(0.15)
    ? Array.from({ length: most }, (_, index) => Math.round((index * length) / most))
    : Array.from({ length: chance.size(most + 1) }, () => chance.int(length + 1)).sort((a, b) => a - b)
  const pieces = []
  let start = 0
  for (const place of [...places, length]) {
    pieces.push(whole.slice(start, place))
    start = place
  }
  return pieces
}

const DOCUMENTED = new Set(['truncated', 'event-too-large', 'network', 'upstream-failure'])

/** What was thrown, if it is a documented error of these codes. */
function documented(error, codes = DOCUMENTED) {
  if (!isRelayError(error) || !codes.has(error.code)) throw error
  return error.code
}

function hear(pieces, options) {
  const said = []
  let parser
  let thrown
  try {
    parser = createParser({
      onEvent: (event) => said.push(['event', event, parser.lastEventId]),
      onComment: (comment) => said.push(['comment', comment]),
      onRetry: (retry) => said.push(['retry', retry]),
      ...options,
    })
    for (const piece of pieces) {
      slices++
      parser.feed(piece)
    }
  } catch (error) {
    thrown = documented(error, new Set(['event-too-large']))
  }
  return { said, lastEventId: parser.lastEventId, tooLarge: thrown !== undefined }
}

function hearOther(pieces) {
  const said = []
  let lastEventId = ''
  const parser = createOther({
    onId: (id) => {
      lastEventId = id
    },
    onEvent({ id, event, data }) {
      const heard = { data }
      if (event !== undefined) heard.event = event
      if (id !== undefined) heard.id = id
      said.push(['event', heard, lastEventId])
    },
    onComment: (comment) => said.push(['comment', comment]),
    onRetry: (retry) => said.push(['retry', retry]),
  })
  for (const piece of pieces) parser.feed(piece)
  return { said, lastEventId, tooLarge: false }
}

// The cases. Each throws if something is wrong, with what it was about in `about`.

let about

const cases = {
  /** The same events, whatever the cuts; as the standard has it; as another parser has it. */
  text(chance) {
    const stream = makeStream(chance)
    const expected = interpret(stream)
    for (const pieces of [[stream], cut(chance, stream), cut(chance, stream)]) {
      about = { stream, pieces }
      deepStrictEqual(hear(pieces), expected, 'the parser and the reference differ')
    }
    // The other one takes three characters for the bytes of a mark, too.
    if (!stream.startsWith('\xef')) {
      about = { stream, with: 'eventsource-parser' }
      deepStrictEqual(hearOther(cut(chance, stream)), expected, 'eventsource-parser and the reference differ')
    }
  },

  /** The limit is met at the same event, whatever the cuts. What else that event's lines say may be heard or not. */
  limit(chance) {
    const onlyEvents = ({ said, ...rest }) => ({ ...rest, events: said.filter(([kind]) => kind === 'event') })
    const stream = makeStream(chance)
    const maxEventSize = 1 + chance.size(chance.is(0.1) ? 60_000 : 100)
    const expected = onlyEvents(interpret(stream, { maxEventSize }))
    for (const pieces of [[stream], cut(chance, stream)]) {
      about = { stream, maxEventSize, pieces }
      deepStrictEqual(onlyEvents(hear(pieces, { maxEventSize })), expected, 'the limit depends on the cuts')
    }
  },

  /** A parser that is ended, or reset, is as good as new. */
  again(chance) {
    const [first, second] = [makeStream(chance), makeStream(chance)]
    about = { first, second }
    const said = []
    const parser = createParser({ onEvent: (event) => said.push(['event', event, parser.lastEventId]) })
    for (const piece of cut(chance, first)) parser.feed(piece)
    const before = interpret(first)
    deepStrictEqual(parser.lastEventId, before.lastEventId)
    const pending = parser.end()
    // Of a CRLF that was cut the LF is not there.
    const lines = (text) => text.replace(/\r\n?/g, '\n')
    // Of comments no more than 64 Ki are kept.
    const bare = (text) => lines(text).replace(/^:.*\n/gm, '')
    if (first.length < 60_000 && !lines(first).endsWith(pending))
      throw new Error('what is pending is not the end of the stream')
    if (!bare(first).endsWith(bare(pending))) throw new Error('what is pending is not the end of the stream')
    deepStrictEqual(parser.lastEventId, before.lastEventId, 'end() forgets the last event id')
    parser.reset()
    said.length = 0
    for (const piece of cut(chance, second)) {
      slices++
      parser.feed(piece)
    }
    deepStrictEqual(
      said,
      interpret(second).said.filter(([kind]) => kind === 'event'),
    )
  },

  /** Bytes, with UTF-8 that is cut or wrong, through `parseSSE`. */
  async bytes(chance) {
    const bytes = spoil(chance, new TextEncoder().encode(makeStream(chance)))
    // The whole at once: "UTF-8 decode", which takes the mark off.
    const { said, lastEventId } = interpret(new TextDecoder().decode(bytes), { bom: false })
    const due = said.filter(([kind]) => kind === 'event').map(([, event]) => event)
    const pieces = cut(chance, bytes)
    about = { bytes: Buffer.from(bytes).toString('latin1'), pieces: pieces.map(({ length }) => length) }
    slices += pieces.length
    const plain = await read(parseSSE(streamOf(chance, pieces), { sentinel: false }))
    deepStrictEqual(plain, { events: due, lastEventId, code: undefined }, 'parseSSE and the reference differ')

    const end = due.findIndex(({ event, data }) => event === 'error' || data === '[DONE]')
    const told = await read(parseSSE(streamOf(chance, pieces)))
    slices += pieces.length
    deepStrictEqual(told.events, end === -1 ? due : due.slice(0, end), 'the events up to the ending differ')
    const code = end === -1 ? 'truncated' : due[end].event === 'error' ? 'upstream-failure' : undefined
    deepStrictEqual(told.code, code, 'the ending differs')
  },

  /** What is encoded is parsed back; what cannot be is refused, and for that alone. */
  encode(chance) {
    const text = () => makeValue(chance) + (chance.is(0.3) ? chance.of(BREAKS) + makeValue(chance) : '')
    const events = chance.list(4, () => ({
      data: text(),
      ...(chance.is(0.4) && { event: chance.is(0.3) ? text() : makeValue(chance) }),
      ...(chance.is(0.4) && { id: chance.is(0.3) ? text() : makeValue(chance) }),
      ...(chance.is(0.2) && { retry: chance.of([0, 1, 3000, 2 ** 53 - 1, -1, 1.5, Number.NaN, Infinity, '5', null]) }),
    }))
    about = { events }
    let stream = ''
    const due = []
    for (const event of events) {
      const { event: type, id, retry, data } = event
      const valid =
        !/[\r\n]/.test(type ?? '') && !/[\r\n\0]/.test(id ?? '') && (retry === undefined || isNatural(retry))
      try {
        stream += encodeEvent(event)
      } catch (error) {
        documented(error, new Set(['invalid-field']))
        if (valid) throw error
        continue
      }
      if (!valid) throw new Error('an event that is not valid was encoded')
      const comment = chance.is(0.3) ? text() : undefined
      if (comment !== undefined) stream += encodeComment(comment)
      if (retry !== undefined) due.push(['retry', retry])
      due.push([
        'event',
        { data: data.replace(/\r\n|\r/g, '\n'), ...(type && { event: type }), ...(id !== undefined && { id }) },
      ])
      if (comment !== undefined) for (const line of comment.split(/\r\n|\r|\n/)) due.push(['comment', line])
    }
    const { said } = hear(cut(chance, stream))
    deepStrictEqual(
      said.map(([kind, value]) => [kind, value]),
      due,
      'what was encoded is not what is parsed',
    )
  },

  /** Provider chunks with something wrong in them: parts, or a documented error; and nothing else happens. */
  parts(chance) {
    for (let count = 20; count > 0; count--) {
      const chunk = spoiledChunk(chance)
      about = { chunk }
      slices++
      getters.length = 0
      const before = shape(chunk)
      let parts
      try {
        parts = toParts(chunk)
      } catch (error) {
        if (!isDocumentedSourceError(error)) throw error
      }
      deepStrictEqual(shape(chunk), before, 'the chunk was changed')
      for (const part of parts ?? []) checkPart(part, chunk)
      if (isGemini(chunk)) deepStrictEqual(getters, [], 'a getter was called')
      checkPrototypes()
    }
  },

  /** A whole run of such chunks, in every protocol: it ends, once, and what is on the wire is well formed. */
  async relay(chance) {
    const chunks = chance.list(6, () => spoiledChunk(chance))
    const protocol = chance.of(Object.values(protocols))()
    about = { chunks, protocol: protocol.name }
    slices += chunks.length
    let wire = ''
    let status
    const sink = {
      open: (code) => {
        status = code
      },
      write(text) {
        wire += text
        return true
      },
      end(text = '') {
        wire += text
        queueMicrotask(() => run.drained())
      },
      destroy() {
        throw new Error('the connection was dropped')
      },
      schedule: queueMicrotask,
    }
    const run = relayTo(sink, chunks, { protocol, onError() {} })
    const { outcome } = await run.done
    checkPrototypes()
    if (status !== 200) {
      if (outcome === 'done' || typeof JSON.parse(wire).error.code !== 'string') throw new Error(`${status}: ${wire}`)
      return
    }
    const { said } = interpret(wire)
    const [, last] = said.at(-1)
    const sentinels = said.filter(([, { data }]) => data === '[DONE]').length
    const failures = said.filter(([, { event }]) => event === 'error').length
    about = { chunks, protocol: protocol.name, outcome, wire }
    if (outcome === 'done' && protocol.sentinel === '')
      deepStrictEqual(
        { type: JSON.parse(last.data).type, sentinels, failures },
        { type: 'RUN_FINISHED', sentinels: 0, failures: 0 },
      )
    else if (outcome === 'done')
      deepStrictEqual({ last, sentinels, failures }, { last: { data: '[DONE]' }, sentinels: 1, failures: 0 })
    else {
      deepStrictEqual({ type: last.event, sentinels, failures }, { type: 'error', sentinels: 0, failures: 1 })
      if (typeof JSON.parse(last.data).error.code !== 'string') throw new Error('a failure without a code')
    }
  },

  /** Twice the stream is twice the work, counted in characters that were looked at. */
  work(chance) {
    const pattern = chance.of([
      ...[
        'data: x',
        'data: x\n\n',
        'data:\n',
        '\n',
        '\r',
        '\r\n',
        ':',
        ': \n',
        'id: \0\n',
        'x',
        'data',
        'data\r',
        'data:\r\n\r\n',
        ': beat\r',
        ':\nid: 1\n',
        'id: 1\ndata: x\n\n',
        'event: a\n',
        'retry: 1\n',
      ],
      makeStream(chance).slice(0, 500) || 'x',
    ])
    const piece = 16 + chance.size(3000)
    const length = 4096
    // What comes before may be half of something, and nearly all that an event may have.
    const head = chance.is(0.5) ? '' : chance.of([':', 'data:', 'id:', 'data: 1\n:', `data: ${'x'.repeat(3000)}\n:`])
    const maxEventSize = chance.is(0.5) ? Infinity : 3000 + chance.int(20_000)
    const [once, twice] = [1, 4].map((times) => {
      const stream = head + pattern.repeat(Math.ceil((length * times) / pattern.length)).slice(0, length * times)
      about = { head, pattern, piece, length: stream.length, maxEventSize }
      return touched(stream, piece, { maxEventSize }) / stream.length
    })
    // Characters looked at for each character of the stream.
    if (twice > once * 1.3 + 1) throw new Error(`${once.toFixed(1)} a character become ${twice.toFixed(1)}`)
    if (twice > 40) throw new Error(`${twice.toFixed(1)} characters are looked at for each`)
  },
}

/** How often each kind comes, of a hundred. */
const WEIGHTS = { text: 47, limit: 8, again: 5, bytes: 8, encode: 8, parts: 10, relay: 10, work: 4 }

function isNatural(value) {
  return Number.isSafeInteger(value) && value >= 0
}

/** Bytes put in, taken out and changed: sequences of UTF-8 that are cut, overlong, or none. */
function spoil(chance, bytes) {
  const list = [...bytes]
  for (let count = chance.is(0.6) ? chance.int(6) : 0; count > 0; count--) {
    const at = chance.int(list.length + 1)
    const wrong = chance.of([
      [0x80],
      [0xff],
      [0xc0, 0xaf],
      [0xe2, 0x82],
      [0xf0, 0x9f, 0x9a],
      [0xed, 0xa0, 0x80],
      [0xef, 0xbb, 0xbf],
      [0],
    ])
    list.splice(at, chance.int(3), ...wrong)
  }
  return Uint8Array.from(list)
}

/** The pieces as anything that `parseSSE` takes. */
function streamOf(chance, pieces) {
  const iterable = (async function* () {
    yield* pieces
  })()
  if (chance.is(0.5)) return iterable
  const stream = new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterable.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
  })
  return chance.is(0.5) ? stream : new Response(stream, { headers: { 'content-type': 'text/event-stream' } })
}

async function read(stream) {
  const events = []
  let code
  try {
    for (;;) {
      const { done, value } = await stream.next()
      if (done) break
      events.push(value)
    }
  } catch (error) {
    code = documented(error)
  }
  return { events, lastEventId: stream.lastEventId, code }
}

// Chunks

/** Chunks of all providers: of the traces, and of SDKs that give them another shape than the wire. */
const CHUNKS = [
  ...traceNames()
    .filter((name) => !name.endsWith('.eventstream'))
    .flatMap((name) => {
      const lines = readTrace(name).toString().split(/\r?\n/)
      const json = name.endsWith('.ndjson')
        ? lines
        : lines.filter((line) => line.startsWith('data: {')).map((line) => line.slice(6))
      return json.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
    }),
  { messageStart: { role: 'assistant' } },
  { contentBlockStart: { contentBlockIndex: 0, start: { toolUse: { toolUseId: 't1', name: 'f' } } } },
  { contentBlockDelta: { contentBlockIndex: 0, delta: { text: 'Hello' } } },
  { contentBlockDelta: { contentBlockIndex: 0, delta: { toolUse: { input: '{' } } } },
  { contentBlockDelta: { contentBlockIndex: 0, delta: { reasoningContent: { text: 'Hm' } } } },
  { messageStop: { stopReason: 'end_turn' } },
  { metadata: { usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 } } },
  { data: { choices: [{ index: 0, delta: { content: [{ type: 'text', text: 'Hello' }] }, finishReason: null }] } },
  {
    data: {
      choices: [{ index: 0, delta: { toolCalls: [{ index: 0, id: 'c', function: { name: 'f', arguments: {} } }] } }],
    },
  },
  { type: 'start' },
  { type: 'text-delta', id: '1', text: 'Hello' },
  { type: 'reasoning-delta', id: '1', text: 'Hm' },
  { type: 'tool-input-start', id: 'c', toolName: 'f' },
  { type: 'tool-input-delta', id: 'c', delta: '{}' },
  { type: 'tool-call', toolCallId: 'c', toolName: 'f', input: {} },
  { type: 'source', sourceType: 'url', url: '/a', title: 'A' },
  { type: 'file', file: { mediaType: 'image/png', base64: 'AA==' } },
  { type: 'finish', finishReason: 'stop', totalUsage: { inputTokens: 1, inputTokenDetails: { cacheReadTokens: 1 } } },
  { type: 'text', text: 'Hello' },
  { type: 'tool-call', index: 0, id: 'c', name: 'f', input: '{}' },
  { type: 'usage', usage: { inputTokens: 1 } },
  { type: 'data', name: 'citation', data: { url: '/a' } },
  { event: 'note', data: { a: 1 }, id: '1', retry: 5 },
  { error: { message: 'no', type: 'overloaded_error', code: 529 } },
  { text: 'Hello' },
]

const PLAIN = [
  ...[null, undefined, '', 'x', 'a\nb', '[DONE]', 'error', 'x'.repeat(5000), Symbol.iterator],
  ...[0, -1, 1.5, Number.NaN, Infinity, 5n, true, false],
]
/** Made when they are wanted: a case may go on to change them. */
const OBJECTS = [
  () => [],
  () => [null],
  () => [[]],
  () => [1, 'x'],
  () => ({}),
  () => ({ length: 3 }),
  () => ({ type: 'text' }),
  () => Object.create(null),
  () => new Date(0),
  () => new Map(),
  () => () => {},
  () => new Uint8Array(2),
  () => new Error('x'),
  () => ({ toString: null }),
  () => ({ toJSON: () => undefined }),
]
const wrong = (chance) => (chance.is(0.5) ? chance.of(PLAIN) : chance.of(OBJECTS)())

const KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'type',
  'text',
  'data',
  'error',
  'choices',
  'usage',
]

/** The getters that were called of what the SDK of Gemini puts on its chunks; they print warnings. */
const getters = []
const warning = Object.defineProperties(
  {},
  Object.fromEntries(
    ['text', 'data', 'functionCalls', 'executableCode', 'codeExecutionResult'].map((name) => [
      name,
      { get: () => void getters.push(name) },
    ]),
  ),
)

const isObject = (value) => typeof value === 'object' && value !== null

/** By what such a chunk is known. One with `choices`, a `type` or an `event` is asked for among those of others. */
function isGemini(chunk) {
  if (!isObject(chunk) || Object.getPrototypeOf(chunk) !== warning) return false
  const { candidates, promptFeedback, usageMetadata, choices, type, event } = chunk
  if (Array.isArray(choices) || typeof type === 'string' || typeof event === 'string') return false
  return (
    (Array.isArray(candidates) && candidates.every(isObject)) || isObject(promptFeedback) || isObject(usageMetadata)
  )
}

function spoiledChunk(chance) {
  const chunk = structuredClone(chance.of(CHUNKS))
  for (let count = chance.is(0.15) ? 0 : 1 + chance.int(3); count > 0; count--) spoilObject(chance, chunk)
  if ('candidates' in chunk && chance.is(0.5)) Object.setPrototypeOf(chunk, warning)
  return chance.is(0.02) ? wrong(chance) : chunk
}

/** Changes something at a place of chance, however deep. */
function spoilObject(chance, root) {
  let object = root
  for (;;) {
    const below = Object.values(object).filter(isObject)
    if (below.length === 0 || chance.is(0.25)) break
    object = chance.of(below)
  }
  const keys = Object.keys(object)
  const key = keys.length > 0 && chance.is(0.8) ? chance.of(keys) : chance.of(KEYS)
  if (chance.is(0.25)) Reflect.deleteProperty(object, key)
  else {
    const value = chance.is(0.3) ? structuredClone(chance.of(CHUNKS)) : wrong(chance)
    try {
      // As JSON.parse does it: `__proto__` is a key like others.
      Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
    } catch {
      // Of a typed array, say.
    }
  }
}

/** A chunk as it can be compared: a value of its own that looks the same. */
function shape(value, depth = 0) {
  if (!isObject(value) || depth > 12) return typeof value === 'function' ? 'function' : value
  return [
    value.constructor === Map ? 'map' : '',
    ...Object.keys(value).map((key) => [key, shape(value[key], depth + 1)]),
  ]
}

/** What `toParts` says it throws. */
function isDocumentedSourceError(error) {
  if (error instanceof TypeError) return error.code === 'invalid-source'
  return isRelayError(error) && (error.code === 'upstream-failure' || error.code === 'invalid-source')
}

function checkPart(part, chunk) {
  const holds = {
    text: () => typeof part.text === 'string',
    reasoning: () => typeof part.text === 'string' && isText(part.signature) && isText(part.redacted),
    'tool-call': () =>
      typeof part.index === 'number' && typeof part.input === 'string' && isText(part.id) && isText(part.name),
    'tool-result': () => typeof part.id === 'string' && 'output' in part,
    start: () => isText(part.id) && isText(part.model) && ['undefined', 'number'].includes(typeof part.created),
    usage: () => isObject(part.usage),
    finish: () => typeof part.reason === 'string',
    // The name of an event of one's own is looked at when it is encoded.
    data: () => typeof part.name === 'string' || Object.is(part.name, chunk.event),
    error: () => 'error' in part,
  }[part.type]
  if (!holds?.()) throw Object.assign(new Error('a part is not what its type says'), { part })
}

/** A text, or nothing. */
function isText(value) {
  return ['undefined', 'string'].includes(typeof value)
}

const PRISTINE = [Object.prototype, Array.prototype, Function.prototype, String.prototype].map((prototype) => [
  prototype,
  Reflect.ownKeys(prototype).length,
])

function checkPrototypes() {
  for (const [prototype, count] of PRISTINE) {
    if (Reflect.ownKeys(prototype).length !== count) throw new Error('a prototype was changed')
  }
}

// Work

/**
 * How many characters the parser looks at. Each method of a string counts what it reads. A string that no method gave
 * was joined from others, and is copied as a whole when it is first read.
 */
function touched(stream, piece, options) {
  let count = 0
  const copied = new Set()
  const copy = (text) => {
    const { size } = copied
    return copied.add(text).size === size ? 0 : text.length
  }
  const made = (text) => {
    copied.add(text)
    return text.length
  }
  const methods = {
    indexOf: (text, result, [, from = 0]) => copy(text) + (result === -1 ? text.length : result + 1) - from,
    includes: (text) => copy(text) + text.length,
    slice: (text, result) => copy(text) + made(result),
    replace: (text, result) => copy(text) + text.length + made(result),
    startsWith: (text, _, [start]) => copy(text) + start.length,
    endsWith: (text, _, [end]) => copy(text) + end.length,
    charCodeAt: (text) => copy(text) + 1,
  }
  const saved = Object.keys(methods).map((name) => [name, String.prototype[name]])
  const { test } = RegExp.prototype
  const parser = createParser({ onEvent() {}, onComment() {}, onRetry() {}, ...options })
  const pieces = []
  for (let start = 0; start < stream.length; start += piece) pieces.push(stream.slice(start, start + piece))
  try {
    for (const [name, method] of saved) {
      String.prototype[name] = function (...values) {
        const result = method.apply(this, values)
        count += methods[name](String(this), result, values)
        return result
      }
    }
    RegExp.prototype.test = function (text) {
      count += text.length
      return test.call(this, text)
    }
    for (const each of pieces) {
      slices++
      copied.add(each)
      parser.feed(each)
    }
  } catch (error) {
    documented(error, new Set(['event-too-large']))
  } finally {
    for (const [name, method] of saved) String.prototype[name] = method
    RegExp.prototype.test = test
  }
  return count
}

// The run

const deck = Object.entries(WEIGHTS).flatMap(([name, weight]) => Array(weight).fill(name))
const counts = Object.fromEntries(Object.keys(WEIGHTS).map((name) => [name, 0]))
const failures = []
process.on('unhandledRejection', (error) => failures.push(error))

async function runCase(index) {
  const chance = new Chance(seed, index)
  const name = chance.of(deck)
  counts[name]++
  about = undefined
  try {
    await cases[name](chance)
    if (failures.length > 0) throw failures[0]
  } catch (error) {
    console.error(`\nCase ${index}, ${name}, of seed ${seed}:`)
    console.dir(about, { depth: 8, maxStringLength: 2000, maxArrayLength: 200 })
    console.error(error)
    console.error(`Again: npm run fuzz -- --seed ${seed} --case ${index}`)
    process.exit(1)
  }
}

if (flags.case !== undefined) {
  await runCase(Number(flags.case))
  console.log(`Case ${flags.case} of seed ${seed} is fine.`)
} else {
  const began = performance.now()
  let told = began
  let index = 0
  console.log(`${target.toLocaleString('en')} slices, seed ${seed}`)
  for (; slices < target; index++) {
    await runCase(index)
    const now = performance.now()
    if (now - told > 5000) {
      told = now
      console.log(`  ${slices.toLocaleString('en')} slices (${Math.floor((100 * slices) / target)} %), ${index} cases`)
    }
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  const kinds = Object.entries(counts).map(([name, count]) => `${count} ${name}`)
  console.log(
    `${slices.toLocaleString('en')} slices of ${index} cases in ${seconds} s: ${kinds.join(', ')}. Nothing found.`,
  )
}
