// `node scripts/consumers.mjs`: the package as its users get it. Packed, installed into a fresh project, bundled by Vite, esbuild
// and webpack, type-checked by the oldest and the newest TypeScript, and required from CommonJS. Build first.
// The tools that are not the repository's own are kept in node_modules/.cache/consumers.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { execute, freshFolder, manifest, npm, pack, root, same, start, step, trial } from './packed.mjs'
import { subpaths } from './subpaths.mjs'

const cache = join(root, 'node_modules/.cache/consumers')

const TOOLS = {
  typescript54: 'npm:typescript@~5.4.5',
  typescript58: 'npm:typescript@~5.8.3',
  typescript6: 'npm:typescript@~6.0.3',
  typescript7: 'npm:typescript@~7.0.2',
  webpack: '^5.112.2',
}
const OWN_TYPESCRIPT = join(root, 'node_modules/typescript')
const typescript = (name) => (name === 'typescript59' ? OWN_TYPESCRIPT : join(cache, 'node_modules', name))

/** What the bundles hold and do: everything the client has, and the hook. */
const MAIN = `
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { fetchSSE, isRelayError, parseSSE, readParts, readText, SSEParserStream } from 'sse-relay/client'
import { useRelay } from 'sse-relay/react'

async function all(values) {
  const found = []
  for await (const value of values) found.push(value)
  return found
}

function Chat() {
  const { text, status } = useRelay('/api/chat')
  return createElement('p', null, status, text)
}

globalThis.run = async (url) => {
  const refusal = await all(fetchSSE(url + '/no')).catch((error) => error)
  const cut = await all(parseSSE('data: 1\\n\\n')).catch((error) => error)
  const stream = new Blob(['data: 1\\n\\n']).stream().pipeThrough(new SSEParserStream())
  const { value } = await stream.getReader().read()
  return {
    text: await all(readText(fetchSSE(url + '/text', { method: 'POST' }))),
    parts: await all(readParts(await fetch(url + '/parts'))),
    errors: [refusal, cut].map((error) => isRelayError(error) && error.code),
    event: value,
    html: renderToString(createElement(Chat)),
  }
}
`
const DUE = {
  text: ['Hello', ' there'],
  parts: [{ type: 'text', text: 'Hello' }],
  errors: ['rate-limit', 'truncated'],
  event: { data: '1' },
  html: '<p>ready</p>',
}
const RUN = `
await import(process.argv[2])
const found = await globalThis.run(process.argv[3])
process.stdout.write(JSON.stringify(found), () => process.exit())
`
const SERVER = `
import { createServer } from 'node:http'
import { relay } from 'sse-relay/node'
import { parts } from 'sse-relay/protocols'

const server = createServer((req, res) => {
  if (req.url === '/text') relay(req, res, ['Hello', ' there'])
  else if (req.url === '/parts') relay(req, res, ['Hello'], { protocol: parts() })
  else relay(req, res, () => Promise.reject(Object.assign(new Error(), { status: 429 })), { onError() {} })
})
server.listen(0, '127.0.0.1', () => console.log('http://127.0.0.1:' + server.address().port))
`

