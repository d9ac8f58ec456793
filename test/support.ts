/** What the support table in docs/hosts.md is made from: `node scripts/support.mjs` collects what the tests report here. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, type RunnerTask } from 'vitest'

export interface Report {
  /** `express 5`, `hono on Bun`. */
  host: string
  /** Of the host; empty if it is Node's own or no package. */
  version: string
  /** The folder in `examples`, if it is its check that passed. */
  example?: string
  /** How many tests passed. */
  tests: number
}

/** Within a `describe`: reports the host, if every test of the block passes. */
export function supports(host: string, version = versionOf(host), example?: string): void {
  // biome-ignore lint/correctness/noEmptyPattern: vitest insists on a pattern
  afterAll(({}, { tasks }) => {
    const path = process.env.SUPPORT_REPORT
    const tests = tasks.flatMap(testsIn)
    if (!path || tests.length === 0 || tests.some(({ result }) => result?.state !== 'pass')) return
    const report: Report = { host, version, example, tests: tests.length }
    appendFileSync(path, `${JSON.stringify(report)}\n`)
  })
}

function testsIn(task: RunnerTask): RunnerTask[] {
  return 'tasks' in task ? task.tasks.flatMap(testsIn) : [task]
}

/** Of the package installed here under that name: `express 4` is `express4`, or else `express`. */
function versionOf(host: string): string {
  const names = [host.replaceAll(' ', ''), host.split(' ')[0] ?? '']
  const path = names
    .map((name) => fileURLToPath(new URL(`../node_modules/${name}/package.json`, import.meta.url)))
    .find((path) => existsSync(path))
  return path ? JSON.parse(readFileSync(path, 'utf8')).version : ''
}
