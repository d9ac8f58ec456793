import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { text as readAll } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { type RelayOptions, relayTo, type Sink, type Source, type SourceStream, type Summary } from 'sse-relay'
import { relay } from 'sse-relay/node'
import { raw, text } from 'sse-relay/protocols'
import { collect, openClient, type Replay, type ReplayRequest, readTrace } from 'sse-relay/testing'
import { relay as relayWeb } from 'sse-relay/web'
import { afterEach, describe, expect, it, type TestContext, vi } from 'vitest'
import { Reading } from '../../src/sources/read-chunk.js'
import { iterate } from '../../src/upstream.js'
import {
  anthropic,
  binaryMessages,
  type Family,
  messages,
  openai,
  response,
  type Way,
  ways,
} from '../protocols/matrix/ways.js'
import { listening, replaying } from '../serving.js'

declare module 'vitest' {
  interface TaskMeta {
    /** How many turns of the event loop after the client left the upstream was closed: the JSON reporter tells. */
    turns?: number
  }
}

/**
 * What happens at once takes fewer than ten turns of the event loop, whatever else the machine does; a clock of 100 ms,
 * more than ten thousand turns that are as empty as here.
 */
const AT_ONCE = 3000

/** No heartbeat and no stall clock: whatever closes an upstream here, the reader's leaving did. */
const UNTIMED: RelayOptions = { protocol: raw(), heartbeatMs: 0, stallTimeoutMs: 3_600_000, onError() {} }

afterEach(() => void vi.restoreAllMocks())

/** Those that imitate one are stopped as it is. */
type Stopped = Exclude<Family, 'openai-compat'>

/** Each provider's trace, and which of its frames is a token. */
const TOKENS: Record<Stopped, { trace: string; index: number; text: string }> = {
  'openai-chat': { trace: 'openai-chat-text.sse', index: 1, text: 'Hello' },
  'openai-responses': { trace: 'openai-responses-text.sse', index: 4, text: 'Hello' },
  anthropic: { trace: 'anthropic-text.sse', index: 3, text: 'Hello' },
  gemini: { trace: 'gemini-text.sse', index: 0, text: 'Hello' },
  mistral: { trace: 'mistral-text.sse', index: 1, text: 'Hi' },
  ollama: { trace: 'ollama-chat.ndjson', index: 0, text: 'Hello' },
  bedrock: { trace: 'bedrock-converse.eventstream', index: 2, text: 'Hi' },
  'ai-sdk-ui': { trace: 'ai-sdk-ui-text.sse', index: 3, text: 'Hello' },
}

interface Case {
  family: Stopped
  way: Way
  name: string
}

const cases: Case[] = (Object.keys(TOKENS) as Stopped[])
  .flatMap((family) => ways[family].map((way) => ({ family, way, name: way.name })))
  // The same stream by another name, and the same body for every provider.
  .filter(({ way, family }) => !way.name.endsWith('fullStream') && (way !== response || family === 'anthropic'))
const stoppable = cases.filter(({ way }) => way.bare === 'stops')
const warned = cases.filter(({ way }) => typeof way.bare === 'object' && 'warned' in way.bare)
// One call takes none.
const withSignal = cases.filter(({ family }) => family !== 'ollama')

type Moment = 'mid-token' | 'mid-silence'

/** An answer that goes on for ever, or one that falls silent after its first token. */
function replayOf(family: Stopped, moment: Moment): Replay {
  const { trace, index } = TOKENS[family]
  const bytes = readTrace(trace)
  const repeat = <T>(frames: T[]) => [
    ...frames.slice(0, index),
    ...Array<T>(moment === 'mid-token' ? 5000 : 1).fill(frames[index] as T),
  ]
  if (trace.endsWith('.eventstream')) {
    const headers = { 'content-type': 'application/vnd.amazon.eventstream', 'x-pause-ms': '2' }
    return { body: Buffer.concat(repeat(binaryMessages(bytes))), headers, stallAfter: 1 }
  }
  const frames = repeat(bytes.toString().split(trace.endsWith('.ndjson') ? /(?<=\n)/ : /(?<=\n\r?\n)/))
  const headers = trace.endsWith('.ndjson') ? { 'content-type': 'application/x-ndjson' } : undefined
  return { body: frames.join(''), headers, pauseMs: 2, stallAfter: frames.length }
}

