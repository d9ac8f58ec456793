import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { providerError, type ReplayUpstream, replayUpstream } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Serving, serve } from '../../test/hosts/runtimes/programs.js'
import { anthropic, CALL } from '../../test/packages/wires.js'

const executablePath = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (path) => path && existsSync(path),
)
const ANSWER = Array.from({ length: 40 }, (_, n) => `${n} `)
const said = (text: string[], call?: typeof CALL.call) => {
  const { body, end } = anthropic({ reasoning: [], text, ...(call && { call }) })
  return { body: [...body, ...end].join(''), pauseMs: 20 }
}

describe.skipIf(!executablePath && !process.env.CI)('the example with TanStack AI, in Chromium', () => {
  let upstream: ReplayUpstream
  let example: Serving
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    upstream = await replayUpstream()
    example = await serve(process.execPath, [fileURLToPath(new URL('server.js', import.meta.url))], {
      env: { PORT: '0', ANTHROPIC_API_KEY: 'test', ANTHROPIC_BASE_URL: upstream.url },
    })
    browser = await chromium.launch({ ...(executablePath && { executablePath }), args: ['--no-sandbox'] })
  })
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') console.error(await page.content(), example.output.slice(-3000))
    await page?.close()
  })
  afterAll(async () => {
    await browser?.close()
    await example?.close()
    await upstream?.close()
  })

  const open = async () => {
    page = await browser.newPage()
    page.setDefaultTimeout(30_000)
    await page.goto(example.url)
  }
  const ask = () => page.getByRole('button', { name: 'Send' }).click()
  const says = (text: string) => page.getByRole('listitem').filter({ hasText: text }).first().waitFor()
  const isReady = () =>
    page
      .getByRole('status')
      .filter({ hasText: /^ready$/ })
      .waitFor()

  it('shows the answer as it comes, and the call of a tool', async () => {
    upstream.next(said(ANSWER, CALL.call))
    await open()
    await ask()
    await says('0 1 2')
    await says(ANSWER.join('').trim())
    await says('weather {"city":"Oslo"}')
    await isReady()
  })

  it('stops the provider', async () => {
    upstream.next(said(Array.from({ length: 2000 }, (_, n) => `${n} `)))
    const request = upstream.request()
    await open()
    await ask()
    await says('0 1 2')
    await page.getByRole('button', { name: 'Stop' }).click()
    await page.getByRole('status').filter({ hasText: 'stopped' }).waitFor()
    expect((await (await request).closed).by).toBe('client')
  })

  it('says that an answer has failed, in the middle of it and before it began', async () => {
    upstream.next({ trace: 'anthropic-error-overloaded.sse', pauseMs: 20 })
    await open()
    await ask()
    await page
      .getByRole('status')
      .filter({ hasText: /overloaded/ })
      .waitFor()
    upstream.next(providerError('anthropic', 529, 'SECRET'))
    await page.reload()
    await ask()
    await page.getByRole('status').filter({ hasText: /503/ }).waitFor()
    expect(await page.content()).not.toContain('SECRET')
  })

  it('goes on after a reload, and has the answer after another', async () => {
    upstream.next({ ...said(ANSWER), pauseMs: 100 })
    const before = upstream.requests.length
    await open()
    await ask()
    await says('0 1 2')
    await page.reload()
    await says(ANSWER.join('').trim())
    await isReady()
    await page.reload()
    await says(ANSWER.join('').trim())
    expect(await page.getByRole('listitem').filter({ hasText: '0 1 2' }).count()).toBe(1)
    expect(upstream.requests.length - before).toBe(1)
  })
})
