// npx vitest run
import { collect, openClient, providerError, replayUpstream } from 'sse-relay/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApp } from '../app.js'

const question = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }] }),
}

let upstream
let server
let url

beforeAll(async () => {
  upstream = await replayUpstream()
  const app = createApp({ anthropicURL: upstream.url, openaiURL: `${upstream.url}/v1` })
  server = await new Promise((resolve) => {
    const listening = app.listen(0, '127.0.0.1', () => resolve(listening))
  })
  url = `http://127.0.0.1:${server.address().port}`
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await upstream.close()
})

describe.each(['claude', 'gpt'])('the chat with %s', (name) => {
  it('streams the answer', async () => {
    const { status, outcome, text } = await collect(await fetch(`${url}/api/${name}`, question))
    expect({ status, outcome }).toEqual({ status: 200, outcome: 'done' })
    expect(text).toContain('Hello there!')
    expect(upstream.requests.at(-1).json).toMatchObject({ stream: true, messages: [{ content: 'Hi' }] })
  })

  it('stops the provider when the reader leaves', async () => {
    upstream.next({ stallAfter: 5 })
    const asked = upstream.request()
    const reader = openClient(`${url}/api/${name}`, question)
    await reader.until('data: ')
    reader.leave()
    expect((await (await asked).closed).by).toBe('client')
  })

  it('tells a refusal by a status, in words that are safe', async () => {
    upstream.next(providerError(name === 'gpt' ? 'openai' : 'anthropic', 429, 'the key sk-secret is used up'))
    const { status, error } = await collect(await fetch(`${url}/api/${name}`, question))
    expect({ status, code: error.code }).toEqual({ status: 429, code: 'rate-limit' })
    expect(error.body).not.toContain('sk-secret')
  })

  it('does not take half an answer for a whole one', async () => {
    upstream.next({ endAfter: 5 })
    const { outcome } = await collect(await fetch(`${url}/api/${name}`, question))
    expect(outcome).toBe('truncated')
  })
})
