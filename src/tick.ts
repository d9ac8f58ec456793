/** How is a task put off: to the end of this tick, or until after everything else that waits? */

const { process, setImmediate } = globalThis as {
  process?: { nextTick?(task: () => void): void }
  setImmediate?(task: () => void): unknown
}

/** A microtask comes before the next token of a source that is ready; a `nextTick` comes after all of them. */
const soon = process?.nextTick ?? queueMicrotask
/** Browsers have only timers to run something after everything else. */
const later = setImmediate ?? setTimeout

/** Flat: task, target, task, target. A function bound to each target would be garbage of every tick. */
let queue: unknown[] = []

/**
 * Calls `task(target)` once this tick is over: what a source yields in one tick makes one write. One queue for the
 * process: a `nextTick` for each stream took a tenth more time, in the bench row `relay + log, one a tick`.
 */
export function atTickEnd<T>(task: (target: T) => void, target: T): void {
  if (queue.push(task, target) === 2) soon(runQueue)
}

/** The same for a task that needs no target. */
export function callAtTickEnd(task: () => void): void {
  atTickEnd(call, task)
}

function call(task: () => void): void {
  task()
}

/** What a task adds runs in the next round, after all tasks of this one. So all writes come before the system calls. */
function runQueue(): void {
  const due = queue
  queue = []
  let index = 0
  try {
    for (; index < due.length; index += 2) (due[index] as (target: unknown) => void)(due[index + 1])
  } finally {
    // A task threw. The rest belong to other streams, and still run.
    if (index < due.length) requeue(due.slice(index + 2))
  }
}

function requeue(rest: unknown[]): void {
  if (rest.length > 0 && queue.length === 0) soon(runQueue)
  queue = [...rest, ...queue]
}

/** Resolves after everything that waits now, promises and Node's 'drain' events included. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    later(resolve)
  })
}

/** Lets the process exit while a timer waits, in runtimes where a timer would keep it running. */
export function unref(timer: unknown): void {
  ;(timer as { unref?(): void }).unref?.()
}
