/** Does an adapter do what every adapter does? Sentence by sentence, as docs/adapter.md has it. */
import { getEventListeners } from 'node:events'
import { positive, type Rules } from '../../check.js'
import { createMemoryLog } from '../../log/memory.js'
import { checkOptions, type RelayOptions } from '../../options.js'
import { text } from '../../protocols/text.js'
import { DONE, type Encoder, type Protocol, type SourceContext } from '../../types.js'
import type { ClientOptions, TestClient } from '../clients.js'
import { collect } from '../collect.js'
import { flooding, throwing, tokens } from '../sources.js'
import { type AdapterHost, type Answer, collector, Feed, pause, type Served, Trial } from './adapter-harness.js'

export type { AdapterHost, AdapterServer, AdapterServing } from './adapter-harness.js'

/** What every adapter does, sentence by sentence: docs/adapter.md has the same list. */
const RULES = {
  commit:
    '1. Status and headers are sent at the first event or the first heartbeat, whichever is first. Until then a failure is a real HTTP answer with a JSON body.',
  whole:
    '1. With `stream: false` nothing is sent before the run is over, no heartbeat either, and then one JSON body, or a failure with its status.',
  headers:
    "2. An event stream says `content-type: text/event-stream; charset=utf-8`, `cache-control: no-store, no-transform` and `x-accel-buffering: no`, and every other answer `cache-control` too; `connection` and `transfer-encoding` are the host's.",
  kept: '2. Headers that the host set earlier (CORS, cookies) are kept, except a `content-length`.',
  disconnect:
    '3. A reader who leaves aborts the upstream at once, also while the model is thinking, also on HTTP/2, and never on a normal end. The reason is an `AbortError`.',
  body: "3. The request's body is read before `relay`, or its reading begins synchronously in the source function. What nobody has begun to read by then, the adapter reads to its end and drops: a large unread body hides that the reader left.",
  abort:
    '4. After our own abort nothing that the source says is news: the ending is the one that was asked for, and the sentinel is not sent.',
  endings:
    '5. A complete answer ends with the sentinel. Every other ending is an error frame, and nothing after it; before anything was sent it is the status of its code. Either way the answer is complete in the eyes of HTTP.',
  told: '5. `relay` never throws synchronously, `onEnd` is called once for every run, `onClose` once for every call, after the `onEnd` of a run that ended with it, and what `relay` returned is settled.',
  secrets:
    '6. What a provider says of a failure stays on the server unless `onError` says otherwise, and the original reaches `onError`.',
  backpressure:
    '7. A reader that takes nothing costs a bounded amount of memory, whatever the source produces. The wait ends when it reads on, when it leaves, when the run is stopped, and after `stallTimeoutMs`.',
  heartbeats: '8. Heartbeats are a comment and a blank line, sent only after silence, and never inside an event.',
  frames:
    "9. Every line of an event's data is a data line of its own, in UTF-8. A line break in `event` or `id` is `invalid-field`.",
  head: '10. HEAD is answered with the headers only and does not call the source. Compression in front holds nothing back.',
  eventSource:
    '11. An `EventSource` does not run the prompt again when it is over: the last frame of its GET has the id `<runId>:end`, and a request that brings such an id is answered 204. Other ids reach the source function.',
  log: '11. With a log, a run goes on without its reader, and who brings an id of its events, or its name again, reads the rest of the same run.',
  nothing: '12. No listener, timer or promise is left behind.',
  context:
    "14. The source function, the listeners of its signal, `onError`, `onEnd` and `onClose` run in the context (`AsyncLocalStorage`) of their own request, whatever triggers them, and so does what stands around the host's `write`.",
  tied: '15. A run is tied to its response: where something else answers, or the host will not have the response, the source is aborted. A body that nobody reads is `stalled`.',
  large: '16. An event larger than the buffers goes out in slices, as there is room. No character is cut in two.',
} as const

/** One behaviour of an adapter. */
export interface AdapterBehaviour {
  /** A sentence, different for each. */
  readonly name: string
  /** The rule it belongs to, as docs/adapter.md has it. */
  readonly rule: string
  /**
   * Tries it: starts the host, sends requests, looks at what comes, and closes the host again.
   *
   * @throws `AssertionError`, whose message says what was expected, what came instead, and the rule.
   */
  run(host: AdapterHost, options?: BehaviourOptions): Promise<void>
}

/** Options of {@link AdapterBehaviour}'s `run`. */
export interface BehaviourOptions {
  /**
   * How long one behaviour may take, in milliseconds. On an idle machine each takes less than a second. @default 4000
   */
  limitMs?: number
}

const OPTIONS: Rules<keyof BehaviourOptions> = { limitMs: positive }

type Check = (trial: Trial) => Promise<void>

const table: AdapterBehaviour[] = []

function behaviour(rule: keyof typeof RULES, name: string, check: Check): void {
  table.push({
    name,
    rule: RULES[rule],
    async run(host, options = {}) {
      checkOptions('run', options, OPTIONS)
      await Trial.run(host, RULES[rule], options.limitMs ?? 4000, check)
    },
  })
}

const MB = 1024 * 1024
const SECRET = 'sk-live-7f3a9c'
const END_ID = `${'0123456789abcdef'.repeat(2)}:end`
const SENTINEL = `data: ${DONE}\n\n`
const HELLO = frame('Hello')
const STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
}
const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store, no-transform' }
const EARLIER = [
  ['access-control-allow-origin', 'https://app.example'],
  ['set-cookie', 'session=1; Path=/'],
  ['set-cookie', 'theme=dark'],
] as const

function frame(text: string): string {
  return `data: ${JSON.stringify({ text })}\n\n`
}

function post(size = 0): ClientOptions {
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(size) }] })
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body }
}

/** What the client is shown of an error: the `error` of the JSON body, or of the frame that ends a stream. */
function failureIn({ body }: Answer): { code?: unknown; message?: unknown; retryable?: unknown } | undefined {
  const [, json = body] = /(?:^|\n)event: error\ndata: ([^\n]*)\n\n$/.exec(body) ?? []
  try {
    return JSON.parse(json).error
  } catch {
    return undefined
  }
}

/** A chunk of OpenAI's chat completions, after which the answer needs a proof that it is complete. */
function chat(content: string): object {
  return { choices: [{ index: 0, delta: { content }, finish_reason: null }] }
}

/** An error as an SDK throws it, with the secret wherever SDKs put such things. */
function rateLimit(): Error {
  const error = new Error(`No: ${SECRET}`, { cause: new Error(SECRET) })
  const headers = { authorization: SECRET, 'x-request-id': SECRET, 'retry-after': SECRET }
  const stack = `Error: ${SECRET}\n    at secret.ts`
  return Object.assign(error, {
    status: 429,
    headers,
    stack,
    error: { message: SECRET },
    requestID: SECRET,
    code: SECRET,
  })
}

/** Checks that the failure is the expected one, in the library's own words, and holds nothing else. */
function isFailure(trial: Trial, what: string, answer: Answer, expected: { code: string; retryable: boolean }): void {
  const { message, ...failure } = failureIn(answer) ?? {}
  trial.equal(what, failure, expected)
  const words = typeof message === 'string' && message !== ''
  trial.ok(`${what} has a message`, words, 'a text', message)
  trial.equal(`${what} has the words of the provider`, JSON.stringify(answer).includes(SECRET), false)
}

