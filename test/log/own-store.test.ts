import { RelayError } from 'sse-relay'
import { createLog, createMemoryLog, type Log, type LogEntry, type LogStore, record } from 'sse-relay/log'
import { text as textProtocol } from 'sse-relay/protocols'
import { relay, resume } from 'sse-relay/web'
import { afterEach, describe, expect, it } from 'vitest'

const runId = 'run-of-a-test-0001'
const owner = 'ann'

const closing: Log[] = []
afterEach(async () => {
  for (const log of closing.splice(0)) await log.close()
})

interface Kept {
  owner: string | null
  begun: boolean
  entries: LogEntry[]
  last: number
}

/** A store of one process that keeps all, with what a test has otherwise. */
function keeping(otherwise: (runs: Map<string, Kept>) => Partial<LogStore> = () => ({})) {
  const runs = new Map<string, Kept>()
  const run = (id: string) => {
    const known = runs.get(id)
    if (!known) throw new RelayError('run-not-found', `There is no run ${id}`)
    return known
  }
  const store: LogStore = {
    create(id, { owner }) {
      if (runs.has(id)) return false
      runs.set(id, { owner, begun: false, entries: [], last: 0 })
      return true
    },
    begin(id, { owner, after = 0 }) {
      const known = runs.get(id)
      if (known && (known.begun || known.owner !== owner)) return false
      runs.set(id, { owner, begun: true, entries: [], last: after })
      return true
    },
    append(id, entry) {
      const known = run(id)
      if (entry.last <= known.last) return
      if (entry.first !== known.last + 1) throw new RelayError('log-failure', `A hole before ${entry.first}`)
      known.entries.push(entry)
      known.last = entry.last
    },
    get(id) {
      const known = runs.get(id)
      if (!known) return undefined
      const ended = known.entries.at(-1)?.end !== undefined
      return { owner: known.owner, headers: {}, begun: known.begun, ended, leaseMs: Number.POSITIVE_INFINITY }
    },
    read: (id, after, limit) =>
      run(id)
        .entries.filter(({ last }) => last > after)
        .slice(0, limit),
  }
  const log = createLog(Object.assign(store, otherwise(runs)))
  closing.push(log)
  return { log, runs }
}

/** Something that happens when a test says so. */
function signal() {
  let happen!: () => void
  const happens = new Promise<void>((resolve) => {
    happen = resolve
  })
  return { happen, happens }
}

const request = (headers: Record<string, string> = {}) => new Request('http://localhost/', { headers })
const fromTheBeginning = (log: Log, owner = 'ann') =>
  resume(request({ 'last-event-id': `${runId}:0` }), { log, owner, heartbeatMs: 20 })
const numbers = (body: string) => [...body.matchAll(/^id: [^:]+:(\d+)$/gm)].map(([, number]) => Number(number))
const frame = (number: number, text: string) => `id: ${runId}:${number}\ndata: {"text":"${text}"}\n\n`
const done = (number: number) => `id: ${runId}:${number}\ndata: [DONE]\n\n`

/** Reads an answer up to what is looked for. */
async function until(response: Response, wanted: string): Promise<string> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const decoder = new TextDecoder()
  let body = ''
  while (!body.includes(wanted)) {
    const { done, value } = await reader.read()
    if (done) break
    body += decoder.decode(value, { stream: true })
  }
  await reader.cancel()
  return body
}

describe('a store that confirms a later entry before an earlier one', () => {
  it('leaves no gap for who joins meanwhile', async () => {
    const confirm = signal()
    const { log } = keeping((runs) => ({
      entrySize: 100,
      async append(_, entry) {
        const known = runs.get(runId) as Kept
        known.entries.push(entry)
        known.last = entry.last
        if (entry.first === 1) await confirm.happens
      },
    }))
    const joined = signal()
    async function* source() {
      yield 'a'.repeat(100)
      await new Promise((resolve) => setImmediate(resolve))
      yield 'b'.repeat(100)
      await new Promise((resolve) => setImmediate(resolve))
      yield 'c'
      await joined.happens
    }
    const live = await relay(request(), source, { log, runId, owner })
    const reader = await fromTheBeginning(log)
    const body = until(reader, done(4))
    const first = await Promise.race([body, until(await fromTheBeginning(log), frame(3, 'c'))])
    joined.happen()
    confirm.happen()
    expect(numbers(first)).toEqual([1, 2, 3])
    // A busy machine may be silent for longer than a heartbeat.
    expect((await body).replaceAll(': \n\n', '')).toBe(await live.text())
    expect(numbers(await body)).toEqual([1, 2, 3, 4])
  })
})

