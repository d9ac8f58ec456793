import { setTimeout as sleep } from 'node:timers/promises'
import { text } from 'sse-relay/protocols'
import { collect, flooding, tokens } from 'sse-relay/testing'
import { describe, expect, it, vi } from 'vitest'
import {
  answerTo,
  failureIn,
  frame,
  logged,
  MB,
  memory,
  open,
  overHosts,
  post,
  relaying,
  within,
  writes,
} from './harness.js'

overHosts((host) => {
  describe('backpressure', () => {
    /** Resolves when the source was asked for nothing more in a while: the client's machine and ours are full. */
    async function quiet(source: { produced: number }): Promise<void> {
      for (let same = 0, before = -1; same < 3; before = source.produced) {
        await sleep(30)
        same = source.produced > 0 && source.produced === before ? same + 1 : 0
      }
    }

    it('a client that reads nothing costs little of 200 MB, and is dropped', async ({ annotate }) => {
      const source = flooding({ chunkSize: 65_536, total: 200 * MB })
      // What earlier tests left goes in a few turns.
      let before = memory()
      for (let last = Infinity; last - before > 65_536; before = Math.min(before, memory())) {
        last = before
        await sleep(20)
      }
      let peak = -Infinity
      const running = await relaying(host, () => source, { stallTimeoutMs: 500, onError() {} })
      const client = open(host, running, post())
      client.pause()
      while (running.ends.length === 0) {
        await sleep(60)
        peak = Math.max(peak, memory() - before)
      }
      const summary = await running.ended()
      expect(summary).toMatchObject({ outcome: 'stalled' })
      expect(summary.durationMs).toBeGreaterThanOrEqual(500)
      expect(summary.durationMs).toBeLessThan(5000)
      await source.until(({ returned, pending }) => returned && !pending)
      annotate(`${(source.produced / MB).toFixed(2)} MB asked for, ${(peak / MB).toFixed(2)} MB of memory at most`)
      // The buffers of two sockets in the kernel take a few MB, which are nobody's heap.
      expect(source.produced).toBeLessThan(8 * MB)
      expect(peak).toBeLessThan(8 * MB)
      client.resume()
      expect(await within(client.closed, 'the client was dropped')).toMatchObject({ complete: false })
      expect(client.received).not.toContain('[DONE]')
      // The server of the fetch hosts writes the error of a dropped body to the console.
      if (!writes(host)) logged.splice(0)
    })

    it('a client that reads on gets everything', async () => {
      const source = flooding({ chunkSize: 65_536, total: 16 * MB })
      const running = await relaying(host, () => source)
      const client = open(host, running)
      client.pause()
      await quiet(source)
      expect(source.produced).toBeLessThan(12 * MB)
      client.resume()
      const { body, complete } = await answerTo(client)
      expect(complete).toBe(true)
      const { text, outcome } = await collect(body)
      expect(outcome).toBe('done')
      expect(text.length).toBe(16 * MB)
    })

    it.each([256, 65_536])(
      'a source of %i characters a time that is always ready, and a client that takes all, let others come to their turn',
      async (chunkSize) => {
        const source = flooding({ chunkSize, total: 8 * MB })
        const running = await relaying(host, () => source)
        const client = open(host, running)
        const answer = answerTo(client)
        let over = false
        client.closed.then(() => (over = true))
        let most = 0
        for (let before = 0; !over; before = source.produced) {
          await new Promise((resolve) => setImmediate(resolve))
          most = Math.max(most, source.produced - before)
        }
        expect((await collect((await answer).body)).outcome).toBe('done')
        expect(most).toBeLessThan(MB)
      },
    )

    it('the wait ends when the client leaves', async () => {
      const source = flooding({ chunkSize: 65_536, total: 200 * MB })
      const running = await relaying(host, () => source)
      const client = open(host, running)
      client.pause()
      await quiet(source)
      client.leave()
      expect(await running.ended()).toMatchObject({ outcome: 'disconnected' })
      await source.until(({ returned }) => returned)
    })

    it('the wait ends when the run is stopped', async () => {
      const source = flooding({ chunkSize: 65_536, total: 200 * MB })
      const stop = new AbortController()
      const running = await relaying(host, () => source, { signal: stop.signal })
      const client = open(host, running)
      client.pause()
      await quiet(source)
      stop.abort()
      expect(await running.ended()).toMatchObject({ outcome: 'stopped' })
      await source.until(({ returned }) => returned)
      client.resume()
      const { body, complete } = await answerTo(client)
      expect(complete).toBe(true)
      expect(failureIn(body)?.code).toBe('stopped')
    })

    it('a client that does not take all of one large event is dropped too', async () => {
      const running = await relaying(host, () => ['x'.repeat(30 * MB)], { stallTimeoutMs: 300, onError() {} })
      const client = open(host, running)
      client.pause()
      // A fetch host takes an event whole, and then no sentinel.
      expect(await running.ended()).toMatchObject({ outcome: writes(host) ? 'stalled' : 'done', events: 1 })
      await vi.waitFor(() => expect(running.connections).toBe(0), { timeout: 10_000 })
      client.resume()
      expect(await within(client.closed, 'the client was dropped')).toMatchObject({ complete: false })
      if (!writes(host)) logged.splice(0)
    })

    if (writes(host)) {
      // What a fetch host has taken is out of our hands.
      it('a client that does not take the end is dropped too, though the answer is done', async () => {
        const large = { ...text().encoder({ runId: '' }), end: () => frame('x'.repeat(30 * MB)) }
        const protocol = { name: 'large', encoder: () => large }
        const running = await relaying(host, () => tokens('Hello'), { protocol, stallTimeoutMs: 300 })
        const client = open(host, running)
        client.pause()
        expect(await running.ended()).toMatchObject({ outcome: 'done' })
        await vi.waitFor(() => expect(running.connections).toBe(0), { timeout: 10_000 })
        client.resume()
        expect(await within(client.closed, 'the client was dropped')).toMatchObject({ complete: false })
      })
    }
  })
})
