/** What becomes of the body of a request that nobody reads, or nobody reads any more? */

/** The members that are used of `IncomingMessage`, and of `Http2ServerRequest`. */
export interface Upload {
  readonly readableFlowing?: boolean | null
  readonly readableLength?: number
  readonly complete?: boolean
  readonly destroyed?: boolean
  readonly httpVersionMajor?: number
  readonly socket?: { readonly destroyed?: boolean } | null
  resume?(): unknown
  on?(event: 'pause' | 'close', listener: () => void): unknown
  listenerCount?(event: string): number
  /** Makes the socket read on, even if the body is paused. */
  _read?(size: number): void
}

/**
 * How many bytes are read ahead of a reader that pauses: what the buffers of two machines may hold before the end of
 * the connection. Beyond that only a heartbeat finds out that the client left.
 */
const MAX_AHEAD = 8_388_608
/** After a pause this long, in milliseconds, a reader is not about to go on. */
const PAUSE_MS = 250
const NEXT_MS = 10

/**
 * Keeps an unread body from hiding that the client left: a socket whose data nobody takes is paused, and a paused
 * socket does not close. A body that nobody reads, or reads any more, is read to its end and dropped. A reader that has
 * only paused may come back: some of the body is read ahead for it, and nothing is lost.
 */
export function drain(req: Upload): void {
  if (req.readableFlowing === null) {
    req.resume?.()
    return
  }
  // On HTTP/2 the connection reads on, whatever its streams do.
  if (req.complete !== false || req.destroyed || req.httpVersionMajor !== 1 || !req.on) return
  let timer: ReturnType<typeof setTimeout> | undefined
  const look = () => {
    timer = undefined
    // A request that was answered is not told that its connection has closed.
    if (req.complete || req.destroyed || req.socket?.destroyed || req.readableFlowing) return
    if (!req.listenerCount?.('data') && !req.listenerCount?.('readable')) {
      req.resume?.()
      return
    }
    const isFull = (req.readableLength ?? 0) >= MAX_AHEAD
    if (!isFull) req._read?.(0)
    timer = setTimeout(look, isFull ? PAUSE_MS : NEXT_MS)
  }
  const watch = () => {
    timer ??= setTimeout(look, PAUSE_MS)
  }
  req.on('pause', watch)
  req.on('close', () => clearTimeout(timer))
  if (!req.readableFlowing) watch()
}
