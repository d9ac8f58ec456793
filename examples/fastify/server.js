// Fastify: a chat whose answers come from Anthropic, token by token, and a page that shows them.
// Start it with ANTHROPIC_API_KEY=… node server.js
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import Anthropic from '@anthropic-ai/sdk'
import Fastify from 'fastify'
import { relay } from 'sse-relay/fastify'

const anthropic = new Anthropic()
const fastify = Fastify()

// Return what relay returns: what its onError throws goes to the error handler of Fastify that way.
fastify.post('/api/chat', (request, reply) =>
  relay(request, reply, ({ signal }) =>
    anthropic.messages.create(
      { model: 'claude-sonnet-5-5', max_tokens: 1024, messages: request.body.messages, stream: true },
      { signal },
    ),
  ),
)

// The page, and the client it imports; with a bundler the second route goes.
const page = new URL(import.meta.resolve('./index.html'))
const client = new URL('.', import.meta.resolve('sse-relay/client'))
const scripts = (await readdir(client)).filter((name) => name.endsWith('.js'))
fastify.get('/', (_request, reply) => reply.type('text/html').send(createReadStream(page)))
fastify.get('/sse-relay/:script', ({ params: { script } }, reply) => {
  if (!scripts.includes(script)) return reply.callNotFound()
  return reply.type('text/javascript').send(createReadStream(new URL(script, client)))
})

// Fastify listens on this machine's own address only: in a container, give it `host: '0.0.0.0'` as well.
await fastify.listen({ port: Number(process.env.PORT ?? 3000) })
console.log(`Open http://localhost:${fastify.server.address().port}`)
