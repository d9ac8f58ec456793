import { fileURLToPath } from 'node:url'
import { serve } from '../../test/hosts/runtimes/programs.js'
import { checkHost } from '../check-host.js'
import { versionOf } from '../installed.js'

const cwd = fileURLToPath(new URL('.', import.meta.url))

checkHost({
  host: 'SvelteKit',
  version: versionOf(cwd, '@sveltejs/kit'),
  example: 'sveltekit',
  start: (env) => serve(process.execPath, ['build'], { cwd, env: { ...env, HOST: '127.0.0.1' } }),
})
