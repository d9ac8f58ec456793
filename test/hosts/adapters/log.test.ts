import type { SourceContext, Summary } from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { expect, it } from 'vitest'
import { feed, open, overHosts, serving } from './harness.js'

const RUN = 'run-over-all-hosts-01'
const DONE = 'data: [DONE]\n\n'
const event = (seq: number, text: string) => `id: ${RUN}:${seq}\ndata: {"text":"${text}"}\n\n`

overHosts((host) => {
  const options = () => ({ log: createMemoryLog(), owner: 'ann', onError: () => {} })
  const named = { method: 'POST', headers: { 'x-run-id': RUN } }
  const from = (seq: number | string) => ({ method: 'GET', headers: { 'last-event-id': `${RUN}:${seq}` } })

  it('a run with a log goes on when its reader leaves, and who comes back reads the rest, once', async () => {
    const { source, push, end } = feed('one')
    const ends: Summary[] = []
    const onEnd = (summary: Summary) => ends.push(summary)
    const running = await serving(host, { source, options: { ...options(), onEnd } })
    const first = open(host, running, named)
    expect((await first.headers)['x-run-id']).toBe(RUN)
    await first.until(event(1, 'one'))
    first.leave()
    await first.closed
    push('two')
    const second = open(host, running, from(1))
    await second.until(event(2, 'two'))
    const third = open(host, running, from(0))
    await third.until(event(2, 'two'))
    push('three')
    end()
    for (const client of [second, third]) expect(await client.closed).toMatchObject({ complete: true })
    expect(second.received).toBe(`${event(2, 'two')}${event(3, 'three')}id: ${RUN}:4\n${DONE}`)
    expect(third.received).toBe(event(1, 'one') + second.received)
    // Of the run, once, however many read it.
    expect(ends).toMatchObject([{ outcome: 'done', events: 3, runId: RUN, text: 'onetwothree' }])
  })

  it('what is asked of a log and not there is answered with 204 and 404, and the source is not called for it', async () => {
    let calls = 0
    const source = () => {
      calls++
      return ['all']
    }
    const running = await serving(host, { source, options: options() })
    await open(host, running, named).closed
    for (const [last, status] of [
      ['2', 204],
      ['end', 204],
      ['1', 200],
    ] as const) {
      const client = open(host, running, from(last))
      expect(await client.status).toBe(status)
      await client.closed
      expect(client.received).toBe(status === 204 ? '' : `id: ${RUN}:2\n${DONE}`)
    }
    const unknown = open(host, running, { headers: { 'last-event-id': 'run-that-never-was-1:3' } })
    expect(await unknown.status).toBe(404)
    await unknown.closed
    expect(JSON.parse(unknown.received)).toMatchObject({ error: { code: 'run-not-found', retryable: false } })
    expect((await unknown.headers)['cache-control']).toBe('no-store, no-transform')
    expect(calls).toBe(1)
  })

  it('a POST that is repeated under the same name follows its run', async () => {
    let calls = 0
    const { source: asked, end } = feed('one')
    const source = (context: SourceContext) => {
      calls++
      return asked(context)
    }
    const running = await serving(host, { source, options: options() })
    const clients = [open(host, running, named), open(host, running, named)]
    for (const client of clients) await client.until(event(1, 'one'))
    end()
    for (const client of clients) await client.closed
    expect(clients.map(({ received }) => received)).toEqual([0, 1].map(() => `${event(1, 'one')}id: ${RUN}:2\n${DONE}`))
    expect(calls).toBe(1)
  })
})
