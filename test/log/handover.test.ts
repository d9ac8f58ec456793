import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createProxy, type Socket, type Server as TcpServer } from 'node:net'
import { fetchSSE, readText } from 'sse-relay/client'
import { createMemoryLog } from 'sse-relay/log'
import { relay, resume } from 'sse-relay/node'
import { collect, openClient } from 'sse-relay/testing'
import { afterAll, describe, expect, it } from 'vitest'

const closing: (() => unknown)[] = []
afterAll(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** Beats of the event loop's own clock, and no wall clock: on a busy machine both sides of the proxy have less time. */
const BEAT_MS = 50
const LIMIT = 2000 / BEAT_MS
const FIRST_TOKEN_MS = 5000
const TOKEN_MS = 150

async function listen(server: Server | TcpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  return (server.address() as AddressInfo).port
}

/** A platform that gives each request so long, and then breaks the connection. */
async function cappedProxy(port: number): Promise<{ url: string; cuts: number }> {
  const sockets = new Set<Socket>()
  const state = { url: '', cuts: 0 }
  const proxy = createProxy((client) => {
    const upstream = connect(port, '127.0.0.1')
    let beats = 0
    const timer = setInterval(() => {
      if (++beats < LIMIT) return
      clearInterval(timer)
      state.cuts++
      client.resetAndDestroy()
      upstream.destroy()
    }, BEAT_MS)
    for (const [from, to] of [[client, upstream] as const, [upstream, client] as const]) {
      sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => {
        clearInterval(timer)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  state.url = `http://127.0.0.1:${await listen(proxy)}`
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  return state
}

/** A server behind such a platform, how often its source was called, and what that has said. */
async function serve(isOver: (state: { text: string; proxy: { cuts: number } }) => boolean, maxDurationMs?: number) {
  const log = createMemoryLog()
  const state = { calls: 0, text: '', proxy: { url: '', cuts: 0 } }
  const source = async function* () {
    state.calls++
    await new Promise((resolve) => setTimeout(resolve, FIRST_TOKEN_MS))
    for (let index = 0; !isOver(state); index++) {
      const token = `${index} `
      state.text += token
      yield token
      await new Promise((resolve) => setTimeout(resolve, TOKEN_MS))
    }
  }
  const options = { log, owner: 'ann', heartbeatMs: 400, retryMs: 50, maxDurationMs }
  const server = createServer((req, res) => {
    // One request a connection: the platform's limit is for a request.
    res.setHeader('connection', 'close')
    if (req.method === 'POST') relay(req, res, source, options)
    else resume(req, res, options)
  })
  const port = await listen(server)
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  state.proxy = await cappedProxy(port)
  return state
}

describe('an answer behind a proxy that breaks every connection after two seconds', () => {
  it.concurrent.each([
    ['with maxDurationMs below that arrives whole in twenty seconds and without a single cut', 0, 1000],
    ['without it is cut eight times, and arrives whole', 8, undefined],
  ])(
    '%s',
    async (_, cuts, maxDurationMs) => {
      const isOver = ({ text, proxy }: { text: string; proxy: { cuts: number } }) =>
        cuts === 0 ? text.endsWith('99 ') : proxy.cuts === cuts
      const state = await serve(isOver, maxDurationMs)
      const { url } = state.proxy
      const stream = fetchSSE(url, { method: 'POST', body: '{}', resumeUrl: url })
      let text = ''
      for await (const piece of readText(stream)) text += piece
      expect(text).toBe(state.text)
      expect(state).toMatchObject({ calls: 1, proxy: { cuts } })
    },
    120_000,
  )
})

describe('a server that goes away', () => {
  const forever = async function* () {
    yield 'one '
    await new Promise(() => {})
  }

  async function start(hasLog: boolean) {
    const shutdown = new AbortController()
    const log = hasLog ? { log: createMemoryLog(), owner: 'ann' } : {}
    const outcomes: string[] = []
    const server = createServer((req, res) => {
      const options = { shutdown: shutdown.signal, ...log }
      const answer = req.method === 'POST' ? relay(req, res, forever, options) : resume(req, res, options as never)
      answer.then(({ outcome }) => outcomes.push(outcome))
    })
    closing.push(() => {
      server.close()
      server.closeAllConnections()
    })
    const url = `http://127.0.0.1:${await listen(server)}`
    return { url, shutdown, outcomes }
  }

  it('without a log ends its answers with a typed error', async () => {
    const { url, shutdown, outcomes } = await start(false)
    const client = openClient(url, { method: 'POST' })
    await client.until('one ')
    shutdown.abort()
    expect(await client.closed).toMatchObject({ complete: true, by: 'server' })
    expect(client.received).toMatch(/event: error\ndata: .*"shutdown".*"retryable":true/)
    expect(client.received).not.toContain('[DONE]')
    await expect.poll(() => outcomes).toEqual(['shutdown'])
  })

  it('with a log hands its readers over: their connections end at an event, and nothing is said', async () => {
    const { url, shutdown, outcomes } = await start(true)
    const client = openClient(url, { method: 'POST', headers: { 'x-run-id': 'run-of-a-handover-1' } })
    await client.until('one ')
    const follower = openClient(url, { headers: { 'last-event-id': 'run-of-a-handover-1:0' } })
    await follower.until('one ')
    shutdown.abort()
    for (const { closed } of [client, follower]) expect(await closed).toMatchObject({ complete: true, by: 'server' })
    for (const { received } of [client, follower]) {
      expect(received).toBe('id: run-of-a-handover-1:1\ndata: {"text":"one "}\n\n')
    }
    await expect.poll(() => outcomes).toEqual(['shutdown', 'shutdown'])
    // Who comes now is sent to another process.
    const late = await fetch(url, { headers: { 'last-event-id': 'run-of-a-handover-1:0' } })
    expect(late.status).toBe(503)
    expect(await late.json()).toMatchObject({ error: { code: 'shutdown', retryable: true } })
    const refused = await collect(await fetch(url, { method: 'POST' }))
    expect(refused).toMatchObject({ status: 503 })
  })
})
