// `node lab/readers.mjs`: 10 000 readers of 100 runs in one process, over Redis. Another process produces the runs, a token a
// second each, and others read. Says whether every reader got every token once, over how many connections to Redis, and
// what a reader and a run cost.
//   --quick                      1 000 readers of 20 runs
//   --readers, --runs, --tokens  other numbers
//   --json <file>                the figures
// The exit status is about the tokens, the connections and what is left behind, never about speed. Build first.
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { createClient } from 'redis'
import { affordable, STREAMS_PER_CLIENT } from '../scripts/limits.mjs'
import { start, until } from '../scripts/processes.mjs'
import { print, progress } from '../scripts/progress.mjs'
import { startRedis } from '../scripts/redis.mjs'
import { TOKEN_MS } from './readers/tokens.mjs'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    readers: { type: 'string' },
    runs: { type: 'string' },
    tokens: { type: 'string' },
    json: { type: 'string' },
  },
})
const readers = affordable(number('readers', values.quick ? 1000 : 10_000), 'readers')
const runs = Math.min(number('runs', values.quick ? 20 : 100), readers)
const tokens = number('tokens', values.quick ? 3 : 30)
/** A reader that is kept costs some kilobytes; what the engine keeps of the code it runs is much less. */
const LEFT_PER_READER = 300
const LEFT_AT_LEAST = 3 * 1024 * 1024
/** So much more may a reader hold at the end than at the beginning: tokens that it has are not kept for it. */
const GROWTH_PER_READER = 1000

const machine = {
  node: process.version,
  cpus: cpus().length,
  model: cpus()[0]?.model.trim(),
  platform: process.platform,
}
print(`${readers} readers of ${runs} runs in one process, ${tokens} tokens each, one a second.`)
print(`Node ${machine.node}, ${machine.cpus} × ${machine.model}.`)

const problems = []
const redis = await startRedis()
const url = `redis://127.0.0.1:${redis.port}`
const admin = await createClient({ url }).connect()
const api = start(new URL('./readers/api.mjs', import.meta.url), { data: { url }, execArgv: ['--expose-gc'] })
const worker = start(new URL('./readers/worker.mjs', import.meta.url), { data: { url } })
const port = await api.ask('listen')
const count = Math.ceil(readers / STREAMS_PER_CLIENT)
const seen = []
const clients = Array.from({ length: count }, (_, index) =>
  start(new URL('./readers/clients.mjs', import.meta.url), {
    // Each process has an address of its own, and with it all the ports there are. Only Linux has more than one.
    data: {
      port,
      localAddress: process.platform === 'linux' ? `127.0.${1 + (process.pid % 250)}.${2 + index}` : undefined,
    },
    onTell: (tell) => {
      seen[index] = tell
    },
  }),
)
let rounds = 0

try {
  /** As many readers, of one run and of a run each: what is more is the runs'. */
  const some = Math.ceil(Math.min(1000, readers / 5))
  // What the engine keeps of code that has run is not to count for the readers.
  await play({ readers: some, runs: some, tokens: 2 })
  const empty = await api.ask('memory')
  const ofOne = await play({ readers: some, runs: 1, tokens: 1 })
  const ofEach = await play({ readers: some, runs: some, tokens: 1 })
  const all = await play({ readers, runs, tokens })
  const end = await api.ask('memory')

  const heap = ({ heapUsed, external }) => heapUsed + external
  const perRun = (heap(ofEach.first) - heap(ofOne.first)) / Math.max(1, some - 1)
  const perReader = (heap(all.first) - heap(empty) - runs * perRun) / readers
  const rssPerReader = (all.first.rss - empty.rss) / readers
  const growth = (heap(all.last) - heap(all.first)) / readers
  const left = heap(end) - heap(empty)
  if (growth > GROWTH_PER_READER) problems.push(`a reader grew by ${Math.round(growth)} bytes of heap while it read`)
  if (left > Math.max(LEFT_AT_LEAST, readers * LEFT_PER_READER)) {
    problems.push(`${left} bytes of heap were left when the readers had gone`)
  }
  const figures = {
    tokens: readers * tokens,
    heapPerReader: Math.round(perReader),
    rssPerReader: Math.round(rssPerReader),
    heapPerRun: Math.round(perRun),
    growthPerReader: Math.round(growth),
    leftPerReader: Math.round(left / readers),
    connections: all.connections,
    readingsPerToken: Number(all.readingsPerToken.toFixed(2)),
    cpuPerToken: Number(all.cpuPerToken.toFixed(1)),
  }
  const row = (title, text) => print(`  ${title.padEnd(33)}${text}`)
  print()
  row('tokens', `${figures.tokens}${problems.length > 0 ? '' : ', every reader got every one, once and in order'}`)
  row(
    'connections to Redis',
    all.connections.map(({ sub }) => (sub > 0 ? `one that listens on ${sub} channels` : 'one for commands')).join(', '),
  )
  row('readings of a token from Redis', `${figures.readingsPerToken}, for ${Math.round(readers / runs)} readers`)
  row(
    'heap of a reader',
    `${figures.heapPerReader} bytes (RSS ${figures.rssPerReader}); ${figures.growthPerReader} more after ${tokens} tokens; ${figures.leftPerReader} left in the end`,
  )
  row('heap of a run', `${figures.heapPerRun} bytes`)
  row('CPU of a token at a reader', `${figures.cpuPerToken} µs`)
  if (values.json) {
    const setup = { readers, runs, tokens, tokenMs: TOKEN_MS }
    writeFileSync(values.json, `${JSON.stringify({ machine, setup, problems, figures }, null, 2)}\n`)
  }
} finally {
  await Promise.all([api, worker, ...clients].map((each) => each.stop()))
  admin.destroy()
  redis.close()
}
for (const problem of problems) console.error(`FAILED ${problem}`)
process.exitCode = problems.length > 0 ? 1 : 0

