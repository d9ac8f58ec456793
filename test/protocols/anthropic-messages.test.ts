import { createAnthropic } from '@ai-sdk/anthropic'
import Anthropic, { APIError, InternalServerError, RateLimitError } from '@anthropic-ai/sdk'
import { generateText, jsonSchema, streamText, tool } from 'ai'
import fc from 'fast-check'
import type { RelayOptions, Source, ToolCallPart } from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { relay, resume } from 'sse-relay/node'
import { type AnthropicMessagesOptions, anthropicMessages, type EncoderPart } from 'sse-relay/protocols'
import { collect, providerError } from 'sse-relay/testing'
import { describe, expect, it } from 'vitest'
import { listening } from '../serving.js'
import { anthropicUpstream } from './anthropic-upstream.js'

const messages = [{ role: 'user' as const, content: 'Hello?' }]
const params = { model: 'any', max_tokens: 64, messages }
const RUN_ID = 'messages-run-0001'

type Options = RelayOptions & { messages?: AnthropicMessagesOptions }

/** The user's own server with a Messages endpoint, and where it is. */
async function serve(source: Source, { messages, ...options }: Options = {}): Promise<string> {
  const given = { onError() {}, ...options, protocol: anthropicMessages(messages) }
  return listening((req, res) => void relay(req, res, source, given))
}

const clientOf = (url: string) => new Anthropic({ apiKey: 'test', baseURL: url, maxRetries: 0 })

interface Answer {
  text: string
  reasoning: string
  signatures: string[]
  calls: { id: string; name: string; input: unknown }[]
  finish: string | null
  usage: unknown
}

/** What a whole message says. */
function read({ content, stop_reason, usage }: Anthropic.Message): Answer {
  const answer: Answer = { text: '', reasoning: '', signatures: [], calls: [], finish: stop_reason, usage }
  for (const block of content) {
    if (block.type === 'text') answer.text += block.text
    if (block.type === 'thinking') {
      answer.reasoning += block.thinking
      answer.signatures.push(block.signature)
    }
    if (block.type === 'redacted_thinking') answer.signatures.push(block.data)
    if (block.type === 'tool_use') answer.calls.push({ id: block.id, name: block.name, input: block.input })
  }
  return answer
}

const ofAISDK = (url: string) => {
  const model = createAnthropic({ apiKey: 'test', baseURL: `${url}/v1` })('any')
  const tools = { weather: anyInput, time: anyInput, get_weather: anyInput }
  return { model, messages, tools, maxOutputTokens: 64, maxRetries: 0 }
}
const anyInput = tool({ inputSchema: jsonSchema({ type: 'object', properties: {} }) })

/** The clients: what each makes of an answer. The AI SDK has words of its own for finish and usage. */
const clients = {
  'the iterator of create()': async (url: string): Promise<Answer> => {
    const answer: Answer = { text: '', reasoning: '', signatures: [], calls: [], finish: null, usage: undefined }
    const inputs: string[] = []
    let open = -1
    for await (const event of await clientOf(url).messages.create({ ...params, stream: true })) {
      if (event.type === 'content_block_start') {
        expect(event.index).toBe(++open)
        const { content_block: block } = event
        if (block.type === 'tool_use') answer.calls.push({ id: block.id, name: block.name, input: inputs.push('') - 1 })
        if (block.type === 'redacted_thinking') answer.signatures.push(block.data)
      } else if (event.type === 'content_block_delta') {
        expect(event.index).toBe(open)
        const { delta } = event
        if (delta.type === 'text_delta') answer.text += delta.text
        if (delta.type === 'thinking_delta') answer.reasoning += delta.thinking
        if (delta.type === 'signature_delta') answer.signatures.push(delta.signature)
        if (delta.type === 'input_json_delta') inputs[inputs.length - 1] += delta.partial_json
      } else if (event.type === 'message_delta') {
        answer.finish = event.delta.stop_reason
        answer.usage = event.usage
      }
    }
    for (const call of answer.calls) call.input = JSON.parse(inputs[call.input as number] || '{}')
    return answer
  },
  'stream().finalMessage()': async (url: string): Promise<Answer> => {
    return read(await clientOf(url).messages.stream(params).finalMessage())
  },
  'create() without a stream': async (url: string): Promise<Answer> =>
    read(await clientOf(url).messages.create(params)),
  'the AI SDK': async (url: string): Promise<Answer> => {
    const result = streamText({ ...ofAISDK(url), onError() {} })
    const answer: Answer = { text: '', reasoning: '', signatures: [], calls: [], finish: null, usage: undefined }
    for await (const part of result.stream) {
      if (part.type === 'error') throw part.error
      if (part.type === 'text-delta') answer.text += part.text
      if (part.type === 'reasoning-delta') answer.reasoning += part.text
      if (part.type === 'tool-call') {
        answer.calls.push({ id: part.toolCallId, name: part.toolName, input: part.input })
      }
      if (part.type === 'finish') {
        answer.finish = part.finishReason
        answer.usage = part.totalUsage
      }
    }
    return answer
  },
  'the AI SDK without a stream': async (url: string): Promise<Answer> => {
    const { text, reasoningText = '', toolCalls, finishReason, totalUsage } = await generateText(ofAISDK(url))
    const calls = toolCalls.map(({ toolCallId: id, toolName: name, input }) => ({ id, name, input }))
    return { text, reasoning: reasoningText, signatures: [], calls, finish: finishReason, usage: totalUsage }
  },
}
const names = Object.keys(clients) as (keyof typeof clients)[]

