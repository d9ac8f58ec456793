import { collect } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { describe, expect, it } from 'vitest'
import { Reading } from '../../src/sources/read-chunk.js'
import { abort, iterate, iterateInner } from '../../src/upstream.js'

describe('a stream of bytes', () => {
  it('is cancelled at once, also while its event stream is silent', async () => {
    let tell = (_: string) => {}
    const cancelled = new Promise<string>((resolve) => {
      tell = resolve
    })
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode('data: {"response":"Hello"}\n\n')),
      cancel: () => tell('cancelled'),
    })
    const reading = new Reading()
    const outer = iterate(body, reading)
    const { value } = (await outer.iterator.next()) as IteratorResult<object>
    const bytes = iterateInner(outer, value, reading)
    expect(await bytes.iterator.next()).toEqual({ done: false, value: { response: 'Hello' } })
    // It waits for the provider when it is aborted.
    const next = Promise.resolve(bytes.iterator.next())
    abort(bytes)
    expect(await cancelled).toBe('cancelled')
    await next
  })
})

describe('the response that Genkit has beside its stream', () => {
  const chunk = { role: 'model', index: 0, content: [{ text: 'Hello' }] }
  const answer = (response: Promise<object>) => ({
    stream: (async function* () {
      yield chunk
    })(),
    response,
  })
  const whole = (finishReason: string) => ({
    message: { role: 'model', content: [{ text: 'sk-secret' }] },
    finishReason,
    usage: { inputTokens: 25, outputTokens: 15, thoughtsTokens: 4, inputCharacters: 99 },
    request: { messages: ['sk-secret'] },
  })
  const relayed = async (response: Promise<object>) => {
    let summary: object = {}
    const got = await collect(
      await relay(new Request('http://localhost/', { method: 'POST' }), answer(response) as never, {
        onError() {},
        onEnd(end) {
          summary = end
        },
      }),
    )
    return { ...got, summary }
  }

  it('gives the counts and the reason, and what it repeats stays here', async () => {
    const { outcome, summary, events } = await relayed(Promise.resolve(whole('length')))
    expect(outcome).toBe('done')
    expect(JSON.stringify(events)).not.toContain('secret')
    expect(summary).toMatchObject({ finishReason: 'length' })
    expect((summary as { usage: object }).usage).toEqual({ inputTokens: 25, outputTokens: 15, reasoningTokens: 4 })
  })

  it('fails the run where it rejects, though the stream has ended', async () => {
    expect((await relayed(Promise.reject(new Error('sk-secret')))).outcome).toBe('error')
  })

  it('of others repeats the stream, and is only waited for', async () => {
    const { outcome, events } = await relayed(Promise.resolve({ response: { candidates: [], text: 'sk-secret' } }))
    expect(outcome).toBe('done')
    expect(JSON.stringify(events)).not.toContain('secret')
  })
})
