// The samples of the README as programs that run: what a reader has around each, and the port that it listens on. A
// sample that is not known here is an error, so that none is left out.
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
const RESPONSE = `
const response = await fetch('/api/chat', {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ messages }),
})
`
/** How each runtime serves a function from a request to a response. */
const serveWeb = {
  Node: (answer, port) => `
import { serve } from '@hono/node-server'
serve({ fetch: ${answer}, port: ${port}, hostname: '127.0.0.1' })
`,
  Bun: (answer, port) => `Bun.serve({ fetch: ${answer}, port: ${port}, hostname: '127.0.0.1' })\n`,
  Deno: (answer, port) => `Deno.serve({ port: ${port}, hostname: '127.0.0.1' }, ${answer})\n`,
}

/** Each by what no other has in it. A server listens on `port`; a page asks the server of that name. */
const SAMPLES = [
  { name: 'Express', has: "import express from 'express'" },
  { name: 'Fastify', has: 'sse-relay/fastify', after: (port) => `await fastify.listen({ port: ${port} })\n` },
  { name: 'Koa', has: 'sse-relay/koa', after: (port) => `app.listen(${port})\n` },
  { name: 'Hono', has: 'sse-relay/hono', after: (port, runtime) => serveWeb[runtime]('app.fetch', port) },
  { name: 'Node', has: 'sse-relay/node' },
  { name: 'Web', has: 'sse-relay/web', after: (port, runtime) => serveWeb[runtime]('POST', port) },
  { name: 'resume', has: 'createMemoryLog', before: EXPRESS_APP, after: (port) => `app.listen(${port})\n` },
  { name: 'the loop', has: /^import \{ readText \}[\s\S]*What is an event stream/, asks: 'Express' },
  { name: 'every event', has: 'isRelayError, parseSSE', asks: 'Express', before: RESPONSE },
  { name: 'the Stop button', has: 'new AbortController', asks: 'Express' },
  { name: 'fetchSSE', has: 'fetchSSE(', asks: 'resume' },
]

/** What the README has, each with its name and, for a page, which server it asks. */
export function readmeSamples(root) {
  const texts = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```ts\b.*\n([\s\S]*?)^```$/gm)]
  const found = texts.map(([, text]) => {
    const [sample, ...more] = SAMPLES.filter(({ has }) => (has instanceof RegExp ? has.test(text) : text.includes(has)))
    if (!sample || more.length > 0)
      throw new Error(`A sample of the README that scripts/readme-samples.mjs does not know:\n${text}`)
    return { ...sample, text }
  })
  const missing = SAMPLES.filter(({ name }) => found.filter((sample) => sample.name === name).length !== 1)
  if (missing.length > 0) throw new Error(`Not once in the README: ${missing.map(({ name }) => name).join(', ')}`)
  return found
}

/** A server's program, on that port. */
export const serverProgram = ({ text, before = '', after }, port, runtime) =>
  before + text.replace(/\blisten\(3000\)/, `listen(${port})`) + (after?.(port, runtime) ?? '')

/** A page's program, which prints what is shown in the end. */
export const pageProgram = ({ text, before = '' }, url) => page(url) + before + text + SHOWN
