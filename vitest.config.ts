// Which tests there are, what they are run against, and which of them need more than Node.
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { subpaths } from './scripts/subpaths.mjs'

// Tests import the public names, and by default get what is shipped. `SRC=1 npx vitest` takes the source
// instead: no build between an edit and its test.
const fromSource = Boolean(process.env.SRC)
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

// A test that needs a browser, a proxy, another runtime or program, an npm install or the built types is named here:
// `npm test` leaves it to `npm run test:all`.
const needsMore = [
  'examples/**/*.test.ts',
  'test/client/browsers.test.ts',
  'test/client/consumers-programs.test.ts',
  'test/client/react.test.ts',
  'test/hosts/proxies.test.ts',
  'test/hosts/runtimes.test.ts',
  'test/log/cluster.test.ts',
  'test/log/resume-browser.test.ts',
  'test/package/cli/demo-page.test.ts',
  'test/package/cli/doctor-nginx.test.ts',
  'test/package/cli/installed.test.ts',
  'test/package/docs.test.ts',
  'test/package/package.test.ts',
  'test/package/samples.test.ts',
  'test/relay/shutdown-bun.test.ts',
]

// Each of these has a process of its own: it replaces what is global, a clock or the console, asks for what is said once
// in the life of a process, or runs so long that all of them are to run at once.
const alone = [
  'test/client/{fetch-sse,parse-sse,patience,work}.test.ts',
  'test/log/plays.test.ts',
  'test/hosts/conformance/*.test.ts',
  'test/hosts/web.test.ts',
  'test/package/cli/doctor.test.ts',
  'test/protocols/matrix.test.ts',
  'test/relay/{abort,callbacks,relay,tick}.test.ts',
  'test/wire/wire.test.ts',
]

// All others share processes, and leave nothing behind: to start one, and to import the SDKs, would weigh more than most
// of them. These are apart from the rest, for Hono's server puts a `Response` of its own in the place of the global one.
const hosts = 'test/hosts/*.test.ts'

// The longest first, so that none of them is left alone at the end.
const longest = [
  'test/hosts/conformance/http1.test.ts',
  'test/protocols/matrix.test.ts',
  'test/hosts/conformance/http2.test.ts',
  'test/package/cli/doctor.test.ts',
  'test/log/log.test.ts',
  'test/hosts/conformance/table.test.ts',
  'test/package/cli/demo.test.ts',
  'test/log/shared-store.test.ts',
  'test/log/redis-trouble.test.ts',
  'test/relay/secrets.test.ts',
  'test/log/handover.test.ts',
  'test/hosts/wrappers.test.ts',
  'test/package/cli/tail.test.ts',
  'test/package/cli/main.test.ts',
  'test/relay/leaks.test.ts',
  'test/hosts/uploads.test.ts',
  'test/log/large-event.test.ts',
  'test/relay/shutdown.test.ts',
  'test/hosts/backpressure.test.ts',
  'test/log/redis.test.ts',
  'test/relay/abort.test.ts',
].map(file)

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]) {
    const projects = ['alone', 'hosts', 'together', 'more']
    const rank = ({ moduleId, project }: TestSpecification) =>
      longest.includes(moduleId) ? longest.indexOf(moduleId) : longest.length + projects.indexOf(project.name)
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other))
  }
}

export default defineConfig({
  resolve: {
    alias: subpaths.map(({ name, source, built }) => ({
      find: new RegExp(`^${name}$`),
      replacement: file(fromSource ? source : built),
    })),
  },
  test: {
    pool: 'forks',
    // Four for each core: many tests wait for a clock or a socket most of their time.
    maxWorkers: 4 * availableParallelism(),
    sequence: { sequencer: LongestFirst },
    watch: false,
    // For a machine that is busy: what has to wait waits for an event, and these only end what hangs.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    server: {
      deps: {
        // The built files are loaded by Node itself, as a user's are, not transformed.
        external: [/\/dist\/[^/]+\.js$/],
      },
    },
    projects: [
      project('alone', alone, needsMore),
      project('hosts', [hosts], [...needsMore, ...alone], { isolate: false }),
      project('together', ['test/**/*.test.ts'], [...needsMore, ...alone, hosts], { isolate: false }),
      // After the others, and two for each core: browsers, proxies and builds are at work all the time.
      project('more', needsMore, [], { maxWorkers: 2 * availableParallelism(), sequence: { groupOrder: 1 } }),
    ],
  },
})

function project(name: string, include: string[], exclude: string[], options = {}) {
  return {
    extends: true as const,
    test: { name, include, exclude: ['**/node_modules/**', ...exclude], ...options },
  }
}