/** The answer to a client: one that asks for no stream gets one body. */
const ask = async (name: keyof typeof clients, source: Source, options: Options = {}) =>
  clients[name](await serve(source, name.endsWith('without a stream') ? { ...options, stream: false } : options))

const call = (index: number, id: string, name: string, input: string, done?: boolean): ToolCallPart => ({
  type: 'tool-call',
  index,
  id,
  name,
  input,
  ...(done && { done }),
})
const more = (index: number, input: string, done?: boolean): ToolCallPart => ({
  type: 'tool-call',
  index,
  input,
  ...(done && { done }),
})

describe.each(names)('%s', (name) => {
  const isOfAISDK = name.startsWith('the AI SDK')
  const word = (anthropic: string, ai: string) => (isOfAISDK ? ai : anthropic)

  it('reads text, the finish and the token counts', async () => {
    const answer = await ask(name, [
      'Hello',
      ' there\n',
      { type: 'usage', usage: { inputTokens: 30, cachedInputTokens: 5, cacheWriteInputTokens: 3, outputTokens: 15 } },
      { type: 'finish', reason: 'stop' },
    ])
    expect(answer.text).toBe('Hello there\n')
    expect(answer.finish).toBe(word('end_turn', 'stop'))
    expect(answer.usage).toMatchObject(
      isOfAISDK
        ? { inputTokens: 30, inputTokenDetails: { cacheReadTokens: 5, cacheWriteTokens: 3 }, outputTokens: 15 }
        : { input_tokens: 22, cache_read_input_tokens: 5, cache_creation_input_tokens: 3, output_tokens: 15 },
    )
  })

  it('reads reasoning, with its signature or with none, and what is redacted', async () => {
    const answer = await ask(name, [
      { type: 'reasoning', text: 'Look' },
      { type: 'reasoning', text: ' up.' },
      { type: 'reasoning', text: '', signature: 'c2ln' },
      { type: 'reasoning', text: ' Then' },
      { type: 'reasoning', text: '', redacted: 'aGlk' },
      'Sunny',
    ])
    expect([answer.reasoning, answer.text]).toEqual(['Look up. Then', 'Sunny'])
    // The iterator hears of a signature only where there is one.
    if (name.includes('iterator')) expect(answer.signatures).toEqual(['c2ln', 'aGlk'])
    else if (!isOfAISDK) expect(answer.signatures).toEqual(['c2ln', '', 'aGlk'])
  })

  it('reads a call, and text after it', async () => {
    const { text, calls, finish } = await ask(name, [
      'Let me look.',
      call(0, 'call_1', 'weather', ''),
      more(0, '{"city":'),
      more(0, '"Oslo"}', true),
      ' Done.',
      { type: 'finish', reason: 'tool-calls' },
    ])
    expect(text).toBe('Let me look. Done.')
    expect(calls).toEqual([{ id: 'call_1', name: 'weather', input: { city: 'Oslo' } }])
    expect(finish).toBe(word('tool_use', 'tool-calls'))
  })

  it('reads calls that come in turns, with text and reasoning between their pieces', async () => {
    const { text, calls, reasoning } = await ask(name, [
      call(0, 'call_1', 'weather', '{"city"'),
      call(1, 'call_2', 'time', ''),
      'Both',
      more(1, '{"zone":'),
      more(0, ':"Oslo"}'),
      { type: 'reasoning', text: 'Hm' },
      more(1, '1}', true),
      more(0, '', true),
      call(2, 'call_3', 'time', '', true),
      { type: 'finish', reason: 'stop' },
    ])
    expect([text, reasoning]).toEqual(['Both', 'Hm'])
    expect(calls).toEqual([
      { id: 'call_1', name: 'weather', input: { city: 'Oslo' } },
      { id: 'call_2', name: 'time', input: { zone: 1 } },
      { id: 'call_3', name: 'time', input: {} },
    ])
  })

  it('reads calls of one’s own that never say that they are whole', async () => {
    const { calls, finish } = await ask(name, [
      call(0, 'call_1', 'weather', '{"city":"Oslo"}'),
      call(1, 'call_2', 'time', ''),
      call(2, 'call_3', 'time', '{"zone":{}'),
      more(2, '}'),
    ])
    expect(calls.map(({ input }) => input)).toEqual([{ city: 'Oslo' }, {}, { zone: {} }])
    expect(finish).toBe(word('tool_use', 'tool-calls'))
  })

  it('gets no call that others run, and is not asked to answer one', async () => {
    const { calls, finish, text } = await ask(name, [
      { ...call(0, 'call_1', 'weather', '{}', true), executed: true },
      { ...call(1, 'call_2', 'weather', '{', false), error: 'no' },
      { type: 'tool-result', id: 'call_1', output: 1 },
      'Sunny',
      { type: 'finish', reason: 'stop' },
    ])
    expect([calls, finish, text]).toEqual([[], word('end_turn', 'stop'), 'Sunny'])
  })

  it('gets no call that an agent answers later, and is asked for the one that nobody answers', async () => {
    const { calls, finish, text } = await ask(name, [
      { type: 'start-step', request: {}, warnings: [] },
      { type: 'tool-input-start', id: 'a', toolName: 'weather' },
      { type: 'tool-input-delta', id: 'a', delta: '{"q":1}' },
      { type: 'tool-call', toolCallId: 'a', toolName: 'weather', input: { q: 1 } },
      { type: 'tool-result', toolCallId: 'a', toolName: 'weather', input: { q: 1 }, output: 'SECRET' },
      { type: 'start-step', request: {}, warnings: [] },
      { type: 'text-delta', id: '1', text: 'Hello' },
      { type: 'tool-input-start', id: 'b', toolName: 'time' },
      { type: 'tool-input-delta', id: 'b', delta: '{"y"' },
      { type: 'tool-call', toolCallId: 'b', toolName: 'time', input: { x: 1 } },
      { type: 'finish', finishReason: 'tool-calls', totalUsage: { outputTokens: 3 } },
    ])
    expect([text, calls]).toEqual(['Hello', [{ id: 'b', name: 'time', input: { x: 1 } }]])
    expect(finish).toBe(word('tool_use', 'tool-calls'))
  })

  it.each([
    ['stop', 'end_turn', 'stop'],
    ['length', 'max_tokens', 'length'],
    ['content-filter', 'refusal', 'content-filter'],
    ['tool-calls', 'end_turn', 'stop'],
    ['error', 'end_turn', 'stop'],
    ['other', 'end_turn', 'stop'],
  ])('is told why the model stopped: %s', async (reason, anthropic, ai) => {
    const { finish } = await ask(name, ['Hello', { type: 'finish', reason }])
    expect(finish).toBe(word(anthropic, ai))
  })

  it('gets nothing of one’s own that it would break on', async () => {
    const { text } = await ask(name, [
      'a',
      { event: 'progress', data: { percent: 50 } },
      { data: 'plain' },
      { type: 'data', name: 'citation', data: { url: 'https://example.com' } },
      { custom: 1 },
      'b',
    ])
    expect(text).toBe('ab')
  })

  it('reads a whole answer of nothing', async () => {
    expect(await ask(name, [])).toMatchObject({ text: '', calls: [], finish: word('end_turn', 'stop') })
  })

  it('is given its own errors with our status where nothing was sent', async () => {
    const { source, upstream } = await anthropicUpstream()
    const refusal = async (status: number) => {
      upstream.next(providerError('anthropic', status, 'SECRET'))
      return ask(name, source).then(
        () => 'no error',
        (error) => error,
      )
    }
    for (const [upstreams, status, type, words] of [
      [429, 429, 'rate_limit_error', /Too many/],
      [529, 503, 'overloaded_error', /overloaded/],
      [401, 502, 'api_error', /behind this one/],
    ] as const) {
      const error = await refusal(upstreams)
      if (isOfAISDK) {
        expect(error).toMatchObject({
          statusCode: status,
          message: expect.stringMatching(words),
          data: { error: { type } },
        })
      } else {
        expect(error).toBeInstanceOf(status === 429 ? RateLimitError : InternalServerError)
        expect(error).toMatchObject({ status, type, message: expect.stringMatching(words) })
      }
      expect(`${error} ${JSON.stringify(error)}`).not.toContain('SECRET')
    }
  })

  it.each([
    ['an error of the provider', { trace: 'anthropic-error-overloaded.sse' }, /overloaded/],
    ['an answer that is cut', { trace: 'anthropic-truncated.sse' }, /cut off/],
    ['a connection that is reset', { resetAfter: 6, pauseMs: 20 }, /could not answer/],
  ])('throws in the middle of an answer: %s', async (_, replay, words) => {
    const { source } = await anthropicUpstream(replay)
    const error = await ask(name, source).then(
      () => 'no error',
      (error) => error,
    )
    expect(String(error.message ?? error)).toMatch(words)
    if (!isOfAISDK) expect(error).toBeInstanceOf(APIError)
  })

  it('bears heartbeats in the silence, before the first event and between events', async () => {
    const pause = () => new Promise((resolve) => setTimeout(resolve, 40))
    const source = async function* () {
      await pause()
      yield 'Hel'
      await pause()
      yield 'lo'
      await pause()
    }
    expect(await ask(name, source, { heartbeatMs: 5 })).toMatchObject({ text: 'Hello' })
  })

  it('reads what a log keeps', async () => {
    const log = createMemoryLog()
    const answer = await ask(name, ['Hel', 'lo'], { log, owner: null, retryMs: 5 })
    expect(answer).toMatchObject({ text: 'Hello', finish: word('end_turn', 'stop') })
  })

  it
    .skipIf(name.endsWith('without a stream'))
    .each(['anthropic-text.sse', 'anthropic-thinking.sse', 'anthropic-tool-use.sse'])(
    'reads the same of an Anthropic upstream: %s',
    async (trace) => {
      const { source } = await anthropicUpstream({ trace })
      const own = await anthropicUpstream({ trace })
      const { usage, ...answer } = await ask(name, source)
      const { usage: due, ...direct } = await clients[name](own.upstream.url)
      expect(answer).toEqual(direct)
      const counts = isOfAISDK ? ['inputTokens', 'outputTokens'] : ['input_tokens', 'output_tokens']
      if (!name.includes('iterator')) {
        for (const count of counts)
          expect((usage as Record<string, number>)[count]).toBe((due as typeof usage & {})[count as never])
      }
    },
  )
})

