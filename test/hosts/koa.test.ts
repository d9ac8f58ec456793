// What is Koa's own: bodies that middleware sees and replaces, its error event, and `ctx.respond`.

import { createServer as createHttp2Server } from 'node:http2'
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import Koa3 from 'koa'
import { relay, resume } from 'sse-relay/koa'
import { createMemoryLog } from 'sse-relay/log'
import { collect, openClient, stalling, throwing, tokens } from 'sse-relay/testing'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Feed } from '../../src/testing/conformance/adapter-harness.js'
import { listening } from '../serving.js'

const frame = (token: string) => `data: ${JSON.stringify({ text: token })}\n\n`
const SENTINEL = 'data: [DONE]\n\n'

const koa2 = createRequire(import.meta.url)('koa2') as typeof Koa3

const HELLO = frame('Hello') + SENTINEL

describe.each([
  ['koa 3', Koa3],
  ['koa 2', koa2],
])('%s', (_, Koa) => {
  it('shows middleware the answer before it is sent, and sends what that adds', async () => {
    const app = new Koa()
    const seen: unknown[] = []
    app.use(async (ctx, next) => {
      await next()
      seen.push(ctx.status, ctx.type, ctx.headerSent)
      // As a session is saved.
      await sleep(5)
      ctx.cookies.set('session', '2')
      ctx.set('x-response-time', '1ms')
    })
    app.use((ctx) => {
      ctx.append('set-cookie', 'early=1')
      return relay(ctx, () => tokens('Hello'), { headers: { 'set-cookie': 'mine=1' } })
    })
    const response = await fetch(await listening(app.callback()))
    expect(await response.text()).toBe(HELLO)
    expect(seen).toEqual([200, 'text/event-stream', false])
    expect(response.headers.get('x-response-time')).toBe('1ms')
    expect(response.headers.getSetCookie()).toEqual(['early=1', 'mine=1', 'session=2; path=/; httponly'])
  })

  it('has the status of a failure before the first token', async () => {
    const app = new Koa()
    const seen: unknown[] = []
    app.use(async (ctx, next) => {
      await next()
      seen.push(ctx.status)
    })
    app.use((ctx) => relay(ctx, () => throwing(Object.assign(new Error(), { status: 429 })), { onError() {} }))
    const response = await fetch(await listening(app.callback()))
    expect(response.status).toBe(429)
    expect(await response.json()).toMatchObject({ error: { code: 'rate-limit' } })
    expect(seen).toEqual([429])
  })

  it('hands what onError throws to the app, with nothing of an event stream in the answer', async () => {
    const app = new Koa()
    const onAppError = vi.fn()
    app.on('error', onAppError)
    const thrown = Object.assign(new Error('Pay first'), { status: 402, expose: true })
    app.use((ctx) => {
      const onError = () => {
        throw thrown
      }
      return relay(ctx, () => throwing(new Error('bug')), { onError })
    })
    const response = await fetch(await listening(app.callback()))
    expect([response.status, await response.text()]).toEqual([402, 'Pay first'])
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(response.headers.has('x-accel-buffering')).toBe(false)
    expect(onAppError.mock.calls.map(([error]) => error)).toEqual([thrown])
  })

  it.each([
    ['closes the connection before the first token', [], 'leave', 499],
    ['resets the connection before the first token', [], 'reset', 499],
    ['closes the connection after it', ['Hello'], 'leave', 200],
    ['resets the connection after it', ['Hello'], 'reset', 200],
  ] as const)('is told of no error when a reader %s', async (_, chunks, how, status) => {
    const app = new Koa()
    const onAppError = vi.fn()
    app.on('error', onAppError)
    const statuses: number[] = []
    app.use(async (ctx, next) => {
      await next()
      statuses.push(ctx.status)
    })
    let asked: () => void
    const begun = new Promise<void>((resolve) => {
      asked = resolve
    })
    const onEnd = vi.fn()
    const source = stalling(chunks)
    app.use((ctx) =>
      relay(
        ctx,
        () => {
          asked()
          return source
        },
        { onEnd },
      ),
    )
    const client = openClient(await listening(app.callback()))
    await begun
    if (chunks.length > 0) await client.until(frame('Hello'))
    client[how]()
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'disconnected' })
    await source.until(({ returned }) => returned)
    await vi.waitFor(() => expect(statuses).toEqual([status]))
    expect(onAppError).not.toHaveBeenCalled()
  })

  it('is told of the errors of other middleware, and the run ends', async () => {
    const app = new Koa()
    const onAppError = vi.fn()
    app.on('error', onAppError)
    const thrown = Object.assign(new Error('no session'), { status: 503 })
    app.use(async (_, next) => {
      await next()
      throw thrown
    })
    const source = stalling(['Hello'])
    const onEnd = vi.fn()
    app.use((ctx) => relay(ctx, source, { onEnd, onError() {} }))
    const response = await fetch(await listening(app.callback()))
    expect([response.status, await response.text()]).toEqual([503, 'Service Unavailable'])
    expect(onAppError.mock.calls.map(([error]) => error)).toEqual([thrown])
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'error', error: { code: 'response-used' } })
    await source.until(({ returned }) => returned)
  })

  it('may put another body in its place, and the run ends with an error that says so', async () => {
    const app = new Koa()
    app.use(async (ctx, next) => {
      await next()
      ctx.body = { mine: true }
    })
    const source = stalling(['Hello'])
    const onEnd = vi.fn()
    const onError = vi.fn()
    app.use((ctx) => relay(ctx, source, { onEnd, onError }))
    const response = await fetch(await listening(app.callback()))
    expect(await response.json()).toEqual({ mine: true })
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'error' })
    const message = expect.stringContaining('put another answer in its place')
    expect(onError.mock.calls).toMatchObject([[{ code: 'response-used', message }, {}]])
    await source.until(({ returned }) => returned)
  })

  it('answers 404 for a relay that nobody waits for, and the run ends with an error that says so', async () => {
    const app = new Koa()
    const source = stalling<string>([])
    const onEnd = vi.fn()
    const onError = vi.fn()
    app.use((ctx) => void relay(ctx, source, { onEnd, onError }))
    expect((await fetch(await listening(app.callback()))).status).toBe(404)
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'error' })
    const message = expect.stringContaining('return what relay returns, or await it')
    expect(onError.mock.calls).toMatchObject([[{ code: 'response-used', message }, {}]])
    await source.until(({ returned }) => returned)
  })

  it('leaves a response alone that Koa was told not to answer', async () => {
    const app = new Koa()
    const source = vi.fn(() => tokens('Hello'))
    const onError = vi.fn()
    app.use(async (ctx) => {
      ctx.respond = false
      await relay(ctx, source, { onError })
      ctx.res.statusCode = 202
      ctx.res.end('mine')
    })
    const response = await fetch(await listening(app.callback()))
    expect([response.status, await response.text()]).toEqual([202, 'mine'])
    expect(onError).toHaveBeenCalledOnce()
    expect(onError.mock.lastCall?.[0]).toMatchObject({ code: 'response-used' })
    expect(source).not.toHaveBeenCalled()
  })

  it('resumes a run whose reader left, from the event after the last one it had', async () => {
    const app = new Koa()
    const log = createMemoryLog()
    onTestFinished(() => log.close())
    const feed = new Feed('Hello')
    const options = { log, owner: 'me' }
    app.use((ctx) => (ctx.method === 'POST' ? relay(ctx, feed.source, options) : resume(ctx, options)))
    const url = await listening(app.callback())
    const client = openClient(url, { method: 'POST' })
    await client.until(frame('Hello'))
    client.leave()
    feed.push(' there')
    feed.end()
    const runId = (await client.headers)['x-run-id']
    const rest = await collect(await fetch(url, { headers: { 'last-event-id': `${runId}:1` } }))
    expect(rest).toMatchObject({ outcome: 'done', text: ' there', status: 200 })
    const after = await fetch(url, { headers: { 'last-event-id': `${runId}:3` } })
    expect([after.status, await after.text()]).toEqual([204, ''])
    expect((await fetch(url, { headers: { 'last-event-id': `${'0'.repeat(32)}:1` } })).status).toBe(404)
  })

  it('relays over HTTP/2', async () => {
    const app = new Koa()
    app.use((ctx) => relay(ctx, () => tokens('Hello there', { everyMs: 1 })))
    const url = await listening(createHttp2Server(app.callback() as never))
    const client = openClient(url, { httpVersion: '2' })
    expect(await client.closed).toMatchObject({ complete: true })
    expect(await client.status).toBe(200)
    expect(client.received).toBe(frame('Hello') + frame(' there') + SENTINEL)
  })
})

// Koa 2 answers none, whatever the body is.
it('says of a HEAD over HTTP/2 that it was answered', async () => {
  const app = new Koa3()
  const onClose = vi.fn()
  app.use((ctx) => relay(ctx, () => tokens('never'), { onClose }))
  const url = await listening(createHttp2Server(app.callback() as never))
  const client = openClient(url, { httpVersion: '2', method: 'HEAD' })
  expect(await client.status).toBe(200)
  await vi.waitFor(() => expect(onClose).toHaveBeenCalledOnce())
  expect(onClose.mock.lastCall?.[0]).toMatchObject({ outcome: 'done', status: 200 })
})
