/** What is said of a mistake? One table over everything that is exported: the value it was given, and what to do. */
import { EventEmitter } from 'node:events'
import { createServer, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import Fastify from 'fastify'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { createClient } from 'redis'
import {
  encodeComment,
  encodeEvent,
  RelayError,
  relay as relayOfRoot,
  resume as resumeOfRoot,
  toParts,
} from 'sse-relay'
import { createParser, fetchSSE, parseSSE, readText } from 'sse-relay/client'
import { relay as relayOnExpress } from 'sse-relay/express'
import { relay as relayOnFastify } from 'sse-relay/fastify'
import { relay as relayOnHono } from 'sse-relay/hono'
import { relay as relayOnKoa } from 'sse-relay/koa'
import { createLog, createMemoryLog, type Log, record } from 'sse-relay/log'
import { relay as relayOnNode } from 'sse-relay/node'
import { agui, anthropicMessages, openaiChat, openaiResponses, parts, raw, text, uiMessage } from 'sse-relay/protocols'
import { type UseRelayOptions, useRelay } from 'sse-relay/react'
import { createRedisLog } from 'sse-relay/redis'
import { collect, openClient, replayUpstream, tokens } from 'sse-relay/testing'
import { relay, resume } from 'sse-relay/web'
import { expect, it, vi } from 'vitest'
import { run as demo } from '../../src/cli/demo/command.js'
import { run as doctor } from '../../src/cli/doctor/command.js'
import { run as tail } from '../../src/cli/tail.js'

/** What JavaScript lets one write, and TypeScript would not. */
// biome-ignore lint/suspicious/noExplicitAny: that is what this is
const js = (value: unknown): any => value
const RUN = 'run-of-a-test-0001'
const log = createMemoryLog()
const request = (headers = {}) => new Request('http://localhost/', { method: 'POST', headers })

/** What `onError` is told of it; the reader gets a 500 and nothing else. */
async function told(call: (onError: (error: unknown) => void) => Promise<Response>): Promise<never> {
  const errors: unknown[] = []
  await collect(await call((error) => void errors.push(error)))
  throw errors[0]
}
/** What the console is told, where there are no options to hold an `onError`. */
async function printed(call: () => Promise<Response>): Promise<never> {
  const print = vi.spyOn(console, 'error').mockImplementation(() => {})
  await collect(await call())
  const [[error] = []] = print.mock.calls
  print.mockRestore()
  throw error
}
const relaying = (source: unknown, options: object = {}) =>
  told((onError) => relay(request(), js(source), { onError, ...options }))
const resuming = (options: object) => told((onError) => resume(request(), js({ onError, ...options })))

async function reading(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

/** What a hook's `onError` is told. */
function hooked(options: UseRelayOptions, body?: unknown): never {
  let error: unknown
  const onError = (told: unknown) => {
    error = told
  }
  let send: (body?: unknown) => void = () => {}
  const Chat = () => {
    send = useRelay('http://localhost/', { onError, ...options }).send
    return null
  }
  renderToString(createElement(Chat))
  send(body)
  throw error
}

/** A response that something else has begun. */
async function used(): Promise<never> {
  const errors: unknown[] = []
  const app = express().get('/', async (req, res) => {
    res.write('mine')
    await relayOnExpress(req, res, ['a'], { onError: (error) => void errors.push(error) })
    res.end()
  })
  const server = createServer(app).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)).text()
  server.close()
  throw errors[0]
}

/** A route that calls the relay of another host. */
async function onFastify(): Promise<never> {
  let error: unknown
  const app = Fastify()
  app.get('/', async (request, reply) => {
    await relayOnNode(js(request), js(reply), ['a']).catch((thrown) => {
      error = thrown
    })
    return 'over'
  })
  await app.inject('/')
  throw error
}

class Chunk {
  delta = 'a'
}
const cycle: Record<string, unknown> = {}
cycle.self = cycle

