// What of an SDK's stream is neither its chunks nor its errors: an answer that is a page, and a stream read before.

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import type { Source, SourceContext } from 'sse-relay'
import { collect, replayUpstream } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { describe, expect, it, onTestFinished } from 'vitest'

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

  it('is no source a second time', async () => {
    const upstream = await replaying()
    const stream = await create(upstream.url, { signal: new AbortController().signal })
    expect((await ask(() => stream as never)).outcome).toBe('done')
    expect(await ask(() => stream as never)).toMatchObject({ status: 500, error: { code: 'invalid-source' } })
  })
})
