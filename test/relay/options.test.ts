/** What is every function told about an option that does not exist, or cannot be what it is? */
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { relayTo } from 'sse-relay'
import { createParser, fetchSSE, parseSSE, readText, SSEParserStream } from 'sse-relay/client'
import { createLog, createMemoryLog, record } from 'sse-relay/log'
import { agui, anthropicMessages, openaiChat, openaiResponses, raw, uiMessage } from 'sse-relay/protocols'
import { useRelay } from 'sse-relay/react'
import { createRedisLog } from 'sse-relay/redis'
import { adapterBehaviours, collect, flooding, openClient, replayUpstream, stalling, tokens } from 'sse-relay/testing'
import { relay, resume } from 'sse-relay/web'
import { describe, expect, it, vi } from 'vitest'

const RUN = 'run-of-a-test-0001'
const request = new Request('http://localhost/')
const log = createMemoryLog()
const kept = { log, owner: null }
const redis = { call: async () => null, duplicate: () => redis }
const store = { create: () => true, begin: () => true, append() {}, get: () => undefined, read: () => [] }

/** What a function throws, rejects with, or tells `onError`. */
const functions: Record<string, (options: object) => unknown> = {
  relay: (options) => told((onError) => relay(request, ['a'], { onError, ...options } as never)),
  resume: (options) => told((onError) => resume(request, { ...kept, runId: RUN, onError, ...options } as never)),
  record: (options) => record(['a'], { ...kept, ...options } as never),
  createMemoryLog: (options) => createMemoryLog(options),
  createRedisLog: (options) => createRedisLog(redis, options),
  'A store': (options) => createLog({ ...store, ...options } as never),
  'log.create': (options) => log.create(RUN, { owner: 'ann', ...options }),
  'log.stop': (options) => log.stop(RUN, { owner: 'ann', ...options }),
  'log.close': (options) => log.close(options),
  openaiChat: (options) => openaiChat(options),
  openaiResponses: (options) => openaiResponses(options),
  anthropicMessages: (options) => anthropicMessages(options),
  raw: (options) => raw(options),
  agui: (options) => agui(options),
  uiMessage: (options) => uiMessage(options),
  parseSSE: (options) => parseSSE('', options),
  fetchSSE: (options) => fetchSSE('http://localhost/', options),
  createParser: (options) => createParser({ onEvent() {}, ...options }),
  'createParser, as a stream': (options) => new SSEParserStream(options),
  useRelay: (options) => {
    const errors: unknown[] = []
    let send = () => {}
    const Chat = () => {
      send = useRelay('http://localhost/', { onError: (error) => void errors.push(error), ...options }).send
      return null
    }
    renderToString(createElement(Chat))
    send()
    throw errors[0]
  },
  'A replay': (options) => replayUpstream(options),
  tokens: (options) => tokens('a', options),
  stalling: (options) => stalling([], options),
  flooding: (options) => flooding(options),
  openClient: (options) => openClient('http://localhost/', options),
  run: (options) => adapterBehaviours[0]?.run({ listen: vi.fn() } as never, options),
}

async function told(answer: (onError: (error: unknown) => void) => Promise<Response>): Promise<void> {
  const errors: unknown[] = []
  const response = await answer((error) => errors.push(error))
  if (errors.length === 0) return
  expect(response.status).toBe(500)
  expect(await response.json()).toMatchObject({ error: { code: 'invalid-option' } })
  throw errors[0]
}

async function messageOf(name: string, options: object): Promise<string> {
  const error = await Promise.resolve()
    .then(() => functions[name]?.(options))
    .then(
      () => expect.fail(`${name} takes ${JSON.stringify(options)}`),
      (error) => error,
    )
  expect(error).toMatchObject({ code: 'invalid-option' })
  return error.message
}

it('an owner without a log is warned of, since nothing is kept', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
  const answer = await collect(await relay(new Request('http://localhost/'), ['Hi'], { owner: 'ann', log: undefined }))
  expect(answer).toMatchObject({ outcome: 'done', text: 'Hi' })
  expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('an owner and no log'))
})

