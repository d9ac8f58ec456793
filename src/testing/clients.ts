/** How does a client misbehave? Clients that leave, stop reading, or read slowly, over HTTP/1 and HTTP/2. */

import { type ClientHttp2Stream, connect as connectHttp2, constants, type OutgoingHttpHeaders } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { Duplex, type Readable } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { anything, flag, type Rules, words } from '../check.js'
import { checkOptions } from '../options.js'
import { endOfStream, type Head, readResponse } from './http1-response.js'
import { Waiting } from './waiting.js'

/** What {@link openClient} asks for, and how. */
export interface ClientOptions {
  /** @default 'GET', or 'POST' when there is a `body` */
  method?: string
  headers?: Record<string, string>
  /** Sent whole, with its `content-length`. */
  body?: string | Uint8Array
  /** `2` on an `http:` URL is HTTP/2 without TLS and without an upgrade. @default '1.1' */
  httpVersion?: '1.0' | '1.1' | '2'
  /** Whether the certificate of an `https:` URL must be one that Node trusts. @default true */
  rejectUnauthorized?: boolean
}

const OPTIONS: Rules<keyof ClientOptions> = {
  method: words,
  headers: anything,
  body: [(value: unknown) => typeof value === 'string' || value instanceof Uint8Array, 'give a string or bytes'],
  httpVersion: [(value: unknown) => ['1.0', '1.1', '2'].includes(value as string), "give '1.0', '1.1' or '2'"],
  rejectUnauthorized: flag,
}

/** How an answer ended, seen from the client. */
export interface ClientEnding {
  /** Whether the body ended as HTTP says it must; a connection that just closes did not complete a chunked one. */
  complete: boolean
  /** Who ended it. */
  by: 'client' | 'server'
  /** What the connection failed with: `ECONNRESET`, or an HTTP/2 stream's error code. */
  error?: Error
}

type Request = Required<Omit<ClientOptions, 'body' | 'rejectUnauthorized'>> & Pick<ClientOptions, 'body'>

/** A client that controls its socket. */
export interface TestClient {
  /** The status of the answer. Rejects if the connection ends before there is one. */
  readonly status: Promise<number>
  /** The headers of the answer by their lower-case names; repeated ones are joined by `, `. */
  readonly headers: Promise<Record<string, string>>
  /** The text of the body so far, without the framing of HTTP. */
  readonly received: string
  /**
   * Resolves when the answer is over, completely or not. The connection is closed then, also one that is kept alive.
   */
  readonly closed: Promise<ClientEnding>
  /**
   * Resolves to the received text when that contains `expected`, or when `expected` is true of it.
   *
   * @throws After 10 s, or when the answer ended without it; the message has the end of what was received.
   */
  until(expected: string | ((received: string) => boolean)): Promise<string>
  /**
   * Leaves as a closed browser tab does. HTTP/1: the socket is closed, which is a FIN, or a RST if something was left
   * unread. HTTP/2: the stream is cancelled (`CANCEL`) and then the connection is closed.
   */
  leave(): void
  /** Leaves as a crashed machine does: the connection is reset (RST), HTTP/2 or not. */
  reset(): void
  /** Ends the sending side only and still reads, as some proxies and command-line tools do. HTTP/1 only. */
  halfClose(): void
  /** Reads nothing more, so that what the server sends piles up in the socket buffers and then at the server. */
  pause(): void
  /** Reads on after `pause()` or `slow()`. */
  resume(): void
  /** Reads only this many bytes a second, in ten portions a second. */
  slow(bytesPerSecond: number): void
}

/**
 * Sends a request over a connection of its own and returns at once. Only a bad option throws; what goes wrong later is
 * in `closed`.
 *
 * @param url An `http:` or `https:` URL.
 * @example
 * const client = openClient(url, { method: 'POST', body: '{}' })
 * await client.until('data: ')
 * client.leave()
 */
export function openClient(url: string | URL, options: ClientOptions = {}): TestClient {
  checkOptions('openClient', options, OPTIONS)
  return new Client(new URL(url), options)
}

class Client implements TestClient {
  readonly status: Promise<number>
  readonly headers: Promise<Record<string, string>>
  readonly closed: Promise<ClientEnding>
  received = ''
  /** The socket below TLS, which `reset` resets. */
  readonly #tcp: Socket
  readonly #socket: Socket
  /** What the bytes are read from: the socket, or the HTTP/2 stream. */
  readonly #stream: Readable
  readonly #leave: () => void
  readonly #waiting = new Waiting()
  readonly #decoder = new TextDecoder()
  #head!: { resolve(head: Head): void; reject(error: Error): void }
  #close!: (ending: ClientEnding) => void
  #left = false
  #slow: ReturnType<typeof setInterval> | undefined

  constructor(url: URL, options: ClientOptions) {
    const head = new Promise<Head>((resolve, reject) => {
      this.#head = { resolve, reject }
    })
    this.status = head.then(({ status }) => status)
    this.headers = head.then(({ headers }) => headers)
    // A test that asks for neither has no reason to handle their failure.
    this.status.catch(() => {})
    this.headers.catch(() => {})
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
    const method = options.body === undefined ? 'GET' : 'POST'
    const request: Request = { method, headers: {}, httpVersion: '1.1', ...options }
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const secure = url.protocol === 'https:'
    this.#tcp = connect(Number(url.port || (secure ? 443 : 80)), host)
    this.#tcp.setNoDelay(true)
    const { rejectUnauthorized } = options
    const ALPNProtocols = [request.httpVersion === '2' ? 'h2' : 'http/1.1']
    this.#socket = secure ? connectTls({ socket: this.#tcp, host, ALPNProtocols, rejectUnauthorized }) : this.#tcp
    if (request.httpVersion === '2') {
      const stream = this.#openHttp2(url, request)
      this.#stream = stream
      this.#leave = () => stream.close(constants.NGHTTP2_CANCEL)
    } else {
      this.#openHttp1(url, request)
      this.#stream = this.#socket
      this.#leave = () => this.#socket.destroy()
    }
  }

