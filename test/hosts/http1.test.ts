// What is HTTP/1's own: requests that wait for their turn, clients of HTTP/1.0, and an `EventSource` that asks again.

import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { EventSource } from 'eventsource'
import type { SourceContext } from 'sse-relay'
import { flooding, stalling, throwing, tokens } from 'sse-relay/testing'
import { afterEach, beforeEach, describe, vi } from 'vitest'
import { Feed, type Served, type Trial } from '../../src/testing/conformance/adapter-harness.js'
import { hosts, on, writes } from './hosts.js'

const frame = (token: string) => `data: ${JSON.stringify({ text: token })}\n\n`
const SENTINEL = 'data: [DONE]\n\n'
const http1 = hosts.filter(({ httpVersion, tls }) => httpVersion === '1.1' && !tls)

/** Whether Node says of a response that waits for its turn that the connection has closed: from 24 on it does. */
async function tellsQueued(): Promise<boolean> {
  let isTold = false
  const responses: ServerResponse[] = []
  const server = createServer((_, res) => {
    if (responses.push(res) === 1) return
    res.on('close', () => {
      isTold = true
    })
    client.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(2))
  // All connections are closed then, and what that leads to is said some turns later, if at all.
  await new Promise<void>((resolve) => client.on('close', () => server.close(() => resolve())))
  for (let turn = 0; turn < 50 && !isTold; turn++) await sleep(2)
  return isTold
}

const nodeTellsQueued = await tellsQueued()

const isTold = (host: (typeof hosts)[number]) => writes(host) || nodeTellsQueued

// The server of the fetch hosts prints the error of a dropped body.
beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => {}))
afterEach(() => void vi.restoreAllMocks())

describe('a client that leaves with requests that were sent without waiting for the answers', () => {
  const REQUESTS = 12

  /** Sends them over one connection, and leaves when all have come. */
  async function leaveAll(trial: Trial, served: Served): Promise<void> {
    const socket = connect(Number(new URL(served.url).port), '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(REQUESTS))
    await trial.poll(
      () => served.calls === REQUESTS,
      'relay is called for all of them',
      () => served.calls,
    )
    socket.destroy()
  }
  const outcomes = ({ ends }: Served) => ends.map(({ outcome }) => outcome)

  on(http1.filter(isTold), 'aborts those too whose turn had not come', async (trial) => {
    const served = await trial.serve(({ signal }) => stalling(['Hello'], { signal }), { heartbeatMs: 0 })
    await leaveAll(trial, served)
    await trial.ended(served, REQUESTS)
    trial.equal('the outcomes', outcomes(served), Array(REQUESTS).fill('disconnected'))
  })

  // A limit of @hono/node-server on Node 20 and 22, told of in docs/hosts.md: when this fails, it is gone.
  on(
    http1.filter((host) => !isTold(host)),
    'aborts none of those whose turn had not come, which the host does not tell of: clocks end them',
    async (trial) => {
      const stop = new AbortController()
      const signals: AbortSignal[] = []
      const source = ({ signal }: SourceContext) => {
        signals.push(signal)
        return signals.length === REQUESTS ? flooding() : stalling(['Hello'], { signal })
      }
      const served = await trial.serve(source, { heartbeatMs: 0, stallTimeoutMs: 100, signal: stop.signal })
      await leaveAll(trial, served)
      await trial.ended(served, 2)
      trial.equal('the outcomes', outcomes(served).sort(), ['disconnected', 'stalled'])
      const aborted = signals.flatMap(({ aborted }, index) => (aborted ? [index] : []))
      trial.equal('the runs that were aborted', aborted, [0, REQUESTS - 1])
      stop.abort()
      await trial.ended(served, REQUESTS)
      trial.equal('the other outcomes', outcomes(served).slice(2), Array(REQUESTS - 2).fill('stopped'))
    },
  )
})

describe('an HTTP/1.0 client', () => {
  on(http1, 'aborts the upstream when it leaves', async (trial) => {
    const feed = new Feed('Hello')
    const served = await trial.serve(feed.source, { heartbeatMs: 0 })
    const client = trial.open(served, { httpVersion: '1.0' })
    await trial.until(client, frame('Hello'))
    client.leave()
    await trial.within(feed.aborted, "the run's signal aborts")
    trial.match('the summary', await trial.ended(served), { outcome: 'disconnected' })
  })

  on(http1, 'gets the whole answer', async (trial) => {
    const served = await trial.serve(() => tokens('Hello there'))
    const { status, headers, body } = await trial.ask(served, { httpVersion: '1.0' })
    trial.equal('the answer', { status, body }, { status: 200, body: frame('Hello') + frame(' there') + SENTINEL })
    trial.equal('transfer-encoding', headers['transfer-encoding'], undefined)
  })
})

describe.each([
  ['is over', () => tokens('Hello')],
  ['has failed', () => throwing(new Error('bug'), ['Hello'])],
])('an EventSource whose answer %s', (_, answer) => {
  on(http1, 'does not run the prompt again', async (trial) => {
    const source = vi.fn(answer)
    const served = await trial.serve(source, { retryMs: 1 }, { runs: 1 })
    const eventSource = new EventSource(served.url)
    const closed = new Promise<void>((resolve) => {
      eventSource.addEventListener('error', () => {
        if (eventSource.readyState === EventSource.CLOSED) resolve()
      })
    })
    await trial.within(closed, 'the EventSource has given up').finally(() => eventSource.close())
    trial.equal('calls of relay, and of the source', [served.calls, source.mock.calls.length], [2, 1])
  })
})
