interface Listener {
  callbacks: Set<() => void>
  tell(): void
}

const listeners = new WeakMap<AbortSignal, Listener>()

/**
 * Calls back when the signal aborts; returns how to take that back. One listener a signal: with ten thousand on
 * the signal of a whole server, each end of a run would search through all of them.
 */
export function listen(signal: AbortSignal, callback: () => void): () => void {
  let listener = listeners.get(signal)
  if (!listener) {
    const callbacks = new Set<() => void>()
    const tell = () => {
      for (const each of callbacks) {
        try {
          each()
        } catch (error) {
          // Not at the cost of the others.
          console.error(error)
        }
      }
    }
    signal.addEventListener('abort', tell)
    listener = { callbacks, tell }
    listeners.set(signal, listener)
  }
  const { callbacks, tell } = listener
  callbacks.add(callback)
  return () => {
    if (callbacks.delete(callback) && callbacks.size === 0) {
      signal.removeEventListener('abort', tell)
      listeners.delete(signal)
    }
  }
}
