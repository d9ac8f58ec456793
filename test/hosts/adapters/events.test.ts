import { EventSource } from 'eventsource'
import type { SourceContext } from 'sse-relay'
import { collect, throwing, tokens } from 'sse-relay/testing'
import { describe, expect, it, vi } from 'vitest'
import {
  answerTo,
  ask,
  cleanups,
  failureIn,
  feed,
  frame,
  open,
  overHosts,
  post,
  relaying,
  SENTINEL,
  serving,
  within,
} from './harness.js'

overHosts((host) => {
  const http1 = host.httpVersion === '1.1'

  describe('heartbeats', () => {
    it('are comments while the source is silent', async () => {
      const { source, push, end } = feed<string>()
      const running = await relaying(host, source, { heartbeatMs: 15 })
      const client = open(host, running)
      expect(await client.until(': \n: \n: \n')).toMatch(/^(: \n)+$/)
      push('Hello')
      await client.until((received) => received.includes(`${frame('Hello')}: \n`))
      end()
      const { body } = await answerTo(client)
      expect(body).toMatch(/^(: \n){3,}data: {"text":"Hello"}\n\n(: \n)+data: \[DONE\]\n\n$/)
      expect(await running.ended()).toMatchObject({ outcome: 'done', events: 1 })
    })

    it('begin before the source function has answered', async () => {
      const source = ({ signal }: SourceContext) =>
        new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      const running = await relaying(host, source, { heartbeatMs: 15 })
      const client = open(host, running, post())
      await client.until(': \n: \n')
      client.leave()
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected', events: 0 })
    })

    it('are never inside an event', async () => {
      const { source, push, end } = feed<string>()
      const running = await relaying(host, source, { heartbeatMs: 3 })
      const client = open(host, running)
      // Each event takes many packets, and the next comes while heartbeats do.
      for (let count = 1; count <= 5; count++) {
        push('x'.repeat(300_000))
        await client.until((received) => received.split('x"}').length > count && received.endsWith(': \n'))
      }
      end()
      const { body } = await answerTo(client)
      expect(body).toMatch(/^(?:: \n|data: [^\n]*\n\n)+$/)
      expect((await collect(body)).text.length).toBe(5 * 300_000)
    })
  })

  describe('events of the source’s own', () => {
    it('pass through', async () => {
      const source = () => ['Hello', { event: 'citation', data: { url: '/a' }, id: '5', retry: 10 }, { data: 'plain' }]
      const running = await relaying(host, source)
      expect((await ask(host, running)).body).toBe(
        `${frame('Hello')}event: citation\nid: 5\nretry: 10\ndata: {"url":"/a"}\n\ndata: plain\n\n${SENTINEL}`,
      )
      expect(await running.ended()).toMatchObject({ events: 3, text: 'Hello' })
    })

    it('have a data line for each line of their data, whatever ends it', async () => {
      const running = await relaying(host, () => [{ data: 'a\nb\rc\r\nd\r\r\n' }])
      const { body } = await ask(host, running)
      expect(body).toBe(`data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: \n\n${SENTINEL}`)
      expect((await collect(body)).events).toEqual([{ data: 'a\nb\nc\nd\n\n' }])
    })

    it('text cannot forge one', async () => {
      const forged = '\n\nevent: error\ndata: no\r\rdata: [DONE]\n\n'
      const running = await relaying(host, () => [forged, { type: 'text', text: forged }, forged])
      const { events, outcome, text } = await collect((await ask(host, running)).body)
      expect({ count: events.length, outcome, text }).toEqual({ count: 3, outcome: 'done', text: forged.repeat(3) })
    })

    it('objects the library does not know are data', async () => {
      const running = await relaying(host, () => ['Hello', { temperature: 1 }])
      expect((await ask(host, running)).body).toBe(
        `${frame('Hello')}event: data\ndata: {"temperature":1}\n\n${SENTINEL}`,
      )
    })

    it.each([
      ['a line break in event', { event: 'a\nb', data: 1 }],
      ['a CR in event', { event: 'a\rb', data: 1 }],
      ['a line break in id', { id: '1\n', data: 1 }],
      ['NUL in id', { id: '1\0', data: 1 }],
      ['a negative retry', { retry: -1, data: 1 }],
      ['a retry that is no integer', { retry: 1.5, data: 1 }],
      ['an event that is no string', { event: 7, data: 1 }],
      ['the name error', { event: 'error', data: 1 }],
      ['the sentinel as data', { data: '[DONE]' }],
      ['a data part named error', { type: 'data', name: 'error', data: 1 }],
    ])('%s is invalid-field', async (_, chunk) => {
      const onError = vi.fn()
      const early = await relaying(host, () => [chunk], { onError })
      const refused = await ask(host, early)
      expect(refused.status).toBe(500)
      expect(JSON.parse(refused.body).error).toMatchObject({ code: 'invalid-field', retryable: false })
      const late = await relaying(host, () => ['Hello', chunk, 'never'], { onError })
      const { status, body } = await ask(host, late)
      expect(status).toBe(200)
      expect(failureIn(body)?.code).toBe('invalid-field')
      expect(body).not.toContain('[DONE]')
      expect(body).not.toContain('never')
      expect(onError).toHaveBeenCalledTimes(2)
      expect(await late.ended()).toMatchObject({ outcome: 'error', error: onError.mock.lastCall?.[0], events: 1 })
    })
  })

  it('retryMs is a retry field before the first event', async () => {
    const running = await relaying(host, () => tokens('Hello'), { retryMs: 1234 })
    const retries: number[] = []
    const { body } = await ask(host, running)
    expect(body).toBe(`retry: 1234\n${frame('Hello')}${SENTINEL}`)
    const { events, outcome } = await collect(body, { onRetry: (ms) => retries.push(ms) })
    expect({ retries, events, outcome }).toEqual({
      retries: [1234],
      events: [{ data: '{"text":"Hello"}' }],
      outcome: 'done',
    })
  })

  describe('an EventSource', () => {
    const accept = { accept: 'text/event-stream' }

    it('on a GET is told at the sentinel that there is nothing more', async () => {
      const running = await relaying(host, () => tokens('Hello'))
      const { body } = await ask(host, running, { headers: accept })
      const { runId } = await running.ended()
      expect(body).toBe(`${frame('Hello')}id: ${runId}:end\n${SENTINEL}`)
    })

    it('on a GET is told at an error frame that there is nothing more', async () => {
      const running = await relaying(host, () => throwing(new Error('bug'), ['Hello']), { onError() {} })
      const { body } = await ask(host, running, { headers: { accept: 'text/html, text/event-stream;q=0.9' } })
      const { runId } = await running.ended()
      expect(body.startsWith(`${frame('Hello')}id: ${runId}:end\nevent: error\n`)).toBe(true)
      expect((await collect(body)).error?.lastEventId).toBe(`${runId}:end`)
    })

    it('neither a POST nor a GET that accepts something else has ids', async () => {
      const running = await relaying(host, () => tokens('Hello'))
      const body = frame('Hello') + SENTINEL
      expect(await ask(host, running, { ...post(), headers: accept })).toMatchObject({ body })
      expect(await ask(host, running, { headers: { accept: 'application/json' } })).toMatchObject({ body })
    })

    it('that comes back with this id is answered 204, and the source is not asked', async () => {
      const source = vi.fn(() => tokens('Hello'))
      const running = await serving(host, { source })
      const headers = { ...accept, 'last-event-id': `${'0123456789abcdef'.repeat(2)}:end` }
      for (const request of [{ headers }, { ...post(), headers }]) {
        expect(await ask(host, running, request)).toMatchObject({
          status: 204,
          body: '',
          headers: { 'cache-control': 'no-store, no-transform' },
        })
      }
      expect(source).not.toHaveBeenCalled()
    })

    it.each([
      ['7', '7'],
      ['tag:end', 'tag:end'],
      [Buffer.from('naïve 日本🚀').toString('latin1'), 'naïve 日本🚀'],
    ])('any other id reaches the source function: %j', async (sent, lastEventId) => {
      const source = vi.fn((_: SourceContext) => tokens('Hello'))
      const running = await relaying(host, source)
      expect(await ask(host, running, { headers: { 'last-event-id': sent } })).toMatchObject({ status: 200 })
      expect(source.mock.lastCall?.[0].lastEventId).toBe(lastEventId)
    })

    if (http1) {
      it.each([
        ['is over', () => tokens('Hello')],
        ['has failed', () => throwing(new Error('bug'), ['Hello'])],
      ])('does not run the prompt again when the answer %s', async (_, answer) => {
        const source = vi.fn(answer)
        const running = await serving(host, { source, options: { retryMs: 1, onError() {} } })
        const eventSource = new EventSource(running.url)
        cleanups.push(() => eventSource.close())
        const closed = new Promise<void>((resolve) => {
          eventSource.addEventListener('error', () => {
            if (eventSource.readyState === EventSource.CLOSED) resolve()
          })
        })
        await within(closed, 'the EventSource has given up')
        expect(running.calls).toHaveLength(2)
        expect(source).toHaveBeenCalledOnce()
      })
    }
  })
})
