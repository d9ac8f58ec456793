// Whether doctor finds out what nginx does to an answer.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { relay } from 'sse-relay/node'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { freePort } from '../../../scripts/free-port.mjs'
import { scripted, serve } from './broken.js'
import { look, POST, tokens } from './look.js'

vi.setConfig({ testTimeout: 60_000 })

const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx', '/opt/homebrew/bin/nginx', '/usr/local/bin/nginx'].find(existsSync)
const NO_NGINX = 'no nginx found: install nginx-light'

describe.skipIf(!NGINX && !process.env.CI)(`in front of a good server, nginx${NGINX ? '' : ` (${NO_NGINX})`}`, () => {
  const servers: AsyncDisposable[] = []
  let nginx: ChildProcess | undefined
  let folder: string
  let proxy: string

  beforeAll(async () => {
    if (!NGINX) throw new Error(NO_NGINX)
    const relaying = await serve((req, res) => relay(req, res, tokens))
    const plain = await serve(scripted({ pauseMs: 150 }))
    servers.push(relaying, plain)
    const port = await freePort()
    folder = mkdtempSync(join(tmpdir(), 'sse-relay-nginx-'))
    mkdirSync(join(folder, 'temp'))
    const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path temp/${name};`)
    writeFileSync(
      join(folder, 'nginx.conf'),
      `daemon off; master_process off; pid nginx.pid; error_log stderr error;
      events {}
      http {
        access_log off; ${temp.join(' ')}
        server {
          listen 127.0.0.1:${port};
          location /relay { proxy_pass ${relaying.url}; }
          location /forced { proxy_pass ${relaying.url}; proxy_ignore_headers X-Accel-Buffering; }
          location /plain { proxy_pass ${plain.url}; }
          location /plain-off { proxy_pass ${plain.url}; proxy_buffering off; }
        }
      }`,
    )
    nginx = spawn(NGINX, ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: ['ignore', 'inherit', 'pipe'] })
    proxy = `http://127.0.0.1:${port}`
    await accepting(port, nginx)
  })
  afterAll(async () => {
    if (nginx && nginx.exitCode === null) {
      nginx.kill('SIGQUIT')
      await once(nginx, 'exit')
    }
    for (const server of servers) await server[Symbol.asyncDispose]()
    if (folder) rmSync(folder, { recursive: true, force: true })
  })

  it('lets a relay through as it comes', async () => {
    const { findings, observation } = await look(`${proxy}/relay`)
    expect(findings).toEqual([])
    expect(observation.arrivals.length).toBeGreaterThan(10)
    // What told it not to buffer stays here, so a second one would not be told.
    expect(observation.headers).not.toHaveProperty('x-accel-buffering')
  })

  it('is found when it is made to buffer', async () => {
    const { findings } = await look(`${proxy}/forced`, POST)
    expect(findings.map(({ code }) => code)).toEqual(['buffered'])
    expect(findings[0]?.fix).toContain('set proxy_buffering off')
  })

  it('is found to buffer, as it comes, what does not tell it not to, and no more when that is turned off', async () => {
    expect((await look(`${proxy}/plain`, POST)).codes).toEqual(['buffered'])
    expect((await look(`${proxy}/plain-off`, POST)).codes).toEqual([])
  })
})

/** Waits until somebody listens there. */
async function accepting(port: number, child: ChildProcess): Promise<void> {
  let said = ''
  child.stderr?.on('data', (bytes) => {
    said += bytes
  })
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${said}`)
    const socket = connect(port, '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    await wait(50)
  }
  throw new Error(`nginx does not listen on ${port}: ${said}`)
}
