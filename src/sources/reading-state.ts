/** What has been read of one run so far: its parts, whether its answer is complete, and what the next chunk needs. */
import { isObject, RelayError } from '../errors.js'
import { warnOnce } from '../report.js'
import type { FinishReason, Part, UIChunk, Usage } from '../types.js'
import { providerError } from './chunk-failure.js'
import { countsOf } from './counts.js'
import { meaningOf } from './finish.js'
import { type CallHead, type CallKey, Calls } from './tool-calls.js'
import { Upstream } from './upstream-state.js'

/** A provider's or framework's shape of chunk: how it is known, and what it says. */
export interface ChunkShape {
  /** Knows a chunk among all others: cheap, and without calling getters. */
  is(chunk: object): boolean
  /** Knows a chunk that might be anybody's, but is of this shape after another that is. */
  follows?(chunk: never): boolean
  /** Says what the chunk means. What throws here is told as `upstream-failure`: a chunk that is not in its format. */
  read(chunk: never, reading: Reading): void
  /** The name the chunk's event has on the provider's own wire, if it has one. */
  event?(chunk: never): string
  /**
   * Of a provider's wire what `raw()` sends of the chunk: it, without what is not for the client (headers, prompts, results
   * of tools). Of a shape that has no such it sends the parts.
   */
  redact?(chunk: never): object
  /** What the chunk says that no part has, in the words of the AI SDK's UI message stream: for streams of the AI SDK. */
  aside?(chunk: never): UIChunk | undefined
  /** Its answers end with a word of their own: a sentinel that a gateway sends behind them is none. */
  hasEnd?: boolean
  /** Whether a chunk that `raw()` sends comes before the provider has answered at all: a refusal is still to be a status. */
  isEarly?(chunk: never): boolean
  /** The name of a provider whose streams nothing stops but the signal the call was given, if the chunk is of one. */
  signalOnly?(chunk: never): string | undefined
  /** Its tools may be run before the stream reaches us: their results are in it. */
  hasResults?: boolean
  /** What the tools of the agent answered is for the page already: the stream was made for it. */
  showsResults?: boolean
}

/** What is said of a call that its provider rejected, and of a tool that failed: their own words stay here. */
const REJECTED = 'The tool could not be called with this input.'
const TOOL_FAILED = 'The tool failed.'
const DENIED = 'The tool was not allowed to run.'
const TAKEN_BACK = 'The call was taken back.'

/**
 * What has been read of one run. A shape says with its methods what a chunk means; what follows from that, for every
 * provider the same, is seen to here.
 *
 * Proof: `not-needed` (strings, own parts) → `missing` at a provider's first chunk → `given` at its finish, or `broken`
 * at a word for an answer that was broken off → `missing` when another answer begins. Nothing that comes after the
 * finish of the same answer takes the proof back.
 */
export class Reading {
  /** The parts of the latest chunk. */
  readonly parts: Part[] = []
  /** The latest chunk, out of the server-sent event that held it. */
  chunk: unknown
  /** A stream that came as a chunk is read in its place; bytes at the very beginning are the stream itself. */
  inner: object | undefined
  /** The shape the latest chunk has, if it has one. */
  shape: ChunkShape | undefined
  /** The shape that the last known chunk had: asked first. */
  known: ChunkShape | undefined
  /** The upstream, if the chunks are one's: objects that no shape knows are none of the user's own. */
  upstream: Upstream | undefined
  /** The keys of the first chunk that was left out, since no shape knows it. */
  leftOut: string | undefined
  proof: 'not-needed' | 'missing' | 'given' | 'broken' = 'not-needed'
  /** The shape that an SDK's answer has of which a chunk alone would not tell. */
  expected: ChunkShape | undefined
  /** Whether an object came that no shape knows, and whether any text did. */
  sawObject = false
  sawText = false
  /** The answer is over, though the stream goes on: a session's, which has many. */
  isOver = false
  /** What failed, if nothing has come after it. */
  failure: Error | undefined
  /** The end came before anything of the answer: if something follows, it was none. */
  endedBlank = false
  /** The keys of what came last, if no shape knows it: it may be a failure in a server's own words. */
  untold: string | undefined
  /** The model refused: its finish is `content-filter`, whatever the provider calls it. */
  refused = false
  /** Chunks are read one by one, without those before. */
  readonly isSingle: boolean

  #id: string | undefined
  #idVaries = false
  #roles = 0
  /** A chunk came with a role, and with nothing else: another answer begins with what follows. */
  #hasRole = false
  #isStarted = false
  #steps = 0
  #textBreak = true
  #reasoningBreak = true
  #text = ''
  #reasoning = ''
  #usage: Usage | undefined
  #reason: FinishReason | undefined
  #hasReason = false
  #notes: Record<string, unknown> | undefined
  #kept: Record<string, unknown> | undefined
  #calls: Calls | undefined
  #hasData = false

