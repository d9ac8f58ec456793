import fc from 'fast-check'
import { DONE, encodeComment, encodeEvent, isRelayError, RelayError, type ServerSentEvent } from 'sse-relay'
import { describe, expect, it } from 'vitest'
import { encodeRetry } from '../../src/encode.js'
import { runs } from '../arbitrary.js'

describe('encodeEvent', () => {
  it.each<[ServerSentEvent, string]>([
    [{ data: 'hello' }, 'data: hello\n\n'],
    [{ data: '' }, 'data: \n\n'],
    [{ data: ' hello ' }, 'data:  hello \n\n'],
    [{ data: DONE }, 'data: [DONE]\n\n'],
    [{ data: 'a\nb' }, 'data: a\ndata: b\n\n'],
    [{ data: 'a\rb' }, 'data: a\ndata: b\n\n'],
    [{ data: 'a\r\nb' }, 'data: a\ndata: b\n\n'],
    [{ data: 'a\n\rb' }, 'data: a\ndata: \ndata: b\n\n'],
    [{ data: '\n' }, 'data: \ndata: \n\n'],
    [{ data: 'a\n\n' }, 'data: a\ndata: \ndata: \n\n'],
    [{ data: 'a\rid: 7\revent: x' }, 'data: a\ndata: id: 7\ndata: event: x\n\n'],
    [{ data: '\u0085\u2028\u2029\v\f\0' }, 'data: \u0085\u2028\u2029\v\f\0\n\n'],
    [{ data: '$& $1 $$\n$`' }, 'data: $& $1 $$\ndata: $`\n\n'],
    [{ event: 'a', data: '1', id: 'b', retry: 3 }, 'event: a\nid: b\nretry: 3\ndata: 1\n\n'],
    [{ event: '', data: '1', id: '', retry: 0 }, 'event: \nid: \nretry: 0\ndata: 1\n\n'],
    [{ event: ' a: b', data: '1', id: ' …' }, 'event:  a: b\nid:  …\ndata: 1\n\n'],
    [{ event: undefined, data: '1', id: undefined, retry: undefined }, 'data: 1\n\n'],
    [{ event: 'a\0', data: '1' }, 'event: a\0\ndata: 1\n\n'],
    [{ data: '1', retry: Number.MAX_SAFE_INTEGER }, 'retry: 9007199254740991\ndata: 1\n\n'],
    [{ data: '1', retry: -0 }, 'retry: 0\ndata: 1\n\n'],
  ])('encodes %o', (event, frame) => {
    expect(encodeEvent(event)).toBe(frame)
  })

  it('leaves the event as it was', () => {
    const event = Object.freeze({ event: 'a', data: 'b\nc', id: 'd', retry: 1 })
    encodeEvent(event)
    expect(event).toEqual({ event: 'a', data: 'b\nc', id: 'd', retry: 1 })
  })

  it.each<[string, unknown, string]>([
    ['event', { event: 'a\nb', data: '' }, '"a\\nb"'],
    ['event', { event: 'a\r', data: '' }, '"a\\r"'],
    ['event', { event: 'a\r\ndata: x', data: '' }, '"a\\r\\ndata: x"'],
    ['event', { event: 1, data: '' }, '1 (number)'],
    ['event', { event: null, data: '' }, 'null'],
    ['id', { data: '', id: '\n' }, '"\\n"'],
    ['id', { data: '', id: '\r' }, '"\\r"'],
    ['id', { data: '', id: 'a\0b' }, '"a\\u0000b"'],
    ['id', { data: '', id: 7 }, '7 (number)'],
    ['id', { data: '', id: {} }, 'object'],
    ['retry', { data: '', retry: -1 }, '-1'],
    ['retry', { data: '', retry: 1.5 }, '1.5'],
    ['retry', { data: '', retry: Number.NaN }, 'NaN'],
    ['retry', { data: '', retry: Number.POSITIVE_INFINITY }, 'Infinity'],
    ['retry', { data: '', retry: 2 ** 53 }, '9007199254740992'],
    ['retry', { data: '', retry: '1' }, '"1" (string)'],
    ['retry', { data: '', retry: 1n }, '1 (bigint)'],
    ['data', {}, 'undefined'],
    ['data', { data: null }, 'null'],
    ['data', { data: 1 }, '1 (number)'],
    ['data', { data: { a: 1 } }, 'JSON.stringify'],
    ['data', { data: Symbol('a') }, 'Symbol(a)'],
    ['data', { data: Object.create(null) }, 'object'],
  ])('refuses the %s of %o, naming it', (name, event, shown) => {
    expect(() => encodeEvent(event as ServerSentEvent)).toThrow(
      expect.objectContaining({
        name: 'RelayError',
        code: 'invalid-field',
        message: expect.stringMatching(new RegExp(`^${name} cannot be `)),
      }),
    )
    expect(() => encodeEvent(event as ServerSentEvent)).toThrow(shown)
  })

  it('says no more of a long value than is needed', () => {
    expect(() => encodeEvent({ event: `${'x'.repeat(10_000)}\n`, data: '' })).toThrow(/^.{0,250}$/s)
  })

  it('refuses anything else as a field with invalid-field', () => {
    const anything = fc.anything({ withBigInt: true, withNullPrototype: true, withDate: true, withMap: true })
    fc.assert(
      fc.property(
        fc.record({ event: anything, data: anything, id: anything, retry: anything }, { requiredKeys: [] }),
        (event) => {
          try {
            expect(encodeEvent(event as never)).toMatch(/^(event: .*\n)?(id: .*\n)?(retry: \d+\n)?(data: .*\n)+\n$/)
          } catch (error) {
            if (!isRelayError(error)) throw error
            expect(error.code).toBe('invalid-field')
          }
        },
      ),
      runs(2000),
    )
  })
})

