// Does anything reach a client that is not the answer: of any shape, of unknown objects, in any protocol?
import type { RelayOptions } from 'sse-relay'
import * as all from 'sse-relay/protocols'
import { relay } from 'sse-relay/web'
import { describe, expect, it } from 'vitest'
import { around, failed, S, type Shape, shapes } from './every-shape.js'

const protocols = { ...all, openaiChat: () => all.openaiChat({ usage: true }) }
const names = Object.keys(protocols) as (keyof typeof protocols)[]

/** Under these names stands what is the answer's, or for the client whole. */
const ITS_OWN = /^(input|args|arguments|citations|source|usage|usageMetadata|totalUsage)$/

/** A field that nobody knows, in every object of a chunk that is not the answer's own. */
function withOthers(value: unknown, isClosed = false): unknown {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  // What a node writes for the client is for it whole.
  if (Array.isArray(value)) return value[0] === 'custom' ? value : value.map((item) => withOthers(item))
  const copy = Object.create(Object.getPrototypeOf(value)) as Record<string, unknown>
  for (const [key, inner] of Object.entries(value)) copy[key] = ITS_OWN.test(key) ? inner : withOthers(inner, false)
  return isClosed ? copy : Object.assign(copy, { unheardOf: 'OTHER-field' })
}

/** Everything that a client gets. */
async function told(source: Iterable<unknown> | AsyncIterable<unknown>, options: RelayOptions): Promise<string> {
  const response = await relay(new Request('http://localhost'), source as never, { onError() {}, ...options })
  return `${response.status} ${JSON.stringify([...response.headers])}\n${await response.text()}`
}

const secretsIn = (wire: string) => [...new Set(wire.match(/(SECRET|OTHER)-[\w.$-]+/g))]

/** An error as SDKs throw them, with everything that hangs on one. */
const thrown = () =>
  Object.assign(new Error(S('thrown.message'), { cause: new Error(S('thrown.cause')) }), {
    status: 429,
    ...around('thrown'),
    error: failed('thrown.error'),
    body: S('thrown.body'),
    responseBody: S('thrown.responseBody'),
    url: S('thrown.url'),
    requestBodyValues: { a: S('thrown.requestBodyValues') },
    data: S('thrown.data'),
  })

async function* thenThrows(chunks: unknown[], error: unknown) {
  yield* chunks
  throw error
}

/** All but the last chunk: a failure comes amid an answer. */
const begun = ({ chunks }: Shape) => chunks.slice(0, -1)

class Unknown {
  content = S('unknown.content')
  metadata = around('unknown')
}

