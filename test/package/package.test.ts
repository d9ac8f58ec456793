// Whether the package, packed as it would be published, holds and exports what it should, with types for everyone.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { subpaths } from '../../scripts/subpaths.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** What must be there; each subpath may hold more. */
const names: Record<string, string[]> = {
  'sse-relay': [
    'encodeEvent',
    'encodeComment',
    'DONE',
    'toParts',
    'RelayError',
    'isRelayError',
    'relayTo',
    'resumeTo',
    'relay',
    'resume',
  ],
  'sse-relay/client': [
    'createParser',
    'parseSSE',
    'readText',
    'readParts',
    'fetchSSE',
    'SSEParserStream',
    'RelayError',
    'isRelayError',
  ],
  'sse-relay/react': ['useRelay'],
  'sse-relay/log': ['createMemoryLog', 'createLog', 'record'],
  'sse-relay/redis': ['createRedisLog'],
  'sse-relay/protocols': ['text', 'parts', 'raw'],
  'sse-relay/web': ['relay', 'resume'],
  'sse-relay/node': ['relay', 'resume'],
  'sse-relay/express': ['relay', 'resume'],
  'sse-relay/fastify': ['relay', 'resume'],
  'sse-relay/koa': ['relay', 'resume'],
  'sse-relay/hono': ['relay', 'resume'],
  'sse-relay/testing': ['collect', 'replayUpstream', 'adapterBehaviours', 'logBehaviours'],
}

/** A project that has the packed package installed, and React, which `./react` is nothing without. */
let project: string
let installed: string
let packed: string[]

beforeAll(() => {
  if (!existsSync(join(root, 'dist/index.js'))) throw new Error('There is no dist: run `npm run build` first')
  project = mkdtempSync(join(tmpdir(), 'sse-relay-package-'))
  installed = join(project, 'node_modules/sse-relay')
  mkdirSync(installed, { recursive: true })
  writeFileSync(join(project, 'package.json'), '{ "private": true }')
  // The build is not a part of packing: other tests are using dist at this moment.
  const report = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    shell: process.platform === 'win32',
  })
  const [{ filename, files }] = JSON.parse(report)
  packed = files.map((file: { path: string }) => file.path)
  execFileSync('tar', ['-xzf', filename, '-C', relative(project, installed), '--strip-components=1'], { cwd: project })
  symlinkSync(join(root, 'node_modules/react'), join(project, 'node_modules/react'), 'junction')
})

afterAll(() => project && rmSync(project, { recursive: true, force: true }))

/** Runs in the project, on a Node of its own, and gives what the script printed. */
function node(inputType: 'module' | 'commonjs', script: string): unknown {
  const output = execFileSync(process.execPath, [`--input-type=${inputType}`, '--eval', script], {
    cwd: project,
    encoding: 'utf8',
    // Not the test runner's loaders and flags.
    env: { PATH: process.env.PATH },
  })
  return JSON.parse(output)
}

