import {
  createLog,
  type Log,
  type LogEntry,
  type LogStore,
  type ProducerNews,
  record,
  type SharedStore,
} from 'sse-relay/log'
import { logBehaviours } from 'sse-relay/testing'
import { relay, resume } from 'sse-relay/web'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Database, type Row, storeAtOnce, storeOf } from './shared-database.js'

const closing: Log[] = []
afterEach(async () => {
  for (const log of closing.splice(0)) await log.close()
})
const open = (database: Database, leaseMs = 10_000) => {
  const log = createLog(storeOf(database, leaseMs))
  closing.push(log)
  return log
}

describe('a store of one’s own for several processes', () => {
  for (const { name, run } of logBehaviours) {
    it(name, () => {
      const database = new Database()
      return run(() => open(database))
    })
  }
})

describe('a store of one’s own for several processes that answers at once', () => {
  for (const { name, run } of logBehaviours) {
    it(name, () => {
      const database = new Database()
      return run(() => {
        const log = createLog(storeAtOnce(database, 10_000))
        closing.push(log)
        return log
      })
    })
  }
})

describe('a run that was declared lost while it goes on', () => {
  it('is lost for the readers of its own process as well, and its source is aborted', async () => {
    const database = new Database()
    const [here, there] = [open(database, 300), open(database, 300)]
    const runId = 'run-of-a-test-0001'
    let signal!: AbortSignal
    let say!: (text: string) => void
    async function* source(context: { signal: AbortSignal }) {
      signal = context.signal
      yield 'first'
      yield await new Promise<string>((resolve) => (say = resolve))
      await new Promise(() => {})
    }
    const read = (log: Log, after = 0) =>
      resume(new Request('http://localhost/', { headers: { 'last-event-id': `${runId}:${after}` } }), {
        log,
        owner: 'ann',
      })
    const errors: unknown[] = []
    const onError = (error: unknown) => void errors.push(error)
    const run = record(source, { log: here, runId, owner: 'ann', onError })
    const readers = [await read(here), await read(there)]
    await expect.poll(() => say).toBeDefined()
    // As others do where its process has stood still.
    const row = database.runs.get(runId) as Row
    row.isLost = true
    say('second')
    expect(await run).toMatchObject({ outcome: 'error' })
    expect(signal.aborted).toBe(true)
    expect(errors).toEqual([expect.objectContaining({ code: 'producer-lost' })])
    for (const reader of readers) {
      expect(await reader.text()).toMatch(new RegExp(`id: ${runId}:end\\nevent: error\\ndata: .*"producer-lost"`))
    }
    expect(await here.status(runId, { owner: 'ann' })).toEqual({ state: 'ended', outcome: 'error' })
    expect(await there.status(runId, { owner: 'ann' })).toEqual({ state: 'ended', outcome: 'error' })
  })
})

describe('a run that was declared lost while its process stood still', () => {
  it.each([
    ['ends by itself', () => {}],
    ['is stopped', (log: Log, runId: string) => log.stop(runId, { owner: 'ann' })],
  ])('and that then %s has the ending that the store has', async (_, stop) => {
    const database = new Database()
    // That it is lost is heard from the store's first answer.
    const { renew } = storeAtOnce(database, 10_000).shared as SharedStore
    const store = storeOf(database, 10_000)
    const log = createLog({ ...store, shared: { ...(store.shared as SharedStore), renew } })
    closing.push(log)
    const runId = 'run-of-a-test-0002'
    let end!: () => void
    async function* source({ signal }: { signal: AbortSignal }) {
      yield 'first'
      await new Promise<void>((resolve) => {
        end = resolve
        signal.addEventListener('abort', () => resolve())
      })
    }
    const run = record(source, { log, runId, owner: 'ann', onError: () => {} })
    const reader = await resume(new Request('http://localhost/'), { log, owner: 'ann', runId })
    await expect.poll(() => end).toBeDefined()
    const row = database.runs.get(runId) as Row
    row.isLost = true
    const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_000)
    await stop(log, runId)
    end()
    expect(await run).toMatchObject({ outcome: 'error' })
    clock.mockRestore()
    expect(await reader.text()).toMatch(new RegExp(`id: ${runId}:end\\nevent: error\\ndata: .*"producer-lost"`))
    expect(await log.status(runId, { owner: 'ann' })).toEqual({ state: 'ended', outcome: 'error' })
  })
})

