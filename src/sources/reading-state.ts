/** What has been read of one run so far: its parts, is its answer complete, and what does the next chunk need? */
import { isObject, RelayError } from '../errors.js'
import { warnOnce } from '../report.js'
import type { FinishReason, Part, UIChunk, Usage } from '../types.js'
import { providerError } from './chunk-failure.js'
import { countsOf } from './counts.js'
import { meaningOf } from './finish.js'
import { type CallHead, type CallKey, Calls } from './tool-calls.js'
import { Upstream } from './upstream-traits.js'

/** A provider's or framework's shape of chunk: how to recognise it, and what it says. */
export interface ChunkShape {
  /** Recognises a chunk among all others. Must be cheap, and must not call getters. */
  is(chunk: object): boolean
  /** Recognises a chunk that could be anybody's, but has this shape when it follows a chunk that has. */
  follows?(chunk: never): boolean
  /**
   * Says what the chunk means. What it throws becomes `upstream-failure`: the chunk is not in its provider's format.
   */
  read(chunk: never, reading: Reading): void
  /** The name of the chunk's event on the provider's own wire, if it has one. */
  event?(chunk: never): string
  /**
   * For a shape that is a provider's wire: the chunk as `raw()` sends it, without what is not for the client (headers,
   * prompts, results of tools). For a shape without `redact`, `raw()` sends the parts.
   */
  redact?(chunk: never): object
  /** What a chunk of an AI SDK stream says that no part can hold, in the terms of the AI SDK's UI message stream. */
  aside?(chunk: never): UIChunk | undefined
  /** Whether the answer must have its own end: then a sentinel that a gateway sends after it proves nothing. */
  hasEnd?(reading: Reading): boolean
  /** Whether the chunk comes before the provider's answer: a refusal after it must still become an HTTP status. */
  isEarly?(chunk: never): boolean
  /** The provider's name, if only the signal given to its call stops the stream that the chunk is from. */
  signalOnly?(chunk: never): string | undefined
  /** Its tools may run before the stream reaches us, so the stream contains their results. */
  hasResults?: boolean
  /** The stream was made for the page, so the results of the agent's tools may go out to it. */
  showsResults?: boolean
}

/** What clients read about a rejected call and a failed tool: the provider's own words stay on the server. */
const REJECTED = 'The tool could not be called with this input.'
const TOOL_FAILED = 'The tool failed.'
const DENIED = 'The tool was not allowed to run.'
const TAKEN_BACK = 'The call was taken back.'

/**
 * What has been read of one run. A shape calls the methods to say what a chunk means; the consequences, the same for
 * all providers, are drawn here.
 *
 * Proof: `not-needed` (strings, own parts) → `missing` at a provider's first chunk → `given` at its finish, or `broken`
 * at a word for an answer that was broken off → `missing` when another answer begins. Nothing that comes after the
 * finish of the same answer takes the proof back.
 */
export class Reading {
  /** The parts of the latest chunk. */
  readonly parts: Part[] = []
  /** The latest chunk, taken out of the server-sent event that held it. */
  chunk: unknown
  /** A stream that came as a chunk, and is read in its place. Bytes at the very beginning are the stream itself. */
  inner: object | undefined
  /** The shape of the latest chunk, if it has one. */
  shape: ChunkShape | undefined
  /** The shape of the last chunk that had one: it is asked first. */
  known: ChunkShape | undefined
  /** The upstream, if the chunks are from one: then an object that no shape knows is not the user's own. */
  upstream: Upstream | undefined
  /** Words with the keys of the first chunk that was left out because no shape knows it. */
  leftOut: string | undefined
  proof: 'not-needed' | 'missing' | 'given' | 'broken' = 'not-needed'
  /** The shape of an SDK's answer whose chunks alone would not show it. */
  expected: ChunkShape | undefined
  /** Whether an object came that no shape knows, and whether any text did. */
  sawObject = false
  sawText = false
  /** The answer is over although the stream goes on: a session has many answers. */
  isOver = false
  /** What failed, if nothing has come since. */
  failure: Error | undefined
  /** The end came before anything of the answer: if something follows, it was not the end. */
  endedBlank = false
  /** Another answer began: the counts of the one before are not its own. */
  countsAnew = false
  /** The chunks come in the events of a parser: those without a name are the upstream's, whatever they hold. */
  isHeld = false
  /** The stream is an SDK's: an end before any chunk is not an empty answer. */
  isOwed = false
  /** The keys of the latest chunk, if no shape knows it: it may be a failure in a server's own words. */
  unknownKeys: string | undefined
  /** The model refused: its finish is `content-filter`, whatever the provider calls it. */
  refused = false
  /** Each chunk is read alone, without those before it. */
  readonly isSingle: boolean

  #id: string | undefined
  #idVaries = false
  #roles = 0
  /** A chunk came with a role and nothing else: the next chunk begins another answer. */
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

  /** A shape's own notes about the current answer, cleared when another begins. */
  get notes(): Record<string, unknown> {
    this.#notes ??= {}
    return this.#notes
  }

