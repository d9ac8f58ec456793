/** What is a source's function given? Most never look at the signal, so it is made when they do. */
import type { Outcome, SourceContext } from './types.js'

export class Context implements SourceContext {
  readonly runId: string
  readonly lastEventId: string | undefined
  #controller: AbortController | undefined
  #reason: DOMException | undefined

  constructor(runId: string, lastEventId: string | undefined) {
    this.runId = runId
    this.lastEventId = lastEventId
  }

  /** Whether anybody looked at the signal. */
  get isAsked(): boolean {
    return this.#controller !== undefined
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#reason) this.#controller.abort(this.#reason)
    return this.#controller.signal
  }

  abort(outcome: Outcome): void {
    this.#reason = abortReason(`The run has ended: ${outcome}`)
    this.#controller?.abort(this.#reason)
  }
}

/**
 * Made without a stack: until its stack is read, an error of V8 keeps the objects its calls were made on, here the run
 * with its request and response, and Node's `fetch` may keep an abort reason for long.
 */
function abortReason(message: string): DOMException {
  const { stackTraceLimit } = Error as { stackTraceLimit?: number }
  if (stackTraceLimit !== undefined) Reflect.set(Error, 'stackTraceLimit', 0)
  const reason = new DOMException(message, 'AbortError')
  if (stackTraceLimit !== undefined) Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
  return reason
}
