// `npm run chaos`: two API processes and one worker on one Redis. Clients lose their connections, API processes are
// killed, on the way from a question to its answer too, runs are stopped through the other process, the worker dies.
// Every client must end with every token once and in order, and every prompt must be asked once.
//
//   npm run chaos -- [--runs 500] [--seed 7] [--quick]
//
// `--quick` is 30 runs, the same ones each time; else the seed is a random one, and printed. It decides what happens to a
// run and how; when it happens is up to the machine. `npm run build` first.
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startRedis } from '../scripts/redis.mjs'
import { planOf, randomOf } from './chaos/plan.mjs'
import { Process } from './chaos/processes.mjs'
import { openProxy } from './chaos/proxy.mjs'
import { askRun, followRun, stopRun } from './chaos/reader.mjs'
import { report } from './chaos/report.mjs'
import { ChaosRun, LEASE_MS, START_MS } from './chaos/run.mjs'
import { startUpstream } from './chaos/upstream.mjs'

const RUN_LIMIT_MS = 120_000

const { values } = parseArgs({
  options: { runs: { type: 'string' }, seed: { type: 'string' }, quick: { type: 'boolean', default: false } },
})
const total = positive('runs', values.runs ?? (values.quick ? 30 : 500))
const seed = positive('seed', values.seed ?? (values.quick ? 1 : 1 + Math.floor(Math.random() * 999_999)))
const perRound = Math.min(25, Math.ceil(total / 2))

const began = performance.now()
setTimeout(
  () => {
    console.error(`FAILED it does not come to an end: ${progress()}`)
    process.exit(1)
  },
  RUN_LIMIT_MS * (2 + total / perRound),
).unref()

const random = randomOf(seed, -1)
const runs = Array.from({ length: total }, (_, index) => new ChaosRun(planOf(seed, index)))
const byId = new Map(runs.map((run) => [run.plan.runId, run]))
const failures = []
const counts = { cuts: 0, heldCuts: 0, heldKills: {}, randomKills: 0, repeated: 0 }
/** How fast readers hear of a dead worker is not to depend on who else is killed. */
let sparesAPIs = false

const upstream = await startUpstream(new Map(runs.map((run) => [run.plan.prompt, run])))
const redis = await startRedis()
const apis = ['ioredis', 'node-redis'].map(
  (client) => new Process('./api.mjs', [client, redis.port, LEASE_MS, START_MS], onMessage),
)
const worker = new Process('./worker.mjs', [redis.port, LEASE_MS, upstream.url], onMessage)
await Promise.all([...apis, worker].map((child) => child.start()))

console.log(`chaos: ${total} runs, seed ${seed}`)
for (let from = 0, round = 0; from < total; from += perRound, round++) {
  await play(runs.slice(from, from + perRound), round % 4 === 1)
  if (!process.stdout.isTTY) console.log(progress())
}
for (const missing of report(runs, { ...counts, workerKills: worker.kills, seconds: seconds() })) fail(missing)
console.log(failures.length > 0 ? `${failures.length} failures, seed ${seed}` : 'all as it must be')

for (const child of [...apis, worker]) child.close()
redis.close()
upstream.close()
process.exit(failures.length > 0 ? 1 : 0)

function positive(name, value) {
  if (Number.isSafeInteger(Number(value)) && Number(value) > 0) return Number(value)
  console.error(`--${name} cannot be ${value}: give a positive integer`)
  process.exit(2)
}

/** Said at once: a run that hangs later does not hide it. */
function fail(what) {
  failures.push(what)
  console.error(`${process.stdout.isTTY ? '\n' : ''}FAILED after ${seconds()} s: ${what}`)
}

function seconds() {
  return Math.round((performance.now() - began) / 1000)
}

function progress() {
  const over = runs.filter((run) => run.isOver).length
  const kills = `${apis[0].kills + apis[1].kills} API processes and ${worker.kills} workers killed`
  return `${over} of ${total} runs, ${kills}, ${failures.length} failures, ${seconds()} s`
}

/** Some runs at a time. */
async function play(round, killsWorker) {
  const playing = { isOver: false }
  sparesAPIs = killsWorker
  const killing = killsWorker ? killWorker(round) : killAPIs(round, playing)
  await Promise.all(round.map(playRun))
  playing.isOver = true
  await killing
}

