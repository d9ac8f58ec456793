// Those that keep a run in Redis, each over node-redis. What they have in common: `ask(req, res, runId, source)` begins
// a run and answers with it, `produce(runId, source)` begins one that nobody reads here, `read(req, res, runId)` answers
// with a run that another process produces.
import { createClient } from 'redis'

const HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', connection: 'keep-alive' }

/** The events of a source, as text: what is handed to who does not make events itself. */
function frames({ open, textOf }) {
  let iterator
  return new ReadableStream({
    async pull(controller) {
      iterator ??= (await open())[Symbol.asyncIterator]()
      const { done, value } = await iterator.next()
      if (!done) {
        controller.enqueue(`data: ${JSON.stringify({ text: textOf(value) })}\n\n`)
        return
      }
      controller.enqueue('data: [DONE]\n\n')
      controller.close()
    },
  })
}

/** As light as it can be: no backpressure, no heartbeat, no error, no disconnect. */
async function pipe(stream, res) {
  if (!stream) return res.writeHead(404).end()
  res.writeHead(200, HEADERS)
  for await (const text of stream) res.write(text)
  res.end()
}

export const contenders = {
  'sse-relay, Redis log': {
    ours: true,
    async connect(url) {
      const [{ record }, { createRedisLog }, { relay, resume }] = await Promise.all([
        import('sse-relay/log'),
        import('sse-relay/redis'),
        import('sse-relay/node'),
      ])
      const log = createRedisLog(await createClient({ url }).connect())
      const owner = 'bench'
      return {
        ask: (req, res, runId, { open }) => relay(req, res, ({ signal }) => open(signal), { log, owner, runId }),
        async produce(runId, { open }) {
          await log.create(runId, { owner })
          record(({ signal }) => open(signal), { log, owner, runId })
        },
        read: (req, res, runId) => resume(req, res, { log, owner, runId }),
      }
    },
  },
  /** What a run costs that is not kept. Nobody else can read it. */
  'sse-relay, no log': {
    ours: true,
    async connect() {
      const { relay } = await import('sse-relay/node')
      return { ask: (req, res, _runId, { open }) => relay(req, res, ({ signal }) => open(signal)) }
    },
  },
  'resumable-stream': {
    async connect(url) {
      const { createResumableStreamContext } = await import('resumable-stream/redis')
      const [publisher, subscriber] = await Promise.all([
        createClient({ url }).connect(),
        createClient({ url }).connect(),
      ])
      const context = createResumableStreamContext({ waitUntil: () => {}, publisher, subscriber })
      return {
        ask: async (_req, res, runId, source) =>
          pipe(await context.createNewResumableStream(runId, () => frames(source)), res),
        // It pulls by itself.
        produce: (runId, source) => context.createNewResumableStream(runId, () => frames(source)),
        read: async (_req, res, runId) => pipe(await context.resumeExistingStream(runId), res),
      }
    },
  },
}
