// What a bundle grows by, min + gzip: ours and those of peers that do a part of the same.
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const OURS = [
  ['createParser', `export { createParser } from 'sse-relay/client'`],
  ['parseSSE', `export { parseSSE } from 'sse-relay/client'`],
  ['parseSSE + readText + fetchSSE', `export { parseSSE, readText, fetchSSE } from 'sse-relay/client'`],
  ['sse-relay/node, every provider', `export { relay } from 'sse-relay/node'`, 26_000],
  ['sse-relay/web, every provider', `export { relay } from 'sse-relay/web'`, 26_000],
]

const THEIRS = [
  ['eventsource-parser', `export { createParser } from 'eventsource-parser'`],
  [
    'eventsource-parser, with its stream',
    `export { createParser } from 'eventsource-parser'; export { EventSourceParserStream } from 'eventsource-parser/stream'`,
  ],
  ['@microsoft/fetch-event-source', `export { fetchEventSource } from '@microsoft/fetch-event-source'`],
  ['fetch-event-stream', `export { events } from 'fetch-event-stream'`],
  ['parse-sse', `export * from 'parse-sse'`],
  ['hono streamSSE', `export { streamSSE } from 'hono/streaming'`],
  ['h3 createEventStream', `export { createEventStream } from 'h3'`],
  ['better-sse', `export { createSession } from 'better-sse'`],
  ['ai pipeUIMessageStreamToResponse', `export { pipeUIMessageStreamToResponse } from 'ai'`],
]

export async function measureSizes() {
  const ours = await Promise.all(OURS.map(async ([name, code, target]) => ({ name, target, value: await size(code) })))
  const theirs = await Promise.all(THEIRS.map(async ([name, code]) => ({ name, value: await size(code) })))
  return {
    id: 'sizes',
    title: 'Bundles',
    note: 'Bytes after esbuild’s minifier and gzip, dependencies included. A peer does a part of what stands beside it; what is missing is in [the comparison](comparison.md).',
    unit: 'kB, min + gzip',
    figures: [
      ...ours.map(({ name, value }) => ({ name, value: value / 1000, ours: true })),
      ...theirs.map(({ name, value }) => ({ name, value: value / 1000, ours: false })),
    ],
    rows: ours.map(({ name, target, value }) => ({
      group: 'sizes',
      name,
      unit: 'bytes, min + gzip',
      limit: target,
      ours: value,
      runs: 1,
    })),
  }
}

async function size(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: fileURLToPath(new URL('.', import.meta.url)), sourcefile: 'entry.js' },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    // Some of the peers load built-ins of Node by their short names.
    platform: 'node',
    mainFields: ['module', 'main'],
    logLevel: 'error',
  })
  return gzipSync(outputFiles[0].contents, { level: 9 }).length
}
