/** Do the clients of AG-UI read what agui() says? */
import { HttpAgent } from '@ag-ui/client'
import { ChatClient, fetchServerSentEvents } from '@tanstack/ai-client'
import { HttpAgent as HttpAgent0 } from 'ag-ui-client-0'
import type { Source } from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { relay, resume } from 'sse-relay/node'
import { agui } from 'sse-relay/protocols'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { listening } from '../../serving.js'
import { answers, cutting, failing, pausing, refused, relaying, TEXT, TIME, USAGE, WEATHER } from './serving.js'

/** What a client knows in the end. */
interface Read {
  text: string
  reasoning?: string
  calls?: [id: string, name: string, input: string][]
  results?: [id: string, content: unknown][]
  custom?: [name: string, value: unknown][]
  /** The words of a failure, however the client tells it. */
  failure?: string
}
type Reader = (url: string) => Promise<Read & { usage?: unknown; finish?: unknown }>

interface AgentMessage {
  role: string
  content?: unknown
  toolCallId?: string
  toolCalls?: { id: string; function: { name: string; arguments: string } }[]
}

/**
 * When a connection breaks, the agent cancels what is broken and lets the rejection of that end the process, whoever
 * reads it: here its cancelling does not reject.
 */
const calmly: typeof fetch = async (input, init) => {
  const response = await fetch(input, init)
  if (!response.ok) return response
  const reader = response.body?.getReader()
  const cancel = () => reader?.cancel().catch(() => {})
  return Object.defineProperty(response, 'body', {
    value: { getReader: () => ({ read: () => reader?.read(), cancel }) },
  })
}

const agent =
  (Agent: typeof HttpAgent): Reader =>
  async (url) => {
    const client = new Agent({ url, threadId: 't_1', fetch: calmly } as ConstructorParameters<typeof HttpAgent>[0])
    const read: Awaited<ReturnType<Reader>> = { text: '' }
    try {
      await client.runAgent({ runId: 'r_1' }, {
        onRunErrorEvent({ event }: { event: { message: string } }) {
          read.failure = event.message
        },
        onCustomEvent({ event }: { event: { name: string; value?: unknown } }) {
          read.custom = [...(read.custom ?? []), [event.name, event.value]]
        },
        onRunFinishedEvent({ event }: { event: object }) {
          const { usage, metadata } = event as { usage?: unknown; metadata?: { finishReason?: string } }
          read.usage = usage
          read.finish = metadata?.finishReason
        },
      } as Parameters<HttpAgent['runAgent']>[1])
    } catch (error) {
      read.failure = (error as Error).message
    }
    const messages = client.messages as AgentMessage[]
    const of = (role: string) => messages.filter((message) => message.role === role)
    read.text = of('assistant')
      .map(({ content }) => content ?? '')
      .join('')
    if (of('reasoning').length > 0)
      read.reasoning = of('reasoning')
        .map(({ content }) => content)
        .join('')
    const calls = messages.flatMap(({ toolCalls = [] }) => toolCalls)
    if (calls.length > 0) read.calls = calls.map(({ id, function: { name, arguments: input } }) => [id, name, input])
    if (of('tool').length > 0) read.results = of('tool').map(({ toolCallId, content }) => [toolCallId ?? '', content])
    return read
  }

const tanstack: Reader = async (url) => {
  const read: Awaited<ReturnType<Reader>> = { text: '' }
  const client = new ChatClient({
    connection: fetchServerSentEvents(url, { reconnect: { delayMs: 10 } }),
    onCustomEvent(name, value) {
      read.custom = [...(read.custom ?? []), [name, value]]
    },
    onChunk(chunk) {
      if (chunk.type !== 'RUN_FINISHED') return
      const { usage, metadata } = chunk as { usage?: unknown; metadata?: { finishReason?: string } }
      read.usage = usage
      read.finish = metadata?.finishReason
    },
  })
  await client.sendMessage('Hi')
  const failure = client.getError()
  if (failure) read.failure = failure.message
  for (const message of client.getMessages()) {
    if (message.role !== 'assistant') continue
    for (const part of message.parts) {
      if (part.type === 'text') read.text += part.content
      else if (part.type === 'thinking') read.reasoning = (read.reasoning ?? '') + part.content
      else if (part.type === 'tool-call') read.calls = [...(read.calls ?? []), [part.id, part.name, part.arguments]]
      else if (part.type === 'tool-result') read.results = [...(read.results ?? []), [part.toolCallId, part.content]]
    }
  }
  client.dispose()
  return read
}

