// The sources of the storm, well-behaved and not. Each is told of by `opened` when someone begins to read it, and by
// `closed` when it knows that nobody does any more.
import { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { randomOf, tokensOf } from './plan.mjs'

/** What is thrown on purpose. */
export class StormError extends Error {
  name = 'StormError'
}

let openai
let anthropic

/** Where the providers are. */
export function connect(urls) {
  const options = { apiKey: 'none', maxRetries: 0 }
  openai = each(urls, (url) => new OpenAI({ ...options, baseURL: `${url}/v1` }))
  anthropic = each(urls, (url) => new Anthropic({ ...options, baseURL: url }))
  addresses = urls
}
let addresses

const each = (table, make) => Object.fromEntries(Object.entries(table).map(([key, value]) => [key, make(value)]))

/** The source of a plan, as it is handed to `relay`. */
export function sourceOf(plan, watch) {
  const make = (context) => kinds[plan.source.startsWith('up-') ? 'upstream' : plan.source](plan, context, watch)
  switch (needsCall(plan) ? 'function' : plan.form) {
    case 'function':
      return make
    case 'async function':
      return async (context) => {
        await undefined
        return make(context)
      }
    case 'itself':
      return make({})
    case 'promise':
      return Promise.resolve(make({}))
  }
}

/** Only the signal stops the first and the last of these; the others fail in the call. */
function needsCall({ source }) {
  return ['stall', 'throw-in-call', 'none', 'up-never'].includes(source)
}

const kinds = {
  tokens: (plan, _, watch) => watched(watch, tokensOf(plan)),

  async *paced(plan, _, watch) {
    const random = randomOf(plan, 'paced')
    for await (const token of watched(watch, tokensOf(plan))) {
      if (random.chance(0.3)) await wait(random.integer(0, 4))
      yield token
    }
  },

  async *'silent-first'(plan, _, watch) {
    for await (const token of watched(watch, tokensOf(plan), { firstMs: 70 })) yield token
  },

  array: (plan) => (plan.variant % 3 === 0 ? tokensOf(plan).join('') : tokensOf(plan)),

  'readable-stream': (plan, _, watch) => ReadableStream.from(watched(watch, tokensOf(plan))),

  'node-stream': (plan, _, watch) => Readable.from(watched(watch, tokensOf(plan))),

  'ends-twice': (plan, _, watch) => endsTwice[plan.variant % endsTwice.length](tokensOf(plan), watch),

  big: (plan, _, watch) => watched(watch, tokensOf(plan)),
  huge: (plan, _, watch) => watched(watch, tokensOf(plan)),

  async *flood(_plan, _, watch) {
    const chunk = 'x'.repeat(8192)
    watch.opened()
    try {
      for (watch.produced = 0; watch.produced < 64 * 1024 * 1024; watch.produced += chunk.length) yield chunk
    } finally {
      watch.closed()
    }
  },

  async *stall(plan, { signal }, watch) {
    watch.opened()
    watch.signal(signal)
    try {
      yield* tokensOf(plan).slice(0, plan.variant % 5)
      await new Promise((_, reject) => {
        if (signal.aborted) reject(signal.reason)
        else signal.addEventListener('abort', () => reject(signal.reason))
      })
    } finally {
      watch.closed()
    }
  },

  /** Takes no notice of signals, and answers what it was asked when nobody is there any more. */
  'stall-deaf'(plan, _, watch) {
    const tokens = tokensOf(plan).slice(0, plan.variant % 5)
    let late
    return {
      [Symbol.asyncIterator]() {
        watch.opened()
        return this
      },
      next() {
        const value = tokens.shift()
        if (value !== undefined) return Promise.resolve({ done: false, value })
        return new Promise((resolve, reject) => {
          late = { resolve, reject }
        })
      },
      return() {
        watch.closed()
        if (plan.variant % 3 === 0) late?.resolve({ done: false, value: 'too late' })
        if (plan.variant % 3 === 1) late?.reject(new StormError('too late'))
        if (plan.variant % 2) throw new StormError('return() throws')
        return plan.variant % 7 === 0 ? Promise.reject(new StormError('return() rejects')) : new Promise(() => {})
      },
    }
  },

  'throw-first': (plan, _, watch) => watched(watch, [], { error: thrown(plan) }),

  'throw-later': (plan, _, watch) => watched(watch, tokensOf(plan), { error: thrown(plan) }),

  'throw-in-call'(plan) {
    const { value } = thrown(plan)
    if (plan.variant % 2) return Promise.reject(value)
    throw value
  },

  garbage: (plan, _, watch) => garbage[plan.variant % garbage.length](tokensOf(plan), watch),

  'no-source': ({ variant }) => [undefined, null, 42, true, Symbol('no source'), {}, new Date(0), /x/][variant % 8],

  none() {
    throw new StormError('This source was not to be asked')
  },

  upstream({ source, client, index }, { signal }, watch) {
    if (signal) watch.signal(signal)
    const messages = [{ role: 'user', content: `${index}` }]
    const model = 'test'
    if (client === 'openai') {
      return openai[source].chat.completions.create({ model, messages, stream: true }, { signal })
    }
    if (client === 'anthropic') {
      return anthropic[source].messages.create({ model, max_tokens: 64, messages, stream: true }, { signal })
    }
    return fetch(`${addresses[source]}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model, messages, stream: true }),
      signal,
    })
  },
}

/** Tokens, and then an error if there is one. */
async function* watched(watch, tokens, { firstMs, error } = {}) {
  watch.opened()
  try {
    if (firstMs) await wait(firstMs)
    yield* tokens
    if (error) throw error.value
  } finally {
    watch.closed()
  }
}

function thrown({ variant }) {
  const values = [
    new StormError('The source failed'),
    Object.assign(new StormError('sk-secret'), { status: 429, headers: new Headers({ 'retry-after': '1' }) }),
    'a string',
    undefined,
    null,
    Object.create(null),
    Symbol('thrown'),
    {
      get message() {
        throw new StormError('A getter throws')
      },
      get status() {
        throw new StormError('A getter throws')
      },
    },
    new DOMException('Not aborted by us', 'AbortError'),
    Promise.resolve('a promise'),
  ]
  return { value: values[variant % values.length] }
}

const iterator = (tokens, watch, last) => {
  const rest = [...tokens]
  return {
    [Symbol.asyncIterator]() {
      watch.opened()
      return this
    },
    next() {
      const value = rest.shift()
      if (value !== undefined) return Promise.resolve({ done: false, value })
      watch.closed()
      return last()
    },
    return() {
      watch.closed()
      return Promise.resolve({ done: true })
    },
  }
}

const endsTwice = [
  // The end has a value, which is none of the answer's.
  (tokens, watch) => iterator(tokens, watch, async () => ({ done: true, value: 'not a token' })),
  // A thenable of its own that calls back twice, and then fails.
  (tokens, watch) =>
    iterator(tokens, watch, () => ({
      // biome-ignore lint/suspicious/noThenProperty: that is what it is
      then(resolve, reject) {
        resolve({ done: true })
        resolve({ done: false, value: 'again' })
        reject(new StormError('after the end'))
      },
    })),
  // A promise of a source that comes twice.
  (tokens, watch) => ({
    // biome-ignore lint/suspicious/noThenProperty: that is what it is
    then(resolve, reject) {
      resolve(watched(watch, tokens))
      resolve(['again'])
      reject(new StormError('after the end'))
    },
  }),
  // A stream that is closed twice.
  (tokens, watch) => {
    const rest = [...tokens]
    return new ReadableStream({
      start: () => watch.opened(),
      pull(controller) {
        const token = rest.shift()
        if (token !== undefined) {
          controller.enqueue(token)
          return
        }
        watch.closed()
        controller.close()
        controller.close()
      },
      cancel: () => watch.closed(),
    })
  },
]

/** A source that yields what is none of a source's, after what is. */
const wrong = (value) => (tokens, watch) => watched(watch, [...tokens, value(), 'after it'])
const garbage = [
  wrong(() => 42),
  wrong(() => Number.NaN),
  wrong(() => true),
  wrong(() => 7n),
  wrong(() => Symbol('chunk')),
  wrong(() => () => 'a function'),
  wrong(() => new Uint8Array([104, 105])),
  wrong(() => new ArrayBuffer(8)),
  wrong(() => ({ big: 7n })),
  wrong(() => {
    const circle = {}
    circle.circle = circle
    return circle
  }),
  wrong(() => ({
    get data() {
      throw new StormError('A getter throws')
    },
  })),
  wrong(
    () =>
      new Proxy(
        {},
        {
          get: () => {
            throw new StormError('A proxy throws')
          },
        },
      ),
  ),
  wrong(() => ({
    toJSON() {
      throw new StormError('toJSON throws')
    },
  })),
  wrong(() => ({ event: 'error', data: 'forged' })),
  wrong(() => ({ data: '[DONE]' })),
  wrong(() => ({ event: 'two\nlines', data: 1 })),
  wrong(() => ({ data: 1, retry: -1 })),
  wrong(() => ({ type: 'error', error: new StormError('An error as a part') })),
  // What is no result of an iterator.
  (tokens, watch) => iterator(tokens, watch, async () => undefined),
  (tokens, watch) => iterator(tokens, watch, () => 'no result'),
  (tokens, watch) =>
    iterator(tokens, watch, () => {
      throw new StormError('next() throws')
    }),
]
