// What a `Response` does without a server: how it is told that the reader left, and when it asks for more.

import { getEventListeners } from 'node:events'
import { Hono } from 'hono'
import { relay as relayHono } from 'sse-relay/hono'
import { openaiChat } from 'sse-relay/protocols'
import { flooding, stalling, throwing, tokens } from 'sse-relay/testing'
import { relay as relayWeb } from 'sse-relay/web'
import { describe, expect, it, onTestFinished, vi } from 'vitest'

const MB = 1024 * 1024
const SENTINEL = 'data: [DONE]\n\n'
const frame = (token: string) => `data: ${JSON.stringify({ text: token })}\n\n`

describe('web without a server', () => {
  const request = (init?: RequestInit) => new Request('http://localhost/', init)

  // First of all: it is said once a process.
  it.each([
    ['forgets the return', (answer: () => Promise<Response>) => void answer(), 1],
    ['waits for relay, and forgets the return', async (answer: () => Promise<Response>) => void (await answer()), 0],
  ])(
    'a handler that %s has answered 404, and its run is stalled; the console says why, once',
    async (_, handler, count) => {
      const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
      onTestFinished(() => warn.mockRestore())
      const onEnd = vi.fn()
      const app = new Hono()
      app.post('/', (c) => handler(() => relayHono(c, tokens('Hello'), { stallTimeoutMs: 20, onEnd })) as never)
      expect((await app.request('/', { method: 'POST' })).status).toBe(404)
      await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
      expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'stalled' })
      expect(warn.mock.calls).toEqual(Array(count).fill([expect.stringMatching(/return what relay returns/)]))
    },
  )

  it('a body that is cancelled is a disconnect, for runtimes that tell it only so', async () => {
    const source = stalling(['Hello'])
    const onEnd = vi.fn()
    const response = await relayWeb(request(), source, { onEnd })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe(frame('Hello'))
    await reader.cancel()
    expect(onEnd).toHaveBeenCalledOnce()
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'disconnected' })
    expect(source.returned).toBe(true)
  })

  it('a request that is aborted is a disconnect, for runtimes that tell it only so, and its body just ends', async () => {
    const client = new AbortController()
    const source = stalling(['Hello'])
    const onEnd = vi.fn()
    const response = await relayWeb(request({ signal: client.signal }), source, { onEnd })
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    client.abort('The client left')
    expect(await reader.read()).toMatchObject({ done: true })
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'disconnected' })
    expect(source.returned).toBe(true)
  })

  it('a body that nobody pulls takes nothing into memory', async () => {
    const source = flooding({ chunkSize: 1024, total: 200 * MB })
    const response = await relayWeb(request(), source)
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate)
    expect(source.produced).toBeLessThan(256 * 1024)
    await response.body?.cancel()
    await source.until(({ returned }) => returned)
  })

  it('a body that nobody pulls is an error after stallTimeoutMs', async () => {
    const source = flooding({ total: 200 * MB })
    const onEnd = vi.fn()
    const response = await relayWeb(request(), source, { stallTimeoutMs: 30, onEnd })
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalledOnce())
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome: 'stalled' })
    await expect(response.text()).rejects.toMatchObject({ code: 'stalled' })
  })

  it.each([
    ['of one token', () => ['Hello'], {}],
    ['of no token', () => [], {}],
    ['that is a promise', async () => tokens('Hello'), {}],
    ['whose frames come at its end', () => tokens('Hello'), { protocol: openaiChat() }],
  ])('an answer %s that nobody reads is stalled, and not done', async (_, source, more) => {
    const onEnd = vi.fn()
    const onClose = vi.fn()
    const asked: unknown[] = []
    const response = await relayWeb(
      request(),
      ({ signal }) => {
        signal.addEventListener('abort', () => asked.push(signal.reason))
        return source() as never
      },
      { ...more, stallTimeoutMs: 20, onEnd, onClose },
    )
    await vi.waitFor(() => expect(onClose).toHaveBeenCalledOnce())
    expect(onEnd.mock.calls).toMatchObject([[{ outcome: 'stalled' }]])
    expect(onClose.mock.calls).toMatchObject([[{ outcome: 'stalled', status: 200 }]])
    expect(asked).toHaveLength(1)
    await expect(response.text()).rejects.toMatchObject({ code: 'stalled' })
  })

  it('an answer that is read late is whole', async () => {
    const response = await relayWeb(request(), () => tokens('Hello there'))
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    expect(await response.text()).toBe(frame('Hello') + frame(' there') + SENTINEL)
  })

  it('a host that throws at the response has its error, and the source is aborted', async () => {
    const source = stalling(['Hello'])
    const onEnd = vi.fn()
    const c = {
      req: { raw: request() },
      header() {},
      newResponse() {
        throw new TypeError('Response body object should not be disturbed or locked')
      },
    }
    await expect(relayHono(c, source, { onEnd })).rejects.toThrow('disturbed or locked')
    expect(onEnd.mock.calls).toMatchObject([[{ outcome: 'disconnected' }]])
    await source.until(({ returned }) => returned)
  })

  it.each([
    ['done', () => tokens('Hello')],
    ['error', () => throwing(new Error('bug'))],
  ])('leaves no listener on the signal of the request after the outcome %s', async (outcome, source) => {
    const client = new AbortController()
    const asked = request({ signal: client.signal })
    const before = getEventListeners(asked.signal, 'abort').length
    const onEnd = vi.fn()
    await (await relayWeb(asked, source, { onEnd, onError() {} })).text()
    expect(onEnd.mock.lastCall?.[0]).toMatchObject({ outcome })
    await new Promise(setImmediate)
    expect(getEventListeners(asked.signal, 'abort').length).toBe(before)
  })

  it('a request whose body was read, or is being read, is left alone', async () => {
    const asked = request({ method: 'POST', body: 'Hello' })
    const source = async () => [await asked.text()]
    expect(await (await relayWeb(asked, source)).text()).toBe(frame('Hello') + SENTINEL)
    expect(await (await relayWeb(asked, () => tokens('again'))).text()).toBe(frame('again') + SENTINEL)
  })
})