const { cacheWriteInputTokens: _, ...known } = USAGE
const readers: [string, Reader, usage: unknown][] = [
  ['@ag-ui/client 1.0.0', agent(HttpAgent), [USAGE]],
  ['@ag-ui/client 0.0.59', agent(HttpAgent0 as unknown as typeof HttpAgent), [known]],
  ['@tanstack/ai-client', tanstack, expect.objectContaining({ promptTokens: 25, completionTokens: 15 })],
]

const weather: NonNullable<Read['calls']>[number] = [WEATHER.id, WEATHER.name, WEATHER.input]
const time: NonNullable<Read['calls']>[number] = [TIME.id, TIME.name, TIME.input]

const expected: { [Name in keyof typeof answers]: Read & { usage?: unknown; finish?: unknown } } = {
  text: { text: TEXT },
  nothing: { text: '' },
  reasoning: { text: TEXT, reasoning: 'Look.' },
  'one call': { text: TEXT, calls: [weather], finish: 'tool-calls' },
  'parallel calls': { text: '', calls: [weather, time], finish: 'tool-calls' },
  'text after a call': { text: `${TEXT}So.`, calls: [weather], finish: 'tool-calls' },
  'a call without arguments': { text: '', calls: [['call_1', 'now', '{}']], finish: 'tool-calls' },
  'calls of an agent': {
    text: TEXT,
    calls: [weather, ['call_3', 'search', '{"q":1}'], ['call_4', 'weather', '{"x']],
    results: [
      [WEATHER.id, '{"degrees":21}'],
      ['call_4', 'It could not be called.'],
      ['call_3', ''],
    ],
    finish: 'stop',
  },
  'own events': {
    text: TEXT,
    custom: [
      ['status', { step: 1 }],
      ['citation', { n: 1 }],
    ],
  },
  usage: { text: TEXT, finish: 'stop' },
  length: { text: TEXT, finish: 'length' },
  'content-filter': { text: TEXT, finish: 'content-filter' },
  other: { text: TEXT, finish: 'other' },
  'half a call': {
    text: TEXT,
    calls: [['call_1', 'weather', '{"cit'], time],
    results: [['call_1', 'The answer ended before this tool call was whole.']],
    finish: 'length',
  },
}

/** No client warns of what it does not know. */
let warned: ReturnType<typeof vi.spyOn>
beforeEach(() => {
  warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
})
afterEach(() => {
  warned.mockRestore()
})

describe.each(readers)('%s', (_, read, usage) => {
  it.each(Object.keys(answers) as (keyof typeof answers)[])('reads %s', async (name) => {
    const { results, ...rest } = expected[name]
    const seen = await read(await relaying(agui({ threadId: 't_1', runId: 'r_1' }), answers[name] as Source))
    const { results: given, ...others } = seen
    expect(others).toEqual(expect.objectContaining(rest))
    expect(others.failure).toBeUndefined()
    if (name === 'usage') expect(others.usage).toEqual(usage)
    expect(given?.sort()).toEqual(results?.sort())
    expect(warned.mock.calls).toEqual([])
  })

  it('takes a failure in the middle for one, with our words', async () => {
    const seen = await read(await relaying(agui(), failing))
    expect(seen.text).toBe('Let me see')
    expect(seen.failure).toMatch(/overload/i)
    expect(JSON.stringify(seen)).not.toContain('SECRET')
  })

  it('takes a refusal before the first word for one', async () => {
    const seen = await read(await relaying(agui(), refused))
    expect(seen.text).toBe('')
    expect(seen.failure).toMatch(/503|unavailable/i)
  })

  it('takes a connection that is reset for a failure', async () => {
    const seen = await read(await cutting(agui(), answers.usage, 'reset'))
    expect(seen.failure).toBeDefined()
  })

  it('reads an answer with silences, which are filled with heartbeats', async () => {
    const { source, go } = pausing()
    const url = await relaying(agui(), source, { heartbeatMs: 10 })
    setTimeout(go, 100)
    expect((await read(url)).text).toBe(TEXT)
  })

  it('reads a run that a log keeps', async () => {
    const options = { log: createMemoryLog(), owner: null }
    const seen = await read(await relaying(agui(), answers['one call'] as Source, options))
    expect(seen).toMatchObject({ text: TEXT, calls: [weather] })
    expect(seen.failure).toBeUndefined()
  })

  it('is told by the log when a run has failed without a word', async () => {
    const log = createMemoryLog()
    const runId = 'run-0123456789-abcdef'
    await log.create(runId, { owner: null, startMs: 100 })
    const own = { log, owner: null, runId, protocol: agui(), heartbeatMs: 10, onError() {} }
    const seen = await read(await listening((req, res) => void resume(req, res, own)))
    expect(seen.text).toBe('')
    expect(seen.failure).toBeDefined()
  })
})

