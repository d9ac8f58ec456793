import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { collect, providerError, replayUpstream } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

// The demo takes its time, and the machine may be busy.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 })

const QUESTION = { messages: [{ role: 'user', content: 'What is an event stream?' }] }
const TOKENS = 138

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** The demo as it is shipped, in a process of its own, on a free port. */
async function startDemo(env: Record<string, string> = {}) {
  const cli = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url))
  const keys = { ANTHROPIC_API_KEY: '', OPENAI_API_KEY: '' }
  const child = spawn(process.execPath, [cli, 'demo'], { env: { ...process.env, ...keys, PORT: '0', ...env } })
  let output = ''
  const closed = once(child, 'close')
  const listening = new Promise<string>((resolve, reject) => {
    const read = (bytes: Buffer) => {
      output += bytes
      const url = /http:\/\/localhost:\d+/.exec(output)?.[0]
      if (url) resolve(url)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    closed.then(() => reject(new Error(`The demo ended before it listened:\n${output}`)))
  })
  const url = await listening
  return {
    url,
    /** All it printed so far. */
    output: () => output,
    /** Waits until it printed this. */
    async printed(pattern: RegExp) {
      while (!pattern.test(output)) await Promise.race([once(child.stdout, 'data'), closed])
    },
    post: (body: unknown, init: RequestInit = {}) =>
      fetch(`${url}/api/chat`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...init,
      }),
    upstreamOf: async (ask: string) => (await fetch(`${url}/api/upstream?ask=${ask}`)).json(),
    /** Its exit code. */
    async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
      if (isRunning(child)) child.kill(signal)
      await closed
      return child.exitCode
    },
  }
}

type Demo = Awaited<ReturnType<typeof startDemo>>

const isRunning = (child: ChildProcess) => child.exitCode === null && child.signalCode === null

async function startDemoForTest(env?: Record<string, string>): Promise<Demo> {
  const demo = await startDemo(env)
  cleanups.push(() => demo.stop())
  return demo
}

/** Where Chromium is; undefined, and the tests in it are skipped, but for CI, where they fail. */
function findChromium(): string | undefined {
  const paths = [
    process.env.CHROMIUM_PATH,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  ]
  return paths.find((path) => path && existsSync(path))
}

const executablePath = findChromium()
const NO_CHROMIUM = 'no Chromium found: install it, or say where it is with CHROMIUM_PATH'
const isSkipped = !executablePath && !process.env.CI

