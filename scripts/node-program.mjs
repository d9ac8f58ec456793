// Other versions of Node, from npm: the program of a major version, installed once, outside the lock file.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const cache = fileURLToPath(new URL('../node_modules/.cache/nodes', import.meta.url))
const system = process.platform === 'win32' ? 'win' : process.platform
const name = `node-${system}-${process.arch}`

/** Where the program is, its folder and its version; throws if npm has none. The newest of a major when first asked. */
export function nodeProgram(major) {
  const prefix = join(cache, String(major))
  const installed = join(prefix, 'node_modules', name)
  const path = join(installed, 'bin', system === 'win' ? 'node.exe' : 'node')
  if (!existsSync(path)) {
    console.log(`installing Node ${major} (${name}@${major}) …`)
    const args = ['install', '--prefix', prefix, '--no-save', '--ignore-scripts', '--no-audit', '--loglevel=error']
    const { status } = spawnSync('npm', [...args, `${name}@${major}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: 180_000,
      shell: system === 'win',
    })
    if (status !== 0 || !existsSync(path)) throw new Error(`Node ${major} could not be installed from npm: ${name}`)
  }
  const { version } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  return { path, folder: join(installed, 'bin'), version }
}
