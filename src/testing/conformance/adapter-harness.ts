/** How is one behaviour of an adapter checked? With a host, its servers and clients, and a time limit on every wait. */

import { AssertionError } from 'node:assert'
import { AsyncLocalStorage } from 'node:async_hooks'
import { Agent, type IncomingMessage, request as requestHttp1 } from 'node:http'
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2'
import { request as requestHttps, Agent as SecureAgent } from 'node:https'
import { connect } from 'node:net'
import { text as readAll } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import { inspect, isDeepStrictEqual } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Connection as ClosedConnection, RelayOptions } from '../../options.js'
import type { Source, SourceContext, SourceStream, Summary } from '../../types.js'
import { type ClientOptions, openClient, type TestClient } from '../clients.js'
import { Waiting } from '../waiting.js'

/** A host whose adapter is tested: all that {@link adapterBehaviours} need to know of it. */
export interface AdapterHost {
  /**
   * What the adapter's `relay` resolves to: how the run ended; the response for the host to send; or nothing, for a
   * host that sends its answer once the handler has returned.
   */
  readonly returns: 'summary' | 'response' | 'nothing'
  /** The server's version of HTTP. Its url says whether it uses TLS. @default '1.1' */
  readonly httpVersion?: '1.1' | '2'
  /** Starts a server of the host on 127.0.0.1 and a free port. Called once or more by each behaviour. */
  listen(serving: AdapterServing): Promise<AdapterServer> | AdapterServer
}

/** What a tested server does, at every path and for every method. */
export interface AdapterServing {
  /**
   * Headers the host itself sets on the response, before it calls `answer`. A name may come twice: append, do not
   * replace. A host that has no response until then adds them to the one it is given.
   */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /**
   * Answers one request, as a user's handler would.
   *
   * @param relay Calls the adapter's `relay` with the host's own arguments and these two, and returns what that gives.
   * @param readBody Reads the request's body to its end, the host's usual way.
   * @returns what `relay` gave. It rejects with what `relay` rejected with, for the host's own error handling.
   */
  answer<T>(relay: (source: Source, options: RelayOptions) => Promise<T>, readBody: () => Promise<string>): Promise<T>
}

/** A running server. */
export interface AdapterServer {
  /** Its address, `http://127.0.0.1:1234` for example. The certificate of an `https:` one need not be trusted. */
  readonly url: string | URL
  /** Closes it. The clients have gone by then. */
  close(): unknown
}

/** The tested server is the user's own, so its certificate need not be trusted. */
const ANY_CERTIFICATE = { rejectUnauthorized: false }

/** How a behaviour serves. */
export interface ServingOptions {
  headers?: AdapterServing['headers']
  /** Who reads the request's body: the handler before `relay`, the source function, or nobody. @default 'unread' */
  body?: 'before' | 'in-source' | 'unread'
  /** Runs right before `relay` is called. */
  before?(): unknown
  /** How many runs there are in all, each of which ends and calls `onEnd`. @default as many as requests */
  runs?: number
  /** How the handler fails once it has called `relay`: then the host answers by other means. */
  fails?(): Promise<never>
}

/** An answer read to its end. */
export interface Answer {
  status: number
  headers: Record<string, string>
  body: string
  /** Whether HTTP calls it complete. */
  complete: boolean
}

/** How a call of `relay` settled. */
export type Settled = { value: unknown } | { reason: unknown }

/** The number of the request in whose context something runs. */
const requests = new AsyncLocalStorage<number>()

/** A tested server, with what is known of its relays. */
export class Served {
  url = ''
  calls = 0
  /** How the calls of `relay` settled, so far. */
  readonly settled: Settled[] = []
  /** What `onEnd` was given, so far. */
  readonly ends: Summary[] = []
  /** What `onClose` was given, so far. */
  readonly closes: ClosedConnection[] = []
  /** What ran in the context of no request, or of another one, or out of turn. */
  readonly strays: string[] = []
  /** What `relay` threw instead of rejecting with it. */
  thrown: { error: unknown } | undefined
  readonly waiting = new Waiting()
  /** What `onError` was given, so far, if the behaviour has no `onError` of its own. */
  readonly errors: unknown[] = []
  readonly runs: number | undefined
  readonly #closed = new Set<number>()
  readonly #source: Source
  readonly #options: RelayOptions
  readonly #serving: ServingOptions

