// Deno.serve: a chat whose answers come from Anthropic, token by token.
// Start it with ANTHROPIC_API_KEY=… deno run --allow-net --allow-env server.js
import process from 'node:process'
import Anthropic from '@anthropic-ai/sdk'
import { relay } from 'sse-relay/web'

const anthropic = new Anthropic()

async function chat(request) {
  const { messages } = await request.json()
  return relay(
    request,
    ({ signal }) =>
      anthropic.messages.create({ model: 'claude-sonnet-5-5', max_tokens: 1024, messages, stream: true }, { signal }),
    // Deno does not see the reader of a POST leave until the answer has begun, and before the first token it is the
    // heartbeat that begins it: so this is how long a model may think for nobody. By default 8 seconds.
    // Deno also aborts `request.signal` after a complete answer, and warns of it. Nothing comes of that here.
    { heartbeatMs: 2000 },
  )
}

Deno.serve({ port: Number(process.env.PORT ?? 3000) }, (request) => {
  const { pathname } = new URL(request.url)
  if (request.method === 'POST' && pathname === '/api/chat') return chat(request)
  return new Response(null, { status: 404 })
})
