// The server that clients of other people ask, and what each is to hear of it.
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { relay } from 'sse-relay/node'
import { afterAll, beforeAll, expect } from 'vitest'
import type { Heard } from './browsers/consumers.js'

/** What the server saw of one reader. */
interface Seen {
  /** How often the source ran: how often it would have been paid for. */
  runs: number
  /** The status of each answer, and the last event id it was asked with. */
  answers: { status: number; lastEventId: string | undefined }[]
}

/** What every reader is to be told: the ids of the end are those of the run. */
const MESSAGES: Heard[] = [
  { event: 'message', data: '{"text":"The"}', id: '' },
  { event: 'citation', data: '{"page":1}', id: 'é-1' },
  { event: 'message', data: 'one\n\ntwo', id: 'é-1' },
  { event: 'message', data: '{"text":" 日本\\n🚀"}', id: 'é-1' },
]
const END_ID = /^[\w-]{16,128}:end$/
const FAILURE = { error: { code: 'overload', message: expect.any(String), retryable: true } }

const seen = new Map<string, Seen>()
export const seenBy = (name: string): Seen => {
  const found = seen.get(name) ?? { runs: 0, answers: [] }
  seen.set(name, found)
  return found
}

export let url: string
const reports = new Map<string, { promise: Promise<string>; resolve(body: string): void }>()
export function report(place: string) {
  const found = reports.get(place)
  if (found) return found
  let resolve!: (body: string) => void
  const promise = new Promise<string>((resolved) => {
    resolve = resolved
  })
  const made = { promise, resolve }
  reports.set(place, made)
  return made
}
export const files = new Map<string, { type: string; content: string }>()
export const gates = new Map<string, Promise<void>>()

/** The answer: text, an event of its own with an id, line breaks, silence long enough for heartbeats, and an end. */
async function* answer(end: string | null, gate: Promise<void> | undefined) {
  yield 'The'
  yield { event: 'citation', data: { page: 1 }, id: 'é-1' }
  yield { data: 'one\r\n\ntwo' }
  await (gate ?? new Promise((resolve) => setTimeout(resolve, 120)))
  yield ' 日本\n🚀'
  if (end === 'error') throw Object.assign(new Error('a secret'), { status: 529 })
}

beforeAll(async () => {
  const quiet = { heartbeatMs: 20, retryMs: 30, onError: () => {} }
  const server = createServer(async (req, res) => {
    res.on('error', () => {})
    const { pathname, searchParams } = new URL(req.url ?? '/', 'http://localhost')
    const body = await text(req).catch(() => '')
    if (pathname === '/answer') {
      const name = searchParams.get('by') ?? ''
      const mine = seenBy(name)
      const id = req.headers['last-event-id']
      // Noted when the head is written: by then the status is known.
      noteStatus(res, (status) => mine.answers.push({ status, lastEventId: id === undefined ? undefined : String(id) }))
      await relay(
        req,
        res,
        () => {
          mine.runs++
          return answer(searchParams.get('end'), gates.get(name))
        },
        quiet,
      )
    } else if (pathname === '/report') {
      report(searchParams.get('by') ?? '').resolve(body)
      res.end()
    } else {
      const file = files.get(pathname)
      res.writeHead(file ? 200 : 404, { 'content-type': file?.type ?? 'text/plain' }).end(file?.content)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  cleanups.push(() => {
    server.close()
    server.closeAllConnections()
  })
})
export const cleanups: (() => unknown)[] = []
afterAll(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function noteStatus(res: ServerResponse, note: (status: number) => void): void {
  const writeHead = res.writeHead.bind(res) as (...args: unknown[]) => ServerResponse
  res.writeHead = ((status: number, ...args: unknown[]) => {
    note(status)
    return writeHead(status, ...args)
  }) as typeof res.writeHead
}

/** All messages and the end, as the kind of end has it. */
export function expectHeard(heard: Heard[], end: string, endId: unknown = expect.stringMatching(END_ID)): void {
  expect(heard.slice(0, -1)).toEqual(MESSAGES)
  const last = heard.at(-1)
  if (end === 'done') expect(last).toEqual({ event: 'message', data: '[DONE]', id: endId })
  else {
    expect(last).toEqual({ event: 'error', data: expect.any(String), id: endId })
    expect(JSON.parse(last?.data ?? '')).toEqual(FAILURE)
  }
}

/** Asked twice, answered once: the second time there is nothing more. */
export function expectOneRun(name: string): void {
  expect(seenBy(name)).toEqual({
    runs: 1,
    answers: [
      { status: 200, lastEventId: undefined },
      { status: 204, lastEventId: expect.stringMatching(END_ID) },
    ],
  })
}

export const ENDS = ['done', 'error']
