import OpenAI, { APIError, InternalServerError, RateLimitError } from 'openai'
import type { RelayOptions, Source, ToolCallPart } from 'sse-relay'
import { relay } from 'sse-relay/node'
import { type EncoderEnd, type EncoderPart, type OpenAIChatOptions, openaiChat } from 'sse-relay/protocols'
import { collect, providerError } from 'sse-relay/testing'
import { describe, expect, it } from 'vitest'
import { listening } from '../serving.js'
import { anthropicUpstream } from './anthropic-upstream.js'

const messages = [{ role: 'user' as const, content: 'Hello?' }]
const tools = [
  {
    type: 'function' as const,
    function: { name: 'get_weather', parameters: { type: 'object', properties: { location: { type: 'string' } } } },
  },
]

/** The user's own server with an OpenAI endpoint, and the official client pointed at it. */
async function serve(source: Source, options: RelayOptions & { chat?: OpenAIChatOptions } = {}) {
  const { chat, ...rest } = options
  const given = { onError() {}, ...rest, protocol: openaiChat(chat) }
  const url = await listening((req, res) => void relay(req, res, source, given))
  return { url, client: new OpenAI({ apiKey: 'test', baseURL: `${url}/v1`, maxRetries: 0 }) }
}

describe('the official openai client on an Anthropic upstream', () => {
  it('reads text, the finish and the token counts as if OpenAI had sent them', async () => {
    const { source } = await anthropicUpstream()
    const { client } = await serve(source, { chat: { model: 'mine', usage: true } })
    const stream = await client.chat.completions.create({
      model: 'mine',
      messages,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = []
    for await (const chunk of stream) chunks.push(chunk)
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(
      'Hello there! Streams\n\nwork — naïve 日本🚀',
    )
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant')
    expect(chunks.filter(({ choices }) => choices[0]?.delta.role)).toHaveLength(1)
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop')
    expect(chunks.filter(({ choices }) => choices[0]?.finish_reason)).toHaveLength(1)
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: {
        prompt_tokens: 25,
        completion_tokens: 15,
        total_tokens: 40,
        prompt_tokens_details: { cached_tokens: 0 },
      },
    })
    const [{ id, created } = { id: '', created: 0 }] = chunks
    expect(id).toMatch(/^chatcmpl-./)
    expect(Math.abs(created - Date.now() / 1000)).toBeLessThan(60)
    for (const chunk of chunks) expect(chunk).toMatchObject({ id, created, model: 'mine' })
  })

  it('gets no counts that were not asked for', async () => {
    const { source } = await anthropicUpstream()
    const { client } = await serve(source)
    const stream = await client.chat.completions.create({ model: 'any', messages, stream: true })
    for await (const chunk of stream) {
      expect(chunk.choices).toHaveLength(1)
      expect(chunk.usage).toBeUndefined()
      expect(chunk.model).toBe('sse-relay')
    }
  })

  it('reads a tool call that comes after a text, joined by the .stream() helper', async () => {
    const { source } = await anthropicUpstream({ trace: 'anthropic-tool-use.sse' })
    const { client } = await serve(source, { chat: { usage: true } })
    const deltas: string[] = []
    const stream = client.chat.completions
      .stream({ model: 'any', messages, tools, stream_options: { include_usage: true } })
      .on('tool_calls.function.arguments.delta', ({ arguments_delta }) => deltas.push(arguments_delta))
    const completion = await stream.finalChatCompletion()
    expect(completion.choices).toHaveLength(1)
    expect(completion.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        role: 'assistant',
        content: 'Checking.',
        tool_calls: [
          {
            id: 'toolu_01T1x1fJ34qAmk2tNTrN7Up6',
            type: 'function',
            function: { name: 'get_weather', arguments: '{"location": "Santa Cruz, CA"}' },
          },
        ],
      },
    })
    // As they grow, and not at the end in one piece.
    expect(deltas.filter((delta) => delta !== '')).toEqual(['{"loc', 'ation": "San', 'ta Cruz, CA"}'])
    expect(completion.usage).toMatchObject({ prompt_tokens: 25, completion_tokens: 89, total_tokens: 114 })
  })

  it('hands the calls to its own tool runner', async () => {
    const { source, upstream } = await anthropicUpstream()
    upstream.next({ trace: 'anthropic-tool-use.sse' })
    const { client } = await serve(source)
    const called: unknown[] = []
    const runner = client.chat.completions.runTools({
      model: 'any',
      messages,
      stream: true,
      tools: [
        {
          type: 'function',
          function: {
            name: 'get_weather',
            description: 'The weather there',
            parameters: { type: 'object' },
            parse: JSON.parse,
            function: (input: object) => {
              called.push(input)
              return '21 °C'
            },
          },
        },
      ],
    })
    expect(await runner.finalContent()).toBe('Hello there! Streams\n\nwork — naïve 日本🚀')
    expect(called).toEqual([{ location: 'Santa Cruz, CA' }])
    expect(upstream.requests).toHaveLength(2)
  })

  it('reads several calls, whatever the blocks in between', async () => {
    const { client } = await serve([
      { type: 'tool-call', index: 1, id: 'a', name: 'get_weather', input: '' },
      { type: 'tool-call', index: 1, input: '{"city":"Paris"}' },
      { type: 'text', text: 'and' },
      { type: 'tool-call', index: 3, name: 'get_time', input: '{}' },
      { type: 'tool-call', index: 1, input: ' ' },
    ])
    const stream = client.chat.completions.stream({ model: 'any', messages, tools })
    const { message, finish_reason: finish } = (await stream.finalChatCompletion()).choices[0] ?? {}
    expect(finish).toBe('tool_calls')
    expect(message?.tool_calls).toMatchObject([
      { id: 'a', function: { name: 'get_weather', arguments: '{"city":"Paris"} ' } },
      { id: expect.stringMatching(/^call_./), function: { name: 'get_time', arguments: '{}' } },
    ])
  })

  it('reads reasoning where DeepSeek and vLLM put it', async () => {
    const { source } = await anthropicUpstream({ trace: 'anthropic-thinking.sse' })
    const { client } = await serve(source)
    let reasoning = ''
    let text = ''
    for await (const { choices } of await client.chat.completions.create({ model: 'any', messages, stream: true })) {
      const delta: { content?: string | null; reasoning_content?: string } = choices[0]?.delta ?? {}
      reasoning += delta.reasoning_content ?? ''
      text += delta.content ?? ''
    }
    expect({ reasoning, text }).toEqual({ reasoning: 'Let me add 27*453.', text: '27 × 453 = 12,231' })
  })
})

