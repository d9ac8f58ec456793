// What does compression in front do to a stream, told to leave it alone and let in?

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGunzip } from 'node:zlib'
import compression from 'compression'
import express from 'express'
import { relay } from 'sse-relay/express'
import { collect } from 'sse-relay/testing'
import { expect, it } from 'vitest'
import { Feed } from '../../src/testing/conformance/adapter-harness.js'
import { hosts, on } from './hosts.js'

const frame = (token: string) => `data: ${JSON.stringify({ text: token })}\n\n`
const GZIP = { headers: { 'accept-encoding': 'gzip, br' } }
const compressing = hosts.filter(({ middleware }) => middleware.compression)
const inFront = { middleware: ['compression'] } as const

it('compression that was let in takes a long answer whole, and is listened to once', async () => {
  const pieces = Array.from({ length: 64 }, () => randomBytes(24_576).toString('base64'))
  const app = express()
  app.use(compression())
  // It leaves alone what says no-transform.
  const headers = { 'cache-control': 'no-cache' }
  app.get('/', (req, res) => relay(req, res, () => pieces, { headers }))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  try {
    const { port } = server.address() as AddressInfo
    const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'accept-encoding': 'gzip' } })
    expect(response.headers.get('content-encoding')).toBe('gzip')
    const { text, outcome } = await collect(response)
    expect(outcome).toBe('done')
    expect(text === pieces.join('')).toBe(true)
    // Warnings come in a turn of their own.
    await new Promise((resolve) => setImmediate(resolve))
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([])
  } finally {
    process.off('warning', note)
    server.close()
    server.closeAllConnections()
  }
})

on(
  compressing,
  'compression in front is told not to transform, so tokens go out one by one',
  async (trial) => {
    const feed = new Feed('Hello')
    const served = await trial.serve(feed.source)
    const client = trial.open(served, GZIP)
    await trial.until(client, frame('Hello'))
    trial.equal('content-encoding', (await client.headers)['content-encoding'], undefined)
    feed.push(' there')
    await trial.until(client, frame(' there'))
    feed.end()
    const body = `${frame('Hello')}${frame(' there')}data: [DONE]\n\n`
    trial.match('the answer', await trial.answerTo(client), { body, complete: true })
  },
  inFront,
)

on(
  compressing,
  'compression in front loses no client that leaves',
  async (trial) => {
    const feed = new Feed('Hello')
    const served = await trial.serve(feed.source, { heartbeatMs: 0 })
    const client = trial.open(served, GZIP)
    await trial.until(client, frame('Hello'))
    client.leave()
    await trial.within(feed.aborted, "the run's signal aborts")
    trial.match('the summary', await trial.ended(served), { outcome: 'disconnected' })
  },
  inFront,
)

on(
  compressing.filter(({ httpVersion, tls }) => httpVersion === '1.1' && !tls),
  'compression that was let in is flushed',
  async (trial) => {
    const feed = new Feed('Hello')
    const served = await trial.serve(feed.source, { headers: { 'cache-control': 'no-cache' } })
    let received = ''
    const over = new Promise<void>((resolve, reject) => {
      get(served.url, { headers: { 'accept-encoding': 'gzip' } }, (response) => {
        const body = response.headers['content-encoding'] ? response.pipe(createGunzip()) : response
        body.on('data', (bytes) => {
          received += bytes
        })
        body.on('end', resolve)
        body.on('error', reject)
      }).on('error', reject)
    })
    const until = (text: string) =>
      trial.poll(
        () => received.includes(text),
        `${text} has come`,
        () => received,
      )
    await until(frame('Hello'))
    feed.push(' there')
    await until(frame(' there'))
    feed.end()
    await trial.within(over, 'the answer is over')
    trial.equal('the answer', received, `${frame('Hello')}${frame(' there')}data: [DONE]\n\n`)
  },
  inFront,
)
