import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { chromium } from 'playwright-core'
import { fetchSSE, readText } from 'sse-relay/client'
import { providerError, type ReplayUpstream, replayUpstream } from 'sse-relay/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type Serving, serve } from '../../test/hosts/runtimes/programs.js'
import { type Answer, anthropic, openaiChat } from '../../test/packages/wires.js'

const KEY = 'key-of-ann'
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** An answer in the words of each provider. */
const said = {
  claude: (answer: Answer) => ({ body: whole(anthropic(answer)) }),
  gpt: (answer: Answer) => ({ body: whole(openaiChat(answer)) }),
}
const whole = ({ body, end }: { body: string[]; end: string[] }) => [...body, ...end].join('')
const text = (...text: string[]): Answer => ({ reasoning: [], text })
const HELLO = text('Hello ', 'from the other side')
const call = (name: string, input: object): Answer => ({
  reasoning: [],
  text: ['Let me see. '],
  call: { id: 'call_1', name, input: [JSON.stringify(input)] },
})

let upstream: ReplayUpstream
let gateway: Serving
beforeAll(async () => {
  upstream = await replayUpstream()
  gateway = await serve(process.execPath, [here('server.js')], {
    env: {
      PORT: '0',
      GATEWAY_KEYS: `ann=${KEY},bob=key-of-bob`,
      ANTHROPIC_API_KEY: 'sk-provider',
      ANTHROPIC_BASE_URL: upstream.url,
      OPENAI_API_KEY: 'sk-provider',
      OPENAI_BASE_URL: `${upstream.url}/v1`,
    },
  })
})
let before = 0
beforeEach(() => {
  before = upstream.requests.length
})
afterEach(({ task }) => {
  if (task.result?.state === 'fail') console.error(gateway.output.slice(-4000))
})
afterAll(async () => {
  await gateway?.close()
  await upstream?.close()
})

/** What the provider was asked in this test. */
const asked = () => upstream.requests.slice(before).map(({ json }) => json as Record<string, never>)
const openai = (apiKey = KEY) => new OpenAI({ apiKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 })
const claude = (apiKey = KEY) => new Anthropic({ apiKey, baseURL: gateway.url, maxRetries: 0 })
const weather = { type: 'object' as const, properties: { city: { type: 'string' } } }

describe('the Anthropic SDK', () => {
  const question = { model: 'gpt-5.5', max_tokens: 64, messages: [{ role: 'user' as const, content: 'Hi' }] }

  it('reads a provider of the other kind, streamed and in one body', async () => {
    upstream.next(said.gpt(HELLO))
    expect(
      await claude()
        .messages.stream({ ...question, system: 'Be kind.' })
        .finalText(),
    ).toBe(HELLO.text.join(''))
    expect(asked()[0]).toMatchObject({
      model: 'gpt-5.5',
      max_completion_tokens: 64,
      messages: [
        { role: 'system', content: 'Be kind.' },
        { role: 'user', content: 'Hi' },
      ],
    })
    upstream.next(said.gpt(HELLO))
    const { content, usage } = await claude().messages.create(question)
    expect(content).toMatchObject([{ type: 'text', text: HELLO.text.join('') }])
    expect(usage).toMatchObject({ output_tokens: 15 })
  })

  it('hands its calls and their results on', async () => {
    upstream.next(said.gpt(call('weather', { city: 'Oslo' })))
    const tools = [{ name: 'weather', description: 'The weather', input_schema: weather }]
    const { content, stop_reason } = await claude()
      .messages.stream({ ...question, tools })
      .finalMessage()
    expect(stop_reason).toBe('tool_use')
    const use = content.find((block) => block.type === 'tool_use')
    expect(use).toMatchObject({ name: 'weather', input: { city: 'Oslo' } })
    upstream.next(said.gpt(HELLO))
    const result = { type: 'tool_result' as const, tool_use_id: use?.id ?? '', content: '21 °C' }
    const messages = [
      ...question.messages,
      { role: 'assistant' as const, content },
      { role: 'user' as const, content: [result] },
    ]
    await claude()
      .messages.stream({ ...question, tools, messages })
      .finalText()
    expect(asked()[1]?.messages).toEqual([
      { role: 'user', content: 'Hi' },
      {
        role: 'assistant',
        content: 'Let me see. ',
        tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } }],
      },
      { role: 'tool', tool_call_id: 'call_1', content: '21 °C' },
    ])
  })

  it('is told in its own words of an unknown key, of what is not translated, and of an overloaded provider', async () => {
    const refused = (asking: PromiseLike<unknown>) => Promise.resolve(asking).catch((error: unknown) => error)
    expect(await refused(claude('of nobody').messages.create(question))).toMatchObject({
      status: 401,
      type: 'authentication_error',
    })
    const source = { type: 'url' as const, url: 'https://example.com/cat.png' }
    const content = [{ type: 'image' as const, source }]
    const messages = [{ role: 'user' as const, content }]
    expect(await refused(claude().messages.create({ ...question, messages }))).toMatchObject({
      status: 400,
      message: expect.stringContaining('does not translate content of the type image'),
    })
    expect(asked()).toEqual([])
    upstream.next(providerError('openai', 503, 'SECRET'))
    const overloaded = await refused(claude().messages.create(question))
    expect(overloaded).toMatchObject({ type: 'overloaded_error' })
    expect(String(overloaded)).not.toContain('SECRET')
  })
})

