// Processes that die with the one that started them, however that dies.
import { fork, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'

/** A Redis that keeps nothing, on a free port. */
export async function startRedis() {
  if (spawnSync('redis-server', ['--version']).status !== 0) throw new Error('redis-server is not installed')
  const port = await freePort()
  const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()]
  // The shell's input ends with this process, and then the shell ends Redis.
  const shell = spawn('sh', ['-c', '"$@" & read _; kill -9 $!; wait', 'sh', 'redis-server', ...args.map(String)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`redis-server does not come up: ${output}`)), 20_000)
    shell.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
      if (!output.includes('Ready to accept connections')) return
      clearTimeout(timer)
      resolve()
    })
  })
  return { port, close: () => shell.stdin.end() }
}

/** A process of ours that is killed and started again. It says `{ ready }` when it is up. */
export class Process {
  /** What it said with `ready`, while it is up. */
  ready
  kills = 0
  #child
  #file
  #args
  #onMessage

  constructor(file, args, onMessage) {
    this.#file = new URL(file, import.meta.url)
    this.#args = args.map(String)
    this.#onMessage = onMessage
  }

  start() {
    return new Promise((resolve, reject) => {
      // What it prints is no result: it goes where errors go.
      const child = fork(this.#file, this.#args, { stdio: ['ignore', 2, 2, 'ipc'] })
      this.#child = child
      child.on('message', (message) => {
        if (message.ready) {
          this.ready = message.ready
          resolve()
        } else this.#onMessage(message, this)
      })
      child.on('exit', (code, signal) => {
        if (signal === 'SIGKILL') return
        const error = `${this.#file.pathname} ended by itself, with ${code ?? signal}`
        reject(new Error(error))
        this.#onMessage({ failed: error }, this)
      })
    })
  }

  send(message) {
    this.#child.send(message, () => {})
  }

  /** Kills it as a crash does, and resolves when it is gone. */
  async kill() {
    if (!this.ready) return false
    this.ready = undefined
    this.kills++
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
    return true
  }

  close() {
    this.#child.kill('SIGKILL')
  }
}

/** For the child: ends it with its parent. */
export function endWithParent() {
  process.on('disconnect', () => process.exit())
}

/** For the child: says something to its parent. It may be gone. */
export function tell(message) {
  process.send(message, () => {})
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
