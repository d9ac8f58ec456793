/** How does a React component show an answer while it grows? */

import { useState, useSyncExternalStore } from 'react'
import { findNear, internal, type Rules } from '../check.js'
import { type Dialect, dialectOf, failureIn, notRead, PARTS, TEXT } from './dialects.js'
import { FETCH_OPTIONS, findForeign } from './fetch-sse.js'
import { type FetchSSEOptions, type FetchStream, fetchSSE, RelayError, type WirePart } from './index.js'
import { type AnswerPart, JoinedAnswer } from './join-parts.js'
import { callback, check } from './reading-loop.js'

export type { AnswerPart, AnswerToolCall } from './join-parts.js'

/**
 * Options of {@link useRelay}: those of `fetchSSE`. The method is POST by default; `runId` and `lastEventId` are where
 * `resume()` begins if no question was sent before.
 */
export interface UseRelayOptions extends Omit<FetchSSEOptions, 'signal' | 'body' | 'sentinel'> {
  /** Called when an answer is complete. */
  onDone?(answer: RelayAnswer): void
  /** Called when an answer fails. A stop is not a failure. */
  onError?(error: unknown): void
}

/** An answer, as far as it has come. */
export interface RelayAnswer {
  /** The answer's text. */
  text: string
  /**
   * The answer's parts. Pieces of one text, one reasoning or one tool call are joined, and a call has its result. The
   * `text()` protocol gives text and data, `parts()` all of them.
   */
  parts: readonly AnswerPart[]
  /**
   * `ready` before the first question and after an answer, `submitted` until the first event, `streaming` until the
   * end, `error` if the answer failed, or if the component was hidden or left before its end. After a failure or a stop
   * the text and the parts so far are kept.
   */
  status: 'submitted' | 'streaming' | 'ready' | 'error'
  /** Why the status is `error`. */
  error: unknown
  /** The run's id, if it has one: what `resume` takes after a reload. */
  runId: string | undefined
  /** The place in the run: the id of the last event. */
  lastEventId: string | undefined
}

/** What {@link useRelay} returns. */
export interface UseRelayResult extends RelayAnswer {
  /**
   * Sends a question: `body` as it is if `fetch` accepts it, else as JSON. An answer that is still coming is dropped.
   * Never throws: a mistake becomes an answer with the status `error`.
   */
  send(body?: unknown): void
  /**
   * Ends the answer here and, with a `stopUrl`, on the server. What came so far is kept. Never rejects; resolves to
   * whether the server got the request.
   */
  stop(): Promise<boolean>
  /**
   * Reads on with GET: the answer that failed, from where it was, or the run with this id, from its first event.
   * `place` may also be an event id, which contains its run's id. Does nothing if there is no place to resume from.
   */
  resume(place?: string): void
}

/** What `fetch` takes, in browsers, React Native and Node. */
const INIT =
  'method headers credentials mode cache redirect referrer referrerPolicy integrity keepalive priority duplex window dispatcher reactNative'
const OPTIONS: Rules = {
  ...FETCH_OPTIONS,
  ...Object.fromEntries(INIT.split(' ').map((name) => [name, internal])),
  onDone: callback,
  onError: callback,
}

const IDLE: RelayAnswer = {
  text: '',
  parts: [],
  status: 'ready',
  error: undefined,
  runId: undefined,
  lastEventId: undefined,
}

/**
 * An answer in a React component: `text`, `parts` and `status` as they grow. However many tokens come, there is at most
 * one render per animation frame. Unmounting stops the answer. Under StrictMode there is one request.
 *
 * @example
 * ```tsx
 * function Chat() {
 *   const { text, status, send, stop } = useRelay('/api/chat')
 *   return <button onClick={() => send({ messages: [] })}>{status} {text}</button>
 * }
 * ```
 */
export function useRelay(url: string | URL, options: UseRelayOptions = {}): UseRelayResult {
  const [store] = useState(() => new AnswerStore())
  store.url = url
  store.options = options
  const answer = useSyncExternalStore(store.subscribe, store.get, getIdle)
  return { ...answer, send: store.send, stop: store.stop, resume: store.resume }
}

function getIdle(): RelayAnswer {
  return IDLE
}

/**
 * The answers of one component, one after another, outside React. The state is `#status`:
 *
 * - ready | error → submitted: `send()` or `resume()`; also from submitted and streaming, whose answer is dropped
 * - submitted → streaming: the first event
 * - submitted | streaming → ready: the answer is complete, or `stop()`
 * - submitted | streaming → error: the answer failed, or the component is hidden or left
 */
class AnswerStore {
  url: string | URL = ''
  options: UseRelayOptions = {}
  #joined = new JoinedAnswer()
  #status: RelayAnswer['status'] = 'ready'
  #error: unknown
  /** The answer as last shown. Until the next animation frame it is behind what has come. */
  #shown = IDLE
  /** The latest stream: `stop()` stops it, and it knows how far it was read. */
  #stream: FetchStream | undefined
  /** Whether the stream is being read. */
  #isReading = false
  #listeners = new Set<() => void>()
  #cancelFrame: (() => void) | undefined
  /** Between unmounting and mounting again. */
  #isUnmounted = false

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    this.#isUnmounted = false
    return () => {
      this.#listeners.delete(listener)
      this.#isUnmounted = true
      // StrictMode unmounts and mounts again in one go; the answer then goes on.
      queueMicrotask(() => this.#isUnmounted && this.#unmount())
    }
  }

  get = (): RelayAnswer => this.#shown

