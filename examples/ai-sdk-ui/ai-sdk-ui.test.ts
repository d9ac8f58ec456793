import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import Anthropic from '@anthropic-ai/sdk'
import { serve } from '@hono/node-server'
import type { ChatStatus, UIMessage } from 'ai'
import { build } from 'esbuild'
import express from 'express'
import { Hono } from 'hono'
import { type Browser, chromium, type Page } from 'playwright-core'
import type { RelayOptions, Source } from 'sse-relay'
import { relay as relayExpress } from 'sse-relay/express'
import { relay as relayHono } from 'sse-relay/hono'
import { uiMessage } from 'sse-relay/protocols'
import { collect, providerError, type Replay, type ReplayUpstream, readTrace, replayUpstream } from 'sse-relay/testing'
import { relay as relayWeb } from 'sse-relay/web'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'

// The machine may be busy, and a browser takes its time.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const executablePath = [
  process.env.CHROMIUM_PATH,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
].find((path) => path && existsSync(path))
// A missing browser fails where CI is set, and is passed over elsewhere.
const isSkipped = !executablePath && !process.env.CI
const because = isSkipped ? ' (skipped: no Chromium found, say where it is with CHROMIUM_PATH)' : ''

let browser: Browser

async function launch() {
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
}

/** What pages wrote to the console as an error. It fails the test, but for what is expected. */
let errors: string[] = []
let expected: RegExp | undefined

afterEach(() => {
  const unexpected = errors.filter((error) => !expected?.test(error))
  errors = []
  expected = undefined
  expect(unexpected).toEqual([])
})

async function openPage(): Promise<Page> {
  const page = await browser.newPage()
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  page.on('pageerror', (error) => errors.push(String(error)))
  return page
}

/** What a browser says of every answer that is none. */
const FAILED_TO_LOAD = /^Failed to load resource: the server responded/
/** And of a connection that is cut. */
const CUT = /ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET/

/**
 * The address of a provider that sends a trace, and goes on after each of the first two texts in it only when the page
 * has shown them: what gathers never ends, however fast or slow the machine is.
 */
