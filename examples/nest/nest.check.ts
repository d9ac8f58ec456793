import { fileURLToPath } from 'node:url'
import { it } from 'vitest'
import { serve } from '../../test/hosts/runtimes/programs.js'
import { checkHost } from '../check-host.js'
import { versionOf } from '../installed.js'

const cwd = fileURLToPath(new URL('.', import.meta.url))

checkHost(
  {
    host: 'NestJS',
    version: versionOf(cwd, '@nestjs/core'),
    example: 'nest',
    start: (env) => serve(process.execPath, ['build/main.js'], { cwd, env }),
  },
  ({ server, upstream, open }) => {
    it('ends its answers when it is asked to end, and then itself', async () => {
      upstream().next({ stallAfter: 4 })
      const client = open()
      await client.until('data: {"text":"Hello"}')
      server().terminate()
      await client.until('"code":"shutdown"')
      await server().ended
    })
  },
)
