/** A reader that takes what browsers take: compressed or not, over HTTP/1.1 or 2. */
import { request } from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { openClient } from 'sse-relay/testing'

export interface Asking {
  method?: string
  headers?: Record<string, string>
  httpVersion?: '1.1' | '2'
}

export interface Reader {
  readonly status: Promise<number>
  readonly headers: Promise<Record<string, string>>
  /** The text of the body so far. */
  readonly received: string
  /** Whether the answer is over. */
  readonly ended: boolean
  /** Resolves when it is: whether HTTP calls it complete. */
  readonly over: Promise<boolean>
  /** Resolves when this is true of what was received, or when the answer is over. */
  until(holds: (received: string) => boolean): Promise<void>
  leave(): void
}

const BODY = JSON.stringify({ messages: [{ role: 'user', content: 'Hello' }] })
const HEADERS = { 'content-type': 'application/json', origin: 'https://page.example' }

/** Asks as a chat page does: a POST, of another origin. */
export function openReader(url: string, { method = 'POST', headers, httpVersion = '1.1' }: Asking = {}): Reader {
  const fields = { ...HEADERS, ...headers }
  if (httpVersion === '1.1') return new Http1Reader(url, method, fields)
  const client = openClient(url, { method, headers: fields, body: BODY, httpVersion })
  let ended = false
  const over = client.closed.then(({ complete }) => {
    ended = true
    return complete
  })
  return {
    status: client.status,
    headers: client.headers,
    over,
    get ended() {
      return ended
    },
    get received() {
      return client.received
    },
    until: (holds) => client.until(holds).then(nothing, () => over.then(nothing)),
    leave: () => client.leave(),
  }
}

const nothing = () => {}

class Http1Reader implements Reader {
  readonly status: Promise<number>
  readonly headers: Promise<Record<string, string>>
  readonly over: Promise<boolean>
  received = ''
  ended = false
  readonly #request
  #changed = nothing

  constructor(url: string, method: string, headers: Record<string, string>) {
    // A connection of its own, which ends with the answer.
    this.#request = request(url, { method, headers, agent: false })
    const response = new Promise<{ status: number; headers: Record<string, string> }>((resolve, reject) => {
      this.#request.on('error', reject)
      this.#request.on('response', ({ statusCode = 0, headers }) => {
        const entries = Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')])
        resolve({ status: statusCode, headers: Object.fromEntries(entries) })
      })
    })
    this.status = response.then(({ status }) => status)
    this.headers = response.then(({ headers }) => headers)
    this.status.catch(nothing)
    this.headers.catch(nothing)
    this.over = new Promise((resolve) => {
      const end = (complete: boolean) => {
        this.ended = true
        resolve(complete)
        this.#changed()
      }
      this.#request.on('error', () => end(false))
      this.#request.on('response', (response) => {
        let body: Readable = response
        // A text that is cut is an error of the decoder as well.
        response.on('error', () => end(false))
        if (response.headers['content-encoding'] === 'gzip') body = response.pipe(createGunzip())
        const decoder = new TextDecoder()
        body.on('data', (bytes: Uint8Array) => {
          this.received += decoder.decode(bytes, { stream: true })
          this.#changed()
        })
        body.on('error', () => end(false))
        body.on('end', () => end(response.complete))
        response.on('close', () => response.complete || end(false))
      })
    })
    this.#request.end(method === 'OPTIONS' ? undefined : BODY)
  }

  async until(holds: (received: string) => boolean): Promise<void> {
    while (!holds(this.received) && !this.ended) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }

  leave(): void {
    this.#request.destroy()
  }
}