describe('anthropicMessages()', () => {
  const body = async (source: Source, options: Options = {}) =>
    (await fetch(await serve(source, { runId: RUN_ID, ...options }), { method: 'POST' })).text()
  const typesOf = (text: string) => [...text.matchAll(/^event: (.*)$/gm)].map(([, type]) => type)

  it('is the stream that Anthropic documents', async () => {
    const source = [
      'Hello',
      { type: 'usage', usage: { inputTokens: 25, cachedInputTokens: 5, outputTokens: 15, reasoningTokens: 2 } },
    ]
    expect(await body(source, { messages: { model: 'mine' } })).toBe(`event: message_start
data: {"type":"message_start","message":{"id":"msg_${RUN_ID}","type":"message","role":"assistant","model":"mine","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":20,"cache_read_input_tokens":5,"output_tokens":15,"output_tokens_details":{"thinking_tokens":2}}}

event: message_stop
data: {"type":"message_stop"}

data: [DONE]

`)
  })

  it('answers in one body with the message itself', async () => {
    const source = [
      { type: 'reasoning', text: 'Hm' },
      'Hello',
      call(0, 'call_1', 'weather', '{"city":"Oslo"}', true),
      call(1, 'call_2', 'weather', '{"ci'),
      { type: 'usage', usage: { outputTokens: 15 } },
      { type: 'finish', reason: 'length' },
    ]
    expect(JSON.parse(await body(source, { stream: false }))).toEqual({
      id: `msg_${RUN_ID}`,
      type: 'message',
      role: 'assistant',
      model: 'sse-relay',
      content: [
        { type: 'thinking', thinking: 'Hm', signature: '' },
        { type: 'text', text: 'Hello' },
        { type: 'tool_use', id: 'call_1', name: 'weather', input: { city: 'Oslo' } },
      ],
      stop_reason: 'max_tokens',
      stop_sequence: null,
      usage: { input_tokens: 0, output_tokens: 15 },
    })
  })

  it('says in one body what it says in a stream', async () => {
    /** What has no place in a message. */
    const left = [
      { type: 'data', name: 'citation', data: { url: 'https://example.com' } },
      { event: 'progress', data: 1 },
      { type: 'tool-call', index: 9, id: 'other', name: 'g', input: '{}', done: true, executed: true },
      { type: 'tool-result', id: 'other', output: 1 },
    ]
    const source = [
      { type: 'reasoning', text: 'a' },
      ...left,
      { type: 'reasoning', text: '', signature: 'b' },
      { type: 'reasoning', text: '', signature: 'c' },
      ...left,
      { type: 'reasoning', text: '', redacted: 'd' },
      { type: 'reasoning', text: '', redacted: 'd' },
      { type: 'reasoning', text: 'e' },
      ...left,
      { type: 'reasoning', text: 'e' },
      'f',
      ...left,
      'f',
      { type: 'tool-call', index: 0, name: 'g', input: '{"h":1}', done: true },
      { type: 'tool-call', index: 1, name: 'g', input: '', done: true },
      'i',
    ]
    const streamed = await clientOf(await serve(source, { runId: RUN_ID }))
      .messages.stream(params)
      .finalMessage()
    const { content, stop_reason, id } = streamed
    const whole = JSON.parse(await body(source, { stream: false }))
    const withoutIds = (blocks: object[]) => blocks.map((block) => ({ ...block, id: undefined }))
    expect(withoutIds(whole.content)).toEqual(withoutIds(content))
    expect([whole.stop_reason, whole.id]).toEqual([stop_reason, id])
    expect(content).toHaveLength(9)
  })

  it('shows a call at once, and the next when it is whole', async () => {
    const encoder = anthropicMessages().encoder({ runId: RUN_ID })
    const types = (part: EncoderPart) => typesOf(encoder.part(part)).map((type) => type?.replace('content_block_', ''))
    expect(types(call(0, 'a', 'weather', '{"a":'))).toEqual(['message_start', 'start', 'delta'])
    expect(types(call(1, 'b', 'weather', '{"b":1'))).toEqual([])
    expect(types({ type: 'text', text: 'x' })).toEqual([])
    expect(types(more(0, '{}}'))).toEqual(['delta', 'stop', 'start', 'delta'])
    expect(types(more(1, '}'))).toEqual(['delta', 'stop', 'start', 'delta'])
  })

  it('ends as an error where a call changes after it was sent', async () => {
    for (const change of [
      { ...more(0, '{"city":"Bergen"}', true), replaces: true },
      { ...more(0, ''), error: 'no' },
      { ...more(0, '"Oslo"}', true), executed: true, approval: 'may-it' },
    ]) {
      const text = await body([call(0, 'call_1', 'weather', '{"city":'), change])
      expect(text).toMatch(/event: error\ndata: {"type":"error","error":{"type":"api_error","code":"internal"/)
    }
    // What was not sent can change.
    const source = [
      call(0, 'call_1', 'weather', '{"a":'),
      call(1, 'call_2', 'weather', '{'),
      { ...more(1, '{"b":2}', true), replaces: true },
      call(2, 'call_3', 'weather', '{'),
      { ...more(2, ''), error: 'no' },
      more(0, '1}', true),
    ]
    const { calls } = await clients['stream().finalMessage()'](await serve(source))
    expect(calls.map(({ input }) => input)).toEqual([{ a: 1 }, { b: 2 }])
  })

  it('gives half an input to a call that is not whole and has none yet: nobody takes it for an empty object', async () => {
    for (const source of [
      [call(0, 'a', 'weather', ''), { type: 'finish', reason: 'length' }],
      [call(0, 'a', 'weather', '{}', true), call(1, 'b', 'weather', '')],
      // One that waits for its block.
      [call(0, 'a', 'weather', ''), call(1, 'b', 'weather', '{}', true)],
    ]) {
      const text = await body(source)
      expect(text.match(/"partial_json":"{"/g)).toHaveLength(1)
      expect(text).toContain('"stop_reason":"max_tokens"')
    }
  })

  it('says that it was cut where the last call is half a call', async () => {
    const text = await body([call(0, 'a', 'weather', '{}', true), call(1, 'b', 'weather', '{"b'), 'x'])
    expect(text).toContain('"stop_reason":"max_tokens"')
  })

  it.each(['{"path":"/tm', '{"a":1}{"a":1}', 'weather'])(
    'does not ask for a call whose input is no JSON, whoever says that it is whole: %s',
    async (input) => {
      const chunk = (delta: object, finish_reason: string | null = null) => ({
        ...{ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] },
      })
      // Servers that cut a call at its limit, and say that it is whole.
      const source = [
        chunk({
          tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'delete', arguments: input } }],
        }),
        chunk({}, 'tool_calls'),
      ]
      expect(await body(source)).toContain('"stop_reason":"max_tokens"')
      expect(await ask('create() without a stream', source)).toMatchObject({ calls: [], finish: 'max_tokens' })
    },
  )

  it('is as fast with many calls as with few', () => {
    const encoder = anthropicMessages().encoder({ runId: RUN_ID })
    const count = 20_000
    let stops = 0
    const say = (frames: string) => {
      stops += typesOf(frames).filter((type) => type === 'content_block_stop').length
    }
    for (let index = 0; index < count; index++) say(encoder.part(call(index, `call_${index}`, 'weather', '{"a":')))
    for (let index = 0; index < count; index++) say(encoder.part(more(index, '1}', true)))
    expect(stops).toBe(count)
    expect(encoder.end({})).toContain('"stop_reason":"tool_use"')
  })

  it('sends nothing for a start alone, so that a refusal still has its status', async () => {
    const source = async function* () {
      yield { type: 'start', id: 'x', model: 'y' }
      throw Object.assign(new Error('SECRET'), { status: 429 })
    }
    const response = await fetch(await serve(source), { method: 'POST' })
    expect([response.status, await response.json()]).toEqual([
      429,
      {
        type: 'error',
        error: {
          type: 'rate_limit_error',
          code: 'rate-limit',
          message: 'Too many requests right now. Please try again in a moment.',
          retryable: true,
        },
      },
    ])
  })

  it('pings once the message has begun', async () => {
    const source = async function* () {
      await new Promise((resolve) => setTimeout(resolve, 40))
      yield 'a'
      await new Promise((resolve) => setTimeout(resolve, 40))
    }
    expect(typesOf(await body(source, { heartbeatMs: 5 }))[0]).toBe('message_start')
    expect(await body(source, { heartbeatMs: 5 })).toContain('event: ping\ndata: {"type":"ping"}\n\n')
  })

  it('goes on where it was for a reader of the log', async () => {
    const log = createMemoryLog()
    const protocol = anthropicMessages()
    const url = await listening((req, res) => {
      const options = { log, owner: null, protocol }
      if (req.method === 'GET') void resume(req, res, options)
      else void relay(req, res, ['Hel', 'lo', call(0, 'a', 'weather', '{}', true)], { ...options, runId: RUN_ID })
    })
    const whole = await collect(await fetch(url, { method: 'POST' }))
    expect(whole.outcome).toBe('done')
    for (let seq = 0; seq < whole.events.length; seq++) {
      const rest = await collect(await fetch(url, { headers: { 'last-event-id': `${RUN_ID}:${seq}` } }))
      expect(rest.events).toEqual(whole.events.slice(seq))
    }
    const gone = await fetch(url, { headers: { 'last-event-id': 'another-run-00001:1' } })
    expect([gone.status, await gone.json()]).toMatchObject([
      404,
      { type: 'error', error: { type: 'not_found_error', code: 'run-not-found' } },
    ])
  })
})