/** What one does, how, the value as it is shown, and the remedy. */
type Mistake = [string, () => unknown, value: string, remedy: string]
const mistakes: Mistake[] = [
  // A host.
  [
    'relay of the root',
    () => relayOfRoot(js({}), {}, 'x'),
    'no relay of its own',
    'the name of your server, sse-relay/express',
  ],
  [
    'resume of the root',
    () => resumeOfRoot(js({}), {}),
    'no resume of its own',
    '/fastify, /hono, /koa, /node or /web',
  ],
  ['a Web request on Node', () => relayOnNode(js(request()), js({}), []), 'no method writeHead', 'sse-relay/web'],
  ["Fastify's pair on Node", onFastify, 'no method writeHead', 'for sse-relay/fastify'],
  ['the arguments swapped', () => relayOnExpress(js({}), js({ headers: {} }), []), 'no headers', '(req, res, source'],
  [
    'a response and then its request',
    () => relayOnExpress(js(new ServerResponse(js({ method: 'GET' }))), js({ headers: {} }), []),
    'these two are swapped',
    '(req, res, source',
  ],
  [
    'a reply and then its request on Fastify',
    () => relayOnFastify(js({ raw: { writeHead() {} } }), js({ raw: { headers: {} } }), []),
    'these two are swapped',
    'hand on request and reply as they are',
  ],
  ["Node's pair on Fastify", () => relayOnFastify(js({}), js({}), []), 'no headers', 'are for sse-relay/node'],
  ["Hono's context on Koa", () => relayOnKoa(js({ req: request() }), []), 'no method writeHead', 'for sse-relay/hono'],
  [
    "Express's request on Hono",
    () => relayOnHono(js({ headers: {} }), []),
    'request cannot be an object (Object)',
    'for sse-relay/express',
  ],
  [
    'a Web request on Hono',
    () => relayOnHono(js(request()), []),
    'object (Request',
    'a context of Hono, relay(c, source)',
  ],
  ['an address as a request', () => relay(js('/api'), []), '"/api"', 'takes a Web Request'],
  ['a response that has begun', used, 'already written to', 'hand relay an untouched response'],

  // A source.
  ['a function that returns nothing', () => relaying(() => {}), 'undefined', 'Does the function return the stream'],
  ['a promise of nothing', () => relaying(Promise.resolve()), 'undefined', "give the provider's stream"],
  ['a function in a function', () => relaying(() => tokens), 'a function', 'and not what makes it'],
  ['an answer that is no stream', () => relaying({ choices: [] }), 'object (Object)', 'Is stream: true set?'],
  ['an emitter', () => relaying(new EventEmitter()), 'object (EventEmitter)', 'a function that returns it'],
  ['an instance that is no stream', () => relaying(new Chunk()), 'object (Chunk)', "give the provider's stream"],
  ['a stream that was read', readBefore, 'read before', 'create it in a function'],
  ['a body that was read', () => relaying(() => readResponse()), 'read already', 'clone the Response'],
  ['a page of HTML', () => relaying(html), '"text/html"', 'error.body'],
  ['one JSON text', () => relaying(() => Response.json({})), 'one JSON text', 'is stream: true set?'],
  ['an instance in the stream', () => relaying([new Chunk()]), '(Chunk) with the keys delta', "{ type: 'text', text }"],
  ['a Map in the stream', () => relaying([new Map()]), 'object (Map), an instance', 'or a plain object'],
  ['a Date in the stream', () => relaying([new Date()]), 'object (Date), an instance', 'yield a part of it'],
  ['numbers in the stream', () => relaying([42]), '42', 'yield strings or objects'],
  ['a function in the stream', () => relaying([() => 'a']), 'a function', 'yield strings or objects'],
  ['bytes in the stream', () => relaying(['a', new Uint8Array(2)]), 'bytes', 'through a TextDecoderStream'],
  ['a BigInt', () => relaying([{ event: 'count', data: 1n }]), 'BigInt', 'convert it first'],
  ['a cycle', () => relaying([cycle]), 'circular', 'convert it first'],
  ['an event named error', () => relaying([{ event: 'error', data: 1 }]), '"error"', 'throw the error'],
  ['a sentinel of its own', () => relaying([{ data: '[DONE]' }]), '[DONE]', 'return, and the relay will say it'],
  ['a line break in a name', () => relaying([{ event: 'a\nb', data: 1 }]), '"a\\nb"', 'take out line breaks'],
  ['a number to toParts', () => toParts(js(5)), '5', 'yield strings or objects'],

  // The options of relay, resume and record.
  ['options and then the source', () => printed(() => relay(request(), js({}), js(tokens))), 'a function', 'after the'],
  [
    'options and then a stream',
    () => printed(() => relay(request(), js({}), js(tokens('a')))),
    'object (',
    'after the',
  ],
  ['a source to resume', () => printed(() => resume(request(), js(tokens))), 'a function', 'resume takes no source'],
  ['options of record and then its source', () => record(js({ log }), js(tokens)), 'a function', 'after the source'],
  ['a misspelt option', () => relaying([], { heartbeatMS: 5 }), 'heartbeatMS', 'use heartbeatMs'],
  ['an option of another library', () => relaying([], { onFinish() {} }), 'onFinish', 'use onEnd'],
  ['an option that is nowhere', () => relaying([], { colour: 1 }), 'colour', 'there is protocol, requireFinish'],
  ['a list for options', () => relaying([], js(['a'])), 'no option 0', 'there is protocol'],
  ['a text for a time', () => relaying([], { heartbeatMs: '8s' }), '"8s"', 'a non-negative number of milliseconds'],
  ['a name for a protocol', () => relaying([], { protocol: 'text' }), '"text"', 'text() for example'],
  ['a protocol that was not called', () => relaying([], { protocol: text }), 'a function', 'text() for example'],
  [
    'a controller for a signal',
    () => relaying([], { signal: new AbortController() }),
    '(AbortController)',
    'AbortSignal',
  ],
  [
    'a header that HTTP does not allow',
    () => relaying([], { headers: { a: 'b\u0001' } }),
    'b\\u0001',
    'control characters',
  ],
  [
    'a log and no owner',
    () => relaying([], { log }),
    'owner cannot be undefined',
    "the user's id as a string, or null",
  ],
  ['a number for an owner', () => relaying([], { log, owner: 7 }), '7', 'String(id)'],
  ['a logger for a log', () => relaying([], { log: console }), 'that is a logger', 'use onError and onEnd'],
  ['a log that was not called', () => relaying([], { log: createMemoryLog }), 'a function', 'createMemoryLog()'],
  ['a client for a log', () => relaying([], { log: createClient() }), 'log cannot be', 'to createRedisLog'],
  ['an id that is short', () => relaying([], { log, owner: 'ann', runId: '7' }), '"7"', '16 to 128 of A-Z a-z'],
  [
    'resume without a log',
    () => resuming({ owner: 'ann' }),
    'log cannot be undefined',
    'createMemoryLog, createRedisLog',
  ],
  ['resume after nothing', () => resuming({ log, owner: 'ann', after: -1 }), '-1', 'the number of an event, from 0'],
  ['record without options', () => record([], js(undefined)), 'undefined', 'give an object'],
  ['record without an owner', () => record([], js({ log })), 'owner cannot be undefined', "the user's id"],

  // Logs.
  [
    'half a character in an owner',
    () => relaying([], { log, owner: 'ann\ud83d' }),
    'owner cannot be',
    'lone surrogate',
  ],
  ['half a character in who stops', () => log.stop(RUN, { owner: '\udc00' }), 'owner cannot be', 'give the id whole'],
  [
    'a client of redis 4 that answers by callbacks',
    () => createRedisLog(js({ sendCommand() {}, duplicate() {}, options: { legacyMode: true } })),
    'legacyMode',
    'client.duplicate({ legacyMode: false })',
  ],
  [
    'log.stop without options',
    () => log.stop(RUN, js(undefined)),
    'owner cannot be undefined',
    'log.stop(runId, { owner })',
  ],
  ['log.stop without an owner', () => log.stop(RUN, js({})), 'owner cannot be undefined', "give the user's id"],
  ['log.stop with a bare owner', () => log.stop(RUN, js('ann')), '"ann"', 'Write log.stop(runId, { owner })'],
  ['log.status with a bare owner', () => log.status(RUN, js('ann')), '"ann"', 'Write log.status(runId, { owner })'],
  ['log.create with null', () => log.create(RUN, js(null)), 'null', 'Write log.create(runId, { owner })'],
  [
    'a promise for a log',
    () => relaying([], { log: Promise.resolve(log), owner: 'ann' }),
    'a promise',
    'await it first',
  ],
  ['a promise for a store', () => createLog(js(Promise.resolve({}))), 'a promise', 'await it first'],
  ['a promise for a client', () => createRedisLog(js(Promise.resolve())), 'a promise', 'await it first'],
  ['a promise for a request', () => relay(js(Promise.resolve(request())), []), 'a promise', 'await it first'],
  ['a promise for an owner', () => relaying([], { log, owner: Promise.resolve('ann') }), 'a promise', 'await it first'],
  ['log.create with a bad id', () => log.create('x', { owner: 'ann' }), '"x"', 'give 16 to 128'],
  ['an option of a log', () => createMemoryLog(js({ ttl: 5 })), 'ttl', 'use ttlMs'],
  ['a Map for a store', () => createLog(js(new Map())), 'object (Map)', 'create, begin, append, get and read'],
  ['an address for a client', () => createRedisLog(js('redis://a')), '"redis://a"', 'createClient({ url })'],
  ...Object.entries({
    relay: (log: Log) => relaying([], { log, owner: 'ann' }),
    'relay of a named run': (log: Log) => relaying([], { log, owner: 'ann', runId: RUN }),
    resume: (log: Log) => resuming({ log, owner: 'ann', runId: RUN }),
    record: (log: Log) => record([], { log, owner: 'ann', runId: RUN }),
    'log.create': (log: Log) => log.create(RUN, { owner: 'ann' }),
    'log.stop': (log: Log) => log.stop(RUN, { owner: 'ann' }),
    'log.status': (log: Log) => log.status(RUN, { owner: 'ann' }),
  }).map(([where, use]): Mistake => {
    const make = () => use(createRedisLog(js(createClient())))
    return [`a client that is not connected, in ${where}`, make, 'is not connected', 'await client.connect()']
  }),

  // Protocols.
  ['an option of openaiChat', () => openaiChat(js({ modle: 'm' })), 'modle', 'use model'],
  ['a bare model', () => anthropicMessages(js('claude')), '"claude"', 'give an object'],
  ['a number for a model', () => openaiResponses(js({ model: 7 })), '7', 'give a string'],
  ['a number for a thread', () => agui(js({ threadId: 7 })), '7', 'give a string'],
  ['an object for metadata', () => uiMessage(js({ metadata: {} })), 'object (Object)', 'give a function'],
  ['another client for raw', () => raw(js({ client: 'gemini' })), '"gemini"', "give 'google-genai'"],
  ['options where there are none', () => text(js({ model: 'm' })), 'text has no option model', 'there is none'],
  ['and for parts', () => parts(js({ toolResults: true })), 'parts has no option toolResults', 'there is none'],

  // The codec and the client.
  ['a number to encodeEvent', () => encodeEvent(js({ data: 5 })), '5 (number)', 'JSON.stringify(value)'],
  ['nothing to encodeEvent', () => encodeEvent(js(undefined)), 'data cannot be undefined', 'give a string'],
  ['a number to encodeComment', () => encodeComment(js(5)), '5 (number)', 'give a string'],
  ['an address to parseSSE', () => reading(parseSSE('/api/chat')), '"/api/chat"', 'an address is for fetchSSE'],
  ['a promise to parseSSE', () => reading(parseSSE(js(Promise.resolve()))), 'a promise', 'give an awaited Response'],
  ['a page of HTML to readText', () => reading(readText(html())), '"text/html"', 'error.body'],
  ['a body that was read before', async () => reading(parseSSE(await readResponse())), 'read already', 'clone'],
  ['a stream that is read twice', twice, 'read before', 'read it in one loop'],
  ['another dialect', () => reading(readText(UI_MESSAGE)), 'UI messages', 'read them with useChat'],
  ['events that readText does not know', () => reading(readText(UNKNOWN)), 'the keys delta', 'with parseSSE'],
  ['an option of fetchSSE', () => fetchSSE('/', js({ resumeURL: '/' })), 'resumeURL', 'use resumeUrl'],
  ...(
    [
      ['of EventSource', { withCredentials: true }, 'withCredentials', "use credentials: 'include'"],
      ['of axios', { data: {} }, 'data', 'use body'],
      ['of ky', { json: {} }, 'json', 'use body'],
      ['that fetch has otherwise', { header: {} }, 'header', 'use headers'],
      ['of fetch-event-source', { onmessage() {} }, 'onmessage', 'use a loop over the events, in try and catch'],
      ['of fetch-event-source for errors', { onerror() {} }, 'onerror', 'try and catch'],
      ['of the server', { retryMs: 5 }, 'retryMs', 'use retryForMs'],
      ['that counts', { retries: 5 }, 'retries', 'use maxRetries'],
      ['of a time', { timeoutMs: 5 }, 'timeoutMs', 'use idleTimeoutMs'],
      ['of an address to resume', { resume: '/' }, 'resume', 'use resumeUrl'],
      ['of an address to stop', { stop: '/' }, 'stop', 'use stopUrl'],
      ['beside the body', { messages: [] }, 'messages', 'use body'],
    ] as const
  ).map(
    ([whose, options, name, remedy]) =>
      [`a name ${whose}`, () => fetchSSE('/', js(options)), `no option ${name}`, remedy] as [
        string,
        () => unknown,
        string,
        string,
      ],
  ),
  ['a text for a time of the client', () => fetchSSE('/', js({ retryForMs: '5000' })), '"5000"', 'give a number'],
  ['a number for a sentinel', () => parseSSE('', js({ sentinel: 5 })), 'sentinel cannot be 5', 'a function, or false'],
  ['a number for a stopUrl', () => fetchSSE('/', js({ stopUrl: 5 })), 'stopUrl cannot be 5', 'give an address'],
  ['a number for a run', () => fetchSSE('/', js({ runId: 42 })), 'runId cannot be 42', 'give 16 to 128'],
  ['a text for a function', () => fetchSSE('/', js({ onOpen: 'x' })), 'onOpen cannot be "x"', 'give a function'],
  [
    'a controller for a signal of the client',
    () => fetchSSE('/', js({ signal: new AbortController() })),
    '(AbortController)',
    'give an AbortSignal',
  ],
  ['another word for eof', () => parseSSE('', js({ eof: 'keep' })), '"keep"', "give 'discard' or 'dispatch'"],
  ['a name of the server to useRelay', () => hooked(js({ retryMs: 5 })), 'retryMs', 'use retryForMs'],
  ['an id that no header carries', () => fetchSSE('/', { lastEventId: 'a\nb' }), '"a\\nb"', 'no control characters'],
  ['a part of an address, outside of a page', () => reading(fetchSSE('/api')), '/api', 'a whole URL, https://'],
  [
    'an address without http:',
    () => reading(fetchSSE('localhost:3000/api')),
    'cannot be sent',
    'a whole URL, https://',
  ],
  ['a body and no method', () => fetchSSE('/', { body: '{}' }), 'GET with a body', "give 'POST'"],
  ['a parser without onEvent', () => createParser(js(() => {})), 'createParser', 'takes { onEvent }'],
  [
    'bytes to a parser',
    () => createParser({ onEvent() {} }).feed(js(new Uint8Array(1))),
    'feed takes text',
    'no bytes',
  ],
  ['an option of useRelay', () => hooked(js({ ondone() {} })), 'ondone', 'use onDone'],
  ['a body that GET cannot have', () => hooked({ method: 'GET' }, { a: 1 }), 'GET with a body', "give 'POST'"],

  // For tests, and the command line.
  ['an option of replayUpstream', () => replayUpstream(js({ pauseMS: 5 })), 'pauseMS', 'use pauseMs'],
  ['a trace that is not there', () => replayUpstream({ trace: 'none' }), '"none"', 'give the path of a file'],
  ['an option of openClient', () => openClient('http://a', js({ header: {} })), 'header', 'use headers'],
  ['an address to collect', () => collect(js('http://localhost/')), '"http://localhost/"', 'an awaited Response'],
  ['an option of doctor', () => doctor(['a', '--orgin', 'b']), '--orgin', 'did you mean --origin?'],
  ['a header without a colon', () => doctor(['a', '-H', 'b']), '"b" is no header', "write 'name: value'"],
  ['two addresses', () => tail(['a', 'b']), '"b"', 'One address at a time'],
  ['an address that is no HTTP', () => tail(['ftp://a']), '"ftp://a"', 'an address with http: or https:'],
  ['a port that is none', () => demo(['--port', '70000']), '"70000"', 'port'],
]

