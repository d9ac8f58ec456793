// Hono: a chat whose answers come from OpenAI's chat completions, token by token, and a page that shows them.
// Start it with OPENAI_API_KEY=… node server.js
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { serve } from '@hono/node-server'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import OpenAI from 'openai'
import { relay } from 'sse-relay/hono'

const openai = new OpenAI()
const app = new Hono()

app.post('/api/chat', async (c) => {
  const { messages } = await c.req.json()
  return relay(c, ({ signal }) =>
    openai.chat.completions.create(
      { model: 'gpt-5.5', messages, stream: true, stream_options: { include_usage: true } },
      { signal },
    ),
  )
})

// The page, and the client it imports; with a bundler the second route goes.
const client = dirname(fileURLToPath(import.meta.resolve('sse-relay/client')))
app.get('/', serveStatic({ path: fileURLToPath(import.meta.resolve('./index.html')) }))
app.get('/sse-relay/*', serveStatic({ root: client, rewriteRequestPath: (path) => path.slice('/sse-relay'.length) }))

serve({ fetch: app.fetch, port: process.env.PORT ?? 3000 }, ({ port }) => {
  console.log(`Open http://localhost:${port}`)
})
