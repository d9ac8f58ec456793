import { spawn } from 'node:child_process'
import type * as events from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type * as http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import type * as root from 'sse-relay'
import type { RelayOptions, Sink, SourceContext, Summary } from 'sse-relay'
import type * as node from 'sse-relay/node'
import type * as web from 'sse-relay/web'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** All a measured program may use: it is text that runs in a process of its own. */
interface Modules {
  http: typeof http
  events: typeof events
  root: typeof root
  node: typeof node
  web: typeof web
  growth: typeof growth
}

/** What a program found, before and after. */
interface Findings {
  /** How often each outcome was told to `onEnd`. */
  outcomes: Record<string, number>
  /** Bytes of heap after a collection: what they grew by. */
  heapGrowth: number
  /** Listeners on the signals that all relays shared. */
  signalListeners: number
  /** By how many listeners a connection that was kept alive has grown since its first request, at most. */
  socketListeners?: number
  /** Timers that run. */
  timers: number
}

const RELAYS = 10_000

const project = fileURLToPath(new URL('../..', import.meta.url))
const imports: Record<string, string> = {
  root: 'sse-relay',
  node: 'sse-relay/node',
  web: 'sse-relay/web',
}

// The process of its own has no vitest to read TypeScript: without a build, it gets one of its own.
let built: string | undefined
beforeAll(async () => {
  if (!process.env.SRC) return
  built = mkdtempSync(join(tmpdir(), 'sse-relay-'))
  const entryPoints = { root: 'src/index.ts', node: 'src/adapters/node.ts', web: 'src/adapters/web.ts' }
  const format = {
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    outExtension: { '.js': '.mjs' },
  } as const
  await build({ absWorkingDir: project, entryPoints, outdir: built, ...format })
  for (const name in entryPoints) imports[name] = pathToFileURL(join(built, `${name}.mjs`)).href
})
afterAll(() => {
  if (built) rmSync(built, { recursive: true })
})

/** By how much the heap has grown after so many relays; their outcomes are counted anew. A program's own too. */
async function growth(many: (count: number) => Promise<void>, outcomes: Record<string, number>): Promise<number> {
  async function heap() {
    for (let round = 0; round < 4; round++) {
      await new Promise(setImmediate)
      globalThis.gc?.()
    }
    return process.memoryUsage().heapUsed
  }
  // What the engine keeps of code that runs often is there after four thousand.
  await many(RELAYS / 2)
  const before = await heap()
  for (const outcome in outcomes) outcomes[outcome] = 0
  await many(RELAYS)
  return (await heap()) - before
}

/** Runs a program, which may use nothing from around it, and waits until its process has ended by itself. */
async function measure(program: (modules: Modules) => Promise<Findings>) {
  const script = `
    import * as http from 'node:http'
    import * as events from 'node:events'
    import * as root from '${imports.root}'
    import * as node from '${imports.node}'
    import * as web from '${imports.web}'
    const RELAYS = ${RELAYS}
    ${growth.toString()}
    const program = ${program.toString()}
    const findings = await program({ http, events, root, node, web, growth })
    console.log(JSON.stringify(findings))`
  const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '--eval', script], { cwd: project })
  let out = ''
  let errors = ''
  child.stdout.on('data', (bytes) => {
    out += bytes
  })
  child.stderr.on('data', (bytes) => {
    errors += bytes
  })
  // A timer, a socket or a server left behind would keep it alive.
  const timer = setTimeout(() => child.kill('SIGKILL'), 280_000)
  const code = await new Promise((resolve) => child.on('close', resolve))
  clearTimeout(timer)
  // That nobody reads is said once, and is what one of them does on purpose.
  errors = errors.replace(/^sse-relay: a response was made and nobody ever read its body.*\n/, '')
  // Warnings of too many listeners come here, and so do rejections nobody handled.
  expect(errors).toBe('')
  expect(code).toBe(0)
  return JSON.parse(out) as Findings
}

