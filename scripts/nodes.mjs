// `node scripts/nodes.mjs`: the whole suite on every version of Node that is supported, each taken from npm.
// `node scripts/nodes.mjs 24 26` takes only those; what follows is for vitest: `node scripts/nodes.mjs 24 test/client/parser.test.ts`.
// Build first: like all tests these take what is shipped.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nodeProgram } from './node-program.mjs'
import { recordNode } from './support.mjs'

const SUPPORTED = ['20', '22', '24', '26']
const root = fileURLToPath(new URL('..', import.meta.url))
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
const folder = mkdtempSync(join(tmpdir(), 'sse-relay-nodes-'))

if (!existsSync(join(root, 'dist/index.js'))) {
  console.error('Nothing to test: run `npm run build` first.')
  process.exit(1)
}

const chosen = process.argv.slice(2).filter((argument) => SUPPORTED.includes(argument))
const rest = process.argv.slice(2).filter((argument) => !SUPPORTED.includes(argument))
const rows = []

try {
  for (const major of chosen.length > 0 ? chosen : SUPPORTED) rows.push(await run(major))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log()
for (const { version, passed, failed, skipped, took, ok } of rows) {
  const counts = `${passed} passed, ${failed} failed, ${skipped} skipped`
  console.log(`Node ${version.padEnd(8)}  ${ok ? 'ok    ' : 'FAILED'}  ${counts}, in ${took} s`)
}
// A part of the suite, or a suite with holes, says nothing of the whole.
if (rest.length === 0) for (const { version, ok, skipped } of rows) if (ok && skipped === 0) recordNode(version)
process.exitCode = rows.every(({ ok }) => ok) ? 0 : 1

async function run(major) {
  const { path, folder: bin, version } = nodeProgram(major)
  const started = Date.now()
  const seconds = () => Math.round((Date.now() - started) / 1000)
  console.log(`\nNode ${version}: ${['vitest run', ...rest].join(' ')}`)
  const report = join(folder, `${major}.json`)
  const args = [
    vitest,
    'run',
    '--reporter=dot',
    '--reporter=json',
    `--outputFile.json=${report}`,
    '--silent=true',
    ...rest,
  ]
  // What the tests start is to be that Node too. The cluster's tests are a part of the whole.
  const env = { ...process.env, CLUSTER: '1', PATH: `${bin}${delimiter}${process.env.PATH}` }
  const child = spawn(path, args, { cwd: root, env, stdio: 'inherit' })
  const progress = setInterval(() => console.log(`\nNode ${version}: ${seconds()} s …`), 30_000)
  const limit = setTimeout(() => child.kill(), 30 * 60_000)
  const status = await new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', resolve)
  })
  clearInterval(progress)
  clearTimeout(limit)
  const {
    numPassedTests: passed = 0,
    numFailedTests: failed = 0,
    numPendingTests: skipped = 0,
  } = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : {}
  return { version, passed, failed, skipped, took: seconds(), ok: status === 0 && passed > 0 }
}
