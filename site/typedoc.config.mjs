// What the declarations say, as Markdown: a page for each name the package is imported under.
import { fileURLToPath } from 'node:url'
import { subpaths } from '../scripts/subpaths.mjs'

const file = (path) => fileURLToPath(new URL(path, import.meta.url))

/** @type {Partial<import('typedoc').TypeDocOptions & import('typedoc-plugin-markdown').PluginOptions>} */
export default {
  name: 'API',
  entryPoints: subpaths.map(({ source }) => file(`../${source}`)),
  tsconfig: file('tsconfig.json'),
  // `npm run types` has looked.
  skipErrorChecking: true,
  plugin: ['typedoc-plugin-markdown', file('typedoc-plugin.mjs')],
  out: file('.cache/pages/api'),
  readme: 'none',
  disableSources: true,
  excludeInternal: true,
  excludePrivate: true,
  excludeExternals: true,
  treatWarningsAsErrors: true,
  validation: { invalidLink: true, invalidPath: true, notExported: true, rewrittenLink: true },
  sortEntryPoints: false,
  groupOrder: ['Functions', 'Classes', 'Variables', 'Interfaces', 'Type Aliases', '*'],
  router: 'modules',
  entryFileName: 'index',
  hidePageHeader: true,
  hideBreadcrumbs: true,
  useCodeBlocks: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  classPropertiesFormat: 'table',
  typeDeclarationFormat: 'table',
  enumMembersFormat: 'table',
}
