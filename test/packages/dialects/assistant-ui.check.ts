/** Does assistant-ui's own reader of UI message streams read what uiMessage() says? */
import { AssistantMessageAccumulator, UIMessageStreamDecoder, unstable_toolResultStream } from 'assistant-stream'
import { uiMessage } from 'sse-relay/protocols'
import { describe, expect, it } from 'vitest'
import { listening } from '../../serving.js'
import { answers, cutting, failing, pausing, refused, relaying, TEXT, TIME, WEATHER } from './serving.js'

const protocol = uiMessage({ client: 'assistant-ui' })

/** What the reader knows in the end, and the words of a failure, as its hook shows them. */
async function read(url: string) {
  const response = await fetch(url, { method: 'POST' })
  if (!response.ok) return { status: response.status, failure: await response.text() }
  let last: { parts: readonly object[]; status?: unknown } | undefined
  try {
    const messages = response.body
      ?.pipeThrough(new UIMessageStreamDecoder())
      .pipeThrough(new AssistantMessageAccumulator())
    for await (last of messages as unknown as AsyncIterable<typeof last>);
  } catch (error) {
    return { failure: (error as Error).message }
  }
  const { type, error } = (last?.status ?? {}) as { type?: string; error?: { message?: string } }
  const read = { status: 200, text: '', calls: [] as unknown[], end: type, failure: error?.message }
  for (const part of (last?.parts ?? []) as Record<string, unknown>[]) {
    if (part.type === 'text') read.text += part.text
    if (part.type === 'tool-call') read.calls.push([part.toolCallId, part.toolName, part.args])
  }
  return read
}

describe('assistant-stream', () => {
  it('reads text and calls, and knows that the answer is complete', async () => {
    expect(await read(await relaying(protocol, answers.text))).toMatchObject({ text: TEXT, end: 'complete' })
    expect(await read(await relaying(protocol, answers['parallel calls']))).toMatchObject({
      calls: [
        [WEATHER.id, WEATHER.name, JSON.parse(WEATHER.input)],
        [TIME.id, TIME.name, JSON.parse(TIME.input)],
      ],
    })
  })

  it('shows the text of a failure, before the answer and in it', async () => {
    const busy = /^The service is overloaded/
    expect(await read(await relaying(protocol, failing))).toMatchObject({
      end: 'incomplete',
      failure: expect.stringMatching(busy),
    })
    const { status, failure = '' } = await read(await relaying(protocol, refused))
    expect([status, JSON.parse(failure).error.message]).toEqual([503, expect.stringMatching(busy)])
  })

  it('does not take a cut for an answer', async () => {
    for (const how of ['end', 'reset'] as const)
      expect((await read(await cutting(protocol, answers.text, how))).failure).toBeTruthy()
  })

  it('asks for a call that waits for a person, and does not run it', async () => {
    const ran: unknown[] = []
    const tools = { [WEATHER.name]: { type: 'frontend', parameters: {}, execute: (input: unknown) => ran.push(input) } }
    const url = await relaying(protocol, [
      { type: 'tool-call', index: 0, ...WEATHER, done: true },
      { type: 'tool-call', index: 0, input: '', done: true, executed: true, approval: 'yes?' },
      { type: 'finish', reason: 'tool-calls' },
    ])
    const { body } = await fetch(url, { method: 'POST' })
    const messages = body
      ?.pipeThrough(new UIMessageStreamDecoder())
      .pipeThrough(unstable_toolResultStream(tools as never, new AbortController().signal, async () => undefined))
      .pipeThrough(new AssistantMessageAccumulator())
    let last: { parts: readonly object[] } | undefined
    for await (last of messages as unknown as AsyncIterable<typeof last>);
    expect(last?.parts).toMatchObject([{ toolCallId: WEATHER.id, approval: { id: 'yes?' } }])
    expect(ran).toEqual([])
  })

  it('bears heartbeats', async () => {
    const { source, go } = pausing()
    const reading = read(await relaying(protocol, source, { heartbeatMs: 5 }))
    setTimeout(go, 50)
    expect(await reading).toMatchObject({ end: 'complete' })
  })

  it('reads every answer of plain uiMessage(), but has words of its own for a failure', async () => {
    expect(await read(await relaying(uiMessage(), answers.text))).toMatchObject({ text: TEXT, end: 'complete' })
    expect((await read(await relaying(uiMessage(), failing))).failure).toBe('Unknown SSE event type: error')
  })

  // Why there is an option, and not one answer for all.
  it.each([
    ['an error without a name', '', 'Stream ended abruptly without receiving [DONE] marker'],
    ['an error without a name, and then one with it', 'event: error\ndata: {}\n\n', 'Unknown SSE event type: error'],
    ['an error without a name, and then [DONE]', 'data: [DONE]\n\n', 'our words'],
  ])('shows the text of a failure only where [DONE] comes after it: %s', async (_, after, shown) => {
    const url = await listening((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.end(`data: {"type":"start"}\n\ndata: {"type":"error","errorText":"our words"}\n\n${after}`)
    })
    expect((await read(url)).failure).toBe(shown)
  })
})
