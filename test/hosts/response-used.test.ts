// What becomes of a response that is not the relay's alone?

import type { ServerResponse } from 'node:http'
import type { Summary } from 'sse-relay'
import { relay } from 'sse-relay/node'
import { tokens } from 'sse-relay/testing'
import { describe } from 'vitest'
import { Feed } from '../../src/testing/conformance/adapter-harness.js'
import { hosts, on, writes } from './hosts.js'

const HELLO = 'data: {"text":"Hello"}\n\n'
const SENTINEL = 'data: [DONE]\n\n'
const writing = hosts.filter(writes)

let response: ServerResponse
const noting = {
  before(_: unknown, res: ServerResponse) {
    response = res
  },
}

describe.each([
  ['whose headers are sent', (res: ServerResponse) => void res.writeHead(200).write('mine')],
  ['that has ended', (res: ServerResponse) => void res.writeHead(200).end('mine')],
])('a response %s', (_, use) => {
  const used = {
    before(_: unknown, res: ServerResponse) {
      response = res
      use(res)
    },
  }
  on(
    writing,
    'is left to its owner',
    async (trial, host) => {
      const feed = new Feed('Hello')
      const served = await trial.serve(feed.source)
      const client = trial.open(served)
      await trial.until(client, 'mine')
      const summary = await trial.ended(served)
      const { code, message } = summary.error as Error & { code: string }
      trial.equal('the error', [summary.outcome, code], ['error', 'response-used'])
      trial.ok('the message', message.includes('untouched response'), 'the remedy', message)
      const resolved = host.returns === 'summary' ? summary : undefined
      trial.equal('what relay resolves to', await trial.settled(served), { value: resolved })
      trial.equal('what onError was told', served.errors, [summary.error])
      trial.equal('calls of the source function', feed.calls, 0)
      if (!response.writableEnded) response.end()
      trial.match('the answer', await trial.answerTo(client), { status: 200, body: 'mine', complete: true })
    },
    used,
  )
})

let hand: Feed<string>
let first: Promise<Summary>

on(
  writing,
  'a second relay on a response ends as an error without asking its source, and the first goes on',
  async (trial) => {
    hand = new Feed()
    const second = new Feed('never')
    const served = await trial.serve(second.source)
    const client = trial.open(served)
    const { outcome, error } = await trial.ended(served)
    const { code, message } = error as Error & { code: string }
    trial.equal('the error', [outcome, code], ['error', 'response-used'])
    trial.ok('the message', message.includes('Another relay answers'), 'what happened', message)
    trial.equal('what onError was told', served.errors, [error])
    trial.equal('calls of the second source', second.calls, 0)
    hand.push('Hello')
    hand.push(' there')
    hand.end()
    const body = `${HELLO}data: {"text":" there"}\n\n${SENTINEL}`
    trial.match('the answer', await trial.answerTo(client), { status: 200, body, complete: true })
    trial.match('the summary of the first', await first, { outcome: 'done' })
  },
  {
    before(req, res) {
      first = relay(req, res, hand.source)
    },
  },
)

on(
  writing,
  'a relay whose onError threw leaves the response to another',
  async (trial) => {
    const served = await trial.serve(() => tokens('Hello'))
    trial.match('the answer', await trial.ask(served), { status: 200, body: HELLO + SENTINEL, complete: true })
    trial.match('the summary', await trial.ended(served), { outcome: 'done' })
  },
  {
    async before(req, res) {
      const refused = relay(req, res, () => Promise.reject(new Error('busy')), {
        onError(error) {
          throw error
        },
      })
      await refused.catch(() => {})
    },
  },
)

on(
  writing,
  'a response that something else answers before the first event is an error that says so, and no disconnect',
  async (trial) => {
    const feed = new Feed()
    const served = await trial.serve(feed.source)
    const client = trial.open(served)
    await trial.within(feed.asked, 'the source is asked')
    response.writeHead(503).end('too late')
    trial.match('the answer', await trial.answerTo(client), { status: 503, body: 'too late' })
    const { outcome, error } = await trial.ended(served)
    const { code, message } = error as Error & { code: string }
    trial.equal('the error', [outcome, code], ['error', 'response-used'])
    trial.ok('the message', message.includes('Something else answered'), 'what happened', message)
    trial.equal('what onError was told', served.errors, [error])
    await trial.within(feed.aborted, "the run's signal aborts")
  },
  noting,
)

describe.each([
  ['while the source is silent', false],
  ['while the source yields', true],
])('a response that something else ends in the middle, %s', (_, isYielding) => {
  on(
    writing,
    'is an error that says so, and no disconnect',
    async (trial) => {
      const feed = new Feed('Hello')
      const served = await trial.serve(feed.source)
      const client = trial.open(served)
      await trial.until(client, HELLO)
      response.end('mine')
      // Large enough to be written in this very tick, before anyone is told of the end.
      if (isYielding) feed.push('x'.repeat(20_000))
      trial.match('the answer', await trial.answerTo(client), { body: `${HELLO}mine` })
      const { outcome, error } = await trial.ended(served)
      const { code, message } = error as Error & { code: string }
      trial.equal('the error', [outcome, code], ['error', 'response-used'])
      trial.ok('the message', message.includes('in the middle'), 'what happened', message)
      trial.equal('what onError was told', served.errors, [error])
      await trial.within(feed.aborted, "the run's signal aborts")
    },
    noting,
  )
})

on(
  writing,
  'a reader who leaves is a disconnect, even if somebody ends the response then',
  async (trial) => {
    const feed = new Feed('Hello')
    const served = await trial.serve(feed.source)
    const client = trial.open(served)
    await trial.until(client, HELLO)
    client.leave()
    trial.match('the summary', await trial.ended(served), { outcome: 'disconnected' })
    trial.equal('what onError was told', served.errors, [])
  },
  {
    before(_, res) {
      // As in much hand-written code.
      res.on('close', () => res.end())
    },
  },
)
