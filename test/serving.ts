/** How does a test serve on loopback, or ask an upstream, for as long as it runs? */
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo, Server, Socket } from 'node:net'
import { type ReplayUpstream, replayUpstream } from 'sse-relay/testing'
import { onTestFinished } from 'vitest'

/** A server until the test is over, which cuts off who is still there. Resolves to `http://127.0.0.1:<port>`. */
export async function listening(given: RequestListener | Server): Promise<string> {
  const server = typeof given === 'function' ? createServer(given) : given
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(() => resolve()))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An upstream until the test is over. */
export async function replaying(...replay: Parameters<typeof replayUpstream>): Promise<ReplayUpstream> {
  const upstream = await replayUpstream(...replay)
  onTestFinished(() => upstream.close())
  return upstream
}
