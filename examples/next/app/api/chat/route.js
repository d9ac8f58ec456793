// A route handler of the App Router: a chat whose answers come from Anthropic, token by token.
// Start it with ANTHROPIC_API_KEY=… npm run dev
import Anthropic from '@anthropic-ai/sdk'
import { after } from 'next/server'
import { relay } from 'sse-relay/web'

// The platform's limit for the whole answer in seconds, where it has one. `next start` has none.
export const maxDuration = 300

export async function POST(request) {
  const anthropic = new Anthropic()
  const { messages } = await request.json()
  return relay(
    request,
    ({ signal }) =>
      anthropic.messages.create({ model: 'claude-sonnet-5-5', max_tokens: 1024, messages, stream: true }, { signal }),
    {
      // A little less than that, so that the page is told what happened instead of being cut off.
      maxDurationMs: 290_000,
      // Where work ends with the response, what `onEnd` does goes on through this.
      waitUntil: (promise) => after(promise),
      onEnd: ({ outcome, usage }) => console.log(JSON.stringify({ outcome, usage })),
    },
  )
}

// Next compresses what it sends. It leaves this alone, because the relay says `no-transform`: do not set
// `cache-control` yourself.
