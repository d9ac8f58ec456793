/** What do the providers send? A stream in the format of each, by name. */

import { readdirSync, readFileSync } from 'node:fs'

// The build is one flat file beside the same folder, so this path must stay as it is.
const folder = new URL('./traces/', import.meta.url)

/** The names of the provider wire traces, `anthropic-text.sse` for example. */
export function traceNames(): string[] {
  return readdirSync(folder).sort()
}

/**
 * The bytes of a trace, as the provider sends them.
 *
 * @throws {RangeError} For a name that is not among {@link traceNames}.
 */
export function readTrace(name: string): Buffer {
  const names = traceNames()
  if (!names.includes(name)) throw new RangeError(`There is no trace "${name}": take one of ${names.join(', ')}`)
  return readFileSync(new URL(name, folder))
}