  send = (body?: unknown): void => {
    this.#drop()
    this.#joined = new JoinedAnswer()
    // A question begins its own run.
    this.#open((options) => {
      const { runId: _, lastEventId: __, ...rest } = options
      return fetchSSE(this.url, { method: 'POST', ...rest, body: body as object })
    })
  }

  resume = (place?: string): void => {
    const { runId, lastEventId } = this.#stream ?? this.options
    const known = lastEventId || (runId && `${runId}:0`)
    // A stream that is being read, or was read to its end, is not resumed.
    if (place ? false : this.#isReading || (this.#stream && this.#status !== 'error') || !known) return
    // Only the reading ends: the run goes on.
    this.#leave()
    // What came without ids has no place: it comes again.
    const isShown = !place && Boolean(this.#stream?.lastEventId)
    if (!isShown) this.#joined = new JoinedAnswer()
    const from = place || (known as string)
    // Earlier events are not here, so a run of ours is read from its first event.
    const first = isShown ? from : from.replace(/^([\w-]{16,128})(:\d*)?$/, '$1:0')
    this.#open(({ resumeUrl, runId: _, ...options }) =>
      fetchSSE(resumeUrl ?? this.url, { ...options, method: 'GET', lastEventId: first }),
    )
  }

  stop = async (): Promise<boolean> => {
    const stream = this.#stream
    if (this.#isReading) {
      this.#isReading = false
      this.#end('ready')
    }
    return stream ? stream.stop() : true
  }

  #unmount(): void {
    if (!this.#isReading) return
    this.#drop()
    const words = 'The component was hidden or left before the answer had ended'
    this.#end('error', new RelayError('truncated', words, { retryable: true }))
  }

  /** Leaves the answer that is still coming, and has it stopped. */
  #drop(): void {
    if (this.#isReading && this.options.stopUrl) this.#stream?.stop()
    this.#leave()
  }

  #leave(): void {
    if (this.#isReading) this.#stream?.return()
    this.#isReading = false
  }

  #open(fetchAnswer: (options: UseRelayOptions) => FetchStream): void {
    this.#stream = undefined
    this.#set('submitted')
    try {
      // A caller's own `fetch` may have its own options.
      check('useRelay', this.options, OPTIONS, this.options.fetch ? findNear : findForeign, !!this.options.fetch)
      const { onDone: _, onError: __, ...options } = this.options
      this.#stream = fetchAnswer(options)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#isReading = true
    this.#read(this.#stream)
  }

  #fail(error: unknown): void {
    this.#isReading = false
    this.#end('error', error)
    attempt(() => this.options.onError?.(error))
  }

  async #read(stream: FetchStream): Promise<void> {
    // The request is sent at the first `next()`. StrictMode has mounted, unmounted and mounted again before this line.
    await undefined
    if (this.#isUnmounted) this.#unmount()
    const isLatest = () => this.#isReading && stream === this.#stream
    const toPart = createReader()
    try {
      // Not with `for await`, which not every engine has.
      for (let next = await stream.next(); !next.done; next = await stream.next()) {
        if (!isLatest()) return
        this.#joined.add(toPart(next.value.event, next.value.data))
        this.#set('streaming')
      }
    } catch (error) {
      stream.return()
      if (isLatest()) this.#fail(error)
      return
    }
    if (!isLatest()) return
    this.#isReading = false
    this.#end('ready')
    attempt(() => this.options.onDone?.(this.#answer()))
  }

  /** The answer as it is now. */
  #answer(): RelayAnswer {
    const { runId, lastEventId } = this.#stream ?? IDLE
    return {
      text: this.#joined.text,
      parts: this.#joined.parts,
      status: this.#status,
      error: this.#error,
      runId,
      lastEventId: lastEventId || (runId && `${runId}:0`),
    }
  }

  #end(status: 'ready' | 'error', error?: unknown): void {
    this.#joined.end()
    this.#set(status, error)
  }

  /** Shows a question, a stop or an end at once. Tokens show with the next animation frame, many in one render. */
  #set(status: RelayAnswer['status'], error?: unknown): void {
    this.#status = status
    this.#error = error
    if (status === 'streaming') this.#cancelFrame ??= onNextFrame(() => this.#show())
    else this.#show()
  }

  #show(): void {
    this.#cancelFrame?.()
    this.#cancelFrame = undefined
    this.#shown = this.#answer()
    for (const listener of this.#listeners) listener()
  }
}

/**
 * What a callback throws is no error of the answer: it is thrown outside, where the page's other errors are reported.
 */
function attempt(callback: () => void): void {
  try {
    callback()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/** Calls back at the next animation frame, or after 500 ms in a hidden page, which has no frames. */
function onNextFrame(callback: () => void): () => void {
  const frame = globalThis.requestAnimationFrame?.(() => run())
  const timer = setTimeout(() => run(), frame === undefined ? 16 : 500)
  const cancel = () => {
    clearTimeout(timer)
    if (frame !== undefined) cancelAnimationFrame(frame)
  }
  const run = () => {
    cancel()
    callback()
  }
  return cancel
}

/** Reads the events of one answer, in `text()` or `parts()`, as parts. */
function createReader(): (event: string | undefined, text: string) => WirePart {
  let dialect: Dialect | undefined
  return (event, text) => {
    let data: unknown = text
    try {
      data = JSON.parse(text)
    } catch {
      // An own event may hold plain text.
    }
    dialect ??= dialectOf(data, event)
    if (dialect !== TEXT && dialect !== PARTS) {
      const failure = event === undefined && failureIn(data, text)
      if (failure) throw failure
      if (dialect) throw notRead('useRelay', dialect)
    }
    const part = data as Partial<WirePart> & { text?: unknown }
    if (event === undefined && typeof part?.type === 'string') return part as WirePart
    if (event === undefined && typeof part?.text === 'string') return { type: 'text', text: part.text }
    return { type: 'data', name: event ?? 'data', data }
  }
}
