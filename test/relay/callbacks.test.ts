// What may onError, onEnd and waitUntil do, whatever they return, throw or reject with?

import { RelayError, type RelayOptions, type Source } from 'sse-relay'
import { collect, flooding, throwing, tokens } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

const SECRET = 'sk-live-7f3a9c'
const RUN_ID = /^[A-Za-z0-9_-]{16,128}$/

const logged: unknown[] = []
const unhandled: unknown[] = []
const note = (error: unknown) => void unhandled.push(error)
beforeEach(() => {
  process.on('unhandledRejection', note)
  vi.spyOn(console, 'error').mockImplementation((...values) => void logged.push(...values))
})
afterEach(async () => {
  await new Promise(setImmediate)
  process.off('unhandledRejection', note)
  vi.restoreAllMocks()
  expect([unhandled.splice(0), logged.splice(0)]).toEqual([[], []])
})

const ask = async (source: Source, options: RelayOptions = {}) =>
  collect(await relay(new Request('http://localhost/'), source, options))
const bug = () => throwing(new Error(SECRET))
const lateBug = () => throwing(new Error(SECRET), ['Hello'])

describe('onError', () => {
  it.each([
    ['a text', () => 'Sorry'],
    ['a promise of words', async () => ({ message: 'Sorry' })],
    ['the error that it was given', (error: unknown) => error],
  ])('that returns %s shows nothing, and the console says what to return', async (_, onError) => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    expect(await ask(bug, { onError: onError as never })).toMatchObject({
      status: 500,
      error: { message: 'Something went wrong on the server.' },
    })
    expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('return { message }'))
  })

  it.each([
    [{ msg: 'Sorry' }, 'What onError returns has no option msg: there is status, code, message, retryable'],
    [{ message: 5 }, 'message cannot be 5: give a string'],
    [{ status: 200, message: 'Sorry' }, 'status cannot be 200: give a status from 400 to 599'],
  ])('that returns %j is told what is wrong with it', async (value, remedy) => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    expect(await ask(bug, { onError: () => value as never })).toMatchObject({
      status: 500,
      error: { code: 'internal' },
    })
    expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining(remedy))
  })

  it('that returns an error which is not meant for the client shows nothing of it', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {})
    const answer = await ask(bug, { onError: () => new Error(SECRET) as never })
    expect(JSON.stringify(answer)).not.toContain(SECRET)
    expect(answer).toMatchObject({ status: 500, error: { code: 'internal' } })
  })

  it('shows the RelayError that it returns, and an error that says expose', async () => {
    const busy = new RelayError('overload', 'Busy', { status: 503 })
    expect(await ask(bug, { onError: () => busy })).toMatchObject({ status: 503, error: { message: 'Busy' } })
    const exposed = Object.assign(new Error('Pay first'), { status: 402, expose: true })
    expect(await ask(bug, { onError: () => exposed as never })).toMatchObject({
      status: 402,
      error: { code: 'internal', message: 'Pay first' },
    })
  })

  it('that is missing is console.error, once', async () => {
    const error = new Error(SECRET)
    for (const chunks of [[], ['Hello']]) {
      expect(JSON.stringify(await ask(() => throwing(error, chunks)))).not.toContain(SECRET)
      expect(logged.splice(0)).toEqual([error])
    }
  })

  it('shows the rest of the usual when it returns a part', async () => {
    const limit = Object.assign(new Error(), { status: 429 })
    expect(await ask(() => throwing(limit), { onError: () => ({ message: 'Come back later' }) })).toMatchObject({
      status: 429,
      error: { code: 'rate-limit', message: 'Come back later', retryable: true },
    })
  })

  it.each([
    [{ status: 200 }],
    [{ status: 99 }],
    [{ code: '' }],
    [{ status: '402' }],
    [{ code: 7, message: {} }],
    ['no'],
    [null],
  ])('cannot break the answer by returning %j', async (value) => {
    const { status, error } = await ask(bug, { onError: () => value as never })
    expect({ status, code: error?.code, words: error?.message }).toMatchObject({
      status: 500,
      code: 'internal',
      words: expect.any(String),
    })
  })

  it('that throws after something was sent is written to the console, and the client is told', async () => {
    const thrown = new Error('in onError')
    const onError = () => {
      throw thrown
    }
    expect(await ask(lateBug, { onError })).toMatchObject({ text: 'Hello', error: { code: 'internal' } })
    expect(logged.splice(0)).toEqual([thrown])
  })

  it('may throw what cannot be printed, and the answer ends all the same', async () => {
    const nasty = new Error('mine')
    vi.spyOn(console, 'error').mockImplementation((value) => {
      if (value === nasty) throw new Error('no')
    })
    const onError = () => {
      throw nasty
    }
    expect(await ask(lateBug, { onError })).toMatchObject({ text: 'Hello', outcome: 'error' })
  })

  it('that rejects does not end the process', async () => {
    const rejection = new Error('in onError')
    expect((await ask(bug, { onError: (() => Promise.reject(rejection)) as never })).status).toBe(500)
    expect(logged.splice(0)).toEqual([rejection])
  })

  it('need show nothing of an error with expose: true, which keeps its status and message', async () => {
    const error = Object.assign(new Error('Your credit is used up'), { status: 402, expose: true })
    const shown = { error: { message: 'Your credit is used up' } }
    expect(await ask(() => throwing(error), { onError() {} })).toMatchObject({ status: 402, ...shown })
    expect(await ask(() => throwing(error, ['Hello']), { onError() {} })).toMatchObject(shown)
  })
})

