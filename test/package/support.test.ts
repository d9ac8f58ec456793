import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { hosts } from '../hosts/hosts.js'
import type { Report } from '../support.js'

const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const read = (path: string) => readFileSync(file(path), 'utf8')
const support: { hosts: Report[] } = JSON.parse(read('scripts/support.json'))

/** The examples whose checks report a host. */
function checkedExamples(): string[] {
  const folders = readdirSync(file('examples'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return folders
    .map(({ name }) => name)
    .filter((name) =>
      readdirSync(file(`examples/${name}`))
        .filter((path) => /\.(test|check)\.ts$/.test(path))
        .some((path) => /\bcheck(Host|Example)\(/.test(read(join('examples', name, path)))),
    )
}

// When one of these fails, `npm run build && node scripts/support.mjs` makes the table anew.
describe('the support table in docs/hosts.md', () => {
  it('is the one that the latest runs made', async () => {
    const { withTable } = await import(file('scripts/support.mjs'))
    expect(read('docs/hosts.md')).toBe(withTable(read('docs/hosts.md'), support))
  })

  it('has a row for every host that is tested', () => {
    const rows = support.hosts.filter(({ tests }) => tests > 0).map(({ host }) => host)
    const runtimes = ['Bun', 'Deno', 'workerd'].flatMap((name) => [name, `hono on ${name}`])
    expect(rows).toEqual(expect.arrayContaining([...hosts.map(({ name }) => name), ...runtimes]))
  })

  it('has every example that is checked', () => {
    const examples = support.hosts.flatMap(({ example }) => example ?? [])
    expect(examples.sort()).toEqual(checkedExamples().sort())
  })
})
