// Express: a chat whose answers come from Anthropic, token by token, and a page that shows them.
// Start it with ANTHROPIC_API_KEY=… node server.js
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import Anthropic from '@anthropic-ai/sdk'
import express from 'express'
import { relay } from 'sse-relay/express'

const anthropic = new Anthropic()
const app = express()

app.post('/api/chat', express.json(), (req, res) =>
  relay(req, res, ({ signal }) =>
    anthropic.messages.create(
      { model: 'claude-sonnet-5-5', max_tokens: 1024, messages: req.body.messages, stream: true },
      { signal },
    ),
  ),
)

// The page, and the client it imports; with a bundler the second line goes.
app.get('/', (_req, res) => res.sendFile(fileURLToPath(import.meta.resolve('./index.html'))))
app.use('/sse-relay', express.static(dirname(fileURLToPath(import.meta.resolve('sse-relay/client')))))

const server = app.listen(process.env.PORT ?? 3000, () => {
  console.log(`Open http://localhost:${server.address().port}`)
})
