// A gateway: one server that gives any provider to Claude Code, Codex, the SDKs of OpenAI and Anthropic, and a page.
// Start it with GATEWAY_KEYS=ann=secret-1,bob=secret-2 ANTHROPIC_API_KEY=… OPENAI_API_KEY=… node server.js
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import Anthropic from '@anthropic-ai/sdk'
import express from 'express'
import OpenAI from 'openai'
import { relay, resume } from 'sse-relay/express'
import { createMemoryLog } from 'sse-relay/log'
import { anthropicMessages, openaiChat, openaiResponses } from 'sse-relay/protocols'
import { fromChat, fromMessages, fromResponses, toAnthropic, toOpenAI } from './translate.js'

/** Keys of its own: who has one is known by its name, and the providers' keys stay here. */
const owners = new Map(
  (process.env.GATEWAY_KEYS ?? '')
    .split(',')
    .filter(Boolean)
    .map((pair) => {
      const [owner, key] = pair.split('=')
      return [key, owner]
    }),
)
const MODELS = (process.env.MODELS ?? 'claude-sonnet-5-5,gpt-5.5').split(',')

// Clients ask again by themselves.
const anthropic = new Anthropic({ maxRetries: 0 })
// Any provider that imitates it will do: OPENAI_BASE_URL says which.
const openai = new OpenAI({ maxRetries: 0 })
const log = createMemoryLog()
const app = express()

/** Asks the provider that has the model. */
function ask(request, signal) {
  return request.model.startsWith('claude')
    ? anthropic.messages.create({ ...toAnthropic(request), stream: true }, { signal })
    : openai.chat.completions.create({ ...toOpenAI(request), stream: true }, { signal })
}

function ownerOf(req) {
  const key = req.get('x-api-key') ?? /^Bearer (.+)$/i.exec(req.get('authorization') ?? '')?.[1]
  return owners.get(key)
}

/**
 * A route for the clients of one API: `read` is what they ask, `speak` what they are answered in. A mistake is thrown in
 * the source, so that they are told in their own words.
 */
function serve(read, speak, isKept = () => false) {
  const json = express.json({ limit: '32mb' })
  return [
    json,
    (req, res) => {
      const { body = {} } = req
      const owner = ownerOf(req)
      return relay(
        req,
        res,
        ({ signal }) => {
          if (owner === undefined) throw unknownKey()
          return ask(read(body), signal)
        },
        {
          protocol: speak(body),
          stream: body.stream === true,
          // Where the client leaves, the provider is stopped; but an answer that is kept goes on.
          ...(owner !== undefined && isKept(body) && { log, owner }),
          onEnd({ outcome, usage }) {
            console.log(owner ?? 'nobody', body.model, outcome, JSON.stringify(usage ?? {}))
          },
        },
      )
    },
  ]
}

function unknownKey() {
  return Object.assign(new Error('This key is not known here.'), { status: 401, code: 'unknown-key', expose: true })
}

app.post(
  '/v1/messages',
  serve(fromMessages, ({ model }) => anthropicMessages({ model })),
)
app.post(
  '/v1/chat/completions',
  serve(fromChat, ({ model, stream_options: more }) => openaiChat({ model, usage: more?.include_usage === true })),
)
// With `background`, as OpenAI has it, an answer goes on without its reader.
app.post(
  '/v1/responses',
  serve(
    fromResponses,
    ({ model }) => openaiResponses({ model }),
    ({ background }) => background === true,
  ),
)

/** For what is kept: the owner's own runs, and no others. */
function withOwner(req, res, next) {
  const owner = ownerOf(req)
  if (owner === undefined)
    return res.status(401).json({ error: { code: 'unknown-key', message: unknownKey().message } })
  res.locals.owner = owner
  next()
}

app.get('/v1/responses/:id', withOwner, (req, res) => {
  // Its events are numbered from 0, and those of the log from 1.
  const after = Number(req.query.starting_after ?? -1) + 1
  const { owner } = res.locals
  return resume(req, res, { log, owner, runId: runOf(req), after, empty: 200, protocol: openaiResponses() })
})
app.post('/v1/responses/:id/cancel', withOwner, async (req, res) => {
  await log.stop(runOf(req), { owner: res.locals.owner })
  res.json({ id: req.params.id, object: 'response', status: 'cancelled', output: [] })
})

function runOf(req) {
  return req.params.id.replace(/^resp_/, '')
}

app.get('/v1/models', withOwner, (_req, res) => {
  const data = MODELS.map((id) => ({
    id,
    object: 'model',
    type: 'model',
    display_name: id,
    created: 0,
    owned_by: 'gateway',
  }))
  res.json({ object: 'list', data, has_more: false })
})

// The page asks as an OpenAI client does, and is answered with the text: through a reload, too.
app.post('/api/chat', withOwner, express.json(), (req, res) =>
  relay(req, res, ({ signal }) => ask(fromChat(req.body), signal), { log, owner: res.locals.owner }),
)
app.get('/api/chat', withOwner, (req, res) => resume(req, res, { log, owner: res.locals.owner }))
app.delete('/api/chat/:runId', withOwner, async (req, res) => {
  await log.stop(req.params.runId, { owner: res.locals.owner })
  res.sendStatus(204)
})
app.get('/', (_req, res) => res.sendFile(fileURLToPath(import.meta.resolve('./index.html'))))
app.use('/sse-relay', express.static(dirname(fileURLToPath(import.meta.resolve('sse-relay/client')))))

const server = app.listen(process.env.PORT ?? 3000, () => {
  console.log(`Open http://localhost:${server.address().port}`)
})
