import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { browsers, bundle, type Engine, isSkipped, type Opened, runtimes, titleOf } from './browsers/engines.js'
import { suiteCases } from './browsers/suite.js'
import { type Report, type SuiteServer, startSuiteServer } from './browsers/suite-server.js'

// Browsers take their time to start, and the machine may be busy.
const LIMIT_MS = 80_000
vi.setConfig({ testTimeout: LIMIT_MS + 10_000, hookTimeout: LIMIT_MS })

/** What React Native does not have, and Safari but lately: without them when the client is loaded, and ever after. */
const WITHOUT = `
  delete globalThis.TextDecoderStream
  delete ReadableStream.prototype[Symbol.asyncIterator]
  delete ReadableStream.prototype.values
  Object.defineProperty(globalThis, 'crypto', { value: undefined });
`

/** The same for runtimes, whose own `fetch` iterates what it sends. */
const WITHOUT_IN_RUNTIME = `
  delete globalThis.TextDecoderStream
  Object.defineProperty(globalThis, 'crypto', { value: undefined })
  const { fetch } = globalThis
  globalThis.fetch = async (...request) => {
    const response = await fetch(...request)
    if (response.body) Object.defineProperty(response.body, Symbol.asyncIterator, { value: undefined })
    return response
  };
`

/** Where in an engine, in words and by its name. */
type Places = readonly (readonly [words: string, place: string])[]

const inBrowsers: Places = [
  ['a page', 'page'],
  ['a worker', 'worker'],
  ['a worker without crypto, TextDecoderStream and the async iterator of ReadableStream', 'without'],
]
let server: SuiteServer
let script: string
beforeAll(async () => {
  server = await startSuiteServer()
  script = await bundle('./entry.ts')
})
afterAll(() => server.close())

const reportName = ({ name }: Engine, place: string) => `${name}-${place}`.toLowerCase()

/** The suite as one script, which reports under the name. */
const suiteFor = (engine: Engine, place: string, without = WITHOUT) =>
  `globalThis.SUITE = ${JSON.stringify({ base: server.url, report: reportName(engine, place) })};
  ${place === 'without' ? without : ''}
  ${script}`

/** One page, which runs the suite in itself and in its workers, one after another. */
function pageFor(engine: Engine): string {
  const path = `/${engine.name.toLowerCase()}`
  for (const [, place] of inBrowsers) server.serve(`${path}/${place}.js`, suiteFor(engine, place), 'text/javascript')
  const report = (place: string) => JSON.stringify(`/report/${reportName(engine, place)}`)
  const tell = (place: string, error: string) =>
    `fetch(${report(place)}, { method: 'POST', body: JSON.stringify({ error: ${error} }) })`
  const page = `<!doctype html><meta charset="utf-8"><title>The client's suite</title>
    <script>onerror = (message) => { ${tell('page', 'String(message)')} }</script>
    <script src="${path}/page.js"></script>
    <script>
      const worker = (place) => new Promise((resolve) => {
        const worker = new Worker('${path}/' + place + '.js')
        worker.onmessage = resolve
        worker.onerror = (event) => { resolve(); tellOf[place]('the worker failed: ' + event.message) }
      })
      const tellOf = {
        worker: (error) => ${tell('worker', 'error')},
        without: (error) => ${tell('without', 'error')},
      }
      finished.then(() => worker('worker')).then(() => worker('without'))
    </script>`
  server.serve(path, page, 'text/html')
  return server.url + path
}

/** All at once: most of their time they wait. */
const opened = new Map<Engine, Opened>()
/** A runtime is a program for each place: what is taken away in one is there in the other. */
const inAll = (await runtimes()).flatMap((engine) => [
  { engine, way: ['its only place', 'runtime'] as const },
  { engine: { ...engine }, way: ['it without crypto, TextDecoderStream and that iterator', 'without'] as const },
])
const folder = mkdtempSync(join(tmpdir(), 'sse-relay-'))
beforeAll(async () => {
  const open = async (engine: Engine, addressOf: () => string) => {
    if (engine.missing === undefined) opened.set(engine, await engine.open(addressOf()))
  }
  await Promise.all([
    ...browsers.map((engine) => open(engine, () => pageFor(engine))),
    ...inAll.map(({ engine, way: [, place] }) =>
      open(engine, () => {
        const file = join(folder, `${engine.name}-${place}.mjs`)
        writeFileSync(file, suiteFor(engine, place, WITHOUT_IN_RUNTIME))
        return file
      }),
    ),
  ])
})
afterAll(async () => {
  await Promise.all([...opened.values()].map((each) => each.close()))
  rmSync(folder, { recursive: true, force: true })
})

const places = [
  ...browsers.map((engine) => ({ engine, ways: inBrowsers })),
  ...inAll.map(({ engine, way }) => ({ engine, ways: [way] as Places })),
].map(({ engine, ways }) => [titleOf(engine), engine, ways] as const)

describe.each(places)('in %s', (_, engine, ways) => {
  describe.skipIf(isSkipped(engine)).each(ways)('in %s', (_, place) => {
    it.each(suiteCases)('%s', async (name) => {
      const { results, error } = await reportOf(engine, place)
      if (error !== undefined) throw new Error(`The suite did not run in ${engine.name}, ${place}: ${error}`)
      const result = results?.find((each) => each.name === name)
      expect(result).toBeDefined()
      if (result?.error !== undefined) throw new Error(result.error)
    })
  })
})

const reports = new Map<string, Promise<Report>>()

/** What came of the suite there; why nothing did, when the engine ended or was silent for too long. */
function reportOf(engine: Engine, place: string): Promise<Report> {
  const name = reportName(engine, place)
  const program = opened.get(engine)
  if (!program) return Promise.resolve({ error: engine.missing ?? 'it was not opened' })
  let report = reports.get(name)
  if (!report) {
    const told = server.report(name)
    const late = (ms: number, error: string) => setTimeout<Report>(ms, { error }, { ref: false })
    // A runtime ends by itself once it has reported; the report may still be on its way.
    const ended = program.ended.catch((error: Error) => Promise.race([told, late(1000, error.message)]))
    report = Promise.race([told, ended, late(LIMIT_MS, `nothing was reported in ${LIMIT_MS} ms`)])
    reports.set(name, report)
  }
  return report
}
