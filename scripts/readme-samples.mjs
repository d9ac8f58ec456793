// What runs each block of the README and the quick start: the samples as programs, with what a reader has around each,
// and the commands as they are pasted. The lists go by the order of the page; a block that is not in them is an error,
// so that none is left out.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Names that a sample takes for granted, on the server. */
const EXPRESS_APP = `
import Anthropic from '@anthropic-ai/sdk'
import express from 'express'
const app = express()
app.use(express.json(), (_req, res, next) => {
  res.locals.user = { id: 'ann' }
  next()
})
const source = ({ signal }) =>
  new Anthropic().messages.create({ model: 'any', max_tokens: 64, messages: [], stream: true }, { signal })
`
/** And in a page, which has a document and knows its own address. */
const page = (url) => `
const output = { textContent: '' }
const notice = { textContent: '' }
const messages = [{ role: 'user', content: 'Hi' }]
const question = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ messages }) }
globalThis.document = { querySelector: () => ({ addEventListener() {} }) }
const { fetch: fetchAbsolute } = globalThis
globalThis.fetch = (path, init) => fetchAbsolute(new URL(path, '${url}'), init)
`
const SHOWN = '\nconsole.log(JSON.stringify([output.textContent, notice.textContent]))\n'
/** How each runtime serves a function from a request to a response. */
const serveWeb = {
  Node: (answer, port) => `
import { serve } from '@hono/node-server'
serve({ fetch: ${answer}, port: ${port}, hostname: '127.0.0.1' })
`,
  Bun: (answer, port) => `Bun.serve({ fetch: ${answer}, port: ${port}, hostname: '127.0.0.1' })\n`,
  Deno: (answer, port) => `Deno.serve({ port: ${port}, hostname: '127.0.0.1' }, ${answer})\n`,
}
const asWeb = (answer) => (port, runtime) => serveWeb[runtime](answer, port)

/**
 * Each is one of these, and names something that the block has in it:
 *
 * - `installs`: the packages for what comes after it
 * - `serves`: a server, asked `POST /api/chat`; `before` and `after` stand around it, `in` is a sample that it goes into
 * - `asks`: the script of a page, or commands, for the server of that name
 * - `maps`: the names a browser looks for, and where the server of that name has them
 * - `by`: something else, which is named
 */
const BLOCKS = {
  'README.md': [
    { has: 'source ▶ parts ▶ protocol', by: 'nothing: it is a picture' },
    { has: 'npm install sse-relay', installs: true },
    { has: "import express from 'express'", serves: 'the README' },
    { has: 'readText(response)', asks: 'the README' },
    { has: 'createMemoryLog()', serves: 'resume', before: EXPRESS_APP, after: (port) => `app.listen(${port})\n` },
    { has: 'fetchSSE(', asks: 'resume' },
    { has: 'HTTP/1.1 200 OK', by: 'test/package/docs.test.ts, the wire sample of the README' },
    { has: 'npx sse-relay doctor', asks: 'the README' },
  ],
  'docs/quick-start.md': [
    { has: 'npm install sse-relay @anthropic-ai/sdk', installs: true },
    { has: 'replayUpstream(', serves: 'a provider offline', in: 'Express' },
    { has: 'npm install', installs: true },
    { has: 'sse-relay/express', serves: 'Express' },
    { has: 'npm install', installs: true },
    { has: 'sse-relay/fastify', serves: 'Fastify' },
    { has: 'npm install', installs: true },
    { has: 'sse-relay/koa', serves: 'Koa' },
    { has: 'npm install', installs: true },
    { has: 'sse-relay/hono', serves: 'Hono' },
    { has: 'sse-relay/node', serves: 'Node' },
    { has: 'POST(request: Request)', serves: 'Web', after: asWeb('POST') },
    { has: 'POST({ request }', serves: 'SvelteKit', after: asWeb('(request) => POST({ request })') },
    { has: 'Bun.serve', serves: 'Bun', on: 'Bun' },
    { has: 'Deno.serve', serves: 'Deno', on: 'Deno' },
    {
      has: 'export default {',
      serves: 'Workers',
      after: asWeb("(request) => worker.fetch(request, { ANTHROPIC_API_KEY: 'test' }, { waitUntil() {} })"),
    },
    { has: '@Controller', by: 'examples/nest/src/chat.controller.ts, which is this file' },
    { has: 'readText(response)', asks: 'Express' },
    { has: '"sse-relay/client": "/sse-relay/client.js"', maps: 'Express' },
    { has: 'isRelayError', asks: 'Express' },
    { has: 'curl -N localhost:3000', asks: 'Express' },
  ],
}

