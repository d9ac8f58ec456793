import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { browsers, bundle, type Engine, isSkipped, type Opened, runtimes, titleOf } from './browsers/engines.js'
import { suiteCases } from './browsers/suite.js'
import { type Report, type SuiteServer, startSuiteServer } from './browsers/suite-server.js'

// Browsers take their time to start, and the machine may be busy.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

/** What React Native does not have, and Safari but lately: without them when the client is loaded, and ever after. */
const WITHOUT = `
  delete globalThis.TextDecoderStream
  delete ReadableStream.prototype[Symbol.asyncIterator]
  delete ReadableStream.prototype.values
`

const inBrowsers = [
  ['a page', 'page'],
  ['a worker', 'worker'],
  ['a worker without TextDecoderStream and the async iterator of ReadableStream', 'without'],
] as const
const inRuntimes = [
  ['itself', 'runtime'],
  ['itself without TextDecoderStream and the async iterator of ReadableStream', 'without'],
] as const

let server: SuiteServer
let script: string
beforeAll(async () => {
  server = await startSuiteServer()
  script = await bundle('./entry.ts')
})
afterAll(() => server.close())

const reportName = ({ name }: Engine, place: string) => `${name}-${place}`.toLowerCase()

/** The suite as one script, which reports under the name. */
const suiteFor = (engine: Engine, place: string) =>
  `globalThis.SUITE = ${JSON.stringify({ base: server.url, report: reportName(engine, place) })};
  ${place === 'without' ? WITHOUT : ''}
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

function verify(engine: Engine, place: string, report: () => Promise<Report>): void {
  it.each(suiteCases)('%s', async (name) => {
    const { results, error } = await report()
    if (error !== undefined) throw new Error(`The suite did not run in ${engine.name}, ${place}: ${error}`)
    const result = results?.find((each) => each.name === name)
    expect(result).toBeDefined()
    if (result?.error !== undefined) throw new Error(result.error)
  })
}

describe.each(browsers.map((engine) => [titleOf(engine), engine] as const))('in %s', (_, engine) => {
  let opened: Opened | undefined
  beforeAll(async () => {
    if (!isSkipped(engine)) opened = await engine.open(pageFor(engine))
  })
  afterAll(() => opened?.close())

  describe.skipIf(isSkipped(engine)).each(inBrowsers)('in %s', (_, place) => {
    verify(engine, place, () =>
      Promise.race([
        server.report(reportName(engine, place)),
        opened?.ended ?? Promise.reject(new Error('not opened')),
      ]),
    )
  })
})

describe.each(runtimes().map((engine) => [titleOf(engine), engine] as const))('in %s', (_, engine) => {
  describe.skipIf(isSkipped(engine)).each(inRuntimes)('in %s', (_, place) => {
    let opened: Opened | undefined
    let folder: string
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'sse-relay-'))
      const file = join(folder, 'suite.mjs')
      writeFileSync(file, suiteFor(engine, place))
      opened = await engine.open(file)
    })
    afterAll(async () => {
      await opened?.close()
      rmSync(folder, { recursive: true, force: true })
    })
    verify(engine, place, () => {
      const report = server.report(reportName(engine, place))
      // It ends by itself once it has reported.
      return Promise.race([report, opened?.ended.catch((error) => Promise.race([report, late(error)])) ?? report])
    })
  })
})

/** Rejects once whatever is on its way has come. */
const late = (error: unknown) => new Promise<never>((_, reject) => setTimeout(reject, 1000, error))
