/** How clients that are not ours hear an answer, as one list. */
export interface Heard {
  event: string
  data: string
  id: string
}

/** As much of an `EventSource` as is needed: the browser's, or another. */
interface EventSourceLike {
  readonly readyState: number
  addEventListener(name: string, listener: (event: MessageEvent) => void): void
}

const CLOSED = 2

/** What an EventSource hears until it is closed by the answer to its reconnection. */
export function hearEventSource(source: EventSourceLike): Promise<Heard[]> {
  const heard: Heard[] = []
  return new Promise((resolve) => {
    const hear = ({ type, data, lastEventId }: MessageEvent) => heard.push({ event: type, data, id: lastEventId })
    source.addEventListener('message', hear)
    source.addEventListener('citation', hear)
    source.addEventListener('error', (event) => {
      // The server's own event of this name, or the loss of a connection, which is no message.
      if ('data' in event) hear(event)
      else if (source.readyState === CLOSED) resolve(heard)
    })
  })
}
