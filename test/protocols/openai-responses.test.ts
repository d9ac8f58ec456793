import { createOpenAI } from '@ai-sdk/openai'
import { streamText } from 'ai'
import OpenAI, { APIError, InternalServerError, RateLimitError } from 'openai'
import type { Response as ModelResponse } from 'openai/resources/responses/responses'
import type { RelayOptions, Source, ToolCallPart } from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { relay, resume } from 'sse-relay/node'
import { type EncoderEnd, type EncoderPart, openaiResponses } from 'sse-relay/protocols'
import { providerError } from 'sse-relay/testing'
import { describe, expect, it } from 'vitest'
import { listening } from '../serving.js'
import { anthropicUpstream } from './anthropic-upstream.js'

const asked = { model: 'any', input: 'Hello?' }

/** The user's own server with a Responses endpoint, and the official client pointed at it. */
async function serve(source: Source, options: RelayOptions & { model?: string } = {}) {
  const { model, ...rest } = options
  const given = { onError() {}, ...rest, protocol: openaiResponses({ ...(model !== undefined && { model }) }) }
  const url = await listening((req, res) => void relay(req, res, source, given))
  return { url, client: new OpenAI({ apiKey: 'test', baseURL: `${url}/v1`, maxRetries: 0 }) }
}

const callPiece = (index: number, input: string, more: Partial<ToolCallPart> = {}): ToolCallPart => ({
  type: 'tool-call',
  index,
  input,
  ...more,
})
const calls = ({ output }: ModelResponse) =>
  output.flatMap((item) =>
    item.type === 'function_call' ? [[item.call_id, item.name, item.arguments, item.status]] : [],
  )

describe('the official openai client on an Anthropic upstream', () => {
  it('reads text and the token counts as if OpenAI had sent them', async () => {
    const { source } = await anthropicUpstream()
    const { client } = await serve(source, { model: 'mine' })
    const pieces: string[] = []
    const stream = client.responses.stream(asked).on('response.output_text.delta', ({ delta }) => {
      pieces.push(delta)
    })
    const response = await stream.finalResponse()
    expect(response.output_text).toBe('Hello there! Streams\n\nwork — naïve 日本🚀')
    expect(pieces.length).toBeGreaterThan(3)
    expect(response).toMatchObject({
      id: expect.stringMatching(/^resp_.{22}/),
      status: 'completed',
      model: 'mine',
      usage: {
        input_tokens: 25,
        input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
        output_tokens: 15,
        total_tokens: 40,
      },
    })
    expect(Math.abs(response.created_at - Date.now() / 1000)).toBeLessThan(60)
  })

  it('gets events that are numbered without a gap, and a response with one id', async () => {
    const { source } = await anthropicUpstream({ trace: 'anthropic-tool-use.sse' })
    const { client } = await serve(source)
    const numbers: number[] = []
    const ids = new Set<string>()
    for await (const event of await client.responses.create({ ...asked, stream: true })) {
      if ('sequence_number' in event) numbers.push(event.sequence_number)
      if ('response' in event) ids.add(event.response.id)
    }
    expect(numbers).toEqual(numbers.map((_, index) => index))
    expect(ids.size).toBe(1)
  })

  it.each([true, false])('gets counts of nothing where the source has none, with stream: %s', async (stream) => {
    const { client } = await serve(() => ['Hello'], { stream })
    const response = stream
      ? await client.responses.stream(asked).finalResponse()
      : await client.responses.create({ ...asked, stream: false })
    const none = { cached_tokens: 0, cache_write_tokens: 0 }
    expect(response).toMatchObject({
      output_text: 'Hello',
      usage: {
        input_tokens: 0,
        input_tokens_details: none,
        output_tokens: 0,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 0,
      },
    })
  })

  it('reads a tool call that comes after a text as it grows', async () => {
    const { source } = await anthropicUpstream({ trace: 'anthropic-tool-use.sse' })
    const { client } = await serve(source)
    const deltas: string[] = []
    const stream = client.responses
      .stream(asked)
      .on('response.function_call_arguments.delta', ({ delta }) => deltas.push(delta))
    const response = await stream.finalResponse()
    expect(response.output_text).toBe('Checking.')
    expect(calls(response)).toEqual([
      ['toolu_01T1x1fJ34qAmk2tNTrN7Up6', 'get_weather', '{"location": "Santa Cruz, CA"}', 'completed'],
    ])
    expect(deltas.filter((delta) => delta !== '')).toEqual(['{"loc', 'ation": "San', 'ta Cruz, CA"}'])
    expect(response.usage).toMatchObject({ input_tokens: 25, output_tokens: 89, total_tokens: 114 })
  })

  it('reads reasoning as a summary, with its signature to send back', async () => {
    const { source } = await anthropicUpstream({ trace: 'anthropic-thinking.sse' })
    const { client } = await serve(source)
    const { output, output_text } = await client.responses.stream(asked).finalResponse()
    expect(output_text).toBe('27 × 453 = 12,231')
    expect(output).toMatchObject([
      {
        type: 'reasoning',
        summary: [{ type: 'summary_text', text: 'Let me add 27*453.' }],
        encrypted_content: expect.stringMatching(/^E/),
      },
      { type: 'message' },
    ])
  })
})

