/**
 * Is each option known by name, and its value allowed? If not, which remedy is named? The one check, for the server and
 * the client.
 */

import { show } from './errors.js'

/** Which values an option may have, and the remedy for any other value. */
export type Rule = readonly [isFine: (value: never) => unknown, remedy: string] | typeof anything | typeof internal

/** A function's options by name. The types demand a row for each option. */
export type Rules<Name extends string = string> = Readonly<Record<Name, Rule>>

/** Finds the option that an unknown name was meant to be. */
export type Finder = (given: string, names: readonly string[]) => string | undefined

/** For an option that is checked elsewhere, or may have any value. */
export const anything = 1

/** Like `anything`, for options that users do not give: messages that list the options leave it out. */
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
 * The message for the first own key that is not an option, with the remedy; `undefined` if all are options. A value of
 * `undefined` counts as not given.
 *
 * @param isLoose accepts unknown names, except those for which `find` knows the option that was meant.
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

/** The message for the first value that an option cannot have. The value may be inherited or come from a getter. */
export function wrongIn(options: object, rules: Rules): string | undefined {
  for (const name of Object.keys(rules)) {
    const rule = rules[name]
    const value = (options as Record<string, unknown>)[name]
    if (rule && rule !== anything && value !== undefined && !rule[0](value as never))
      return `${name} cannot be ${show(value)}: ${rule[1]}`
  }
  return undefined
}

/** The name without case, separators and unit: `heartbeatMS`, `heartbeat_ms` and `heartbeat` are the same. */
export const plain = (name: string) => name.toLowerCase().replace(/[^a-z]|ms$/g, '')

/** The option whose name differs only in case, separators or unit. */
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

/** Whether inserting, removing, changing or swapping at most `edits` letters makes one word of the other. */
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

/** Our options and the words that other libraries use for them. The words of one line mean the same. */
const SYNONYMS = `onEnd onDone onFinish onComplete onSuccess onSettled
onError onEnd logger logging onLog
heartbeatMs keepAlive ping
maxDurationMs stallTimeoutMs graceMs limitMs timeout
owner user userId tenant
protocol format
signal abort
ttlMs expiry maxAge`

/**
 * Like `findNear`, but also finds the option that other libraries call by this word, or whose name contains the word or
 * is contained in it.
 */
export const findMeant: Finder = (given, names) => {
  const word = plain(given)
  const lines = SYNONYMS.split('\n').map((line) => line.split(' '))
  const synonyms = lines.find((line) => line.some((name) => plain(name) === word))
  return (
    findSame(given, names) ??
    (names.filter((name) => synonyms?.includes(name)).join(' or ') || undefined) ??
    findNear(given, names) ??
    names.find((name) => word.length > 1 && (plain(name).includes(word) || word.includes(plain(name))))
  )
}