/** Compares headers, except those that were joined from several and may come in any order. */
function matchHeaders(trial: Trial, what: string, { headers }: Answer, expected: Record<string, string>): void {
  trial.match(what, headers, expected)
}

function hasEarlier(trial: Trial, what: string, answer: Answer): void {
  matchHeaders(trial, `${what} has the CORS header the host set earlier`, answer, {
    'access-control-allow-origin': 'https://app.example',
  })
  cookies(trial, `${what} has the cookies the host set earlier`, answer, ['session=1; Path=/', 'theme=dark'])
}

function cookies(trial: Trial, what: string, { headers }: Answer, expected: string[]): void {
  trial.equal(what, (headers['set-cookie'] ?? '').split(', ').sort(), [...expected].sort())
}

// 1

behaviour('commit', 'the answer begins with the first event, while the source goes on', async (trial) => {
  const feed = new Feed('Hello')
  const served = await trial.serve(feed.source)
  const client = trial.open(served)
  await trial.until(client, HELLO)
  trial.equal('the status', await client.status, 200)
  feed.push(' there')
  await trial.until(client, frame(' there'))
  feed.end()
  trial.match('the answer', await trial.answerTo(client), {
    body: HELLO + frame(' there') + SENTINEL,
    complete: true,
  })
})

behaviour('commit', 'the answer begins with the first heartbeat, and then a failure is an event', async (trial) => {
  const feed = new Feed()
  const served = await trial.serve(feed.source, { heartbeatMs: 20, onError() {} })
  const client = trial.open(served)
  await trial.until(client, ': \n\n')
  trial.equal('the status', await client.status, 200)
  feed.fail(rateLimit())
  const answer = await trial.answerTo(client)
  isFailure(trial, 'the failure', answer, { code: 'rate-limit', retryable: true })
  trial.ok('the body', /^(: \n\n)+event: error\n/.test(answer.body), 'heartbeats, and then the failure', answer.body)
  trial.equal('the answer is complete', answer.complete, true)
})

behaviour('commit', 'a failure before the first part has a status and a JSON body', async (trial) => {
  const served = await trial.serve(() => throwing(rateLimit(), ['', chat(''), undefined, '']), { onError() {} })
  const answer = await trial.ask(served)
  trial.match('the answer', answer, { status: 429, complete: true })
  matchHeaders(trial, 'its headers', answer, JSON_HEADERS)
  isFailure(trial, 'its JSON', answer, { code: 'rate-limit', retryable: true })
})

behaviour('commit', 'an answer without an event is 200 and the sentinel', async (trial) => {
  const served = await trial.serve(() => [])
  trial.match('the answer', await trial.ask(served), { status: 200, body: SENTINEL, complete: true })
  const { firstEventMs, ...summary } = await trial.ended(served)
  trial.match('the summary', summary, { outcome: 'done', events: 0, text: '' })
  trial.equal('the time of the first event', firstEventMs, undefined)
})

const WHOLE = { stream: false, heartbeatMs: 5 }

behaviour('whole', 'one body comes when the run is over, and nothing before it', async (trial) => {
  const feed = new Feed('Hel')
  const served = await trial.serve(feed.source, { ...WHOLE, retryMs: 5 })
  const client = trial.open(served, post())
  await trial.within(feed.asked, 'the source function is called')
  await pause(30)
  trial.equal('what came before the end', client.received, '')
  feed.push('lo')
  feed.end()
  const answer = await trial.answerTo(client)
  trial.match('the answer', answer, { status: 200, body: '{"text":"Hello"}', complete: true })
  matchHeaders(trial, 'its headers', answer, JSON_HEADERS)
  trial.match('the summary', await trial.ended(served), { outcome: 'done', text: 'Hello' })
})

behaviour('whole', 'one body of 3 MB arrives whole at a reader that is slow', async (trial) => {
  const text = 'ü'.repeat(1_500_000)
  const served = await trial.serve(() => [text.slice(0, 9), text.slice(9)], WHOLE)
  const client = trial.open(served, post())
  client.pause()
  await pause(30)
  client.resume()
  const { body, complete } = await trial.answerTo(client)
  trial.equal('the length of the text', JSON.parse(body).text.length, text.length)
  trial.equal('the answer is complete', complete, true)
})

behaviour('whole', 'one body is the failure with its status, also when it comes late', async (trial) => {
  const served = await trial.serve(() => throwing(rateLimit(), ['Hello']), { ...WHOLE, onError() {} })
  const answer = await trial.ask(served, post())
  trial.match('the answer', answer, { status: 429, complete: true })
  matchHeaders(trial, 'its headers', answer, JSON_HEADERS)
  isFailure(trial, 'its JSON', answer, { code: 'rate-limit', retryable: true })
  trial.match('the summary', await trial.ended(served), { outcome: 'error', text: 'Hello' })
})

behaviour('whole', 'a reader who leaves before one body has come aborts the upstream', async (trial) => {
  const feed = new Feed('Hello')
  const served = await trial.serve(feed.source, WHOLE)
  const client = trial.open(served, post())
  await trial.within(feed.asked, 'the source function is called')
  await pause(5)
  await aborts(trial, feed, () => client.leave())
  await disconnected(trial, served)
})

behaviour('whole', 'HEAD of one body has the headers of JSON', async (trial) => {
  const served = await trial.serve(() => ['Hello'], WHOLE, { runs: 0 })
  const answer = await trial.ask(served, { method: 'HEAD' })
  trial.match('the answer', answer, { status: 200, body: '' })
  matchHeaders(trial, 'its headers', answer, JSON_HEADERS)
})

// 2

behaviour('headers', 'the headers are those of an event stream', async (trial) => {
  const served = await trial.serve(() => tokens('Hello'))
  const answer = await trial.ask(served)
  trial.equal('the status', answer.status, 200)
  matchHeaders(trial, 'the headers', answer, STREAM_HEADERS)
})

behaviour('headers', "the connection is the host's business", async (trial) => {
  const headers = { connection: 'close', 'transfer-encoding': 'chunked', 'keep-alive': 'timeout=1', 'x-model': 'm' }
  const served = await trial.serve(() => tokens('Hello'), { headers })
  const answer = await trial.ask(served)
  trial.match('the answer', answer, { status: 200, body: HELLO + SENTINEL, complete: true })
  trial.equal('the header of the options', answer.headers['x-model'], 'm')
  trial.ok("keep-alive is not the options'", answer.headers['keep-alive'] !== 'timeout=1', "the host's", answer.headers)
  const settled = await trial.settled(served)
  // A host that sends an object of its own may have no such headers.
  const own = 'value' in settled && (settled.value as Partial<Response> | undefined)?.headers
  for (const name of ['connection', 'transfer-encoding']) {
    if (trial.httpVersion === '2') trial.ok(`no ${name} on HTTP/2`, !(name in answer.headers), 'none', answer.headers)
    if (own && typeof own.has === 'function') trial.equal(`the response does not set ${name}`, own.has(name), false)
  }
})

