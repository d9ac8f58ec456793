import { createReadStream } from 'node:fs'
import { relay as express } from 'sse-relay/express'
import { relay as fastify } from 'sse-relay/fastify'
import { relay as hono } from 'sse-relay/hono'
import { relay as koa } from 'sse-relay/koa'
import { createMemoryLog } from 'sse-relay/log'
import { relay as node } from 'sse-relay/node'
import { replayUpstream, tokens } from 'sse-relay/testing'
import { resume, relay as web } from 'sse-relay/web'
import { expect, it, onTestFinished, vi } from 'vitest'

const request = new Request('http://localhost/')

it.each<[string, () => Promise<unknown>, RegExp]>([
  ['a Web request on Node', () => node(request as never, {} as never, 'x'), /\(req, res, source.*sse-relay\/web/],
  ['nothing on Node', () => node(undefined as never, undefined as never, 'x'), /\(req, res, source/],
  ['the response first on Express', () => express({} as never, {} as never, 'x'), /\(req, res, source/],
  ["Node's request on the web", () => web({ headers: {} } as never, 'x'), /Web Request.*sse-relay\/node/],
  ["Node's pair on Fastify", () => fastify({} as never, {} as never, 'x'), /\(request, reply, source.*sse-relay\/node/],
  ['nothing on Fastify', () => fastify(undefined as never, undefined as never, 'x'), /\(request, reply, source/],
  ["Hono's context on Koa", () => koa({ req: request } as never, 'x'), /context of Koa.*sse-relay\/hono/],
  ['nothing on Koa', () => koa(undefined as never, 'x'), /context of Koa/],
  ["Express's request on Hono", () => hono({ headers: {} } as never, 'x'), /context of Hono.*sse-relay\/express/],
])('%s is a mistake that says where it belongs', async (_, call, message) => {
  await expect(call()).rejects.toMatchObject({
    name: 'TypeError',
    code: 'invalid-option',
    message: expect.stringMatching(message),
  })
})

it('a source of tests is read once, as an SDK is', async () => {
  const onError = vi.fn()
  const source = tokens('a b')
  expect((await web(request, source)).status).toBe(200)
  expect((await web(request, source, { onError })).status).toBe(500)
  expect(onError.mock.calls[0]?.[0]).toMatchObject({ code: 'invalid-source' })
})

it('an iterable whose next() gives no object is refused, and does not go on for ever', async () => {
  let patience = 1000
  const source = { [Symbol.iterator]: () => ({ next: () => (--patience > 0 ? 7 : { done: true }) }) }
  const onError = vi.fn()
  expect((await web(request, source as never, { onError })).status).toBe(500)
  expect(onError.mock.calls[0]?.[0]).toMatchObject({ code: 'invalid-source' })
})

it('an array may be relayed again', async () => {
  const source = ['a']
  const answers = [await web(request, source), await web(request, source)]
  expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(
    Array(2).fill('data: {"text":"a"}\n\ndata: [DONE]\n\n'),
  )
})

it('a Node stream of bytes that are no event stream and no JSON is refused, and let go', async () => {
  const file = createReadStream(new URL(import.meta.url))
  const onError = vi.fn()
  expect((await web(request, file, { onError })).status).toBe(500)
  expect(onError.mock.calls[0]?.[0]).toMatchObject({
    code: 'invalid-source',
    message: expect.stringMatching(/TextDecoderStream/),
  })
  expect(file.destroyed).toBe(true)
})

it('a replayed provider refuses a request that asks for no stream', async () => {
  const upstream = await replayUpstream()
  onTestFinished(() => upstream.close())
  const ask = (body: object) => fetch(`${upstream.url}/v1/messages`, { method: 'POST', body: JSON.stringify(body) })
  const refused = await ask({ model: 'any' })
  expect(refused.status).toBe(400)
  expect(await refused.text()).toContain('stream: true')
  expect((await ask({ model: 'any', stream: true })).status).toBe(200)
})

it.each<[string, object, RegExp]>([
  ['no log', { owner: 'ann' }, /^log cannot be undefined: .*createMemoryLog, createRedisLog or createLog$/],
  ['a number for an owner', { log: createMemoryLog(), owner: 7 }, /^owner cannot be 7: .*String\(id\)$/],
  ['no owner', { log: createMemoryLog() }, /^owner cannot be undefined: .*A login that is missing/],
])('resume with %s says what to give', async (_, options, message) => {
  const onError = vi.fn()
  expect((await resume(request, { ...options, onError } as never)).status).toBe(500)
  expect(onError.mock.calls[0]?.[0]).toMatchObject({ code: 'invalid-option', message: expect.stringMatching(message) })
})