describe('failures, as the official openai client sees them', () => {
  it('are its own errors with our status when they come before the first token', async () => {
    const { source, upstream } = await anthropicUpstream()
    const { client } = await serve(source)
    const refusal = () => client.responses.create({ ...asked, stream: true }).catch((error: unknown) => error)

    upstream.next({ ...providerError('anthropic', 429, 'SECRET'), headers: { 'retry-after': '7' } })
    const limited = await refusal()
    expect(limited).toBeInstanceOf(RateLimitError)
    expect(limited).toMatchObject({ status: 429, code: 'rate-limit', type: 'rate_limit_error', param: null })

    upstream.next(providerError('anthropic', 529, 'SECRET'))
    const overloaded = await refusal()
    expect(overloaded).toBeInstanceOf(InternalServerError)
    expect(overloaded).toMatchObject({ status: 503, code: 'overload' })
    expect(JSON.stringify([limited, overloaded])).not.toContain('SECRET')
  })

  it.each([
    ['an error of the provider', { trace: 'anthropic-error-overloaded.sse' }, 'overload'],
    ['an answer that is cut', { trace: 'anthropic-truncated.sse' }, 'truncated'],
    ['a connection that is reset', { resetAfter: 6, pauseMs: 20 }, 'upstream-failure'],
  ])('are thrown in the middle of an answer: %s', async (_, replay, code) => {
    const { source } = await anthropicUpstream(replay)
    const { client } = await serve(source)
    let text = ''
    const seen: string[] = []
    const reading = async () => {
      for await (const event of await client.responses.create({ ...asked, stream: true })) {
        seen.push(event.type)
        if (event.type === 'response.output_text.delta') text += event.delta
      }
    }
    await expect(reading()).rejects.toSatisfy((error) => error instanceof APIError && error.code === code)
    expect(text).toMatch(/^Hello there/)
    // For Codex, which does not look at the other.
    expect(seen.at(-1)).toBe('response.failed')
    await expect(client.responses.stream(asked).finalResponse()).rejects.toBeInstanceOf(APIError)
  })

  it('are said by the words of the API for what is to be asked again and what is not', () => {
    const said = (code: string, retryable: boolean) => {
      const frames = openaiResponses().encoder({ runId: 'r' }).fail({ code, message: 'm', retryable })
      return /"error":\{"code":"(\w+)"/.exec(frames)?.[1]
    }
    expect(said('rate-limit', true)).toBe('rate_limit_exceeded')
    expect(said('overload', true)).toBe('server_is_overloaded')
    expect(said('truncated', true)).toBe('server_error')
    // After every other word Codex asks again.
    expect(said('stopped', false)).toBe('invalid_prompt')
  })

  it('are read also where they are told without the run', async () => {
    const encoder = () => openaiResponses().encoder({ runId: 'r' })
    const begun = encoder().part({ type: 'text', text: 'Hello' })
    const failed = encoder().fail({ code: 'producer-lost', message: 'The producer is gone.', retryable: true })
    for (const wire of [failed, begun + failed]) {
      const url = await listening((_req, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' }).end(wire)
      })
      const client = new OpenAI({ apiKey: 'test', baseURL: `${url}/v1`, maxRetries: 0 })
      const expected = { code: 'producer-lost', message: expect.stringContaining('The producer is gone.') }
      await expect(client.responses.stream(asked).finalResponse()).rejects.toMatchObject(expected)
    }
  })
})

describe('openaiResponses()', () => {
  it('leaves out what the dialect has no place for', async () => {
    const { client } = await serve([
      'Hello',
      { event: 'progress', data: { percent: 50 } },
      { type: 'data', name: 'citation', data: { url: 'https://example.com' } },
    ])
    const response = await client.responses.stream(asked).finalResponse()
    expect(response.output_text).toBe('Hello')
    expect(response.output).toHaveLength(1)
  })

  it('has a message, an empty one, where the source has nothing to say', async () => {
    const { client } = await serve([])
    const { output, output_text, status } = await client.responses.stream(asked).finalResponse()
    expect({ output_text, status }).toEqual({ output_text: '', status: 'completed' })
    expect(output).toMatchObject([{ type: 'message', role: 'assistant' }])
  })

  it.each([
    ['stop', 'completed', undefined],
    ['other', 'completed', undefined],
    ['length', 'incomplete', 'max_output_tokens'],
    ['content-filter', 'incomplete', 'content_filter'],
  ] as const)('says %s as %s', async (reason, status, why) => {
    const { client } = await serve([
      { type: 'text', text: 'Hello' },
      { type: 'finish', reason },
    ])
    const response = await client.responses.stream(asked).finalResponse()
    expect(response.status).toBe(status)
    expect(response.incomplete_details?.reason).toBe(why)
    expect(response.output[0]).toMatchObject({ status })
  })

  it('has what is encrypted as an item of its own where the provider shows nothing of it', async () => {
    const { client } = await serve([
      { type: 'reasoning', text: 'Look.' },
      { type: 'reasoning', text: '', redacted: 'one' },
      { type: 'reasoning', text: '', redacted: 'two' },
      'Hello',
    ])
    const { output } = await client.responses.stream(asked).finalResponse()
    expect(output).toMatchObject([
      { type: 'reasoning', summary: [{ text: 'Look.' }], encrypted_content: 'one' },
      { type: 'reasoning', summary: [], encrypted_content: 'two' },
      { type: 'message' },
    ])
  })

  it('keeps a silent connection alive with an event that the client knows, and never before the first of its own', async () => {
    let go = () => {}
    const silence = new Promise<void>((resolve) => {
      go = resolve
    })
    const { client } = await serve(
      async function* () {
        yield 'Hello'
        await silence
        yield ' there'
      },
      { heartbeatMs: 20 },
    )
    const types: string[] = []
    const stream = client.responses.stream(asked)
    for await (const { type } of stream as AsyncIterable<{ type: string }>) {
      types.push(type)
      if (type === 'keepalive') go()
    }
    expect(types).toContain('keepalive')
    expect(types[0]).toBe('response.created')
    expect((await stream.finalResponse()).output_text).toBe('Hello there')
  })

  it('answers with the whole response where no stream is asked for', async () => {
    const { source } = await anthropicUpstream({ trace: 'anthropic-tool-use.sse' })
    const { client } = await serve(source, { stream: false })
    const response = await client.responses.create(asked)
    expect(response.output_text).toBe('Checking.')
    expect(calls(response)).toMatchObject([
      [expect.any(String), 'get_weather', '{"location": "Santa Cruz, CA"}', 'completed'],
    ])
    expect(response).toMatchObject({ status: 'completed', usage: { total_tokens: 114 } })
  })
})

describe('tool calls through openaiResponses()', () => {
  const said = (parts: EncoderPart[], end: EncoderEnd = {}) => {
    const encoder = openaiResponses().encoder({ runId: 'r' })
    return parts.map((part) => encoder.part(part)).join('') + encoder.end(end)
  }
  const served = (wire: string) =>
    listening((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).end(`${wire}data: [DONE]\n\n`)
    })
  /** What the official client makes of them. */
  const completed = async (parts: EncoderPart[], end?: EncoderEnd) => {
    const client = new OpenAI({ apiKey: 'test', baseURL: await served(said(parts, end)), maxRetries: 0 })
    const response = await client.responses.stream(asked).finalResponse()
    return { text: response.output_text, calls: calls(response), status: response.status }
  }
  /** What the AI SDK would run. */
  const run = async (parts: EncoderPart[], end?: EncoderEnd) => {
    const provider = createOpenAI({ apiKey: 'test', baseURL: await served(said(parts, end)) })
    const result = streamText({ model: provider('any'), prompt: 'Hello?', maxRetries: 0 })
    await result.consumeStream()
    return (await result.toolCalls).map(({ toolCallId, toolName, input }) => [toolCallId, toolName, input])
  }
  const result = (id: string): EncoderPart => ({ type: 'tool-result', id, output: null })
  const text = { type: 'text', text: 'Hello' } as const

  it('are parallel, and may have text between and after them', async () => {
    const parts = [
      callPiece(0, '', { id: 'a', name: 'f' }),
      callPiece(1, '{"m":', { id: 'b', name: 'g' }),
      callPiece(0, '{"n":1}', { done: true }),
      text,
      callPiece(1, '2}', { done: true }),
      text,
    ]
    expect(await completed(parts, { finishReason: 'tool-calls' })).toEqual({
      text: 'HelloHello',
      calls: [
        ['a', 'f', '{"n":1}', 'completed'],
        ['b', 'g', '{"m":2}', 'completed'],
      ],
      status: 'completed',
    })
    expect(await run(parts)).toEqual([
      ['a', 'f', { n: 1 }],
      ['b', 'g', { m: 2 }],
    ])
  })

  it('are left out where the provider runs them or rejected them', async () => {
    const parts = [
      callPiece(0, '', { id: 'a', name: 'web_search', executed: true }),
      callPiece(0, '{"q":1}', { done: true }),
      result('a'),
      callPiece(1, '{"x', { id: 'b', name: 'f', error: 'No.' }),
      text,
    ]
    expect(await completed(parts)).toEqual({ text: 'Hello', calls: [], status: 'completed' })
    expect(await run(parts)).toEqual([])
  })

  it('that were answered elsewhere after they were sent are never said to be done', async () => {
    const parts = [
      callPiece(0, '{"n":1}', { id: 'a', name: 'f', done: true }),
      result('a'),
      callPiece(1, '{}', { id: 'b', name: 'g', done: true }),
      text,
    ]
    expect(await completed(parts)).toEqual({
      text: 'Hello',
      calls: [
        ['a', 'f', '{"n":1}', 'incomplete'],
        ['b', 'g', '{}', 'completed'],
      ],
      status: 'completed',
    })
    expect(await run(parts)).toEqual([['b', 'g', {}]])
  })

  it('that are not whole make the response incomplete, and nobody runs them', async () => {
    const parts = [
      callPiece(0, '{}', { id: 'a', name: 'f', done: true }),
      callPiece(1, '{"x":', { id: 'b', name: 'g' }),
    ]
    expect(await completed(parts, { finishReason: 'tool-calls' })).toEqual({
      text: '',
      calls: [
        ['a', 'f', '{}', 'completed'],
        ['b', 'g', '{"x":', 'incomplete'],
      ],
      status: 'incomplete',
    })
    expect(await run(parts)).toEqual([['a', 'f', {}]])
    // Parts of one's own may never say that a call is whole.
    expect((await completed([callPiece(0, '{"x":1}', { id: 'b', name: 'g' })])).status).toBe('completed')
    expect((await completed([callPiece(0, '{"x":', { id: 'b', name: 'g' })])).status).toBe('incomplete')
    expect(await run([callPiece(0, '12', { id: 'b', name: 'g' })], { finishReason: 'length' })).toEqual([])
  })

  it('that are not whole are left out in one body, whose readers ask no further, and the reason is the provider’s', async () => {
    const source = [
      callPiece(0, '{}', { id: 'a', name: 'f', done: true }),
      callPiece(1, '', { id: 'b', name: 'g' }),
      { type: 'finish', reason: 'content-filter' },
    ]
    const { client } = await serve(source as Source, { stream: false })
    const response = await client.responses.create(asked)
    expect(calls(response)).toEqual([['a', 'f', '{}', 'completed']])
    const { status, incomplete_details } = response
    expect({ status, incomplete_details }).toEqual({
      status: 'incomplete',
      incomplete_details: { reason: 'content_filter' },
    })
  })

  it('whose input is replaced have the new one in all that says that they are done', async () => {
    const parts = [
      callPiece(0, '{"n":1', { id: 'a', name: 'f' }),
      callPiece(0, '{"n":2}', { replaces: true, done: true }),
    ]
    expect((await completed(parts)).calls).toEqual([['a', 'f', '{"n":2}', 'completed']])
    expect(await run(parts)).toEqual([['a', 'f', { n: 2 }]])
  })

  it('that are rejected after they were sent end the run as error, since nothing can be taken back', async () => {
    const errors: unknown[] = []
    const { client } = await serve(
      [text, callPiece(0, '{"n":1}', { id: 'a', name: 'f' }), callPiece(0, '', { error: 'No.' })],
      {
        onError(error) {
          errors.push(error)
        },
      },
    )
    await expect(client.responses.stream(asked).finalResponse()).rejects.toMatchObject({ code: 'internal' })
    expect(errors).toMatchObject([{ code: 'internal', message: expect.stringMatching(/can only append: relay with/) }])
    // So do those of which a person is asked then: there are clients that would run them.
    const encoder = openaiResponses().encoder({ runId: 'r' })
    encoder.part(callPiece(0, '{}', { id: 'a', name: 'f' }))
    const asks = { executed: true, done: true, approval: 'may-it' }
    expect(() => encoder.part(callPiece(0, '', asks))).toThrow('say it in the first piece')
  })

  it('of two answers are never merged, whatever their ids and indexes', async () => {
    const { calls } = await completed([
      { type: 'start', id: 'm1' },
      callPiece(0, '{"n":1}', { id: 'x', name: 'f', done: true }),
      { type: 'start', id: 'm2' },
      callPiece(1, '', { id: 'x', name: 'f', done: true }),
      callPiece(0, '{"n":', { name: 'f' }),
      callPiece(0, '3}', { done: true }),
    ])
    expect(calls).toEqual([
      ['x', 'f', '{"n":1}', 'completed'],
      ['call_r_1', 'f', '{}', 'completed'],
      ['call_r_2', 'f', '{"n":3}', 'completed'],
    ])
  })

  it('send nothing for a start or a signature of what was not shown', () => {
    const encoder = openaiResponses().encoder({ runId: 'r' })
    expect(encoder.part({ type: 'start', id: 'm', model: 'x' })).toBe('')
    expect(encoder.part({ type: 'reasoning', text: '', signature: 's' })).toBe('')
  })
})