behaviour('headers', "the options' headers win over the library's, except content-type", async (trial) => {
  const headers = { 'Cache-Control': 'private, no-transform', 'X-Model': 'small', 'content-type': 'text/plain' }
  const expected = { 'cache-control': 'private, no-transform', 'x-model': 'small' }
  const served = await trial.serve(() => tokens('Hello'), { headers })
  matchHeaders(trial, "a stream's headers", await trial.ask(served), {
    ...expected,
    'content-type': STREAM_HEADERS['content-type'],
    'x-accel-buffering': 'no',
  })
  const failing = await trial.serve(() => throwing(new Error('bug')), { headers, onError() {} })
  matchHeaders(trial, "a failure's headers", await trial.ask(failing), {
    ...expected,
    'content-type': JSON_HEADERS['content-type'],
  })
})

behaviour('headers', "the options' headers win over those the host set earlier", async (trial) => {
  // A host that adds its headers to the response adds them after the adapter.
  if (trial.host.returns === 'response') return
  const options = { headers: [['x-model', 'small']] as const, onError() {} }
  for (const source of [() => tokens('Hello'), () => throwing(new Error('bug'))]) {
    const served = await trial.serve(source, options, { headers: [['x-model', 'large']] })
    matchHeaders(trial, 'the headers', await trial.ask(served), { 'x-model': 'small' })
  }
})

behaviour('kept', 'headers that the host set earlier are on a stream', async (trial) => {
  const served = await trial.serve(() => tokens('Hello'), {}, { headers: EARLIER })
  hasEarlier(trial, 'a stream', await trial.ask(served))
})

behaviour('kept', 'headers that the host set earlier are on a failure', async (trial) => {
  const served = await trial.serve(() => throwing(new Error('bug')), { onError() {} }, { headers: EARLIER })
  const answer = await trial.ask(served)
  trial.equal('the status', answer.status, 500)
  hasEarlier(trial, 'a failure', answer)
})

behaviour('kept', 'headers that the host set earlier are on HEAD and on 204', async (trial) => {
  const served = await trial.serve(() => tokens('Hello'), {}, { headers: EARLIER, runs: 0 })
  hasEarlier(trial, 'a HEAD', await trial.ask(served, { method: 'HEAD' }))
  const over = await trial.ask(served, { headers: { 'last-event-id': END_ID } })
  trial.equal('the status', over.status, 204)
  hasEarlier(trial, 'a 204', over)
})

behaviour('kept', 'the cookies of the options and of the host are all sent', async (trial) => {
  const headers: [string, string][] = [
    ['set-cookie', 'a=1'],
    ['set-cookie', 'b=2'],
  ]
  const served = await trial.serve(() => tokens('Hello'), { headers }, { headers: [['set-cookie', 'c=3']] })
  cookies(trial, 'the cookies', await trial.ask(served), ['a=1', 'b=2', 'c=3'])
})

behaviour('kept', 'a content-length does not cut the stream', async (trial) => {
  // A host that adds its headers to the response would add this one after the adapter.
  const headers = trial.host.returns === 'response' ? [] : ([['content-length', '5']] as const)
  const served = await trial.serve(() => tokens('Hello'), { headers: { 'content-length': '5' } }, { headers })
  trial.match('the answer', await trial.ask(served), { status: 200, body: HELLO + SENTINEL, complete: true })
})

// 3

/** Checks that the run's signal aborts when the reader leaves. */
async function aborts(trial: Trial, feed: Feed, leave: () => void): Promise<void> {
  leave()
  const reason = await trial.within(feed.aborted, "the run's signal aborts when the reader leaves")
  trial.equal('the name of the reason', (reason as Error | undefined)?.name, 'AbortError')
  trial.ok('the reason is an error', reason instanceof Error, 'an Error', reason)
}

/** Checks that the run is disconnected, and that this is not an error. */
async function disconnected(trial: Trial, served: Served, events?: number): Promise<void> {
  const { error, ...summary } = await trial.ended(served)
  trial.match('the summary', summary, { outcome: 'disconnected', ...(events !== undefined && { events }) })
  trial.equal('the error of the summary', error, undefined)
  trial.equal('what onError was told', served.errors, [])
}

/** Without heartbeats: a write would find out about the client as well. */
const SILENT = { heartbeatMs: 0 }

const REQUESTS: [
  what: string,
  body: 'before' | 'in-source' | 'unread',
  request: ClientOptions,
  before?: () => unknown,
][] = [
  ['of a GET', 'unread', {}],
  ['of a POST whose body was read before', 'before', post()],
  ['of a POST whose body was read a while before', 'before', post(), () => pause(20)],
  ['of a POST whose body the source function reads', 'in-source', post(300_000)],
  ['of a POST with 300 kB that nobody reads', 'unread', post(300_000)],
  ['of a POST with 5 MB that nobody reads', 'unread', post(5_000_000)],
]

for (const [what, body, request, before] of REQUESTS) {
  const rule = what.includes('nobody') ? 'body' : 'disconnect'

  behaviour(rule, `the reader ${what} leaves before the first token`, async (trial) => {
    const feed = new Feed()
    const served = await trial.serve(feed.source, SILENT, { body, before })
    const client = trial.open(served, request)
    await trial.within(feed.asked, 'the source function is called')
    // The end of a large body is still on its way, and its unread rest hides that the client left.
    await pause(request.body ? 30 : 5)
    await aborts(trial, feed, () => client.leave())
    await disconnected(trial, served, 0)
  })

  behaviour(rule, `the reader ${what} leaves after the first token`, async (trial) => {
    const feed = new Feed('Hello')
    const served = await trial.serve(feed.source, SILENT, { body, before })
    const client = trial.open(served, request)
    await trial.until(client, HELLO)
    await aborts(trial, feed, () => client.leave())
    await disconnected(trial, served, 1)
    trial.equal('the text of the summary', served.ends[0]?.text, 'Hello')
  })
}

behaviour('disconnect', "the reader's machine crashes", async (trial) => {
  const feed = new Feed('Hello')
  const served = await trial.serve(feed.source, SILENT)
  const client = trial.open(served, post())
  await trial.until(client, HELLO)
  await aborts(trial, feed, () => client.reset())
  await disconnected(trial, served, 1)
})

behaviour('disconnect', 'the reader leaves while its body is still on its way', async (trial) => {
  const feed = new Feed()
  const served = await trial.serve(feed.source, SILENT)
  const leave = trial.upload(served)
  await trial.within(feed.asked, 'the source function is called')
  await aborts(trial, feed, leave)
  await disconnected(trial, served, 0)
})

behaviour(
  'disconnect',
  'the reader leaves while the source function reads its body, which is no error',
  async (trial) => {
    const served = await trial.serve(new Feed().source, SILENT, { body: 'in-source' })
    const leave = trial.upload(served)
    await trial.called(served)
    leave()
    await disconnected(trial, served, 0)
  },
)

for (const [what, request] of [
  ['of a GET', {}],
  ['of a POST with 300 kB that nobody reads', post(300_000)],
] as const) {
  behaviour('disconnect', `the reader ${what} who had left before relay was called is noticed`, async (trial) => {
    const feed = new Feed()
    let client: TestClient | undefined
    const served = await trial.serve(feed.source, SILENT, {
      async before() {
        client?.leave()
        // The host notices meanwhile, and will not say so again; or it cannot notice as long as nobody reads.
        await pause(50)
      },
    })
    client = trial.open(served, request)
    await disconnected(trial, served, 0)
  })
}

