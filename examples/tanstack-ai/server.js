// A chat with TanStack AI in the page and a provider of your own behind it: AG-UI between them, over a log, so that an
// answer goes on through a lost connection and a reload. Start it with ANTHROPIC_API_KEY=… npm start
import { fileURLToPath } from 'node:url'
import Anthropic from '@anthropic-ai/sdk'
import express from 'express'
import { relay, resume } from 'sse-relay/express'
import { createMemoryLog } from 'sse-relay/log'
import { agui } from 'sse-relay/protocols'

const anthropic = new Anthropic({ maxRetries: 0 })
const log = createMemoryLog()
// Nobody logs in here: whoever holds the id of a run reads and stops it. With logins this is the user's id.
const owner = null
/** What was said in each thread, in the client's form, and the run that goes on. Elsewhere this is a database. */
const threads = new Map()
const app = express()

app.post('/api/chat', express.json(), (req, res) => {
  const { threadId, runId, messages } = req.body
  const thread = { messages: messages.filter(isSaid).map(toUIMessage), runId }
  // A request that is repeated after a lost connection asks for the rest of a run that is here.
  if (!req.get('last-event-id')) threads.set(threadId, thread)
  return relay(
    req,
    res,
    ({ signal }) =>
      anthropic.messages.create(
        {
          model: 'claude-sonnet-5-5',
          max_tokens: 1024,
          messages: messages.filter(isSaid).map(({ role, content }) => ({ role, content: textOf(content) })),
          tools: [WEATHER],
          stream: true,
        },
        { signal },
      ),
    {
      log,
      owner,
      protocol: agui({ threadId, runId }),
      onEnd({ runId, text }) {
        if (text) thread.messages.push(toUIMessage({ id: runId, role: 'assistant', content: text }))
        if (thread.runId === runId) thread.runId = undefined
      },
    },
  )
})

// The page asks for a thread when it is loaded, and then for the run that goes on in it.
app.get('/api/chat', (req, res) => {
  const { threadId, runId } = req.query
  if (runId) return resume(req, res, { log, owner, runId, after: 0, empty: 200, protocol: agui() })
  const thread = threads.get(threadId) ?? { messages: [] }
  res.json({ messages: thread.messages, activeRun: thread.runId ? { runId: thread.runId } : null })
})

// Leaving is not stopping.
app.delete('/api/chat/:runId', async (req, res) => {
  await log.stop(req.params.runId, { owner })
  res.sendStatus(204)
})

app.get('/', (_req, res) => res.sendFile(fileURLToPath(new URL('index.html', import.meta.url))))
app.use('/build', express.static(fileURLToPath(new URL('build', import.meta.url))))

const WEATHER = {
  name: 'weather',
  description: 'The weather in a city',
  input_schema: { type: 'object', properties: { city: { type: 'string' } } },
}

function isSaid({ role, content }) {
  return (role === 'user' || role === 'assistant') && textOf(content) !== ''
}

/** A text, or the texts of a list of parts. */
function textOf(content) {
  if (typeof content === 'string') return content
  return (content ?? []).map(({ text, content }) => text ?? content ?? '').join('')
}

function toUIMessage({ id, role, content }) {
  return { id, role, parts: [{ type: 'text', content: textOf(content) }] }
}

const server = app.listen(process.env.PORT ?? 3000, () => {
  console.log(`Open http://localhost:${server.address().port}`)
})
