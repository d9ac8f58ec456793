import {
  RelayError,
  type RelayHandle,
  type RelayToOptions,
  relayTo,
  type Sink,
  type SinkHeaders,
  type Source,
  type SourceContext,
  type Summary,
} from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { parts } from 'sse-relay/protocols'
import { probe, stalling, throwing, tokens } from 'sse-relay/testing'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

const MB = 1024 * 1024
const SENTINEL = 'data: [DONE]\n\n'
const frame = (token: string) => `data: ${JSON.stringify({ text: token })}\n\n`

/** How long the texts were that were written. */
const lengthsOf = ({ calls }: FakeSink) =>
  calls.flatMap(([name, text]) => (name === 'write' ? [String(text).length] : []))

/** A host made of an array: each call of the relay is an entry. */
class FakeSink implements Sink {
  calls: ([name: 'open', status: number, headers: SinkHeaders] | [name: 'write' | 'end' | 'destroy', text?: string])[] =
    []
  /** What `write` answers. */
  takes = true
  gone = false
  /** What `open` throws. */
  refuses: Error | undefined

  open(status: number, headers: SinkHeaders): void {
    if (this.refuses) throw this.refuses
    this.calls.push(['open', status, headers])
  }
  write(text: string): boolean {
    this.calls.push(['write', text])
    return this.takes
  }
  end(text?: string): void {
    this.calls.push(['end', text])
  }
  destroy(): void {
    this.calls.push(['destroy'])
  }
  schedule(task: () => void): void {
    process.nextTick(task)
  }

  get names(): string {
    return this.calls.map(([name]) => name).join(' ')
  }
  get text(): string {
    return this.calls.map(([name, text]) => (name === 'open' ? '' : (text ?? ''))).join('')
  }
  count(name: string): number {
    return this.calls.filter((call) => call[0] === name).length
  }
}

let sink: FakeSink
let ends: Summary[]

