// How long a lost connection is asked for again: the time without a sign of life, by a fake clock.
import { type FetchSSEOptions, fetchSSE, type RelayError } from 'sse-relay/client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

const RUN = 'run-0123456789abcdef'
const POST = { method: 'POST', body: '{}' }
const END = 'data: [DONE]\n\n'
const frame = (seq: number) => `id: ${RUN}:${seq}\ndata: ${seq}\n\n`
const SECOND = 1000

let window: EventTarget
let navigator: { onLine: boolean }
beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  window = new EventTarget()
  navigator = { onLine: true }
  vi.stubGlobal('navigator', navigator)
  vi.stubGlobal('addEventListener', window.addEventListener.bind(window))
  vi.stubGlobal('removeEventListener', window.removeEventListener.bind(window))
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

/** An event stream that says these at their times, in milliseconds, and ends, is cut, or stays. */
function answer(pieces: [at: number, wire: string][], end?: [at: number, how: 'end' | 'cut']): Response {
  const encoder = new TextEncoder()
  let isOver = false
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const at = (ms: number, act: () => void) => (ms === 0 ? act() : setTimeout(() => isOver || act(), ms))
      for (const [ms, wire] of pieces) at(ms, () => controller.enqueue(encoder.encode(wire)))
      if (!end) return
      const [ms, how] = end
      at(ms, () => {
        isOver = true
        if (how === 'end') controller.close()
        else controller.error(new TypeError('terminated'))
      })
    },
    cancel() {
      isOver = true
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

/** Reads an answer whose first request is cut after one event; `later` answers the others, and may throw. */
async function read(later: (count: number, sinceMs: number) => Response, options: FetchSSEOptions = {}) {
  const began = Date.now()
  const times: number[] = []
  const fetch = async () => {
    times.push(Date.now() - began)
    return times.length === 1 ? answer([[0, frame(1)]], [10, 'cut']) : later(times.length - 1, Date.now() - began)
  }
  const stream = fetchSSE('/api/chat', { ...POST, ...options, fetch })
  const seen: string[] = []
  let error: RelayError | undefined
  const reading = (async () => {
    try {
      for await (const { data } of stream) seen.push(data)
    } catch (thrown) {
      error = thrown as RelayError
    }
  })()
  return { seen, times, stream, error: () => error, reading }
}

const refuse = (): never => {
  throw new TypeError('fetch failed')
}

describe('a lost connection is asked for again', () => {
  it.each([1.5, 20, 100])('through a restart of %d s, whatever the server said with retry', async (seconds) => {
    for (const retry of [0, 200, 3000]) {
      const { seen, reading, error } = await read((_, now) =>
        now < seconds * SECOND ? refuse() : answer([[0, `retry: ${retry}\n${frame(2)}${END}`]]),
      )
      await vi.runAllTimersAsync()
      await reading
      expect([seen, error()]).toEqual([['1', '2'], undefined])
    }
  })

  it.each([60, 3600])('through %d s offline, which the browser says', async (seconds) => {
    const { seen, times, reading } = await read(() => (navigator.onLine ? answer([[0, frame(2) + END]]) : refuse()))
    navigator.onLine = false
    await vi.advanceTimersByTimeAsync(seconds * SECOND)
    // One try for each thirty seconds.
    expect(times.length).toBeLessThanOrEqual(2 + seconds / 30)
    navigator.onLine = true
    window.dispatchEvent(new Event('online'))
    await vi.advanceTimersByTimeAsync(0)
    await reading
    expect(seen).toEqual(['1', '2'])
  })

  it('soon, where it comes back online and the network is not quite there', async () => {
    let tries = 0
    const { seen, reading } = await read(() =>
      navigator.onLine && ++tries > 2 ? answer([[0, frame(2) + END]]) : refuse(),
    )
    navigator.onLine = false
    await vi.advanceTimersByTimeAsync(600 * SECOND)
    navigator.onLine = true
    window.dispatchEvent(new Event('online'))
    await vi.advanceTimersByTimeAsync(2 * SECOND)
    await reading
    expect(seen).toEqual(['1', '2'])
  })

  it('for as long as the model thinks, where each connection ends after its time', async () => {
    const half = 1800 * SECOND
    for (const capMs of [6 * SECOND, 60 * SECOND, 900 * SECOND]) {
      const { seen, reading, error } = await read((_, now) =>
        now < half ? answer([[0, ': \n\n']], [capMs, 'end']) : answer([[0, frame(2) + END]]),
      )
      await vi.runAllTimersAsync()
      await reading
      expect([seen, error()]).toEqual([['1', '2'], undefined])
    }
  })

  it('through twenty seconds of silence, where each connection ends after one', async () => {
    const { seen, reading, error } = await read((_, now) =>
      now < 20 * SECOND ? answer([[0, ': \n\n']], [1 * SECOND, 'end']) : answer([[0, frame(2) + END]]),
    )
    await vi.runAllTimersAsync()
    await reading
    expect([seen, error()]).toEqual([['1', '2'], undefined])
  })

  it('after a night in which the machine slept, while it waited or while it asked', async () => {
    const night = 8 * 3600 * SECOND
    const waiting = await read((_, now) => (now < 60 * SECOND ? refuse() : answer([[0, frame(2) + END]])))
    await vi.advanceTimersByTimeAsync(20 * SECOND)
    vi.setSystemTime(Date.now() + night)
    await vi.runAllTimersAsync()
    await waiting.reading
    expect(waiting.seen).toEqual(['1', '2'])

    const asking = await read((count) => {
      if (count !== 2) return count < 5 ? refuse() : answer([[0, frame(2) + END]])
      vi.setSystemTime(Date.now() + night)
      return refuse()
    })
    await vi.runAllTimersAsync()
    await asking.reading
    expect(asking.seen).toEqual(['1', '2'])
  })

  it('no more after two minutes without a sign of life, or what retryForMs says', async () => {
    for (const [options, seconds] of [
      [{}, 120],
      [{ retryForMs: 10 * SECOND }, 10],
      [{ retryForMs: 600 * SECOND }, 600],
    ] as const) {
      const { times, error, reading } = await read(refuse, options)
      await vi.runAllTimersAsync()
      await reading
      expect(error()).toMatchObject({ code: 'network', received: 1, lastEventId: `${RUN}:1` })
      expect((times.at(-1) as number) / SECOND).toBeCloseTo(seconds, 1)
    }
  })

  it('no more after two minutes in which all that came had no ids of its own: it would come again for ever', async () => {
    for (const wire of [
      'data: again\n\n',
      `id: ${RUN}:1\ndata: again\n\n`,
      'data: again\n\nevent: note\ndata: twice\n\n',
    ]) {
      const { times, error, reading } = await read(() => answer([[0, wire]], [10, 'cut']))
      await vi.runAllTimersAsync()
      await reading
      expect(error()).toMatchObject({ code: 'network', lastEventId: `${RUN}:1` })
      expect((times.at(-1) as number) / SECOND).toBeCloseTo(120, 0)
    }
  })

  it('no more after as many tries as maxRetries says, offline too', async () => {
    navigator.onLine = false
    const { times, reading } = await read(refuse, { maxRetries: 3 })
    await vi.runAllTimersAsync()
    await reading
    expect(times).toHaveLength(4)
  })

  it('at most four times a second by a hostile server: retry: 0 and one event a connection, or none', async () => {
    for (const isNew of [true, false]) {
      vi.mocked(Math.random).mockReturnValue(0)
      const { times, stream, reading } = await read((count) =>
        answer([[0, `retry: 0\n${frame(isNew ? count + 1 : 1)}`]], [0, 'end']),
      )
      await vi.advanceTimersByTimeAsync(3 * SECOND)
      expect(times.length).toBeLessThanOrEqual(13)
      await stream.return()
      await reading
    }
  })

  it('from its first wait on after each sign of life', async () => {
    const { times, reading } = await read((count) => {
      if (count < 4) return refuse()
      return count === 4 ? answer([[0, frame(2)]], [10, 'cut']) : answer([[0, END]])
    })
    await vi.runAllTimersAsync()
    await reading
    const waits = times.map((time, index) => time - (times[index - 1] ?? 0)).slice(1)
    expect(waits).toEqual([510, 1000, 2000, 4000, 510])
  })
})

describe('silence', () => {
  const quiet = (heartbeatMs: string | undefined, wire = frame(1)) => {
    const response = answer([[0, wire]])
    if (heartbeatMs !== undefined) response.headers.set('x-heartbeat-ms', heartbeatMs)
    return response
  }

  /** When the second request is sent, in seconds, of an answer that falls silent after its first event. */
  async function noticedAfter(heartbeatMs: string | undefined, options: FetchSSEOptions = {}) {
    const times: number[] = []
    const fetch = async () => {
      times.push(Date.now())
      return times.length === 1 ? quiet(heartbeatMs) : answer([[0, END]])
    }
    const stream = fetchSSE('/api/chat', { ...POST, ...options, fetch })
    const reading = (async () => {
      for await (const _ of stream);
    })()
    reading.catch(() => {})
    await vi.advanceTimersByTimeAsync(600 * SECOND)
    await stream.return()
    const [began = 0, noticed] = times
    return noticed && Math.round((noticed - began) / SECOND)
  }

  it.each([
    ['thirty seconds at least', '1000', 30],
    ['four heartbeats', '8000', 32],
    ['four heartbeats of a minute', '60000', 240],
  ])('is a lost connection after %s, where the answer tells its heartbeat', async (_, heartbeatMs, seconds) => {
    expect(await noticedAfter(heartbeatMs)).toBeGreaterThanOrEqual(seconds)
    expect(await noticedAfter(heartbeatMs)).toBeLessThanOrEqual(seconds + 1)
  })

  it.each([undefined, '0', '-5', 'soon', 'NaN', '', 'Infinity'])(
    'is none where the answer tells no heartbeat, or %j',
    async (heartbeatMs) => {
      expect(await noticedAfter(heartbeatMs)).toBeUndefined()
    },
  )

  it('is what the caller says it is', async () => {
    expect(await noticedAfter('8000', { idleTimeoutMs: 5 * SECOND })).toBe(6)
    expect(await noticedAfter('8000', { idleTimeoutMs: Infinity })).toBeUndefined()
    expect(await noticedAfter(undefined, { idleTimeoutMs: 5 * SECOND })).toBe(6)
  })

  it('of the request that resumes is judged as well', async () => {
    let count = 0
    const fetch = async (_: string, { signal }: RequestInit) => {
      count++
      if (count === 1) return quiet('8000')
      if (count === 3) return answer([[0, frame(2) + END]])
      return new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    }
    const seen: string[] = []
    const reading = (async () => {
      for await (const { data } of fetchSSE('/api/chat', { ...POST, fetch })) seen.push(data)
    })()
    await vi.advanceTimersByTimeAsync(70 * SECOND)
    await reading
    expect(seen).toEqual(['1', '2'])
  })

  it('is no silence while heartbeats come, nor while the machine sleeps and they wait to be read', async () => {
    const beats = Array.from({ length: 100 }, (_, index) => [index * 8 * SECOND, ': \n\n'] as [number, string])
    const response = answer([[0, frame(1)], ...beats.slice(1), [800 * SECOND, frame(2) + END]])
    response.headers.set('x-heartbeat-ms', '8000')
    const fetch = vi.fn(async () => response)
    const seen: string[] = []
    const reading = (async () => {
      for await (const { data } of fetchSSE('/api/chat', { ...POST, fetch })) seen.push(data)
    })()
    await vi.advanceTimersByTimeAsync(100 * SECOND)
    vi.setSystemTime(Date.now() + 8 * 3600 * SECOND)
    await vi.advanceTimersByTimeAsync(700 * SECOND)
    await reading
    expect(seen).toEqual(['1', '2'])
    expect(fetch).toHaveBeenCalledOnce()
  })

  it('is not judged by a clock that wakes late: what came meanwhile is read first', async () => {
    const response = answer([[0, frame(1)]])
    response.headers.set('x-heartbeat-ms', '8000')
    let enqueue: ((wire: string) => void) | undefined
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        enqueue = (wire) => controller.enqueue(new TextEncoder().encode(wire))
      },
    })
    const sleeping = new Response(body, response)
    const fetch = vi.fn(async () => sleeping)
    const stream = fetchSSE('/api/chat', { ...POST, fetch })
    enqueue?.(frame(1))
    await stream.next()
    const next = stream.next()
    await vi.advanceTimersByTimeAsync(0)
    // The machine sleeps: its clock has gone on, and the timer is the first that runs.
    vi.setSystemTime(Date.now() + 3600 * SECOND)
    await vi.advanceTimersByTimeAsync(33 * SECOND)
    enqueue?.(frame(2))
    expect((await next).value).toMatchObject({ data: '2' })
    expect(fetch).toHaveBeenCalledOnce()
    // Awake, silence is judged again.
    const lost = stream.next()
    lost.catch(() => {})
    await vi.advanceTimersByTimeAsync(40 * SECOND)
    expect(fetch.mock.calls.length).toBeGreaterThan(1)
    await stream.return()
  })
})
