// What a user's bundle grows by, min + gzip, held by a ratchet: sizes may fall, and a rise of more than 3 % over
// the recorded value is a decision. `node scripts/sizes.mjs` measures, `node scripts/sizes.mjs --update` records; `-- --of folder`
// measures what is unpacked in `folder/package` instead of what is built here.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

// The builder's own copy, so that the sizes need no dependency of their own.
const require = createRequire(createRequire(import.meta.url).resolve('tsup'))
const { build } = require('esbuild')

const root = fileURLToPath(new URL('..', import.meta.url))
const of = process.argv.indexOf('--of')
/** Where the package is, whose names the entries import. */
const measured = of === -1 ? root : join(process.argv[of + 1], 'package')
const record = new URL('sizes.json', import.meta.url)
const tolerance = 0.03

const entries = {
  'client: createParser': `export { createParser } from 'sse-relay/client'`,
  'client: parseSSE': `export { parseSSE } from 'sse-relay/client'`,
  'client: parseSSE + readText': `export { parseSSE, readText } from 'sse-relay/client'`,
  'client: fetchSSE': `export { fetchSSE } from 'sse-relay/client'`,
  'client: parseSSE + readText + fetchSSE': `export { parseSSE, readText, fetchSSE } from 'sse-relay/client'`,
  react: `export { useRelay } from 'sse-relay/react'`,
  node: `export { relay } from 'sse-relay/node'`,
  web: `export { relay } from 'sse-relay/web'`,
  express: `export { relay } from 'sse-relay/express'`,
  fastify: `export { relay } from 'sse-relay/fastify'`,
  koa: `export { relay } from 'sse-relay/koa'`,
  hono: `export { relay } from 'sse-relay/hono'`,
  'node: relay + resume': `export { relay, resume } from 'sse-relay/node'`,
  'log: createMemoryLog + record': `export { createMemoryLog, record } from 'sse-relay/log'`,
  'redis: createRedisLog': `export { createRedisLog } from 'sse-relay/redis'`,
  'node: relay + resume, with createMemoryLog': `export { relay, resume } from 'sse-relay/node'
    export { createMemoryLog } from 'sse-relay/log'`,
  'root: everything': `export * from 'sse-relay'`,
}

if (!existsSync(new URL('../dist/index.js', import.meta.url))) {
  console.error('Nothing to measure: run `npm run build` first.')
  process.exit(1)
}

const update = process.argv.includes('--update')
const recorded = existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : {}
const sizes = {}
const rows = [['', 'min + gzip', 'min', 'recorded', 'change']]
const risen = []
const fallen = []

for (const [name, contents] of Object.entries(entries)) {
  const min = await bundle(contents)
  const size = gzipSync(min, { level: 9 }).length
  const before = recorded[name]
  const change = before === undefined ? undefined : size / before - 1
  sizes[name] = size
  if (!(change <= tolerance)) risen.push(name)
  if (change < -tolerance) fallen.push(name)
  rows.push([
    name,
    `${size} B`,
    `${min.length} B`,
    before === undefined ? 'none' : `${before} B`,
    change === undefined ? '' : `${change < 0 ? '' : '+'}${(change * 100).toFixed(1)} %`,
  ])
}

const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
for (const row of rows) {
  console.log(row.map((cell, i) => (i ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join('  '))
}

const sources = await sourceCosts()
console.log('\nOf these, in `node`, for the provider whose chunks it reads:')
for (const [name, cost] of Object.entries(sources)) console.log(`  ${name.padEnd(18)} ${String(cost).padStart(5)} B`)

if (update) {
  writeFileSync(record, `${JSON.stringify({ ...sizes, sources }, null, 2)}\n`)
  console.log('\nRecorded in scripts/sizes.json.')
} else if (risen.length) {
  console.error(
    `\nLarger than recorded by more than ${tolerance * 100} %, or not recorded: ${risen.join(', ')}.\n` +
      'Make it smaller again; or, if it is worth its bytes, record it with `node scripts/sizes.mjs --update`,\n' +
      'commit scripts/sizes.json and say in the commit what the bytes buy.',
  )
  process.exitCode = 1
} else if (fallen.length) {
  console.log(`\nSmaller than recorded: ${fallen.join(', ')}. Keep it so: \`node scripts/sizes.mjs --update\`.`)
}

/** What `node` would weigh less without each of the sources: they are told apart by shape, so all of them are in it. */
async function sourceCosts() {
  const folder = new URL('../src/sources/', import.meta.url)
  const files = readdirSync(folder).filter((file) => /: ChunkShape =/.test(readFileSync(new URL(file, folder), 'utf8')))
  const whole = gzipSync(await bundleSource([]), { level: 9 }).length
  const costs = {}
  for (const file of files.filter((name) => !/-ui\./.test(name))) {
    // The AI SDK has two streams, in two files that share their lower half.
    const group = files.filter((name) => name === file || name === file.replace('.ts', '-ui.ts'))
    costs[file.replace('.ts', '')] = whole - gzipSync(await bundleSource(group), { level: 9 }).length
  }
  return costs
}

async function bundleSource(without) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('../src/adapters/node.ts', import.meta.url))],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    plugins: [
      {
        name: 'without',
        setup({ onLoad }) {
          onLoad({ filter: /src[\\/]sources[\\/][\w-]+\.ts$/ }, ({ path }) => {
            if (!without.includes(basename(path))) return
            const names = [...readFileSync(path, 'utf8').matchAll(/^export (?:const|function) (\w+)/gm)]
            return { contents: names.map(([, name]) => `export const ${name} = { is: () => false }`).join('\n') }
          })
        },
      },
    ],
  })
  return outputFiles[0].contents
}

async function bundle(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: measured, sourcefile: 'entry.js' },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    platform: 'neutral',
    external: ['node:*', 'react'],
    logLevel: 'error',
  })
  return outputFiles[0].contents
}
