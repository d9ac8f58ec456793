// What the contenders relay. Every source is as light as it can be, so that the figures are of the relaying.

import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import OpenAI from 'openai'

/** English in the pieces a model's tokenizer makes of it, with what JSON must escape. */
const WORDS =
  'The| event| stream| is| a| "|text|"| format|:\n\n|-| each| event| ends| at| an| empty| line|,| and| so| it| can| be| read| while| it| is| being| written|.|\n| Tokens| are| short|.'.split(
    '|',
  )

const wordAt = (index) => WORDS[index % WORDS.length]

/** The whole text of a source of this many words, to check against. */
export const textOfWords = (count) => Array.from({ length: count }, (_, index) => wordAt(index)).join('')

/** One promise a tick, shared by all that wait for it: the event loop's own cost is then not the contenders'. */
let tick
const nextTick = () =>
  (tick ??= new Promise((resolve) =>
    setImmediate(() => {
      tick = undefined
      resolve()
    }),
  ))

/** Streams begin together: those that came early would have the turns of the event loop to themselves. */
let waiting = []

function together(count) {
  return new Promise((resolve) => {
    if (waiting.push(resolve) < count) return
    for (const begin of waiting) begin()
    waiting = []
  })
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function* perTick({ tokens, perTick }, count) {
  await together(count)
  for (let index = 0; index < tokens; index++) {
    if (index % perTick === 0) await nextTick()
    yield wordAt(index)
  }
}

async function* paced({ tokens, everyMs }) {
  // Providers do not send in step.
  await pause(Math.random() * everyMs)
  for (let index = 0; index < tokens; index++) {
    await pause(everyMs)
    yield wordAt(index)
  }
}

/** Each line that comes over a socket is a token. */
async function* fromSocket({ port }) {
  const socket = connect(port, '127.0.0.1')
  yield* createInterface({ input: socket })
}

/** What would wake those who wait for a model. A provider's socket holds them just so: else a loop is garbage, not memory. */
const thinking = []

async function* idle() {
  yield wordAt(0)
  await new Promise((resolve) => thinking.push(resolve))
}

const identity = (chunk) => chunk

/**
 * A load as every contender takes it: `open(signal)` gives the stream of one request, `textOf(chunk)` the text in it,
 * as a loop written by hand would. `expected()` is how many requests are coming.
 */
export function sourceOf(load, expected = () => 1) {
  switch (load.kind) {
    case 'ticks':
      return { open: () => perTick(load, expected()), textOf: identity }
    case 'paced':
      return { open: () => paced(load), textOf: identity }
    case 'socket':
      return { open: () => fromSocket(load), textOf: identity }
    case 'idle':
      return { open: idle, textOf: identity }
    case 'openai': {
      const openai = new OpenAI({ apiKey: 'bench', baseURL: `${load.url}/v1`, maxRetries: 0 })
      const ask = { model: 'bench', messages: [{ role: 'user', content: 'Go on.' }], stream: true }
      return {
        open: (signal) => openai.chat.completions.create(ask, { signal }),
        textOf: (chunk) => chunk.choices[0]?.delta?.content,
      }
    }
    default:
      throw new RangeError(`There is no load named ${load.kind}`)
  }
}

/** The body of the OpenAI upstream: a role, the words, a finish and the sentinel. */
export function openaiBody(tokens) {
  const chunk = (delta, finish_reason = null) =>
    `data: ${JSON.stringify({
      id: 'chatcmpl-BenchBenchBenchBenchBench',
      object: 'chat.completion.chunk',
      created: 1763700000,
      model: 'gpt-4.1-2025-04-14',
      service_tier: 'default',
      system_fingerprint: 'fp_0123456789',
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
    })}\n\n`
  let body = chunk({ role: 'assistant', content: '', refusal: null })
  for (let index = 0; index < tokens; index++) body += chunk({ content: wordAt(index) })
  return `${body}${chunk({}, 'stop')}data: [DONE]\n\n`
}
