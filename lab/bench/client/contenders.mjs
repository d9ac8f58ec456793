// Who reads. Each takes the chunks and tells how many events and characters of data came out.

/** Synchronous, strings. */
const parsers = {
  'sse-relay': async () => {
    const { createParser } = await import('sse-relay/client')
    return (count) => createParser({ onEvent: ({ data }) => count(data) })
  },
  'eventsource-parser': async () => {
    const { createParser } = await import('eventsource-parser')
    return (count) => createParser({ onEvent: ({ data }) => count(data) })
  },
}

/** From a body of bytes to events. */
const streams = {
  'sse-relay': async () => {
    const { parseSSE } = await import('sse-relay/client')
    return (body) => parseSSE(body, { sentinel: false })
  },
  'eventsource-parser': async () => {
    const { EventSourceParserStream } = await import('eventsource-parser/stream')
    return (body) => body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
  },
  'parse-sse': async () => {
    const { parseServerSentEvents } = await import('parse-sse')
    return (body) => parseServerSentEvents(answer(body))
  },
  'fetch-event-stream': async () => {
    const { events } = await import('fetch-event-stream')
    return (body) => events(answer(body))
  },
  openai: async () => {
    const { _iterSSEMessages } = await import('openai/core/streaming')
    return (body) => _iterSSEMessages(answer(body), new AbortController())
  },
}

export const PEERS = Object.keys(streams).filter((name) => name !== 'sse-relay')

function answer(body) {
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

/** A body that gives a chunk for each read. */
function bodyOf(chunks) {
  let at = 0
  return new ReadableStream(
    {
      pull(controller) {
        if (at < chunks.length) controller.enqueue(chunks[at++])
        else controller.close()
      },
    },
    { highWaterMark: 0 },
  )
}

/** A task to repeat: reads all chunks once, and tells what came. */
export async function reading(kind, name, chunks) {
  if (kind === 'parser') {
    const create = await parsers[name]()
    return () => {
      let events = 0
      let characters = 0
      const parser = create((data) => {
        events++
        characters += data.length
      })
      for (let at = 0; at < chunks.length; at++) parser.feed(chunks[at])
      return { events, characters }
    }
  }
  const open = await streams[name]()
  return async () => {
    let events = 0
    let characters = 0
    for await (const { data } of open(bodyOf(chunks))) {
      events++
      characters += data.length
    }
    return { events, characters }
  }
}
