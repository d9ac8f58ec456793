// What TypeDoc does not do by itself: guides by their titles, modules by the names they are imported under, and links
// to the folders of examples.
import { readdirSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Converter, ReflectionKind } from 'typedoc'
import { subpaths } from '../subpaths.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url)).replaceAll('\\', '/')

/** What TypeDoc calls each module, and what it is imported as. */
const modules = new Map(
  subpaths.map(({ name, source }) => [posix.relative('src', source).replace(/(\/index)?\.ts$/, ''), name]),
)

export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => {
    const [, title] = /^# (.+)$/m.exec(document.content.map(({ text }) => text).join('')) ?? []
    if (!title) throw new Error(`${document.name}.md has no title`)
    const { files } = document.project
    const path = files.getReflectionPath(document)
    // The tool that writes it begins it with the name of the package.
    document.name = path === `${root}CHANGELOG.md` ? 'Changelog' : title
    if (path !== `${root}examples/README.md`) return
    // A folder is no page; this one tells of each of them.
    for (const entry of readdirSync(join(root, 'examples'), { withFileTypes: true })) {
      if (entry.isDirectory()) files.registerReflectionPath(`${root}examples/${entry.name}`, document)
    }
  })
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
      const name = modules.get(module.name)
      if (!name) throw new Error(`It is not known what ${module.name} is imported as`)
      module.name = name
    }
  })
}
