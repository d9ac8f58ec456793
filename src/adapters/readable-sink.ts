/** How is a stream written for a host that sends a `Readable` as its body: Fastify and Koa? */

import { Readable } from 'node:stream'
import type { SinkHeaders } from '../headers.js'
import { isPipedTo } from './http1-chunk.js'
import { gather, type NodeResponse, NodeSink, type Remedies, type WriteOptions } from './node-sink.js'

/** How a host that manages Node's response itself is given an answer. */
export interface BodyHost {
  readonly res: NodeResponse
  readonly options: WriteOptions | undefined
  readonly remedies: Remedies
  /** Whether the host was told to leave the response alone. */
  isUsed(): boolean
  /** Hands the answer over; the body is null if the status has none. */
  send(status: number, headers: SinkHeaders, body: Readable | null): void
}

/**
 * Gives the host a body to send, so that the host treats it like its other answers: hooks and middleware see it, and
 * headers that they set last are sent.
 */
export class BodySink extends NodeSink {
  readonly #host: BodyHost
  #body: Readable | undefined
  #sent = false
  #isFull = false

  constructor(host: BodyHost) {
    super(host.res, host.options)
    this.#host = host
  }

  /** Whether the host was given an answer. */
  get sent(): boolean {
    return this.#sent
  }

  override open(status: number, headers: SinkHeaders): void {
    this.check()
    if (status !== 204) this.#body = this.#open()
    this.#host.send(status, headers, this.#body ?? null)
    this.#sent = true
    this.look()
  }

  protected override get isUsed(): boolean {
    return this.#host.isUsed() || super.isUsed
  }

  protected override get isTaken(): boolean {
    const { destroyed, stream = { destroyed }, socket } = this.res
    const isConnected = !stream.destroyed && !socket?.destroyed
    return super.isTaken || (isConnected && this.#body?.destroyed === true && !this.#body.readableEnded)
  }

  protected override get remedies(): Remedies {
    return this.#host.remedies
  }

  override write(text: string): boolean {
    if (this.#body && isPipedTo(this.#body, this.res) && this.writeDirect(text)) return true
    if (this.socket) gather(this.socket)
    this.#isFull = !this.#push(text)
    return !this.#isFull
  }

  override end(text?: string): void {
    this.#isFull = false
    this.whenSent(text)
    if (text !== undefined) this.#push(text)
    this.#push(null)
  }

  override destroy(): void {
    const body = this.#body
    // Another body was put in place of this one: the response belongs to that.
    if (body?.destroyed && !body.readableEnded) return
    super.destroy()
  }

  #open(): Readable {
    const body = new Readable({
      // More is asked for when there is room, whoever reads: a pipe, `for await`, 'readable', another stream. This is
      // called before the text that was there is taken, so the relay is told after everything else that waits.
      read: () => {
        if (this.#isFull) setImmediate(() => this.#drained())
      },
    })
    body.on('error', () => {})
    body.on('close', () => {
      if (!body.readableEnded) this.handle?.left()
    })
    return body
  }

  #push(text: string | null): boolean {
    // A write after the response's end would be an error in the host.
    return this.#body !== undefined && !this.res.writableEnded && this.#body.push(text)
  }

  #drained(): void {
    if (!this.#isFull) return
    this.#isFull = false
    this.handle?.drained()
  }
}