describe('encodeComment', () => {
  it.each([
    [undefined, ': \n'],
    ['', ': \n'],
    ['ping', ': ping\n'],
    ['a\nb\rc\r\nd', ': a\n: b\n: c\n: d\n'],
    ['a\n\ndata: 1\n\n', ': a\n: \n: data: 1\n: \n: \n'],
  ])('encodes %j', (text, comment) => {
    expect(encodeComment(text)).toBe(comment)
  })

  it.each([null, 1, {}, Symbol('a'), Object.create(null)])('refuses %o', (text) => {
    expect(() => encodeComment(text as never)).toThrow(expect.objectContaining({ code: 'invalid-field' }))
  })
})

describe('encodeRetry', () => {
  it('is a line without a blank one: a part of the event that follows', () => {
    expect(encodeRetry(0)).toBe('retry: 0\n')
    expect(encodeRetry(3000)).toBe('retry: 3000\n')
  })
})

describe('RelayError', () => {
  it('has a code, a message and what else is given', () => {
    const cause = new Error('why')
    const error = new RelayError('http-status', 'No', { status: 503, retryable: true, body: 'b', cause })
    expect(error).toBeInstanceOf(Error)
    expect({ ...error }).toEqual({ name: 'RelayError', code: 'http-status', retryable: true, status: 503, body: 'b' })
    expect(error).toMatchObject({ message: 'No', cause })
    expect(String(error)).toBe('RelayError: No')
  })

  it('is not retryable, and has no cause, unless it says so', () => {
    const error = new RelayError('my-code', 'No')
    expect({ ...error }).toEqual({ name: 'RelayError', code: 'my-code', retryable: false })
    expect('cause' in error).toBe(false)
  })

  it('is known by isRelayError, from another copy of the package too', () => {
    class Copy extends Error {
      override name = 'RelayError'
      code = 'truncated'
    }
    expect([new RelayError('internal', ''), new Copy()].map(isRelayError)).toEqual([true, true])
    const strangers = [new Error(''), { name: 'RelayError', code: 'a' }, null, undefined, 'RelayError']
    expect(strangers.map(isRelayError)).toEqual(strangers.map(() => false))
    expect(isRelayError(Object.assign(new Error(''), { name: 'RelayError' }))).toBe(false)
  })
})
