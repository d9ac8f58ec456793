// One contender in a process of its own. Asked by its parent: to serve a load; to tell what it has used so far, and how many requests are coming.
import { getPriority } from 'node:os'
import { contenders } from './contenders.mjs'
import { sourceOf } from './sources.mjs'

const { serve } = contenders[process.argv[2]]
let server
let expected = 1

const tasks = {
  async serve({ load }) {
    server?.closeAllConnections()
    server?.close()
    server = await serve(sourceOf(load, () => expected))
    // Ten thousand come at once.
    await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', 16_384, resolve))
    return { port: server.address().port }
  },
  /** A call that nothing else makes, to be found in a list of them. */
  mark: () => ({ priority: getPriority() }),
  used({ collect, coming = 1 }) {
    expected = coming
    if (collect) {
      globalThis.gc()
      globalThis.gc()
    }
    const { user, system } = process.cpuUsage()
    const { heapUsed, external, rss } = process.memoryUsage()
    return { cpu: user + system, heap: heapUsed + external, rss }
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
