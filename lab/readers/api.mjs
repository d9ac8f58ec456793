// The process that is measured: serves runs that another one produces.
import { createServer } from 'node:http'
import { createClient } from 'redis'
import { resume } from 'sse-relay/node'
import { createRedisLog } from 'sse-relay/redis'
import { data, serve } from '../../scripts/processes.mjs'

// A machine that is busy is no failure here.
const log = createRedisLog(await createClient({ url: data().url, name: 'api' }).connect(), { timeoutMs: 20_000 })
const server = createServer((req, res) => resume(req, res, { log, owner: null, runId: req.url.slice(1) }))
// No clock but ours ends a stream.
server.requestTimeout = 0

serve({
  listen: () => new Promise((resolve) => server.listen(0, '127.0.0.1', 65_535, () => resolve(server.address().port))),
  connections: () => new Promise((resolve) => server.getConnections((_, count) => resolve(count))),
  cpu() {
    const { user, system } = process.cpuUsage()
    return user + system
  },
  memory() {
    // The second collection takes what the finalizers of the first let go of.
    for (let round = 0; round < 3; round++) globalThis.gc()
    return process.memoryUsage()
  },
})
