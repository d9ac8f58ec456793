/** Runtimes besides Node, from npm: installed once, outside the lock file. */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export type RuntimeName = 'Bun' | 'Deno' | 'workerd'

/** With the version, and the place of the program in the package that npm takes for the platform. */
const RUNTIMES: Record<RuntimeName, { version: string; path: RegExp }> = {
  Bun: { version: '1.4.5', path: /@oven[\\/]bun-[^\\/]+[\\/]bin[\\/]bun(\.exe)?$/ },
  Deno: { version: '2.9.6', path: /@deno[\\/][^\\/]+[\\/]deno(\.exe)?$/ },
  workerd: { version: '1.20261117.1', path: /@cloudflare[\\/]workerd-[^\\/]+[\\/]bin[\\/]workerd(\.exe)?$/ },
}
const packages = Object.entries(RUNTIMES).map(([name, { version }]) => `${name.toLowerCase()}@${version}`)
const folder = fileURLToPath(new URL('../../node_modules/.cache/runtimes', import.meta.url))
const mark = join(folder, `installed-${createHash('sha256').update(packages.join()).digest('hex').slice(0, 16)}`)
const lock = `${folder}.lock`
const LIMIT_MS = 180_000

/** A program that is there, or the reason why it is not. */
export interface Program {
  readonly name: RuntimeName
  readonly version: string
  readonly path: string | undefined
  /** Why it cannot be used here; undefined if it can. */
  readonly missing: string | undefined
}

/** The program of a runtime. The first who asks waits until all of them are installed. */
export async function runtimeProgram(name: RuntimeName): Promise<Program> {
  await install()
  const { version, path } = RUNTIMES[name]
  const found = existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((each) => path.test(each))
    : undefined
  return {
    name,
    version,
    path: found && join(folder, found),
    missing: found
      ? undefined
      : `${name} could not be installed: npm i --prefix node_modules/.cache/runtimes ${packages.join(' ')}`,
  }
}

/** Whether tests with it are skipped. In CI they run all the same, and fail. */
export const isSkipped = ({ missing }: { missing: string | undefined }) => missing !== undefined && !process.env.CI

async function install(): Promise<void> {
  while (!existsSync(mark)) {
    try {
      mkdirSync(join(folder, '..'), { recursive: true })
      mkdirSync(lock)
    } catch {
      // Another test file installs them now; or was ended while it did.
      await sleep(250)
      const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs
      if (since !== undefined && Date.now() - since > LIMIT_MS) rmSync(lock, { recursive: true, force: true })
      continue
    }
    try {
      const command = ['install', '--prefix', folder, '--no-save', '--ignore-scripts', '--no-audit', ...packages]
      await promisify(execFile)('npm', command, { timeout: LIMIT_MS - 10_000, shell: process.platform === 'win32' })
      writeFileSync(mark, '')
    } catch {
      // No network, or no such platform: what is not there is missing.
      return
    } finally {
      rmSync(lock, { recursive: true, force: true })
    }
  }
}

/** A server that runs in a process of its own. */
export interface Serving {
  readonly url: string
  /** What it printed so far. */
  readonly output: string
  /** Resolves when the process has ended, to how it did. */
  readonly ended: Promise<string>
  /** Asks it to end, as a platform does. */
  terminate(): void
  close(): Promise<void>
}

/** Starts a server; its port is the first in what it prints that looks like one. */
export async function serve(
  command: string,
  args: readonly string[],
  { env = {}, cwd }: { env?: Record<string, string>; cwd?: string } = {},
): Promise<Serving> {
  const child = spawn(command, args, {
    cwd,
    // A group of its own: some start others.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
  })
  const end = () => {
    try {
      if (child.pid && child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It was quicker.
    }
  }
  // What is not closed is not to outlive the tests.
  process.once('exit', end)
  let output = ''
  let heard = () => {}
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      output += bytes
      heard()
    })
  }
  const ended = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => resolve(`exit ${code ?? signal}`))
  })
  const port = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${command} did not listen in a minute:\n${output}`)), 60_000)
    heard = () => {
      const [, found] = /(?:localhost:|0\.0\.0\.0:|127\.0\.0\.1:|"port":)(\d+)/.exec(output) ?? []
      if (found) resolve(found)
      if (found) clearTimeout(timer)
    }
    ended.then((how) => {
      clearTimeout(timer)
      reject(new Error(`${command} ended before it listened (${how}):\n${output}`))
    })
  }).catch((error) => {
    end()
    throw error
  })
  return {
    url: `http://127.0.0.1:${port}`,
    get output() {
      return output
    },
    ended,
    terminate: () => void child.kill('SIGTERM'),
    async close() {
      process.off('exit', end)
      end()
      await ended
    },
  }
}
