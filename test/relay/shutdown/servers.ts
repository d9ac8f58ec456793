/** The servers of docs/deploy.md, section Restarts, as programs. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Engine } from '../../client/browsers/engines.js'

/** For ever: `surroundings.ts` ends it. */
const GRACE_MS = 3_600_000

const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface Recipe {
  name: string
  engine: Engine
  /** As it stands on the page. */
  code: string
  /** Whether the framework itself refuses what comes after it was closed. */
  refuses: boolean
}

/** Each server of the page for one engine, with the lines for `SIGTERM` that stand there once, unless it has its own. */
export async function recipes(engine: Engine): Promise<Recipe[]> {
  const page = readFileSync(`${root}docs/deploy.md`, 'utf8')
  const [, section = ''] = /^## Restarts\n([\s\S]*?)^## /m.exec(page) ?? []
  const [drain, ...servers] = section.split(/^### /m)
  const sigterm = codeOf(drain)
  const all = servers.map((part) => {
    const name = part.slice(0, part.indexOf('\n'))
    const code = codeOf(part)
    return {
      name,
      engine,
      code: code.includes("'SIGTERM'") ? code : `${code}\n${sigterm}`,
      refuses: name === 'Fastify',
    }
  })
  // A server without the name of another engine is one of Node.
  return all.filter(({ name }) => (name === 'Bun' ? 'Bun' : 'Node') === engine.name)
}

function codeOf(part = ''): string {
  const blocks = [...part.matchAll(/^```ts\n([\s\S]*?)^```$/gm)]
  if (blocks.length !== 1) throw new Error(`There are ${blocks.length} samples, not one, in: ${part}`)
  return blocks[0]?.[1] as string
}

const bundles = new Map<string, Promise<string>>()

/** One script of it, whose grace ends when the test says so; what the page does not say is from `surroundings.ts`. */
export function bundle(recipe: Recipe): Promise<string> {
  const made = bundles.get(recipe.name) ?? bundleOf(recipe)
  bundles.set(recipe.name, made)
  return made
}

async function bundleOf({ code, engine }: Recipe): Promise<string> {
  const grace = 'const GRACE_MS = 10_000\n'
  if (!code.includes(grace)) throw new Error(`The sample has no ${grace}`)
  const names = ['express', 'fastify', 'hono', 'koa', 'node']
  const shipped = (name: string) => `${root}${process.env.SRC ? `src/adapters/${name}.ts` : `dist/${name}.js`}`
  const { outputFiles } = await build({
    stdin: {
      contents: `import { save, source } from './surroundings.js'\n${code.replace(grace, `const GRACE_MS = ${GRACE_MS}\n`)}`,
      resolveDir: fileURLToPath(new URL('.', import.meta.url)),
      loader: 'ts',
    },
    bundle: true,
    write: false,
    platform: 'node',
    // Express is CommonJS and requires what Node has.
    format: engine.name === 'Bun' ? 'esm' : 'cjs',
    target: 'es2022',
    alias: Object.fromEntries(names.map((name) => [`sse-relay/${name}`, shipped(name)])),
    logLevel: 'silent',
  })
  return outputFiles[0]?.text ?? ''
}