async function readBefore(): Promise<never> {
  const stream = tokens('a')
  await collect(await relay(request(), stream))
  return relaying(stream)
}

async function readResponse(): Promise<Response> {
  const response = new Response('data: a\n\n', { headers: { 'content-type': 'text/event-stream' } })
  await response.text()
  return response
}

const html = () => new Response('<html>', { headers: { 'content-type': 'text/html' } })
const UI_MESSAGE = 'data: {"type":"text-delta","id":"0","delta":"a"}\n\ndata: [DONE]\n\n'
const UNKNOWN = 'data: {"delta":"a"}\n\ndata: [DONE]\n\n'

async function twice(): Promise<void> {
  const stream = parseSSE('data: a\n\ndata: [DONE]\n\n')
  await reading(stream)
  await reading(stream)
}

it('there are fifty mistakes and more', () => {
  expect(mistakes.length).toBeGreaterThan(50)
  expect(new Set(mistakes.map(([name]) => name)).size).toBe(mistakes.length)
})

it.each(mistakes)('%s is told with the value and the remedy', async (_, make, value, remedy) => {
  const error = await Promise.resolve()
    .then(make)
    .then(
      () => expect.fail('Nothing is said of it'),
      (error) => error,
    )
  expect(error).toBeInstanceOf(Error)
  expect(error.message).toContain(value)
  expect(error.message).toContain(remedy)
})

it('an error without a cause is printed without one', () => {
  for (const error of [new RelayError('a', 'b', { cause: undefined, status: 500 }), new RelayError('a', 'b')])
    expect('cause' in error).toBe(false)
  expect(Object.keys(new RelayError('a', 'b', { cause: 0 }))).not.toContain('cause')
  expect(new RelayError('a', 'b', { cause: 0 }).cause).toBe(0)
})
