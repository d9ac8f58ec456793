import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { collect, openClient, providerError, type ReplayUpstream, replayUpstream } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../scripts/free-port.mjs'
import { type Serving, serve } from '../../test/hosts/runtimes/programs.js'
import { type Provider, provider } from '../check-resume.js'

/** As a service of Railway is told it. */
const aPort = async () => String(await freePort())

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '../..')
const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'
const KEY = 'sk-ant-a-key-that-nobody-may-see'
const QUESTION = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ messages: [{ role: 'user', content: 'What is an event stream?' }] }),
}
const SERVICES = ['worker', 'api', 'frontend'] as const

const executablePath = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (path) => path && existsSync(path),
)

/** The instructions of the Dockerfile, in their order. */
function instructions(): [name: string, rest: string][] {
  return readFileSync(join(here, 'Dockerfile'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? []
      return [name, rest]
    })
}

/** What the build would have as its image, but for the Node in it: each command is run here, one by one. */
function build(buildArguments: Record<string, string>): { folder: string; command: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'sse-relay-railway-'))
  const copy = (name: string) => cpSync(join(here, name), join(folder, name), { recursive: true })
  const ignored = readFileSync(join(here, '.dockerignore'), 'utf8').trim().split('\n')
  const env: NodeJS.ProcessEnv = { PATH: process.env.PATH, HOME: process.env.HOME }
  let command: string[] = []
  for (const [name, rest] of instructions()) {
    if (name === 'COPY' && rest === 'package.json ./') {
      copy('package.json')
      depend(folder)
    } else if (name === 'COPY' && rest === '. .') {
      for (const name of readdirSync(here)) {
        if (name === 'package.json' || ignored.some((entry) => name === entry || name.endsWith(entry.slice(1))))
          continue
        copy(name)
      }
      rmSync(join(folder, 'frontend/dist'), { recursive: true, force: true })
    } else if (name === 'RUN') {
      const { status, stdout, stderr } = spawnSync(rest, { cwd: folder, env, shell: true, encoding: 'utf8' })
      expect(status, `${rest}\n${stdout}${stderr}`).toBe(0)
    } else if (name === 'ARG') {
      expect(Object.keys(buildArguments)).toContain(rest)
      env[rest] = buildArguments[rest]
    } else if (name === 'ENV') {
      const [variable = '', value] = rest.split('=')
      env[variable] = value
    } else if (name === 'CMD') command = JSON.parse(rest)
    else expect(['FROM', 'WORKDIR', 'USER']).toContain(name)
  }
  return { folder, command }
}

/** In an app of one's own the package comes from the registry; here it is packed. */
function depend(folder: string): void {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]
  const [{ filename }] = JSON.parse(execFileSync('npm', args, { cwd: root, encoding: 'utf8', stdio: 'pipe' }))
  const path = join(folder, 'package.json')
  const manifest = JSON.parse(readFileSync(path, 'utf8'))
  manifest.dependencies['sse-relay'] = `file:${filename}`
  writeFileSync(path, JSON.stringify(manifest))
}

const config = (service: string) => JSON.parse(readFileSync(join(here, service, 'railway.json'), 'utf8'))

