import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { subpaths } from './scripts/subpaths.mjs'

// Tests import the public names, and by default get what is shipped. `SRC=1 npx vitest` takes the source
// instead: no build between an edit and its test.
const fromSource = Boolean(process.env.SRC)
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  resolve: {
    alias: subpaths.map(({ name, source, built }) => ({
      find: new RegExp(`^${name}$`),
      replacement: file(fromSource ? source : built),
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