  /** A shape's notes about the run, which are kept when another answer begins. */
  get kept(): Record<string, unknown> {
    this.#kept ??= {}
    return this.#kept
  }

  /** Made at the first call: its tables would add more than a kilobyte to every open stream. */
  get calls(): Calls {
    this.#calls ??= new Calls(this.parts, this.isSingle)
    return this.#calls
  }

  get hasCalls(): boolean {
    return this.#calls !== undefined
  }

  /** Notes that the chunks are an upstream's. */
  ofUpstream(): Upstream {
    this.upstream ??= new Upstream()
    return this.upstream
  }

  /** Whether nothing has been read yet. */
  get isFresh(): boolean {
    return this.known === undefined && !this.sawText && !this.sawObject
  }

  /** Whether nothing has come that a client could show. */
  get isBlank(): boolean {
    return !this.sawText && this.#reasoning === '' && !this.hasCalls && !this.#hasData
  }

  /** Another answer or turn of an agent begins: it needs its own end, has its own calls, and begins a paragraph. */
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
    if (this.#usage) this.countsAnew = true
    this.#usage = undefined
  }

  /** Another turn of the same agent begins; clients show it as a separate step. */
  step(): void {
    this.begin()
    if (this.#steps++ > 0) this.parts.push({ type: 'start' })
  }

  /** The step is taken back. Text that a client already has cannot be, so what follows is a paragraph of its own. */
  takeBack(): void {
    this.#calls?.takeBack(TAKEN_BACK)
    this.#textBreak = this.#reasoningBreak = true
  }

  /** Whether anything of the current answer has come. */
  get isStarted(): boolean {
    return this.#isStarted
  }

  /** The provider's name for the answer; it counts once. */
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

  /** Whether the current answer has this id. */
  isOf(id: unknown): boolean {
    return !!id && id === this.#id
  }

  /**
   * For providers that send the answer's id in each chunk: begins another answer if the chunk belongs to one. Some
   * servers give each chunk its own id, or none: there the role tells, which comes once per answer.
   */
  identify(id: string | null | undefined, said: { role?: unknown } | null | undefined): void {
    let hasRole = said?.role !== undefined
    if (this.proof === 'given' || this.proof === 'broken') {
      const hasIds = id && this.#id && !this.#idVaries
      hasRole ||= this.#hasRole
      if (hasIds ? id === this.#id : !hasRole || this.#roles !== 1) return
      // Some servers end with a role in an otherwise empty chunk, and nothing follows.
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

  /** The next piece of reasoning, unless it is empty. Some servers send objects: an object without text is skipped. */
  reasoning(text: unknown): void {
    if (Array.isArray(text)) for (const piece of text) this.reasoning(piece)
    else if (isObject(text)) {
      const { text: inner, content, thinking, thought } = text as Record<string, unknown>
      text = [inner, content, thinking, thought].find((value) => typeof value === 'string')
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

  /** Reasoning that the provider sends in encrypted form only. */
  redacted(redacted: unknown): void {
    if (typeof redacted === 'string' && redacted !== '') this.parts.push({ type: 'reasoning', text: '', redacted })
  }

  /** The provider marks a break: the next piece of text or reasoning begins a paragraph. */
  paragraph(kind: 'text' | 'reasoning'): void {
    if (kind === 'text') this.#textBreak = true
    else this.#reasoningBreak = true
  }

  /** Whether a piece of the paragraph came, for a whole that follows pieces. Unknown for a chunk that is read alone. */
  isTold(kind: 'text' | 'reasoning'): boolean {
    return this.isSingle || !(kind === 'text' ? this.#textBreak : this.#reasoningBreak)
  }

  /** The next piece of a call's JSON text. Some servers send the value instead: if it is empty, more may follow. */
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

  /** What a tool answered, or nothing. It goes out only if the developer allowed it. */
  result(id: string | undefined, output: unknown, name?: string, hasFailed?: boolean | null): void {
    this.calls.result(id ?? '', output ?? null, name, hasFailed ? TOOL_FAILED : undefined)
  }

  /** A call that was not allowed. */
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

  /** A file: its address, or its content in base64. */
  file(mediaType: string | undefined, url: string | undefined, base64?: string): void {
    const address = url ?? (base64 && `data:${mediaType ?? 'application/octet-stream'};base64,${base64}`)
    if (address) this.data('file', { ...(mediaType && { mediaType }), url: address })
  }

  /** An image in base64. */
  image(base64: string | undefined, format: unknown = 'png'): void {
    this.file(`image/${format}`, undefined, base64)
  }

  /** Token counts. Values that are not numbers are skipped; the others are merged field by field. */
  usage(counts: { [K in keyof Usage]?: unknown }): void {
    // Gemini sends counts with every chunk: making lists of entries here took a fifth of a token's CPU.
    const usage: Usage = {}
    for (const name of Object.keys(counts) as (keyof Usage)[]) {
      const count = counts[name]
      // Where counts are spread over several chunks, a zero may mean that nothing was counted.
      if (Number.isFinite(count) && (count || !this.#usage?.[name])) usage[name] = count as number
    }
    if (Object.keys(usage).length === 0) return
    this.#usage = { ...this.#usage, ...usage }
    this.parts.push({ type: 'usage', usage })
  }

  /**
   * The counts in a provider's object, under whatever names. If the total shows that some are counted beside the others
   * (xAI's reasoning, Bedrock's cache), they are added to those others, as on our common scale.
   */
  counts(told: unknown): void {
    const counts = countsOf(told)
    const { inputTokens: input = 0, outputTokens: output = 0, totalTokens: total, reasoningTokens: thought } = counts
    const cache = (counts.cachedInputTokens ?? 0) + (counts.cacheWriteInputTokens ?? 0)
    if (thought && total === input + output + thought) counts.outputTokens = output + thought
    else if (cache && total === input + output + cache) counts.inputTokens = input + cache
    this.usage(counts)
  }

  /** The counts of the answer so far, for providers that spread them over several chunks. */
  get counted(): Usage {
    return this.#usage ?? {}
  }

  /**
   * The provider's word for why the model stopped; alone it proves nothing. After calls that nobody answered, a plain
   * stop means that the calls are to be run.
   */
  finish(word: unknown): void {
    const said = meaningOf(word)
    if (said === 'broken') this.proof = 'broken'
    if (said === 'broken' || said === 'nothing') return
    // Some gateways add a `stop` of their own when their provider has ended for another reason.
    if (said === 'stop' && /^(length|content-filter|error)$/.test(this.#reason ?? '')) return
    const reason = this.refused ? 'content-filter' : said === 'stop' && this.#calls?.isWaiting ? 'tool-calls' : said
    this.#reason = reason
    this.#hasReason = true
    // A model that ran out of tokens has not finished writing its last call.
    if (reason === 'stop' || reason === 'tool-calls') this.#calls?.wholeDone()
    this.parts.push({ type: 'finish', reason })
  }

  /** The provider says that the answer has ended, and why, if it says so. A word for "broken off" is not an end. */
  end(word?: unknown): void {
    if (word) {
      if (meaningOf(word) === 'nothing') return
      this.finish(word)
    }
    this.endedBlank = this.isBlank
    if (this.proof !== 'broken') this.proof = 'given'
  }

  /** The sentinel, or a server's equivalent: ends the answer if it was understood and its shape has no other end. */
  sentinel(): void {
    if (!this.unknownKeys && !this.known?.hasEnd?.(this)) this.end()
  }

  /**
   * The run waits for a person; then its agent runs the calls itself (all of them, without an `id`). `approval` is the
   * id that the person's answer must name, where the question is whether the call may run.
   */
  wait(id?: string, approval?: string): void {
    if (this.#calls ?? this.isSingle) this.calls.postpone(id, approval)
    this.finish('suspended')
  }

  /**
   * Nothing more of the answer comes. Calls, or pieces of them, that came after its finish still belong to it. An end
   * without a word leaves no call open either: if another answer follows, somebody has run them.
   */
  close(isFollowed = false): void {
    const reason = this.#reason
    if (this.proof !== 'given' || !/^(stop|tool-calls|undefined)$/.test(`${reason}`)) return
    if (isFollowed && !reason) this.#calls?.openAreExecuted()
    if (reason !== 'tool-calls' && this.#calls?.isWaiting) this.finish('tool_calls')
    // The last finish reason counts, and the last one so far was another answer's.
    else if (!isFollowed && !reason && this.#hasReason) this.finish('stop')
    // Some servers ask for the calls to be run although the model ran out of tokens in the middle of one.
    if (this.#calls?.allDone() === false && !isFollowed) this.finish('length')
  }

  /** A chunk that no shape knows stays on the server, with one warning per process. */
  leaveOut(chunk: object, name?: string): void {
    const named = name === undefined ? '' : ` in an event named ${name.slice(0, 100)}`
    const what = `a chunk that no provider's shape knows${withKeys(chunk)}${named}`
    this.leftOut ??= what
    warnOnce(
      'unknown',
      `${what} was left out. What is for the client goes as { type: 'data', name, data } or as an event of your own, { event, data }`,
    )
  }

  /** The new end of a text that is repeated from its beginning each time; `undefined` if it is another text. */
  restOf(text: string, key: string): string | undefined {
    const before = (this.notes[key] ?? '') as string
    this.notes[key] = text
    return text.startsWith(before) ? text.slice(before.length) : undefined
  }

  /** The provider reports a failure. Its words are for the developer. */
  error(told: unknown): void {
    this.parts.push({ type: 'error', error: providerError(told) })
  }

  /** A failure that may be retried, or that is also thrown with more detail: it counts if the stream just ends. */
  failed(told: unknown): void {
    this.failure = providerError(told)
    this.proof = 'broken'
  }

  /** The upstream says itself that the answer was cut. */
  cut(message: string): void {
    this.parts.push({ type: 'error', error: new RelayError('truncated', message, { retryable: true }) })
  }
}

/** The first piece of a paragraph, with a blank line before it where that is needed. */
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