describe('a run of whose begin no answer came, until it was declared lost', () => {
  it('has one ending: its own readers are told so too', async () => {
    const database = new Database()
    const store = storeOf(database, 10_000)
    let isAway = true
    const away = new Error('out of reach')
    const log = createLog({
      ...store,
      async begin(runId, run) {
        const begun = await store.begin(runId, run)
        if (isAway) throw away
        return begun
      },
      append: (runId, entry) => (isAway ? Promise.reject(away) : store.append(runId, entry)),
    })
    closing.push(log)
    const runId = 'run-of-a-test-0003'
    let signal!: AbortSignal
    async function* source(context: { signal: AbortSignal }) {
      signal = context.signal
      yield 'first'
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
    const errors: unknown[] = []
    const answer = await relay(new Request('http://localhost/', { method: 'POST' }), source, {
      log,
      owner: 'ann',
      runId,
      onError: (error) => void errors.push(error),
    })
    const row = database.runs.get(runId) as Row
    row.isLost = true
    isAway = false
    expect(await answer.text()).toMatch(new RegExp(`id: ${runId}:end\\nevent: error\\ndata: .*"producer-lost"`))
    expect(signal.aborted).toBe(true)
    expect(await log.status(runId, { owner: 'ann' })).toEqual({ state: 'ended', outcome: 'error' })
    expect(errors).toEqual([away, expect.objectContaining({ code: 'producer-lost' })])
  })
})

describe('readers of one run, in another process than its producer', () => {
  /** A process to which no message comes, and to whose watch the store does not answer. */
  function deaf(database: Database) {
    const store = storeOf(database, 10_000)
    let readings = 0
    const log = createLog({
      ...store,
      async read(...asked) {
        const found = await store.read(...asked)
        readings++
        return found
      },
      shared: {
        ...(store.shared as NonNullable<typeof store.shared>),
        subscribe: async () => () => {},
        watch: () => new Promise(() => {}),
      },
    })
    closing.push(log)
    return { log, readings: () => readings }
  }

  it.each([
    ['the first event', 0],
    ['an event in the middle', 2],
  ])(
    'have %s when one of them has found it, though no message told of it and nothing comes after it',
    async (_, early) => {
      const database = new Database()
      const here = open(database)
      const { log: there, readings } = deaf(database)
      const runId = 'run-of-a-test-0002'
      let say!: (text: string) => void
      record(
        async function* () {
          for (let index = 0; index < early; index++) yield `early ${index} `
          yield await new Promise<string>((resolve) => (say = resolve))
          await new Promise(() => {})
        },
        { log: here, runId, owner: 'ann' },
      )
      const stored = () => database.runs.get(runId)?.last
      await expect.poll(() => say).toBeDefined()
      await expect.poll(stored, { timeout: 5000 }).toBe(early)
      const read = () => {
        let text = ''
        const headers = { 'last-event-id': `${runId}:0` }
        resume(new Request('http://localhost/', { headers }), { log: there, owner: 'ann' }).then(async ({ body }) => {
          for await (const piece of body ?? []) text += Buffer.from(piece)
        })
        return () => text
      }
      const patient = read()
      await expect.poll(readings).toBeGreaterThan(0)
      say('the event')
      await expect.poll(stored, { timeout: 5000 }).toBe(early + 1)
      const late = read()
      await expect.poll(late, { timeout: 5000 }).toContain('the event')
      await expect.poll(patient, { timeout: 5000 }).toContain('the event')
      for (const text of [patient, late]) expect(text().match(/the event/g)).toHaveLength(1)
    },
  )
})

describe('who says, before a run has come to that, the place that becomes its end', () => {
  const runId = 'run-of-a-test-0010'
  const owner = 'ann'
  const readFrom = (log: Log, after: number) =>
    resume(new Request('http://localhost/', { headers: { 'last-event-id': `${runId}:${after}` } }), {
      log,
      owner,
      heartbeatMs: 10,
    })

  it('is told of no loss in another process when the run has ended: the connection ends', async () => {
    const database = new Database()
    const store = storeOf(database, 10_000)
    let seesEnd = false
    const unended = async (result: ReturnType<LogStore['get']>) => {
      const run = await result
      return run && !seesEnd ? { ...run, ended: false, end: undefined, leaseMs: 10_000 } : run
    }
    // The end of the events is found before the end of the run.
    const shared = store.shared as SharedStore
    const watch = (id: string) => unended(shared.watch?.(id))
    const there = createLog({ ...store, get: (id) => unended(store.get(id)), shared: { ...shared, watch } })
    closing.push(there)
    let end!: () => void
    async function* source() {
      yield 'all'
      await new Promise<void>((resolve) => (end = resolve))
    }
    const run = record(source, { log: open(database), runId, owner })
    await expect.poll(() => database.runs.get(runId)?.last).toBe(1)
    const reader = readFrom(there, 2)
    end()
    await run
    const answer = await reader
    expect(answer.status).toBe(200)
    seesEnd = true
    expect(await answer.text()).not.toContain('event:')
    expect((await readFrom(there, 2)).status).toBe(204)
  })

  it.each(['looks for it', 'hears of it'])('is not left waiting in its own process, where it %s late', async (what) => {
    const database = new Database()
    const store = storeOf(database, 10_000)
    let answerBegin!: () => void
    const begun = new Promise<void>((resolve) => (answerBegin = resolve))
    let answerGet!: () => void
    const found = new Promise<void>((resolve) => (answerGet = resolve))
    const get = vi.fn(async (id: string) => {
      const run = await store.get(id)
      if (what === 'looks for it') await found
      return run
    })
    const log = createLog({
      ...store,
      get,
      async begin(id, run) {
        const result = await store.begin(id, run)
        await begun
        return result
      },
    })
    closing.push(log)
    const run = record(() => [], { log, runId, owner })
    await expect.poll(() => database.runs.has(runId)).toBe(true)
    const reader = readFrom(log, 1)
    // Once for the run, and once for whether it has come to that.
    await expect.poll(() => get.mock.calls.length).toBe(what === 'looks for it' ? 1 : 2)
    answerBegin()
    await run
    answerGet()
    expect(await (await reader).text()).not.toContain('event:')
  })
})

describe('a store that never says whether it listens', () => {
  it('is looked at all the same: who reads elsewhere has what comes, and the end', async () => {
    const database = new Database()
    const store = storeOf(database, 600)
    const subscribe = () => new Promise<never>(() => {})
    const there = createLog({ ...store, shared: { ...(store.shared as SharedStore), subscribe } })
    closing.push(there)
    const runId = 'run-of-a-test-0013'
    const owner = 'ann'
    await there.create(runId, { owner })
    const reader = await resume(new Request('http://localhost/'), { log: there, owner, runId, heartbeatMs: 10 })
    await record(['a word'], { log: open(database, 600), runId, owner })
    expect(await reader.text()).toMatch(/"a word".*\[DONE\]/s)
  })
})

describe('a run whose producer is dead, and which nobody reads', () => {
  it('has ended for who asks what became of it, again and again or once in a while', async () => {
    const database = new Database()
    const log = open(database, 300)
    const runId = 'run-of-a-test-0012'
    const owner = 'ann'
    await storeOf(database, 300).begin(runId, { owner, headers: {}, leaseMs: 300, producer: 'dead' })
    expect(await log.status(runId, { owner })).toEqual({ state: 'running' })
    const status = () => log.status(runId, { owner })
    await expect.poll(status, { interval: 1000, timeout: 15_000 }).toEqual({ state: 'ended', outcome: 'error' })
  })
})

describe('a run that a store has forgotten while it goes on', () => {
  async function forgotten() {
    const database = new Database()
    // Its producer looks three times a lease, and its source says nothing.
    const [here, there] = [open(database, 60_000), open(database, 60_000)]
    const runId = 'run-of-a-test-0031'
    let say!: (text: string) => void
    record(
      async function* () {
        yield 'a word'
        yield await new Promise<string>((resolve) => (say = resolve))
      },
      { log: here, runId, owner: 'ann', onError: () => {} },
    )
    await expect.poll(() => database.runs.get(runId)?.last).toBe(1)
    await expect.poll(() => database.listeners.get(`${runId} producer`)?.size).toBe(1)
    database.runs.clear()
    const ask = (lastEventId: string, owner = 'ann') =>
      resume(new Request('http://localhost/', { headers: { 'last-event-id': lastEventId } }), {
        log: there,
        owner,
        heartbeatMs: 20,
      })
    return { runId, ask, say: (text: string) => say(text), there }
  }

  it('goes on for who comes back to another process before its producer has noticed', async () => {
    const { runId, ask, say } = await forgotten()
    const answer = await ask(`${runId}:1`)
    expect(answer.status).toBe(200)
    say('another')
    expect(await answer.text()).toContain(`id: ${runId}:2\ndata: {"text":"another"}`)
  })

  it('is no other’s for that, and no page’s that knows none of it', async () => {
    const { runId, ask, there } = await forgotten()
    expect((await ask(`${runId}:1`, 'bob')).status).toBe(404)
    expect((await ask('run-of-a-test-0032:1')).status).toBe(404)
    expect(
      (await resume(new Request('http://localhost/'), { log: there, owner: 'ann', runId: 'run-of-a-test-0032' }))
        .status,
    ).toBe(204)
  })
})

/** A first event, then one for each letter that is large enough to be stored at once; ends after `until`. */
async function* large(letters: string, until?: Promise<void>) {
  yield 'first'
  for (const letter of letters) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    yield letter.repeat(20_000)
  }
  await new Promise((resolve) => setTimeout(resolve, 20))
  await until
}