describe('the answer of the demo', () => {
  let demo: Demo
  beforeAll(async () => {
    demo = await startDemo()
  })
  afterAll(() => demo.stop())

  it('prints its address, whom it asks and a line to copy, without colour codes', () => {
    expect(demo.output()).toContain('replayed answer: no key set')
    expect(demo.output()).toContain(`curl -N ${demo.url}/api/chat`)
    expect(demo.output()).not.toContain('\u001b')
  })

  it('streams in the default protocol, and ends with the sentinel', async () => {
    const response = await demo.post(QUESTION)
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    let body = ''
    let pieces = 0
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      body += piece
      pieces++
    }
    expect(pieces).toBeGreaterThan(TOKENS / 4)
    expect(body.startsWith('data: {"text":"An"}\n\ndata: {"text":" event"}\n\n')).toBe(true)
    expect(body.endsWith('data: [DONE]\n\n')).toBe(true)

    const { text, outcome, events } = await collect(body)
    expect(outcome).toBe('done')
    expect(events).toHaveLength(TOKENS)
    expect(text).toContain('日本語, ελληνικά, हिन्दी, العربية, українська. So does a rocket 🚀.')
    await demo.printed(/^done +events 138 +first \d+ ms +in all \d+ ms +tokens in 14, out 138$/m)
  })

  it('answers a provider that is overloaded before the first token with 503, as JSON', async () => {
    const response = await demo.post({ ...QUESTION, demo: 'overloaded' })
    expect(response.status).toBe(503)
    expect(await response.json()).toEqual({
      error: { code: 'overload', message: expect.any(String), retryable: true },
    })
  })

  it('tells an error in mid-answer, and an answer without an ending, from a complete one', async () => {
    const [midway, cut] = await Promise.all(
      ['midway', 'cut'].map(async (failure) => collect(await demo.post({ ...QUESTION, demo: failure }))),
    )
    expect(midway).toMatchObject({ status: 200, outcome: 'error', error: { code: 'overload', retryable: true } })
    expect(midway?.events).toHaveLength(TOKENS / 2)
    expect(cut).toMatchObject({ status: 200, outcome: 'truncated', error: { code: 'truncated', retryable: true } })
    expect(cut?.events).toHaveLength(TOKENS / 2)
  })

  it('closes the request upstream when the client leaves while the model is silent', async () => {
    const leaving = new AbortController()
    const response = demo.post({ ...QUESTION, ask: 'left-in-silence' }, { signal: leaving.signal })
    setTimeout(() => leaving.abort(), 150)
    await expect(response).rejects.toThrow('aborted')
    expect(await demo.upstreamOf('left-in-silence')).toMatchObject({ state: 'closed', by: 'client', sent: 0 })
  })

  it.each([
    ['no JSON', '{', 400, 'invalid-json'],
    ['no object', null, 400, 'invalid-messages'],
    ['no messages', {}, 400, 'invalid-messages'],
    ['an empty list of messages', { messages: [] }, 400, 'invalid-messages'],
    ['no message', { messages: [null] }, 400, 'invalid-messages'],
    ['an unknown role', { messages: [{ role: 'system', content: 'Hi' }] }, 400, 'invalid-messages'],
    ['content that is no string', { messages: [{ role: 'user', content: 1 }] }, 400, 'invalid-messages'],
    ['an unknown failure', { ...QUESTION, demo: 'fire' }, 400, 'invalid-demo'],
    ['an id that is none', { ...QUESTION, ask: '../../x' }, 400, 'invalid-ask'],
    ['more than 1 MB', ' '.repeat(1024 * 1024 + 1), 413, 'body-too-large'],
  ])('refuses a body that is %s', async (_, body, status, code) => {
    const response = await demo.post(body)
    expect(response.status).toBe(status)
    expect(await response.json()).toEqual({ error: { code, message: expect.any(String), retryable: false } })
  })

  it.each([
    ['GET', '/api/chat', 405],
    ['POST', '/', 405],
    ['GET', '/nothing', 404],
    ['GET', '/sse-relay/nothing.js', 404],
    ['GET', '/sse-relay/..%2f..%2fpackage.json', 404],
    ['GET', '/sse-relay/index.d.ts', 404],
  ])('refuses %s %s', async (method, path, status) => {
    expect((await fetch(demo.url + path, { method })).status).toBe(status)
  })

  it('does not answer the page of another site', async () => {
    const headers = { 'content-type': 'text/plain', 'sec-fetch-site': 'cross-site' }
    expect((await demo.post(QUESTION, { headers })).status).toBe(403)
  })

  it.each(['SIGTERM', 'SIGINT'] as const)('ends cleanly on %s, and with it the answers under way', async (signal) => {
    const ending = await startDemoForTest()
    const response = await ending.post(QUESTION)
    const exitCode = ending.stop(signal)
    const { outcome, error } = await collect(response)
    expect({ outcome, code: error?.code }).toEqual({ outcome: 'shutdown', code: 'shutdown' })
    expect(await exitCode).toBe(0)
    expect(ending.output()).toMatch(/^shutdown /m)
  })

  it('says which port is taken', async () => {
    const { port } = new URL(demo.url)
    await expect(startDemo({ PORT: port })).rejects.toThrow(`Port ${port} is taken`)
  })
})

