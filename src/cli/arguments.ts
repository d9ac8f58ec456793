/** How do the words after a command's name become its options, or a mistake that names the remedy? */
import { parseArgs } from 'node:util'
import { findNear } from '../check.js'

/** One option of a command: how it is parsed, and how the help shows it. */
export interface Option {
  type: 'string' | 'boolean'
  short?: string
  multiple?: boolean
  /** The placeholder for the value in the help. */
  value?: string
  help: string
}

export type Options = Readonly<Record<string, Option>>

export type Values<O extends Options> = {
  [Name in keyof O]?: O[Name]['type'] extends 'boolean' ? boolean : O[Name]['multiple'] extends true ? string[] : string
}

/** A mistake in the command line, reported without a stack. */
export class UsageError extends Error {}

/** The options of every command. */
const COMMON = { help: { type: 'boolean', short: 'h', help: 'this text' } } as const satisfies Options

/** @throws {UsageError} for an unknown option, naming the nearest known one, and for an option without its value. */
export function parseArguments<O extends Options>(
  args: string[],
  own: O,
): { values: Values<O & typeof COMMON>; words: string[] } {
  const options: Options = { ...own, ...COMMON }
  const { values, positionals, tokens } = parseArgs({ args, options, strict: false, tokens: true })
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const { name, rawName, value } = token
    const option = Object.hasOwn(options, name) ? options[name] : undefined
    if (!option) throw new UsageError(`There is no option ${rawName}${suggestion(rawName, namesOf(options))}`)
    if (option.type === 'boolean' && value !== undefined) throw new UsageError(`${rawName} takes no value`)
    // In `-d -x` the value was forgotten; in `-d=-x` it begins with `-`. A `-` alone is a value.
    const isForgotten = value === undefined || (!token.inlineValue && /^-./.test(value))
    if (option.type === 'string' && isForgotten) {
      throw new UsageError(`${rawName} needs a value: ${rawName} ${option.value}`)
    }
  }
  return { values: values as Values<O & typeof COMMON>, words: positionals }
}

/** `; did you mean …?`, or an empty string if no known word is near. */
export function suggestion(given: string, known: readonly string[]): string {
  const meant = findNear(given, known)
  return meant ? `; did you mean ${meant}?` : ''
}

/** The lines of the help that describe the options. */
export function describeOptions(own: Options): string {
  const rows = Object.entries({ ...own, ...COMMON }).map(([name, { short, value, help }]: [string, Option]) => {
    const names = `${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`
    return [names, help] as const
  })
  const width = Math.max(...rows.map(([names]) => names.length))
  return rows.map(([names, help]) => `  ${names.padEnd(width)}  ${help}`).join('\n')
}

function namesOf(options: Options): string[] {
  return Object.entries(options).flatMap(([name, { short }]) => (short ? [`--${name}`, `-${short}`] : [`--${name}`]))
}