  constructor(source: Source, options: RelayOptions, serving: ServingOptions) {
    this.#source = source
    this.#serving = serving
    this.runs = serving.runs
    this.#options = { onError: (error) => void this.errors.push(error), ...options }
  }

  /** The options for one call, with hooks that record what they are given and in which context. */
  #optionsOf(call: number): RelayOptions {
    const { onError, onEnd, onClose } = this.#options
    return {
      ...this.#options,
      onError: (...given) => {
        this.#isIn(call, 'onError')
        return onError?.(...given)
      },
      onEnd: (summary) => {
        this.#isIn(call, 'onEnd')
        if (this.#closed.has(call) && !this.#options.log) this.strays.push(`onEnd of request ${call} after its onClose`)
        this.ends.push(summary)
        this.waiting.changed()
        return onEnd?.(summary)
      },
      onClose: (connection) => {
        this.#isIn(call, 'onClose')
        this.#closed.add(call)
        this.closes.push(connection)
        this.waiting.changed()
        return onClose?.(connection)
      },
    }
  }

  /** The source for one call. Records in which context it is called, and its abort listener. */
  #sourceOf(call: number, readBody: (() => Promise<string>) | undefined): Source {
    const source = readBody ? this.#reading(readBody) : this.#source
    if (typeof source !== 'function') return source
    return (context) => {
      this.#isIn(call, 'the source function')
      const { signal } = context
      signal.addEventListener('abort', () => this.#isIn(call, "the signal's listener"))
      return source(context)
    }
  }

  #isIn(call: number, what: string): void {
    const request = requests.getStore()
    if (request !== call) this.strays.push(`${what} of request ${call} in the context of ${request ?? 'none'}`)
  }

  async answer<T>(
    relay: (source: Source, options: RelayOptions) => Promise<T>,
    readBody: () => Promise<string>,
  ): Promise<T> {
    const { body = 'unread', before } = this.#serving
    if (body === 'before') await readBody()
    await before?.()
    const call = ++this.calls
    this.waiting.changed()
    let promise: Promise<T>
    try {
      const source = this.#sourceOf(call, body === 'in-source' ? readBody : undefined)
      promise = requests.run(call, () => relay(source, this.#optionsOf(call)))
    } catch (error) {
      this.thrown = { error }
      throw error
    }
    const settle = (settled: Settled) => {
      this.settled.push(settled)
      this.waiting.changed()
    }
    Promise.resolve(promise).then(
      (value) => settle({ value }),
      (reason) => settle({ reason }),
    )
    return this.#serving.fails ? this.#serving.fails() : promise
  }

  /** Forgets how the runs ended, since that may keep the runs in memory. */
  forget(): void {
    this.settled.fill({ value: undefined })
    this.ends.fill({} as Summary)
  }

  /** The source. Its function begins to read the request's body at once, and gets what was read. */
  #reading(readBody: () => Promise<string>): Source {
    const source = this.#source as (context: SourceContext, body: string) => SourceStream
    return (context) => readBody().then((body) => source(context, body))
  }
}

/** Several requests over one connection. */
export interface Connection {
  ask(method: 'GET' | 'POST', body?: string): Promise<{ status: number; body: string }>
  /** Sends a request and goes away as soon as something of its answer has come. */
  askAndLeave(): Promise<void>
  /** How many connections it took so far. */
  readonly opened: number
}

/** What a behaviour works with: a host, its servers and clients, and a limit to all waiting. */
export class Trial {
  readonly host: AdapterHost
  readonly httpVersion: '1.1' | '2'
  readonly #rule: string
  readonly #deadline: number
  readonly #limitMs: number
  readonly #servers: Served[] = []
  readonly #clients: TestClient[] = []
  readonly #cleanups: (() => unknown)[] = []
  readonly #unhandled: unknown[] = []

  private constructor(host: AdapterHost, rule: string, limitMs: number) {
    this.host = host
    this.httpVersion = host.httpVersion ?? '1.1'
    this.#rule = rule
    this.#limitMs = limitMs
    this.#deadline = performance.now() + limitMs
  }