describe(`after ${RELAYS} relays`, { timeout: 300_000 }, () => {
  it('no sink has left a listener, a timer or memory behind, however they ended', async ({ annotate }) => {
    const findings = await measure(async ({ root, events, growth }) => {
      const shutdown = new AbortController()
      const stop = new AbortController()
      const outcomes: Record<string, number> = {}
      let pending = 0

      class NoSink implements Sink {
        handle: { drained(): void } | undefined
        open() {}
        write() {
          return true
        }
        end() {
          queueMicrotask(() => this.handle?.drained())
        }
        destroy() {}
        schedule(task: () => void) {
          process.nextTick(task)
        }
      }
      async function one(index: number) {
        pending++
        const own = new AbortController()
        const sink = new NoSink()
        const waiting = ({ signal }: SourceContext) =>
          (async function* () {
            yield `token ${index}`
            await new Promise((resolve) => signal.addEventListener('abort', resolve))
          })()
        const ending = index % 6
        const source =
          ending === 0
            ? () => [`token ${index}`, ' and', ' more']
            : ending === 1
              ? () => Promise.reject(new Error(`failure ${index}`))
              : waiting
        const handle = root.relayTo(sink, source, {
          shutdown: shutdown.signal,
          signal: ending === 2 ? own.signal : stop.signal,
          maxDurationMs: 3_600_000,
          heartbeatMs: ending === 5 ? -1 : 1000,
          onError() {},
          onEnd({ outcome }: Summary) {
            outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
            pending--
          },
        })
        sink.handle = handle
        await new Promise(setImmediate)
        if (ending === 2) own.abort()
        if (ending === 3 || ending === 4) handle.left()
        await handle.done
      }
      async function many(count: number) {
        for (let index = 0; index < count; index += 50) {
          await Promise.all(Array.from({ length: 50 }, (_, offset) => one(index + offset)))
        }
        while (pending > 0) await new Promise(setImmediate)
      }
      return {
        heapGrowth: await growth(many, outcomes),
        outcomes,
        signalListeners:
          events.getEventListeners(shutdown.signal, 'abort').length +
          events.getEventListeners(stop.signal, 'abort').length,
        timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
      }
    })
    annotate(`${(findings.heapGrowth / 1024).toFixed(0)} kB of heap`)
    const { done = 0, error = 0, stopped = 0, disconnected = 0 } = findings.outcomes
    expect(done + error + stopped + disconnected).toBe(RELAYS)
    expect(Math.min(done, error, stopped, disconnected)).toBeGreaterThan(RELAYS / 8)
    expect(findings).toMatchObject({ signalListeners: 0, timers: 0 })
    // Fifty bytes a relay would be a leak of something.
    expect(findings.heapGrowth).toBeLessThan(50 * RELAYS)
  })

  it('connections that are kept alive have no listener, timer or memory more than before', async ({ annotate }) => {
    const findings = await measure(async ({ http, node, events, growth }) => {
      const shutdown = new AbortController()
      const outcomes: Record<string, number> = {}
      const listeners = (socket: Socket) =>
        socket.eventNames().reduce((count, name) => count + socket.listenerCount(name), 0)
      /** The server's ends of the connections, with how many listeners each had after its first answer. */
      const sockets = new Map<Socket, number | undefined>()
      let ended = 0

      const server = http.createServer((req, res) => {
        const { socket } = req
        if (sockets.has(socket) && sockets.get(socket) === undefined) sockets.set(socket, listeners(socket))
        if (!sockets.has(socket)) {
          sockets.set(socket, undefined)
          socket.on('close', () => sockets.delete(socket))
        }
        const options: RelayOptions = {
          shutdown: shutdown.signal,
          maxDurationMs: 3_600_000,
          onError() {},
          onEnd({ outcome }) {
            outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
            ended++
          },
        }
        const source = ({ signal }: SourceContext) =>
          (async function* () {
            yield 'Hello'
            if (req.url === '/fail') throw new Error('failure')
            if (req.url === '/leave') await new Promise((resolve) => signal.addEventListener('abort', resolve))
            yield ' there'
          })()
        node.relay(req, res, source, options)
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as AddressInfo
      const agent = new http.Agent({ keepAlive: true, maxSockets: 40 })

      function one(index: number) {
        const path = index % 20 === 0 ? '/leave' : index % 5 === 0 ? '/fail' : '/'
        return new Promise<void>((resolve, reject) => {
          const request = http.request({ port, host: '127.0.0.1', path, agent, method: 'POST' }, (response) => {
            response.on('error', () => {})
            response.on('close', resolve)
            response.resume()
            if (path === '/leave') request.destroy()
          })
          request.on('error', reject)
          request.end('{}')
        })
      }
      async function many(count: number) {
        const expected = ended + count
        for (let index = 0; index < count; index += 40) {
          await Promise.all(Array.from({ length: 40 }, (_, offset) => one(index + offset)))
        }
        while (ended < expected) await new Promise(setImmediate)
      }
      const heapGrowth = await growth(many, outcomes)
      let socketListeners = Number.NEGATIVE_INFINITY
      for (const [socket, first] of sockets) {
        if (first !== undefined) socketListeners = Math.max(socketListeners, listeners(socket) - first)
      }
      agent.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      return {
        outcomes,
        heapGrowth,
        signalListeners: events.getEventListeners(shutdown.signal, 'abort').length,
        socketListeners,
        timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
      }
    })
    annotate(`${(findings.heapGrowth / 1024).toFixed(0)} kB of heap`)
    const { done = 0, error = 0, disconnected = 0 } = findings.outcomes
    expect(done + error + disconnected).toBe(RELAYS)
    expect(Math.min(error, disconnected)).toBeGreaterThan(RELAYS / 25)
    expect(findings).toMatchObject({ signalListeners: 0, timers: 0 })
    expect(findings.socketListeners).toBeLessThanOrEqual(0)
    expect(findings.heapGrowth).toBeLessThan(50 * RELAYS)
  })

  it('Web responses leave no listener, timer or memory behind, read, cancelled or never read', async ({ annotate }) => {
    const findings = await measure(async ({ web, events, growth }) => {
      const shutdown = new AbortController()
      // One for each of the requests that run at a time, like connections that are kept alive.
      const clients = Array.from({ length: 40 }, () => new AbortController())
      const outcomes: Record<string, number> = {}
      let ended = 0

      async function one(index: number) {
        let over = () => {}
        const end = new Promise<void>((resolve) => {
          over = resolve
        })
        const request = { method: 'GET', headers: new Headers(), signal: clients[index % 40]?.signal }
        const response = await web.relay(
          request,
          ({ signal }) =>
            (async function* () {
              yield `token ${index}`
              if (index % 4 === 1) throw new Error(`failure ${index}`)
              if (index % 4 === 2) await new Promise((resolve) => signal.addEventListener('abort', resolve))
            })(),
          {
            shutdown: shutdown.signal,
            maxDurationMs: 3_600_000,
            // The response nobody reads is dropped by this.
            ...(index % 4 === 3 && { stallTimeoutMs: 1 }),
            onError() {},
            onEnd({ outcome }) {
              outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
              ended++
              over()
            },
          },
        )
        if (index % 4 === 2) await response.body?.cancel()
        else if (index % 4 !== 3) await response.text()
        else await end
      }
      async function many(count: number) {
        const expected = ended + count
        for (let index = 0; index < count; index += 40) {
          await Promise.all(Array.from({ length: 40 }, (_, offset) => one(index + offset)))
        }
        while (ended < expected) await new Promise(setImmediate)
      }
      return {
        heapGrowth: await growth(many, outcomes),
        outcomes,
        signalListeners:
          events.getEventListeners(shutdown.signal, 'abort').length +
          clients.reduce((count, { signal }) => count + events.getEventListeners(signal, 'abort').length, 0),
        timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
      }
    })
    annotate(`${(findings.heapGrowth / 1024).toFixed(0)} kB of heap`)
    const each = RELAYS / 4
    expect(findings.outcomes).toEqual({ done: each, error: each, disconnected: each, stalled: each })
    expect(findings).toMatchObject({ signalListeners: 0, timers: 0 })
    expect(findings.heapGrowth).toBeLessThan(50 * RELAYS)
  })
})