/** Every block of the two pages, with what runs it. */
export function readmeBlocks(root) {
  return Object.entries(BLOCKS).flatMap(([path, known]) => {
    const markdown = readFileSync(join(root, path), 'utf8')
    const found = [...markdown.matchAll(/^```(\w+).*\n([\s\S]*?)^```$/gm)].map(({ index, 1: language, 2: text }) => {
      const above = markdown.slice(0, index)
      return { path, line: above.split('\n').length, language, text, above }
    })
    const wrong = found.find(({ text }, index) => !known[index] || !text.includes(known[index].has))
    if (wrong || found.length < known.length) {
      const where = wrong ? `${path}:${wrong.line} is a block that nothing runs` : `${path} has blocks no longer`
      throw new Error(`${where}: say in scripts/readme-samples.mjs what runs it\n${wrong?.text ?? ''}`)
    }
    return found.map((block, index) => ({ ...block, ...known[index] }))
  })
}

/** The servers and the pages as programs, and the commands. */
export function readmeSamples(root) {
  const blocks = readmeBlocks(root)
  const textOf = (name) => blocks.find(({ serves }) => serves === name).text
  for (const block of blocks.filter(({ serves }) => serves)) checkImports(block)
  checkNest(root, blocks)
  return blocks.map((block) => {
    const { above } = block
    // “`server.mjs`, started with `node server.mjs`:” stands right before it.
    const [, file, command] = /`(server\.\w+)`(?:, started with `([^`]+)`)?[^\n]*\n\n$/.exec(above) ?? []
    const given = { ...block, file, command }
    if (!block.in) return given
    // The client of the other sample is this one.
    const around = textOf(block.in).replace(/^import Anthropic .*\n|^const anthropic = .*\n/gm, '')
    return { ...given, text: block.text + around }
  })
}

/** What a page says to install, as the README does, before its first section or in the one that a block stands in. */
function installedFor({ above }) {
  const [first, ...sections] = above.split(/^#{2,3} /m)
  const near = `${first}\n${sections.find((section) => section.startsWith('Install')) ?? ''}\n${sections.at(-1) ?? ''}`
  return [...near.matchAll(/npm install (?!-D)([^`\n]+)/g)].flatMap(([, names]) => names.split(' '))
}

/** A reader has what a sample imports, having pasted what stands above it. */
function checkImports(block) {
  const names = [...block.text.matchAll(/from '((?:@[^/']+\/)?[^/':]+)[^':]*'/g)].map(([, name]) => name)
  const installed = installedFor(block)
  const missing = names.filter((name) => !installed.includes(name))
  if (missing.length > 0) throw new Error(`${block.path}:${block.line} does not say to install ${missing.join(', ')}`)
}

/** The controller is the example's, which `npm run examples` installs and asks. */
function checkNest(root, blocks) {
  const plain = (text) => text.replace(/^ *\/\/.*\n/gm, '').trim()
  const example = readFileSync(join(root, 'examples/nest/src/chat.controller.ts'), 'utf8')
  const { text, path, line } = blocks.find(({ text }) => text.includes('@Controller'))
  if (plain(text) !== plain(example)) throw new Error(`${path}:${line} is not examples/nest/src/chat.controller.ts`)
}

/** What the quick start says to install, section by section. */
export function quickStartPackages(root) {
  const text = readFileSync(join(root, 'docs/quick-start.md'), 'utf8')
  const lines = [...text.matchAll(/npm install (?:-D )?([^`\n]+)/g)].flatMap(([, names]) => names.split(' '))
  return [...new Set(lines)].filter((name) => name !== 'sse-relay')
}

/** A server's program, on that port. */
export const serverProgram = ({ text, before = '', after }, port, runtime) =>
  before +
  text
    .replace(/\blisten\(3000\)|\bport: (process\.env\.PORT \?\? )?3000\b/, (said) => said.replace('3000', port))
    // A Worker is called by its host.
    .replace(/^export default \{/m, after ? 'const worker = {' : '$&') +
  (after?.(port, runtime) ?? '')

/** The same as TypeScript, with the change that the quick start names for Fastify. */
export function typed({ text }, root) {
  const [, post] =
    /`(fastify\.post<.*>)\('\/api\/chat', …\)`/.exec(readFileSync(join(root, 'docs/quick-start.md'), 'utf8')) ?? []
  return text.replace(/fastify\.post(?=\()/, post)
}

/** A page's program, which prints what is shown in the end. */
export const pageProgram = ({ text, before = '' }, url) => page(url) + before + text + SHOWN

/** Commands as they are pasted, for a server on that port. */
export const commandsOf = ({ text }, port) =>
  text.replaceAll('localhost:3000', `localhost:${port}`).replaceAll('https://your.app', `http://localhost:${port}`)
