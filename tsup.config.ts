import { existsSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { defineConfig } from 'tsup'

// What the published files read at run time, next to the file that reads it: `new URL('./traces/', import.meta.url)`
// is right in src/testing and in the flat dist alike.
const assets = [
  ['src/testing/traces', 'dist/traces'],
  ['src/cli/demo/page', 'dist/page'],
] as const

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    client: 'src/client/index.ts',
    react: 'src/client/react.ts',
    log: 'src/log/index.ts',
    redis: 'src/log/redis.ts',
    protocols: 'src/protocols/index.ts',
    web: 'src/adapters/web.ts',
    node: 'src/adapters/node.ts',
    express: 'src/adapters/express.ts',
    fastify: 'src/adapters/fastify.ts',
    koa: 'src/adapters/koa.ts',
    hono: 'src/adapters/hono.ts',
    testing: 'src/testing/index.ts',
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
