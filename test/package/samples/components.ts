/** Components of React, Vue and Svelte as scripts for a page. The last two are not the repository's own: from npm. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { root } from './blocks.js'

const VERSIONS = { vue: '3.5.45', svelte: '5.57.3' }
const folder = join(root, 'node_modules/.cache/components')
const packages = Object.entries(VERSIONS).map(([name, version]) => `${name}@${version}`)
const mark = join(folder, `installed-${packages.join('-')}`)

/** Where their packages are; or why they are not there. */
export async function components(): Promise<{ folder: string; missing?: string }> {
  const modules = join(folder, 'node_modules')
  if (existsSync(mark)) return { folder: modules }
  mkdirSync(folder, { recursive: true })
  const command = ['install', '--prefix', folder, '--no-save', '--ignore-scripts', '--no-audit', ...packages]
  try {
    await promisify(execFile)('npm', command, { timeout: 120_000, shell: process.platform === 'win32' })
    writeFileSync(mark, '')
    return { folder: modules }
  } catch {
    return { folder: modules, missing: `they could not be installed: npm ${command.join(' ')}` }
  }
}

/** A script that puts the component into the page. */
export async function mounted(language: string, text: string, modules: string): Promise<string> {
  if (language === 'tsx') {
    return `${text}
      import { createRoot } from 'react-dom/client'
      createRoot(document.getElementById('app')!).render(<Chat />)`
  }
  const load = (name: string) => import(pathToFileURL(createRequire(join(modules, 'from.js')).resolve(name)).href)
  if (language === 'svelte') {
    const { compile } = await load('svelte/compiler')
    const { js, warnings } = compile(text, { generate: 'client', name: 'Chat' })
    if (warnings.length > 0) throw new Error(warnings.map(String).join('\n'))
    return `${js.code}
      import { mount } from 'svelte'
      mount(Chat, { target: document.getElementById('app') })`
  }
  const { parse, compileScript } = await load('vue/compiler-sfc')
  const { descriptor, errors } = parse(text)
  if (errors.length > 0) throw new Error(errors.map(String).join('\n'))
  const { content } = compileScript(descriptor, { id: 'chat', inlineTemplate: true, genDefaultAs: 'Chat' })
  return `${content}
    import { createApp } from 'vue'
    createApp(Chat).mount('#app')`
}