/** A reader as strict as the strictest client: what the blocks say, or where the grammar is broken. */
function strictly(frames: string) {
  const blocks: { type: string; text: string; id?: string; signature?: string }[] = []
  let state: 'before' | 'between' | 'open' | 'ending' | 'over' = 'before'
  for (const frame of frames.split('\n\n').slice(0, -1)) {
    const [, name, json = ''] = /^event: (.*)\ndata: (.*)$/.exec(frame) ?? expect.fail(`No event: ${frame}`)
    const event = JSON.parse(json)
    expect(event.type).toBe(name)
    const expected = {
      message_start: 'before',
      content_block_start: 'between',
      content_block_delta: 'open',
      content_block_stop: 'open',
      message_delta: 'between',
      message_stop: 'ending',
    }[name as string]
    expect(state, frame).toBe(expected)
    const last = blocks.at(-1)
    if (name === 'content_block_start') {
      expect(event.index).toBe(blocks.length)
      const { type, id, data = '' } = event.content_block
      blocks.push({ type, id, text: data })
    } else if (name?.startsWith('content_block')) expect(event.index).toBe(blocks.length - 1)
    if (name === 'content_block_delta' && last) {
      // A signature is the last of its block.
      expect(last.signature).toBeUndefined()
      const { text, thinking, partial_json, signature } = event.delta
      last.text += text ?? thinking ?? partial_json ?? ''
      last.signature = signature
    }
    if (name === 'message_start' || name === 'content_block_stop') state = 'between'
    else if (name === 'content_block_start') state = 'open'
    else if (name === 'message_delta') state = 'ending'
    else if (name === 'message_stop') state = 'over'
  }
  expect(state).toBe('over')
  return blocks
}