behaviour('disconnect', 'a normal end is no disconnect, whatever becomes of the connection then', async (trial) => {
  let context: SourceContext | undefined
  const feed = new Feed('Hello')
  const served = await trial.serve((given) => {
    context = given
    return feed.source(given)
  })
  const client = trial.open(served, post(300_000))
  await trial.until(client, HELLO)
  feed.end()
  trial.match('the answer', await trial.answerTo(client), { body: HELLO + SENTINEL, complete: true })
  trial.match('the summary', await trial.ended(served), { outcome: 'done' })
  // The client closed its connection with the end of the answer.
  await pause(20)
  trial.equal('the signal has aborted', context?.signal.aborted, false)
  trial.equal('onEnd calls', served.ends.length, 1)
})

behaviour('disconnect', 'a reader who leaves takes nobody else along', async (trial) => {
  const feeds = [new Feed('Hello'), new Feed('Hello')]
  let next = 0
  const served = await trial.serve((context) => (feeds[next++] as Feed).source(context), SILENT)
  const connection = trial.connection(served)
  const [left, stays] = feeds as [Feed, Feed]
  const leaving = connection.askAndLeave()
  await trial.within(left.asked, 'the source function is called')
  // On HTTP/2 over the same connection.
  const staying = trial.httpVersion === '2' ? connection.ask('GET') : trial.ask(served)
  await trial.within(stays.asked, 'the source function is called again')
  await trial.within(leaving, 'the first event arrives')
  await trial.within(left.aborted, 'the run of the one who left aborts')
  stays.push(' there')
  stays.end()
  const { body } = await trial.within(staying, 'the other answer ends')
  trial.equal('the other answer', body, HELLO + frame(' there') + SENTINEL)
})

behaviour('body', 'the source function reads the whole body, if it begins synchronously', async (trial) => {
  const feed = new Feed('Hello')
  feed.end()
  const served = await trial.serve(feed.source, {}, { body: 'in-source' })
  const request = post(300_000)
  trial.match('the answer', await trial.ask(served, request), { body: HELLO + SENTINEL, complete: true })
  trial.equal('the length of the body it read', feed.body?.length, request.body?.length)
})

behaviour('body', 'an unread body of 5 MB is no obstacle for a failure', async (trial) => {
  const served = await trial.serve(() => throwing(rateLimit()), { onError() {} })
  trial.match('the answer', await trial.ask(served, post(5_000_000)), { status: 429, complete: true })
})

behaviour('body', 'a connection is good for the next request, whether the body was read or not', async (trial) => {
  const served = await trial.serve(({ signal }) => tokens('Hello there', { everyMs: 1, signal }), {
    stallTimeoutMs: 60,
  })
  const connection = trial.connection(served)
  const { body } = post(300_000)
  for (const sent of [body, undefined, body, '{}']) {
    const method = sent === undefined ? 'GET' : 'POST'
    const answer = await trial.within(connection.ask(method, sent as string | undefined), `${method} is answered`)
    trial.equal('the answer', answer, { status: 200, body: HELLO + frame(' there') + SENTINEL })
    // After its `stallTimeoutMs` the relay that is over must leave the connection alone as well.
    if (method === 'GET') await pause(100)
  }
  trial.equal('connections opened', connection.opened, 1)
})

// 4

behaviour('abort', 'what the source says to an abort is no news', async (trial) => {
  for (const say of [
    (feed: Feed) => feed.end(),
    (feed: Feed) => feed.fail(rateLimit()),
    (feed: Feed) => feed.fail(new Error('aborted')),
    (feed: Feed) => feed.fail('gone'),
    (feed: Feed, reason: unknown) => feed.fail(reason),
  ]) {
    const feed = new Feed('Hello')
    const stop = new AbortController()
    const served = await trial.serve(feed.source, { signal: stop.signal })
    const client = trial.open(served)
    await trial.until(client, HELLO)
    feed.aborted.then((reason) => say(feed, reason))
    stop.abort()
    const answer = await trial.answerTo(client)
    trial.equal('the code in the error frame', failureIn(answer)?.code, 'stopped')
    trial.equal('the sentinel was sent', answer.body.includes(DONE), false)
    trial.match('the summary', await trial.ended(served), { outcome: 'stopped' })
    trial.equal('what onError was told', served.errors, [])
  }
})

// 5

behaviour('endings', 'done: the events, the sentinel, and nothing more', async (trial) => {
  const served = await trial.serve(() => tokens('Hello there'))
  trial.match('the answer', await trial.ask(served), {
    status: 200,
    body: HELLO + frame(' there') + SENTINEL,
    complete: true,
  })
  trial.match('the summary', await trial.ended(served), { outcome: 'done', events: 2, text: 'Hello there' })
})

interface Ending {
  code: string
  how?: string
  status: number
  retryable: boolean
  outcome?: string
  /** Whether `onError` is called. */
  isError?: boolean
  /** Causes this ending. */
  end(hands: { feed: Feed; stop: AbortController; shutdown: AbortController }): void
  maxDurationMs?: number
}

const ENDINGS: Ending[] = [
  {
    code: 'internal',
    outcome: 'error',
    status: 500,
    retryable: false,
    isError: true,
    end: ({ feed }) => feed.fail(new TypeError(`messages is not iterable ${SECRET}`)),
  },
  {
    code: 'truncated',
    status: 502,
    retryable: true,
    isError: true,
    end({ feed }) {
      feed.push(chat(''))
      feed.end()
    },
  },
  { code: 'stopped', status: 409, retryable: false, end: ({ stop }) => stop.abort() },
  {
    code: 'stopped',
    how: ', for a reason of its own',
    status: 409,
    retryable: false,
    end: ({ stop }) => stop.abort(SECRET),
  },
  { code: 'shutdown', status: 503, retryable: true, end: ({ shutdown }) => shutdown.abort() },
  { code: 'expired', status: 504, retryable: false, end() {}, maxDurationMs: 150 },
  {
    code: 'expired',
    how: ', by a signal with a TimeoutError',
    status: 504,
    retryable: false,
    end: ({ stop }) => stop.abort(new DOMException('too long', 'TimeoutError')),
  },
]

for (const { code, how = '', status, retryable, outcome = code, isError = false, end, maxDurationMs } of ENDINGS) {
  behaviour(
    'endings',
    `${code}${how}: an error frame after the first event, status ${status} before it`,
    async (trial) => {
      for (const first of [HELLO, '']) {
        const feed = new Feed<unknown>(...(first ? [chat('Hello')] : []))
        const stop = new AbortController()
        const shutdown = new AbortController()
        const told: unknown[] = []
        const served = await trial.serve(feed.source, {
          heartbeatMs: 0,
          signal: stop.signal,
          shutdown: shutdown.signal,
          onError: (...given) => void told.push(given),
          ...(maxDurationMs && { maxDurationMs }),
        })
        const client = trial.open(served)
        const { signal } = await trial.within(feed.asked, 'the source function is called')
        if (first) await trial.until(client, first)
        end({ feed, stop, shutdown })
        const answer = await trial.answerTo(client)
        trial.match('the answer', answer, { status: first ? 200 : status, complete: true })
        isFailure(trial, 'the failure', answer, { code, retryable })
        if (first) {
          trial.equal('the body', answer.body.startsWith(`${first}event: error\n`), true)
          trial.equal('the sentinel was sent', answer.body.includes(DONE), false)
        } else matchHeaders(trial, 'the headers', answer, JSON_HEADERS)
        const { runId, error, ...summary } = await trial.ended(served)
        trial.match('the summary', summary, { outcome, events: first ? 1 : 0, text: first ? 'Hello' : '' })
        trial.equal('there is a time of the first event', summary.firstEventMs !== undefined, first !== '')
        trial.equal("the run's signal has aborted", signal.aborted, true)
        const failure = { ...failureIn(answer), status }
        trial.equal('what onError was told', told, isError ? [[error, { runId, failure, sent: first !== '' }]] : [])
      }
    },
  )
}

