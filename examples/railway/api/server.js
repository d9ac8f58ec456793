// The API, which the page asks from another origin. It holds no key: it hands the question on to the worker, over the
// private network, and keeps the answers, so that they go on when the platform ends a connection.
import cors from 'cors'
import express from 'express'
import { relay, resume } from 'sse-relay/express'
import { createMemoryLog } from 'sse-relay/log'

const { FRONTEND_ORIGIN = 'http://localhost:3000', WORKER_URL = 'http://localhost:3002', PORT = 3001 } = process.env
// Railway ends a request after 15 minutes. A little before, the connection ends between two events, and the page comes
// back for the rest.
const maxDurationMs = Number(process.env.MAX_DURATION_MS ?? 14 * 60_000)
const GRACE_MS = 20_000

// For one replica. With more, or to keep answers through a deploy: createRedisLog of 'sse-relay/redis'.
const log = createMemoryLog()
// Nobody logs in here: whoever holds the id of a run reads and stops it. With logins this is the id of the session's user.
const owner = null
const options = { log, owner, maxDurationMs, retryMs: 200 }

const app = express()
app.get('/health', (_req, res) => res.send('ok'))
app.use(
  cors({ origin: FRONTEND_ORIGIN, exposedHeaders: ['x-run-id', 'x-heartbeat-ms', 'retry-after', 'date'], maxAge: 600 }),
)

app.post('/api/chat', express.json({ limit: '1mb' }), (req, res) =>
  relay(
    req,
    res,
    ({ signal }) =>
      fetch(`${WORKER_URL}/answer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ messages: req.body.messages }),
        signal,
      }),
    options,
  ),
)
app.get('/api/chat', (req, res) => resume(req, res, options))
app.delete('/api/chat/:runId', async (req, res) => {
  await log.stop(req.params.runId, { owner })
  res.sendStatus(204)
})

const server = app.listen(Number(PORT), '0.0.0.0', () => console.log(`api: http://localhost:${server.address().port}`))

// A deploy: answers get a grace. It must be over before `drainingSeconds` in railway.json is.
process.once('SIGTERM', async () => {
  server.close()
  server.keepAliveTimeout = 1
  setTimeout(() => server.closeAllConnections(), GRACE_MS + 2000).unref()
  await log.close({ graceMs: GRACE_MS })
})
