/** How does something run in the context (`AsyncLocalStorage`) of the request it belongs to, whoever triggers it? */

/** The context that was current when the scope was made. */
export interface Scope {
  /** Runs the task now, and in the context if the runtime can enter it synchronously. */
  runInAsyncScope<This, Given extends unknown[], T>(
    task: (this: This, ...given: Given) => T,
    self?: This,
    ...given: Given
  ): T
}

interface AsyncHooks {
  AsyncResource: new (name: string) => Scope
}

const { process, navigator } = globalThis as {
  process?: { getBuiltinModule?(name: string): AsyncHooks | undefined }
  navigator?: { userAgent?: string }
}

/** Workers refuse to enter one request's context from another's; there a promise's reaction waits for its request. */
const isWorkers = navigator?.userAgent === 'Cloudflare-Workers'

// Not imported: browsers and some edge runtimes have no such module.
const AsyncResource = isWorkers ? undefined : process?.getBuiltinModule?.('node:async_hooks')?.AsyncResource

/** For runtimes without `AsyncResource`: a promise's reaction runs in the context in which `then` was called. */
class Reaction implements Scope {
  #tasks: (() => void)[] = []
  #wake!: () => void

  constructor() {
    this.#arm()
  }

  runInAsyncScope<This, Given extends unknown[], T>(
    task: (this: This, ...given: Given) => T,
    self?: This,
    ...given: Given
  ): T {
    return task.apply(self as This, given)
  }

  runSoon(task: () => void): void {
    this.#tasks.push(task)
    this.#wake()
  }

  #arm(): void {
    new Promise<void>((resolve) => {
      this.#wake = resolve
    }).then(() => {
      const tasks = this.#tasks
      this.#tasks = []
      this.#arm()
      for (const task of tasks) task()
    })
  }
}

/** Captures the current context. Every open stream holds one such object, so it is the smallest there is. */
export function captureScope(): Scope {
  return AsyncResource ? new AsyncResource('sse-relay') : new Reaction()
}

/** Runs a task in a context: at once, or a microtask later where only a promise can do it. */
export function runIn(scope: Scope, task: () => void): void {
  if (scope instanceof Reaction) scope.runSoon(task)
  else scope.runInAsyncScope(task)
}
