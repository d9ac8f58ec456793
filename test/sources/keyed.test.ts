// Do calls come out apart and whole, however a server keys their pieces and whatever it says twice?
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { runs } from '../arbitrary.js'
import { read } from './read.js'

interface Call {
  name: string
  input: unknown
}

/** How a server says which call a piece is of, and what its pieces are. */
interface Style {
  index: 'right' | 'none' | 'zero' | 'piece'
  id: 'first' | 'each' | 'piece' | 'none'
  name: 'first' | 'each' | 'empty'
  pieces: 'cut' | 'cut and whole' | 'cut and written anew' | 'so far' | 'whole'
}

const chunk = (delta: object, finish_reason: string | null = null) => ({
  id: 'c',
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta, finish_reason }],
})

/** Names are the tools', so calls of one answer may be of one tool; inputs are such as confuse who counts brackets. */
const calls: fc.Arbitrary<Call[]> = fc.array(
  fc.record({
    name: fc.constantFrom('w', 'v'),
    input: fc.constantFrom<unknown>(
      { city: 'Oslo' },
      { a: 1, b: { c: [1, 2], a: 1 } },
      { code: 'f(){ return {} }"}{', n: null },
      { not: { not: {} } },
      { list: [{ a: 1 }, { a: 2 }] },
    ),
  }),
  { minLength: 1, maxLength: 3 },
)

/** A text in pieces of these sizes, over and over. */
function cut(text: string, sizes: number[]): string[] {
  const pieces: string[] = []
  for (let at = 0, n = 0; at < text.length; n++) {
    const size = sizes[n % sizes.length] ?? 1
    pieces.push(text.slice(at, at + size))
    at += size
  }
  return pieces
}

function piecesOf({ input }: Call, { index, pieces }: Style, sizes: number[]): string[] {
  const text = JSON.stringify(input)
  if (pieces === 'whole') return [text]
  // Of all so far the first bracket comes alone, as a token does, unless its place says which call a piece is of.
  if (pieces === 'so far')
    return cut(text, index === 'right' ? sizes : [1, ...sizes]).map((_, n, all) => all.slice(0, n + 1).join(''))
  const again = { cut: [], 'cut and whole': [text], 'cut and written anew': [JSON.stringify(input, null, 1)] }[pieces]
  return [...cut(text, sizes), ...again]
}

function say(all: Call[], style: Style, sizes: number[]): object[] {
  let said = 0
  const chunks = all.flatMap((call, place) =>
    piecesOf(call, style, sizes).map((piece, n) => {
      const index = { right: place, none: undefined, zero: 0, piece: said }[style.index]
      const isNamed = n === 0 || style.name === 'each'
      const hasId = n === 0 ? style.id !== 'none' : style.id === 'each' || style.id === 'piece'
      said++
      return chunk({
        tool_calls: [
          {
            ...(index !== undefined && { index }),
            ...(hasId && { id: style.id === 'piece' ? `piece-${said}` : `call-${place}` }),
            function: {
              arguments: piece,
              ...(isNamed ? { name: call.name } : style.name === 'empty' && { name: '' }),
            },
          },
        ],
      })
    }),
  )
  return [chunk({ role: 'assistant', content: '' }), ...chunks, chunk({}, 'tool_calls')]
}

/** Two calls are told apart by something that is said of them; these styles say enough. */
function isTold({ index, id, name, pieces }: Style): boolean {
  // Nothing but the name, which says as much of a repetition as of a call to the same tool.
  if (id === 'none') return index === 'right' ? name !== 'each' : false
  // An id of each piece tells nothing: the next call has to begin after a whole input, with its name.
  if (id === 'piece') return index !== 'piece' && pieces === 'cut'
  // What comes without an id and a name under a place of its own may be of another call, once the last is whole.
  if (index === 'piece') return id === 'each' || (name !== 'each' && !pieces.startsWith('cut and'))
  return true
}

const styles: fc.Arbitrary<Style> = fc
  .record<Style>({
    index: fc.constantFrom('right', 'none', 'zero', 'piece'),
    id: fc.constantFrom('first', 'each', 'piece', 'none'),
    name: fc.constantFrom('first', 'each', 'empty'),
    pieces: fc.constantFrom('cut', 'cut and whole', 'cut and written anew', 'so far', 'whole'),
  })
  .filter(isTold)

describe('calls come out apart and whole', () => {
  it('by whatever their pieces are keyed, and whatever is said twice', () => {
    fc.assert(
      fc.property(
        calls,
        styles,
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        (all, style, sizes) => {
          const told = read(say(all, style, sizes))
          const came = told.calls.map((call) => {
            const { name, input, done } = call as { name: string; input: string; done?: boolean }
            return { name, input: JSON.parse(input), done }
          })
          expect(came).toEqual(all.map((call) => ({ ...call, done: true })))
          expect(told).toMatchObject({ finish: 'tool-calls', isComplete: true })
        },
      ),
      runs(3000),
    )
  })
})
