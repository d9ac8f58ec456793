/** Which pieces make one tool call? */

/** The members of a call that decide whether the next piece at its index still belongs to it. */
interface KnownCall {
  readonly id?: string | undefined
  readonly done?: boolean | undefined
  readonly error?: string | undefined
}

/** The members of a piece that are looked at. */
interface Piece {
  readonly id?: string | undefined
  readonly name?: string | undefined
  readonly input: string
  readonly replaces?: boolean | undefined
}

/**
 * Whether a piece begins another call than the one known at its index. A provider's calls have an index each, but a
 * source's own parts may count from 0 again in the next answer. Then the id or the name, which only a first piece has,
 * begins a new call, and so does input after the end of the known call. Input after a rejection still belongs to the
 * rejected call.
 */
export function beginsCall(known: KnownCall | undefined, { id, name, input, replaces }: Piece): boolean {
  if (!known) return true
  const { done, error } = known
  if (id !== undefined) return id !== known.id || ((done === true || error !== undefined) && name !== undefined)
  return name !== undefined || (done === true && error === undefined && input !== '' && replaces !== true)
}

/** The piece, but with empty input if it would replace the call's input by the same text. */
export function withoutRepeat<T extends Piece>(known: (KnownCall & { input: string }) | undefined, part: T): T {
  const isRepeat = known && part.replaces && part.input === known.input && !beginsCall(known, part)
  return isRepeat ? { ...part, input: '', replaces: false } : part
}
