/**
 * How is one connection opened, HTTP/1.1 or HTTP/2 as the server chooses, with nothing in between that buffers bytes?
 */
import { Agent, type IncomingMessage, request as requestHttp1 } from 'node:http'
import { connect as connectHttp2, constants } from 'node:http2'
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'

/** The head of an answer. */
export interface SideAnswer {
  status: number
  /** By lower-case name; repeated headers are joined by `, `. */
  headers: Record<string, string>
}

export interface Answer extends SideAnswer {
  httpVersion: string
  body: Readable
  /** Whether the body ended as HTTP requires. Call it only after the body is over. */
  isComplete(): boolean
}

export interface Asked {
  method: string
  headers: Record<string, string>
  body?: string
}

export interface Connection {
  readonly httpVersion: '1.1' | '2'
  /** Rejects if the connection ends before the head of the answer. */
  ask(asked: Asked): Promise<Answer>
  /**
   * Asks for the head only. With `busyMs` it also tells whether the server is still busy with that request afterwards:
   * answers on one connection come in order, so a second HEAD waits for a handler that writes to nobody. `busy` is
   * undefined if that cannot be known: over HTTP/2, where answers come in any order, or if the connection is closed.
   */
  askForHead(asked: Asked, busyMs?: number): Promise<{ answer: SideAnswer; busy?: boolean }>
  close(): void
}

/** A browser offers both to an `https:` server, so this does. */
const ALPN = ['h2', 'http/1.1']

/** The longest head that Node reads. */
const MAX_HEAD = 16_384

/** @throws the socket's error, or the certificate's. */
export async function openConnection(url: URL, insecure: boolean, signal: AbortSignal): Promise<Connection> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const isTls = url.protocol === 'https:'
  const port = Number(url.port || (isTls ? 443 : 80))
  const socket = isTls
    ? connectTls({
        host,
        port,
        ALPNProtocols: ALPN,
        rejectUnauthorized: !insecure,
        ...(!isIP(host) && { servername: host }),
      })
    : connectPlain({ host, port })
  socket.setNoDelay(true)
  signal.addEventListener('abort', () => socket.destroy(signal.reason), { once: true })
  await new Promise<void>((resolve, reject) => {
    socket.once(isTls ? 'secureConnect' : 'connect', resolve).once('error', reject)
  })
  // Later errors reach the request, too.
  socket.on('error', () => {})
  return 'alpnProtocol' in socket && socket.alpnProtocol === 'h2' ? http2(url, socket) : http1(url, socket)
}

function http1(url: URL, socket: Socket): Connection {
  const path = url.pathname + url.search
  return {
    httpVersion: '1.1',
    ask({ method, headers, body }) {
      return new Promise((resolve, reject) => {
        const fields: Record<string, string> = { host: url.host, ...headers }
        if (body !== undefined) fields['content-length'] = String(Buffer.byteLength(body))
        // Its own agent: nothing else may use this socket.
        const agent = new Agent()
        agent.createConnection = () => socket
        const request = requestHttp1({ agent, method, path, headers: fields })
        request.on('error', reject)
        request.on('close', () => reject(new Error('The connection was closed before an answer came')))
        request.on('response', (message) => resolve(toAnswer(message)))
        request.end(body)
      })
    },
    // Written by hand: Node's client closes the connection after the answer to a HEAD that has no length.
    async askForHead({ headers }, busyMs) {
      const fields = Object.entries({ host: url.host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
      const request = `HEAD ${path} HTTP/1.1\r\n${fields.join('')}\r\n`
      let received = ''
      let onData = () => {}
      socket.on('data', (bytes) => {
        // Informational answers (1xx), such as early hints, are not the answer yet.
        received = (received + bytes.toString('latin1')).replace(/^(HTTP\S+ 1\d\d[\s\S]*?\r\n\r\n)+/, '')
        onData()
      })
      const more = () =>
        new Promise<'more'>((resolve) => {
          onData = () => resolve('more')
        })
      const closed = new Promise<'closed'>((resolve) => socket.once('close', () => resolve('closed')))
      socket.write(request)
      while (!received.includes('\r\n\r\n')) {
        if (received.length > MAX_HEAD) throw new Error(`The head of the answer is longer than ${MAX_HEAD} bytes`)
        if ((await Promise.race([more(), closed])) === 'closed') {
          throw new Error('The connection was closed before an answer came')
        }
      }
      const answer = toHead(received)
      if (busyMs === undefined || answer.headers.connection?.toLowerCase() === 'close') return { answer }
      socket.write(request)
      const outcome = await Promise.race([more(), closed, wait(busyMs, 'busy' as const, { ref: false })])
      return outcome === 'closed' ? { answer } : { answer, busy: outcome === 'busy' }
    },
    close: () => void socket.destroy(),
  }
}

function toHead(text: string): SideAnswer {
  const [first = '', ...lines] = text.slice(0, text.indexOf('\r\n\r\n')).split('\r\n')
  const headers = lines.map((line) => [
    line.slice(0, line.indexOf(':')).toLowerCase(),
    line.slice(line.indexOf(':') + 1).trim(),
  ])
  return { status: Number(first.split(' ')[1]), headers: Object.fromEntries(headers) }
}

function toAnswer(message: IncomingMessage): Answer {
  const { statusCode = 0, headersDistinct, httpVersion } = message
  const headers = Object.entries(headersDistinct).map(([name, values = []]) => [name, values.join(', ')])
  return {
    status: statusCode,
    headers: Object.fromEntries(headers),
    httpVersion,
    body: message,
    isComplete: () => message.complete,
  }
}

function http2(url: URL, socket: Socket): Connection {
  const session = connectHttp2(url, { createConnection: () => socket })
  session.on('error', () => {})
  const connection: Connection = {
    httpVersion: '2',
    ask({ method, headers, body }) {
      return new Promise((resolve, reject) => {
        const fields = { ...headers, ':method': method, ':path': url.pathname + url.search }
        const stream = session.request(fields, { endStream: body === undefined })
        if (body !== undefined) stream.end(body)
        stream.on('error', reject)
        stream.on('close', () => reject(new Error('The connection was closed before an answer came')))
        stream.on('response', ({ ':status': status, ...rest }) => {
          const headers = Object.entries(rest).map(([name, value]) => [name, [value].flat().join(', ')])
          resolve({
            status: Number(status),
            headers: Object.fromEntries(headers),
            httpVersion: '2',
            body: stream,
            isComplete: () => stream.readableEnded && stream.rstCode === constants.NGHTTP2_NO_ERROR,
          })
        })
      })
    },
    async askForHead(asked) {
      const { status, headers } = await connection.ask({ method: 'HEAD', headers: asked.headers })
      return { answer: { status, headers } }
    },
    close() {
      session.destroy()
      socket.destroy()
    },
  }
  return connection
}
