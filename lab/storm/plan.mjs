// What happens in an exchange, and what is right then. Every process makes the same plan of the same seed.
import { readTrace } from 'sse-relay/testing'
import { Random } from './random.mjs'

export const HOSTS = ['http', 'express', 'fastify', 'koa', 'hono', 'web', 'http2', 'hono-http2']

/**
 * What readers do. `begins`: how many relays each of their requests begins. `whole`: they read to the end, so that what
 * they read and what the relay says of it are known beforehand. `leaves`: nothing else ends what has no end of its own.
 * `http`: the version they need.
 */
export const READERS = {
  read: { weight: 30, begins: 1, whole: true },
  post: { weight: 8, begins: 1, whole: true },
  http10: { weight: 3, begins: 1, whole: true, http: 1 },
  pause: { weight: 4, begins: 1, whole: true },
  'after-end': { weight: 3, begins: 1, whole: true, http: 1 },
  pipelined: { weight: 4, begins: 1, whole: true, http: 1 },
  multiplexed: { weight: 14, begins: 1, http: 2 },
  'pipelined-leave': { weight: 3, begins: 'maybe', leaves: true, http: 1 },
  leave: { weight: 10, begins: 'maybe', leaves: true },
  reset: { weight: 8, begins: 'maybe', leaves: true },
  'leave-soon': { weight: 6, begins: 'maybe', leaves: true },
  'reset-soon': { weight: 4, begins: 'maybe', leaves: true },
  half: { weight: 4, begins: 'maybe', leaves: true, http: 1 },
  'never-reads': { weight: 2, begins: 'maybe', leaves: true },
  'reads-a-byte': { weight: 2, begins: 'maybe', leaves: true },
  before: { weight: 2, begins: 0 },
  'in-head': { weight: 3, begins: 0 },
  'in-body': { weight: 4, begins: 'maybe', leaves: true, http: 1 },
  // Their upload is begun to be read, and left.
  'in-upload': { weight: 3, begins: 'maybe', leaves: true, http: 1 },
  // Something else answers, if the relay has not in a few milliseconds.
  answered: { weight: 3, begins: 1 },
  garbage: { weight: 4, begins: 0 },
  'bad-body': { weight: 3, begins: 'maybe', leaves: true, http: 1 },
  oversized: { weight: 2, begins: 'maybe' },
  head: { weight: 2, begins: 1, whole: true, source: 'none' },
  over: { weight: 2, begins: 1, whole: true, source: 'none' },
}

/** What sources do. `outcomes`: how that ends for who reads on; `text`: how much of the source's text is read then. */
export const SOURCES = {
  tokens: { weight: 20, outcomes: ['done'], text: 'all' },
  paced: { weight: 8, outcomes: ['done'], text: 'all' },
  'silent-first': { weight: 3, outcomes: ['done'], text: 'all' },
  array: { weight: 2, outcomes: ['done'], text: 'all' },
  'readable-stream': { weight: 3, outcomes: ['done'], text: 'all' },
  'node-stream': { weight: 3, outcomes: ['done'], text: 'all' },
  'ends-twice': { weight: 4, outcomes: ['done'], text: 'all' },
  big: { weight: 2, outcomes: ['done'], text: 'all' },
  // One event, larger than all buffers.
  huge: { weight: 1, outcomes: ['done'], text: 'all' },
  flood: { weight: 0, outcomes: [], text: 'prefix' },
  stall: { weight: 6, outcomes: ['expired'], text: 'prefix' },
  'stall-deaf': { weight: 4, outcomes: ['expired'], text: 'prefix' },
  'throw-first': { weight: 3, outcomes: ['error'], text: 'none' },
  'throw-later': { weight: 5, outcomes: ['error'], text: 'all' },
  'throw-in-call': { weight: 3, outcomes: ['error'], text: 'none' },
  garbage: { weight: 5, outcomes: ['error'], text: 'all' },
  'no-source': { weight: 2, outcomes: ['error'], text: 'none' },
  'up-text': { weight: 8, outcomes: ['done'], text: 'all' },
  'up-slow': { weight: 3, outcomes: ['done'], text: 'all' },
  'up-twice': { weight: 2, outcomes: ['done'], text: 'all' },
  'up-stall': { weight: 3, outcomes: ['expired'], text: 'prefix' },
  'up-silent': { weight: 2, outcomes: ['expired'], text: 'none' },
  'up-never': { weight: 2, outcomes: ['expired'], text: 'none' },
  'up-reset': { weight: 3, outcomes: ['error', 'truncated'], text: 'prefix' },
  'up-cut': { weight: 3, outcomes: ['truncated'], text: 'prefix' },
  'up-429': { weight: 2, outcomes: ['error'], text: 'none' },
  'up-529': { weight: 1, outcomes: ['error'], text: 'none' },
  'up-error': { weight: 2, outcomes: ['error'], text: 'prefix' },
  'up-garbage': { weight: 2, outcomes: ['error', 'truncated'], text: 'none' },
  'up-html': { weight: 1, outcomes: ['error', 'truncated'], text: 'none' },
}

