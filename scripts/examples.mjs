// `npm run examples`: every example with a package.json of its own, installed as its user would, built, and checked.
// `npm run examples -- react` takes only that one; `-- react --rotate` two of the others besides, by the commit, so that
// each has its turn in CI. Build first: what they install is this folder.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nodeProgram } from './node-program.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const examples = join(root, 'examples')
const chosen = process.argv.slice(2).filter((name) => name !== '--rotate')
const AT_ONCE = 2

if (!existsSync(join(root, 'dist/index.js'))) {
  console.error('Nothing to install: run `npm run build` first.')
  process.exit(1)
}

const found = readdirSync(examples).filter((name) => existsSync(join(examples, name, 'package.json')))
const unknown = chosen.filter((name) => !found.includes(name))
if (unknown.length > 0) {
  console.error(`No such example: ${unknown.join(', ')}. There are: ${found.join(', ')}.`)
  process.exit(1)
}

const failed = []
const rotating = process.argv.includes('--rotate') ? inTurn(found.filter((name) => !chosen.includes(name))) : []
const asked = [...chosen, ...rotating]
for (const name of asked.length > 0 ? asked : found) {
  const started = Date.now()
  console.log(`\nexamples/${name}`)
  const ok = await check(join(examples, name))
  console.log(`${ok ? 'passed' : 'FAILED'} in ${((Date.now() - started) / 1000).toFixed(0)} s`)
  if (!ok) failed.push(name)
}
if (failed.length > 0) {
  console.error(`\nFailed: ${failed.join(', ')}`)
  process.exitCode = 1
}

/** Those whose turn it is: the round goes on by one with every commit. */
function inTurn(all) {
  const { stdout, status } = spawnSync('git', ['rev-list', '--count', 'HEAD'], { cwd: root, encoding: 'utf8' })
  // A shallow clone counts one, and without git there is no count: then the day is what changes.
  const commits = status === 0 ? Number(stdout) : 0
  const [turn, why] =
    commits > 1 ? [commits, `commit ${commits}`] : [Math.floor(Date.now() / 86_400_000), 'the day, for want of commits']
  const names = all.slice(0, AT_ONCE).map((_, index) => all[(turn + index) % all.length])
  console.log(`In turn (${why}): ${names.join(', ')}, of ${all.join(', ')}`)
  return names
}

async function check(folder) {
  const { scripts, engines } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const env = environment(engines?.node)
  // npm takes a copy that is there for the right one, whatever has been built since.
  rmSync(join(folder, 'node_modules/sse-relay'), { recursive: true, force: true })
  const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
  return (
    (await npm(folder, env, install)) &&
    (!scripts.build || (await npm(folder, env, ['run', 'build', '--loglevel=error']))) &&
    (await npm(folder, env, ['run', 'check', '--loglevel=error'], true))
  )
}

/** With a Node that is new enough for what the example installs. */
function environment(range = '>=0') {
  const [, major, minor = 0] = /^>=(\d+)(?:\.(\d+))?$/.exec(range)
  const [thisMajor, thisMinor] = process.versions.node.split('.').map(Number)
  if (thisMajor > major || (thisMajor === Number(major) && thisMinor >= minor)) return process.env
  const { folder, version } = nodeProgram(24)
  console.log(`with Node ${version}: it needs ${range}`)
  return { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}` }
}

/** Says what it does and, once it takes more than a second, for how long; shows what was printed if it is `loud` or failed. */
function npm(cwd, env, args, loud = false) {
  const started = Date.now()
  const name = args[0] === 'run' ? args[1] : args[0]
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(0)} s`
  console.log(`  ${name} …`)
  return new Promise((resolve) => {
    const child = spawn('npm', args, {
      cwd,
      env: { ...env, NEXT_TELEMETRY_DISABLED: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes) => {
        if (loud) process.stdout.write(bytes)
        else output += bytes
      })
    }
    const progress = setInterval(() => console.log(`  ${name}: ${seconds()} …`), 10_000)
    const limit = setTimeout(() => child.kill(), 300_000)
    child.on('error', (error) => console.error(error.message))
    child.on('close', (status) => {
      clearInterval(progress)
      clearTimeout(limit)
      console.log(`  ${name}: ${status === 0 ? 'done' : `FAILED (${status})`} in ${seconds()}`)
      if (status !== 0 && !loud) console.log(output)
      resolve(status === 0)
    })
  })
}
