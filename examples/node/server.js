// Node without a framework: a chat whose answers come from OpenAI's Responses, token by token, and a page that
// shows them. Start it with OPENAI_API_KEY=… node server.js
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'
import OpenAI from 'openai'
import { relay } from 'sse-relay/node'

const openai = new OpenAI()

const server = createServer(async (req, res) => {
  if (req.method !== 'POST' || req.url !== '/api/chat') return sendFile(req, res)
  // Nobody else catches what a handler of Node throws.
  const body = await json(req).catch(() => {})
  if (!body) return res.writeHead(400).end('The body is not JSON')
  return relay(req, res, ({ signal }) =>
    openai.responses.create({ model: 'gpt-5.5', input: body.messages, stream: true }, { signal }),
  )
})

// The page, and the client it imports; with a bundler the second line goes.
const page = import.meta.resolve('./index.html')
const client = import.meta.resolve('sse-relay/client')

async function sendFile(req, res) {
  const [, script] = /^\/sse-relay\/([\w-]+\.js)$/.exec(req.url) ?? []
  const file = req.url === '/' ? page : script && new URL(script, client)
  try {
    const content = await readFile(new URL(file))
    res.setHeader('content-type', script ? 'text/javascript' : 'text/html').end(content)
  } catch {
    res.writeHead(404).end()
  }
}

server.listen(process.env.PORT ?? 3000, () => {
  console.log(`Open http://localhost:${server.address().port}`)
})
