// Who is dropped that takes no more, when all there is to take has been written already?

import { text } from 'sse-relay/protocols'
import { tokens } from 'sse-relay/testing'
import { afterEach, beforeEach, vi } from 'vitest'
import type { TestClient } from '../../src/testing/clients.js'
import type { Trial } from '../../src/testing/conformance/adapter-harness.js'
import { hosts, on, type Running } from './hosts.js'

// The server of the fetch hosts prints the error of a dropped body.
beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => {}))
afterEach(() => void vi.restoreAllMocks())

/** More than the buffers of two machines hold. */
const LARGE = 'x'.repeat(12 * 1024 * 1024)

async function dropped(trial: Trial, client: TestClient, running: Running): Promise<void> {
  const open = () => running.connections
  await trial.poll(() => open() === 0, 'the connection is dropped', open)
  client.resume()
  const { complete } = await trial.within(client.closed, 'the client was dropped')
  trial.equal('the answer is complete', complete, false)
}

on(hosts, 'a reader that does not take all of one large event is dropped', async (trial, _, running) => {
  const served = await trial.serve(() => [LARGE], { stallTimeoutMs: 300 })
  const client = trial.open(served)
  client.pause()
  trial.match('the summary', await trial.ended(served), { outcome: 'stalled', events: 1 })
  await dropped(trial, client, running())
})

on(hosts, 'a reader that does not take the end is dropped, though the answer is done', async (trial, _, running) => {
  const end = () => `data: ${LARGE}\n\n`
  const protocol = { name: 'large', encoder: () => ({ ...text().encoder({ runId: '' }), end }) }
  const served = await trial.serve(() => tokens('Hello'), { protocol, stallTimeoutMs: 300 })
  const client = trial.open(served)
  client.pause()
  trial.match('the summary', await trial.ended(served), { outcome: 'done' })
  await dropped(trial, client, running())
})
