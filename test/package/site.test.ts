import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { blocksOf, read, root } from './samples/blocks.js'

const folder = mkdtempSync(join(tmpdir(), 'sse-relay-site-'))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

// `npm run check` builds the site itself, and follows its links with this.
const { brokenLinks } = await import(join(root, 'scripts/site.mjs'))
const site = await import(join(root, 'site/pages.mjs'))

it('finds the links of a site that lead to no file, and to no place in one', () => {
  mkdirSync(join(folder, 'documents'))
  writeFileSync(join(folder, 'picture.svg'), '<svg/>')
  writeFileSync(
    join(folder, 'index.html'),
    `<h1 id="here">A</h1><a href="#here">a</a><a class="x" href="documents/b.html#there">b</a>
    <a href="documents/b.html#nowhere">c</a><img alt="" src="gone.svg"
      srcset="lost.svg"><a href="https://example.com/x">d</a>`,
  )
  writeFileSync(
    join(folder, 'documents/b.html'),
    '<h2 id="there">B</h2><a href="../#here">a</a><a href="../index.html#gone">b</a><img src="../picture.svg"><a href="c.html">c</a>',
  )
  expect(brokenLinks(folder)).toEqual({
    pages: 2,
    links: 9,
    broken: [
      'index.html → documents/b.html#nowhere',
      'index.html → gone.svg',
      'index.html → lost.svg',
      join('documents', 'b.html → ../index.html#gone'),
      join('documents', 'b.html → c.html'),
    ].sort(),
  })
})

it('finds them where the site is served under a path, in its list for assistants, and what it would fetch from elsewhere', () => {
  mkdirSync(folder)
  writeFileSync(
    join(folder, 'index.html'),
    `<h1 id="a&quot;b">A</h1><a href="/docs/#a%22b">a</a><a href="/docs/gone.html">b</a><a href="/index.html">c</a>
    <script src="https://example.com/x.js"></script><link rel="stylesheet" href="//example.com/x.css">`,
  )
  writeFileSync(join(folder, 'x.css'), '@font-face { src: url(https://example.com/x.woff2) } a { background: url(#b) }')
  writeFileSync(join(folder, 'llms.txt'), '- [a](index.html)\n- [b](gone.md)\n')
  expect(brokenLinks(folder, '/docs/')).toEqual({
    pages: 1,
    links: 5,
    broken: [
      'index.html → //example.com/x.css',
      'index.html → /docs/gone.html',
      'index.html → /index.html',
      'index.html → https://example.com/x.js',
      'llms.txt → gone.md',
      'x.css → https://example.com/x.woff2',
    ],
  })
})

describe('the site', () => {
  const files = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md') && name !== 'README.md')

  it('has every guide in its sidebar, once, under what one wants to do', () => {
    const groups: { text: string; items: { link: string; items?: { link: string }[] }[] }[] = site.sidebar()
    expect(groups.map(({ text }) => text)).toEqual([
      'Start',
      'Serve',
      'Read',
      'Survive',
      'Deploy',
      'Extend',
      'Reference',
    ])
    const links = groups.flatMap(({ items }) => items.map(({ link }) => link))
    expect(links.filter((link) => link.startsWith('/docs/')).sort()).toEqual(
      files.map((name) => `/docs/${name}`).sort(),
    )
    // No entry of the list leads to something that is no page.
    expect(links.filter((link) => link.includes('undefined'))).toEqual([])
    const below = groups.flatMap(({ items }) => items.flatMap(({ items = [] }) => items.map(({ link }) => link)))
    expect(below).toContain('/examples/express.md')
    expect(below).toContain('/api/sse-relay/client.md')
  })

  it('shows on its front page the samples of the README for the server and the page, whole, and its comparison', () => {
    const front: string = site.front()
    // Those of the README are compiled and run: docs.test.ts, samples.test.ts.
    const shown = blocksOf(front).filter(({ language }) => language !== 'sh')
    const samples = blocksOf(read('README.md'))
    expect(shown.map(({ words }) => words[0])).toEqual(['serve', 'page'])
    for (const { text } of shown) expect(samples.map((sample) => sample.text)).toContain(text)
    expect(front).toContain('| | sse-relay | by hand |')
    expect(front).not.toContain('<!--')
  })

  it('lists every guide for assistants, and each is there as Markdown', () => {
    const links = [...site.llms().matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link)
    expect(links).toEqual(expect.arrayContaining(['README.md', ...files.map((name) => `docs/${name}`)]))
    const full: string = site.llmsFull()
    expect(full).toContain(readFileSync(join(root, 'docs/resume.md'), 'utf8').trim())
  })

  it.each([
    ['docs/hosts.md', '../README.md#options', '/overview.md#options'],
    ['docs/hosts.md', 'deploy.md#http2', '/docs/deploy.md#http2'],
    ['README.md', 'docs/README.md', '/docs/index.md'],
    ['docs/hosts.md', '../examples/next/app/api/chat/route.js', '/examples/next.md#app-api-chat-route-js'],
    ['docs/hosts.md', '../examples/node', '/examples/node.md'],
    [
      'examples/README.md',
      'sveltekit/src/routes/api/chat/+server.js',
      '/examples/sveltekit.md#src-routes-api-chat-server-js',
    ],
    ['docs/extending.md', '../src/log/memory.ts', '/files/src/log/memory.ts.md'],
    ['docs/wire.md', 'wire.svg', undefined],
    ['docs/wire.md', '#events', undefined],
    ['docs/wire.md', 'https://example.com/', undefined],
  ])('takes what %s calls %s to %s', (from, link, place) => {
    expect(site.linkTo(from, link)).toBe(place)
  })
})
