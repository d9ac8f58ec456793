// Does the table pass the adapter that is right, and find each that is not? Is it the one that the guide has?

import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'esbuild'
import { adapterBehaviours } from 'sse-relay/testing'
import { describe, expect, it } from 'vitest'
import { broken, hostWith } from './broken.js'
import { conforms } from './conforms.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

describe('on a host by hand', () => conforms(hostWith({})))

describe('an adapter that', () => {
  const cases = broken.flatMap(({ what, wrong, fails }) => fails.map((name) => ({ what, wrong, name })))

  it.each(cases)('$what fails: $name', async ({ wrong, name }) => {
    const { run, rule } = adapterBehaviours.find((each) => each.name === name) ?? expect.fail(`There is no "${name}"`)
    const failure: Error = await run(hostWith(wrong), { limitMs: 700 }).then(
      () => expect.fail('it passes'),
      (error) => error,
    )
    expect(failure.name).toBe('AssertionError')
    expect(failure.message).toMatch(/\n {2}expected: [\s\S]+\n {2}received: [\s\S]+\n {2}the rule: /)
    expect(failure.message).toContain(rule)
  })
})

describe('docs/adapter.md', () => {
  const page = readFileSync(new URL('../../../docs/adapter.md', import.meta.url), 'utf8')

  it('has every rule that a failure names', () => {
    for (const { rule } of adapterBehaviours) {
      const [, number, sentence = ''] = /^(\d+)\. (.*)$/.exec(rule) ?? []
      const line = page.split('\n').find((line) => line.startsWith(`${number}. `))
      expect(line).toContain(sentence)
    }
  })

  // What runs here is the package as it is built.
  it.skipIf(process.env.SRC)(
    'has an adapter and a test that are green as they stand',
    { timeout: 120_000 },
    async () => {
      const blocks = page.split(/^```ts$/m).slice(1)
      const [adapter = '', test = ''] = blocks.map((block) => block.split(/^```$/m)[0])
      const project = mkdtempSync(join(tmpdir(), 'sse-relay-adapter-'))
      try {
        mkdirSync(join(project, 'node_modules'))
        symlinkSync(root, join(project, 'node_modules/sse-relay'), 'junction')
        write(join(project, 'adapter.mjs'), adapter)
        write(join(project, 'adapter.test.mjs'), test.replace("'sse-relay/node'", "'./adapter.mjs'"))
        const { code, report } = await run(project, ['--test', '--test-reporter=tap', 'adapter.test.mjs'])
        expect(report).not.toMatch(/^ *not ok/m)
        expect(report).toContain(`# pass ${adapterBehaviours.length}`)
        expect(code).toBe(0)
      } finally {
        rmSync(project, { recursive: true, force: true })
      }
    },
  )
})

/** What a user's own compiler makes of it. */
function write(path: string, text: string): void {
  writeFileSync(path, transformSync(text, { loader: 'ts' }).code)
}

function run(cwd: string, args: string[]): Promise<{ code: unknown; report: string }> {
  return new Promise((resolve) => {
    // Without the variables that tell a child that it is part of a run of tests.
    const options = { cwd, timeout: 100_000, env: { PATH: process.env.PATH } }
    execFile(process.execPath, args, options, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, report: stdout + stderr }),
    )
  })
}

describe('the table', () => {
  it('has a name of its own for every behaviour', () => {
    expect(new Set(adapterBehaviours.map(({ name }) => name)).size).toBe(adapterBehaviours.length)
  })

  it('has behaviours for all rules but that of what is put around a host: wrappers.test.ts', () => {
    const numbers = new Set(adapterBehaviours.map(({ rule }) => Number.parseInt(rule, 10)))
    expect([...numbers].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16])
  })
})