beforeEach(() => {
  sink = new FakeSink()
  ends = []
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

function relay(source: Source, options: RelayToOptions = {}): RelayHandle {
  return relayTo(sink, source, { onEnd: (summary) => void ends.push(summary), ...options })
}

/** Lets everything happen that waits for no clock. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
}

const silent = ({ signal }: SourceContext) => stalling<string>([], { signal })
const talking = ({ signal }: SourceContext) => stalling(['Hello'], { signal })

/** A source that yields what it is told to. */
function hand() {
  let wake: (value: string | undefined) => void = () => {}
  const source = probe(
    (async function* () {
      for (;;) {
        const value = await new Promise<string | undefined>((resolve) => {
          wake = resolve
        })
        if (value === undefined) return
        yield value
      }
    })(),
  )
  return {
    source,
    async push(value: string | undefined) {
      wake(value)
      await settle()
    },
  }
}

describe('relayTo', () => {
  it('returns at once, and the sink hears nothing before the first frame', async () => {
    const { source, push } = hand()
    const handle = relay(() => source)
    expect(sink.calls).toEqual([])
    expect(handle).toMatchObject({ done: expect.any(Promise) })
    await settle()
    expect(sink.calls).toEqual([])
    await push('')
    expect(sink.calls).toEqual([])
    await push('Hello')
    expect(sink.names).toBe('open write')
    await push(undefined)
    expect(sink.names).toBe('open write end')
    expect(await handle.done).toEqual(ends[0])
  })

  it.each(['gzip', 'br', 'x-gzip', 'zstd', 'gzip, br'])(
    'does not say that it is coded in %s, as the answer was whose headers are passed on',
    async (coding) => {
      await relay(['Hello'], { headers: new Headers({ 'content-encoding': coding, 'x-a': '1' }) }).done
      expect(sink.calls[0]?.[2]).not.toHaveProperty('content-encoding')
      expect(sink.calls[0]?.[2]).toHaveProperty('x-a')
    },
  )

  it.each(['none', 'identity'])('says that it is coded in %s, which keeps compression off', async (coding) => {
    await relay(['Hello'], { headers: { 'content-encoding': coding } }).done
    expect(sink.calls[0]?.[2]).toHaveProperty('content-encoding', coding)
  })

  it('opens with the headers of an event stream and nothing of the connection', async () => {
    const hosts = { 'content-length': '5', te: 'gzip', trailer: 'x', host: 'elsewhere', 'transfer-encoding': 'chunked' }
    await relay(['Hello'], { headers: { Connection: 'close', ...hosts, 'X-A': '1' } }).done
    expect(sink.calls[0]).toEqual([
      'open',
      200,
      {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
        'x-heartbeat-ms': '8000',
        'x-a': '1',
      },
    ])
  })

  it('writes the frames of one tick at once, and what is large without waiting for its end', async () => {
    await relay(['a', 'b', 'c']).done
    expect(sink.calls.slice(1)).toEqual([['end', frame('a') + frame('b') + frame('c') + SENTINEL]])
    sink = new FakeSink()
    const large = 'x'.repeat(20_000)
    await relay([large, large, 'a']).done
    expect(sink.calls.slice(1)).toEqual([
      ['write', frame(large)],
      ['write', frame(large)],
      ['end', frame('a') + SENTINEL],
    ])
  })

  it('takes each form of a source', async () => {
    async function* generator() {
      yield 'Hello'
    }
    const forms: Source[] = [
      'Hello',
      ['Hello'],
      new Set(['Hello']),
      [Promise.resolve('Hello')],
      generator(),
      new ReadableStream({
        start(controller) {
          controller.enqueue('Hello')
          controller.close()
        },
      }),
      Promise.resolve(['Hello']),
      () => 'Hello',
      () => ['Hello'],
      () => generator(),
      async () => generator(),
      // biome-ignore lint/suspicious/noThenProperty: a thenable that is no promise, as some SDKs return
      { then: (resolve: (value: string[]) => void) => resolve(['Hello']) } as PromiseLike<string[]>,
      {
        // biome-ignore lint/suspicious/noThenProperty: a thenable of someone's own is what is tried
        then(resolve: (value: string[]) => void) {
          resolve(['Hello'])
          resolve(['twice'])
        },
      } as PromiseLike<string[]>,
    ]
    for (const source of forms) {
      sink = new FakeSink()
      expect(await relay(source).done).toMatchObject({ outcome: 'done', events: 1 })
      expect(sink.text).toBe(frame('Hello') + SENTINEL)
    }
  })

  it.each([
    ['a text', 'Hello'],
    ['an own event', { event: 'note', data: 'x' }],
    ['a text beside a failure', { choices: [{ index: 0, delta: { content: 'Hello' } }], error: { message: 'no' } }],
  ])('what begins an answer is sent before %s', async (_, next) => {
    await relay([{ type: 'start', id: 'm' }, next], { protocol: parts(), onError() {} }).done
    expect(sink.text).toMatch(/^data: {"type":"start","id":"m"}\n\n(event|data): /)
  })

  it('a source function is called before it returns, with a context of its own', () => {
    const source = vi.fn((_: SourceContext) => stalling(['Hello']))
    relay(source)
    relay(source)
    const [first, second] = source.mock.calls.map(([context]) => context)
    expect(first?.runId).toMatch(/^[A-Za-z0-9_-]{16,128}$/)
    expect(first?.runId).not.toBe(second?.runId)
    expect(first?.signal).toBe(first?.signal)
    expect(first?.signal.aborted).toBe(false)
    expect(first?.lastEventId).toBeUndefined()
  })

  it('a signal that is looked at only after the abort has aborted', async () => {
    let context: SourceContext | undefined
    const handle = relay((given) => {
      context = given
      return stalling(['Hello'])
    })
    await settle()
    handle.left()
    expect(context?.signal.aborted).toBe(true)
    expect(context?.signal.reason).toMatchObject({ name: 'AbortError' })
    // Whoever keeps the reason would keep the run by the calls on its stack.
    expect(context?.signal.reason.stack).not.toMatch(/^ +at /m)
    expect(new Error('after it').stack).toMatch(/^ +at /m)
  })

  it('lets go of a source that was handed in as it is when the request is HEAD, and pulls nothing', async () => {
    const source = tokens('Hello')
    await relay(source, { request: { method: 'HEAD', header: () => undefined } }).done
    await source.until(({ returned }) => returned)
    expect(source.pulled).toBe(0)
  })

  it('calls return() of a source it leaves, not of one that ended', async () => {
    const ended = tokens('Hello')
    await relay(ended).done
    expect(ended).toMatchObject({ finished: true, returned: false })
    sink = new FakeSink()
    const left = stalling(['Hello'])
    const handle = relay(left)
    await left.until(({ pulled }) => pulled === 2)
    handle.left()
    expect(left.returned).toBe(true)
  })
})

describe('backpressure', () => {
  it('asks for nothing more until the sink has drained', async () => {
    sink.takes = false
    const large = 'x'.repeat(20_000)
    const source = tokens([large, large, 'a'])
    const handle = relay(() => source)
    await settle()
    expect(sink.text).toBe(frame(large))
    const { pulled } = source
    await vi.advanceTimersByTimeAsync(1000)
    expect(source.pulled).toBe(pulled)
    handle.drained()
    await settle()
    expect(sink.text).toBe(frame(large) + frame(large))
    sink.takes = true
    handle.drained()
    expect(await handle.done).toMatchObject({ outcome: 'done' })
    expect(sink.text).toBe(frame(large) + frame(large) + frame('a') + SENTINEL)
  })

  describe('a large event', () => {
    const large = 'x'.repeat(200_000)

    it('is written in slices, and no more of it than there is room for', async () => {
      sink.takes = false
      const handle = relay(() => [large, 'a'])
      await settle()
      expect(sink.count('write')).toBe(1)
      expect(lengthsOf(sink)[0]).toBeLessThanOrEqual(32_768)
      sink.takes = true
      handle.drained()
      expect(await handle.done).toMatchObject({ outcome: 'done', events: 2 })
      expect(Math.max(...lengthsOf(sink))).toBeLessThanOrEqual(32_768)
      expect(sink.text).toBe(frame(large) + frame('a') + SENTINEL)
    })

    it('has no heartbeat in it', async () => {
      sink.takes = false
      const handle = relay(() => stalling([large]), { heartbeatMs: 100, stallTimeoutMs: 60_000 })
      await settle()
      await vi.advanceTimersByTimeAsync(1000)
      expect(sink.count('write')).toBe(1)
      sink.takes = true
      handle.drained()
      await vi.advanceTimersByTimeAsync(150)
      expect(sink.text).toBe(`${frame(large)}: \n\n`)
      handle.left()
    })

    it('of a run that is stopped goes out first, as there is room, and then the failure', async () => {
      sink.takes = false
      const stop = new AbortController()
      const handle = relay(() => stalling([large]), { signal: stop.signal })
      await settle()
      stop.abort()
      await settle()
      expect(ends).toMatchObject([{ outcome: 'stopped' }])
      expect(sink.names).toBe('open write')
      const settled = vi.fn()
      handle.done.then(settled)
      await settle()
      expect(settled).not.toHaveBeenCalled()
      for (let round = 0; round < 20; round++) handle.drained()
      expect(sink.names).toMatch(/^open( write)+ end$/)
      expect(await handle.done).toMatchObject({ outcome: 'stopped' })
      expect(sink.text.startsWith(`${frame(large)}event: error\n`)).toBe(true)
      expect(vi.getTimerCount()).toBe(0)
    })

    it('that is the whole answer in one body is offered before it is written, and settles when all of it is', async () => {
      sink.takes = false
      const offer = vi.fn(() => {
        sink.calls.push(['write', ''])
        return false
      })
      const handle = relay(() => [large], { stream: false })
      Object.assign(sink, { offer })
      const settled = vi.fn()
      handle.done.then(settled)
      await settle()
      expect(ends).toMatchObject([{ outcome: 'done' }])
      expect(offer).toHaveBeenCalledTimes(1)
      expect(sink.text).toBe('')
      for (let round = 0; round < 6; round++) handle.drained()
      await settle()
      expect(settled).not.toHaveBeenCalled()
      for (let round = 0; round < 6; round++) handle.drained()
      expect(sink.names).toMatch(/^open( write)+ end$/)
      expect(await handle.done).toMatchObject({ outcome: 'done' })
      expect(JSON.parse(sink.text)).toEqual({ text: large })
      expect(offer).toHaveBeenCalledTimes(1)
    })

    it('that is the whole answer in one body settles when its reader leaves in the middle', async () => {
      sink.takes = false
      const onClose = vi.fn()
      const handle = relay(() => [large], { stream: false, onClose })
      await settle()
      handle.left()
      expect(await handle.done).toMatchObject({ outcome: 'done' })
      await vi.waitFor(() => expect(onClose).toHaveBeenCalled())
      expect(onClose.mock.calls).toMatchObject([[{ outcome: 'disconnected', status: 200 }]])
    })

    it('of a run that is stopped is dropped with who takes nothing of it', async () => {
      sink.takes = false
      const stop = new AbortController()
      const onClose = vi.fn()
      relay(() => stalling([large]), { signal: stop.signal, stallTimeoutMs: 5000, onClose })
      await settle()
      stop.abort()
      await vi.advanceTimersByTimeAsync(5000)
      expect(sink.names).toBe('open write destroy')
      expect(onClose.mock.calls).toMatchObject([[{ outcome: 'stalled', status: 200 }]])
      expect(vi.getTimerCount()).toBe(0)
    })
  })

  it('takes little more than the sink does', async () => {
    sink.takes = false
    const source = probe(Array(1000).fill('x'.repeat(1000)))
    relay(() => source)
    await settle()
    expect(source.pulled).toBeLessThan(25)
  })

  it.each([0, 256, 65_536])(
    'lets others come to their turn while a source is always ready: %i characters',
    async (size) => {
      let asked = 0
      const source = function* () {
        for (; asked < (size === 0 ? 100_000 : (8 * MB) / size); asked++) yield 'x'.repeat(size)
      }
      let over = false
      const { done } = relay(() => source())
      void done.then(() => {
        over = true
      })
      let most = 0
      for (let before = 0; !over; before = asked) {
        await new Promise(setImmediate)
        most = Math.max(most, asked - before)
      }
      expect(await done).toMatchObject({ outcome: 'done' })
      expect(most).toBeLessThan(size === 0 ? 10_000 : MB / size)
    },
  )

  it('drained() without need is nothing', async () => {
    const { source, push } = hand()
    const handle = relay(() => source)
    handle.drained()
    await push('a')
    handle.drained()
    handle.drained()
    await push('b')
    expect(sink.text).toBe(frame('a') + frame('b'))
    await push(undefined)
    handle.drained()
    handle.drained()
    expect(sink.names).toBe('open write write end')
  })

  it('drops a client that takes nothing for stallTimeoutMs', async () => {
    sink.takes = false
    const source = tokens(Array(1000).fill('x'.repeat(1000)))
    const handle = relay(() => source, { stallTimeoutMs: 5000, heartbeatMs: 100 })
    await settle()
    await vi.advanceTimersByTimeAsync(4999)
    expect(sink.count('destroy')).toBe(0)
    await vi.advanceTimersByTimeAsync(1)
    expect(await handle.done).toMatchObject({ outcome: 'stalled', durationMs: 5000 })
    expect(sink.names).toBe('open write destroy')
    expect(source.returned).toBe(true)
    expect(ends).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('a client that takes something in time begins anew', async () => {
    sink.takes = false
    const source = tokens(Array(1000).fill('x'.repeat(1000)))
    const handle = relay(() => source, { stallTimeoutMs: 5000 })
    for (let round = 0; round < 4; round++) {
      await settle()
      await vi.advanceTimersByTimeAsync(4000)
      handle.drained()
    }
    await settle()
    expect(sink.count('destroy')).toBe(0)
    await vi.advanceTimersByTimeAsync(5000)
    expect(await handle.done).toMatchObject({ outcome: 'stalled' })
  })

  it('a silent source is no stall', async () => {
    const handle = relay(talking, { stallTimeoutMs: 50, heartbeatMs: 0 })
    await settle()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(ends).toEqual([])
    handle.left()
  })

  it('the clock goes on after the end, until the last bytes are taken', async () => {
    const handle = relay(['Hello'], { stallTimeoutMs: 5000 })
    expect(await handle.done).toMatchObject({ outcome: 'done' })
    await vi.advanceTimersByTimeAsync(4999)
    expect(sink.names).toBe('open end')
    await vi.advanceTimersByTimeAsync(1)
    expect(sink.names).toBe('open end destroy')
    expect(ends).toMatchObject([{ outcome: 'done' }])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('the clock stops when the last bytes are taken', async () => {
    const handle = relay(['Hello'])
    await handle.done
    handle.drained()
    expect(vi.getTimerCount()).toBe(0)
    await vi.advanceTimersByTimeAsync(100_000)
    expect(sink.names).toBe('open end')
  })

  it('the wait ends when the run does', async () => {
    const stop = new AbortController()
    sink.takes = false
    const source = tokens(Array(1000).fill('x'.repeat(1000)))
    const handle = relay(() => source, { signal: stop.signal })
    await settle()
    stop.abort()
    expect(await handle.done).toMatchObject({ outcome: 'stopped' })
    expect(sink.text).toMatch(/\n\nevent: error\ndata: .*"stopped".*\n\n$/)
    expect(source.returned).toBe(true)
  })
})

describe('the clock', () => {
  it('a heartbeat comes after heartbeatMs of silence, again and again', async () => {
    const handle = relay(silent, { heartbeatMs: 1000 })
    await vi.advanceTimersByTimeAsync(999)
    expect(sink.calls).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(sink.calls.slice(1)).toEqual([['write', ': \n\n']])
    await vi.advanceTimersByTimeAsync(3000)
    expect(sink.text).toBe(': \n\n'.repeat(4))
    handle.left()
  })

  it('is 8000 ms unless told', async () => {
    const handle = relay(silent)
    await vi.advanceTimersByTimeAsync(7999)
    expect(sink.calls).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(sink.text).toBe(': \n\n')
    handle.left()
  })

  it('each write begins the silence anew', async () => {
    const { source, push } = hand()
    const handle = relay(() => source, { heartbeatMs: 1000 })
    for (let count = 0; count < 5; count++) {
      await vi.advanceTimersByTimeAsync(900)
      await push('a')
    }
    expect(sink.text).toBe(frame('a').repeat(5))
    await vi.advanceTimersByTimeAsync(1000)
    expect(sink.text).toBe(`${frame('a').repeat(5)}: \n\n`)
    handle.left()
  })

  it.each([0, Number.POSITIVE_INFINITY, 2 ** 40])('heartbeatMs: %d is none in a day', async (heartbeatMs) => {
    const handle = relay(silent, { heartbeatMs })
    await vi.advanceTimersByTimeAsync(86_400_000)
    expect(sink.calls).toEqual([])
    handle.left()
  })

  it('there is no heartbeat while the sink is full, and they come again when it has drained', async () => {
    sink.takes = false
    const handle = relay(talking, { heartbeatMs: 100 })
    await settle()
    await vi.advanceTimersByTimeAsync(1000)
    expect(sink.text).toBe(frame('Hello'))
    sink.takes = true
    handle.drained()
    await vi.advanceTimersByTimeAsync(100)
    expect(sink.text).toMatch(/^data: {"text":"Hello"}\n\n(: \n\n){1,2}$/)
    handle.left()
  })

  it('there is no heartbeat after the end', async () => {
    const handle = relay(['Hello'], { heartbeatMs: 100, stallTimeoutMs: Number.POSITIVE_INFINITY })
    await handle.done
    await vi.advanceTimersByTimeAsync(1000)
    expect(sink.text).toBe(frame('Hello') + SENTINEL)
  })

  it.each([
    [0, 8000],
    [0.5, 9000],
    [1 - 2 ** -53, 10_000],
  ])('maxDurationMs is jittered: with chance at %d it is %d of 10000', async (chance, expected) => {
    vi.spyOn(Math, 'random').mockReturnValue(chance)
    const handle = relay(talking, { maxDurationMs: 10_000, heartbeatMs: 0 })
    await settle()
    await vi.advanceTimersByTimeAsync(expected - 2)
    expect(ends).toEqual([])
    await vi.advanceTimersByTimeAsync(3)
    expect(await handle.done).toMatchObject({ outcome: 'expired' })
    expect(sink.text).toMatch(/"code":"expired"/)
  })

  it('maxDurationMs says 504 when nothing was sent', async () => {
    const handle = relay(silent, { maxDurationMs: 100, heartbeatMs: 0 })
    await vi.advanceTimersByTimeAsync(100)
    expect(await handle.done).toMatchObject({ outcome: 'expired' })
    expect(sink.calls[0]).toMatchObject(['open', 504, { 'content-type': 'application/json; charset=utf-8' }])
  })

  it('has one timer for everything, and none after the end', async () => {
    const { source, push } = hand()
    const handle = relay(() => source, { heartbeatMs: 100, stallTimeoutMs: 300, maxDurationMs: 100_000 })
    expect(vi.getTimerCount()).toBe(1)
    for (let count = 0; count < 5; count++) {
      sink.takes = count % 2 === 0
      await push('a')
      await vi.advanceTimersByTimeAsync(70)
      expect(vi.getTimerCount()).toBe(1)
      handle.drained()
    }
    await push(undefined)
    handle.drained()
    expect(vi.getTimerCount()).toBe(0)
  })

  it.each<[string, (handle: RelayHandle) => void, RelayToOptions]>([
    ['the client left', (handle) => handle.left(), {}],
    ['it was refused', (handle) => handle.drained(), { retryMs: -1 }],
    ['the request was HEAD', (handle) => handle.drained(), { request: { method: 'HEAD', header: () => undefined } }],
  ])('has no timer after %s', async (_, over, options) => {
    const handle = relay(talking, { onError() {}, ...options })
    await settle()
    over(handle)
    await handle.done
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a client that leaves', () => {
  it('ends the run at once, however often that is said', async () => {
    const source = stalling(['Hello'])
    const handle = relay(source)
    await source.until(({ pulled }) => pulled === 2)
    handle.left()
    handle.left()
    expect(source.returned).toBe(true)
    expect(await handle.done).toMatchObject({ outcome: 'disconnected', events: 1 })
    handle.left()
    expect(ends).toHaveLength(1)
    expect(sink.count('end')).toBe(0)
    expect(sink.count('destroy')).toBe(1)
  })

  it('after the end is no news', async () => {
    const handle = relay(['Hello'])
    await handle.done
    handle.left()
    handle.drained()
    await settle()
    expect(sink.names).toBe('open end')
    expect(ends).toMatchObject([{ outcome: 'done' }])
  })

  it('before the relay began costs no call of the source', async () => {
    sink.gone = true
    const source = vi.fn(() => ['Hello'])
    expect(await relay(source).done).toMatchObject({ outcome: 'disconnected', events: 0 })
    expect(source).not.toHaveBeenCalled()
    expect(sink.count('open')).toBe(0)
    expect(ends).toHaveLength(1)
  })

  it('is written nothing after', async () => {
    const { source, push } = hand()
    const handle = relay(() => source, { heartbeatMs: 10 })
    await push('a')
    handle.left()
    const before = sink.calls.length
    await push('b')
    await vi.advanceTimersByTimeAsync(1000)
    expect(sink.calls.length).toBe(before)
  })
})

describe('a sink that will not have it', () => {
  it('before the source was asked', async () => {
    const refusal = new RelayError('response-used', 'no')
    const source = vi.fn(() => ['Hello'])
    const onError = vi.fn()
    Object.defineProperty(sink, 'gone', {
      get() {
        throw refusal
      },
    })
    sink.refuses = refusal
    expect(await relay(source, { onError }).done).toMatchObject({ outcome: 'error', error: refusal })
    expect(source).not.toHaveBeenCalled()
    expect(onError).toHaveBeenCalledOnce()
    expect(sink.calls).toEqual([])
    expect(ends).toMatchObject([{ outcome: 'error' }])
  })

  it.each<[string, Source, RelayToOptions]>([
    ['at the first event', () => tokens('Hello there'), {}],
    ['at the first heartbeat', silent, { heartbeatMs: 100 }],
    ['at the end', [], {}],
    ['at a failure', () => throwing(new Error('bug')), {}],
    ['at HEAD', ['Hello'], { request: { method: 'HEAD', header: () => undefined } }],
  ])('%s: the run ends as an error, and the response is left alone', async (_, source, options) => {
    sink.refuses = new RelayError('response-used', 'in other hands')
    const onError = vi.fn()
    const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
    const handle = relay(source, { onError, ...options })
    await settle()
    await vi.advanceTimersByTimeAsync(100)
    const summary = await handle.done
    expect(summary).toMatchObject({ outcome: 'error', error: expect.any(Error) })
    expect(ends).toEqual([summary])
    expect(onError).toHaveBeenCalledOnce()
    expect(logged).not.toHaveBeenCalled()
    expect(sink.calls).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a sink that will not have it, of a run with a log', () => {
  it.each<[string, Source, RelayToOptions, string]>([
    ['at the first event', talking, {}, 'disconnected'],
    ['at the first heartbeat', silent, { heartbeatMs: 100 }, 'disconnected'],
    ['at the end', [], {}, 'done'],
  ])('%s: this reader ends as an error, and the run as without it', async (_, source, options, outcome) => {
    sink.refuses = new RelayError('response-used', 'in other hands')
    const onError = vi.fn()
    const handle = relay(source, { onError, log: createMemoryLog(), owner: null, ...options })
    await settle()
    await vi.advanceTimersByTimeAsync(100)
    expect(await handle.done).toMatchObject({ outcome: 'error' })
    expect(onError).toHaveBeenCalledExactlyOnceWith(sink.refuses, expect.anything())
    expect(sink.calls).toEqual([])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(ends).toMatchObject([{ outcome }])
  })
})

describe('one signal for the whole server', () => {
  it('ends every run, also when the sink of one throws', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {})
    const shutdown = new AbortController()
    const handles = [0, 1, 2].map((index) => {
      sink = new FakeSink()
      if (index === 0) {
        sink.end = () => {
          throw new Error('no')
        }
      }
      return relay(silent, { shutdown: shutdown.signal })
    })
    shutdown.abort()
    await Promise.all(handles.map(({ done }) => done))
    expect(ends.map(({ outcome }) => outcome)).toEqual(['shutdown', 'shutdown', 'shutdown'])
    for (const handle of handles) handle.left()
  })
})

describe('a sink that will not have the headers', () => {
  it('is answered without the extra ones, with the failure', async () => {
    const onError = vi.fn()
    const open = sink.open.bind(sink)
    sink.open = (status, headers) => {
      if ('x-title' in headers) throw new Error('no')
      open(status, headers)
    }
    const summary = await relay(() => tokens('Hello'), { onError, headers: { 'x-title': 'a' } }).done
    expect(summary).toMatchObject({ outcome: 'error' })
    expect(onError).toHaveBeenCalledOnce()
    expect(sink.calls).toMatchObject([
      ['open', 500, {}],
      ['end', expect.stringContaining('"internal"')],
    ])
  })

  it('at all is dropped, so that its client does not wait for ever', async () => {
    sink.refuses = new Error('no')
    expect(await relay(() => tokens('Hello'), { onError() {} }).done).toMatchObject({ outcome: 'error' })
    expect(sink.names).toBe('destroy')
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('done', () => {
  it('rejects with what onError threw before anything was sent, and the sink hears nothing', async () => {
    const thrown = new Error('mine')
    const handle = relay(() => throwing(new Error('bug')), {
      onError() {
        throw thrown
      },
    })
    await expect(handle.done).rejects.toBe(thrown)
    expect(sink.calls).toEqual([])
    expect(ends).toMatchObject([{ outcome: 'error' }])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('never rejects for anything else', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {})
    const broken: [Source, RelayToOptions | null | undefined][] = [
      [undefined as never, undefined],
      [42 as never, null],
      [{} as never, {}],
      [['Hello'], { heartbeatMs: 'no' as never }],
      [['Hello'], { onEnd: 7 as never }],
      [() => throwing(undefined), {}],
      [() => throwing(new Error('bug'), ['Hello']), { onError: () => Promise.reject(new Error('no')) as never }],
      [['Hello'], { onEnd: () => Promise.reject(new Error('no')) }],
      [['Hello'], 'text' as never],
    ]
    for (const [source, options] of broken) {
      sink = new FakeSink()
      expect(await relayTo(sink, source, options as RelayToOptions).done).toHaveProperty('outcome')
      expect(sink.names).toMatch(/^open( write)*( end)$/)
    }
    await settle()
  })
})

describe('the id of the end', () => {
  const request = (method: string, headers: Record<string, string | string[]>) => ({
    request: { method, header: (name: string) => headers[name] },
  })

  it.each([
    [`${'a'.repeat(32)}:end`, 204],
    [`${'A-_9'.repeat(4)}:end`, 204],
    [`${'a'.repeat(15)}:end`, 200],
    [`${'a'.repeat(129)}:end`, 200],
    [`${'a'.repeat(32)}:end:end`, 200],
    [`${'a'.repeat(32)}:7`, 200],
    ['end', 200],
    ['', 200],
  ])('Last-Event-ID: %s is answered %d', async (id, status) => {
    await relay(['Hello'], request('GET', { 'last-event-id': id })).done
    expect(sink.calls[0]?.[1]).toBe(status)
  })

  it('of a header that came twice the first counts', async () => {
    const source = vi.fn((_: SourceContext) => ['Hello'])
    await relay(source, request('GET', { 'last-event-id': ['7', '8'] })).done
    expect(source.mock.lastCall?.[0].lastEventId).toBe('7')
  })
})

it('a run of known chunks that say nothing is complete, and the console says so once', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
  const chunks = [
    { type: 'response.created', response: { id: 'r' } },
    { type: 'response.something_new.delta', words: 'Hello' },
    { type: 'response.completed', response: { id: 'r', status: 'completed', output: [] } },
  ]
  for (let n = 0; n < 2; n++) expect(await relay(chunks).done).toMatchObject({ outcome: 'done', text: '' })
  expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('complete without a word'))
  warn.mockRestore()
})

it('texts that each repeat the one before are told on the console, once', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
  await relay(['a', 'b', 'bc', 'c', 'd', 'de']).done
  await relay(['H', 'He', 'Hel']).done
  // What else goes out does not count.
  await relay([...['a', 'b', 'c', 'd'].map((name) => ({ event: name, data: 1 })), 'Hello', 'there']).done
  expect(warn).not.toHaveBeenCalled()
  for (let n = 0; n < 2; n++) await relay(['H', 'He', 'Hel', 'Hell', 'Hello']).done
  expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('repeats the one before'))
  warn.mockRestore()
})

it('strings that begin with an event are text, and the console says once what to hand over', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
  async function* source() {
    yield 'data: {"message":{"content":"Hi"},"done":true}\n\n'
  }
  for (let n = 0; n < 2; n++) expect(await relay(source()).done).toMatchObject({ outcome: 'done', events: 1 })
  expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('before they are decoded'))
  warn.mockRestore()
})
