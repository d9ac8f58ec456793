// `npm start`: the demo of the command line, built first when there is no build or the source is newer.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const cli = join(root, 'dist/cli.js')

if (isStale()) build()
process.argv.splice(2, 0, 'demo')
await import('../dist/cli.js')

function isStale() {
  if (!existsSync(cli)) return true
  const built = statSync(cli).mtimeMs
  const source = readdirSync(join(root, 'src'), { recursive: true }).map((path) => join('src', path))
  // Folders count too: their time changes when a file in them is deleted.
  return ['src', 'package.json', 'tsup.config.ts', ...source].some((path) => statSync(join(root, path)).mtimeMs > built)
}

function build() {
  const tsup = join(root, 'node_modules/tsup/dist/cli-default.js')
  if (!existsSync(tsup)) {
    console.error('The build tools are not installed: run `npm ci` first.')
    process.exit(1)
  }
  process.stdout.write('Building sse-relay (first start, or the source changed) … ')
  const started = Date.now()
  // Without the type declarations, which take most of a build's time and which no demo reads.
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsup, '--silent', '--no-dts'], {
    cwd: root,
    encoding: 'utf8',
  })
  if (status !== 0) {
    process.stdout.write(`failed\n${stdout}`)
    process.stderr.write(stderr)
    process.exit(1)
  }
  process.stdout.write(`done in ${((Date.now() - started) / 1000).toFixed(1)} s\n`)
}
