import { RelayError } from 'sse-relay'
import type { Channel, LogEntry, LogStore, ProducerNews, SharedStore } from 'sse-relay/log'

// A store of one's own for several processes, after docs/resume.md: a table of runs, one of entries, and messages.

export interface Row {
  owner: string | null
  headers: Readonly<Record<string, string>>
  begun: boolean
  producer: string
  entries: LogEntry[]
  last: number
  aliveUntil: number
  readUntil: number
  suspectedSince: number
  lookedAt: number
  isStopped: boolean
  isLost: boolean
}

export class Database {
  readonly runs = new Map<string, Row>()
  readonly stops = new Map<string, number>()
  readonly listeners = new Map<string, Set<(message: string) => void>>()
  now = () => performance.now()
}

/** What one process has of it. It answers at once, as a database in a file does. */
export function storeAtOnce(database: Database, leaseMs: number): LogStore {
  const { runs, stops, listeners } = database
  const newsOf = (run: Row): ProducerNews => {
    if (run.isLost) return 'lost'
    if (run.isStopped) return 'stopped'
    return run.readUntil > database.now() ? 'read' : 'running'
  }
  const stored = (run: Row | undefined) => {
    if (!run) return undefined
    const { owner, headers, begun, entries, isLost, aliveUntil } = run
    const end = entries.at(-1)?.end
    const leftMs = Math.max(0, aliveUntil - database.now())
    return {
      owner,
      headers,
      begun,
      ended: end !== undefined,
      end,
      lost: isLost,
      leaseMs: leftMs,
      settleMs: end && leftMs,
    }
  }
  const fresh = (owner: string | null, ms: number): Row => ({
    owner,
    headers: {},
    begun: false,
    producer: '',
    entries: [],
    last: 0,
    aliveUntil: database.now() + ms,
    readUntil: 0,
    suspectedSince: 0,
    lookedAt: 0,
    isStopped: false,
    isLost: false,
  })
  return {
    create(runId, { owner, leaseMs }) {
      const run = runs.get(runId)
      if (run && (run.owner !== owner || run.begun || run.aliveUntil > database.now())) return false
      runs.set(runId, fresh(owner, leaseMs))
      return true
    },
    begin(runId, { owner, headers, producer, after = 0 }) {
      const known = runs.get(runId)
      const isAgain = known?.producer === producer && !known.isLost
      if (known && (known.owner !== owner || (!isAgain && (known.begun || known.aliveUntil <= database.now()))))
        return false
      const run = known ?? fresh(owner, leaseMs)
      Object.assign(run, { headers, producer, begun: true, last: Math.max(run.last, after) })
      run.aliveUntil = database.now() + leaseMs
      runs.set(runId, run)
      const mark = `${runId} ${owner}`
      run.isStopped ||= (stops.get(mark) ?? 0) > database.now()
      stops.delete(mark)
      return run.isStopped ? 'stopped' : true
    },
    append(runId, entry) {
      const run = runs.get(runId)
      if (!run) throw new RelayError('run-not-found', 'It is not known')
      if (run.isLost) throw new RelayError('producer-lost', 'It was declared lost')
      if (entry.last > run.last) {
        if (entry.first !== run.last + 1) throw new RelayError('cursor-gone', 'There would be a hole')
        run.entries.push(entry)
        run.last = entry.last
        run.aliveUntil = database.now() + (entry.end ? (entry.end.settleMs ?? 0) : leaseMs)
      }
      return newsOf(run)
    },
    get(runId) {
      return stored(runs.get(runId))
    },
    read(runId, after, limit) {
      return (runs.get(runId)?.entries ?? []).filter(({ last }) => last > after).slice(0, limit)
    },
    shared: {
      leaseMs,
      renew(runId, ms) {
        const run = runs.get(runId)
        if (!run) return 'unknown'
        if (!run.isLost) run.aliveUntil = database.now() + ms
        return newsOf(run)
      },
      stop(runId, { owner, keepMs }) {
        const run = runs.get(runId)
        const isOver = run && (run.isLost || run.entries.at(-1)?.end)
        if (run?.begun && run.owner === owner && !isOver) {
          run.isStopped = true
          return run.aliveUntil > database.now()
        }
        if (!run?.begun) stops.set(`${runId} ${owner}`, database.now() + keepMs)
        return false
      },
      watch(runId) {
        const run = runs.get(runId)
        const now = database.now()
        if (run?.begun && !run.entries.at(-1)?.end) {
          run.readUntil = now + leaseMs
          if (run.aliveUntil <= now) {
            if (now - run.lookedAt > leaseMs / 2) run.suspectedSince = now
            run.lookedAt = now
            run.isLost ||= now - run.suspectedSince >= leaseMs
          }
        }
        return stored(run)
      },
      publish(runId, channel: Channel, message) {
        for (const listener of listeners.get(`${runId} ${channel}`) ?? []) listener(message)
      },
      subscribe(runId, channel, listener) {
        const name = `${runId} ${channel}`
        const all = listeners.get(name) ?? new Set()
        listeners.set(name, all.add(listener))
        return () => void all.delete(listener)
      },
    },
  }
}

/** The same, a turn later, as a database does. */
export function storeOf(database: Database, leaseMs: number): LogStore {
  const { shared, ...store } = storeAtOnce(database, leaseMs)
  return { ...later(store), shared: { ...later(shared as SharedStore), leaseMs } }
}

function later<T extends object>(methods: T): T {
  const slow = Object.entries(methods).map(([name, method]) => [
    name,
    async (...given: unknown[]) => {
      await new Promise((resolve) => setImmediate(resolve))
      return method(...given)
    },
  ])
  return Object.fromEntries(slow)
}
