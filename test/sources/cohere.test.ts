import { describe, expect, it } from 'vitest'
import { readAll } from './read-all.js'

const content = (type: string, pieces: object[]) => [
  { type: 'content-start', index: 0, delta: { message: { content: { type, [type]: '' } } } },
  ...pieces.map((piece) => ({ type: 'content-delta', index: 0, delta: { message: { content: piece } } })),
  { type: 'content-end', index: 0 },
]
const start = { type: 'message-start', id: 'c-1', delta: { message: { role: 'assistant', content: [] } } }
const said = [
  start,
  ...content('thinking', [{ thinking: 'Let me ' }, { thinking: 'think.' }]),
  ...content('text', [{ text: 'Hello ' }, { text: 'world' }]),
]
const end = (finishReason: string) => ({
  type: 'message-end',
  delta: {
    finishReason,
    usage: {
      billedUnits: { inputTokens: 20, outputTokens: 11 },
      tokens: { inputTokens: 25, outputTokens: 15 },
      cachedTokens: 5,
    },
  },
})

describe('a stream of Cohere', () => {
  it('is read in the camel case of the SDK and in the snake case of the wire', () => {
    const call = [
      {
        type: 'tool-call-start',
        index: 0,
        delta: { message: { toolCalls: { id: 'call_1', function: { name: 'weather', arguments: '' } } } },
      },
      { type: 'tool-call-delta', index: 0, delta: { message: { toolCalls: { function: { arguments: '{"city":' } } } } },
      { type: 'tool-call-delta', index: 0, delta: { message: { toolCalls: { function: { arguments: '"Oslo"}' } } } } },
      { type: 'tool-call-end', index: 0 },
    ]
    const camel = [...said, ...call, end('TOOL_CALL')]
    const snake = JSON.parse(
      JSON.stringify(camel).replace(/"(\w+?)([A-Z])(\w+)":/g, (_, a, b, c) => `"${a}_${b.toLowerCase()}${c}":`),
    )
    for (const chunks of [camel, snake]) {
      expect(readAll(chunks)).toMatchObject({
        proof: 'given',
        text: 'Hello world',
        reasoning: 'Let me think.',
        calls: [{ id: 'call_1', name: 'weather', input: '{"city":"Oslo"}', done: true }],
        usage: { inputTokens: 25, outputTokens: 15, cachedInputTokens: 5 },
        finishReason: 'tool-calls',
        signalOnly: 'Cohere',
      })
    }
  })

  it.each([
    ['COMPLETE', 'stop'],
    ['STOP_SEQUENCE', 'stop'],
    ['MAX_TOKENS', 'length'],
    ['ERROR_TOXIC', 'content-filter'],
  ])('that ends with %s is complete', (word, finishReason) => {
    expect(readAll([...said, end(word)])).toMatchObject({ finishReason, proof: 'given', errors: [] })
  })

  it.each(['ERROR', 'TIMEOUT'])('that ends with %s has failed', (word) => {
    expect(readAll([...said, end(word)]).errors).toHaveLength(1)
    expect(readAll([...said, end(word)]).proof).not.toBe('given')
  })

  it('that was cut has no proof', () => {
    expect(readAll(said).proof).toBe('missing')
  })

  it('has its plan as reasoning, its citations as data, and what was billed where no tokens are told', () => {
    const document = { id: 'd', title: 'A title' }
    const source = { type: 'document', id: 'd', document: { ...document, snippet: 'What it says' } }
    const citation = { start: 0, end: 5, text: 'Hello', sources: [source] }
    const read = readAll([
      start,
      { type: 'tool-plan-delta', delta: { message: { toolPlan: 'I will look.' } } },
      { type: 'citation-start', index: 0, delta: { message: { citations: citation } } },
      {
        type: 'message-end',
        delta: { finishReason: 'COMPLETE', usage: { billedUnits: { inputTokens: 1, outputTokens: 2 } } },
      },
    ])
    expect(read).toMatchObject({
      reasoning: 'I will look.',
      data: [['citation', { ...citation, sources: [{ type: 'document', id: 'd', document }] }]],
      usage: { inputTokens: 1, outputTokens: 2 },
    })
  })
})

describe('the events of Cohere’s version 1', () => {
  const end = (reason: string) => ({
    event_type: 'stream-end',
    is_finished: true,
    finish_reason: reason,
    response: {
      text: 'Hello',
      chat_history: [{ role: 'USER', message: 'SECRET' }],
      meta: { tokens: { input_tokens: 1, output_tokens: 2 } },
    },
  })
  const stream = [
    { event_type: 'stream-start', generation_id: 'g' },
    { event_type: 'text-generation', text: 'Hel', is_finished: false },
    { eventType: 'text-generation', text: 'lo' },
    { event_type: 'citation-generation', citations: [{ start: 0, end: 5, text: 'Hello' }] },
    { event_type: 'tool-calls-chunk', tool_call_delta: { index: 0, name: 'weather', parameters: '{"city":' } },
    { event_type: 'tool-calls-chunk', tool_call_delta: { index: 0, parameters: '"Oslo"}' } },
    { event_type: 'tool-calls-generation', tool_calls: [{ name: 'weather', parameters: { city: 'Oslo' } }] },
  ]

  it('are read in both spellings, and the history at their end stays here', () => {
    const told = readAll([...stream, end('COMPLETE')])
    expect(told).toMatchObject({
      text: 'Hello',
      calls: [{ name: 'weather', input: '{"city":"Oslo"}', done: true }],
      data: [['citation', { start: 0, end: 5, text: 'Hello' }]],
      usage: { inputTokens: 1, outputTokens: 2 },
      finishReason: 'tool-calls',
      proof: 'given',
    })
    expect(JSON.stringify(told)).not.toContain('SECRET')
    expect(readAll(stream).proof).toBe('missing')
    expect(readAll([...stream, end('ERROR')]).errors).toHaveLength(1)
  })
})
