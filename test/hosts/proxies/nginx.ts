/** A real nginx, from the operating system, with a configuration of the test's and files of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../../scripts/free-port.mjs'

const PROGRAM = [process.env.NGINX_PATH, '/usr/sbin/nginx', '/usr/bin/nginx', '/opt/homebrew/bin/nginx'].find(
  (path) => path && existsSync(path),
)

/** Why there is none; undefined if there is one. */
export const missing = PROGRAM ? undefined : 'no nginx found: install nginx-light, or say where it is with NGINX_PATH'

/** Whether what needs it is skipped. In CI it runs all the same, and fails. */
export const isSkipped = missing !== undefined && !process.env.CI

export interface Nginx {
  readonly url: string
  close(): Promise<void>
}

/** One server of the configuration: what is inside `server { … }` besides `listen`. */
export interface NginxServer {
  /** After the address: `http2`. */
  listen?: string
  /** The lines, given where this server's requests go on to. */
  lines(upstream: string): string
}

/** Starts one nginx with a server that asks the upstream, on 127.0.0.1. */
export async function startNginx({ listen = '', lines }: NginxServer, upstream: string): Promise<Nginx> {
  if (!PROGRAM) throw new Error(missing)
  // A free port may be taken by the time nginx asks for it.
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      return await begin(PROGRAM, port, `listen 127.0.0.1:${port} ${listen};\n${lines(upstream)}`)
    } catch (error) {
      if (attempt === 3 || !/Address already in use/.test((error as Error).message)) throw error
    }
  }
}

async function begin(program: string, port: number, server: string): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'sse-relay-nginx-'))
  // Started as root it works as someone else, who has to get in.
  await chmod(folder, 0o755)
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off;
pid nginx.pid;
error_log stderr notice;
worker_processes 1;
events {}
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`).join('\n  ')}
  server {
    ${server}
  }
}
`,
  )
  const child = spawn(program, ['-p', folder, '-c', 'nginx.conf'], { stdio: ['ignore', 'ignore', 'pipe'] })
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const close = async () => {
    process.off('exit', kill)
    // At once, streams or not, and its worker with it.
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    await ready(child)
  } catch (error) {
    await close()
    throw error
  }
  return { url: `http://127.0.0.1:${port}/`, close }
}

/** Resolves when it has told that a worker was started: it listens since before that. */
function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    const why = (reason: string) => new Error(`nginx did not start (${reason}):\n${said}`)
    const timer = setTimeout(() => reject(why('in 20 s')), 20_000)
    child.stderr?.on('data', (bytes) => {
      said += bytes
      if (!/start worker process \d+/.test(said)) return
      clearTimeout(timer)
      resolve()
    })
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(why(error.message))
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      reject(why(`exit ${code ?? signal}`))
    })
  })
}
