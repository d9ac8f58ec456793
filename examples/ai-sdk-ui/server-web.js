// The same with the Web's own Request and Response: node server-web.js
import { serve } from '@hono/node-server'
import { uiMessage } from 'sse-relay/protocols'
import { relay } from 'sse-relay/web'
import { ask } from './ask.js'
import { page } from './page.js'

/** What app/api/chat/route.js of Next.js or a SvelteKit endpoint exports. */
export async function POST(request) {
  const { messages } = await request.json()
  return relay(request, ({ signal }) => ask(messages, signal), { protocol: uiMessage() })
}

/** What Bun and Deno serve as it is: Bun.serve({ fetch }), Deno.serve(fetch). */
function fetch(request) {
  const route = `${request.method} ${new URL(request.url).pathname}`
  if (route === 'POST /api/chat') return POST(request)
  if (route === 'GET /') return new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } })
  return new Response(null, { status: 404 })
}

serve({ fetch, port: process.env.PORT ?? 3000 }, ({ port }) => {
  console.log(`Open http://localhost:${port}`)
})
