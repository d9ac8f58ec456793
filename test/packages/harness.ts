/**
 * Does the stream of a real package come out right? Each package opens its stream against a fake provider on loopback,
 * `relay` of `sse-relay/node` sends it over a socket, and what arrives is compared: whole, cut, reset, failed in the
 * middle, refused, and left by its reader.
 */
import { once } from 'node:events'
import { appendFileSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Source, Summary } from 'sse-relay'
import { relay } from 'sse-relay/node'
import { parts, text } from 'sse-relay/protocols'
import { collect, type Replay, type ReplayUpstream, replayUpstream } from 'sse-relay/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { appOf, CLIENTS } from './into-clients.js'
import { type Answer, CALL, LONG, SECRET, TEXT, USAGE, type Wire } from './wires.js'

export { AFTER, CALL, SECRET, TEXT } from './wires.js'

/** What arrived at the reader. */
export interface Seen {
  outcome: string
  status?: number
  /** Of the failure that was told. */
  code?: string | undefined
  text?: string
  reasoning?: string
  calls?: { id?: string | undefined; name?: string | undefined; input: string }[]
  /** Names and values of data parts. */
  data?: [name: string, data: unknown][]
  usage?: Summary['usage'] | undefined
  finishReason?: Summary['finishReason'] | undefined
}

/** What can befall an answer. */
export type Situation = 'whole' | 'cut' | 'reset' | 'failure' | 'refused 429' | 'refused 500'

/** A way to open a stream of a package. */
export interface PackageStream {
  /** The package, the call, the API behind it. */
  name: string
  /** In whose words the fake provider speaks. */
  wire: (answer: Answer) => Wire
  /** Opens the stream; without a signal the bare one. */
  open(url: string, signal: AbortSignal | undefined): unknown
  /** One answer for each request that the package makes of one run. @default one, with a call */
  turns?: readonly Answer[]
  /** Where it differs from what {@link expected} says. */
  differs?: Partial<Record<Situation, Partial<Seen>>>
  /** The sentence of docs/sources.md that says what the package hides, where an answer that is not whole is `done`. */
  hides?: string
  /**
   * When a bare stream stops: wherever its reader leaves, only while tokens come, or never.
   * With the signal it always does, unless that says `never` too.
   */
  bare: 'stops' | 'at a token' | 'never'
  signal?: 'stops' | 'never'
  /** The text comes in whole messages, so that nobody can leave in the middle of one. */
  isWhole?: true
  /** The calls of the last turn are answered, too. */
  isAnswered?: true
  /** The name in the warning that only the signal stops it, if there is to be one. */
  signalOnly?: string
}

const WHOLE_TEXT = 'Hello world'
const USED: Summary['usage'] = {
  inputTokens: USAGE.input,
  outputTokens: USAGE.output,
  totalTokens: USAGE.input + USAGE.output,
  cachedInputTokens: USAGE.cached,
  reasoningTokens: USAGE.reasoning,
}

/** What comes out of a package that hides nothing. */
function expected(turns: readonly Answer[]): Record<Situation, Partial<Seen>> {
  const join = (pieces: (answer: Answer) => string[]) => turns.flatMap(pieces).join('')
  const last = turns[turns.length - 1]
  return {
    whole: {
      outcome: 'done',
      status: 200,
      code: undefined,
      // Each message is a paragraph.
      text: turns.map(({ text }) => text.join('')).join('\n\n'),
      reasoning: join(({ reasoning }) => reasoning),
      calls: turns.flatMap(({ call }) => (call ? [{ ...call, input: call.input.join('') }] : [])),
      data: [],
      usage: USED,
      finishReason: last?.call ? 'tool-calls' : 'stop',
    },
    cut: { outcome: 'truncated', status: 200, code: 'truncated', text: WHOLE_TEXT },
    reset: { outcome: 'error', status: 200, code: 'upstream-failure', text: WHOLE_TEXT },
    failure: { outcome: 'error', status: 200, code: 'upstream-failure', text: WHOLE_TEXT },
    'refused 429': { outcome: 'error', status: 429, code: 'rate-limit' },
    'refused 500': { outcome: 'error', status: 502, code: 'upstream-failure' },
  }
}