describe.each(names)('in %s()', (name) => {
  const protocol = protocols[name]()
  // A stream that was made for the page shows what its tools answered there, unless it is told not to.
  const options: RelayOptions = { protocol, ...(name === 'uiMessage' && { toolResults: false }) }

  describe.each(Object.entries(shapes))('of %s', (_, shape) => {
    it('the answer goes out, and nothing of what lies around it', async () => {
      for (const stream of [true, false]) {
        const wire = await told(shape.chunks, { ...options, stream, requireFinish: stream })
        expect(secretsIn(wire)).toEqual([])
        expect(wire).toMatch(/^200 /)
        expect(wire).toContain('Hello ')
        expect(wire).toContain('there.')
      }
    })

    it('no field that nobody knows goes out, but in the chunks of a provider’s own wire', async () => {
      const chunks = shape.chunks.map((chunk) => withOthers(chunk, shape.isClosed))
      const wire = await told(chunks, options)
      const leaks = secretsIn(wire)
      expect(name === 'raw' && shape.isWire ? leaks.filter((leak) => leak.startsWith('SECRET')) : leaks).toEqual([])
      expect(wire).toContain('Hello ')
    })

    it('what is the request’s stays here in every chunk', async () => {
      if (shape.isClosed) return
      const chunks = shape.chunks.map((chunk) =>
        Array.isArray(chunk) || 'agent' in (chunk as object)
          ? chunk
          : Object.assign(Object.create(Object.getPrototypeOf(chunk)), around('chunk'), chunk),
      )
      expect(secretsIn(await told(chunks, options))).toEqual([])
    })

    it('of a failure in the middle no word goes out', async () => {
      const failures = [shape.failure ?? { error: failed('failure') }, thrown()]
      for (const failure of failures) {
        const wire = await told([...begun(shape), failure], options)
        expect(secretsIn(wire)).toEqual([])
      }
      const wire = await told(thenThrows(begun(shape), thrown()), options)
      expect(secretsIn(wire)).toEqual([])
      expect(wire).toContain('event: error')
      const whole = await told(thenThrows(begun(shape), thrown()), { ...options, stream: false })
      expect(secretsIn(whole)).toEqual([])
      expect(whole).toMatch(/^429 /)
      for (const failure of failures) expect(secretsIn(await told([failure, ...shape.chunks], options))).toEqual([])
    })

    it('of what nobody knows, amid it, nothing goes out', async () => {
      const objects = [
        { a: S('plain') },
        { type: 'custom', text: S('plain.text'), ...around('plain') },
        { type: 'something.failed', message: S('plain.failed') },
        { event: 'trace', input: S('plain.input') },
        [S('list'), { a: S('list.object') }],
        new Unknown(),
        { error: failed('error') },
        { object: 'error', message: S('object.error') },
        { status: 'failed', detail: S('status.failed') },
        { throttlingException: failed('throttlingException') },
        { code: 'X', message: S('code.message') },
        { detail: S('detail'), errors: [{ message: S('errors') }] },
        { base_resp: { status_code: 1004, status_msg: S('base_resp') } },
        { event: 'trace', data: { input: S('trace') }, session: 's' },
        { lc: 1, type: 'constructor', id: ['HumanMessage'], kwargs: { content: S('kwargs') } },
        { type: 'constructor', kwargs: { prompt: S('prompt') } },
        { 0: { prompt: S('index') } },
        Object.create(null, { prompt: { value: S('own'), enumerable: true } }),
      ]
      for (const object of objects) {
        expect(secretsIn(await told([...begun(shape), object, shape.chunks.at(-1)], options))).toEqual([])
      }
    })
  })

  it.each<[string, unknown]>([
    ['an instance of an unknown class', new Unknown()],
    ['an error', thrown()],
    ['an error part', { type: 'error', error: thrown() }],
    ['an error part of words', { type: 'error', error: failed('part') }],
    ['a failure as an object', { error: failed('alone') }],
    ['a failure in words', { error: S('words') }],
    ['an object that says it is an error', { object: 'error', ...failed('object') }],
    ['an event of a failure', { type: 'run.failed', message: S('type'), ...around('type') }],
    ['a result of a tool', { type: 'tool-result', id: 'c', name: 'weather', output: S('tool-result') }],
    ['an exception of AWS', { throttlingException: failed('aws') }],
    ['an event of Assistants', { event: 'thread.run.created', data: { object: 'thread.run', instructions: S('run') } }],
  ])('%s, at the beginning or after text, tells nothing', async (_, chunk) => {
    const plain: RelayOptions = { protocol }
    expect(secretsIn(await told([chunk], plain))).toEqual([])
    expect(secretsIn(await told(['Hello ', chunk], plain))).toEqual([])
    expect(secretsIn(await told([chunk, 'Hello '], plain))).toEqual([])
  })

  it('an error that is thrown tells nothing, before the answer, in it and after it', async () => {
    const plain: RelayOptions = { protocol }
    for (const chunks of [
      [],
      ['Hello '],
      [
        { type: 'text', text: 'Hello ' },
        { type: 'finish', reason: 'stop' },
      ],
    ]) {
      for (const error of [
        thrown(),
        S('string'),
        failed('object'),
        new Unknown(),
        new AggregateError([thrown()], S('all')),
      ])
        expect(secretsIn(await told(thenThrows(chunks, error), plain))).toEqual([])
    }
    const failing = () => Promise.reject(thrown())
    expect(secretsIn(await told(failing as never, plain))).toEqual([])
  })
})
