// npm run bench [-- --quick] [-- --only <group>[,<group>]] [-- --save]
// Measures, prints, and, of a whole run or with --save, records in results/latest.json and writes docs/benchmarks.md.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, loadavg, platform, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { calibrate, said } from './machine.mjs'
import { printed, write } from './report.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const root = here('../..')

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    'no-build': { type: 'boolean', default: false },
  },
})
const { quick } = options

// Before the build, which is a load of its own.
const [load] = loadavg()
const { dependencies } = JSON.parse(readFileSync(here('package.json'), 'utf8'))
const isInstalled = (name) => existsSync(here(`node_modules/${name}`))
if (!Object.keys(dependencies).every(isInstalled)) npm(['install', '--no-audit', '--no-fund'], here('.'))
if (!options['no-build']) npm(['run', 'build'], root)

// Not before they are installed and built.
const { countedOf, measureCounts } = await import('./server/counts.mjs')
const { loads, measureLoad } = await import('./server/loads.mjs')
const { measureFirst } = await import('./server/first.mjs')
const { measureLatency } = await import('./server/latency.mjs')
const { measureMemory } = await import('./server/memory.mjs')
const { measureRedis } = await import('./server/redis.mjs')
const { measureSizes } = await import('./sizes.mjs')

/** In the order of the report. Each gives a group, several, or nothing when this version has not what it measures. */
const groups = {
  counts: measureCounts,
  ...Object.fromEntries(Object.keys(loads).map((id) => [id, (how) => measureLoad(id, how)])),
  redis: measureRedis,
  first: measureFirst,
  latency: measureLatency,
  memory: measureMemory,
  client: measureClient,
  sizes: measureSizes,
}
/** What a minute has no room for. */
const SLOW = ['paced', 'sdk']

const only = options.only.flatMap((names) => names.split(','))
const unknown = only.filter((name) => !(name in groups))
if (unknown.length) {
  console.error(`There is no group ${unknown.join(', ')}: choose from ${Object.keys(groups).join(', ')}.`)
  process.exit(2)
}
const chosen = only.length ? only : Object.keys(groups).filter((name) => !quick || !SLOW.includes(name))

const state = calibrate(load)
console.log(`${said(state)}\n`)

const measured = []
for (const name of chosen) {
  const found = await groups[name]({ quick, progress })
  const when = { date: new Date().toISOString().slice(0, 10), node: process.version, quick, machine: machine(), state }
  const some = [found ?? []].flat()
  progress('')
  if (some.length === 0) console.log(`${name}: this version has nothing to measure there.\n`)
  for (const group of some) {
    group.rows = group.rows.map(withCounts)
    measured.push({ ...group, measured: when })
    console.log(printed(group))
  }
}

const saved = options.save || (!quick && only.length === 0)
const latest = here('results/latest.json')
const before = existsSync(latest) ? JSON.parse(readFileSync(latest, 'utf8')).groups : []
mkdirSync(here('results'), { recursive: true })
if (saved) {
  const order = Object.keys(groups)
  const place = ({ id }) => order.findIndex((name) => id === name || id.startsWith(`${name}-`))
  const kept = before.filter(({ id }) => !measured.some((group) => group.id === id))
  const result = { groups: [...kept, ...measured.map(withPast)].sort((a, b) => place(a) - place(b)) }
  writeFileSync(latest, `${JSON.stringify(result, null, 1)}\n`)
  write(result)
  console.log('Recorded in lab/bench/results/latest.json; docs/benchmarks.md is written from that.')
} else {
  writeFileSync(here('results/last-run.json'), `${JSON.stringify({ groups: measured }, null, 1)}\n`)
  console.log('In lab/bench/results/last-run.json. A whole run, or --save, writes docs/benchmarks.md.')
}

/** Each row with what it was on the two occasions before. */
function withPast(group) {
  const old = before.find(({ id }) => id === group.id)
  // A quick run is for a look.
  if (!old || old.measured.quick) return group
  return {
    ...group,
    rows: group.rows.map((row) => {
      const known = old.rows.find(({ name }) => name === row.name)
      if (known?.ratio === undefined || row.ratio === undefined) return row
      const { ratio, counted } = known
      const past = [...(known.past ?? []), { date: old.measured.date, ratio, counted }].slice(-2)
      return { ...row, past }
    }),
  }
}

/** Each row with what was counted of it in this run. */
function withCounts(row) {
  const counted = countedOf(
    measured.find(({ id }) => id === 'counts'),
    row,
  )
  return counted === undefined ? row : { ...row, counted }
}

/** The client's rows come from a process of their own. */
async function measureClient({ quick, progress }) {
  const script = here('client/index.mjs')
  if (!existsSync(script)) return undefined
  const file = here('results/client.json')
  progress('Client: parsers and streams')
  await new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, '--json', file, ...(quick ? ['--quick'] : [])], {
      stdio: ['ignore', 'ignore', 'inherit'],
      cwd: here('.'),
    })
    const timer = setTimeout(() => child.kill(), 30 * 60_000)
    child.on('error', reject)
    child.on('exit', (code) => {
      clearTimeout(timer)
      if (code === 0) resolve()
      else reject(new Error(`lab/bench/client ended with ${code}`))
    })
  })
  const { rows } = JSON.parse(readFileSync(file, 'utf8'))
  return [...new Set(rows.map(({ group }) => group))].map((group) => ({
    id: `client-${slug(group)}`,
    title: `Client: ${group}`,
    unit: rows.find((row) => row.group === group).unit,
    figures: [],
    rows: rows.filter((row) => row.group === group),
  }))
}

function slug(text) {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}

/** No model names: the class of the machine is what helps a reader. */
function machine() {
  const all = cpus()
  const maker = /AMD|Intel|Apple|ARM|Ampere/i.exec(all[0]?.model ?? '')?.[0] ?? 'other'
  return `${all.length} × ${arch()} (${maker}), ${Math.round(totalmem() / 2 ** 30)} GB, ${platform()}`
}

function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns ?? 100) - 1)}`)
  else if (text !== '') process.stderr.write(`${text}\n`)
}

function npm(parameters, cwd) {
  execFileSync('npm', parameters, { cwd, stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' })
}
