/** What do the bytes of an HTTP/1 response mean, as they come? */

/** The head of a response. */
export interface Head {
  status: number
  /** By their lower-case names; repeated ones are joined by `, `. */
  headers: Record<string, string>
}

type Reading<T> = Generator<undefined, T, string | undefined>

/**
 * Reads one HTTP/1 response, done when that is complete: give each piece of the wire to `next()`, one character a byte,
 * and `undefined` at its end. Throws if the end comes too early.
 */
export function* readResponse(
  method: string,
  onHead: (head: Head) => void,
  onBody: (bytes: Uint8Array) => void,
): Reading<void> {
  let buffer = ''

  function* more(): Reading<boolean> {
    const piece = yield
    buffer += piece ?? ''
    return piece !== undefined
  }
  function* line(): Reading<string> {
    for (;;) {
      const end = buffer.indexOf('\r\n')
      if (end >= 0) {
        const text = buffer.slice(0, end)
        buffer = buffer.slice(end + 2)
        return text
      }
      if (!(yield* more())) throw new Error('The answer was cut')
    }
  }
  function* body(length: number): Reading<void> {
    if (Number.isNaN(length)) throw new Error('The answer has a length that is no number')
    for (let rest = length; rest > 0; ) {
      const piece = buffer.slice(0, rest)
      buffer = buffer.slice(piece.length)
      rest -= piece.length
      if (piece) onBody(Buffer.from(piece, 'latin1'))
      else if (!(yield* more())) {
        if (length === Infinity) return
        throw new Error('The answer was cut')
      }
    }
  }

  let status: number
  const headers: Record<string, string> = {}
  do {
    const start = yield* line()
    status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(start)?.[1])
    if (!status) throw new Error(`This is no HTTP/1 answer: ${JSON.stringify(start)}`)
    for (let field = yield* line(); field !== ''; field = yield* line()) {
      const [, name = '', value = ''] = /^([^:]+):[ \t]*(.*?)[ \t]*$/.exec(field) ?? []
      const key = name.toLowerCase()
      headers[key] = key in headers ? `${headers[key]}, ${value}` : value
    }
  } while (status < 200)
  onHead({ status, headers })

  if (method === 'HEAD' || status === 204 || status === 304) return
  if (headers['transfer-encoding']?.toLowerCase() === 'chunked') {
    let size: number
    do {
      size = Number.parseInt(yield* line(), 16)
      yield* body(size)
      // After the last chunk this is the end of the trailers, which nobody sends here.
      yield* line()
    } while (size > 0)
  } else {
    yield* body(Number(headers['content-length'] ?? Infinity))
  }
}

/**
 * Looks at the frames of an HTTP/2 connection with one stream: give it the bytes from the server as they come, and it
 * says whether END_STREAM was among them. Node's client ends a stream in the same way when it was reset with NO_ERROR.
 */
export function endOfStream(): (bytes: Buffer) => boolean {
  let ended = false
  let buffer = Buffer.alloc(0)
  return (bytes) => {
    buffer = Buffer.concat([buffer, bytes])
    while (buffer.length >= 9 && buffer.length >= 9 + buffer.readUIntBE(0, 3)) {
      const [type, flags] = [buffer.readUInt8(3), buffer.readUInt8(4)]
      // DATA or HEADERS, with the flag.
      ended ||= type <= 1 && (flags & 1) === 1
      buffer = buffer.subarray(9 + buffer.readUIntBE(0, 3))
    }
    return ended
  }
}
