// Koa: a chat whose answers come from OpenAI's chat completions, token by token, and a page that shows them.
// Start it with OPENAI_API_KEY=… node server.js
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { json } from 'node:stream/consumers'
import Koa from 'koa'
import OpenAI from 'openai'
import { relay } from 'sse-relay/koa'

const openai = new OpenAI()
const app = new Koa()

app.use((ctx, next) => {
  if (ctx.method !== 'POST' || ctx.path !== '/api/chat') return next()
  // Return or await relay: Koa sends an answer when its middleware has returned, and there is none before that.
  return relay(ctx, async ({ signal }) => {
    // With a body parser in front it is ctx.request.body.
    const { messages } = await json(ctx.req)
    return openai.chat.completions.create(
      { model: 'gpt-5.5', messages, stream: true, stream_options: { include_usage: true } },
      { signal },
    )
  })
})

// The page, and the client it imports; with a bundler only the page stays.
const page = new URL(import.meta.resolve('./index.html'))
const client = new URL('.', import.meta.resolve('sse-relay/client'))
const scripts = (await readdir(client)).filter((name) => name.endsWith('.js'))
app.use((ctx) => {
  const script = scripts.find((name) => ctx.path === `/sse-relay/${name}`)
  if (!script && ctx.path !== '/') return
  ctx.type = script ? 'js' : 'html'
  ctx.body = createReadStream(script ? new URL(script, client) : page)
})

const server = app.listen(process.env.PORT ?? 3000, () => {
  console.log(`Open http://localhost:${server.address().port}`)
})
