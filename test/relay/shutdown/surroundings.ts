/** What a server of docs/deploy.md has around it, in a process of its own: a provider, and a place to save to. */
import { subscribe } from 'node:diagnostics_channel'
import type { Server } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import type { SourceContext, Summary } from 'sse-relay'

// As behind a load balancer, whose own limit has to be the shorter one: no connection goes by itself in time.
subscribe('http.server.request.start', (message) => {
  const { server } = message as { server: Server }
  server.keepAliveTimeout = 3_600_000
})

// The grace is over at SIGUSR2, and the two seconds after it at SIGHUP: no test has to be quick.
const { setTimeout: start } = globalThis
const due: (() => void)[] = []
globalThis.setTimeout = ((task: () => void, ms?: number, ...rest: []) => {
  if (ms !== undefined && ms >= 3_600_000) due.push(task)
  return start(task, ms, ...rest)
}) as typeof setTimeout
process.on('SIGUSR2', () => due[0]?.())
process.on('SIGHUP', () => due[1]?.())

/** The answer of a provider, over a real connection. */
export const source = ({ signal }: SourceContext) => fetch(process.env.UPSTREAM as string, { method: 'POST', signal })

/** Takes its time, as a database does, and is not to be cut off. */
export async function save({ outcome, text }: Summary): Promise<void> {
  await wait(100)
  process.stdout.write(`${JSON.stringify({ outcome, text })}\n`)
}
