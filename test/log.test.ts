import Redis from 'ioredis'
import { createClient } from 'redis'
import { createMemoryLog, type Log } from 'sse-relay/log'
import { createRedisLog } from 'sse-relay/redis'
import { logBehaviours } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, it } from 'vitest'
import { hasRedis, type RedisServer, startRedis } from './redis-server.js'

/** What is to be closed after each test. */
const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

describe('a log in memory', () => {
  for (const { name, isShared, run } of logBehaviours) {
    if (!isShared) it(name, () => run(createMemoryLog))
  }
})

describe.skipIf(!hasRedis)('a log in Redis', () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.close())

  const clients: Record<string, () => Promise<Log>> = {
    async ioredis() {
      const client = new Redis(redis.port, '127.0.0.1')
      const log = createRedisLog(client)
      opened.push(
        () => client.disconnect(),
        () => log.close(),
      )
      return log
    },
    async 'node-redis'() {
      const client = await createClient({ socket: { host: '127.0.0.1', port: redis.port } }).connect()
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
