// `node lab/scale.mjs`: how many streams a process and a Redis carry, from what a token, a stored entry and an open
// stream cost here, and writes docs/scale.md. What it says of sizes that cannot be run here is arithmetic: it is checked
// against two that can. `npm run build` first, and leave the machine alone.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { get } from 'node:http'
import os from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { startRedis } from '../scripts/redis.mjs'

/** How much of a core is planned for: the rest is for bursts, and for what else the process does. */
const BUSY = 0.6
const SECONDS = 8
let runs = 0

const redis = await startRedis()
const admin = await createClient({ socket: { host: '127.0.0.1', port: redis.port } }).connect()
const servers = {}
for (const what of ['produce', 'read']) {
  const child = fork(new URL('./scale/server.mjs', import.meta.url), [what, String(redis.port)], {
    execArgv: ['--expose-gc'],
  })
  const [{ port }] = await once(child, 'message')
  servers[what] = { child, port }
}

async function used(what) {
  const { child } = servers[what]
  const answer = once(child, 'message')
  child.send('used')
  return (await answer)[0]
}

async function redisCpu() {
  const info = await admin.info('cpu')
  const seconds = (which) => Number(new RegExp(`^used_cpu_${which}:([\\d.]+)`, 'm').exec(info)[1])
  return (seconds('user') + seconds('sys')) * 1e6
}

/** Opens streams, and gives what a second of them costs each process, in microseconds of CPU, and their memory. */
async function measure(streams, perSecond, isReadElsewhere) {
  const open = []
  const before = { produce: await used('produce'), read: await used('read') }
  for (let n = 0; n < streams; n++) {
    const runId = `scale-run-${String(++runs).padStart(8, '0')}`
    const path = `/${runId}/${1000 / perSecond}/${(SECONDS + 60) * 1000}`
    open.push(ask('produce', path))
    if (isReadElsewhere) sleep(500).then(() => open.push(ask('read', path)))
    if (n % 50 === 49) await sleep(20)
  }
  await sleep(3000)
  const from = {
    produce: await used('produce'),
    read: await used('read'),
    redis: await redisCpu(),
    at: performance.now(),
  }
  await sleep(SECONDS * 1000)
  const to = {
    produce: await used('produce'),
    read: await used('read'),
    redis: await redisCpu(),
    at: performance.now(),
  }
  for (const request of open) request.destroy()
  // Readers elsewhere are asked for two seconds whether they are there.
  await sleep(4000)
  const seconds = (to.at - from.at) / 1000
  return {
    produce: (to.produce.cpu - from.produce.cpu) / seconds,
    read: (to.read.cpu - from.read.cpu) / seconds,
    redis: (to.redis - from.redis) / seconds,
    memory: (from.produce.memory - before.produce.memory) / streams,
  }
}

function ask(what, path) {
  const request = get({ port: servers[what].port, host: '127.0.0.1', path, agent: false }, (res) =>
    res.resume().on('error', () => {}),
  )
  return request.on('error', () => {})
}

// The costs: of a token, by two rates of the same number of streams; of a stream, by what is left.
await measure(50, 20, true)
const few = await measure(200, 5, false)
const many = await measure(200, 50, false)
const elsewhere = await measure(100, 25, true)
const perToken = (many.produce - few.produce) / (200 * 45)
const perStream = Math.max(0, few.produce / 200 - 5 * perToken)
const redisPerStream = many.redis / 200
const tokens = 100 * 25
const tell = Math.max(0, elsewhere.produce / tokens - perToken - perStream / 25)
const read = elsewhere.read / tokens
const redisMessage = Math.max(0, (elsewhere.redis / 100 - redisPerStream) / 25)
const memory = (await measure(500, 1, false)).memory

// The check: two sizes that took no part in that.
const checks = []
for (const [streams, perSecond] of [
  [300, 20],
  [100, 100],
]) {
  const found = await measure(streams, perSecond, false)
  const expected = streams * (perSecond * perToken + perStream)
  checks.push({
    streams,
    perSecond,
    expected,
    found: found.produce,
    redisExpected: streams * redisPerStream,
    redisFound: found.redis,
  })
}
for (const { child } of Object.values(servers)) child.kill()
admin.destroy()
redis.close()

const round = (value) =>
  value >= 1000 ? Math.round(value / 100) * 100 : value >= 100 ? Math.round(value / 10) * 10 : Math.round(value)
const number = (value) => round(value).toLocaleString('en-US').replaceAll(',', ' ')
const rates = [20, 50, 100]
const core = BUSY * 1e6
const here = (rate) => core / (rate * perToken + perStream)
const away = (rate) => core / (rate * (perToken + tell) + perStream)
const reading = (rate) => core / (rate * read)
const node = (rate, share) => core / (redisPerStream + share * rate * redisMessage)
const SHARE = 0.1
const processes = (streams, rate) =>
  Math.ceil(streams / Math.min(here(rate), 20_000) + (streams * SHARE) / reading(rate))
const nodes = (streams, rate) => Math.ceil(streams / node(rate, SHARE))
const gb = (streams) => (streams * memory) / 1e9

