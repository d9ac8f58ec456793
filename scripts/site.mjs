// `npm run site`: the guides and what the declarations say, as one site with one search, in the folder `site`; and then
// every link in it is followed. `--watch` builds again at every change, without following.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = join(root, 'site')

/** Every link and picture of the pages in a folder that leads to no file, or to no place in one: `page → link`. */
export function brokenLinks(folder) {
  const pages = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.html'))
    .map((path) => join(folder, path))
  const texts = new Map(pages.map((page) => [page, readFileSync(page, 'utf8')]))
  const ids = new Map(
    [...texts].map(([page, text]) => [
      page,
      new Set([...text.matchAll(/\s(?:id|name)="([^"]+)"/g)].map(([, id]) => id)),
    ]),
  )
  const broken = []
  let count = 0
  for (const [page, text] of texts) {
    const links = [...text.matchAll(/<[^>]+?\s(?:href|src|srcset)="([^"]*)"/g)].map(([, link]) =>
      link.replaceAll('&amp;', '&'),
    )
    for (const link of links) {
      if (/^(?:[a-z]+:|\/\/)/i.test(link)) continue
      count++
      const [path, anchor] = decodeURI(link).split('#')
      const named = path === '' ? page : resolve(dirname(page), path.split('?')[0])
      // As servers do, and TypeDoc counts on.
      const file = isA('Directory', named) ? join(named, 'index.html') : named
      const leads = isA('File', file)
      // `#top`, and nothing, are the page's beginning.
      const arrives = !anchor || anchor === 'top' || !texts.has(file) || ids.get(file).has(anchor)
      if (!leads || !arrives) broken.push(`${relative(folder, page)} → ${link}`)
    }
  }
  return { pages: pages.length, links: count, broken: [...new Set(broken)].sort() }
}

const isA = (what, path) => Boolean(statSync(path, { throwIfNoEntry: false })?.[`is${what}`]())

function run() {
  const watch = process.argv.includes('--watch')
  if (!watch) rmSync(folder, { recursive: true, force: true })
  console.log('the pages …')
  const typedoc = [join(root, 'node_modules/typedoc/bin/typedoc'), '--logLevel', 'Warn', ...(watch ? ['--watch'] : [])]
  const { status } = spawnSync(process.execPath, typedoc, { cwd: root, stdio: 'inherit' })
  if (status !== 0 || watch) {
    process.exitCode = status ?? 1
    return
  }
  const { pages, links, broken } = brokenLinks(folder)
  if (broken.length > 0) {
    console.error(`Links that lead nowhere:\n${broken.join('\n')}`)
    process.exitCode = 1
    return
  }
  console.log(
    `${pages} pages, and each of ${links} links leads somewhere. Open ${pathToFileURL(join(folder, 'index.html'))}`,
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) run()
