import { relayTo, resumeTo, type Sink } from 'sse-relay'
import { createLog, type Log, type LogStore, record, type SharedStore } from 'sse-relay/log'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Database, storeAtOnce } from './shared-database.js'

// Random plays: a run, its producer's readers and those of another process, over a store that takes its time. All clocks
// are virtual, so a play of a minute takes some milliseconds, and its seed gives the same one again.

const runId = 'run-of-a-play-0001'
const owner = 'ann'
const LEASE_MS = 10_000

beforeAll(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'] })
  // That messages do not get through is said once.
  vi.spyOn(console, 'warn').mockImplementation(() => {})
})
afterAll(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Numbers from 0 to 1 (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Lets time go by until something is over. */
async function pass<T>(something: Promise<T>): Promise<T> {
  let isOver = false
  something.then(
    () => (isOver = true),
    () => (isOver = true),
  )
  for (let step = 0; !isOver; step++) {
    if (step > 100_000) throw new Error('It does not come to an end')
    for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve))
    if (!isOver) vi.advanceTimersToNextTimer()
  }
  return something
}

interface Play {
  random: () => number
  /** How long the store may take before a call takes effect, and again before it is answered, in milliseconds. */
  storeMs: number
  /** How often a call is not answered, or does not come through. */
  failures: number
}

/** A store that takes its time. What one process asks about a run takes effect in order, and is answered in any. */
function slowly(store: LogStore, { random, storeMs, failures }: Play): LogStore {
  const orders = new Map<unknown, Promise<unknown>>()
  const wait = () => sleep(random() < 0.8 ? random() * storeMs * 0.1 : random() * storeMs)
  const slow = <T extends object>(methods: T): T =>
    Object.fromEntries(
      Object.entries(methods).map(([name, method]) => {
        if (typeof method !== 'function' || name === 'subscribe') return [name, method]
        return [
          name,
          async (...given: unknown[]) => {
            const isLost = random() < failures
            const isUnanswered = random() < failures
            const effect = (orders.get(given[0]) ?? Promise.resolve()).then(wait).then(() => {
              if (isLost) throw new Error('The question was lost')
              return method(...given)
            })
            orders.set(
              given[0],
              effect.catch(() => {}),
            )
            const answer = await effect
            await wait()
            if (isUnanswered) throw new Error('The answer was lost')
            return answer
          },
        ]
      }),
    ) as T
  const { shared, ...rest } = store
  return { ...slow(rest), ...(shared && { shared: slow(shared) }) }
}

class Connection implements Sink {
  status = 0
  text = ''
  isFull = false
  drained!: () => void
  open(status: number) {
    this.status = status
  }
  write(text: string) {
    this.text += text
    return !this.isFull
  }
  end(text = '') {
    this.text += text
    queueMicrotask(() => this.drained())
  }
  destroy() {}
  schedule(task: () => void) {
    setImmediate(task)
  }
}

/** What one reader was told, over all its connections. */
class Story {
  cursor = 0
  text = ''
  ending: string | undefined
  readonly faults: string[] = []

  constructor(readonly name: string) {}

  add({ status, text }: Connection) {
    for (const [, id, data] of text.matchAll(/^id: [\w-]+:(\d+|end)\n((?:.+\n)*)\n/gm)) {
      if (id === 'end') this.ending = /"code":"([\w-]+)"/.exec(data as string)?.[1]
      else if (Number(id) !== this.cursor + 1) this.faults.push(`${id} after ${this.cursor}`)
      else {
        this.cursor++
        this.text += data
        if (data?.includes('[DONE]')) this.ending = 'done'
        if (data?.startsWith('event: error')) this.ending = /"code":"([\w-]+)"/.exec(data)?.[1]
      }
    }
    if (status === 204) this.ending ??= '204'
    if (![0, 200, 204, 404, 503].includes(status)) this.faults.push(`${status} at ${this.cursor}: ${text}`)
  }
}

/** Reads as a client does: leaves, is full, comes back with its last id, also after the end. */
async function read(log: Log, story: Story, { random }: Play, again: () => boolean): Promise<void> {
  for (let tries = 0; tries < 400 && again(); tries++) {
    const connection = new Connection()
    const handle = resumeTo(connection, `${runId}:${story.cursor}`, { log, owner, heartbeatMs: 0, onError() {} })
    const leaving = random() < 0.5 ? setTimeout(() => handle.left(), random() * 4000) : undefined
    const blocking =
      random() < 0.3
        ? setTimeout(() => {
            connection.isFull = true
            setTimeout(() => {
              connection.isFull = false
              handle.drained()
            }, random() * 2000)
          }, random() * 2000)
        : undefined
    connection.drained = () => handle.drained()
    await handle.done
    clearTimeout(leaving)
    clearTimeout(blocking)
    story.add(connection)
    if (story.ending !== undefined) return
    await sleep(random() * 500)
  }
}