describe('failures, as the official openai client sees them', () => {
  it('are its own errors with our status when they come before the first token', async () => {
    const { source, upstream } = await anthropicUpstream()
    const { client } = await serve(source)
    const ask = () => client.chat.completions.create({ model: 'any', messages, stream: true })
    const refusal = async () => {
      try {
        return await ask()
      } catch (error) {
        return error
      }
    }

    upstream.next({ ...providerError('anthropic', 429, 'SECRET'), headers: { 'retry-after': '7' } })
    const limited = await refusal()
    expect(limited).toBeInstanceOf(RateLimitError)
    expect(limited).toMatchObject({ status: 429, code: 'rate-limit' })
    expect((limited as APIError).headers?.get('retry-after')).toBe('7')

    upstream.next(providerError('anthropic', 529, 'SECRET'))
    const overloaded = await refusal()
    expect(overloaded).toBeInstanceOf(InternalServerError)
    expect(overloaded).toMatchObject({ status: 503, code: 'overload' })

    // Whoever asks us has nothing to do with our key.
    upstream.next(providerError('anthropic', 401, 'SECRET'))
    const refused = await refusal()
    expect(refused).toBeInstanceOf(InternalServerError)
    expect(refused).toMatchObject({ status: 502, code: 'upstream-failure' })

    for (const error of [limited, overloaded, refused]) expect(JSON.stringify(error)).not.toContain('SECRET')
  })

  it('are asked again by its own retries, which honour our Retry-After', async () => {
    const { source, upstream } = await anthropicUpstream()
    upstream.next({ ...providerError('anthropic', 429), headers: { 'retry-after': '0' } })
    const { client } = await serve(source)
    const stream = await client.withOptions({ maxRetries: 1 }).chat.completions.create({
      model: 'any',
      messages,
      stream: true,
    })
    let chunks = 0
    for await (const _ of stream) chunks++
    expect(chunks).toBeGreaterThan(5)
    expect(upstream.requests).toHaveLength(2)
  })

  it.each([
    ['an error of the provider', { trace: 'anthropic-error-overloaded.sse' }, 'overload'],
    ['an answer that is cut', { trace: 'anthropic-truncated.sse' }, 'truncated'],
    ['a connection that is reset', { resetAfter: 6, pauseMs: 20 }, 'upstream-failure'],
  ])('are thrown in the middle of an answer: %s', async (_, replay, code) => {
    const { source } = await anthropicUpstream(replay)
    const { client } = await serve(source)
    let text = ''
    const reading = async () => {
      const stream = await client.chat.completions.create({ model: 'any', messages, stream: true })
      for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
    }
    await expect(reading()).rejects.toSatisfy((error) => error instanceof APIError && error.code === code)
    expect(text).toMatch(/^Hello there/)

    const helper = client.chat.completions.stream({ model: 'any', messages })
    await expect(helper.finalChatCompletion()).rejects.toSatisfy((error) => error instanceof APIError)
  })

  it('are thrown when the run is stopped from outside, too', async () => {
    const { source } = await anthropicUpstream({ stallAfter: 5 })
    const stop = new AbortController()
    const { client } = await serve(source, { signal: stop.signal })
    const reading = async () => {
      const stream = await client.chat.completions.create({ model: 'any', messages, stream: true })
      for await (const _ of stream) stop.abort()
    }
    await expect(reading()).rejects.toMatchObject({ code: 'stopped' })
  })
})