describe.each([
  { provider: 'Anthropic', path: '', name: 'anthropic' as const },
  { provider: 'OpenAI', path: '/v1', name: 'openai' as const },
])('the demo with a key of $provider', ({ provider, path, name }) => {
  const start = async (...replay: Parameters<typeof replayUpstream>) => {
    const upstream = await replayUpstream(...replay)
    cleanups.push(() => upstream.close())
    const prefix = provider.toUpperCase()
    const demo = await startDemoForTest({
      [`${prefix}_API_KEY`]: 'sk-secret',
      [`${prefix}_BASE_URL`]: upstream.url + path,
      [`${prefix}_MODEL`]: 'a-model',
    })
    return { upstream, demo }
  }

  it('asks that provider, and says so', async () => {
    const { upstream, demo } = await start()
    expect(await collect(await demo.post(QUESTION))).toMatchObject({
      outcome: 'done',
      text: expect.stringContaining('Hello there'),
    })
    expect(upstream.requests[0]?.json).toMatchObject({ model: 'a-model', stream: true })
    expect(JSON.stringify(upstream.requests[0]?.json)).toContain('What is an event stream?')
    expect(demo.output()).toContain(`${provider}, a-model`)
    expect(await (await fetch(`${demo.url}/api/provider`)).json()).toEqual({ name: `${provider}, a-model`, real: true })
  })

  it('aborts the call when the client leaves, and claims no more than that', async () => {
    const { upstream, demo } = await start({ stallAfter: 4 })
    const leaving = new AbortController()
    const response = await demo.post({ ...QUESTION, ask: 'left-halfway' }, { signal: leaving.signal })
    const { value } = (await response.body?.getReader().read()) ?? {}
    expect(value).toBeDefined()
    leaving.abort()
    const end = { state: 'closed', by: 'aborted', afterMs: expect.any(Number) }
    expect(await demo.upstreamOf('left-halfway')).toEqual(end)
    expect(await upstream.requests[0]?.closed).toMatchObject({ by: 'client' })
  })

  it('shows the words of the provider in its log only', async () => {
    const { upstream, demo } = await start()
    upstream.always(providerError(name, 401, 'The key sk-secret is wrong'))
    const response = await demo.post(QUESTION)
    expect(response.status).toBe(502)
    expect(await response.text()).not.toContain('sk-secret')
    await demo.printed(/The key sk-secret is wrong/)
  })
})

