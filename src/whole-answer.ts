/** How does a run become one answer in one body, for `stream: false`? */

import { mistake } from './failure.js'
import { toJson } from './protocols/frames.js'
import { text } from './protocols/text.js'
import { beginsCall } from './tool-call-boundaries.js'
import type {
  AnswerPart,
  Encoder,
  EncoderEnd,
  EncoderPart,
  Protocol,
  ServerSentEvent,
  ToolCallPart,
  UIChunk,
} from './types.js'

/** The most characters of an answer. */
const MAX_SIZE = 16_777_216
/** What a part counts besides its text, in characters. */
const PART_COST = 64

/** The answer of one run, gathered by a protocol that wraps the given one. */
export class WholeAnswer {
  readonly protocol: Protocol
  /** The JSON text, once the run is complete. */
  body: string | undefined

  /** @param isKept whether a log wants the run's frames as well. */
  constructor(protocol: Protocol = text(), isKept: boolean) {
    const { name, headers, sentinel } = protocol
    this.protocol = {
      name,
      ...(headers && { headers }),
      ...(sentinel !== undefined && { sentinel }),
      encoder: (run) => new Gatherer(name, protocol.encoder(run), isKept, this),
    }
  }
}

/** Keeps the parts for `answer`, and passes them to the wrapped encoder only if the frames are wanted. */
class Gatherer implements Encoder {
  readonly chunk?: Encoder['chunk']
  readonly aside?: Encoder['aside']
  readonly #encoder: Encoder
  readonly #isKept: boolean
  readonly #answer: WholeAnswer
  readonly #parts: AnswerPart[] = []
  /** The latest call at each index. */
  readonly #calls = new Map<number, ToolCallPart>()
  #size = 0

  constructor(name: string, encoder: Encoder, isKept: boolean, answer: WholeAnswer) {
    if (!encoder.answer) {
      throw mistake(
        'invalid-option',
        `stream cannot be false with the protocol ${name}: its encoder has no answer(parts, end). Leave stream out, or give the encoder one`,
      )
    }
    this.#encoder = encoder
    this.#isKept = isKept
    this.#answer = answer
    if (encoder.chunk) {
      this.chunk = (chunk, event) => {
        this.#keep({ type: 'chunk', chunk, event }, toJson(chunk).length)
        return isKept ? (encoder.chunk?.(chunk, event) ?? '') : ''
      }
    }
    if (encoder.aside) {
      this.aside = (chunk: UIChunk) => {
        this.#keep({ type: 'chunk', chunk, event: undefined }, toJson(chunk).length)
        return isKept ? (encoder.aside?.(chunk) ?? '') : ''
      }
    }
  }

  part(part: EncoderPart, hasResults?: boolean): string {
    this.#add(part)
    return this.#isKept ? this.#encoder.part(part, hasResults) : ''
  }

  event(event: ServerSentEvent): string {
    this.#keep({ type: 'event', event }, event.data.length)
    return this.#isKept ? this.#encoder.event(event) : ''
  }

  end(end: EncoderEnd): string {
    this.#answer.body = toJson(this.#encoder.answer?.(this.#parts, end))
    return this.#isKept ? this.#encoder.end(end) : ''
  }

  fail(failure: Parameters<Encoder['fail']>[0]): string {
    return this.#encoder.fail(failure)
  }

  #add(part: EncoderPart): void {
    const last = this.#parts.at(-1)
    switch (part.type) {
      case 'text':
        this.#count(part.text.length)
        if (last?.type === 'text') last.text += part.text
        else if (part.text !== '') this.#keep({ ...part })
        break
      case 'reasoning': {
        const { text, signature = '', redacted } = part
        this.#count(text.length + signature.length)
        // A signature ends the reasoning it signs.
        if (last?.type === 'reasoning' && (last.signature ?? last.redacted ?? redacted) === undefined) {
          last.text += text
          if (signature !== '') last.signature = signature
        } else if (text !== '' || signature !== '' || redacted !== undefined) {
          this.#keep({ ...part }, redacted?.length)
        }
        break
      }
      case 'tool-call':
        this.#addCall(part)
        break
      default:
        this.#keep(part, toJson(part).length)
    }
  }

  #addCall(part: ToolCallPart): void {
    const known = this.#calls.get(part.index)
    this.#count(part.input.length)
    if (!known || beginsCall(known, part)) {
      const call = { ...part }
      this.#calls.set(part.index, call)
      this.#keep(call)
      return
    }
    const { input, replaces, done, executed, error, approval } = part
    known.input = replaces ? input : known.input + input
    if (done) known.done = true
    if (executed) known.executed = true
    if (error !== undefined) known.error = error
    if (approval !== undefined) known.approval = approval
  }

  #keep(part: AnswerPart, size = 0): void {
    this.#parts.push(part)
    this.#count(PART_COST + size)
  }

  #count(size: number): void {
    this.#size += size
    if (this.#size > MAX_SIZE) {
      throw mistake(
        'internal',
        `The answer has over ${MAX_SIZE} characters, too many for one body: relay it as a stream`,
      )
    }
  }
}
