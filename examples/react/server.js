// Express: the answers come from Anthropic, token by token. Start it with ANTHROPIC_API_KEY=… npm start
import { fileURLToPath } from 'node:url'
import Anthropic from '@anthropic-ai/sdk'
import express from 'express'
import { relay } from 'sse-relay/express'

const anthropic = new Anthropic()
const app = express()

app.post('/api/chat', express.json({ limit: '1mb' }), (req, res) =>
  relay(req, res, ({ signal }) =>
    anthropic.messages.create(
      { model: 'claude-sonnet-5-5', max_tokens: 1024, messages: req.body.messages, stream: true },
      { signal },
    ),
  ),
)

// What Vite has built.
app.use(express.static(fileURLToPath(new URL('dist', import.meta.url))))

const server = app.listen(process.env.PORT ?? 3000, () => {
  console.log(`Open http://localhost:${server.address().port}`)
})
