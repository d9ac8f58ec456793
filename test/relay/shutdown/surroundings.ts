/** What a server of docs/deploy.md has around it, in a process of its own: a provider, and a place to save to. */
import { subscribe } from 'node:diagnostics_channel'
import type { Server } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import type { SourceContext, Summary } from 'sse-relay'

// As behind a load balancer, whose own limit has to be the shorter one: no connection goes by itself in time.
subscribe('http.server.request.start', (message) => {
  const { server } = message as { server: Server }
  server.keepAliveTimeout = 3_600_000
})

/** The answer of a provider, over a real connection. */
export const source = ({ signal }: SourceContext) => fetch(process.env.UPSTREAM as string, { method: 'POST', signal })

/** Takes its time, as a database does, and is not to be cut off. */
export async function save({ outcome, text }: Summary): Promise<void> {
  await setTimeout(100)
  process.stdout.write(`${JSON.stringify({ outcome, text })}\n`)
}