describe('a store that answers a later call first, and then forgets the run', () => {
  it.each(['while the run goes on', 'after its end'])('%s is given again all that it had, in order', async (when) => {
    const database = new Database()
    const store = storeOf(database, 1000)
    let answer!: () => void
    const gate = new Promise<void>((resolve) => (answer = resolve))
    let answered = 0
    const log = createLog({
      ...store,
      async append(id, entry) {
        const news = await store.append(id, entry)
        if (entry.first === 2 && answered < 2) await gate
        answered++
        return news
      },
    })
    closing.push(log)
    const runId = 'run-of-a-test-0035'
    const owner = 'ann'
    let say!: () => void
    const isSaid = new Promise<void>((resolve) => (say = resolve))
    const run = record(large('ab', when === 'while the run goes on' ? isSaid : undefined), {
      log,
      runId,
      owner,
      onError: () => {},
    })
    const last = () => database.runs.get(runId)?.last
    await expect.poll(last).toBe(when === 'after its end' ? 4 : 3)
    // The answers of what came after it are there.
    await expect.poll(() => answered).toBe(when === 'after its end' ? 3 : 2)
    answer()
    if (when === 'after its end') await run
    else await expect.poll(() => answered).toBe(3)
    database.runs.clear()
    if (when === 'after its end') await expect.poll(last, { timeout: 10_000 }).toBe(4)
    else {
      say()
      expect(await run).toMatchObject({ outcome: 'done' })
    }
    const headers = { 'last-event-id': `${runId}:0` }
    const late = await resume(new Request('http://localhost/', { headers }), { log: open(database), owner })
    expect(await late.text()).toMatch(/"first".*"a+".*"b+".*\[DONE\]/s)
  })
})

