// One process: `produce` answers with runs of its own, kept in Redis; `read` with those of the other process.
import { createServer } from 'node:http'
import { createClient } from 'redis'
import { relay, resume } from 'sse-relay/node'
import { createRedisLog } from 'sse-relay/redis'

const [what, port] = process.argv.slice(2)
process.on('disconnect', () => process.exit())
const log = createRedisLog(await createClient({ socket: { host: '127.0.0.1', port: Number(port) } }).connect())

/** A token of five characters every so often, for so long. */
async function* tokens(everyMs, untilMs) {
  // Not all in one tick, as models do not.
  await new Promise((resolve) => setTimeout(resolve, Math.random() * everyMs))
  for (const end = performance.now() + untilMs; performance.now() < end; ) {
    yield 'word '
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

const server = createServer((req, res) => {
  const [, runId, everyMs, untilMs] = req.url.split('/')
  if (what === 'read') resume(req, res, { log, owner: null, runId })
  // What nobody reads any more is not to go on beside what is measured next.
  else relay(req, res, () => tokens(Number(everyMs), Number(untilMs)), { log, owner: null, runId, abandonMs: 1 })
})
server.listen(0, '127.0.0.1', 4096, () => process.send({ port: server.address().port }))

process.on('message', () => {
  globalThis.gc?.()
  const { user, system } = process.cpuUsage()
  const { heapUsed, external } = process.memoryUsage()
  process.send({ cpu: user + system, memory: heapUsed + external })
})
