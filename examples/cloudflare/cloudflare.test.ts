import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { afterAll, describe, expect, it } from 'vitest'
import { bundle } from '../../test/client/browsers/engines.js'
import { isSkipped, runtimeProgram, serve } from '../../test/hosts/runtimes/programs.js'
import { checkHost } from '../check-host.js'

const workerd = await runtimeProgram('workerd')
const folder = mkdtempSync(join(tmpdir(), 'sse-relay-cloudflare-'))

/** What wrangler makes of its own settings for workerd, with a provider on this machine. */
function configOf(env: Record<string, string>): string {
  const path = new URL('wrangler.jsonc', import.meta.url).pathname
  const { compatibility_date: date } = ts.parseConfigFileTextToJson(path, readFileSync(path, 'utf8')).config
  const bindings = ['ANTHROPIC_API_KEY', 'ANTHROPIC_BASE_URL'].map((name) => ({ name, text: env[name] }))
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker", esModule = embed "worker.js")],
      compatibilityDate = ${JSON.stringify(date)},
      bindings = [${bindings.map(({ name, text }) => `(name = "${name}", text = ${JSON.stringify(text)})`)}],
    )),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`
}

describe.skipIf(isSkipped(workerd))('the example for Cloudflare Workers', () => {
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  checkHost(
    {
      host: 'workerd',
      version: workerd.version,
      example: 'cloudflare',
      async start(env) {
        if (!workerd.path) throw new Error(workerd.missing)
        writeFileSync(join(folder, 'worker.js'), await bundle(new URL('worker.js', import.meta.url), 'esm'))
        writeFileSync(join(folder, 'config.capnp'), configOf(env))
        return serve(workerd.path, ['serve', '--control-fd=1', join(folder, 'config.capnp')])
      },
    },
    ({ server }) => {
      it('hears of the end of every run, also when the reader has left', () =>
        expect
          .poll(
            () =>
              server()
                .output.match(/"outcome":"(\w+)"/g)
                ?.sort(),
            { timeout: 10_000 },
          )
          .toEqual(expect.arrayContaining(['"outcome":"disconnected"', '"outcome":"done"', '"outcome":"truncated"'])))
    },
  )
})
