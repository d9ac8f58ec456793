import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { text } from 'node:stream/consumers'
import Anthropic from '@anthropic-ai/sdk'
import { EventSource } from 'eventsource'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import OpenAI from 'openai'
import { parseSSE } from 'sse-relay/client'
import { relay } from 'sse-relay/node'
import { raw } from 'sse-relay/protocols'
import { type ReplayUpstream, replayUpstream } from 'sse-relay/testing'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Heard, hearEventSource } from './browsers/consumers.js'
import { browsers, bundle, isSkipped, titleOf } from './browsers/engines.js'

// Browsers take their time to start, and the machine may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

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
const seenBy = (name: string): Seen => {
  const found = seen.get(name) ?? { runs: 0, answers: [] }
  seen.set(name, found)
  return found
}

let upstream: ReplayUpstream
let url: string
const reports = new Map<string, { promise: Promise<string>; resolve(body: string): void }>()
function report(place: string) {
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
const files = new Map<string, { type: string; content: string }>()
const gates = new Map<string, Promise<void>>()

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
  upstream = await replayUpstream()
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
    } else if (pathname.startsWith('/v1/')) {
      await relay(req, res, ({ signal }) => fetch(upstream.url + pathname, { method: 'POST', body, signal }), {
        ...quiet,
        protocol: raw(),
      })
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
    return upstream.close()
  })
})
const cleanups: (() => unknown)[] = []
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
function expectHeard(heard: Heard[], end: string, endId: unknown = expect.stringMatching(END_ID)): void {
  expect(heard.slice(0, -1)).toEqual(MESSAGES)
  const last = heard.at(-1)
  if (end === 'done') expect(last).toEqual({ event: 'message', data: '[DONE]', id: endId })
  else {
    expect(last).toEqual({ event: 'error', data: expect.any(String), id: endId })
    expect(JSON.parse(last?.data ?? '')).toEqual(FAILURE)
  }
}

/** Asked twice, answered once: the second time there is nothing more. */
function expectOneRun(name: string): void {
  expect(seenBy(name)).toEqual({
    runs: 1,
    answers: [
      { status: 200, lastEventId: undefined },
      { status: 204, lastEventId: expect.stringMatching(END_ID) },
    ],
  })
}

const ENDS = ['done', 'error']

interface Reported {
  error?: string
  eventSource?: Record<string, Heard[]>
  fetchEventSource?: Record<string, Heard[]>
}

describe.each(browsers.map((engine) => [titleOf(engine), engine] as const))('a page in %s', (_, engine) => {
  const place = engine.name.toLowerCase()
  let told: Reported
  beforeAll(async () => {
    if (isSkipped(engine)) return
    files.set(`/${place}.js`, {
      type: 'text/javascript',
      content: `globalThis.PLACE = '${place}';${await bundle('./consumers-entry.ts')}`,
    })
    files.set(`/${place}`, {
      type: 'text/html',
      content: `<!doctype html><meta charset="utf-8"><script src="/${place}.js"></script>`,
    })
    const opened = await engine.open(`${url}/${place}`)
    try {
      told = JSON.parse(await Promise.race([report(place).promise, opened.ended]))
    } finally {
      await opened.close()
    }
  })

  describe.skipIf(isSkipped(engine)).each(ENDS)('and an answer that ends with %s', (end) => {
    it('is heard whole by EventSource, and its source does not run again', () => {
      expect(told.error).toBeUndefined()
      expectHeard(told.eventSource?.[end] ?? [], end)
      expectOneRun(`${place}-event-source-${end}`)
    })

    it('is heard whole by @microsoft/fetch-event-source', () => {
      const messages = told.fetchEventSource?.[end] ?? []
      // Its ids are those of each message, and the default type has no name.
      const heard = messages.map(({ event, data, id }) => ({ event: event || 'message', data, id }))
      expect(heard.map(({ id }) => id)).toEqual(['', 'é-1', '', '', ''])
      let id = ''
      const ids = heard.map((message) => {
        id = message.id || id
        return { ...message, id }
      })
      expectHeard(ids, end, 'é-1')
      expect(seenBy(`${place}-fetch-event-source-${end}`)).toMatchObject({ runs: 1, answers: [{ status: 200 }] })
    })
  })
})