/** A server with one relay, and how that ended. What `open` promises is awaited first, and handed in as it is. */
async function serve(open: () => Source | PromiseLike<Source>): Promise<{ url: string; summary: Promise<Summary> }> {
  let settle: (summary: Promise<Summary>) => void
  const summary = new Promise<Summary>((resolve) => {
    settle = resolve
  })
  const url = await listening(async (req, res) => {
    const source = await open()
    settle(relay(req, res, source, UNTIMED))
  })
  return { url: `${url}/`, summary }
}

const count = (text: string, part: string) => text.split(part).length - 1

/** A client that reads until the moment, and leaves. */
async function leaveAt(url: string, family: Stopped, moment: Moment): Promise<void> {
  const { text } = TOKENS[family]
  const client = openClient(url, { method: 'POST', body: '{}' })
  await client.until((received) => count(received, text) >= (moment === 'mid-token' ? 5 : 1))
  // The next token does not come: the relay waits for it.
  if (moment === 'mid-silence') await setTimeout(20)
  client.leave()
}

/** The client has just left: the upstream is closed at once. */
async function expectClosed({ closed }: ReplayRequest, { task }: TestContext): Promise<void> {
  let by: string | undefined
  void closed.then((ending) => {
    by = ending.by
  })
  let turns = 0
  for (; by === undefined && turns < AT_ONCE; turns++) await new Promise(setImmediate)
  task.meta.turns = turns
  expect(by).toBe('client')
}

const stillOpen = (request: ReplayRequest) => Promise.race([request.closed.then(() => false), setTimeout(150, true)])

// Before all others: a provider is warned about once in the life of a process.
describe('the warning', () => {
  it('is not given for a stream that stops, whoever made its chunks', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const [transport] = ways['ai-sdk-ui']
    for (const { way, family } of [
      { way: response, family: 'gemini' },
      { way: response, family: 'ai-sdk-ui' },
      { way: transport as Way, family: 'ai-sdk-ui' },
      ...stoppable,
    ] satisfies Omit<Case, 'name'>[]) {
      const upstream = await replaying(replayOf(family, 'mid-silence'))
      const { url, summary } = await serve(() => way.open(upstream.url))
      await leaveAt(url, family, 'mid-silence')
      expect((await summary).outcome).toBe('disconnected')
    }
    expect(warn.mock.calls.map(([text]) => text)).toEqual([])
  })

  it('is not given when the signal was asked for', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    for (const { way, family } of warned) {
      const upstream = await replaying(replayOf(family, 'mid-silence'))
      const { url } = await serve(
        () =>
          ({ signal }) =>
            way.open(upstream.url, signal),
      )
      await leaveAt(url, family, 'mid-silence')
    }
    expect(warn.mock.calls.map(([text]) => text)).toEqual([])
  })

  it('is given once for each provider whose stream only its signal stops', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    for (const { way, family } of [...warned, ...warned]) {
      const upstream = await replaying(replayOf(family, 'mid-silence'))
      // A factory that does not ask for the signal is no better than the stream itself.
      const { url } = await serve(() => () => way.open(upstream.url))
      await leaveAt(url, family, 'mid-silence')
    }
    const names = [...new Set(warned.map(({ way }) => (way.bare as { warned: string }).warned))].sort()
    expect(names).toEqual(['AI SDK', 'Bedrock', 'Gemini'])
    const told = warn.mock.calls.map(
      ([text]) => /^sse-relay: only the signal .* stream of (?:the )?(.+?), /.exec(text)?.[1],
    )
    expect(told.sort()).toEqual(names)
  })

  it('is given for an answer of node-fetch 2, and of cross-fetch: the body they hand out is a copy (koajs/koa#1834)', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const headers = new Headers({ 'content-type': 'text/event-stream' })
    const answer = () => ({ ok: true, status: 200, headers, body: Readable.from([]), textConverted() {} }) as never
    const asking: Source = ({ signal }) => (signal.aborted ? [] : answer())
    for (const source of [asking, answer, answer])
      await (await relayWeb(new Request('http://localhost/'), source, UNTIMED)).text()
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/only the signal .* stream of node-fetch 2, /)]])
  })
})

