// What do readers cost that take nothing of a large event? The server is a process of its own, so that what it holds can
// be told from what the readers hold.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { start } from '../../scripts/processes.mjs'

const READERS = 50
const MB = 1024 * 1024
const SIZE = 5 * MB
/** Copies of the event for each reader would be 250 MB. */
const LIMIT = 10 * MB
/** A process keeps some of what it has let go of. */
const RSS_LIMIT = 80 * MB

interface Memory {
  held: number
  rss: number
}

// One of each kind: the response itself, a stream that the host pipes, a body of the Web.
it.for(['node', 'fastify', 'hono'])(
  `on %s, ${READERS} readers that read nothing of one event of 5 MiB cost less than 10 MB`,
  async (host, { annotate }) => {
    const module = new URL('./large-event-server.mjs', import.meta.url)
    const server = start(module, { data: { host, size: SIZE }, execArgv: ['--expose-gc'] })
    onTestFinished(() => server.stop())
    const port = (await server.ask('listen')) as number
    const before = (await server.ask('memory')) as Memory
    const readers: Socket[] = []
    onTestFinished(() => {
      for (const reader of readers) reader.destroy()
    })
    for (let count = 0; count < READERS; count++) {
      const reader = connect(port, '127.0.0.1')
      readers.push(reader)
      reader.on('error', () => {})
      reader.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
      // The head has come, and nobody reads on.
      await once(reader, 'readable')
    }
    // Until the server can write no more: what it holds then is what a reader costs.
    for (let last = -1, now = 0; now !== last; last = now, now = (await server.ask('written')) as number)
      await sleep(200)
    const after = (await server.ask('memory')) as Memory
    const held = after.held - before.held
    const rss = after.rss - before.rss
    const written = (await server.ask('written')) as number
    const taken = `${(written / READERS / MB).toFixed(1)} MB of each are in the machine's own buffers`
    await annotate(`${(held / MB).toFixed(1)} MB of heap and buffers, ${(rss / MB).toFixed(1)} MB of memory; ${taken}`)
    expect(held).toBeLessThan(LIMIT)
    expect(rss).toBeLessThan(RSS_LIMIT)
    for (const reader of readers) expect(reader.destroyed).toBe(false)
  },
)