describe('any sequence of parts through anthropicMessages()', () => {
  const piece = fc.oneof(
    fc.string().map((text): EncoderPart => ({ type: 'text', text })),
    fc.record({ type: fc.constant('reasoning' as const), text: fc.string() }),
    fc.record({
      type: fc.constant('reasoning' as const),
      text: fc.constant(''),
      signature: fc.string({ minLength: 1 }),
    }),
    fc.record({ type: fc.constant('reasoning' as const), text: fc.constant(''), redacted: fc.string() }),
    // The number of a call, whose next piece this is.
    fc.nat(3),
  )

  it('keeps the grammar, and says all that the parts say', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.jsonValue(), fc.boolean(), (pieces, value, saysDone) => {
        const inputs = [0, 1, 2, 3].map((number) => JSON.stringify({ number, value }))
        const sent = [0, 0, 0, 0]
        const parts = pieces.flatMap((part): EncoderPart[] => {
          if (typeof part !== 'number') return [part]
          const from = sent[part] as number
          const input = (inputs[part] as string).slice(from, from + 5)
          sent[part] = from + 5
          if (from > 0) return input === '' ? [] : [more(part, input)]
          return [call(part, `call_${part}`, 'f', input)]
        })
        const begun = [0, 1, 2, 3].filter((number) => sent[number])
        for (const number of begun) {
          const rest = (inputs[number] as string).slice(sent[number])
          if (saysDone || rest !== '') parts.push(more(number, rest, saysDone))
        }
        const encoder = anthropicMessages().encoder({ runId: RUN_ID })
        const blocks = strictly(parts.map((part) => encoder.part(part)).join('') + encoder.end({}))
        const said = (type: string) => blocks.filter((block) => block.type === type).map(({ text }) => text)
        const due = (type: 'text' | 'reasoning') => parts.map((part) => (part.type === type ? part.text : '')).join('')
        expect(said('text').join('')).toBe(due('text'))
        expect(said('thinking').join('')).toBe(due('reasoning'))
        expect(blocks.flatMap(({ signature = [] }) => signature)).toEqual(
          parts.flatMap((part) => (part.type === 'reasoning' ? (part.signature ?? []) : [])),
        )
        const calls = blocks.filter(({ type }) => type === 'tool_use')
        expect(Object.fromEntries(calls.map(({ id, text }) => [id, text]))).toEqual(
          Object.fromEntries(begun.map((number) => [`call_${number}`, inputs[number]])),
        )
      }),
    )
  })
})