describe('the package eventsource', () => {
  it.each(ENDS)('hears every event, and does not run the source again: %s', async (end) => {
    const name = `eventsource-${end}`
    expectHeard(await hearEventSource(new EventSource(`${url}/answer?end=${end}&by=${name}`)), end)
    expectOneRun(name)
  })
})

describe("eventsource-parser's stream", () => {
  it.each(ENDS)('gives every event: %s', async (end) => {
    const onComment = vi.fn()
    const { body } = await fetch(`${url}/answer?end=${end}`, { method: 'POST' })
    const heard: Heard[] = []
    const events = body
      ?.pipeThrough(new TextDecoderStream() as never)
      .pipeThrough(new EventSourceParserStream({ onComment }) as never)
    let id = ''
    for await (const message of events as unknown as AsyncIterable<{ event?: string; data: string; id?: string }>) {
      id = message.id ?? id
      heard.push({ event: message.event ?? 'message', data: message.data, id })
    }
    // An EventSource is told by an id that there is nothing more; nobody else needs one.
    expectHeard(heard, end, 'é-1')
    expect(onComment).toHaveBeenCalled()
  })
})

describe('the OpenAI client', () => {
  const ask = (baseURL: string) =>
    new OpenAI({ apiKey: 'test', baseURL: `${baseURL}/v1`, maxRetries: 0 }).chat.completions.create({
      model: 'm',
      messages: [{ role: 'user', content: 'Hi' }],
      stream: true,
    })

  it.each(['openai-chat-text.sse', 'openai-chat-tool-call.sse', 'openai-chat-usage.sse'])(
    'reads from us what it reads from the provider: %s',
    async (trace) => {
      upstream.always({ trace })
      const direct = await all(await ask(upstream.url))
      upstream.always({ trace, pauseMs: 25 })
      expect(await all(await ask(url))).toEqual(direct)
      expect(direct.length).toBeGreaterThan(2)
    },
  )

  it.each(['openai-chat-error-midstream.sse', 'openai-chat-truncated-no-done.sse'])(
    'throws when the provider failed: %s',
    async (trace) => {
      upstream.always({ trace, pauseMs: 25 })
      await expect(ask(url).then(all)).rejects.toBeInstanceOf(OpenAI.APIError)
    },
  )

  it('throws with the status when the provider refused', async () => {
    upstream.always({ status: 429 })
    await expect(ask(url).then(all)).rejects.toMatchObject({ status: 429, code: 'rate-limit' })
  })
})

describe('the Anthropic client', () => {
  const ask = (baseURL: string) =>
    new Anthropic({ apiKey: 'test', baseURL, maxRetries: 0 }).messages.create({
      model: 'm',
      max_tokens: 1,
      messages: [{ role: 'user', content: 'Hi' }],
      stream: true,
    })

  it.each(['anthropic-text.sse', 'anthropic-thinking.sse', 'anthropic-tool-use.sse'])(
    'reads from us what it reads from the provider: %s',
    async (trace) => {
      upstream.always({ trace })
      const direct = await all(await ask(upstream.url))
      upstream.always({ trace, pauseMs: 25 })
      expect(await all(await ask(url))).toEqual(direct)
      expect(direct.length).toBeGreaterThan(2)
    },
  )

  it.each(['anthropic-error-overloaded.sse', 'anthropic-truncated.sse'])(
    'throws when the provider failed: %s',
    async (trace) => {
      upstream.always({ trace, pauseMs: 25 })
      await expect(ask(url).then(all)).rejects.toBeInstanceOf(Anthropic.APIError)
    },
  )

  it('throws with the status when the provider refused', async () => {
    upstream.always({ status: 429 })
    await expect(ask(url).then(all)).rejects.toBeInstanceOf(Anthropic.RateLimitError)
  })
})