describe('a store that forgets a run, and once more while it is given that again', () => {
  it.each(['while the run goes on', 'after its end'])('%s has all of it in the end', async (when) => {
    const database = new Database()
    const store = storeOf(database, 1000)
    let forgotten = 0
    const log = createLog({
      ...store,
      append(id, entry) {
        if (forgotten === 1 && entry.first === 3) {
          forgotten++
          database.runs.clear()
        }
        return store.append(id, entry)
      },
    })
    closing.push(log)
    const runId = 'run-of-a-test-0036'
    const owner = 'ann'
    let say!: () => void
    const isSaid = new Promise<void>((resolve) => (say = resolve))
    const run = record(large('abc', when === 'while the run goes on' ? isSaid : undefined), {
      log,
      runId,
      owner,
      onError: () => {},
    })
    const last = () => database.runs.get(runId)?.last
    if (when === 'after its end') await run
    await expect.poll(last).toBe(when === 'after its end' ? 5 : 4)
    database.runs.clear()
    forgotten++
    if (when === 'after its end') await expect.poll(() => forgotten === 2 && last(), { timeout: 10_000 }).toBe(5)
    else {
      say()
      expect(await run).toMatchObject({ outcome: 'done' })
    }
    const headers = { 'last-event-id': `${runId}:0` }
    const answered = await resume(new Request('http://localhost/', { headers }), { log: open(database), owner })
    expect(await answered.text()).toMatch(/"first".*"a+".*"b+".*"c+".*\[DONE\]/s)
  })
})

describe('a run that a store has forgotten before it began', () => {
  it('is waited for all the same, for the time that it has to begin', async () => {
    const database = new Database()
    const there = open(database, 300)
    const [runId, never] = ['run-of-a-test-0033', 'run-of-a-test-0034']
    const owner = 'ann'
    await there.create(runId, { owner })
    await there.create(never, { owner, startMs: 1500 })
    const ask = (id: string) =>
      resume(new Request('http://localhost/'), { log: there, owner, runId: id, heartbeatMs: 20 })
    const [reader, other] = [await ask(runId), await ask(never)]
    database.runs.clear()
    await expect.poll(() => database.runs.has(runId), { timeout: 10_000 }).toBe(true)
    expect(await other.text()).toContain('"producer-lost"')
    await record(['a word'], { log: open(database, 300), runId, owner })
    expect(await reader.text()).toMatch(/"a word".*\[DONE\]/s)
  })
})

