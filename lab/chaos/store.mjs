// The Redis of the chaos, behind a front that its clients take for it: what can happen to one, done to it.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRedis } from '../../scripts/redis.mjs'

/** Those after which it may lack what it held: an end or a stop that it lost itself is counted apart. */
export const LOSSES = ['empty', 'snapshot', 'failover']

export async function startStore() {
  const dirs = []
  const folder = () => {
    const dir = mkdtempSync(join(tmpdir(), 'chaos-redis-'))
    dirs.push(dir)
    return dir
  }
  let dir = folder()
  let redis = await startRedis({ dir })
  /** Where the front leads to; nowhere while Redis is away. */
  let port = redis.port
  const sockets = new Set()
  const front = createServer((socket) => {
    if (port === undefined) {
      socket.destroy()
      return
    }
    const server = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [socket, server],
      [server, socket],
    ]) {
      sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  await new Promise((resolve) => front.listen(0, '127.0.0.1', resolve))

  function cli(to, ...args) {
    const { stdout } = spawnSync('redis-cli', ['-p', String(to.port), ...args.map(String)], {
      encoding: 'utf8',
      timeout: 5000,
    })
    return stdout ?? ''
  }

  function cut() {
    for (const socket of sockets) socket.destroy()
  }

  async function replace(next) {
    port = undefined
    process.kill(redis.pid, 'SIGKILL')
    redis.close()
    cut()
    redis = await next()
    port = redis.port
  }

  const faults = {
    /** Killed, and started again without anything. */
    async empty() {
      dir = folder()
      await replace(() => startRedis({ dir }))
    },
    /** Killed, and started again with what it held half a second to four seconds before. */
    async snapshot(random) {
      cli(redis, 'SAVE')
      const old = dir
      dir = folder()
      copyFileSync(join(old, 'dump.rdb'), join(dir, 'dump.rdb'))
      await sleep(500 + random() * 3500)
      await replace(() => startRedis({ dir }))
    },
    /** Out of reach, for two to ten seconds. */
    async away(random) {
      port = undefined
      cut()
      await sleep(2000 + random() * 8000)
      port = redis.port
    },
    /** Of a primary that is out of reach: it answers, and takes nothing. */
    async readonly(random) {
      cli(redis, 'REPLICAOF', '127.0.0.1', 1)
      await sleep(2000 + random() * 6000)
      cli(redis, 'REPLICAOF', 'NO', 'ONE')
    },
    /** Stands still. */
    async paused(random) {
      process.kill(redis.pid, 'SIGSTOP')
      await sleep(2000 + random() * 6000)
      process.kill(redis.pid, 'SIGCONT')
    },
    /** A replica that is up to two seconds behind takes over. */
    async failover(random) {
      dir = folder()
      const replica = await startRedis({ dir })
      cli(replica, 'REPLICAOF', '127.0.0.1', redis.port)
      for (let tries = 0; tries < 100 && !cli(replica, 'INFO', 'replication').includes('link_status:up'); tries++)
        await sleep(50)
      process.kill(replica.pid, 'SIGSTOP')
      await sleep(random() * 2000)
      await replace(() => {
        process.kill(replica.pid, 'SIGCONT')
        cli(replica, 'REPLICAOF', 'NO', 'ONE')
        return replica
      })
    },
  }

  return {
    port: front.address().port,
    faults,
    close() {
      front.close()
      cut()
      process.kill(redis.pid, 'SIGCONT')
      redis.close()
      for (const each of dirs) rmSync(each, { recursive: true, force: true })
    },
  }
}