const headers = { 'x-request-id': SECRET, 'request-id': SECRET, 'openai-organization': SECRET }

/** How the fake provider answers in a situation, request by request. */
function replays({ wire, turns = [CALL] }: PackageStream, situation: Situation): Replay[] {
  const { body, end, failure, refusal, type } = wire(TEXT)
  const replay = (frames: string[], fields: Replay = {}): Replay => ({
    body: frames.join(''),
    headers: { ...(type && { 'content-type': type }), ...headers },
    ...fields,
  })
  switch (situation) {
    case 'whole':
      return turns.map((answer) => {
        const { body, end } = wire(answer)
        return replay([...body, ...end])
      })
    case 'cut':
      return [replay(body)]
    case 'reset':
      // What the client has not read when the reset comes is lost.
      return [replay([...body, ...end], { resetAfter: body.length, pauseMs: (n) => (n === body.length ? 100 : 0) })]
    case 'failure':
      return [replay([...body, failure])]
    case 'refused 429':
    case 'refused 500': {
      const status = situation === 'refused 429' ? 429 : 500
      return [{ status, body: refusal(status), headers: { 'content-type': 'application/json', ...headers } }]
    }
  }
}

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** What the library said on the console of this process: each thing once. */
const warnings: string[] = []
const warn = console.warn
console.warn = (...words: unknown[]) => {
  const line = words.join(' ')
  if (line.startsWith('sse-relay')) warnings.push(line)
  else warn(...words)
}

interface Served {
  url: string
  /** How the run ended, as the server knows it. */
  summary: Promise<Summary>
  /** The errors the developer was told, for the message of a test that fails. */
  errors: unknown[]
}

