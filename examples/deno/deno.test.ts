import { fileURLToPath } from 'node:url'
import { describe } from 'vitest'
import { isSkipped, runtimeProgram, serve } from '../../test/hosts/runtimes/programs.js'
import { checkHost } from '../check-host.js'

const deno = await runtimeProgram('Deno')

describe.skipIf(isSkipped(deno))('the example for Deno', () => {
  checkHost({
    host: 'Deno',
    version: deno.version,
    example: 'deno',
    start(env) {
      if (!deno.path) throw new Error(deno.missing)
      const script = fileURLToPath(new URL('server.js', import.meta.url))
      return serve(deno.path, ['run', '--allow-net', '--allow-env', script], { env })
    },
  })
})
