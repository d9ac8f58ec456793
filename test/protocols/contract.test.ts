import { type AnswerPart, type Encoder, encodeEvent, type Protocol, type RelayOptions, type Source } from 'sse-relay'
import { createMemoryLog, record } from 'sse-relay/log'
import { text } from 'sse-relay/protocols'
import { stalling, tokens } from 'sse-relay/testing'
import { relay, resume } from 'sse-relay/web'
import { describe, expect, it } from 'vitest'

const RUN_ID = 'contract-run-0001'
const EVENT_STREAM = { headers: { accept: 'text/event-stream' } }
const line = (data: unknown) => encodeEvent({ data: JSON.stringify(data) })

/** A dialect with everything of its own: two frames for a failure, and none of the words that are common. */
function loud(more: Partial<Protocol> = {}, given: Partial<Encoder> = {}): Protocol {
  return {
    name: 'loud',
    headers: { 'x-loud': '1' },
    sentinel: 'data: BYE\n\n',
    heartbeat: 'event: ping\ndata: {}\n\n',
    refusal: ({ code, message }) => ({ loud: true, error: { type: code, message } }),
    encoder: () => ({
      part: (part) => (part.type === 'text' ? line({ say: part.text }) : ''),
      event: () => '',
      end: () => line({ end: true }),
      fail: ({ code }) => line({ failed: code }) + encodeEvent({ event: 'error', data: JSON.stringify({ code }) }),
      answer: (parts) => ({ parts }),
      ...given,
    }),
    ...more,
  }
}

const ask = (source: Source, options: RelayOptions, init: RequestInit = {}) =>
  relay(new Request('http://localhost/', init), source, { onError() {}, ...options })

/** The ids and the data of the frames of a body. */
const framesOf = (body: string) => body.split('\n\n').slice(0, -1)

async function* failing(...pieces: unknown[]) {
  yield* pieces
  throw Object.assign(new Error('secret'), { status: 529 })
}

