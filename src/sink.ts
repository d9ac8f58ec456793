/** How does a host write, and how does it tell that there is room again, or that the reader left? */
import type { SinkHeaders } from './headers.js'
import type { Summary } from './types.js'

/**
 * How a host writes: all that an adapter translates. Methods are called in this order: `open` once, `offer` once if
 * there is a stream to come, `write` any number of times, `end` once; or `destroy` at any time; or nothing at all.
 */
export interface Sink {
  /**
   * Whether the client had left before the relay began. May throw, if the host cannot answer at all. Read again when
   * the client leaves, since something else may have answered, or have ended the response in the middle: then it throws.
   */
  readonly gone?: boolean
  /** Sends the status and the headers, or keeps them for the first write. May throw if the host refuses them. */
  open(status: number, headers: SinkHeaders): void
  /**
   * For hosts that read the body as an object: hands it over while it is empty. `false`: nobody reads it yet; the
   * adapter calls `drained()` when somebody does.
   */
  offer?(): boolean
  /** Writes text. Only `false` means: the client takes no more for now; the adapter calls `drained()` when it does. */
  write(text: string): boolean
  /** Writes the last text, if any, and ends the response; the adapter calls `drained()` once that is sent. */
  end(text?: string): void
  /** Drops the connection. */
  destroy(): void
  /** Runs the task soon: after what the source yields in this tick, before the host waits for the network. */
  schedule(task: () => void): void
}

/** What an adapter tells a relay, and learns from it. */
export interface RelayHandle {
  /** The sink takes more, or has sent its end. */
  drained(): void
  /** The client left. May be called more than once, and after the end. */
  left(): void
  /**
   * How it ended. Rejects only with what `onError` threw, and then the response is untouched. If nobody awaits this
   * promise, the client is sent the failure instead.
   */
  readonly done: Promise<Summary>
  /** Whether the relay has nothing left to do. If it has sent nothing, the response is free for something else. */
  readonly isClosed: boolean
}
