// Runs that are kept in Redis, beside resumable-stream: CPU per token of every process on its way, and its delay.
import { hasRedis, startRedis } from '../../../scripts/redis.mjs'
import { alternate, compare, median, renew } from '../statistics.mjs'
import { countInstructions } from './counts.mjs'
import { start } from './processes.mjs'

const RUNS = 40
const EVERY_MS = 10
const OURS = 'sse-relay, Redis log'
const THEIRS = 'resumable-stream'
/** What is to be reached beside resumable-stream where a run is read elsewhere. */
const ELSEWHERE = { producer: 0.9, reader: 0.9, Redis: 1, p50: 1, p99: 1 }
/** What a client sends, and not what a script does: one that has been sent is one command. */
const SENT = [
  'evalsha',
  'eval',
  'xrange',
  'publish',
  'spublish',
  'subscribe',
  'ssubscribe',
  'unsubscribe',
  'sunsubscribe',
]

/**
 * Where a run is read: `elsewhere` is another process than the one that produces it, `here` the same, in the answer to
 * the request that asked for it. `readers` are those of one run.
 */
const loads = [
  { id: 'redis', where: 'elsewhere', readers: 1, perWrite: 1, title: 'read in another process', targets: ELSEWHERE },
  { id: 'redis-burst', where: 'elsewhere', readers: 1, perWrite: 20, title: 'the same, 20 tokens at once' },
  { id: 'redis-followers', where: 'elsewhere', readers: 10, perWrite: 1, title: 'ten readers of each run' },
  { id: 'redis-here', where: 'here', readers: 1, perWrite: 1, title: 'read where it is produced' },
  {
    id: 'redis-kept',
    where: 'here',
    readers: 1,
    perWrite: 1,
    everyMs: 20,
    // As long as an answer is: what a run costs once is a part of each of its tokens.
    tokens: 600,
    rounds: [2, 2, 2],
    hasty: true,
    beside: 'sse-relay, no log',
    title: 'the same, beside a run that is not kept',
    targets: { producer: 1.15, commands: 0.05 },
  },
]
/**
 * Runs of all readers before the first that counts: the first are the compiler's. What is done twice a second is still
 * being compiled after a minute and a half: where that decides, `hasty` runs come first, with five times as many tokens a second.
 */
const warmUp = (tokens, quick) => (quick ? 1 : Math.ceil(600 / tokens))
const HASTY = { runs: 6, everyMs: 4 }
/** The load of which it is counted too what Redis does. */
const COUNTED = 'redis'
const NOTES = {
  redis: `${RUNS} runs, each with a token every ${EVERY_MS} ms. One process produces them, another serves each to one reader over HTTP, and Redis is between them. resumable-stream keeps a run in the memory of the process that produces it, and sends its tokens through Redis to who asks for them: they end with that process. The log keeps them in Redis.`,
  'redis-burst': `As providers’ packets come: 20 tokens every ${EVERY_MS * 20} ms.`,
  'redis-followers': `${RUNS / 10} runs with ten readers each, all in one process; a figure is of a token that one of them has got. The log sends a token once to each process, for all its readers; resumable-stream publishes it once for each.`,
  'redis-here':
    'Nobody reads elsewhere, which is the usual case. resumable-stream then leaves Redis alone, but for a key of each run; the log stores every token all the same.',
  'redis-kept': `What keeping costs: the same process and the same readers with and without the log, ${RUNS} runs with 50 tokens a second each, of 600 tokens. A command is what the client sends, a script being one.`,
}

