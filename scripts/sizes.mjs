// What a user's bundle grows by, min + gzip, held by a ratchet: sizes may fall, and a rise of more than 3 % over
// the recorded value is a decision. `npm run sizes` measures, `npm run sizes -- --update` records.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

// The builder's own copy, so that the sizes need no dependency of their own.
const require = createRequire(createRequire(import.meta.url).resolve('tsup'))
const { build } = require('esbuild')

const root = fileURLToPath(new URL('..', import.meta.url))
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
  hono: `export { relay } from 'sse-relay/hono'`,
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

if (update) {
  writeFileSync(record, `${JSON.stringify(sizes, null, 2)}\n`)
  console.log('\nRecorded in scripts/sizes.json.')
} else if (risen.length) {
  console.error(
    `\nLarger than recorded by more than ${tolerance * 100} %, or not recorded: ${risen.join(', ')}.\n` +
      'Make it smaller again; or, if it is worth its bytes, record it with `npm run sizes -- --update`,\n' +
      'commit scripts/sizes.json and say in the commit what the bytes buy.',
  )
  process.exitCode = 1
} else if (fallen.length) {
  console.log(`\nSmaller than recorded: ${fallen.join(', ')}. Keep it so: \`npm run sizes -- --update\`.`)
}

async function bundle(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root, sourcefile: 'entry.js' },
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
