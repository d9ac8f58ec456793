import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { type Log, record } from 'sse-relay/log'
import { createRedisLog } from 'sse-relay/redis'
import { logBehaviours } from 'sse-relay/testing'
import { resume } from 'sse-relay/web'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
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

  const clients: Record<string, (sharded: boolean) => Promise<Log>> = {
    async ioredis(sharded) {
      const client = new Cluster(nodes.map(({ port }) => ({ host: '127.0.0.1', port })))
      const log = createRedisLog(client, { sharded, timeoutMs: 20_000 })
      opened.push(
        () => client.disconnect(),
        () => log.close(),
      )
      return log
    },
    async 'node-redis'(sharded) {
      const rootNodes = nodes.map(({ port }) => ({ url: `redis://127.0.0.1:${port}` }))
      const client = await createCluster({ rootNodes }).connect()
      const log = createRedisLog(client, { sharded, timeoutMs: 20_000 })
      opened.push(
        () => client.destroy(),
        () => log.close(),
      )
      return log
    },
  }
  for (const [client, open] of Object.entries(clients)) {
    describe(`through ${client}`, () => {
      for (const { name, run } of logBehaviours) it(name, () => run(() => open(false)))
    })
    describe(`through ${client}, by sharded channels`, () => {
      for (const { name, isShared, run } of logBehaviours) if (isShared) it(name, () => run(() => open(true)))
    })
    it.each([
      ['every node, where messages are plain', false],
      ['one node, where they are sharded', true],
    ])(`through ${client} a message reaches %s`, async (_, sharded) => {
      const [here, there] = [await open(sharded), await open(sharded)]
      const RECEIVED = /cluster_stats_messages_publish(?:shard)?_received:(\d+)/
      const bytes = () =>
        Promise.all(nodes.map(async ({ cli }) => Number(RECEIVED.exec(await cli('cluster', 'info'))?.[1] ?? 0)))
      const runId = `run-of-a-test-${client}-${sharded}`
      let word: (text?: string) => void = () => {}
      let isAsked = false
      const words = async function* () {
        for (;;) {
          const next = new Promise<string | undefined>((resolve) => (word = resolve))
          isAsked = true
          const text = await next
          if (text === undefined) return
          yield text
        }
      }
      const run = record(words, { log: here, runId, owner: 'ann' })
      await expect.poll(async () => (await there.status(runId, { owner: 'ann' })).state).toBe('running')
      await expect.poll(() => isAsked).toBe(true)
      word('first ')
      const request = new Request('http://localhost/', { headers: { 'last-event-id': `${runId}:0` } })
      const answer = await resume(request, { log: there, owner: 'ann' })
      const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
      const decoder = new TextDecoder()
      let received = ''
      const until = async (text: string) => {
        while (!received.includes(text)) received += decoder.decode((await reader.read()).value, { stream: true })
      }
      await until('first ')
      const since = async (from: number[]) => (await bytes()).map((count, node) => count - (from[node] as number))
      const sum = (counts: number[]) => counts.reduce((sum, count) => sum + count, 0)
      // What is said before its producer knows of the reader is read from the store, and is no message.
      const first = await bytes()
      for (let early = 0; !sharded && sum(await since(first)) < 6; early++) {
        word(`early ${early} `)
        await until(`"early ${early} "`)
      }
      const before = await bytes()
      for (let token = 0; token < 100; token++) {
        word(`${token} `)
        await until(`"${token} "`)
      }
      // What its own node sends it by the bus the others receive: a plain one goes to the two others, whichever node it
      // comes to first. The reader may have it sooner than they.
      if (sharded) expect(sum(await since(before))).toBe(0)
      else await expect.poll(async () => sum(await since(before)), { timeout: 20_000 }).toBeGreaterThanOrEqual(200)
      console.log(
        `${client}, ${sharded ? 'sharded' : 'plain'}: of 100 messages the nodes received by the bus ${(await since(before)).join(', ')}`,
      )
      word()
      await run
      await reader.cancel()
    })
  }
})
