import { get } from 'node:http'
import { createGunzip } from 'node:zlib'
import { text } from 'sse-relay/protocols'
import { throwing, tokens } from 'sse-relay/testing'
import { describe, expect, it, vi } from 'vitest'
import {
  answerTo,
  ask,
  chat,
  closedAfter,
  failureIn,
  feed,
  frame,
  fulfilled,
  open,
  overHosts,
  relaying,
  SECRET,
  SENTINEL,
  serving,
  setsEarlier,
  upstream,
  within,
  writes,
} from './harness.js'

overHosts((host) => {
  const http1 = host.httpVersion === '1.1'

  describe('the commit', () => {
    it('comes with the first event, while the source goes on', async () => {
      const { source, push, end } = feed('Hello')
      const running = await relaying(host, source)
      const client = open(host, running)
      expect(await client.status).toBe(200)
      expect(await client.until(frame('Hello'))).toBe(frame('Hello'))
      push(' there')
      await client.until(frame(' there'))
      end()
      expect(await answerTo(client)).toMatchObject({
        complete: true,
        body: frame('Hello') + frame(' there') + SENTINEL,
      })
    })

    it('comes with the first heartbeat, and then a failure is an event', async () => {
      const { source, fail } = feed()
      const running = await relaying(host, source, { heartbeatMs: 20, onError: () => {} })
      const client = open(host, running)
      await client.until(': \n')
      expect(await client.status).toBe(200)
      fail(Object.assign(new Error(SECRET), { status: 429 }))
      const { body, complete } = await answerTo(client)
      expect(failureIn(body)).toMatchObject({ code: 'rate-limit' })
      expect(body).toMatch(/^(: \n)+event: error\n/)
      expect(complete).toBe(true)
    })

    it('waits for the first part, so that what fails before has a status of its own', async () => {
      const overloaded = Object.assign(new Error('busy'), { status: 429 })
      const running = await relaying(host, () => throwing(overloaded, ['', chat(''), undefined, '']), {
        onError: () => {},
      })
      const { status, headers, body } = await ask(host, running)
      expect(status).toBe(429)
      expect(headers['content-type']).toBe('application/json; charset=utf-8')
      expect(JSON.parse(body)).toEqual({
        error: { code: 'rate-limit', message: expect.any(String), retryable: true },
      })
    })
  })

  describe('the headers', () => {
    it('are those of an event stream that nobody stores, transforms or buffers', async () => {
      const running = await relaying(host, () => tokens('Hello'))
      const { status, headers } = await ask(host, running)
      expect(status).toBe(200)
      expect(headers).toMatchObject({
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
      })
      if (host.httpVersion === '2') {
        expect(headers).not.toHaveProperty('connection')
        expect(headers).not.toHaveProperty('transfer-encoding')
      }
    })

    it('leave the connection to the host, whatever the options say', async () => {
      const headers = { connection: 'close', 'transfer-encoding': 'chunked', 'keep-alive': 'timeout=1', 'x-model': 'm' }
      const running = await relaying(host, () => tokens('Hello'), { headers })
      const answer = await ask(host, running)
      expect(answer).toMatchObject({ status: 200, complete: true, headers: { 'x-model': 'm' } })
      expect(answer.headers['keep-alive']).not.toBe('timeout=1')
      if (!writes(host)) {
        const response = (await fulfilled(await running.call())) as Response
        expect(response.headers.has('connection')).toBe(false)
        expect(response.headers.has('transfer-encoding')).toBe(false)
      }
    })

    const EARLIER: [string, string][] = [
      ['access-control-allow-origin', 'https://app.example'],
      ['set-cookie', 'session=1; Path=/'],
      ['set-cookie', 'theme=dark'],
    ]
    const kept = {
      'access-control-allow-origin': 'https://app.example',
      'set-cookie': 'session=1; Path=/, theme=dark',
    }

    it('that the host set earlier are kept on a stream', async () => {
      const running = await relaying(host, () => tokens('Hello'), {}, { headers: EARLIER })
      expect(await ask(host, running)).toMatchObject({ status: 200, headers: kept, complete: true })
    })

    it('that the host set earlier are kept on a failure', async () => {
      const running = await relaying(host, () => throwing(new Error('bug')), { onError() {} }, { headers: EARLIER })
      expect(await ask(host, running)).toMatchObject({
        status: 500,
        headers: { ...kept, 'content-type': 'application/json; charset=utf-8' },
      })
    })

    it('that the host set earlier are kept on HEAD and on 204', async () => {
      const running = await serving(host, { source: () => tokens('Hello'), headers: EARLIER })
      expect(await ask(host, running, { method: 'HEAD' })).toMatchObject({ status: 200, headers: kept })
      const over = { 'last-event-id': `${'a'.repeat(32)}:end` }
      expect(await ask(host, running, { headers: over })).toMatchObject({ status: 204, headers: kept })
    })

    if (setsEarlier(host)) {
      it('a length set earlier does not cut the stream', async () => {
        const running = await relaying(host, () => tokens('Hello there'), {}, { headers: [['content-length', '5']] })
        expect(await ask(host, running)).toMatchObject({ complete: true, body: expect.stringContaining(SENTINEL) })
      })
    }

    it('of the options win over those of the library, but for content-type', async () => {
      const headers = { 'Cache-Control': 'private', 'X-Model': 'small', 'content-type': 'text/plain' }
      const running = await relaying(host, () => tokens('Hello'), { headers })
      expect((await ask(host, running)).headers).toMatchObject({
        'cache-control': 'private',
        'x-model': 'small',
        'content-type': 'text/event-stream; charset=utf-8',
        'x-accel-buffering': 'no',
      })
    })

    it('of the options are on a failure too', async () => {
      const headers = new Headers({ 'cache-control': 'private', 'x-model': 'small', 'content-type': 'text/plain' })
      const running = await relaying(host, () => throwing(new Error('bug')), { headers, onError() {} })
      expect((await ask(host, running)).headers).toMatchObject({
        'cache-control': 'private',
        'x-model': 'small',
        'content-type': 'application/json; charset=utf-8',
      })
    })

    if (setsEarlier(host)) {
      it('of the options win over those the host set earlier', async () => {
        const options = { headers: [['x-model', 'small']] as const }
        const running = await relaying(host, () => tokens('Hello'), options, { headers: [['x-model', 'large']] })
        expect((await ask(host, running)).headers['x-model']).toBe('small')
      })
    }

    it('of the options hold several cookies, and lose none of the host', async () => {
      const headers: [string, string][] = [
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
      ]
      const running = await relaying(host, () => tokens('Hello'), { headers }, { headers: [['set-cookie', 'c=3']] })
      const cookies = (await ask(host, running)).headers['set-cookie']?.split(', ').sort()
      expect(cookies).toEqual(['a=1', 'b=2', 'c=3'])
    })

    it('of the protocol are sent', async () => {
      const protocol = { ...text(), headers: { 'x-dialect': 'text' } }
      const running = await relaying(host, () => tokens('Hello'), { protocol })
      expect((await ask(host, running)).headers['x-dialect']).toBe('text')
    })
  })

  describe('HEAD', () => {
    it('is answered with the headers only, and never calls the source', async () => {
      const source = vi.fn(() => tokens('Hello'))
      const running = await serving(host, { source })
      expect(await ask(host, running, { method: 'HEAD' })).toMatchObject({
        status: 200,
        headers: {
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-store, no-transform',
          'x-accel-buffering': 'no',
        },
        body: '',
      })
      expect(source).not.toHaveBeenCalled()
    })

    it('lets go of a source that was handed in without a function', async () => {
      const source = tokens('Hello')
      const running = await serving(host, { source })
      await ask(host, running, { method: 'HEAD' })
      await source.until(({ returned }) => returned)
      expect(source.pulled).toBe(0)
    })
  })

  if (host.middleware.compression) {
    describe('compression in front', () => {
      it('is told not to transform, so tokens go out one by one', async () => {
        const { source, push, end } = feed('Hello')
        const running = await relaying(host, source, {}, { middleware: ['compression'] })
        const client = open(host, running, { headers: { 'accept-encoding': 'gzip, br' } })
        await client.until(frame('Hello'))
        expect(await client.headers).not.toHaveProperty('content-encoding')
        push(' there')
        await client.until(frame(' there'))
        end()
        expect(await answerTo(client)).toMatchObject({
          complete: true,
          body: frame('Hello') + frame(' there') + SENTINEL,
        })
      })

      it('loses no client that leaves', async ({ annotate }) => {
        const { upstream: provider, openai } = await upstream({ stallAfter: 3 })
        const asked = provider.request()
        const running = await relaying(host, openai, { heartbeatMs: 0 }, { middleware: ['compression'] })
        const client = open(host, running, { headers: { 'accept-encoding': 'gzip, br' } })
        await client.until(frame('Hello'))
        annotate(await closedAfter(await asked, () => client.leave()))
        expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
      })

      if (http1) {
        it('is flushed where the headers of the options let it transform', async () => {
          const { source, push, end } = feed('Hello')
          const headers = { 'cache-control': 'no-cache' }
          const running = await relaying(host, source, { headers }, { middleware: ['compression'] })
          let received = ''
          let changed = () => {}
          const over = new Promise<void>((resolve, reject) => {
            get(running.url, { headers: { 'accept-encoding': 'gzip' } }, (response) => {
              const body = response.headers['content-encoding'] ? response.pipe(createGunzip()) : response
              body.on('data', (bytes) => {
                received += bytes
                changed()
              })
              body.on('end', resolve)
              body.on('error', reject)
            }).on('error', reject)
          })
          const until = async (expected: string) => {
            while (!received.includes(expected))
              await new Promise<void>((resolve) => {
                changed = resolve
              })
          }
          await within(until(frame('Hello')), 'the first token has come')
          push(' there')
          await within(until(frame(' there')), 'the second token has come')
          end()
          await within(over, 'the answer is over')
          expect(received).toBe(frame('Hello') + frame(' there') + SENTINEL)
        })
      }
    })
  }
})
