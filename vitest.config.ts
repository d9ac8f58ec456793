import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// Tests import the public names, and by default get what is shipped. `SRC=1 npx vitest` takes the source
// instead: no build between an edit and its test.
const fromSource = Boolean(process.env.SRC)
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const entries = {
  'sse-relay': ['dist/index.js', 'src/index.ts'],
  'sse-relay/client': ['dist/client.js', 'src/client/index.ts'],
  'sse-relay/react': ['dist/react.js', 'src/client/react.ts'],
  'sse-relay/log': ['dist/log.js', 'src/log/index.ts'],
  'sse-relay/redis': ['dist/redis.js', 'src/log/redis.ts'],
  'sse-relay/protocols': ['dist/protocols.js', 'src/protocols/index.ts'],
  'sse-relay/web': ['dist/web.js', 'src/adapters/web.ts'],
  'sse-relay/node': ['dist/node.js', 'src/adapters/node.ts'],
  'sse-relay/express': ['dist/express.js', 'src/adapters/express.ts'],
  'sse-relay/fastify': ['dist/fastify.js', 'src/adapters/fastify.ts'],
  'sse-relay/koa': ['dist/koa.js', 'src/adapters/koa.ts'],
  'sse-relay/hono': ['dist/hono.js', 'src/adapters/hono.ts'],
  'sse-relay/testing': ['dist/testing.js', 'src/testing/index.ts'],
} as const

export default defineConfig({
  resolve: {
    alias: Object.entries(entries).map(([name, [dist, src]]) => ({
      find: new RegExp(`^${name}$`),
      replacement: file(fromSource ? src : dist),
    })),
  },
  test: {
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    pool: 'forks',
    // One core would be left alone: of two that is half.
    maxWorkers: '100%',
    watch: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Shared machines starve a browser or a child process now and then: once more there, and it is reported.
    retry: process.env.CI ? 1 : 0,
    server: {
      deps: {
        // The built files are loaded by Node itself, as a user's are, not transformed.
        external: [/\/dist\/[^/]+\.js$/],
      },
    },
  },
})
