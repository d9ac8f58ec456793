/** How does a character that is cut between two pieces stay whole? */

/** Stands for a character whose other half never came. */
const REPLACEMENT = '\ufffd'

/** Whether a piece begins or ends with half a character, a surrogate without its partner. */
export function isHalved(piece: string): boolean {
  return isLow(piece.charCodeAt(0)) || isHigh(piece.charCodeAt(piece.length - 1))
}

function isHigh(code: number): boolean {
  return (code & 0xfc00) === 0xd800
}

function isLow(code: number): boolean {
  return (code & 0xfc00) === 0xdc00
}

/** The half characters at the end of pieces. Each waits for the next piece of its text. */
export class Halves {
  readonly #waiting = new Map<string, string>()

  /** The next piece of a text, after the half that waited for it and without the half at its own end. */
  join(text: string, piece: string): string {
    if (piece === '') return piece
    const half = this.#waiting.get(text)
    this.#waiting.delete(text)
    let joined = piece
    if (isLow(piece.charCodeAt(0))) joined = half === undefined ? REPLACEMENT + piece.slice(1) : half + piece
    else if (half !== undefined) joined = REPLACEMENT + piece
    if (!isHigh(piece.charCodeAt(piece.length - 1))) return joined
    this.#waiting.set(text, piece.slice(-1))
    return joined.slice(0, -1)
  }

  /** A text is over: the replacement character if a half still waits, else nothing. */
  end(text: string): string {
    return this.#waiting.delete(text) ? REPLACEMENT : ''
  }

  /** The texts with a half that waits. */
  get texts(): Iterable<string> {
    return [...this.#waiting.keys()]
  }
}