  /** Tries a host, and leaves nothing behind, whatever happens. */
  static async run(host: AdapterHost, rule: string, limitMs: number, check: (trial: Trial) => unknown): Promise<void> {
    const trial = new Trial(host, rule, limitMs)
    const note = (error: unknown) => void trial.#unhandled.push(error)
    const warned = (warning: Error) => {
      if (warning.name === 'MaxListenersExceededWarning') note(warning)
    }
    process.on('unhandledRejection', note)
    process.on('warning', warned)
    try {
      await check(trial)
      await trial.#finish()
    } finally {
      await trial.#leave()
      process.off('unhandledRejection', note)
      process.off('warning', warned)
    }
  }

  /** Serves a source, and records what becomes of it. */
  async serve(source: Source, options: RelayOptions = {}, serving: ServingOptions = {}): Promise<Served> {
    const served = new Served(source, options, serving)
    this.#servers.push(served)
    const listening = Promise.resolve(
      this.host.listen({
        headers: serving.headers ?? [],
        answer: (relay, readBody) => served.answer(relay, readBody),
      }),
    )
    this.#cleanups.push(async () => {
      const server = await listening
      await server.close()
    })
    const { url } = await this.within(listening, 'the server listens')
    served.url = String(url)
    return served
  }

  /** A client of a server. */
  open({ url }: Served, options: ClientOptions = {}): TestClient {
    const client = openClient(url, { httpVersion: this.httpVersion, ...ANY_CERTIFICATE, ...options })
    this.#clients.push(client)
    return client
  }

  /** Resolves when the client has received this. */
  until(client: TestClient, expected: string | ((received: string) => boolean), what = JSON.stringify(expected)) {
    return this.within(
      client.until(expected).catch((error) => this.fail(`the client receives ${what}`, what, error.message)),
      `the client receives ${what}`,
      () => client.received.slice(-300),
    )
  }

  /** The whole answer that a client gets. */
  async answerTo(client: TestClient): Promise<Answer> {
    const what = 'the answer ends'
    const { complete, error } = await this.within(client.closed, what, () => client.received.slice(-300))
    try {
      return { status: await client.status, headers: await client.headers, body: client.received, complete }
    } catch {
      return this.fail('an answer comes', 'a status and headers', String(error ?? 'the connection was closed'))
    }
  }

  ask(served: Served, options?: ClientOptions): Promise<Answer> {
    return this.answerTo(this.open(served, options))
  }

  /** Begins a POST, sends a part of its body, and returns how to leave. */
  upload({ url }: Served): () => void {
    let leave: () => void
    if (this.httpVersion === '2') {
      const session = connectHttp2(url, ANY_CERTIFICATE)
      session.on('error', () => {})
      const stream = session.request({ ':method': 'POST', ':path': '/', 'content-type': 'application/json' })
      stream.on('error', () => {})
      stream.write('{"messages":')
      leave = () => session.destroy()
    } else {
      const { hostname: host, port, protocol } = new URL(url)
      const to = { host, port: Number(port) }
      const socket = protocol === 'https:' ? connectTls({ ...to, ...ANY_CERTIFICATE }) : connect(to)
      socket.on('error', () => {})
      const head =
        'POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 300000\r\n\r\n'
      socket.write(`${head}{"messages":`)
      leave = () => socket.destroy()
    }
    this.#cleanups.push(leave)
    return leave
  }

  /** One connection to a server, for several requests. */
  connection({ url }: Served): Connection {
    const connection = this.httpVersion === '2' ? overHttp2(url) : overHttp1(url)
    this.#cleanups.push(connection.close)
    return connection
  }

  /** Waits until `relay` was called this many times. */
  async called(served: Served, times = 1): Promise<void> {
    const what = 'relay is called'
    const called = served.waiting.until(
      () => served.calls >= times,
      () => what,
    )
    await this.within(called, what)
  }

  /** How the run ended, once `onEnd` was called. */
  async ended(served: Served, count = 1): Promise<Summary> {
    const what = 'the run ends and onEnd is told'
    await this.within(
      served.waiting.until(
        () => served.ends.length >= count,
        () => what,
      ),
      what,
    )
    return served.ends[count - 1] as Summary
  }

  /** Resolves when `onClose` was called for this many connections, by default for all. */
  async closed(served: Served, count = served.calls): Promise<ClosedConnection> {
    const what = 'the connection is over and onClose is told'
    await this.within(
      served.waiting.until(
        () => served.closes.length >= count,
        () => what,
      ),
      what,
      () => `${served.closes.length} of ${count}`,
    )
    return served.closes[count - 1] as ClosedConnection
  }

  /** How a call of `relay` settled, by default the first. */
  async settled(served: Served, count = 1): Promise<Settled> {
    const what = 'what relay returned is settled'
    await this.within(
      served.waiting.until(
        () => served.settled.length >= count || served.thrown !== undefined,
        () => what,
      ),
      what,
    )
    if (served.thrown) this.fail('relay never throws synchronously', 'a promise', served.thrown.error)
    return served.settled[count - 1] as Settled
  }

  /** Waits for a promise, as long as the behaviour may take. */
  within<T>(promise: PromiseLike<T> | T, what: string, now?: () => unknown): Promise<T> {
    let timer: ReturnType<typeof setTimeout>
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#late(what, now?.())), Math.max(0, this.#deadline - performance.now()))
    })
    return Promise.race([promise, limit]).finally(() => clearTimeout(timer))
  }

  /** Resolves when `holds` is true, looking again every few milliseconds. */
  async poll(holds: () => boolean, what: string, now: () => unknown): Promise<void> {
    while (!holds()) {
      if (performance.now() > this.#deadline) throw this.#late(what, now())
      await pause(5)
    }
  }

  /** Compares deeply. */
  equal(what: string, actual: unknown, expected: unknown): void {
    if (!isDeepStrictEqual(actual, expected)) this.fail(what, expected, actual)
  }

  /** Compares the fields that `expected` has, deeply. */
  match(what: string, actual: object, expected: Record<string, unknown>): void {
    const seen = Object.fromEntries(Object.keys(expected).map((key) => [key, (actual as Record<string, unknown>)[key]]))
    this.equal(what, seen, expected)
  }

  ok(what: string, holds: unknown, expected: unknown, actual: unknown): void {
    if (!holds) this.fail(what, expected, actual)
  }

  fail(what: string, expected: unknown, actual: unknown): never {
    throw this.#error(what, expected, actual)
  }

  #late(what: string, now: unknown = 'nothing'): AssertionError {
    return this.#error(what, `this, within ${this.#limitMs} ms`, now)
  }

  #error(what: string, expected: unknown, actual: unknown): AssertionError {
    const message = `${what}\n  expected: ${show(expected)}\n  received: ${show(actual)}\n  the rule: ${this.#rule}`
    return new AssertionError({ message, expected, actual, operator: 'deepStrictEqual' })
  }

  /** What holds after every behaviour: relays are settled, runs have ended once, and nothing went unhandled. */
  async #finish(): Promise<void> {
    for (const client of this.#clients) client.leave()
    for (const served of this.#servers) {
      await this.settled(served, served.calls)
      const due = served.runs ?? served.calls
      if (due > 0) await this.ended(served, due)
      this.equal('onEnd is called once for every run', served.ends.length, due)
      await this.closed(served)
      this.equal('onClose is called once for every call', served.closes.length, served.calls)
      this.equal('what ran in the context of another request, or out of turn', served.strays, [])
      for (const settled of served.settled) {
        if (!('value' in settled) || settled.value === undefined) continue
        const { outcome, status } = settled.value as Partial<Summary & Response>
        if (this.host.returns === 'summary') {
          this.equal('relay resolves to the summary of the run', typeof outcome, 'string')
        } else this.equal('relay resolves to the response', typeof status, 'number')
      }
    }
    // Rejections count as unhandled when the microtasks of a turn are done.
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    this.equal('no rejection is left unhandled, and no listener too many', this.#unhandled, [])
  }

  async #leave(): Promise<void> {
    for (const client of this.#clients) client.leave()
    for (const { waiting } of this.#servers) waiting.close('the behaviour is over')
    const closing = this.#cleanups.reverse().map(async (cleanup) => cleanup())
    let timer: ReturnType<typeof setTimeout> | undefined
    const limit = new Promise((resolve) => {
      timer = setTimeout(resolve, 1000)
    })
    await Promise.race([Promise.allSettled(closing), limit])
    clearTimeout(timer)
  }
}

function overHttp1(url: string): Connection & { close(): void } {
  const isSecure = url.startsWith('https:')
  const request = isSecure ? requestHttps : requestHttp1
  const agent = new (isSecure ? SecureAgent : Agent)({ keepAlive: true, maxSockets: 1, ...ANY_CERTIFICATE })
  const ports = new Set<number | undefined>()
  const send = (method: string, body?: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
      const asking = request(url, { agent, method, headers }, (response) => {
        ports.add(response.socket.localPort)
        resolve(response)
      })
      asking.on('error', reject)
      asking.end(body)
    })
  return {
    async ask(method, body) {
      const response = await send(method, body)
      return { status: response.statusCode ?? 0, body: await readAll(response) }
    },
    async askAndLeave() {
      const response = await send('GET')
      await new Promise((resolve) => response.once('data', resolve))
      response.destroy()
    },
    get opened() {
      return ports.size
    },
    close: () => agent.destroy(),
  }
}

