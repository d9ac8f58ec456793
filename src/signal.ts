/** How do many runs listen to one signal? */

/**
 * One callback. It is cleared when it is removed: when a `Set` grows, V8 keeps the entries of its old table alive until
 * the next full garbage collection, and a callback refers to a stream, with its request, response and socket.
 */
interface Entry {
  callback: (() => void) | undefined
}

interface Listener {
  entries: Set<Entry>
  tell(): void
}

const listeners = new WeakMap<AbortSignal, Listener>()

/**
 * Calls back when the signal aborts; returns a function that removes the callback. One listener per signal: with ten
 * thousand on the signal of a whole server, each end of a run would search through all of them.
 */
export function listen(signal: AbortSignal, callback: () => void): () => void {
  const { entries, tell } = listenerOf(signal)
  const entry: Entry = { callback }
  entries.add(entry)
  return () => {
    entry.callback = undefined
    if (entries.delete(entry) && entries.size === 0) {
      signal.removeEventListener('abort', tell)
      listeners.delete(signal)
    }
  }
}

/**
 * The signal's listener, or a new one. It is made in its own function: made in `listen`, it would keep the callback
 * alive.
 */
function listenerOf(signal: AbortSignal): Listener {
  const known = listeners.get(signal)
  if (known) return known
  const entries = new Set<Entry>()
  const tell = () => {
    for (const { callback } of entries) {
      try {
        callback?.()
      } catch (error) {
        // The other callbacks still run.
        console.error(error)
      }
    }
  }
  signal.addEventListener('abort', tell)
  const listener = { entries, tell }
  listeners.set(signal, listener)
  return listener
}
