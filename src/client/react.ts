/** How does a React component show an answer while it grows? */

import { useState, useSyncExternalStore } from 'react'
import { anything, internal, type Rules } from '../check.js'
import { type AnswerPart, JoinedAnswer } from './answer.js'
import { FETCH_OPTIONS } from './fetch-sse.js'
import { type FetchSSEOptions, type FetchStream, fetchSSE, type WirePart } from './index.js'
import { check } from './reading-loop.js'

export type { AnswerPart, AnswerToolCall } from './answer.js'

/** Options of {@link useRelay}: those of `fetchSSE`. The method is POST unless it says otherwise. */
export interface UseRelayOptions extends Omit<FetchSSEOptions, 'signal' | 'body' | 'sentinel' | 'runId'> {
  /** Called when an answer is complete. */
  onDone?(answer: RelayAnswer): void
  /** Called when an answer fails; a stop is no failure. */
  onError?(error: unknown): void
}

/** An answer as far as it has come. */
export interface RelayAnswer {
  /** The answer's text. */
  text: string
  /**
   * The answer's parts; pieces of one text, one reasoning and one tool call are joined, and a call has its result. From
   * the `text()` protocol text and data, from `parts()` all of them.
   */
  parts: readonly AnswerPart[]
  /**
   * `ready` before the first question and after an answer, `submitted` until the first event, `streaming` until the end,
   * `error` when the answer failed. After a failure and a stop the text and the parts so far are kept.
   */
  status: 'submitted' | 'streaming' | 'ready' | 'error'
  /** Why the status is `error`. */
  error: unknown
}

/** What {@link useRelay} returns. */
export interface UseRelayResult extends RelayAnswer {
  /**
   * Sends a question: `body` as it is if `fetch` takes it, else as JSON. An answer that still comes is dropped. Never
   * throws: a mistake is an answer with the status `error`.
   */
  send(body?: unknown): void
  /** Ends the answer here and, with a `stopUrl`, on the server. What came so far is kept. */
  stop(): void
}

/** What `fetch` takes, in browsers, React Native and Node. */
const INIT =
  'method headers credentials mode cache redirect referrer referrerPolicy integrity keepalive priority duplex window dispatcher reactNative'
const OPTIONS: Rules = {
  ...FETCH_OPTIONS,
  ...Object.fromEntries(INIT.split(' ').map((name) => [name, internal])),
  onDone: anything,
  onError: anything,
}

/** What `fetch` accepts as a body. */
const BODY = /^\[object (String|FormData|Blob|File|URLSearchParams|ReadableStream|ArrayBuffer|Uint8Array)\]$/

const IDLE: RelayAnswer = { text: '', parts: [], status: 'ready', error: undefined }

/**
 * An answer in a React component: `text`, `parts` and `status` as they grow, at most one render an animation frame.
 * Unmounting stops it; under StrictMode there is one request.
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
  return { ...answer, send: store.send, stop: store.stop }
}

function getIdle(): RelayAnswer {
  return IDLE
}

/**
 * The answers of one component, one after another, outside of React. The state is `#status`:
 *
 * - ready | error → submitted: `send()`; also from submitted and streaming, whose answer is dropped
 * - submitted → streaming: the first event
 * - submitted | streaming → ready: the answer is complete, `stop()`, or the component unmounts
 * - submitted | streaming → error: the answer failed
 */
class AnswerStore {
  url: string | URL = ''
  options: UseRelayOptions = {}
  #joined = new JoinedAnswer()
  #status: RelayAnswer['status'] = 'ready'
  #error: unknown
  /** The answer as it was last shown: behind what has come until the next animation frame. */
  #shown = IDLE
  #stream: FetchStream | undefined
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
      // StrictMode unmounts and mounts again in one go: the answer goes on then.
      queueMicrotask(() => this.#isUnmounted && this.#unmount())
    }
  }

  get = (): RelayAnswer => this.#shown

  send = (body?: unknown): void => {
    this.#drop()
    this.#joined = new JoinedAnswer()
    this.#set('submitted')
    try {
      // A fetch of one's own may have options of its own.
      check('useRelay', this.options, OPTIONS, !!this.options.fetch)
      const { headers: given, onDone: _, onError: __, ...options } = this.options
      const headers = new Headers(given)
      const isReady = body === undefined || BODY.test(Object.prototype.toString.call(body))
      if (!isReady && !headers.has('content-type')) headers.set('content-type', 'application/json')
      const init = { method: 'POST', ...options, headers, body: isReady ? (body as BodyInit) : JSON.stringify(body) }
      this.#stream = fetchSSE(this.url, init)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#read(this.#stream)
  }

  stop = (): void => {
    if (!this.#stream) return
    this.#drop()
    this.#end('ready')
  }

  #unmount(): void {
    if (this.#stream) {
      this.#drop()
      this.#end('ready')
    }
    if (!this.#cancelFrame) return
    this.#cancelFrame()
    this.#cancelFrame = undefined
    this.#shown = this.#answer()
  }

  #drop(): void {
    const stream = this.#stream
    this.#stream = undefined
    // Nothing here depends on what the server answers to the stop.
    if (this.options.stopUrl) stream?.stop().catch(() => {})
    stream?.return()
  }

  #fail(error: unknown): void {
    this.#stream = undefined
    this.#end('error', error)
    attempt(() => this.options.onError?.(error))
  }

  async #read(stream: FetchStream): Promise<void> {
    // The request is sent at the first next(). StrictMode mounts, unmounts and mounts again before this line.
    await undefined
    if (this.#isUnmounted) this.#unmount()
    try {
      for await (const { event, data } of stream) {
        if (stream !== this.#stream) return
        this.#joined.add(toPart(event, data))
        this.#set('streaming')
      }
    } catch (error) {
      if (stream === this.#stream) this.#fail(error)
      return
    }
    if (stream !== this.#stream) return
    this.#stream = undefined
    this.#end('ready')
    attempt(() => this.options.onDone?.(this.#answer()))
  }

  /** The answer as it is now. */
  #answer(): RelayAnswer {
    return { text: this.#joined.text, parts: this.#joined.parts, status: this.#status, error: this.#error }
  }

  #end(status: 'ready' | 'error', error?: unknown): void {
    this.#joined.end()
    this.#set(status, error)
  }

  /** Shows the answer with the next animation frame, so that a burst of tokens is not a burst of renders. */
  #set(status: RelayAnswer['status'], error?: unknown): void {
    this.#status = status
    this.#error = error
    this.#cancelFrame ??= onNextFrame(() => {
      this.#cancelFrame = undefined
      this.#shown = this.#answer()
      for (const listener of this.#listeners) listener()
    })
  }
}

/** What a callback throws is no error of the answer: it is thrown outside, where the page's other errors are reported. */
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

/** The part an event of `text()` or `parts()` holds. */
function toPart(event: string | undefined, text: string): WirePart {
  let data: unknown = text
  try {
    data = JSON.parse(text)
  } catch {
    // An own event may hold plain text.
  }
  const part = data as Partial<WirePart> & { text?: unknown }
  if (event === undefined && typeof part?.type === 'string') return part as WirePart
  if (event === undefined && typeof part?.text === 'string') return { type: 'text', text: part.text }
  return { type: 'data', name: event ?? 'data', data }
}