function overHttp2(url: string): Connection & { close(): void } {
  let opened = 0
  let session: ClientHttp2Session | undefined
  const send = (method: string, body?: string) => {
    if (!session || session.destroyed || session.closed) {
      opened++
      session = connectHttp2(url, ANY_CERTIFICATE)
      session.on('error', () => {})
    }
    const stream = session.request({ ':method': method, ':path': '/' }, { endStream: body === undefined })
    if (body !== undefined) stream.end(body)
    return stream
  }
  return {
    async ask(method, body) {
      const stream = send(method, body)
      const status = new Promise<number>((resolve) => stream.on('response', (head) => resolve(Number(head[':status']))))
      return { body: await readAll(stream), status: await status }
    },
    async askAndLeave() {
      const stream = send('GET')
      stream.on('error', () => {})
      await new Promise((resolve) => stream.once('data', resolve))
      stream.close(constants.NGHTTP2_CANCEL)
    },
    get opened() {
      return opened
    },
    close: () => session?.destroy(),
  }
}

/** A source that a behaviour controls. */
export class Feed<T = unknown> {
  /** Resolves when the source function was called. */
  readonly asked: Promise<SourceContext>
  /** Resolves to the reason when the run's signal aborts. */
  readonly aborted: Promise<unknown>
  /** How often the source function was called. */
  calls = 0
  /** What the source function was given of the request's body, if it began to read it. */
  body: string | undefined
  readonly #steps: (() => IteratorResult<T>)[]
  #wake = () => {}
  #ask!: (context: SourceContext) => void
  #abort!: (reason: unknown) => void