const page = `# How far it goes

How many streams a process, a Redis and a cluster carry, what gives out first, and what to set. This page is made by \`node lab/scale.mjs\` from what things cost on one machine, ${new Date().toISOString().slice(0, 10)}, Node ${process.version.slice(1)}, ${os.cpus().length} × ${os.cpus()[0].model.trim()}; on yours, or with a faster model, the figures differ. Everything beyond that machine is arithmetic.

## What things cost

| | |
|---|---:|
| a token, produced and read in one process, with the log in Redis | ${perToken.toFixed(1)} µs of CPU |
| in addition, an open stream whose entries are stored twice a second | ${number(perStream)} µs of CPU a second |
| the same for Redis | ${number(redisPerStream)} µs of CPU a second |
| a token that is read in another process: sent by one process, and read by the other | ${tell.toFixed(1)} and ${read.toFixed(1)} µs of CPU |
| the same for Redis: its share of a message, which holds all runs of one turn | ${redisMessage.toFixed(1)} µs of CPU |
| an open stream, with its connection | ${number(memory / 1024)} KiB of memory |

A core is planned to be busy for ${BUSY * 100} %: the rest is for bursts, and for other work of the process.

## What one carries

Open streams at a time, by the tokens a second of each:

| tokens a second | ${rates.join(' | ')} |
|---|${rates.map(() => '---:|').join('')}
| a process, which is one core, read where it is produced | ${rates.map((rate) => number(here(rate))).join(' | ')} |
| a process that produces for readers elsewhere | ${rates.map((rate) => number(away(rate))).join(' | ')} |
| a process that reads what others produce | ${rates.map((rate) => number(reading(rate))).join(' | ')} |
| one Redis, nothing read elsewhere | ${rates.map((rate) => number(node(rate, 0))).join(' | ')} |
| one Redis, one stream in ten read elsewhere | ${rates.map((rate) => number(node(rate, SHARE))).join(' | ')} |
| a cluster of N nodes, with \`sharded: true\` | ${rates.map((rate) => `N × ${number(node(rate, SHARE))}`).join(' | ')} |

Without \`sharded\` every node of a cluster gets every message, and a cluster carries no more messages than one node. The cost of a token that is read elsewhere was measured with a hundred streams between two processes. With more streams more tokens share a message; if each reader is in another process, fewer do.

## At ten thousand, a hundred thousand, a million streams

One stream in ten is read in another process than the one that produces it: a reload, a second tab, a worker.

| streams | tokens a second each | processes, a core each | nodes of Redis | memory of the processes |
|---:|---:|---:|---:|---:|
${[10_000, 100_000, 1_000_000]
  .flatMap((streams) =>
    rates.map(
      (rate) =>
        `| ${number(streams)} | ${rate} | ${number(processes(streams, rate))} | ${number(nodes(streams, rate))} | ${gb(streams).toFixed(1)} GB |`,
    ),
  )
  .join('\n')}

What gives out first:

- **Ten thousand** (${processes(10_000, 50)} cores at 50 tokens a second, ${nodes(10_000, 50)} of Redis). The CPU of the processes: each has enough memory and not enough core. \`ulimit -n\` must be above the number of connections of a process, and so must the limit of the proxy in front of it.
- **A hundred thousand** (${processes(100_000, 50)} and ${nodes(100_000, 50)}). A single Redis, because it uses one core. And the proxies: each stream takes two of their connections, and a proxy has some 28 000 ports to each address behind it. Use more addresses, or HTTP/2 to the processes.
- **A million** (${processes(1_000_000, 50)} and ${nodes(1_000_000, 50)}). A deploy after which everybody comes back at once: stop a few processes at a time, and set \`retryMs\` to a few seconds, since each reader that comes back costs Redis about eight commands. Storing is most of what Redis does; runs whose readers need not survive their process can go without a log, or with one in memory.

The machines it takes: the cores of the table, for example eight to a machine, and the same again for the proxies. The tokens cost more than all of that.

## What to set

| | up to one process | several processes, one Redis | a cluster |
|---|---|---|---|
| log | \`createMemoryLog\`, with a \`maxBytes\` for the answers of ten minutes | \`createRedisLog\` | \`createRedisLog\`, \`sharded: true\` |
| \`maxmemory-policy\` | | \`noeviction\` | \`noeviction\` |
| memory of Redis | | twice what the answers of \`ttlMs\` take | the same, divided by the nodes |
| \`heartbeatMs\` | 8 s | 8 s | 15 s, below the idle limit of the proxy in front |
| open files | connections plus a hundred | the same | the same |

## Whether the arithmetic holds

Two sizes that were not used for the costs above, in percent of a core:

| streams | tokens a second each | process: expected, found | Redis: expected, found |
|---:|---:|---:|---:|
${checks
  .map(
    ({ streams, perSecond, expected, found, redisExpected, redisFound }) =>
      `| ${streams} | ${perSecond} | ${(expected / 1e4).toFixed(1)}, ${(found / 1e4).toFixed(1)} | ${(redisExpected / 1e4).toFixed(1)}, ${(redisFound / 1e4).toFixed(1)} |`,
  )
  .join('\n')}
`
writeFileSync(new URL('../docs/scale.md', import.meta.url), page)
console.log(page)
process.exit(0)
