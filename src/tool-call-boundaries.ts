/** Which pieces make one tool call? */

/** As much of a call as decides whether the next piece at its index still belongs to it. */
interface KnownCall {
  readonly id?: string | undefined
  readonly done?: boolean | undefined
  readonly error?: string | undefined
}

/** As much of a piece as is looked at. */
interface Piece {
  readonly id?: string | undefined
  readonly name?: string | undefined
  readonly input: string
  readonly replaces?: boolean | undefined
}

/**
 * Whether a piece begins another call than the one that is known at its index. A provider's calls have an index each.
 * Parts of one's own may count from 0 again in the next answer; then the id or the name, which only a first piece has,
 * tells the calls apart, and so does input that comes after the end; after a rejection it is of what was rejected.
 */
export function beginsCall(known: KnownCall | undefined, { id, name, input, replaces }: Piece): boolean {
  if (!known) return true
  const { done, error } = known
  if (id !== undefined) return id !== known.id || ((done === true || error !== undefined) && name !== undefined)
  return name !== undefined || (done === true && error === undefined && input !== '' && replaces !== true)
}

/** A piece that replaces the input by what it is already says nothing of it. */
export function withoutRepeat<T extends Piece>(known: (KnownCall & { input: string }) | undefined, part: T): T {
  const isRepeat = known && part.replaces && part.input === known.input && !beginsCall(known, part)
  return isRepeat ? { ...part, input: '', replaces: false } : part
}
