// A chat whose answers go on: through a reload, over a lost connection, in a second tab. One process, a log in memory.
// Start it with ANTHROPIC_API_KEY=… node server.js
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import Anthropic from '@anthropic-ai/sdk'
import express from 'express'
import { relay, resume } from 'sse-relay/express'
import { createMemoryLog } from 'sse-relay/log'

const GRACE_MS = Number(process.env.GRACE_MS ?? 10_000)

const log = createMemoryLog()
// Nobody logs in here: whoever holds the id of a run reads and stops it. With logins this is the id of the session's
// user, for each request its own.
const owner = null

const anthropic = new Anthropic()
const app = express()

app.post('/api/chat', express.json(), (req, res) =>
  relay(
    req,
    res,
    ({ signal }) =>
      anthropic.messages.create(
        { model: 'claude-sonnet-5-5', max_tokens: 1024, messages: req.body.messages, stream: true },
        { signal },
      ),
    { log, owner, retryMs: 500 },
  ),
)

// The rest of an answer: whoever lost the connection, reloaded, or opened another tab.
app.get('/api/chat', (req, res) => resume(req, res, { log, owner, retryMs: 500 }))

// Leaving is not stopping.
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
  setTimeout(() => server.closeAllConnections(), GRACE_MS + 2000).unref()
  // Here the answers end with the process, so they get the time to. What is not over by then ends as `shutdown`.
  await log.close({ graceMs: GRACE_MS })
})
