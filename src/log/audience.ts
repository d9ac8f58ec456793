/** Does anybody read a run that is produced here: in this process, or in another? */

/** How long readers in other processes have to answer, in milliseconds. */
const READERS_ANSWER_MS = 2000

/** What an audience needs of its owner, the recorder. */
export interface AudienceOwner {
  /** Whether somebody reads in this process. */
  readonly isRead: boolean
  /** Whether readers elsewhere can be heard: not while the store is out of reach. */
  readonly isInTouch: boolean
  /** Asks readers elsewhere to announce themselves. `false` if there cannot be any. */
  askForReaders(): boolean
  /** Nobody has read for as long as a run may go on alone. */
  onAbandoned(): void
}

/** Knows of readers elsewhere by their announcements, and asks for these before a run is given up as unread. */
export class Audience {
  readonly #owner: AudienceOwner
  readonly #abandonMs: number
  /** Until when somebody elsewhere is known to read; 0 if nobody ever was. */
  #until = 0
  /**
   * When each process that announced itself counts as gone, by the address it listens on: `''` is the run's channel.
   */
  readonly #untilOf = new Map<string, number>()
  #address: string | undefined
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(owner: AudienceOwner, abandonMs: number) {
    this.#owner = owner
    this.#abandonMs = abandonMs
  }

  /** Whether somebody reads in another process. */
  get isReadElsewhere(): boolean {
    return this.#until !== 0 && performance.now() < this.#until
  }

  /** Whether somebody in another process was ever known to read. */
  get wasReadElsewhere(): boolean {
    return this.#until !== 0
  }

  /** Whether somebody elsewhere has announced itself by a message, not only by a note in the store. */
  get hasAnnounced(): boolean {
    const now = performance.now()
    return [...this.#untilOf.values()].some((until) => until > now)
  }

  /** The address of the one process elsewhere that reads; `undefined` if several do, or one without an address. */
  get address(): string | undefined {
    return this.#address
  }

  /** Somebody elsewhere reads, which holds for `ms`. A message brings the address of its process; a note has none. */
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

  /** Asks whether anybody reads elsewhere, before the run counts as abandoned. */
  #look(): void {
    const before = this.#until
    if (!this.#owner.askForReaders()) this.#decide(false)
    else this.#timer = setTimeout(() => this.#decide(this.#until > before || !this.#owner.isInTouch), READERS_ANSWER_MS)
  }

  #decide(isRead: boolean): void {
    if (isRead) this.onDeserted()
    else if (!this.#owner.isRead) this.#owner.onAbandoned()
  }
}
