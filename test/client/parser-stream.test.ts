import { type ParsedEvent, SSEParserStream, type SSEParserStreamOptions } from 'sse-relay/client'
import { describe, expect, it, vi } from 'vitest'

const encoder = new TextEncoder()

function streamOf(chunks: Iterable<Uint8Array | string>): ReadableStream<Uint8Array | string> {
  const iterator = chunks[Symbol.iterator]()
  return new ReadableStream(
    {
      pull(controller) {
        const { done, value } = iterator.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
    },
    { highWaterMark: 0 },
  )
}

async function read(events: ReadableStream<ParsedEvent>): Promise<ParsedEvent[]> {
  const reader = events.getReader()
  const seen: ParsedEvent[] = []
  for (let result = await reader.read(); !result.done; result = await reader.read()) seen.push(result.value)
  return seen
}

const parse = (chunks: Iterable<Uint8Array | string>, options?: SSEParserStreamOptions) =>
  read(streamOf(chunks).pipeThrough(new SSEParserStream(options)))

const WIRE = '\ufeffid: é\nevent: x\ndata: 日🚀\n\n: ping\r\n\r\nretry: 10\rdata: [DONE]\r\rdata: 2\n\ndata: pend'
const EVENTS = [{ id: 'é', event: 'x', data: '日🚀' }, { data: '[DONE]' }, { data: '2' }]

describe('SSEParserStream', () => {
  it.each([
    ['bytes', () => [encoder.encode(WIRE)]],
    ['single bytes', () => Array.from(encoder.encode(WIRE), (byte) => Uint8Array.of(byte))],
    ['strings', () => [WIRE]],
    ['single characters', () => WIRE.split('')],
    ['nothing but empty chunks and then all', () => ['', new Uint8Array(), WIRE]],
  ])('gives every event of %s, and drops what no blank line ended', async (_, chunks) => {
    expect(await parse(chunks())).toEqual(EVENTS)
  })

  it('gives what no blank line ended with eof: dispatch', async () => {
    expect(await parse([WIRE], { eof: 'dispatch' })).toEqual([...EVENTS, { data: 'pend' }])
    expect(await parse(['data: 1\r\n'], { eof: 'dispatch' })).toEqual([{ data: '1' }])
    expect(await parse(['data: 1\n\n'], { eof: 'dispatch' })).toEqual([{ data: '1' }])
    expect(await parse([], { eof: 'dispatch' })).toEqual([])
  })

  it('replaces a character that the end cut', async () => {
    const bytes = encoder.encode('data: a\n\ndata: é').subarray(0, -1)
    expect(await parse([bytes], { eof: 'dispatch' })).toEqual([{ data: 'a' }, { data: '\ufffd' }])
  })

  it('takes one byte order mark off, not two', async () => {
    expect(await parse([encoder.encode('\ufeff\ufeffdata: 1\n\ndata: 2\n\n')])).toEqual([{ data: '2' }])
  })

  it('knows no sentinel and no errors: every event is handed on', async () => {
    expect(await parse(['data: [DONE]\n\nevent: error\ndata: {}\n\ndata: 3\n\n'])).toEqual([
      { data: '[DONE]' },
      { event: 'error', data: '{}' },
      { data: '3' },
    ])
  })

  it('tells of comments and retry lines, and of the last event id', async () => {
    const onComment = vi.fn()
    const onRetry = vi.fn()
    const stream = new SSEParserStream({ onComment, onRetry, lastEventId: '0' })
    expect(stream.lastEventId).toBe('0')
    await read(streamOf([WIRE]).pipeThrough(stream))
    expect(onComment.mock.calls).toEqual([['ping']])
    expect(onRetry.mock.calls).toEqual([[10]])
    expect(stream.lastEventId).toBe('é')
  })

  it('fails both ways at an event that is too large, whatever its chunks', async () => {
    const wire = `data: 1\n\ndata: ${'x'.repeat(100)}\n\n`
    for (const chunks of [[wire], wire.split(''), [encoder.encode(wire)]]) {
      const cancel = vi.fn()
      const iterator = chunks.values()
      const source = new ReadableStream<Uint8Array | string>(
        { pull: (controller) => controller.enqueue(iterator.next().value), cancel },
        { highWaterMark: 0 },
      )
      const reading = read(source.pipeThrough(new SSEParserStream({ maxEventSize: 50 })))
      await expect(reading).rejects.toMatchObject({ name: 'RelayError', code: 'event-too-large' })
      await vi.waitFor(() => expect(cancel).toHaveBeenCalledOnce())
    }
  })

  it('passes a failure of the body on', async () => {
    const cause = new Error('gone')
    const source = new ReadableStream<string>({
      start(controller) {
        controller.error(cause)
      },
    })
    await expect(read(source.pipeThrough(new SSEParserStream()))).rejects.toBe(cause)
  })

  it('is pulled: a body without an end is not read ahead of its reader', async () => {
    let pulled = 0
    const source = new ReadableStream<string>(
      {
        pull(controller) {
          controller.enqueue(`data: ${++pulled}\n\n`)
        },
      },
      { highWaterMark: 0 },
    )
    const reader = source.pipeThrough(new SSEParserStream()).getReader()
    expect(await reader.read()).toEqual({ done: false, value: { data: '1' } })
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    // One is under way in each of the streams between.
    expect(pulled).toBeLessThan(5)
    await reader.cancel()
  })

  it('cancels the body when its reader leaves', async () => {
    const cancel = vi.fn()
    const source = new ReadableStream<string>({
      start(controller) {
        controller.enqueue('data: 1\n\n')
      },
      cancel,
    })
    const reader = source.pipeThrough(new SSEParserStream()).getReader()
    await reader.read()
    await reader.cancel('enough')
    // The pipe hears of it in a turn of its own.
    await vi.waitFor(() => expect(cancel).toHaveBeenCalledExactlyOnceWith('enough'))
  })

  it('can be piped on, and teed', async () => {
    const [left, right] = streamOf([WIRE]).pipeThrough(new SSEParserStream()).tee()
    const shout = new TransformStream<ParsedEvent, string>({
      transform: ({ data }, controller) => controller.enqueue(`${data}!`),
    })
    const [events, loud] = await Promise.all([read(left), read(right.pipeThrough(shout) as never)])
    expect(events).toEqual(EVENTS)
    expect(loud).toEqual(['日🚀!', '[DONE]!', '2!'])
  })
})
