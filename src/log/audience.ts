/** Does anybody read a run that is produced here: in this process, or in another? */

/** How long readers in other processes have to say that they are there, in milliseconds. */
const ROLL_CALL_MS = 2000

/** Who asks whether anybody reads. */
export interface AudienceOwner {
  /** Whether somebody reads in this process. */
  readonly isRead: boolean
  /** Whether who reads elsewhere can be heard: while the store is out of reach nobody can. */
  readonly isInTouch: boolean
  /** Asks readers elsewhere to say that they are there. `false` where nobody can be. */
  callTheRoll(): boolean
  /** Nobody reads, and nobody has for as long as a run may go on alone. */
  onAbandoned(): void
}

/** Knows of readers elsewhere by what they say of themselves, and asks them before a run is given up for nobody. */
export class Audience {
  readonly #owner: AudienceOwner
  readonly #abandonMs: number
  /** Until when somebody elsewhere is known to read. */
  #until = 0
  /** Until when each process is that has said so, by where it is told; `''` for those that are told by the run's channel. */
  readonly #untilOf = new Map<string, number>()
  #address: string | undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(owner: AudienceOwner, abandonMs: number) {
    this.#owner = owner
    this.#abandonMs = abandonMs
  }

  /** Whether somebody reads in another process. */
  get isElsewhere(): boolean {
    return this.#until !== 0 && performance.now() < this.#until
  }

  /** Whether anybody has ever said so. */
  get wasElsewhere(): boolean {
    return this.#until !== 0
  }

  /** Whether somebody elsewhere is known to read by its own word, and not by a note alone. */
  get hasSpoken(): boolean {
    const now = performance.now()
    return [...this.#untilOf.values()].some((until) => until > now)
  }

  /** Where the one process elsewhere that reads is told; `undefined` where several do, or one that did not say. */
  get address(): string | undefined {
    return this.#address
  }

  /** Somebody elsewhere has said that it reads, which is good for so long, and perhaps where it is told. */
  heard(ms: number, address?: string): void {
    const now = performance.now()
    this.#until = now + ms
    if (address !== undefined) this.#untilOf.set(address, this.#until)
    for (const [known, until] of this.#untilOf) if (until <= now) this.#untilOf.delete(known)
    const [only] = this.#untilOf.keys()
    this.#address = (this.#untilOf.size === 1 && only) || undefined
  }

  /** The last reader of this process is gone. */
  onDeserted(): void {
    clearTimeout(this.#timer)
    if (this.#abandonMs === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(() => this.#look(), Math.min(this.#abandonMs, 0x7fffffff))
  }

  /** Somebody reads here, or the run is over. */
  stop(): void {
    clearTimeout(this.#timer)
  }

  /** Whether anybody reads elsewhere is asked, not guessed. */
  #look(): void {
    const before = this.#until
    if (!this.#owner.callTheRoll()) this.#decide(false)
    else this.#timer = setTimeout(() => this.#decide(this.#until > before || !this.#owner.isInTouch), ROLL_CALL_MS)
  }

  #decide(isRead: boolean): void {
    if (isRead) this.onDeserted()
    else if (!this.#owner.isRead) this.#owner.onAbandoned()
  }
}
