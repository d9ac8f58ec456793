import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

const EVENT_STREAM = { 'content-type': 'text/event-stream' }

/** One request, and the hand of the test on its answer. */
export class ScriptedRequest {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** Resolves when the exchange is over, to whether the answer had been sent to its end. */
  readonly closed: Promise<boolean>
  readonly #response: ServerResponse

  constructor(request: IncomingMessage, response: ServerResponse, body: string) {
    const { method = '', url = '', headers } = request
    this.method = method
    this.path = url
    this.headers = headers
    this.body = body
    this.#response = response
    response.on('error', () => {})
    this.closed = new Promise((resolve) => response.on('close', () => resolve(response.writableFinished)))
  }

  /** `Last-Event-ID` as text; on the wire it is bytes. */
  get lastEventId(): string | undefined {
    const value = this.headers['last-event-id']
    return value === undefined ? undefined : Buffer.from(String(value), 'latin1').toString()
  }

  /** The head of an event stream, and this much of it. */
  open(wire = '', headers: Record<string, string> = {}): this {
    this.#response.writeHead(200, { ...EVENT_STREAM, ...headers }).flushHeaders()
    return wire ? this.send(wire) : this
  }

  send(wire: string | Uint8Array): this {
    this.#response.write(wire)
    return this
  }

  /** A whole answer; after `open()`, the rest of it. */
  end(wire = '', status = 200, headers: Record<string, string> = EVENT_STREAM): this {
    if (!this.#response.headersSent) this.#response.writeHead(status, headers)
    this.#response.end(wire)
    return this
  }

  refuse(status: number, body: unknown = '', headers: Record<string, string> = {}): this {
    const json = typeof body !== 'string'
    return this.end(json ? JSON.stringify(body) : body, status, {
      'content-type': json ? 'application/json' : 'text/html',
      ...headers,
    })
  }

  /** The connection closes in the middle of the answer, or before it. */
  cut(): this {
    this.#response.destroy()
    return this
  }

  /** The same by RST. */
  reset(): this {
    this.#response.socket?.resetAndDestroy()
    return this
  }
}

/** A server that does nothing by itself: the test takes each request and says what becomes of it. */
export interface ScriptedServer {
  readonly url: string
  /** Every request so far. */
  readonly requests: readonly ScriptedRequest[]
  /** The next request that the test has not taken yet. */
  request(): Promise<ScriptedRequest>
  close(): Promise<void>
}

export async function scriptedServer(): Promise<ScriptedServer> {
  const requests: ScriptedRequest[] = []
  const waiting: ((request: ScriptedRequest) => void)[] = []
  const untaken: ScriptedRequest[] = []
  const server = createServer(async (req, res) => {
    const body = await text(req).catch(() => undefined)
    if (body === undefined) return
    const request = new ScriptedRequest(req, res, body)
    requests.push(request)
    const taker = waiting.shift()
    if (taker) taker(request)
    else untaken.push(request)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/chat`,
    requests,
    request() {
      const request = untaken.shift()
      return request ? Promise.resolve(request) : new Promise((resolve) => waiting.push(resolve))
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
