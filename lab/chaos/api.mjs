// An API process: takes questions, hands them to the worker, and serves every run, whoever took its question.
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { resume } from 'sse-relay/node'
import { openLog, QUEUE } from './open-log.mjs'
import { endWithParent, tell } from './processes.mjs'

endWithParent()
const [kind, redisPort, leaseMs, startMs] = process.argv.slice(2)
const { log, command } = await openLog(kind, Number(redisPort), Number(leaseMs))

const released = new Map()
process.on('message', ({ release }) => released.get(release)?.())

/** Waits here if the request says so, until the driver lets it go on or kills this process. */
function hold(req, runId, point) {
  if (req.headers['x-hold'] !== point) return
  tell({ held: runId })
  return new Promise((resolve) => released.set(runId, resolve))
}

const server = createServer(async (req, res) => {
  const owner = req.headers['x-user']
  const options = {
    log,
    owner,
    heartbeatMs: 1000,
    retryMs: 50,
    onError: (error) => tell({ failed: `an API process was told: ${error?.stack}`, of: req.headers['x-run-id'] }),
  }
  try {
    if (req.method === 'POST') {
      const runId = req.headers['x-run-id']
      const job = JSON.stringify({ runId, owner, prompt: await text(req) })
      await hold(req, runId, 'accepted')
      const steps = [
        () => log.create(runId, { owner, startMs: Number(startMs) }),
        // A set: as long as a job waits, the same one again is no second one. Later the log knows its run.
        () => command('ZADD', QUEUE, 'NX', String(Date.now()), job),
      ]
      if (req.headers['x-order'] === 'enqueue-first') steps.reverse()
      await steps[0]()
      await hold(req, runId, 'between')
      await steps[1]()
      await hold(req, runId, 'answering')
      // From the first event, also if the run is over by now.
      req.headers['last-event-id'] = `${runId}:0`
      await resume(req, res, options)
    } else if (req.method === 'DELETE') {
      await log.stop(req.url.slice('/runs/'.length), { owner })
      res.writeHead(204).end()
    } else await resume(req, res, options)
  } catch (error) {
    tell({ failed: `an API process failed: ${error?.stack}` })
    if (res.headersSent) res.destroy()
    else res.writeHead(503).end()
  }
})
server.listen(0, '127.0.0.1', () => tell({ ready: server.address().port }))