/** How the HTTP upstreams answer, each for itself. Those with a `body` speak the language of OpenAI. */
export const UPSTREAMS = {
  'up-text': {},
  'up-slow': { pauseMs: 5 },
  'up-twice': { body: Buffer.concat([readTrace('openai-chat-text.sse'), readTrace('openai-chat-text.sse')]) },
  'up-stall': { stallAfter: 5 },
  'up-silent': { stallAfter: 0 },
  'up-never': { delayMs: Number.POSITIVE_INFINITY },
  'up-reset': { resetAfter: 5, pauseMs: 2 },
  'up-cut': { endAfter: 5 },
  'up-429': { status: 429 },
  'up-529': { status: 529 },
  'up-error': { trace: 'openai-chat-error-midstream.sse' },
  'up-garbage': { body: new Random(7).bytes(4000), headers: { 'content-type': 'text/event-stream' } },
  'up-html': { body: '<!doctype html><title>Sign in</title>', headers: { 'content-type': 'text/html' } },
}

const OPENAI_ONLY = ['up-twice', 'up-error', 'up-garbage', 'up-html']

/** Text that wants to be something else: line breaks of every kind, frames, halves of characters. */
const WORDS = [
  'Hello',
  ' there',
  '!',
  'é',
  '漢字',
  '🙂',
  '\n',
  '\r',
  '\r\n',
  '\u2028',
  '\0',
  '\\',
  '"',
  ': ',
  '{"a":1}',
]
const FRAMES = ['data: [DONE]\n\n', '\n\nevent: error\ndata: {}\n\n', '\r\rid: 7\r\r', 'retry: 1\n\n']

/** What is put around a host that writes to Node's response, or to which a body is handed. */
const AROUND = {
  http: ['logger', 'monitor', 'both'],
  express: ['logger', 'monitor', 'both'],
  fastify: ['for await', 'pipe', 'readable'],
  koa: ['for await', 'pipe', 'readable'],
}

export const takesNothing = ({ reader }) => reader === 'never-reads' || reader === 'reads-a-byte'

/**
 * Hono's server tells nobody that a client has left whose answer had not had its turn, with or without a relay: there
 * it is the clocks that end what has no end, and what is too much to be kept (docs/hosts.md).
 */
export const isUntold = ({ reader, host }) => reader === 'pipelined-leave' && (host === 'hono' || host === 'web')

