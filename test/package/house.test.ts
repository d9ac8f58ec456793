import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

/**
 * The floors of the house, lowest first. A unit is a file of `src`, or a folder whose files may know each other.
 * Units of one floor do not know each other.
 */
const floors = [
  ['types.ts', 'errors.ts', 'tool-call-boundaries.ts'],
  [
    'encode.ts',
    'failure.ts',
    'signal.ts',
    'event-id.ts',
    'promises.ts',
    'tick.ts',
    'deadlines.ts',
    'check.ts',
    'async-context.ts',
    'surrogates.ts',
  ],
  ['headers.ts', 'awaited-promise.ts', 'source-context.ts'],
  // Below the sources: an upstream's event stream is read with it.
  ['client/', 'options.ts', 'sink.ts'],
  ['report.ts'],
  ['sources/', 'protocols/'],
  ['upstream.ts', 'answer.ts', 'whole-answer.ts'],
  ['run.ts'],
  ['log/'],
  ['relay.ts', 'adapters/http1-chunk.ts', 'adapters/unread-body.ts'],
  ['adapters/web-sink.ts', 'adapters/node-sink.ts'],
  ['index.ts', 'adapters/web.ts', 'adapters/node.ts', 'adapters/readable-sink.ts'],
  ['adapters/express.ts', 'adapters/hono.ts', 'adapters/fastify.ts', 'adapters/koa.ts', 'testing/'],
  // On top of the roof: the demo is made of an adapter and the replay upstream.
  ['cli/'],
]

/** What may be loaded in any runtime: nothing of Node's, in no file they reach, not even as a type. */
const neutral = [
  'index.ts',
  'client/index.ts',
  'protocols/index.ts',
  'log/index.ts',
  'log/redis.ts',
  'adapters/web.ts',
  'adapters/hono.ts',
]

/** What the client's bundle must never hold. */
const server = [
  'encode.ts',
  'failure.ts',
  'headers.ts',
  'options.ts',
  'sink.ts',
  'source-context.ts',
  'report.ts',
  'deadlines.ts',
  'signal.ts',
  'upstream.ts',
  'answer.ts',
  'run.ts',
  'relay.ts',
  'sources/',
  'protocols/',
  'log/',
  'adapters/',
  'testing/',
  'cli/',
]

/** Each file with what it imports: files of `src` by path, everything else by name. */
type Graph = Map<string, string[]>

const isFile = (name: string) => name.endsWith('.ts') || name.endsWith('.tsx')
const isIn = (file: string, unit: string) => (unit.endsWith('/') ? file.startsWith(unit) : file === unit)
const unitOf = (file: string) => floors.flat().find((unit) => isIn(file, unit))
const floorOf = (file: string) => floors.findIndex((units) => units.some((unit) => isIn(file, unit)))

function read(folder: string): Graph {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter(isFile)
  return new Map(files.map((file) => [file, importsOf(file, readFileSync(join(folder, file), 'utf8'))]))
}

/** Type imports count too: who knows a type knows the file. A comment may show one, and imports nothing. */
function importsOf(file: string, text: string): string[] {
  const code = text.replace(/^ *(\/\/|\/?\*).*$/gm, '')
  return [...code.matchAll(/\b(?:from |import |import\()'([^']+)'/g)].map(([, name = '']) =>
    name.startsWith('.') ? posix.join(dirname(file), name).replace(/\.js$/, '.ts') : name,
  )
}

/** Every import that does not go down to a lower floor, or stay within its own unit. */
function climbs(graph: Graph): string[] {
  return edges(graph)
    .filter(([from, to]) => unitOf(from) !== unitOf(to) && floorOf(to) >= floorOf(from))
    .map(([from, to]) => `${from} imports ${to}`)
}

function edges(graph: Graph): [string, string][] {
  return [...graph].flatMap(([from, targets]) => targets.filter(isFile).map((to): [string, string] => [from, to]))
}

/** All that is loaded with `file`, itself included. */
function closure(graph: Graph, file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const target of graph.get(file) ?? []) closure(graph, target, seen)
  return seen
}

