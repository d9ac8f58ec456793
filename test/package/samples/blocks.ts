/** The code in the pages: where it stands, in which language, and what a check may do with it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../..', import.meta.url))
export const read = (path: string) => readFileSync(join(root, path), 'utf8')
export const filesIn = (folder: string, ending: string): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    // What `npm run examples` installs has pages of its own, and a link back to here.
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesIn(path, ending)
    return path.endsWith(ending) ? [path] : []
  })

export const pages = ['README.md', 'CONTRIBUTING.md', ...filesIn('docs', '.md'), ...filesIn('examples', '.md')]

export interface Block {
  /** Where it stands, from 1. */
  line: number
  language: string
  /** What the fence says after the language. */
  words: string[]
  text: string
}

/** The fenced blocks of a Markdown text. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = []
  let block: (Block & { fence: string }) | undefined
  for (const [index, line] of markdown.split('\n').entries()) {
    const [, indent = '', fence, language = '', words = ''] = /^( *)(`{3,})(\w*) ?(.*)$/.exec(line) ?? []
    if (block) {
      if (fence === block.fence && language === '') {
        blocks.push(block)
        block = undefined
      } else block.text += `${line}\n`
    } else if (fence) {
      if (indent !== '') throw new Error(`A block is indented at line ${index + 1}: no check would see it`)
      block = { line: index + 2, language, words: words.split(' ').filter(Boolean), text: '', fence }
    }
  }
  return blocks
}

/**
 * What a sample is run as, which the first word after the language says:
 *
 * - `run`: a program that ends; the `text output` block after it is what it prints
 * - `serve`: a server, or routes for one; it is asked `POST /api/chat`, or what stands after the word
 * - `answer`: a module whose handler takes a Web `Request`
 * - `log`: a module that exports a function `createFileLog`; the log passes `logBehaviours`
 * - `bun`, `deno`: a server for that runtime, asked `POST /api/chat`
 * - `test`: a file of tests, for `vitest` or `node`, which stands after the word
 * - `page`: the script of a page, in a browser, before a server that answers in `text()`, or in the protocol named after the word
 * - `component`: one for React (named `Chat`), Vue or Svelte, in such a page; its first button asks
 */
export const KINDS = ['run', 'serve', 'answer', 'log', 'bun', 'deno', 'test', 'page', 'component'] as const
export type Kind = (typeof KINDS)[number]

export interface Runnable {
  kind: Kind
  /** `docs/client.md:12`. */
  name: string
  language: string
  text: string
  /** What stands after the kind. */
  rest: string[]
  /** What it has to print. */
  output?: string
}

/** The samples of a page that are run. */
export function runnablesOf(page: string, markdown = read(page)): Runnable[] {
  const blocks = blocksOf(markdown)
  return blocks.flatMap(({ line, language, text, words: [kind, ...rest] }, index) => {
    if (!KINDS.includes(kind as Kind)) return []
    const next = blocks[index + 1]
    const output = next?.language === 'text' && next.words[0] === 'output' ? next.text : undefined
    return [{ kind: kind as Kind, name: `${page}:${line}`, language, text, rest, ...(output && { output }) }]
  })
}
