// Servers and SDKs whose streams nobody here has written down: is what they say understood, or is it said that it is not?
import { Readable } from 'node:stream'
import type { RelayOptions, Source } from 'sse-relay'
import { parts } from 'sse-relay/protocols'
import { collect } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

const SECRET = 'sk-secret'

beforeEach(() => void vi.spyOn(console, 'warn').mockImplementation(() => {}))
afterEach(() => void vi.restoreAllMocks())

async function relayed(source: unknown, options: RelayOptions = {}) {
  const errors: unknown[] = []
  let summary: { outcome?: string; text?: string; finishReason?: string | undefined; usage?: object | undefined } = {}
  const answer = await relay(new Request('http://x/', { method: 'POST' }), source as Source, {
    protocol: parts(),
    heartbeatMs: 0,
    onError: (error) => void errors.push(error),
    onEnd: (ended) => {
      summary = ended
    },
    ...options,
  })
  const { status } = answer
  const body = await answer.text()
  const events = body.split('\n\n').filter((event) => /^data: \{/m.test(event))
  const read = events.map((event) => JSON.parse(event.slice(event.indexOf('data: ') + 6)) as { type?: string })
  const { outcome, text, finishReason, usage } = summary
  return { outcome, text, finish: finishReason, usage, status, read, body, errors, leaks: body.includes(SECRET) }
}

const event = (data: unknown, name?: string) =>
  `${name ? `event: ${name}\n` : ''}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
const upstream = (frames: string[], type = 'text/event-stream', headers = {}) =>
  new Response(frames.join(''), { headers: { 'content-type': type, ...headers } })
const lines = (...values: unknown[]) => values.map((value) => `${JSON.stringify(value)}\n`)
const done = event('[DONE]')

/** What of a server's answer comes out: whole, cut in the middle, and with a failure there. */
interface Server {
  body: string[]
  end: string[]
  failure?: string
  type?: string
  /** @default Hello, complete */
  whole?: object
  cut?: object
}

function servers(title: string, table: Record<string, Server>): void {
  describe(title, () => {
    for (const [name, { body, end, failure, type, whole, cut }] of Object.entries(table)) {
      it(`${name}: whole, cut, and failed in the middle`, async () => {
        expect(await relayed(upstream([...body, ...end], type))).toMatchObject({
          outcome: 'done',
          text: 'Hello',
          leaks: false,
          ...whole,
        })
        expect(await relayed(upstream(body, type))).toMatchObject({
          outcome: 'truncated',
          text: 'Hello',
          leaks: false,
          ...cut,
        })
        if (!failure) return
        expect(await relayed(upstream([...body, failure, ...end], type))).toMatchObject({
          outcome: 'error',
          text: 'Hello',
          leaks: false,
        })
      })
    }
  })
}

servers('an event stream of plain text', {
  'whose events have no name': { body: [event('Hel'), event('lo')], end: [done], failure: event('no', 'error') },
  'whose tokens are JSON texts (an AgentCore runtime)': {
    body: [event('"Hel"'), event('"lo"')],
    end: [done],
    failure: event({ error: SECRET, error_type: 'ValueError' }),
  },
  'whose events are named for what they hold (LangServe)': {
    body: [event({ run_id: 'r' }, 'metadata'), event('"Hel"', 'data'), event('"lo"', 'data')],
    end: [done],
    failure: event({ status_code: 500, message: SECRET }, 'error'),
  },
  'that says its end in a name (Replicate)': {
    body: [event('Hel', 'output'), event('lo', 'output')],
    end: [event('{}', 'done')],
    failure: event({ detail: SECRET }, 'error'),
  },
  'whose tokens look like JSON': {
    body: [event('a'), event('['), event('1'), event(']')],
    end: [done],
    whole: { text: 'a[1]' },
    cut: { text: 'a[1]' },
  },
})

describe('a server that no shape knows', () => {
  const unknown: [string, string[], string?][] = [
    ['in unnamed events', [event({ answer: SECRET })]],
    ['in events with names', [event({ output: { text: SECRET } }, 'result'), event({ usage: SECRET }, 'usage')]],
    ['in text under names', [event(SECRET, 'trace')]],
    ['in an event named message', [event({ completion: [{ delta: SECRET }] }, 'message')]],
    ['in events within its JSON (Flowise)', [event({ event: 'token', data: SECRET }), event({ event: 'x', data: {} })]],
    [
      'in lines of such events (Langflow)',
      lines({ event: 'add_message', data: { text: SECRET } }),
      'application/x-ndjson',
    ],
    ['in a list', [`[${JSON.stringify({ contents: SECRET })}]`], 'application/json'],
  ]

  it.each(unknown)('says nothing to the page, and is not complete: %s', async (_, frames, type) => {
    const { outcome, leaks, read, errors } = await relayed(upstream(frames, type))
    expect({ outcome, leaks, parts: read.filter(({ type }) => type) }).toEqual({
      outcome: 'truncated',
      leaks: false,
      parts: [],
    })
    // The remedy is no requireFinish: false, which would make a blank page of it.
    expect(String(errors[0])).toMatch(/known, such as a chunk .* with the keys \w+.*type: 'text'/)
  })

  it('is not complete at its [DONE] either, nor with requireFinish: false', async () => {
    const frames = [event({ answer: SECRET }), event({ answer: 'x' }, 'answer'), done]
    expect(await relayed(upstream(frames))).toMatchObject({ outcome: 'truncated', leaks: false, status: 502 })
    expect(await relayed(upstream(frames), { requireFinish: false })).toMatchObject({ outcome: 'truncated' })
  })

  it('fails where it says so in the name of an event', async () => {
    const failed = event({ id: 'c', last_error: { msg: SECRET } }, 'conversation.chat.failed')
    expect(await relayed(upstream([event({ id: 'c' }, 'conversation.chat.created'), failed]))).toMatchObject({
      outcome: 'error',
      leaks: false,
    })
    const inLines = lines({ event: 'token', data: { chunk: 'a' } }, { event: 'error', data: { error: SECRET } })
    const { outcome, errors } = await relayed(upstream(inLines, 'application/json'))
    expect(outcome).toBe('error')
    expect(String(errors[0])).toContain(SECRET)
  })

  it('has its word before the answer for itself, where the answer is a provider’s (Portkey)', async () => {
    const hooks = event({ hook_results: { explanation: SECRET } }, 'hook_results')
    const chunk = (content: string, reason: string | null) =>
      event({ id: 'c', choices: [{ index: 0, delta: { content }, finish_reason: reason }] })
    expect(await relayed(upstream([hooks, chunk('Hello', null), chunk('', 'stop'), done]))).toMatchObject({
      outcome: 'done',
      text: 'Hello',
      leaks: false,
    })
  })

  it('of LangChain’s messages owes a sign of the end, as every server does', async () => {
    const message = (content: string, finish = {}) =>
      event({ content, additional_kwargs: {}, response_metadata: finish, type: 'AIMessageChunk', tool_call_chunks: [] })
    expect(await relayed(upstream([message('Hel'), message('lo')]))).toMatchObject({ outcome: 'truncated' })
    const end = message('', { finish_reason: 'stop' })
    expect(await relayed(upstream([message('Hel'), message('lo'), end]))).toMatchObject({ outcome: 'done' })
  })
})

describe('another relay', () => {
  const own = [event({ step: 1 }, 'status'), event('plain', 'note')]
  const text = event({ text: 'Hi' })
  const names = ({ body }: { body: string }) =>
    [...body.matchAll(/"name":"(\w+)"|event: (\w+)/g)].map((m) => m[1] ?? m[2])

  it.each(['x-heartbeat-ms', 'x-run-id'])('is known by %s, and its own events go on at once', async (header) => {
    const answer = upstream([...own, done], 'text/event-stream', { [header]: '8000' })
    const read = await relayed(answer)
    expect({ outcome: read.outcome, names: names(read) }).toEqual({ outcome: 'done', names: ['status', 'note'] })
  })

  it.each<[string, string[]]>([
    ['the text it sends', [...own, text]],
    ['the parts it sends', [...own, event({ type: 'text', text: 'Hi' })]],
    ['its ids', [`id: 0123456789abcdef:1\n${own[0]}`, `id: 0123456789abcdef:2\n${own[1]}`]],
  ])('without headers it is known by %s, and its own events keep their order', async (_, frames) => {
    const bytes = Readable.from([new TextEncoder().encode([...frames, done].join(''))])
    const read = await relayed(bytes)
    expect({ outcome: read.outcome, names: names(read) }).toEqual({ outcome: 'done', names: ['status', 'note'] })
    if (read.text) expect(read.body.indexOf('"Hi"')).toBeGreaterThan(read.body.indexOf('note'))
  })
})

describe('an event stream in strings', () => {
  const frames = [event({ message: { content: 'Hel' }, done: false }), event({ error: SECRET })]

  it.each<[string, () => unknown]>([
    ['decoded by hand', () => upstream(frames).body?.pipeThrough(new TextDecoderStream())],
    ['of a Node stream that decodes', () => Readable.from([frames.join('')]).setEncoding('utf8')],
    [
      'framed by hand',
      async function* () {
        yield* frames
      },
    ],
  ])('is read as one, where it is %s', async (_, source) => {
    expect(await relayed(source())).toMatchObject({ outcome: 'error', text: 'Hel', leaks: false })
  })

  it('is text where it is one string, or begins as one that is none', async () => {
    for (const text of [frames[0], 'data: none\n\n', 'data: {"a":'])
      expect(await relayed(text)).toMatchObject({ outcome: 'done', text })
    const pieces = ['data: {"a":', '1}\n\n']
    expect(await relayed(pieces.values())).toMatchObject({ outcome: 'done', text: pieces.join('') })
  })
})

describe('an object that holds its stream', () => {
  async function* of(...values: unknown[]) {
    yield* values
  }
  const bytes = (text: string) => new TextEncoder().encode(text)

  it('under whatever name, if it is the only one there', async () => {
    const flow = [
      { flowOutputEvent: { content: { document: 'Hello' } } },
      { flowCompletionEvent: { completionReason: 'SUCCESS' } },
    ]
    expect(await relayed({ $metadata: {}, executionId: 'x', responseStream: of(...flow) })).toMatchObject({
      outcome: 'done',
      text: 'Hello',
      finish: 'stop',
    })
    const { outcome, errors } = await relayed({ one: of('a'), other: of('b') })
    expect(outcome).toBe('error')
    expect(String(errors[0])).toContain('cannot be iterated')
  })

  it('in pieces of bytes, each in an object (SageMaker)', async () => {
    const wire = bytes(
      `${event({ token: { text: 'Hello' }, generated_text: null })}${event({
        token: { text: '', special: true },
        generated_text: 'Hello',
        details: { finish_reason: 'eos_token' },
      })}`,
    )
    const pieces = [wire.slice(0, 20), wire.slice(20)].map((Bytes) => ({ PayloadPart: { Bytes } }))
    expect(await relayed({ Body: of(...pieces) })).toMatchObject({ outcome: 'done', text: 'Hello' })
    expect(await relayed({ Body: of(...pieces.slice(0, 1)) })).toMatchObject({ outcome: 'truncated' })
  })

  it('that has $metadata is AWS’s: what no shape knows in it stays here', async () => {
    const read = await relayed({ $metadata: {}, stream: of({ traceEvent: SECRET }) })
    expect(read).toMatchObject({ outcome: 'truncated', leaks: false })
  })

  it('of an SDK with a controller is that SDK’s: what no shape knows in it stays here', async () => {
    const stream = Object.assign(of({ type: 'user.message', content: SECRET }), { controller: new AbortController() })
    const { outcome, leaks, errors } = await relayed(stream)
    expect({ outcome, leaks }).toEqual({ outcome: 'truncated', leaks: false })
    expect(String(errors[0])).toContain('the keys type, content')
  })
})

describe('what a known API has besides', () => {
  async function* of(...values: unknown[]) {
    yield* values
  }

  it('a knowledge base of Bedrock, with its sources', async () => {
    const chunks = [
      { output: { text: 'Hel' } },
      { citation: { retrievedReferences: [{ content: {} }] } },
      { output: { text: 'lo' } },
      { guardrail: { action: 'NONE' } },
    ]
    expect(await relayed({ $metadata: {}, stream: of(...chunks) })).toMatchObject({ outcome: 'done', text: 'Hello' })
    expect(
      await relayed({ $metadata: {}, stream: of(...chunks, { guardrail: { action: 'INTERVENED' } }) }),
    ).toMatchObject({
      finish: 'content-filter',
    })
  })

  it('a flow of Bedrock that waits for a person has ended for now, and its traces stay here', async () => {
    const chunks = [
      { flowTraceEvent: { trace: SECRET } },
      { flowOutputEvent: { content: { document: { a: 1 } } } },
      { flowCompletionEvent: { completionReason: 'INPUT_REQUIRED' } },
    ]
    expect(await relayed({ responseStream: of(...chunks) })).toMatchObject({
      outcome: 'done',
      text: '{"a":1}',
      finish: 'tool-calls',
      leaks: false,
    })
    expect(await relayed({ responseStream: of(...chunks.slice(0, 2)) })).toMatchObject({ outcome: 'truncated' })
  })

  it('what Strands agents in Python say of their model, and nothing else of theirs', async () => {
    const say = (text: string) => event({ event: { contentBlockDelta: { delta: { text }, contentBlockIndex: 0 } } })
    const own = event({ data: 'Hel', agent: SECRET })
    const broken = event(JSON.stringify(`{'agent': ${SECRET}}`))
    const end = event({ event: { messageStop: { stopReason: 'end_turn' } } })
    const frames = [event({ init_event_loop: true }), say('Hel'), own, broken, say('lo')]
    expect(await relayed(upstream([...frames, end]))).toMatchObject({ outcome: 'done', text: 'Hello', leaks: false })
    expect(await relayed(upstream(frames))).toMatchObject({ outcome: 'truncated', leaks: false })
  })

  it.each<[string, object[], object]>([
    [
      'what OpenAI transcribes',
      [
        { type: 'transcript.text.delta', delta: 'Hel' },
        { type: 'transcript.text.delta', delta: 'lo' },
        { type: 'transcript.text.done', text: 'Hello', usage: { type: 'tokens', input_tokens: 3, output_tokens: 2 } },
      ],
      { text: 'Hello', usage: { inputTokens: 3, outputTokens: 2 } },
    ],
    [
      'what OpenAI draws',
      [
        { type: 'image_generation.partial_image', b64_json: 'AA==' },
        { type: 'image_generation.completed', b64_json: 'AAAA', output_format: 'webp' },
      ],
      { read: [{ name: 'file', data: { url: 'data:image/webp;base64,AAAA' } }, {}] },
    ],
    [
      'what a realtime model says',
      [
        { type: 'response.created', response: { id: 'r' } },
        { type: 'response.output_audio_transcript.delta', delta: 'Hello' },
        { type: 'response.done', response: { id: 'r', status: 'completed' } },
      ],
      { text: 'Hello' },
    ],
  ])('%s', async (_, chunks, right) => {
    const open = (events: object[]) => Object.assign(of(...events), { controller: new AbortController() })
    expect(await relayed(open(chunks))).toMatchObject({ outcome: 'done', finish: 'stop', ...right })
    expect(await relayed(open(chunks.slice(0, -1)))).toMatchObject({ outcome: 'truncated' })
  })

  it('what Snowflake’s agents say, whose names begin as those of Responses do', async () => {
    const frames = [
      event({ message: SECRET }, 'response.status'),
      event({ text: 'Hm' }, 'response.thinking.delta'),
      event({ text: 'Hel' }, 'response.text.delta'),
      event({ content: [{ json: SECRET }] }, 'response.tool_result'),
      event({ text: 'lo' }, 'response.text.delta'),
    ]
    const end = [event({ content: [] }, 'response'), event('[DONE]', 'done')]
    expect(await relayed(upstream([...frames, ...end]))).toMatchObject({ outcome: 'done', text: 'Hello', leaks: false })
    expect(await relayed(upstream(frames))).toMatchObject({ outcome: 'truncated', leaks: false })
  })
})

it('collect is told of it as of every failure', async () => {
  const answer = await relay(new Request('http://x/'), upstream([event({ answer: 'x' }), done]), { onError: () => {} })
  expect(await collect(answer)).toMatchObject({ status: 502 })
})
