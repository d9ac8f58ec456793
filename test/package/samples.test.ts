import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { isBuiltin } from 'node:module'
import { type AddressInfo, Server as NetServer } from 'node:net'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { serve } from '@hono/node-server'
import { type BuildOptions, build, transform } from 'esbuild'
import type { FastifyInstance } from 'fastify'
import type { Hono } from 'hono'
import { type Browser, chromium, type Page } from 'playwright-core'
import type { Log } from 'sse-relay'
import { record } from 'sse-relay/log'
import { relay } from 'sse-relay/node'
import { parts, raw, text } from 'sse-relay/protocols'
import { collect, logBehaviours, type ReplayUpstream, replayUpstream, stalling } from 'sse-relay/testing'
import { resume } from 'sse-relay/web'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { isSkipped, runtimeProgram, serve as startProgram } from '../hosts/runtimes/programs.js'
import { type Block, blocksOf, KINDS, pages, type Runnable, read, root, runnablesOf } from './samples/blocks.js'
import { components, mounted } from './samples/components.js'
import { moduleOf } from './samples/module.js'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

/** What the replayed provider says. */
const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'
/** A question that has what each of the samples looks for in it. */
const QUESTION = {
  method: 'POST',
  headers: {
    'content-type': 'application/json',
    authorization: 'Bearer token-of-ann',
    cookie: 'session=session-of-ann',
  },
  body: JSON.stringify({
    id: 'chat-1',
    model: 'gpt-5.5',
    user: 'ann',
    input: 'What is an event stream?',
    question: 'What is an event stream?',
    messages: [{ role: 'user', content: 'What?', parts: [{ type: 'text', text: 'What is an event stream?' }] }],
  }),
}

const runnables = pages.flatMap((page) => runnablesOf(page))
const named = (kind: Runnable['kind']) => runnables.filter((runnable) => runnable.kind === kind)
const namesIn = (prelude: string) =>
  [...read(prelude).matchAll(/^export const (\w+)/gm)].map(([, name]) => name as string)

/** The samples as files, for the time of this test: what is loaded has a place, and packages are found from it. */
let folder: string
let upstream: ReplayUpstream
beforeAll(async () => {
  mkdirSync(join(root, 'test/package/samples/.run'), { recursive: true })
  folder = mkdtempSync(join(root, 'test/package/samples/.run/'))
  upstream = await replayUpstream({ pauseMs: 1 })
  vi.stubEnv('ANTHROPIC_API_KEY', 'test')
  vi.stubEnv('ANTHROPIC_BASE_URL', upstream.url)
  vi.stubEnv('OPENAI_API_KEY', 'test')
  vi.stubEnv('OPENAI_BASE_URL', `${upstream.url}/v1`)
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await upstream?.close()
  if (folder) rmSync(folder, { recursive: true, force: true })
})

const cleanups: (() => unknown)[] = []
let printed: string[] = []
let complaints: string[] = []
beforeEach(() => {
  printed = []
  complaints = []
  vi.spyOn(console, 'log').mockImplementation((...values) => void printed.push(values.map(String).join(' ')))
  vi.spyOn(console, 'error').mockImplementation((...values) => void complaints.push(values.map(String).join(' ')))
})
afterEach(async ({ task }) => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  vi.restoreAllMocks()
  // Some samples are about what goes wrong, so it is of interest after others only.
  if (task.result?.state === 'fail' && complaints.length > 0) console.error(complaints.join('\n'))
})

const fileOf = (name: string) => `${name.replace(/[^\w-]+/g, '-')}`

/** Loads a sample, with a prelude of its own. */
async function load({ name, text }: Runnable): Promise<Record<string, unknown>> {
  const prelude = `${join(root, 'test/package/samples/prelude.ts')}?${fileOf(name)}`
  const path = join(folder, `${fileOf(name)}.ts`)
  writeFileSync(path, moduleOf(text, prelude, namesIn('test/package/samples/prelude.ts')))
  // What it does at the end of the process is not to be done to this one.
  const listeners = process.listeners('SIGTERM')
  cleanups.push(() => {
    for (const listener of process.listeners('SIGTERM'))
      if (!listeners.includes(listener)) process.off('SIGTERM', listener as () => void)
  })
  return import(/* @vite-ignore */ path)
}

