// Is the machine quiet enough to measure on, and by how much can what it says be trusted?
import { availableParallelism } from 'node:os'
import { median, quantile } from './statistics.mjs'

const PAIRS = 30
const LOOP_MS = 20

/** What ratios wobble by on a quiet machine. */
export const NOISE = 0.05

/** The same work beside itself: what its ratio differs from 1 by, any ratio may. `load` is what was on the machine before. */
export function calibrate(load) {
  const length = lengthOf(LOOP_MS)
  const began = performance.now()
  const used = Array.from({ length: 2 * PAIRS }, () => work(length))
  const passed = performance.now() - began
  const ratios = Array.from({ length: PAIRS }, (_, pair) => used[2 * pair] / used[2 * pair + 1])
  const cpu = used.reduce((sum, each) => sum + each, 0) / 1000
  return {
    load,
    processors: availableParallelism(),
    /** Nine of ten ratios lie between these. */
    low: quantile(ratios, 0.05),
    high: quantile(ratios, 0.95),
    ratio: median(ratios),
    /** The share of its time that it waited for a processor. */
    waited: Math.max(0, 1 - cpu / passed),
  }
}

/** What is said of that at the head of a run, and on the page. */
export function said({ load, processors, low, high, waited }) {
  const noise = Math.max(NOISE, 1 - low, high - 1)
  const isQuiet = load < processors / 2 && noise < 2 * NOISE && waited < NOISE
  const percent = (share) => `${Math.round(share * 100)} %`
  const facts = `load ${load.toFixed(1)} on ${processors} processors; a loop beside itself came to ${low.toFixed(2)} to ${high.toFixed(2)}, and waited ${percent(waited)} of its time`
  return isQuiet
    ? `The machine was quiet (${facts}): a ratio is good to ±${percent(noise)}.`
    : `The machine was not quiet (${facts}): a ratio is good to ±${percent(noise)} at best. Believe what is counted, and measure the rest again.`
}

function lengthOf(ms) {
  let length = 10_000
  while (work(length) < ms * 1000) length *= 2
  return length
}

/** The processor time of calls, small objects and text: what a server does. In microseconds. */
function work(length) {
  const before = process.cpuUsage()
  let sum = 0
  for (let index = 0; index < length; index++) {
    sum += JSON.parse(JSON.stringify({ text: `word ${index & 1023}` })).text.length
  }
  const { user, system } = process.cpuUsage(before)
  if (sum < length) throw new RangeError('A word was lost')
  return user + system
}
