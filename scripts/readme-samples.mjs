// The samples of the README and the quick start as programs that run: what a reader has around each, and the port that it
// listens on. A sample that is not known here is an error, so that none is left out.
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

/**
 * Each by its page and by what no other of that page has in it. A server listens on `port`; a page asks the server of
 * that name.
 */
const SAMPLES = {
  'README.md': [
    { name: 'the README', has: "import express from 'express'" },
    { name: 'resume', has: 'createMemoryLog', before: EXPRESS_APP, after: (port) => `app.listen(${port})\n` },
    { name: 'the loop', has: /^import \{ readText \}[\s\S]*What is an event stream/, asks: 'the README' },
    { name: 'fetchSSE', has: 'fetchSSE(', asks: 'resume' },
  ],
  'docs/quick-start.md': [
    { name: 'Express', has: 'sse-relay/express' },
    { name: 'Fastify', has: 'sse-relay/fastify' },
    { name: 'Koa', has: 'sse-relay/koa' },
    { name: 'Hono', has: 'sse-relay/hono' },
    { name: 'Node', has: 'sse-relay/node' },
    {
      name: 'Web',
      has: /sse-relay\/web[\s\S]*POST\(request: Request\)/,
      after: (port, runtime) => serveWeb[runtime]('POST', port),
    },
    { name: 'SvelteKit', has: 'POST({ request }', skips: 'in its example' },
    { name: 'Bun', has: 'Bun.serve', on: 'Bun' },
    { name: 'Deno', has: 'Deno.serve', on: 'Deno' },
    { name: 'Workers', has: 'export default {', skips: 'in its example' },
    { name: 'a provider offline', has: 'replayUpstream', skips: 'no server' },
    { name: 'the loop of the quick start', has: /readText\(response\)/, asks: 'Express' },
    { name: 'its try', has: 'isRelayError', skips: 'the rest of it is what stands above it' },
  ],
}

/** What the pages have, each with its name, its language and, for a page, which server it asks. */
export function readmeSamples(root) {
  return Object.entries(SAMPLES).flatMap(([path, known]) => {
    const text = readFileSync(join(root, path), 'utf8')
    const found = [...text.matchAll(/^```(ts|js)\b.*\n([\s\S]*?)^```$/gm)].map(([, language, text]) => {
      const [sample, ...more] = known.filter(({ has }) => (has instanceof RegExp ? has.test(text) : text.includes(has)))
      if (!sample || more.length > 0)
        throw new Error(`A sample of ${path} that scripts/readme-samples.mjs does not know:\n${text}`)
      return { ...sample, language, text }
    })
    const missing = known.filter(({ name }) => found.filter((sample) => sample.name === name).length !== 1)
    if (missing.length > 0) throw new Error(`Not once in ${path}: ${missing.map(({ name }) => name).join(', ')}`)
    return found.filter(({ skips }) => !skips)
  })
}

/** What the quick start says to install, section by section. */
export function quickStartPackages(root) {
  const text = readFileSync(join(root, 'docs/quick-start.md'), 'utf8')
  const lines = [...text.matchAll(/^npm install (.+)$/gm)].flatMap(([, names]) => names.split(' '))
  return [...new Set(lines)].filter((name) => name !== 'sse-relay')
}

/** A server's program, on that port. */
export const serverProgram = ({ text, before = '', after }, port, runtime) =>
  before +
  text.replace(/\blisten\(3000\)|\bport: (process\.env\.PORT \?\? )?3000\b/, (said) => said.replace('3000', port)) +
  (after?.(port, runtime) ?? '')

/** A page's program, which prints what is shown in the end. */
export const pageProgram = ({ text, before = '' }, url) => page(url) + before + text + SHOWN