describe('a dialect', () => {
  it('has its own sentinel', async () => {
    const response = await ask(['a'], { protocol: loud() })
    expect(await response.text()).toBe('data: {"say":"a"}\n\ndata: {"end":true}\n\ndata: BYE\n\n')
  })

  it('has none, if it says so', async () => {
    const response = await ask(['a'], { protocol: loud({ sentinel: '' }) })
    expect(await response.text()).toBe('data: {"say":"a"}\n\ndata: {"end":true}\n\n')
  })

  it('without a sentinel tells an EventSource with its last frame that there is nothing more', async () => {
    const response = await ask(['a'], { protocol: loud({ sentinel: '' }), runId: RUN_ID }, EVENT_STREAM)
    expect(await response.text()).toBe(`data: {"say":"a"}\n\nid: ${RUN_ID}:end\ndata: {"end":true}\n\n`)
  })

  it('fails in several frames, each with its number where there is a log', async () => {
    const plain = await ask(failing('a'), { protocol: loud() })
    expect(await plain.text()).toBe(
      'data: {"say":"a"}\n\ndata: {"failed":"overload"}\n\nevent: error\ndata: {"code":"overload"}\n\n',
    )
    const eventSource = await ask(failing('a'), { protocol: loud(), runId: RUN_ID }, EVENT_STREAM)
    expect(framesOf(await eventSource.text()).slice(1)).toEqual([
      'data: {"failed":"overload"}',
      `id: ${RUN_ID}:end\nevent: error\ndata: {"code":"overload"}`,
    ])
    const log = createMemoryLog()
    const kept = await ask(failing('a'), { protocol: loud(), log, owner: null, runId: RUN_ID })
    expect(framesOf(await kept.text()).slice(1)).toEqual([
      `id: ${RUN_ID}:2\ndata: {"failed":"overload"}`,
      `id: ${RUN_ID}:3\nevent: error\ndata: {"code":"overload"}`,
    ])
  })

  it('refuses in a body of its own, whoever refuses', async () => {
    const failed = await ask(failing(), { protocol: loud() })
    expect([failed.status, await failed.json()]).toEqual([
      503,
      { loud: true, error: { type: 'overload', message: expect.stringMatching(/overloaded/) } },
    ])
    const log = createMemoryLog()
    const headers = { 'last-event-id': `${RUN_ID}:1` }
    const unknown = await resume(new Request('http://localhost/', { headers }), { log, owner: null, protocol: loud() })
    expect([unknown.status, await unknown.json()]).toMatchObject([404, { error: { type: 'run-not-found' } }])
  })

  it('has a refusal that fails told in the common body', async () => {
    const refusal = () => {
      throw new Error('no words')
    }
    const response = await ask(failing(), { protocol: loud({ refusal }) })
    expect(await response.json()).toMatchObject({ error: { code: 'overload', retryable: true } })
  })

  it.each(['sentinel', 'heartbeat'])('whose %s is no whole frame is a mistake that is named', async (name) => {
    const errors: unknown[] = []
    const protocol = loud({ [name]: 'BYE' })
    const response = await ask(['a'], { protocol, onError: (error) => void errors.push(error) })
    expect(response.status).toBe(500)
    expect(String(errors[0])).toBe(
      `RelayError: protocol.${name} cannot be "BYE": give a whole frame, which ends with a blank line: encodeEvent makes one`,
    )
  })

  it.each<[string, Partial<Encoder>, string]>([
    ['half a frame', { part: () => 'data: x' }, '"data: x"'],
    ['half a frame at the end', { end: () => 'data: x\n' }, '"data: x\\n"'],
    ['nothing', { part: () => undefined as never }, 'undefined'],
    ['an object', { event: () => ({}) as never }, 'an object (Object)'],
  ])('whose encoder gives %s is a mistake that is named, and swallows no other frame', async (_what, given, shown) => {
    const errors: unknown[] = []
    const protocol = loud({}, { event: () => line({ own: true }), ...given })
    const source = () => [{ event: 'own', data: 1 }, 'a']
    const response = await ask(source, { protocol, onError: (error) => void errors.push(error) })
    const body = await response.text()
    expect(String(errors[0])).toBe(
      `RelayError: The encoder of the protocol loud gives ${shown}: give whole frames, each with the blank line that ends it, or ''`,
    )
    expect(body).not.toContain('BYE')
    for (const sent of response.status === 200 ? framesOf(body) : [])
      expect(sent).toMatch(/^(event: error\n)?data: {.*}$/)
  })

  it.each(['part', 'event', 'end', 'fail'])('whose encoder has no %s is a mistake that is named', async (method) => {
    const errors: unknown[] = []
    const protocol = loud({}, { [method]: undefined })
    const response = await ask(['a'], { protocol, onError: (error) => void errors.push(error) })
    expect(response.status).toBe(500)
    expect(String(errors[0])).toBe(
      `RelayError: The encoder of the protocol loud has no ${method}(): it needs part, event, end and fail`,
    )
  })

  it('refuses an own event that would say in its words that the answer is complete', async () => {
    const errors: unknown[] = []
    const protocol = loud({ sentinel: 'event: bye\ndata: {}\n\n' }, { event: encodeEvent })
    const source = () => ['a', { event: 'bye', data: {}, id: '7' }, 'never']
    const response = await ask(source, { protocol, onError: (error) => void errors.push(error) })
    expect(await response.text()).not.toMatch(/bye|never/)
    expect(String(errors[0])).toMatch(
      /A source cannot send "event: bye\\ndata: {}\\n\\n": return, and the relay will say/,
    )
  })

  it('has a heartbeat of its own, but before the first event', async () => {
    const source = async function* () {
      await new Promise((resolve) => setTimeout(resolve, 60))
      yield 'a'
      await new Promise((resolve) => setTimeout(resolve, 60))
    }
    const body = await (await ask(source, { protocol: loud(), heartbeatMs: 10 })).text()
    expect(body).toMatch(
      /^(: \n\n)+data: {"say":"a"}\n\n(event: ping\ndata: {}\n\n)+data: {"end":true}\n\ndata: BYE\n\n$/,
    )
  })

  it('is spoken by what ends a run that nobody reads', async () => {
    const log = createMemoryLog()
    const { outcome } = await record(stalling(['a']), {
      log,
      owner: null,
      runId: RUN_ID,
      protocol: loud(),
      abandonMs: 1,
    })
    expect(outcome).toBe('disconnected')
    const headers = { 'last-event-id': `${RUN_ID}:0` }
    const body = await (await resume(new Request('http://localhost/', { headers }), { log, owner: null })).text()
    expect(framesOf(body).slice(-2)).toEqual([
      expect.stringMatching(/:\d+\ndata: {"failed":"stopped"}$/),
      expect.stringMatching(/:\d+\nevent: error\ndata: {"code":"stopped"}$/),
    ])
  })

  it('is spoken by resume of a run that was stopped before it began', async () => {
    const log = createMemoryLog()
    await log.create(RUN_ID, { owner: null })
    const reading = resume(new Request('http://localhost/'), {
      log,
      owner: null,
      runId: RUN_ID,
      protocol: loud(),
      heartbeatMs: 1,
    })
    await log.stop(RUN_ID, { owner: null })
    const body = (await (await reading).text()).replaceAll(': \n\n', '')
    expect(framesOf(body)).toEqual([
      `id: ${RUN_ID}:1\ndata: {"failed":"stopped"}`,
      `id: ${RUN_ID}:2\nevent: error\ndata: {"code":"stopped"}`,
    ])
  })

  it('that bears nothing but data gets nothing else', async () => {
    const log = createMemoryLog()
    for (const options of [{}, { log, owner: null }]) {
      const source = async function* () {
        yield 'a'
        await new Promise((resolve) => setTimeout(resolve, 50))
        yield { event: 'own', data: 1, id: '7', retry: 2 }
      }
      const protocol = loud({ dataOnly: true, sentinel: '', heartbeat: undefined }, { end: () => '' })
      const response = await ask(source, { ...options, protocol, retryMs: 100, heartbeatMs: 10 }, EVENT_STREAM)
      expect(await response.text()).toMatch(/^(: \n\n)*data: {"say":"a"}\n\n(: \n\n)+$/)
    }
  })

  it('that ends with no frame is complete in the log, too', async () => {
    const log = createMemoryLog()
    const protocol = loud({ sentinel: '' }, { end: () => '' })
    const body = await (await ask(['a'], { protocol, log, owner: null, runId: RUN_ID })).text()
    expect(body).toBe(`id: ${RUN_ID}:1\ndata: {"say":"a"}\n\nid: ${RUN_ID}:2\n: \n\n`)
    const headers = { 'last-event-id': `${RUN_ID}:2` }
    expect((await resume(new Request('http://localhost/', { headers }), { log, owner: null })).status).toBe(204)
  })
})

