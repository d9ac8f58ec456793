// The log as each process has it, over one of the two clients.
import Redis from 'ioredis'
import { createClient } from 'redis'
import { createRedisLog } from 'sse-relay/redis'

export const QUEUE = 'chaos:jobs'

export async function openLog(kind, port, leaseMs) {
  const options = { leaseMs, timeoutMs: 2000 }
  if (kind === 'ioredis') {
    const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 100 })
    // What is wrong the commands say.
    client.on('error', () => {})
    return { log: createRedisLog(client, options), command: (...args) => client.call(...args) }
  }
  const client = await createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: 100 } })
    .on('error', () => {})
    .connect()
  return { log: createRedisLog(client, options), command: (...args) => client.sendCommand(args) }
}
