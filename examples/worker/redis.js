// Where the queue and the answers are, for the API and the worker alike.
import { Redis } from 'ioredis'
import { createRedisLog } from 'sse-relay/redis'

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'
/** A worker that was not heard for this long is dead: for the readers of its answers, and for the queue. */
export const LEASE_MS = Number(process.env.LEASE_MS ?? 10_000)

/** What BullMQ makes its connections of. */
export const connection = { url }

export const redis = new Redis(url)
export const log = createRedisLog(redis, { leaseMs: LEASE_MS })

// Nobody logs in here: whoever holds the id of a run reads and stops it. With logins this is the id of the session's
// user: the API's for each request, and in the job for the worker.
export const owner = null