behaviour('endings', 'one shutdown signal ends all runs', async (trial) => {
  const shutdown = new AbortController()
  const served = await trial.serve((context) => new Feed('Hello').source(context), { shutdown: shutdown.signal })
  const clients = Array.from({ length: 8 }, () => trial.open(served))
  for (const client of clients) await trial.until(client, HELLO)
  const listeners = () => getEventListeners(shutdown.signal, 'abort').length
  trial.ok('listeners on the signal', listeners() <= 1, 'at most one', listeners())
  shutdown.abort()
  for (const client of clients) {
    const answer = await trial.answerTo(client)
    isFailure(trial, 'the failure', answer, { code: 'shutdown', retryable: true })
    trial.equal('the answer is complete', answer.complete, true)
  }
  await trial.ended(served, clients.length)
  trial.equal('listeners on the signal after that', listeners(), 0)
})

behaviour('told', 'relay returns a promise of how it went, and onEnd is told the same', async (trial) => {
  const served = await trial.serve(() => tokens('Hello'))
  await trial.ask(served)
  const summary = await trial.ended(served)
  const settled = await trial.settled(served)
  if (!('value' in settled)) return trial.fail('relay resolves', 'a value', settled)
  if (trial.host.returns === 'summary') trial.equal('what relay resolves to', settled.value, summary)
  else if (trial.host.returns === 'nothing') trial.equal('what relay resolves to', settled.value, undefined)
  else trial.match('what relay resolves to', settled.value as Response, { status: 200 })
})

behaviour('told', 'a mistake of the caller is an answer too, and does not throw', async (trial) => {
  for (const [source, options, code] of [
    [() => tokens('Hello'), { heartbeatMs: -1 }, 'invalid-option'],
    [42, {}, 'invalid-source'],
  ] as const) {
    const served = await trial.serve(source as never, options)
    const answer = await trial.ask(served)
    trial.match('the answer', answer, { status: 500, complete: true })
    isFailure(trial, 'the failure', answer, { code, retryable: false })
    const { error } = await trial.ended(served)
    trial.equal('the code of the error in the summary', (error as { code?: unknown } | undefined)?.code, code)
    trial.equal('what onError was told', served.errors, [error])
    trial.ok('relay resolves', 'value' in (await trial.settled(served)), 'a value', served.settled[0])
  }
})

behaviour(
  'told',
  "what onError throws before anything was sent is for the host's own error handling",
  async (trial) => {
    const error = new Error('for the host')
    const served = await trial.serve(() => throwing(new Error(SECRET)), {
      onError() {
        throw error
      },
    })
    const answer = await trial.ask(served)
    trial.ok('the host answers with a failure', answer.status >= 400, 'a status from 400', answer)
    const ours = answer.headers['x-accel-buffering'] ?? failureIn(answer)?.code
    trial.equal('anything of the relay in the answer', ours, undefined)
    const settled = await trial.settled(served)
    // A host that ignores promises gets the error in another way, and then relay resolves to nothing.
    const told = 'reason' in settled ? settled.reason === error : settled.value === undefined
    trial.ok('relay rejects with what onError threw', told, error, settled)
  },
)

behaviour('told', 'waitUntil is given the end of the run', async (trial) => {
  const promises: Promise<unknown>[] = []
  let finish = () => {}
  const served = await trial.serve(() => tokens('Hello'), {
    waitUntil: (promise) => void promises.push(promise),
    onEnd: () =>
      new Promise<void>((resolve) => {
        finish = resolve
      }),
  })
  await trial.ask(served)
  await trial.ended(served)
  trial.equal('promises given', promises.length, 1)
  const order: string[] = []
  const over = promises[0]?.then(() => order.push('over'))
  await pause(10)
  order.push('finish')
  finish()
  await trial.within(over, 'the promise of waitUntil is settled')
  trial.equal('the order', order, ['finish', 'over'])
})

// 6

for (const [when, chunks] of [
  ['before', []],
  ['after', ['Hello']],
] as const) {
  behaviour('secrets', `a provider's words stay on the server ${when} the first event`, async (trial) => {
    const error = rateLimit()
    const served = await trial.serve(() => throwing(error, chunks))
    const answer = await trial.ask(served)
    isFailure(trial, 'the failure', answer, { code: 'rate-limit', retryable: true })
    const { errors } = served
    trial.ok('onError is told the original, once', errors.length === 1 && errors[0] === error, [error], errors)
    trial.ok('the summary has the original', (await trial.ended(served)).error === error, error, served.ends[0])
  })
}

behaviour('secrets', 'what onError returns is shown instead', async (trial) => {
  const shown = { status: 402, code: 'no-credit', message: 'Please top up', retryable: true }
  const { status, ...failure } = shown
  const early = await trial.serve(() => throwing(rateLimit()), { onError: () => shown })
  const refused = await trial.ask(early)
  trial.equal('the status', refused.status, status)
  trial.equal('the failure', failureIn(refused), failure)
  const late = await trial.serve(() => throwing(rateLimit(), ['Hello']), { onError: () => shown })
  trial.equal('the failure in the frame', failureIn(await trial.ask(late)), failure)
})

// 7

/** Resolves when the source was not asked for more in a while: the buffers of client and server are full. */
async function quiet(trial: Trial, source: { produced: number }): Promise<void> {
  let before = -1
  let same = 0
  await trial.poll(
    () => {
      same = source.produced > 0 && source.produced === before ? same + 1 : 0
      before = source.produced
      return same > 8
    },
    'the source is not asked for more while the reader takes nothing',
    () => `${source.produced} characters`,
  )
}

/** More than two sockets' buffers in the kernel may take. */
const BOUND = 8 * MB
const FLOOD = { chunkSize: 65_536, total: 48 * MB }

behaviour('backpressure', 'a reader that takes nothing costs little, and is dropped', async (trial) => {
  const source = flooding(FLOOD)
  const served = await trial.serve(() => source, { stallTimeoutMs: 150 })
  const client = trial.open(served, post())
  client.pause()
  const { outcome, durationMs } = await trial.ended(served)
  trial.equal('the outcome', outcome, 'stalled')
  trial.ok('the wait', durationMs >= 150, 'the 150 ms of stallTimeoutMs', durationMs)
  await trial.within(
    source.until(({ returned, pending }) => returned && !pending),
    'the source is let go of',
  )
  trial.ok('what was asked of the source', source.produced < BOUND, `less than ${BOUND}`, source.produced)
  client.resume()
  const { complete } = await trial.within(client.closed, 'the connection is dropped')
  trial.equal('the answer is complete', complete, false)
  trial.equal('the sentinel was sent', client.received.includes(SENTINEL), false)
})

