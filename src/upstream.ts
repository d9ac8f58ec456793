/** How is what a source hands over iterated, and how is it stopped? */
import { isObject, show } from './errors.js'
import { mistake } from './failure.js'
import { ignore, isThenable } from './promises.js'
import { warnOnce } from './report.js'
import {
  formatOf,
  type Held,
  heldBy,
  isEventStream,
  isObservable,
  isResponse,
  isStream,
  observe,
  Reading,
  readBytes,
  readEventStream,
} from './sources/read-chunk.js'
import type { ReadableStreamLike, ResponseLike, Source } from './types.js'

/** The members of SDK streams that are used here. */
export interface SDKStream {
  controller?: { abort?(): void }
  abort?(): void
  destroy?(): void
  /** The Claude Agent SDK's, whose `interrupt` may hang. */
  close?(): void
  interrupt?(): unknown
  /** LM Studio's. */
  cancel?(): unknown
  result?(): unknown
  // The helper streams of OpenAI and Anthropic.
  ended?: boolean
  errored?: boolean
  aborted?: boolean
  done?(): Promise<unknown>
}

/** A stream being read. */
export interface Iteration {
  iterator: { next(): unknown; return?(): unknown }
  stream: SDKStream
  /** The provider's name, if only the signal that its call was given stops the stream. */
  signalOnly?: string | undefined
  /** The whole answer, which some results hold beside the stream. Awaited when the stream is over. */
  rest?: PromiseLike<unknown> | undefined
  /** The stream that yielded this one: read on when this is over. */
  outer?: Iteration | undefined
}

/** The iterators that were handed out. A stream that gives the same one again was read before. */
const consumed = new WeakSet<object>()

/**
 * The iterator of a source's stream, asked for at once: some streams listen only from then.
 *
 * @throws {RelayError} `invalid-source` if the stream cannot be iterated, or was iterated before.
 */
export function iterate(stream: unknown, reading: Reading, isBody = false): Iteration {
  if (typeof stream === 'string' || ArrayBuffer.isView(stream)) return { iterator: [stream].values(), stream: {} }
  const source = (stream ?? {}) as SDKStream & Partial<ReadableStreamLike & AsyncIterable<unknown> & Iterable<unknown>>
  const response = isBody ? undefined : isResponse(stream) ? stream : toResponse(stream)
  if (response) {
    // node-fetch 2 pipes the connection's body into this one, and destroying this one stops nothing.
    const signalOnly = 'textConverted' in response ? 'node-fetch 2' : undefined
    return { iterator: readResponse(response, reading), stream: bodyOf(response), signalOnly }
  }
  // An SDK's stream that ends without a chunk is not an answer: it may have been a page of HTML.
  if (typeof source.controller?.abort === 'function') {
    reading.proof = 'missing'
    reading.ofUpstream()
  }
  // The helper streams drop what came before they were iterated. Iterated after its end, one would wait for ever.
  if (source.ended === true && typeof source.done === 'function') {
    if (!source.errored && !source.aborted) throw wasConsumed()
    return { iterator: [].values(), stream: source }
  }
  if (typeof source.getReader === 'function') {
    if ((source as ReadableStream).locked) throw wasConsumed()
    // A class of its own is an SDK's (a graph of LangGraph, which has a controller, may say nothing).
    reading.isOwed = !/^(Readable|Transform)Stream$/.test(source.constructor?.name) && !('_abortController' in source)
    const reader = source.getReader()
    const iterator = { next: () => reader.read(), return: () => reader.cancel() }
    // The AI SDK adds the iterator to each of its streams. They are branches of a tee: closing one stops nothing.
    const signalOnly = Object.hasOwn(source, Symbol.asyncIterator) ? 'the AI SDK' : undefined
    return { iterator, stream: source, signalOnly }
  }
  // The OpenAI Agents SDK: only the stream that these methods make stops the run.
  const { toStream, toTextStream } = source as { toStream?(): unknown; toTextStream?(): unknown }
  if (typeof toStream === 'function' && typeof toTextStream === 'function')
    return iterate(toStream.call(source), reading)
  const method = source[Symbol.asyncIterator] ?? source[Symbol.iterator]
  if (typeof method !== 'function') {
    if (isObject(stream) && isObservable(stream)) return { iterator: observe(stream), stream: {} }
    const held: Held | undefined = isObject(stream) ? heldBy(stream) : undefined
    if (held) {
      // An SDK's answer that yields nothing is not an empty answer: it lacks its proof.
      if (held.shape || held.rest) reading.proof = 'missing'
      if (held.shape) {
        reading.ofUpstream()
        reading.expected = held.shape
      }
      return { ...iterate(held.stream, reading), rest: held.rest }
    }
    throw mistake(
      'invalid-source',
      `The source is ${show(stream)}, which cannot be iterated: give the provider's stream, or a function that returns it. Is stream: true set? Does the function return the stream, and not what makes it?`,
    )
  }
  const iterator = (method as () => AsyncIterator<unknown>).call(source)
  if (typeof (iterator as Partial<typeof iterator> | undefined)?.next !== 'function') {
    throw mistake(
      'invalid-source',
      `The source's iterator is ${show(iterator)}, which has no next(): write the method as a generator, async *[Symbol.asyncIterator]() { … }`,
    )
  }
  if (consumed.has(iterator)) throw wasConsumed()
  consumed.add(iterator)
  if (source[Symbol.asyncIterator]) return { iterator, stream: source }
  // A sync iterable may hold promises.
  const sync = iterator as unknown as Iterator<unknown>
  return {
    iterator: {
      async next() {
        const result = sync.next()
        // The caller reports a result that is not an object.
        if (!isObject(result)) return result
        return { done: result.done, value: await result.value }
      },
      return: () => sync.return?.(),
    },
    stream: source,
  }
}

