// Runs the matrix, every provider's SDK into every protocol's client, and writes what came out into docs/matrix.md.
// `npm run build` first: like all tests these take what is shipped, or the source with SRC=1.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))

const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', 'test/protocols/matrix.test.ts', '--update', '--reporter=dot', '--silent'],
  { cwd: root, stdio: 'inherit' },
)
console.log(readFileSync(new URL('../docs/matrix.md', import.meta.url), 'utf8'))
process.exitCode = status ?? 1
