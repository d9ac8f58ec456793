/** `useRelay` where it is used: in a page in Chromium, with the React of development under StrictMode, and a server. */
import { existsSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import type { Part, Source, Summary, ToolCallPart } from 'sse-relay'
import type { WirePart } from 'sse-relay/client'
import { createMemoryLog } from 'sse-relay/log'
import { type RelayOptions, relay, resume } from 'sse-relay/node'
import { parts } from 'sse-relay/protocols'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ChatProps, Screen } from './react-page.js'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const executablePath = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (path) => path && existsSync(path),
)

/** The page's script. With `SRC` set it is of the source, as the tests themselves are. */
async function bundle(): Promise<string> {
  // The builder's own copy, as in `scripts/sizes.mjs`.
  const require = createRequire(createRequire(import.meta.url).resolve('tsup'))
  const { build } = require('esbuild') as typeof import('esbuild')
  const file = (path: string) => fileURLToPath(new URL(`../../src/${path}`, import.meta.url))
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('react-page.tsx', import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    jsx: 'automatic',
    // Without the paths of this repository's tsconfig, which lead to the source.
    tsconfigRaw: {},
    define: { 'process.env.NODE_ENV': '"development"' },
    alias: process.env.SRC
      ? { 'sse-relay/react': file('client/react.ts'), 'sse-relay/client': file('client/index.ts') }
      : {},
  })
  return outputFiles?.[0]?.text as string
}

interface Asked {
  method: string
  body: string
  contentType: string | undefined
  /** How the relay ended; nothing for a request that was answered without one. */
  summary: Promise<Summary | undefined>
}

type MemoryLog = ReturnType<typeof createMemoryLog>

interface PromiseWithResolversLike {
  promise: Promise<void>
  resolve(): void
}

function withResolvers(): PromiseWithResolversLike {
  let resolve = () => {}
  const promise = new Promise<void>((resolved) => {
    resolve = resolved
  })
  return { promise, resolve }
}

type Handler = (req: IncomingMessage, res: ServerResponse) => unknown

const HTML =
  '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/page.js"></script>'