  constructor(isSingle = false) {
    this.isSingle = isSingle
  }

  /** A shape's own notes on the answer at hand: emptied when another begins. */
  get notes(): Record<string, unknown> {
    this.#notes ??= {}
    return this.#notes
  }

  /** Those on the run, which an answer that begins does not empty. */
  get kept(): Record<string, unknown> {
    this.#kept ??= {}
    return this.#kept
  }

  /** Made when there is one: its tables would be more than a kilobyte of every open stream. */
  get calls(): Calls {
    this.#calls ??= new Calls(this.parts, this.isSingle)
    return this.#calls
  }

  get hasCalls(): boolean {
    return this.#calls !== undefined
  }

  /** What is read is an upstream's. */
  ofUpstream(): Upstream {
    this.upstream ??= new Upstream()
    return this.upstream
  }

  /** Whether nothing was read yet. */
  get isFresh(): boolean {
    return this.known === undefined && !this.sawText && !this.sawObject
  }

  /** Whether nothing came that a client could show. */
  get isBlank(): boolean {
    return !this.sawText && this.#reasoning === '' && !this.hasCalls && !this.#hasData
  }

  /**
   * Another answer begins, or another turn of an agent: its end is waited for, its calls are others, and its text is a
   * paragraph of its own.
   */
  begin(): void {
    this.close(true)
    this.proof = 'missing'
    this.#reason = undefined
    this.failure = undefined
    this.refused = false
    this.#notes = undefined
    this.#calls?.begin()
    this.#textBreak = this.#reasoningBreak = true
    this.#isStarted = false
    this.#idVaries = false
    this.#roles = 0
    this.#hasRole = false
    this.#usage = undefined
  }

