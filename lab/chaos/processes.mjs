// Processes that die with the one that started them, however that dies.
import { fork } from 'node:child_process'
import { once } from 'node:events'

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

  /** Stands still, and goes on. */
  async freeze(ms) {
    this.#child.kill('SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, ms))
    this.#child.kill('SIGCONT')
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
