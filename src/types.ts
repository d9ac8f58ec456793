/** The vocabulary that crosses floors: types, and the one constant of the wire. */

/**
 * The sentinel: an event with this data means that the answer is complete, and nothing else does.
 */
export const DONE = '[DONE]'

/**
 * An event as it stands on the wire, in the words of the HTML standard.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export interface ServerSentEvent {
  /** The event type. Absent means the default type, `message`. One line. */
  event?: string
  /** The payload. Line breaks (CR, LF, CRLF) become separate `data` lines. */
  data: string
  /** The event's id, which a client sends back as `Last-Event-ID`. One line, without NUL. */
  id?: string
  /** How long a client waits before it reconnects, in milliseconds: a non-negative integer. */
  retry?: number
}

/** An event as `createParser` hands it over. */
export interface ParsedEvent {
  /** The payload: the values of the block's `data` lines, joined by LF. */
  data: string
  /** The event type; absent for the default type. */
  event?: string
  /** The id; present only if the event's own block had an `id` field. */
  id?: string
}

/** The events of one stream, in order, to be read once. */
export interface EventStream extends AsyncIterator<ParsedEvent, undefined, undefined> {
  [Symbol.asyncIterator](): EventStream
  /** The last event id when the latest event was handed over. */
  readonly lastEventId: string
  /** Ends the reading and cancels the body, at once. */
  return(): Promise<IteratorReturnResult<undefined>>
  /** As `return()`, and rejects with the error. */
  throw(error?: unknown): Promise<IteratorReturnResult<undefined>>
}

/**
 * An event a source writes itself: a plain object with `data` and no keys but these.
 * It passes through the protocols as it is. `event: 'error'` and the sentinel are refused, because a
 * source cannot forge an ending.
 */
export interface OwnEvent {
  /** A string goes out as it is; any other JSON value as its JSON text. */
  data: unknown
  event?: string
  id?: string
  retry?: number
}

/** Why the model stopped, on one scale for all providers. */
export type FinishReason = 'stop' | 'length' | 'tool-calls' | 'content-filter' | 'error' | 'other'

/** Token counts, on one scale for all providers. A provider that does not say leaves a field out. */
export interface Usage {
  inputTokens?: number
  outputTokens?: number
  totalTokens?: number
  cachedInputTokens?: number
  reasoningTokens?: number
}

/** A piece of the answer's text. */
export interface TextPart {
  type: 'text'
  text: string
}
/** A piece of the model's reasoning. */
export interface ReasoningPart {
  type: 'reasoning'
  text: string
}
/** A piece of a tool call. Pieces with the same `index` belong together. */
export interface ToolCallPart {
  type: 'tool-call'
  index: number
  /** In the first piece. */
  id?: string
  /** In the first piece. */
  name?: string
  /** The next piece of the JSON text of the arguments; may be empty. */
  input: string
}
/** Token counts so far; later ones replace earlier ones field by field. */
export interface UsagePart {
  type: 'usage'
  usage: Usage
}
/** The provider said that it had ended, and why. */
export interface FinishPart {
  type: 'finish'
  reason: FinishReason
}
/** Anything else for the client, under a name. */
export interface DataPart {
  type: 'data'
  name: string
  data: unknown
}
/** The source failed; the original error is for the server's eyes. */
export interface ErrorPart {
  type: 'error'
  error: unknown
}

/** The provider-free step between a provider's chunk and a protocol's frames. */
export type Part = TextPart | ReasoningPart | ToolCallPart | UsagePart | FinishPart | DataPart | ErrorPart

/**
 * How a run, or the connection that carried it, ended.
 *
 * - `done`: the answer is complete
 * - `error`: the source, the protocol or the call itself failed
 * - `truncated`: the source ended without the provider's proof that the answer is complete
 * - `stopped`: someone asked the run to end
 * - `shutdown`: the server is going away
 * - `expired`: `maxDurationMs` is over
 * - `disconnected`: the reader left
 * - `stalled`: the reader took nothing for `stallTimeoutMs`
 */
