/** Does anybody await what an adapter returned? If nobody does, its rejection would end the process. */
import { nextTurn } from './tick.js'

/** A promise that knows whether `then` was called, which `await`, `return` and `catch` do too. */
export class AwaitedPromise<T> extends Promise<T> {
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  isAwaited = false

  // biome-ignore lint/suspicious/noThenProperty: it is a promise
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.isAwaited = true
    return super.then(onFulfilled, onRejected)
  }
}

/**
 * The promise that an adapter returns. If somebody awaits it, it rejects with the error; otherwise `tell` gets the
 * error and the promise resolves to nothing. This is decided one turn of the event loop later: whoever wants the
 * promise awaits it by then.
 */
export function awaited<T>(
  begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
  tell: (error: unknown) => void,
): Promise<T> {
  const promise = new AwaitedPromise<T>((resolve, reject) => {
    begin(resolve, async (error) => {
      await nextTurn()
      if (promise.isAwaited) return reject(error)
      tell(error)
      resolve(undefined as T)
    })
  })
  return promise
}
