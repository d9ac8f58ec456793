// `npm run latest`: is every shape still what the newest version of its package yields? Each family of test/packages,
// and the SDKs of this repository, installed anew in a temporary copy, and their checks run there. It says which
// versions are newer than those of the lock files, and what of the checks is no longer so; families in which nothing is
// newer are not tried. `npm run latest -- langchain mastra` takes only those; `--all` tries what has not changed, too.
// For a nightly run: what it finds is news about others, and no reason to stop a change of ours.
import { spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const words = process.argv.slice(2)
const tryAll = words.includes('--all')
const chosen = words.filter((word) => word !== '--all')

/** The SDKs among our own dev dependencies, whose streams `test/sources` and the matrix take. */
const SDKS =
  /^(openai|ollama|ai|@ai-sdk\/(anthropic|openai)|@anthropic-ai\/sdk|@aws-sdk\/client-bedrock-runtime|@google\/genai|@mistralai\/mistralai)$/

const copy = mkdtempSync(join(tmpdir(), 'sse-relay-latest-'))
const isKept = (path) => !/(^|\/)(node_modules|\.git|\.run|site|coverage)$/.test(path)
for (const name of readdirSync(root)) {
  if (isKept(name) && name !== 'dist') cpSync(join(root, name), join(copy, name), { recursive: true, filter: isKept })
}
symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))

const packages = join(copy, 'test/packages')
const found = readdirSync(packages).filter((name) => existsSync(join(packages, name, 'package.json')))
const unknown = chosen.filter((name) => name !== 'sdks-of-ours' && !found.includes(name))
if (unknown.length > 0) {
  console.error(`No such family of packages: ${unknown.join(', ')}. There are: sdks-of-ours, ${found.join(', ')}.`)
  process.exit(1)
}

const families = [
  // Beside the tests they are found before those of the repository.
  {
    name: 'sdks-of-ours',
    folder: join(copy, 'test'),
    checks: ['test/sources/sdk.test.ts', 'test/protocols/matrix.test.ts'],
  },
  ...found.map((name) => ({ name, folder: join(packages, name), checks: [`test/packages/${name}/`] })),
]

let isNews = false
try {
  for (const family of families) {
    if (chosen.length === 0 || chosen.includes(family.name)) isNews = (await look(family)) || isNews
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}
if (isNews) process.exitCode = 1

/** Tries a family. Whether there is something to be looked at. */
async function look({ name, folder, checks }) {
  const locked = lockedIn(name, folder)
  const wanted = Object.fromEntries(Object.entries(locked).map(([alias, { range }]) => [alias, newestOf(range)]))
  rmSync(join(folder, 'package-lock.json'), { force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies: wanted }))
  const install = ['install', '--no-audit', '--no-fund', '--loglevel=error']
  let { status, output } = await run('npm', install, folder)
  if (status !== 0 && /ERESOLVE/.test(output)) {
    console.log(`${name}: its newest versions say that they do not go together`)
    ;({ status, output } = await run('npm', [...install, '--legacy-peer-deps'], folder))
  }
  if (status !== 0) {
    console.log(`${name}: the newest versions cannot be installed\n${indented(output)}`)
    return true
  }
  const newer = Object.entries(locked).flatMap(([alias, { version }]) => {
    const now = versionIn(folder, alias)
    return now === version ? [] : [`${alias} ${version} → ${now}`]
  })
  if (newer.length === 0 && !tryAll) {
    console.log(`${name}: nothing is newer`)
    return false
  }
  const report = join(copy, 'report.json')
  const config = name === 'sdks-of-ours' ? ['--project=!more'] : ['--config', 'test/packages/vitest.config.ts']
  const reporters = ['--reporter=json', `--outputFile=${report}`]
  const vitest = [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--maxWorkers=1',
    ...config,
    ...reporters,
    ...checks,
  ]
  const tried = await run(process.execPath, vitest, copy, { SRC: '1' })
  console.log(`${name}: ${newer.join(', ') || 'nothing is newer'}`)
  if (!existsSync(report)) {
    console.log(indented(tried.output.slice(-2000)))
    return true
  }
  const { numPassedTests: passed, testResults: files } = JSON.parse(readFileSync(report, 'utf8'))
  rmSync(report)
  const failed = files.flatMap(({ name: file, message, assertionResults: tests }) => {
    if (tests.length === 0) return [`${file.slice(copy.length + 1)} cannot be run: ${firstLine(message)}`]
    return tests
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages: [words = ''] }) => `${fullName}\n  ${firstLine(words)}`)
  })
  console.log(`  ${passed} checks as before, ${failed.length} not`)
  for (const line of failed) console.log(indented(line))
  return failed.length > 0
}

/** What a family is tried with as a rule: by its alias the range that is asked for, and the version in the lock file. */
function lockedIn(name, folder) {
  const isOurs = name === 'sdks-of-ours'
  const at = isOurs ? copy : folder
  const manifest = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8'))
  const { packages: lock } = JSON.parse(readFileSync(join(at, 'package-lock.json'), 'utf8'))
  const all = Object.entries((isOurs ? manifest.devDependencies : manifest.dependencies) ?? {})
  return Object.fromEntries(
    all
      .filter(([alias]) => !isOurs || SDKS.test(alias))
      .map(([alias, range]) => [alias, { range, version: lock[`node_modules/${alias}`]?.version }]),
  )
}

/** An older major under a name of its own stays that major. */
function newestOf(range) {
  const [, aliased, major] = /^npm:(.+)@(\d+)/.exec(range) ?? []
  return aliased ? `npm:${aliased}@${major}` : 'latest'
}

function versionIn(folder, alias) {
  return JSON.parse(readFileSync(join(folder, 'node_modules', alias, 'package.json'), 'utf8')).version
}

function firstLine(words) {
  return stripVTControlCharacters(words).split('\n')[0].slice(0, 300)
}

function indented(text) {
  return text.trimEnd().replace(/^/gm, '  ')
}

function run(command, args, cwd, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, shell: process.platform === 'win32' })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk
      })
    }
    child.on('error', (error) => resolve({ status: 1, output: error.message }))
    child.on('close', (status) => resolve({ status, output }))
  })
}
