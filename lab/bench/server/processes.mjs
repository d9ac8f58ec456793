// Child processes that are asked and answer.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const LIMIT_MS = 120_000

/** Starts a file of this folder, under the program of `wrapper` if there is one; `ask(task, more)` resolves to its answer, and rejects when it takes too long. */
export function start(file, args = [], nodeArguments = [], wrapper = []) {
  const [execPath, ...execArgv] = [...wrapper, process.execPath, ...nodeArguments]
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    execPath,
    execArgv,
    env: { ...process.env, NODE_ENV: 'production' },
  })
  const waiting = new Map()
  let count = 0
  child.on('message', ({ id, answer, failure }) => {
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    if (failure) reject(new Error(`${file} ${args.join(' ')}: ${failure}`))
    else resolve(answer)
  })
  child.on('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} ${args.join(' ')} exited with ${code}`))
    waiting.clear()
  })
  return {
    pid: child.pid,
    ask(task, more = {}) {
      const id = count++
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`${file} ${args.join(' ')}: no answer to ${task} in ${LIMIT_MS / 1000} s`)),
          LIMIT_MS,
        )
        const settled = (settle) => (value) => {
          clearTimeout(timer)
          settle(value)
        }
        waiting.set(id, { resolve: settled(resolve), reject: settled(reject) })
        child.send({ id, task, ...more })
      })
    },
    stop: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve()
        child.once('exit', resolve)
        // It ends when it hears no more of us. Killed would be the wrapper alone, and what it runs goes on for ever.
        if (child.connected) child.disconnect()
        setTimeout(() => child.kill('SIGKILL'), 5000).unref()
      }),
  }
}