/** Every server listens on a free port of 127.0.0.1, whichever it asks for; the last to do so is told. */
function listening(): { url(): Promise<string | undefined> } {
  const servers: NetServer[] = []
  const listen = NetServer.prototype.listen
  vi.spyOn(NetServer.prototype, 'listen').mockImplementation(function (this: NetServer, ...given: unknown[]) {
    servers.push(this)
    const callback = given.find((value) => typeof value === 'function') as (() => void) | undefined
    return (listen as (...values: unknown[]) => NetServer).call(this, { port: 0, host: '127.0.0.1' }, callback)
  })
  cleanups.push(async () => {
    for (const server of servers) {
      ;(server as Partial<Server>).closeAllConnections?.()
      await new Promise((resolve) => server.close(resolve))
    }
  })
  return {
    async url() {
      const server = servers.at(-1)
      if (!server) return undefined
      if (!server.listening) await new Promise((resolve) => server.once('listening', resolve))
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    },
  }
}

/** Lets an app listen that a sample leaves to its reader. */
async function listen(app: unknown): Promise<void> {
  const { fetch, inject } = app as Partial<Hono & FastifyInstance>
  if (typeof inject === 'function') await (app as FastifyInstance).listen({ port: 0 })
  else if (typeof fetch === 'function') serve({ fetch: (app as Hono).fetch, port: 0 })
  else (app as { listen(port: number): unknown }).listen(0)
}

describe('the servers of', () => {
  it.each(named('serve').map((sample) => [sample.name, sample] as const))('%s answer', async (_, sample) => {
    const servers = listening()
    const { made } = await load(sample)
    if (!(await servers.url())) await listen(made)
    const [path = '/api/chat', method] = sample.rest.toReversed()
    const asked =
      method === 'GET' ? {} : { ...QUESTION, headers: { ...QUESTION.headers, ...(await logIn(servers, sample)) } }
    const url = `${await servers.url()}${path}`
    const asksStream = sample.text.includes('req.body.stream')
    const streamed = asksStream
      ? { ...QUESTION, body: JSON.stringify({ ...JSON.parse(QUESTION.body), stream: true }) }
      : asked
    const { status, outcome, events } = await collect(await fetch(url, streamed))
    expect({ status, outcome }).toEqual({ status: 200, outcome: 'done' })
    expect(events.length).toBeGreaterThan(0)
    // As the SDK of OpenAI asks for one body.
    if (asksStream) expect(await (await fetch(url, asked)).json()).toMatchObject({ choices: [{}] })
  })
})

/** The cookie of a server that has a login. */
async function logIn(
  servers: ReturnType<typeof listening>,
  { text }: Runnable,
  name = 'ann',
): Promise<Record<string, string>> {
  if (!text.includes("'/login'")) return {}
  const body = JSON.stringify({ name, password: 'open sesame' })
  const { headers } = await fetch(`${await servers.url()}/login`, { ...QUESTION, body })
  return { cookie: headers.getSetCookie()[0]?.split(';')[0] as string }
}

