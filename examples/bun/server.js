// Bun.serve: a chat whose answers come from Anthropic, token by token. Start it with ANTHROPIC_API_KEY=… bun server.js
import Anthropic from '@anthropic-ai/sdk'
import { relay } from 'sse-relay/web'

const anthropic = new Anthropic()

async function chat(request) {
  const { messages } = await request.json()
  return relay(request, ({ signal }) =>
    anthropic.messages.create({ model: 'claude-sonnet-5-5', max_tokens: 1024, messages, stream: true }, { signal }),
  )
}

const server = Bun.serve({
  port: process.env.PORT ?? 3000,
  // Bun cuts a connection after 10 seconds without a byte, also before the headers. The heartbeats come after 8; this
  // leaves room for more than 2 seconds of a busy process. 255 is the most, and 0 turns it off.
  idleTimeout: 60,
  routes: { '/api/chat': { POST: chat } },
})
console.log(`Listening on http://localhost:${server.port}`)