/** Every subpath that is there for any runtime, or says what it needs of its host by shape; no types but the library's. */
const TYPED = `
import { DONE, encodeEvent, isRelayError, type Part, RelayError, type RelayOptions, type Summary } from 'sse-relay'
import { fetchSSE, type FetchStream, parseSSE, readParts, readText, SSEParserStream } from 'sse-relay/client'
import { relay as express } from 'sse-relay/express'
import { relay as hono } from 'sse-relay/hono'
import { createLog, createMemoryLog, type Log, type LogStore, record } from 'sse-relay/log'
import { relay as node } from 'sse-relay/node'
import { parts, raw, text } from 'sse-relay/protocols'
import { type RelayAnswer, useRelay } from 'sse-relay/react'
import { createRedisLog, type IORedisClient } from 'sse-relay/redis'
import { relay, resume } from 'sse-relay/web'

const log: Log = createMemoryLog({ maxRuns: 10 })
export const logs = (client: IORedisClient, store: LogStore): Log[] => [createRedisLog(client), createLog(store)]
export const work = (): Promise<Summary> => record(['a', 'b'], { log, owner: null })
export const GET = (request: Request): Promise<Response> => resume(request, { log, owner: 'ann' })
const options: RelayOptions = { log, owner: 'ann', protocol: parts(), onEnd: (summary: Summary) => console.log(summary.outcome) }
export const hosts = [express, hono, node]
export const protocols = [text(), raw()]
export const frame: string = encodeEvent({ data: DONE })
export const POST = (request: Request): Promise<Response> => relay(request, ['a', 'b'], options)
export const events = (body: ReadableStream<Uint8Array>) => body.pipeThrough(new SSEParserStream())
export type Kind = Part['type']

export async function read(url: string): Promise<string> {
  const stream: FetchStream = fetchSSE(url, { method: 'POST', stopUrl: '/api/chat/:runId' })
  let all = ''
  try {
    for await (const piece of readText(stream)) all += piece.toUpperCase()
    for await (const { data, event } of parseSSE(await fetch(url))) all += data + (event ?? '')
    for await (const part of readParts(await fetch(url))) if (part.type === 'tool-call') all += part.input
  } catch (error) {
    if (isRelayError(error)) all += error.code + new RelayError('internal', 'no').message
  }
  return all
}

export function useAnswer(): [string, RelayAnswer['status']] {
  const { text, status, send } = useRelay('/api/chat', { onDone: (answer) => console.log(answer.parts.length) })
  send({ messages: [] })
  return [text, status]
}

// @ts-expect-error: the types are there, and not any.
export const no: number = encodeEvent({ data: '' })
`
/** Only `testing` needs Node's types. */
const TYPED_IN_NODE = `
import { RelayError } from 'sse-relay'
import { parseSSE } from 'sse-relay/client'
import { createMemoryLog, record } from 'sse-relay/log'
import { collect, logBehaviours, replayUpstream } from 'sse-relay/testing'

export async function main(): Promise<string> {
  let all = ''
  for await (const { data } of parseSSE('data: 1\\n\\ndata: [DONE]\\n\\n')) all += data
  const upstream = await replayUpstream()
  await upstream.close()
  const { outcome } = await collect('data: 1\\n\\ndata: [DONE]\\n\\n')
  const run = await record(['a'], { log: createMemoryLog(), owner: null })
  for (const { name, run } of logBehaviours.slice(0, 1)) if (name !== '') await run(() => createMemoryLog())
  return [all, outcome, run.outcome, new RelayError('internal', 'no').code].join(' ')
}

main().then((line) => console.log(line))
`

const { folder: project, file, write } = freshFolder()

await trial(async () => {
  const ready = (await step('the tools', installTools)) && (await step('packed and installed', install))
  if (!ready) throw new Error('nothing to try')
  const url = await serve()

  write('main.js', MAIN)
  write('run.mjs', RUN)
  for (const [name, build] of Object.entries({ Vite: withVite, esbuild: withEsbuild, webpack: withWebpack })) {
    await step(`bundled by ${name}, and run`, async () => {
      const found = await node(file('run.mjs'), pathToFileURL(await build()).href, url)
      same(JSON.parse(found), DUE)
    })
  }
  await step('required from CommonJS, every subpath', required)
  await Promise.all(
    pooled([
      ...['typescript54', 'typescript59', 'typescript6', 'typescript7'].map((name) => () => typed(name, 'bundler')),
      ...['typescript58', 'typescript59', 'typescript6', 'typescript7'].map((name) => () => typed(name, 'nodenext')),
    ]),
  )
})

async function installTools() {
  const content = JSON.stringify({ private: true, dependencies: TOOLS })
  const mark = join(cache, `installed-${createHash('sha256').update(content).digest('hex').slice(0, 16)}`)
  if (existsSync(mark)) return
  rmSync(cache, { recursive: true, force: true })
  mkdirSync(cache, { recursive: true })
  writeFileSync(join(cache, 'package.json'), content)
  await npm(cache, ['install', '--ignore-scripts'])
  writeFileSync(mark, '')
}

async function install() {
  const { tarball } = await pack()
  const { react, 'react-dom': dom, '@types/node': types } = manifest.devDependencies
  const dependencies = { 'sse-relay': `file:${tarball}`, react, 'react-dom': dom, '@types/node': types }
  write('package.json', { private: true, type: 'module', dependencies })
  await npm(project, ['install', '--ignore-scripts'])
}

