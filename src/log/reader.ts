import { isRelayError } from '../errors.js'
import { failureOf } from '../failure.js'
import type { RelayOptions } from '../options.js'
import { failureFrame } from '../protocols/frames.js'
import { complain, type Feeder, mention, type Outlet, type Reported, type RunEnd, report, turn } from '../run.js'
import type { Failure, Outcome } from '../types.js'
import { isThenable } from '../upstream.js'
import type { Feed, FeedReader, Thrown } from './feed.js'
import type { LogEnd, LogEntry } from './store.js'

/** An outlet of one connection: it is told the run and the protocol's headers before it begins. */
export interface ReaderOutlet extends Outlet {
  head(runId: string, headers: Readonly<Record<string, string>> | undefined): void
  /**
   * As `write`, for frames that come at the end of a tick: nothing more comes, and another task to write them took a
   * sixth more time, at a token a tick.
   */
  writeNow(frames: string): boolean
}

/** A store that is out of reach is asked again so often, after so long each time, before a reader is sent away. */
const MAX_RETRIES = 30
const RETRY_MS = 1000

/** What a reader needs of the options of `relay` and `resume`. */
export type ReaderOptions = Pick<RelayOptions, 'onError'>

/** Reads a run into an outlet: what was stored, then what comes, with no hole and no duplicate. */
export class Reader implements Feeder, FeedReader {
  // As in a recorder, what each token needs comes first.
  readonly #outlet: ReaderOutlet
  /** The number of the last event that was handed over. */
  #cursor = 0
  #over = false
  #blocked = false
  #reading = false
  #events = 0
  #firstEventMs: number | undefined
  readonly #runId: string
  readonly #options: ReaderOptions
  /** Whether a failure before anything was sent has a status of its own. A reconnecting client would ask again. */
  readonly #isFirst: boolean
  readonly #started = performance.now()
  #feed: Feed | undefined
  /** Something came while it was blocked or reading. */
  #behind = false
  /** How often in a row the store could not be read. */
  #failures = 0
  #retry: ReturnType<typeof setTimeout> | undefined

  constructor(runId: string, outlet: ReaderOutlet, options: ReaderOptions, isFirst: boolean) {
    this.#runId = runId
    this.#outlet = outlet
    this.#options = options
    this.#isFirst = isFirst
  }

  get over(): boolean {
    return this.#over
  }