  until(expected: string | ((received: string) => boolean)): Promise<string> {
    const holds = typeof expected === 'string' ? () => this.received.includes(expected) : () => expected(this.received)
    const what = typeof expected === 'string' ? JSON.stringify(expected) : 'what was expected'
    const describe = () => `The client never received ${what}, but ${JSON.stringify(this.received.slice(-500))}`
    return this.#waiting.until(holds, describe).then(() => this.received)
  }

  leave(): void {
    this.#left = true
    this.#leave()
  }

  reset(): void {
    this.#left = true
    this.#tcp.resetAndDestroy()
  }

  halfClose(): void {
    if (this.#stream !== this.#socket) throw new TypeError('HTTP/2 has no half-closed connection: use HTTP/1')
    this.#socket.end()
  }

  pause(): void {
    clearInterval(this.#slow)
    this.#stream.pause()
  }

  resume(): void {
    clearInterval(this.#slow)
    this.#stream.resume()
  }

  slow(bytesPerSecond: number): void {
    this.pause()
    const portion = Math.ceil(bytesPerSecond / 10)
    // On an empty stream, reading 0 bytes makes it read on or end.
    this.#slow = setInterval(() => this.#stream.read(Math.min(portion, this.#stream.readableLength)), 100)
  }

  #openHttp1(url: URL, { method, headers, body, httpVersion }: Request): void {
    const socket = this.#socket
    const fields: Record<string, string> = { host: url.host, ...headers }
    const bytes = body === undefined ? undefined : Buffer.from(body)
    if (bytes) fields['content-length'] = String(bytes.length)
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`${method} ${url.pathname}${url.search} HTTP/${httpVersion}\r\n${lines.join('')}\r\n`, 'latin1')
    if (bytes) socket.write(bytes)

    let error: Error | undefined
    let complete = false
    const reader = readResponse(method, this.#head.resolve, this.#onBody)
    reader.next()
    const read = (piece: string | undefined) => {
      if (complete || error) return
      try {
        complete = reader.next(piece).done === true
      } catch (cause) {
        error = cause as Error
      }
      this.#waiting.changed()
      // A connection kept alive would never close.
      if (complete || error) socket.destroy()
    }
    socket.on('data', (bytes) => read(bytes.toString('latin1')))
    socket.on('end', () => read(undefined))
    socket.on('error', (cause) => {
      error ??= cause
    })
    socket.on('close', () => this.#onClose(complete, error))
  }

  #openHttp2(url: URL, { method, headers, body }: Request): ClientHttp2Stream {
    const socket = this.#socket
    let error: Error | undefined
    let complete = false
    const look = endOfStream()
    const tap = new Duplex({
      read: () => void socket.resume(),
      write: (bytes, _, done) => void socket.write(bytes, done),
      final: (done) => void socket.end(done),
      destroy: (cause, done) => {
        socket.destroy()
        done(cause)
      },
    })
    socket.on('data', (bytes) => {
      complete = look(bytes)
      if (!tap.push(bytes)) socket.pause()
    })
    socket.on('end', () => tap.push(null))
    socket.on('error', (cause) => {
      error = cause
    })
    socket.on('close', () => tap.destroy(error))

    const session = connectHttp2(url, { createConnection: () => tap })
    const fields: OutgoingHttpHeaders = { ...headers, ':method': method, ':path': url.pathname + url.search }
    if (body !== undefined) fields['content-length'] = Buffer.byteLength(body)
    const stream = session.request(fields, { endStream: body === undefined })
    if (body !== undefined) stream.end(body)
    stream.on('response', ({ ':status': status, ...rest }) => {
      const headers = Object.entries(rest).map(([name, value]) => [name, [value].flat().join(', ')])
      this.#head.resolve({ status: Number(status), headers: Object.fromEntries(headers) })
    })
    stream.on('data', (bytes) => {
      this.#onBody(bytes)
      this.#waiting.changed()
    })
    const onError = (cause: Error) => {
      error ??= cause
    }
    session.on('error', onError)
    stream.on('error', onError)
    // A server that answers before it has read the body, and resets the rest of it with NO_ERROR, leaves the stream
    // waiting for room to send on: Node closes it only when both directions have finished.
    stream.on('end', () => stream.destroy())
    stream.on('close', () => {
      session.close()
      this.#onClose(complete && stream.readableEnded, error)
    })
    return stream
  }

  readonly #onBody = (bytes: Uint8Array): void => {
    this.received += this.#decoder.decode(bytes, { stream: true })
  }

  #onClose(complete: boolean, error: Error | undefined): void {
    clearInterval(this.#slow)
    this.#head.reject(error ?? new Error('The connection was closed before an answer came'))
    this.#waiting.close(
      complete ? 'the answer is complete' : `the connection was closed${error ? `: ${error.message}` : ''}`,
    )
    this.#close({ complete, by: this.#left && !complete ? 'client' : 'server', ...(error && { error }) })
  }
}
