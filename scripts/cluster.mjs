// Runs what every log does over a Redis cluster of three nodes, through both clients: about a minute.
// `npm run build` first: like all tests these take what is shipped, or the source with SRC=1.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))

const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/log/cluster.test.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, CLUSTER: '1' },
})
process.exitCode = status ?? 1