async function playRun(run) {
  const { plan } = run
  await sleep(plan.afterMs)
  run.startedAt = performance.now()
  const reader = await openProxy(() => portOf(), plan.cuts)
  const other = await openProxy(() => portOf(reader.port))
  const follower = await openProxy(() => portOf(reader.port), plan.followerCuts)
  run.proxy = reader
  await Promise.all([ask(), stop(), follow()])
  // The readers may know of a stop before the upstream does.
  await until(() => run.open === 0, 5000)
  if (run.open > 0) fail(`${plan.runId}: expected the upstream to be left by now; it is not`)
  for (const wrong of run.verify()) fail(`${plan.runId}: ${wrong}`)
  for (const proxy of [reader, other, follower]) {
    counts.cuts += proxy.cuts
    proxy.close()
  }
  if (process.stdout.isTTY) process.stdout.write(`\r${progress()}`)

  async function ask() {
    await askRun(run, reader.url, RUN_LIMIT_MS)
    run.isOver = true
    run.changed()
  }

  async function stop() {
    if (plan.stopAt === undefined) return
    await run.reached(plan.stopAt)
    while (!run.isOver && run.stopAnsweredAt === undefined) {
      // The process that is told may be killed before it has answered: to stop twice is to stop once.
      await stopRun(run, other.url).catch(() => sleep(20))
    }
    run.isStoppedElsewhere = other.port !== reader.port
  }

  async function follow() {
    if (plan.followAt === undefined) return
    await run.reached(plan.followAt)
    if (run.asked > 0) await followRun(run, follower.url, RUN_LIMIT_MS)
  }
}

/** The port of an API process that is up: another than this one, if there is another. */
async function portOf(notThis) {
  const up = () => apis.map(({ ready }) => ready).filter((port) => port !== undefined)
  await until(() => up().length > 0, RUN_LIMIT_MS)
  const ports = up()
  const others = ports.filter((port) => port !== notThis)
  const choice = others.length > 0 ? others : ports
  return choice[Math.floor(random() * choice.length)]
}

function onMessage({ held, repeated, failed }, child) {
  if (repeated) counts.repeated++
  if (failed) fail(failed)
  if (!held) return
  const run = byId.get(held)
  run.wasHeld = true
  const { point, ending } = run.plan.hold
  if (ending === 'kill' && !sparesAPIs) {
    counts.heldKills[point] = (counts.heldKills[point] ?? 0) + 1
    restart(child)
  } else {
    // Only the answer is lost: the question goes its way.
    counts.heldCuts++
    run.proxy.cut()
    child.send({ release: held })
  }
}

async function restart(child) {
  if (!(await child.kill())) return false
  // Why it does not come up is told by a message.
  child.start().catch(() => {})
  return true
}

/** Where the machine is so busy that they are slow to come up, they are killed less often. */
async function killAPIs(round, playing) {
  const tokens = round.reduce((total, { plan }) => total + plan.tokens.length, 0)
  // By what is done and not by the clock, which on a fast machine would be too late for all of them.
  let at = 1
  for (;;) {
    await until(() => playing.isOver || (sent() >= at && apis.every(({ ready }) => ready)), RUN_LIMIT_MS)
    if (playing.isOver) return
    if (await restart(apis[Math.floor(random() * apis.length)])) counts.randomKills++
    at = sent() + tokens * random() * 0.15
  }

  function sent() {
    return round.reduce((total, run) => total + run.sent, 0)
  }
}

/** Kills the worker in the middle of some runs. Those that are not begun by then are for the next one. */
async function killWorker(round) {
  const isMidway = ({ open, sent, plan }) => open > 0 && sent > 0 && sent < plan.tokens.length - 5
  await until(() => round.filter(isMidway).length >= round.length / 5, 20_000)
  for (const run of round) if (!run.isOver && run.startedAt !== undefined) run.killedAt = performance.now()
  await worker.kill()
  await worker.start()
}

async function until(holds, limitMs) {
  for (const end = performance.now() + limitMs; performance.now() < end && !holds(); ) await sleep(10)
}
