// Whether the page of the demo shows in Chromium what becomes of an answer.
import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Demo, startDemo, TOKENS } from './demo.js'

// The demo takes its time, and the machine may be busy.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 })

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

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
    // A machine that is busy joins some; what gathers joins all.
    expect(growth.length).toBeGreaterThan(2)
    expect(Math.max(...steps)).toBeLessThan(whole)
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

  it.each([
    [
      'cut',
      'Cut the connection',
      /^The connection was cut after 40 tokens, and was back after .*, and each of them once\.$/,
    ],
    [
      'reload',
      'Reload the page',
      /^The page was loaded again after 40 tokens, and was back after .* each of them once\.$/,
    ],
  ])('goes on with the answer after the connection is lost: %s', async (_, name, said) => {
    const { page, errors } = await open()
    await page.getByRole('button', { name }).click()
    await page.locator('#tags .tag', { hasText: 'resumed' }).waitFor()
    expect(await page.locator('#detail').textContent()).toMatch(said)
    expect(await page.locator('#text').textContent()).toMatch(/^An event stream[\s\S]*a mark that says so\. ✅$/)
    expect(await page.locator('#count').textContent()).toBe(String(TOKENS))
    await page.getByText('The provider was asked once.').waitFor()
    // A connection that is cut is an error to the browser's console, and to nobody else.
    expect(errors.filter((error) => !error.includes('net::'))).toEqual([])
  })

  it('stops an answer that outlives its connection', async () => {
    const { page } = await open()
    await page.getByRole('button', { name: 'Cut the connection' }).click()
    await firstToken(page)
    await page.getByRole('button', { name: 'Stop' }).click()
    await ended(page, 'stopped')
    await page.getByText(/^The provider was asked once, and our server closed that request/).waitFor()
  })

  it('has its code to copy', async () => {
    const { page } = await open({ permissions: ['clipboard-read', 'clipboard-write'] })
    await page.getByRole('button', { name: 'Copy' }).first().click()
    await page.getByRole('button', { name: 'Copied' }).waitFor()
    expect(await page.evaluate(() => navigator.clipboard.readText())).toContain("from 'sse-relay/express'")
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
    await page.getByRole('button', { name: 'Cut short' }).click()
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
    for (const name of ['Stop', 'Send', 'Cut the connection', 'Reload the page', 'Overloaded']) {
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

  it('shows the answer to who asks from further down a phone, also after a reload', async () => {
    const { page } = await open({ viewport: { width: 390, height: 700 }, reducedMotion: 'reduce' })
    const isInView = () =>
      page.locator('#state').evaluate((element) => {
        const { top, bottom } = element.getBoundingClientRect()
        return top >= 0 && bottom <= innerHeight
      })
    const bottom = () => page.evaluate(() => scrollTo(0, document.body.scrollHeight))
    await bottom()
    expect(await isInView()).toBe(false)
    // As a thumb does it: the button is where it is seen, and nothing scrolls to it.
    await page.locator('[data-demo="overloaded"]').dispatchEvent('click')
    expect(await isInView()).toBe(true)
    await ended(page, 'failed')
    await bottom()
    await page.locator('[data-loss="reload"]').dispatchEvent('click')
    await page.getByText('Back after the reload').or(page.locator('#answer[data-state="complete"]')).first().waitFor()
    expect(await isInView()).toBe(true)
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