describe.each(['mid-token', 'mid-silence'] as const)('a client that leaves %s', (moment) => {
  it.for(cases)('closes the upstream of $name at once, in a factory with the signal', async (each, context) => {
    const { way, family } = each
    const upstream = await replaying(replayOf(family, moment))
    const { url, summary } = await serve(
      () =>
        ({ signal }) =>
          way.open(upstream.url, signal),
    )
    const asked = upstream.request()
    await leaveAt(url, family, moment)
    await expectClosed(await asked, context)
    expect((await summary).outcome).toBe('disconnected')
    expect(upstream.requests).toHaveLength(1)
  })

  it.for(stoppable)('closes the upstream of $name at once, handed in as it is', async ({ way, family }, context) => {
    const upstream = await replaying(replayOf(family, moment))
    const { url, summary } = await serve(() => way.open(upstream.url))
    const asked = upstream.request()
    await leaveAt(url, family, moment)
    await expectClosed(await asked, context)
    expect((await summary).outcome).toBe('disconnected')
  })
})

describe('a client that leaves before there is an answer', () => {
  it.for(withSignal)('closes the upstream of $name while the factory is pending', async ({ way }, context) => {
    const upstream = await replaying({ body: '', delayMs: Number.POSITIVE_INFINITY })
    const { url, summary } = await serve(
      () =>
        ({ signal }) =>
          way.open(upstream.url, signal),
    )
    const asked = upstream.request()
    const client = openClient(url, { method: 'POST', body: '{}' })
    const request = await asked
    client.leave()
    await expectClosed(request, context)
    expect((await summary).outcome).toBe('disconnected')
  })

  it.for(stoppable)('closes the upstream of $name when its stream arrives late', async ({ way, family }, context) => {
    const upstream = await replaying(replayOf(family, 'mid-silence'))
    let arrive = () => {}
    let opened = () => {}
    const gate = new Promise<void>((resolve) => {
      arrive = resolve
    })
    const stream = new Promise<void>((resolve) => {
      opened = resolve
    })
    const { url, summary } = await serve(() => async () => {
      const late = await way.open(upstream.url)
      opened()
      await gate
      return late
    })
    const asked = upstream.request()
    const client = openClient(url, { method: 'POST', body: '{}' })
    const request = await asked
    await stream
    client.leave()
    expect((await summary).outcome).toBe('disconnected')
    expect(await stillOpen(request)).toBe(true)
    arrive()
    await expectClosed(request, context)
  })
})

describe('a client that leaves while a refusal is read', () => {
  it('cancels its body', async () => {
    const cancel = vi.fn()
    const body = new ReadableStream({ pull: () => new Promise(() => {}), cancel })
    const { url, summary } = await serve(() => () => new Response(body, { status: 500 }))
    const client = openClient(url, { method: 'POST', body: '{}' })
    await vi.waitFor(() => expect(body.locked).toBe(true))
    client.leave()
    expect((await summary).outcome).toBe('disconnected')
    expect(cancel).toHaveBeenCalledOnce()
  })
})