describe('an entry larger than what may wait for the store', () => {
  it('is stored like any other', async () => {
    const { log } = keeping()
    const slow = keeping((runs) => ({
      async append(_, entry) {
        await new Promise((resolve) => setImmediate(resolve))
        const known = runs.get(runId) as Kept
        known.entries.push(entry)
        known.last = entry.last
      },
    }))
    const large = 'x'.repeat(1_500_000)
    for (const each of [log, slow.log]) {
      await record([large, 'and more'], { log: each, runId, owner })
      const body = await (await fromTheBeginning(each)).text()
      expect(body === frame(1, large) + frame(2, 'and more') + done(3)).toBe(true)
    }
  })
})

describe('a store that does not answer', () => {
  it('is told of by onError once too much waits for it, and who reads has everything', async () => {
    const { log } = keeping(() => ({ append: () => new Promise<void>(() => {}) }))
    const errors: unknown[] = []
    async function* source() {
      for (let piece = 0; piece < 30; piece++) {
        yield 'x'.repeat(100_000)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const onError = (error: unknown) => {
      errors.push(error)
    }
    const response = await relay(request(), source, { log, runId, owner, onError })
    expect(numbers(await response.text())).toEqual(Array.from({ length: 31 }, (_, index) => index + 1))
    expect(errors).toEqual([expect.objectContaining({ code: 'log-failure', message: expect.stringContaining(runId) })])
  })
})

describe('a store that is slow', () => {
  it('slows the source, and nothing of the run is lost', async () => {
    let stored = 0
    let most = 0
    let yielded = 0
    const { log } = keeping((runs) => ({
      async append(_, entry) {
        await new Promise((resolve) => setTimeout(resolve, 5))
        stored += entry.text.length
        const known = runs.get(runId) as Kept
        known.entries.push(entry)
        known.last = entry.last
      },
    }))
    async function* source() {
      for (let piece = 0; piece < 60; piece++) {
        yield 'x'.repeat(100_000)
        yielded += 100_000
        most = Math.max(most, yielded - stored)
      }
    }
    const errors: unknown[] = []
    const { outcome } = await record(source, { log, runId, owner, onError: (error) => void errors.push(error) })
    expect([outcome, errors]).toEqual(['done', []])
    expect(numbers(await (await fromTheBeginning(log)).text())).toEqual(
      Array.from({ length: 61 }, (_, index) => index + 1),
    )
    // A million may wait, and what is on its way.
    expect(most).toBeLessThan(2_000_000)
  })

  it('has no heartbeat sent before it has answered: a status is a status', async () => {
    const { log } = keeping(() => ({
      async get() {
        await new Promise((resolve) => setTimeout(resolve, 100))
        return undefined
      },
      async begin() {
        await new Promise((resolve) => setTimeout(resolve, 100))
        return false
      },
    }))
    const asked = { log, owner, heartbeatMs: 5 }
    const missing = await resume(request({ 'last-event-id': `${runId}:0` }), asked)
    expect(missing.status).toBe(404)
    expect((await resume(request(), { ...asked, runId })).status).toBe(204)
    const taken = await relay(request({ 'x-run-id': runId }), ['paid'], { ...asked, onError() {} })
    expect(taken.status).toBe(409)
  })
})

describe('a stop while a store of one process is asked whether it knows the run', () => {
  it('meets the run that begins meanwhile', async () => {
    const asked = signal()
    const answer = signal()
    const { log } = keeping((runs) => ({
      async get(id) {
        const known = runs.get(id)
        asked.happen()
        await answer.happens
        return (
          known && { owner: known.owner, headers: {}, begun: true, ended: false, leaseMs: Number.POSITIVE_INFINITY }
        )
      },
    }))
    const stopping = log.stop(runId, { owner })
    await asked.happens
    const run = record(
      async function* () {
        await new Promise(() => {})
      },
      { log, runId, owner },
    )
    answer.happen()
    expect(await stopping).toBe(true)
    expect(await run).toMatchObject({ outcome: 'stopped' })
  })
})

describe('a store of one process that loses a run', () => {
  it('is given what is still here, and the log can be closed', async () => {
    const lost = signal()
    const { log, runs } = keeping()
    async function* source() {
      yield 'one'
      await lost.happens
      yield 'two'
      await new Promise((resolve) => setTimeout(resolve, 100))
      yield 'three'
    }
    const errors: unknown[] = []
    const onError = (error: unknown) => {
      errors.push(error)
    }
    const response = await relay(request(), source, { log, runId, owner, onError })
    runs.clear()
    lost.happen()
    expect(numbers(await response.text())).toEqual([1, 2, 3, 4])
    await log.close({ graceMs: 10_000 })
    expect(errors).toEqual([expect.objectContaining({ code: 'run-not-found' })])
    const { entries } = runs.get(runId) as Kept
    expect(entries.map(({ text }) => text).join('')).toBe(frame(2, 'two') + frame(3, 'three') + done(4))
  })
})

describe('a store that answers in its database’s way', () => {
  it.each([
    ['texts for numbers', (entry: LogEntry) => ({ ...entry, last: String(entry.last) }), ': give a number'],
    ['big numbers', (entry: LogEntry) => ({ ...entry, first: BigInt(entry.first) }), 'first is 1: give a number'],
    [
      'bytes for texts',
      (entry: LogEntry) => ({ ...entry, text: Buffer.from(entry.text) }),
      'text is an object (Buffer)',
    ],
  ])('with %s is told what is wrong, and its readers that they may come again', async (_, odd, words) => {
    const { log } = keeping((runs) => ({
      read: (id, after, limit) => {
        const entries = runs
          .get(id)
          ?.entries.filter(({ last }) => last > after)
          .slice(0, limit)
        return entries?.map((entry) => odd(entry) as never) ?? []
      },
    }))
    await record(['a'], { log, runId, owner })
    const errors: unknown[] = []
    const headers = { 'last-event-id': `${runId}:0` }
    const answer = await resume(request(headers), { log, owner, onError: (error) => void errors.push(error) })
    expect(answer.status).toBe(503)
    expect(errors).toMatchObject([{ code: 'log-failure', message: expect.stringContaining(words) }])
  })

  it('with null where there is nothing has no such run: 404', async () => {
    const { log } = keeping(() => ({ get: () => null as never }))
    expect((await fromTheBeginning(log)).status).toBe(404)
  })

  it('with a query that is sent by each then is asked once to begin a run', async () => {
    let asked = 0
    const { log } = keeping((runs) => ({
      begin: (id, run) => {
        const query = {
          // biome-ignore lint/suspicious/noThenProperty: as the query builders of databases have it
          then(resolve: (isBegun: boolean) => unknown) {
            asked++
            const isBegun = !runs.has(id)
            if (isBegun) runs.set(id, { owner: run.owner, begun: true, entries: [], last: 0 })
            // Called back twice as well.
            for (const _ of [1, 2]) Promise.resolve(isBegun).then(resolve)
          },
        }
        return query as PromiseLike<boolean>
      },
    }))
    const answer = await relay(request(), ['a'], { log, runId, owner })
    expect(await answer.text()).toContain('[DONE]')
    expect(asked).toBe(1)
    expect(await record(['b'], { log, runId: 'run-of-a-test-0002', owner })).toMatchObject({ outcome: 'done' })
    expect(asked).toBe(2)
  })
})

describe('a run without an end that nobody produces, in a store of one process', () => {
  it.each([0, Number.POSITIVE_INFINITY])('is lost, whatever lease the store tells: %s', async (leaseMs) => {
    // As the process before has left it.
    const entries = [{ first: 1, last: 1, text: frame(1, 'a') }]
    const { log } = keeping(() => ({
      get: () => ({ owner, headers: {}, begun: true, ended: false, leaseMs }),
      read: (_, after) => entries.filter(({ last }) => last > after),
    }))
    expect(await (await fromTheBeginning(log)).text()).toContain('"producer-lost"')
    expect(await log.status(runId, { owner })).toEqual({ state: 'ended', outcome: 'error' })
  })
})

describe('a run with a gap', () => {
  it('is read up to the gap, and who comes back for more is told that it is gone: 410', async () => {
    const entries: LogEntry[] = [
      { first: 1, last: 1, text: frame(1, 'a') },
      { first: 3, last: 3, text: done(3), end: { outcome: 'done' } },
    ]
    const { log } = keeping(() => ({
      get: () => ({ owner, headers: {}, begun: true, ended: true, leaseMs: 0 }),
      read: (_, after) => entries.filter(({ last }) => last > after),
    }))
    expect(await until(await fromTheBeginning(log), frame(1, 'a'))).toContain(frame(1, 'a'))
    const again = await resume(request({ 'last-event-id': `${runId}:1` }), { log, owner })
    expect(again.status).toBe(410)
  })
})

describe('a job that comes again', () => {
  it.each([
    ['has ended', { begun: true, ended: true }, 'it has ended'],
    ['lost its producer', { begun: true }, 'its producer was lost'],
    ['did not begin in its time', { leaseMs: 0 }, 'Create it again, with log.create'],
    ['is of another owner', { begun: true, owner: 'bob' }, 'give each run an id of its own'],
  ])('is told what became of a run that %s', async (_, run, words) => {
    const { log } = keeping(() => ({
      begin: () => false,
      get: () => ({ owner, headers: {}, begun: false, ended: false, leaseMs: 5000, ...run }),
      read: () => [],
    }))
    await expect(record(['told'], { log, runId, owner })).rejects.toMatchObject({
      code: 'run-exists',
      message: expect.stringContaining(words),
    })
  })

  it('twice at one time, since the store had not answered, calls one source', async () => {
    let isAway = true
    const producers = new Set<string>()
    const { log } = keeping(() => ({
      async begin(_, { producer }) {
        const isFirst = producers.size === 0
        producers.add(producer)
        // Taken, and the answer is lost.
        if (isAway) throw new Error('The connection broke')
        return isFirst || producers.size === 1
      },
      append() {},
    }))
    let calls = 0
    const attempt = () =>
      record(
        () => {
          calls++
          return ['told']
        },
        { log, runId, owner },
      )
    await expect(attempt()).rejects.toMatchObject({ code: 'log-failure' })
    isAway = false
    const results = await Promise.allSettled([attempt(), attempt()])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(calls).toBe(1)
  })
})

describe('a job whose begin the store took, and whose connection broke before the answer', () => {
  it('is begun all the same: only this process can ask again', async () => {
    let producer: string | undefined
    const { log } = keeping((runs) => ({
      async begin(id, run) {
        if (producer !== undefined) return producer === run.producer
        producer = run.producer
        runs.set(id, { owner, begun: true, entries: [], last: 0 })
        throw new Error('The connection broke')
      },
    }))
    expect(await record(['told'], { log, runId, owner })).toMatchObject({ outcome: 'done' })
    expect(await (await fromTheBeginning(log)).text()).toBe(frame(1, 'told') + done(2))
  })
})

describe('a thousand jobs whose begins the store took without an answer', () => {
  it('are begun by their next tries, however many others there are', async () => {
    let isAway = true
    const producers = new Map<string, string>()
    const { log } = keeping(() => ({
      async begin(id, { producer }) {
        const known = producers.get(id) ?? producer
        producers.set(id, known)
        if (isAway) throw new Error('The connection broke')
        return known === producer
      },
      append() {},
    }))
    const attempt = (job: number) => record(['told'], { log, runId: `run-of-a-test-${job + 1000}`, owner })
    const jobs = Array.from({ length: 1001 }, (_, job) => job)
    const tried = await Promise.allSettled(jobs.map(attempt))
    expect(new Set(tried.map(({ status }) => status))).toEqual(new Set(['rejected']))
    isAway = false
    for (const job of [1, 500, 1000]) expect(await attempt(job)).toMatchObject({ outcome: 'done' })
  })
})

describe('a stop while the store is asked to begin the run, and answers neither', () => {
  it.each([
    ['before the begin has failed', 0],
    ['after the run has begun here without the store', 20],
  ])('stops the run that begins here all the same, if it fails %s', async (_, ms) => {
    const asked = signal()
    const away = async () => {
      await new Promise((resolve) => setTimeout(resolve, ms))
      throw new Error('out of reach')
    }
    const beginning = signal()
    const { log } = keeping(() => ({
      async begin() {
        asked.happen()
        await beginning.happens
        throw new Error('out of reach')
      },
      get: away,
    }))
    let calls = 0
    async function* source({ signal }: { signal: AbortSignal }) {
      calls++
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
    const answer = relay(request({ 'x-run-id': runId }), source, { log, owner, onError() {} })
    await asked.happens
    const stopping = log.stop(runId, { owner }).catch(({ code }) => code)
    if (ms === 0) await stopping
    beginning.happen()
    expect((await answer).status).toBe(409)
    expect(await stopping).toBe(ms === 0 ? 'log-failure' : true)
    expect(calls).toBe(ms === 0 ? 0 : 1)
  })
})

describe('a store that is not what it must be', () => {
  const { store } = { store: { create() {}, begin() {}, append() {}, get() {}, read() {} } }
  const shared = { leaseMs: 10_000, renew() {}, stop() {}, publish() {}, subscribe() {} }
  it.each([
    ['a lease that is a text, as the environment has it', { ...shared, leaseMs: '30000' }, 'leaseMs cannot be "30000"'],
    ['no lease', { ...shared, leaseMs: undefined }, 'has no leaseMs'],
    ['a time to live that is a text', { ...shared, ttlMs: '60000' }, 'ttlMs cannot be "60000"'],
    ['a method that is none', { ...shared, watch: true }, 'watch cannot be true'],
    ['no way to listen', { ...shared, subscribe: undefined }, 'has no subscribe'],
    ['a misspelt member', { ...shared, ttl_ms: 5 }, 'has no option ttl_ms: use ttlMs'],
    ['no object', true, 'options cannot be true'],
  ])('with %s is refused', (_, shared, words) => {
    expect(() => createLog({ ...store, shared } as never)).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(words) }),
    )
  })
})