/** The plan of an exchange. `part` tells the requests of one connection apart. */
export function planOf(seed, index, part = 0) {
  const random = new Random(seed, index)
  const host = random.pick(HOSTS)
  const http = host.endsWith('http2') ? 2 : 1
  const readers = Object.entries(READERS).filter(([, reader]) => (reader.http ?? http) === http)
  const reader = random.weighted(Object.fromEntries(readers))
  const source = takesNothing({ reader }) && random.chance(0.5) ? 'flood' : random.weighted(SOURCES)
  const client = OPENAI_ONLY.includes(source)
    ? random.pick(['fetch', 'openai'])
    : random.pick(['fetch', 'openai', 'anthropic'])
  const plan = {
    seed,
    index,
    part,
    host,
    http,
    reader,
    source: READERS[reader].source ?? source,
    client,
    /** How the source is handed in, where it can be chosen. */
    form: random.pick(['function', 'function', 'async function', 'itself', 'promise']),
    heartbeatMs: random.pick([0, 20, 8000]),
    around: random.chance(0.3) && !takesNothing({ reader }) ? random.pick(AROUND[host] ?? ['nothing']) : 'nothing',
    hook: random.weighted({
      none: { weight: 8 },
      'onEnd throws': { weight: 1 },
      'onEnd rejects': { weight: 1 },
      'onError throws': { weight: 1 },
      'onError shows': { weight: 1 },
    }),
    // Hono's server resets an HTTP/2 stream whose body is still on its way when the answer ends, and may be too early
    // for the end of the answer: so none there that takes its time.
    bodyLength: reader === 'post' ? random.pick([0, 2, 1000, host === 'hono-http2' ? 1000 : 300_000]) : 0,
    requests: reader.startsWith('pipelined') || reader === 'multiplexed' ? random.integer(2, 4) : 1,
    /** Whether only the reader's leaving ends what has no end of its own. */
    endless: READERS[reader].leaves === true && !isUntold({ reader, host }),
    /** Where in the answer, or in the request, the reader leaves. */
    afterBytes: random.pick([1, 1, 10, 40, 200, 1000]),
    afterMs: random.pick([0, 0, 1, 5, 20]),
    variant: random.integer(0, 1_000_000),
    /** The two ways in which a host of Node writes, in turns. */
    directWrites: index % 2 === 0,
  }
  return plan
}

/** The randomness of one side of an exchange: `what` keeps the sides apart. */
export const randomOf = ({ seed, index, part }, what) => new Random(seed, index, part, what.charCodeAt(0), what.length)

/** What the source of a plan yields before whatever it does then. */
export function tokensOf(plan) {
  const random = randomOf(plan, 'tokens')
  if (plan.source === 'big') return Array.from({ length: 64 }, (_, index) => `${index} `.repeat(4000))
  // From an odd place on, so that no slice of even length ends between two characters.
  if (plan.source === 'huge') return [`a${'🙂'.repeat(600_000)}`]
  let text = ''
  for (let count = random.integer(1, 40); count > 0; count--) text += random.pick(random.chance(0.05) ? FRAMES : WORDS)
  const tokens = []
  while (text !== '') {
    const length = random.integer(1, 12)
    tokens.push(text.slice(0, length))
    text = text.slice(length)
  }
  return tokens
}

/** What who reads to the end must have read, and how that must have ended. */
export function expectedOf(plan) {
  const { outcomes, text } = SOURCES[plan.source]
  const whole = plan.source.startsWith('up-') ? textOfTrace(plan) : tokensOf(plan).join('')
  return {
    outcomes,
    isRight: (read) => ({ all: read === whole, none: read === '', prefix: whole.startsWith(read) })[text],
  }
}

const traces = new Map()

/** The text of a provider's trace, taken out of it without the help of what is tried. */
function textOfTrace({ source, client }) {
  const own = UPSTREAMS[source].trace
  const name = own ?? (client === 'anthropic' ? 'anthropic-text.sse' : 'openai-chat-text.sse')
  if (!traces.has(name)) {
    const chunks = readTrace(name)
      .toString()
      .split('\n')
      .filter((line) => line.startsWith('data: {'))
      .map((line) => JSON.parse(line.slice(6)))
    traces.set(name, chunks.map((chunk) => chunk.choices?.[0]?.delta?.content ?? chunk.delta?.text ?? '').join(''))
  }
  return traces.get(name)
}

/** A plan in the words of a list of failures. */
export function describe({ index, host, reader, source, client, form, hook, around, requests, directWrites }) {
  const how = source.startsWith('up-') ? ` by ${client}` : source === 'none' ? '' : ` (${form})`
  return `exchange ${index}: ${host}, reader ${reader}${requests > 1 ? ` × ${requests}` : ''}, source ${source}${how}, ${hook === 'none' ? 'no hook fails' : hook}${around === 'nothing' ? '' : `, around it ${around}`}${directWrites ? '' : ', without direct writes'}`
}
