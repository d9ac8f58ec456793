// The worker: the only one who holds the provider's key. It has no public address; the API asks it at
// http://worker.railway.internal, with the port that it listens on.
import Anthropic from '@anthropic-ai/sdk'
import express from 'express'
import { relay } from 'sse-relay/express'
import { raw } from 'sse-relay/protocols'

const GRACE_MS = 20_000
const anthropic = new Anthropic()
const shutdown = new AbortController()
const app = express()

// As the provider says it, so that the API gets the proof that an answer is complete.
app.post('/answer', express.json({ limit: '1mb' }), (req, res) =>
  relay(
    req,
    res,
    ({ signal }) =>
      anthropic.messages.create(
        { model: 'claude-sonnet-5-5', max_tokens: 1024, messages: req.body.messages, stream: true },
        { signal },
      ),
    { protocol: raw(), shutdown: shutdown.signal },
  ),
)

// Without a host Node listens on IPv6 and IPv4: in older environments the private network has IPv6 alone.
const server = app.listen(Number(process.env.PORT ?? 3002), () =>
  console.log(`worker: http://localhost:${server.address().port}`),
)

process.once('SIGTERM', () => {
  server.close()
  server.keepAliveTimeout = 1
  setTimeout(() => shutdown.abort(), GRACE_MS).unref()
  setTimeout(() => server.closeAllConnections(), GRACE_MS + 2000).unref()
})
