/** Which types do all layers share? The one constant of the wire, `[DONE]`, is here too. */

/**
 * The sentinel: an event with this data means that the answer is complete, and nothing else does.
 */
export const DONE = '[DONE]'

/**
 * An event on the wire. The field names are those of the HTML standard.
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
  /** Ends like `return()`, then rejects with the error. */
  throw(error?: unknown): Promise<IteratorReturnResult<undefined>>
}

/**
 * An event a source writes itself: a plain object with `data` and no keys other than these. It passes through the
 * protocols as it is. `event: 'error'` and the sentinel are refused, because a source cannot forge an ending.
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

/** Token counts, on one scale for all providers. A count that the provider does not report is absent. */
export interface Usage {
  /** All input tokens, including those read from a cache or written into one. */
  inputTokens?: number
  /** All output tokens, reasoning included. */
  outputTokens?: number
  totalTokens?: number
  /** The input tokens that were read from the provider's cache. */
  cachedInputTokens?: number
  /** The input tokens that were written into the provider's cache. */
  cacheWriteInputTokens?: number
  /** The output tokens that were reasoning. */
  reasoningTokens?: number
}

/**
 * An answer begins, with the id and the model that the provider names. At most once per answer, before its first piece.
 */
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
  /** Empty in a part that carries only a signature or redacted reasoning. */
  text: string
  /** The provider's signature of all the reasoning before it. The next turn must give both back unchanged. */
  signature?: string
  /** Reasoning that the provider gives only in encrypted form. The next turn must give it back unchanged. */
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
  /** The provider rejected the call, so no client may run it. A text for the client, never the provider's own. */
  error?: string
  /**
   * A person must approve the call, and whoever runs it waits for that: the id that the person's answer names. In the
   * last piece, together with `executed`.
   */
  approval?: string
}
/** The result of a tool. It closes the tool's call. */
export interface ToolResultPart {
  type: 'tool-result'
  /** The id of the call. */
  id: string
  name?: string
  /** Any JSON value; `null` unless `toolResults` is on, since it may hold data that the client must not see. */
  output: unknown
  /** The tool failed. A text for the client. */
  error?: string
}
/** Token counts so far; later ones replace earlier ones field by field. */
export interface UsagePart {
  type: 'usage'
  usage: Usage
}
/** The provider reported that the answer has ended, and why. */
export interface FinishPart {
  type: 'finish'
  reason: FinishReason
}
/** Anything else for the client, under a name: citations are `citation`, files are `file`. */
export interface DataPart {
  type: 'data'
  name: string
  data: unknown
  /** In clients that keep data, a part with the same name and id replaces the earlier one. */
  id?: string
  /** Only for the moment: clients that keep a history leave it out. */
  transient?: boolean
}
/** The source failed. Only the server sees the original error. */
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

/** The parts that an encoder gets one by one. Usage and finish come once, with `end`; an error comes with `fail`. */
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
  /** Whether asking again may help. A hint for the application: nothing in this library acts on it. */
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

/** The members of a `fetch` response that are needed to read its event stream. */
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

/** What an encoder is told about its run. */
export interface EncoderRun {
  readonly runId: string
}

/** How a complete answer ended. Given once, at the end, whenever the provider reported it. */
export interface EncoderEnd {
  finishReason?: FinishReason
  usage?: Usage
}

/**
 * What a whole answer consists of, in order. Text and reasoning that follow each other are joined. Each tool call is
 * whole, at the place of its first piece. Own events are included, and so are the chunks that an encoder takes with
 * `chunk` or `aside`.
 */
export type AnswerPart =
  | EncoderPart
  | { type: 'event'; event: ServerSentEvent }
  | { type: 'chunk'; chunk: unknown; event: string | undefined }

/** A chunk of the AI SDK's UI message stream: what all its types have in common. */
export interface UIChunk {
  readonly type: string
  readonly [key: string]: unknown
}

/**
 * Turns one run into frames: text in which each event ends with a blank line. An empty string is no frame. Frames carry
 * no `id`: the relay or the log adds it.
 */
export interface Encoder {
  /**
   * Called instead of `part`, in a protocol that sends the provider's own chunks: with each chunk that is not empty and
   * holds no failure, and with the name that the provider gives such an event on the wire, if any.
   */
  chunk?(chunk: unknown, event: string | undefined): string
  /**
   * A part of the answer. Usage and finish come with `end`. With `hasResults` tool results may follow their calls, so
   * that only the end shows which calls the client must run.
   */
  part(part: EncoderPart, hasResults?: boolean): string
  /**
   * Called before the parts of an AI SDK chunk that says something no part can carry; `chunk` has the form of the SDK's
   * UI message stream. For the dialect that the AI SDK's clients read. Return frames only for what no part carries.
   */
  aside?(chunk: UIChunk): string
  /** An event the source wrote itself. */
  event(event: ServerSentEvent): string
  /** What comes before the sentinel. */
  end(end: EncoderEnd): string
  /**
   * The failure, in one frame or several; the last is `event: error` with JSON that holds `error: failure`, unless the
   * client would break on that. Also called on an encoder that got nothing else, for a failure that is sent without its
   * run.
   */
  fail(failure: Failure): string
  /**
   * The whole answer as the value of one JSON body, for `stream: false`. It may depend only on its arguments: the other
   * methods may have been called, or not. A protocol without it cannot answer `stream: false`.
   */
  answer?(parts: readonly AnswerPart[], end: EncoderEnd): unknown
}

/** The dialect spoken to the client. Shared by all runs and stateless: the state of a run is in its encoder. */
export interface Protocol {
  readonly name: string
  /** Extra response headers of a stream. */
  readonly headers?: Readonly<Record<string, string>>
  encoder(run: EncoderRun): Encoder
  /** The frame after a complete answer; empty for none. @default the event whose data is `[DONE]` */
  readonly sentinel?: string
  /**
   * The frame sent after silence, for clients that a comment does not keep waiting. Before the first event a comment is
   * sent instead.
   * @default a comment
   */
  readonly heartbeat?: string
  /** The JSON body of an HTTP error answer. @default `{ error: { code, message, retryable } }` */
  refusal?(failure: Failure & { status: number }): unknown
  /** The client accepts nothing but `data` on the wire: no ids, no `retry`. Such a run is not resumed by id. */
  readonly dataOnly?: boolean
}
