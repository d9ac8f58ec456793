// Express: a chat with useChat of @ai-sdk/react in the page, and without the AI SDK on the server.
// Start it with ANTHROPIC_API_KEY=… node server.js, or with OPENAI_API_KEY=…
import express from 'express'
import { relay } from 'sse-relay/express'
import { uiMessage } from 'sse-relay/protocols'
import { ask } from './ask.js'
import { page } from './page.js'

const app = express()

app.post('/api/chat', express.json({ limit: '1mb' }), (req, res) =>
  relay(req, res, ({ signal }) => ask(req.body.messages, signal), { protocol: uiMessage() }),
)

app.get('/', (_req, res) => res.type('html').send(page))

const server = app.listen(process.env.PORT ?? 3000, () => {
  console.log(`Open http://localhost:${server.address().port}`)
})
