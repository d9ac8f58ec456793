/** How do the chunks of a run become the frames of one answer, and is that answer complete? */
import { flatten } from './encode.js'
import { isRelayError, RelayError, show } from './errors.js'
import { isWhole } from './event-id.js'
import { asMistake, mistake } from './failure.js'
import type { RelayOptions } from './options.js'
import { refuseError, toJson } from './protocols/frames.js'
import { text } from './protocols/text.js'
import { warnOnce } from './report.js'
import { type ChunkShape, Reading, readChunk, readRest } from './sources/read-chunk.js'
import { Halves, isHalved } from './surrogates.js'
import {
  DONE,
  type Encoder,
  type ErrorPart,
  type FinishReason,
  type OwnEvent,
  type Protocol,
  type Summary,
  type ToolResultPart,
  type Usage,
} from './types.js'

const MAX_TEXT = 1_048_576
/** The most characters held back until the answer begins. With more they are sent, and a refusal is an event. */
const MAX_EARLY = 65_536
/** Begins the key of an own event's text among the texts that end with half a character. Its name follows. */
const EVENT = 'event '

/** What a run knows of its answer: all that its chunks have said so far. */
export class Answer {
  readonly encoder: Encoder
  /** How many events were sent. The run counts them. */
  events = 0
  /** The failure that the latest chunk holds: it ends the run, after what came before it in the chunk. */
  errorPart: ErrorPart | undefined
  readonly reading = new Reading()
  readonly #options: RelayOptions
  /** Frames held back until the answer begins. */
  #early = ''
  #halves: Halves | undefined
  /** Whether the source yielded null or undefined. */
  #sawNull = false
  #text = ''
  /** How many characters of the text are flattened; `undefined` if nobody wants the text. */
  #flat: number | undefined
  /** The text before, as long as each began with the one before it. */
  #before: string | undefined = ''
  /** How many texts did so. */
  #grown = 0
  #usage: Usage | undefined
  #finishReason: FinishReason | undefined

  constructor(runId: string, options: RelayOptions) {
    const { onEnd, protocol = text() } = options
    this.#options = options
    this.#flat = onEnd && 0
    this.encoder = checkEncoder(protocol.encoder({ runId }), protocol.name)
  }

  /** What the summary of the run says of its answer. */
  get summary(): Pick<Summary, 'events' | 'usage' | 'finishReason' | 'text'> {
    return {
      events: this.events,
      ...(this.#usage && { usage: this.#usage }),
      ...(this.#finishReason && { finishReason: this.#finishReason }),
      text: this.#text,
    }
  }

  /** The frames of one chunk. If it holds a failure, those of what came before it, and the failure is `errorPart`. */
  encode(chunk: unknown): string {
    if (chunk === null || chunk === undefined) {
      this.#sawNull = true
      return ''
    }
    const isText = typeof chunk === 'string' && !this.encoder.chunk
    const own = isText ? undefined : readChunk(chunk, this.reading)
    try {
      const frames = isText ? this.#encodeText(chunk) : own ? this.#encodeOwn(own) : this.#encodeRead()
      return this.#checkFrames(this.#early === '' ? frames : this.#afterEarly(frames))
    } catch (error) {
      throw isRelayError(error) ? asMistake(error) : error
    }
  }

  /**
   * The last frames, once the source has ended. `rest` is the whole answer, which some results hold beside the stream.
   *
   * @throws why the answer is not complete.
   */
  end(rest: unknown): string {
    const reading = this.reading
    reading.parts.length = 0
    readRest(rest, reading)
    reading.close()
    const last = this.#checkFrames(this.#encodeParts(this.encoder.chunk !== undefined))
    if (this.errorPart) return last
    const failure = reading.failure ?? this.#whyIncomplete()
    if (failure) throw failure
    this.#warnOfSilence()
    return (
      this.#early +
      last +
      this.#encodeHalves() +
      this.#checkFrames(this.encoder.end({ finishReason: this.#finishReason, usage: this.#usage }))
    )
  }

  /** The commonest chunk by far: a list for its one part costs more than the frame. */
  #encodeText(piece: string): string {
    if (piece === '') return ''
    if (this.#before !== undefined) this.#compare(piece, this.#before)
    const text = this.#join('text', piece)
    this.#gather(text)
    this.reading.sawText = true
    return text === '' ? '' : this.encoder.part({ type: 'text', text })
  }

  /** Warns of sources that repeat the whole text so far each time, as some clients do (BAML). */
  #compare(piece: string, before: string): void {
    const isGrown = piece.length > before.length && piece.startsWith(before)
    this.#before = isGrown && ++this.#grown < 4 ? piece : undefined
    if (this.#grown < 4) return
    warnOnce(
      'grown',
      'each text that the source yields repeats the one before it, and so does the page: yield what is new in each, text.slice(before.length)',
    )
  }

  #encodeOwn({ event, data, id, retry }: OwnEvent): string {
    refuseError(event)
    const payload = typeof data === 'string' ? data : toJson(data)
    if (payload === DONE) throw saysDone(`the data ${DONE}`)
    const { log, protocol } = this.#options
    const whole = typeof data === 'string' ? this.#join(EVENT + (event ?? ''), data) : payload
    // If the data was half a character, there is nothing to send yet.
    if (whole === '' && payload !== '' && id === undefined && retry === undefined) return ''
    // With a log, the log gives the ids.
    const frames = this.encoder.event({ event, data: whole, id: log ? undefined : id, retry })
    const sentinel = protocol?.sentinel
    if (sentinel && typeof frames === 'string' && frames.replace(/^(id|retry):.*\n/gm, '').includes(sentinel))
      throw saysDone(show(sentinel))
    return frames
  }

  /** The frames of the chunk that was read: those of its parts, or of the chunk itself where the dialect sends chunks. */
  #encodeRead(): string {
    const { encoder } = this
    const { shape, parts, chunk } = this.reading
    // A source's own `tool-result` part is sent as in any other protocol, by `part`.
    const isResult = !shape && parts[0]?.type === 'tool-result'
    const sendsChunk = encoder.chunk !== undefined && (!shape || shape.redact !== undefined) && !isResult
    const aside = encoder.aside && shape?.aside ? this.#encodeAside(shape) : ''
    const frames = aside + this.#encodeParts(sendsChunk)
    // A chunk without a known shape and without parts was left out.
    if (!sendsChunk || this.errorPart || !(shape || parts.length > 0)) return frames
    const sent = shape?.redact ? shape.redact(chunk as never) : chunk
    const own = encoder.chunk?.(sent, shape?.event?.(chunk as never)) ?? ''
    if (!shape?.isEarly?.(chunk as never)) return own
    this.#early += own
    return ''
  }