/**
 * A response of Node's `http`, undici or axios, if its status is an error or its content type says how it is read. Any
 * other is an object that holds a stream.
 */
function toResponse(stream: unknown): ResponseLike | undefined {
  if (!isObject(stream)) return
  const { status: said, statusCode = said, headers, body, data } = stream as Record<string, unknown>
  // Azure's SDKs give the status as a string.
  const status = Number(statusCode)
  if (!(status > 0) || !isObject(headers)) return
  const get = (name: string) => String((headers as Record<string, unknown>)[name] ?? '')
  const ok = status >= 200 && status < 300
  const content = [stream, body, data].find(isStream) as ResponseLike['body']
  const type = get('content-type')
  if (content && (!ok || formatOf(type) || /html|event-stream/.test(type)))
    return { ok, status, headers: { get }, body: content }
}

/** The object that stops the body of a response at once: a Node stream's iterator would wait for the next bytes. */
function bodyOf({ body }: ResponseLike): SDKStream {
  return typeof (body as SDKStream | undefined)?.destroy === 'function' ? (body as SDKStream) : {}
}

/** Reads the body of a response by its content type. */
function readResponse(response: ResponseLike, reading: Reading): Iteration['iterator'] {
  const { ok, headers, body } = response
  const type = headers.get('content-type') ?? ''
  const format = formatOf(type)
  // If the type says nothing, the first byte decides.
  const isBytes = format !== undefined || /^\s*($|;|\w+\/octet-stream)/i.test(type)
  if (!ok || !isBytes || !isStream(body)) return readEventStream(response, reading)
  return readBytes(iterate(body, reading, true).iterator, format, reading)
}

/**
 * The iteration that a chunk begins if it is a stream, or a list of chunks: its chunks are read in its place. A chunk
 * of bytes begins a stream of bytes, which the rest of the outer stream continues.
 */
export function iterateInner(outer: Iteration, chunk: object, reading: Reading): Iteration {
  if (isStream(chunk) || Array.isArray(chunk)) return { ...iterate(chunk, reading), outer }
  return iterateBytes(outer, chunk, reading)
}

function iterateBytes({ iterator, ...rest }: Iteration, first: unknown, reading: Reading): Iteration {
  let isFirst = true
  const next = () => {
    if (!isFirst) return iterator.next()
    isFirst = false
    return { done: false, value: first }
  }
  return { ...rest, iterator: readBytes({ next, return: () => iterator.return?.() }, undefined, reading) }
}

/**
 * The bytes of a source's first string, if its strings are the lines or events of a wire that an SDK passes on
 * undecoded (watsonx). In any other source they are text: a model can be made to write what looks like an event, and
 * that must not become a tool call.
 */
export function wireIn(first: string, { stream }: Iteration, reading: Reading): Uint8Array | undefined {
  if (!reading.isFresh || !isStream(stream)) return
  const isWhole = isEventStream(first)
  if (typeof stream.controller?.abort === 'function') {
    const isLines = /^(id|event|data): ?[^\n]+$/.test(first)
    reading.ofUpstream().isLines = isLines
    if (isLines) return new TextEncoder().encode(`${first}\n`)
    return isWhole ? new TextEncoder().encode(first) : undefined
  }
  if (isWhole && !reading.upstream) {
    warnOnce(
      'wire',
      'a source of strings begins with an event of an event stream, and strings go out as text: hand over the bytes, or the Response, before they are decoded',
    )
  }
  return
}

/** The mistake of handing in a stream that someone has read. */
export function wasConsumed(cause?: unknown): Error {
  return mistake(
    'invalid-source',
    'The source was read before: create it in a function, so that each run has its own',
    cause,
  )
}

/** Whether it is the error that the SDKs' streams give a second reader. */
export function isOfConsumed(error: unknown): boolean {
  try {
    return /consumed stream/.test(String((error as Error | undefined)?.message))
  } catch {
    return false
  }
}

/**
 * Stops the upstream of a stream. `return()` alone does not: an SDK's iterator answers it after the token it waits for,
 * and the provider goes on until then. So the SDK's own methods are called first, then `return()`, which is not
 * awaited.
 */
export function abort({ stream, iterator, outer }: Iteration): void {
  for (const attempt of [
    () => (typeof stream.controller?.abort === 'function' ? stream.controller.abort() : stream.abort?.()),
    () => iterator.return?.(),
    // A Node stream's iterator waits as well.
    () => stream.destroy?.(),
    () => typeof stream.interrupt === 'function' && stream.close?.(),
    () => typeof stream.result === 'function' && stream.cancel?.(),
  ]) {
    try {
      const answer: unknown = attempt()
      if (isThenable(answer)) answer.then(ignore, ignore)
    } catch {
      // The stream is discarded all the same.
    }
  }
  if (outer) abort(outer)
}

/** Aborts a stream that nobody will read. Its iterator comes first, or the abort would be an unhandled rejection. */
export function release(stream: unknown): void {
  try {
    abort(iterate(stream, new Reading()))
  } catch {
    // It is not a stream, or someone else reads it.
  }
}

/** Discards a source that will not be read: a factory is not called, a stream is aborted. */
export function discard(source: Source): void {
  if (typeof source === 'function') return
  try {
    // A source that is both iterable and a promise is iterated.
    if (isThenable(source) && !isStream(source)) Promise.resolve(source).then(release, ignore)
    else release(source)
  } catch {
    // Reading its members throws.
  }
}