describe('TanStack AI', () => {
  /** What the guide shows: one address for asking, going on and joining. */
  async function routed(source: Source, cutAfter: number[] = []) {
    const log = createMemoryLog()
    const own = { log, owner: null, protocol: agui(), onError() {} }
    const requests: string[] = []
    const url = await listening((req, res) => {
      const { searchParams } = new URL(req.url ?? '', 'http://localhost')
      requests.push(`${req.method} ${req.headers['last-event-id'] ? 'goes on' : 'begins'}`)
      const events = cutAfter.shift()
      if (events !== undefined) {
        // A proxy that breaks the connection.
        let seen = 0
        const write = res.write.bind(res) as (...given: unknown[]) => boolean
        res.write = ((...given: unknown[]) => {
          const isSent = write(...given)
          seen += String(given[0]).split('\n\n').length - 1
          if (seen >= events) setTimeout(() => res.socket?.destroy(), 5)
          return isSent
        }) as typeof res.write
      }
      if (req.method === 'POST') return void relay(req, res, source, own)
      // To join is to read from the first event on.
      resume(req, res, { ...own, runId: searchParams.get('runId') ?? '', after: 0, empty: 200 })
    })
    return { url, requests }
  }

  it('heals a run whose connection breaks, by asking again', async () => {
    let calls = 0
    const { url, requests } = await routed(
      async function* () {
        calls++
        for (const word of TEXT.split(/(?<= )/)) {
          yield word
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      },
      [3, 2],
    )
    const seen = await tanstack(url)
    expect(seen.text).toBe(TEXT)
    expect(seen.failure).toBeUndefined()
    expect(calls).toBe(1)
    expect(requests).toEqual(['POST begins', 'POST goes on', 'POST goes on'])
  })

  it.each(['while it goes on', 'when it is over'])('joins a run %s', async (when) => {
    const { source, go } = pausing()
    const { url } = await routed(source)
    const runId = 'run-1234567890-abcdef'
    const first = await fetch(url, { method: 'POST', headers: { 'x-run-id': runId } })
    if (when !== 'while it goes on') {
      go()
      await first.text()
    }
    let text = ''
    let last = ''
    setTimeout(go, 50)
    for await (const chunk of fetchServerSentEvents(url).joinRun(runId)) {
      last = chunk.type
      if (chunk.type === 'TEXT_MESSAGE_CONTENT') text += chunk.delta
    }
    expect({ text, last }).toEqual({ text: TEXT, last: 'RUN_FINISHED' })
  })
})

describe('a clean end in the middle', () => {
  it('is no failure to the clients that cannot know, and docs/protocols.md says so', async () => {
    for (const [name, read] of readers) {
      const seen = await read(await cutting(agui(), answers.usage, 'end'))
      expect([name, seen.failure, seen.finish]).toEqual([name, undefined, undefined])
    }
  })
})

describe('a call that waits for a person', () => {
  const asks: Source = () => [
    { type: 'tool-call', index: 0, ...WEATHER, done: true },
    { type: 'tool-call', index: 0, input: '', done: true, executed: true, approval: 'i_1' },
    { type: 'finish', reason: 'tool-calls' },
  ]
  const interrupt = { id: 'i_1', reason: 'tool_call', toolCallId: WEATHER.id }

  it.each([
    ['1.0.0', HttpAgent],
    ['0.0.59', HttpAgent0 as unknown as typeof HttpAgent],
  ])('is an interrupt to @ag-ui/client %s, which the next request is to answer', async (_, Agent) => {
    const asked: { resume?: unknown }[] = []
    const url = await listening(async (req, res) => {
      const chunks: Buffer[] = []
      for await (const chunk of req) chunks.push(chunk)
      asked.push(JSON.parse(Buffer.concat(chunks).toString()))
      const result = { type: 'tool-result', id: WEATHER.id, output: null }
      await relay(req, res, asked.length === 1 ? asks : () => [result, 'It rains.'], { protocol: agui() })
    })
    const client = new Agent({ url, threadId: 't_1' } as ConstructorParameters<typeof HttpAgent>[0])
    await client.runAgent({ runId: 'r_1' })
    expect(client.pendingInterrupts).toMatchObject([interrupt])
    const resume = [{ interruptId: 'i_1', status: 'resolved' as const, payload: { approved: true } }]
    await client.runAgent({ runId: 'r_2', resume })
    expect(asked[1]?.resume).toEqual(resume)
    expect(client.pendingInterrupts).toEqual([])
  })

  it('is one to TanStack AI, too', async () => {
    const url = await listening((req, res) => void relay(req, res, asks, { protocol: agui() }))
    const client = new ChatClient({ connection: fetchServerSentEvents(url) })
    await client.sendMessage('Hi')
    expect(client.getError()).toBeUndefined()
    expect(client.getInterrupts()).toMatchObject([{ id: 'i_1' }])
    client.dispose()
  })
})