describe('the example for Railway', () => {
  let upstream: ReplayUpstream
  let told: Provider
  let image: ReturnType<typeof build>
  let ports: Record<(typeof SERVICES)[number], string>
  const servers: Serving[] = []
  const api = () => `http://localhost:${ports.api}`
  const page = () => `http://localhost:${ports.frontend}`

  /** Starts a service with its own start command, and the variables that are its own. */
  async function start(service: (typeof SERVICES)[number], env: Record<string, string>): Promise<Serving> {
    const [program = '', ...args] = config(service).deploy.startCommand.split(' ')
    expect(program).toBe('node')
    const server = await serve(process.execPath, args, { cwd: image.folder, env })
    servers.push(server)
    return server
  }
  const worker = (baseURL: string, port: string) =>
    start('worker', { PORT: port, ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: baseURL })
  const gateway = (port: string, workerPort: string, more = {}) =>
    start('api', { PORT: port, FRONTEND_ORIGIN: page(), WORKER_URL: `http://localhost:${workerPort}`, ...more })

  beforeAll(async () => {
    ports = { worker: await aPort(), api: await aPort(), frontend: await aPort() }
    image = build({ VITE_API_URL: api() })
    upstream = await replayUpstream({ pauseMs: 5 })
    told = await provider()
    await worker(upstream.url, ports.worker)
    await gateway(ports.api, ports.worker)
    await start('frontend', { PORT: ports.frontend })
  }, 300_000)
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') for (const { output } of servers) console.error(output.slice(-2000))
    // What the test has started for itself.
    for (const server of servers.splice(SERVICES.length)) await server.close()
  })
  afterAll(async () => {
    for (const server of servers) await server.close()
    await upstream?.close()
    await told?.close()
    if (image) rmSync(image.folder, { recursive: true, force: true, maxRetries: 5 })
  })

  it('streams through the API and the worker, and the provider is asked with the key', async () => {
    const { outcome, text, headers } = await collect(await fetch(`${api()}/api/chat`, QUESTION))
    expect({ outcome, text }).toEqual({ outcome: 'done', text: ANSWER })
    expect(headers?.['x-run-id']).toMatch(/^[\w-]{16,}$/)
    expect(upstream.requests.at(-1)?.headers.authorization).toBe(`Bearer ${KEY}`)
    expect((await fetch(`${api()}/health`)).status).toBe(200)
  })

  it('has its key in nothing that a browser gets, and knows the API by its address', () => {
    const files = readdirSync(join(image.folder, 'frontend/dist'), { recursive: true, withFileTypes: true })
    const texts = files
      .filter((file) => file.isFile())
      .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8'))
    expect(texts.filter((text) => text.includes(api()))).toHaveLength(1)
    expect(texts.filter((text) => /sk-ant|ANTHROPIC|WORKER_URL/.test(text))).toEqual([])
  })

  it('allows the origin of the page and no other, on refusals too', async () => {
    const asked = (origin: string) =>
      fetch(`${api()}/api/chat`, { ...QUESTION, headers: { ...QUESTION.headers, origin } })
    upstream.always(providerError('anthropic', 429, `the key ${KEY} is used up`))
    try {
      const answer = await asked(page())
      expect(answer.headers.get('access-control-allow-origin')).toBe(page())
      const { status, error } = await collect(answer)
      expect([status, error?.code]).toEqual([429, 'rate-limit'])
      expect(error?.body).not.toContain(KEY)
    } finally {
      upstream.always({})
    }
    const preflight = await fetch(`${api()}/api/chat`, {
      method: 'OPTIONS',
      headers: { origin: 'https://elsewhere.example', 'access-control-request-method': 'POST' },
    })
    expect(preflight.headers.get('access-control-allow-origin')).not.toBe('https://elsewhere.example')
  })

  it('ends a connection before the limit of the platform, and gives the rest of the same answer over the next', async () => {
    const [workerPort, apiPort] = [await aPort(), await aPort()]
    await worker(told.url, workerPort)
    await gateway(apiPort, workerPort, { MAX_DURATION_MS: '1000' })
    const url = `http://localhost:${apiPort}/api/chat`
    const first = openClient(url, QUESTION)
    const { say, end, aborted } = await told.asked()
    say('one ')
    await first.until('one ')
    const { 'x-run-id': runId } = await first.headers
    // An ending of HTTP, but none of the answer.
    expect(await first.closed).toMatchObject({ complete: true, by: 'server' })
    expect(first.received).not.toMatch(/\[DONE\]|event: error/)
    const second = openClient(url, { headers: { 'last-event-id': `${runId}:1` } })
    say('two')
    await second.until('two')
    end()
    await second.until('[DONE]')
    expect(second.received).not.toContain('one ')
    expect(await aborted).toBe(false)
  })

  it('gives answers that are on their way the time to end when a deploy replaces the API', async () => {
    const [workerPort, apiPort] = [await aPort(), await aPort()]
    await worker(told.url, workerPort)
    const server = await gateway(apiPort, workerPort)
    const reader = openClient(`http://localhost:${apiPort}/api/chat`, QUESTION)
    const { say, end } = await told.asked()
    say('one ')
    await reader.until('one ')
    server.terminate()
    say('two')
    end()
    await reader.closed
    expect(await collect(reader.received)).toMatchObject({ outcome: 'done', text: 'one two' })
    expect(await server.ended).toBe('exit 0')
  })

  it('listens where the platform looks for it, and is told apart by the start command alone', async () => {
    const hosts = Object.fromEntries(
      SERVICES.map((service) => [
        service,
        readFileSync(join(here, service, 'server.js'), 'utf8').includes("'0.0.0.0'"),
      ]),
    )
    expect(hosts).toEqual({ worker: false, api: true, frontend: true })
    expect(image.command.join(' ')).toBe(config('api').deploy.startCommand)
    for (const service of SERVICES) {
      const { deploy, build } = config(service)
      expect(deploy.startCommand).toBe(`node ${service}/server.js`)
      expect(build).toEqual({ builder: 'DOCKERFILE', dockerfilePath: 'Dockerfile' })
      // The platform refuses a text here.
      expect(deploy.drainingSeconds ?? 0).toBeTypeOf('number')
    }
  })

  it('runs on one machine with one command, as two origins', async () => {
    const [FRONTEND_PORT, API_PORT, WORKER_PORT] = [await aPort(), await aPort(), await aPort()]
    const env = { FRONTEND_PORT, API_PORT, WORKER_PORT, ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: upstream.url }
    const started = await serve(process.execPath, ['start.js'], { cwd: here, env })
    servers.push(started)
    await expect
      .poll(() => started.output, { timeout: 20_000 })
      .toMatch(/(?=[\s\S]*api:)(?=[\s\S]*frontend:)(?=[\s\S]*worker:)/)
    const origin = `http://localhost:${FRONTEND_PORT}`
    const answer = await fetch(`http://localhost:${API_PORT}/api/chat`, {
      ...QUESTION,
      headers: { ...QUESTION.headers, origin },
    })
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
    expect(await collect(answer)).toMatchObject({ outcome: 'done', text: ANSWER })
    const html = await (await fetch(origin)).text()
    const [script] = /\/assets\/[^"]+\.js/.exec(html) ?? []
    expect(await (await fetch(origin + script)).text()).toContain(`http://localhost:${API_PORT}`)
    started.terminate()
    expect(await started.ended).toBe('exit 0')
  }, 60_000)

  // A missing browser fails where CI is set, and is passed over elsewhere.
  describe.skipIf(!executablePath && !process.env.CI)('its page, of another origin', () => {
    let browser: Browser
    beforeAll(async () => {
      browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
    }, 60_000)
    afterAll(() => browser?.close())
    const status = (page: Page, text: string) => page.getByText(text, { exact: true }).waitFor()

    it('shows the answer, and what the API refuses', async () => {
      const tab = await browser.newPage()
      await tab.goto(page())
      await tab.getByRole('button', { name: 'Send' }).click()
      await status(tab, 'Complete')
      expect(await tab.locator('#answer').textContent()).toBe(ANSWER)
      upstream.always(providerError('anthropic', 529))
      try {
        await tab.getByRole('button', { name: 'Send' }).click()
        await status(tab, 'The service is overloaded. Please try again in a moment.')
      } finally {
        upstream.always({})
      }
      await tab.close()
    }, 60_000)

    it('stops the provider, through the API and the worker', async () => {
      const tab = await browser.newPage()
      await tab.goto(page())
      upstream.next({ stallAfter: 8 })
      const asked = upstream.request()
      await tab.getByRole('button', { name: 'Send' }).click()
      await status(tab, 'Answering')
      await tab.getByRole('button', { name: 'Stop' }).click()
      await status(tab, 'Stopped')
      expect((await (await asked).closed).by).toBe('client')
      await tab.close()
    }, 60_000)

    it('reads on over the next connection when one has ended before the limit, and asks once', async () => {
      const [workerPort, apiPort] = [await aPort(), await aPort()]
      await worker(told.url, workerPort)
      await gateway(apiPort, workerPort, { MAX_DURATION_MS: '1000' })
      const tab = await browser.newPage()
      const methods: string[] = []
      // The page has the address of the other API; what it asks there is asked here.
      await tab.route(`${api()}/**`, (route) => {
        methods.push(route.request().method())
        return route.continue({ url: route.request().url().replace(ports.api, apiPort) })
      })
      await tab.goto(page())
      const calls = told.calls
      await tab.getByRole('button', { name: 'Send' }).click()
      const { say, end } = await told.asked()
      say('one ')
      await expect.poll(() => tab.locator('#answer').textContent()).toBe('one ')
      await expect.poll(() => methods.includes('GET'), { timeout: 10_000 }).toBe(true)
      say('two')
      await expect.poll(() => tab.locator('#answer').textContent(), { timeout: 10_000 }).toBe('one two')
      end()
      await status(tab, 'Complete')
      expect(await tab.locator('#answer').textContent()).toBe('one two')
      expect(methods.filter((method) => method === 'POST')).toEqual(['POST'])
      expect(told.calls).toBe(calls + 1)
      await tab.close()
    }, 60_000)
  })
})
