/** When is a reader due for a heartbeat, dropped because it takes nothing, or sent away because its time is over? */

const HEARTBEAT_MS = 8000
/** From the write that was full until there is room again. What is full is the host's to say: no count of bytes ends a reader. */
const STALL_TIMEOUT_MS = 30_000
/** The longest wait that a timer takes. */
const MAX_TIMEOUT_MS = 0x7fffffff
const NEVER = Number.POSITIVE_INFINITY

/** The times that are watched, in milliseconds. */
export interface DeadlineOptions {
  heartbeatMs?: number | undefined
  stallTimeoutMs?: number | undefined
  maxDurationMs?: number | undefined
}

/** Who is told that a time is over. */
export interface DeadlineOwner {
  onHeartbeat(): void
  onStall(): void
  onExpiry(): void
}

/**
 * writing  the reader takes what is written: heartbeats and the expiry are due
 * blocked  it takes no more: the stall and the expiry are due (writing ⇄ blocked)
 * ending   the last bytes are on their way: only the stall is due
 * over     nothing is due
 *
 * One timer for all, set for the earliest, and set anew only when it fires: a token costs a reading of the clock.
 */
export class Deadlines {
  #state: 'writing' | 'blocked' | 'ending' | 'over' = 'writing'
  readonly #owner: DeadlineOwner
  #options: DeadlineOptions = {}
  /** The last write, or since when the reader takes no more. */
  #since = performance.now()
  #expiryAt = NEVER
  #timer: ReturnType<typeof setTimeout> | undefined
  #timerAt = 0

  constructor(owner: DeadlineOwner) {
    this.#owner = owner
  }

  /** Takes the times to watch, once they are known to be times. */
  set(options: DeadlineOptions): void {
    this.#options = options
    const { maxDurationMs } = options
    // Not all at once: readers that came together would come back together.
    if (maxDurationMs !== undefined) this.#expiryAt = this.#since + maxDurationMs * (0.8 + Math.random() * 0.2)
  }

  /** How often a silent stream gives a sign of life, in milliseconds; 0 where it gives none. */
  get heartbeatMs(): number {
    return this.#options.heartbeatMs ?? HEARTBEAT_MS
  }

  /** Something was written. */
  wrote(): void {
    this.#since = performance.now()
  }

  /** What was written last found no room. */
  block(): void {
    this.#state = 'blocked'
    this.watch()
  }

  /** There is room again. Heartbeats were not due while nothing could be written. */
  unblock(): void {
    this.#state = 'writing'
    this.wrote()
  }

  /** The last bytes may find a client that reads nothing: the stall clock goes on until they are taken. */
  end(): void {
    if (this.#state !== 'blocked') this.wrote()
    this.#state = 'ending'
    this.watch()
  }

  close(): void {
    this.#state = 'over'
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Sets the timer, if none fires in time. */
  watch(): void {
    const at = Math.min(this.#heartbeatAt(), this.#stallAt(), this.#expiresAt())
    if (at === NEVER || (this.#timer !== undefined && this.#timerAt <= at)) return
    clearTimeout(this.#timer)
    this.#timerAt = at
    const ms = Math.min(Math.max(0, Math.ceil(at - performance.now())), MAX_TIMEOUT_MS)
    // Bound: an arrow function with the scope that holds `this` for it is twice the memory, in every open stream.
    this.#timer = setTimeout(this.#onTimer.bind(this), ms)
  }

  #onTimer(): void {
    this.#timer = undefined
    const now = performance.now()
    if (this.#stallAt() <= now) this.#owner.onStall()
    else if (this.#expiresAt() <= now) this.#owner.onExpiry()
    else if (this.#heartbeatAt() <= now) this.#owner.onHeartbeat()
    this.watch()
  }

  #heartbeatAt(): number {
    const { heartbeatMs } = this
    return heartbeatMs !== 0 && this.#state === 'writing' ? this.#since + heartbeatMs : NEVER
  }

  #stallAt(): number {
    const { stallTimeoutMs = STALL_TIMEOUT_MS } = this.#options
    return this.#state === 'blocked' || this.#state === 'ending' ? this.#since + stallTimeoutMs : NEVER
  }

  #expiresAt(): number {
    return this.#state === 'writing' || this.#state === 'blocked' ? this.#expiryAt : NEVER
  }
}
