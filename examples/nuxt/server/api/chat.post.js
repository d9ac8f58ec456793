// Nuxt: a server route whose answers come from Anthropic, token by token.
// Start it with ANTHROPIC_API_KEY=… npm run dev
import Anthropic from '@anthropic-ai/sdk'
import { relay } from 'sse-relay/node'

const anthropic = new Anthropic()

export default defineEventHandler(async (event) => {
  const { messages } = await readBody(event)

  // Node's own request and response rather than toWebRequest(event): h3 1 never aborts that one's signal, so nobody
  // would hear that the reader left, and the model would be paid to its end. Await it, and return nothing: what a
  // handler returns is sent, and the answer has been.
  await relay(event.node.req, event.node.res, ({ signal }) =>
    anthropic.messages.create({ model: 'claude-sonnet-5-5', max_tokens: 1024, messages, stream: true }, { signal }),
  )
})
