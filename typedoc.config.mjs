// The site: the guides and what the declarations say, with one search. `npm run site` builds it and follows its links.
import { readdirSync, readFileSync } from 'node:fs'
import { subpaths } from './scripts/subpaths.mjs'

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8')

/** The guides in the order of their list, and after them whatever else is in docs. */
function guides() {
  const named = [...read('docs/README.md').matchAll(/\]\(([\w-]+\.md)\)/g)].map(([, name]) => name)
  const all = readdirSync(new URL('docs', import.meta.url)).filter((name) => name.endsWith('.md'))
  return [...new Set(['README.md', ...named, ...all])].map((name) => `docs/${name}`)
}

/** @type {Partial<import('typedoc').TypeDocOptions>} */
export default {
  name: 'sse-relay',
  entryPoints: subpaths.map(({ source }) => source),
  tsconfig: 'scripts/site/tsconfig.json',
  // `npm run types` has looked.
  skipErrorChecking: true,
  projectDocuments: [...guides(), 'examples/README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'],
  plugin: ['./scripts/site/plugin.mjs'],
  out: 'site',
  readme: 'README.md',
  customCss: 'scripts/site/site.css',
  disableSources: true,
  excludeInternal: true,
  excludePrivate: true,
  treatWarningsAsErrors: true,
  validation: { invalidLink: true, invalidPath: true, notExported: true, rewrittenLink: true },
  sortEntryPoints: false,
  headings: { readme: false },
  includeVersion: true,
  searchInDocuments: true,
  searchInComments: true,
  hideGenerator: true,
  navigation: { includeCategories: false, includeGroups: false, includeFolders: false },
  groupOrder: ['Guides', 'API', '*'],
  locales: { en: { kind_plural_document: 'Guides', kind_plural_module: 'API' } },
  highlightLanguages: [
    'bash',
    'css',
    'html',
    'http',
    'javascript',
    'json',
    'jsonc',
    'jsx',
    'nginx',
    'svelte',
    'tsx',
    'typescript',
    'vue',
  ],
}