describe('the openai SDK', () => {
  it('reads a provider of the other kind as chat completions', async () => {
    upstream.next(said.claude(HELLO))
    const messages = [
      { role: 'system' as const, content: 'Be kind.' },
      { role: 'user' as const, content: 'Hi' },
    ]
    const stream = openai().chat.completions.stream({ model: 'claude-sonnet-5-5', messages })
    expect(await stream.finalContent()).toBe(HELLO.text.join(''))
    expect(asked()[0]).toMatchObject({
      model: 'claude-sonnet-5-5',
      system: 'Be kind.',
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
    })
  })

  it('reads it as a response, and its calls, results and thoughts go back to where they are from', async () => {
    const thinking = { ...call('weather', { city: 'Oslo' }), reasoning: ['I wonder.'] }
    upstream.next(said.claude(thinking))
    const tools = [{ type: 'function' as const, name: 'weather', parameters: weather, strict: false }]
    const input = [{ role: 'user' as const, content: 'Hi' }]
    const question = { model: 'claude-sonnet-5-5', instructions: 'Be kind.', tools }
    const { output } = await openai()
      .responses.stream({ ...question, input })
      .finalResponse()
    expect(output.map(({ type }) => type)).toEqual(['reasoning', 'message', 'function_call'])
    upstream.next(said.claude(HELLO))
    const result = { type: 'function_call_output' as const, call_id: 'call_1', output: '21 °C' }
    const next = [...input, ...output, result] as OpenAI.Responses.ResponseInput
    expect((await openai().responses.create({ ...question, input: next })).output_text).toBe(HELLO.text.join(''))
    expect(asked()[1]?.messages).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'I wonder.', signature: 'c2ln' },
          { type: 'text', text: 'Let me see. ' },
          { type: 'tool_use', id: 'call_1', name: 'weather', input: { city: 'Oslo' } },
        ],
      },
      {
        role: 'user',
        content: [{ type: 'tool_result', tool_use_id: 'call_1', content: '21 °C', is_error: false }],
      },
    ])
  })

  it('reads on in an answer that goes on in the background, which no other key does, and stops it', async () => {
    upstream.next({ ...said.claude(text(...Array.from({ length: 50 }, (_, n) => `${n} `))), pauseMs: 30 })
    const request = upstream.request()
    const question = { model: 'claude-sonnet-5-5', input: 'Hi', stream: true as const, background: true }
    let id = ''
    for await (const event of await openai().responses.create(question)) {
      if (event.type === 'response.created') id = event.response.id
      if (event.type === 'response.output_text.delta') break
    }
    const from = { stream: true as const, starting_after: 3 }
    await expect(openai('key-of-bob').responses.retrieve(id, from)).rejects.toMatchObject({ status: 404 })
    const numbers: number[] = []
    const reading = async () => {
      for await (const event of await openai().responses.retrieve(id, from)) {
        if ('sequence_number' in event) numbers.push(event.sequence_number)
        if (numbers.length === 5) await openai().responses.cancel(id)
      }
    }
    await expect(reading()).rejects.toMatchObject({ code: 'stopped' })
    expect(numbers.slice(0, 5)).toEqual([4, 5, 6, 7, 8])
    expect((await (await request).closed).by).toBe('client')
  })
})