export type Outcome = 'done' | 'error' | 'truncated' | 'stopped' | 'shutdown' | 'expired' | 'disconnected' | 'stalled'

/** What `onEnd` is given, and what Node-style adapters resolve to. */
export interface Summary {
  outcome: Outcome
  /** Events written for what the source yielded; the sentinel and the error frame do not count. */
  events: number
  /** The last token counts the provider gave, also when the answer was cut. */
  usage?: Usage
  finishReason?: FinishReason
  /** The answer's text, up to 1 MiB of characters; gathered only when `onEnd` is given, else empty. */
  text: string
  /** From the call of `relay` to the first event, in milliseconds. Absent when there was none. */
  firstEventMs?: number
  /** From the call of `relay` to the end of the run, in milliseconds. */
  durationMs: number
  runId: string
  /** The original error, for the outcomes `error` and `truncated`. */
  error?: unknown
}

/** What a failure looks like to a client: the `error` of every error frame and error body. */
export interface Failure {
  code: string
  /** Safe to show: never the provider's own words unless the developer said so. */
  message: string
  /** Whether asking again may help. Informs; nothing acts on it. */
  retryable: boolean
}

/** What a source factory is given. */
export interface SourceContext {
  /** Aborts when the run ends early; hand it to the provider's call. Its reason is an `AbortError`. */
  readonly signal: AbortSignal
  readonly runId: string
  /** The request's `Last-Event-ID`, if it sent one. */
  readonly lastEventId?: string
}

/** A stream with a reader, as every runtime's `ReadableStream` is. */
export interface ReadableStreamLike<T = unknown> {
  getReader(): {
    read(): Promise<{ done: boolean; value?: T | undefined }>
    cancel(reason?: unknown): Promise<unknown>
    releaseLock(): void
  }
}

/** As much of a `fetch` answer as is needed to read its event stream. */
export interface ResponseLike {
  readonly ok: boolean
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly body?: ReadableStreamLike<unknown> | AsyncIterable<unknown> | null
  readonly bodyUsed?: boolean
  text?(): Promise<string>
}

/** What a source is, or what a source factory returns: something to iterate, or an upstream's event stream. */
export type SourceStream = string | ResponseLike | AsyncIterable<unknown> | Iterable<unknown> | ReadableStreamLike

/**
 * What the user hands in: a function that is given a `signal` and returns a stream (the form to prefer:
 * the signal exists before the upstream request does), or a stream, or a promise of one.
 */
export type Source =
  | SourceStream
  | PromiseLike<SourceStream>
  | ((context: SourceContext) => SourceStream | PromiseLike<SourceStream>)

/** What an encoder may know of its run. */
export interface EncoderRun {
  readonly runId: string
}

/** How a complete answer ended: given once, whatever order the provider said it in. */
export interface EncoderEnd {
  finishReason?: FinishReason
  usage?: Usage
}

/**
 * Turns one run into frames: text in which each event ends with a blank line. An empty string is no
 * frame. Frames carry no `id`: ids are the relay's business.
 */
export interface Encoder {
  /**
   * Instead of `part`, for a protocol that speaks the provider's own chunks: called with each that is not
   * empty and holds no failure, and with the name the provider gives such an event on the wire, if any.
   */
  chunk?(chunk: unknown, event: string | undefined): string
  /** A text, reasoning, tool-call or data part. Usage and finish come with `end`. */
  part(part: TextPart | ReasoningPart | ToolCallPart | DataPart): string
  /** An event the source wrote itself. */
  event(event: ServerSentEvent): string
  /** What comes before the sentinel. */
  end(end: EncoderEnd): string
  /** The failure frame: `event: error`, JSON that holds `error: failure`. */
  fail(failure: Failure): string
}

/** The dialect spoken to the client: shared and stateless; what lives one run is the encoder. */
export interface Protocol {
  readonly name: string
  /** Extra response headers. */
  readonly headers?: Readonly<Record<string, string>>
  encoder(run: EncoderRun): Encoder
}
