import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, it } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'sse-relay-site-'))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

// `npm run check` builds the site itself, and follows its links with this.
it('finds the links of a site that lead to no file, and to no place in one', async () => {
  const { brokenLinks } = await import(fileURLToPath(new URL('../../scripts/site.mjs', import.meta.url)))
  mkdirSync(join(folder, 'documents'))
  writeFileSync(join(folder, 'picture.svg'), '<svg/>')
  writeFileSync(
    join(folder, 'index.html'),
    `<h1 id="here">A</h1><a href="#here">a</a><a class="x" href="documents/b.html#there">b</a>
    <a href="documents/b.html#nowhere">c</a><img alt="" src="gone.svg"><a href="https://example.com/x">d</a>`,
  )
  writeFileSync(
    join(folder, 'documents/b.html'),
    '<h2 id="there">B</h2><a href="../#here">a</a><a href="../index.html#gone">b</a><img src="../picture.svg"><a href="c.html">c</a>',
  )
  expect(brokenLinks(folder)).toEqual({
    pages: 2,
    links: 8,
    broken: [
      'index.html → documents/b.html#nowhere',
      'index.html → gone.svg',
      join('documents', 'b.html → ../index.html#gone'),
      join('documents', 'b.html → c.html'),
    ].sort(),
  })
})
