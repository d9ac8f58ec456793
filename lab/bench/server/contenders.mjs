// The servers that are measured. Each answers GET / with the words of the load and then ends; what it sends is checked
// before it is measured. Modules are loaded by the contender that needs them: a child process holds one.
import { once } from 'node:events'
import { createServer } from 'node:http'

const ofJson = (data) => JSON.parse(data).text ?? ''

/** What the usual guides show: no close, no drain, no heartbeat, no error. */
async function plainLoop(res, { open, textOf }) {
  for await (const chunk of await open()) {
    const text = textOf(chunk)
    if (text) res.write(`data: ${JSON.stringify({ text })}\n\n`)
  }
  res.write('data: [DONE]\n\n')
  res.end()
}

const HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', connection: 'keep-alive' }

/** The same by someone who has been bitten: stops when the client leaves, waits while it takes no more. */
async function carefulLoop(res, { open, textOf }) {
  const stop = new AbortController()
  res.on('close', () => stop.abort())
  const { signal } = stop
  try {
    for await (const chunk of await open(signal)) {
      if (signal.aborted) return
      const text = textOf(chunk)
      if (text && !res.write(`data: ${JSON.stringify({ text })}\n\n`)) await once(res, 'drain', { signal })
    }
    res.end('data: [DONE]\n\n')
  } catch (error) {
    if (!signal.aborted) res.end(`event: error\ndata: ${JSON.stringify({ message: 'failed' })}\n\n`)
    else if (error.name !== 'AbortError') throw error
  }
}

const onNode = (handle) => createServer(handle)

async function onExpress(handle) {
  const { default: express } = await import('express')
  const app = express()
  app.get('/', handle)
  return createServer(app)
}

async function onFetch(fetch) {
  const { createAdaptorServer } = await import('@hono/node-server')
  return createAdaptorServer({ fetch })
}

async function onHono(handle) {
  const { Hono } = await import('hono')
  const app = new Hono()
  app.get('/', handle)
  return onFetch(app.fetch)
}

/** A stream that is pulled, as the pages on backpressure show it. */
function pullStream({ open, textOf }) {
  const encoder = new TextEncoder()
  let iterator
  return new ReadableStream(
    {
      async pull(controller) {
        iterator ??= (await open())[Symbol.asyncIterator]()
        for (;;) {
          const { done, value } = await iterator.next()
          if (done) {
            controller.enqueue(encoder.encode('data: [DONE]\n\n'))
            controller.close()
            return
          }
          const text = textOf(value)
          if (!text) continue
          controller.enqueue(encoder.encode(`data: ${JSON.stringify({ text })}\n\n`))
          return
        }
      },
      cancel: () => void iterator?.return?.(),
    },
    { highWaterMark: 0 },
  )
}

/** The source as the AI SDK's own chunks, pulled one by one. */
function uiChunks({ open, textOf }) {
  let iterator
  return new ReadableStream({
    async start(controller) {
      iterator = (await open())[Symbol.asyncIterator]()
      controller.enqueue({ type: 'start' })
      controller.enqueue({ type: 'text-start', id: '0' })
    },
    async pull(controller) {
      for (;;) {
        const { done, value } = await iterator.next()
        if (done) {
          controller.enqueue({ type: 'text-end', id: '0' })
          controller.enqueue({ type: 'finish' })
          controller.close()
          return
        }
        const delta = textOf(value)
        if (!delta) continue
        controller.enqueue({ type: 'text-delta', id: '0', delta })
        return
      }
    },
  })
}

const ofUI = (data) => JSON.parse(data).delta ?? ''
const relayed =
  (relay, { open }, options) =>
  (...host) =>
    relay(...host, ({ signal }) => open(signal), options)

/**
 * By name: `serve(source)` makes the server, `text(data)` reads a token back out of an event's data. `ours` are this
 * library's; `needs` is a name that not every version of it exports. They are measured in this order: what is compared
 * stands side by side.
 */
/** Ours, in one of the dialects. */
function speaking(dialect, text) {
  return {
    ours: true,
    async serve(source) {
      const [{ relay }, protocols] = await Promise.all([import('sse-relay/node'), import('sse-relay/protocols')])
      const protocol = protocols[dialect]()
      return onNode((req, res) => relayed(relay, source, { protocol })(req, res))
    },
    text,
  }
}

