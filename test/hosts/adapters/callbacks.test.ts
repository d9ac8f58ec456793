import { RelayError } from 'sse-relay'
import { parts, raw, text } from 'sse-relay/protocols'
import { flooding, throwing, tokens } from 'sse-relay/testing'
import { describe, expect, it, vi } from 'vitest'
import { HANDLED } from '../hosts.js'
import {
  ask,
  failureIn,
  frame,
  fulfilled,
  logged,
  MB,
  overHosts,
  post,
  RUN_ID,
  relaying,
  SECRET,
  SENTINEL,
  setsEarlier,
  within,
} from './harness.js'

overHosts((host) => {
  describe('secrets', () => {
    function secretive() {
      const error = new Error(`No: ${SECRET}`, { cause: new Error(SECRET) })
      error.stack = `Error: ${SECRET}\n    at secret.ts`
      return Object.assign(error, {
        status: 401,
        headers: { authorization: SECRET, 'x-request-id': SECRET, 'retry-after': SECRET },
        error: { message: SECRET },
        requestID: SECRET,
        code: SECRET,
        type: SECRET,
      })
    }

    it.each([
      ['before the first event', []],
      ['after the first event', ['Hello']],
    ])('never reach the client %s, and the original reaches onError once', async (_, chunks) => {
      const error = secretive()
      for (const protocol of [text(), parts(), raw()]) {
        const onError = vi.fn()
        const running = await relaying(host, () => throwing(error, chunks), { onError, protocol })
        expect(JSON.stringify(await ask(host, running))).not.toContain(SECRET)
        expect(onError).toHaveBeenCalledOnce()
        expect(onError.mock.lastCall?.[0]).toBe(error)
        expect((await running.ended()).error).toBe(error)
      }
    })

    it('without onError the original reaches console.error once', async () => {
      const error = secretive()
      const running = await relaying(host, () => throwing(error))
      expect(JSON.stringify(await ask(host, running))).not.toContain(SECRET)
      expect(logged.splice(0)).toEqual([error])
      const late = await relaying(host, () => throwing(error, ['Hello']))
      expect(JSON.stringify(await ask(host, late))).not.toContain(SECRET)
      expect(logged.splice(0)).toEqual([error])
    })

    it('what a RelayError of an upstream says is the upstream’s', async () => {
      const error = new RelayError('overload', SECRET, { status: 503, body: SECRET })
      const running = await relaying(host, () => throwing(error), { onError() {} })
      const answer = await ask(host, running)
      expect(answer.status).toBe(503)
      expect(JSON.stringify(answer)).not.toContain(SECRET)
    })
  })

  describe('onError', () => {
    const shown = { status: 402, code: 'no-credit', message: 'Please top up', retryable: true }

    it('decides what is shown before anything was sent', async () => {
      const running = await relaying(host, () => throwing(new Error(SECRET)), { onError: () => shown })
      const { status, body } = await ask(host, running)
      expect(status).toBe(402)
      expect(JSON.parse(body)).toEqual({ error: { code: 'no-credit', message: 'Please top up', retryable: true } })
    })

    it('decides what is shown after something was sent', async () => {
      const running = await relaying(host, () => throwing(new Error(SECRET), ['Hello']), { onError: () => shown })
      const { status, body } = await ask(host, running)
      expect(status).toBe(200)
      expect(failureIn(body)).toEqual({ code: 'no-credit', message: 'Please top up', retryable: true })
    })

    it('shows the rest of the usual when it returns a part', async () => {
      const onError = () => ({ message: 'Come back later' })
      const running = await relaying(host, () => throwing(Object.assign(new Error(), { status: 429 })), { onError })
      const { status, body } = await ask(host, running)
      expect(status).toBe(429)
      expect(JSON.parse(body).error).toEqual({ code: 'rate-limit', message: 'Come back later', retryable: true })
    })

    it.each([[{ status: 200 }], [{ status: 99 }], [{ status: '402' }], [{ code: 7, message: {} }], ['no'], [null]])(
      'cannot break the answer by returning %j',
      async (value) => {
        const running = await relaying(host, () => throwing(new Error(SECRET)), { onError: () => value as never })
        const { status, body } = await ask(host, running)
        expect(status).toBe(500)
        expect(JSON.parse(body).error).toMatchObject({ code: 'internal', message: expect.any(String) })
      },
    )

    it('that throws before anything was sent leaves the response to the host’s error handling', async () => {
      const error = new Error(SECRET)
      const onError = () => {
        throw error
      }
      const running = await relaying(host, () => throwing(error), { onError }, { headers: [['x-early', '1']] })
      const answer = await ask(host, running, post())
      expect(answer).toMatchObject(HANDLED)
      expect(running.errors).toEqual([error])
      if (setsEarlier(host)) expect(answer.headers['x-early']).toBe('1')
      expect(answer.headers).not.toHaveProperty('x-accel-buffering')
      const { settled } = await running.call()
      // Express 4 takes no notice of a handler's promise, so there it must not reject.
      if (host.name.startsWith('express')) expect(await settled).toMatchObject({ status: 'fulfilled' })
      else expect(await settled).toMatchObject({ status: 'rejected', reason: error })
      expect(await running.ended()).toMatchObject({ outcome: 'error', error })
    })

    it('that throws after something was sent is written to the console, and the client is told', async () => {
      const thrown = new Error('in onError')
      const onError = () => {
        throw thrown
      }
      const running = await relaying(host, () => throwing(new Error(SECRET), ['Hello']), { onError })
      const { body, complete } = await ask(host, running)
      expect(complete).toBe(true)
      expect(failureIn(body)).toMatchObject({ code: 'internal' })
      expect(logged.splice(0)).toEqual([thrown])
      expect(running.errors).toEqual([])
    })

    it('that rejects does not end the process', async () => {
      const rejection = new Error('in onError')
      const onError = (() => Promise.reject(rejection)) as never
      const running = await relaying(host, () => throwing(new Error(SECRET)), { onError })
      expect((await ask(host, running)).status).toBe(500)
      expect(logged.splice(0)).toEqual([rejection])
    })
  })

  describe('onEnd', () => {
    it('is not waited for, and what it rejects with goes to onError', async () => {
      const failure = new Error('in onEnd')
      let reject: (error: Error) => void = () => {}
      const onEnd = () =>
        new Promise((_, no) => {
          reject = no
        })
      const onError = vi.fn()
      const running = await relaying(host, () => tokens('Hello'), { onEnd, onError })
      expect(await ask(host, running)).toMatchObject({ complete: true, body: frame('Hello') + SENTINEL })
      await fulfilled(await running.call())
      expect(onError).not.toHaveBeenCalled()
      reject(failure)
      await vi.waitFor(() => expect(onError).toHaveBeenCalledOnce())
      expect(onError).toHaveBeenCalledWith(failure, { runId: expect.stringMatching(RUN_ID), sent: true })
    })

    it('that throws reaches the console without onError', async () => {
      const failure = new Error('in onEnd')
      const onEnd = () => {
        throw failure
      }
      const running = await relaying(host, () => tokens('Hello'), { onEnd })
      expect(await ask(host, running)).toMatchObject({ complete: true, body: frame('Hello') + SENTINEL })
      await vi.waitFor(() => expect(logged).toHaveLength(1))
      expect(logged.splice(0)).toEqual([failure])
    })

    it('is given at most 1 MiB of text', async () => {
      const running = await relaying(host, () => flooding({ chunkSize: 50_000, total: 2 * MB }))
      expect((await ask(host, running)).complete).toBe(true)
      expect((await running.ended()).text).toHaveLength(MB)
    })
  })

  it('waitUntil is given the end of the run, onEnd included', async () => {
    const promises: Promise<unknown>[] = []
    let finish: () => void = () => {}
    const onEnd = () =>
      new Promise<void>((resolve) => {
        finish = resolve
      })
    const waitUntil = (promise: Promise<unknown>) => void promises.push(promise)
    const running = await relaying(host, () => tokens('Hello'), { onEnd, waitUntil })
    await ask(host, running)
    expect(promises).toHaveLength(1)
    let over = false
    promises[0]?.then(() => {
      over = true
    })
    await new Promise(setImmediate)
    expect(over).toBe(false)
    finish()
    await within(promises[0] as Promise<unknown>, 'the promise of waitUntil is settled')

    const failing = await relaying(host, () => throwing(new Error('bug'), ['Hello']), {
      waitUntil,
      onError() {},
      onEnd: () => Promise.reject(new Error('in onEnd')),
    })
    await ask(host, failing)
    await within(promises[1] as Promise<unknown>, 'the promise of waitUntil is settled')
  })
})