behaviour('backpressure', 'a reader that reads on gets everything', async (trial) => {
  const source = flooding(FLOOD)
  let total = FLOOD.total
  const served = await trial.serve(async function* () {
    for await (const piece of source) {
      yield piece
      if (source.produced >= total) return
    }
  })
  const client = trial.open(served)
  client.pause()
  await quiet(trial, source)
  // A little more than all that waits on the way.
  total = source.produced + MB
  client.resume()
  const { body, complete } = await trial.answerTo(client)
  trial.equal('the answer is complete', complete, true)
  const { text, outcome } = await collect(body)
  trial.equal('the answer', { length: text.length, outcome }, { length: source.produced, outcome: 'done' })
})

behaviour('backpressure', 'the wait ends when the reader leaves', async (trial) => {
  const source = flooding(FLOOD)
  const served = await trial.serve(() => source)
  const client = trial.open(served)
  client.pause()
  await quiet(trial, source)
  trial.ok('what was asked of the source', source.produced < BOUND, `less than ${BOUND}`, source.produced)
  client.leave()
  trial.match('the summary', await trial.ended(served), { outcome: 'disconnected' })
  await trial.within(
    source.until(({ returned }) => returned),
    'the source is let go of',
  )
})

behaviour('backpressure', 'the wait ends when the run is stopped', async (trial) => {
  const source = flooding(FLOOD)
  const stop = new AbortController()
  const served = await trial.serve(() => source, { signal: stop.signal })
  const client = trial.open(served)
  client.pause()
  await quiet(trial, source)
  stop.abort()
  trial.match('the summary', await trial.ended(served), { outcome: 'stopped' })
  await trial.within(
    source.until(({ returned }) => returned),
    'the source is let go of',
  )
  client.resume()
  const answer = await trial.answerTo(client)
  trial.equal('the answer is complete', answer.complete, true)
  trial.equal('the code in the error frame', failureIn(answer)?.code, 'stopped')
})

// 8

behaviour('heartbeats', 'heartbeats are comments while the source is silent', async (trial) => {
  const feed = new Feed<string>()
  const served = await trial.serve(feed.source, { heartbeatMs: 15 })
  const client = trial.open(served, post())
  await trial.until(client, ': \n\n: \n\n: \n\n')
  trial.ok('what comes while the source is silent', /^(: \n\n)+$/.test(client.received), 'comments', client.received)
  feed.push('Hello')
  await trial.until(client, `${HELLO}: \n\n`)
  feed.end()
  const { body } = await trial.answerTo(client)
  trial.ok(
    'the body',
    /^(: \n\n)+data: \{"text":"Hello"\}\n\n(: \n\n)+data: \[DONE\]\n\n$/.test(body),
    'comments between the events',
    body,
  )
  trial.match('the summary', await trial.ended(served), { outcome: 'done', events: 1 })
})

behaviour('heartbeats', 'heartbeats begin before the source function has answered', async (trial) => {
  const served = await trial.serve(() => new Promise<never>(() => {}), { heartbeatMs: 15 })
  const client = trial.open(served, post())
  await trial.until(client, ': \n\n: \n\n')
  client.leave()
  trial.match('the summary', await trial.ended(served), { outcome: 'disconnected', events: 0 })
})

behaviour('heartbeats', 'heartbeats are never inside an event', async (trial) => {
  const feed = new Feed<string>()
  const served = await trial.serve(feed.source, { heartbeatMs: 3 })
  const client = trial.open(served)
  for (let count = 1; count <= 3; count++) {
    feed.push('x'.repeat(150_000))
    const came = (received: string) =>
      received.length > count * 150_000 && received.split('x"}').length > count && received.endsWith(': \n\n')
    await trial.until(client, came, `event ${count} and a heartbeat`)
  }
  feed.end()
  const { body } = await trial.answerTo(client)
  const whole = /^(?:: \n\n|data: [^\n]*\n\n)+$/.test(body)
  trial.ok('the body is events and comments', whole, 'each whole', body.replace(/x{100,}/g, 'x…x'))
  trial.equal('the length of the text', (await collect(body)).text.length, 3 * 150_000)
})

// 9

behaviour('frames', 'every line of the data is a data line, and every character arrives', async (trial) => {
  const said = 'naïve — 日本🚀'
  const served = await trial.serve(() => [said, { data: `a\nb\rc\r\nd\r\r\n${said}` }, said.repeat(5000)])
  const { body } = await trial.ask(served)
  const lines = `data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: ${said}\n\n`
  trial.equal('the body', body, frame(said) + lines + frame(said.repeat(5000)) + SENTINEL)
})

behaviour('frames', 'a line break in a name is refused, before and after the first event', async (trial) => {
  const forged = { event: 'a\nevent: b', data: 1 }
  const early = await trial.serve(() => [forged])
  const refused = await trial.ask(early)
  trial.equal('the status', refused.status, 500)
  trial.equal('the code', failureIn(refused)?.code, 'invalid-field')
  const late = await trial.serve(() => ['Hello', forged, 'never'])
  const answer = await trial.ask(late)
  trial.equal('the code in the error frame', failureIn(answer)?.code, 'invalid-field')
  trial.equal('what came before it', answer.body.startsWith(`${HELLO}event: error\n`), true)
  trial.equal('what came after it', /never|\[DONE\]/.test(answer.body), false)
  trial.match('the summary', await trial.ended(late), { outcome: 'error', error: late.errors[0], events: 1 })
})

// 10

behaviour('head', 'HEAD is answered with the headers only', async (trial) => {
  const feed = new Feed('Hello')
  const served = await trial.serve(feed.source, {}, { runs: 0 })
  const answer = await trial.ask(served, { method: 'HEAD' })
  trial.match('the answer', answer, { status: 200, body: '' })
  matchHeaders(trial, 'the headers', answer, STREAM_HEADERS)
  trial.equal('calls of the source function', feed.calls, 0)
  trial.match('what onClose was told', await trial.closed(served), { outcome: 'done', status: 200 })
})

behaviour('head', 'a client that accepts gzip gets the tokens one by one', async (trial) => {
  const feed = new Feed('Hello')
  const served = await trial.serve(feed.source)
  const client = trial.open(served, { headers: { 'accept-encoding': 'gzip, br' } })
  await trial.until(client, HELLO)
  feed.push(' there')
  await trial.until(client, frame(' there'))
  feed.end()
  trial.match('the answer', await trial.answerTo(client), { body: HELLO + frame(' there') + SENTINEL, complete: true })
})

// 11

const ACCEPT = { accept: 'text/event-stream' }

behaviour('eventSource', 'a GET that accepts event streams is told that it is over', async (trial) => {
  const served = await trial.serve(() => tokens('Hello'))
  const { body } = await trial.ask(served, { headers: ACCEPT })
  const { runId } = await trial.ended(served)
  trial.equal('the body', body, `${HELLO}id: ${runId}:end\n${SENTINEL}`)
  const failing = await trial.serve(() => throwing(new Error('bug'), ['Hello']), { onError() {} })
  const failed = await trial.ask(failing, { headers: { accept: 'text/html, text/event-stream;q=0.9' } })
  const { runId: failedId } = await trial.ended(failing)
  const expected = `${HELLO}id: ${failedId}:end\nevent: error\n`
  trial.ok('the body of a failure', failed.body.startsWith(expected), expected, failed.body)
})

