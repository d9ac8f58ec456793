/** How is a stream written as the body of a Web `Response`, and how is it known that the client left? */

import { awaited } from '../awaited-promise.js'
import { RelayError, show } from '../errors.js'
import { typeMistake } from '../failure.js'
import type { RequestHead, SinkHeaders } from '../headers.js'
import { printError, warnOnce } from '../report.js'
import type { RelayHandle, Sink } from '../sink.js'
import { callAtTickEnd } from '../tick.js'
import type { ReadableStreamLike } from '../types.js'

/** The members of `Request` that are used. */
export interface WebRequest {
  readonly method: string
  readonly url?: string
  readonly headers: { get(name: string): string | null }
  readonly signal?: AbortSignal | null
  readonly body?: (ReadableStreamLike & { readonly locked: boolean }) | null
}

/** How the host makes a response of its own. */
export type Respond = (
  body: ReadableStream<Uint8Array> | string | null,
  status: number,
  headers: SinkHeaders,
) => Response

/**
 * Begins a relay, or a resume, whose answer is an object that the host sends.
 *
 * @param given what the caller got as the request, for the error if it is not one.
 */
export function serveWeb(
  request: WebRequest,
  begin: (sink: Sink, request: RequestHead) => RelayHandle,
  respond: Respond,
  given: unknown = request,
): Promise<Response> {
  if (typeof request?.headers?.get !== 'function') {
    const remedy = "Node's req and res are for sse-relay/node, those of Express for sse-relay/express"
    return Promise.reject(
      typeMistake(
        'invalid-option',
        `The request cannot be ${show(given)}: sse-relay/web takes a Web Request, sse-relay/hono a context of Hono, relay(c, source); ${remedy}`,
      ),
    )
  }
  return awaited((resolve, reject) => {
    const { signal } = request
    const head: RequestHead = {
      method: request.method,
      // Asked for seldom, and hosts make it when asked.
      get url() {
        return request.url
      },
      header: (name) => request.headers.get(name),
      drain: () => drop(request),
    }
    const sink = new WebSink(signal?.aborted === true, (...parts) => {
      try {
        resolve(respond(...parts))
      } catch (error) {
        // The host refuses the response, so nobody reads it.
        reject(error)
        sink.left()
      }
    })
    const handle = begin(sink, head)
    sink.handle = handle
    if (sink.isLeft) handle.left()
    // Some runtimes cancel the body when the client leaves, some abort the request, some do both.
    const left = () => sink.left()
    signal?.addEventListener('abort', left)
    const forget = () => signal?.removeEventListener('abort', left)
    handle.done.then(forget, (error) => {
      forget()
      reject(error)
    })
  }, printError)
}

const encoder = new TextEncoder()
/** Text that nobody asked for yet may grow to this many characters. */
const HIGH_WATER_MARK = 16_384

/**
 * A body that is pulled: everything pending is handed out at each pull, and nothing is enqueued that was not
 * asked for. A stream fed by `enqueue` alone takes whatever the source makes into memory.
 */
class WebSink implements Sink {
  readonly gone: boolean
  handle: RelayHandle | undefined
  readonly #send: (...parts: Parameters<Respond>) => void
  #head: [status: number, headers: SinkHeaders] = [500, {}]
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #pending = ''
  #wanted = false
  /** Whether anybody ever asked for the body. */
  #isRead = false
  #ended = false
  isLeft = false

  constructor(gone: boolean, send: (...parts: Parameters<Respond>) => void) {
    this.gone = gone
    this.#send = send
  }

  left(): void {
    this.isLeft = true
    this.handle?.left()
  }

  open(status: number, headers: SinkHeaders): void {
    this.#head = [status, headers]
  }

  /** The host may drop the response and send another. So nothing is asked of the source before somebody reads. */
  offer(): boolean {
    this.#send(this.#body(), ...this.#head)
    return this.#wanted
  }

  write(text: string): boolean {
    this.#pending += text
    this.#handOut()
    return this.#pending.length < HIGH_WATER_MARK
  }

  end(text?: string): void {
    this.#ended = true
    if (this.#controller) {
      this.#pending += text ?? ''
      this.#handOut()
    } else {
      this.#send(text ?? null, ...this.#head)
      // Later, when the relay knows that it has ended.
      queueMicrotask(() => this.handle?.drained())
    }
  }

  destroy(): void {
    const controller = this.#controller
    // Nobody is there to read it, but the host waits for an answer. 499: client closed request.
    if (!controller) {
      this.#send(null, 499, {})
      return
    }
    try {
      if (!this.isLeft && !this.#isRead) {
        warnOnce(
          'unread',
          'a response was made and nobody ever read its body, so its run was given up after stallTimeoutMs. Does the handler return what relay returns? In a test, read the body',
        )
      }
      // Some hosts print an error, and a client that left is not one.
      if (this.isLeft) controller.close()
      else controller.error(new RelayError('stalled', 'The client took nothing for stallTimeoutMs and was dropped'))
    } catch {
      // Cancelled: there is nothing to close.
    }
  }

  schedule(task: () => void): void {
    callAtTickEnd(task)
  }

  #body(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: () => {
          this.#wanted = this.#isRead = true
          if (this.#pending === '') this.handle?.drained()
          else this.#handOut()
        },
        cancel: () => this.left(),
      },
      { highWaterMark: 0 },
    )
  }

  #handOut(): void {
    const controller = this.#controller as ReadableStreamDefaultController<Uint8Array>
    const text = this.#pending
    if (this.#wanted && text !== '') {
      this.#wanted = false
      this.#pending = ''
      controller.enqueue(encoder.encode(text))
      if (!this.#ended && text.length >= HIGH_WATER_MARK) this.handle?.drained()
    }
    if (this.#ended && this.#pending === '') {
      controller.close()
      this.handle?.drained()
    }
  }
}

/** Reads an unread body to its end: while it waits in the host's buffers, the host cannot see the client leave. */
async function drop(request: WebRequest): Promise<void> {
  // These have no body. Hosts that make a request lazily make all of it when asked for one: a third of the cost of a
  // short answer.
  if (request.method === 'GET' || request.method === 'HEAD') return
  const { body } = request
  // The rest of a body that was read in part is read too.
  if (!body || body.locked) return
  try {
    const reader = body.getReader()
    while (!(await reader.read()).done);
  } catch {
    // The client left, or someone else reads after all.
  }
}
