// `npm run storm`: 100 000 exchanges with readers and providers that misbehave in every way there is, over every host,
// in one server process; and healthy ones among them. Says whether anything was lost, left behind or broken.
//   --quick            5 000 exchanges, the same ones each time
//   --exchanges <n>    another number
//   --seed <n>         that storm; without --quick it is another one each time
//   --only <n,n,…>     only these exchanges of it
//   --concurrency <n>  exchanges at a time
//   --json <file>      the figures
// The exit status is 1 if anything was wrong. Build first.
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { start, until } from '../scripts/processes.mjs'
import { print, progress } from '../scripts/progress.mjs'
import { describe, planOf } from './storm/plan.mjs'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    exchanges: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    concurrency: { type: 'string' },
    json: { type: 'string' },
  },
})
const seed = number('seed', values.quick ? 1 : 1 + Math.floor(Math.random() * 0x7fffffff))
const only = values.only?.split(',').map(Number)
const exchanges = only?.length ?? number('exchanges', values.quick ? 5000 : 100_000)
const concurrency = number('concurrency', 128)
/** Between two waves nothing goes on, and everything is counted. */
const waveLength = Math.min(5000, Math.ceil(exchanges / 5))
const QUIET_MS = 60_000
/** A relay that is kept costs some kilobytes; what the engine keeps of the code it runs is much less. */
const HEAP_PER_EXCHANGE = 100
const HEAP_AT_LEAST = 3 * 1024 * 1024

const problems = []
const report = (found) => {
  for (const { index, what } of found) {
    problems.push({ index, what })
    if (problems.length === 51) print('… and more')
    if (problems.length <= 50) print(index === undefined ? what : `${describe(planOf(seed, index))}\n  ${what}`)
  }
}

print(
  `${exchanges} exchanges, ${concurrency} at a time, --seed ${seed}. Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model.trim()}.`,
)
const began = performance.now()
const outcomes = {}
let begun = 0
let upstreamRequests = 0
let done = 0
let finished = 0
let died
const printed = []

const upstreams = start(new URL('./storm/upstreams.mjs', import.meta.url))
const server = start(new URL('./storm/server.mjs', import.meta.url), {
  execArgv: ['--expose-gc'],
  onError: (text) => printed.push(text),
})
const clients = start(new URL('./storm/clients.mjs', import.meta.url), {
  onTell: (tell) => {
    finished = tell.finished
  },
})
server.exited.then(({ code, signal }) => {
  died = `the server process ended with ${signal ?? `status ${code}`}`
})

const rests = []
try {
  const ports = await server.ask('listen', await upstreams.ask('listen'))
  rests.push(await server.ask('rest'))
  for (let from = 0; from < exchanges && !died; from += waveLength) {
    const length = Math.min(waveLength, exchanges - from)
    const indices = only ?? Array.from({ length }, (_, offset) => from + offset)
    await wave(indices, ports)
    done += indices.length
    rests.push(await server.ask('rest'))
    if (only) break
  }
  await atRest(rests[0])
} catch (error) {
  report([{ what: died ?? `the storm broke off: ${error.stack}` }])
} finally {
  await Promise.all([clients, server, upstreams].map((each) => each.stop()))
}
if (printed.length > 0) report([{ what: `the server process has written: ${printed.join('').slice(0, 4000)}` }])

const seconds = (performance.now() - began) / 1000
const heap = rests.map((rest) => rest.heap)
print(
  `${done} exchanges in ${seconds.toFixed(0)} s: ${begun} relays (${Object.entries(outcomes)
    .map(([outcome, count]) => `${count} ${outcome}`)
    .join(', ')}), ${upstreamRequests} requests to providers.`,
)
print(`Heap at rest after each wave, MB: ${heap.map((bytes) => (bytes / 1024 / 1024).toFixed(1)).join(' ')}`)
if (values.json) {
  const machine = {
    node: process.version,
    cpus: cpus().length,
    model: cpus()[0]?.model.trim(),
    platform: process.platform,
  }
  const figures = { machine, seed, exchanges: done, seconds, begun, outcomes, upstreamRequests, rests, problems }
  writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`)
}
if (problems.length > 0) {
  const some = [...new Set(problems.map(({ index }) => index).filter((index) => index !== undefined))].slice(0, 10)
  console.error(
    `\n${problems.length} things went wrong. The same storm again: npm run storm -- --seed ${seed} --exchanges ${exchanges}`,
  )
  if (some.length) console.error(`Only what failed: npm run storm -- --seed ${seed} --only ${some.join(',')}`)
  process.exitCode = 1
} else print('Nothing was lost, left behind or broken.')

/** So many exchanges; then everything that began must be over. */
async function wave(indices, ports) {
  const running = clients.ask('run', { seed, indices, concurrency, ports }, 60_000 + indices.length * 200)
  let over = false
  running.then(
    () => {
      over = true
    },
    () => {
      over = true
    },
  )
  while (!over && !died) {
    await wait(100)
    const rate = finished / ((performance.now() - began) / 1000)
    progress(
      `${finished} of ${exchanges} exchanges, ${rate.toFixed(0)}/s${problems.length ? `, ${problems.length} FAILED` : ''}`,
    )
  }
  if (died) throw new Error(died)
  report(await running)
  const quiet = await server.ask('quiet', { limitMs: QUIET_MS, seed, indices }, 2 * QUIET_MS)
  report(quiet.problems)
  begun += quiet.begun
  for (const [outcome, count] of Object.entries(quiet.outcomes)) outcomes[outcome] = (outcomes[outcome] ?? 0) + count
  const { open, count } = await upstreams.ask('quiet', QUIET_MS / 2)
  upstreamRequests += count
  report(open.map(([index, name]) => ({ index, what: `the request to the provider (${name}) is still open` })))
}

/** Everything must be as it was before the first exchange, once the connections to the providers have timed out. */
async function atRest(before) {
  let rest
  let wrong
  await until(async () => {
    progress('waiting for everything to come to rest')
    rest = await server.ask('rest')
    wrong = [
      ...differences('active resources', before.resources, rest.resources),
      ...differences('objects', before.objects, rest.objects),
      ...(rest.listeners > before.listeners ? [`${rest.listeners} listeners are left on the shared signals`] : []),
    ]
    return wrong.length === 0
  }, QUIET_MS / 4)
  rests.push(rest)
  // The first wave is what the engine takes to know the code.
  const counted = done - waveLength
  const allowed = Math.max(HEAP_AT_LEAST, counted * HEAP_PER_EXCHANGE)
  const growth = rest.heap - (rests[1] ?? before).heap
  if (!only && growth > allowed)
    wrong.push(`the heap has grown by ${growth} bytes since the first wave, ${allowed} are allowed`)
  report(wrong.map((what) => ({ what: `left behind: ${what}` })))
}

function differences(what, before, after) {
  return Object.entries(after)
    .filter(([name, count]) => count > (before[name] ?? 0))
    .map(([name, count]) => `${what}: ${count} ${name}, ${before[name] ?? 0} before`)
}

function number(name, standard) {
  const value = values[name] === undefined ? standard : Number(values[name])
  if (Number.isInteger(value) && value > 0) return value
  console.error(`--${name} cannot be ${values[name]}: give a positive integer.`)
  process.exit(2)
}
