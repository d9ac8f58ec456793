import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { collect } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import ts from 'typescript'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { readmeSamples } from '../../scripts/readme-samples.mjs'
import { failureOf } from '../../src/failure.js'
import { type Block, blocksOf, filesIn, pages, read, root } from './samples/blocks.js'

// The types of two SDKs and two hosts take their time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const sources = filesIn('src', '.ts')

/** The `@example` blocks of a file's JSDoc, with or without a fence. */
function examplesOf(text: string): Block[] {
  const examples: Block[] = []
  let example: Block | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const [, content] = /^ *\*(?!\/) ?(.*)$/.exec(line) ?? []
    if (content === undefined || /^@\w/.test(content)) example = undefined
    if (content?.startsWith('@example')) {
      example = { line: index + 2, language: 'ts', words: [], text: '' }
      examples.push(example)
    } else if (example) {
      const [fence, language] = /^```(\w*)$/.exec(content as string) ?? []
      if (language) example.language = language
      example.text += `${fence ? '' : content}\n`
    }
  }
  return examples
}

/** Everything that is compiled: the file it is from, and its text at the lines where it stands there. */
interface Sample {
  from: string
  line: number
  path: string
  text: string
}

const COMPILED = new Set(['ts', 'tsx', 'js'])

/** A sample for a package that is not installed here: `npm run packages` compiles it and runs it. */
const isElsewhere = (words: readonly string[]) => words[0] === 'package'

/** Which file of `src` exports which names. */
const exported = new Map(
  sources.map((from) => {
    const found = [...read(from).matchAll(/^export (?:async )?(?:function|const|class) (\w+)/gm)]
    return [from, found.map(([, name]) => name as string)]
  }),
)

/** JSDoc does not import what it is about: what its own file exports, or else another one. */
function importsOf(from: string, sample: string): string {
  const lines = new Map<string, string>()
  for (const [file, names] of [...exported, [from, exported.get(from) as string[]] as const]) {
    for (const name of names) {
      if (!new RegExp(`\\b${name}\\(`).test(sample)) continue
      lines.set(name, `import { ${name} } from '${join(root, file.replace(/\.tsx?$/, '.js'))}'`)
    }
  }
  if (from === 'src/adapters/hono.ts')
    lines.set('app', `import { hono as app } from '${join(root, 'test/package/docs-prelude.js')}'`)
  return [...lines.values(), ''].join('\n')
}

const samples: Sample[] = [
  ...pages.flatMap((from) => blocksOf(read(from)).map((block) => ({ from, ...block, more: '' }))),
  ...sources.flatMap((from) =>
    examplesOf(read(from)).map((block) => ({ from, ...block, more: importsOf(from, block.text) })),
  ),
]
  .filter(({ language, words }) => COMPILED.has(language) && !isElsewhere(words))
  .map(({ from, line, language, text, more }) => ({
    from,
    line,
    path: join(root, `${from}.${line}.${language}`),
    // A module of its own, whatever it imports.
    text: `${'\n'.repeat(line - 1)}${text}${more}export {}\n`,
  }))

/** The names of the prelude as globals: a file that no other check ever sees. */
function globals(): Sample {
  const names = [...read('test/package/docs-prelude.ts').matchAll(/^export declare (?:const|function) (\w+)/gm)]
  const lines = names.map(([, name]) => `const ${name}: typeof prelude.${name}`).join('\n')
  // As Node's own types have it, where there are none of the DOM.
  const body = 'interface Body { json(): Promise<unknown> }'
  const text = `import type * as prelude from './test/package/docs-prelude.js'\ndeclare global {\n${lines}\n${body}\n}\n`
  return { from: 'the prelude', line: 1, path: join(root, 'docs-globals.ts'), text }
}

/** What the compiler says of the samples, by the file they stand in. */
function compile(samples: readonly Sample[]): Map<string, string[]> {
  const virtual = new Map([globals(), ...samples].map((sample) => [resolve(sample.path), sample]))
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const host = ts.createCompilerHost({ ...options, allowJs: true, checkJs: true })
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (path) => virtual.has(resolve(path)) || fileExists(path)
  host.readFile = (path) => virtual.get(resolve(path))?.text ?? readFile(path)
  host.getSourceFile = (path, target, ...rest) => {
    const sample = virtual.get(resolve(path))
    return sample ? ts.createSourceFile(path, sample.text, target) : getSourceFile(path, target, ...rest)
  }
  const program = ts.createProgram({
    rootNames: [...virtual.keys()],
    options: { ...options, allowJs: true, checkJs: true, jsx: ts.JsxEmit.ReactJSX },
    host,
  })
  const problems = new Map<string, string[]>()
  for (const path of virtual.keys()) {
    const file = program.getSourceFile(path) as ts.SourceFile
    for (const { start, messageText } of [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ]) {
      const { from } = virtual.get(path) as Sample
      const said = ts.flattenDiagnosticMessageText(messageText, '\n  ')
      // JavaScript has no words to say what a request brings.
      if (path.endsWith('.js') && /\bunknown\b/.test(said)) continue
      const { line, character } = file.getLineAndCharacterOfPosition(start ?? 0)
      const message = `${from}:${line + 1}:${character + 1} ${said}`
      problems.set(from, [...(problems.get(from) ?? []), message])
    }
  }
  return problems
}

const wrong: Sample = {
  from: 'wrong.md',
  line: 3,
  path: join(root, 'wrong.md.3.ts'),
  text: `\n\nimport { relay } from 'sse-relay/express'\nrelay(1)\nmessages.nothing\nconst { a } = await request.json()\nexport {}\n`,
}

describe('the samples', () => {
  let problems: Map<string, string[]>
  beforeAll(() => {
    problems = compile([...samples, wrong])
  }, 300_000)

  it.each([...new Set(samples.map(({ from }) => from)), 'the prelude'])('of %s compile', (from) => {
    expect(problems.get(from)?.join('\n') ?? '').toBe('')
  })

  it('are found', () => {
    const count = (from: string) => samples.filter((sample) => sample.from === from).length
    expect(count('README.md')).toBeGreaterThan(3)
    expect(count('src/adapters/express.ts')).toBe(2)
    expect(count('src/testing/clients.ts')).toBe(1)
  })

  it('that are not compiled are no code, or need a package that is not installed here', () => {
    // Vue and Svelte have compilers of their own: test/package/samples.test.ts.
    const known = new Set([...COMPILED, 'vue', 'svelte', 'sh', 'text', 'http', 'nginx', 'json', 'dockerfile'])
    const needs =
      /from 'next\/server'|@Post\(\)|from 'better-sse'|defineEventHandler|createProxyMiddleware|from 'expo\/fetch'/
    const others = pages.flatMap((page) =>
      blocksOf(read(page))
        .filter(({ language, text }) => !known.has(language) && !(language === 'typescript' && needs.test(text)))
        .map(({ line, language }) => `${page}:${line} ${language}`),
    )
    expect(others).toEqual([])
  })

  it('are compiled in earnest: a wrong one is told by file and line', () => {
    expect(problems.get(wrong.from)).toEqual([
      expect.stringMatching(/^wrong\.md:4:1 Expected 3-4 arguments/),
      expect.stringMatching(/^wrong\.md:5:10 Property 'nothing' does not exist/),
      // What a request brings is not known.
      expect.stringMatching(/^wrong\.md:6:9 Property 'a' does not exist on type 'unknown'/),
    ])
  })
})

/** The anchor a heading gets where the pages are read. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number} _-]/gu, '')
    .replaceAll(' ', '-')
}

const prose = (markdown: string) => markdown.replace(/^( *)(`{3,})[\s\S]*?^\1\2$/gm, '')

describe.each(pages)('the links of %s', (page) => {
  it('lead somewhere', () => {
    const links = [...prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link as string)
    const broken = links
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [path = '', anchor] = link.split('#')
        const target = join(root, path === '' ? page : join(dirname(page), path))
        if (relative(root, target).startsWith('..') || !existsSync(target)) return true
        if (anchor === undefined) return false
        const text = prose(readFileSync(target, 'utf8'))
        const headings = [...text.matchAll(/^#+ (.+)$/gm)]
        // A heading that was renamed has its old anchor above it.
        if (text.includes(`<a id="${anchor}"></a>`)) return false
        return !headings.some(([, heading]) => anchorOf(heading as string) === anchor)
      })
    expect(broken).toEqual([])
  })
})

describe('the README and the quick start', () => {
  it('have no block that nothing runs, and import nothing that they do not say to install', () => {
    const blocks = readmeSamples(root)
    const due = ['README.md', 'docs/quick-start.md'].flatMap((page) => blocksOf(read(page)))
    expect(blocks.map(({ text }) => text)).toHaveLength(due.length)
    const idle = blocks.filter(({ installs, serves, asks, maps, by }) => !(installs || serves || asks || maps || by))
    expect(idle).toEqual([])
  })

  it('are short: the README has less than 250 lines', () => {
    expect(read('README.md').split('\n').length).toBeLessThanOrEqual(250)
  })
})

describe('the list of guides', () => {
  it('in docs has every guide, and the README has each that a reader looks for', () => {
    const linked = (page: string) =>
      new Set([...read(page).matchAll(/\]\((?:docs\/)?([\w-]+\.md)[#)]/g)].map(([, name]) => name))
    const guides = filesIn('docs', '.md').map((path) => basename(path))
    const missing = (page: string) => guides.filter((name) => name !== 'README.md' && !linked(page).has(name))
    expect(missing('docs/README.md')).toEqual([])
    // Reached from the sources they are about.
    expect(missing('README.md')).toEqual(['matrix.md', 'packages.md'])
  })
})

/** The first column of the table under a heading, where it is code. */
function rowsUnder(page: string, heading: string): string[] {
  const [, rest = ''] = read(page).split(new RegExp(`^#+ ${heading}$`, 'm'))
  const [section = ''] = rest.split(/^#+ /m)
  return [...section.matchAll(/^\| ((?:`[^`]+`(?:, )?)+)/gm)].flatMap(([, cell]) =>
    [...(cell as string).matchAll(/`([^`]+)`/g)].map(([, name]) => name as string),
  )
}

/** The members of an interface, or the strings of a union, in a file of `src`. */
function namesOf(path: string, type: string): string[] {
  const file = ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest)
  const names: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isLiteralTypeNode(node) && ts.isStringLiteral(node.literal)) names.push(node.literal.text)
    else ts.forEachChild(node, visit)
  }
  for (const statement of file.statements) {
    if (ts.isInterfaceDeclaration(statement) && statement.name.text === type) {
      for (const { name } of statement.members) names.push((name as ts.Identifier).text)
    }
    if (ts.isTypeAliasDeclaration(statement) && statement.name.text === type) visit(statement.type)
  }
  return names
}

describe('the tables', () => {
  it.each([
    ['README.md', 'Options', 'src/options.ts', 'RelayOptions'],
    ['README.md', 'How an answer ends', 'src/types.ts', 'Outcome'],
    ['docs/errors-and-endings.md', 'The codes', 'src/errors.ts', 'ErrorCode'],
    ['docs/errors-and-endings.md', 'The summary', 'src/types.ts', 'Summary'],
    ['docs/client.md', 'Options of parseSSE', 'src/client/reading-loop.ts', 'ParseSSEOptions'],
    ['docs/client.md', 'Options of fetchSSE', 'src/client/fetch-sse.ts', 'FetchSSEOptions'],
    ['docs/testing.md', 'How a request is answered', 'src/testing/replay-upstream.ts', 'Replay'],
    ['docs/testing.md', 'What was asked', 'src/testing/replay-upstream.ts', 'ReplayRequest'],
    ['docs/testing.md', 'The whole answer', 'src/testing/collect.ts', 'Collected'],
  ])('of %s, %s, name all that %s has in %s', (page, heading, path, type) => {
    const due = namesOf(path, type)
    expect(due.length).toBeGreaterThan(0)
    expect(rowsUnder(page, heading).sort()).toEqual(due.sort())
  })

  it('and the tree in CONTRIBUTING.md has every file and folder of src', () => {
    const [, tree = ''] = /```text\nsrc\/\n([\s\S]*?)\n```/.exec(read('CONTRIBUTING.md')) ?? []
    const units = readdirSync(join(root, 'src')).filter((unit) => !tree.includes(unit))
    expect(units).toEqual([])
  })

  it('name every subpath of the package', () => {
    const { exports } = JSON.parse(read('package.json'))
    const subpaths = Object.keys(exports).filter((name) => name !== './package.json')
    const due = subpaths.map((name) => `sse-relay${name.slice(1)}`)
    expect(rowsUnder('README.md', 'What is in the package').sort()).toEqual(due.sort())
  })
})

describe('the guide to errors', () => {
  it('shows failures as clients get them', () => {
    const shown = [...read('docs/errors-and-endings.md').matchAll(/\{"error":(\{.*?\})\}/g)].map(([, json]) =>
      JSON.parse(json as string),
    )
    expect(shown.length).toBeGreaterThan(1)
    for (const failure of shown) expect(failureOf(failure.code)).toMatchObject(failure)
  })
})

describe('the guide to testing', () => {
  it('names all that there is to call', async () => {
    const names = Object.keys(await import('sse-relay/testing')).filter((name) => /^[a-z]/.test(name))
    expect(names.length).toBeGreaterThan(10)
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(read('docs/testing.md')))).toEqual([])
  })
})

describe('the wire sample of the README', () => {
  it('is what a relay sends', async () => {
    const [, head = '', body = ''] = /```http\n([\s\S]*?)\n\n([\s\S]*?)```/.exec(read('README.md')) ?? []
    const answer = await relay(new Request('http://localhost', { method: 'POST' }), ['x'])
    const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`)
    expect(head.split('\n').slice(1).sort()).toEqual(headers.sort())
    expect(await collect(`${body}\n`)).toMatchObject({
      outcome: 'done',
      comments: 1,
      text: 'Event streams are plain text.',
    })
  })
})

describe('the rules of the wire protocol', () => {
  const rules = [...read('docs/wire.md').matchAll(/^- \*\*(\d+\.\d+)\*\* /gm)].map(([, number]) => number as string)
  /** The numbers that titles begin with; one that is skipped holds nothing. */
  const tests = read('test/wire/wire.test.ts')
  const tested = new Set([...tests.matchAll(/['"`](\d+\.\d+) [a-z]/g)].map(([, number]) => number as string))

  it('have a number each, in order', () => {
    expect(rules.length).toBeGreaterThan(30)
    const inOrder = [...new Set(rules)].sort((a, b) => {
      const [one = 0, two = 0] = a.split('.').map(Number)
      const [three = 0, four = 0] = b.split('.').map(Number)
      return one - three || two - four
    })
    expect(rules).toEqual(inOrder)
  })

  it('have a test each that begins with it, and no test is of a rule that is gone', () => {
    expect([...tested].sort()).toEqual([...rules].sort())
    expect(tests).not.toMatch(/\.(skip|todo|only|fails)\b/)
  })

  it('say MUST only in a rule', () => {
    const [, rest = ''] = prose(read('docs/wire.md')).split(/^## The request$/m)
    const stray = rest.split('\n').filter((line) => /\bMUST\b/.test(line) && !/^- \*\*\d/.test(line))
    expect(stray).toEqual([])
  })
})
