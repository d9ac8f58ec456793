import { fileURLToPath } from 'node:url'
import { describe } from 'vitest'
import { isSkipped, runtimeProgram, serve } from '../../test/hosts/runtimes/programs.js'
import { checkHost } from '../check-host.js'

const bun = await runtimeProgram('Bun')

describe.skipIf(isSkipped(bun))('the example for Bun', () => {
  checkHost({
    host: 'Bun',
    version: bun.version,
    example: 'bun',
    start(env) {
      if (!bun.path) throw new Error(bun.missing)
      return serve(bun.path, [fileURLToPath(new URL('server.js', import.meta.url))], { env })
    },
  })
})
