/** How does something run in the context (`AsyncLocalStorage`) of the request it belongs to, whoever triggers it? */

/** The context that was there when it was made. */
export interface Scope {
  /** Runs the task now: in the context, where the runtime has a means to do that now. */
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

/** Workers refuse to enter one request's context from another's. A promise's reaction waits for its own request there. */
const isWorkers = navigator?.userAgent === 'Cloudflare-Workers'

// Not imported: browsers and some of the edge have no such module.
const AsyncResource = isWorkers ? undefined : process?.getBuiltinModule?.('node:async_hooks')?.AsyncResource

/** Where there is no such means: what a promise calls runs in the context in which `then` was called. */
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

/** Takes the context of here and now. One object for each open stream: the smallest there is. */
export function captureScope(): Scope {
  return AsyncResource ? new AsyncResource('sse-relay') : new Reaction()
}

/** Runs a task in a context: at once, or a microtask later where only a promise can do it. */
export function runIn(scope: Scope, task: () => void): void {
  if (scope instanceof Reaction) scope.runSoon(task)
  else scope.runInAsyncScope(task)
}
