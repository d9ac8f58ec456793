// `npm run examples`: every example with a package.json of its own, installed as its user would, and checked.
// `npm run examples -- react` takes only that one. Build first: what they install is this folder.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const examples = join(root, 'examples')
const chosen = process.argv.slice(2)

if (!existsSync(join(root, 'dist/index.js'))) {
  console.error('Nothing to install: run `npm run build` first.')
  process.exit(1)
}

const found = readdirSync(examples).filter((name) => existsSync(join(examples, name, 'package.json')))
const unknown = chosen.filter((name) => !found.includes(name))
if (unknown.length > 0) {
  console.error(`No such example: ${unknown.join(', ')}. There are: ${found.join(', ')}.`)
  process.exit(1)
}

const failed = found
  .filter((name) => chosen.length === 0 || chosen.includes(name))
  .filter((name) => {
    const started = Date.now()
    const folder = join(examples, name)
    console.log(`\nexamples/${name}`)
    // npm takes a copy that is there for the right one, whatever has been built since.
    rmSync(join(folder, 'node_modules/sse-relay'), { recursive: true, force: true })
    const ok =
      npm(folder, 'install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error') &&
      npm(folder, 'run', 'check')
    console.log(`${ok ? 'passed' : 'FAILED'} in ${((Date.now() - started) / 1000).toFixed(0)} s`)
    return !ok
  })

if (failed.length > 0) {
  console.error(`\nFailed: ${failed.join(', ')}`)
  process.exitCode = 1
}

function npm(cwd, ...args) {
  const { status, error } = spawnSync('npm', args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' })
  if (error) console.error(error.message)
  return status === 0
}
