// Whether clients of other people, as packages of Node, read from us what they read from a provider.
import Anthropic from '@anthropic-ai/sdk'
import { EventSource } from 'eventsource'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import OpenAI from 'openai'
import { describe, expect, it, vi } from 'vitest'
import { ENDS, expectHeard, expectOneRun, upstream, url } from './answering.js'
import { type Heard, hearEventSource } from './browsers/consumers.js'

describe('the package eventsource', () => {
  it.each(ENDS)('hears every event, and does not run the source again: %s', async (end) => {
    const name = `eventsource-${end}`
    expectHeard(await hearEventSource(new EventSource(`${url}/answer?end=${end}&by=${name}`)), end)
    expectOneRun(name)
  })
})

describe("eventsource-parser's stream", () => {
  it.each(ENDS)('gives every event: %s', async (end) => {
    const onComment = vi.fn()
    const { body } = await fetch(`${url}/answer?end=${end}`, { method: 'POST' })
    const heard: Heard[] = []
    const events = body
      ?.pipeThrough(new TextDecoderStream() as never)
      .pipeThrough(new EventSourceParserStream({ onComment }) as never)
    let id = ''
    for await (const message of events as unknown as AsyncIterable<{ event?: string; data: string; id?: string }>) {
      id = message.id ?? id
      heard.push({ event: message.event ?? 'message', data: message.data, id })
    }
    // An EventSource is told by an id that there is nothing more; nobody else needs one.
    expectHeard(heard, end, 'é-1')
    expect(onComment).toHaveBeenCalled()
  })
})

describe('the OpenAI client', () => {
  const ask = (baseURL: string) =>
    new OpenAI({ apiKey: 'test', baseURL: `${baseURL}/v1`, maxRetries: 0 }).chat.completions.create({
      model: 'm',
      messages: [{ role: 'user', content: 'Hi' }],
      stream: true,
    })

  it.each(['openai-chat-text.sse', 'openai-chat-tool-call.sse', 'openai-chat-usage.sse'])(
    'reads from us what it reads from the provider: %s',
    async (trace) => {
      upstream.always({ trace })
      const direct = await all(await ask(upstream.url))
      upstream.always({ trace, pauseMs: 25 })
      expect(await all(await ask(url))).toEqual(direct)
      expect(direct.length).toBeGreaterThan(2)
    },
  )

  it.each(['openai-chat-error-midstream.sse', 'openai-chat-truncated-no-done.sse'])(
    'throws when the provider failed: %s',
    async (trace) => {
      upstream.always({ trace, pauseMs: 25 })
      await expect(ask(url).then(all)).rejects.toBeInstanceOf(OpenAI.APIError)
    },
  )

  it('throws with the status when the provider refused', async () => {
    upstream.always({ status: 429 })
    await expect(ask(`${url}/patient`).then(all)).rejects.toMatchObject({ status: 429, code: 'rate-limit' })
  })
})

describe('the Anthropic client', () => {
  const ask = (baseURL: string) =>
    new Anthropic({ apiKey: 'test', baseURL, maxRetries: 0 }).messages.create({
      model: 'm',
      max_tokens: 1,
      messages: [{ role: 'user', content: 'Hi' }],
      stream: true,
    })

  it.each(['anthropic-text.sse', 'anthropic-thinking.sse', 'anthropic-tool-use.sse'])(
    'reads from us what it reads from the provider: %s',
    async (trace) => {
      upstream.always({ trace })
      const direct = await all(await ask(upstream.url))
      upstream.always({ trace, pauseMs: 25 })
      expect(await all(await ask(url))).toEqual(direct)
      expect(direct.length).toBeGreaterThan(2)
    },
  )

  it.each(['anthropic-error-overloaded.sse', 'anthropic-truncated.sse'])(
    'throws when the provider failed: %s',
    async (trace) => {
      upstream.always({ trace, pauseMs: 25 })
      await expect(ask(url).then(all)).rejects.toBeInstanceOf(Anthropic.APIError)
    },
  )

  it('throws with the status when the provider refused', async () => {
    upstream.always({ status: 429 })
    await expect(ask(`${url}/patient`).then(all)).rejects.toBeInstanceOf(Anthropic.RateLimitError)
  })
})

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const seen: T[] = []
  for await (const value of values) seen.push(value)
  return seen
}
