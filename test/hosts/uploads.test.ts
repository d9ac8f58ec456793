// Is it seen that a reader left whose upload someone began to read, and left?

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:http2'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { relay as relayWeb } from 'sse-relay/web'
import { expect, it, onTestFinished, vi } from 'vitest'
import { Feed } from '../../src/testing/conformance/adapter-harness.js'
import { hosts, on, writes } from './hosts.js'

/** Who begins to read a body and stops: some let go of it, and some may come back. */
const READERS: Record<string, (req: IncomingMessage) => unknown> = {
  'that was paused': (req) => req.pause(),
  'whose first piece was taken': (req) => req.once('data', () => req.pause()),
  'whose listener pauses it': (req) => req.on('data', () => req.pause()),
  'that is watched for being readable': (req) => req.on('readable', () => {}),
  'that was handed to a parser which stands still': (req) => req.pipe(new Writable({ write() {} })),
  'that was handed to a parser which gives up': (req) => {
    const parser = new Writable({ write: (_chunk, _encoding, done) => done(new Error('File too large')) })
    parser.on('error', () => {})
    req.pipe(parser)
  },
}

for (const [what, read] of Object.entries(READERS)) {
  on(
    hosts.filter(writes),
    `the reader with an upload ${what} leaves while the model thinks`,
    async (trial) => {
      const feed = new Feed()
      // A heartbeat would find out as well.
      const served = await trial.serve(feed.source, { heartbeatMs: 0 })
      const client = trial.open(served, { method: 'POST', body: 'x'.repeat(1_500_000) })
      await trial.within(feed.asked, 'the source function is called')
      await new Promise((resolve) => setTimeout(resolve, 30))
      client.leave()
      await trial.within(feed.aborted, "the run's signal aborts")
      trial.match('the summary', await trial.ended(served), { outcome: 'disconnected' })
    },
    { before: (req) => void read(req) },
  )
}

on(
  hosts.filter(writes),
  'who paused an upload and comes back has all of it',
  async (trial) => {
    const served = await trial.serve(() => bodyOf(seen as IncomingMessage), { heartbeatMs: 0 })
    const { body } = await trial.ask(served, { method: 'POST', body: 'x'.repeat(1_500_000) })
    trial.ok('the whole upload', body.includes('"1500000"'), '1 500 000 characters', body.slice(-200))
  },
  {
    before(req) {
      seen = req
      // Until the relay has read on some way.
      req.on('data', () => {})
      req.pause()
    },
  },
)

on(
  hosts.filter((host) => writes(host) && host.httpVersion === '2'),
  'a client that has its whole answer, and still sends its upload, is not reset',
  async (trial) => {
    const closed = vi.fn()
    const served = await trial.serve(() => ['Hello'], { stallTimeoutMs: 50, onClose: closed })
    const session = connect(served.url, { rejectUnauthorized: false })
    onTestFinished(() => session.destroy())
    const client = session.request({ ':method': 'POST' }, { endStream: false })
    const failed = vi.fn()
    client.on('error', failed)
    client.write('the first piece')
    const answer = await text(client)
    trial.ok('the answer is whole', answer.endsWith('data: [DONE]\n\n'), 'the sentinel', answer)
    await vi.waitFor(() => expect(closed).toHaveBeenCalled())
    expect(closed.mock.calls).toEqual([[expect.objectContaining({ outcome: 'done', status: 200 })]])
    const over = once(client, 'close')
    client.end('the last')
    await over
    expect(failed).not.toHaveBeenCalled()
  },
)

let seen: IncomingMessage | undefined

async function* bodyOf(req: IncomingMessage): AsyncGenerator<string> {
  await new Promise((resolve) => setTimeout(resolve, 600))
  let length = 0
  req.on('data', (chunk) => {
    length += chunk.length
  })
  const over = new Promise((resolve) => req.on('end', resolve))
  req.resume()
  await over
  yield String(length)
}

it('of a Web body that was read in part, and let go, the rest is read', async () => {
  const pulled = vi.fn()
  let pieces = 0
  const body = new ReadableStream({
    pull(controller) {
      pulled()
      if (pieces++ < 20) controller.enqueue(new Uint8Array(1000))
      else controller.close()
    },
  })
  const request = new Request('http://localhost/', { method: 'POST', body, duplex: 'half' } as RequestInit)
  const reader = (request.body as ReadableStream).getReader()
  await reader.read()
  reader.releaseLock()
  await (await relayWeb(request, () => ['Hello'])).text()
  await vi.waitFor(() => expect(pulled.mock.calls.length).toBeGreaterThan(20))
})