/** A program of this machine; what needs it is skipped without it, but for CI, where it fails. */
function program(name: string, paths: string[] = []): { title: string; isSkipped: boolean } {
  const isThere =
    paths.every((path) => existsSync(path)) &&
    (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, name)))
  const skipped = !isThere && !process.env.CI
  return { title: skipped ? `${name} (skipped: install ${[name, ...paths].join(' and ')})` : name, isSkipped: skipped }
}

/** Runs it, with what it has printed so far. */
function run(command: string, args: string[], env: Record<string, string> = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const printed = { output: '', errors: '' }
  child.stdout.on('data', (bytes) => {
    printed.output += bytes
  })
  child.stderr.on('data', (bytes) => {
    printed.errors += bytes
  })
  const exit = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  cleanups.push(() => child.exitCode !== null || child.kill('SIGKILL'))
  return { printed, exit }
}

const curl = program('curl')
describe.skipIf(curl.isSkipped)(curl.title, () => {
  it.each(ENDS)('-N prints each token when it comes, and ends well: %s', async (end) => {
    const name = `curl-${end}`
    let go!: () => void
    gates.set(
      name,
      new Promise((resolve) => {
        go = resolve
      }),
    )
    const { printed, exit } = run('curl', ['-N', '-sS', `${url}/answer?end=${end}&by=${name}`])
    await vi.waitFor(() => expect(printed.output).toContain('two\n\n'), { timeout: 20_000 })
    // Heartbeats as well, while the model thinks.
    await vi.waitFor(() => expect(printed.output).toMatch(/\n:/), { timeout: 20_000 })
    expect(printed.output).not.toContain('日本')
    go()
    expect(await exit).toBe(0)
    expect(printed.errors).toBe('')
    const heard: Heard[] = []
    const events = parseSSE(printed.output, { sentinel: false })
    for await (const { event = 'message', data } of events) heard.push({ event, data, id: events.lastEventId })
    // It accepts anything, and so is no EventSource.
    expectHeard(heard, end, 'é-1')
    expect(seenBy(name)).toMatchObject({ runs: 1 })
  })
})

const GOPATH = '/usr/share/gocode'
const go = program('go', [`${GOPATH}/src/github.com/donovanhide/eventsource`])
describe.skipIf(go.isSkipped)(`${go.title}: donovanhide/eventsource`, () => {
  const source = `package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/donovanhide/eventsource"
)

func main() {
	stream, err := eventsource.Subscribe(os.Args[1], "")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		select {
		case event := <-stream.Events:
			line, _ := json.Marshal(map[string]string{"event": event.Event(), "data": event.Data(), "id": event.Id()})
			fmt.Println(string(line))
		case err := <-stream.Errors:
			// It reconnects for ever: what the second answer is, is the last that is looked at.
			if refused, ok := err.(eventsource.SubscriptionError); ok {
				fmt.Println(refused.Code)
				return
			}
		}
	}
}
`

  it.each(ENDS)('hears every event, and does not run the source again: %s', async (end) => {
    const folder = mkdtempSync(join(tmpdir(), 'sse-relay-'))
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
    const file = join(folder, 'main.go')
    writeFileSync(file, source)
    const name = `go-${end}`
    const address = `${url}/answer?end=${end}&by=${name}`
    const { printed, exit } = run('go', ['run', file, address], { GO111MODULE: 'off', GOPATH, GOFLAGS: '' })
    expect(await exit, printed.errors + printed.output).toBe(0)
    const lines = printed.output.trim().split('\n')
    expect(lines.pop()).toBe('204')
    let id = ''
    const heard = lines.map((line): Heard => {
      const message = JSON.parse(line) as Heard
      id = message.id || id
      return { event: message.event || 'message', data: message.data, id }
    })
    expectHeard(heard, end)
    expectOneRun(name)
  })
})

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const seen: T[] = []
  for await (const value of values) seen.push(value)
  return seen
}