async function play(
  seed: number,
  { isShared, storeMs, failures }: { isShared: boolean; storeMs: number; failures: number },
) {
  const random = randomOf(seed)
  const what = { random, storeMs, failures }
  const database = new Database()
  const openLog = () => {
    const { shared, ...store } = storeAtOnce(database, isShared ? LEASE_MS : Number.POSITIVE_INFINITY)
    return createLog(slowly(isShared ? { ...store, shared: shared as SharedStore } : store, what))
  }
  const here = openLog()
  const there = isShared ? openLog() : here
  const words = 1 + Math.floor(random() * 30)
  const everyMs = random() * 400
  async function* source({ signal }: { signal: AbortSignal }) {
    for (let word = 0; word < words; word++) {
      signal.throwIfAborted()
      yield `word ${word} `
      if (random() < 0.7) await sleep(random() * everyMs)
    }
  }
  const first = new Connection()
  const request = { method: 'POST', header: (name: string) => (name === 'x-run-id' ? runId : undefined) }
  let outcome: string | undefined
  const handle = relayTo(first, source, {
    log: here,
    owner,
    request,
    onError() {},
    heartbeatMs: 0,
    onEnd: (summary) => {
      outcome = summary.outcome
    },
  })
  first.drained = () => handle.drained()
  if (random() < 0.5) setTimeout(() => handle.left(), random() * words * everyMs)
  const stories = [
    new Story('asker'),
    new Story('local'),
    new Story('local late'),
    new Story('remote'),
    new Story('remote late'),
  ]
  const [, ...readers] = stories as [Story, ...Story[]]
  const until = performance.now() + 300_000
  const again = () => performance.now() < until
  const reading = readers.map(async (story, index) => {
    await sleep(index % 2 ? random() * words * everyMs : random() * 100)
    const log = index < 2 ? here : there
    await read(log, story, what, again)
    // Once more after the end, from somewhere before it.
    for (let times = 0; times < 3; times++) {
      const late = new Story(`${story.name}, again`)
      late.cursor = Math.floor(random() * (story.cursor + 1))
      const from = late.cursor
      await sleep(random() * 3000)
      await read(log, late, what, again)
      if (late.ending !== '204' && late.ending !== story.ending && story.ending !== '204')
        late.faults.push(`ended ${late.ending}, where it had ended ${story.ending}`)
      if (late.ending === '204' && from < story.cursor) late.faults.push(`nothing after ${from} of ${story.cursor}`)
      stories.push(late)
    }
  })
  await pass(Promise.all([handle.done, ...reading]))
  stories[0]?.add(first)
  const endings = new Set(stories.map(({ ending }) => ending).filter((ending) => ending && ending !== '204'))
  const faults = stories.flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`))
  if (endings.size > 1) faults.push(`endings: ${[...endings]}`)
  for (const { name, ending } of readers) if (ending === undefined) faults.push(`${name} came to no end (${outcome})`)
  await pass(Promise.all([here.close(), there.close()]))
  return faults.map((fault) => `seed ${seed}: ${fault}`)
}

describe('random plays', () => {
  const from = Number(process.env.SEED ?? 1)
  const count = Number(process.env.PLAYS ?? 30)
  it.each([
    ['a store of this process that is slow', { isShared: false, storeMs: 3000, failures: 0 }],
    ['a store that processes share and that is slow', { isShared: true, storeMs: 3000, failures: 0 }],
    ['a store that processes share and that fails now and then', { isShared: true, storeMs: 500, failures: 0.05 }],
  ])('over %s end as they must', async (_, what) => {
    const faults: string[] = []
    for (let seed = from; seed < from + count; seed++) faults.push(...(await play(seed, what)))
    expect(faults).toEqual([])
  })
})

describe('a store that takes long for each entry, and fails now and then', () => {
  it('is given all of a run, also later than a minute after its end', async () => {
    const database = new Database()
    const store = storeAtOnce(database, Number.POSITIVE_INFINITY)
    const from = performance.now()
    let hasFailedLate = false
    const log = createLog({
      ...store,
      async append(id, entry) {
        const ms = performance.now() - from
        // While the run goes on, and once more than a minute after its end.
        const isLate = ms > 80_000 && !hasFailedLate
        hasFailedLate ||= isLate
        const isFailing = ms < 16_000 || isLate
        await sleep(12_000)
        if (isFailing) throw new Error('The question was lost')
        return store.append(id, entry)
      },
    })
    async function* source() {
      for (let word = 0; word < 10; word++) {
        yield `word ${word} `
        await sleep(1500)
      }
    }
    expect(await pass(record(source, { log, runId, owner, onError() {} }))).toMatchObject({ outcome: 'done' })
    expect(database.runs.get(runId)?.entries.at(-1)).toMatchObject({ last: 11, end: { outcome: 'done' } })
    await pass(log.close())
  })
})
