// `npm run load`: 10 000 open streams in one process, a token a second each for a minute, read by other processes.
// Says whether every token and every heartbeat came, and what a stream costs beside a loop written by hand.
//   --quick              1 000 streams for 15 s
//   --streams, --seconds other numbers
//   --rounds             how often each side runs, in turns
//   --json <file>        the figures
// The exit status is about the tokens and the heartbeats, never about speed. Build first.
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { affordable, STREAMS_PER_CLIENT } from '../scripts/limits.mjs'
import { start, until } from '../scripts/processes.mjs'
import { print, progress } from '../scripts/progress.mjs'
import { TOKEN_MS } from './load/tokens.mjs'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    streams: { type: 'string' },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    json: { type: 'string' },
  },
})
const seconds = number('seconds', values.quick ? 15 : 60)
const rounds = number('rounds', values.quick ? 1 : 2)
/** One stream in ten says nothing until its end, but for heartbeats. */
const SILENT_EVERY = 10
const OPENED_PER_SECOND = 1000
const streams = affordable(number('streams', values.quick ? 1000 : 10_000))
const heartbeatMs = Math.round((seconds * 1000) / 6)

/** What writes the answers: `relay`, a loop that does what it must, and that of the guides. */
const sides = values.quick ? ['relay', 'loop'] : ['relay', 'loop', 'guide']
const results = Object.fromEntries(sides.map((side) => [side, []]))
const machine = {
  node: process.version,
  cpus: cpus().length,
  model: cpus()[0]?.model.trim(),
  platform: process.platform,
}
print(
  `${streams} streams in one process, a token a second each for ${seconds} s. Every tenth says nothing until its end`,
)
print(`but for a heartbeat each ${heartbeatMs / 1000} s. Node ${machine.node}, ${machine.cpus} × ${machine.model}.`)
let correct = true
for (let round = 0; round < rounds; round++) {
  // In turns, and not always in the same order: what a machine does meanwhile is not to count for one side alone.
  for (const side of round % 2 ? sides.toReversed() : sides) {
    const result = await measure(side)
    results[side].push(result)
    correct &&= side !== 'relay' || result.failures === 0
    print(
      `${side}: ${result.tokens} tokens, ${result.heartbeats} heartbeats, longest silence ${Math.round(result.longestGapMs)} ms; ` +
        `${result.failures ? `${result.failures} streams FAILED` : 'every one arrived, once and in order'}`,
    )
    for (const example of result.examples) print(`  ${example}`)
  }
}

const figures = [
  ['memory of a stream (RSS), bytes', 'rssPerStream', 0],
  ['of it on the heap, bytes', 'heapPerStream', 0],
  ['CPU of a token, µs', 'cpuPerToken', 1],
]
const others = sides.slice(1)
const row = (title, cells) => print(title.padEnd(34) + cells.map((cell) => cell.padStart(12)).join(''))
print()
row('medians', [...sides, ...others.map((side) => `÷ ${side}`)])
const summary = {}
for (const [title, name, digits] of figures) {
  const of = (side) => median(results[side].map((result) => result[name]))
  const ratios = Object.fromEntries(others.map((side) => [side, of('relay') / of(side)]))
  summary[name] = { ...Object.fromEntries(sides.map((side) => [side, of(side)])), ratios }
  row(title, [
    ...sides.map((side) => of(side).toFixed(digits)),
    ...Object.values(ratios).map((ratio) => ratio.toFixed(2)),
  ])
}
if (values.json) {
  const setup = { streams, seconds, silentEvery: SILENT_EVERY, heartbeatMs }
  writeFileSync(values.json, `${JSON.stringify({ machine, setup, correct, summary, results }, null, 2)}\n`)
}
if (!correct) {
  console.error('\nA token or a heartbeat of the relay did not come as it should: see above.')
  process.exitCode = 1
}

