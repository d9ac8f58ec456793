// Which pages the site has. The guides stay as they are in the repository, where they read well too; what a link in
// them means here is in `linkTo`, and their order is that of their list, docs/README.md.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, extname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { subpaths } from '../scripts/subpaths.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path) => readFileSync(join(root, path), 'utf8')

/** Where the pages are put together. */
export const folder = fileURLToPath(new URL('.cache/pages/', import.meta.url))

/** The Markdown of the repository, and the page that each becomes. */
export const pages = new Map([
  ['README.md', 'overview.md'],
  ['CONTRIBUTING.md', 'contributing.md'],
  ['SECURITY.md', 'security.md'],
  ['CHANGELOG.md', 'changelog.md'],
  ['docs/README.md', 'docs/index.md'],
  ['examples/README.md', 'examples/index.md'],
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .map((name) => [`docs/${name}`, `docs/${name}`]),
])

/** The list of guides: its groups, and in each `{ title, path, about }`. */
export function guides() {
  const [, ...groups] = read('docs/README.md').split(/^## /m)
  return groups.map((group) => {
    const [name, ...lines] = group.split('\n')
    const items = lines.flatMap((line) => {
      const [, title, link, about] = /^- \[([^\]]+)\]\(([^)#]+)\)(.*)$/.exec(line) ?? []
      return title ? [{ title, path: posix.join('docs', link), about: about.replace(/^[:,]? /, '') }] : []
    })
    return { name, items }
  })
}

/** The examples: what the list of them says of each, and its files. */
export function examples() {
  const rows = read('examples/README.md')
    .split(/\n\n(?=\| folder)/)
    .slice(1)
    .flatMap((table) => {
      const [head, , ...lines] = table.split('\n\n')[0].split('\n').map(cells)
      return lines.map(([link, ...said]) => ({
        name: /\[([^\]]+)\]/.exec(link)[1],
        first: `examples/${/\(([^)]+)\)/.exec(link)[1]}`,
        said: said.map((text, index) => [head[index + 1], text]),
      }))
    })
  const files = filesIn('examples')
  const folders = new Set(files.map((path) => path.split('/')[1]).filter((name) => !name.includes('.')))
  const untold = [...folders].filter((name) => !rows.some((row) => row.name === name))
  if (untold.length > 0) throw new Error(`examples/README.md does not tell of ${untold.join(', ')}`)
  return rows.map((row) => ({
    ...row,
    files: files
      .filter((path) => path.startsWith(`examples/${row.name}/`))
      // The repository's own checks are nothing to copy.
      .filter((path) => !/\.(test|check)\.ts$|\/check\.mjs$/.test(path))
      .sort((one, other) => Number(other === row.first) - Number(one === row.first)),
  }))
}

/** All but what was installed or built there, and settings of tools. */
const filesIn = (folder) =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (/^\.|^(node_modules|build|dist|package-lock\.json|next-env\.d\.ts)$/.test(entry.name)) return []
    const path = `${folder}/${entry.name}`
    return entry.isDirectory() ? filesIn(path) : [path]
  })

const cells = (row) => row.slice(2, -2).split(' | ')

const anchorOf = (path) => path.replace(/\W+/g, '-').replace(/^-|-$/g, '')

const languages = { '.mjs': 'js', '.json': 'json', '.conf': 'nginx', '': 'docker' }
const languageOf = (path) => languages[extname(path)] ?? extname(path).slice(1)

/** A file's text as a block of code; the fence is longer than any in it. */
const block = (path) => `\`\`\`\`${languageOf(path)}\n${read(path).trimEnd()}\n\`\`\`\``