describe('a response that goes on after a lost connection', () => {
  /** What the guide shows: the place of the reader is in the address. */
  async function routed(source: Source) {
    const log = createMemoryLog()
    const own = { log, owner: null, protocol: openaiResponses() }
    const url = await listening((req, res) => {
      const { pathname, searchParams } = new URL(req.url ?? '', 'http://localhost')
      const id = /^\/responses\/resp_(.+)$/.exec(pathname)?.[1]
      if (id === undefined) return void relay(req, res, source, own)
      // The events are numbered from 0 here, and from 1 in the log.
      const after = Number(searchParams.get('starting_after') ?? -1) + 1
      resume(req, res, { ...own, runId: id, after, empty: 200 })
    })
    return new OpenAI({ apiKey: 'test', baseURL: url, maxRetries: 0 })
  }

  it('is read from any event on, with the same ids, also when nothing is left to read', async () => {
    const { source } = await anthropicUpstream({ trace: 'anthropic-tool-use.sse' })
    const client = await routed(source)
    const whole: unknown[] = []
    for await (const event of await client.responses.create({ ...asked, stream: true })) whole.push(event)
    const id = (whole[0] as { response: ModelResponse }).response.id
    for (const after of [-1, 0, 7, whole.length - 2, whole.length - 1, whole.length]) {
      const rest: unknown[] = []
      const query = after < 0 ? {} : { starting_after: after }
      for await (const event of await client.responses.retrieve(id, { stream: true, ...query })) rest.push(event)
      expect(rest).toEqual(whole.slice(after + 1))
    }
    const again = client.responses.stream({ response_id: id, starting_after: 3 })
    expect((await again.finalResponse()).output_text).toBe('Checking.')
  })

  it('is not found under another id', async () => {
    const client = await routed(['Hello'])
    const stream = client.responses.retrieve('resp_0123456789abcdef', { stream: true, starting_after: 3 })
    await expect(stream).rejects.toMatchObject({ status: 404, code: 'run-not-found' })
  })
})
