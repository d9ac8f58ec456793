import { defineConfig } from 'vitepress'
import { guides, linkTo, pages, sidebar, sourceOf } from '../pages.mjs'

/** What the list of guides says of each page. */
const about = new Map(guides().flatMap(({ items }) => items.map(({ path, about }) => [pages.get(path), about])))

/** The anchor a heading gets on a repository's page, for which the guides are written. */
const slugify = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number} _-]/gu, '')
    .replaceAll(' ', '-')

export default defineConfig({
  lang: 'en',
  title: 'sse-relay',
  description: 'Relays the stream of a language model to the page, in the server that you already have.',
  srcDir: '.cache/pages',
  srcExclude: ['public/**'],
  outDir: 'dist',
  cacheDir: '.cache/vitepress',
  transformPageData(page) {
    const text = about.get(page.relativePath)?.replaceAll('`', '')
    if (text) page.description = text[0].toUpperCase() + text.slice(1)
  },
  transformHead: ({ siteData }) => [
    ['link', { rel: 'icon', href: `${siteData.base}favicon.svg`, type: 'image/svg+xml' }],
  ],
  markdown: {
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-default' },
    anchor: { slugify },
    config(md) {
      // Braces in a guide are braces, and nothing that Vue fills in.
      const { text } = md.renderer.rules
      md.renderer.rules.text = (...args) => text(...args).replaceAll('{{', '&#123;&#123;')
      md.core.ruler.push('links of the repository', ({ tokens, env }) => {
        const source = sourceOf(env.relativePath ?? '')
        if (!source) return
        for (const { children } of tokens) {
          for (const token of children ?? []) {
            const link = token.type === 'link_open' && linkTo(source, token.attrGet('href'))
            if (link) token.attrSet('href', link)
          }
        }
      })
      md.core.ruler.push('code and cells', ({ tokens }) => {
        for (const [index, { type, children }] of tokens.entries()) {
          if (type !== 'inline') continue
          for (const code of children.filter(({ type }) => type === 'code_inline')) {
            code.attrSet('v-pre', '')
            // A short name stays in one piece: `sse-relay/koa` has a hyphen.
            if (code.content.length < 25) code.attrJoin('class', 'whole')
          }
          const length = children.reduce((sum, { content }) => sum + content.length, 0)
          const cell = tokens[index - 1]
          if (cell.type === 'td_open' && length > 60) cell.attrJoin('class', length > 200 ? 'longer' : 'long')
        }
      })
    },
  },
  themeConfig: {
    logo: '/favicon.svg',
    nav: [
      { text: 'Quick start', link: '/docs/quick-start.md' },
      { text: 'Guides', link: '/docs/', activeMatch: '^/docs/(?!quick-start)' },
      { text: 'Examples', link: '/examples/', activeMatch: '^/examples/' },
      { text: 'API', link: '/api/', activeMatch: '^/api/' },
    ],
    sidebar: sidebar(),
    outline: { level: [2, 3] },
    search: {
      provider: 'local',
      options: {
        // What is searched needs no colours, which cost more than the rest; at once, for the pages render beside it.
        _render(text, env, md) {
          const { highlight } = md.options
          md.options.highlight = null
          try {
            return md.render(text, env)
          } finally {
            md.options.highlight = highlight
          }
        },
        miniSearch: {
          searchOptions: {
            // The guides first, then the examples; the API and tables of figures after them.
            boostDocument: (id) =>
              /\/docs\/(benchmarks|load|matrix|packages)\.|\/(api|files)\/|\/(changelog|contributing)\./.test(id)
                ? 0.3
                : /\/examples\//.test(id)
                  ? 0.6
                  : 1,
          },
        },
      },
    },
    footer: { message: 'MIT licence' },
  },
  vite: { build: { chunkSizeWarningLimit: 4096 } },
})
