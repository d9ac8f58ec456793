// Processes that are asked over their channel: client and server of a measurement share neither a heap nor a CPU time.
import { fork } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
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
      const answer = new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        child.send({ id, name, argument }, (error) => error && reject(error))
      })
      return within(answer, limitMs, `${name} to be answered`)
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

/**
 * What the promise resolves to, unless that takes longer. The time is that of this process: one that was stopped, or
 * had no turn on its machine, waits on from there.
 */
export async function within(promise, limitMs, what) {
  let timer
  const late = new Promise((_, reject) => {
    let rest = Math.ceil(limitMs / TICK_MS)
    timer = setInterval(() => --rest <= 0 && reject(new Error(`waited ${limitMs} ms for ${what}`)), TICK_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearInterval(timer)
  }
}

/** Whether the condition came to hold, looked at until the time, in the same sense, is over. */
export async function until(condition, limitMs) {
  for (let rest = Math.ceil(limitMs / POLL_MS); rest > 0; rest--) {
    if (await condition()) return true
    await wait(POLL_MS)
  }
  return condition()
}

const TICK_MS = 500
const POLL_MS = 50

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
