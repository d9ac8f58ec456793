/** Where a page or a script can run on this machine: browsers by their programs, runtimes from npm. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { isSkipped, type RuntimeName, runtimeProgram } from '../../hosts/runtimes/programs.js'

export { isSkipped }

/** A program that was started, with all that it started. */
export interface Opened {
  /** Rejects if the program ends by itself, with what it printed; it was to be closed. */
  readonly ended: Promise<never>
  close(): Promise<void>
}

export interface Engine {
  readonly name: string
  /** Why it cannot be used here; undefined if it can. */
  readonly missing: string | undefined
  /** Where it is, if it is a program of its own for scripts. */
  readonly program?: string | undefined
  /** Opens a page in a browser, or runs a script in a runtime. */
  open(address: string): Promise<Opened>
}

/** For a title: the name, and why the tests are skipped. */
export const titleOf = (engine: Engine) =>
  isSkipped(engine) ? `${engine.name} (skipped: ${engine.missing})` : engine.name

/** One script of a file that imports the public names: what is shipped, or with SRC the source. */
export async function bundle(path: string | URL, format: 'iife' | 'esm' = 'iife'): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(path, import.meta.url))],
    bundle: true,
    write: false,
    format,
    target: 'es2022',
    external: ['node:*'],
    // The paths in tsconfig.json lead to the source.
    ...(!process.env.SRC && { tsconfigRaw: { compilerOptions: { strict: true } } }),
    logLevel: 'silent',
  })
  return outputFiles[0]?.text ?? ''
}

function start(command: string, args: string[], env: Record<string, string> = {}): Opened {
  // A group of its own, so that the processes of a browser end with it.
  const child = spawn(command, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      output = (output + bytes).slice(-4000)
    })
  }
  let closing = false
  // What is not closed is not to outlive the tests.
  const onExit = () => endGroup(child)
  process.once('exit', onExit)
  const gone = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => resolve(`exit ${code ?? signal}`))
  })
  const ended = gone.then((why): never => {
    throw new Error(`${command} ended by itself (${why}):\n${output}`)
  })
  ended.catch(() => {})
  return {
    ended,
    async close() {
      if (closing) return
      closing = true
      process.off('exit', onExit)
      endGroup(child)
      await gone
    },
  }
}

function endGroup({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It was quicker.
  }
}

/** A folder for a profile, gone with the browser. */
function withFolder(open: (folder: string) => Opened): Opened {
  const folder = mkdtempSync(join(tmpdir(), 'sse-relay-'))
  const opened = open(folder)
  return {
    ended: opened.ended,
    async close() {
      await opened.close()
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

function browser(
  name: string,
  variable: string,
  paths: (string | undefined)[],
  open: (path: string, url: string) => Promise<Opened>,
): Engine {
  const path = [process.env[variable], ...paths].find((path) => path && existsSync(path))
  return {
    name,
    missing: path ? undefined : `no ${name} found: install it, or say where it is with ${variable}`,
    open(url) {
      if (!path) throw new Error(`There is no ${name}: install it, or say where it is with ${variable}`)
      return open(path, url)
    },
  }
}

export const chromium = browser(
  'Chromium',
  'CHROMIUM_PATH',
  [
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  ],
  async (path, url) =>
    withFolder((folder) =>
      start(path, [
        '--headless=new',
        // Its sandbox does not work for root, which CI is.
        '--no-sandbox',
        '--no-first-run',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--disable-background-networking',
        `--user-data-dir=${folder}`,
        url,
      ]),
    ),
)

export const firefox = browser(
  'Firefox',
  'FIREFOX_PATH',
  ['/usr/bin/firefox-esr', '/usr/bin/firefox', '/Applications/Firefox.app/Contents/MacOS/firefox'],
  async (path, url) =>
    withFolder((folder) => {
      const settings = {
        'browser.aboutwelcome.enabled': false,
        'browser.shell.checkDefaultBrowser': false,
        'datareporting.policy.dataSubmissionEnabled': false,
        'toolkit.telemetry.reportingpolicy.firstRun': false,
        'app.update.enabled': false,
        'network.captive-portal-service.enabled': false,
        'network.connectivity-service.enabled': false,
      }
      const lines = Object.entries(settings).map(([name, value]) => `user_pref("${name}", ${value});\n`)
      writeFileSync(join(folder, 'user.js'), lines.join(''))
      return start(path, ['--headless', '--no-remote', '--profile', folder, url])
    }),
)

/** WebKit as GTK has it, with the smallest browser around it, on a screen that nobody sees. */
export const webkit = browser('WebKit', 'MINIBROWSER_PATH', miniBrowsers(), async (path, url) => {
  const screen = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '800x600x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const failed = once(screen, 'error').then(([error]) => {
    throw new Error(`There is no Xvfb for WebKit: ${error.message}`)
  })
  failed.catch(() => {})
  const [number] = await Promise.race([once(screen.stdio[3] as Readable, 'data'), failed])
  const opened = start(path, ['--private', url], { DISPLAY: `:${String(number).trim()}`, NO_AT_BRIDGE: '1' })
  return {
    ended: opened.ended,
    async close() {
      await opened.close()
      const exit = once(screen, 'exit')
      screen.kill()
      await exit
    },
  }
})

/** Of webkit2gtk-driver, whose folder is named after the machine and the version. */
function miniBrowsers(): string[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/usr/lib').flatMap((machine) =>
    machine.endsWith('-linux-gnu')
      ? ['webkit2gtk-4.1', 'webkit2gtk-4.0', 'webkitgtk-6.0'].map((api) => `/usr/lib/${machine}/${api}/MiniBrowser`)
      : [],
  )
}

/** A runtime of npm's that runs a script. */
async function runtime(name: RuntimeName, args: string[]): Promise<Engine> {
  const { path, missing } = await runtimeProgram(name)
  return {
    name,
    program: path,
    missing,
    async open(script) {
      if (!path) throw new Error(missing)
      return start(path, [...args, script])
    },
  }
}

export const browsers: readonly Engine[] = [chromium, firefox, webkit]

export const node: Engine = {
  name: 'Node',
  program: process.execPath,
  missing: undefined,
  open: async (script) => start(process.execPath, [script]),
}

/** Besides the browsers. Installed when asked for, if they are not there. */
export const runtimes = async (): Promise<readonly Engine[]> => [
  node,
  await runtime('Bun', ['run']),
  await runtime('Deno', ['run', '--no-config', '--allow-net']),
]