  /** Another turn of the same agent begins, which clients show as a step of its own. */
  step(): void {
    this.begin()
    if (this.#steps++ > 0) this.parts.push({ type: 'start' })
  }

  /** The step is taken back. Text cannot be, where a client has it: what comes instead is a paragraph of its own. */
  takeBack(): void {
    this.#calls?.takeBack(TAKEN_BACK)
    this.#textBreak = this.#reasoningBreak = true
  }

  /** Whether something of the answer at hand came. */
  get isStarted(): boolean {
    return this.#isStarted
  }

  /** What the provider calls the answer; told once. */
  start(id: unknown, model?: unknown, created?: unknown): void {
    if (this.#isStarted || this.isSingle) return
    this.#isStarted = true
    const start = {
      ...(typeof id === 'string' && id !== '' && { id }),
      ...(typeof model === 'string' && model !== '' && { model }),
      ...(typeof created === 'number' && { created }),
    }
    if (Object.keys(start).length > 0) this.parts.push({ type: 'start', ...start })
  }

  /** Whether the answer at hand has this id. */
  isOf(id: unknown): boolean {
    return !!id && id === this.#id
  }

  /**
   * For providers that say the id of the answer in each chunk: begins another answer where the chunk is of one. Some give
   * each chunk an id of its own, or none: there the role tells, which comes once an answer.
   */
  identify(id: string | null | undefined, said: { role?: unknown } | null | undefined): void {
    let hasRole = said?.role !== undefined
    if (this.proof === 'given' || this.proof === 'broken') {
      const hasIds = id && this.#id && !this.#idVaries
      hasRole ||= this.#hasRole
      if (hasIds ? id === this.#id : !hasRole || this.#roles !== 1) return
      // Some servers end with one that is empty: then nothing follows it.
      this.#hasRole = !hasIds && this.#reason !== 'tool-calls' && !Object.values({ ...said, role: '' }).some(isFull)
      if (this.#hasRole) return
      this.begin()
    } else if (id && this.#id && id !== this.#id) this.#idVaries = true
    if (hasRole) this.#roles++
    if (id) this.#id = id
  }

  /** The next piece of the answer's text, unless it is empty. */
  text(text: string | number | null | undefined): void {
    if (typeof text !== 'string') {
      if (text === null || text === undefined || (text as unknown) === false) return
      if (typeof text !== 'number') throw new TypeError('There is no text in it')
      text = String(text)
    }
    if (text === '') return
    if (this.#textBreak) {
      this.#textBreak = false
      text = apart(text, this.#text)
    }
    this.sawText = true
    this.#text = text
    this.parts.push({ type: 'text', text })
  }

  /** The next piece of reasoning, unless it is empty. Some servers have it in objects; what has no text there is left out. */
  reasoning(text: unknown): void {
    if (Array.isArray(text)) for (const piece of text) this.reasoning(piece)
    else if (isObject(text)) {
      const { text: inner, content, thinking } = text as Record<string, unknown>
      text = [inner, content, thinking].find((value) => typeof value === 'string')
    }
    if (typeof text !== 'string' || text === '') return
    if (this.#reasoningBreak) {
      this.#reasoningBreak = false
      text = apart(text, this.#reasoning)
    }
    this.#reasoning = text as string
    this.parts.push({ type: 'reasoning', text: text as string })
  }

  /** The provider's signature of the reasoning before it, whole. */
  signature(signature: unknown): void {
    if (typeof signature === 'string' && signature !== '') this.parts.push({ type: 'reasoning', text: '', signature })
  }

  /** Reasoning that is told in encrypted form only. */
  redacted(redacted: unknown): void {
    if (typeof redacted === 'string' && redacted !== '') this.parts.push({ type: 'reasoning', text: '', redacted })
  }

  /** The provider means a break: the next piece of reasoning, or of text, is a paragraph of its own. */
  paragraph(kind: 'text' | 'reasoning'): void {
    if (kind === 'text') this.#textBreak = true
    else this.#reasoningBreak = true
  }

  /** Whether any of the paragraph came, where its whole is told after its pieces. Of a chunk that is read alone nobody knows. */
  isTold(kind: 'text' | 'reasoning'): boolean {
    return this.isSingle || !(kind === 'text' ? this.#textBreak : this.#reasoningBreak)
  }

  /**
   * The next piece of a call's JSON text; some servers give its value instead, which is whole, unless it is empty: then it
   * may follow.
   */
  call(key: CallKey, input: unknown, head?: CallHead): void {
    const isValue = isObject(input)
    if (isValue && ((this.isSingle && key === undefined) || Object.keys(input).length > 0))
      this.calls.whole(key, input, head)
    else this.calls.piece(key, isValue ? '{}' : typeof input === 'string' ? input : '', head)
  }

  /** The provider rejected a call: no client may run it. */
  reject(key: CallKey, head?: CallHead, input?: unknown): void {
    this.calls.reject(key, REJECTED, head, input)
  }

  /** What a tool answered, or nothing. It goes out only where the developer said so. */
  result(id: string | undefined, output: unknown, name?: string, hasFailed?: boolean | null): void {
    this.calls.result(id ?? '', output ?? null, name, hasFailed ? TOOL_FAILED : undefined)
  }

  /** A call that somebody did not allow. */
  deny(id: string | undefined, name?: string): void {
    this.calls.result(id ?? '', null, name, DENIED)
  }

  /** Something else for the client, under a name. */
  data(name: string, data: unknown, more?: { id?: string; transient?: boolean }): void {
    this.#hasData = true
    this.parts.push({ type: 'data', name, data, ...more })
  }

  citation(citation: unknown): void {
    if (citation) this.data('citation', citation)
  }

  /** A file, by its address or its content in base64. */
  file(mediaType: string | undefined, url: string | undefined, base64?: string): void {
    const address = url ?? (base64 && `data:${mediaType ?? 'application/octet-stream'};base64,${base64}`)
    if (address) this.data('file', { ...(mediaType && { mediaType }), url: address })
  }

  /** An image in base64. */
  image(base64: string | undefined, format: unknown = 'png'): void {
    this.file(`image/${format}`, undefined, base64)
  }

  /** Token counts, as far as they are numbers: they are merged field by field. */
  usage(counts: { [K in keyof Usage]?: unknown }): void {
    // Gemini counts with every chunk: making lists of entries here took a fifth of a token's CPU.
    const usage: Usage = {}
    for (const name of Object.keys(counts) as (keyof Usage)[]) {
      const count = counts[name]
      // Of counts that come in halves one may be a zero where nothing was counted.
      if (Number.isFinite(count) && (count || !this.#usage?.[name])) usage[name] = count as number
    }
    if (Object.keys(usage).length === 0) return
    this.#usage = { ...this.#usage, ...usage }
    this.parts.push({ type: 'usage', usage })
  }

  /**
   * The counts in an object of the provider's, whatever it calls them. Where the total says that some are counted beside the
   * others (xAI's reasoning, Bedrock's cache), they are part of them on the common scale.
   */
  counts(told: unknown): void {
    const counts = countsOf(told)
    const { inputTokens: input = 0, outputTokens: output = 0, totalTokens: total, reasoningTokens: thought } = counts
    const cache = (counts.cachedInputTokens ?? 0) + (counts.cacheWriteInputTokens ?? 0)
    if (thought && total === input + output + thought) counts.outputTokens = output + thought
    else if (cache && total === input + output + cache) counts.inputTokens = input + cache
    this.usage(counts)
  }

  /** The counts of the answer so far, for providers that tell them in halves. */
  get counted(): Usage {
    return this.#usage ?? {}
  }

  /**
   * The provider's word for why the model stopped, where it proves nothing yet. After calls that nobody answered the
   * word for a plain stop means that they are to be run.
   */
  finish(word: unknown): void {
    const said = meaningOf(word)
    if (said === 'broken') this.proof = 'broken'
    if (said === 'broken' || said === 'nothing') return
    // Gateways end with a stop of their own what their provider has ended for another reason.
    if (said === 'stop' && /^(length|content-filter|error)$/.test(this.#reason ?? '')) return
    const reason = this.refused ? 'content-filter' : said === 'stop' && this.#calls?.isWaiting ? 'tool-calls' : said
    this.#reason = reason
    this.#hasReason = true
    // A model that ran out of room has not written its last call to the end.
    if (reason === 'stop' || reason === 'tool-calls') this.#calls?.wholeDone()
    this.parts.push({ type: 'finish', reason })
  }

  /** The provider says that the answer has ended, and why, if it says so. A word for "broken off" is no such end. */
  end(word?: unknown): void {
    if (word) {
      if (meaningOf(word) === 'nothing') return
      this.finish(word)
    }
    this.endedBlank = this.isBlank
    if (this.proof !== 'broken') this.proof = 'given'
  }

  /** The sentinel of an event stream, or what servers have for it: the end of what was understood, where that has no other. */
  sentinel(): void {
    if (!this.untold && !(this.known?.hasEnd && this.#reason === undefined)) this.end()
  }

  /**
   * The run waits for a person. Its agent goes on with the calls itself then; without an id with all of them. `approval`
   * where it asks whether the call may run: what the answer is to name.
   */
  wait(id?: string, approval?: string): void {
    if (this.#calls ?? this.isSingle) this.calls.postpone(id, approval)
    this.finish('suspended')
  }

  /**
   * Nothing more comes of the answer: calls, or pieces of them, that came after its finish are of it all the same. An end
   * without a word leaves no call open either: where another answer follows, somebody has run them.
   */
  close(isFollowed = false): void {
    const reason = this.#reason
    if (this.proof !== 'given' || !/^(stop|tool-calls|undefined)$/.test(`${reason}`)) return
    if (isFollowed && !reason) this.#calls?.openAreExecuted()
    if (reason !== 'tool-calls' && this.#calls?.isWaiting) this.finish('tool_calls')
    // The last word counts, and that was another answer's.
    else if (!isFollowed && !reason && this.#hasReason) this.finish('stop')
    // Some servers say that calls are to be run where the model ran out of room in the middle of one.
    if (this.#calls?.allDone() === false && !isFollowed) this.finish('length')
  }

  /** A chunk that no shape knows stays here, which is said. */
  leave(chunk: object, name?: string): void {
    const named = name === undefined ? '' : ` in an event named ${name.slice(0, 100)}`
    const what = `a chunk that no provider's shape knows${withKeys(chunk)}${named}`
    this.leftOut ??= what
    warnOnce(
      'unknown',
      `${what} was left out. What is for the client goes as { type: 'data', name, data } or as an event of your own, { event, data }`,
    )
  }

  /** What is new in a text, where all of it so far is told again and again; nothing where it is another text. */
  restOf(text: string, key: string): string | undefined {
    const before = (this.notes[key] ?? '') as string
    this.notes[key] = text
    return text.startsWith(before) ? text.slice(before.length) : undefined
  }

  /** The provider reports a failure: its words are for the developer. */
  error(told: unknown): void {
    this.parts.push({ type: 'error', error: providerError(told) })
  }

  /**
   * A failure that may be tried again, or that is thrown as well and tells more then: it counts if the stream ends
   * without either.
   */
  failed(told: unknown): void {
    this.failure = providerError(told)
    this.proof = 'broken'
  }

  /** The upstream says itself that the answer was cut. */
  cut(message: string): void {
    this.parts.push({ type: 'error', error: new RelayError('truncated', message, { retryable: true }) })
  }
}

/** What begins a paragraph, with a blank line before it. */
function apart(text: string, before: string): string {
  return before === '' || before.endsWith('\n') || text.startsWith('\n') ? text : `\n\n${text}`
}

function isFull(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : !!value
}

/** For a message to the developer. */
export function withKeys(chunk: object): string {
  const keys = Object.keys(chunk)
  return keys.length === 0 ? '' : ` with the keys ${keys.slice(0, 12).join(', ').slice(0, 200)}`
}