describe('the servers with a login by a cookie', () => {
  const ofPage = (kind: Runnable['kind']) => named(kind).filter(({ name }) => name.includes('login.md'))
  const samples = ofPage('serve')
  it('are there for each host', () => {
    const hosts = [...samples, ...ofPage('answer')].map(({ text }) => /from 'sse-relay\/([^l]\w+)'/.exec(text)?.[1])
    expect(hosts).toEqual(['express', 'fastify', 'koa', 'hono', 'node', 'web'])
  })

  const origin = 'https://app.example.com'
  type Ask = (path: string, init: RequestInit) => Promise<Response>

  /** What each of them does for Ann, for Ben, and for those who have not logged in. */
  async function checkOwners(ask: Ask, ann: Record<string, string>, ben: Record<string, string>): Promise<Response> {
    const runId = crypto.randomUUID()
    const headers = { 'content-type': 'application/json', origin, 'x-run-id': runId }
    expect((await ask('/api/chat', { ...QUESTION, headers })).status).toBe(401)
    const form = { method: 'POST', headers: { ...ann, 'content-type': 'text/plain' }, body: '{}' }
    expect((await ask('/api/chat', form)).status).toBe(415)

    const answer = await ask('/api/chat', { ...QUESTION, headers: { ...headers, ...ann } })
    expect(await collect(answer)).toMatchObject({ outcome: 'done', text: ANSWER })

    const readOn = (who: object) => ask('/api/chat', { headers: { origin, 'last-event-id': `${runId}:0`, ...who } })
    expect(await collect(await readOn(ann))).toMatchObject({ outcome: 'done', text: ANSWER })
    expect((await readOn(ben)).status).toBe(404)
    expect((await readOn({})).status).toBe(401)
    const stop = (who: object, id = runId) => ask(`/api/chat/${id}`, { method: 'DELETE', headers: { origin, ...who } })
    expect([(await stop(ben)).status, (await stop({})).status]).toEqual([204, 401])

    const going = crypto.randomUUID()
    upstream.next({ stallAfter: 5 })
    const asked = upstream.request()
    const begun = await ask('/api/chat', { ...QUESTION, headers: { ...headers, 'x-run-id': going, ...ann } })
    expect((await stop(ann, going)).status).toBe(204)
    expect((await collect(begun)).outcome).toBe('stopped')
    expect((await (await asked).closed).by).toBe('client')
    return answer
  }

  it.each(samples)('answer the page of their origin, and let nobody else read on or stop: $name', async (sample) => {
    const servers = listening()
    // Anew, for a module is run once.
    await load({ ...sample, name: `${sample.name} with a login` })
    const [ann, ben] = [await logIn(servers, sample), await logIn(servers, sample, 'ben')]
    const url = await servers.url()

    for (const method of ['POST', 'DELETE']) {
      const preflight = await fetch(`${url}/api/chat`, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': method,
          'access-control-request-headers': 'content-type,x-run-id',
        },
      })
      expect(Object.fromEntries(preflight.headers)).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
        'access-control-allow-methods': expect.stringContaining(method),
        'access-control-allow-headers': expect.stringMatching(/content-type, ?x-run-id/),
      })
    }

    const answer = await checkOwners((path, init) => fetch(`${url}${path}`, init), ann, ben)
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
    expect(answer.headers.get('access-control-expose-headers')).toContain('x-run-id')
  })

  it.each(ofPage('answer'))('let nobody else read on or stop, as functions: $name', async (sample) => {
    const module = (await load({ ...sample, name: `${sample.name} with a login` })) as Record<string, Ask | undefined>
    const ask: Ask = async (path, init) => {
      const handler = module[init.method ?? 'GET'] as unknown as (request: Request) => Promise<Response>
      return handler(new Request(`http://localhost${path}`, init))
    }
    await checkOwners(ask, { cookie: 'session=session-of-ann' }, { cookie: 'session=session-of-ben' })
  })
})

type Handler = (request: Request | { request: Request }, ...rest: unknown[]) => Promise<Response>

