/** How does a source behave and misbehave? Sources that wait, fail, flood or hang. */

import { setImmediate, setTimeout } from 'node:timers/promises'
import { abortSignal, flag, positive, type Rules } from '../check.js'
import { checkOptions, duration } from '../options.js'
import { Waiting } from './waiting.js'

/** A source that records what its consumer did with it. Iterate it like the source itself. */
export class Probe<T> implements AsyncIterable<T> {
  /** How often `next()` was called. */
  pulled = 0
  /** How many values were handed over. */
  yielded = 0
  /** Whether the source ended by itself, without an error. */
  finished = false
  /** Whether `return()` was called, whether or not the source has answered it. */
  returned = false
  /** Whether the source threw. */
  threw = false
  #iterator: AsyncIterator<T, undefined> | undefined
  readonly #source: AsyncIterable<T> | Iterable<T>
  readonly #waiting = new Waiting()
  #unanswered = 0

  /** @internal Use {@link probe}. */
  constructor(source: AsyncIterable<T> | Iterable<T>) {
    this.#source = source
  }

  /** Whether a `next()` waits for its answer. */
  get pending(): boolean {
    return this.#unanswered > 0
  }

  /**
   * Resolves when `condition` is true of this probe, now or later.
   *
   * @throws After 10 s, with the probe's state.
   * @example
   * await source.until(({ pulled, pending }) => pulled === 3 && pending)
   */
  until(condition: (probe: this) => boolean): Promise<void> {
    return this.#waiting.until(
      () => condition(this),
      () => `The source never came to be as expected, but is ${JSON.stringify({ ...this, pending: this.pending })}`,
    )
  }

  /** Begins the source. The probe counts what is done with this iterator. It can be read once. */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    this.#iterator ??= this.#begin()
    return this.#iterator
  }

  #begin(): AsyncIterator<T, undefined> {
    const source = this.#source
    const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
    return {
      next: async () => {
        this.pulled++
        this.#unanswered++
        this.#waiting.changed()
        try {
          const { done, value } = await iterator.next()
          if (done) this.finished = !this.returned
          else this.yielded++
          return done ? { done, value: undefined } : { done: false, value }
        } catch (error) {
          this.threw = true
          throw error
        } finally {
          this.#unanswered--
          this.#waiting.changed()
        }
      },
      return: async () => {
        this.returned = true
        this.#waiting.changed()
        await iterator.return?.()
        return { done: true, value: undefined }
      },
    }
  }
}

/** Options of every source here that waits. */
export interface SourceOptions {
  /** When it aborts, the source throws the signal's reason, also while it waits. */
  signal?: AbortSignal
}

/** Options of {@link tokens}. */
export interface TokensOptions extends SourceOptions {
  /**
   * The wait before each token, in milliseconds; 0 is one token per turn of the event loop.
   * @default none: tokens come as fast as they are pulled
   */
  everyMs?: number
}

/** Options of {@link stalling}. */
export interface StallingOptions extends SourceOptions {
  /**
   * Ends after an abort as if it were finished, as the streams of the OpenAI and Anthropic clients do, instead of
   * throwing the reason.
   * @default false
   */
  silent?: boolean
}

/** Options of {@link flooding}. */
export interface FloodingOptions {
  /** Bytes in a chunk, all ASCII. @default 1024 */
  chunkSize?: number
  /** Bytes after which it ends. @default 67_108_864, which is 64 MiB */
  total?: number
}

const TOKENS: Rules<keyof TokensOptions> = { signal: abortSignal, everyMs: duration }
const STALLING: Rules<keyof StallingOptions> = { signal: abortSignal, silent: flag }
const FLOODING: Rules<keyof FloodingOptions> = {
  chunkSize: positive,
  total: [(value: unknown) => typeof value === 'number' && value >= 0, 'give a number of bytes'],
}

/**
 * `source`, with a record of how it is consumed: what was pulled and yielded, whether a `next()` is pending, whether
 * `return()` was called, whether the source threw.
 */
