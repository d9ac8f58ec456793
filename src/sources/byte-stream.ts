/** What does a stream of bytes hold: an event stream, JSON lines, a JSON array, or plain text? */
import { isObject, RelayError } from '../errors.js'
import { mistake } from '../failure.js'
import { ignore } from '../promises.js'
import { DATA_STREAM, dataStreamChunk, MAY_BE_DATA_STREAM } from './ai-data-stream.js'
import { failureIn, providerError } from './chunk-failure.js'
import { jsonOf } from './json.js'
import type { Reading } from './reading-state.js'
import { bytesIn } from './stream-holder.js'
import { readEvents } from './upstream-sse.js'

/** The iterator of a body. */
export interface ByteSource {
  next(): unknown
  return?(): unknown
}

type Format = 'events' | 'lines' | 'array' | 'text'

/** In characters: larger than any image or file a provider sends, and smaller than what ends a process. */
const MAX_CHUNK_SIZE = 67_108_864
/** In characters. A JSON text that is larger is an answer, and is not searched for a failure. */
const MAX_FAILURE_SIZE = 1_048_576

/** The format that a content type names. `json` is left open: the first character tells which format it is. */
export function formatOf(contentType: string): Format | 'json' | undefined {
  const [, type = ''] = /^\s*([^;\s]*)/.exec(contentType.toLowerCase()) ?? []
  if (type === 'text/plain') return 'text'
  if (/^application\/(x-ndjson|ndjson|jsonl|x-jsonlines|json-seq|stream\+json)$/.test(type)) return 'lines'
  return type === 'application/json' ? 'json' : undefined
}

/** Whether a text begins with a whole event whose data is a JSON object. */
export function isEventStream(text: string): boolean {
  const [, json = ''] = /^(?:(?:event|id):[^\n]*\n)*data: ?(\{[^\n]*\})\r?\n/.exec(text) ?? []
  return json !== '' && isObject(jsonOf(json))
}

/** The chunks in a stream of bytes. `return()` cancels the body at once. */
export function readBytes(source: ByteSource, format: Format | 'json' | undefined, reading: Reading) {
  const body = new ByteChunks(source, format, reading)
  return { next: () => body.next(), return: () => body.return() }
}

