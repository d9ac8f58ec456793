/** How does a character that comes in two pieces stay one? */

/** What stands for a character that never became whole. */
const REPLACEMENT = '\ufffd'

/** Whether a piece begins or ends with half a character, a lone surrogate perhaps. */
export function isHalved(piece: string): boolean {
  return isLow(piece.charCodeAt(0)) || isHigh(piece.charCodeAt(piece.length - 1))
}

function isHigh(code: number): boolean {
  return (code & 0xfc00) === 0xd800
}

function isLow(code: number): boolean {
  return (code & 0xfc00) === 0xdc00
}

/** The halves that pieces of texts ended with: each waits for the next piece of its text. */
export class Halves {
  readonly #waiting = new Map<string, string>()

  /** The next piece of a text: with the half that waited for it, and without the half that it ends with. */
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

  /** A text is over: what stands for the half that waits, if one does. */
  end(text: string): string {
    return this.#waiting.delete(text) ? REPLACEMENT : ''
  }

  /** The texts whose last character is half. */
  get texts(): Iterable<string> {
    return [...this.#waiting.keys()]
  }
}
