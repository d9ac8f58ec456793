// Does a polyfill of EventSource, which sends the last event id in the query, run the prompt again?

import type { RelayOptions, Source } from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { tokens } from 'sse-relay/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hosts, start } from './hosts.js'

const RUN = 'run-of-a-polyfill-1'
const ask = (url: string, init?: RequestInit) =>
  fetch(url, { headers: { accept: 'text/event-stream' }, signal: AbortSignal.timeout(20_000), ...init })

describe.each(hosts.filter(({ httpVersion, tls }) => httpVersion === '1.1' && !tls))('$name', (host) => {
  async function serve(options: RelayOptions = {}) {
    let calls = 0
    const source: Source = () => {
      calls++
      return tokens('Hello')
    }
    const running = await start(host, { headers: [], answer: (relay) => relay(source, options) })
    onTestFinished(() => running.close())
    return { url: running.url, calls: () => calls }
  }

  it('answers 204 after the end, and asks nobody', async () => {
    const { url, calls } = await serve()
    const [, id = ''] = /^id: (.*:end)$/m.exec(await (await ask(url)).text()) ?? []
    expect(id).not.toBe('')
    for (const query of [`?lastEventId=${encodeURIComponent(id)}`, `?prompt=a&lastEventId=${id}&b=c`])
      expect((await ask(url + query)).status).toBe(204)
    expect(calls()).toBe(1)
    // A parameter of the application's own, and a request that no EventSource makes.
    for (const query of ['?lastEventId=7', `?my_lastEventId=${id}`, `?lastEventId=${id}2`])
      expect((await ask(url + query)).status).toBe(200)
    expect((await ask(`${url}?lastEventId=${id}`, { method: 'POST' })).status).toBe(200)
    expect(calls()).toBe(5)
  })

  it('sends the rest of a run that a log keeps', async () => {
    const { url, calls } = await serve({ log: createMemoryLog(), owner: null, runId: RUN })
    expect(await (await ask(url)).text()).toContain('Hello')
    const rest = await (await ask(`${url}?lastEventId=${RUN}%3A1`)).text()
    expect(rest).toBe(`id: ${RUN}:2\ndata: [DONE]\n\n`)
    expect(calls()).toBe(1)
  })
})
