/** How is an Observable (RxJS, Nest, AG-UI, the Web's) read and stopped? */
import { RelayError } from '../errors.js'
import { hasOnly } from './keys.js'

interface Observer {
  next(value: unknown): void
  error(error: unknown): void
  complete(): void
}

export interface ObservableLike {
  subscribe(observer: Observer, options?: { signal: AbortSignal }): unknown
}

/** An Observable cannot be made to wait, so at most this many values are kept for a slow reader. */
const MAX_WAITING = 65_536

export function isObservable(source: object): source is ObservableLike {
  return typeof (source as Partial<ObservableLike>).subscribe === 'function'
}

/**
 * Subscribes at once, and only once. `return()` unsubscribes, which stops an Observable even while it is silent. Nest
 * puts an event's name into `type`.
 */
export function observe(source: ObservableLike): { next(): Promise<unknown>; return(): void } {
  // Read by index, and cut when more than half was read: `shift()` would move all that waits, which may be many values.
  const waiting: unknown[] = []
  let taken = 0
  const stop = new AbortController()
  let failure: { error: unknown } | undefined
  let isOver = false
  let wake: (() => void) | undefined
  const end = (failed?: { error: unknown }) => {
    if (isOver) return
    isOver = true
    failure = failed
    wake?.()
  }
  let subscription: { unsubscribe?(): void } | undefined
  const leave = () => {
    subscription?.unsubscribe?.()
    stop.abort()
  }
  subscription = source.subscribe(
    {
      next(value) {
        if (isOver) return
        waiting.push(value)
        if (waiting.length - taken > MAX_WAITING) {
          end({
            error: new RelayError(
              'internal',
              `An Observable is faster than its reader, and ${MAX_WAITING} values wait: hand over an async iterable, which can be made to wait`,
            ),
          })
          leave()
        } else wake?.()
      },
      error: (error) => end({ error }),
      complete: () => end(),
    },
    { signal: stop.signal },
  ) as typeof subscription
  // It may have ended, or been stopped, before `subscribe` returned what stops it.
  if (isOver) leave()
  return {
    async next() {
      while (taken === waiting.length && !isOver) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      if (taken < waiting.length) {
        const value = waiting[taken++]
        if (taken * 2 > waiting.length) {
          waiting.splice(0, taken)
          taken = 0
        }
        return { done: false, value: toEvent(value) }
      }
      if (failure) throw failure.error
      return { done: true, value: undefined }
    },
    return() {
      end()
      leave()
    },
  }
}

/** Nest's `MessageEvent` has the name of the event in `type`. */
function toEvent(value: unknown): unknown {
  const { type, data, ...rest } = (value ?? {}) as { type?: unknown; data?: unknown }
  const isEvent = data !== undefined && typeof type === 'string' && hasOnly(rest, /^(id|retry)$/)
  return isEvent ? { ...rest, event: type, data } : value
}
