// The demo as it is shipped, in a process of its own, for the tests of its answer and of its page.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** How many tokens the answer has that it replays. */
export const TOKENS = 138

/** Starts it on a free port. */
export async function startDemo(env: Record<string, string> = {}, args: string[] = []) {
  const cli = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url))
  const keys = { ANTHROPIC_API_KEY: '', OPENAI_API_KEY: '' }
  const child = spawn(process.execPath, [cli, 'demo', ...args], { env: { ...process.env, ...keys, PORT: '0', ...env } })
  let output = ''
  const closed = once(child, 'close')
  const listening = new Promise<string>((resolve, reject) => {
    const read = (bytes: Buffer) => {
      output += bytes
      const url = /http:\/\/localhost:\d+/.exec(output)?.[0]
      if (url) resolve(url)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    closed.then(() => reject(new Error(`The demo ended before it listened:\n${output}`)))
  })
  const url = await listening
  return {
    url,
    /** All it printed so far. */
    output: () => output,
    /** Waits until it printed this. */
    async printed(pattern: RegExp) {
      while (!pattern.test(output)) await Promise.race([once(child.stdout, 'data'), closed])
    },
    post: (body: unknown, init: RequestInit = {}) =>
      fetch(`${url}/api/chat`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...init,
      }),
    upstreamOf: async (ask: string) => (await fetch(`${url}/api/upstream?ask=${ask}`)).json(),
    /** Its exit code. */
    async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
      if (isRunning(child)) child.kill(signal)
      await closed
      return child.exitCode
    },
  }
}

export type Demo = Awaited<ReturnType<typeof startDemo>>

const isRunning = (child: ChildProcess) => child.exitCode === null && child.signalCode === null