  constructor(...values: T[]) {
    this.#steps = values.map((value) => () => ({ done: false, value }))
    this.asked = new Promise((resolve) => {
      this.#ask = resolve
    })
    this.aborted = new Promise((resolve) => {
      this.#abort = resolve
    })
  }

  readonly source = (context: SourceContext, body?: string): AsyncIterable<T> => {
    this.calls++
    this.body = body
    const { signal } = context
    if (signal.aborted) this.#abort(signal.reason)
    else signal.addEventListener('abort', () => this.#abort(signal.reason), { once: true })
    this.#ask(context)
    return { [Symbol.asyncIterator]: () => ({ next: () => this.#next() }) }
  }

  push(value: T): void {
    this.#step(() => ({ done: false, value }))
  }

  end(): void {
    this.#step(() => ({ done: true, value: undefined }))
  }

  fail(error: unknown): void {
    this.#step(() => {
      throw error
    })
  }

  async #next(): Promise<IteratorResult<T>> {
    for (;;) {
      const step = this.#steps.shift()
      if (step) return step()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #step(step: () => IteratorResult<T>): void {
    this.#steps.push(step)
    this.#wake()
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

/** Returns a function that collects garbage. */
export function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
}

function show(value: unknown): string {
  return typeof value === 'string'
    ? JSON.stringify(value)
    : inspect(value, { depth: 5, breakLength: 120 }).replaceAll('\n', '\n  ')
}
