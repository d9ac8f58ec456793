// The API: puts a question into the queue, and serves the answer that a worker produces. Any number of them may run.
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Queue } from 'bullmq'
import express from 'express'
import { resume } from 'sse-relay/express'
import { connection, log, owner, redis } from './redis.js'

const queue = new Queue('answers', { connection })
const shutdown = new AbortController()
const app = express()

app.post('/api/chat', express.json(), async (req, res) => {
  const runId = req.get('x-run-id')
  // First the run, so that its readers wait for it, then the job, which may begin at once.
  await log.create(runId, { owner })
  // Whether or not the run was known: a process may have died right here. The queue knows the job by its id.
  await queue.add(
    'answer',
    { messages: req.body.messages },
    { jobId: runId, removeOnComplete: true, removeOnFail: 100 },
  )
  res.sendStatus(202)
})

// Waits, with heartbeats, until a worker has something to say.
app.get('/api/chat', (req, res) => resume(req, res, { log, owner, retryMs: 500, shutdown: shutdown.signal }))

app.delete('/api/chat/:runId', async (req, res) => {
  await log.stop(req.params.runId, { owner })
  res.sendStatus(204)
})

// The page, and the client it imports; with a bundler the second line goes.
app.get('/', (_req, res) => res.sendFile(fileURLToPath(import.meta.resolve('./index.html'))))
app.use('/sse-relay', express.static(dirname(fileURLToPath(import.meta.resolve('sse-relay/client')))))

const server = app.listen(process.env.PORT ?? 3000, () => {
  console.log(`Open http://localhost:${server.address().port}`)
})

process.once('SIGTERM', async () => {
  server.close()
  server.keepAliveTimeout = 1
  // The answers are not made here: their readers go to another process, and read on there.
  shutdown.abort()
  setTimeout(() => server.closeAllConnections(), 2000).unref()
  await log.close()
  await queue.close()
  redis.disconnect()
})
