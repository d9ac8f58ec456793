// What an open stream holds while its model thinks, and whether its heartbeats come.
import { execFileSync } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { alternate, compare, median } from '../statistics.mjs'
import { contenders } from './contenders.mjs'
import { present } from './loads.mjs'
import { start } from './processes.mjs'

const HAND = 'hand-written, Node'
/** What a loop has to do, too, once it is in production. */
const CAREFUL = 'hand-written with drain and close, Node'
const OURS = 'sse-relay/node'
const NAMES = [
  HAND,
  CAREFUL,
  OURS,
  'sse-relay/express',
  'sse-relay/fastify',
  'sse-relay/hono',
  'hono streamSSE',
  'h3 createEventStream',
  'better-sse',
  'ai pipeUIMessageStreamToResponse',
]
/** The relay's own default. */
const HEARTBEAT_MS = 8000

/** A stream takes a file descriptor on either side, each side in its own process. */
function limit() {
  try {
    return Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' })) || Number.POSITIVE_INFINITY
  } catch {
    return 1024
  }
}

export async function measureMemory({ quick, progress }) {
  const title = 'Memory: open streams'
  const streams = Math.min(quick ? 1000 : 10_000, limit() - 200)
  const rounds = quick ? 1 : 3
  const names = await present(quick ? [HAND, CAREFUL, OURS] : NAMES)

  /** Bytes a stream, in a process that has served nothing else. */
  const hold = async (name, round) => {
    progress(`${title}: ${round + 1} of ${rounds}, ${streams} streams of ${name}`)
    const child = start('child.mjs', [name], ['--expose-gc'])
    const client = start('client.mjs')
    try {
      const { port } = await child.ask('serve', { load: { kind: 'idle' } })
      const { path } = contenders[name]
      // What the first request loads and compiles is nobody's stream.
      await client.ask('hold', { port, path, connections: 50 })
      await client.ask('release')
      await pause(500)
      const before = await child.ask('used', { collect: true })
      await client.ask('hold', { port, path, connections: streams })
      await pause(500)
      const after = await child.ask('used', { collect: true })
      const result = { heap: (after.heap - before.heap) / streams, rss: (after.rss - before.rss) / streams }
      if (name === OURS && round === rounds - 1) {
        const beats = quick ? 1 : 2
        progress(`${title}: ${beats} heartbeats of ${streams} streams`)
        await pause(beats * HEARTBEAT_MS + 1500)
        result.beats = { due: beats, ...(await client.ask('held')) }
      }
      return result
    } finally {
      await Promise.all([child.stop(), client.stop()])
    }
  }

  // Once is enough for those that no target is about.
  const values = await alternate(names, 1, hold)
  if (rounds > 1) {
    const again = await alternate([HAND, CAREFUL, OURS], rounds - 1, (name, round) => hold(name, round + 1))
    for (const name of [HAND, CAREFUL, OURS]) values[name].push(...again[name])
  }
  const of = (name, which) => values[name].map((value) => value[which])
  const { beats } = values[OURS].find((value) => value.beats)
  const missed = Math.max(0, beats.due - beats.beats) + beats.lost
  return {
    id: 'memory',
    title: `${title}, ${streams} in one process`,
    note: `Every stream has had one token and waits for the next. Heap with external memory, after garbage collection. Heartbeats of ${streams} streams of ${OURS}: ${beats.beats} of ${beats.due} due came on every stream, the longest silence was ${(beats.longest / 1000).toFixed(1)} s (the interval is ${HEARTBEAT_MS / 1000} s), ${beats.lost} streams were lost.`,
    unit: 'KB of heap per stream',
    figures: names.map((name) => ({
      name,
      ours: contenders[name].ours === true,
      value: median(of(name, 'heap')) / 1000,
      more: `${(median(of(name, 'rss')) / 1000).toFixed(1)} KB of RSS`,
      ratio: compare(of(name, 'heap'), of(HAND, 'heap')).ratio,
    })),
    rows: [
      {
        group: 'memory',
        name: `${OURS} / ${HAND}, heap`,
        unit: 'bytes per stream',
        target: 1.1,
        ...compare(of(OURS, 'heap'), of(HAND, 'heap')),
      },
      {
        group: 'memory',
        name: `${OURS} / ${HAND}, RSS`,
        unit: 'bytes per stream',
        target: 1.1,
        ...compare(of(OURS, 'rss'), of(HAND, 'rss')),
      },
      {
        group: 'memory',
        name: `${OURS} / ${CAREFUL}, heap`,
        unit: 'bytes per stream',
        ...compare(of(OURS, 'heap'), of(CAREFUL, 'heap')),
      },
      { group: 'memory', name: 'heartbeats missed', unit: 'streams', target: 0, ours: missed, runs: 1 },
    ],
  }
}