async function patientProvider(trace: string, isShown: (texts: number) => Promise<unknown>): Promise<string> {
  const frames = readTrace(trace)
    .toString()
    .split(/(?<=\n\n)/)
  const server = createServer(async (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    let texts = 0
    for (const frame of frames) {
      res.write(frame)
      if (/"text":"[^"]|"content":"[^"]/.test(frame) && ++texts <= 2) await isShown(texts)
    }
    res.end()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'

interface Provider {
  name: 'Anthropic' | 'OpenAI'
  path: string
  text: string
  key: string
  error: 'anthropic' | 'openai'
  reasoning: { trace: string; thought: string; answer: string }
  tool: { trace: string; calls: [name: string, input: unknown][] }
  usage: { trace: string; text: string }
  failing: { trace: string; words: RegExp; shown: string }
}

const providers: Provider[] = [
  {
    name: 'Anthropic',
    path: '/v1/messages',
    text: 'anthropic-text.sse',
    key: 'ANTHROPIC_API_KEY',
    error: 'anthropic',
    reasoning: { trace: 'anthropic-thinking.sse', thought: 'Let me add 27*453.', answer: '27 × 453 = 12,231' },
    tool: { trace: 'anthropic-tool-use.sse', calls: [['get_weather', { location: 'Santa Cruz, CA' }]] },
    usage: { trace: 'anthropic-text.sse', text: '25 tokens in, 15 out' },
    failing: {
      trace: 'anthropic-error-overloaded.sse',
      words: /Overloaded|req_/,
      shown: 'The service is overloaded. Please try again in a moment.',
    },
  },
  {
    name: 'OpenAI',
    path: '/v1/chat/completions',
    text: 'openai-chat-text.sse',
    key: 'OPENAI_API_KEY',
    error: 'openai',
    reasoning: { trace: 'openai-compat-deepseek-reasoning.sse', thought: 'Add 2+2.', answer: '4' },
    tool: {
      trace: 'openai-chat-tool-call.sse',
      calls: [
        ['get_weather', { city: 'Paris' }],
        ['get_time', { tz: 'CET' }],
      ],
    },
    usage: { trace: 'openai-chat-usage.sse', text: '19 tokens in, 10 out' },
    failing: {
      trace: 'openai-chat-error-midstream.sse',
      words: /had an error|Sorry|server_error/,
      shown: 'The service behind this one could not answer.',
    },
  },
]

const servers = [
  ['Express', 'server.js'],
  ['Hono', 'server-hono.js'],
  ['a Web handler', 'server-web.js'],
] as const

describe.skipIf(isSkipped)(`the example for useChat${because}`, () => {
  beforeAll(launch)
  afterAll(() => browser?.close())

  const table = servers.flatMap(([host, file]) =>
    providers.map((provider) => [host, provider.name, file, provider] as const),
  )

  describe.each(table)('on %s, answered by %s', (_host, _provider, file, provider) => {
    let upstream: ReplayUpstream
    let example: ChildProcess
    let page: Page
    let url: string
    let output = ''

    beforeAll(async () => {
      upstream = await replayUpstream()
      example = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url))], {
        env: {
          PATH: process.env.PATH,
          PORT: '0',
          [provider.key]: 'test',
          ANTHROPIC_BASE_URL: upstream.url,
          OPENAI_BASE_URL: `${upstream.url}/v1`,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      url = await new Promise((resolve, reject) => {
        const read = (bytes: Buffer) => {
          output += bytes
          const [address] = /http:\/\/localhost:\d+/.exec(output) ?? []
          if (address) resolve(address)
        }
        example.stdout?.on('data', read)
        example.stderr?.on('data', read)
        example.on('exit', () => reject(new Error(`The example ended before it listened:\n${output}`)))
      })
      page = await openPage()
      await page.goto(url)
    })

    // What it writes to the console are the failures asked for here, so it is of interest after others only.
    afterEach(({ task }) => {
      if (task.result?.state === 'fail') console.error(output)
    })

    afterAll(async () => {
      await page?.close()
      await upstream?.close()
      if (example?.kill()) await once(example, 'exit')
    })

    /** Asks, and resolves when the upstream was asked, which answers like this. One chat, so the tests are its turns. */
    async function ask(replay: Replay, question = 'What is an event stream?') {
      upstream.next(replay)
      const request = upstream.request()
      await page.getByLabel('Your question').fill(question)
      await page.getByRole('button', { name: 'Send' }).click()
      return request
    }

    const status = (text: string) => page.getByRole('status').filter({ hasText: text }).waitFor()
    const alert = () => page.getByRole('alert').textContent()
    const shown = () => page.locator('#root').innerText()
    const last = () => page.locator('article').last()

    it('shows the answer as it comes, then its usage', async () => {
      await page.evaluate(observe)
      const forward = await patientProvider(provider.text, (texts) =>
        page.waitForFunction((texts) => (window as unknown as Observed).seen.length >= texts, texts),
      )
      const request = await ask({ forward })
      await status('Ready')
      expect(await last().locator('p').allTextContents()).toEqual([ANSWER])
      const seen = await page.evaluate(() => (window as unknown as Observed).seen)
      expect(seen.length).toBeGreaterThanOrEqual(3)
      for (const [index, text] of seen.entries()) expect(text.startsWith(seen[index - 1] ?? '')).toBe(true)
      expect(request.path).toBe(provider.path)
      expect((await request.closed).by).toBe('server')

      // The next question brings the one before along, and its answer.
      const { json } = await ask({ trace: provider.usage.trace }, 'And then?')
      await last().getByText(provider.usage.text).waitFor()
      expect((json as { messages: unknown[] }).messages.slice(-3)).toEqual([
        { role: 'user', content: 'What is an event stream?' },
        { role: 'assistant', content: ANSWER },
        { role: 'user', content: 'And then?' },
      ])
    })

    it('shows reasoning that opens', async () => {
      const { trace, thought, answer } = provider.reasoning
      await ask({ trace })
      await status('Ready')
      expect(await last().locator('> p').allTextContents()).toEqual([answer])
      const reasoning = last().getByText(thought, { exact: true })
      expect(await reasoning.isVisible()).toBe(false)
      await last().getByText('Reasoning', { exact: true }).click()
      await reasoning.waitFor()
    })

    it('shows tool calls with their inputs', async () => {
      const { trace, calls } = provider.tool
      await ask({ trace })
      await status('Ready')
      const names = await last().locator('summary').allTextContents()
      const inputs = await last().locator('pre').allTextContents()
      expect(names.map((name, index) => [name, JSON.parse(inputs[index] ?? '')])).toEqual(
        calls.map(([name, input]) => [`Tool call: ${name}`, input]),
      )
    })

    it.each([
      ['while the model thinks', { delayMs: Infinity }, 'Waiting'],
      ['in the middle of the answer', { stallAfter: 6 }, 'Answering'],
    ])('stops the upstream when Stop is pressed %s', async (_when, replay, before) => {
      const request = await ask(replay)
      await status(before)
      await page.getByRole('button', { name: 'Stop' }).click()
      expect((await request.closed).by).toBe('client')
      await status('Stopped')
      expect(await page.getByRole('alert').count()).toBe(0)
      expect(await page.getByRole('button', { name: 'Send' }).isEnabled()).toBe(true)
    })

    it.each([
      [401, 'The service behind this one could not answer.'],
      [429, 'Too many requests right now. Please try again in a moment.'],
    ])('shows a failure before the first token, a %i, in words that are safe', async (refusal, words) => {
      expected = FAILED_TO_LOAD
      await ask({
        ...providerError(provider.error, refusal, 'the key sk-secret of org-secret is wrong'),
        // Or the SDK would ask again.
        headers: { 'x-should-retry': 'false' },
      })
      await status('Failed')
      expect(await alert()).toBe(words)
      expect(await shown()).not.toContain('secret')
      expect(await last().getAttribute('class')).toBe('user')
    })

    it('shows a failure in the middle in words that are safe, and keeps what came before', async () => {
      await ask({ trace: provider.failing.trace })
      await status('Failed')
      expect(await alert()).toBe(provider.failing.shown)
      expect(await last().locator('p').allTextContents()).toEqual(['Hello there! '])
      expect(await shown()).not.toMatch(provider.failing.words)
    })

    it.each([
      ['ends too early', { endAfter: 6 }, 'The answer was cut off before it was complete.'],
      [
        'is reset',
        { resetAfter: 6, pauseMs: (index: number) => (index === 6 ? 200 : 0) },
        'The service behind this one could not answer.',
      ],
    ])('does not show an answer whose upstream %s as a finished one', async (_what, replay, words) => {
      await ask(replay)
      await status('Failed')
      expect(await alert()).toBe(words)
      expect(await last().locator('p').textContent()).toMatch(/^Hello there/)
    })

    it('stops the upstream when the page is left', async () => {
      const request = await ask({ stallAfter: 6 })
      await status('Answering')
      await page.reload()
      expect((await request.closed).by).toBe('client')
    })

    it('does not show an answer as a finished one when this server dies in the middle', async () => {
      expected = CUT
      await ask({ stallAfter: 6 })
      await last().getByText('Hello').waitFor()
      example.kill('SIGKILL')
      await status('Failed')
      expect(await page.getByRole('alert').count()).toBe(1)
    })
  })
})