describe('the handlers of', () => {
  it.each(named('answer').map((sample) => [sample.name, sample] as const))('%s answer', async (_, sample) => {
    const module = await load(sample)
    const handler = (module.POST ?? (module.default as { fetch?: unknown } | undefined)?.fetch) as Handler
    const request = new Request('http://localhost/api/chat', QUESTION)
    const waiting: Promise<unknown>[] = []
    const context = { waitUntil: (promise: Promise<unknown>) => void waiting.push(promise) }
    // SvelteKit hands it over in an event.
    const takesEvent = /^\s*(async )?(function )?\w*\s*\(\s*\{/.test(String(handler))
    const answer = await handler(takesEvent ? { request } : request, {}, context)
    const { outcome, text } = await collect(answer)
    expect(outcome).toBe('done')
    expect(text).toMatch(/^Hello there!/)
    await Promise.all(waiting)
  })
})

describe('the programs of', () => {
  it.each(named('run').map((sample) => [sample.name, sample] as const))('%s do what they say', async (_, sample) => {
    listening()
    await load(sample)
    if (sample.output !== undefined) expect(`${printed.join('\n')}\n`).toBe(sample.output)
  })
})

describe('the logs of', () => {
  /** Node 20 has no SQLite: there is nothing to try then. */
  const isThere = ({ text }: Runnable) => !text.includes("'node:sqlite'") || isBuiltin('node:sqlite')
  it.each(
    named('log')
      .filter(isThere)
      .map((sample) => [sample.name, sample] as const),
  )('%s do what every log does', async (_, sample) => {
    const [createFileLog] = Object.values(await load(sample)) as [(place: string) => Log]
    const isForMany = sample.rest.includes('shared')
    const logs: Log[] = []
    cleanups.push(() => Promise.all(logs.map((log) => log.close())))
    const broken: string[] = []
    const behaviours = logBehaviours.filter(({ isShared }) => isForMany || !isShared)
    expect(behaviours.length).toBeGreaterThan(20)
    const tried = behaviours.map(async ({ name, run }, index) => {
      const open = () => {
        const log = createFileLog(join(folder, `${isForMany ? 'shared' : 'runs'}-${index}`))
        logs.push(log)
        return log
      }
      await run(open).catch((error) => broken.push(`${name}: ${error.message}`))
    })
    await Promise.all(tried)
    expect(broken).toEqual([])
    // Another process that shares it would have the run for alive.
    if (isForMany) return

    // And it is there after a restart, with what was not ended by then.
    const before = createFileLog(join(folder, 'restart'))
    logs.push(before)
    const [whole, lost] = [crypto.randomUUID(), crypto.randomUUID()]
    await record(['Hello'], { log: before, runId: whole, owner: 'ann' })
    const pending = stalling(['Hello'])
    const producing = record(pending, { log: before, runId: lost, owner: 'ann' })
    await pending.until(({ pulled, pending }) => pulled === 2 && pending)
    // What came in a turn is stored at its end.
    await new Promise(setImmediate)
    const after = createFileLog(join(folder, 'restart'))
    logs.push(after)
    const readAgain = async (runId: string) => {
      const headers = { 'last-event-id': `${runId}:0` }
      return collect(await resume(new Request('http://localhost/', { headers }), { log: after, owner: 'ann' }))
    }
    expect(await readAgain(whole)).toMatchObject({ outcome: 'done', text: 'Hello' })
    expect(await readAgain(lost)).toMatchObject({ text: 'Hello', error: { code: 'producer-lost' } })
    await before.stop(lost, { owner: 'ann' })
    await producing
  })
})

/** The sample with all it imports, and with what tells the port, as one file for a runtime that is not Node. */
async function programOf({ name, text }: Runnable): Promise<string> {
  const path = join(folder, `${fileOf(name)}.mjs`)
  const told = `const { serve } = globalThis.Bun ?? {}
    if (serve) Bun.serve = (options) => { const server = serve(options); console.log('localhost:' + server.port) }\n`
  const prelude = 'test/package/samples/runtime-prelude.ts'
  await bundled(moduleOf(text, join(root, prelude), namesIn(prelude)), {
    outfile: path,
    platform: 'node',
    banner: { js: told },
  })
  return path
}

describe.each([
  ['bun', await runtimeProgram('Bun'), ['run']],
  ['deno', await runtimeProgram('Deno'), ['run', '--no-config', '--allow-net', '--allow-env']],
] as const)('the servers for %s of', (kind, program, args) => {
  it.skipIf(isSkipped(program)).each(named(kind).map((sample) => [sample.name, sample] as const))(
    '%s answer',
    async (_, sample) => {
      const server = await startProgram(program.path as string, [...args, await programOf(sample)], {
        env: {
          PORT: '0',
          DENO_SERVE_ADDRESS: 'tcp:127.0.0.1:0',
          ANTHROPIC_API_KEY: 'test',
          ANTHROPIC_BASE_URL: upstream.url,
        },
      })
      cleanups.push(() => server.close())
      const { outcome, text } = await collect(await fetch(`${server.url}/api/chat`, QUESTION))
      expect({ outcome, text }).toEqual({ outcome: 'done', text: ANSWER })
    },
  )
})

const RUNNERS: Record<string, string[]> = {
  vitest: [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', '.'],
  node: ['--test'],
}

describe('the tests of', () => {
  it.for(named('test').map((sample) => [sample.name, sample] as const))('%s pass', async ([, { name, text, rest }]) => {
    const own = mkdtempSync(join(folder, 'tests-'))
    const outfile = join(own, `${fileOf(name)}.test.mjs`)
    // Else vitest takes the repository's, further up.
    writeFileSync(join(own, 'vitest.config.mjs'), 'export default {}')
    // With the package as it is built, which brings the traces.
    writeFileSync(outfile, (await transform(text, { loader: 'ts' })).code)
    const command = [...(RUNNERS[rest[0] as string] as string[]), basename(outfile)]
    // Not as a part of the run that this test is in.
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(VITEST|NODE_TEST)/.test(key)))
    const options = { cwd: own, env: { ...env, NO_COLOR: '1' }, timeout: 50_000 }
    const { stdout, stderr } = await promisify(execFile)(process.execPath, command, options).catch((failed) => failed)
    const [, passed] = /(?:Tests +| pass )(\d+)/.exec(stdout) ?? []
    expect(Number(passed), stdout + stderr).toBe([...text.matchAll(/^(?:it|test)\(/gm)].length)
  })
})

const executablePath = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (path) => path && existsSync(path),
)

/** The sample as one script for a browser. */
async function pageOf({ text, language }: Pick<Block, 'language' | 'text'>): Promise<string> {
  const prelude = join(root, 'test/package/samples/page-prelude.ts')
  const names = namesIn('test/package/samples/page-prelude.ts')
  return (await bundled(moduleOf(text, prelude, names), { platform: 'browser', write: false }, language)) as string
}

/** A sample and what it imports in one. */
async function bundled(contents: string, options: BuildOptions, language = 'ts'): Promise<string | undefined> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: join(root, 'test/package'), loader: language === 'tsx' ? 'tsx' : 'ts' },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'silent',
    // The paths in tsconfig.json lead to the source.
    ...(!process.env.SRC && { tsconfigRaw: { compilerOptions: { strict: true } } }),
    ...options,
  })
  return outputFiles?.[0]?.text
}

