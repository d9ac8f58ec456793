// Processes that are asked over their channel: client and server of a measurement share neither a heap nor a CPU time.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * Starts the module in a process of its own.
 *
 * @param {URL} module
 * @param {{ data?: object, onTell?: (message: object) => void, onError?: (text: string) => void }} options `data` is
 * given to the module; `onTell` takes what it tells unasked, `onError` what it writes to stderr.
 */
export function start(module, { data = {}, onTell, onError, execArgv = [] } = {}) {
  const child = fork(fileURLToPath(module), [JSON.stringify(data)], {
    execArgv,
    stdio: ['ignore', 'inherit', onError ? 'pipe' : 'inherit', 'ipc'],
  })
  const waiting = new Map()
  let asked = 0
  let exit
  child.stderr?.setEncoding('utf8').on('data', onError)
  child.on('message', ({ answerTo, answer, tell }) => {
    if (answerTo === undefined) {
      onTell?.(tell)
      return
    }
    waiting.get(answerTo)?.resolve(answer)
    waiting.delete(answerTo)
  })
  const exited = new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      exit = `${module.pathname.split('/').slice(-2).join('/')} ended with ${signal ?? `status ${code}`}`
      for (const { reject } of waiting.values()) reject(new Error(exit))
      waiting.clear()
      resolve({ code, signal })
    })
  })
  return {
    exited,
    /** Calls one of the functions the module serves. Rejects if the process ends, or after `limitMs`. */
    ask(name, argument, limitMs = 60_000) {
      if (exit) return Promise.reject(new Error(exit))
      const id = asked++
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${name} was not answered in ${limitMs} ms`)), limitMs)
        const settle = (how) => (value) => {
          clearTimeout(timer)
          how(value)
        }
        waiting.set(id, { resolve: settle(resolve), reject: settle(reject) })
        child.send({ id, name, argument }, (error) => error && waiting.get(id)?.reject(error))
      })
    },
    /** Ends the process, by force if it does not go. */
    async stop() {
      if (child.connected) child.disconnect()
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
      await exited
      clearTimeout(timer)
    },
  }
}

/** In such a process: what it was given. */
export const data = () => JSON.parse(process.argv[2])

/** In such a process: answers what it is asked with these functions, and ends with who started it. */
export function serve(functions) {
  process.on('message', async ({ id, name, argument }) => {
    const answer = await functions[name](argument)
    if (process.connected) process.send({ answerTo: id, answer })
  })
  process.on('disconnect', () => process.exit())
}

/** In such a process: tells something unasked. */
export function tell(message) {
  if (process.connected) process.send({ tell: message })
}