interface Observed {
  seen: string[]
}

/** Runs in the page: each state of the answer's text that was on the page, in their order. */
function observe(): void {
  const seen: string[] = []
  Object.assign(window, { seen })
  new MutationObserver(() => {
    const text = document.querySelector('article.assistant:last-of-type > p')?.textContent
    if (text && text !== seen.at(-1)) seen.push(text)
  }).observe(document.body, { subtree: true, childList: true, characterData: true })
}

/** useChat with nothing around it: all it says, in the order in which it says it. */
const PROBE = `
  import { useChat } from '@ai-sdk/react'
  import { createRoot } from 'react-dom/client'

  function Probe() {
    const chat = useChat({ onFinish: ({ message: _, messages: __, ...finish }) => { window.finish = finish } })
    window.send = () => chat.sendMessage({ text: '?' })
    window.reset = () => {
      chat.clearError()
      chat.setMessages([])
      window.seen = []
    }
    const { status, error, messages } = chat
    window.seen.push(structuredClone({ status, error: error?.message, messages }))
    return null
  }
  window.seen = []
  createRoot(document.getElementById('root')).render(<Probe />)
`

interface Seen {
  status: ChatStatus
  error?: string
  messages: UIMessage[]
}

interface Probed {
  send(): Promise<void>
  /** A new chat. */
  reset(): void
  seen: Seen[]
  finish: { isError: boolean; isAbort: boolean; isDisconnect: boolean; finishReason?: string }
}

