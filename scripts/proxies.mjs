// Runs the proxies and middleware, each in front of real servers, and writes what came through into docs/deploy.md.
// `npm run build` first: like all tests these take what is shipped, or the source with SRC=1.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))

const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', 'test/hosts/proxies.test.ts', '--update', '--reporter=dot', '--silent'],
  { cwd: root, stdio: 'inherit' },
)
process.exitCode = status ?? 1
