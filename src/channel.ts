import type { EventStream, ParsedEvent } from './types.js'

/** The near end of an {@link EventStream}: what its maker puts in and learns. */
export interface Channel {
  readonly stream: EventStream
  /** How many events were handed over or wait to be. */
  readonly received: number
  /** Whether an event was asked for yet. */
  readonly begun: boolean
  /** Whether nothing more will come. */
  readonly ended: boolean
  push(event: ParsedEvent): void
  /** After what was pushed the stream ends: well, or with an error. */
  end(...error: [] | [unknown]): void
  /** Answers a waiting `next()` with what there is by now, or pulls again. */
  settle(): void
}

type Result = IteratorResult<ParsedEvent, undefined>

const DONE_RESULT: IteratorReturnResult<undefined> = { done: true, value: undefined }

/**
 * A stream of events that reads nothing that was not asked for, and ends at once in every state: `return()`, `throw()` and
 * an abort answer a pending `next()` too, which an async generator cannot.
 *
 * @param position is asked for the last event id that was read.
 * @param pull is called while a `next()` waits and nothing is there.
 * @param release is called once, when nothing more will be read.
 */
export function createChannel(
  position: () => string,
  signal: AbortSignal | undefined,
  pull: () => void,
  release: () => void,
): Channel {
  // Events and the last event ids at their moments, by turns.
  const queue: (ParsedEvent | string)[] = []
  let head = 0
  let received = 0
  let begun = false
  let ending: [lastEventId: string, ...error: unknown[]] | undefined
  let waiting: { resolve(result: Result): void; reject(error: unknown): void } | undefined
  let latest: Promise<Result>
  /** How many calls of `next()` are waiting for their turn. */
  let turns = 0

  const take = (): Result => {
    const value = queue[head] as ParsedEvent
    stream.lastEventId = queue[head + 1] as string
    head += 2
    if (head === queue.length) head = queue.length = 0
    return { done: false, value }
  }

  const settle = () => {
    if (!waiting) return
    if (!queue.length && !ending) return void pull()
    const { resolve, reject } = waiting
    waiting = undefined
    if (queue.length) return void resolve(take())
    const [id, ...error] = ending as [string, ...unknown[]]
    stream.lastEventId = id
    finish()
    if (error.length) reject(error[0])
    else resolve(DONE_RESULT)
  }

  const end = (...error: unknown[]) => {
    if (ending) return
    ending = [position(), ...error]
    release()
  }

  /** Nothing more is handed over. */
  const finish = (...error: unknown[]) => {
    signal?.removeEventListener('abort', onAbort)
    const id = queue.length ? stream.lastEventId : position()
    head = queue.length = 0
    end()
    ending = [id, ...error]
    settle()
  }

  const onAbort = () => {
    const reason: unknown = signal?.reason
    finish(
      reason instanceof Error ? reason : Object.assign(new Error('Aborted', { cause: reason }), { name: 'AbortError' }),
    )
  }

  const ask = (): Promise<Result> => {
    if (queue.length) return Promise.resolve(take())
    begun = true
    stream.lastEventId = position()
    return new Promise((resolve, reject) => {
      waiting = { resolve, reject }
      settle()
    })
  }

  const stream = {
    lastEventId: position(),
    next(): Promise<Result> {
      if (waiting || turns) {
        // Someone calls ahead of the answer: in turn.
        const turn = () => {
          turns--
          return ask()
        }
        turns++
        latest = latest.then(turn, turn)
      } else latest = ask()
      return latest
    },
    async return() {
      finish()
      return DONE_RESULT
    },
    async throw(error?: unknown): Promise<typeof DONE_RESULT> {
      finish()
      throw error
    },
    [Symbol.asyncIterator]: () => stream,
  }

  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort)
  return {
    stream,
    get received() {
      return received
    },
    get begun() {
      return begun
    },
    get ended() {
      return ending !== undefined
    },
    push(event) {
      received++
      queue.push(event, position())
    },
    end,
    settle,
  }
}
