/** What do the tests of any input draw it from? */
import fc from 'fast-check'

/** The same input every time; with the seed and path that fast-check prints, the same failure. */
export const runs = (numRuns: number): fc.Parameters<unknown> => ({ seed: 20_260_912, numRuns })

/** Any character there is, as `unit: 'binary'` is, which first takes half a second for a table of them all. */
export const unit = fc.nat(0x10ffff - 0x800).map((code) => String.fromCodePoint(code < 0xd800 ? code : code + 0x800))