  /** Follows the feed from its beginning; what it brings is all that there is. */
  attach(feed: Feed): void {
    if (this.#over) return
    this.#feed = feed
    feed.add(this)
  }

  /** Goes over to another feed of the same run. */
  move(feed: Feed): void {
    this.#feed = feed
    feed.add(this)
  }

  /** Reads what comes after the number `cursor`, then follows. `ended`: nothing will come that is not stored. */
  start(feed: Feed, cursor: number, ended: boolean): void {
    this.#cursor = cursor
    this.attach(feed)
    if (!this.#over) this.#catchUp(ended)
  }

  take(entry: LogEntry, thrown: Thrown | undefined): void {
    if (this.#over || entry.last <= this.#cursor) return
    if (this.#reading || this.#blocked) this.#behind = true
    else if (entry.first > this.#cursor + 1) this.#catchUp(false)
    else this.#write(entry, thrown, true)
  }

  head(headers: Readonly<Record<string, string>>): void {
    // Most protocols have none, and to look at them as headers costs more than all else here.
    this.#outlet.head(this.#runId, Object.keys(headers).length > 0 ? headers : undefined)
  }

  look(): void {
    if (this.#reading || this.#blocked) this.#behind = true
    else this.#catchUp(false)
  }

  resume(): void {
    this.#blocked = false
    if (this.#behind) this.#catchUp(false)
  }

  stop(outcome: Extract<Outcome, 'disconnected' | 'stalled' | 'expired' | 'shutdown'>): void {
    if (this.#over) return
    // The run goes on: this reader leaves it, or is sent away to come back with its last event id.
    const handsOver = outcome === 'expired' || outcome === 'shutdown'
    try {
      if (handsOver) this.#outlet.begin()
    } catch (error) {
      this.fail(error)
      return
    }
    this.#end({ outcome })
  }

  fail(error: unknown): void {
    if (this.#over) return
    this.#refuse(report(this.#options, error, this.#runId, this.#outlet.sent))
  }

  /** Ends with an answer of ours that is not the run's. */
  refuse(code: string): void {
    this.#refuse({ failure: failureOf(code) })
  }

  #refuse({ failure, thrown }: Reported): void {
    this.#end({ outcome: 'error', failure, thrown, frames: this.#outlet.sent ? lastFrame(failure) : '' })
  }

  /** Ends with an answer that has no body: there is nothing to read. */
  nothing(): void {
    this.#end({ outcome: 'done' })
  }

  lose(): void {
    if (this.#over) return
    const failure = failureOf('producer-lost')
    try {
      this.#outlet.begin()
    } catch {
      // It is refused all the same.
    }
    // No event of the run, and yet the last: who comes again with this id is told that there is nothing more.
    this.#end({ outcome: 'error', failure, frames: `id: ${this.#runId}:end\n${lastFrame(failure)}` })
  }

  async #catchUp(ended: boolean): Promise<void> {
    if (this.#reading || this.#over) return
    this.#reading = true
    try {
      do {
        this.#behind = false
        const result = (this.#feed as Feed).read(this.#cursor)
        const entries = isThenable(result) ? await result : (result as LogEntry[])
        this.#failures = 0
        for (const entry of entries) {
          if (this.#over) return
          if (this.#blocked) break
          if (entry.first > this.#cursor + 1) {
            this.#gone('cursor-gone')
            return
          }
          if (entry.last > this.#cursor) this.#write(entry, undefined, false)
        }
        if (entries.length === 0) this.#feed?.caughtUp(this.#cursor)
        else {
          this.#behind = true
          await turn()
        }
      } while (this.#behind && !this.#blocked && !this.#over)
    } catch (error) {
      const isGone = isRelayError(error) && error.code === 'cursor-gone'
      if (!isGone && this.#failures++ === 0) mention(this.#options, error, this.#runId)
      if (isGone || !this.#outlet.sent || this.#failures > MAX_RETRIES) {
        this.#gone(isRelayError(error) ? error.code : 'log-failure')
      } else if (!this.#over) {
        // Restarted, perhaps: who reads by now is not to notice.
        this.#retry = setTimeout(() => {
          this.#reading = false
          this.#catchUp(ended)
        }, RETRY_MS)
        return
      }
    }
    this.#reading = false
    // After everything stored was read, and not before, "ended" means that there is nothing.
    if (ended && !this.#behind) {
      if (this.#outlet.sent) this.lose()
      else this.nothing()
    }
  }

  /** What comes next cannot be had. */
  #gone(code: string): void {
    // After the head, a connection that breaks is what makes a client ask again, and then it is told.
    if (this.#outlet.sent) this.#end({ outcome: 'stalled' })
    else this.refuse(code)
  }

  #write(entry: LogEntry, thrown: Thrown | undefined, isTick: boolean): void {
    const { first, last, end } = entry
    const text = first > this.#cursor ? entry.text : this.#after(entry.text)
    const count = last - this.#cursor
    this.#cursor = last
    this.#firstEventMs ??= performance.now() - this.#started
    if (end) this.#finish(end, text, count, thrown)
    else {
      this.#events += count
      try {
        this.#blocked = !(isTick ? this.#outlet.writeNow(text) : this.#outlet.write(text))
      } catch (error) {
        this.fail(error)
      }
    }
  }

  /** The part of an entry that was not read yet. */
  #after(text: string): string {
    // A blank line ends an event: nothing in one can look like this.
    return text.slice(text.indexOf(`\n\nid: ${this.#runId}:${this.#cursor + 1}\n`) + 2)
  }

  #finish({ outcome, failure }: LogEnd, text: string, count: number, thrown: Thrown | undefined): void {
    const isRefusal = this.#isFirst && failure && count === 1 && !this.#outlet.sent
    try {
      if (!isRefusal) this.#outlet.begin()
    } catch (error) {
      this.fail(error)
      return
    }
    this.#events += count - 1
    this.#end({ outcome, failure, thrown, frames: isRefusal ? '' : text })
  }

  #end({ outcome, frames = '', failure, thrown }: Partial<RunEnd> & Pick<RunEnd, 'outcome'>): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#retry)
    this.#feed?.remove(this)
    const summary = {
      outcome,
      events: this.#events,
      text: '',
      ...(this.#firstEventMs !== undefined && { firstEventMs: this.#firstEventMs }),
      durationMs: performance.now() - this.#started,
      runId: this.#runId,
    }
    try {
      this.#outlet.end({ outcome, frames, last: '', failure, thrown, summary })
    } catch (error) {
      complain(error)
    }
  }
}

/** The failure frame of no protocol and of all: each client finds in it what it looks for. */
export function lastFrame({ code, message, retryable }: Failure): string {
  return failureFrame({ type: 'error', error: { type: code, code, message, retryable }, errorText: message })
}
