// What becomes of the answers under way, and of the process, when a server of docs/deploy.md gets SIGTERM.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer, request, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { collect } from 'sse-relay/testing'
import { afterAll, describe, expect, it } from 'vitest'
import { freePort } from '../../../scripts/free-port.mjs'
import { isSkipped, titleOf } from '../../client/browsers/engines.js'
import { bundle, type Recipe } from './servers.js'

const cleanups: (() => unknown)[] = []
afterAll(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function within<T>(promise: Promise<T>, what: string, ms = 20_000): Promise<T> {
  let timer: ReturnType<typeof setTimeout>
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Not in ${ms} ms: ${what}`)), ms)
  })
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer))
}

/** A provider in the hand of the test. */
interface Provider {
  url: string
  /** The next question to it. */
  asked(): Promise<Asked>
}

interface Asked {
  say(text: string): void
  finish(): void
  response: ServerResponse
  /** Resolves when the connection is over: whether the answer was not. */
  aborted: Promise<boolean>
}

async function startProvider(): Promise<Provider> {
  const questions: Asked[] = []
  const waiting: ((asked: Asked) => void)[] = []
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const asked: Asked = {
      say: (text) => void response.write(`data: ${JSON.stringify({ text })}\n\n`),
      finish: () => void response.end('data: [DONE]\n\n'),
      response,
      aborted: new Promise((resolve) => response.on('close', () => resolve(!response.writableFinished))),
    }
    const next = waiting.shift()
    if (next) next(asked)
    else questions.push(asked)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const asked = () => {
    const question = questions.shift()
    return question ? Promise.resolve(question) : new Promise<Asked>((resolve) => waiting.push(resolve))
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    asked: () => within(asked(), 'the provider is asked'),
  }
}

/** A server of the page, as a process. */
interface Program {
  port: number
  provider: Provider
  terminate(): void
  /** Lets the grace be over. */
  elapse(): void
  /** Lets the two seconds after the grace be over. */
  cutOff(): void
  /** What it saved at its end, how it ended, and what it complained of. */
  ended(): Promise<Ended>
}

interface Ended {
  code: number | null
  signal: string | null
  saved: unknown[]
  complaints: string
}

async function run(recipe: Recipe): Promise<Program> {
  const folder = mkdtempSync(join(tmpdir(), 'sse-relay-shutdown-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const script = join(folder, recipe.engine.name === 'Bun' ? 'server.mjs' : 'server.cjs')
  writeFileSync(script, await bundle(recipe))
  const [port, provider] = await Promise.all([freePort(), startProvider()])
  const child = spawn(recipe.engine.program as string, [script], {
    env: { ...process.env, PORT: String(port), UPSTREAM: provider.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', error: '' }
  child.stdout.on('data', (bytes) => (said.out += bytes))
  child.stderr.on('data', (bytes) => (said.error += bytes))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      const saved = said.out.split('\n').filter(Boolean)
      resolve({ code, signal, saved: saved.map((line) => JSON.parse(line)), complaints: said.error })
    })
  })
  cleanups.push(() => kill(child, ended))
  const up = async () => {
    while (!(await listens(port))) await sleep(20)
  }
  const died = ended.then((how) => {
    throw new Error(`The server ended before it listened: ${JSON.stringify(how)}`)
  })
  died.catch(() => {})
  await within(Promise.race([up(), died]), 'the server listens')
  return {
    port,
    provider,
    terminate: () => void child.kill('SIGTERM'),
    elapse: () => void child.kill('SIGUSR2'),
    cutOff: () => void child.kill('SIGHUP'),
    ended: () => within(ended, 'the process has ended', 40_000),
  }
}

async function kill(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  child.kill('SIGKILL')
  await ended
}

/** Whether a connection is taken. */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

/** A chat page: it asks over a connection that it keeps for a next question. */
function page({ port }: Program) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  cleanups.push(() => agent.destroy())
  let received = ''
  let changed = () => {}
  let socket: Socket | undefined
  const over = new Promise<{ status: number; complete: boolean }>((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const asking = request(
      { host: '127.0.0.1', port, path: '/api/chat', method: 'POST', agent, headers },
      (response) => {
        socket = response.socket
        response.on('data', (bytes) => {
          received += bytes
          changed()
        })
        response.on('error', () => {})
        response.on('close', () => resolve({ status: response.statusCode ?? 0, complete: response.complete }))
      },
    )
    asking.on('error', reject)
    asking.end('{}')
  })
  over.catch(() => {})
  const until = async (text: string) => {
    while (!received.includes(text)) await new Promise<void>((resolve) => (changed = resolve))
  }
  return {
    until: (text: string) => within(until(text), `the reader gets ${text}`),
    async answer() {
      const { status, complete } = await within(over, 'the answer is over')
      return { status, complete, body: received, ...(await collect(received)) }
    },
    /** Resolves when its connection is closed. */
    closed: () =>
      new Promise<void>((resolve) => {
        if (!socket || socket.destroyed) resolve()
        else socket.on('close', () => resolve())
      }),
  }
}

async function refused(program: Program): Promise<void> {
  const until = async () => {
    while (await listens(program.port)) await sleep(20)
  }
  await within(until(), 'new connections are refused')
}

/** A page that has its first word, and the provider behind it. */
async function begun(program: Program) {
  const reader = page(program)
  const asked = await program.provider.asked()
  asked.say('One ')
  await reader.until('One ')
  return { reader, asked }
}

const CLEAN = { code: 0, signal: null, complaints: '' }

export function shutsDown(recipe: Recipe): void {
  const { engine, refuses } = recipe
  describe.skipIf(process.platform === 'win32')(`at SIGTERM the server for ${recipe.name}`, () => {
    const test = (title: string, run: () => Promise<void>) => {
      const skip = isSkipped(engine)
      it(skip ? `${title}: ${titleOf(engine)}` : title, { concurrent: true, skip }, run)
    }

    test('lets answers end within the grace, ends the others as shutdown, and goes by itself', async () => {
      const program = await run(recipe)
      const idle = await begun(program)
      idle.asked.finish()
      expect(await idle.reader.answer()).toMatchObject({ outcome: 'done', text: 'One ' })
      const late = connect(program.port, '127.0.0.1')
      late.on('error', () => {})
      cleanups.push(() => late.destroy())
      await new Promise<void>((resolve) => late.on('connect', resolve))
      late.write('POST /api/chat HTTP/1.1\r\nhost: localhost\r\n')
      // Accepted after that one, so that one is accepted as well.
      const quick = await begun(program)
      const slow = await begun(program)

      program.terminate()
      await refused(program)
      await within(idle.reader.closed(), 'the idle connection is closed')
      quick.asked.say('two.')
      quick.asked.finish()
      expect(await quick.reader.answer()).toMatchObject({
        status: 200,
        complete: true,
        outcome: 'done',
        text: 'One two.',
      })
      slow.asked.say('two ')
      await slow.reader.until('two ')

      program.elapse()
      const cut = await slow.reader.answer()
      expect(cut).toMatchObject({
        status: 200,
        complete: true,
        outcome: 'shutdown',
        text: 'One two ',
        error: { code: 'shutdown', retryable: true },
      })
      expect(cut.body).toMatch(/\n\nevent: error\ndata: [^\n]*\n\n$/)
      expect(cut.body).not.toContain('[DONE]')
      expect(await within(slow.asked.aborted, 'the provider is left')).toBe(true)

      let refusal = ''
      const refusing = new Promise<void>((resolve) => {
        late.on('data', (bytes) => {
          refusal += bytes
          if (refusal.includes('}')) resolve()
        })
        late.on('close', resolve)
      })
      late.write('content-length: 2\r\n\r\n{}')
      await within(refusing, 'the late answer is over')
      program.cutOff()
      expect(refusal).toMatch(/^HTTP\/1\.1 503 /)
      expect(refusal.includes('"code":"shutdown"')).toBe(!refuses)

      const { saved, ...how } = await program.ended()
      expect(how).toEqual(CLEAN)
      expect(saved).toEqual([
        { outcome: 'done', text: 'One ' },
        { outcome: 'done', text: 'One two.' },
        { outcome: 'shutdown', text: 'One two ' },
        ...(refuses ? [] : [{ outcome: 'shutdown', text: '' }]),
      ])
    })

    test('does not wait for the grace when all is done, nor for connections kept alive', async () => {
      const program = await run(recipe)
      const { reader, asked } = await begun(program)
      program.terminate()
      await refused(program)
      asked.finish()
      expect(await reader.answer()).toMatchObject({ complete: true, outcome: 'done' })
      expect(await program.ended()).toEqual({ ...CLEAN, saved: [{ outcome: 'done', text: 'One ' }] })
    })

    test('cuts off who takes nothing or never asked, and goes by itself', async () => {
      const program = await run(recipe)
      // Nothing asked yet, half asked, and asked but not read.
      const sockets = ['', 'POST /api/chat HTTP/1.1\r\n', 'POST /api/chat HTTP/1.1\r\nhost: localhost\r\n\r\n'].map(
        (text) => {
          const socket = connect(program.port, '127.0.0.1')
          cleanups.push(() => socket.destroy())
          socket.on('error', () => {})
          socket.pause()
          socket.write(text)
          return socket
        },
      )
      const { response } = await program.provider.asked()
      const flood = () => {
        while (response.write(`data: ${JSON.stringify({ text: 'x'.repeat(60_000) })}\n\n`));
      }
      response.on('drain', flood)
      flood()
      program.terminate()
      await refused(program)
      program.elapse()
      program.cutOff()
      const { saved, ...how } = await program.ended()
      expect(how).toEqual(CLEAN)
      expect(saved).toMatchObject([{ outcome: expect.stringMatching(/^(shutdown|disconnected)$/) }])
      for (const socket of sockets) socket.resume()
    })

    test('ends at once at a second SIGTERM', async () => {
      const program = await run(recipe)
      const { reader } = await begun(program)
      program.terminate()
      await refused(program)
      program.terminate()
      expect(await program.ended()).toEqual({ code: null, signal: 'SIGTERM', saved: [], complaints: '' })
      expect(await reader.answer()).toMatchObject({ complete: false, outcome: 'truncated', text: 'One ' })
    })
  })
}
