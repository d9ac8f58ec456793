import fc from 'fast-check'
import { encodeComment, encodeEvent, type ServerSentEvent } from 'sse-relay'
import { createParser, type ParsedEvent, parseSSE } from 'sse-relay/client'
import { describe, expect, it } from 'vitest'
import { runs, unit } from '../arbitrary.js'

const character = fc.oneof(
  {
    arbitrary: fc.constantFrom(
      '\n',
      '\r',
      '\r\n',
      ' ',
      ':',
      '\0',
      '\ufeff',
      '\u2028',
      '\u0085',
      'data: ',
      'id:',
      'event',
    ),
    weight: 3,
  },
  fc.string({ unit, minLength: 1, maxLength: 3 }),
  // Half a character is text too, as long as it stays text.
  fc.constantFrom('\ud83d', '\ude80'),
)
const text = fc.array(character, { maxLength: 12 }).map((characters) => characters.join(''))
const line = text.map((text) => text.replace(/[\r\n]/g, ''))

/** Every event that `encodeEvent` accepts. */
const event = fc.record(
  {
    data: text,
    event: fc.oneof(line, fc.constantFrom('', 'message', 'error', '__proto__')),
    id: line.map((line) => line.replaceAll('\0', '')),
    retry: fc.maxSafeNat(),
  },
  { requiredKeys: ['data'] },
)

/** The event as a parser gives it back. */
function parsed({ event, data, id }: ServerSentEvent): ParsedEvent {
  return {
    data: data.replace(/\r\n|\r/g, '\n'),
    ...(event && { event }),
    ...(id !== undefined && { id }),
  }
}

const retriesOf = (events: ServerSentEvent[]) => events.map(({ retry }) => retry).filter((retry) => retry !== undefined)
const lastIdOf = (events: ServerSentEvent[]) => events.findLast(({ id }) => id !== undefined)?.id ?? ''

/** Cuts at the given thousandths of the length, or everywhere. */
const cuts = fc.oneof(fc.array(fc.nat(1000), { maxLength: 10 }), fc.constant('each' as const))

function slice<T extends string | Uint8Array>(whole: T, cuts: number[] | 'each'): T[] {
  const { length } = whole
  const places =
    cuts === 'each' ? Array.from({ length }, (_, index) => index) : cuts.map((cut) => Math.round((cut * length) / 1000))
  const sorted = [0, ...places.sort((a, b) => a - b), length]
  return sorted.slice(1).map((end, index) => whole.slice(sorted[index], end) as T)
}

describe('parse(encode(events)) = events', () => {
  it('as text, however it is cut, with comments anywhere between', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(event, fc.option(text)), { maxLength: 6 }), cuts, (pairs, cuts) => {
        const events = pairs.map(([event]) => event)
        const stream = pairs
          .map(([event, comment]) => (comment === null ? '' : encodeComment(comment)) + encodeEvent(event))
          .join('')
        const seen: ParsedEvent[] = []
        const comments: string[] = []
        const retries: number[] = []
        const parser = createParser({
          onEvent: (event) => seen.push(event),
          onComment: (comment) => comments.push(comment),
          onRetry: (retry) => retries.push(retry),
        })
        for (const chunk of slice(stream, cuts)) parser.feed(chunk)
        expect(seen).toEqual(events.map(parsed))
        expect(retries).toEqual(retriesOf(events))
        expect(comments).toEqual(pairs.flatMap(([, comment]) => comment?.split(/\r\n|\r|\n/) ?? []))
        expect(parser.lastEventId).toBe(lastIdOf(events))
        expect(parser.end()).toBe('')
      }),
      runs(2000),
    )
  })

  it('as bytes, however they are cut', async () => {
    // UTF-8 has no half characters.
    const whole = (text: string) => text.replace(/\p{Surrogate}/gu, '?')
    const wellFormed = event.map(
      ({ event, data, id, ...rest }): ServerSentEvent => ({
        ...rest,
        data: whole(data),
        ...(event !== undefined && { event: whole(event) }),
        ...(id !== undefined && { id: whole(id) }),
      }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(wellFormed, { maxLength: 4 }), cuts, async (events, cuts) => {
        const chunks = slice(new TextEncoder().encode(events.map(encodeEvent).join('')), cuts)
        const retries: number[] = []
        const stream = parseSSE(iterate(chunks), { sentinel: false, onRetry: (retry) => retries.push(retry) })
        const seen: ParsedEvent[] = []
        for await (const event of stream) seen.push(event)
        expect(seen).toEqual(events.map(parsed))
        expect(retries).toEqual(retriesOf(events))
        expect(stream.lastEventId).toBe(lastIdOf(events))
      }),
      runs(1000),
    )
  })

  it('an event is one block: nothing in its data begins another', () => {
    fc.assert(
      fc.property(event, (event) => {
        const frame = encodeEvent(event)
        expect(frame.split('\n\n')).toHaveLength(2)
        expect(frame).toMatch(/\n\n$/)
        expect(frame).not.toContain('\r')
      }),
      runs(1000),
    )
  })
})

async function* iterate<T>(values: Iterable<T>): AsyncGenerator<T> {
  yield* values
}
