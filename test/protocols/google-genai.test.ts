// Does Google's own client read raw({ client: 'google-genai' }) without a loss?
import { ApiError, GoogleGenAI } from '@google/genai'
import type { RelayOptions, Source } from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { relay } from 'sse-relay/node'
import { raw } from 'sse-relay/protocols'
import { describe, expect, it } from 'vitest'
import { listening } from '../serving.js'

const words = ['Hel', 'lo', ' there']
const chunk = (text: string, finishReason?: string) => ({
  candidates: [{ content: { role: 'model', parts: [{ text }] }, index: 0, ...(finishReason && { finishReason }) }],
  modelVersion: 'm',
  responseId: 'r',
})
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function* gemini(ms = 0) {
  for (const word of words) {
    await pause(ms)
    yield chunk(word)
  }
  await pause(ms)
  yield { ...chunk('', 'STOP'), usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 5, totalTokenCount: 8 } }
  await pause(ms)
}

async function ask(source: Source, options: RelayOptions = {}) {
  const given = { onError() {}, ...options, protocol: raw({ client: 'google-genai' }) }
  const baseUrl = await listening((req, res) => void relay(req, res, source, given))
  const client = new GoogleGenAI({ apiKey: 'test', httpOptions: { baseUrl } })
  const pieces: (string | undefined)[] = []
  let last: unknown
  const reading = async () => {
    for await (const response of await client.models.generateContentStream({ model: 'any', contents: 'Hello?' })) {
      pieces.push(response.text)
      last = response.usageMetadata
    }
  }
  const error = await reading().then(
    () => undefined,
    (error) => error,
  )
  return { pieces: pieces.filter(Boolean), usage: last, error }
}

describe("raw({ client: 'google-genai' })", () => {
  it.each<[string, number, RelayOptions]>([
    ['alone', 0, {}],
    ['with heartbeats in every silence', 25, { heartbeatMs: 5 }],
    ['with retry', 0, { retryMs: 100 }],
    ['out of a log, with heartbeats', 15, { log: createMemoryLog(), owner: null, heartbeatMs: 5, retryMs: 100 }],
  ])('is read to its end %s', async (_, ms, options) => {
    expect(await ask(() => gemini(ms), options)).toEqual({
      pieces: words,
      usage: { promptTokenCount: 3, candidatesTokenCount: 5, totalTokenCount: 8 },
      error: undefined,
    })
  })

  const wrapped = async function* () {
    for await (const response of gemini()) yield { response }
  }

  it('is read where Code Assist has each response within another object', async () => {
    expect(await ask(wrapped)).toEqual({
      pieces: words,
      usage: { promptTokenCount: 3, candidatesTokenCount: 5, totalTokenCount: 8 },
      error: undefined,
    })
  })

  it('is read in one body of such responses', async () => {
    const given = { protocol: raw({ client: 'google-genai' }), stream: false }
    const baseUrl = await listening((req, res) => void relay(req, res, wrapped, given))
    const client = new GoogleGenAI({ apiKey: 'test', httpOptions: { baseUrl } })
    expect((await client.models.generateContent({ model: 'any', contents: 'Hello?' })).text).toBe(words.join(''))
  })

  it('leaves out what the client would break on', async () => {
    const source = async function* () {
      yield { event: 'progress', data: 1, id: '7', retry: 5 }
      yield 'text'
      yield { type: 'tool-result', id: 'a', output: 1 }
      yield* gemini()
    }
    expect(await ask(source, { toolResults: false })).toMatchObject({ pieces: words, error: undefined })
  })

  it.each([
    [429, 429, 'RESOURCE_EXHAUSTED', 'rate-limit'],
    [503, 503, 'UNAVAILABLE', 'overload'],
    [400, 502, 'UNAVAILABLE', 'upstream-failure'],
    [undefined, 500, 'INTERNAL', 'internal'],
  ])('fails as Gemini does: %s', async (status, shown, word, reason) => {
    for (const isBegun of [false, true]) {
      const source = async function* () {
        if (isBegun) yield chunk('Hel')
        throw Object.assign(new Error('SECRET'), status && { status })
      }
      const { error, pieces } = await ask(source)
      expect(pieces).toEqual(isBegun ? ['Hel'] : [])
      expect(error).toBeInstanceOf(ApiError)
      expect(error.status).toBe(shown)
      expect(error.message).toContain(word)
      expect(error.message).toContain(reason)
      expect(error.message).not.toContain('SECRET')
    }
  })

  it('does not take a cut for an answer', async () => {
    const { error, pieces } = await ask([chunk('Hel')])
    expect(pieces).toEqual(['Hel'])
    expect(error).toBeInstanceOf(ApiError)
    expect(error.message).toContain('truncated')
  })
})
