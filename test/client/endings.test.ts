import * as protocols from 'sse-relay/protocols'
import { collect } from 'sse-relay/testing'
import { describe, expect, it } from 'vitest'

const failure = { code: 'overload', message: 'Busy.', retryable: true }

/** `raw()` has the provider's own last event. */
const { raw, ...own } = protocols
/** What each protocol says of an answer, without the sentinel that the relay writes after it. */
const wires = Object.entries(own).map(([name, protocol]) => {
  const encoder = protocol().encoder({ runId: 'r' })
  const begun = encoder.part({ type: 'text', text: 'Hello' })
  return {
    name,
    begun,
    complete: begun + encoder.end({ finishReason: 'stop' }),
    failed: begun + encoder.fail(failure),
  }
})
/** Those whose last event says it. */
const OWN = ['openaiResponses', 'anthropicMessages', 'agui']

describe('collect', () => {
  it.each(wires)('takes an answer in $name() for complete at the sentinel', async ({ complete }) => {
    const { outcome, error } = await collect(`${complete}data: [DONE]\n\n`)
    expect([outcome, error]).toEqual(['done', undefined])
  })

  it.each(wires)('knows the last event of $name(), if that says it', async ({ name, complete }) => {
    const { outcome, error, events } = await collect(complete)
    expect([outcome, error?.code]).toEqual(OWN.includes(name) ? ['done', undefined] : ['truncated', 'truncated'])
    // It is one of the events all the same.
    if (OWN.includes(name)) expect(events.at(-1)?.data).toMatch(/completed|message_stop|RUN_FINISHED/)
  })

  it.each(wires)('takes an answer in $name() that is cut for truncated', async ({ begun }) => {
    expect((await collect(begun)).outcome).toBe('truncated')
  })

  it.each(wires)('takes a failure in $name() for one', async ({ failed }) => {
    const { outcome, error } = await collect(failed)
    expect([outcome, error?.code]).toEqual(['error', 'overload'])
  })

  it.each([
    'data: {"type":"data","data":"RUN_FINISHED"}\n\n',
    'data: {"text":"{\\"type\\":\\"RUN_FINISHED\\"}"}\n\n',
    'data: {"type":"RUN_FINISHED"\n\n',
    'event: own\ndata: {"type":"RUN_FINISHED"}\n\n',
  ])('is not told of an end by %j', async (wire) => {
    expect((await collect(wire)).outcome).toBe('truncated')
  })
})
