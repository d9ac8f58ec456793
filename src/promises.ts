/** Is a value here already, or does it come later? */

/** A value, or a promise of one: a store that answers at once costs no turn of the event loop. */
export type MaybePromise<T> = T | PromiseLike<T>

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/** For a promise whose result nobody needs. */
export function ignore(): void {}

/** Calls `done` with a value now, or when its promise resolves. What `done` throws goes to `failed` as well. */
export function settle<T>(
  attempt: () => MaybePromise<T>,
  done: (value: T) => void,
  failed: (error: unknown) => void,
): void {
  try {
    const value = attempt()
    // A thenable of a database may call back twice; a promise of it does not.
    if (isThenable(value))
      Promise.resolve(value as PromiseLike<T>)
        .then(done)
        .then(undefined, failed)
    else done(value as T)
  } catch (error) {
    failed(error)
  }
}
