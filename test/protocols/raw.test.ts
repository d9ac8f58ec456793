import { setTimeout } from 'node:timers/promises'
import Anthropic, { APIError, RateLimitError } from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { type Protocol, type RelayOptions, relayTo, type Sink, type Source, type SourceContext } from 'sse-relay'
import { relay } from 'sse-relay/node'
import { parts, raw } from 'sse-relay/protocols'
import { collect, providerError, readTrace } from 'sse-relay/testing'
import { describe, expect, it } from 'vitest'
import { listening, replaying } from '../serving.js'

const messages = [{ role: 'user' as const, content: 'Hello?' }]
const params = { model: 'test', max_tokens: 64, messages }

/** The user's own server, which speaks as the provider does. */
const serve = (source: Source, options: RelayOptions = {}) =>
  listening((req, res) => void relay(req, res, source, { onError() {}, ...options, protocol: raw() }))

const anthropicAt = (baseURL: string) => new Anthropic({ apiKey: 'test', baseURL, maxRetries: 0 })
const openaiAt = (url: string) => new OpenAI({ apiKey: 'test', baseURL: `${url}/v1`, maxRetries: 0 })

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const values = []
  for await (const value of stream) values.push(value)
  return values
}

/** Both ways of the Anthropic client to ask for a stream. */
const forms: [string, (client: Anthropic) => Source][] = [
  [
    'create',
    (client) =>
      ({ signal }) =>
        client.messages.create({ ...params, stream: true }, { signal }),
  ],
  [
    '.stream()',
    (client) =>
      ({ signal }) =>
        client.messages.stream(params, { signal }),
  ],
]

describe.each(forms)('the official Anthropic client on raw(), of an upstream read through %s', (_, source) => {
  it.each(['anthropic-text.sse', 'anthropic-thinking.sse', 'anthropic-tool-use.sse'])(
    'reads %s as if it were the provider',
    async (trace) => {
      const upstream = await replaying({ trace })
      const provider = anthropicAt(upstream.url)
      const relayed = anthropicAt(await serve(source(provider)))

      const due = await all(await provider.messages.create({ ...params, stream: true }))
      expect(await all(await relayed.messages.create({ ...params, stream: true }))).toEqual(due)
      expect(await relayed.messages.stream(params).finalMessage()).toEqual(
        await provider.messages.stream(params).finalMessage(),
      )
    },
  )

  it('reads it the same when it comes slowly, with heartbeats and a retry line between', async () => {
    const upstream = await replaying({ trace: 'anthropic-tool-use.sse', pauseMs: 10 })
    const provider = anthropicAt(upstream.url)
    const relayed = anthropicAt(await serve(source(provider), { heartbeatMs: 2, retryMs: 30 }))
    const { content, stop_reason, usage } = await relayed.messages.stream(params).finalMessage()
    expect(content).toMatchObject([
      { type: 'text', text: 'Checking.' },
      { type: 'tool_use', name: 'get_weather', input: { location: 'Santa Cruz, CA' } },
    ])
    expect({ stop_reason, output: usage.output_tokens }).toEqual({ stop_reason: 'tool_use', output: 89 })
  })

  it('reads it the same when a generator stands in between and takes its time', async () => {
    const upstream = await replaying({ trace: 'anthropic-tool-use.sse' })
    const provider = anthropicAt(upstream.url)
    const relayed = anthropicAt(
      await serve(async function* (context) {
        const open = source(provider) as (context: SourceContext) => Promise<AsyncIterable<unknown>>
        const stream = await open(context)
        // The .stream() helper builds the message up in the first event it hands out.
        const events = stream[Symbol.asyncIterator]()
        await setTimeout(50)
        yield* { [Symbol.asyncIterator]: () => events }
      }),
    )
    expect(await relayed.messages.stream(params).finalMessage()).toEqual(
      await provider.messages.stream(params).finalMessage(),
    )
  })

  it('throws an error in the middle as its own, with our words', async () => {
    const upstream = await replaying({ trace: 'anthropic-error-overloaded.sse' })
    const relayed = anthropicAt(await serve(source(anthropicAt(upstream.url))))
    const seen: string[] = []
    const reading = async () => {
      for await (const { type } of await relayed.messages.create({ ...params, stream: true })) seen.push(type)
    }
    const error = await reading().catch((error) => error)
    expect(error).toBeInstanceOf(APIError)
    expect(error.type).toBe('overloaded_error')
    expect(error.error).toMatchObject({ error: { code: 'overload', retryable: true } })
    expect(JSON.stringify(error)).not.toContain('req_011CSHoEeqs5C35K2UUqR7Fy')
    expect(seen).toContain('content_block_delta')
    await expect(relayed.messages.stream(params).finalMessage()).rejects.toBeInstanceOf(APIError)
  })

  it('throws for an answer that is cut, and does not take it for the end', async () => {
    const upstream = await replaying({ trace: 'anthropic-truncated.sse' })
    const relayed = anthropicAt(await serve(source(anthropicAt(upstream.url))))
    const error = await relayed.messages
      .create({ ...params, stream: true })
      .then(all)
      .catch((error) => error)
    expect(error).toBeInstanceOf(APIError)
    expect(error.error).toMatchObject({ type: 'error', error: { type: 'api_error', code: 'truncated' } })
  })

  it('throws its own error with our status for a failure before the first event', async () => {
    const upstream = await replaying({ ...providerError('anthropic', 429, 'SECRET'), headers: { 'retry-after': '7' } })
    const relayed = anthropicAt(await serve(source(anthropicAt(upstream.url))))
    const error = await relayed.messages.create({ ...params, stream: true }).then(all, (error) => error)
    expect(error).toBeInstanceOf(RateLimitError)
    expect(error).toMatchObject({ status: 429, error: { error: { code: 'rate-limit' } } })
    expect(error.headers.get('retry-after')).toBe('7')
    expect(error.message).not.toContain('SECRET')
  })
})