/** The place in the site of a link in a file of the repository: an address from the site's root, or nothing. */
export function linkTo(from, link) {
  if (/^[a-z]+:|^#/i.test(link)) return undefined
  const [path, anchor] = link.split('#')
  const target = posix.join(posix.dirname(from), path)
  const at = anchor ? `#${anchor}` : ''
  if (pages.has(target)) return `/${pages.get(target)}${at}`
  const [, name, file] = /^examples\/([^/]+)(?:\/(.+))?$/.exec(target) ?? []
  if (name) return `/examples/${name}.md${file ? `#${anchorOf(file)}` : ''}`
  // A picture stands beside its page; any other file has a page of its code.
  return /\.svg$/.test(target) ? undefined : `/files/${target}.md`
}

/** Files that a page links to and that are no pages. */
function linkedFiles() {
  const found = [...pages.keys()].flatMap((from) =>
    [...read(from).matchAll(/\]\(([^)\s#]+)[^)]*\)/g)]
      .filter(([, link]) => linkTo(from, link)?.startsWith('/files/'))
      .map(([, link]) => posix.join(posix.dirname(from), link)),
  )
  return [...new Set(found)].filter((path) => existsSync(join(root, path)))
}

/** The file of the repository that a page stands for, or stands beside: its links are as that one's. */
const sources = new Map([...pages].map(([source, page]) => [page, source]))
export const sourceOf = (page) => sources.get(page) ?? (/^examples\//.test(page) ? 'examples/README.md' : undefined)

/** The first block of code under a heading of the README, as it stands there. */
export function sample(heading) {
  const [, section = ''] = read('README.md').split(new RegExp(`^## ${heading}$`, 'm'))
  const [found] = /^```(?:js|ts) [\s\S]*?^```$/m.exec(section) ?? []
  if (!found) throw new Error(`The README has no sample under "${heading}"`)
  return found
}

/** The front page, with the README's samples and comparison in it. */
export function front() {
  const table = /^\| \| sse-relay [\s\S]*?(?=\n\n)/m.exec(read('README.md'))?.[0]
  if (!table) throw new Error('The README has no table of comparison')
  return readFileSync(new URL('index.md', import.meta.url), 'utf8')
    .replace(/^<!-- sample: (.+) -->$/gm, (_, heading) => sample(heading))
    .replace(/^<!-- comparison -->$/m, () => table)
}

/** The names the package is imported under, as the README tells of them. */
function api() {
  const [, section] = read('README.md').split('## What is in the package\n')
  const known = new Map(subpaths.map(({ name }) => [name, `${name}.md`]))
  return `# API\n\nWhat the declarations say, by the name it is imported under.${section
    .split('\n## ')[0]
    .replace(/`(sse-relay[\w/-]*)`/g, (text, name) => (known.has(name) ? `[${text}](${known.get(name)})` : text))}`
}

const put = (path, text) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}

/** Pages that are called after the package where they stand. */
const titles = { 'README.md': '# Overview', 'CHANGELOG.md': '# Changes' }

/** Puts the pages together, all but those TypeDoc writes. */
export function assemble() {
  put('index.md', front())
  for (const [source, page] of pages)
    put(
      page,
      read(source).replace(/^# .*/, (title) => titles[source] ?? title),
    )
  for (const { name, said, files } of examples()) {
    const told = said.map(([what, text]) => `- ${what}: ${text}`).join('\n')
    const list = files.map((path) => path.slice(`examples/${name}/`.length))
    const code = list.map((file) => `## ${file} {#${anchorOf(file)}}\n\n${block(`examples/${name}/${file}`)}\n`)
    put(`examples/${name}.md`, `# Example: ${name}\n\n${told}\n\n${code.join('\n')}`)
  }
  for (const path of linkedFiles()) put(`files/${path}.md`, `# ${path}\n\n${block(path)}\n`)
  put('api/index.md', api())
  // Pictures beside the pages, and what is fetched under its own name.
  for (const path of readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })) {
    if (path.endsWith('.svg')) cpSync(join(root, 'docs', path), join(folder, 'docs', path))
  }
  cpSync(join(root, 'src/cli/demo/page/favicon.svg'), join(folder, 'public/favicon.svg'))
}

export const clean = () => rmSync(folder, { recursive: true, force: true })

/** The sidebar: the list of guides, with the examples and the API where they belong. */
export function sidebar() {
  const groups = guides().map(({ name, items }) => ({
    text: name,
    collapsed: false,
    items: items.map(({ title, path }) => ({
      text: title,
      link: `/${pages.get(path)}`,
      ...(path === 'examples/README.md' && {
        collapsed: true,
        items: examples().map(({ name }) => ({ text: name, link: `/examples/${name}.md` })),
      }),
    })),
  }))
  groups.at(-1).items.push({
    text: 'API',
    link: '/api/',
    collapsed: true,
    items: subpaths.map(({ name }) => ({ text: name, link: `/api/${name}.md` })),
  })
  return groups
}

/** What an assistant reads first: https://llmstxt.org */
export function llms() {
  const { name, description } = JSON.parse(read('package.json'))
  const groups = guides().map(({ name, items }) => {
    const lines = items.map(({ title, path, about }) => `- [${title}](${path})${about ? `: ${about}` : ''}`)
    return `## ${name}\n\n${lines.join('\n')}`
  })
  const modules = subpaths.map(({ name }) => `- [${name}](api/${name}.md)`)
  return [
    `# ${name}`,
    `> ${description}`,
    'Each page is here as Markdown, under its name in the repository. Begin with the [README](README.md); [llms-full.txt](llms-full.txt) is the README and all guides but the reference in one file.',
    ...groups,
    `## API\n\n${modules.join('\n')}`,
    '',
  ].join('\n\n')
}

/** The README and the guides in one text. */
export function llmsFull() {
  const paths = guides()
    .filter(({ name }) => name !== 'Reference')
    .flatMap(({ items }) => items.map(({ path }) => path))
    .filter((path) => path.startsWith('docs/'))
  return ['README.md', ...paths].map((path) => `<!-- ${path} -->\n\n${read(path).trim()}\n`).join('\n')
}

/** What is for an assistant: the list, and each page's Markdown where the repository has it. */
export function writeForAssistants(site) {
  writeFileSync(join(site, 'llms.txt'), llms())
  writeFileSync(join(site, 'llms-full.txt'), llmsFull())
  const files = [...pages.keys(), ...linkedFiles(), ...examples().flatMap(({ files }) => files)]
  // A page of an example would be one here too, and it has no server.
  for (const path of files.filter((path) => !path.endsWith('.html'))) cpSync(join(root, path), join(site, path))
  for (const { name } of subpaths) cpSync(join(folder, `api/${name}.md`), join(site, `api/${name}.md`))
}
