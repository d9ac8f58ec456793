/** The clients that need a page, in one. */
import { fetchEventSource } from '@microsoft/fetch-event-source'
import { type Heard, hearEventSource } from './consumers.js'

/** Said by the line before this script. */
declare const PLACE: string

const answer = (client: string, end: string) => `/answer?end=${end}&by=${PLACE}-${client}-${end}`

async function hearFetchEventSource(url: string): Promise<Heard[]> {
  const heard: Heard[] = []
  await fetchEventSource(url, {
    method: 'POST',
    body: '{}',
    openWhenHidden: true,
    onmessage: ({ event, data, id }) => heard.push({ event, data, id }),
    onerror(error) {
      throw error
    },
  })
  return heard
}

async function run() {
  return {
    eventSource: {
      done: await hearEventSource(new EventSource(answer('event-source', 'done'))),
      error: await hearEventSource(new EventSource(answer('event-source', 'error'))),
    },
    fetchEventSource: {
      done: await hearFetchEventSource(answer('fetch-event-source', 'done')),
      error: await hearFetchEventSource(answer('fetch-event-source', 'error')),
    },
  }
}

const report = (body: unknown) => fetch(`/report?by=${PLACE}`, { method: 'POST', body: JSON.stringify(body) })
run().then(report, (error) => report({ error: String(error) }))
