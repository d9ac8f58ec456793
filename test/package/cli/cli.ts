/** The command line as it is shipped, in a process of its own, or a thread. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

export const CLI = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url))

export interface Running {
  child: ChildProcess
  /** Resolves when it printed this, or rejects if it ended without. */
  printed(pattern: RegExp): Promise<void>
  ended: Promise<{ status: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }>
}

export function start(
  args: string[],
  { env = {}, input = '' }: { env?: Record<string, string>; input?: string } = {},
): Running {
  const child = spawn(process.execPath, [CLI, ...args], { env: { ...process.env, ...env } })
  let stdout = ''
  let stderr = ''
  let isOver = false
  let waiting: (() => void)[] = []
  const changed = () => {
    for (const resolve of waiting) resolve()
    waiting = []
  }
  child.stdout.on('data', (bytes) => {
    stdout += bytes
    changed()
  })
  child.stderr.on('data', (bytes) => {
    stderr += bytes
    changed()
  })
  child.stdin.end(input)
  const ended = once(child, 'close').then(([status, signal]) => {
    isOver = true
    changed()
    return { status, signal, stdout, stderr }
  })
  return {
    child,
    async printed(pattern) {
      while (!pattern.test(stdout + stderr)) {
        if (isOver) throw new Error(`It ended without ${pattern}:\n${stdout}${stderr}`)
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
    },
    ended,
  }
}

/** What is printed to stderr but for how far it is, which is told of what takes more than a second. */
export const withoutProgress = (stderr: string) => stderr.replace(/^[A-Z]+ https?:\S+: .*\n/gm, '')

export const run = (...args: Parameters<typeof start>) => start(...args).ended

/** What it says of its arguments alone, without asking anybody: in a thread, which costs half of what a process does. */
export async function say(argv: string[]) {
  const thread = new Worker(CLI, { argv, execArgv: [], stdout: true, stderr: true })
  const [[status], stdout, stderr] = await Promise.all([once(thread, 'exit'), text(thread.stdout), text(thread.stderr)])
  return { status, stdout, stderr }
}
