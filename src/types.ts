/** What do all floors share? Types, and the one constant of the wire, `[DONE]`. */

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
  /** All that was read, what came from a cache or went into one included. */
  inputTokens?: number
  /** All that was written, reasoning included. */
  outputTokens?: number
  totalTokens?: number
  /** Of the input: read from the provider's cache. */
  cachedInputTokens?: number
  /** Of the input: written into the provider's cache. */
  cacheWriteInputTokens?: number
  /** Of the output: reasoning. */
  reasoningTokens?: number
}

/** An answer begins, and what its provider calls it. At most once an answer, before its first piece. */
export interface StartPart {
  type: 'start'
  /** The provider's id of the answer. */
  id?: string
  model?: string
  /** Unix time in seconds. */
  created?: number
}
/** A piece of the answer's text. */
export interface TextPart {
  type: 'text'
  text: string
}
/** A piece of the model's reasoning. */
export interface ReasoningPart {
  type: 'reasoning'
  /** Empty in a piece that only brings a signature or what is redacted. */
  text: string
  /**
   * The provider's signature of the reasoning before it, whole: the provider wants both back, unchanged, in the next
   * turn.
   */
  signature?: string
  /** Reasoning that the provider shows in encrypted form only: it wants it back, unchanged, in the next turn. */
  redacted?: string
}
/** A piece of a tool call. Pieces with the same `index` belong together, and no other call of the run has it. */
export interface ToolCallPart {
  type: 'tool-call'
  index: number
  /** In the first piece, if the provider gives one. */
  id?: string
  /** In the first piece. */
  name?: string
  /** The next piece of the JSON text of the arguments; may be empty. */
  input: string
  /** In the last piece: the provider says that the call is whole. Without it no client may run the call. */
  done?: boolean
  /** `input` is the whole JSON text and replaces the pieces before it. */
  replaces?: boolean
  /** The provider or the agent runs this call: no client may. */
  executed?: boolean
  /** The provider rejected the call, so no client may run it: words for the client, never the provider's own. */
  error?: string
  /**
   * A person is asked whether the call may run, and whoever runs it waits: the id that the answer names. In the last
   * piece, with `executed`.
   */
  approval?: string
}
/** What a tool answered. It closes its call. */
export interface ToolResultPart {
  type: 'tool-result'
  /** The id of the call. */
  id: string
  name?: string
  /** Any JSON value; `null` unless `toolResults` is on, since it may hold what is not for the client. */
  output: unknown
  /** The tool failed: words for the client. */
  error?: string
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
/** Anything else for the client, under a name: citations are `citation`, files are `file`. */
export interface DataPart {
  type: 'data'
  name: string
  data: unknown
  /** Data with the same name and id replaces what came before, in clients that keep it. */
  id?: string
  /** For now only: clients that keep a history leave it out. */
  transient?: boolean
}
/** The source failed; the original error is for the server's eyes. */
export interface ErrorPart {
  type: 'error'
  error: unknown
}

/** The provider-free step between a provider's chunk and a protocol's frames. */
export type Part =
  | StartPart
  | TextPart
  | ReasoningPart
  | ToolCallPart
  | ToolResultPart
  | UsagePart
  | FinishPart
  | DataPart
  | ErrorPart

/** The parts a protocol is given one by one. Usage and finish come once, with its `end`, and an error with `fail`. */
export type EncoderPart = Exclude<Part, UsagePart | FinishPart | ErrorPart>

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
export type SourceStream =
  | string
  | ResponseLike
  | AsyncIterable<unknown>
  | Iterable<unknown>
  | ReadableStreamLike
  // Objects that hold a stream, and Observables.
  | { readonly stream: AsyncIterable<unknown> | ReadableStreamLike }
  | { readonly fullStream: AsyncIterable<unknown> | ReadableStreamLike }
  | { readonly events: AsyncIterable<unknown> | ReadableStreamLike }
  | { readonly body: AsyncIterable<unknown> | ReadableStreamLike }
  | { readonly data: AsyncIterable<unknown> | ReadableStreamLike }
  | { subscribe(...observer: never[]): unknown }

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
 * What a whole answer is made of, in order: texts and pieces of reasoning that follow each other are joined, and each
 * tool call is whole, at the place of its first piece. Events of one's own are kept, and so are the chunks
 * that an encoder has `chunk` or `aside` for.
 */
export type AnswerPart =
  | EncoderPart
  | { type: 'event'; event: ServerSentEvent }
  | { type: 'chunk'; chunk: unknown; event: string | undefined }

/** A chunk of the AI SDK's UI message stream, as far as all of them are alike. */
export interface UIChunk {
  readonly type: string
  readonly [key: string]: unknown
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
  /**
   * A part of the answer. Usage and finish come with `end`. `hasResults` where what tools answered may follow their
   * calls, so that only the end tells which of them a client is to run.
   */
  part(part: EncoderPart, hasResults?: boolean): string
  /**
   * What a chunk of the AI SDK says that no part has, in the words of its UI message stream: called before the chunk's
   * parts, for a dialect of the same house. Its frames are of what has no part at all.
   */
  aside?(chunk: UIChunk): string
  /** An event the source wrote itself. */
  event(event: ServerSentEvent): string
  /** What comes before the sentinel. */
  end(end: EncoderEnd): string
  /**
   * The failure, in one frame or several; the last is `event: error` with JSON that holds `error: failure`, unless the
   * client would break on that. Also called alone, of an encoder that was given nothing else: for a failure that is told
   * without the run.
   */
  fail(failure: Failure): string
  /**
   * The whole answer as the value of one JSON body, for `stream: false`. It depends on nothing but what it is given: the
   * other methods may have been called, or not. A protocol without it cannot answer so.
   */
  answer?(parts: readonly AnswerPart[], end: EncoderEnd): unknown
}

/** The dialect spoken to the client: shared and stateless; what lives one run is the encoder. */
export interface Protocol {
  readonly name: string
  /** Extra response headers of a stream. */
  readonly headers?: Readonly<Record<string, string>>
  encoder(run: EncoderRun): Encoder
  /** The frame after a complete answer; empty for none. @default the event whose data is `[DONE]` */
  readonly sentinel?: string
  /**
   * The frame that is sent after silence, once an event was sent, where a comment does not keep a client waiting.
   * @default a comment
   */
  readonly heartbeat?: string
  /** The JSON body of an HTTP answer that refuses. @default `{ error: { code, message, retryable } }` */
  refusal?(failure: Failure & { status: number }): unknown
  /** The client bears nothing but `data` on the wire: no ids, no `retry`. Such a run is not resumed by id. */
  readonly dataOnly?: boolean
}
