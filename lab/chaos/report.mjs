// What happened, in a few lines.
import { LEASE_MS, STOP_MS } from './run.mjs'

export function report(
  runs,
  { cuts, heldCuts, heldKills, randomKills, repeated, workerKills, troubles, badReaders, told, seconds },
) {
  const readings = runs.flatMap((run) => run.readings)
  const followers = readings.length - runs.length
  const losses = numbers(readings, 'lostMs')
  const stopped = runs.filter(({ stopMs }) => stopMs !== undefined)
  const stops = numbers(stopped, 'stopMs')
  const endings = {}
  for (const { outcome } of readings) endings[outcome] = (endings[outcome] ?? 0) + 1
  const askedAgain = sum(readings, 'lost') - (endings['producer-lost'] ?? 0)
  const lines = {
    readers: `${readings.length}, ${followers} of them followers: ${sum(readings, 'answers')} answers, ${sum(readings, 'received')} tokens`,
    endings: list(endings),
    'connections cut': `${cuts}, and ${heldCuts} while a question was being taken`,
    'APIs killed': `${randomKills} at random; on the way from a question to its answer: ${list(heldKills)}`,
    'asked again': `${sum(readings, 'notFound')} after run-not-found, ${askedAgain} after producer-lost; ${repeated} jobs came to the worker once more`,
    'workers killed': `${workerKills}; ${losses.length} readers waited to be told: ${spread(losses)} (the lease is ${LEASE_MS} ms, and it takes two)`,
    stops: `${stops.length}, ${stopped.filter((run) => run.isStoppedElsewhere).length} of them through the other API; from its answer until the upstream was left: ${spread(stops)}, ${stops.filter((ms) => ms > STOP_MS).length} over ${STOP_MS} ms`,
    rounds: list(troubles),
    'bad readers': `answered ${list(badReaders)}`,
    'lost by Redis': `${runs.reduce((total, { apart }) => total + apart.length, 0)} ends or stops, counted apart; ${told} errors told while it failed`,
    took: `${seconds} s`,
  }
  console.log()
  for (const [name, line] of Object.entries(lines)) console.log(`  ${name.padEnd(16)} ${line}`)
  console.log()
  // Where nothing happens, nothing is proven.
  const missing = Object.entries({
    'a connection to be cut': cuts,
    'an API process to be killed at random': randomKills,
    'an API process to be killed between its two steps': heldKills.between,
    'a reader to wait for a dead worker': losses.length,
    'a follower': followers,
    'a stop in the middle of a run': stops.length,
  })
    .filter(([, happened]) => !happened)
    .map(([what]) => `expected ${what}; there was none`)
  return runs.length < 30 ? [] : missing
}

function numbers(items, name) {
  return items.map((item) => item[name]).filter((value) => value !== undefined)
}

function sum(items, name) {
  return numbers(items, name).reduce((total, value) => total + value, 0)
}

function spread(values) {
  if (values.length === 0) return 'none'
  const sorted = values.toSorted((a, b) => a - b)
  return `median ${Math.round(sorted[sorted.length >> 1])} ms, max ${Math.round(sorted.at(-1))} ms`
}

function list(counts) {
  const entries = Object.entries(counts).map(([name, number]) => `${name} ${number}`)
  return entries.join(', ') || 'none'
}
