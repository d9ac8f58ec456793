// Servers and SDKs whose streams nobody here has written down: is what they say understood, or is it said that it is not?
import { Readable } from 'node:stream'
import type { RelayOptions, Source } from 'sse-relay'
import { anthropicMessages, openaiChat, openaiResponses, parts } from 'sse-relay/protocols'
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
      it(`${name} is done when it is whole, truncated when it is cut, and an error when it fails`, async () => {
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

describe('plain text is what its server sent, to the space and to the letter', () => {
  it.each<[string, string[], string]>([
    ['spaces', ['a', ' b', ' ', '  c', '\t'], 'a b   c\t'],
    ['line breaks', ['a', '\n\n', 'b\nc', '\n'], 'a\n\nb\nc\n'],
    [
      'words that others send as signs of life',
      ['shop', 'ping', ' pong', ' heartbeat', 'noop'],
      'shopping pong heartbeatnoop',
    ],
    ['such a word as the first of a sentence', ['Processing', ' it'], 'Processing it'],
    [
      'what is JSON by chance',
      ['x', '=', 'null', '1e3', '"a"', '""', '{}', '[1]', '[]', 'true'],
      'x=null1e3"a"""{}[1][]true',
    ],
    ['an answer that is JSON', ['{', '"a"', ': [', '1', ']', '}'], '{"a": [1]}'],
    ['words for an end', ['I am ', 'done', ' end', '[', 'DONE', ']'], 'I am done end[DONE]'],
    ['names of fields', ['a', 'data: x', 'event: y', ': z', 'data:'], 'adata: xevent: y: zdata:'],
    ['tokens that are JSON texts', ['"Hel"', '" "', '"ping"', '"\\n"', '""', '"lo"'], 'Hel ping\nlo'],
    ['tokens that are framed twice', ['data: Hel\n\n', 'data:  \n\n', 'data:  lo\n\n'], 'Hel  lo'],
  ])('%s', async (_, tokens, text) => {
    const framed = tokens.map((token) => event(token.replaceAll('\n', '\ndata: ')))
    expect(await relayed(upstream([...framed, done]))).toMatchObject({ outcome: 'done', text })
  })

  it('a sign of life is none of it that came before it, too, or where tokens are in quotes', async () => {
    expect(await relayed(upstream(['ping', 'a', 'ping', 'b', '[DONE]'].map((data) => event(data))))).toMatchObject({
      text: 'ab',
    })
    expect(await relayed(upstream(['"a"', 'ping', 'null', '"b"', '[DONE]'].map((data) => event(data))))).toMatchObject({
      text: 'ab',
    })
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['null', 'null'],
    ['the word again', 'end'],
    ['what is for the server', '{"conversation_id":"sk-secret"}'],
  ])('it is complete at an event named for that which holds %s, unless more follows', async (_, data) => {
    const frames = [event('a'), event(data, 'end')]
    expect(await relayed(upstream(frames))).toMatchObject({ outcome: 'done', text: 'a', leaks: false })
    expect(await relayed(upstream([...frames, event('b')]))).toMatchObject({ outcome: 'truncated', text: 'ab' })
    const failed = event({ error: SECRET }, 'end')
    expect(await relayed(upstream([event('a'), failed]))).toMatchObject({ outcome: 'error', leaks: false })
  })
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
    expect(String(errors[0])).toMatch(/known, such as a chunk .* (with the keys|in an event named) \w+.*type: 'text'/)
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

  it.each<[string, string[], string[]]>([
    ['the text it sends', [...own, text], ['status', 'note', 'Hi']],
    ['the parts it sends', [...own, event({ type: 'text', text: 'Hi' })], ['status', 'note', 'Hi']],
    ['its ids', [`id: 0123456789abcdef:1\n${own[0]}`, `id: 0123456789abcdef:2\n${own[1]}`], ['status', 'note']],
    ['an id that comes late', [own[0] as string, `id: 0123456789abcdef:2\n${own[1]}`, text], ['status', 'note', 'Hi']],
  ])('without headers it is known by %s, and its own events keep their order', async (_, frames, order) => {
    const bytes = Readable.from([new TextEncoder().encode([...frames, done].join(''))])
    const { outcome, body } = await relayed(bytes)
    const said = [...body.matchAll(/"name":"(\w+)"|event: (\w+)|"text":"(\w+)"/g)].map((m) => m[1] ?? m[2] ?? m[3])
    expect({ outcome, said }).toEqual({ outcome: 'done', said: order })
  })
})

describe('an event stream in strings', () => {
  const frames = [event({ message: { content: 'Hel' }, done: false }), event({ error: SECRET })]

  it.each<[string, () => unknown]>([
    ['decoded by hand', () => upstream(frames).body?.pipeThrough(new TextDecoderStream())],
    ['of a Node stream that decodes', () => Readable.from([frames.join('')]).setEncoding('utf8')],
    [
      'framed by hand, or said by a model',
      async function* () {
        yield* frames
      },
    ],
  ])('is text, which nobody can make a call of, where it is %s', async (_, source) => {
    expect(await relayed(source())).toMatchObject({ outcome: 'done', text: frames.join('') })
  })

  it('is read by its lines, where an SDK gives those (watsonx)', async () => {
    const lines = frames.flatMap((frame) => ['id: 1', 'event: message', ...frame.trim().split('\n'), ''])
    const open = () => Object.assign(Readable.from(lines), { controller: new AbortController() })
    expect(await relayed(open())).toMatchObject({ outcome: 'error', text: 'Hel', leaks: false })
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

  it('is read whatever the name of the stream, if it is the only one there', async () => {
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

  it('is read where the stream has its bytes in objects (SageMaker)', async () => {
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

  it('is AWS’s where it has $metadata: what no shape knows in it stays here', async () => {
    const read = await relayed({ $metadata: {}, stream: of({ traceEvent: SECRET }) })
    expect(read).toMatchObject({ outcome: 'truncated', leaks: false })
  })

  it('is an SDK’s where it has a controller: what no shape knows in it stays here', async () => {
    const stream = Object.assign(of({ type: 'user.message', content: SECRET }), { controller: new AbortController() })
    const { outcome, leaks, errors } = await relayed(stream)
    expect({ outcome, leaks }).toEqual({ outcome: 'truncated', leaks: false })
    expect(String(errors[0])).toContain('the keys type, content')
  })
})

describe('of an API that is known for something else', () => {
  async function* of(...values: unknown[]) {
    yield* values
  }

  it('what a knowledge base of Bedrock says is read, and why a guardrail ended it', async () => {
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

  it('what Strands agents in Python say of their model is read, and nothing else of theirs', async () => {
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

const dashscope = (output: object, usage: object = {}) => event({ output, usage, request_id: 'r' }, 'result')
const said = (content: string, finish_reason = 'null') => ({
  choices: [{ message: { role: 'assistant', content }, finish_reason }],
})
const dify = (name: string, fields: object) => event({ event: name, task_id: 't', message_id: 'm', ...fields })
const node = { workflow_run_id: 'w', data: { inputs: { q: SECRET }, process_data: { prompts: [SECRET] } } }
const results = (generated_text: string, stop_reason: string) =>
  event(
    { model_id: 'm', results: [{ generated_text, generated_token_count: 2, input_token_count: 10, stop_reason }] },
    'message',
  )
const counted = { usage: { inputTokens: 10, outputTokens: 2 } }

servers('a server whose chunk is a piece of text', {
  'llama.cpp': {
    body: [
      event({ index: 0, content: 'Hel', tokens: [1], stop: false, id_slot: 0 }),
      event({ index: 0, content: 'lo', stop: false }),
    ],
    end: [
      event({ content: '', stop: true, stop_type: 'limit', prompt: SECRET, tokens_evaluated: 10, tokens_predicted: 2 }),
    ],
    failure: event({ error: { code: 500, message: SECRET } }),
    whole: { finish: 'length', ...counted },
  },
  'watsonx, text generation': {
    body: [results('Hel', 'not_finished'), results('lo', 'NOT_FINISHED')],
    end: [results('', 'eos_token')],
    failure: event({ errors: [{ code: 'x', message: SECRET }], status_code: 500 }, 'error'),
    whole: { finish: 'stop', ...counted },
  },
  'DashScope, in pieces': {
    body: [dashscope(said('Hel')), dashscope(said('lo'))],
    end: [dashscope(said('', 'stop'), { input_tokens: 10, output_tokens: 2 })],
    failure: event({ code: 'Throttling', message: SECRET, request_id: 'r' }, 'error'),
    whole: { finish: 'stop', ...counted },
  },
  'DashScope, with all of the text each time': {
    body: [dashscope(said('Hel')), dashscope(said('Hello'))],
    end: [dashscope(said('Hello', 'length'))],
    whole: { finish: 'length' },
  },
  'DashScope, an application': {
    body: [dashscope({ text: 'Hel', finish_reason: 'null', session_id: 's' }), dashscope({ text: 'lo' })],
    end: [dashscope({ text: '', finish_reason: 'stop' }, { models: [{ input_tokens: 10, output_tokens: 2 }] })],
    whole: { finish: 'stop', ...counted },
  },
  'SAP’s orchestration': {
    body: [
      event({ request_id: 'r', intermediate_results: { templating: [{ role: 'user', content: SECRET }] } }),
      ...['Hel', 'lo'].map((content) =>
        event({ request_id: 'r', final_result: { id: 'c', choices: [{ index: 0, delta: { content } }] } }),
      ),
    ],
    end: [event({ request_id: 'r', final_result: { id: 'c', choices: [{ index: 0, finish_reason: 'stop' }] } })],
    failure: event({ error: { request_id: 'r', code: 429, message: SECRET } }),
    whole: { finish: 'stop' },
  },
  'Dify, a chat': {
    body: [
      'event: ping\n\n',
      dify('agent_thought', { tool_input: SECRET, observation: SECRET }),
      dify('message', { answer: 'Hel' }),
      dify('agent_message', { answer: 'lo' }),
    ],
    end: [
      dify('message_end', {
        metadata: { usage: { prompt_tokens: 10, completion_tokens: 2 }, retriever_resources: [SECRET] },
      }),
    ],
    failure: dify('error', { status: 500, code: 'x', message: SECRET }),
    whole: counted,
  },
  'Dify, a workflow': {
    body: [
      dify('workflow_started', node),
      dify('node_finished', node),
      dify('text_chunk', { data: { text: 'Hel' } }),
      dify('text_chunk', { data: { text: 'lo' } }),
    ],
    end: [dify('workflow_finished', { data: { status: 'succeeded', outputs: SECRET } })],
    failure: dify('workflow_finished', { data: { status: 'failed', error: SECRET } }),
  },
})

describe('an SDK whose chunk is a piece of text', () => {
  async function* of(...values: unknown[]) {
    yield* values
  }

  it('Ax says text, thoughts and calls, and is complete with its finishReason', async () => {
    const chunks = [
      { results: [{ index: 0, thought: 'Hm' }] },
      {
        results: [
          { index: 0, content: 'Hello' },
          { index: 1, content: SECRET },
        ],
      },
      { results: [{ index: 0, functionCalls: [{ id: 'c', function: { name: 'w', params: '{"a":1}' } }] }] },
    ]
    const end = {
      results: [{ index: 0, finishReason: 'function_call' }],
      modelUsage: { ai: 'x', tokens: { promptTokens: 10, completionTokens: 2 } },
    }
    expect(await relayed(of(...chunks, end))).toMatchObject({
      outcome: 'done',
      text: 'Hello',
      finish: 'tool-calls',
      leaks: false,
      ...counted,
    })
    expect(await relayed(of(...chunks))).toMatchObject({ outcome: 'truncated', text: 'Hello' })
  })

  it('SAP’s orchestration is read within instances of its class', async () => {
    class OrchestrationStreamChunkResponse {
      readonly _data: object
      constructor(_data: object) {
        this._data = _data
      }
      getDeltaContent() {
        return 'Hello'
      }
    }
    const choices = [{ index: 0, delta: { content: 'Hello' }, finish_reason: 'stop' }]
    const chunk = new OrchestrationStreamChunkResponse({ request_id: 'r', final_result: { id: 'c', choices } })
    expect(await relayed({ stream: of(chunk) })).toMatchObject({ outcome: 'done', text: 'Hello', finish: 'stop' })
  })

  it('LM Studio is read, and stopped by what it has for that', async () => {
    const fragment = (content: string, reasoningType = 'none') => ({ content, reasoningType, tokensCount: 1 })
    const chunks = [fragment('<think>', 'reasoningStartTag'), fragment('Hm', 'reasoning'), fragment('Hello')]
    const { read, ...whole } = await relayed(of(...chunks))
    expect(whole).toMatchObject({ outcome: 'done', text: 'Hello' })
    expect(read).toMatchObject([{ type: 'reasoning', text: 'Hm' }, { type: 'text' }])
    const cancel = vi.fn()
    const stop = new AbortController()
    const waiting = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }), result: () => {}, cancel }
    const answer = relayed(waiting, { signal: stop.signal })
    stop.abort()
    await answer
    expect(cancel).toHaveBeenCalled()
  })
})

describe('Effect’s parts, whose types are the AI SDK’s', () => {
  const part = (type: string, fields: object = {}) => ({
    type,
    metadata: {},
    '~effect/ai/Content/Part': '~effect/ai/Content/Part',
    ...fields,
  })
  const some = (value: string) => ({ _id: 'Option', _tag: 'Some', value })
  const answer = [
    part('response-metadata', { id: some('r'), modelId: some('m') }),
    part('text-start', { id: 't' }),
    part('text-delta', { id: 't', delta: 'Hel' }),
    part('text-delta', { id: 't', delta: 'lo' }),
    part('text-end', { id: 't' }),
  ]
  const call = [
    part('tool-params-start', { id: 'c', name: 'w', providerExecuted: false }),
    part('tool-params-delta', { id: 'c', delta: '{"a":' }),
    part('tool-params-delta', { id: 'c', delta: '1}' }),
    part('tool-params-end', { id: 'c' }),
    part('tool-call', { id: 'c', name: 'w', params: { a: 1 }, providerExecuted: false }),
  ]
  const result = part('tool-result', { id: 'c', name: 'w', result: SECRET, encodedResult: SECRET, isFailure: false })
  const end = (reason: string) => part('finish', { reason, usage: { inputTokens: 10, outputTokens: 2 } })

  it('of version 4 have another mark, no Options, and ask whether a call may run', async () => {
    const later = [
      part('response-metadata', { id: 'r', modelId: 'm' }),
      ...answer.slice(1),
      ...call,
      part('tool-approval-request', { approvalId: 'p', toolCallId: 'c' }),
      part('finish', { reason: 'tool-calls', usage: { inputTokens: { total: 10 }, outputTokens: { total: 2 } } }),
    ].map(({ '~effect/ai/Content/Part': mark, ...fields }) => ({ ...fields, '~effect/ai/Response/Part': mark }))
    const read = await relayed(later)
    expect(read).toMatchObject({ outcome: 'done', text: 'Hello', finish: 'tool-calls', ...counted })
    expect(read.read).toContainEqual({ type: 'start', id: 'r', model: 'm' })
    expect(read.read).toContainEqual(expect.objectContaining({ type: 'tool-call', approval: 'p', done: true }))
  })

  it('are complete at their finish, and cut without', async () => {
    expect(await relayed([...answer, end('stop')])).toMatchObject({
      outcome: 'done',
      text: 'Hello',
      finish: 'stop',
      ...counted,
      read: [{ type: 'start', id: 'r', model: 'm' }, {}, {}, {}, {}],
    })
    expect(await relayed(answer)).toMatchObject({ outcome: 'truncated', text: 'Hello' })
    const failed = part('error', { error: { message: SECRET } })
    expect(await relayed([...answer, failed])).toMatchObject({ outcome: 'error', leaks: false })
  })

  it('say their calls once, and nobody else is to run what was answered', async () => {
    const pieces = (read: { type?: string }[]) =>
      read
        .filter(({ type }) => type === 'tool-call')
        .map((piece) => (piece as { input?: string }).input)
        .join('')
    const open = await relayed([...answer, ...call, end('tool-calls')])
    expect(open).toMatchObject({ outcome: 'done', finish: 'tool-calls' })
    expect(pieces(open.read)).toBe('{"a":1}')
    const run = await relayed([...answer, ...call, result, end('tool-calls')])
    expect(run).toMatchObject({ outcome: 'done', leaks: false })
    expect(run.read).toContainEqual({ type: 'tool-result', id: 'c', name: 'w', output: null })
    expect(pieces(run.read)).toBe('{"a":1}')
  })
})

const task = {
  id: 't',
  contextId: 'c',
  status: { state: 'submitted' },
  history: [{ role: 'user', parts: [{ text: SECRET }] }],
}
const old = (kind: string, fields: object) => event({ jsonrpc: '2.0', id: 1, result: { kind, taskId: 't', ...fields } })
const status = (state: string, text?: string) => ({
  status: { state, message: text && { role: 'agent', parts: [{ kind: 'text', text }] } },
})
const artifact = (text: string) => ({ artifact: { artifactId: 'a', parts: [{ kind: 'text', text }] } })
const fresh = (name: string, fields: object) => event({ [name]: { taskId: 't', contextId: 'c', ...fields } })

servers('an A2A agent', {
  'of version 0.3': {
    body: [
      old('task', task),
      old('status-update', status('working', SECRET)),
      old('artifact-update', artifact('Hel')),
      old('artifact-update', artifact('lo')),
    ],
    end: [old('status-update', { ...status('completed'), final: true })],
    failure: event({ jsonrpc: '2.0', id: 1, error: { code: -32603, message: SECRET } }),
    whole: { finish: 'stop' },
  },
  'of version 1': {
    body: [fresh('task', task), fresh('artifactUpdate', artifact('Hel')), fresh('artifactUpdate', artifact('lo'))],
    end: [fresh('statusUpdate', status('TASK_STATE_COMPLETED'))],
    failure: fresh('statusUpdate', status('TASK_STATE_FAILED', SECRET)),
    whole: { finish: 'stop' },
  },
  'that asks the user': {
    body: [fresh('statusUpdate', status('TASK_STATE_WORKING', SECRET))],
    end: [fresh('statusUpdate', status('TASK_STATE_INPUT_REQUIRED', 'Hello'))],
    cut: { text: '' },
  },
  'that answers with a message': {
    body: [fresh('message', { messageId: 'm', role: 'ROLE_USER', parts: [{ text: SECRET }] })],
    end: [fresh('message', { messageId: 'm', role: 'ROLE_AGENT', parts: [{ text: 'Hello' }] })],
    cut: { text: '' },
  },
})

it('an A2A agent is read by its SDK, and what that throws is a failure of the upstream', async () => {
  const part = (value: string) => [{ content: { $case: 'text', value } }]
  const chunk = ($case: string, value: object) => ({ payload: { $case, value } })
  const source = async function* () {
    yield chunk('artifactUpdate', { artifact: { artifactId: 'a', parts: part('Hello') } })
    yield chunk('statusUpdate', { status: { state: 3 } })
  }
  expect(await relayed(source)).toMatchObject({ outcome: 'done', text: 'Hello', finish: 'stop' })
  const fails = (error: Error) => () => Promise.reject(error)
  const own = Object.assign(new Error(SECRET), { envelopeCode: -32603 })
  expect(await relayed(fails(own))).toMatchObject({ status: 502, leaks: false })
})

it.each([
  ['HTTP error establishing stream for SendStreamingMessage: 429 Too Many Requests. Response: no', 429],
  ['HTTP error! status: 503', 503],
  ['Request failed with status code 500', 502],
  ['Error while iterating over SSE stream.', 502],
  ['The order has status 5', 500],
  ['Unexpected server response: HTTP/1.1 502 Bad Gateway', 502],
  ['{"status":429,"message":"no"}', 429],
  ['Server responded with a non-200 status (503)', 503],
  ['Found 429 results', 500],
  ['connect to port 5030', 500],
  ['the HTTP listener took 408 ms', 500],
  ['HTTP request: 429 rows were read', 500],
  ['the status of order 429 is unknown', 500],
  ['status: 503 items are left', 500],
])('a status that an error has in nothing but words counts: %s', async (message, status) => {
  expect(await relayed(() => Promise.reject(new Error(message)))).toMatchObject({ status })
})

describe('a session whose stream goes on', () => {
  const now = { processed_at: '2026-11-30T00:00:00Z' }
  const managed = (type: string, fields: object = {}) => ({ type, id: type, ...now, ...fields })
  const delta = (text: string) => ({ type: 'event_delta', event_id: 'm', delta: { content: { type: 'text', text } } })
  const answer = [
    managed('user.message', { content: [{ type: 'text', text: SECRET }] }),
    managed('session.status_running'),
    { type: 'event_start', event: { id: 'm', type: 'agent.message' } },
    delta('Hel'),
    delta('lo'),
    { ...managed('agent.message', { content: [{ type: 'text', text: 'Hello' }] }), id: 'm' },
    managed('agent.tool_use', { name: 'bash', input: { a: 1 } }),
    managed('agent.tool_result', { tool_use_id: 'agent.tool_use', content: [{ text: SECRET }] }),
    managed('agent.message', { session_thread_id: 'sub', content: [{ type: 'text', text: SECRET }] }),
    managed('session.error', { error: { message: SECRET, retry_status: { type: 'retrying' } } }),
    managed('span.model_request_end', { model_usage: { input_tokens: 10, output_tokens: 2 } }),
  ]
  const idle = (type: string) => managed('session.status_idle', { stop_reason: { type } })
  const part = (fields: object, more: object = {}) => ({
    type: 'message.part.updated',
    properties: { part: fields, ...more },
  })
  const tool = (state: object) => part({ id: 'x', type: 'tool', callID: 'c', tool: 'bash', state })
  const code = [
    { type: 'server.connected', properties: {} },
    part({ id: 'u', type: 'text', text: SECRET }),
    part({ id: 'a', type: 'text', text: 'Hel' }, { delta: 'Hel' }),
    { type: 'message.part.delta', properties: { partID: 'a', field: 'text', delta: 'lo' } },
    tool({ status: 'running', input: { a: 1 } }),
    tool({ status: 'completed', input: { a: 1 }, output: SECRET }),
    part({ id: 's', type: 'step-finish', tokens: { input: 10, output: 2 } }),
  ]
  const isIdle = { type: 'session.idle', properties: { sessionID: 's' } }

  /** It yields no more, and does not end. */
  const open = (chunks: unknown[], left = vi.fn()) => {
    const rest = chunks.values()
    const next = async () => {
      const { done, value } = rest.next()
      return done ? new Promise(() => {}) : { done, value }
    }
    return { left, source: { [Symbol.asyncIterator]: () => ({ next, return: left }) } }
  }

  it.each<[string, object[], object]>([
    ['Claude’s managed agents', answer, idle('end_turn')],
    ['opencode', code, isIdle],
  ])(
    '%s is done where it is idle, also while its stream goes on, and truncated where it is cut',
    async (_, chunks, end) => {
      const whole = await relayed(open([...chunks, end]).source)
      expect(whole).toMatchObject({ outcome: 'done', text: 'Hello', finish: 'stop', leaks: false, ...counted })
      expect(whole.read).toContainEqual(expect.objectContaining({ type: 'tool-call', name: 'bash', executed: true }))
      expect(whole.read).toContainEqual(expect.objectContaining({ type: 'tool-result', output: null }))
      expect(await relayed(chunks)).toMatchObject({ outcome: 'truncated', text: 'Hello', leaks: false })
    },
  )

  it('is left as soon as the answer is over', async () => {
    const { source, left } = open([answer[3], idle('requires_action'), delta('more')])
    expect(await relayed(source)).toMatchObject({ outcome: 'done', text: 'Hel', finish: 'tool-calls' })
    expect(left).toHaveBeenCalledOnce()
  })

  it.each<[string, object]>([
    [
      'Claude’s managed agents',
      managed('session.error', { error: { message: SECRET, retry_status: { type: 'terminal' } } }),
    ],
    ['opencode', { type: 'session.error', properties: { error: { name: 'APIError', data: { message: SECRET } } } }],
  ])('a failure of %s is an error', async (_, failure) => {
    expect(await relayed([failure])).toMatchObject({ outcome: 'error', leaks: false })
  })

  it.each<[object]>([[idle('retries_exhausted')], [managed('session.status_terminated')]])(
    'what is broken off is not complete: %o',
    async (end) => {
      expect(await relayed([...answer, end])).toMatchObject({ outcome: 'truncated', leaks: false })
    },
  )
})

it('what the SDK of Gemini called itself is answered, and the turn after it owes its own end', async () => {
  const turn = (part: object, finishReason?: string, role = 'model') => ({
    candidates: [{ content: { role, parts: [part] }, finishReason }],
    responseId: 'r',
  })
  const called = [
    turn({ functionCall: { id: 'f', name: 'w', args: { a: 1 } } }, 'STOP'),
    {
      candidates: [
        { content: { role: 'user', parts: [{ functionResponse: { id: 'f', name: 'w', response: SECRET } }] } },
      ],
    },
    turn({ text: 'Hello' }),
  ]
  const whole = await relayed([...called, turn({ text: '' }, 'STOP')])
  expect(whole).toMatchObject({ outcome: 'done', text: 'Hello', finish: 'stop', leaks: false })
  expect(whole.read).toContainEqual({ type: 'tool-result', id: 'f', name: 'w', output: null })
  expect(await relayed(called)).toMatchObject({ outcome: 'truncated', leaks: false })
  const ASKS = /"(tool_calls|tool_use|function_call)"/
  // Nobody else is asked to run it.
  for (const protocol of [openaiChat(), anthropicMessages(), openaiResponses()]) {
    const { outcome, body } = await relayed([...called, turn({ text: '' }, 'STOP')], { protocol })
    expect(outcome).toBe('done')
    expect(body).not.toMatch(ASKS)
    const { body: asked } = await relayed(called.slice(0, 1), { protocol })
    expect(asked).toMatch(ASKS)
  }
})

describe('objects of one’s own', () => {
  const text = 'own'
  class Told {
    readonly content = text
    readonly stop = false
    readonly task_id = 't'
  }
  it.each<[object]>([
    [{ content: text, stop: true }],
    [{ role: 'assistant', content: text, stop: false }],
    [{ content: text, reasoningType: 'none' }],
    [{ results: [{ index: 0, content: text }] }],
    [{ results: [{ generated_text: text }] }],
    [{ request_id: 'r', output: { text } }],
    [{ request_id: 'r', output: { choices: [text] } }],
    [{ request_id: 'r', intermediate_results: { text } }],
    [{ request_id: 'r', final_result: { text } }],
    [{ event: 'progress', task_id: 't', percent: 10 }],
    [{ event: 'message', task_id: 't', answer: text }],
    [{ event: 'step', workflow_run_id: 'w' }],
    [{ message: { messageId: 'm', text } }],
    [{ task: { taskId: 1, text } }],
    [{ kind: 'task', taskId: 't', text }],
    [{ kind: 'message', messageId: 'm', text }],
    [{ payload: { $case: 'message', value: { text } } }],
    [{ statusUpdate: { taskId: 't', text } }],
    [{ type: 'event_start', event: { text } }],
    [{ type: 'event_delta', event_id: 'e', delta: 3 }],
    [{ type: 'user.created', processed_at: 'now', id: 'u', text }],
    [{ type: 'session.started', processed_at: 'now', id: 's', text }],
    [{ type: 'order.created', properties: { text } }],
    [{ type: 'session.idle', properties: { minutes: 5, text } }],
    [{ type: 'message.sent', properties: { id: 'm', text } }],
    [{ type: 'image_generation.progress', text }],
    [{ flowProgressEvent: { text } }],
    [{ event: { contentBlockDelta: { delta: { text } } }, at: 1 }],
    [{ error: [{ message: text }], rows: 3 }],
    [{ _data: { content: text, stop: false } }],
  ])('are data, also where a server has words like theirs: %o', async (own) => {
    const source = () => ['a', own, { type: 'text', text: 'b' }, own]
    const { outcome, text: said, read } = await relayed(source)
    expect({ outcome, said }).toEqual({ outcome: 'done', said: 'ab' })
    expect(read).toContainEqual({ type: 'data', name: 'data', data: own })
    // In an event of one's own, too.
    const framed = await relayed(() => ['a', { event: 'step', data: own }, { event: 'x', data: JSON.stringify(own) }])
    expect(framed.body).toContain('event: step')
    expect(framed.body).toContain('event: x')
  })

  it('are refused as ever where they are instances of a class', async () => {
    expect(await relayed(() => [new Told()])).toMatchObject({ outcome: 'error', status: 500 })
  })
})

it('an answer of which nothing is known is a refusal with a status', async () => {
  const answer = await relay(new Request('http://x/'), upstream([event({ answer: 'x' }), done]), { onError: () => {} })
  expect(await collect(answer)).toMatchObject({ status: 502 })
})
