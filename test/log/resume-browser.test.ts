import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createProxy, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type Browser, chromium, type Page } from 'playwright-core'
import { createMemoryLog } from 'sse-relay/log'
import { relay, resume } from 'sse-relay/node'
import { uiMessage } from 'sse-relay/protocols'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const executablePath = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (path) => path && existsSync(path),
)
const isSkipped = !executablePath && !process.env.CI
const because = isSkipped ? ' (skipped: no Chromium found, say where it is with CHROMIUM_PATH)' : ''

const TOKENS = Array.from({ length: 60 }, (_, index) => `${index} `)
const ANSWER = TOKENS.join('')

describe.skipIf(isSkipped)(`a run that goes on, read in Chromium${because}`, () => {
  let browser: Browser
  let server: Server
  let proxy: Server | ReturnType<typeof createProxy>
  let url: string
  /** How often a source was called. */
  let calls = 0
  /** How often the page's EventSource asked, and whether its connections are ended after a while. */
  let events = 0
  let isCapped = false
  /** How many tokens the source may yield for now, and who waits for more. */
  let allowed = Number.POSITIVE_INFINITY
  let more: (() => void) | undefined
  const allow = (count: number) => {
    allowed = count
    more?.()
  }
  const through = new Set<Socket>()
  /** What a proxy, a tunnel or a lift does. */
  const cut = () => {
    for (const socket of through) socket.resetAndDestroy()
  }

  beforeAll(async () => {
    const bundle = await build({
      entryPoints: [fileURLToPath(new URL('./resume-page.jsx', import.meta.url))],
      alias: { 'sse-relay/client': fileURLToPath(new URL('../../dist/client.js', import.meta.url)) },
      bundle: true,
      write: false,
      format: 'esm',
      jsx: 'automatic',
      define: { 'process.env.NODE_ENV': '"production"' },
    })
    const page = `<!doctype html><title>Test</title><output></output><p id=status></p><div id=root></div>
<script type=module src=/page.js></script>`
    const log = createMemoryLog()
    /** Chat → run: the application's to know. */
    const chats = new Map<string, string>()
    const source = async function* () {
      calls++
      for (const [index, token] of TOKENS.entries()) {
        while (index >= allowed) {
          await new Promise<void>((resolve) => {
            more = resolve
          })
        }
        yield token
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    const shared = { log, owner: 'ann', retryMs: 50 }
    server = createServer((req, res) => {
      const { pathname, searchParams } = new URL(req.url ?? '/', 'http://localhost')
      if (pathname === '/page.js') res.setHeader('content-type', 'text/javascript').end(bundle.outputFiles[0]?.text)
      else if (pathname === '/api/events') {
        events++
        const cap = isCapped ? { maxDurationMs: 300, heartbeatMs: 100 } : {}
        relay(req, res, source, { ...shared, ...cap })
      } else if (pathname === '/api/follow')
        resume(req, res, { ...shared, runId: searchParams.get('run') ?? undefined })
      else if (pathname === '/api/chat' && req.method === 'POST') relay(req, res, source, shared)
      else if (pathname === '/api/chat') resume(req, res, shared)
      else if (pathname === '/api/ui') {
        const runId = crypto.randomUUID()
        chats.set('the-chat', runId)
        relay(req, res, source, { ...shared, runId, protocol: uiMessage() })
      } else if (pathname.startsWith('/api/ui/')) {
        resume(req, res, { ...shared, runId: chats.get(pathname.split('/')[3] ?? '') })
      } else res.setHeader('content-type', 'text/html').end(page)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    proxy = createProxy((client) => {
      const upstream = connect(port, '127.0.0.1')
      for (const [from, to] of [[client, upstream] as const, [upstream, client] as const]) {
        through.add(from)
        from.on('error', () => to.destroy())
        from.on('close', () => {
          through.delete(from)
          to.destroy()
        })
        from.pipe(to)
      }
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', () => resolve()))
    url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
  }, 60_000)

  afterAll(async () => {
    await browser?.close()
    cut()
    proxy?.close()
    server?.close()
    server?.closeAllConnections()
  })

  const shown = (page: Page) => page.locator('output').textContent()
  /** Resolves when so many tokens are there, and the answer is not over. */
  const untilTokens = (page: Page, count: number) =>
    page.waitForFunction(
      (prefix) => document.querySelector('output')?.textContent?.startsWith(prefix),
      TOKENS.slice(0, count).join(''),
      { timeout: 30_000 },
    )
  const untilDone = (page: Page) =>
    expect.poll(() => page.locator('#status').textContent(), { timeout: 30_000 }).toBe('done')

  async function open(kind: string, tokens: number): Promise<Page> {
    calls = 0
    allow(tokens)
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${url}/?kind=${kind}`)
    if (kind === 'useChat') {
      await page.waitForFunction(() => 'ask' in window)
      await page.evaluate(() => (window as unknown as { ask(): void }).ask())
    }
    return page
  }

  it.each(['EventSource', 'fetchSSE', 'useChat'])(
    '%s survives a reload of the page: the whole answer once, and one call of the source',
    async (kind) => {
      const page = await open(kind, 10)
      await untilTokens(page, 10)
      await page.reload()
      await untilTokens(page, 10)
      allow(TOKENS.length)
      await untilDone(page)
      expect(await shown(page)).toBe(ANSWER)
      expect(calls).toBe(1)
      await page.context().close()
    },
    60_000,
  )

  it.each(['EventSource', 'fetchSSE', 'useChat'])(
    '%s survives a connection that is cut twice: the whole answer once, and one call of the source',
    async (kind) => {
      const page = await open(kind, 8)
      for (const count of [8, 25]) {
        allow(count)
        await untilTokens(page, count)
        cut()
        // useChat asks again when the page becomes visible; here it is told to, as an app does that sees the error.
        if (kind === 'useChat') {
          await page.waitForFunction(() => /^error/.test(document.querySelector('#status')?.textContent ?? ''))
          await page.evaluate(() => (window as unknown as { again(): void }).again())
        }
      }
      allow(TOKENS.length)
      await untilDone(page)
      expect(await shown(page)).toBe(ANSWER)
      expect(calls).toBe(1)
      await page.context().close()
    },
    60_000,
  )

  it('EventSource is handed over before the first token, again and again, and the source is called once', async () => {
    isCapped = true
    events = 0
    const page = await open('EventSource', 0)
    await expect.poll(() => events, { timeout: 30_000 }).toBeGreaterThan(3)
    isCapped = false
    allow(TOKENS.length)
    await untilDone(page)
    expect(await shown(page)).toBe(ANSWER)
    expect(calls).toBe(1)
    await page.context().close()
  }, 60_000)

  it('useChat finds nothing to resume once the answer is over: 204, and the chat is ready', async () => {
    const page = await open('useChat', TOKENS.length)
    await untilDone(page)
    const answers: number[] = []
    page.on('response', (response) => response.url().includes('/stream') && answers.push(response.status()))
    await page.reload()
    await expect.poll(() => answers, { timeout: 20_000 }).toEqual([204])
    expect(await page.locator('#status').textContent()).toBe('ready')
    await page.context().close()
  }, 60_000)
})