/** A relay of the installed package. */
async function serve() {
  const server = start(process.execPath, [write('server.mjs', SERVER)], { stdio: ['ignore', 'pipe', 'inherit'] })
  server.on('error', () => {})
  for await (const line of server.stdout) return String(line).trim()
  throw new Error('The server ended before it listened')
}

async function withVite() {
  // The test runner's own copy.
  const require = createRequire(createRequire(import.meta.url).resolve('vitest'))
  const { build } = await import(pathToFileURL(require.resolve('vite')).href)
  await build({
    root: project,
    configFile: false,
    logLevel: 'error',
    build: {
      outDir: 'vite',
      modulePreload: false,
      rollupOptions: { input: file('main.js'), output: { entryFileNames: 'main.js' } },
    },
  })
  return file('vite/main.js')
}

async function withEsbuild() {
  // The builder's own copy.
  const require = createRequire(createRequire(import.meta.url).resolve('tsup'))
  await require('esbuild').build({
    entryPoints: [file('main.js')],
    outfile: file('esbuild/main.js'),
    bundle: true,
    minify: true,
    format: 'esm',
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'error',
  })
  return file('esbuild/main.js')
}

async function withWebpack() {
  const webpack = createRequire(join(cache, 'package.json'))('webpack')
  const compiler = webpack({
    mode: 'production',
    context: project,
    entry: './main.js',
    // A page's script, and not a module.
    output: { path: file('webpack'), filename: 'main.cjs' },
    performance: false,
  })
  const stats = await new Promise((resolve, reject) => {
    compiler.run((error, stats) => (error ? reject(error) : resolve(stats)))
  })
  await new Promise((resolve) => compiler.close(resolve))
  if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString('errors-warnings'))
  return file('webpack/main.cjs')
}

async function required() {
  const names = subpaths.map(({ name }) => name)
  const script = write(
    'required.cjs',
    `console.log(JSON.stringify(${JSON.stringify(names)}.map((name) => [name, Object.keys(require(name)).length > 0])))`,
  )
  same(
    JSON.parse(await node(script)),
    names.map((name) => [name, true]),
  )
}

/** The types under one TypeScript; what is for Node is emitted and run too. */
async function typed(name, moduleResolution) {
  const { version } = JSON.parse(readFileSync(join(typescript(name), 'package.json'), 'utf8'))
  await step(`types under TypeScript ${version}, ${moduleResolution}`, async () => {
    const folder = `${name}-${moduleResolution}`
    mkdirSync(file(folder))
    const isNode = moduleResolution === 'nodenext'
    const compilerOptions = {
      target: 'es2022',
      lib: ['es2022', 'dom', 'dom.iterable'],
      module: isNode ? 'nodenext' : 'esnext',
      moduleResolution,
      strict: true,
      exactOptionalPropertyTypes: true,
      types: [],
      // The package's own declarations are what is checked here.
      skipLibCheck: false,
      noEmit: true,
    }
    const tsc = (path) => node(join(typescript(name), 'bin/tsc'), '-p', path)
    write(`${folder}/neutral.ts`, TYPED)
    await tsc(write(`${folder}/tsconfig.json`, { compilerOptions, files: ['neutral.ts'] }))
    if (!isNode) return
    write(`${folder}/module.mts`, TYPED_IN_NODE)
    write(`${folder}/common.cts`, TYPED_IN_NODE)
    // Node's types are not ours to check.
    const options = {
      ...compilerOptions,
      types: ['node'],
      skipLibCheck: true,
      noEmit: false,
      outDir: 'out',
      rootDir: '.',
    }
    const files = ['module.mts', 'common.cts']
    await tsc(write(`${folder}/tsconfig.node.json`, { compilerOptions: options, files }))
    for (const path of ['out/module.mjs', 'out/common.cjs']) {
      same((await node(file(`${folder}/${path}`))).trim(), '1 done done internal')
    }
  })
}

/** As many at a time as there are processors. */
function pooled(tasks) {
  const waiting = [...tasks]
  return Array.from({ length: availableParallelism() }, async () => {
    for (let task = waiting.shift(); task; task = waiting.shift()) await task()
  })
}

/** With no flags and loaders of whoever runs this. */
function node(...args) {
  return execute(process.execPath, ['--no-warnings', ...args], { cwd: project, env: { PATH: process.env.PATH } })
}
