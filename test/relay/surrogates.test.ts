// Does a character arrive whole that a source hands over in two pieces?

import type { Protocol, SourceStream } from 'sse-relay'
import { parseSSE } from 'sse-relay/client'
import { createMemoryLog } from 'sse-relay/log'
import { openaiChat, parts, raw, text, uiMessage } from 'sse-relay/protocols'
import { relay } from 'sse-relay/web'
import { describe, expect, it, onTestFinished } from 'vitest'

const ROCKET = '🚀'
const HIGH = ROCKET.charAt(0)
const LOW = ROCKET.charAt(1)

/** The data of all events, but the sentinel. */
async function dataOf(chunks: SourceStream, protocol: Protocol = text(), options = {}): Promise<string[]> {
  const response = await relay(new Request('http://localhost/', { method: 'POST' }), () => chunks, {
    protocol,
    ...options,
  })
  const data: string[] = []
  for await (const event of parseSSE(response)) data.push(event.data)
  return data
}

const textOf = (data: string[]) => data.map((json) => JSON.parse(json).text ?? '')

describe('a piece of text that ends with half a character', () => {
  it('keeps the half for the next piece, and what comes between is no end of the text', async () => {
    const usage = { type: 'usage', usage: { outputTokens: 1 } }
    expect(textOf(await dataOf([`to the ${HIGH}`, usage, '', `${LOW} now`]))).toEqual(['to the ', `${ROCKET} now`])
  })

  it('has nothing to send where it is the half alone', async () => {
    expect(textOf(await dataOf([HIGH, LOW, HIGH, LOW + HIGH, LOW]))).toEqual([ROCKET, ROCKET, ROCKET])
  })

  it('has U+FFFD for a half whose other never comes, at the end and before', async () => {
    expect(textOf(await dataOf([`a${HIGH}`, 'b', LOW, `c${HIGH}`]))).toEqual(['a', '\ufffdb', '\ufffd', 'c', '\ufffd'])
  })

  it('is told whole in the summary', async () => {
    let told = ''
    const onEnd = (summary: { text: string }) => {
      told = summary.text
    }
    await dataOf([`a${HIGH}`, LOW, HIGH], text(), { onEnd })
    expect(told).toBe(`a${ROCKET}\ufffd`)
  })

  it('is the same in a run that is kept', async () => {
    const log = createMemoryLog()
    onTestFinished(() => log.close())
    expect(textOf(await dataOf([HIGH, LOW], text(), { log, owner: 'ann' }))).toEqual([ROCKET])
  })
})

it.each([
  ['openaiChat', openaiChat()],
  ['uiMessage', uiMessage()],
  ['parts', parts()],
])('no event of %s holds a lone half, of text, reasoning or the input of calls side by side', async (_, protocol) => {
  const data = await dataOf(
    [
      { type: 'reasoning', text: `x${HIGH}` },
      { type: 'reasoning', text: `${LOW}y` },
      { type: 'text', text: `x${HIGH}` },
      { type: 'text', text: `${LOW}y` },
      { type: 'tool-call', index: 0, id: 'a', name: 'go', input: `{"to":"${HIGH}` },
      { type: 'tool-call', index: 1, id: 'b', name: 'go', input: `{"to":"${HIGH}` },
      { type: 'tool-call', index: 0, input: `${LOW}"}`, done: true },
      { type: 'tool-call', index: 1, input: `${LOW}"}`, done: true },
      { type: 'tool-call', index: 2, id: 'c', name: 'go', input: `"${HIGH}`, done: true },
    ],
    protocol,
  )
  // A lone half is written as an escape.
  expect(data.join('')).not.toMatch(/\\ud[89a-f]/i)
  expect(data.join('')).toContain(ROCKET)
})

describe('an own event whose data ends with half a character', () => {
  it('keeps the half for the next of its name', async () => {
    const data = await dataOf([
      { event: 'a', data: `1${HIGH}` },
      { event: 'b', data: HIGH },
      { event: 'a', data: `${LOW}2` },
      { event: 'b', data: LOW },
      { data: `3${HIGH}` },
    ])
    expect(data).toEqual(['1', `${ROCKET}2`, ROCKET, '3', '\ufffd'])
  })

  it('leaves JSON to its escapes, which a client puts together', async () => {
    const data = await dataOf([{ data: { text: HIGH } }, { data: { text: LOW } }])
    expect(data.map((json) => JSON.parse(json).text).join('')).toBe(ROCKET)
  })
})

it('a chunk that raw() sends is sent as it came', async () => {
  const chunk = (content: string, finish: string | null = null) => ({
    choices: [{ index: 0, delta: { content }, finish_reason: finish }],
  })
  const data = await dataOf([chunk(HIGH), chunk(LOW, 'stop')], raw())
  expect(data.map((json) => JSON.parse(json).choices[0].delta.content).join('')).toBe(ROCKET)
})
