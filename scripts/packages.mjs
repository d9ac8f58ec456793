// `npm run packages`: the packages whose streams people hand over, each family installed in its folder of test/packages
// by its own lock file, and the checks beside it. `npm run packages -- langchain mastra` takes only those; `--update`
// writes what came out into docs/packages.md. Build first, unless SRC=1 is set.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const packages = join(root, 'test/packages')
const isUpdate = process.argv.includes('--update')
const chosen = process.argv.slice(2).filter((word) => word !== '--update')

if (!process.env.SRC && !existsSync(join(root, 'dist/index.js'))) {
  console.error('Nothing to try: run `npm run build` first.')
  process.exit(1)
}

const found = readdirSync(packages).filter((name) => existsSync(join(packages, name, 'package.json')))
const unknown = chosen.filter((name) => !found.includes(name))
if (unknown.length > 0) {
  console.error(`No such family of packages: ${unknown.join(', ')}. There are: ${found.join(', ')}.`)
  process.exit(1)
}

const families = chosen.length > 0 ? chosen : found
for (const name of families) {
  if (!(await install(join(packages, name)))) {
    console.error(`test/packages/${name} could not be installed`)
    process.exit(1)
  }
}
const scratch = mkdtempSync(join(tmpdir(), 'sse-relay-packages-'))
const rows = join(scratch, 'rows')
if (isUpdate) process.env.PACKAGE_ROWS = rows
const config = ['--config', 'test/packages/vitest.config.ts']
const ok =
  (chosen.length > 0 || (await run('npx', ['tsc', '-p', 'test/packages'], root))) &&
  // One at a time: each process loads a large package.
  (await run(
    'npx',
    [
      'vitest',
      'run',
      ...config,
      '--maxWorkers=1',
      ...(chosen.length > 0 ? families.map((name) => `test/packages/${name}/`) : ['test/packages/']),
    ],
    root,
  ))
if (!ok) process.exitCode = 1
else if (isUpdate) write(readFileSync(rows, 'utf8').trim().split('\n'))
rmSync(scratch, { recursive: true })

/** The rows of what was tried, amid those that are there. */
function write(tried) {
  const path = join(root, 'docs/packages.md')
  const lines = readFileSync(path, 'utf8').split('\n')
  const begin = lines.findIndex((line) => line.startsWith('|---')) + 1
  const there = lines.slice(begin).filter((line) => line.startsWith('|'))
  const after = lines.slice(begin + there.length)
  const nameOf = (row) => row.split(' | ')[0]
  // Of a whole run those that are no more go.
  const kept = chosen.length > 0 ? there : []
  const all = new Map([...kept, ...tried].map((row) => [nameOf(row), row]))
  const sorted = [...all.values()].sort((a, b) => (nameOf(a).toLowerCase() < nameOf(b).toLowerCase() ? -1 : 1))
  writeFileSync(path, [...lines.slice(0, begin), ...sorted, ...after].join('\n'))
}

/** By the lock file, unless what is there was installed by this very one. */
async function install(folder) {
  const lock = readFileSync(join(folder, 'package-lock.json'), 'utf8')
  const mark = join(folder, 'node_modules/.installed')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return true
  console.log(`installing ${folder.slice(root.length)} …`)
  const installed = await run('npm', ['ci', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'], folder)
  if (installed) writeFileSync(mark, lock)
  return installed
}

function run(command, args, cwd) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' })
    child.on('error', (error) => console.error(error.message))
    child.on('close', (status) => resolve(status === 0))
  })
}
