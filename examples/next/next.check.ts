import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { freePort } from '../../scripts/free-port.mjs'
import { serve } from '../../test/hosts/runtimes/programs.js'
import { checkHost } from '../check-host.js'
import { versionOf } from '../installed.js'

const folder = fileURLToPath(new URL('.', import.meta.url))

checkHost(
  {
    host: 'Next.js',
    version: versionOf(folder, 'next'),
    example: 'next',
    start: async (env) =>
      serve(
        process.execPath,
        ['node_modules/next/dist/bin/next', 'start', '-H', '127.0.0.1', '-p', String(await freePort())],
        {
          cwd: folder,
          env,
        },
      ),
  },
  ({ server }) => {
    it('hears of the end of every run', () =>
      expect
        .poll(() => server().output.match(/"outcome":"(\w+)"/g))
        .toEqual(expect.arrayContaining(['"outcome":"disconnected"', '"outcome":"done"', '"outcome":"truncated"'])))
  },
)