/** A server whose one answer is the relay of `source`. */
async function serve(source: Source, protocol: 'parts' | 'text'): Promise<Served> {
  const errors: unknown[] = []
  let ended: (summary: Summary) => void
  const summary = new Promise<Summary>((resolve) => {
    ended = resolve
  })
  const server = createServer((req, res) => {
    const options = {
      protocol: protocol === 'parts' ? parts() : text(),
      onError: (error: unknown) => void errors.push(error),
    }
    relay(req, res, source, options).then(ended, (error) => errors.push(error))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, summary, errors }
}

async function provider(replays: Replay[]): Promise<ReplayUpstream> {
  const upstream = await replayUpstream()
  cleanups.push(() => upstream.close())
  for (const replay of replays.slice(0, -1)) upstream.next(replay)
  // Who asks once more than it should is answered the same.
  const last = replays[replays.length - 1]
  if (last) upstream.always(last)
  return upstream
}

/** The source a package's user would hand over. */
function sourceOf(stream: PackageStream, url: string, bare: boolean): Source {
  // A bare stream is made when the request comes, as in a handler, so that nobody waits for it before.
  return (
    bare ? stream.open(url, undefined) : ({ signal }: { signal: AbortSignal }) => stream.open(url, signal)
  ) as Source
}

/** Everything that arrived of a package's stream in a situation. */
async function drive(stream: PackageStream, situation: Situation, bare: boolean, protocol: 'parts' | 'text') {
  const upstream = await provider(replays(stream, situation))
  const { url, summary, errors } = await serve(sourceOf(stream, upstream.url, bare), protocol)
  const response = await fetch(url)
  const body = await response.text()
  const wire = `${JSON.stringify([...response.headers])}\n${body}`
  const collected = await collect(new Response(body, { status: response.status, headers: response.headers }))
  return { wire, seen: see(collected, await summary), errors, upstream }
}

function see({ events, ...collected }: Awaited<ReturnType<typeof collect>>, summary: Summary): Seen {
  const seen: Seen & Required<Pick<Seen, 'text' | 'reasoning' | 'calls' | 'data'>> = {
    outcome: collected.outcome,
    status: collected.status as number,
    code: collected.error?.code,
    text: '',
    reasoning: '',
    calls: [],
    data: [],
    usage: summary.usage,
    finishReason: summary.finishReason,
  }
  const calls = new Map<number, NonNullable<Seen['calls']>[number]>()
  for (const { event, data } of events) {
    const part = JSON.parse(data)
    // text() says it shorter.
    const type = event !== undefined ? 'own' : (part.type ?? 'text')
    if (type === 'own') seen.data.push([event as string, part])
    if (type === 'text') seen.text += part.text
    if (type === 'reasoning') seen.reasoning += part.text ?? ''
    if (type === 'data') seen.data.push([part.name, part.data])
    if (type === 'tool-call') {
      const call = calls.get(part.index) ?? { input: '' }
      if (!calls.has(part.index)) seen.calls.push(call)
      calls.set(part.index, call)
      if (part.id !== undefined) call.id = part.id
      if (part.name !== undefined) call.name = part.name
      call.input = part.replaces ? part.input : call.input + part.input
    }
  }
  return seen
}

const SITUATIONS: Situation[] = ['whole', 'cut', 'reset', 'failure', 'refused 429', 'refused 500']
const page = (name: string) => readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8')
const docs = page('sources')

/** What a package's stream came to, as a line of docs/packages.md. */
function rowOf(name: string, stream: PackageStream, came: Map<Situation, Seen>): string {
  const { text, reasoning, calls, usage, finishReason } = came.get('whole') ?? {}
  const letters = [text && 'T', reasoning && 'R', calls?.length && 'C', finishReason && 'F', usage && 'U']
  const cells = SITUATIONS.map((situation) => {
    const { outcome, code, status } = came.get(situation) ?? {}
    const told = `\`${outcome === 'done' ? 'done' : code}\`${situation.startsWith('refused') ? ` ${status}` : ''}`
    return situation === 'whole' ? [...letters.filter(Boolean), told].join(' ') : told
  })
  const { signal = 'stops', bare } = stream
  return `| ${[`${name}: ${stream.name}`, ...cells, signal, bare].join(' | ')} |`
}

/** The tests of a package: every situation, bare and by the signal. */
export function describePackage(name: string, streams: PackageStream[]): void {
  describe(name, () => {
    for (const stream of streams) {
      const came = new Map<Situation, Seen>()
      describe(stream.name, () => {
        const wanted = expected(stream.turns ?? [CALL])
        for (const situation of SITUATIONS) {
          const right = { ...wanted[situation], ...stream.differs?.[situation] }
          it(`${situation}: ${right.outcome}`, async () => {
            const { seen, wire, errors } = await drive(stream, situation, false, 'parts')
            came.set(situation, seen)
            expect(wire, 'a secret is on the wire').not.toContain(SECRET)
            expect(seen, errors.map(String).join('\n')).toMatchObject(right)
            // Only an answer that is whole is done, but for what the package hides from everyone, which the docs say.
            if (situation !== 'whole' && seen.outcome === 'done') {
              expect(stream.hides, 'not whole, and done').toBeTypeOf('string')
              expect(docs).toContain(stream.hides)
            }
          })
        }

        it('whole, bare, as text()', async () => {
          const { outcome, text } = { ...wanted.whole, ...stream.differs?.whole }
          const { seen, wire, errors } = await drive(stream, 'whole', true, 'text')
          expect(wire).not.toContain(SECRET)
          expect(seen, errors.map(String).join('\n')).toMatchObject({ outcome, text })
        })

        it('is in docs/packages.md as it came out: `npm run packages -- --update` writes it', ({ skip }) => {
          // Who tries some of the tests has not seen all of it.
          if (came.size < SITUATIONS.length) return skip()
          const row = rowOf(name, stream, came)
          if (process.env.PACKAGE_ROWS) appendFileSync(process.env.PACKAGE_ROWS, `${row}\n`)
          else expect(page('packages').split('\n')).toContain(row)
        })

        // An agent answers the calls of its own tools: a client of OpenAI's, which runs what is named, is not told of them.
        const isAnswered = stream.isAnswered ?? (stream.turns?.length ?? 0) > 1
        const { text: said, calls = [], usage, outcome } = { ...wanted.whole, ...stream.differs?.whole }
        for (const [client, read] of outcome === 'done' ? Object.entries(CLIENTS) : []) {
          it(`through Express into ${client}: its text, its calls, its counts`, async () => {
            const upstream = await provider(replays(stream, 'whole'))
            const { url, summary, close } = await appOf(() => sourceOf(stream, upstream.url, false))
            cleanups.push(close)
            const told = await read(url)
            expect((await summary).outcome).toBe('done')
            // The parts of a message are paragraphs, too.
            expect(told.text.trim().replace(/\s+/g, ' ')).toBe(said?.trim().replace(/\s+/g, ' '))
            if (client === 'readText()') return
            const { totalTokens: _, ...counts } = usage ?? {}
            expect({ ...told.usage }).toMatchObject(counts)
            const named = client === 'the openai client' && isAnswered ? [] : calls
            expect(told.calls).toMatchObject(
              named.map(({ input, ...call }) => ({ ...call, input: JSON.parse(input || '{}') })),
            )
            if (client === 'the openai client') expect(told.finish).toBe(named.length > 0 ? 'tool_calls' : 'stop')
          })
        }

        const stops = stream.signal ?? 'stops'
        for (const when of ['a token', 'silence', 'thinking'] as const) {
          if (stream.isWhole && when !== 'thinking') continue
          if (stops === 'stops') {
            it(`the signal closes the provider's answer when the reader leaves during ${when}`, () =>
              leave(stream, when, false))
          }
          // Before the provider has answered, most packages have nothing to hand over that could be stopped.
          if (
            (stream.bare === 'stops' && when !== 'thinking') ||
            (stream.bare === 'at a token' && when === 'a token')
          ) {
            it(`a bare stream closes the provider's answer when the reader leaves during ${when}`, () =>
              leave(stream, when, true))
          }
        }
        if (stream.signalOnly) {
          it(`a bare stream is said to be stopped by its signal only: ${stream.signalOnly}`, async () => {
            await drive(stream, 'whole', true, 'parts')
            expect(warnings.join('\n')).toContain(`a stream of ${stream.signalOnly},`)
          })
        }
      })
    }
  })
}

type Moment = 'a token' | 'silence' | 'thinking'

/** A reader that leaves, and how the exchange with the provider ends then: by us, not by the end of the answer. */
async function leave(stream: PackageStream, when: Moment, bare: boolean): Promise<void> {
  const { body, end, untilText, type } = stream.wire(when === 'a token' ? LONG : TEXT)
  const fields: Record<Moment, Replay> = {
    'a token': { pauseMs: 10 },
    silence: { stallAfter: untilText },
    thinking: { delayMs: Infinity },
  }
  const upstream = await provider([
    { body: [...body, ...end].join(''), headers: type ? { 'content-type': type } : {}, ...fields[when] },
  ])
  const request = upstream.request()
  const { url, summary } = await serve(sourceOf(stream, upstream.url, bare), 'text')
  const reader = new AbortController()
  const asking = fetch(url, { signal: reader.signal })
  asking.catch(() => {})
  const { closed } = await request
  if (when !== 'thinking') {
    const chunks = (await asking).body?.pipeThrough(new TextDecoderStream()).getReader()
    let came = ''
    while (!came.includes('"text"')) came += (await chunks?.read())?.value ?? ''
    chunks?.closed.catch(() => {})
  }
  reader.abort()
  expect((await summary).outcome).toBe('disconnected')
  expect((await closed).by).toBe('client')
}