describe('a page', () => {
  it('reads the text, and an answer goes on for those who have its key', async () => {
    upstream.next({ ...said.gpt(HELLO), pauseMs: 20 })
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` }
    const stream = fetchSSE(`${gateway.url}/api/chat`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ model: 'gpt-5.5', messages: [{ role: 'user', content: 'Hi' }] }),
      resumeUrl: `${gateway.url}/api/chat`,
    })
    let answer = ''
    for await (const piece of readText(stream)) answer += piece
    expect(answer).toBe(HELLO.text.join(''))
    const again = { authorization: `Bearer ${KEY}`, 'last-event-id': `${stream.runId}:0` }
    expect(await (await fetch(`${gateway.url}/api/chat`, { headers: again })).text()).toContain('Hello ')
    const others = { ...again, authorization: 'Bearer key-of-bob' }
    expect((await fetch(`${gateway.url}/api/chat`, { headers: others })).status).toBe(404)
    expect((await fetch(`${gateway.url}/api/chat`)).status).toBe(401)
  })

  it('is there, with the client it imports', async () => {
    const page = await (await fetch(gateway.url)).text()
    const [, path] = /"sse-relay\/client": "\.(.+?)"/.exec(page) ?? []
    expect((await fetch(`${gateway.url}${path}`)).headers.get('content-type')).toMatch(/javascript/)
  })
})

const executablePath = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (path) => path && existsSync(path),
)
describe.skipIf(!executablePath && !process.env.CI)('the page, in Chromium', () => {
  const open = async () => {
    const browser = await chromium.launch({ ...(executablePath && { executablePath }), args: ['--no-sandbox'] })
    onTestFinished(() => browser.close())
    const page = await browser.newPage()
    page.setDefaultTimeout(30_000)
    await page.goto(gateway.url)
    const ask = async (key: string) => {
      await page.getByLabel('Your key').fill(key)
      await page.getByRole('button', { name: 'Send' }).click()
    }
    const says = (text: string | RegExp) => page.getByText(text).waitFor()
    const status = (text: string) => page.getByRole('status').filter({ hasText: text }).waitFor()
    return { page, ask, says, status }
  }

  it('shows the answer of any provider as it comes', async () => {
    upstream.next({ ...said.claude(HELLO), pauseMs: 20 })
    const { page, ask, says, status } = await open()
    await ask(KEY)
    await says(HELLO.text.join(''))
    await status('Complete')
    upstream.next(said.gpt(text('And the other one')))
    await page.getByLabel('The model').fill('gpt-5.5')
    await ask(KEY)
    await says('And the other one')
  })

  it('says that a key is not known, and that a provider is overloaded, in words of the gateway', async () => {
    const { page, ask, status } = await open()
    await ask('key-of-nobody')
    await status('This key is not known here.')
    upstream.next(providerError('anthropic', 529, 'SECRET'))
    await ask(KEY)
    await status('The service is overloaded')
    expect(await page.content()).not.toContain('SECRET')
  })

  it('stops the provider', async () => {
    upstream.next({ ...said.claude(LONG), pauseMs: 20 })
    const request = upstream.request()
    const { page, ask, says, status } = await open()
    await ask(KEY)
    await says(/0 1 2/)
    await page.getByRole('button', { name: 'Stop' }).click()
    await status('Stopped')
    expect((await (await request).closed).by).toBe('client')
  })
})

/** A program in an empty folder, until the test is over. */
function run(program: string, args: string[], env: Record<string, string>, folder: string) {
  const child: ChildProcess = spawn(program, args, {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout?.on('data', (bytes) => {
    output += bytes
  })
  child.stderr?.on('data', (bytes) => {
    output += bytes
  })
  const ended = new Promise<{ status: number | null; output: string }>((resolve) => {
    child.on('close', (status) => resolve({ status, output }))
  })
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return { child, ended }
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'gateway-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A long answer, to leave in the middle of it. */
const LONG = text(...Array.from({ length: 2000 }, (_, n) => `${n} `))

const claudeCode = here('node_modules/.bin/claude')
describe.skipIf(!existsSync(claudeCode))('Claude Code', () => {
  const start = (path: string) =>
    run(
      claudeCode,
      ['-p', 'Hi', '--output-format', 'json', '--model', 'gpt-5.5'],
      {
        ANTHROPIC_BASE_URL: gateway.url,
        ANTHROPIC_AUTH_TOKEN: KEY,
        ANTHROPIC_SMALL_FAST_MODEL: 'gpt-5.5',
        CLAUDE_CODE_MAX_RETRIES: '0',
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        DISABLE_AUTOUPDATER: '1',
      },
      path,
    )

  it('answers with what a provider of another kind says', async () => {
    upstream.always(said.gpt(HELLO))
    const { status, output } = await start(folder()).ended
    expect(output).toContain(HELLO.text.join(''))
    expect(status).toBe(0)
  })

  it('runs the tools that it asks for', async () => {
    const path = folder()
    writeFileSync(join(path, 'note.txt'), 'the word is tangerine')
    upstream.always(said.gpt(HELLO))
    upstream.next(said.gpt(call('Read', { file_path: join(path, 'note.txt') })))
    const { output } = await start(path).ended
    expect(output).toContain(HELLO.text.join(''))
    expect(JSON.stringify(asked().at(-1)?.messages)).toContain('the word is tangerine')
  })

  it('tells of a failure in our words', async () => {
    upstream.always(providerError('openai', 503, 'SECRET'))
    const { status, output } = await start(folder()).ended
    expect(status).not.toBe(0)
    expect(output).toMatch(/overloaded/)
    expect(output).not.toContain('SECRET')
  })

  it('stops the provider when it is stopped', async () => {
    upstream.always({ ...said.gpt(LONG), pauseMs: 20 })
    const { child } = start(folder())
    const request = await upstream.request()
    setTimeout(() => child.kill('SIGINT'), 1000)
    expect((await request.closed).by).toBe('client')
  })
})

const codex = here('node_modules/.bin/codex')
describe.skipIf(!existsSync(codex))('Codex', () => {
  const start = (path: string) => {
    const settings = {
      model: 'claude-sonnet-5-5',
      model_provider: 'gateway',
      // What it runs here is one `cat`.
      sandbox_mode: 'danger-full-access',
      'model_providers.gateway.name': 'gateway',
      'model_providers.gateway.base_url': `${gateway.url}/v1`,
      'model_providers.gateway.env_key': 'GATEWAY_KEY',
      'model_providers.gateway.wire_api': 'responses',
    }
    const more = ['model_providers.gateway.request_max_retries=0', 'model_providers.gateway.stream_max_retries=0']
    const options = [...Object.entries(settings).map(([name, value]) => `${name}=${JSON.stringify(value)}`), ...more]
    return run(
      codex,
      ['exec', '--skip-git-repo-check', '--json', ...options.flatMap((option) => ['-c', option]), 'Hi'],
      { CODEX_HOME: path, GATEWAY_KEY: KEY },
      path,
    )
  }

  it('answers with what a provider of another kind says', async () => {
    upstream.always(said.claude(HELLO))
    const { status, output } = await start(folder()).ended
    expect(output).toContain(HELLO.text.join(''))
    expect(status).toBe(0)
  })

  it('runs the tools that it asks for', async () => {
    const path = folder()
    writeFileSync(join(path, 'note.txt'), 'the word is tangerine')
    upstream.always(said.claude(HELLO))
    upstream.next(said.claude(call('exec_command', { cmd: 'cat note.txt' })))
    const { output } = await start(path).ended
    expect(output).toContain(HELLO.text.join(''))
    expect(JSON.stringify(asked().at(-1)?.messages)).toContain('the word is tangerine')
  })

  it('tells of a failure in our words', async () => {
    upstream.always(providerError('anthropic', 529, 'SECRET'))
    const { status, output } = await start(folder()).ended
    expect(status).not.toBe(0)
    expect(output).toMatch(/overloaded/)
    expect(output).not.toContain('SECRET')
  })

  it('stops the provider when it is stopped', async () => {
    upstream.always({ ...said.claude(LONG), pauseMs: 20 })
    const { child } = start(folder())
    const request = await upstream.request()
    setTimeout(() => child.kill('SIGINT'), 1000)
    expect((await request.closed).by).toBe('client')
  })
})
