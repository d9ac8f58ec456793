/** How do new entries of all runs get to the other processes that read them? In one pub/sub message a tick. */
import { ignore, settle } from '../promises.js'
import { warnOnce } from '../report.js'
import { nextTurn } from '../tick.js'
import type { LogEntry, SharedStore } from './store.js'

/** A message with this many characters does not wait for more. */
const MAX_SIZE = 65_536

/**
 * Gathers what was produced in this turn of the event loop, and sends each address one message: a message costs the
 * database, its sender and its receiver more than its content does. An address is the name of a process, or a run's id
 * for all who read that run; the channel of both is `readers`.
 */
export class Outbox {
  readonly #shared: SharedStore
  readonly #messages = new Map<string, string>()
  #isDue = false

  constructor(shared: SharedStore) {
    this.#shared = shared
  }

  add(address: string, runId: string, { first, last, text }: LogEntry): void {
    const before = this.#messages.get(address) ?? ''
    const message = `${before}${runId} ${first} ${last} ${text.length}\n${text}`
    if (message.length >= MAX_SIZE) {
      this.#messages.delete(address)
      this.#tell(address, message)
      return
    }
    this.#messages.set(address, message)
    if (this.#isDue) return
    this.#isDue = true
    nextTurn().then(() => this.#tellAll())
  }

  #tellAll(): void {
    this.#isDue = false
    for (const [address, message] of this.#messages) this.#tell(address, message)
    this.#messages.clear()
  }

  /** What a lost message held is read from the store. */
  #tell(address: string, message: string): void {
    settle(() => this.#shared.publish(address, 'readers', message), ignore, ignore)
  }
}

/** Hands on the entries in a message of an {@link Outbox}. Any other message has none. */
export function openMessage(message: string, take: (runId: string, entry: LogEntry) => void): void {
  for (let at = 0; at < message.length; ) {
    const lineEnd = message.indexOf('\n', at)
    if (lineEnd === -1) return
    const [runId, first, last, length] = message.slice(at, lineEnd).split(' ')
    at = lineEnd + 1 + Number(length)
    if (!(at > lineEnd && at <= message.length)) return
    const text = message.slice(lineEnd + 1, at)
    take(runId as string, { first: Number(first), last: Number(last), text, end: undefined })
  }
}

/** Receives what is new of all runs that this process reads. */
export class Inbox {
  readonly #shared: SharedStore
  readonly #name: string
  readonly #take: (runId: string, entry: LogEntry) => void
  #opening: Promise<void> | undefined
  #stopListening: (() => void) | undefined
  #isClosed = false

  /** @param name the address of this process, which has the form of a run's id. */
  constructor(shared: SharedStore, name: string, take: (runId: string, entry: LogEntry) => void) {
    this.#shared = shared
    this.#name = name
    this.#take = take
  }

  /** The address of this process, while it listens. */
  get address(): string | undefined {
    return this.#stopListening && this.#name
  }

  /** Listens, if it can. If not, what is new comes by each run's own channel. */
  open(): Promise<void> {
    this.#opening ??= this.#listen().catch(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  close(): void {
    this.#isClosed = true
    this.#stopListening?.()
    this.#stopListening = undefined
  }

  async #listen(): Promise<void> {
    const listener = (message: string) => openMessage(message, this.#take)
    this.#stopListening = await this.#shared.subscribe(this.#name, 'readers', listener)
    if (this.#isClosed) this.close()
  }
}

/** Warns once that messages cannot be received, or sent. */
export function warnOfSilence(error: unknown): void {
  const remedy = 'until they can, readers in other processes look every 250 ms; the user of Redis may lack a channel'
  warnOnce('channels', `the processes of a log cannot tell each other what is new (${String(error)}): ${remedy}`)
}
