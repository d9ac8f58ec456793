import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { collect, replayUpstream } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

// npm and a starved machine take their time.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 120_000 })

const root = fileURLToPath(new URL('../../..', import.meta.url))
const shell = process.platform === 'win32'
const run = promisify(execFile)
const QUESTION = { messages: [{ role: 'user', content: 'What is an event stream?' }] }

/** A folder with nothing but the package in it, as npm installs it: no host, no SDK. */
let project: string
let bin: string

beforeAll(async () => {
  if (!existsSync(join(root, 'dist/cli.js'))) throw new Error('There is no dist: run `npm run build` first')
  project = mkdtempSync(join(tmpdir(), 'sse-relay-installed-'))
  writeFileSync(join(project, 'package.json'), '{ "private": true }')
  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', project]
  const { stdout } = await run('npm', pack, { cwd: root, shell })
  const [{ filename }] = JSON.parse(stdout)
  const install = ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', join(project, filename)]
  await run('npm', install, { cwd: project, shell })
  bin = join(project, 'node_modules/.bin/sse-relay')
})
afterAll(() => project && rmSync(project, { recursive: true, force: true }))

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function startDemo(cwd: string, env: Record<string, string> = {}) {
  const keys = { ANTHROPIC_API_KEY: '', OPENAI_API_KEY: '', PORT: '' }
  const child: ChildProcess = spawn(bin, ['demo', '--port', '0'], {
    cwd,
    env: { ...process.env, ...keys, ...env },
    shell,
  })
  let output = ''
  const closed = once(child, 'close')
  cleanups.push(async () => {
    child.kill('SIGTERM')
    await closed
  })
  const url = await new Promise<string>((resolve, reject) => {
    const read = (bytes: Buffer) => {
      output += bytes
      const [, address] = /(http:\/\/localhost:\d+)[\s\S]*curl/.exec(output) ?? []
      if (address) resolve(address)
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    closed.then(() => reject(new Error(`The demo ended before it listened:\n${output}`)))
  })
  const ask = (body: object) =>
    fetch(`${url}/api/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...QUESTION, ...body }),
    })
  return { url, ask, output: () => output }
}

describe('the package, installed in an empty folder', () => {
  it('brings the command that npx runs', async () => {
    const { stdout } = await run('npx', ['--no-install', 'sse-relay', '--help'], { cwd: project, shell })
    expect(stdout).toMatch(/^ {2}sse-relay doctor /m)
  })

  it('serves the demo where no SDK is installed, and says how it reads the answer', async () => {
    const { url, ask, output } = await startDemo(project)
    expect(output()).toContain('replayed answer: no key set, read with fetch because no SDK is installed')
    for (const path of ['/', '/page.js', '/page.css', '/sse-relay/client.js']) {
      expect([path, (await fetch(url + path)).status]).toEqual([path, 200])
    }
    const [whole, overloaded, midway, cut] = await Promise.all(
      [{}, { demo: 'overloaded' }, { demo: 'midway' }, { demo: 'cut' }].map(async (body) => collect(await ask(body))),
    )
    expect(whole).toMatchObject({ outcome: 'done', text: expect.stringMatching(/^An event stream[^✅]*✅$/) })
    expect(overloaded).toMatchObject({ status: 503, error: { code: 'overload' } })
    expect(midway).toMatchObject({ outcome: 'error', error: { code: 'overload' } })
    expect(cut).toMatchObject({ outcome: 'truncated' })
  })

  it('has a doctor that finds nothing wrong with its demo, and a tail that reads it', async () => {
    const { url } = await startDemo(project)
    const question = ['-d', JSON.stringify(QUESTION)]
    const [doctor, tail] = await Promise.all([
      run(bin, ['doctor', `${url}/api/chat`, ...question, '--json'], { cwd: project, shell }),
      run(bin, ['tail', `${url}/api/chat`, ...question, '--text'], { cwd: project, shell }),
    ])
    const { good, findings, arrivals } = JSON.parse(doctor.stdout)
    expect({ good, findings }).toEqual({ good: true, findings: [] })
    expect(arrivals.length).toBeGreaterThan(20)
    expect(tail.stdout).toMatch(/^An event stream[^✅]*✅$/)
  })

  it('replays where a key is set without its SDK, and says which to install', async () => {
    const { ask, output } = await startDemo(project, { OPENAI_API_KEY: 'sk-secret' })
    expect(output()).toContain('npm install openai')
    expect(await collect(await ask({}))).toMatchObject({ outcome: 'done' })
  })

  it.each([
    { name: '@anthropic-ai/sdk', prefix: 'ANTHROPIC', path: '', said: 'Anthropic, a-model' },
    { name: 'openai', prefix: 'OPENAI', path: '/v1', said: 'OpenAI, a-model' },
  ])('asks the provider through the $name of the folder it is started in', async ({ name, prefix, path, said }) => {
    const upstream = await replayUpstream()
    cleanups.push(() => upstream.close())
    const elsewhere = mkdtempSync(join(tmpdir(), 'sse-relay-elsewhere-'))
    cleanups.push(() => rmSync(elsewhere, { recursive: true }))
    const link = join(elsewhere, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), link, 'junction')
    const { ask, output } = await startDemo(elsewhere, {
      [`${prefix}_API_KEY`]: 'sk-secret',
      [`${prefix}_BASE_URL`]: upstream.url + path,
      [`${prefix}_MODEL`]: 'a-model',
    })
    expect(output()).toContain(said)
    expect(await collect(await ask({}))).toMatchObject({
      outcome: 'done',
      text: expect.stringContaining('Hello there'),
    })
    expect(upstream.requests[0]?.json).toMatchObject({ model: 'a-model', stream: true })
  })
})
