/** How do many runs listen to one signal? */

/**
 * Emptied when it is taken back: a table that a `Set` outgrew is garbage, and yet V8 keeps what it held until the next
 * full collection. A callback has a stream behind it, with its request, response and socket.
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
 * Calls back when the signal aborts; returns how to take that back. One listener a signal: with ten thousand on
 * the signal of a whole server, each end of a run would search through all of them.
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

/** The one there is, or a new one: made apart from any callback, which it would keep in its scope. */
function listenerOf(signal: AbortSignal): Listener {
  const known = listeners.get(signal)
  if (known) return known
  const entries = new Set<Entry>()
  const tell = () => {
    for (const { callback } of entries) {
      try {
        callback?.()
      } catch (error) {
        // Not at the cost of the others.
        console.error(error)
      }
    }
  }
  signal.addEventListener('abort', tell)
  const listener = { entries, tell }
  listeners.set(signal, listener)
  return listener
}
