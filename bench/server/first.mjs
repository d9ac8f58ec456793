// How long a reader waits for the first token, with a log and without one.
import { alternate, compare, median, renew } from '../statistics.mjs'
import { contenders } from './contenders.mjs'
import { present } from './loads.mjs'
import { start } from './processes.mjs'

const LOG = 'sse-relay/node, memory log'
const OFF = 'sse-relay/node'

export async function measureFirst({ quick, progress }) {
  const title = 'First token: from the request to it'
  const requests = quick ? 200 : 500
  const rounds = quick ? [5] : [7, 7, 7]
  const names = await present([OFF, LOG])
  if (!names.includes(LOG)) return undefined
  const client = start('client.mjs')
  try {
    const values = await renew(rounds, async (rounds, process) => {
      const servers = {}
      try {
        for (const name of names) {
          const child = start('child.mjs', [name])
          // The second token comes in a turn of its own: the first does not wait for it.
          servers[name] = { child, ...(await child.ask('serve', { load: { kind: 'ticks', tokens: 2, perTick: 1 } })) }
        }
        const run = async (name) => {
          const { port } = servers[name]
          return (await client.ask('first', { port, path: contenders[name].path, requests })).p50
        }
        // What is compiled late would be in the first round alone.
        for (let warm = 0; warm < 3; warm++) for (const name of names) await run(name)
        return await alternate(names, rounds, (name, round) => {
          progress(`${title}: process ${process + 1}, ${round + 1} of ${rounds}, ${name}`)
          return run(name)
        })
      } finally {
        await Promise.all(Object.values(servers).map(({ child }) => child.stop()))
      }
    })
    return {
      id: 'first',
      title,
      note: `${requests} requests a round, one after the other over one connection, to a source whose first token is there in the next turn of the event loop. A round's figure is the median of its requests.`,
      unit: 'ms',
      figures: names.map((name) => ({
        name,
        ours: contenders[name].ours === true,
        value: median(values[name]),
        ratio: compare(values[name], values[OFF]).ratio,
      })),
      rows: [
        { group: 'first', name: `${LOG} / ${OFF}`, unit: 'ms', target: 1.05, ...compare(values[LOG], values[OFF]) },
      ],
    }
  } finally {
    await client.stop()
  }
}