describe('a question that comes again while the store is asked for the first', () => {
  it.each([
    ['named by the client', { 'x-run-id': runId }, {}, 200],
    ['named by the application', {}, { runId }, 409],
  ])(
    'and is %s is asked of the provider once, also where the store does not answer',
    async (_, headers, named, status) => {
      const { log } = keeping(() => ({ begin: () => Promise.reject(new Error('out of reach')) }))
      let calls = 0
      async function* source() {
        calls++
        yield 'one'
      }
      const ask = () =>
        relay(new Request('http://localhost/', { method: 'POST', headers }), source, {
          log,
          owner,
          onError: () => {},
          ...named,
        })
      const [first, again] = await Promise.all([ask(), ask()])
      expect(calls).toBe(1)
      expect(await first.text()).toBe(frame(1, 'one') + done(2))
      expect(again.status).toBe(status)
      if (status === 200) expect(await again.text()).toBe(frame(1, 'one') + done(2))
    },
  )
})

describe('two runs with one id, while the store is out of reach', () => {
  const outOfReach = () => ({
    begin() {
      throw new Error('out of reach')
    },
  })
  const onError = () => {}

  it('have each its own readers', async () => {
    const { log } = keeping(outOfReach)
    const second = signal()
    async function* source() {
      yield 'mine 1'
      await second.happens
      yield 'mine 2'
    }
    const mine = await relay(request(), source, { log, runId, owner, onError })
    const other = await relay(request(), ['other 1', 'other 2'], { log, runId, owner: 'bob', onError })
    expect(await other.text()).toBe(frame(1, 'other 1') + frame(2, 'other 2') + done(3))
    second.happen()
    expect(await mine.text()).toBe(frame(1, 'mine 1') + frame(2, 'mine 2') + done(3))
  })

  it('do not take who waits for a run of another owner', async () => {
    const { log, runs } = keeping(outOfReach)
    await log.create(runId, { owner })
    const waiting = await fromTheBeginning(log)
    const go = signal()
    async function* source() {
      yield 'other 1'
      await go.happens
    }
    const other = await relay(request(), source, { log, runId, owner: 'bob', onError })
    const late = await fromTheBeginning(log)
    go.happen()
    expect(await other.text()).toBe(frame(1, 'other 1') + done(2))
    // Nobody can begin it any more: both wait, with heartbeats.
    for (const reader of [waiting, late]) expect(await until(reader, ': \n\n')).toMatch(/^(: \n\n)+$/)
    expect(runs.get(runId)?.begun).toBe(false)
  })
})