describe('useRelay in a page', () => {
  let server: Server
  let browser: Browser
  let page: Page
  let url: string
  let handler: Handler
  let asked: Asked[]
  /** How many pages were opened: each test has one of its own, and only its requests are counted. */
  let visit = 0
  let pageErrors: string[]

  beforeAll(async () => {
    if (!executablePath && !process.env.CI) return
    const script = await bundle()
    server = createServer(async (req, res) => {
      if (req.url?.startsWith('/?')) res.setHeader('content-type', 'text/html').end(HTML)
      else if (req.url === '/page.js') res.setHeader('content-type', 'text/javascript').end(script)
      // A request of the page before that comes late: nobody waits for its answer.
      else if (!req.headers.referer?.endsWith(`/?${visit}`)) res.destroy()
      else {
        const body = await textOf(req)
        const summary = Promise.resolve(handler(req, res)) as Promise<Summary | undefined>
        asked.push({ method: `${req.method} ${req.url}`, body, contentType: req.headers['content-type'], summary })
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    browser = await chromium.launch({ executablePath })
    page = await browser.newPage()
    page.on('pageerror', (error) => pageErrors.push(String(error)))
  })

  afterAll(async () => {
    await browser?.close()
    server?.closeAllConnections()
    server?.close()
  })

  beforeEach(async ({ skip }) => {
    skip(!executablePath && !process.env.CI, 'There is no Chromium: install it, or set CHROMIUM_PATH')
    asked = []
    pageErrors = []
    visit++
    await page.goto(`${url}/?${visit}`)
  })

  afterEach(() => expect(pageErrors).toEqual([]))

  /** What the server answers with from now on. */
  const answer = (source: Source, options: RelayOptions = {}) => {
    handler = (req, res) => relay(req, res, source, { onError() {}, ...options })
  }
  /** Resolves when the effects have run, twice at first. */
  const show = async (props: Omit<ChatProps, 'url'> = {}) => {
    const { effects } = await counts()
    await page.evaluate((props) => window.chat.show(props), { url: '/api/chat', ...props })
    if (effects === 0) await page.waitForFunction(() => window.chat.counts().effects === 2, undefined, { polling: 10 })
  }
  const send = (body?: unknown) => page.evaluate((body) => window.chat.send(body), body)
  const stop = () => page.evaluate(() => window.chat.stop())
  const counts = () => page.evaluate(() => window.chat.counts())
  const told = () => page.evaluate(() => window.chat.told)
  const seen = () => page.evaluate(() => window.chat.seen)
  const statuses = async () =>
    (await seen()).map(({ status }) => status).filter((status, i, all) => status !== all[i - 1])

  /** The screen when it first shows this. */
  async function until(due: Partial<Pick<Screen, 'status' | 'text'>>): Promise<Screen> {
    const found = await page.waitForFunction(
      (due) => {
        const last = window.chat.seen.at(-1)
        return last && (due.status ?? last.status) === last.status && last.text.startsWith(due.text ?? '') && last
      },
      due,
      { polling: 10 },
    )
    return (await found.jsonValue()) as Screen
  }

  /** The request with this index, once it has come. */
  const request = (index = 0) => vi.waitFor(() => asked[index] ?? Promise.reject(), { timeout: 30_000, interval: 5 })

  /** Long enough for what must not come. */
  const quiet = () => wait(150)

  /** Says these, and then nothing, until the reader has left. */
  async function* hanging(...said: string[]) {
    yield* said
    await new Promise(() => {})
  }

  it('asks once when it asks in an effect, which StrictMode runs twice', async () => {
    answer(['Hello', ' there'])
    await show({ ask: { question: 'Hi' } })
    expect(await until({ status: 'ready', text: 'Hello there' })).toMatchObject({ error: undefined })
    await quiet()
    expect((await counts()).effects).toBe(2)
    expect(asked).toMatchObject([
      { method: 'POST /api/chat', body: '{"question":"Hi"}', contentType: 'application/json' },
    ])
    expect(await told()).toEqual(['done  ready Hello there'])
  })

  it('asks once when only the first of the two effects asks', async () => {
    answer(['Hello'])
    await show({ ask: 'Hi', askOnce: true })
    await until({ status: 'ready', text: 'Hello' })
    await quiet()
    expect((await counts()).effects).toBe(2)
    expect(asked).toMatchObject([{ body: 'Hi' }])
  })

  it('goes on with what was asked between its first screen and its effects', async () => {
    answer(['Hello'])
    // A layout effect is that early.
    await show({ ask: 'Hi', askEarly: true })
    await until({ status: 'ready', text: 'Hello' })
  })

  it('goes from submitted over streaming to ready, and asks nothing by itself', async () => {
    answer(async function* () {
      await until({ status: 'submitted' })
      yield 'Hel'
      await until({ text: 'Hel' })
      yield 'lo'
      await until({ text: 'Hello' })
    })
    await show()
    await quiet()
    expect(asked).toEqual([])
    await send('Hi')
    await until({ status: 'ready', text: 'Hello' })
    expect(await statuses()).toEqual(['ready', 'submitted', 'streaming', 'ready'])
    expect([...new Set((await seen()).map(({ text }) => text))]).toEqual(['', 'Hel', 'Hello'])
    expect(await page.locator('#answer').textContent()).toBe('Hello')
    expect((await asked[0]?.summary)?.outcome).toBe('done')
  })

  it('renders a burst of two thousand tokens at most once a frame', async () => {
    const tokens = Array.from({ length: 2000 }, (_, i) => `${i} `)
    answer(async function* () {
      for (const [i, token] of tokens.entries()) {
        if (i % 40 === 0) await wait(5)
        // A busy machine may take its time to show them.
        if (i % 400 === 399) await until({ status: 'streaming', text: tokens.slice(0, i - 200).join('') })
        yield token
      }
    })
    await show()
    await until({ status: 'ready' })
    const before = { ...(await counts()), seen: (await seen()).length }
    await send()
    await until({ status: 'ready', text: tokens.join('') })
    const after = await counts()
    const shown = (await seen()).slice(before.seen)
    const frames = shown.filter(({ status }) => status === 'streaming').map(({ frame }) => frame)
    expect(frames).toEqual([...new Set(frames)])
    expect(after.renders - before.renders).toBe(shown.length)
    // That it was asked, and that it is over, show at once.
    expect(shown.length).toBeLessThanOrEqual(after.frames - before.frames + 3)
    // It is shown while it grows, and not at its end.
    expect(shown.filter(({ status }) => status === 'streaming').length).toBeGreaterThan(3)
  })

  it('shows that it was asked, or stopped, before the next frame: a second click finds the button disabled', async () => {
    answer(() => hanging())
    await show()
    const statusAfter = (act: 'send' | 'stop') =>
      page.evaluate(async (act) => {
        window.requestAnimationFrame = () => 0
        window.chat[act]()
        await new Promise((resolve) => setTimeout(resolve))
        return window.chat.seen.at(-1)?.status
      }, act)
    expect(await statusAfter('send')).toBe('submitted')
    expect(await statusAfter('stop')).toBe('ready')
  })

  it.each([
    ['before the first token', [], 'submitted'],
    ['in the middle of the answer', ['Hel'], 'streaming'],
  ] as const)('stops when it is unmounted %s: the server sees the reader leave', async (_when, said, status) => {
    answer(() => hanging(...said))
    await show({ ask: 'Hi' })
    await until({ status })
    const { summary } = await request()
    const { renders } = await counts()
    await page.evaluate(() => window.chat.unmount())
    expect((await summary)?.outcome).toBe('disconnected')
    await quiet()
    expect(asked).toHaveLength(1)
    expect((await counts()).renders).toBe(renders)
    expect(await told()).toEqual([])
  })

  it('asks nothing after it was unmounted', async () => {
    answer(['Hello'])
    await show()
    await page.evaluate(() => window.chat.unmount())
    await send('Hi')
    await quiet()
    expect(asked).toEqual([])
  })

  it('can be shown again after it was unmounted', async () => {
    answer(['Hello'])
    await show({ ask: 1 })
    await until({ status: 'ready', text: 'Hello' })
    await page.evaluate(() => window.chat.unmount())
    await show({ ask: 2 })
    await request(1)
    await vi.waitFor(async () => expect(await told()).toHaveLength(2), { timeout: 30_000 })
    expect(await page.locator('#answer').textContent()).toBe('Hello')
  })

  it.each([
    ['before the first token', [], 'submitted', ''],
    ['in the middle of the answer', ['Hel', 'lo'], 'streaming', 'Hello'],
  ] as const)(
    'stop() %s keeps what had come, and the server sees the reader leave',
    async (_when, said, status, text) => {
      answer(() => hanging(...said))
      await show()
      await send('Hi')
      await until({ status, text })
      const { summary } = await request()
      await stop()
      expect(await until({ status: 'ready' })).toMatchObject({ text, error: undefined })
      expect((await summary)?.outcome).toBe('disconnected')
      await quiet()
      expect(await told()).toEqual([])
    },
  )

  it('stop() changes nothing when there is nothing to stop', async () => {
    handler = async (_req, res) => {
      await until({ status: 'submitted' })
      res.writeHead(500).end()
    }
    await show()
    await stop()
    await quiet()
    expect(await statuses()).toEqual(['ready'])
    await send()
    await until({ status: 'error' })
    await stop()
    await quiet()
    expect(await statuses()).toEqual(['ready', 'submitted', 'error'])
  })

  it('drops the answer before when it asks again', async () => {
    answer(() => hanging('The first'))
    await show()
    await send(1)
    await until({ status: 'streaming', text: 'The first' })
    const first = await request()
    answer(async function* () {
      await until({ status: 'submitted' })
      yield 'The second'
    })
    const before = (await seen()).length
    await send(2)
    await until({ status: 'ready', text: 'The second' })
    expect((await first.summary)?.outcome).toBe('disconnected')
    const after = (await seen()).slice(before)
    expect(after.map(({ text }) => text)).not.toContain('The first')
    expect(after[0]).toMatchObject({ text: '', parts: [], status: 'submitted' })
    expect(await told()).toEqual(['done  ready The second'])
    expect(asked.map(({ body }) => body)).toEqual(['1', '2'])
  })

  it('asks for the last of several questions in a row only', async () => {
    answer(['Hello'])
    await show()
    await page.evaluate(() => {
      for (const body of [1, 2, 3]) window.chat.send(body)
    })
    await until({ status: 'ready', text: 'Hello' })
    await quiet()
    expect(asked.map(({ body }) => body)).toEqual(['3'])
  })

  it('has the error of an answer that failed before its first token', async () => {
    answer(async () => {
      await until({ status: 'submitted' })
      throw Object.assign(new Error('sk-secret'), { status: 429 })
    })
    await show()
    await send()
    const { error, text } = await until({ status: 'error' })
    expect(text).toBe('')
    expect(error).toMatchObject({ isRelayError: true, code: 'rate-limit', status: 429, retryable: true })
    expect(error?.message).not.toContain('secret')
    expect(await statuses()).toEqual(['ready', 'submitted', 'error'])
    await vi.waitFor(async () => expect(await told()).toEqual(['error  rate-limit']), { timeout: 30_000 })
  })

  it('has the error of an answer that failed in the middle, and what had come', async () => {
    answer(async function* () {
      await until({ status: 'submitted' })
      yield 'Hello'
      await until({ text: 'Hello' })
      throw Object.assign(new Error('sk-secret'), { status: 529 })
    })
    await show()
    await send()
    const { error, text } = await until({ status: 'error' })
    expect(text).toBe('Hello')
    expect(error).toMatchObject({ isRelayError: true, code: 'overload', retryable: true })
    expect(await statuses()).toEqual(['ready', 'submitted', 'streaming', 'error'])

    answer(['Again'])
    await send()
    expect(await until({ status: 'ready', text: 'Again' })).toMatchObject({ error: undefined })
  })

  it.each([
    ['truncated', 'ends without its sentinel', (res: ServerResponse) => res.end()],
    ['network', 'is reset', (res: ServerResponse) => res.destroy()],
  ])('takes %s for the error of an answer that %s', async (code, _what, end) => {
    handler = async (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"text":"Hel"}\n\n')
      await until({ text: 'Hel' })
      end(res)
    }
    await show()
    await send()
    const { error, text } = await until({ status: 'error' })
    expect({ code: error?.code, text }).toEqual({ code, text: 'Hel' })
    await quiet()
    expect(asked).toHaveLength(1)
  })

  it('has what the text protocol sends: the text in one part, and own events by name', async () => {
    answer(['Hel', 'lo', { event: 'citation', data: { page: 3 } }, { event: 'note', data: 'plain' }, ' there'])
    await show()
    await send()
    const { text, parts } = await until({ status: 'ready', text: 'Hello there' })
    expect(text).toBe('Hello there')
    expect(parts).toEqual([
      { type: 'text', text: 'Hello' },
      { type: 'data', name: 'citation', data: { page: 3 } },
      { type: 'data', name: 'note', data: 'plain' },
      { type: 'text', text: ' there' },
    ])
  })

  it('joins what the parts protocol sends in pieces', async () => {
    const source: Part[] = [
      { type: 'text', text: '' },
      { type: 'reasoning', text: 'Hm' },
      { type: 'text', text: '' },
      { type: 'reasoning', text: 'm' },
      { type: 'text', text: 'Let me ' },
      { type: 'reasoning', text: '' },
      { type: 'text', text: 'look' },
      { type: 'tool-call', index: 0, id: 'a', name: 'weather', input: '{"city":' },
      { type: 'tool-call', index: 1, id: 'b', name: 'time', input: '{' },
      { type: 'tool-call', index: 0, input: '"Oslo"}' },
      { type: 'tool-call', index: 1, input: '}' },
      { type: 'data', name: 'citation', data: [1] },
      { type: 'usage', usage: { inputTokens: 3, outputTokens: 5 } },
      { type: 'finish', reason: 'tool-calls' },
    ]
    answer(source, { protocol: parts() })
    await show()
    await send()
    const { text, parts: shown } = await until({ status: 'ready', text: 'Let me look' })
    expect(text).toBe('Let me look')
    expect(shown).toEqual([
      { type: 'reasoning', text: 'Hmm' },
      { type: 'text', text: 'Let me look' },
      { type: 'tool-call', index: 0, id: 'a', name: 'weather', input: '{"city":"Oslo"}' },
      { type: 'tool-call', index: 1, id: 'b', name: 'time', input: '{}' },
      { type: 'data', name: 'citation', data: [1] },
      expect.objectContaining({ type: 'usage' }),
      expect.objectContaining({ type: 'finish', reason: 'tool-calls' }),
    ])
  })

  describe('with the parts of a provider or an agent', () => {
    /** Answers with these, as `parts()` writes them. */
    const write = (...said: WirePart[]) => {
      handler = (_req, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' })
        res.end(`${said.map((part) => `data: ${JSON.stringify(part)}\n\n`).join('')}data: [DONE]\n\n`)
      }
    }
    const shown = async () => {
      await show()
      await send()
      return (await until({ status: 'ready', text: 'end' })).parts.filter(({ type }) => type !== 'text')
    }
    const call = (index: number, input: string, more: Partial<ToolCallPart> = {}): ToolCallPart => ({
      type: 'tool-call',
      index,
      input,
      ...more,
    })
    const end = { type: 'text', text: 'end' } as const

    it('says of each tool call whether it is whole, who runs it, and what became of it', async () => {
      write(
        call(0, '', { id: 'a', name: 'weather' }),
        call(0, '{"city":', {}),
        call(1, '', { id: 'b', name: 'search', executed: true }),
        call(0, '"Oslo"}', { done: true }),
        call(1, '{"q":1}}'),
        call(1, '{"q":1}', { done: true, replaces: true }),
        call(2, '{"x"', { id: 'c', name: 'delete' }),
        call(2, '', { error: 'The input of this tool call is not valid.' }),
        call(3, '', { id: 'd', name: 'now', done: true }),
        call(4, '{"cut', { id: 'e', name: 'write' }),
        call(5, '{}', { id: 'f', name: 'pay', done: true }),
        call(5, '', { done: true, executed: true, approval: 'yes?' }),
        { type: 'tool-result', id: 'b', name: 'search', output: { hits: 2 } },
        { type: 'tool-result', id: 'd', output: null, error: 'The tool failed.' },
        end,
      )
      expect(await shown()).toEqual([
        call(0, '{"city":"Oslo"}', { id: 'a', name: 'weather', done: true }),
        {
          ...call(1, '{"q":1}', { id: 'b', name: 'search', executed: true, done: true }),
          result: { output: { hits: 2 } },
        },
        call(2, '{"x"', { id: 'c', name: 'delete', error: 'The input of this tool call is not valid.' }),
        {
          ...call(3, '', { id: 'd', name: 'now', done: true }),
          result: { output: null, error: 'The tool failed.' },
        },
        call(4, '{"cut', { id: 'e', name: 'write' }),
        call(5, '{}', { id: 'f', name: 'pay', done: true, executed: true, approval: 'yes?' }),
      ])
    })

    it('never joins the calls of two answers, and hands a result to the latest call with its id', async () => {
      write(
        { type: 'start', id: 'm1' },
        call(0, '{"n":1}', { id: 'call_0', name: 'f', done: true }),
        { type: 'tool-result', id: 'call_0', output: 1 },
        { type: 'start', id: 'm2' },
        // Of a source of one's own, which counts from 0 again.
        call(0, '{"n":', { id: 'call_0', name: 'f' }),
        call(0, '2}', { done: true }),
        { type: 'tool-result', id: 'call_0', output: 2 },
        call(0, '{"n":3}', { name: 'f', done: true }),
        call(0, '{"n":4}', { name: 'g', done: true }),
        { type: 'tool-result', id: 'of an earlier turn', output: 5 },
        // A result ends its call, also where nothing says `done`.
        call(7, '{}', { id: 'x', name: 'f' }),
        { type: 'tool-result', id: 'x', output: 6 },
        call(7, '{}', { id: 'x', name: 'f' }),
        end,
      )
      expect(await shown()).toEqual([
        { type: 'start', id: 'm1' },
        { ...call(0, '{"n":1}', { id: 'call_0', name: 'f', done: true }), result: { output: 1 } },
        { type: 'start', id: 'm2' },
        { ...call(0, '{"n":2}', { id: 'call_0', name: 'f', done: true }), result: { output: 2 } },
        call(0, '{"n":3}', { name: 'f', done: true }),
        call(0, '{"n":4}', { name: 'g', done: true }),
        { type: 'tool-result', id: 'of an earlier turn', output: 5 },
        { ...call(7, '{}', { id: 'x', name: 'f' }), result: { output: 6 } },
        call(7, '{}', { id: 'x', name: 'f' }),
      ])
    })

    it('keeps the texts of two answers apart, and signed and redacted reasoning whole', async () => {
      write(
        { type: 'start' },
        { type: 'reasoning', text: 'One ' },
        { type: 'reasoning', text: 'thought' },
        { type: 'reasoning', text: '', signature: 's1' },
        { type: 'reasoning', text: 'Another' },
        { type: 'reasoning', text: '', signature: 's2' },
        { type: 'reasoning', text: '', redacted: 'r1' },
        { type: 'reasoning', text: '', redacted: 'r2' },
        { type: 'reasoning', text: '' },
        { type: 'text', text: 'e' },
        { type: 'start' },
        { type: 'text', text: 'nd' },
      )
      await show()
      await send()
      const { text, parts } = await until({ status: 'ready', text: 'end' })
      expect(text).toBe('end')
      expect(parts).toEqual([
        { type: 'start' },
        { type: 'reasoning', text: 'One thought', signature: 's1' },
        { type: 'reasoning', text: 'Another', signature: 's2' },
        { type: 'reasoning', text: '', redacted: 'r1' },
        { type: 'reasoning', text: '', redacted: 'r2' },
        { type: 'text', text: 'e' },
        { type: 'start' },
        { type: 'text', text: 'nd' },
      ])
    })

    it('replaces data with the same name and id, and lets go of what is transient with the end', async () => {
      const data = (name: string, data: unknown, more: { id?: string; transient?: boolean } = {}): WirePart => ({
        type: 'data',
        name,
        data,
        ...more,
      })
      write(
        data('weather', 'loading', { id: 'w' }),
        data('status', 'looking', { transient: true }),
        data('weather', 1),
        data('other', 2, { id: 'w' }),
        data('weather', 21, { id: 'w' }),
        data('weather', 3),
        end,
      )
      expect(await shown()).toEqual([
        data('weather', 21, { id: 'w' }),
        data('weather', 1),
        data('other', 2, { id: 'w' }),
        data('weather', 3),
      ])
    })

    it('has every one of twenty thousand parts, and of twenty thousand pieces of two hundred calls', async () => {
      const many = 20_000
      write(
        ...Array.from({ length: many }, (_, i): WirePart => ({ type: 'data', name: 'n', data: i })),
        ...Array.from({ length: many }, (_, i) => call(i % 200, '1', i < 200 ? { id: `${i}`, name: 'f' } : {})),
        end,
      )
      await show()
      await send()
      // Looked at in the page: so many parts are slow to hand over.
      await page.waitForFunction(() => window.chat.seen.at(-1)?.text === 'end', undefined, { polling: 10 })
      const [length, ...some] = await page.evaluate((many) => {
        const { parts } = window.chat.seen.at(-1) as Screen
        return [parts.length, parts[many - 1], parts[many], parts.at(-2)]
      }, many)
      expect(length).toBe(many + 201)
      expect(some).toEqual([
        { type: 'data', name: 'n', data: many - 1 },
        call(0, '1'.repeat(many / 200), { id: '0', name: 'f' }),
        call(199, '1'.repeat(many / 200), { id: '199', name: 'f' }),
      ])
    })
  })

  it('tells the server to stop where it has an address for that', async () => {
    const runs: unknown[] = []
    handler = (req, res) => {
      if (req.method === 'DELETE') return res.writeHead(204).end()
      runs.push(req.headers['x-run-id'])
      return relay(req, res, () => hanging('Hello'))
    }
    await show({ options: { stopUrl: '/api/chat/:runId' } })
    await send()
    await until({ status: 'streaming' })
    await stop()
    await request(1)
    await send()
    await until({ status: 'streaming' })
    await page.evaluate(() => window.chat.unmount())
    await request(3)
    await quiet()
    expect(asked.map(({ method }) => method)).toEqual([
      'POST /api/chat',
      `DELETE /api/chat/${runs[0]}`,
      'POST /api/chat',
      `DELETE /api/chat/${runs[1]}`,
    ])
    expect(runs[0]).not.toBe(runs[1])
  })

  it.each([
    ['before the first token', []],
    ['in the middle of the answer', ['Hel', 'lo']],
  ] as const)(
    'is not ready when its tree was hidden %s, and is shown again: half an answer is none',
    async (_, said) => {
      answer(() => hanging(...said))
      await show()
      await send('Hi')
      await until(said.length ? { status: 'streaming', text: said.join('') } : { status: 'submitted' })
      const { summary } = await request()
      const before = (await seen()).length
      await show({ hidden: true })
      expect((await summary)?.outcome).toBe('disconnected')
      await show({ hidden: false })
      const screen = await until({ status: 'error', text: said.join('') })
      expect(screen.error).toMatchObject({ isRelayError: true, code: 'truncated', retryable: true })
      expect((await seen()).slice(before).map(({ status }) => status)).not.toContain('ready')
      expect(await told()).toEqual([])
      answer(['Again'])
      await send('Again?')
      await until({ status: 'ready', text: 'Again' })
    },
  )

  it('stays ready when a tree with a complete answer is hidden and shown', async () => {
    answer(['Hello'])
    await show()
    await send()
    await until({ status: 'ready', text: 'Hello' })
    await show({ hidden: true })
    await quiet()
    await show({ hidden: false })
    await quiet()
    expect(new Set((await statuses()).slice(-1))).toEqual(new Set(['ready']))
    expect(await told()).toEqual(['done  ready Hello'])
  })

  it.each([
    ['OpenAI’s chunks', { choices: [{ index: 0, delta: { content: 'a' } }] }, /OpenAI/],
    ['the AI SDK’s UI messages', { type: 'text-delta', id: '0', delta: 'a' }, /useChat/],
    ['Gemini’s chunks', { candidates: [] }, /@google\/genai/],
    ['a provider’s failure', { error: { code: 'quota', message: 'No more' } }, /No more/],
  ])('fails of %s instead of being ready with nothing', async (_, json, message) => {
    handler = (_req, res) =>
      res
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end(`data: ${JSON.stringify(json)}\n\ndata: [DONE]\n\n`)
    await show()
    await send()
    expect((await until({ status: 'error' })).error?.message).toMatch(message)
    expect((await statuses()).slice(1)).not.toContain('ready')
    expect((await statuses()).at(-1)).toBe('error')
  })

  describe('with a log on the server', () => {
    let log: MemoryLog
    let gate: PromiseWithResolversLike
    beforeEach(() => {
      log = createMemoryLog()
      gate = withResolvers()
    })
    afterEach(() => log.close())

    /** A server that keeps its runs, and says the second half when it is told to. */
    const keeping = () => {
      handler = async (req, res) => {
        if (req.method === 'GET') return resume(req, res, { log, owner: null })
        return relay(
          req,
          res,
          async function* () {
            yield 'Hel'
            await gate.promise
            yield 'lo'
          },
          { log, owner: null },
        )
      }
    }
    const place = () => page.evaluate(() => window.chat.place())
    const asksOf = () => asked.map(({ method }) => method.split(' ')[0])

    it('gives the run and the place, and goes on after a reload from the first event', async () => {
      keeping()
      const options = { resumeUrl: '/api/chat' }
      await show({ options })
      expect(await place()).toEqual({})
      await send()
      await until({ status: 'streaming', text: 'Hel' })
      const { runId, lastEventId } = await place()
      expect(runId).toMatch(/^[\w-]{16,128}$/)
      expect(lastEventId).toBe(`${runId}:1`)
      for (const from of [runId, lastEventId]) {
        await page.goto(`${url}/?${visit}`)
        await show({ options, from })
        await until({ status: 'streaming', text: 'Hel' })
      }
      gate.resolve()
      await until({ status: 'ready', text: 'Hello' })
      expect(await place()).toEqual({ runId, lastEventId: `${runId}:3` })
      expect(asksOf()).toEqual(['POST', 'GET', 'GET'])
      expect(await told()).toEqual(['done  ready Hello'])
    })

    it('goes on with what is shown after it was hidden', async () => {
      keeping()
      const options = { resumeUrl: '/api/chat' }
      await show({ options })
      await send()
      await until({ status: 'streaming', text: 'Hel' })
      await show({ options, hidden: true })
      await quiet()
      await show({ options, hidden: false })
      await until({ status: 'error', text: 'Hel' })
      gate.resolve()
      await page.evaluate(() => window.chat.resume())
      expect(await until({ status: 'ready', text: 'Hello' })).toMatchObject({
        parts: [{ type: 'text', text: 'Hello' }],
      })
      expect(asksOf()).toEqual(['POST', 'GET'])
    })

    it('keeps the place when the server is not up yet', async () => {
      keeping()
      const options = { resumeUrl: '/api/chat' }
      await show({ options })
      await send()
      await until({ status: 'streaming', text: 'Hel' })
      const { runId } = await place()
      const up = handler
      handler = (_req, res) => res.writeHead(503).end()
      await page.goto(`${url}/?${visit}`)
      await show({ options, from: runId })
      expect((await until({ status: 'error' })).error).toMatchObject({ status: 503, retryable: true })
      expect(await place()).toEqual({ runId, lastEventId: `${runId}:0` })
      handler = up
      gate.resolve()
      await page.evaluate(() => window.chat.resume())
      await until({ status: 'ready', text: 'Hello' })
    })

    it('says of a run that is not there that it is not, and does nothing without a place', async () => {
      keeping()
      await show()
      await page.evaluate(() => window.chat.resume())
      await quiet()
      expect(asked).toEqual([])
      await page.evaluate(() => window.chat.resume('run-0123456789abcdef'))
      expect((await until({ status: 'error' })).error).toMatchObject({ code: 'run-not-found', retryable: false })
    })

    it('shows an answer anew whose events have no ids: none of it twice', async () => {
      const hello = ['Hel', 'lo'].map((text) => `data: ${JSON.stringify({ text })}\n\n`)
      handler = (req, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' })
        if (req.method === 'GET') res.end(`${hello.join('')}data: [DONE]\n\n`)
        else res.end(hello[0])
      }
      await show({ options: { resumeUrl: '/api/chat' } })
      await send()
      expect((await until({ status: 'error', text: 'Hel' })).error).toMatchObject({ code: 'truncated' })
      await page.evaluate(() => window.chat.resume())
      await until({ status: 'ready', text: 'Hello' })
      expect(asksOf()).toEqual(['POST', 'GET'])
    })

    it('does not stop the run it reads on, and asks for nothing twice', async () => {
      keeping()
      const options = { resumeUrl: '/api/chat', stopUrl: '/api/chat/:runId' }
      await show({ options })
      await send()
      await until({ status: 'streaming', text: 'Hel' })
      await page.evaluate(() => window.chat.resume())
      await quiet()
      expect(asksOf()).toEqual(['POST'])
      const { runId = '' } = await place()
      await page.evaluate((runId) => window.chat.resume(runId), runId)
      await request(1)
      gate.resolve()
      await until({ status: 'ready', text: 'Hello' })
      expect(asksOf()).toEqual(['POST', 'GET'])
    })
  })

  it('says whether the server has heard of a stop, also of an answer that was lost', async () => {
    let status = 204
    handler = (req, res) => {
      if (req.method === 'DELETE') return res.writeHead(status).end()
      res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"text":"Hel"}\n\n')
    }
    await show({ options: { stopUrl: '/api/chat/:runId', maxRetries: 0 } })
    expect(await stop()).toBe(true)
    await send()
    await until({ status: 'streaming', text: 'Hel' })
    expect(await stop()).toBe(true)
    await until({ status: 'ready', text: 'Hel' })
    status = 403
    await send()
    await until({ status: 'streaming', text: 'Hel' })
    server.closeAllConnections()
    await until({ status: 'error', text: 'Hel' })
    expect(await stop()).toBe(false)
    expect(asked.map(({ method }) => method.split(' ')[0])).toEqual(['POST', 'DELETE', 'POST', 'DELETE'])
  })

  it('passes the options of fetch on, and a string as it is', async () => {
    handler = (req, res) => relay(req, res, [`${req.method} ${req.headers['x-tenant']}`])
    await show({ options: { method: 'PUT', headers: { 'x-tenant': 'acme', 'content-type': 'text/markdown' } } })
    await send('# Hi')
    await until({ status: 'ready', text: 'PUT acme' })
    expect(asked).toMatchObject([{ body: '# Hi', contentType: 'text/markdown' }])
  })

  it.each([
    [
      'a body that is no JSON',
      { headers: {} },
      '(() => { const body = {}; body.itself = body; window.chat.send(body) })()',
    ],
    ['a header that is none', { headers: { 'x y': '1' } }, 'window.chat.send()'],
  ])('shows %s as an error instead of throwing', async (_what, options, script) => {
    await show({ options })
    await page.evaluate(script)
    expect((await until({ status: 'error' })).error?.message).toBeTruthy()
    expect(await told()).toHaveLength(1)
    await quiet()
    expect(asked).toEqual([])
  })

  it('calls the callbacks of the latest render', async () => {
    let goOn = () => {}
    const isRendered = new Promise<void>((resolve) => {
      goOn = resolve
    })
    answer(async function* () {
      yield 'Hello'
      await isRendered
    })
    await show({ label: 'first' })
    await send()
    await until({ status: 'streaming' })
    await show({ label: 'second' })
    goOn()
    await until({ status: 'ready', text: 'Hello' })
    expect(await told()).toEqual(['done second ready Hello'])
  })

  it('works in a page that is hidden, where there are no frames', async () => {
    answer(['Hello'])
    await page.evaluate(() => {
      window.requestAnimationFrame = () => 0
    })
    await show()
    await send()
    await until({ status: 'ready', text: 'Hello' })
  })
})
