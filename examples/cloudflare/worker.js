// A Cloudflare Worker: a chat whose answers come from Anthropic, token by token.
// Start it with wrangler dev, after wrangler secret put ANTHROPIC_API_KEY.
import Anthropic from '@anthropic-ai/sdk'
import { relay } from 'sse-relay/web'

/** What an answer cost; the wait stands for a write to wherever you keep it. */
async function record({ outcome, usage }) {
  await scheduler.wait(100)
  console.log(JSON.stringify({ outcome, usage }))
}

export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url)
    if (request.method !== 'POST' || pathname !== '/api/chat') return new Response(null, { status: 404 })
    const anthropic = new Anthropic({ apiKey: env.ANTHROPIC_API_KEY, baseURL: env.ANTHROPIC_BASE_URL })
    const { messages } = await request.json()
    return relay(
      request,
      ({ signal }) =>
        anthropic.messages.create({ model: 'claude-sonnet-5-5', max_tokens: 1024, messages, stream: true }, { signal }),
      {
        // That the reader left is noticed at the next write only. While the model is silent that is a heartbeat, so
        // this is how long a model may go on for nobody. With 0 it goes on to its end.
        heartbeatMs: 2000,
        // Work ends with the response, and for a reader who leaves that is at once: without this whatever `onEnd` waits
        // for is never done.
        waitUntil: (promise) => context.waitUntil(promise),
        onEnd: record,
      },
    )
  },
}