behaviour('eventSource', 'a POST, and a GET that accepts something else, have no ids', async (trial) => {
  const served = await trial.serve(() => tokens('Hello'))
  for (const request of [{ ...post(), headers: ACCEPT }, { headers: { accept: 'application/json' } }]) {
    trial.match('the answer', await trial.ask(served, request), { body: HELLO + SENTINEL })
  }
})

behaviour('eventSource', 'a request that brings the id of the end is answered 204', async (trial) => {
  const feed = new Feed('Hello')
  const served = await trial.serve(feed.source, {}, { runs: 0 })
  for (const request of [{}, post()]) {
    const answer = await trial.ask(served, { ...request, headers: { ...ACCEPT, 'last-event-id': END_ID } })
    trial.match('the answer', answer, { status: 204, body: '', complete: true })
    matchHeaders(trial, 'the headers', answer, { 'cache-control': 'no-store, no-transform' })
  }
  trial.equal('calls of the source function', feed.calls, 0)
})

behaviour('eventSource', 'any other id reaches the source function', async (trial) => {
  const ids: unknown[] = []
  const served = await trial.serve((context) => {
    ids.push(context.lastEventId)
    return tokens('Hello')
  })
  const utf8 = Buffer.from('naïve 日本🚀').toString('latin1')
  for (const id of ['7', 'tag:end', utf8]) {
    trial.match('the answer', await trial.ask(served, { headers: { 'last-event-id': id } }), { status: 200 })
  }
  await trial.ask(served)
  await trial.ask(served, { headers: { 'last-event-id': '' } })
  trial.equal('the ids', ids, ['7', 'tag:end', 'naïve 日本🚀', undefined, undefined])
})

const RUN = 'run-of-the-conformance-1'
const NAMED = { method: 'POST', headers: { 'x-run-id': RUN } }
const from = (id: string) => ({ headers: { 'last-event-id': `${RUN}:${id}` } })
const numbered = (number: number, text: string) => `id: ${RUN}:${number}\n${text}`

behaviour(
  'log',
  'a run with a log goes on when its reader leaves, and who comes back reads the rest, once',
  async (trial) => {
    const feed = new Feed('one')
    const served = await trial.serve(feed.source, { log: createMemoryLog(), owner: 'ann' }, { runs: 1 })
    const first = trial.open(served, NAMED)
    await trial.until(first, numbered(1, frame('one')))
    trial.equal('the id in the headers', (await first.headers)['x-run-id'], RUN)
    first.leave()
    await trial.within(first.closed, 'the reader has left')
    feed.push('two')
    const second = trial.open(served, from('1'))
    await trial.until(second, numbered(2, frame('two')))
    const third = trial.open(served, from('0'))
    await trial.until(third, numbered(2, frame('two')))
    feed.push('three')
    feed.end()
    const rest = numbered(2, frame('two')) + numbered(3, frame('three')) + numbered(4, SENTINEL)
    trial.match('the rest', await trial.answerTo(second), { body: rest, complete: true })
    const whole = numbered(1, frame('one')) + rest
    trial.match('the whole', await trial.answerTo(third), { body: whole, complete: true })
    const summary = { outcome: 'done', events: 3, runId: RUN, text: 'onetwothree' }
    trial.match('the summary of the run', await trial.ended(served), summary)
  },
)

behaviour(
  'log',
  'what is asked of a log and not there is 204 or 404, and the source is not called for it',
  async (trial) => {
    const feed = new Feed('all')
    feed.end()
    const served = await trial.serve(feed.source, { log: createMemoryLog(), owner: 'ann' }, { runs: 1 })
    await trial.ask(served, NAMED)
    const over = { status: 204, body: '', complete: true }
    trial.match('after the last event', await trial.ask(served, from('2')), over)
    trial.match('after the end', await trial.ask(served, from('end')), over)
    trial.match('before the end', await trial.ask(served, from('1')), { status: 200, body: numbered(2, SENTINEL) })
    const unknown = await trial.ask(served, { headers: { 'last-event-id': 'run-that-never-was-1:3' } })
    trial.equal('the status of a run that is not there', unknown.status, 404)
    isFailure(trial, 'its failure', unknown, { code: 'run-not-found', retryable: false })
    matchHeaders(trial, 'its headers', unknown, JSON_HEADERS)
    trial.equal('calls of the source function', feed.calls, 1)
  },
)

behaviour('log', 'a run whose answer is one body is kept as a stream', async (trial) => {
  const feed = new Feed('one')
  const log = createMemoryLog()
  const served = await trial.serve(feed.source, { log, owner: 'ann', stream: false }, { runs: 1 })
  const client = trial.open(served, NAMED)
  await trial.within(feed.asked, 'the source function is called')
  const follower = trial.open(served, from('0'))
  await trial.until(follower, numbered(1, frame('one')))
  feed.end()
  const whole = await trial.answerTo(client)
  trial.match('the answer', whole, { status: 200, body: '{"text":"one"}', complete: true })
  trial.equal('the id in the headers', whole.headers['x-run-id'], RUN)
  const body = numbered(1, frame('one')) + numbered(2, SENTINEL)
  trial.match('what follows it', await trial.answerTo(follower), { body, complete: true })
})

behaviour('log', 'a POST that is repeated under the same name follows its run', async (trial) => {
  const feed = new Feed('one')
  const served = await trial.serve(feed.source, { log: createMemoryLog(), owner: 'ann' }, { runs: 1 })
  const clients = [trial.open(served, NAMED), trial.open(served, NAMED)]
  for (const client of clients) await trial.until(client, numbered(1, frame('one')))
  feed.end()
  const body = numbered(1, frame('one')) + numbered(2, SENTINEL)
  for (const client of clients) trial.match('the answer', await trial.answerTo(client), { body, complete: true })
  trial.equal('calls of the source function', feed.calls, 1)
})

// 12

/** A few answers of each kind, each over when this returns. */
async function traffic(trial: Trial, source: (context: SourceContext) => Feed['source'], rounds: number) {
  const served = await trial.serve((context) => source(context)(context), { onError() {} })
  for (let round = 0; round < rounds; round++) {
    for (const request of [{}, post(), {}, post()]) await trial.ask(served, request)
    const client = trial.open(served)
    await client.until((received) => received !== '')
    client.leave()
    await trial.within(client.closed, 'the client has left')
  }
  await trial.ended(served, rounds * 5)
  return served
}

/** A source that ends, fails and goes on for ever, in turn. */
function byTurns(seen?: (context: SourceContext) => void): (context: SourceContext) => Feed['source'] {
  let count = 0
  return (context) => {
    seen?.(context)
    const feed = new Feed<unknown>('Hello')
    const turn = count++ % 5
    if (turn === 2) feed.fail(new Error('bug'))
    else if (turn < 4) feed.end()
    return feed.source
  }
}

function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
}

