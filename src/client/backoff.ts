/** How long is something retried, and when is the next try? fetch-sse.ts reads the headers that say so. */

/** The shortest wait, whatever a server says. */
const LEAST_MS = 250
/**
 * The longest first wait, unless the server's `retry` says otherwise; it doubles with each try, up to `MAX_RETRY_MS`.
 */
const RETRY_MS = 1000
const MAX_RETRY_MS = 30_000
/** The longest `Retry-After` that is followed: a person must decide about more. */
const MAX_AFTER_MS = 120_000
/** The wait while the browser says that it is offline, which may be wrong. */
const OFFLINE_MS = 30_000
/** The most that one try counts, since the machine may have slept meanwhile. */
const MAX_TRY_MS = 30_000

export const RETRY_FOR_MS = 120_000

/** Counts the time without a sign of life, which limits the tries. It does not count while the browser is offline. */
export class RetryBudget {
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

  /** There was a sign of life. */
  refill(): void {
    this.#deadMs = this.#tries = this.#doublings = 0
  }

  /**
   * Waits until it is time for the next try, or the browser comes online. Resolves to `false` if there is no further
   * try.
   *
   * @param triedMs how long the previous try took.
   * @param afterMs how long the server asked to wait.
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
      // The last try is at the end of the budget, unless the server asked for a longer wait.
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
