// An endpoint: a chat whose answers come from Anthropic, token by token. Start it with ANTHROPIC_API_KEY=… npm run dev
import Anthropic from '@anthropic-ai/sdk'
import { relay } from 'sse-relay/web'

// adapter-node refuses a request of more than 512 kB with 413, and long chats grow: BODY_SIZE_LIMIT=5M node build
export async function POST({ request }) {
  const anthropic = new Anthropic()
  const { messages } = await request.json()
  return relay(request, ({ signal }) =>
    anthropic.messages.create({ model: 'claude-sonnet-5-5', max_tokens: 1024, messages, stream: true }, { signal }),
  )
}