export const contenders = {
  'hand-written, Express': {
    serve: (source) =>
      onExpress((_req, res) => {
        for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value)
        res.flushHeaders()
        plainLoop(res, source)
      }),
    text: ofJson,
  },
  'sse-relay/express': {
    ours: true,
    async serve(source) {
      const { relay } = await import('sse-relay/express')
      return onExpress((req, res) => relayed(relay, source)(req, res))
    },
    text: ofJson,
  },
  'hand-written, Node': {
    serve: (source) =>
      onNode((_req, res) => {
        res.writeHead(200, HEADERS)
        plainLoop(res, source)
      }),
    text: ofJson,
  },
  'sse-relay/node': {
    ours: true,
    async serve(source) {
      const { relay } = await import('sse-relay/node')
      return onNode(relayed(relay, source))
    },
    text: ofJson,
  },
  'sse-relay/node, directWrites: false': {
    ours: true,
    async serve(source) {
      const { relay } = await import('sse-relay/node')
      return onNode(relayed(relay, source, { directWrites: false }))
    },
    text: ofJson,
  },
  'sse-relay/node, memory log': {
    ours: true,
    needs: 'sse-relay/log',
    async serve(source) {
      const [{ relay }, { createMemoryLog }] = await Promise.all([import('sse-relay/node'), import('sse-relay/log')])
      const log = createMemoryLog()
      return onNode((req, res) => relayed(relay, source, { log, owner: null })(req, res))
    },
    text: ofJson,
  },
  'sse-relay/fastify': {
    ours: true,
    needs: 'sse-relay/fastify',
    async serve(source) {
      const [{ relay }, { default: fastify }] = await Promise.all([import('sse-relay/fastify'), import('fastify')])
      const app = fastify()
      app.get('/', relayed(relay, source))
      await app.ready()
      return app.server
    },
    text: ofJson,
  },
  'sse-relay/koa': {
    ours: true,
    needs: 'sse-relay/koa',
    async serve(source) {
      const [{ relay }, { default: Koa }] = await Promise.all([import('sse-relay/koa'), import('koa')])
      const app = new Koa()
      app.use((ctx) => relayed(relay, source)(ctx))
      return createServer(app.callback())
    },
    text: ofJson,
  },
  'hand-written with drain and close, Node': {
    serve: (source) =>
      onNode((_req, res) => {
        res.writeHead(200, HEADERS)
        carefulLoop(res, source)
      }),
    text: ofJson,
  },
  'better-sse': {
    async serve({ open, textOf }) {
      const { createSession } = await import('better-sse')
      return onNode(async (req, res) => {
        const session = await createSession(req, res)
        for await (const chunk of await open()) {
          const text = textOf(chunk)
          if (text) session.push({ text })
        }
        session.push('[DONE]')
        res.end()
      })
    },
    // Its own sentinel would be a JSON string.
    text: (data) => JSON.parse(data).text ?? '',
  },
  'hand-written pull ReadableStream, Web': {
    serve: (source) => onFetch(() => new Response(pullStream(source), { headers: HEADERS })),
    text: ofJson,
  },
  'sse-relay/web': {
    ours: true,
    async serve(source) {
      const { relay } = await import('sse-relay/web')
      return onFetch((request) => relayed(relay, source)(request))
    },
    text: ofJson,
  },
  'hono streamSSE': {
    async serve({ open, textOf }) {
      const { streamSSE } = await import('hono/streaming')
      return onHono((c) =>
        streamSSE(c, async (stream) => {
          for await (const chunk of await open()) {
            const text = textOf(chunk)
            if (text) await stream.writeSSE({ data: JSON.stringify({ text }) })
          }
          await stream.writeSSE({ data: '[DONE]' })
        }),
      )
    },
    text: ofJson,
  },
  'sse-relay/hono': {
    ours: true,
    async serve(source) {
      const { relay } = await import('sse-relay/hono')
      return onHono((c) => relayed(relay, source)(c))
    },
    text: ofJson,
  },
  'h3 createEventStream': {
    async serve({ open, textOf }) {
      const { H3, createEventStream, toNodeHandler } = await import('h3')
      const app = new H3()
      app.get('/', (event) => {
        const stream = createEventStream(event)
        const feed = async () => {
          for await (const chunk of await open()) {
            const text = textOf(chunk)
            if (text) await stream.push(JSON.stringify({ text }))
          }
          await stream.push('[DONE]')
          await stream.close()
        }
        feed()
        return stream.send()
      })
      return createServer(toNodeHandler(app))
    },
    text: ofJson,
  },
  'ai pipeUIMessageStreamToResponse': {
    async serve(source) {
      const { pipeUIMessageStreamToResponse } = await import('ai')
      return onNode((_req, response) => pipeUIMessageStreamToResponse({ response, stream: uiChunks(source) }))
    },
    text: ofUI,
  },
  'sse-relay/node, uiMessage()': speaking('uiMessage', ofUI),
  'sse-relay/node, openaiChat()': speaking('openaiChat', (data) => JSON.parse(data).choices[0]?.delta.content ?? ''),
  'sse-relay/node, openaiResponses()': speaking('openaiResponses', (data) => {
    const { type, delta } = JSON.parse(data)
    return type === 'response.output_text.delta' ? delta : ''
  }),
  'sse-relay/node, anthropicMessages()': speaking('anthropicMessages', (data) => JSON.parse(data).delta?.text ?? ''),
  'sse-relay/node, agui()': speaking('agui', (data) => JSON.parse(data).delta ?? ''),
  'tRPC subscription': {
    path: '/answer',
    async serve({ open, textOf }) {
      const [{ initTRPC }, { createHTTPHandler }] = await Promise.all([
        import('@trpc/server'),
        import('@trpc/server/adapters/standalone'),
      ])
      const t = initTRPC.create()
      const router = t.router({
        answer: t.procedure.subscription(async function* ({ signal }) {
          for await (const chunk of await open(signal)) {
            const text = textOf(chunk)
            if (text) yield { text }
          }
        }),
      })
      return createServer(createHTTPHandler({ router }))
    },
    text: ofJson,
  },
}
