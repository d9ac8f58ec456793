/** How is what a source hands over iterated, and how is it stopped? */
import { isObject, show } from './errors.js'
import { mistake } from './failure.js'
import { ignore, isThenable } from './promises.js'
import {
  formatOf,
  type Held,
  heldBy,
  isObservable,
  isResponse,
  isStream,
  observe,
  Reading,
  readBytes,
  readEventStream,
} from './sources/read-chunk.js'
import type { ReadableStreamLike, ResponseLike, Source } from './types.js'

/** As much as is looked at of the streams that SDKs hand out. */
export interface SDKStream {
  controller?: { abort?(): void }
  abort?(): void
  destroy?(): void
  /** Of the Claude Agent SDK, whose `interrupt` may hang. */
  close?(): void
  interrupt?(): unknown
  /** Of LM Studio. */
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
  /** The provider's name, if nothing stops the stream but the signal its call was given. */
  signalOnly?: string | undefined
  /** The whole answer, which stands beside the stream in some results: waited for when the stream is over. */
  rest?: PromiseLike<unknown> | undefined
  /** The stream that yielded this one: read on when this is over. */
  outer?: Iteration | undefined
}

/** The iterators that were read: what gives the same one again has nothing more. */
const consumed = new WeakSet<object>()

/**
 * The iterator of a source's stream, asked for at once: some streams listen only from then.
 *
 * @throws {RelayError} `invalid-source` for what cannot be iterated, or was before.
 */
export function iterate(stream: unknown, reading: Reading, isBody = false): Iteration {
  if (typeof stream === 'string' || ArrayBuffer.isView(stream)) return { iterator: [stream].values(), stream: {} }
  const source = (stream ?? {}) as SDKStream & Partial<ReadableStreamLike & AsyncIterable<unknown> & Iterable<unknown>>
  const response = isBody ? undefined : isResponse(stream) ? stream : toResponse(stream)
  if (response) {
    // Its body is piped from that of the connection, and who destroys it stops nothing.
    const signalOnly = 'textConverted' in response ? 'node-fetch 2' : undefined
    return { iterator: readResponse(response, reading), stream: bodyOf(response), signalOnly }
  }
  // An SDK's stream that ends without a chunk was none: an answer that is a page of HTML, say.
  if (typeof source.controller?.abort === 'function') {
    reading.proof = 'missing'
    reading.ofUpstream()
  }
  // The helper streams drop what came before they were iterated; a late one would wait for ever.
  if (source.ended === true && typeof source.done === 'function') {
    if (!source.errored && !source.aborted) throw wasConsumed()
    return { iterator: [].values(), stream: source }
  }
  if (typeof source.getReader === 'function') {
    if ((source as ReadableStream).locked) throw wasConsumed()
    const reader = source.getReader()
    const iterator = { next: () => reader.read(), return: () => reader.cancel() }
    // The AI SDK makes its streams iterable one by one. They are branches of a tee: closing one stops nothing.
    const signalOnly = Object.hasOwn(source, Symbol.asyncIterator) ? 'the AI SDK' : undefined
    return { iterator, stream: source, signalOnly }
  }
  // OpenAI's agents: only the stream that they make stops them.
  const { toStream, toTextStream } = source as { toStream?(): unknown; toTextStream?(): unknown }
  if (typeof toStream === 'function' && typeof toTextStream === 'function')
    return iterate(toStream.call(source), reading)
  const method = source[Symbol.asyncIterator] ?? source[Symbol.iterator]
  if (typeof method !== 'function') {
    if (isObject(stream) && isObservable(stream)) return { iterator: observe(stream), stream: {} }
    const held: Held | undefined = isObject(stream) ? heldBy(stream) : undefined
    if (held) {
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
        // What is no result is told so by who reads it.
        if (!isObject(result)) return result
        return { done: result.done, value: await result.value }
      },
      return: () => sync.return?.(),
    },
    stream: source,
  }
}

/**
 * The answer that Node's `http`, undici or axios gave, where its status refuses or its content type says how it is read;
 * else it holds a stream like other results.
 */
function toResponse(stream: unknown): ResponseLike | undefined {
  if (!isObject(stream)) return
  const { status: said, statusCode = said, headers, body, data } = stream as Record<string, unknown>
  // Azure's SDKs have it as a text.
  const status = Number(statusCode)
  if (!(status > 0) || !isObject(headers)) return
  const get = (name: string) => String((headers as Record<string, unknown>)[name] ?? '')
  const ok = status >= 200 && status < 300
  const content = [stream, body, data].find(isStream) as ResponseLike['body']
  const type = get('content-type')
  if (content && (!ok || formatOf(type) || /html|event-stream/.test(type)))
    return { ok, status, headers: { get }, body: content }
}

/** What stops the body of an answer at once: a Node stream's iterator would wait for the next bytes. */
function bodyOf({ body }: ResponseLike): SDKStream {
  return typeof (body as SDKStream | undefined)?.destroy === 'function' ? (body as SDKStream) : {}
}

/** The body of a `fetch` answer, by what its content type says it is. */
function readResponse(response: ResponseLike, reading: Reading): Iteration['iterator'] {
  const { ok, headers, body } = response
  const type = headers.get('content-type') ?? ''
  const format = formatOf(type)
  // Where the type says nothing the first byte does.
  const isBytes = format !== undefined || /^\s*($|;|\w+\/octet-stream)/i.test(type)
  if (!ok || !isBytes || !isStream(body)) return readEventStream(response, reading)
  return readBytes(iterate(body, reading, true).iterator, format, reading)
}

/**
 * What a chunk begins that is a stream itself, or a list of chunks: its own are read in its place. Bytes are the stream
 * they are of.
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

/** The mistake of handing in a stream that someone has read. */
export function wasConsumed(cause?: unknown): Error {
  return mistake(
    'invalid-source',
    'The source was read before: create it in a function, so that each run has its own',
    cause,
  )
}

/**
 * Stops the upstream of a stream. `return()` alone does not: an SDK's iterator answers it after the token it
 * waits for, and the provider goes on until then. So first what the SDKs have for it, then `return()`,
 * which is not waited for.
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
      // It is being thrown away.
    }
  }
  if (outer) abort(outer)
}

/** Aborts a stream that nobody will read; its iterator is asked for first, or the abort would go unhandled. */
export function release(stream: unknown): void {
  try {
    abort(iterate(stream, new Reading()))
  } catch {
    // No stream, or someone else's.
  }
}

/** Lets go of a source that will not be read: a factory is not called, a stream is aborted. */
export function discard(source: Source): void {
  if (typeof source === 'function') return
  try {
    // What is iterable and a promise at once is iterated.
    if (isThenable(source) && !isStream(source)) Promise.resolve(source).then(release, ignore)
    else release(source)
  } catch {
    // Looking at it throws.
  }
}
