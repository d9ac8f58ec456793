// `npm run check`: the page as Vite builds it, in Chromium, against server.js and a provider that is replayed.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { replayUpstream } from 'sse-relay/testing'

const folder = fileURLToPath(new URL('.', import.meta.url))
const ANSWER = 'Hello there! Streams\n\nwork — naïve 日本🚀'
const BURST = Array.from({ length: 2000 }, (_, index) => `${index} `)
// Long, because it only ends what would never end.
const LIMIT_MS = 60_000

const executablePath = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (path) => path && existsSync(path),
)
if (!executablePath && !process.env.CI) {
  console.log('Skipped: there is no Chromium. Install it, or set CHROMIUM_PATH.')
  process.exit(0)
}

const upstream = await replayUpstream({ pauseMs: 5 })
const server = spawn(process.execPath, ['server.js'], {
  cwd: folder,
  env: { PATH: process.env.PATH, PORT: '0', ANTHROPIC_API_KEY: 'test', ANTHROPIC_BASE_URL: upstream.url },
  stdio: ['ignore', 'pipe', 'inherit'],
})
let browser
try {
  const [line] = await once(server.stdout, 'data')
  const url = /http:\S+/.exec(line)[0]
  browser = await chromium.launch({ executablePath })

  await check('the page of development asks once under StrictMode', 'development', async (page, posts) => {
    await page.goto(`${url}/?q=Hi`)
    await until(page, 'Ready', ANSWER)
    assert.deepEqual(await page.evaluate(() => [window.react.isDevelopment, window.react.isStrict]), [true, true])
    assert.equal(posts.length, 1)
    assert.deepEqual(posts[0].postDataJSON(), { messages: [{ role: 'user', content: 'Hi' }] })
    assert.equal(upstream.requests.length, 1)
  })

  await check('and renders two thousand tokens at most once a frame', 'development', async (page, posts) => {
    upstream.next({ body: messageOf(BURST), pauseMs: (index) => (index % 40 === 0 ? 5 : 0) })
    await page.goto(url)
    await until(page, 'Ready')
    await send(page)
    await until(page, 'Ready', BURST.join(''))
    assert.equal(posts.length, 1)
    const { commits, frames } = await page.evaluate(() => window.react)
    // The last one says that the answer is over, which shows at once.
    const growing = commits
      .filter(({ length }) => length > 0)
      .map(({ frame }) => frame)
      .slice(0, -1)
    assert.deepEqual(growing, [...new Set(growing)])
    assert.ok(growing.length > 3, `The answer was shown in ${growing.length} renders only`)
    assert.ok(growing.length <= frames, `${growing.length} renders in ${frames} frames`)
    console.log(`   ${BURST.length} tokens, ${growing.length} renders, ${frames} frames`)
  })

  await check('the page of production answers, stops, fails and tries again', 'production', async (page, posts) => {
    await page.goto(url)
    await send(page)
    await until(page, 'Ready', ANSWER)

    upstream.next({ stallAfter: 8 })
    const asked = upstream.request()
    await send(page, 'And now?')
    await until(page, 'Answering')
    await page.getByRole('button', { name: 'Stop' }).click()
    assert.equal((await (await asked).closed).by, 'client')
    await until(page, 'Ready')

    upstream.next({ endAfter: 8 })
    await send(page, 'Again?')
    await until(page, 'Failed')
    await page.getByRole('alert').getByText('before it was complete').waitFor()
    await page.getByRole('button', { name: 'Try again' }).click()
    await until(page, 'Ready', ANSWER)
    assert.equal(posts.length, 4)
    // The whole answer went back to the model as it was, the one that was stopped says so.
    const [, whole, , stopped] = posts[2].postDataJSON().messages
    assert.equal(whole.content, ANSWER)
    assert.match(stopped.content, /^Hello.+ \[broken off\]$/s)
    assert.equal(await page.evaluate(() => window.react.isDevelopment), false)
  })
} finally {
  await browser?.close()
  if (server.kill()) await once(server, 'exit')
  await upstream.close()
}

/** Builds the page and opens a new tab for it. */
async function check(name, mode, run) {
  build(mode)
  const page = await browser.newPage()
  page.setDefaultTimeout(LIMIT_MS)
  const posts = []
  const errors = []
  page.on('request', (request) => request.method() === 'POST' && posts.push(request))
  page.on('pageerror', (error) => errors.push(error))
  await page.addInitScript(watchReact)
  await run(page, posts)
  assert.deepEqual(errors, [])
  await page.close()
  console.log(`ok ${name}`)
}

function build(mode) {
  if (build.latest === mode) return
  build.latest = mode
  const vite = fileURLToPath(new URL('node_modules/vite/bin/vite.js', import.meta.url))
  // By its environment Vite chooses which React it takes.
  const env = { ...process.env, NODE_ENV: mode }
  const { status } = spawnSync(process.execPath, [vite, 'build', '--mode', mode, '--logLevel', 'warn'], {
    cwd: folder,
    env,
    stdio: 'inherit',
  })
  assert.equal(status, 0, 'vite build failed')
}

async function send(page, question = 'What is an event stream?') {
  await page.getByLabel('Your question').fill(question)
  await page.getByRole('button', { name: 'Send' }).click()
}

/** Until the page says so, and shows this answer. */
async function until(page, status, answer) {
  await page.waitForFunction(
    ([status, answer]) =>
      document.querySelector('[role=status]')?.textContent === status &&
      (answer === undefined || document.querySelector('#answer')?.textContent === answer),
    [status, answer],
    { polling: 20 },
  )
}

/** In the page, before all else: what React tells its developer tools of each commit, and the frames. */
function watchReact() {
  window.react = { commits: [], frames: 0, isDevelopment: false, isStrict: false }
  window.__REACT_DEVTOOLS_GLOBAL_HOOK__ = {
    supportsFiber: true,
    inject({ bundleType }) {
      window.react.isDevelopment = bundleType === 1
      return 1
    },
    onCommitFiberRoot(_id, { current }) {
      // The bits of StrictMode and of its effects.
      window.react.isStrict = (current.child.mode & 24) === 24
      // The frame is the same for all that happens until the next one.
      const length = document.querySelector('#answer')?.textContent.length ?? 0
      window.react.commits.push({ frame: document.timeline.currentTime, length })
    },
    onCommitFiberUnmount() {},
    onPostCommitFiberRoot() {},
    setStrictMode() {},
    checkDCE() {},
  }
  requestAnimationFrame(function count() {
    window.react.frames++
    requestAnimationFrame(count)
  })
}

/** A whole answer of Anthropic's. */
function messageOf(texts) {
  const usage = { input_tokens: 1, output_tokens: texts.length }
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'test', content: [], usage }
  return [
    { type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    ...texts.map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage },
    { type: 'message_stop' },
  ]
    .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    .join('')
}
