/** How does a test wait until a condition holds, and report what was there instead if it never does? */

// Generous, because a loaded machine is slow and a test that waits in vain has failed anyway.
const LIMIT_MS = 10_000

interface Wait {
  holds(): boolean
  resolve(): void
  reject(error: Error): void
  describe(): string
  timer: ReturnType<typeof setTimeout>
}

/** Promises of conditions, which are checked again whenever something changed. Every `until` here is made of them. */
export class Waiting {
  readonly #waits = new Set<Wait>()
  #closed: string | undefined

  /**
   * Resolves when `holds` is true, now or after a later `changed()`. Rejects with what `describe` says after 10 s,
   * or when nothing can change any more.
   */
  until(holds: () => boolean, describe: () => string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#reject(wait, `in ${LIMIT_MS} ms`), LIMIT_MS)
      const wait: Wait = { holds, resolve, reject, describe, timer }
      this.#waits.add(wait)
      this.changed()
      if (this.#closed && this.#waits.has(wait)) this.#reject(wait, this.#closed)
    })
  }

  /** Something has changed: checks the conditions again. */
  changed(): void {
    for (const wait of this.#waits) {
      if (!wait.holds()) continue
      this.#settle(wait)
      wait.resolve()
    }
  }

  /** Nothing will change any more: `why` goes into the errors of the promises that still wait. */
  close(why: string): void {
    this.#closed = why
    this.changed()
    for (const wait of this.#waits) this.#reject(wait, why)
  }

  #reject(wait: Wait, why: string): void {
    this.#settle(wait)
    wait.reject(new Error(`${wait.describe()} (${why})`))
  }

  #settle(wait: Wait): void {
    clearTimeout(wait.timer)
    this.#waits.delete(wait)
  }
}
