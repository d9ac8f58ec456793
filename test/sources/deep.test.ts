// What becomes of a chunk that is nested deeper than any stack?
import type { Source } from 'sse-relay'
import { parts, raw } from 'sse-relay/protocols'
import { relay } from 'sse-relay/web'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { shapes } from './every-shape.js'

beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {})
})
afterEach(() => vi.restoreAllMocks())

const made = new Map<string | undefined, object>()

/** Objects within objects under the key, or lists within lists. */
function deep(key?: string): object {
  const known = made.get(key)
  if (known) return known
  let value: object = {}
  for (let depth = 0; depth < 20_000; depth++) value = key === undefined ? [value] : { [key]: value }
  made.set(key, value)
  return value
}

/** The code that the reader is told, if any. */
async function codeOf(source: Source, protocol = parts()): Promise<string | undefined> {
  const response = await relay(new Request('http://x/'), source, { protocol, toolResults: true, onError() {} })
  return /"code":"([a-z-]+)"/.exec(await response.text())?.[1]
}

const hello = { id: 'c', choices: [{ index: 0, delta: { content: 'Hello' }, finish_reason: null }] }
const end = { id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }

/** As an upstream would have it: what is deep is too deep for `JSON.stringify`. */
const nested = (key: string) => `${`{"${key}":`.repeat(20_000)}{}${'}'.repeat(20_000)}`
const stream = (...events: string[]) =>
  new Response(events.map((event) => `data: ${event}\n\n`).join(''), {
    headers: { 'content-type': 'text/event-stream' },
  })

describe('a chunk that is nested deeper than any stack', () => {
  it.each(Object.entries(shapes))('is no fault of this server, amid %s', async (_, { chunks }) => {
    const codes = new Set<string | undefined>()
    const tried = new Set<string>()
    for (const [at, chunk] of chunks.entries()) {
      for (const key of Array.isArray(chunk) ? [] : Object.keys(chunk as object)) {
        if (tried.has(key)) continue
        tried.add(key)
        for (const value of [deep(key), deep()]) {
          const changed = Object.assign(Object.create(Object.getPrototypeOf(chunk)), chunk, { [key]: value })
          const source = [...chunks.slice(0, at), changed, ...chunks.slice(at + 1)]
          codes.add(await codeOf(source)).add(await codeOf(source, raw()))
        }
      }
    }
    expect([...codes]).not.toContain('internal')
  })

  it.each(['event', 'result', 'jsonrpc', 'choices', 'usage', 'details', 'code', 'error', 'type', 'data'])(
    'is left out of an event stream, or a failure of its provider: %s',
    async (key) => {
      const [first, last] = [JSON.stringify(hello), JSON.stringify(end)]
      for (const source of [stream(first, nested(key), last), stream(nested(key), first, last)])
        expect([undefined, 'upstream-failure', 'truncated']).toContain(await codeOf(source))
    },
  )

  it('is a failure of its provider where it is what a client is to get', async () => {
    const cited = { id: 'c', choices: [{ index: 0, delta: { annotations: [{ url_citation: deep('url') }] } }] }
    expect(await codeOf([hello, cited, end])).toBe('upstream-failure')
    expect(await codeOf([hello, cited, end], raw())).toBe('upstream-failure')
  })
})
