import { useState, useSyncExternalStore } from 'react'
import { type FetchSSEOptions, type FetchStream, fetchSSE, type WirePart } from './index.js'

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
   * The answer's parts: pieces of one text, one reasoning and one tool call are joined. The `text()` protocol gives text
   * and data, `parts()` everything.
   */
  parts: readonly WirePart[]
  /**
   * `ready` for a question, `submitted` until the first event of the answer, `streaming` until its end, `error` when
   * it failed; what had come is kept.
   */
  status: 'submitted' | 'streaming' | 'ready' | 'error'
  /** Why the status is `error`. */
  error: unknown
}

/** What {@link useRelay} returns. */
export interface UseRelayResult extends RelayAnswer {
  /** Asks: sends `body`, as it is if `fetch` takes it and else as JSON, and drops the answer before. Never throws. */
  send(body?: unknown): void
  /** Ends the answer here and, where there is a `stopUrl`, on the server. What had come is kept. */
  stop(): void
}

/** What `fetch` takes as a body. */
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

/** One answer after another, outside of React. */
class AnswerStore {
  url: string | URL = ''
  options: UseRelayOptions = {}
  #answer = IDLE
  /** What the component was last told. */
  #shown = IDLE
  #stream: FetchStream | undefined
  #listeners = new Set<() => void>()
  #cancelFrame: (() => void) | undefined
  #isLeft = false

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    this.#isLeft = false
    return () => {
      this.#listeners.delete(listener)
      this.#isLeft = true
      // StrictMode leaves and comes back in one go: an answer asked for before that goes on.
      queueMicrotask(() => this.#isLeft && this.#leave())
    }
  }

  get = (): RelayAnswer => this.#shown

  send = (body?: unknown): void => {
    this.#drop()
    this.#set({ ...IDLE, status: 'submitted' })
    try {
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
    this.#set({ ...this.#answer, status: 'ready' })
  }

  /** The component is gone. */
  #leave(): void {
    if (this.#stream) {
      this.#drop()
      this.#answer = { ...this.#answer, status: 'ready' }
    }
    this.#cancelFrame?.()
    this.#cancelFrame = undefined
    this.#shown = this.#answer
  }

  #drop(): void {
    const stream = this.#stream
    this.#stream = undefined
    // What the server says to that changes nothing here.
    if (this.options.stopUrl) stream?.stop().catch(() => {})
    stream?.return()
  }

  #fail(error: unknown): void {
    this.#stream = undefined
    this.#set({ ...this.#answer, status: 'error', error })
    attempt(() => this.options.onError?.(error))
  }

  async #read(stream: FetchStream): Promise<void> {
    // The request is sent at the first next(). StrictMode mounts, unmounts and mounts again before this line.
    await undefined
    if (this.#isLeft) this.#leave()
    try {
      for await (const { event, data } of stream) {
        if (stream !== this.#stream) return
        this.#set(withPart({ ...this.#answer, status: 'streaming' }, toPart(event, data)))
      }
    } catch (error) {
      if (stream === this.#stream) this.#fail(error)
      return
    }
    if (stream !== this.#stream) return
    this.#stream = undefined
    this.#set({ ...this.#answer, status: 'ready' })
    attempt(() => this.options.onDone?.(this.#answer))
  }

  /** Takes a new state and shows it with the next frame: a burst of tokens is not a burst of renders. */
  #set(answer: RelayAnswer): void {
    this.#answer = answer
    this.#cancelFrame ??= onNextFrame(() => {
      this.#cancelFrame = undefined
      this.#shown = this.#answer
      for (const listener of this.#listeners) listener()
    })
  }
}

/** What a callback throws is its own error: it is reported as the page's other ones are. */
function attempt(callback: () => void): void {
  try {
    callback()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/** A frame, or, in a hidden page, which has none, a while. */
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

function withPart(answer: RelayAnswer, part: WirePart): RelayAnswer {
  const text = part.type === 'text' ? answer.text + part.text : answer.text
  const parts = [...answer.parts]
  const last = parts.at(-1)
  if ((part.type === 'text' || part.type === 'reasoning') && last?.type === part.type) {
    parts[parts.length - 1] = { ...last, text: last.text + part.text }
  } else if (part.type === 'tool-call') {
    const at = parts.findIndex((other) => other.type === 'tool-call' && other.index === part.index)
    const call = parts[at]
    if (call?.type === 'tool-call') parts[at] = { ...call, input: call.input + part.input }
    else parts.push(part)
  } else parts.push(part)
  return { ...answer, text, parts }
}
