// Runs that are kept in Redis, beside resumable-stream: CPU per token of every process on its way, and its delay.
import { hasRedis, startRedis } from '../../../scripts/redis.mjs'
import { alternate, compare, median } from '../statistics.mjs'
import { start } from './processes.mjs'

const RUNS = 40
const EVERY_MS = 10

/**
 * Where a run is read: `elsewhere` is another process than the one that produces it, `here` the same, in the answer to
 * the request that asked for it. `readers` are those of one run.
 */
const loads = [
  { id: 'redis', where: 'elsewhere', readers: 1, perWrite: 1, title: 'read in another process' },
  { id: 'redis-burst', where: 'elsewhere', readers: 1, perWrite: 20, title: 'the same, 20 tokens at once' },
  { id: 'redis-followers', where: 'elsewhere', readers: 10, perWrite: 1, title: 'ten readers of each run' },
  { id: 'redis-here', where: 'here', readers: 1, perWrite: 1, title: 'read where it is produced' },
]
const NOTES = {
  redis: `${RUNS} runs, each with a token every ${EVERY_MS} ms. One process produces them, another serves each to one reader over HTTP, and Redis is between them. resumable-stream keeps a run in the memory of the process that produces it, and sends its tokens through Redis to who asks for them: they end with that process. The log keeps them in Redis.`,
  'redis-burst': `As providers’ packets come: 20 tokens every ${EVERY_MS * 20} ms.`,
  'redis-followers': `${RUNS / 10} runs with ten readers each, all in one process; a figure is of a token that one of them has got. The log sends a token once to each process, for all its readers; resumable-stream publishes it once for each.`,
  'redis-here':
    'Nobody reads elsewhere, which is the usual case. resumable-stream then leaves Redis alone, but for a key of each run; the log stores every token all the same.',
}

export async function measureRedis({ quick, progress }) {
  if (!hasRedis()) {
    progress('redis-server is not installed')
    return undefined
  }
  const { contenders } = await import('./redis-contenders.mjs')
  const names = Object.keys(contenders)
  const rounds = quick ? 3 : 7
  const tokens = quick ? 60 : 200
  const redis = await startRedis()
  const url = `redis://127.0.0.1:${redis.port}`
  const { createClient } = await import('redis')
  const admin = await createClient({ url }).connect()
  const started = []
  const begin = (...parameters) => {
    const child = start(...parameters)
    started.push(child)
    return child
  }
  let ids = 0

  /** One run of all readers: the microseconds of CPU a token that every process has used, and its delays. */
  async function run({ client, producer, reader, upstream }, { where, readers, perWrite }) {
    const load = { kind: 'socket', port: upstream[perWrite] }
    const served = [await producer.ask('serve', { load }), await reader.ask('serve', { load })]
    const runIds = Array.from({ length: RUNS / readers }, () => `bench-run-${String(ids++).padStart(8, '0')}`)
    const before = await used()
    if (where === 'elsewhere') await producer.ask('produce', { runIds })
    const delays = await client.ask('latency', {
      port: served[where === 'here' ? 0 : 1].port,
      connections: RUNS,
      paths: Array.from(
        { length: RUNS },
        (_, index) => `/${where === 'here' ? 'ask' : 'read'}/${runIds[index % runIds.length]}`,
      ),
    })
    const after = await used()
    // The word at the beginning and the sentinel are events too.
    const due = [tokens + 2, tokens + 2]
    if (delays.count !== RUNS * tokens || `${delays.frames}` !== `${due}`) {
      throw new Error(
        `${delays.frames.join(' to ')} events came where ${due[0]} were due, ${delays.count} tokens in all`,
      )
    }
    const cpu = Object.fromEntries(
      Object.keys(before).map((which) => [which, (after[which] - before[which]) / delays.count]),
    )
    return { ...cpu, all: Object.values(cpu).reduce((sum, value) => sum + value), p50: delays.p50, p99: delays.p99 }

    async function used() {
      const info = await admin.info('cpu')
      const seconds = (which) => Number(new RegExp(`^used_cpu_${which}:([\\d.]+)`, 'm').exec(info)[1])
      return {
        producer: await producer.ask('used'),
        reader: await reader.ask('used'),
        Redis: (seconds('user') + seconds('sys')) * 1e6,
      }
    }
  }

  try {
    const client = begin('client.mjs')
    const upstream = {}
    for (const perWrite of new Set(loads.map((load) => load.perWrite))) {
      const size = { tokens, everyMs: EVERY_MS * perWrite, perWrite, holds: true }
      upstream[perWrite] = (await client.ask('upstream', size)).port
    }
    const sides = {}
    for (const name of names) {
      sides[name] = {
        client,
        upstream,
        producer: begin('redis-child.mjs', [name, url]),
        reader: begin('redis-child.mjs', [name, url]),
      }
    }
    const groups = []
    for (const load of loads) {
      const title = `Redis: ${load.title}`
      for (const name of names) await run(sides[name], load)
      const values = await alternate(names, rounds, async (name, round) => {
        progress(`${title}: ${round + 1} of ${rounds}, ${name}`)
        return run(sides[name], load)
      })
      groups.push(group({ ...load, title }, values))
    }
    return groups
  } finally {
    await Promise.all(started.map((child) => child.stop()))
    admin.destroy()
    redis.close()
  }

  function group({ id, title, where }, values) {
    const [ours, theirs] = names
    const of = (name, which) => values[name].map((value) => value[which])
    const row = (label, which, unit) => ({
      group: id,
      name: `${ours} / ${theirs}, ${label}`,
      unit,
      ...compare(of(ours, which), of(theirs, which)),
    })
    const cpu = 'µs of CPU per token'
    const processes = where === 'here' ? ['producer', 'Redis'] : ['producer', 'reader', 'Redis']
    return {
      id,
      title,
      note: NOTES[id],
      unit: `${cpu}, all processes`,
      figures: names.toReversed().map((name) => {
        const [all, p50, p99] = ['all', 'p50', 'p99'].map((which) => median(of(name, which)))
        return {
          name,
          ours: contenders[name].ours === true,
          value: all,
          ratio: compare(of(name, 'all'), of(theirs, 'all')).ratio,
          more: `${Math.round(1e6 / all)} tokens a second and core; p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`,
        }
      }),
      rows: [
        ...processes.map((which) => row(which, which, cpu)),
        row('all processes', 'all', cpu),
        row('p50', 'p50', 'ms'),
        row('p99', 'p99', 'ms'),
      ],
    }
  }
}