describe('a protocol whose failure frame has no blank line', () => {
  it('ends a run all the same, and it can be read again', async () => {
    const log = createMemoryLog()
    closing.push(log)
    const protocol = {
      name: 'half',
      encoder: () => ({ ...textProtocol().encoder({ runId }), fail: () => 'event: error\ndata: {}\n' }),
    }
    async function* source() {
      yield 'one'
      throw new Error('of the provider')
    }
    const { outcome } = await record(source, { log, runId, owner, protocol, onError: () => {} })
    expect(outcome).toBe('error')
    const body = await (await fromTheBeginning(log)).text()
    expect(body).toContain(frame(1, 'one'))
    expect(body).toMatch(/id: run-of-a-test-0001:2\nevent: error\ndata: .*"code":"internal".*\n\n$/)
  })
})

describe('a run whose process is gone, in a store that no other shares', () => {
  it.each([0, 2, 99])('is told to be lost to who has had %i of its events', async (place) => {
    const { log } = keeping(() => ({
      get: () => ({ owner, headers: {}, begun: true, ended: false, leaseMs: 0 }),
      read: () => [],
    }))
    const answer = await resume(request({ 'last-event-id': `${runId}:${place}` }), { log, owner })
    expect(answer.status).toBe(200)
    expect(await answer.text()).toMatch(new RegExp(`^id: ${runId}:end\\nevent: error\\ndata: .*"producer-lost"`))
    expect(await log.status(runId, { owner })).toEqual({ state: 'ended', outcome: 'error' })
  })
})

