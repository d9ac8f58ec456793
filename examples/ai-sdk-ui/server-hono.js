// The same on Hono: node server-hono.js
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { relay } from 'sse-relay/hono'
import { uiMessage } from 'sse-relay/protocols'
import { ask } from './ask.js'
import { page } from './page.js'

const app = new Hono()

app.post('/api/chat', async (c) => {
  const { messages } = await c.req.json()
  return relay(c, ({ signal }) => ask(messages, signal), { protocol: uiMessage() })
})

app.get('/', (c) => c.html(page))

serve({ fetch: app.fetch, port: process.env.PORT ?? 3000 }, ({ port }) => {
  console.log(`Open http://localhost:${port}`)
})