export function probe<T>(source: AsyncIterable<T> | Iterable<T>): Probe<T> {
  return new Probe(source)
}

/**
 * A well-behaved source of strings.
 *
 * @param input The tokens, or a text that is cut before each word; joined, they are the text again.
 */
export function tokens(input: string | readonly string[], options: TokensOptions = {}): Probe<string> {
  checkOptions('tokens', options, TOKENS)
  const { everyMs, signal } = options
  async function* generate() {
    for (const token of typeof input === 'string' ? (input.match(/\s*\S+|\s+$/g) ?? []) : input) {
      try {
        if (everyMs === 0) await setImmediate(undefined, { signal })
        else if (everyMs) await setTimeout(everyMs, undefined, { signal })
      } catch {
        // Only an abort can fail a timer; what is thrown is its reason.
      }
      signal?.throwIfAborted()
      yield token
    }
  }
  return new Probe(generate())
}

/**
 * A source that yields `chunks` and then nothing, like a model that thinks for ever. Only `signal` ends it: as with
 * most provider SDKs, `return()` waits for the pending `next()`.
 *
 * @returns The source, with `aborted`: resolves to the signal's reason when it aborts.
 */
export function stalling<T>(
  chunks: Iterable<T>,
  options: StallingOptions = {},
): Probe<T> & { readonly aborted: Promise<unknown> } {
  checkOptions('stalling', options, STALLING)
  const { signal, silent = false } = options
  const aborted = new Promise<unknown>((resolve) => {
    if (signal?.aborted) resolve(signal.reason)
    else signal?.addEventListener('abort', () => resolve(signal.reason), { once: true })
  })
  async function* generate() {
    yield* chunks
    const reason = await aborted
    if (!silent) throw reason
  }
  return Object.assign(new Probe(generate()), { aborted })
}

/** A source that yields `chunks` and then throws `error`; without chunks, at the first `next()`. */
export function throwing<T = never>(error: unknown, chunks: Iterable<T> = []): Probe<T> {
  async function* generate() {
    yield* chunks
    throw error
  }
  return new Probe(generate())
}

/**
 * A source that produces text as fast as it is pulled, to find out how much a consumer takes without a reader.
 *
 * @returns The source, with `produced`: the bytes that were pulled so far.
 */
export function flooding(options: FloodingOptions = {}): Probe<string> & { readonly produced: number } {
  checkOptions('flooding', options, FLOODING)
  const { chunkSize = 1024, total = 67_108_864 } = options
  const chunk = 'x'.repeat(chunkSize)
  async function* generate(): AsyncGenerator<string> {
    while (source.produced < total) {
      const piece = chunk.slice(0, total - source.produced)
      source.produced += piece.length
      yield piece
    }
  }
  const source = Object.assign(new Probe<string>(generate()), { produced: 0 })
  return source
}

/** A piece of an answer as OpenAI's chat completions stream it, in its smallest form. */
export interface ChatChunk {
  id: string
  object: 'chat.completion.chunk'
  created: number
  model: string
  choices: { index: number; delta: { role?: 'assistant'; content: string }; finish_reason: null }[]
}

/**
 * A source of OpenAI chat chunks that ends in the middle of the answer: no `finish_reason`, no usage, no error.
 *
 * @param input The tokens, or a text that is cut before each word. Default: `'The answer is'`.
 */
export function truncated(input: string | readonly string[] = 'The answer is'): Probe<ChatChunk> {
  async function* generate() {
    const chunk = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 0, model: 'test' } as const
    yield { ...chunk, choices: [{ index: 0, delta: { role: 'assistant', content: '' } as const, finish_reason: null }] }
    for await (const content of tokens(input)) {
      yield { ...chunk, choices: [{ index: 0, delta: { content }, finish_reason: null }] }
    }
  }
  return new Probe<ChatChunk>(generate())
}
