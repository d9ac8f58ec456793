/** Is each option known by name, and its value allowed? The one check, for the server and the client. */

import { show } from './errors.js'

/** What an option may be, and the remedy for what is not that. */
export type Rule = readonly [isFine: (value: never) => unknown, remedy: string] | typeof anything | typeof internal

/** A function's options by name. Each option has its row, so the types ask for a row when an option is added. */
export type Rules<Name extends string = string> = Readonly<Record<Name, Rule>>

/** Finds the option that was meant by a name that is none. */
export type Finder = (given: string, names: readonly string[]) => string | undefined

/** For what is looked over elsewhere, or may be anything. */
export const anything = 1

/** As `anything`, for what users do not give: it is not in the list of what there is. */
export const internal = 0

export const callback: Rule = [(value: unknown) => typeof value === 'function', 'give a function']
export const positive: Rule = [(value: unknown) => typeof value === 'number' && value > 0, 'give a positive number']
export const flag: Rule = [(value: unknown) => typeof value === 'boolean', 'give true or false']
export const words: Rule = [(value: unknown) => typeof value === 'string', 'give a string']
export const abortSignal: Rule = [
  (value: AbortSignal | null) => typeof value?.addEventListener === 'function',
  'give an AbortSignal',
]

/**
 * The first name of the object's own that is no option, with the remedy; `undefined` if there is none. What is
 * `undefined` was not given.
 *
 * @param isLoose passes over unknown names, but for those that `find` knows what is meant by.
 */
export function unknownIn(
  what: string,
  options: object,
  rules: Rules,
  find?: Finder,
  isLoose?: boolean,
): string | undefined {
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(rules, name) || (options as Record<string, unknown>)[name] === undefined) continue
    const names = Object.keys(rules)
    const meant = find?.(name, names)
    if (meant || !isLoose)
      return `${what} has no option ${name}: ${meant ? `use ${meant}` : `there is ${names.filter((name) => rules[name]).join(', ') || 'none'}`}`
  }
  return undefined
}

/** The first value that an option cannot have, with the remedy. It may be inherited or come from a getter. */
export function wrongIn(options: object, rules: Rules): string | undefined {
  for (const name of Object.keys(rules)) {
    const rule = rules[name]
    const value = (options as Record<string, unknown>)[name]
    if (rule && rule !== anything && value !== undefined && !rule[0](value as never))
      return `${name} cannot be ${show(value)}: ${rule[1]}`
  }
  return undefined
}

/** The name but for case, separators and unit: `heartbeatMS`, `heartbeat_ms` and `heartbeat` are the same. */
export const plain = (name: string) => name.toLowerCase().replace(/[^a-z]|ms$/g, '')

/** The option that is written alike, but for case, separators and unit. */
export const findSame: Finder = (given, names) => names.find((name) => plain(name) === plain(given))

/** The option whose name is a few letters away, three at most; the nearest one. */
export const findNear: Finder = (given, names) => {
  const word = plain(given)
  for (let edits = 0; edits <= Math.min(3, Math.round(word.length / 4)); edits++) {
    const near = names.find((name) => isNear(word, plain(name), edits))
    if (near) return near
  }
  return undefined
}

/** Whether that many letters put in, left out, changed or swapped make one word of the other. */
function isNear(a: string, b: string, edits: number): boolean {
  if (a === b || !edits) return a === b
  const [restA, restB] = [a.slice(1), b.slice(1)]
  if (a[0] === b[0]) return isNear(restA, restB, edits)
  return (
    isNear(restA, b, edits - 1) ||
    isNear(a, restB, edits - 1) ||
    isNear(restA, restB, edits - 1) ||
    (a[0] === b[1] && a[1] === b[0] && isNear(a.slice(2), b.slice(2), edits - 1))
  )
}

/** Words of other libraries; those of a line mean the same. */
const SYNONYMS = `onEnd onDone onFinish onComplete onSuccess onSettled
heartbeatMs keepAlive ping
stallTimeoutMs graceMs limitMs timeout
owner user userId tenant
protocol format
signal abort
ttlMs expiry maxAge`

/** As `findNear`; besides, the option that a word of other libraries stands for, or whose name holds the word. */
export const findMeant: Finder = (given, names) => {
  const word = plain(given)
  const synonyms = SYNONYMS.split('\n').find((line) => line.split(' ').some((name) => plain(name) === word))
  return (
    findSame(given, names) ??
    names.find((name) => synonyms?.includes(name)) ??
    findNear(given, names) ??
    names.find((name) => word.length > 1 && (plain(name).includes(word) || word.includes(plain(name))))
  )
}
