// Node without a framework: a chat whose answers come from OpenAI's Responses, token by token, and a page that
// shows them. Start it with OPENAI_API_KEY=… node server.js
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'
import OpenAI from 'openai'
import { relay } from 'sse-relay/node'

const openai = new OpenAI()

const server = createServer((req, res) => {
  if (req.method === 'POST' && req.url === '/api/chat') {
    // The body is read in here, so that one that is no JSON is answered as a failure like any other.
    relay(req, res, async ({ signal }) => {
      const { messages } = await json(req)
      return openai.responses.create({ model: 'gpt-5.5', input: messages, stream: true }, { signal })
    })
  } else sendFile(req, res)
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