function cycles(graph: Graph): string[] {
  return edges(graph)
    .filter(([from, to]) => closure(graph, to).has(from))
    .map(([from, to]) => `${from} imports ${to}, which leads back`)
}

const graph = read(fileURLToPath(new URL('../../src', import.meta.url)))

describe('the house', () => {
  it('was looked at', () => {
    const files = [...graph.keys()]
    const units = floors.flat().filter((unit) => files.some((file) => isIn(file, unit)))
    expect(units).toEqual(floors.flat())
    expect(edges(graph).length).toBeGreaterThan(files.length)
    expect([...closure(graph, 'adapters/express.ts')]).toEqual(expect.arrayContaining(['relay.ts', 'run.ts']))
  })

  it('has a floor for every file', () => {
    expect([...graph.keys()].filter((file) => floorOf(file) < 0)).toEqual([])
  })

  it('has every file that is imported', () => {
    expect(edges(graph).filter(([, to]) => !graph.has(to))).toEqual([])
  })

  it('imports downwards only, and siblings do not know each other', () => {
    expect(climbs(graph)).toEqual([])
  })

  it('has no import cycle', () => {
    expect(cycles(graph)).toEqual([])
  })

  it.each(neutral)('loads nothing of Node with %s', (entry) => {
    expect(graph.has(entry)).toBe(true)
    expect([...closure(graph, entry)].filter((name) => !isFile(name))).toEqual([])
  })

  it('loads nothing of Node with client/react.ts', () => {
    expect([...closure(graph, 'client/react.ts')].filter((name) => !isFile(name))).toEqual(['react'])
  })

  it('keeps the server out of the client', () => {
    expect([...closure(graph, 'client/react.ts')]).toContain('client/index.ts')
    expect([...closure(graph, 'client/react.ts')].filter((file) => server.some((unit) => isIn(file, unit)))).toEqual([])
  })

  it('imports no package below the cli but React in client/react.ts: hosts and SDKs are known by their shape', () => {
    const packages = [...graph]
      .filter(([file]) => !file.startsWith('cli/'))
      .flatMap(([file, targets]) =>
        targets.filter((to) => !isFile(to) && !to.startsWith('node:')).map((to) => [file, to]),
      )
    expect(packages).toEqual([['client/react.ts', 'react']])
  })
})

describe('the floors test', () => {
  const of = (files: Record<string, string>): Graph =>
    new Map(Object.entries(files).map(([file, text]) => [file, importsOf(file, text)]))

  it('sees every form of import', () => {
    const text = `import './a.js'\nimport { b } from './b.js'\nimport type { C } from './c.js'\nexport * from './d.js'
      export type { E } from '../e.js'\nconst f = await import('./f.js')\nlet g: import('./g.js').G\nimport h from 'node:http'`
    expect(importsOf('sources/x.ts', text)).toEqual([
      ...['a', 'b', 'c', 'd'].map((name) => `sources/${name}.ts`),
      'e.ts',
      'sources/f.ts',
      'sources/g.ts',
      'node:http',
    ])
  })

  it('sees an import upwards, between siblings, and lets a folder know itself', () => {
    const graph = of({
      'errors.ts': `import './encode.js'`,
      'encode.ts': `import './signal.js'`,
      'signal.ts': `import './errors.js'`,
      'sources/read-chunk.ts': `import './openai.js'`,
      'sources/openai.ts': `import '../protocols/text.js'`,
      'protocols/text.ts': `import '../encode.js'`,
    })
    expect(climbs(graph)).toEqual([
      'errors.ts imports encode.ts',
      'encode.ts imports signal.ts',
      'sources/openai.ts imports protocols/text.ts',
    ])
  })

  it('sees a cycle, and a built-in behind a file', () => {
    const graph = of({
      'sources/a.ts': `import './b.js'`,
      'sources/b.ts': `import './c.js'`,
      'sources/c.ts': `import type { A } from './a.js'\nimport 'node:http'`,
      'sources/d.ts': `import './a.js'`,
    })
    expect(cycles(graph)).toHaveLength(3)
    expect([...closure(graph, 'sources/d.ts')]).toContain('node:http')
  })
})
