/** When is a reader due for a heartbeat, dropped because it takes nothing, or sent away because its time is over? */

const HEARTBEAT_MS = 8000
/** From a write that found no room until there is room, as the host says: no count of bytes drops a reader. */
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

/** Who is called when a time is over. */
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
 * One timer for all, set for the earliest time. A write does not move it: a token costs one reading of the clock.
 */
export class Deadlines {
  #state: 'writing' | 'blocked' | 'ending' | 'over' = 'writing'
  readonly #owner: DeadlineOwner
  #options: DeadlineOptions = {}
  /** The time of the last write. While blocked that is the write that found no room. */
  #since = performance.now()
  #expiryAt = NEVER
  #timer: ReturnType<typeof setTimeout> | undefined
  #timerAt = 0

  constructor(owner: DeadlineOwner) {
    this.#owner = owner
  }

  /** Sets the times to watch. They were checked before. */
  set(options: DeadlineOptions): void {
    this.#options = options
    const { maxDurationMs } = options
    // At random times: readers that came together would otherwise come back together.
    if (maxDurationMs !== undefined) this.#expiryAt = this.#since + maxDurationMs * (0.8 + Math.random() * 0.2)
  }

  /** After how much silence a heartbeat is due, in milliseconds; 0 for never. */
  get heartbeatMs(): number {
    return this.#options.heartbeatMs ?? HEARTBEAT_MS
  }

  /** Something was written. */
  wrote(): void {
    this.#since = performance.now()
  }

  /** The last write found no room. */
  block(): void {
    this.#state = 'blocked'
    this.watch()
  }

  /** There is room again. Silence counts from now: no heartbeat was due while nothing could be written. */
  unblock(): void {
    this.#state = 'writing'
    this.wrote()
  }

  /** The last bytes are written. A client may not read them, so a stall is due until they are taken. */
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

  /** Sets the timer, unless it fires in time already. */
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