describe('the tarball', () => {
  it('holds dist, the licence, the README and the changelog, and neither guides nor source nor tests', () => {
    const outside = packed.filter((path) => !path.startsWith('dist/'))
    expect(outside.sort()).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'])
    expect(packed.filter((path) => /\.test\.|(^|\/)(src|test)\//.test(path))).toEqual([])
  })

  it('holds every file that package.json names, and the command', () => {
    const targets = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : Object.values(entry as Record<string, string>),
    )
    expect(targets.length).toBe(2 * Object.keys(names).length + 1)
    expect(targets.filter((target) => !packed.includes(posix.normalize(target)))).toEqual([])
    expect(packed).toContain('dist/cli.js')
  })

  it('holds what the demo and the replay upstream read at run time', () => {
    expect(packed.filter((path) => path.startsWith('dist/traces/')).length).toBeGreaterThan(0)
    expect(packed.filter((path) => path.startsWith('dist/page/')).length).toBeGreaterThan(0)
  })

  it('has no runtime dependencies, and demands no peer', () => {
    expect(manifest.dependencies).toBeUndefined()
    const optional = Object.keys(manifest.peerDependencies).filter(
      (peer) => manifest.peerDependenciesMeta[peer]?.optional,
    )
    expect(optional).toEqual(Object.keys(manifest.peerDependencies))
  })
})

describe('every subpath', () => {
  it('is known to this test', () => {
    expect(subpaths.map(({ name }) => name)).toEqual(Object.keys(names))
  })

  it('is exported by package.json, with its types', () => {
    const due = subpaths.map(({ name, entry, built }) => [
      name.replace('sse-relay', '.'),
      { types: `./dist/${entry}.d.ts`, default: `./${built}` },
    ])
    expect(Object.entries(manifest.exports)).toEqual([...due, ['./package.json', './package.json']])
  })

  it('leads an editor to its source, by the paths of tsconfig.json', () => {
    const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
    expect(config.compilerOptions.paths).toEqual(
      Object.fromEntries(subpaths.map(({ name, source }) => [name, [`./${source}`]])),
    )
  })

  it('can be imported where no host and no SDK is installed', () => {
    const found = node(
      'module',
      `const found = {}
      for (const name of ${JSON.stringify(Object.keys(names))}) found[name] = Object.keys(await import(name))
      console.log(JSON.stringify(found))`,
    )
    expect(found).toEqual(
      Object.fromEntries(Object.entries(names).map(([name, list]) => [name, expect.arrayContaining(list)])),
    )
  })

  it('can be required', () => {
    const types = node(
      'commonjs',
      `console.log(JSON.stringify(${JSON.stringify(Object.keys(names))}.map((name) => typeof require(name))))`,
    )
    expect(types).toEqual(Object.keys(names).map(() => 'object'))
  })

  it('shares one RelayError with the others', () => {
    const same = node(
      'module',
      `const root = await import('sse-relay'), client = await import('sse-relay/client')
      console.log(JSON.stringify(root.RelayError === client.RelayError))`,
    )
    expect(same).toBe(true)
  })

  it('gives its package.json', () => {
    expect(node('commonjs', `console.log(JSON.stringify(require('sse-relay/package.json').name))`)).toBe('sse-relay')
  })
})

describe('the types', () => {
  const browser: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    // The package's own declarations are what is checked here.
    skipLibCheck: false,
    noEmit: true,
  }

  it.each(['index', 'client', 'react', 'log', 'redis'])('of dist/%s.d.ts reach nothing of Node', (entry) => {
    const files = declarations(join(installed, `dist/${entry}.d.ts`))
    expect(files.size).toBeGreaterThan(0)
    const found = [...files].flatMap(([file, text]) =>
      (text.match(/['"]node:[^'"]*['"]|\bNodeJS\.\w+|\bBuffer\b|<reference\s+types=.*/g) ?? []).map((hit) => [
        file,
        hit,
      ]),
    )
    expect(found).toEqual([])
  })

  it.each([
    ['nodenext', []],
    ['preserve', []],
    ['node16', [1479]],
    ['commonjs', [2307]],
  ])('in a CommonJS project with module %s are %j, as docs/troubleshooting.md says', (module, codes) => {
    const file = join(project, 'common.ts')
    writeFileSync(file, `import { relay } from 'sse-relay/express'\nexport const mine = relay\n`)
    const { options } = ts.convertCompilerOptionsFromJson(
      { module, target: 'es2022', types: [], noEmit: true },
      project,
    )
    const program = ts.createProgram([file], { ...options, skipLibCheck: true })
    expect(ts.getPreEmitDiagnostics(program).map(({ code }) => code)).toEqual(codes)
  })

  it('say of every export what it is', () => {
    const files = Object.values<{ types?: string }>(manifest.exports).flatMap(({ types }) => types ?? [])
    const program = ts.createProgram(
      files.map((file) => join(installed, file)),
      { ...browser, skipLibCheck: true },
    )
    const checker = program.getTypeChecker()
    const silent = files.flatMap((file) => undocumented(file, checker, program.getSourceFile(join(installed, file))))
    expect(files.length).toBe(Object.keys(names).length)
    expect(silent).toEqual([])
  })

  it('serve a project of a server that has no types of the DOM', () => {
    const files = Object.values<{ types?: string }>(manifest.exports)
      .flatMap(({ types }) => types ?? [])
      .filter((path) => !path.includes('react'))
      .map((path) => join(installed, path))
    const program = ts.createProgram(files, {
      ...browser,
      lib: ['lib.es2023.d.ts'],
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
    })
    const wrong = ts.getPreEmitDiagnostics(program).filter(({ file }) => file?.fileName.startsWith(installed))
    expect(wrong.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))).toEqual([])
  })

  it('serve a browser project that has no Node types', () => {
    const consumer = join(project, 'consumer.ts')
    writeFileSync(
      consumer,
      `import { DONE, encodeComment, encodeEvent, isRelayError, RelayError, relayTo, toParts } from 'sse-relay'
      import type { Part, ServerSentEvent, Summary } from 'sse-relay'
      import { createParser, fetchSSE, parseSSE, readParts, readText } from 'sse-relay/client'
      import { createMemoryLog, type Log, record } from 'sse-relay/log'
      import { parts, raw, text } from 'sse-relay/protocols'
      import { useRelay } from 'sse-relay/react'
      import { createRedisLog, type NodeRedisClient } from 'sse-relay/redis'
      import { relay, resume } from 'sse-relay/web'

      const event: ServerSentEvent = { data: DONE }
      export const frame: string = encodeEvent(event) + encodeComment()
      export const error: RelayError = new RelayError('internal', 'no')
      export const server = [relayTo, toParts, text(), parts(), raw()]
      export type Seen = [Part, Summary]

      export async function read(response: Response): Promise<string> {
        const parser = createParser({ onEvent: ({ data }) => console.log(data.length) })
        parser.feed(frame)
        let all = ''
        try {
          for await (const { data, event } of parseSSE(response.clone())) all += data + (event ?? '')
          for await (const piece of readText(response)) all += piece
          for await (const part of readParts(fetchSSE('/api/chat'))) all += part.type === 'text' ? part.text : ''
        } catch (error) {
          if (isRelayError(error)) all += error.code
        }
        return all
      }

      export const useAnswer = (): string => useRelay('/api/chat', { onDone: ({ text }) => console.log(text) }).text
      const log: Log = createMemoryLog({ ttlMs: 1000 })
      export const POST = (request: Request): Promise<Response> => relay(request, ['a', 'b'], { log, owner: 'ann' })
      export const GET = (request: Request): Promise<Response> => resume(request, { log, owner: 'ann' })
      export const work = (client: NodeRedisClient): Promise<Summary> =>
        record(['a'], { log: createRedisLog(client), owner: null })
      // @ts-expect-error: this project is without Node's types.
      export const no: Buffer = undefined
      `,
    )
    const program = ts.createProgram([consumer], browser)
    const problems = ts.getPreEmitDiagnostics(program)
    expect(
      ts.formatDiagnostics(problems, {
        getCanonicalFileName: (name) => name,
        getCurrentDirectory: () => project,
        getNewLine: () => '\n',
      }),
    ).toBe('')
    expect(program.getSourceFiles().some(({ fileName }) => fileName.endsWith('sse-relay/dist/client.d.ts'))).toBe(true)
  })
})

/** The exports of a declaration file that an editor has nothing to say about. */
function undocumented(file: string, checker: ts.TypeChecker, source: ts.SourceFile | undefined): string[] {
  const module = source && checker.getSymbolAtLocation(source)
  const exports = module ? checker.getExportsOfModule(module) : []
  if (exports.length === 0) throw new Error(`${file} exports nothing`)
  return exports
    .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol))
    .filter((symbol) => symbol.getDocumentationComment(checker).length === 0)
    .map((symbol) => `${file}: ${symbol.name}`)
}

/** A declaration file and all it reaches by relative imports, with their texts. */
function declarations(file: string, seen = new Map<string, string>()): Map<string, string> {
  if (seen.has(file)) return seen
  const text = readFileSync(file, 'utf8')
  seen.set(file, text)
  for (const { fileName } of ts.preProcessFile(text, true, true).importedFiles) {
    if (fileName.startsWith('.')) declarations(join(dirname(file), fileName.replace(/\.js$/, '.d.ts')), seen)
  }
  return seen
}
