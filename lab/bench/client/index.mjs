// node lab/bench/client/index.mjs --json <file> [--quick] [--only <part of a row's name>]
// The client's rows: parsers, streams, growth, and instructions where there is valgrind.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { start } from '../server/processes.mjs'
import { alternate, compare, median, renew } from '../statistics.mjs'
import { PEERS } from './contenders.mjs'
import { CHUNKS, OTHERS, TARGETED } from './inputs.mjs'
import { hasCallgrind, instructions } from './instructions.mjs'

const { values: options } = parseArgs({
  options: { json: { type: 'string' }, quick: { type: 'boolean', default: false }, only: { type: 'string' } },
})
const { quick } = options
/** In each of the processes, one after the other. */
const ROUNDS = quick ? [7] : [7, 7, 7]
/** Processor time of one measurement: long enough for the clock, short enough to take turns. */
const SLICE_MS = quick ? 20 : 40
const WARM_MS = quick ? 150 : 400
const SIZE = 262_144
const NANOSECONDS = 'ns of CPU per character'

const rows = []
const isWanted = (name) => !options.only || name.includes(options.only)

await parsers()
await streams()
await growth()
if (!quick) await witnesses()

if (options.json) writeFileSync(options.json, `${JSON.stringify({ rows }, null, 1)}\n`)

/** `createParser` beside eventsource-parser. */
async function parsers() {
  const group = 'createParser'
  const found = []
  for (const what of [...TARGETED, ...OTHERS]) {
    for (const chunks of CHUNKS) {
      const isTargeted = TARGETED.includes(what)
      if (quick && !isTargeted) continue
      const name = `createParser, ${what}, ${chunks} / eventsource-parser`
      if (!isWanted(name)) continue
      const row = await pair('parser', 'eventsource-parser', what, chunks)
      if (isTargeted) found.push(row)
      add({ group, name, unit: NANOSECONDS, target: 1, ...row })
    }
  }
  if (found.length > 1) {
    const name = `createParser, geometric mean of these ${found.length} / eventsource-parser`
    add({ group, name, unit: NANOSECONDS, target: 0.75, ...meanOf(found) })
  }
}

/** `parseSSE` beside each peer's way from bytes to events. */
async function streams() {
  const group = 'parseSSE'
  const targets = { 'one event': 0.25, '1400 B': 0.37, '64 KB': 0.4 }
  for (const chunks of Object.keys(targets)) {
    const found = []
    for (const what of quick ? TARGETED : [...TARGETED, 'mixed scripts']) {
      const name = `parseSSE, ${what}, ${chunks} / TextDecoderStream + EventSourceParserStream`
      if (!isWanted(name)) continue
      const row = await pair('stream', 'eventsource-parser', what, chunks)
      if (TARGETED.includes(what)) found.push(row)
      add({ group, name, unit: NANOSECONDS, ...row })
    }
    if (found.length > 1) {
      const name = `parseSSE, ${chunks}, geometric mean of ${TARGETED.join(', ')} / TextDecoderStream + EventSourceParserStream`
      add({ group, name, unit: NANOSECONDS, target: targets[chunks], ...meanOf(found) })
    }
  }
  for (const peer of PEERS.filter((name) => name !== 'eventsource-parser')) {
    for (const what of quick ? ['OpenAI'] : TARGETED) {
      const name = `parseSSE, ${what}, 1400 B / ${peer}`
      if (isWanted(name)) add({ group, name, unit: NANOSECONDS, ...(await pair('stream', peer, what, '1400 B')) })
    }
  }
}

/** A data line twice as long, in chunks of 64 characters. */
async function growth() {
  const group = 'growth'
  const unit = 'ms of CPU'
  const size = quick ? 131_072 : 524_288
  for (const [kind, what, peers] of [
    ['parser', 'createParser', ['eventsource-parser']],
    ['stream', 'parseSSE', PEERS],
  ]) {
    const name = `${what}, one data line of ${(2 * size) / 1024} KB / itself, of ${size / 1024} KB`
    if (isWanted(name)) {
      const { single, double } = await measured({
        single: [kind, 'sse-relay', 'line', 'line', size],
        double: [kind, 'sse-relay', 'line', 'line', 2 * size],
      })
      add({ group, name, unit, target: 2.2, ...rounded(compare(inMs(double), inMs(single))) })
    }
    for (const peer of quick ? [] : peers) {
      const name = `${what}, one data line of ${size / 1024} KB / ${peer}`
      if (!isWanted(name)) continue
      const { ours, theirs } = await measured({
        ours: [kind, 'sse-relay', 'line', 'line', size],
        theirs: [kind, peer, 'line', 'line', size],
      })
      add({ group, name, unit, ...rounded(compare(inMs(ours), inMs(theirs))) })
    }
  }
}

