/** How does Node frame a chunk of HTTP/1.1, and when may that be written to its socket in one piece? */

/** The members that are read of Node's `ServerResponse`; below, those of its socket. */
export interface DirectResponse {
  write(text: string): unknown
  end(text?: string): unknown
  readonly _send?: unknown
  readonly _writeRaw?: unknown
  readonly _headerSent?: boolean
  readonly chunkedEncoding?: boolean
  readonly outputData?: readonly unknown[]
  readonly writableCorked?: number
  readonly finished?: boolean
}

export interface DirectSocket {
  readonly writable?: boolean
  readonly writableLength: number
  readonly writableHighWaterMark: number
  readonly _httpMessage?: unknown
  write(text: string, encoding: 'latin1' | 'utf8'): unknown
}

type Methods = Pick<DirectResponse, 'write' | 'end' | '_send' | '_writeRaw'>

/**
 * Node's own methods, as they were when this file was loaded; undefined if it is not sure that they are Node's own.
 * Monitoring replaces them in place, for all responses, and may have done so before: Node's own are recognised by their
 * source text.
 */
const own: Methods | undefined = findOwn()

function findOwn(): Methods | undefined {
  try {
    const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } }
    const http = process?.getBuiltinModule?.('node:http') as { OutgoingMessage: { prototype: Methods } }
    const { write, end, _send, _writeRaw } = http.OutgoingMessage.prototype
    const textOf = (method: unknown) => Function.prototype.toString.call(method)
    const isNodes =
      textOf(write).includes('write_(this, chunk, encoding, callback, false)') &&
      textOf(end).includes('write_(this, chunk, encoding, null, true)') &&
      textOf(_send).includes('this._writeRaw(') &&
      textOf(_writeRaw).includes('conn.write(data, encoding, callback)')
    return isNodes ? { write, end, _send, _writeRaw } : undefined
  } catch {
    return
  }
}

/** More bytes than the framing of a chunk takes. */
const FRAME = 16

/**
 * Writes a chunk to the socket itself, framed as Node would frame it. What Node sends as three pieces in a `writev` is
 * one string here, and one `write` (bench row `relay, one a tick`). The bytes are the same.
 *
 * Only if Node would do no more than that: the response is Node's own, nobody has replaced its methods, it is chunked,
 * its head is sent, its turn on the connection has come, nothing waits in it, and the connection has room for more than
 * this. A chunk that fills the connection is for the response to write: so the response knows that it is full
 * (`writableNeedDrain`), and gets its 'drain'.
 *
 * @returns `false` if the response has to write it.
 */
export function writeDirect(res: DirectResponse, socket: DirectSocket, text: string): boolean {
  if (
    own === undefined ||
    res.write !== own.write ||
    res.end !== own.end ||
    res._send !== own._send ||
    res._writeRaw !== own._writeRaw ||
    res._headerSent !== true ||
    res.chunkedEncoding !== true ||
    res.outputData?.length !== 0 ||
    res.writableCorked !== 0 ||
    res.finished !== false ||
    socket._httpMessage !== res ||
    socket.writable !== true ||
    // An empty chunk would be the end of the body.
    text === ''
  )
    return false
  const bytes = Buffer.byteLength(text)
  if (!(socket.writableLength + bytes + FRAME < socket.writableHighWaterMark)) return false
  // If every character is one byte, the socket need not encode any.
  socket.write(`${bytes.toString(16)}\r\n${text}\r\n`, bytes === text.length ? 'latin1' : 'utf8')
  return true
}

/** The members of a `Readable` that are read. */
export interface PipedBody {
  readonly readableFlowing: boolean | null
  readonly readableLength: number
  readonly _readableState?: { readonly pipes?: readonly unknown[] }
  listenerCount(event: string): number
}

/**
 * Whether a body's next piece would go to the response at once, and nowhere else: the body is piped to the response
 * alone, nobody else listens, and nothing waits in it. Then the body can be bypassed too: Fastify and Koa pipe it, and
 * without it a token takes less than half the instructions (bench group `counts`).
 */
export function isPipedTo(body: PipedBody, res: unknown): boolean {
  const pipes = body._readableState?.pipes
  return (
    pipes?.length === 1 &&
    pipes[0] === res &&
    body.readableFlowing === true &&
    body.readableLength === 0 &&
    body.listenerCount('data') === 1
  )
}
