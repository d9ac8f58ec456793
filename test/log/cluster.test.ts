import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import type { Log } from 'sse-relay/log'
import { createRedisLog } from 'sse-relay/redis'
import { logBehaviours } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, it } from 'vitest'
import { hasRedis, type RedisServer, startCluster } from './redis-server.js'

// `npm run cluster`. It takes a minute, and what is written for one node and for a cluster differs in one place only.

const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

describe.skipIf(!hasRedis || !process.env.CLUSTER)('a log in a Redis cluster of three nodes', () => {
  let nodes: RedisServer[] = []
  beforeAll(async () => {
    nodes = await startCluster()
  }, 90_000)
  afterAll(async () => {
    for (const node of nodes) await node.close()
  })

  const clients: Record<string, () => Promise<Log>> = {
    async ioredis() {
      const client = new Cluster(nodes.map(({ port }) => ({ host: '127.0.0.1', port })))
      const log = createRedisLog(client)
      opened.push(
        () => client.disconnect(),
        () => log.close(),
      )
      return log
    },
    async 'node-redis'() {
      const rootNodes = nodes.map(({ port }) => ({ url: `redis://127.0.0.1:${port}` }))
      const client = await createCluster({ rootNodes }).connect()
      const log = createRedisLog(client)
      opened.push(
        () => client.destroy(),
        () => log.close(),
      )
      return log
    },
  }
  for (const [client, open] of Object.entries(clients)) {
    describe(`through ${client}`, () => {
      for (const { name, run } of logBehaviours) it(name, () => run(open))
    })
  }
})
