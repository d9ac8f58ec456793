/** What the checks of the examples whose answers go on share: what is around them, and what their pages do. */
import { existsSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer as createTunnel, type Socket } from 'node:net'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** A provider in the hand of a test: Anthropic's wire format, and each token when it is told to say it. */
export interface Provider {
  readonly url: string
  /** How often it was asked. */
  readonly calls: number
  /** The next question to it. */
  asked(): Promise<Question>
  close(): Promise<void>
}

export interface Question {
  /** Says a token; before the first it has not even answered. */
  say(text: string): void
  /** Says that the answer is complete. */
  end(): void
  /** Resolves when the exchange is over: whether it was before the answer's end. */
  readonly aborted: Promise<boolean>
}

export async function provider(): Promise<Provider> {
  const questions: Question[] = []
  const waiting: ((question: Question) => void)[] = []
  let calls = 0
  const server = createServer((req, res) => {
    req.resume()
    calls++
    const question = questionOf(res)
    const next = waiting.shift()
    if (next) next(question)
    else questions.push(question)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get calls() {
      return calls
    },
    async asked() {
      return questions.shift() ?? new Promise((resolve) => waiting.push(resolve))
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function questionOf(res: ServerResponse): Question {
  const send = (event: { type: string }) => res.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  const begin = () => {
    if (res.headersSent) return
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'test', content: [], stop_reason: null }
    send({ type: 'message_start', message: { ...message, usage: { input_tokens: 1, output_tokens: 1 } } } as never)
    send({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } } as never)
  }
  return {
    say(text) {
      begin()
      send({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } } as never)
    },
    end() {
      begin()
      send({ type: 'content_block_stop', index: 0 } as never)
      send({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } } as never)
      send({ type: 'message_stop' })
      res.end()
    },
    aborted: new Promise((resolve) => res.on('close', () => resolve(!res.writableFinished))),
  }
}

/** What is between the page and the server, and can be cut. */
export interface Tunnel {
  readonly url: string
  /** Breaks every connection through it. */
  cut(): void
  close(): void
}

export async function tunnel(url: string): Promise<Tunnel> {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  const server = createTunnel((client) => {
    const upstream = connect(Number(port), hostname)
    for (const [from, to] of [[client, upstream] as const, [upstream, client] as const]) {
      sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    close() {
      server.close()
      cut()
    },
  }
}

const executablePath = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (path) => path && existsSync(path),
)

/** The page, in Chromium. A missing browser fails where CI is set, and is passed over elsewhere. */
export function checkPage(around: () => { url: string; provider: Provider }): void {
  describe.skipIf(!executablePath && !process.env.CI)('its page', () => {
    let browser: Browser
    let through: Tunnel
    beforeAll(async () => {
      through = await tunnel(around().url)
      browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
    }, 60_000)
    afterAll(async () => {
      await browser?.close()
      through?.close()
    })

    const shows = (page: Page, status: string, answer: string) =>
      expect
        .poll(async () => [await page.locator('#status').textContent(), await page.locator('#answer').textContent()], {
          timeout: 20_000,
        })
        .toEqual([status, answer])
    const ask = async (page: Page) => {
      const { provider } = around()
      const calls = provider.calls
      await page.getByRole('button', { name: 'Send' }).click()
      const question = await provider.asked()
      expect(provider.calls).toBe(calls + 1)
      return question
    }

    it('has the whole answer once, after a reload before the first token and in the middle, and two cuts', async () => {
      const page = await browser.newPage()
      await page.goto(through.url)
      const { provider } = around()
      const { say, end, aborted } = await ask(page)
      const calls = provider.calls
      await page.reload()
      say('one ')
      await shows(page, 'Answering', 'one ')
      await page.reload()
      await shows(page, 'Waiting', 'one ')
      say('two ')
      await shows(page, 'Answering', 'one two ')
      for (const [token, answer] of [
        ['three ', 'one two three '],
        ['four ', 'one two three four '],
      ] as const) {
        through.cut()
        say(token)
        await shows(page, 'Answering', answer)
      }
      end()
      await shows(page, 'Complete', 'one two three four ')
      expect(await aborted).toBe(false)
      // And it is still there, with nobody asked for it.
      const requests: string[] = []
      page.on('request', (request) => requests.push(request.url()))
      await page.reload()
      await shows(page, 'Complete', 'one two three four ')
      expect(requests.filter((url) => url.includes('/api/'))).toEqual([])
      expect(provider.calls).toBe(calls)
      await page.close()
    }, 60_000)

    it('can be watched in a second tab, and stopped there: both are told, and the provider is left', async () => {
      const context = await browser.newContext()
      const page = await context.newPage()
      await page.goto(through.url)
      const { say, aborted } = await ask(page)
      say('one ')
      await shows(page, 'Answering', 'one ')
      const opened = context.waitForEvent('page')
      await page.getByRole('link', { name: 'watch in another tab' }).click()
      const second = await opened
      await shows(second, 'Answering', 'one ')
      say('two ')
      for (const tab of [page, second]) await shows(tab, 'Answering', 'one two ')
      await second.getByRole('button', { name: 'Stop' }).click()
      for (const tab of [page, second]) await shows(tab, 'Stopped', 'one two ')
      expect(await aborted).toBe(true)
      await context.close()
    }, 60_000)

    it('can be stopped before the first token', async () => {
      const page = await browser.newPage()
      await page.goto(through.url)
      const { aborted } = await ask(page)
      await page.getByRole('button', { name: 'Stop' }).click()
      await shows(page, 'Stopped', '')
      expect(await aborted).toBe(true)
      await page.close()
    }, 60_000)
  })
}
