/** Which runs were stopped before they began? */

/** The most stops that are kept for one owner, and for all: nothing that clients can ask for grows without end. */
const MAX_OF_OWNER = 64
const MAX = 10_000

/** Stops that wait for their run. Each is kept for a while, and stops only a run of the owner who asked for it. */
export class StopMarks {
  /** When each stop expires, by owner and run id. The oldest of an owner come first. */
  readonly #owners = new Map<string | null, Map<string, number>>()
  #size = 0

  set(runId: string, owner: string | null, ms: number): void {
    const marks = this.#owners.get(owner) ?? new Map<string, number>()
    // The owner that asked last comes last.
    this.#owners.delete(owner)
    this.#owners.set(owner, marks)
    this.#remove(owner, marks, runId)
    marks.set(runId, performance.now() + ms)
    this.#owners.set(owner, marks)
    this.#size++
    // The owner `null` may stand for many people.
    const most = owner === null ? MAX : MAX_OF_OWNER
    for (const [oldest, until] of marks) {
      if (marks.size <= most && until > performance.now()) break
      this.#remove(owner, marks, oldest)
    }
    while (this.#size > MAX) {
      const [first, others] = this.#owners.entries().next().value as [string | null, Map<string, number>]
      this.#remove(first, others, others.keys().next().value as string)
    }
  }

  /** Whether this owner has stopped this run. The answer is given once. */
  take(runId: string, owner: string | null): boolean {
    const marks = this.#size > 0 && this.#owners.get(owner)
    if (!marks) return false
    const until = marks.get(runId)
    this.#remove(owner, marks, runId)
    return until !== undefined && until > performance.now()
  }

  #remove(owner: string | null, marks: Map<string, number>, runId: string): void {
    if (marks.delete(runId)) this.#size--
    if (marks.size === 0) this.#owners.delete(owner)
  }
}