describe.skipIf(!executablePath && !process.env.CI)('the pages of', () => {
  let browser: Browser
  let server: Server
  let script = ''
  let protocol = text()
  /** The status that a question is refused with, if it is. */
  let refusal = 0
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath ?? 'chromium', args: ['--no-sandbox'] })
    server = createServer((req, res) => {
      const { pathname } = new URL(req.url ?? '/', 'http://localhost')
      if (pathname === '/page.js') res.setHeader('content-type', 'text/javascript').end(script)
      else if (pathname.startsWith('/api/') && refusal) res.writeHead(refusal).end()
      else if (pathname.startsWith('/api/')) {
        relay(req, res, () => fetch(`${upstream.url}/v1/messages`, { method: 'POST', body: '{}' }), { protocol })
      } else {
        res.setHeader('content-type', 'text/html; charset=utf-8')
        res.end(`<!doctype html><div id="app"></div><p id="output"></p><p id="notice"></p><button id="stop">Stop</button>
          <script type="module">
            addEventListener('unhandledrejection', ({ reason }) => { document.title = 'failed: ' + reason })
            import('/page.js').then(() => { document.title = 'over' }, (error) => { document.title = 'failed: ' + error })
          </script>`)
      }
    }).listen(0, '127.0.0.1')
  })
  afterAll(async () => {
    await browser?.close()
    server?.closeAllConnections()
    server?.close()
  })

  /** A page with the script, once that has run. */
  async function open(runs: string): Promise<Page> {
    script = runs
    const page = await browser.newPage()
    cleanups.push(() => page.close())
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    await page.waitForFunction(() => document.title !== '', undefined, { timeout: 30_000 })
    expect(await page.title()).toBe('over')
    return page
  }

  it.each(named('page').map((sample) => [sample.name, sample] as const))('%s show the answer', async (_, sample) => {
    protocol = (sample.rest[0] === 'parts' ? parts : sample.rest[0] === 'raw' ? raw : text)()
    const page = await open(await pageOf(sample))
    if (/\boutput\b/.test(sample.text)) {
      await vi.waitFor(async () => expect(await page.locator('#output').textContent()).toBe(ANSWER), 10_000)
    }
  })

  it.for(named('component').map((sample) => [sample.name, sample] as const))(
    '%s show the answer, as a component',
    async ([, { language, text: source }], { skip }) => {
      const { folder: modules, missing } = await components()
      skip(missing !== undefined && !process.env.CI && language !== 'tsx', missing)
      protocol = text()
      const options: BuildOptions = { platform: 'browser', write: false, nodePaths: [modules], jsx: 'automatic' }
      const page = await open((await bundled(await mounted(language, source, modules), options, 'tsx')) as string)
      await page.locator('#app button').first().click()
      await vi.waitFor(async () => expect(await page.locator('#app').textContent()).toContain(ANSWER), 10_000)
      expect(await page.title()).toBe('over')
    },
  )

  it.each([
    ['docs/resume.md', 'place', 'the-run-of-this-page:0'],
    ['docs/react.md', 'run', 'the-run-of-this-page'],
  ])('%s, where a run is kept for a reload, keep it for who has to log in again', async (path, key, place) => {
    const sample = blocksOf(read(path)).find(({ text }) => text.includes(`sessionStorage.getItem('${key}')`)) as Block
    const kept = `if (sessionStorage.getItem('${key}') === null) sessionStorage.setItem('${key}', '${place}')\n`
    const text = kept + sample.text.replace('function Answer', 'function Chat')
    const options: BuildOptions = { platform: 'browser', write: false, jsx: 'automatic' }
    const script =
      sample.language === 'tsx'
        ? await bundled(await mounted('tsx', text, ''), options, 'tsx')
        : await pageOf({ ...sample, text })
    cleanups.push(() => {
      refusal = 0
    })
    refusal = 401
    const page = await open(script as string)
    await page.evaluate(async () => {
      const isAnswered = () => performance.getEntriesByType('resource').some(({ name }) => name.endsWith('/api/chat'))
      const frame = () => new Promise(requestAnimationFrame)
      while (!isAnswered()) await frame()
      // The page has heard of it, and shown it.
      for (let count = 0; count < 3; count++) await frame()
    })
    const stored = () => page.evaluate((name) => sessionStorage.getItem(name), key)
    expect(await stored()).toBe(place)
    // And no longer than it is good for something.
    refusal = 404
    await page.reload()
    await vi.waitFor(async () => expect(await stored()).toBe(''), 10_000)
  })
})

describe('the samples that are run', () => {
  it('are found, and none is marked as something that no check knows', () => {
    for (const [kind, least] of Object.entries({ serve: 20, answer: 3, run: 3, page: 15 }))
      expect([kind, named(kind as Runnable['kind']).length >= least]).toEqual([kind, true])
    // Those of packages are run by test/packages/samples.check.ts.
    const words = new Set<string | undefined>([...KINDS, 'output', 'package'])
    const unknown = pages.flatMap((page) =>
      blocksOf(read(page))
        .filter(({ words: [word] }) => word !== undefined && !words.has(word))
        .map(({ line }) => `${page}:${line}`),
    )
    expect(unknown).toEqual([])
  })

  it('are run in earnest: a wrong one is noticed', async () => {
    const [wrong] = runnablesOf('wrong.md', '```ts run\nconsole.log(1 + 1)\n```\n\n```text output\n3\n```\n')
    await load(wrong as Runnable)
    expect(`${printed.join('\n')}\n`).toBe('2\n')
    expect(wrong?.output).toBe('3\n')
    const [thrown] = runnablesOf('thrown.md', "```ts run\nthrow new Error('no')\n```\n")
    await expect(load(thrown as Runnable)).rejects.toThrow('no')
  })
})