describe('stream: false', () => {
  const whole = async (source: Source, options: RelayOptions = {}) => {
    const response = await ask(source, { protocol: loud(), stream: false, ...options })
    return { status: response.status, headers: response.headers, body: await response.json() }
  }
  const partsOf = async (...source: unknown[]) => (await whole(source)).body.parts as AnswerPart[]

  it('is one JSON body, without what is of a stream', async () => {
    const { status, headers, body } = await whole(tokens(['Hel', 'lo']), { protocol: undefined, retryMs: 5 })
    expect([status, body]).toEqual([200, { text: 'Hello' }])
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(headers.get('cache-control')).toBe('no-store, no-transform')
    expect((await whole(['a'])).headers.get('x-loud')).toBe(null)
  })

  it('joins what follows each other and makes each call whole', async () => {
    expect(
      await partsOf(
        'a',
        { type: 'text', text: 'b' },
        { type: 'reasoning', text: 'c' },
        { type: 'reasoning', text: 'd' },
        { type: 'reasoning', text: '', signature: 'e' },
        { type: 'reasoning', text: 'f' },
        { type: 'reasoning', text: '', redacted: 'g' },
        { type: 'tool-call', index: 0, id: 'i', name: 'n', input: '{"h"' },
        { type: 'tool-call', index: 1, id: 'j', name: 'm', input: '{}', done: true },
        'x',
        { type: 'tool-call', index: 0, input: ':1}', done: true },
        'y',
        { event: 'own', data: { z: 1 } },
        { type: 'tool-call', index: 2, id: 'k', name: 'o', input: '{"q":' },
        { type: 'tool-call', index: 2, input: '[]', replaces: true, done: true, executed: true },
      ),
    ).toEqual([
      { type: 'text', text: 'ab' },
      { type: 'reasoning', text: 'cd', signature: 'e' },
      { type: 'reasoning', text: 'f' },
      { type: 'reasoning', text: '', redacted: 'g' },
      { type: 'tool-call', index: 0, id: 'i', name: 'n', input: '{"h":1}', done: true },
      { type: 'tool-call', index: 1, id: 'j', name: 'm', input: '{}', done: true },
      { type: 'text', text: 'xy' },
      { type: 'event', event: { event: 'own', data: '{"z":1}' } },
      { type: 'tool-call', index: 2, id: 'k', name: 'o', input: '[]', done: true, executed: true },
    ])
  })

  it('is a failure with its status, also in the middle', async () => {
    const { status, body } = await whole(failing('a'))
    expect([status, body.error.type]).toEqual([503, 'overload'])
  })

  it('is a failure where the answer is larger than one body may be', async () => {
    const large = 'x'.repeat(1_048_576)
    const errors: unknown[] = []
    const { status } = await whole(Array(17).fill(large), { onError: (error) => void errors.push(error) })
    expect(status).toBe(500)
    expect(String(errors[0])).toMatch(/relay it as a stream/)
  })

  it('is refused of a protocol that has no such answer', async () => {
    const errors: unknown[] = []
    const protocol = loud({}, { answer: undefined })
    const { status } = await whole(['a'], { protocol, onError: (error) => void errors.push(error) })
    expect(status).toBe(500)
    expect(String(errors[0])).toMatch(/stream cannot be false with the protocol loud/)
  })

  it('keeps the run as a stream where there is a log', async () => {
    const log = createMemoryLog()
    const { status, headers, body } = await whole(['a', 'b'], { log, owner: null, runId: RUN_ID, protocol: text() })
    expect([status, body, headers.get('x-run-id')]).toEqual([200, { text: 'ab' }, RUN_ID])
    const request = new Request('http://localhost/', { headers: { 'last-event-id': `${RUN_ID}:0` } })
    const stream = await (await resume(request, { log, owner: null })).text()
    expect(framesOf(stream)).toEqual([
      `id: ${RUN_ID}:1\ndata: {"text":"a"}`,
      `id: ${RUN_ID}:2\ndata: {"text":"b"}`,
      `id: ${RUN_ID}:3\ndata: [DONE]`,
    ])
  })
})
