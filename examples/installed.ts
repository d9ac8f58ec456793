/** What is installed in the folder of an example. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export function versionOf(folder: string, name: string): string {
  return JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version
}
