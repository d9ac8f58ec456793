// The worker: takes a question from the queue, asks the model, and records the answer for whoever reads it.
import Anthropic from '@anthropic-ai/sdk'
import { Worker } from 'bullmq'
import { isRelayError } from 'sse-relay'
import { record } from 'sse-relay/log'
import { connection, LEASE_MS, log, owner, redis } from './redis.js'

const GRACE_MS = Number(process.env.GRACE_MS ?? 30_000)
const anthropic = new Anthropic()

async function answer({ id, data }) {
  try {
    const { outcome } = await record(
      ({ signal }) =>
        anthropic.messages.create(
          { model: 'claude-sonnet-5-5', max_tokens: 1024, messages: data.messages, stream: true },
          { signal },
        ),
      { log, runId: id, owner },
    )
    return outcome
  } catch (error) {
    // The queue gave the job out twice, because a worker died with it: its readers were told, and nobody pays twice.
    if (isRelayError(error) && error.code === 'run-exists') return 'begun before'
    throw error
  }
}

const worker = new Worker('answers', answer, {
  connection,
  // They wait for the model, most of the time.
  concurrency: 50,
  lockDuration: LEASE_MS,
  stalledInterval: LEASE_MS,
})
worker.on('completed', ({ id }, outcome) => console.log(`${id}: ${outcome}`))
worker.on('failed', (job, error) => console.error(`${job?.id}: ${error.message}`))
worker.on('error', (error) => console.error(error.message))
await worker.waitUntilReady()
console.log(`Waiting for questions in ${connection.url}`)

process.once('SIGTERM', async () => {
  const idle = worker.close()
  await log.close({ graceMs: GRACE_MS })
  await idle
  redis.disconnect()
})
