import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../scripts/free-port.mjs'

/** Whether Redis is installed. Under CI it must be. */
export const hasRedis = spawnSync('redis-server', ['--version']).status === 0
if (!hasRedis && process.env.CI) throw new Error('redis-server is not installed: apt-get install redis-server')

/** A Redis of a test's own. */
export interface RedisServer {
  readonly port: number
  /** Of a node of a cluster: the port where the others find it. */
  readonly bus?: number
  /** Kills it as a crashed machine does, and resolves when it is gone. */
  kill(): Promise<void>
  /** Starts it again on its port. What it held is gone, unless it persists. */
  restart(): Promise<void>
  /** Stands still, as a machine does that has no time for it, and goes on. */
  freeze(): void
  thaw(): void
  /** What `redis-cli` prints. Meanwhile this process goes on: others in it have leases to renew. */
  cli(...args: string[]): Promise<string>
  /** Keeps what it holds now, and starts it again later with that, whatever it was told since. */
  snapshot(): Promise<void>
  restartFromSnapshot(): Promise<void>
  /** Ends it and removes its files. */
  close(): Promise<void>
}

/** Starts a Redis on a free port of loopback. */
export async function startRedis({
  args = ['--appendonly', 'no'],
  isNode = false,
}: {
  args?: string[]
  /** Of a cluster. */
  isNode?: boolean
} = {}): Promise<RedisServer> {
  const dir = mkdtempSync(join(tmpdir(), 'redis-'))
  const port = await freePort()
  // It is told its bus too: the port ten thousand above may be taken, or be none.
  const bus = isNode ? await freePort() : undefined
  if (bus) args = [...args, '--cluster-enabled', 'yes', '--cluster-port', String(bus)]
  let child = await spawnRedis(port, dir, args)
  const kill = () =>
    new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve()
      else {
        child.on('exit', () => resolve())
        child.kill('SIGKILL')
      }
    })
  return {
    port,
    bus,
    kill,
    async restart() {
      await kill()
      child = await spawnRedis(port, dir, args)
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    cli: (...args) => command(['-p', String(port), ...args]),
    async snapshot() {
      await command(['-p', String(port), 'SAVE'])
      copyFileSync(join(dir, 'dump.rdb'), join(dir, 'kept.rdb'))
    },
    async restartFromSnapshot() {
      await kill()
      copyFileSync(join(dir, 'kept.rdb'), join(dir, 'dump.rdb'))
      child = await spawnRedis(port, dir, args)
    },
    async close() {
      await kill()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Starts three nodes that are a cluster, and resolves once each of them says so. */
export async function startCluster(): Promise<RedisServer[]> {
  const nodes: RedisServer[] = []
  try {
    const addresses: string[] = []
    for (let node = 0; node < 3; node++) {
      const redis = await startRedis({ isNode: true })
      nodes.push(redis)
      addresses.push(`127.0.0.1:${redis.port}@${redis.bus}`)
    }
    await command(['--cluster', 'create', ...addresses, '--cluster-yes'])
    const deadline = Date.now() + 20_000
    for (const { port } of nodes) {
      while (!(await command(['-p', String(port), 'cluster', 'info'])).includes('cluster_state:ok')) {
        if (Date.now() > deadline) throw new Error(`The node on port ${port} does not find its cluster`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
    return nodes
  } catch (error) {
    for (const node of nodes) await node.close()
    throw error
  }
}

async function command(args: string[]): Promise<string> {
  return (await promisify(execFile)('redis-cli', args, { timeout: 30_000 })).stdout
}

function spawnRedis(port: number, dir: string, args: string[]): Promise<ChildProcess> {
  const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', dir]
  const child = spawn('redis-server', [...fixed, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  return new Promise((resolve, reject) => {
    let output = ''
    child.on('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${output}`)))
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('Ready to accept connections')) resolve(child)
    })
  })
}
