// `npm run site`: the guides, the examples and what the declarations say as one site with one search, in `site/dist`;
// and then every link in it is followed. `--watch` serves it while you write, `--preview` serves what was built.
// What follows is VitePress' own: `npm run site -- --base /docs/`.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, watch, writeFileSync } from 'node:fs'
import { dirname, join, posix, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const site = join(root, 'site')
const out = join(site, 'dist')

const isA = (what, path) => Boolean(statSync(path, { throwIfNoEntry: false })?.[`is${what}`]())

/** An attribute's text, as it is meant. */
const plainOf = (text) => text.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&amp;', '&')

/**
 * Every link and picture of the pages in a folder that leads to no file, or to no place in one: `page → link`; and every
 * script, style, font or picture that would be fetched from elsewhere. `base` is the path the site is served under.
 */
export function brokenLinks(folder, base = '/') {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path))
  const texts = new Map(
    files.filter((path) => /\.html$|llms\.txt$/.test(path)).map((path) => [path, readFileSync(path, 'utf8')]),
  )
  const ids = new Map(
    [...texts].map(([page, text]) => [
      page,
      new Set([...text.matchAll(/\s(?:id|name)="([^"]+)"/g)].map(([, id]) => plainOf(id))),
    ]),
  )
  const broken = []
  let count = 0
  for (const [page, text] of texts) {
    const told = (link) => broken.push(`${relative(folder, page)} → ${link}`)
    for (const { tag, link } of page.endsWith('.txt') ? linksOfText(text) : linksOfPage(text)) {
      if (/^(?:[a-z]+:|\/\/)/i.test(link)) {
        if (tag !== 'a' && !link.startsWith('data:')) told(link)
        continue
      }
      count++
      const [path, anchor] = decodeURI(link).split('#')
      const [plain] = path.split('?')
      const named =
        plain === ''
          ? page
          : plain.startsWith(base)
            ? join(folder, plain.slice(base.length))
            : plain.startsWith('/')
              ? undefined
              : resolve(dirname(page), plain)
      // As servers do.
      const file = named && isA('Directory', named) ? join(named, 'index.html') : named
      const leads = file !== undefined && isA('File', file)
      // `#top`, and nothing, are the page's beginning.
      const arrives = !anchor || anchor === 'top' || !ids.has(file) || ids.get(file).has(anchor)
      if (!leads || !arrives) told(link)
    }
  }
  const outside = files
    .filter((path) => path.endsWith('.css'))
    .flatMap((path) =>
      [...readFileSync(path, 'utf8').matchAll(/url\(["']?((?:https?:)?\/\/[^)"']+)/g)].map(
        ([, link]) => `${relative(folder, path)} → ${link}`,
      ),
    )
  const pages = [...texts.keys()].filter((path) => path.endsWith('.html')).length
  return { pages, links: count, broken: [...new Set([...broken, ...outside])].sort() }
}

const linksOfPage = (text) =>
  [...text.matchAll(/<([a-z]+)(\s[^<>]*)>/g)].flatMap(([, tag, attributes]) =>
    [...attributes.matchAll(/\s(?:href|src|srcset)="([^"]*)"/g)].map(([, link]) => ({ tag, link: plainOf(link) })),
  )

const linksOfText = (text) => [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => ({ tag: 'a', link }))

/** By the lock file, unless what is there was installed by this very one. */
function install() {
  const lock = readFileSync(join(site, 'package-lock.json'), 'utf8')
  const mark = join(site, 'node_modules/.installed')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return
  console.log('installing what the site is built with …')
  const npm = ['ci', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
  const { status } = spawnSync('npm', npm, { cwd: site, stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) throw new Error('What the site is built with could not be installed: see above.')
  writeFileSync(mark, lock)
}

const tool = (path, args) => [process.execPath, [join(site, 'node_modules', path), ...args]]
const vitepress = (args) => tool('vitepress/bin/vitepress.js', args)

function must([command, args], what) {
  const { status } = spawnSync(command, args, { cwd: site, stdio: 'inherit' })
  if (status !== 0) throw new Error(`${what}: see above.`)
}

async function run() {
  const words = process.argv.slice(2)
  const [preview, watching] = ['--preview', '--watch'].map((word) => words.includes(word))
  const rest = words.filter((word) => word !== '--preview' && word !== '--watch')
  install()
  if (preview) return serve(['preview', ...rest])
  const { assemble, clean, writeForAssistants } = await import('../site/pages.mjs')
  console.log('the pages …')
  clean()
  must(tool('typedoc/bin/typedoc', ['--logLevel', 'Warn']), 'The declarations cannot be told')
  assemble()
  if (watching) {
    for (const folder of ['docs', 'examples', '.']) {
      watch(join(root, folder), { recursive: folder !== '.' }, (_, name) => /\.(md|svg)$/.test(name) && assemble())
    }
    return serve(['dev', ...rest])
  }
  must(vitepress(['build', ...rest]), 'The pages cannot be built')
  writeForAssistants(out)
  const base = rest[rest.indexOf('--base') + 1]
  const { pages, links, broken } = brokenLinks(out, rest.includes('--base') ? posix.join('/', base, '/') : '/')
  if (broken.length > 0) throw new Error(`Links that lead nowhere:\n${broken.join('\n')}`)
  console.log(`${pages} pages, and each of ${links} links leads somewhere. Look: npm run site -- --preview`)
}

/** Until it is stopped. */
function serve(args) {
  const [command, all] = vitepress(args)
  const server = spawn(command, all, { cwd: site, stdio: 'inherit' })
  process.once('SIGTERM', () => server.kill())
  server.on('close', (status) => process.exit(status ?? 0))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await run().catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
}
