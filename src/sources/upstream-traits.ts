/** What is known about the upstream itself, beside its answer: how does it write, and is it another relay? */
import type { OwnEvent, Part } from '../types.js'

/** In characters: how much may wait until it is known whether the upstream is another relay. */
const MAX_WAITING = 1_048_576

/** What is needed of the `Reading`: whether a provider's shape is known, and what to do with an event that has none. */
interface Answer {
  readonly known: object | undefined
  leaveOut(chunk: object, name?: string): void
}

/**
 * An upstream's stream, as opposed to a source of the user's own: an object in it that no shape knows is not the
 * user's. Events with names of their own are `waiting` until it is known whether the upstream is another relay. If it
 * is, they pass to the client.
 */
export class Upstream {
  /** Its bytes come as lines, already without their line breaks. */
  isLines = false
  /** It is another relay, by its headers or by what it sent, so its own events are for the client. */
  isRelay = false
  /** The name of the latest event. */
  event: string | undefined
  /** The event of another relay that is on its way to the client. */
  passed: object | undefined
  waiting: (OwnEvent | Part)[] | undefined
  #waitingSize = 0
  /** If it sends plain text: how its tokens are written, known from the first one; and its keep-alive. */
  tokens: { isFramed: boolean; isQuoted: boolean } | undefined
  keepAlive: string | undefined

  /** Passes an event to the client if the upstream is another relay; else the event waits until that is known. */
  pass(own: OwnEvent | Part, size: number): object | undefined {
    if (this.isRelay) {
      this.passed = own
      return own
    }
    this.waiting ??= []
    // What is beyond these limits is dropped: a relay shows earlier what it is.
    this.#waitingSize += size
    if (this.waiting.length < 100 && this.#waitingSize < MAX_WAITING) this.waiting.push(own)
  }

  /**
   * The next waiting event, once the upstream turned out to be another relay. A provider's events are for this server.
   */
  nextWaiting(answer: Answer): object | undefined {
    const { isRelay, waiting } = this
    if (!waiting) return
    if (isRelay && !answer.known && waiting.length > 0) {
      this.passed = waiting.shift()
      return this.passed
    }
    if (answer.known || isRelay) this.leaveWaiting(answer)
  }

  leaveWaiting(answer: Answer): void {
    const [first] = (this.waiting ?? []) as (OwnEvent & { name?: string })[]
    this.waiting = undefined
    if (first) answer.leaveOut(typeof first.data === 'object' ? (first.data ?? {}) : {}, first.name ?? first.event)
  }
}