interface Serving {
  source: Source
  options?: RelayOptions
}

/** Each a server that relays what `serving()` says at that time. */
const hosts: Record<string, (serving: () => Required<Serving>) => Server> = {
  Express(serving) {
    const app = express()
    app.post('/api/chat', (req, res) => {
      const { source, options } = serving()
      return relayExpress(req, res, source, options)
    })
    return app.listen(0, '127.0.0.1')
  },
  Hono(serving) {
    const app = new Hono()
    app.post('/api/chat', (c) => {
      const { source, options } = serving()
      return relayHono(c, source, options)
    })
    return serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server
  },
  'a Web handler'(serving) {
    const fetch = (request: Request) => {
      const { source, options } = serving()
      return relayWeb(request, source, options)
    }
    return serve({ fetch, port: 0, hostname: '127.0.0.1' }) as Server
  },
}

describe.skipIf(isSkipped)(`useChat, served by uiMessage()${because}`, () => {
  let html: string

  beforeAll(async () => {
    await launch()
    const { outputFiles } = await build({
      stdin: { contents: PROBE, loader: 'jsx', resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
      bundle: true,
      write: false,
      jsx: 'automatic',
      define: { 'process.env.NODE_ENV': '"production"' },
    })
    html = `<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script>${outputFiles[0]?.text}</script>`
  })
  afterAll(() => browser?.close())

  describe.each(Object.entries(hosts))('on %s', (_host, listen) => {
    let upstream: ReplayUpstream
    let server: Server
    let serving: Serving
    let page: Page
    let url: string

    beforeAll(async () => {
      upstream = await replayUpstream()
      server = listen(() => {
        const { source, options } = serving
        return { source, options: { protocol: uiMessage(), onError() {}, ...options } }
      })
      if (!server.listening) await once(server, 'listening')
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
      page = await openPage()
      await page.route(url, (route) => route.fulfill({ contentType: 'text/html; charset=utf-8', body: html }))
      await page.goto(url)
    })
    beforeEach(() => page.evaluate(() => (window as unknown as Probed).reset()))
    afterAll(async () => {
      await page?.close()
      await upstream?.close()
      server?.close()
      server?.closeAllConnections()
    })

    /** Asks, and waits until the chat has settled. */
    async function send() {
      const response = page.waitForResponse('**/api/chat')
      await page.evaluate(() => (window as unknown as Probed).send())
      const { seen, finish } = await page.evaluate(() => {
        const { seen, finish } = window as unknown as Probed
        return { seen, finish }
      })
      const last = seen.at(-1) as Seen
      return { response: await response, seen, finish, last, answer: last.messages[1] }
    }

    const isStreaming = () =>
      page.waitForFunction(() => (window as unknown as Probed).seen.at(-1)?.status === 'streaming')

    const anthropic = (signal: AbortSignal) =>
      new Anthropic({ apiKey: 'test', baseURL: upstream.url, maxRetries: 0 }).messages.create(
        { model: 'claude-sonnet-5-5', max_tokens: 1024, messages: [{ role: 'user', content: '?' }], stream: true },
        { signal },
      )

    it('grows the text through heartbeats, and ends with the usage and what metadata() adds', async () => {
      upstream.next({ pauseMs: 60 })
      const protocol = uiMessage({ messageId: 'msg-1', metadata: ({ finishReason }) => ({ finishReason }) })
      serving = { source: ({ signal }) => anthropic(signal), options: { protocol, heartbeatMs: 15 } }
      const plain = fetch(`${url}api/chat`, { method: 'POST' }).then(collect)
      await upstream.request()
      const forward = await patientProvider('anthropic-text.sse', (texts) =>
        page.waitForFunction((texts) => {
          const part = (window as unknown as Probed).seen.flatMap(({ messages }) => messages[1]?.parts[1] ?? [])
          return new Set(part.map((part) => part.type === 'text' && part.text)).size >= texts
        }, texts),
      )
      upstream.next({ forward })
      const { response, seen, last, answer, finish } = await send()
      expect((await plain).comments).toBeGreaterThan(5)
      expect(response.headers()['x-vercel-ai-ui-message-stream']).toBe('v1')

      expect(last.status).toBe('ready')
      expect(finish).toMatchObject({ isError: false, finishReason: 'stop' })
      expect(answer?.id).toBe('msg-1')
      expect(answer?.parts).toEqual([{ type: 'step-start' }, { type: 'text', text: ANSWER, state: 'done' }])
      expect(answer?.metadata).toEqual({
        usage: { inputTokens: 25, outputTokens: 15, cachedInputTokens: 0, cacheWriteInputTokens: 0 },
        finishReason: 'stop',
      })
      const statuses = seen.map(({ status }) => status).filter((status, index, all) => status !== all[index - 1])
      expect(statuses).toEqual(['ready', 'submitted', 'streaming', 'ready'])
      const texts = new Set(
        seen.map(({ messages }) => messages[1]?.parts[1]).map((part) => part?.type === 'text' && part.text),
      )
      expect(texts.size).toBeGreaterThanOrEqual(3)
      // One answer, whose id is there from the beginning.
      expect(new Set(seen.flatMap(({ messages }) => messages[1]?.id ?? []))).toEqual(new Set(['msg-1']))
    })

    it('shows own events as data parts, and citations with a url as sources', async () => {
      const source = async function* ({ signal }: { signal: AbortSignal }) {
        yield { event: 'progress', data: { percent: 0 }, id: 'progress' }
        yield { event: 'progress', data: { percent: 100 }, id: 'progress' }
        yield* await anthropic(signal)
        yield { event: 'done', data: 'by us' }
      }
      upstream.next({ body: CITING })
      serving = { source }
      const { last, answer } = await send()
      expect(last.status).toBe('ready')
      expect(answer?.parts).toMatchObject([
        { type: 'step-start' },
        // With an id, the later one replaces the earlier one.
        { type: 'data-progress', id: 'progress', data: { percent: 100 } },
        { type: 'text', text: 'Cited.', state: 'done' },
        { type: 'source-url', sourceId: expect.any(String), url: 'https://example.com/a', title: 'A' },
        { type: 'data-citation', data: { type: 'char_location', cited_text: 'b' } },
        { type: 'data-done', data: 'by us' },
      ])
    })

    it('shows the input of a tool call as it grows', async () => {
      const grown = [
        '["input-streaming",null]',
        '["input-streaming",{}]',
        '["input-streaming",{"location":"San"}]',
        '["input-streaming",{"location":"Santa Cruz, CA"}]',
      ]
      const painted = (input: string | undefined) =>
        page.waitForFunction(
          (input) =>
            (window as unknown as Probed).seen.some(({ messages }) => {
              const part = messages[1]?.parts[2]
              return part?.type === 'dynamic-tool' && JSON.stringify([part.state, part.input]) === input
            }),
          input,
        )
      // A busy browser does not paint what is followed by more: each piece waits until the one before it is painted.
      const source = async function* ({ signal }: { signal: AbortSignal }) {
        let pieces = 0
        for await (const event of await anthropic(signal)) {
          yield event
          if (event.type === 'content_block_delta' && event.delta.type === 'input_json_delta')
            await painted(grown[pieces++])
        }
      }
      upstream.next({ trace: 'anthropic-tool-use.sse' })
      serving = { source }
      const { last, seen, answer, finish } = await send()
      expect(last.status).toBe('ready')
      expect(finish.finishReason).toBe('tool-calls')
      expect(answer?.parts.at(-1)).toMatchObject({
        type: 'dynamic-tool',
        toolCallId: 'toolu_01T1x1fJ34qAmk2tNTrN7Up6',
        toolName: 'get_weather',
        state: 'input-available',
        input: { location: 'Santa Cruz, CA' },
      })
      const inputs = seen
        .map(({ messages }) => messages[1]?.parts[2])
        .flatMap((part) => {
          return part?.type === 'dynamic-tool' ? [JSON.stringify([part.state, part.input])] : []
        })
      expect([...new Set(inputs)]).toEqual([...grown, '["input-available",{"location":"Santa Cruz, CA"}]'])
    })

    it('is in its error state when the connection is cut', async () => {
      expected = CUT
      upstream.next({ stallAfter: 5 })
      serving = { source: ({ signal }) => anthropic(signal) }
      const sent = send()
      await isStreaming()
      server.closeAllConnections()
      const { last, finish } = await sent
      expect({ status: last.status, isError: finish.isError }).toEqual({ status: 'error', isError: true })
    })

    it.each([
      ['runs out of time', new DOMException('', 'TimeoutError'), 'The answer took longer than is allowed.'],
      ['is stopped from outside', undefined, 'The answer was stopped.'],
    ])('is in its error state when the answer %s', async (_what, reason, words) => {
      upstream.next({ stallAfter: 5 })
      const controller = new AbortController()
      serving = { source: ({ signal }) => anthropic(signal), options: { signal: controller.signal } }
      const sent = send()
      await isStreaming()
      controller.abort(reason)
      const { last, finish } = await sent
      expect({ status: last.status, error: last.error }).toEqual({ status: 'error', error: words })
      expect(finish).toEqual({ isError: true, isAbort: false, isDisconnect: false })
    })

    it('gives a failure before the first token the words of onError, as JSON', async () => {
      expected = FAILED_TO_LOAD
      serving = {
        source: async () => {
          throw new Error('sk-secret')
        },
        options: { onError: () => ({ status: 402, code: 'no-credit', message: 'There is no credit left.' }) },
      }
      const { response, last } = await send()
      expect(response.status()).toBe(402)
      expect(last.status).toBe('error')
      expect(JSON.parse(last.error ?? '')).toEqual({
        error: { code: 'no-credit', message: 'There is no credit left.', retryable: false },
      })
    })
  })
})

/** An answer of Anthropic's with a citation of a page, and one of a document. */
const CITING = [
  { type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', content: [], usage: {} } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Cited.' } },
  ...[
    { type: 'web_search_result_location', url: 'https://example.com/a', title: 'A', cited_text: 'a' },
    { type: 'char_location', document_index: 0, cited_text: 'b' },
  ].map((citation) => ({ type: 'content_block_delta', index: 0, delta: { type: 'citations_delta', citation } })),
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: {} },
  { type: 'message_stop' },
]
  .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  .join('')