describe('a stop in another process', () => {
  const runId = 'run-of-a-test-0061'
  const owner = 'ann'

  it.each([
    ['refuses to pass a message on', () => Promise.reject(new Error('no channels'))],
    ['never says whether it has passed a message on', () => new Promise<void>(() => {})],
  ])('is done, and answered, where the store %s', async (_, publish) => {
    const database = new Database()
    const store = storeOf(database, 300)
    const there = createLog({ ...store, shared: { ...(store.shared as SharedStore), publish } })
    closing.push(there)
    // Of a run that waits for its producer, and of one that goes on.
    await there.create(runId, { owner })
    const waiting = await resume(new Request('http://localhost/'), { log: there, owner, runId, heartbeatMs: 20 })
    expect(await there.stop(runId, { owner })).toBe(true)
    expect(await waiting.text()).toMatch(/event: error\ndata: .*"stopped"/)
    expect(await there.status(runId, { owner })).toEqual({ state: 'ended', outcome: 'stopped' })
    const other = 'run-of-a-test-0062'
    const run = record(({ signal }) => thinking(signal), { log: open(database, 300), runId: other, owner })
    await expect.poll(() => database.runs.get(other)?.begun).toBe(true)
    expect(await there.stop(other, { owner })).toBe(true)
    expect(await run).toMatchObject({ outcome: 'stopped' })
  })

  it('is answered when its message has gone: nothing is paid after that', async () => {
    const database = new Database()
    const store = storeOf(database, 10_000)
    let isGone = false
    const publish = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      isGone = true
    }
    const there = createLog({ ...store, shared: { ...(store.shared as SharedStore), publish } })
    closing.push(there)
    const run = record(({ signal }) => thinking(signal), { log: open(database), runId, owner })
    await expect.poll(() => database.runs.get(runId)?.begun).toBe(true)
    expect(await there.stop(runId, { owner })).toBe(true)
    expect(isGone).toBe(true)
    expect(await run).toMatchObject({ outcome: 'stopped' })
  })

  it('finds nothing to stop once the source has ended, though its end is not stored yet', async () => {
    const database = new Database()
    const store = storeOf(database, 10_000)
    let isAsked = false
    const append = () => {
      isAsked = true
      return new Promise<ProducerNews>(() => {})
    }
    const log = createLog({ ...store, append })
    closing.push(log)
    record(['a word'], { log, runId, owner, onError: () => {} }).catch(() => {})
    await expect.poll(() => isAsked).toBe(true)
    expect(await log.stop(runId, { owner })).toBe(false)
  })

  it('is told to nobody where the producer is dead: false, and kept in case it only stands still', async () => {
    const database = new Database()
    const log = open(database, 60_000)
    await storeOf(database, 60_000).begin(runId, { owner, headers: {}, leaseMs: 60_000, producer: 'dead' })
    const row = database.runs.get(runId) as Row
    expect(await log.stop(runId, { owner })).toBe(true)
    row.aliveUntil = 0
    expect(await log.stop(runId, { owner })).toBe(false)
    expect(row).toMatchObject({ isStopped: true, isLost: false })
  })

  it('is told to a producer that lives though its lease is over, as after an outage: true', async () => {
    const database = new Database()
    const run = record(({ signal }) => thinking(signal), { log: open(database, 60_000), runId, owner })
    await expect.poll(() => database.listeners.get(`${runId} producer`)?.size).toBe(1)
    const row = database.runs.get(runId) as Row
    row.aliveUntil = 0
    expect(await open(database, 60_000).stop(runId, { owner })).toBe(true)
    expect(await run).toMatchObject({ outcome: 'stopped' })
  })

  it.each(['begin', 'append'] as const)(
    'of a run that waits for its producer ends that also where the store takes the %s, and its answer is lost',
    async (method) => {
      const database = new Database()
      const store = storeOf(database, 10_000)
      let isLost = true
      const there = createLog({
        ...store,
        async [method](...given: never[]) {
          const answer = await (store[method] as (...given: never[]) => unknown)(...given)
          if (isLost) throw new Error('The connection broke')
          return answer
        },
      } as LogStore)
      closing.push(there)
      await there.create(runId, { owner })
      const read = (log: Log) => resume(new Request('http://localhost/'), { log, owner, runId, heartbeatMs: 20 })
      const readers = [await read(there), await read(open(database))]
      const stopped = await there.stop(runId, { owner }).catch(({ code }) => code)
      expect(stopped).toBe(method === 'begin' ? 'log-failure' : true)
      isLost = false
      for (const reader of readers) expect(await reader.text()).toMatch(/event: error\ndata: .*"stopped"/)
      expect(await open(database).status(runId, { owner })).toEqual({ state: 'ended', outcome: 'stopped' })
    },
  )

  /** A source that says nothing until it is told to stop. */
  async function* thinking(signal: AbortSignal) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    yield 'too late'
  }
})

describe('a run whose source thinks for long', () => {
  it('goes on for who reads it in another process, and cannot be heard there', async () => {
    const database = new Database()
    const here = open(database, 10_000)
    const store = storeOf(database, 10_000)
    const publish = () => Promise.reject(new Error('no channels'))
    const there = createLog({ ...store, shared: { ...(store.shared as SharedStore), publish } })
    closing.push(there)
    const runId = 'run-of-a-test-0081'
    let end!: () => void
    async function* source() {
      yield 'a word'
      await new Promise<void>((resolve) => (end = resolve))
      yield ' more'
    }
    const run = record(source, { log: here, runId, owner: 'ann', abandonMs: 200 })
    await expect.poll(() => end).toBeDefined()
    const reader = await resume(new Request('http://localhost/'), { log: there, owner: 'ann', runId, heartbeatMs: 20 })
    // It is asked whether anybody is there, again and again, while it goes on.
    let asked = 0
    database.listeners.get(`${runId} readers`)?.add((message) => {
      if (message === 'who') asked++
    })
    await expect.poll(() => asked, { timeout: 30_000 }).toBe(3)
    end()
    expect(await run).toMatchObject({ outcome: 'done' })
    expect(await reader.text()).toContain('[DONE]')
  })
})