/** New runs, from the first reader to the last token. */
async function play({ readers, runs, tokens }) {
  const round = rounds++
  await worker.ask('begin', { round, runs, tokens })
  const limitMs = 120_000 + tokens * TOKEN_MS * 3
  const reading = Promise.all(
    clients.map((client, index) => {
      const [from, to] = [index, index + 1].map((part) => Math.round((part * readers) / count))
      return client.ask('read', { round, runs, tokens, from, to }, limitMs)
    }),
  )
  // One that dies ends the waiting below; until then it is not unhandled.
  reading.catch(() => {})
  await come(() => {
    progress(`${total('opened')} of ${readers} readers are there`)
    return total('opened') === readers || total('closed') > 0
  }, `${readers} readers`)
  const first = await api.ask('memory')
  const listening = await connections()
  const before = { cpu: await api.ask('cpu'), readings: await readings() }
  await worker.ask('go')
  const began = performance.now()
  // A second before the last token: then all are still there.
  await come(
    () => {
      progress(`${total('bytes')} bytes, ${total('heartbeats')} heartbeats, ${total('failures')} failures`)
      return performance.now() - began > (tokens - 1) * TOKEN_MS - 100 || total('closed') > 0
    },
    'the tokens',
    limitMs,
  )
  const last = await api.ask('memory')
  const told = await reading
  const after = { cpu: await api.ask('cpu'), readings: await readings() }
  await come(async () => (await api.ask('connections')) === 0, 'the readers to leave')
  for (const { failures, examples } of told) {
    if (failures > 0) problems.push(`${failures} readers; for example:\n  ${examples.join('\n  ')}`)
  }
  const subscribed = listening.filter(({ sub }) => sub > 0)
  if (listening.length !== 2 || subscribed.length !== 1 || subscribed[0].sub !== runs + 1) {
    problems.push(
      `expected one connection for commands and one that listens on ${runs + 1} channels (each run's, and that of the process); CLIENT LIST has ${JSON.stringify(listening)}`,
    )
  }
  return {
    first,
    last,
    connections: listening,
    cpuPerToken: (after.cpu - before.cpu) / (readers * tokens),
    readingsPerToken: (after.readings - before.readings) / (runs * tokens),
  }
}

function total(name) {
  return seen.reduce((sum, each) => sum + (each.round === rounds - 1 ? each[name] : 0), 0)
}

/** Those of the process that serves the readers, as Redis has them. */
async function connections() {
  const list = await admin.sendCommand(['CLIENT', 'LIST'])
  return list
    .trim()
    .split('\n')
    .map((line) => Object.fromEntries(line.split(' ').map((field) => field.split('='))))
    .filter(({ name }) => name === 'api')
    .map(({ sub, cmd }) => ({ sub: Number(sub), cmd }))
}

async function readings() {
  const stats = await admin.info('commandstats')
  return Number(/^cmdstat_xrange:calls=(\d+)/m.exec(stats)?.[1] ?? 0)
}

/** Waits for what must come to be. */
async function come(condition, what, limitMs = 120_000) {
  if (!(await until(condition, limitMs))) throw new Error(`Waited ${limitMs} ms for ${what}`)
}

function number(name, standard) {
  const value = values[name] === undefined ? standard : Number(values[name])
  if (Number.isInteger(value) && value > 0) return value
  console.error(`--${name} cannot be ${values[name]}: give a positive integer.`)
  process.exit(2)
}