describe('a client that sends its requests without waiting for the answers', () => {
  it('has every answer in its turn, each read to its end', async () => {
    const outcomes: Promise<string>[] = []
    const url = await listening((req, res) => {
      outcomes.push(relay(req, res, ['The answer to ', req.url ?? '']).then(({ outcome }) => outcome))
    })
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    const last = 'connection: close\r\n'
    for (const path of ['/1', '/2', '/3']) {
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n${path === '/3' ? last : ''}\r\n`)
    }
    const wire = await readAll(socket)
    expect(wire.match(/"\/\d"|\[DONE\]/g)).toEqual(['"/1"', '[DONE]', '"/2"', '[DONE]', '"/3"', '[DONE]'])
    expect(await Promise.all(outcomes)).toEqual(['done', 'done', 'done'])
  })
})

describe('a stream that only its signal stops', () => {
  it.for(warned)('goes on in the case of $name', async ({ way, family }) => {
    vi.spyOn(console, 'warn').mockImplementation(() => {})
    const upstream = await replaying(replayOf(family, 'mid-silence'))
    const { url } = await serve(() => way.open(upstream.url))
    const asked = upstream.request()
    await leaveAt(url, family, 'mid-silence')
    expect(await stillOpen(await asked)).toBe(true)
  })
})

describe('a stream of text that only its signal stops', () => {
  it('is known by the iterator the AI SDK hangs on it, and a plain stream of strings is not', async () => {
    const way = cases.find(({ name }) => name.includes('textStream'))?.way
    const upstream = await replaying(replayOf('anthropic', 'mid-token'))
    const textStream = await way?.open(upstream.url)
    expect(iterate(textStream, new Reading()).signalOnly).toBe('the AI SDK')
    const plain = new Blob(['x']).stream().pipeThrough(new TextDecoderStream())
    expect(iterate(plain, new Reading()).signalOnly).toBe(undefined)
  })
})

/** A sink whose client takes nothing until it is told to. */
class SlowSink implements Sink {
  received = ''
  status = 0
  open(status: number): void {
    this.status = status
  }
  write(text: string): boolean {
    this.received += text
    return false
  }
  end(text = ''): void {
    this.received += text
  }
  destroy(): void {}
  schedule(task: () => void): void {
    setImmediate(task)
  }
}

/** Relays to a client that takes nothing until the upstream is over, and then one write at a time. */
async function relaySlowly(
  source: SourceStream,
  over: Promise<unknown>,
): Promise<{ sink: SlowSink; summary: Summary }> {
  const sink = new SlowSink()
  const handle = relayTo(sink, source, { protocol: text(), onError() {} })
  let ended = false
  const summary = handle.done.finally(() => {
    ended = true
  })
  await over
  while (!ended) {
    await setTimeout(2)
    handle.drained()
  }
  return { sink, summary: await summary }
}

const helpers = {
  'anthropic messages': {
    trace: 'anthropic-text.sse',
    failing: 'anthropic-error-overloaded.sse',
    code: 'overload',
    open: (url: string) => anthropic(url).messages.stream({ model: 'test', max_tokens: 64, messages }),
  },
  'openai chat': {
    trace: 'openai-chat-text.sse',
    failing: 'openai-chat-error-midstream.sse',
    code: 'upstream-failure',
    open: (url: string) => openai(url).chat.completions.stream({ model: 'test', messages }),
  },
  'openai responses': {
    trace: 'openai-responses-text.sse',
    failing: 'openai-responses-error-event.sse',
    code: 'upstream-failure',
    open: (url: string) => openai(url).responses.stream({ model: 'test', input: 'Hello?' }),
  },
}

describe.each(Object.entries(helpers))('the .stream() helper of %s', (_, { trace, failing, code, open }) => {
  it('loses no error that comes while a slow reader has not taken what came before', async () => {
    const upstream = await replaying({ trace: failing })
    const stream = open(upstream.url)
    const over = stream.done().catch(() => {})
    const { sink, summary } = await relaySlowly(stream, over)
    expect(summary.outcome).toBe('error')
    expect(sink.received).not.toContain('[DONE]')
    expect(sink.received).toMatch(/^data: {"text":"Hello"}\n\n[\s\S]*event: error\n/)
    expect(sink.received).toContain(`"code":"${code}"`)
  })

  it('is no finished answer when its owner aborts it while a slow reader is behind', async () => {
    const upstream = await replaying({ trace, stallAfter: 7 })
    const stream = open(upstream.url)
    const over = stream.done().catch(() => {})
    const relayed = relaySlowly(stream, over)
    // All that came is with the helper, and the reader has taken nothing.
    while ((upstream.requests[0]?.sent ?? 0) < 7) await setTimeout(5)
    await setTimeout(20)
    stream.abort()
    const { sink, summary } = await relayed
    expect(summary.outcome).not.toBe('done')
    expect(sink.received).not.toContain('[DONE]')
  })

  it('does not hang when it had ended before it was relayed', async () => {
    const upstream = await replaying({ trace })
    const { url, summary } = await serve(() => async () => {
      const stream = open(upstream.url)
      await stream.done()
      return stream
    })
    const answer = await collect(await fetch(url, { method: 'POST' }))
    expect(answer).toMatchObject({ status: 500, outcome: 'error', error: { code: 'invalid-source' } })
    expect(String((await summary).error)).toContain('was read before')
  })

  it('tells the error it had failed with before it was relayed', async () => {
    const upstream = await replaying({ trace: failing })
    const { url } = await serve(() => async () => {
      const stream = open(upstream.url)
      await stream.done().catch(() => {})
      return stream
    })
    const answer = await collect(await fetch(url, { method: 'POST' }))
    expect(answer).toMatchObject({ outcome: 'error', error: { code } })
  })
})