describe('a log that closes', () => {
  it.each(['relay', 'record'])('ends what the store is asked to begin, by %s, and calls no source', async (how) => {
    const database = new Database()
    const store = storeOf(database, 10_000)
    let answer!: () => void
    const gate = new Promise<void>((resolve) => (answer = resolve))
    const log = createLog({
      ...store,
      async begin(id, run) {
        const begun = await store.begin(id, run)
        await gate
        return begun
      },
    })
    const runId = 'run-of-a-test-0011'
    const source = vi.fn(() => ['paid'])
    const shared = { log, runId, owner: 'ann' }
    const run =
      how === 'record'
        ? record(source, shared).then(({ outcome }) => outcome)
        : relay(new Request('http://localhost/'), source, shared).then(({ status }) => status)
    await expect.poll(() => database.runs.has(runId)).toBe(true)
    const closed = log.close()
    answer()
    expect(await run).toBe(how === 'record' ? 'shutdown' : 503)
    await closed
    expect(source).not.toHaveBeenCalled()
    expect(await open(database).status(runId, { owner: 'ann' })).toEqual({ state: 'ended', outcome: 'shutdown' })
  })

  it('asks the store nothing more, but to take the end of what it began so late', async () => {
    const database = new Database()
    const leaseMs = 200
    const store = storeOf(database, leaseMs)
    const asked: string[] = []
    let isClosed = false
    let answer!: () => void
    const gate = new Promise<void>((resolve) => (answer = resolve))
    const noted = <T extends object>(methods: T): T =>
      new Proxy(methods, {
        get(target, name) {
          const member = Reflect.get(target, name)
          if (isClosed && typeof member === 'function') asked.push(String(name))
          return member
        },
      })
    const log = createLog(
      noted({
        ...store,
        async begin(id, run) {
          const begun = await store.begin(id, run)
          if (id === late) await gate
          return begun
        },
        shared: noted(store.shared as SharedStore),
      }),
    )
    const [over, late, elsewhere] = ['run-of-a-test-0021', 'run-of-a-test-0022', 'run-of-a-test-0023']
    let end!: () => void
    async function* thinking() {
      await new Promise<void>((resolve) => (end = resolve))
    }
    const going = record(thinking, { log: open(database), runId: elsewhere, owner: 'ann' })
    // What was stored last is offered again for a while.
    await record(['a'], { log, runId: over, owner: 'ann' })
    const source = vi.fn(() => ['paid'])
    const begun = relay(new Request('http://localhost/'), source, { log, runId: late, owner: 'ann' })
    await expect.poll(() => database.runs.get(elsewhere)?.begun && database.runs.has(late)).toBe(true)
    const read = (runId: string) =>
      resume(new Request('http://localhost/', { headers: { 'last-event-id': `${runId}:0` } }), { log, owner: 'ann' })
    const unknown = read('run-of-a-test-0024')
    await log.close()
    isClosed = true
    answer()
    expect((await begun).status).toBe(503)
    expect((await unknown).status).toBe(503)
    await new Promise((resolve) => setTimeout(resolve, 5 * leaseMs))
    expect(asked).toEqual(['append'])
    expect(source).not.toHaveBeenCalled()
    // What has ended can be read still, what goes on elsewhere is read elsewhere.
    expect(await (await read(over)).text()).toContain('[DONE]')
    expect((await read(elsewhere)).status).toBe(503)
    end()
    await going
  })

  it('sends away who reads a run of another process, or waits for one, to come back elsewhere', async () => {
    const database = new Database()
    const [here, there] = [open(database), open(database)]
    const [runId, waitedFor] = ['run-of-a-test-0071', 'run-of-a-test-0072']
    let end!: () => void
    async function* source() {
      yield 'a word'
      await new Promise<void>((resolve) => (end = resolve))
      yield ' more'
    }
    const run = record(source, { log: there, runId, owner: 'ann' })
    await here.create(waitedFor, { owner: 'ann' })
    await expect.poll(() => end).toBeDefined()
    const read = (log: Log, lastEventId: string) =>
      resume(new Request('http://localhost/', { headers: { 'last-event-id': lastEventId } }), {
        log,
        owner: 'ann',
        heartbeatMs: 20,
      })
    const [reader, waiting] = await Promise.all([read(here, `${runId}:0`), read(here, `${waitedFor}:0`)])
    await here.close()
    expect(await reader.text()).toMatch(new RegExp(`^(: \\n\\n)*id: ${runId}:1\\ndata: .*\\n\\n(: \\n\\n)*$`))
    expect(await waiting.text()).toMatch(/^(: \n\n)*$/)
    end()
    await run
    expect(await (await read(there, `${runId}:1`)).text()).toContain('[DONE]')
  })
})

describe('a run that begins while it is waited for in another process', () => {
  it('tells so: its readers need not look', async () => {
    const database = new Database()
    // They look three times a lease.
    const [here, there] = [open(database, 60_000), open(database, 60_000)]
    const runId = 'run-of-a-test-0021'
    await here.create(runId, { owner: 'ann' })
    let text = ''
    const headers = { 'last-event-id': `${runId}:0` }
    const answer = await resume(new Request('http://localhost/', { headers }), {
      log: there,
      owner: 'ann',
      heartbeatMs: 20,
    })
    const reading = (async () => {
      for await (const piece of answer.body ?? []) text += Buffer.from(piece)
    })()
    await expect.poll(() => database.listeners.get(`${runId} readers`)?.size).toBe(1)
    let end!: () => void
    record(
      async function* () {
        yield 'a word'
        await new Promise<void>((resolve) => (end = resolve))
      },
      { log: here, runId, owner: 'ann' },
    )
    await expect.poll(() => text).toContain('a word')
    end()
    await reading
  })
})