describe.skipIf(isSkipped)(`the page of the demo in Chromium${isSkipped ? ` (${NO_CHROMIUM})` : ''}`, () => {
  let demo: Demo
  let browser: Browser
  beforeAll(async () => {
    if (!executablePath) throw new Error(NO_CHROMIUM)
    demo = await startDemo()
    const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking']
    browser = await chromium.launch({ executablePath, args })
  })
  afterAll(async () => {
    await browser?.close()
    await demo?.stop()
  })

  async function open(options: Parameters<Browser['newPage']>[0] = {}) {
    const page = await browser.newPage(options)
    page.setDefaultTimeout(60_000)
    const errors: string[] = []
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
    page.on('pageerror', (error) => errors.push(String(error)))
    cleanups.push(() => page.close())
    await page.goto(demo.url)
    await page.getByText('replayed answer: no key set').waitFor()
    return { page, errors }
  }

  const ended = (page: Page, state: string) => page.locator(`#answer[data-state="${state}"]`).waitFor()
  const firstToken = (page: Page) => page.locator('#text:not(:empty)', { hasText: /\S/ }).waitFor()
  const tags = (page: Page) => page.locator('#tags .tag').allTextContents()
  const width = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth)

  it('shows the tokens one after another, and that the answer is complete', async () => {
    const { page, errors } = await open()
    await page.evaluate(() => {
      const growth: { length: number; at: number }[] = []
      const text = document.getElementById('text') as HTMLElement
      const observer = new MutationObserver(() => {
        growth.push({ length: text.textContent?.length ?? 0, at: performance.now() })
      })
      observer.observe(text, { childList: true, characterData: true, subtree: true })
      Object.assign(window, { growth })
    })
    await page.getByRole('button', { name: 'Send' }).click()
    await ended(page, 'complete')
    const growth = await page.evaluate(() => (window as never as { growth: { length: number; at: number }[] }).growth)
    const whole = growth.at(-1)?.length ?? 0
    const steps = growth.map(({ length }, index) => length - (growth[index - 1]?.length ?? 0))
    expect(growth.length).toBeGreaterThan(TOKENS / 4)
    expect(Math.max(...steps)).toBeLessThan(whole / 4)
    expect((growth.at(-1)?.at ?? 0) - (growth[0]?.at ?? 0)).toBeGreaterThan(1000)

    expect(await page.locator('#text').textContent()).toMatch(/^An event stream is[^✅]*with a mark that says so\. ✅$/)
    expect(await page.locator('#state').textContent()).toBe('Complete')
    expect(await page.locator('#timeline .strokes').getAttribute('d')).toSatisfy(
      (path: string) => path.split('M').length - 1 === TOKENS,
    )
    expect(await page.locator('#timeline-summary').textContent()).toMatch(/^138 tokens in [\d.]+ s, the first after/)
    // What a screen reader was told: the same text, in whole sentences.
    const spoken = await page.locator('#spoken p').allTextContents()
    expect(spoken.length).toBeGreaterThan(5)
    expect(spoken.join(' ').replace(/\s+/g, ' ')).toBe(
      (await page.locator('#text').textContent())?.replace(/\s+/g, ' '),
    )
    expect(errors).toEqual([])
  })

  it('stops the upstream when Stop is pressed, and shows the proof', async () => {
    const { page, errors } = await open()
    const reports: unknown[] = []
    page.on('response', (response) => {
      if (response.url().includes('/api/upstream')) reports.push(response.json())
    })
    const stop = page.getByRole('button', { name: 'Stop' })
    expect(await stop.getAttribute('aria-disabled')).toBe('true')
    await page.getByRole('button', { name: 'Send' }).click()
    await firstToken(page)
    await stop.click()
    await ended(page, 'stopped')
    await page.getByText(/^Our server closed its request to the provider [\d.]+ m?s after you left/).waitFor()
    expect(await page.locator('#upstream').textContent()).toMatch(/: \d+ of 138 tokens had come, and no more will\.$/)
    expect(await Promise.all(reports)).toContainEqual(expect.objectContaining({ state: 'closed', by: 'client' }))
    await demo.printed(/^disconnected /m)
    await demo.printed(/upstream closed by client after [\d.]+ ms, \d+ of 138 tokens sent/)
    expect(await page.locator('#text').textContent()).not.toContain('✅')
    expect(await stop.getAttribute('aria-disabled')).toBe('true')
    expect(errors).toEqual([])
  })

  it('shows an overload before the first token as HTTP 503 that can be retried', async () => {
    const { page, errors } = await open()
    const response = page.waitForResponse(/\/api\/chat$/)
    await page.getByRole('button', { name: 'Overloaded' }).click()
    expect((await response).status()).toBe(503)
    await ended(page, 'failed')
    expect(await page.locator('#state').textContent()).toBe('Failed before the first token')
    expect(await tags(page)).toEqual(['HTTP 503', 'overload', 'can be retried'])
    expect(await page.locator('#text').textContent()).toBe('')
    // Chromium itself notes every status of that kind; the page adds nothing.
    expect(errors).toEqual([expect.stringContaining('503')])
  })

  it('shows an error in mid-answer after the text that came before it', async () => {
    const { page, errors } = await open()
    await page.getByRole('button', { name: 'Midway' }).click()
    await ended(page, 'failed')
    expect(await page.locator('#state').textContent()).toBe('Failed half way')
    expect(await tags(page)).toEqual(['overload', 'can be retried'])
    expect(await page.locator('#text').textContent()).toMatch(/^An event stream/)
    expect(errors).toEqual([])
  })

  it('shows an answer that was cut as truncated, not as complete', async () => {
    const { page, errors } = await open()
    await page.getByRole('button', { name: 'Cut' }).click()
    await ended(page, 'truncated')
    expect(await page.locator('#state').textContent()).toBe('Cut short')
    expect(await tags(page)).toEqual(['truncated', 'can be retried'])
    expect(await page.locator('#text').textContent()).toMatch(/^An event stream/)
    expect(errors).toEqual([])
  })

  it('can be used with the keyboard alone', async () => {
    const { page, errors } = await open()
    await page.keyboard.press('Tab')
    const prompt = page.getByRole('textbox', { name: 'Your question' })
    expect(await prompt.evaluate((element) => element === document.activeElement)).toBe(true)
    await page.keyboard.press('ControlOrMeta+A')
    await page.keyboard.type('One')
    await page.keyboard.press('Shift+Enter')
    await page.keyboard.type('Two')
    expect(await prompt.inputValue()).toBe('One\nTwo')

    const request = page.waitForRequest(/\/api\/chat$/)
    await page.keyboard.press('Enter')
    expect((await request).postDataJSON().messages).toEqual([{ role: 'user', content: 'One\nTwo' }])
    await firstToken(page)
    await page.keyboard.press('Escape')
    await ended(page, 'stopped')

    // On from the prompt: Stop, Send, then the failures.
    for (const name of ['Stop', 'Send', 'Overloaded']) {
      await page.keyboard.press('Tab')
      expect(await page.evaluate(() => document.activeElement?.textContent)).toContain(name)
      expect(await page.evaluate(() => getComputedStyle(document.activeElement as Element).outlineStyle)).toBe('solid')
    }
    await page.keyboard.press('Enter')
    await ended(page, 'failed')
    expect(errors).toEqual([expect.stringContaining('503')])
  })

  it('drops the running answer for a new question, and stops its upstream', async () => {
    const { page, errors } = await open()
    const [first] = await Promise.all([
      page.waitForRequest(/\/api\/chat$/),
      page.getByRole('button', { name: 'Send' }).click(),
    ])
    await firstToken(page)
    await page.getByRole('button', { name: 'Overloaded' }).click()
    expect(await demo.upstreamOf(first.postDataJSON().ask)).toMatchObject({ state: 'closed', by: 'client' })
    await ended(page, 'failed')
    expect(await page.locator('#text').textContent()).toBe('')
    expect(errors).toEqual([expect.stringContaining('503')])
  })

  it('shows that something buffers when all tokens come at once', async () => {
    const { page } = await open()
    const frame = 'data: {"text":"lump "}\n\n'
    const contentType = 'text/event-stream'
    await page.route('**/api/chat', (route) =>
      route.fulfill({ contentType, body: `${frame.repeat(40)}data: [DONE]\n\n` }),
    )
    await page.getByRole('button', { name: 'Send' }).click()
    await ended(page, 'complete')
    expect(await page.locator('#timeline-summary').textContent()).toMatch(
      /40 of them at one moment: something .* buffers/,
    )
  })

  it('shows a server that cannot be reached as such', async () => {
    const { page } = await open()
    await page.route('**/api/chat', (route) => route.abort())
    await page.getByRole('button', { name: 'Send' }).click()
    await ended(page, 'failed')
    expect(await tags(page)).toEqual(['network', 'can be retried'])
  })

  it.each(['light', 'dark'] as const)('fits a window of 320 pixels, in %s colours', async (colorScheme) => {
    const { page, errors } = await open({ viewport: { width: 320, height: 640 }, colorScheme })
    expect(await width(page)).toBe(320)
    await page.getByRole('button', { name: 'Send' }).click()
    await firstToken(page)
    await page.keyboard.press('Escape')
    await page.getByText(/^Our server closed its request/).waitFor()
    expect(await width(page)).toBe(320)
    expect(errors).toEqual([])
  })
})
