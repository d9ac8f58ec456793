/** Runtimes besides Node, and servers in processes of their own. */
import { spawn } from 'node:child_process'

export { type Program, type RuntimeName, runtimeProgram } from '../../../scripts/runtime-program.mjs'

/** Whether tests with it are skipped. In CI they run all the same, and fail. */
export const isSkipped = ({ missing }: { missing: string | undefined }) => missing !== undefined && !process.env.CI

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