/** How an event stream begins, whatever its content type. */
const EVENTS = /^(:|(data|event|id|retry):)/
/** The beginning of a field's name: too short to tell. */
const FIELD = /^(d|da|dat|data|e|ev|eve|even|event|i|id|r|re|ret|retr|retry)$/
/** In `text/plain`, how an event stream of JSON begins: plain text may begin with the name of a field, too. */
const EVENTS_OF_JSON = /^(data:|event:[^\n]*\n(id:[^\n]*\n)?data:) ?[{[]/
const MAY_BE_EVENTS =
  /^(d|da|dat|e|ev|eve|even)$|^(data: ?$|event:?([^\n]{0,99}$|[^\n]*\n(id:[^\n]{0,99}\n)?(d|da|dat|data: ?)?$))/

/**
 * `unknown` until the format is clear → one of the formats → `over`. `json` is a JSON text: a single one is not a
 * stream, but more may follow, one per line.
 */
class ByteChunks {
  readonly #source: ByteSource
  readonly #reading: Reading
  readonly #decoder = new TextDecoder()
  /** The format that the content type names. */
  readonly #said: Format | 'json' | undefined
  #state: Format | 'unknown' | 'json' | 'over' = 'unknown'
  #events: { next(): Promise<unknown>; return?(): unknown } | undefined
  /** Text that is not a whole chunk yet, how far it has been scanned, and how many brackets are open in it. */
  #text = ''
  #at = 0
  #depth = 0
  #isEmpty = true
  /** How a line is read. */
  #parse: (line: string) => unknown = JSON.parse
  #isString = false
  /** Parsed when their turn comes: an error in one must not affect those before it. */
  readonly #chunks: (() => unknown)[] = []

  constructor(source: ByteSource, format: Format | 'json' | undefined, reading: Reading) {
    this.#source = source
    this.#reading = reading
    reading.ofUpstream()
    this.#said = format
  }

  async next(): Promise<unknown> {
    for (;;) {
      if (this.#events) return this.#events.next()
      const chunk = this.#chunks.shift()
      if (chunk) {
        this.#isEmpty = false
        return { done: false, value: chunk() }
      }
      if (this.#state === 'over') return this.#end()
      const { done, value } = (await this.#source.next()) as IteratorResult<unknown>
      this.#take(done ? this.#decoder.decode() : this.#decode(value), done === true)
    }
  }

  /** Plain text may be empty. An upstream that should have sent JSON and sent nothing was cut. */
  #end(): unknown {
    if (this.#isEmpty && this.#said !== 'text')
      throw new RelayError('truncated', 'The upstream ended without a chunk', { retryable: true })
    return { done: true, value: undefined }
  }

  return(): unknown {
    this.#isEmpty = false
    this.#state = 'over'
    // The event reader waits for bytes, and would notice the end only when the next ones come.
    const left = this.#source.return?.()
    Promise.resolve(this.#events?.return?.()).catch(ignore)
    return left
  }

  #decode(value: unknown): string {
    const bytes = bytesIn(value)
    if (typeof bytes === 'string' && this.#reading.upstream?.isLines) return `${bytes}\n`
    return typeof bytes === 'string' ? bytes : this.#decoder.decode(bytes as Uint8Array, { stream: true })
  }

  #take(text: string, isEnd: boolean): void {
    this.#text += text
    if (this.#text.length - this.#at > MAX_CHUNK_SIZE) {
      throw new RelayError('event-too-large', `A chunk of the upstream passes ${MAX_CHUNK_SIZE} characters`)
    }
    if (this.#state === 'unknown') this.#recognise(isEnd)
    if (this.#state === 'json') this.#takeJSON(isEnd)
    if (this.#state === 'lines') this.#takeLines(isEnd)
    else if (this.#state === 'array') this.#takeElements()
    else if (this.#state === 'text') {
      const text = this.#text
      if (text !== '') this.#chunks.push(() => text)
      this.#text = ''
    } else if (this.#state === 'events') {
      this.#events = readEvents(this.#rest(), this.#reading)
      return
    }
    if (isEnd) this.#state = 'over'
  }

  #recognise(isEnd: boolean): void {
    const text = this.#text.trimStart()
    const said = this.#said
    if (said !== 'lines' && DATA_STREAM.test(text)) {
      this.#state = 'lines'
      this.#parse = dataStreamChunk
      return
    }
    if (said === 'text') {
      if (EVENTS_OF_JSON.test(text)) this.#state = 'events'
      else if (isEnd || !(MAY_BE_EVENTS.test(text) || MAY_BE_DATA_STREAM.test(text))) this.#state = 'text'
      return
    }
    const start = text.slice(0, 6)
    if (EVENTS.test(start)) this.#state = 'events'
    else if (said === 'lines' && start !== '') this.#state = 'lines'
    else if (start[0] === '[') this.#state = 'array'
    else if (start[0] === '{') this.#state = said ?? 'lines'
    else if (start !== '' && (isEnd || !(FIELD.test(start) || MAY_BE_DATA_STREAM.test(text)))) {
      if (said) throw noStream()
      throw mistake(
        'invalid-source',
        'The source yields bytes that are no event stream and no JSON: decode text with a TextDecoderStream',
      )
    }
  }

  /** A single JSON text that reports a failure is that failure. */
  #takeJSON(isEnd: boolean): void {
    const [line = '', ...more] = this.#text.trim().split('\n')
    if (more.length > 0 && jsonOf(line) !== undefined) this.#state = 'lines'
    if (this.#state === 'lines') return
    if (this.#text.length > MAX_FAILURE_SIZE) throw noStream()
    if (!isEnd) return
    const json = jsonOf(this.#text)
    const failure = isObject(json) && failureIn(json, false)
    throw failure ? providerError(failure) : noStream()
  }

  /** All bytes from the beginning, as text. */
  async *#rest(): AsyncGenerator<string> {
    yield this.#text
    for (;;) {
      const { done, value } = (await this.#source.next()) as IteratorResult<unknown>
      if (done) return
      yield this.#decode(value)
    }
  }

  #takeLines(isEnd: boolean): void {
    const lines = this.#text.replaceAll('\u001e', '\n').split('\n')
    const last = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') this.#chunks.push(() => parse(line, this.#parse))
    this.#text = last
    if (!isEnd || last.trim() === '') return
    // A last line without a line break may have been cut.
    try {
      const value = this.#parse(last)
      this.#chunks.push(() => value)
    } catch {
      throw new RelayError('truncated', 'The upstream was cut in the middle of a chunk', { retryable: true })
    }
  }

  /** The elements of one array, as they arrive: the number of open brackets outside strings tells where one ends. */
  #takeElements(): void {
    let start = this.#text.length
    if (this.#depth > 1) start = 0
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at]
      if (this.#isString) {
        if (character === '\\') this.#at++
        else if (character === '"') this.#isString = false
      } else if (character === '"') this.#isString = true
      else if (character === '[' || character === '{') {
        if (++this.#depth === 2) start = this.#at
      } else if ((character === ']' || character === '}') && --this.#depth === 1) {
        const element = this.#text.slice(start, this.#at + 1)
        this.#chunks.push(() => parse(element))
        start = this.#text.length
      }
    }
    this.#at -= Math.min(start, this.#text.length)
    this.#text = this.#text.slice(start)
  }
}

function noStream(): RelayError {
  return new RelayError('content-type', 'The upstream answered with one JSON text and no stream: is stream: true set?')
}

function parse(text: string, read: (text: string) => unknown = JSON.parse): unknown {
  try {
    return read(text)
  } catch (cause) {
    throw Object.assign(providerError(`A chunk of the upstream is not JSON: ${text.slice(0, 200)}`), { cause })
  }
}