export async function measureRedis({ quick, progress }) {
  if (!hasRedis()) {
    progress('redis-server is not installed')
    return undefined
  }
  const { contenders } = await import('./redis-contenders.mjs')
  const client = start('client.mjs')
  let ids = 0
  try {
    const redis = await connect()
    const groups = []
    try {
      for (const { beside = THEIRS, ...given } of loads) {
        // Who is in no target is measured in one process.
        const rounds = given.targets ? [3, 3, 3] : [5]
        const load = { rounds, tokens: 200, everyMs: EVERY_MS * given.perWrite, ...given }
        if (quick) Object.assign(load, { rounds: [3], tokens: Math.min(150, 0.3 * load.tokens) })
        const { tokens, everyMs, perWrite } = load
        const provider = { tokens, everyMs, perWrite, holds: true }
        load.upstream = (await client.ask('upstream', provider)).port
        const hasty = load.hasty && !quick && { ...load }
        if (hasty) hasty.upstream = (await client.ask('upstream', { ...provider, everyMs: HASTY.everyMs })).port
        load.title = `Redis: ${load.title}`
        const names = [OURS, beside]
        const values = await renew(load.rounds, (rounds, process) =>
          beginning(names, redis, async (sides) => {
            for (const name of names) {
              for (let warm = 0; hasty && warm < HASTY.runs; warm++) await run(sides[name], redis, hasty)
              for (let warm = 0; warm < warmUp(load.tokens, quick); warm++) await run(sides[name], redis, load)
            }
            return alternate(names, rounds, async (name, round) => {
              progress(`${load.title}: process ${process + 1}, ${round + 1} of ${rounds}, ${name}`)
              return run(sides[name], redis, load)
            })
          }),
        )
        const counted = !quick && load.id === COUNTED ? await countRedis(names, load) : undefined
        groups.push(group({ ...load, beside }, values, counted))
      }
    } finally {
      redis.close()
    }
    return groups
  } finally {
    await client.stop()
  }

  /** A Redis, and who asks it what it has used. */
  async function connect(wrapper) {
    const redis = await startRedis({ wrapper })
    const url = `redis://127.0.0.1:${redis.port}`
    const { createClient } = await import('redis')
    const admin = await createClient({ url }).connect()
    const close = () => {
      admin.destroy()
      redis.close()
    }
    return { url, pid: redis.pid, admin, close }
  }

  /** Does something with a producer and a reader of each, which end with it. */
  async function beginning(names, { url }, use) {
    const started = []
    const begin = (...parameters) => {
      const child = start(...parameters)
      started.push(child)
      return child
    }
    try {
      const sides = {}
      for (const name of names) {
        sides[name] = {
          producer: begin('redis-child.mjs', [name, url]),
          reader: begin('redis-child.mjs', [name, url]),
        }
      }
      return await use(sides)
    } finally {
      await Promise.all(started.map((child) => child.stop()))
    }
  }

  /** What Redis does outside the kernel for a token: instructions, which noise cannot move. Undefined without the programs. */
  async function countRedis(names, load) {
    const counts = {}
    for (const name of names) {
      progress(`${load.title}: the instructions of Redis, ${name}`)
      const count = await countInstructions(async (wrapper, counting) => {
        const redis = await connect(wrapper)
        try {
          return await beginning([name], redis, async ({ [name]: side }) => {
            await run(side, redis, load)
            return counting(redis.pid, () => run(side, redis, load))
          })
        } finally {
          redis.close()
        }
      })
      if (count === undefined) return undefined
      counts[name] = count / (RUNS * load.tokens)
    }
    return counts
  }

  /** One run of all readers: the microseconds of CPU a token that every process has used, its delays, and its commands. */
  async function run({ producer, reader }, { admin }, { where, readers, tokens, upstream }) {
    const load = { kind: 'socket', port: upstream }
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
    const { commands, ...cpu } = Object.fromEntries(
      Object.keys(before).map((which) => [which, (after[which] - before[which]) / delays.count]),
    )
    const all = Object.values(cpu).reduce((sum, value) => sum + value)
    return { ...cpu, all, commands, p50: delays.p50, p99: delays.p99 }

    async function used() {
      const info = `${await admin.info('cpu')}${await admin.info('commandstats')}`
      const seconds = (which) => Number(new RegExp(`^used_cpu_${which}:([\\d.]+)`, 'm').exec(info)[1])
      const calls = (which) => Number(new RegExp(`^cmdstat_${which}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0)
      return {
        producer: await producer.ask('used'),
        reader: await reader.ask('used'),
        Redis: (seconds('user') + seconds('sys')) * 1e6,
        commands: SENT.reduce((sum, which) => sum + calls(which), 0),
      }
    }
  }

  function group({ id, title, where, beside, targets = {} }, values, counts) {
    const [ours, theirs] = [OURS, beside]
    const of = (name, which) => values[name].map((value) => value[which])
    const row = (label, which, unit) => ({
      group: id,
      name: `${ours} / ${theirs}, ${label}`,
      unit,
      ...compare(of(ours, which), of(theirs, which)),
      ...(which in targets && { target: targets[which] }),
      ...(which === 'Redis' && counts && { counted: counts[OURS] / counts[beside] }),
    })
    const cpu = 'µs of CPU per token'
    const isKept = beside !== THEIRS
    // Who keeps nothing does not ask Redis.
    const processes = isKept ? ['producer'] : where === 'here' ? ['producer', 'Redis'] : ['producer', 'reader', 'Redis']
    const commands = {
      group: id,
      name: `${ours}, commands to Redis`,
      unit: 'commands per token',
      ours: median(of(ours, 'commands')),
      runs: values[ours].length,
      target: targets.commands,
    }
    return {
      id,
      title,
      note: NOTES[id],
      unit: `${cpu}, all processes`,
      figures: [theirs, ours].map((name) => {
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
        ...(isKept ? [commands] : []),
      ],
    }
  }
}