describe('a signal', () => {
  it('that aborted before: the source is not asked', async () => {
    const source = vi.fn(() => tokens('Hello'))
    expect((await ask(source, { signal: AbortSignal.abort() })).status).toBe(409)
    expect((await ask(source, { shutdown: AbortSignal.abort() })).status).toBe(503)
    expect(source).not.toHaveBeenCalled()
  })

  it('with a RelayError as its reason ends the run with that code', async () => {
    const reason = new RelayError('quota-used', 'Your plan has no tokens left', { expose: true })
    const onError = vi.fn()
    expect((await ask(bug, { signal: AbortSignal.abort(reason), onError })).error).toMatchObject({
      code: 'quota-used',
      message: 'Your plan has no tokens left',
      retryable: false,
    })
    const failure = expect.objectContaining({ code: 'quota-used' })
    expect(onError).toHaveBeenCalledExactlyOnceWith(reason, expect.objectContaining({ failure, sent: false }))
    const onEnd = vi.fn()
    const signal = AbortSignal.abort(new RelayError('shutdown', SECRET))
    const answer = await ask(bug, { signal, onEnd, onError })
    expect([answer.status, onEnd.mock.lastCall?.[0].outcome]).toEqual([503, 'shutdown'])
    expect(JSON.stringify(answer)).not.toContain(SECRET)
    // An ending that someone decided on is no error.
    expect(onError).toHaveBeenCalledOnce()
  })

  it('with a RelayError as its reason shows what onError says, or is written to the console', async () => {
    const signal = AbortSignal.abort(new RelayError('first-token', 'No token within 300 ms', { status: 504 }))
    const onError = () => ({ message: 'Ask again' })
    expect(await ask(bug, { signal, onError })).toMatchObject({
      status: 504,
      error: { code: 'first-token', message: 'Ask again' },
    })
    await ask(bug, { signal })
    expect(logged.splice(0)).toEqual([signal.reason])
  })

  it.each([101, 204, 404.5, 999])('cannot make the status %i', async (status) => {
    const signal = AbortSignal.abort(new RelayError('truncated', 'x', { status }))
    const onError = () => {}
    expect(await ask(['Hello'], { signal, onError })).toMatchObject({ status: 502, error: { code: 'truncated' } })
  })

  it('that is over already leaves nothing on the one of the server', async () => {
    const shutdown = new AbortController()
    const added = vi.spyOn(shutdown.signal, 'addEventListener')
    expect((await ask(['x'], { signal: AbortSignal.abort(), shutdown: shutdown.signal })).status).toBe(409)
    expect(added).not.toHaveBeenCalled()
  })
})

describe('onEnd', () => {
  it('is given the whole summary', async () => {
    const onEnd = vi.fn()
    const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
    const chat = (content: string, finish_reason: string | null) => ({
      choices: [{ delta: { content }, finish_reason }],
    })
    await ask(() => [chat('Hello', null), chat(' there', 'length'), { choices: [], usage }], { onEnd })
    expect(onEnd.mock.calls).toEqual([
      [
        {
          outcome: 'done',
          events: 2,
          usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
          finishReason: 'length',
          text: 'Hello there',
          firstEventMs: expect.any(Number),
          durationMs: expect.any(Number),
          runId: expect.stringMatching(RUN_ID),
        },
      ],
    ])
  })

  it('is not waited for, and what it rejects with goes to onError', async () => {
    const failure = new Error('in onEnd')
    let reject: (error: Error) => void = () => {}
    const onEnd = () =>
      new Promise((_, no) => {
        reject = no
      })
    const onError = vi.fn()
    expect(await ask(() => tokens('Hello'), { onEnd, onError })).toMatchObject({ outcome: 'done', text: 'Hello' })
    expect(onError).not.toHaveBeenCalled()
    reject(failure)
    await vi.waitFor(() => expect(onError).toHaveBeenCalledOnce())
    expect(onError).toHaveBeenCalledWith(failure, { runId: expect.stringMatching(RUN_ID), sent: true })
  })

  it('that throws reaches the console without onError', async () => {
    const failure = new Error('in onEnd')
    const onEnd = () => {
      throw failure
    }
    expect(await ask(() => tokens('Hello'), { onEnd })).toMatchObject({ outcome: 'done', text: 'Hello' })
    await vi.waitFor(() => expect(logged.splice(0)).toEqual([failure]))
  })

  it('is given at most 1 MiB of text', async () => {
    const onEnd = vi.fn()
    await ask(() => flooding({ chunkSize: 50_000, total: 2 * 1024 * 1024 }), { onEnd })
    expect(onEnd.mock.lastCall?.[0].text).toHaveLength(1024 * 1024)
  })
})

it('the promise of waitUntil is settled also for a run that failed and an onEnd that rejects', async () => {
  const promises: Promise<unknown>[] = []
  const waitUntil = (promise: Promise<unknown>) => void promises.push(promise)
  await ask(lateBug, { waitUntil, onError() {}, onEnd: () => Promise.reject(new Error('in onEnd')) })
  expect(promises).toHaveLength(1)
  await promises[0]
})