describe('openaiChat()', () => {
  it('leaves out what the dialect has no place for', async () => {
    const { url } = await serve([
      'Hello',
      { event: 'progress', data: { percent: 50 } },
      { type: 'data', name: 'citation', data: { url: 'https://example.com' } },
    ])
    const { events, outcome } = await collect(await fetch(url, { method: 'POST' }))
    expect(outcome).toBe('done')
    expect(events.map(({ data }) => JSON.parse(data).choices[0])).toMatchObject([
      { delta: { role: 'assistant', content: '' }, finish_reason: null },
      { delta: { content: 'Hello' }, finish_reason: null },
      { delta: {}, finish_reason: 'stop' },
    ])
  })

  it('is one well-formed answer when the source has nothing to say', async () => {
    const { client } = await serve([])
    const { choices } = await client.chat.completions.stream({ model: 'any', messages }).finalChatCompletion()
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { role: 'assistant' } })
  })
})

describe('tool calls through openaiChat()', () => {
  const call = (index: number, input: string, more: Partial<ToolCallPart> = {}): ToolCallPart => ({
    type: 'tool-call',
    index,
    input,
    ...more,
  })
  const said = (parts: EncoderPart[], end: EncoderEnd = {}) => {
    const encoder = openaiChat().encoder({ runId: 'r' })
    return parts.map((part) => encoder.part(part)).join('') + encoder.end(end)
  }
  /** What the official client makes of them. */
  const completed = async (parts: EncoderPart[], end?: EncoderEnd) => {
    const url = await listening((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).end(`${said(parts, end)}data: [DONE]\n\n`)
    })
    return answerAt(new OpenAI({ apiKey: 'test', baseURL: `${url}/v1`, maxRetries: 0 }))
  }
  const answerOf = async (chunks: object[]) => answerAt((await serve(chunks)).client)
  const answerAt = async (client: OpenAI) => {
    const [choice] = (await client.chat.completions.stream({ model: 'any', messages }).finalChatCompletion()).choices
    const calls = choice?.message.tool_calls?.map((call) =>
      call.type === 'function' ? [call.id, call.function.name, call.function.arguments] : [],
    )
    return { content: choice?.message.content, calls: calls ?? [], finish: choice?.finish_reason }
  }
  const result = (id: string): EncoderPart => ({ type: 'tool-result', id, output: null })
  const text = { type: 'text', text: 'Hello' } as const

  it('are left out where the provider runs them or rejected them, and then nothing is asked of the client', async () => {
    const calls = [
      call(0, '', { id: 'a', name: 'web_search', executed: true }),
      call(0, '{"q":1}', { done: true }),
      result('a'),
      call(1, '{"x', { id: 'b', name: 'f', error: 'The input of this tool call is not valid.' }),
      text,
    ]
    const hello = { content: 'Hello', calls: [], finish: 'stop' }
    expect(await completed(calls)).toEqual(hello)
    expect(await completed(calls, { finishReason: 'tool-calls' })).toEqual(hello)
    expect(await completed([...calls, call(2, '{"y":1}', { id: 'c', name: 'g', done: true })])).toEqual({
      content: 'Hello',
      calls: [['c', 'g', '{"y":1}']],
      finish: 'tool_calls',
    })
  })

  it('that were answered elsewhere do not ask the client to run them', async () => {
    const calls = [call(0, '{}', { id: 'a', name: 'f', done: true }), result('a'), text]
    expect((await completed(calls, { finishReason: 'stop' })).finish).toBe('stop')
    expect((await completed(calls, { finishReason: 'tool-calls' })).finish).toBe('stop')
    // It cannot be taken back: the helpers would run it.
    const asked = call(0, '{}', { executed: true, done: true, approval: 'may-it' })
    expect(() => said([call(0, '', { id: 'a', name: 'f' }), asked])).toThrow('say it in the first piece')
    const late = [call(0, '{"n":', { id: 'a', name: 'f' }), call(0, '1}', { executed: true, done: true }), result('a')]
    expect(await completed(late)).toEqual({ content: '', calls: [['a', 'f', '{"n":1}']], finish: 'stop' })
  })

  it('that an agent answers later are not named to the client, whose helpers run what is named', async () => {
    const chunks = [
      { type: 'start-step', request: {}, warnings: [] },
      { type: 'tool-input-start', id: 'a', toolName: 'search' },
      { type: 'tool-input-delta', id: 'a', delta: '{"q":1}' },
      { type: 'tool-call', toolCallId: 'a', toolName: 'search', input: { q: 1 } },
      { type: 'tool-result', toolCallId: 'a', toolName: 'search', input: { q: 1 }, output: 'SECRET' },
      { type: 'start-step', request: {}, warnings: [] },
      { type: 'text-delta', id: '1', text: 'Hello' },
      { type: 'tool-input-start', id: 'b', toolName: 'confirm' },
      { type: 'tool-input-delta', id: 'b', delta: '{"y"' },
      { type: 'tool-call', toolCallId: 'b', toolName: 'confirm', input: { x: 1 } },
    ]
    const last = { type: 'finish', finishReason: 'tool-calls', totalUsage: { outputTokens: 3 } }
    expect(await answerOf([...chunks, last])).toEqual({
      content: 'Hello',
      calls: [['b', 'confirm', '{"x":1}']],
      finish: 'tool_calls',
    })
    expect(await answerOf([...chunks.slice(0, 7), { ...last, finishReason: 'stop' }])).toEqual({
      content: 'Hello',
      calls: [],
      finish: 'stop',
    })
  })

  it('that nobody answered ask for it, also where the provider says stop', async () => {
    const calls = [call(0, '{}', { id: 'a', name: 'f', done: true }), call(1, '{}', { id: 'b', name: 'g', done: true })]
    expect((await completed([...calls, result('a')], { finishReason: 'stop' })).finish).toBe('tool_calls')
    expect((await completed(calls, { finishReason: 'length' })).finish).toBe('length')
    expect((await completed(calls, { finishReason: 'content-filter' })).finish).toBe('content_filter')
  })

  it('that are not whole are said to be cut', async () => {
    const calls = [call(0, '{}', { id: 'a', name: 'f', done: true }), call(1, '{"x":', { id: 'b', name: 'g' })]
    expect((await completed(calls, { finishReason: 'tool-calls' })).finish).toBe('length')
    expect((await completed([call(0, '{"x":1}', { id: 'b', name: 'g' })])).finish).toBe('tool_calls')
  })

  it('that are not whole and have no input yet have half of one: nobody takes it for an empty object', async () => {
    const begun = call(0, '', { id: 'a', name: 'f' })
    for (const finishReason of ['length', 'error'] as const) {
      const { calls, finish } = await completed([begun], { finishReason })
      expect({ calls, finish }).toEqual({ calls: [['a', 'f', '{']], finish: 'length' })
    }
    const other = call(1, '{}', { id: 'b', name: 'g', done: true })
    expect((await completed([begun, other])).calls[0]).toEqual(['a', 'f', '{'])
    // Of an answer that fails its readers look at what came.
    const encoder = openaiChat().encoder({ runId: 'r' })
    for (const part of [begun, other]) encoder.part(part)
    const failed = encoder.fail({ code: 'internal', message: 'no', retryable: false })
    expect(failed.match(/"tool_calls":.*?\]/g)).toEqual(['"tool_calls":[{"index":0,"function":{"arguments":"{"}}]'])
  })

  it.each(['other', 'error'] as const)(
    'that are not whole are said to be cut, also where the end is "%s"',
    async (finishReason) => {
      const whole = call(0, '{}', { id: 'a', name: 'f', done: true })
      expect((await completed([whole, call(1, '{"x":', { id: 'b', name: 'g' })], { finishReason })).finish).toBe(
        'length',
      )
      expect((await completed([whole], { finishReason })).finish).toBe('stop')
    },
  )

  it('without arguments have an empty object, whether they say that they are whole or not', async () => {
    expect(
      (
        await completed([
          call(0, '', { id: 'a', name: 'f', done: true }),
          call(1, '', { id: 'b', name: 'g' }),
          call(1, '', { done: true }),
        ])
      ).calls,
    ).toEqual([
      ['a', 'f', '{}'],
      ['b', 'g', '{}'],
    ])
    expect((await completed([call(0, '', { id: 'a', name: 'f' })])).calls).toEqual([['a', 'f', '{}']])
  })

  it('of two answers are never merged, whatever their ids and indexes', async () => {
    expect(
      (
        await completed([
          { type: 'start', id: 'm1' },
          call(0, '{"n":1}', { id: 'x', name: 'f', done: true }),
          { type: 'start', id: 'm2' },
          call(1, '{"n":2}', { id: 'x', name: 'f', done: true }),
          call(0, '{"n":', { name: 'f' }),
          call(0, '3}', { done: true }),
          call(0, '{"n":4}', { name: 'f', done: true }),
          // Its result ends a call of a source that does not say `done`.
          call(5, '{"n":5}', { id: 'y', name: 'f' }),
          result('y'),
          call(5, '{"n":6}', { id: 'y', name: 'f' }),
        ])
      ).calls,
    ).toEqual([
      ['x', 'f', '{"n":1}'],
      ['call_r_1', 'f', '{"n":2}'],
      ['call_r_2', 'f', '{"n":3}'],
      ['call_r_3', 'f', '{"n":4}'],
      ['y', 'f', '{"n":5}'],
      ['call_r_5', 'f', '{"n":6}'],
    ])
  })

  it('may be replaced as long as nothing of their input was sent', async () => {
    expect(
      (
        await completed([
          call(0, '', { id: 'a', name: 'f' }),
          call(0, '{"n":1}', { replaces: true, done: true }),
          call(1, '{"n":2}', { id: 'b', name: 'g', replaces: true, done: true }),
        ])
      ).calls,
    ).toEqual([
      ['a', 'f', '{"n":1}'],
      ['b', 'g', '{"n":2}'],
    ])
  })

  it.each([
    ['replaced', { replaces: true, done: true }],
    ['rejected', { error: 'No.' }],
  ])('that are %s after they were sent end the run as error, since nothing can be taken back', async (_, last) => {
    const errors: unknown[] = []
    const { client } = await serve([text, call(0, '{"n":1}', { id: 'a', name: 'f' }), call(0, '{"n":2}', last)], {
      onError(error) {
        errors.push(error)
      },
    })
    const reading = client.chat.completions.stream({ model: 'any', messages }).finalChatCompletion()
    await expect(reading).rejects.toMatchObject({ code: 'internal' })
    expect(errors).toMatchObject([{ code: 'internal', message: expect.stringMatching(/can only append: relay with/) }])
  })

  it('send nothing for a start, a signature, or what is redacted', () => {
    const encoder = openaiChat().encoder({ runId: 'r' })
    expect(encoder.part({ type: 'start', id: 'm', model: 'x' })).toBe('')
    expect(encoder.part({ type: 'reasoning', text: '', signature: 's' })).toBe('')
    expect(encoder.part({ type: 'reasoning', text: '', redacted: 'r' })).toBe('')
  })

  it('are as many as the source has, each under its own number', () => {
    const many = 40_000
    const wire = said(Array.from({ length: many }, (_, i) => call(i, '{}', { id: `c${i}`, name: 'f', done: true })))
    const numbers = [...wire.matchAll(/"tool_calls":\[\{"index":(\d+),/g)].map(([, number]) => Number(number))
    expect(numbers).toEqual(Array.from({ length: many }, (_, i) => i))
  })
})