/** What a second, quieter witness says. */
async function witnesses() {
  if (options.only && !'instructions'.includes(options.only)) return
  if (!(await hasCallgrind())) {
    process.stderr.write('There is no valgrind here: no instructions are counted.\n')
    return
  }
  for (const [kind, what, peer] of [
    ['parser', 'createParser', 'eventsource-parser'],
    ['encoder', 'encodeEvent', 'hand-written'],
  ]) {
    for (const trace of kind === 'parser' ? [...TARGETED, ...OTHERS] : ['plain text']) {
      const ours = await instructions(kind, 'sse-relay', trace)
      const theirs = await instructions(kind, peer, trace)
      const name = `instructions: ${what}, ${trace}${kind === 'parser' ? ', one event' : ''} / ${peer}`
      add({
        group: 'instructions',
        name,
        unit: 'instructions per character',
        ...rounded({ ours, theirs, ratio: ours / theirs, runs: 1 }),
      })
    }
  }
}

async function pair(kind, peer, what, chunks) {
  const { ours, theirs } = await measured({
    ours: [kind, 'sse-relay', what, chunks, SIZE],
    theirs: [kind, peer, what, chunks, SIZE],
  })
  const perCharacter = ({ values, bytes }) => values.map((value) => (value * 1000) / bytes)
  return rounded(compare(perCharacter(ours), perCharacter(theirs)))
}

/** Each in processes of its own, in turns; all must read the same. */
async function measured(contenders) {
  const names = Object.keys(contenders)
  const bytes = {}
  const values = await renew(ROUNDS, async (rounds) => {
    const children = Object.fromEntries(
      names.map((name) => [name, start('../client/child.mjs', contenders[name].map(String))]),
    )
    try {
      const results = {}
      for (const name of names) results[name] = await children[name].ask('warm', { ms: WARM_MS })
      const isSame = new Set(names.map((name) => contenders[name].slice(2).join())).size === 1
      const seen = names.map((name) => `${results[name].events} events, ${results[name].characters} characters`)
      if (results[names[0]].events === 0 || (isSame && new Set(seen).size > 1)) {
        throw new Error(`${JSON.stringify(contenders)} do not read the same: ${seen.join(' | ')}`)
      }
      const times = {}
      for (const name of names) {
        bytes[name] = results[name].bytes
        times[name] = await children[name].ask('count', { ms: SLICE_MS })
      }
      return await alternate(names, rounds, (name) => children[name].ask('time', { times: times[name] }))
    } finally {
      await Promise.all(Object.values(children).map((child) => child.stop()))
    }
  })
  return Object.fromEntries(names.map((name) => [name, { values: values[name], bytes: bytes[name] }]))
}

function inMs({ values }) {
  return values.map((value) => value / 1000)
}

/** Of several rows: their geometric means, and the extremes among them. */
function meanOf(found) {
  const mean = (pick) => Math.exp(found.reduce((sum, row) => sum + Math.log(pick(row)), 0) / found.length)
  return rounded({
    ours: mean(({ ours }) => ours),
    theirs: mean(({ theirs }) => theirs),
    ratio: mean(({ ratio }) => ratio),
    low: Math.min(...found.map(({ ratio }) => ratio)),
    high: Math.max(...found.map(({ ratio }) => ratio)),
    runs: median(found.map(({ runs }) => runs)),
  })
}

function rounded(row) {
  return Object.fromEntries(Object.entries(row).map(([key, value]) => [key, Number(value.toPrecision(4))]))
}

function add(row) {
  rows.push(row)
  const figure = (value) => String(value ?? '').padStart(9)
  process.stdout.write(
    `${row.name.padEnd(100)}${figure(row.ours)}${figure(row.theirs)}${figure(row.ratio)}${figure(row.target)}\n`,
  )
}