describe('the official openai client on raw()', () => {
  it('reads chat completions as if they were from the provider, with heartbeats and a retry line between', async () => {
    const upstream = await replaying({ trace: 'openai-chat-tool-call.sse', pauseMs: 10 })
    const provider = openaiAt(upstream.url)
    const ask = { model: 'test', messages }
    const relayed = openaiAt(
      await serve(({ signal }) => provider.chat.completions.create({ ...ask, stream: true }, { signal }), {
        heartbeatMs: 2,
        retryMs: 30,
      }),
    )
    const due = await all(await provider.chat.completions.create({ ...ask, stream: true }))
    expect(await all(await relayed.chat.completions.create({ ...ask, stream: true }))).toEqual(due)
    const { choices } = await relayed.chat.completions.stream(ask).finalChatCompletion()
    expect(choices[0]?.message.tool_calls?.map(({ id }) => id)).toEqual(['call_a1B2', 'call_c3D4'])
  })

  it.each(['openai-responses-text.sse', 'openai-responses-reasoning-tool.sse'])(
    'reads %s as if it were from the provider, through either form',
    async (trace) => {
      const upstream = await replaying({ trace })
      const provider = openaiAt(upstream.url)
      const ask = { model: 'test', input: 'Hello?' }
      const due = await all(await provider.responses.create({ ...ask, stream: true }))
      const final = await provider.responses.stream(ask).finalResponse()
      for (const source of [
        ({ signal }) => provider.responses.create({ ...ask, stream: true }, { signal }),
        ({ signal }) => provider.responses.stream(ask, { signal }),
      ] satisfies Source[]) {
        const relayed = openaiAt(await serve(source))
        expect(await all(await relayed.responses.create({ ...ask, stream: true }))).toEqual(due)
        expect(await relayed.responses.stream(ask).finalResponse()).toEqual(final)
      }
    },
  )

  it('throws for a failure in the middle and for a cut', async () => {
    for (const [trace, code] of [
      ['openai-chat-error-midstream.sse', 'upstream-failure'],
      ['openai-chat-truncated-no-done.sse', 'truncated'],
    ] as const) {
      const upstream = await replaying({ trace })
      const provider = openaiAt(upstream.url)
      const ask = { model: 'test', messages, stream: true } as const
      const relayed = openaiAt(await serve(({ signal }) => provider.chat.completions.create(ask, { signal })))
      const error = await relayed.chat.completions
        .create(ask)
        .then(all)
        .catch((error) => error)
      expect(error).toBeInstanceOf(OpenAI.APIError)
      expect(error.code).toBe(code)
    }
  })
})

describe('raw()', () => {
  it('sends the events of Anthropic and Responses under their own names, and those of chat under none', async () => {
    const names = async (trace: string) => {
      const upstream = await replaying({ trace })
      const url = await serve(({ signal }) => fetch(`${upstream.url}/any`, { method: 'POST', signal }))
      const { events, outcome } = await collect(await fetch(url, { method: 'POST' }))
      expect(outcome).toBe('done')
      return events.map(({ event, data }) => [event, JSON.parse(data).type])
    }
    for (const [event, type] of await names('anthropic-text.sse')) expect(event).toBe(type)
    for (const [event, type] of await names('openai-responses-text.sse')) expect(event).toBe(type)
    for (const [event] of await names('openai-chat-text.sse')) expect(event).toBeUndefined()
  })

  it('passes on what an upstream sends to the byte, as JSON', async () => {
    const upstream = await replaying({ trace: 'openai-compat-deepseek-reasoning.sse' })
    const url = await serve(({ signal }) => fetch(`${upstream.url}/any`, { method: 'POST', signal }))
    const sent = readTrace('openai-compat-deepseek-reasoning.sse').toString()
    const due = [...sent.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => data)
    const { events } = await collect(await fetch(url, { method: 'POST' }))
    expect(events.map(({ data }) => data)).toEqual(due)
  })
})

describe('what waits for the provider to answer', () => {
  it.each<[string, Protocol, object]>([
    ['steps of the AI SDK in raw()', raw(), { type: 'start-step', request: {}, warnings: [] }],
    ['beginnings in parts()', parts(), { type: 'start', id: 'c', model: 'm' }],
  ])('is not kept without end: %s', async (_, protocol, chunk) => {
    let hasWritten = false
    let asked = 0
    const sink: Sink = {
      open() {},
      write() {
        hasWritten = true
        return true
      },
      end() {},
      destroy() {},
      schedule: (task) => queueMicrotask(task),
    }
    function* endless() {
      for (; asked < 20_000 && !hasWritten; asked++) yield chunk
    }
    await relayTo(sink, endless(), { protocol, requireFinish: false, onError() {} }).done
    expect(asked).toBeGreaterThan(500)
    expect(asked).toBeLessThan(10_000)
  })
})
