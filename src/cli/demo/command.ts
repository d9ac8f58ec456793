/** How does `sse-relay demo` serve the page of `npm start`? */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describeOptions, type Options, parseArguments, UsageError } from '../arguments.js'
import { createDemo } from './server.js'

const OPTIONS = {
  host: {
    type: 'string',
    value: 'ADDRESS',
    help: 'where to listen; 127.0.0.1 unless given. Who reaches it spends your key',
  },
  port: { type: 'string', short: 'p', value: 'PORT', help: 'where to listen; PORT of the environment, or 3000' },
} as const satisfies Options

export const HELP = `\
sse-relay demo [options]

Serves a page on which an answer arrives token by token, can be stopped, and
can be made to fail. With ANTHROPIC_API_KEY or OPENAI_API_KEY set, and the
provider's SDK installed (npm install @anthropic-ai/sdk, or openai), it asks
that provider; otherwise it replays an answer, through the SDK where there is
one and with fetch where there is none. ANTHROPIC_MODEL and OPENAI_MODEL name
another model, ANTHROPIC_BASE_URL and OPENAI_BASE_URL another address.

${describeOptions(OPTIONS)}

  sse-relay demo --port 8080
`

export async function run(args: string[]): Promise<number> {
  const { values, words } = parseArguments(args, OPTIONS)
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  if (words.length > 0) throw new UsageError(`demo takes no "${words[0]}": sse-relay demo --port 8080`)
  const port = toPort(values.port ?? (process.env.PORT || '3000'))

  const { host = '127.0.0.1' } = values
  const demo = await createDemo({ isOpen: values.host !== undefined })
  try {
    await once(demo.server.listen(port, host), 'listening')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    console.error(code === 'EADDRINUSE' ? `Port ${port} is taken: give another one with --port` : message)
    return 1
  }
  const url = `http://${toName(host)}:${(demo.server.address() as AddressInfo).port}`
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'What is an event stream?' }] })
  console.log(`
  sse-relay demo   ${url}
  answers from     ${demo.provider}

  curl -N ${url}/api/chat -H 'content-type: application/json' -d '${body}'
`)
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  // A second signal ends it at once.
  await demo.close()
  return 0
}

/** The name to type: `localhost` reaches every address of this machine. */
function toName(host: string): string {
  if (host === '127.0.0.1' || host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

function toPort(value: string): number {
  const port = Number(value)
  if (!/^\d+$/.test(value) || port > 65_535)
    throw new UsageError(`The port cannot be "${value}": give one of 0 to 65535`)
  return port
}