describe('an option that does not exist', () => {
  it.each([
    ['relay', 'heartbeatMS', 'heartbeatMs'],
    ['relay', 'heartbeat', 'heartbeatMs'],
    ['relay', 'heartbeat_ms', 'heartbeatMs'],
    ['relay', 'hartbeatMs', 'heartbeatMs'],
    ['relay', 'keepAlive', 'heartbeatMs'],
    ['relay', 'keepAliveMs', 'heartbeatMs'],
    ['relay', 'onFinish', 'onEnd'],
    ['relay', 'onComplete', 'onEnd'],
    ['relay', 'onEror', 'onError'],
    ['relay', 'timeout', 'stallTimeoutMs or maxDurationMs'],
    ['relay', 'logger', 'onError or onEnd'],
    ['relay', 'retry', 'retryMs'],
    ['relay', 'userId', 'owner'],
    ['relay', 'abortSignal', 'signal'],
    ['relay', 'maxDuration', 'maxDurationMs'],
    ['relay', 'runID', 'runId'],
    ['resume', 'userId', 'owner'],
    ['resume', 'runid', 'runId'],
    ['record', 'onComplete', 'onEnd'],
    ['record', 'abandonMS', 'abandonMs'],
    ['createMemoryLog', 'ttl', 'ttlMs'],
    ['createMemoryLog', 'maxbytes', 'maxBytes'],
    ['createRedisLog', 'ttl', 'ttlMs'],
    ['createRedisLog', 'keyPrefix', 'prefix'],
    ['createRedisLog', 'timeout', 'timeoutMs'],
    ['A store', 'entrysize', 'entrySize'],
    ['log.create', 'userId', 'owner'],
    ['log.create', 'startMS', 'startMs'],
    ['log.stop', 'user', 'owner'],
    ['log.close', 'timeout', 'graceMs'],
    ['openaiChat', 'modle', 'model'],
    ['openaiChat', 'includeUsage', 'usage'],
    ['openaiResponses', 'Model', 'model'],
    ['agui', 'threadID', 'threadId'],
    ['uiMessage', 'messageID', 'messageId'],
    ['uiMessage', 'messageMetadata', 'metadata'],
    ['uiMessage', 'orginalMessages', 'originalMessages'],
    ['parseSSE', 'idleTimeoutMS', 'idleTimeoutMs'],
    ['parseSSE', 'sentinal', 'sentinel'],
    ['fetchSSE', 'resumeURL', 'resumeUrl'],
    ['fetchSSE', 'maxRetrys', 'maxRetries'],
    ['fetchSSE', 'onOpne', 'onOpen'],
    ['useRelay', 'ondone', 'onDone'],
    ['useRelay', 'resumeURL', 'resumeUrl'],
    ['A replay', 'pauseMS', 'pauseMs'],
    ['tokens', 'every', 'everyMs'],
    ['stalling', 'silnt', 'silent'],
    ['flooding', 'chunksize', 'chunkSize'],
    ['openClient', 'header', 'headers'],
    ['run', 'timeout', 'limitMs'],
  ])('of %s: for %s it says to use %s', async (name, given, meant) => {
    expect(await messageOf(name, { [given]: 5 })).toBe(`${name} has no option ${given}: use ${meant}`)
  })

  it.each(Object.keys(functions).filter((name) => !/^(fetchSSE|A store)$/.test(name)))(
    'of %s and is near to none is answered with those there are',
    async (name) => {
      const message = await messageOf(name, { q8w: 5 })
      expect(message).toMatch(/ has no option q8w: there is \w+/)
      expect(message).not.toMatch(/\brequest\b/)
    },
  )

  it('is a name of its own: what is inherited, a symbol or undefined is none', async () => {
    const options = Object.assign(Object.create({ heartbeatMS: 1 }), { [Symbol('x')]: 1, onFinish: undefined })
    expect((await relay(request, ['a'], options)).status).toBe(200)
  })

  it('of an instance is told, and its getters are options', async () => {
    class Options {
      heartbeatMS = 5
      get heartbeatMs() {
        return 1000
      }
    }
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    expect((await relay(request, ['a'], new Options())).status).toBe(500)
    expect(error.mock.calls.join()).toContain('use heartbeatMs')
    error.mockRestore()
  })

  it('may be one of relay where it is for resume or record, so that one object serves them', async () => {
    const options = { ...kept, requireFinish: true, abandonMs: 5, runId: RUN, heartbeatMs: 5 }
    expect((await resume(request, options)).status).toBe(204)
    await expect(record(['a'], options)).resolves.toMatchObject({ outcome: 'done' })
  })

  it('may be one of the host where it is for fetch, and a field of its own where it is a store', () => {
    const options = { cf: {}, next: {}, dispatcher: {}, onRequest() {}, agent: {}, size: 1 }
    expect(() => fetchSSE('http://localhost/', options as never)).not.toThrow()
    const others = { ...options, fetch, timeout: 5, retry: 1, json: {} }
    expect(() => fetchSSE('http://localhost/', others as never)).not.toThrow()
    expect(() => createLog({ ...store, closed: false, set: new Map(), runs: [], ready: true } as never)).not.toThrow()
  })

  it('does not make relayTo throw', () => {
    const sink = { open: vi.fn(), write: () => true, end() {}, destroy() {}, schedule() {} }
    const handle = relayTo(sink, ['a'], { heartbeatMS: 5, onError() {} } as never)
    expect(sink.open).toHaveBeenCalledWith(500, expect.anything())
    handle.drained()
  })
})

