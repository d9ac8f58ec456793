// Runtimes besides Node, from npm: installed once, outside the lock file.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** With the version, and the place of the program in the package that npm takes for the platform. */
const RUNTIMES = {
  Bun: { version: '1.4.5', path: /@oven[\\/]bun-[^\\/]+[\\/]bin[\\/]bun(\.exe)?$/ },
  Deno: { version: '2.9.6', path: /@deno[\\/][^\\/]+[\\/]deno(\.exe)?$/ },
  workerd: { version: '1.20261117.1', path: /@cloudflare[\\/]workerd-[^\\/]+[\\/]bin[\\/]workerd(\.exe)?$/ },
}
const packages = Object.entries(RUNTIMES).map(([name, { version }]) => `${name.toLowerCase()}@${version}`)
const folder = fileURLToPath(new URL('../node_modules/.cache/runtimes', import.meta.url))
const mark = join(folder, `installed-${createHash('sha256').update(packages.join()).digest('hex').slice(0, 16)}`)
const lock = `${folder}.lock`
const LIMIT_MS = 180_000

/** The program of a runtime. The first who asks waits until all of them are installed. */
export async function runtimeProgram(name) {
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

async function install() {
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
