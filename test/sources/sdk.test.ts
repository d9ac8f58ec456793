// What of an SDK's stream is neither its chunks nor its errors: an answer that is a page, and a stream read before.

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import type { Source, SourceContext } from 'sse-relay'
import { collect, replayUpstream } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { describe, expect, it, onTestFinished, vi } from 'vitest'

const messages = [{ role: 'user' as const, content: 'Hi' }]
type Ask = (url: string, context: Pick<SourceContext, 'signal'>) => Source

const openai = (url: string) => new OpenAI({ apiKey: 'test', baseURL: `${url}/v1`, maxRetries: 0 })
const anthropic = (url: string) => new Anthropic({ apiKey: 'test', baseURL: url, maxRetries: 0 })
const asks: Record<string, Ask> = {
  'chat.completions.create': (url, { signal }) =>
    openai(url).chat.completions.create({ model: 'm', messages, stream: true }, { signal }),
  'chat.completions.stream': (url, { signal }) =>
    openai(url).chat.completions.stream({ model: 'm', messages }, { signal }),
  'responses.create': (url, { signal }) =>
    openai(url).responses.create({ model: 'm', input: 'Hi', stream: true }, { signal }),
  'responses.stream': (url, { signal }) => openai(url).responses.stream({ model: 'm', input: 'Hi' }, { signal }),
  'messages.create': (url, { signal }) =>
    anthropic(url).messages.create({ model: 'm', max_tokens: 9, messages, stream: true }, { signal }),
  'messages.stream': (url, { signal }) =>
    anthropic(url).messages.stream({ model: 'm', max_tokens: 9, messages }, { signal }),
}

async function replaying() {
  const upstream = await replayUpstream()
  onTestFinished(() => upstream.close())
  return upstream
}

const ask = async (source: Source) => collect(await relay(new Request('http://localhost/'), source, { onError() {} }))

describe.each(Object.entries(asks))('%s', (_, create) => {
  it.each(['<html>Welcome to the hotel</html>', ''])(
    'of a page with status 200 is no complete answer: %j',
    async (body) => {
      const upstream = await replaying()
      upstream.next({ body, headers: { 'content-type': 'text/html' } })
      const { outcome, error } = await ask((context) => create(upstream.url, context) as never)
      expect(outcome).not.toBe('done')
      expect(error).toMatchObject({ status: 502, retryable: true })
    },
  )

  it('of which an event is no JSON says so of its provider', async () => {
    const upstream = await replaying()
    upstream.next({ body: 'event: message_start\ndata: {"id":"c","cho\n\n' })
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    const told = await ask((context) => create(upstream.url, context) as never)
    expect(told.error).toMatchObject({ code: 'upstream-failure', retryable: true })
    error.mockRestore()
  })

  it('is no source a second time', async () => {
    const upstream = await replaying()
    const stream = await create(upstream.url, { signal: new AbortController().signal })
    expect((await ask(() => stream as never)).outcome).toBe('done')
    expect(await ask(() => stream as never)).toMatchObject({ status: 500, error: { code: 'invalid-source' } })
  })
})

describe('what a stream throws in words alone', () => {
  const chunk = { id: 'c', choices: [{ index: 0, delta: { content: 'Hello' } }] }
  const step = { type: 'text-delta', id: 't', text: 'Hello' }
  const failing = (error: unknown, chunks: object[], stops: object = {}) =>
    Object.assign(
      (async function* () {
        yield* chunks
        throw error
      })(),
      stops,
    )
  const codeOf = async (source: object) => (await ask(source as never)).error?.code
  const broken = new SyntaxError('Unexpected token } in JSON at position 3')

  it.each([
    ['of an SDK that runs nothing of the application’s', new Error('llama runner is gone'), [chunk], { abort() {} }],
    ['of an SDK that has said nothing', new Error('llama runner is gone'), [], { controller: new AbortController() }],
    ['of JSON, once a provider has spoken', broken, [chunk], {}],
  ])('is its provider’s failure: %s', async (_, error, chunks, stops) => {
    expect(await codeOf(failing(error, chunks, stops))).toBe('upstream-failure')
  })

  it.each([
    ['of one’s own generator', new Error('no such table'), [chunk], {}],
    ['of one’s own JSON', broken, [], {}],
    ['of a framework, whose tools are one’s own', new Error('no such table'), [step], { abort() {} }],
    ['of a tool that a helper ran', new Error('!', { cause: new Error('no such table') }), [chunk], { abort() {} }],
    ['of a program', new TypeError('x is not a function'), [chunk], { abort() {} }],
    ['of nobody', null, [chunk], { abort() {} }],
  ])('is the application’s: %s', async (_, error, chunks, stops) => {
    expect(await codeOf(failing(error, chunks, stops))).toBe('internal')
  })
})
