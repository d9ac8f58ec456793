// Modules by the names they are imported under, and a page for each.
import { posix } from 'node:path'
import { Converter, ReflectionKind } from 'typedoc'
import { MarkdownPageEvent, ModuleRouter } from 'typedoc-plugin-markdown'
import { subpaths } from '../scripts/subpaths.mjs'

/** What TypeDoc calls each module, and what it is imported as. */
const names = new Map(
  subpaths.map(({ name, source }) => [posix.relative('src', source).replace(/(\/index)?\.ts$/, ''), name]),
)

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
      const name = names.get(module.name)
      if (!name) throw new Error(`It is not known what ${module.name} is imported as`)
      module.name = name
    }
  })
  app.renderer.defineRouter('modules', Modules)
  // In a cell a type that is one of several begins with the first of them.
  app.renderer.on(MarkdownPageEvent.END, (page) => {
    page.contents = page.contents?.replaceAll('| \\| ', '| ')
  })
}

class Modules extends ModuleRouter {
  /** The type `Log` of the root has no page, and must not take the name of the page of `sse-relay/log`. */
  getIdealBaseName(reflection) {
    const name = super.getIdealBaseName(reflection)
    return reflection.kind === ReflectionKind.Module ? name : `members/${name}`
  }

  /** `Encoder.end` has no anchor of that name, and must not take the one of the type `EncoderEnd`. */
  getSlugger(reflection) {
    const slugger = super.getSlugger(reflection)
    return { slug: (text) => (text.includes('.') ? text : slugger.slug(text)) }
  }
}
