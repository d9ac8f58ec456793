// How long a reader waits for the first token, with a log and without one.
import { alternate, compare, median, renew } from '../statistics.mjs'
import { contenders } from './contenders.mjs'
import { present } from './loads.mjs'
import { start } from './processes.mjs'

const LOG = 'sse-relay/node, memory log'
const OFF = 'sse-relay/node'

/** The second token comes in a turn of its own: the first does not wait for it. */
const SOURCES = {
  'ready at once': { kind: 'ticks', tokens: 2, perTick: 1 },
  'the OpenAI SDK': { kind: 'openai', tokens: 2, everyMs: 0 },
}

export async function measureFirst({ quick, progress }) {
  const title = 'First token: from the request to it'
  const requests = quick ? 200 : 500
  const names = await present([OFF, LOG])
  if (!names.includes(LOG)) return undefined
  const client = start('client.mjs')
  const upstream = start('upstream.mjs')
  try {
    const figures = []
    const rows = []
    for (const [source, load] of Object.entries(SOURCES)) {
      const what = `${title}, ${source}`
      const size = load.kind === 'openai' ? { ...load, ...(await upstream.ask('open', load)) } : load
      const values = await renew(quick ? [5] : [7, 7, 7], (rounds, process) =>
        firstOf(names, size, rounds, {
          ask: (port, path) => client.ask('first', { port, path, requests }),
          progress: (said) => progress(`${what}: process ${process + 1}, ${said}`),
        }),
      )
      for (const name of names) {
        figures.push({
          name: `${name}, ${source}`,
          ours: contenders[name].ours === true,
          value: median(values[name]),
        })
      }
      rows.push({
        group: 'first',
        name: `${LOG} / ${OFF}, ${source}`,
        unit: 'ms',
        target: 1.05,
        ...compare(values[LOG], values[OFF]),
      })
    }
    return {
      id: 'first',
      title,
      note: `${requests} requests a round, one after the other over one connection: to a source whose first token is there in the next turn of the event loop, where a log is dearest, and to a stream of the \`openai\` package from a local upstream that answers at once. A round's figure is the median of its requests.`,
      unit: 'ms',
      figures,
      rows,
    }
  } finally {
    await Promise.all([client.stop(), upstream.stop()])
  }
}

/** The medians of so many rounds, in a process of each. */
async function firstOf(names, load, rounds, { ask, progress }) {
  const servers = {}
  try {
    for (const name of names) {
      const child = start('child.mjs', [name])
      servers[name] = { child, ...(await child.ask('serve', { load })) }
    }
    const run = async (name) => (await ask(servers[name].port, contenders[name].path)).p50
    // What is compiled late would be in the first round alone.
    for (let warm = 0; warm < 3; warm++) for (const name of names) await run(name)
    return await alternate(names, rounds, (name, round) => {
      progress(`${round + 1} of ${rounds}, ${name}`)
      return run(name)
    })
  } finally {
    await Promise.all(Object.values(servers).map(({ child }) => child.stop()))
  }
}