behaviour('nothing', 'no timer is left behind', async (trial) => {
  const before = timers()
  await traffic(trial, byTurns(), 4)
  await trial.poll(
    () => timers() <= before,
    'the timers of the relays are gone',
    () => `${timers() - before} timers more`,
  )
})

behaviour('nothing', 'no run is left behind', async (trial) => {
  const contexts: WeakRef<SourceContext>[] = []
  const collect = collector()
  const served = await traffic(
    trial,
    byTurns((context) => contexts.push(new WeakRef(context))),
    8,
  )
  await trial.settled(served, served.calls)
  served.forget()
  const alive = () => {
    collect()
    return contexts.filter((context) => context.deref() !== undefined).length
  }
  // The host may keep the latest ones.
  await trial.poll(
    () => alive() <= 4,
    'the runs that are over are collected',
    () => `${alive()} of ${contexts.length} are alive`,
  )
})

// 14

/** Ends a run from outside of its request: by a timer, a signal shared by all, or another request. */
const FROM_OUTSIDE: [
  how: string,
  outcome: string,
  options: RelayOptions,
  end: (stop: () => void, client: TestClient) => void,
][] = [
  ['the reader leaves', 'disconnected', {}, (_, client) => client.leave()],
  ["a signal of the whole server's aborts", 'shutdown', {}, (stop) => stop()],
  ['its time is over', 'expired', { maxDurationMs: 50 }, () => {}],
]

for (const [how, outcome, options, end] of FROM_OUTSIDE) {
  for (const first of ['Hello', '']) {
    const when = first ? 'after the first event' : 'while the model thinks'
    behaviour('context', `${how} ${when}: each request is told in its own context`, async (trial) => {
      const shutdown = new AbortController()
      const served = await trial.serve((context) => new Feed(...(first ? [first] : [])).source(context), {
        ...options,
        heartbeatMs: 0,
        shutdown: shutdown.signal,
      })
      const clients = [trial.open(served), trial.open(served), trial.open(served, post())]
      await trial.called(served, clients.length)
      if (first && !options.maxDurationMs) for (const client of clients) await trial.until(client, HELLO)
      for (const client of clients) end(() => shutdown.abort(), client)
      await trial.ended(served, clients.length)
      await trial.closed(served, clients.length)
      trial.equal(
        'the outcomes',
        served.ends.map((summary) => summary.outcome),
        clients.map(() => outcome),
      )
      trial.equal('what ran in the context of another request, or out of turn', served.strays, [])
    })
  }
}

behaviour('context', 'one who reads what another runs is told in their own context', async (trial) => {
  const feed = new Feed('one')
  const log = createMemoryLog()
  const served = await trial.serve(feed.source, { log, owner: 'ann' }, { runs: 1 })
  const clients = [trial.open(served, NAMED), trial.open(served, NAMED)]
  for (const client of clients) await trial.until(client, numbered(1, frame('one')))
  const late = trial.open(served, from('0'))
  await trial.until(late, numbered(1, frame('one')))
  feed.fail(new Error('bug'))
  for (const client of [...clients, late]) await trial.answerTo(client)
  await trial.closed(served, 3)
  trial.equal(
    'the outcomes',
    served.closes.map((connection) => connection.outcome),
    ['error', 'error', 'error'],
  )
  trial.equal('what ran in the context of another request, or out of turn', served.strays, [])
})

// 15

behaviour(
  'tied',
  'a run whose request is answered by other means is ended, and its source is aborted',
  async (trial) => {
    const feed = new Feed<string>()
    let answer = (_: Error) => {}
    const fails = () =>
      new Promise<never>((_, reject) => {
        answer = reject
      })
    const served = await trial.serve(feed.source, { heartbeatMs: 0, stallTimeoutMs: 80, onError() {} }, { fails })
    const client = trial.open(served)
    await trial.within(feed.asked, 'the source function is called')
    await pause(5)
    answer(new Error('a timeout'))
    const { status } = await trial.answerTo(client)
    trial.ok('the host answers with a failure', status >= 400, 'a status from 400', status)
    // A host that sends a response object notices the other answer only when it gets this one.
    feed.push('Hello')
    feed.end()
    const { outcome } = await trial.ended(served)
    trial.ok('how the run ends', ['disconnected', 'stalled', 'error'].includes(outcome), 'not done', outcome)
    await trial.within(feed.aborted, "the run's signal aborts")
  },
)

// 16

behaviour('large', 'a large event arrives whole, whoever reads it slowly, and no heartbeat is in it', async (trial) => {
  // Each character has two UTF-16 units and begins at an odd index: half of all places to cut are inside one.
  const said = `a${'🚀'.repeat(400_000)}`
  const feed = new Feed<string>(said)
  const served = await trial.serve(feed.source, { heartbeatMs: 5 })
  const client = trial.open(served)
  client.pause()
  await trial.within(feed.asked, 'the source function is called')
  await pause(30)
  client.resume()
  await trial.until(client, (received) => received.length > said.length && received.includes(`"}\n\n`), 'the event')
  feed.end()
  const { body, complete } = await trial.answerTo(client)
  trial.equal('the answer is complete', complete, true)
  trial.equal('the answer', body.replaceAll(': \n\n', '') === frame(said) + SENTINEL, true)
})

behaviour('large', 'a large event at the very end arrives whole', async (trial) => {
  const said = `a${'🚀'.repeat(400_000)}`
  const served = await trial.serve(() => [said], { protocol: atTheEnd(said) })
  const client = trial.open(served)
  client.pause()
  await trial.called(served)
  await pause(30)
  client.resume()
  const { body, complete } = await trial.answerTo(client)
  trial.equal('the answer is complete', complete, true)
  trial.equal('the answer', body === frame(said) + frame(said) + SENTINEL, true)
})

/** A protocol that repeats the whole text at its end, as some dialects do. */
function atTheEnd(said: string): Protocol {
  const protocol = text()
  return { ...protocol, encoder: (run) => ({ ...bound(protocol.encoder(run)), end: () => frame(said) }) }
}

function bound(encoder: Encoder): Encoder {
  return {
    part: (part) => encoder.part(part),
    event: (event) => encoder.event(event),
    end: (end) => encoder.end(end),
    fail: (failure) => encoder.fail(failure),
  }
}

behaviour('large', 'a character that comes in two pieces arrives as one', async (trial) => {
  const rocket = '🚀'
  const [high, low] = [rocket.charAt(0), rocket.charAt(1)]
  const own = (data: string) => ({ event: 'own', data })
  const served = await trial.serve(() => [`to ${high}`, low, own(high), own(`${low}!`), own(high)])
  const expected = `${frame('to ')}${frame(rocket)}event: own\ndata: ${rocket}!\n\nevent: own\ndata: \ufffd\n\n`
  trial.equal('the body', (await trial.ask(served)).body, expected + SENTINEL)
})

/**
 * What every adapter does, as a table of tests for an adapter of your own: see docs/adapter.md. They depend on no test
 * framework. Each starts the host, and closes it again; run them one after the other.
 *
 * @example
 * ```ts
 * import { test } from 'node:test'
 * import { type AdapterHost, adapterBehaviours } from 'sse-relay/testing'
 *
 * declare const host: AdapterHost
 * for (const { name, run } of adapterBehaviours) test(name, () => run(host))
 * ```
 */
export const adapterBehaviours: readonly AdapterBehaviour[] = table
