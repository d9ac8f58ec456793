/** What is known of the upstream itself, beside the answer in its chunks: how it writes, and is it another relay? */
import type { OwnEvent, Part } from '../types.js'

/** In characters, of what waits until it is known whether the upstream is another relay. */
const MAX_WAITING = 1_048_576

/** Of what is read of its answer: whether a provider's shape is known, and what becomes of an event that is none. */
interface Answer {
  readonly known: object | undefined
  leave(chunk: object, name?: string): void
}

/**
 * An upstream's stream, rather than a source of the user's own: objects that no shape knows are none of the user's. Events
 * with names of their own are `waiting` until anything tells whether it is another relay; of one they pass to the client.
 */
export class Upstream {
  /** Its bytes come as lines, without their line breaks. */
  isLines = false
  /** It is another relay, by its headers or by what it sent, or others write as it does: its own events are for the client. */
  isRelay: boolean | 'likely' = false
  /** The event of such a one that is on its way to the client. */
  passed: object | undefined
  waiting: (OwnEvent | Part)[] | undefined
  #waitingSize = 0
  /** If it sends plain text: how its tokens are written, once there was one, and its sign of life. */
  tokens: { isFramed: boolean; isQuoted: boolean } | undefined
  alive: string | undefined

  /** An event is for the client, if the upstream is another relay, or turns out to be one. */
  pass(own: OwnEvent | Part, size: number): object | undefined {
    if (this.isRelay) {
      this.passed = own
      return own
    }
    this.waiting ??= []
    // A relay says what it is sooner.
    this.#waitingSize += size
    if (this.waiting.length < 100 && this.#waitingSize < MAX_WAITING) this.waiting.push(own)
  }

  /** The next of the events that waited, if they turned out to be another relay's; of a provider they are for this server. */
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
    if (first) answer.leave(typeof first.data === 'object' ? (first.data ?? {}) : {}, first.name ?? first.event)
  }
}
