// node --test
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { collect, openClient, providerError, replayUpstream } from 'sse-relay/testing'
import { createApp } from '../app.js'

const question = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }] }),
}

let upstream
let server
let url

before(async () => {
  upstream = await replayUpstream()
  const app = createApp({ anthropicURL: upstream.url, openaiURL: `${upstream.url}/v1` })
  server = await new Promise((resolve) => {
    const listening = app.listen(0, '127.0.0.1', () => resolve(listening))
  })
  url = `http://127.0.0.1:${server.address().port}`
})
after(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await upstream.close()
})

for (const name of ['claude', 'gpt']) {
  describe(`the chat with ${name}`, () => {
    it('streams the answer', async () => {
      const { status, outcome, text } = await collect(await fetch(`${url}/api/${name}`, question))
      assert.deepEqual({ status, outcome }, { status: 200, outcome: 'done' })
      assert.match(text, /Hello there!/)
      const { stream, messages } = upstream.requests.at(-1).json
      assert.deepEqual({ stream, said: messages[0].content }, { stream: true, said: 'Hi' })
    })

    it('stops the provider when the reader leaves', async () => {
      upstream.next({ stallAfter: 5 })
      const asked = upstream.request()
      const reader = openClient(`${url}/api/${name}`, question)
      await reader.until('data: ')
      reader.leave()
      assert.equal((await (await asked).closed).by, 'client')
    })

    it('tells a refusal by a status, in words that are safe', async () => {
      upstream.next(providerError(name === 'gpt' ? 'openai' : 'anthropic', 429, 'the key sk-secret is used up'))
      const { status, error } = await collect(await fetch(`${url}/api/${name}`, question))
      assert.deepEqual({ status, code: error.code }, { status: 429, code: 'rate-limit' })
      assert.doesNotMatch(error.body, /sk-secret/)
    })

    it('does not take half an answer for a whole one', async () => {
      upstream.next({ endAfter: 5 })
      const { outcome } = await collect(await fetch(`${url}/api/${name}`, question))
      assert.equal(outcome, 'truncated')
    })
  })
}