describe('a value that an option cannot have', () => {
  it.each<[string, string, unknown, string]>([
    ['relay', 'heartbeatMs', -1, '-1: give a non-negative number'],
    ['relay', 'onEnd', 'log', '"log": give a function'],
    ['resume', 'stallTimeoutMs', 0, '0: give a positive number'],
    ['record', 'requireFinish', 'no', '"no": give true or false'],
    ['createMemoryLog', 'maxBytes', 0, '0: give a positive number'],
    ['createMemoryLog', 'maxRuns', Number.NaN, 'NaN: give a positive number'],
    ['createMemoryLog', 'ttlMs', '5', '"5": give a positive number'],
    ['createMemoryLog', 'ttlMs', null, 'null: give a positive number'],
    ['createRedisLog', 'leaseMs', 1.5, '1.5: give a positive integer'],
    ['createRedisLog', 'prefix', '{a}', '"{a}": give a string without braces'],
    ['A store', 'close', 1, '1: give a function'],
    ['log.create', 'startMs', 0, '0: give a positive number'],
    ['log.close', 'graceMs', -1, '-1: give a non-negative number'],
    ['openaiChat', 'model', 7, '7: give a string'],
    ['openaiChat', 'usage', 'yes', '"yes": give true or false'],
    ['openaiResponses', 'model', 7, '7: give a string'],
    ['agui', 'runId', 7, '7: give a string'],
    ['uiMessage', 'metadata', {}, 'an object (Object): give a function'],
    ['uiMessage', 'client', 'ai-4', '"ai-4": give '],
    ['uiMessage', 'client', ['ai-5'], 'an object (Array): give '],
    ...['parseSSE', 'fetchSSE'].flatMap((name) =>
      ['idleTimeoutMs', 'eventTimeoutMs', 'maxEventSize'].flatMap((option) =>
        [0, -1, Number.NaN].map((value): [string, string, unknown, string] => [
          name,
          option,
          value,
          `${value}: give a positive number`,
        ]),
      ),
    ),
    ['A replay', 'delayMs', -1, '-1: give a non-negative number'],
    ['A replay', 'status', 42, '42: give a status'],
    ['tokens', 'everyMs', 'fast', '"fast": give a non-negative number'],
    ['stalling', 'signal', {}, 'an object (Object): give an AbortSignal'],
    ['flooding', 'chunkSize', 0, '0: give a positive number'],
    ['openClient', 'httpVersion', 2, "2: give '1.0', '1.1' or '2'"],
    ['run', 'limitMs', 0, '0: give a positive number'],
  ])('of %s: %s %o is named, with the remedy', async (name, option, value, rest) => {
    expect(await messageOf(name, { [option]: value })).toContain(`${option} cannot be ${rest}`)
  })

  it('is named by those who hand their options to parseSSE', async () => {
    expect(() => readText('', { idleTimeoutMs: -1 })).toThrow('idleTimeoutMs cannot be -1')
    expect(() => readText('', { idleTimeoutMS: 5 } as never)).toThrow('readText has no option idleTimeoutMS')
    await expect(collect('', { idleTimeout: 1 } as never)).rejects.toThrow('use idleTimeoutMs')
  })

  it('is no object at all', async () => {
    expect(() => createMemoryLog(null as never)).toThrow('options cannot be null: give an object')
    await expect(log.stop(RUN, 'ann' as never)).rejects.toThrow('options cannot be "ann": give an object')
    await expect(log.stop(RUN, undefined as never)).rejects.toThrow(/^owner cannot be undefined/)
  })
})
