// What noise cannot move: instructions, system calls and bytes of heap for each token, of ours and of the loop by hand,
// each in a server that answers real connections, once it is warm.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { contenders } from './contenders.mjs'
import { loads, prepare, present, run } from './loads.mjs'
import { start } from './processes.mjs'

const execute = promisify(execFile)

/** Few, since a counted instruction takes fifty times as long. */
const CONNECTIONS = 40
const ROUNDS = 2

/** No second thread that compiles or collects at times of its own. */
const ALONE = '--single-threaded'

/** What the compiler does is done once, and the longer a server runs the less of it is a token's. */
const COMPILER = /^v8::internal::Runtime_Compile/

/** Valgrind counts from the moment it is told to. */
const callgrind = (folder) => [
  ...['valgrind', '--quiet', '--tool=callgrind', `--callgrind-out-file=${folder}/counts`, '--instr-atstart=no'],
  // A compiler writes code while it runs.
  '--smc-check=all-non-file',
]
const beginCounting = (pid) => execute('callgrind_control', ['--instr=on', String(pid)])
async function endCounting(pid, folder) {
  await execute('callgrind_control', ['--dump', String(pid)])
  const profile = readFileSync(`${folder}/counts.1`, 'latin1')
  return { profile, count: Number(/^summary: (\d+)/m.exec(profile)[1]) }
}

/**
 * The instructions of any program while something runs: `measure` gets what to start it under, and what counts those of a
 * process until a promise settles. Undefined where there is no valgrind.
 */
export async function countInstructions(measure) {
  if (!(await isInstalled('valgrind'))) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'sse-relay-bench-'))
  try {
    return await measure(callgrind(folder), async (pid, run) => {
      await beginCounting(pid)
      await run()
      return (await endCounting(pid, folder)).count
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const isInstalled = (program) =>
  execute(program, ['--version']).then(
    () => true,
    () => false,
  )

const counters = {
  instructions: {
    unit: 'instructions per token',
    nodeArguments: [ALONE, '--predictable-gc-schedule', '--expose-gc'],
    wrapper: callgrind,
    // The lesser counts: one of ten came out half as much again, in two runs of three, and not when it was counted alone.
    runs: 2,
    begin: ({ pid }) => beginCounting(pid),
    async end({ pid }, folder) {
      const { profile, count } = await endCounting(pid, folder)
      return count - costOfCalls(profile, COMPILER)
    },
  },
  'system calls': {
    unit: 'system calls per token',
    nodeArguments: [ALONE, '--expose-gc'],
    wrapper: (folder) => ['strace', '-f', '-qq', '-o', `${folder}/calls`],
    begin: (child) => child.ask('mark'),
    async end(child, folder) {
      await child.ask('mark')
      const [, between] = readFileSync(`${folder}/calls`, 'latin1').split(/^\d+ +getpriority\(.*\n/m)
      return between.match(/^\d+ +\w+\(/gm).length
    },
  },
  'bytes of heap': {
    unit: 'bytes of heap per token',
    // So much room that nothing is collected: what was made is what is there.
    nodeArguments: [ALONE, '--expose-gc', '--min-semi-space-size=256', '--max-semi-space-size=256'],
    wrapper: () => [],
    begin: async (child) => (await child.ask('used', { collect: true, coming: CONNECTIONS })).heap,
    end: async (child, _, before) => (await child.ask('used')).heap - before,
  },
}

/** The counters that this machine has the programs for. */
async function available() {
  const names = []
  for (const name of Object.keys(counters)) {
    const [program] = counters[name].wrapper('')
    if (await isInstalled(program ?? process.execPath)) names.push(name)
  }
  return names
}

/** The pairs of these loads that have a target. The dialect of the AI SDK is far from its own. */
const COUNTED = ['tick', 'burst']
const isCounted = ({ ours, theirs }) => !ours.includes('uiMessage') && theirs in contenders

export async function measureCounts({ quick, progress }) {
  if (quick) return undefined
  const title = 'Server: what is counted'
  const rows = []
  for (const counter of await available()) {
    for (const group of COUNTED) {
      const pairs = loads[group].pairs.filter(isCounted)
      const names = await present([...new Set(pairs.flatMap(({ ours, theirs }) => [ours, theirs]))])
      const values = {}
      for (const name of names) {
        progress(`${title}: ${counter}, ${loads[group].title}, ${name}`)
        const { runs = 1 } = counters[counter]
        const counts = []
        for (let process = 0; process < runs; process++) counts.push(await count(counter, name, loads[group].load))
        values[name] = Math.min(...counts)
      }
      for (const { ours, theirs } of pairs.filter(({ ours, theirs }) => names.includes(ours) && names.includes(theirs)))
        rows.push({
          group: 'counts',
          name: `${group}, ${counter}: ${ours} / ${theirs}`,
          unit: counters[counter].unit,
          ours: values[ours],
          theirs: values[theirs],
          ratio: values[ours] / values[theirs],
          runs: counters[counter].runs ?? 1,
        })
    }
  }
  if (rows.length === 0) return undefined
  return {
    id: 'counts',
    title,
    note: `${CONNECTIONS} connections of the two loads that follow. Instructions are those outside the kernel and outside the compiler, garbage collection included, the lesser of two processes (callgrind); system calls are all of the process (strace); bytes of heap are what is allocated, garbage or not.`,
    unit: 'per token',
    figures: [],
    rows,
  }
}

/** What a counter says of a row of one of the loads. */
export const countedOf = (counts, { group, name }) =>
  counts?.rows.find((row) => row.name === `${group}, instructions: ${name}`)?.ratio

async function count(counter, name, load) {
  const folder = mkdtempSync(join(tmpdir(), 'sse-relay-bench-'))
  const { nodeArguments, wrapper, begin, end } = counters[counter]
  const size = { ...load, connections: CONNECTIONS }
  const client = start('client.mjs')
  let server
  try {
    server = await prepare(name, size, client, nodeArguments, wrapper(folder))
    // So that the next collection of everything comes after the end for each of them: one is as much as all the rest. What
    // it takes away of the compiler's, a round more brings back.
    await server.child.ask('used', { collect: true })
    await run(server, size, client)
    const begun = await begin(server.child)
    for (let round = 0; round < ROUNDS; round++) await run(server, size, client)
    return (await end(server.child, folder, begun)) / (ROUNDS * CONNECTIONS * load.tokens)
  } finally {
    await Promise.all([client, server?.child].map((child) => child?.stop()))
    rmSync(folder, { recursive: true })
  }
}

/** What all calls of certain functions cost, with what these called: the line after each `calls=` says so. */
function costOfCalls(profile, functions) {
  const names = new Map()
  let cost = 0
  for (const [, id, name, calls] of profile.matchAll(/^(?:c?fn=(\(\d+\))(?: (.*))?|calls=.*\n\S+ (\d+))$/gm)) {
    if (name) names.set(id, name)
    if (id) names.set('', names.get(id))
    else if (functions.test(names.get(''))) cost += Number(calls)
  }
  return cost
}