describe('a store that throws', () => {
  const full = () => new RelayError('overload', 'There is no room', { retryable: true })
  it.each([
    ['is out of reach, whatever it throws', () => new Error('OOM command not allowed'), 'log-failure'],
    ['is full where it says so', full, 'overload'],
  ])('%s and whatever it was asked for', async (_, thrown, code) => {
    const fail = () => {
      throw thrown()
    }
    const { log } = keeping(() => ({ create: fail, begin: fail, get: async () => fail() }))
    const asked = {
      create: log.create(runId, { owner }),
      stop: log.stop(runId, { owner }),
      status: log.status(runId, { owner }),
      record: record(['paid'], { log, runId, owner }),
    }
    const told = await Promise.all(Object.values(asked).map((promise) => promise.catch((error) => error)))
    for (const error of told) expect(error).toMatchObject({ name: 'RelayError', code, status: 503, retryable: true })
  })

  const unreachable = async () => {
    throw new Error('OOM command not allowed')
  }
  it.each<[string, Partial<LogStore>]>([
    ['is known at all', { get: unreachable }],
    ['has ended how', { read: unreachable }],
  ])('while it is asked whether a run that cannot begin %s: the job may be tried again', async (_, failing) => {
    const { log } = keeping((runs) => {
      const entry: LogEntry = { first: 1, last: 1, text: done(1), end: { outcome: 'done' } }
      runs.set(runId, { owner, begun: true, last: 1, entries: [entry] })
      return failing
    })
    const job = record(['told'], { log, runId, owner })
    await expect(job).rejects.toMatchObject({ name: 'RelayError', code: 'log-failure', status: 503, retryable: true })
  })
})
