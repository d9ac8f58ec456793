/** How does Node frame a chunk of HTTP/1.1, and when may that be written to its socket in one piece? */

/** As much of Node's `ServerResponse` and its socket as is looked at. */
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
 * Node's own methods, as they were when this file was loaded; undefined where there are none to be sure of. Monitoring
 * replaces them in place, for all responses, and may have done so before: Node's own are told by a name in their text.
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

/** More than the frame of a chunk takes. */
const FRAME = 16

/**
 * Writes a chunk to the socket itself, framed as Node would: three pieces and a `writev` of Node's are one string here,
 * and one `write` (bench row `relay, one a tick`). The bytes are the same.
 *
 * Only where that is all Node would do: its own response, whose methods nobody has replaced, chunked, its head sent, its
 * turn on the connection come, nothing waiting in it, and room on the connection for more than this. What fills it is
 * for the response to write: then it knows that it is full (`writableNeedDrain`), and has its 'drain'.
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
  // Where every character is a byte, the socket need not look for others.
  socket.write(`${bytes.toString(16)}\r\n${text}\r\n`, bytes === text.length ? 'latin1' : 'utf8')
  return true
}

/** As much of a `Readable` as is looked at. */
export interface PipedBody {
  readonly readableFlowing: boolean | null
  readonly readableLength: number
  readonly _readableState?: { readonly pipes?: readonly unknown[] }
  listenerCount(event: string): number
}

/**
 * Whether a body's next piece would go to the response at once, and nowhere else: the response is all it is piped to,
 * nobody listens beside that, and nothing waits in it. Then the body may be left out, too: Fastify and Koa pipe it, and a
 * token is less than half the instructions without (bench group `counts`).
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