/** One server, and its readers, from the first stream to the last. */
async function measure(side) {
  const server = start(new URL('./load/server.mjs', import.meta.url), {
    data: { side, heartbeatMs },
    execArgv: ['--expose-gc'],
  })
  const port = await server.ask('listen')
  const count = Math.ceil(streams / STREAMS_PER_CLIENT)
  const clients = []
  const seen = []
  for (let index = 0; index < count; index++) {
    // Each process has an address of its own, and with it all the ports there are. Only Linux has more than one.
    const localAddress = process.platform === 'linux' ? `127.0.0.${2 + index}` : undefined
    clients.push(
      start(new URL('./load/clients.mjs', import.meta.url), {
        data: { port, localAddress },
        onTell: (tell) => {
          seen[index] = tell
        },
      }),
    )
  }
  const total = (name) => seen.reduce((sum, each) => sum + (each?.[name] ?? 0), 0)
  const show = (what) =>
    progress(
      `${side}: ${what}, ${total('opened') - total('closed')} open, ${total('tokens')} tokens, ` +
        `${total('heartbeats')} heartbeats${total('failures') ? `, ${total('failures')} FAILED` : ''}`,
    )
  try {
    const silentMs = seconds * 1000
    const openingMs = 60_000 + streams * 30
    const plan = { perSecond: OPENED_PER_SECOND / count, silentEvery: SILENT_EVERY, heartbeatMs }
    const read = (number, more) =>
      Promise.all(
        clients.map((client, index) => {
          const [from, to] = [index, index + 1].map((part) => Math.round((part * number) / count))
          return client.ask('read', { ...plan, from, to, ...more }, seconds * 1000 * 3 + openingMs)
        }),
      )

    // What the engine keeps of code that has run is not to count for the streams.
    await read(Math.min(streams, 500), { count: 2, silentMs: 100, heartbeatMs: 1000 })
    await come(() => server.ask('connections').then((open) => open === 0), 'the first readers to leave')
    const empty = await server.ask('memory')

    seen.length = 0
    // Those that are open wait for the last one to open: a slow machine has as many at a time as a fast one.
    await server.ask('hold')
    const reading = read(streams, { count: Math.round((seconds * 1000) / TOKEN_MS), silentMs })
    // A reader that dies ends the measurement below; until then it is not unhandled.
    reading.catch(() => {})
    const asked = performance.now()
    await come(
      () => {
        show('opening')
        return total('opened') === streams || total('closed') > 0
      },
      'the streams to open',
      openingMs,
    )
    await server.ask('begin')
    const began = performance.now()
    const openedMs = began - asked
    const before = { ...(await server.ask('cpu')), tokens: total('tokens') }
    do {
      await wait(500)
      show(`${Math.round((performance.now() - began) / 1000)} s`)
    } while (performance.now() - began < seconds * 1000 * 0.75)
    const after = { ...(await server.ask('cpu')), tokens: total('tokens') }
    const open = await server.ask('connections')
    const full = await server.ask('memory')
    if (open < streams)
      print(`${side}: ${streams - open} streams had ended before the last one was open: the figures are rough.`)
    const ended = reading.then(() => true)
    while (!(await Promise.race([ended, wait(100)]))) show(`${Math.round((performance.now() - began) / 1000)} s`)
    const told = await reading
    await come(() => server.ask('connections').then((open) => open === 0), 'the last readers to leave')
    const end = await server.ask('memory')
    const sum = (name) => told.reduce((sum, each) => sum + each[name], 0)
    const lagMs = Math.max(...told.map((each) => each.lagMs)) + (await server.ask('lag'))
    // A process that the machine has stopped is late with everything; nothing was missed for that.
    const missed = told.flatMap(({ late }) => late).filter(({ gapMs }) => gapMs > 2 * heartbeatMs + lagMs)
    const cpu = after.user - before.user + after.system - before.system
    return {
      open,
      openedMs,
      tokens: sum('tokens'),
      heartbeats: sum('heartbeats'),
      longestGapMs: Math.max(...told.map((each) => each.longestGapMs)),
      lagMs,
      failures: sum('failures') + missed.length,
      examples: [
        ...told.flatMap((each) => each.examples),
        ...missed.map(({ id, gapMs }) => `stream ${id} was silent for ${gapMs} ms`),
      ].slice(0, 10),
      rssPerStream: (full.rss - empty.rss) / open,
      heapPerStream: (full.heapUsed - empty.heapUsed) / open,
      heapLeftPerStream: (end.heapUsed - empty.heapUsed) / open,
      cpuPerToken: cpu / (after.tokens - before.tokens),
      cpuShare: cpu / 1000 / (after.at - before.at),
      memory: { empty, full, end },
    }
  } finally {
    await Promise.all([server, ...clients].map((each) => each.stop()))
  }
}

/** Waits for what must come to be. */
async function come(condition, what, limitMs = 60_000) {
  if (!(await until(condition, limitMs))) throw new Error(`Waited ${limitMs} ms for ${what}`)
}

function number(name, standard) {
  const value = values[name] === undefined ? standard : Number(values[name])
  if (Number.isInteger(value) && value > 0) return value
  console.error(`--${name} cannot be ${values[name]}: give a positive integer.`)
  process.exit(2)
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2
}
