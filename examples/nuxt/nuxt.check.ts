import { fileURLToPath } from 'node:url'
import { serve } from '../../test/hosts/runtimes/programs.js'
import { checkHost } from '../check-host.js'
import { versionOf } from '../installed.js'

const cwd = fileURLToPath(new URL('.', import.meta.url))

checkHost({
  host: 'Nuxt',
  version: versionOf(cwd, 'nuxt'),
  example: 'nuxt',
  start: (env) => serve(process.execPath, ['.output/server/index.mjs'], { cwd, env: { ...env, HOST: '127.0.0.1' } }),
})
