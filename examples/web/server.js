// The Web's own Request and Response: a chat whose answers come from Anthropic, token by token, and a page that shows
// them. Start it with ANTHROPIC_API_KEY=… node server.js
import { readFile } from 'node:fs/promises'
import Anthropic from '@anthropic-ai/sdk'
import { serve } from '@hono/node-server'
import { relay } from 'sse-relay/web'

const anthropic = new Anthropic()

/** What a route file of Next.js or a SvelteKit endpoint exports. */
export async function POST(request) {
  const { messages } = await request.json()
  return relay(request, ({ signal }) =>
    anthropic.messages.create({ model: 'claude-sonnet-5-5', max_tokens: 1024, messages, stream: true }, { signal }),
  )
}

/** What Bun and Deno serve as it is: Bun.serve({ fetch }), Deno.serve(fetch). */
function fetch(request) {
  const { pathname } = new URL(request.url)
  if (request.method === 'POST' && pathname === '/api/chat') return POST(request)
  return sendFile(pathname)
}

// The page, and the client it imports; with a bundler the second line goes.
const page = import.meta.resolve('./index.html')
const client = import.meta.resolve('sse-relay/client')

async function sendFile(pathname) {
  const [, script] = /^\/sse-relay\/([\w-]+\.js)$/.exec(pathname) ?? []
  const file = pathname === '/' ? page : script && new URL(script, client)
  try {
    const headers = { 'content-type': script ? 'text/javascript' : 'text/html' }
    return new Response(await readFile(new URL(file)), { headers })
  } catch {
    return new Response(null, { status: 404 })
  }
}

serve({ fetch, port: process.env.PORT ?? 3000 }, ({ port }) => {
  console.log(`Open http://localhost:${port}`)
})
