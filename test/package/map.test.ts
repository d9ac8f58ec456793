import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const root = new URL('../../', import.meta.url)
const files = readdirSync(new URL('src', root), { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => /\.tsx?$/.test(path) && !/^(testing|cli)\//.test(path))
const sources = new Map(files.map((file) => [file, readFileSync(new URL(`src/${file}`, root), 'utf8')]))

const page = readFileSync(new URL('CONTRIBUTING.md', root), 'utf8')
const map = page.slice(page.indexOf('\n## The map\n'), page.indexOf('\n## A source\n'))
const names = (text: string) => [...new Set([...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string))]

const hasMember = (text: string, name: string) =>
  new RegExp(`^ +(async |override |protected |readonly |get )*\\*?${name}(<[^>]*>)?[(:?=]`, 'm').test(text)
const declares = (text: string, name: string) =>
  new RegExp(`\\b(function|class|interface|type|const) ${name}\\b`).test(text)

/** Whether the source has what a word of the map names: a file, a folder, a declaration, or a member of one. */
function exists(name: string): boolean {
  if (name === 'false') return true
  if (name.endsWith('.ts') || name.endsWith('/')) return files.some((file) => file.startsWith(name))
  const [owner, member] = name.split('.') as [string, string?]
  return [...sources.values()].some((text) => declares(text, owner) && (!member || hasMember(text, member)))
}

/** The states of each class that has them in one field. */
const machines = [...sources.values()].flatMap((text) =>
  [...text.matchAll(/(?:class|function) (\w+)[^{]*\{(?:(?!\n\}\n)[\s\S])*?\n {2}(?:#|let )state: ('[^=;\n]+')/g)].map(
    ([, name, states]) => [name as string, (states as string).match(/\w+/g) as string[]] as const,
  ),
)

describe('the map of CONTRIBUTING.md', () => {
  it('names only what is in the source', () => {
    expect(names(map).length).toBeGreaterThan(50)
    expect(names(map).filter((name) => !exists(name))).toEqual([])
  })

  it.each(['Relay.begins', 'Rely.start', 'relays.ts', 'Run.#take', 'nowhere/'])(
    'would tell that there is no %s',
    (name) => {
      expect(exists(name)).toBe(false)
    },
  )

  it('has a line for each machine, with all of its states in order', () => {
    expect(machines.map(([name]) => name).sort()).toEqual(
      ['Deadlines', 'Reader', 'Recorder', 'Relay', 'RemoteRun', 'Run', 'WriteQueue', 'readEvents'].sort(),
    )
    for (const [name, states] of machines) {
      const line = map.split('\n').find((line) => line.startsWith(`- \`${name}\`: `)) ?? ''
      const told = line.replace(/\([^)]*\)/g, '').match(/\w+/g) ?? []
      expect(
        told.filter((word) => states.includes(word)),
        name,
      ).toEqual(states)
    }
  })

  it.each([...sources].filter(([file]) => !/^(client|sources|protocols)\//.test(file)))(
    'is joined by the sentence that opens %s',
    (_file, text) => {
      expect(text).toMatch(/^\/\*\*[\s\S]*?\*\/\n/)
    },
  )
})
