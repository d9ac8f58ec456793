// One contender in a process of its own, over the Redis of all: it produces runs, or serves those of another process.
import { createServer } from 'node:http'
import { contenders } from './redis-contenders.mjs'
import { sourceOf } from './sources.mjs'

const [name, url] = process.argv.slice(2)
let contender
let source

const server = createServer((req, res) => {
  const [, what, runId] = req.url.split('/')
  if (what === 'ask') contender.ask(req, res, runId, source)
  else contender.read(req, res, runId)
})

const tasks = {
  async serve({ load }) {
    source = sourceOf(load)
    contender ??= await contenders[name].connect(url)
    if (!server.listening) await new Promise((resolve) => server.listen(0, '127.0.0.1', 1024, resolve))
    return { port: server.address().port }
  },
  /** Resolves when all of them can be read. */
  async produce({ runIds }) {
    await Promise.all(runIds.map((runId) => contender.produce(runId, source)))
    return {}
  },
  used() {
    const { user, system } = process.cpuUsage()
    return user + system
  },
}

process.on('message', async ({ id, task, ...rest }) => {
  try {
    process.send({ id, answer: await tasks[task](rest) })
  } catch (error) {
    process.send({ id, failure: error.stack })
  }
})
process.on('disconnect', () => process.exit())
