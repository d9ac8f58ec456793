// The worker: takes jobs from the queue and records their runs, many at a time.
import Redis from 'ioredis'
import OpenAI from 'openai'
import { record } from 'sse-relay/log'
import { openLog, QUEUE } from './open-log.mjs'
import { endWithParent, tell } from './processes.mjs'

endWithParent()
const [redisPort, leaseMs, upstream] = process.argv.slice(2)
const { log } = await openLog('ioredis', Number(redisPort), Number(leaseMs))
// A connection of its own, for it waits.
const queue = new Redis(Number(redisPort), '127.0.0.1', { retryStrategy: () => 100, maxRetriesPerRequest: null })
queue.on('error', () => {})
// Asking again is what is counted here, so the SDK must not.
const openai = new OpenAI({ apiKey: 'none', baseURL: upstream, maxRetries: 0 })

async function work({ runId, owner, prompt }) {
  const fail = (error) => tell({ failed: `the worker was told of ${runId}: ${error?.stack}`, of: runId })
  const messages = [{ role: 'user', content: prompt }]
  try {
    await record(({ signal }) => openai.chat.completions.create({ model: 'any', messages, stream: true }, { signal }), {
      log,
      runId,
      owner,
      onError: fail,
    })
  } catch (error) {
    // Twice in the queue, once in the log.
    if (error?.code === 'run-exists') tell({ repeated: runId })
    else if (error?.code === 'log-failure') setTimeout(() => work({ runId, owner, prompt }), 200)
    else fail(error)
  }
}

tell({ ready: true })
for (;;) {
  try {
    // Not for ever: what waits on a connection that is gone hears of nothing.
    const [, job] = (await queue.bzpopmin(QUEUE, 1)) ?? []
    if (job) work(JSON.parse(job))
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
