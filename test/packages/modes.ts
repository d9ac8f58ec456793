/** What arrives of a run in a mode of its own: an agent that waits for a person, hands on, or speaks with others at once. */
import { readUIMessageStream, simulateReadableStream, type UIMessage } from 'ai'
import type { Part, Source, Summary } from 'sse-relay'
import { parts, uiMessage } from 'sse-relay/protocols'
import { replayUpstream } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { afterEach, expect } from 'vitest'
import { type Answer, openaiChat, SECRET } from './wires.js'

export { AFTER, CALL, SECRET, TEXT } from './wires.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

/** An answer over OpenAI's chat completions, whole or without its end. */
export const says = (answer: Answer) => [...openaiChat(answer).body, ...openaiChat(answer).end].join('')
export const saysHalf = (answer: Answer) => openaiChat(answer).body.join('')
/** One that calls a tool. */
export const calls = (name: string, input = '{"city":"Oslo"}', id = '1'): Answer => ({
  id,
  reasoning: [],
  text: ['Let me see.'],
  call: { id: 'call_1', name, input: [input] },
})
export const text = (id: string, ...text: string[]): Answer => ({ id, reasoning: [], text })

/** A provider that gives these answers one after the other, slowly enough that two at once go by turns. */
export async function provider(...bodies: string[]): Promise<string> {
  const upstream = await replayUpstream()
  cleanups.push(() => upstream.close())
  for (const body of bodies) upstream.next({ body, pauseMs: 5 })
  return upstream.url
}

/** What a page of the AI SDK makes of a run that may go on with a message that it has. */
export async function shown(source: Source, before?: UIMessage): Promise<UIMessage> {
  const response = await relay(new Request('http://localhost/', { method: 'POST' }), source, {
    protocol: uiMessage(before && { originalMessages: [before] }),
    onError() {},
  })
  const wire = await response.text()
  expect(wire).not.toContain(SECRET)
  const chunks = [...wire.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json as string))
  const stream = simulateReadableStream({ chunks, initialDelayInMs: null, chunkDelayInMs: null })
  let message: UIMessage | undefined
  const known = before && { message: structuredClone(before) }
  for await (const one of readUIMessageStream({ stream, ...known, terminateOnError: true })) message = one
  return message as UIMessage
}

export interface Arrived extends Summary {
  parts: Part[]
  calls: Part[]
  results: Part[]
}

/** Everything that arrives, of which nothing is a secret. */
export async function arrive(source: Source): Promise<Arrived> {
  let end: (summary: Summary) => void
  const ended = new Promise<Summary>((resolve) => {
    end = resolve
  })
  const response = await relay(new Request('http://localhost/', { method: 'POST' }), source, {
    protocol: parts(),
    onEnd: (summary) => end(summary),
    onError() {},
  })
  const wire = await response.text()
  expect(wire).not.toContain(SECRET)
  const all = [...wire.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json as string) as Part)
  return {
    ...(await ended),
    parts: all,
    calls: all.filter(({ type }) => type === 'tool-call'),
    results: all.filter(({ type }) => type === 'tool-result'),
  }
}
