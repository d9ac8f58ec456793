import { existsSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { defineConfig } from 'tsup'
import { subpaths } from './scripts/subpaths.mjs'

// What the published files read at run time, next to the file that reads it: `new URL('./traces/', import.meta.url)`
// is right in src/testing and in the flat dist alike.
const assets = [
  ['src/testing/traces', 'dist/traces'],
  ['src/cli/demo/page', 'dist/page'],
] as const

export default defineConfig({
  entry: {
    ...Object.fromEntries(subpaths.map(({ entry, source }) => [entry, source])),
    cli: 'src/cli/main.ts',
  },
  format: 'esm',
  target: ['es2022', 'node20'],
  dts: true,
  // One copy of RelayError for all entries.
  splitting: true,
  treeshake: true,
  clean: true,
  sourcemap: true,
  external: ['express', 'fastify', 'koa', 'hono', 'openai', '@anthropic-ai/sdk', 'react'],
  // Only the full name of a built-in resolves on Deno and workerd.
  removeNodeProtocol: false,
  async onSuccess() {
    for (const [from, to] of assets) {
      if (existsSync(from)) await cp(from, to, { recursive: true })
    }
  },
})
