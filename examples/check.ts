/** What the checks of the examples share: each is started as its user does, and asks the replay upstream. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { collect, openClient, providerError, type ReplayUpstream, replayUpstream } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { supports } from '../test/support.js'

const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'
const TOKENS = 10
const QUESTION = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ messages: [{ role: 'user', content: 'What is an event stream?' }] }),
}

const executablePath = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (path) => path && existsSync(path),
)

/** Checks the example in the folder of that name. `path` is what it asks of its provider. */
export function checkExample(host: string, path: string): void {
  describe(`the example for ${host}`, () => {
    supports(host, undefined, host)
    let upstream: ReplayUpstream
    let example: ChildProcess
    let url: string
    let output = ''

    beforeAll(async () => {
      upstream = await replayUpstream({ pauseMs: 10 })
      example = spawn(process.execPath, [fileURLToPath(new URL(`${host}/server.js`, import.meta.url))], {
        env: {
          PATH: process.env.PATH,
          PORT: '0',
          ANTHROPIC_API_KEY: 'test',
          ANTHROPIC_BASE_URL: upstream.url,
          OPENAI_API_KEY: 'test',
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
    })

    // What it writes to the console are the failures asked for here, so it is of interest after others only.
    afterEach(({ task }) => {
      if (task.result?.state === 'fail') console.error(output)
    })

    afterAll(async () => {
      await upstream?.close()
      if (example?.kill()) await once(example, 'exit')
    })

    it('streams the answer token by token, to its end', async () => {
      const { outcome, text, events, headers } = await collect(await fetch(`${url}/api/chat`, QUESTION))
      expect({ outcome, text }).toEqual({ outcome: 'done', text: ANSWER })
      expect(events).toHaveLength(TOKENS)
      expect(headers).toMatchObject({ 'content-type': 'text/event-stream; charset=utf-8' })
      const request = upstream.requests.at(-1)
      expect(request?.path).toBe(path)
      expect((await request?.closed)?.by).toBe('server')
    })

    it.each([
      ['while the model thinks', { delayMs: Infinity }, undefined],
      ['in the middle of the answer', { stallAfter: 8 }, 'data: '],
    ])('stops the upstream when the reader leaves %s', async (_when, replay, seen) => {
      upstream.next(replay)
      const asked = upstream.request()
      const client = openClient(`${url}/api/chat`, QUESTION)
      const request = await asked
      if (seen) await client.until(seen)
      client.leave()
      expect((await request.closed).by).toBe('client')
    })

    it('answers with a status when the provider refuses, and keeps its words', async () => {
      upstream.next(providerError('anthropic', 401, 'the key sk-secret is wrong'))
      const { status, error } = await collect(await fetch(`${url}/api/chat`, QUESTION))
      expect({ status, code: error?.code }).toEqual({ status: 502, code: 'upstream-failure' })
      expect(error?.body).not.toContain('secret')
    })

    it('answers a body that is not JSON, and goes on', async () => {
      const { status } = await fetch(`${url}/api/chat`, { ...QUESTION, body: 'no' })
      expect(status).toBeGreaterThanOrEqual(400)
      expect((await fetch(url)).status).toBe(200)
    })

    it('serves what its page needs, and nothing else', async () => {
      const page = await fetch(url)
      expect(page.headers.get('content-type')).toContain('text/html')
      const script = await fetch(`${url}/sse-relay/client.js`)
      expect(script.headers.get('content-type')).toContain('javascript')
      for (const path of ['server.js', 'sse-relay/no.js', 'sse-relay/%2e%2e/package.json']) {
        expect([path, (await fetch(`${url}/${path}`)).status]).toEqual([path, 404])
      }
    })

    // A missing browser fails where CI is set, and is passed over elsewhere.
    it.skipIf(!executablePath && !process.env.CI)('has a page that shows the answer, and stops it', async () => {
      const browser = await chromium.launch({ executablePath })
      try {
        const page = await browser.newPage()
        const status = (text: string) => page.getByText(text, { exact: true }).waitFor()
        await page.goto(url)
        await status('Ready')
        await page.getByRole('button', { name: 'Send' }).click()
        await status('Complete')
        expect(await page.locator('#answer').textContent()).toBe(ANSWER)

        upstream.next({ stallAfter: 8 })
        const asked = upstream.request()
        await page.getByRole('button', { name: 'Send' }).click()
        await status('Answering')
        await page.getByRole('button', { name: 'Stop' }).click()
        await status('Stopped')
        expect((await (await asked).closed).by).toBe('client')

        upstream.next({ endAfter: 8 })
        await page.getByRole('button', { name: 'Send' }).click()
        await status('The answer was cut off before it was complete.')
      } finally {
        await browser.close()
      }
    })
  })
}
