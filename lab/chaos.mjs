// `npm run chaos`: two API processes and one worker on one Redis. Clients lose their connections, API processes are
// killed, on the way from a question to its answer too, runs are stopped through the other process, before they begin
// too, a reader asks for places that no run has, the worker dies or stands still; Redis is away, read-only, or stands
// still, and comes back empty, from an older snapshot, or as a replica that was behind.
// Every client must end with every token once and in order or with the one ending that all others got, and every prompt
// must be asked once. What Redis itself has lost, an end or a stop, is counted apart.
//
//   npm run chaos -- [--runs 500] [--seed 7] [--quick]
//
// A round of runs has one kind of trouble. `--quick` is 30 runs, the same ones each time; else the seed is a random one, and printed. It decides what happens to a
// run and how; when it happens is up to the machine. `npm run build` first.
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { planOf, randomOf } from './chaos/plan.mjs'
import { Process } from './chaos/processes.mjs'
import { openProxy } from './chaos/proxy.mjs'
import { askRun, followRun, stopRun } from './chaos/reader.mjs'
import { report } from './chaos/report.mjs'
import { ChaosRun, LEASE_MS, START_MS } from './chaos/run.mjs'
import { LOSSES, startStore } from './chaos/store.mjs'
import { startUpstream } from './chaos/upstream.mjs'

const RUN_LIMIT_MS = 120_000

const { values } = parseArgs({
  options: { runs: { type: 'string' }, seed: { type: 'string' }, quick: { type: 'boolean', default: false } },
})
const total = positive('runs', values.runs ?? (values.quick ? 30 : 500))
const seed = positive('seed', values.seed ?? (values.quick ? 1 : 1 + Math.floor(Math.random() * 999_999)))
const perRound = values.quick ? 8 : Math.min(25, Math.ceil(total / 2))
/** The trouble of each round, by turns; those of the quick form come first. */
const TROUBLES = ['apis', 'worker', 'snapshot', 'away', 'frozen', 'empty', 'paused', 'readonly', 'failover']

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
const counts = {
  cuts: 0,
  heldCuts: 0,
  heldKills: {},
  randomKills: 0,
  repeated: 0,
  troubles: {},
  badReaders: {},
  told: 0,
}
/** How fast readers hear of a dead worker is not to depend on who else is killed. */
let sparesAPIs = false
/** Whether Redis or the worker fails in this round. */
let hasTrouble = false

const upstream = await startUpstream(new Map(runs.map((run) => [run.plan.prompt, run])))
const redis = await startStore()
const apis = ['ioredis', 'node-redis'].map(
  (client) => new Process('./api.mjs', [client, redis.port, LEASE_MS, START_MS], onMessage),
)
const worker = new Process('./worker.mjs', [redis.port, LEASE_MS, upstream.url], onMessage)
await Promise.all([...apis, worker].map((child) => child.start()))

console.log(`chaos: ${total} runs, seed ${seed}`)
for (let from = 0, round = 0; from < total; from += perRound, round++) {
  await play(runs.slice(from, from + perRound), TROUBLES[round % TROUBLES.length])
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
async function play(round, trouble) {
  const playing = { isOver: false }
  counts.troubles[trouble] = (counts.troubles[trouble] ?? 0) + 1
  for (const run of round) run.trouble = trouble
  hasTrouble = !['apis', 'worker'].includes(trouble)
  sparesAPIs = trouble !== 'apis'
  const making = [readBadly(round, playing)]
  if (trouble === 'apis') making.push(killAPIs(round, playing))
  else if (trouble === 'worker') making.push(killWorker(round))
  else making.push(makeTrouble(round, trouble))
  await Promise.all(round.map(playRun))
  playing.isOver = true
  await Promise.all(making)
  // What is tried again after a trouble is over before the next round.
  if (hasTrouble) await sleep(1000)
}

/** Redis or the worker fails in the middle of some runs. */
async function makeTrouble(round, trouble) {
  await until(() => round.filter(isMidway).length >= round.length / 5, 20_000)
  const from = performance.now()
  if (trouble === 'frozen') await worker.freeze(random() < 0.5 ? LEASE_MS * 0.5 : LEASE_MS * 3)
  else await redis.faults[trouble](random)
  for (const run of round) run.troubleMs = [from, performance.now()]
}

/** One who asks for places that the runs have not come to: it is answered, and touches nobody. */
async function readBadly(round, playing) {
  while (!playing.isOver) {
    await sleep(150)
    const run = round[Math.floor(random() * round.length)]
    if (run.asked === 0 || run.isOver) continue
    const { runId, owner } = run.plan
    const headers = { 'x-user': owner, 'last-event-id': `${runId}:${random() < 0.5 ? 999999999999999 : 5000}` }
    const signal = AbortSignal.timeout(LEASE_MS * 2 + 20_000)
    try {
      const answer = await fetch(`http://127.0.0.1:${await portOf()}/runs`, { headers, signal })
      const text = await answer.text()
      if (/"text"/.test(text))
        fail(`${runId}: expected nothing for a place it has not come to; there was ${text.slice(0, 200)}`)
      counts.badReaders[answer.status] = (counts.badReaders[answer.status] ?? 0) + 1
    } catch (error) {
      if (signal.aborted) fail(`${runId}: expected an answer for a place it has not come to; there was none`)
      // An API process was killed.
      else counts.badReaders[error?.name] = (counts.badReaders[error?.name] ?? 0) + 1
    }
  }
}

async function playRun(run) {
  const { plan } = run
  await sleep(plan.afterMs)
  run.startedAt = performance.now()
  const reader = await openProxy(() => portOf(), plan.cuts)
  const other = await openProxy(() => portOf(reader.port))
  const follower = await openProxy(() => portOf(reader.port), plan.followerCuts)
  run.proxy = reader
  if (plan.isStoppedEarly) await stopEarly()
  await Promise.all([ask(), stop(), follow()])
  // The readers may know of a stop before the upstream does.
  await until(() => run.open === 0, 5000)
  const isLossy = LOSSES.includes(run.trouble)
  if (run.open > 0) {
    const wrong = 'expected the upstream to be left by now; it is not'
    if (isLossy) run.apart.push(wrong)
    else fail(`${plan.runId}: ${wrong}`)
  }
  for (const wrong of run.verify()) fail(`${plan.runId}: ${wrong}`)
  for (const proxy of [reader, other, follower]) {
    counts.cuts += proxy.cuts
    proxy.close()
  }
  if (process.stdout.isTTY) process.stdout.write(`\r${progress()}`)

  async function stopEarly() {
    const target = `${other.url}/runs/${plan.runId}`
    for (;;) {
      const answer = await fetch(target, { method: 'DELETE', headers: { 'x-user': plan.owner } }).catch(() => undefined)
      if (answer?.ok) break
      await sleep(50)
    }
    run.stopAnsweredAt = performance.now()
  }

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
  // Of a Redis that fails everybody is told.
  if (failed && hasTrouble) counts.told++
  else if (failed) fail(failed)
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
  await until(() => round.filter(isMidway).length >= round.length / 5, 20_000)
  for (const run of round) if (!run.isOver && run.startedAt !== undefined) run.killedAt = performance.now()
  await worker.kill()
  await worker.start()
}

function isMidway({ open, sent, plan }) {
  return open > 0 && sent > 0 && sent < plan.tokens.length - 5
}

async function until(holds, limitMs) {
  for (const end = performance.now() + limitMs; performance.now() < end && !holds(); ) await sleep(10)
}
