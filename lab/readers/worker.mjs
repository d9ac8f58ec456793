// Produces the runs. Nobody reads here.
import { createClient } from 'redis'
import { record } from 'sse-relay/log'
import { createRedisLog } from 'sse-relay/redis'
import { data, serve } from '../../scripts/processes.mjs'
import { runIdOf, TOKEN_MS, textOf } from './tokens.mjs'

// A machine that is busy is no failure here.
const options = { timeoutMs: 20_000, leaseMs: 60_000 }
const log = createRedisLog(await createClient({ url: data().url, name: 'worker' }).connect(), options)
let go

/** One token at once, and the others when all readers are there, in each second one. */
async function* tokensOf(run, { runs, tokens }, going) {
  yield textOf(run, 0)
  await going
  await new Promise((resolve) => setTimeout(resolve, (run / runs) * TOKEN_MS))
  for (let index = 1; index < tokens; index++) {
    await new Promise((resolve) => setTimeout(resolve, TOKEN_MS))
    yield textOf(run, index)
  }
}

serve({
  /** Resolves when all of them are there to be read. */
  async begin({ round, runs, tokens }) {
    const going = new Promise((resolve) => {
      go = resolve
    })
    for (let run = 0; run < runs; run++) {
      const runId = runIdOf(round, run)
      await log.create(runId, { owner: null })
      record(() => tokensOf(run, { runs, tokens }, going), { log, runId, owner: null })
    }
  },
  go: () => go(),
})
