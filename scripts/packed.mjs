// What trying the package as its users get it needs: packed, installed into a fresh project, in steps that say how they
// went. `node scripts/consumers.mjs` and `node scripts/release-dry.mjs` are made of it.
import { spawn } from 'node:child_process'
import { setMaxListeners } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { print, progress } from './progress.mjs'

export const root = fileURLToPath(new URL('..', import.meta.url))
export const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`
const started = performance.now()
const running = new Map()
const folders = []
const ending = new AbortController()
// One for each process.
setMaxListeners(0, ending.signal)
let failures = 0

/** Runs everything, tells how it went, and leaves nothing behind. */
export async function trial(run) {
  const telling = setInterval(() => {
    for (const [name, since] of running) progress(`… ${name} (${seconds(since)})`)
  }, 250)
  try {
    if (!existsSync(join(root, 'dist/index.js'))) throw new Error('Nothing to pack: run `npm run build` first.')
    await run()
  } catch (error) {
    fail('the preparation', error)
  } finally {
    clearInterval(telling)
    ending.abort()
    for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  print(failures === 0 ? `\nAll well in ${seconds(started)}.` : `\nFailed: ${failures}.`)
  process.exitCode = failures === 0 ? 0 : 1
}

/** One thing that is tried: `run` throws if it is not so, and may return what to say besides. */
export async function step(name, run) {
  const since = performance.now()
  running.set(name, since)
  try {
    const remark = await run()
    running.delete(name)
    print(`ok ${name}${remark ? `: ${remark}` : ''} (${seconds(since)})`)
    return true
  } catch (error) {
    running.delete(name)
    fail(name, error)
    return false
  }
}

function fail(name, error) {
  failures++
  print()
  console.error(`FAILED ${name}\n${error?.message ?? error}`)
}

export function same(found, due) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(due)]
  if (a !== b) throw new Error(`found ${a}\nnot   ${b}`)
}

/** An empty folder that is gone afterwards, and what is done in it. */
export function freshFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'sse-relay-packed-'))
  folders.push(folder)
  const file = (path) => join(folder, path)
  return {
    folder,
    file,
    write(path, content) {
      writeFileSync(file(path), typeof content === 'string' ? content : JSON.stringify(content, null, 2))
      return file(path)
    },
  }
}

/** The tarball that would be published, and the paths of what is in it. */
export async function pack() {
  const { folder, file } = freshFolder()
  const report = await npm(root, ['pack', '--json', '--ignore-scripts', '--pack-destination', folder])
  const [{ filename, files, size, unpackedSize }] = JSON.parse(report)
  return { tarball: file(filename), paths: files.map(({ path }) => path), size, unpackedSize }
}

export function npm(cwd, args, env = process.env) {
  const quietly = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
  return execute('npm', [...args, ...quietly], { cwd, env, shell: process.platform === 'win32' })
}

/** What a program has printed when it has ended well. It gets five minutes. */
export function execute(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = start(command, args, { timeout: 300_000, ...options })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (bytes) => {
      stdout += bytes
    })
    child.stderr.on('data', (bytes) => {
      stderr += bytes
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve(stdout)
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}\n${stdout}${stderr}`))
    })
  })
}

/** A process that does not outlive the trial. */
export function start(command, args, options) {
  return spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], signal: ending.signal, ...options })
}
