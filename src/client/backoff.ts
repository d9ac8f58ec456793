/** How long is something tried again, and when is the next try? */

/** No wait is shorter, whatever a server says. */
const LEAST_MS = 250
/** The first wait is at most this long, unless the server's `retry` says otherwise; then it doubles, up to the other. */
const RETRY_MS = 1000
const MAX_RETRY_MS = 30_000
/** What a server may ask for with `Retry-After`: what it wants beyond that is for a person to decide. */
const MAX_AFTER_MS = 120_000
/** The wait while the browser says that it is offline. It may be wrong. */
const OFFLINE_MS = 30_000
/** What one try counts at most: it may have been asleep with its machine. */
const MAX_TRY_MS = 30_000

export const RETRY_FOR_MS = 120_000

/** Counts the time without a sign of life, which is what the tries are limited by. Offline it stands still. */
export class Patience {
  retryMs = RETRY_MS
  /** Ends the wait. */
  wake: (() => void) | undefined
  readonly #retryForMs: number
  readonly #maxRetries: number
  #deadMs = 0
  #tries = 0
  #doublings = 0

  constructor(retryForMs = RETRY_FOR_MS, maxRetries = Infinity) {
    this.#retryForMs = retryForMs
    this.#maxRetries = maxRetries
  }

  /** There was life. */
  refill(): void {
    this.#deadMs = this.#tries = this.#doublings = 0
  }

  /**
   * Waits until it is time for the next try, or the browser comes online. `false`: there is to be none.
   *
   * @param triedMs is how long the try before took.
   * @param afterMs is what the server asked for.
   */
  async backOff(triedMs: number, afterMs = 0): Promise<boolean> {
    const isOffline = globalThis.navigator?.onLine === false
    if (!isOffline) this.#deadMs += Math.min(Math.max(0, triedMs), MAX_TRY_MS)
    const leftMs = this.#retryForMs - this.#deadMs
    if (this.#tries++ >= this.#maxRetries || leftMs <= 0) return false
    let ms = OFFLINE_MS
    if (!isOffline) {
      const mostMs = Math.min(MAX_RETRY_MS, (this.retryMs || LEAST_MS) * 2 ** this.#doublings++)
      const askedMs = Math.min(afterMs, MAX_AFTER_MS, this.#retryForMs)
      // The last try is at the end of the budget, unless the server asked to be left alone for longer.
      ms = Math.max(LEAST_MS, askedMs, Math.min(leftMs, askedMs + Math.random() * mostMs))
    }
    const began = Date.now()
    let waitedMs = ms
    const onOnline = () => {
      this.#doublings = 0
      waitedMs = Math.min(ms, Math.max(0, Date.now() - began))
      this.wake?.()
    }
    let timer: ReturnType<typeof setTimeout> | undefined
    await new Promise<void>((resolve) => {
      this.wake = resolve
      timer = setTimeout(resolve, ms)
      globalThis.addEventListener?.('online', onOnline)
    })
    clearTimeout(timer)
    globalThis.removeEventListener?.('online', onOnline)
    if (!isOffline) this.#deadMs += waitedMs
    return true
  }
}
