import { getEventListeners } from 'node:events'
import { DONE, parseSSE, readParts, readText } from 'sse-relay/client'
import { describe, expect, it, vi } from 'vitest'

const EVENT_STREAM = { headers: { 'content-type': 'text/event-stream' } }
const frame = (data: unknown, event?: string) =>
  `${event === undefined ? '' : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`
const ANSWER = `${frame({ text: 'Hello' })}${frame({ text: ' wörld\n\n' })}${frame({ text: '🚀' })}data: ${DONE}\n\n`

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const seen: T[] = []
  for await (const value of values) seen.push(value)
  return seen
}

describe('readText', () => {
  it.each([
    ['a Response', () => new Response(ANSWER, EVENT_STREAM)],
    ['a body', () => new Response(ANSWER).body as ReadableStream<Uint8Array>],
    ['a string', () => ANSWER],
    ['what parseSSE returned', () => parseSSE(ANSWER)],
  ])('gives the texts of %s', async (_, input) => {
    expect(await all(readText(input()))).toEqual(['Hello', ' wörld\n\n', '🚀'])
  })

  it('reads what is left of a stream that was begun', async () => {
    const events = parseSSE(ANSWER)
    await events.next()
    expect(await all(readText(events))).toEqual([' wörld\n\n', '🚀'])
  })

  it('skips named events, whatever they hold (janhq/jan#8280)', async () => {
    const named = `${frame({ text: 'no' }, 'citation')}event: ping\ndata: not JSON\n\n`
    expect(await all(readText(`${named}${ANSWER}`))).toHaveLength(3)
  })

  it('takes an event named message for one without a name, as the standard does', async () => {
    expect(await all(readText(ANSWER.replaceAll('data: {', 'event: message\ndata: {')))).toHaveLength(3)
    await expect(all(readText(`event: message\ndata: Hello\n\n${ANSWER}`))).rejects.toMatchObject({
      code: 'invalid-json',
    })
  })

  it.each([[{}], [{ text: 1 }], [{ text: null }], [{ text: '' }], [null], [1], ['text'], [['text']], [true]])(
    'passes over %j, which has no text',
    async (data) => {
      expect(await all(readText(`${frame(data)}${ANSWER}`))).toHaveLength(3)
    },
  )

  it.each(['Hello', '{"text":"Hel', '{"text":"a"}{"text":"b"}'])(
    'throws invalid-json for an unnamed event with the data %j, with the data, and lets go of the body',
    async (data) => {
      const cancel = vi.fn()
      const body = new ReadableStream<string>({
        start: (controller) => controller.enqueue(`${frame({ text: 'a' })}data: ${data}\n\n${frame({ text: 'b' })}`),
        cancel,
      })
      const { signal } = new AbortController()
      const texts = readText(body, { signal })
      expect(await texts.next()).toEqual({ done: false, value: 'a' })
      await expect(texts.next()).rejects.toMatchObject({
        name: 'RelayError',
        code: 'invalid-json',
        body: data,
        cause: expect.any(SyntaxError),
      })
      expect(cancel).toHaveBeenCalledOnce()
      expect(getEventListeners(signal, 'abort')).toEqual([])
      expect(await texts.next()).toEqual({ done: true, value: undefined })
    },
  )

  it.each([
    ['a failure', `${frame({ error: { code: 'overload', message: 'Busy', retryable: true } }, 'error')}`, 'overload'],
    ['a missing sentinel', '', 'truncated'],
  ])('throws what parseSSE throws for %s, after the texts before it', async (_, end, code) => {
    const seen: string[] = []
    await expect(async () => {
      for await (const text of readText(frame({ text: 'a' }) + end)) seen.push(text)
    }).rejects.toMatchObject({ code, received: 1 })
    expect(seen).toEqual(['a'])
  })

  it('throws at once what parseSSE throws at once', () => {
    expect(() => readText(undefined as never)).toThrow(expect.objectContaining({ code: 'invalid-source' }))
    expect(() => readText('', { idleTimeoutMs: -1 })).toThrow(expect.objectContaining({ code: 'invalid-option' }))
  })

  it('is no source of another one, which would find an answer of nothing', () => {
    for (const read of [readText, readParts])
      expect(() => readText(read(ANSWER) as never)).toThrow(expect.objectContaining({ code: 'response-used' }))
  })

  it('passes over JSON that is no object', async () => {
    const odd = ['null', '5', '"a"', '[]'].map((json) => `data: ${json}\n\n`).join('')
    expect(await all(readText(odd + frame({ text: 'a' }) + odd + ANSWER))).toEqual(['a', 'Hello', ' wörld\n\n', '🚀'])
  })

  it('takes the options of parseSSE', async () => {
    const comments: string[] = []
    const texts = readText(`: a\n${frame({ text: 'a' })}data: {"end":1}\n\n${frame({ text: 'b' })}`, {
      sentinel: ({ data }) => data.includes('end'),
      onComment: (comment) => comments.push(comment),
    })
    expect(await all(texts)).toEqual(['a'])
    expect(comments).toEqual(['a'])
  })

  it('has the last event id of the text just handed over', async () => {
    const texts = readText(
      `id: 1\n${frame({ text: 'a' })}id: 2\n${frame({}, 'x')}id: 3\n${frame({ text: 'b' })}data: ${DONE}\n\n`,
    )
    const ids: string[] = []
    for await (const _ of texts) ids.push(texts.lastEventId)
    expect(ids).toEqual(['1', '3'])
  })

  it.each(['return', 'throw'] as const)('lets go of the body by %s()', async (way) => {
    const cancel = vi.fn()
    const body = new ReadableStream<string>({ start: (controller) => controller.enqueue(ANSWER.slice(0, 40)), cancel })
    const texts = readText(body)
    await texts.next()
    const pending = texts.next()
    const left = texts[way](new Error('mine'))
    expect(cancel).toHaveBeenCalledOnce()
    if (way === 'throw') await expect(left).rejects.toThrow('mine')
    else expect(await left).toEqual({ done: true, value: undefined })
    expect(await pending).toEqual({ done: true, value: undefined })
    expect(body.locked).toBe(false)
  })

  it('is over at once when it is aborted', async () => {
    const cancel = vi.fn()
    const controller = new AbortController()
    const texts = readText(new ReadableStream({ cancel }), { signal: controller.signal })
    const next = texts.next()
    controller.abort()
    expect(cancel).toHaveBeenCalledOnce()
    await expect(next).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('answers those who ask ahead in turn', async () => {
    const texts = readText(ANSWER)
    const answers = await Promise.all([texts.next(), texts.next(), texts.next(), texts.next()])
    expect(answers.map(({ value }) => value)).toEqual(['Hello', ' wörld\n\n', '🚀', undefined])
  })
})
