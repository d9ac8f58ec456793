// What a relay adds to a token's way, from the upstream's socket to the client's.
import { alternate, compare, median } from '../statistics.mjs'
import { contenders } from './contenders.mjs'
import { present } from './loads.mjs'
import { start } from './processes.mjs'

const HAND = 'hand-written, Node'
const GUIDE = 'hand-written, Express'
const NAMES = [
  HAND,
  GUIDE,
  'sse-relay/node',
  'sse-relay/express',
  'sse-relay/fastify',
  'sse-relay/hono',
  'sse-relay/web',
  'hono streamSSE',
  'ai pipeUIMessageStreamToResponse',
]
const PAIRS = [
  ['sse-relay/node', HAND],
  ['sse-relay/express', GUIDE],
  ['sse-relay/hono', 'hono streamSSE'],
]

export async function measureLatency({ quick, progress }) {
  const title = 'Latency: from the upstream’s socket to the client’s'
  const connections = 40
  const size = { tokens: quick ? 40 : 120, everyMs: 10 }
  const rounds = quick ? 3 : 7
  const names = await present(NAMES)
  const client = start('client.mjs')
  const servers = {}
  try {
    const { port: upstream } = await client.ask('upstream', size)
    for (const name of names) {
      const child = start('child.mjs', [name])
      servers[name] = { child, ...(await child.ask('serve', { load: { kind: 'socket', port: upstream } })) }
    }
    const run = async (name) => {
      const { port } = servers[name]
      const { count, ...delays } = await client.ask('latency', { port, path: contenders[name].path, connections })
      if (count !== connections * size.tokens) throw new Error(`${name} lost tokens: ${count} came`)
      return delays
    }
    for (const name of names) await run(name)
    const values = await alternate(names, rounds, (name, round) => {
      progress(`${title}: ${round + 1} of ${rounds}, ${name}`)
      return run(name)
    })
    const of = (name, which) => values[name].map((delays) => delays[which])
    return {
      id: 'latency',
      title,
      note: `${connections} connections, a token every ${size.everyMs} ms each. The reader stamps and reads the tokens, so one clock is enough; its own work is in the figures of all.`,
      unit: 'ms, p50 (p99)',
      figures: names.map((name) => ({
        name,
        ours: contenders[name].ours === true,
        value: median(of(name, 'p50')),
        more: `p99 ${median(of(name, 'p99')).toFixed(2)} ms`,
        ratio: compare(of(name, 'p50'), of(GUIDE, 'p50')).ratio,
      })),
      rows: PAIRS.flatMap(([ours, theirs]) =>
        ['p50', 'p99'].map((which) => ({
          group: 'latency',
          name: `${ours} / ${theirs}, ${which}`,
          unit: 'ms',
          ...compare(of(ours, which), of(theirs, which)),
        })),
      ),
    }
  } finally {
    await Promise.all([client, ...Object.values(servers).map(({ child }) => child)].map((child) => child.stop()))
  }
}