describe('what is told of runs that are read in other processes', () => {
  /** A database that notes what is told, by the channel. */
  function noting() {
    const database = new Database()
    const told: { address: string; message: string }[] = []
    const openNoting = () => {
      const store = storeOf(database, 10_000)
      const shared = store.shared as NonNullable<typeof store.shared>
      const log = createLog({
        ...store,
        shared: {
          ...shared,
          publish(address, channel, message) {
            if (channel === 'readers' && message.includes('\n')) told.push({ address, message })
            return shared.publish(address, channel, message)
          },
        },
      })
      closing.push(log)
      return log
    }
    return { told, openNoting, rows: () => database.runs }
  }

  /** Begins runs whose tokens come when a test says so, of all in one turn. */
  async function produce(log: Log, runIds: string[]) {
    const say: Record<string, (text: string) => void> = {}
    for (const runId of runIds) {
      record(
        async function* () {
          yield 'first '
          for (;;) yield await new Promise<string>((resolve) => (say[runId] = resolve))
        },
        { log, runId, owner: 'ann' },
      )
    }
    await expect.poll(() => Object.keys(say).length).toBe(runIds.length)
    return (text: string) => {
      for (const runId of runIds) say[runId]?.(`${text} of ${runId} `)
    }
  }

  function read(log: Log, runId: string) {
    let text = ''
    const headers = { 'last-event-id': `${runId}:0` }
    resume(new Request('http://localhost/', { headers }), { log, owner: 'ann' }).then(async ({ body }) => {
      for await (const piece of body ?? []) text += Buffer.from(piece)
    })
    return () => text
  }

  const runIds = ['run-of-a-test-0011', 'run-of-a-test-0012', 'run-of-a-test-0013']

  it('goes to a process as one message for all runs of a turn', async () => {
    const { told, openNoting } = noting()
    const [here, there] = [openNoting(), openNoting()]
    const say = await produce(here, runIds)
    const texts = runIds.map((runId) => read(there, runId))
    for (const text of texts) await expect.poll(text).toContain('first')
    const has = (word: string) => runIds.every((runId, index) => texts[index]?.().includes(`${word} of ${runId}`))
    // Until all are known to be read.
    let words = 0
    await expect
      .poll(
        () => {
          say(`word ${++words}`)
          return told.some(({ message }) => runIds.every((runId) => message.includes(`word ${words - 1} of ${runId} `)))
        },
        { interval: 20 },
      )
      .toBe(true)
    await expect.poll(() => has(`word ${words}`)).toBe(true)
    told.length = 0
    say('the last')
    await expect.poll(() => has('the last')).toBe(true)
    expect(told).toHaveLength(1)
    expect(runIds).not.toContain(told[0]?.address)
    for (const text of texts) expect(text().match(/the last/g)).toHaveLength(1)
  })

  it('is there for who comes later to the same process, before it is stored', async () => {
    const { told, openNoting, rows } = noting()
    const [here, there] = [openNoting(), openNoting()]
    const [runId] = runIds as [string]
    const say = await produce(here, [runId])
    const early = read(there, runId)
    await expect.poll(early).toContain('first')
    say('the second')
    await expect.poll(early).toContain('the second')
    await expect.poll(() => told.length, { interval: 5 }).toBeGreaterThan(0)
    // From now on nothing more is stored.
    const row = rows().get(runId) as Row
    row.entries.push = () => 0
    say('the third')
    await expect.poll(early).toContain('the third')
    const late = read(there, runId)
    await expect.poll(late).toContain('the third')
    for (const text of [early, late]) expect(text().match(/the (second|third)/g)).toEqual(['the second', 'the third'])
  })

  it('is told to who came before its producer could hear that', async () => {
    const database = new Database()
    let listens = () => {}
    const listening = new Promise<void>((resolve) => {
      listens = resolve
    })
    // Long enough that nobody looks by itself: what comes was told.
    const store = storeOf(database, 300_000)
    const shared = store.shared as SharedStore
    const said: string[] = []
    const openWith = (more: Partial<SharedStore>) => {
      const log = createLog({ ...store, shared: { ...shared, ...more } })
      closing.push(log)
      return log
    }
    const here = openWith({
      async subscribe(address, channel, listener) {
        if (channel === 'producer') await listening
        return shared.subscribe(address, channel, listener)
      },
    })
    const there = openWith({
      publish(address, channel, message) {
        if (channel === 'producer') said.push(message)
        return shared.publish(address, channel, message)
      },
    })
    const [runId] = runIds as [string]
    const say = await produce(here, [runId])
    const text = read(there, runId)
    await expect.poll(text).toContain('first')
    await expect.poll(() => said.length).toBeGreaterThan(0)
    said.length = 0
    listens()
    await expect.poll(() => said, { timeout: 20_000 }).not.toEqual([])
    say('the second')
    await expect.poll(text, { timeout: 20_000 }).toContain('the second')
  })

  it('is no place that the run has not come to, however long its store takes for it', async () => {
    const database = new Database()
    const store = storeOf(database, 10_000)
    let stored = () => {}
    const storing = new Promise<void>((resolve) => (stored = resolve))
    const here = createLog({
      ...store,
      async append(id, entry) {
        if (entry.first > 1) await storing
        return store.append(id, entry)
      },
    })
    closing.push(here)
    const [runId] = runIds as [string]
    const say = await produce(here, [runId])
    const early = read(open(database), runId)
    await expect.poll(early).toContain('first')
    await expect
      .poll(() => {
        say('the next')
        return early()
      })
      .toContain('the next')
    const later = resume(new Request('http://localhost/', { headers: { 'last-event-id': `${runId}:2` } }), {
      log: open(database),
      owner: 'ann',
    })
    // Its producer says more all the time.
    for (let word = 0; word < 15; word++) {
      say('another')
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    stored()
    expect((await later).status).toBe(200)
  })

  it('is told to who came while its producer could not hear, also if another was answered meanwhile', async () => {
    const database = new Database()
    // Long enough that nobody looks by itself.
    const store = storeOf(database, 300_000)
    const shared = store.shared as SharedStore
    const openWith = (isLost = () => false) => {
      const log = createLog({
        ...store,
        shared: {
          ...shared,
          publish(address, channel, message) {
            return channel === 'producer' && isLost() ? undefined : shared.publish(address, channel, message)
          },
        },
      })
      closing.push(log)
      return log
    }
    let isDeaf = true
    let lost = 0
    const isLost = () => {
      if (isDeaf) lost++
      return isDeaf
    }
    const [here, there, elsewhere] = [openWith(), openWith(), openWith(isLost)]
    const [runId] = runIds as [string]
    const say = await produce(here, [runId])
    const late = read(elsewhere, runId)
    await expect.poll(() => lost).toBeGreaterThan(0)
    // All readers hear of the answer that this one gets.
    const early = read(there, runId)
    await expect.poll(early).toContain('first')
    say('the second')
    await expect.poll(early).toContain('the second')
    isDeaf = false
    for (const listener of database.listeners.get(`${runId} producer`) ?? []) listener('reconnected')
    say('the third')
    await expect.poll(late, { timeout: 20_000 }).toContain('the third')
  })

  it('goes once to all, where several processes read a run', async () => {
    const { told, openNoting } = noting()
    const [here, ...others] = [openNoting(), openNoting(), openNoting()]
    const [runId] = runIds as [string]
    const say = await produce(here as Log, [runId])
    const texts = others.map((log) => read(log, runId))
    for (const text of texts) await expect.poll(text).toContain('first')
    let words = 0
    await expect
      .poll(
        () => {
          say(`word ${++words}`)
          return told.at(-1)?.address
        },
        { interval: 20 },
      )
      .toBe(runId)
    told.length = 0
    say('the last')
    for (const text of texts) await expect.poll(text).toContain('the last')
    expect(told.map(({ address }) => address)).toEqual([runId])
    for (const text of texts) {
      expect(text().match(/the last/g)).toHaveLength(1)
      for (let word = 1; word <= words; word++) expect(text().split(`word ${word} of`)).toHaveLength(2)
    }
  })
})

describe('an entry for a store that is shared', () => {
  const runId = 'run-of-entries-0001'

  async function entriesOf(): Promise<LogEntry[]> {
    const database = new Database()
    const log = createLog(storeAtOnce(database, 10_000))
    closing.push(log)
    await record(['a', 'b', { event: 'note', data: 'c' }, 'd'], {
      log,
      runId,
      owner: null,
    })
    return (database.runs.get(runId) as Row).entries
  }

  it('has its frames without ids as well, half as much to keep, and its text however it is copied', async () => {
    const entries = await entriesOf()
    expect(entries.map(({ frames }) => frames).join('')).toBe(
      'data: {"text":"a"}\n\ndata: {"text":"b"}\n\nevent: note\ndata: c\n\ndata: {"text":"d"}\n\ndata: [DONE]\n\n',
    )
    for (const entry of entries) {
      const { text, frames = '', first, last } = { ...entry }
      const numbers = Array.from({ length: last - first + 1 }, (_, index) => first + index)
      expect([...text.matchAll(/^id: run-of-entries-0001:(\d+)$/gm)].map(([, number]) => Number(number))).toEqual(
        numbers,
      )
      expect(text.replace(/^id: .*\n/gm, '')).toBe(frames)
      expect(JSON.parse(JSON.stringify(entry))).toMatchObject({ text, frames })
    }
  })
})