  /** The frames after those that were held back, unless the answer has not begun yet. */
  #afterEarly(frames: string): string {
    if (frames === '' && this.#early.length <= MAX_EARLY) return ''
    const all = this.#early + frames
    this.#early = ''
    return all
  }

  /** What an application's own encoder gives: half a frame would swallow the next one, the sentinel too. */
  #checkFrames(frames: string): string {
    if (frames === '' || (typeof frames === 'string' && isWhole(frames))) return frames
    const { name } = this.#options.protocol as Protocol
    throw mistake(
      'invalid-option',
      `The encoder of the protocol ${name} gives ${show(frames)}: give whole frames, each with the blank line that ends it, or ''`,
    )
  }

  /** Frames of what an AI SDK chunk says besides its parts. A tool's output so far is sent only if its results are. */
  #encodeAside({ aside }: ChunkShape): string {
    const chunk = aside?.(this.reading.chunk as never)
    return chunk && (!('output' in chunk) || this.#showsResults) ? (this.encoder.aside?.(chunk) ?? '') : ''
  }

  /** The frames of the parts that were read. With `sendsChunk` the chunk itself goes out in their place. */
  #encodeParts(sendsChunk: boolean): string {
    const { encoder } = this
    let frames = ''
    for (const part of this.reading.parts) {
      switch (part.type) {
        case 'usage':
          this.#usage = this.reading.countsAnew ? part.usage : { ...this.#usage, ...part.usage }
          this.reading.countsAnew = false
          break
        case 'finish':
          this.#finishReason = part.reason
          break
        case 'start':
          // Held back: a refusal that follows must still be a status.
          if (!sendsChunk) this.#early += encoder.part(part)
          break
        case 'tool-result':
          if (!sendsChunk) frames += encoder.part(this.#result(part))
          break
        case 'error':
          this.errorPart = part
          return frames
        case 'text': {
          const text = this.#join('text', part.text)
          this.#gather(text)
          // The commonest part by far, and nearly always whole.
          if (!sendsChunk && text === part.text) frames += encoder.part(part)
          else if (!sendsChunk && text !== '') frames += encoder.part({ ...part, text })
          break
        }
        case 'reasoning': {
          const text = this.#join('reasoning', part.text)
          if (sendsChunk) break
          const isHeld = text === '' && part.text !== '' && (part.signature ?? part.redacted) === undefined
          if (!isHeld) frames += encoder.part(text === part.text ? part : { ...part, text })
          break
        }
        case 'tool-call': {
          const { index, done, replaces } = part
          const key = `call ${index}`
          if (replaces) this.#halves?.end(key)
          const input = this.#join(key, part.input) + ((done && this.#halves?.end(key)) || '')
          if (sendsChunk) break
          frames += encoder.part(input === part.input ? part : { ...part, input }, this.reading.shape?.hasResults)
          break
        }
        default:
          if (!sendsChunk) frames += encoder.part(part)
      }
    }
    return frames
  }

  /** The next piece of a text, without half a character at its end: that waits for the next. */
  #join(key: string, piece: string): string {
    if (!this.#halves && !isHalved(piece)) return piece
    this.#halves ??= new Halves()
    return this.#halves.join(key, piece)
  }

  /** The frames of what stands for characters whose other half never came. */
  #encodeHalves(): string {
    const { encoder } = this
    let frames = ''
    for (const key of this.#halves?.texts ?? []) {
      const rest = (this.#halves as Halves).end(key)
      if (key === 'text') this.#gather(rest)
      if (key.startsWith(EVENT)) frames += encoder.event({ event: key.slice(EVENT.length) || undefined, data: rest })
      else if (!encoder.chunk && (key === 'text' || key === 'reasoning'))
        frames += encoder.part({ type: key, text: rest })
    }
    return frames
  }

  #gather(piece: string): void {
    if (this.#flat === undefined || this.#text.length >= MAX_TEXT) return
    this.#text += piece.slice(0, MAX_TEXT - this.#text.length)
    if (this.#text.length < this.#flat * 1.25 + 256) return
    flatten(this.#text)
    this.#flat = this.#text.length
  }

  get #showsResults(): boolean | undefined {
    const { toolResults, protocol } = this.#options
    return toolResults ?? (this.reading.shape?.showsResults && protocol?.name === 'ui-message')
  }

  /** A tool's output may hold files and more that the client must not see: it is sent only if the options say so. */
  #result(part: ToolResultPart): ToolResultPart {
    if (this.#showsResults) return part
    if (part.output !== null && this.#options.toolResults === undefined) {
      warnOnce(
        'tool-results',
        'what a tool answered was left out: set toolResults: true where it is for the client, or false',
      )
    }
    return { ...part, output: null }
  }

  /** Why the answer of a source that has ended is not complete; `undefined` if it is. */
  #whyIncomplete(): RelayError | undefined {
    const { leftOut, known, proof, unknownKeys } = this.reading
    if (leftOut && !known && this.events === 0) {
      return new RelayError(
        'truncated',
        `Nothing of what the source yields is known, such as ${leftOut}: yield parts made from it, such as { type: 'text', text }. Its end proves nothing, nor would requireFinish: false`,
        { retryable: true },
      )
    }
    if (/missing|broken/.test(proof) && this.#options.requireFinish !== false) {
      return new RelayError(
        'truncated',
        `The source ended without its provider's sign of completion: the answer was cut off${unknownKeys ? `, or failed in words that are not known: what came last was a chunk${unknownKeys}` : ''}. For a server that never sends one set requireFinish: false`,
        { retryable: true },
      )
    }
    return
  }

  /** Warns of a complete answer without content: that is more likely a mistake than an answer. */
  #warnOfSilence(): void {
    const { leftOut, known, isBlank, sawObject, sawText } = this.reading
    if (this.#sawNull && this.events === 0 && !known) {
      warnOnce(
        'nothing',
        "a run ended without a word: its source yielded null or undefined, and nothing else. Yield the provider's chunks as they are, or their text",
      )
    }
    if (known && isBlank) {
      warnOnce(
        'blank',
        `a run was complete without a word: none of the chunks its source yielded says anything that is known here${leftOut ? `, and ${leftOut} was left out` : ''}. If the model did answer, map its chunks to parts, { type: 'text', text } for example`,
      )
    }
    if (sawObject && !sawText) {
      warnOnce(
        'objects',
        "a run ended without a word of text, but with objects that no provider's shape knows; they went out as data. Map them to parts, { type: 'text', text } for example, if they are an answer",
      )
    }
  }
}

/** Only the relay says that an answer is complete. */
function saysDone(what: string): RelayError {
  return mistake('invalid-field', `A source cannot send ${what}: return, and the relay will say it`)
}

function checkEncoder(encoder: Encoder, name: string): Encoder {
  for (const method of ['part', 'event', 'end', 'fail'] as const) {
    if (typeof encoder?.[method] !== 'function') {
      throw mistake(
        'invalid-option',
        `The encoder of the protocol ${name} has no ${method}(): it needs part, event, end and fail`,
      )
    }
  }
  return encoder
}
