// The log as each process has it, over one of the two clients.
import Redis from 'ioredis'
import { createClient } from 'redis'
import { createRedisLog } from 'sse-relay/redis'

export const QUEUE = 'chaos:jobs'

export async function openLog(kind, port, leaseMs) {
  // A machine that is busy is no failure here.
  const options = { leaseMs, timeoutMs: 10_000 }
  if (kind === 'ioredis') {
    const client = new Redis(port, '127.0.0.1')
    return { log: createRedisLog(client, options), command: (...args) => client.call(...args) }
  }
  const client = await createClient({ socket: { host: '127.0.0.1', port } }).connect()
  return { log: createRedisLog(client, options), command: (...args) => client.sendCommand(args) }
}
