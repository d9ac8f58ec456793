import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import compression from 'compression'
import express from 'express'
import { relay } from 'sse-relay/express'
import { collect } from 'sse-relay/testing'
import { expect, it } from 'vitest'

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
