/** A sample as a module that can be loaded: with what it uses and does not say, and with what it made. */
import ts from 'typescript'

/** What a test finds as `made` in a server's module: the app that is to listen, if the sample does not. */
const APPS = ['app', 'fastify', 'koa', 'hono']

/** The text of the sample, which imports what it uses of `names` from the prelude. */
export function moduleOf(text: string, prelude: string, names: readonly string[]): string {
  const file = ts.createSourceFile('sample.tsx', text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX)
  const used = new Set<string>()
  const declared = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) {
      const { parent } = node
      const isName =
        (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
        (ts.isPropertyAssignment(parent) && parent.name === node)
      const isDeclared =
        (ts.isVariableDeclaration(parent) ||
          ts.isFunctionDeclaration(parent) ||
          ts.isParameter(parent) ||
          ts.isBindingElement(parent) ||
          ts.isImportSpecifier(parent) ||
          ts.isImportClause(parent)) &&
        parent.name === node
      if (isDeclared) declared.add(node.text)
      else if (!isName) used.add(node.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  const missing = names.filter((name) => used.has(name) && !declared.has(name))
  const made = APPS.find((name) => declared.has(name) || missing.includes(name))
  return [
    ...(missing.length > 0 ? [`import { ${missing.join(', ')} } from ${JSON.stringify(prelude)}`] : []),
    text,
    ...(made ? [`export { ${made} as made }`] : []),
    'export {}\n',
  ].join('\n')
}
