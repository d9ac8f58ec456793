// Whether clients of other people, as packages of Node, read from us what they read from a provider.
import { EventSource } from 'eventsource'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { describe, expect, it, vi } from 'vitest'
import { ENDS, expectHeard, expectOneRun, url } from './answering.js'
import { type Heard, hearEventSource } from './browsers/consumers.js'

describe('the package eventsource', () => {
  it.each(ENDS)('hears every event, and does not run the source again: %s', async (end) => {
    const name = `eventsource-${end}`
    expectHeard(await hearEventSource(new EventSource(`${url}/answer?end=${end}&by=${name}`)), end)
    expectOneRun(name)
  })
})

describe("eventsource-parser's stream", () => {
  it.each(ENDS)('gives every event: %s', async (end) => {
    const onComment = vi.fn()
    const { body } = await fetch(`${url}/answer?end=${end}`, { method: 'POST' })
    const heard: Heard[] = []
    const events = body
      ?.pipeThrough(new TextDecoderStream() as never)
      .pipeThrough(new EventSourceParserStream({ onComment }) as never)
    let id = ''
    for await (const message of events as unknown as AsyncIterable<{ event?: string; data: string; id?: string }>) {
      id = message.id ?? id
      heard.push({ event: message.event ?? 'message', data: message.data, id })
    }
    // An EventSource is told by an id that there is nothing more; nobody else needs one.
    expectHeard(heard, end, 'é-1')
    expect(onComment).toHaveBeenCalled()
  })
})
