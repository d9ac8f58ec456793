import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import express from 'express'

import { isRelayError } from 'sse-relay'
import { relay, resume } from 'sse-relay/express'
import { createMemoryLog, record } from 'sse-relay/log'
import { afterAll, describe, expect, it } from 'vitest'

const express4 = createRequire(import.meta.url)('express4') as typeof express
const closing: (() => unknown)[] = []
afterAll(() => {
  for (const close of closing) close()
})

/** The routes of docs/resume.md: a question that a worker answers, reading on, and stop. */
async function serve(make: typeof express) {
  const app = make()
  const log = createMemoryLog()
  const jobs: string[] = []
  const statuses: Record<string, number> = { 'invalid-option': 400, 'run-exists': 409, 'log-failure': 503 }
  app.use((req, res, next) => {
    res.locals.user = { id: req.get('x-user') ?? 'ann' }
    next()
  })
  app.post('/jobs', (req, res, next) => {
    const owner = res.locals.user.id
    const runId = req.get('x-run-id') ?? crypto.randomUUID()
    log
      .create(runId, { owner })
      .then(() => jobs.push(runId))
      .then(() => res.set('x-run-id', runId).sendStatus(202))
      .catch((error) => {
        const status = isRelayError(error) && statuses[error.code]
        if (status) res.sendStatus(status)
        else next(error)
      })
  })
  app.post('/chat', (req, res) => relay(req, res, ['a', 'b'], { log, owner: res.locals.user.id }))
  app.get('/chat', (req, res) => resume(req, res, { log, owner: res.locals.user.id }))
  app.delete('/chat/:runId', (req, res, next) => {
    const { runId } = req.params
    log.stop(runId as string, { owner: res.locals.user.id }).then(() => res.sendStatus(204), next)
  })
  const server = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.on('listening', resolve))
  closing.push(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, log, jobs }
}

const RUN = 'run-of-a-test-0001'

describe.each([
  ['5', express],
  ['4', express4],
])('the routes of the docs on Express %s', (_, make) => {
  const ask = (url: string, method: string, headers: Record<string, string> = {}) => fetch(url, { method, headers })

  it('take a question without an id, and refuse one that is none, and one of another user', async () => {
    const { url, log, jobs } = await serve(make)
    const unnamed = await ask(`${url}/jobs`, 'POST')
    expect([unnamed.status, unnamed.headers.get('x-run-id')]).toEqual([202, jobs[0]])
    for (const id of ['short', 'a b c d e f g h i j k', `${'x'.repeat(129)}`]) {
      expect((await ask(`${url}/jobs`, 'POST', { 'x-run-id': id })).status).toBe(400)
      expect((await ask(`${url}/chat`, 'POST', { 'x-run-id': id })).status).toBe(400)
    }
    expect((await ask(`${url}/jobs`, 'POST', { 'x-run-id': RUN })).status).toBe(202)
    expect((await ask(`${url}/jobs`, 'POST', { 'x-run-id': RUN })).status).toBe(202)
    for (const path of ['jobs', 'chat']) {
      expect((await ask(`${url}/${path}`, 'POST', { 'x-run-id': RUN, 'x-user': 'bob' })).status).toBe(409)
    }
    await record(['done'], { log, runId: RUN, owner: 'ann' })
    const answer = await ask(`${url}/chat`, 'GET', { 'last-event-id': `${RUN}:0` })
    expect(await answer.text()).toContain('[DONE]')
  })

  it('stop what is there, and answer alike whatever the id is', async () => {
    const { url } = await serve(make)
    for (const id of [RUN, 'short', '*', `${'x'.repeat(500)}`, encodeURIComponent('../..')]) {
      expect((await ask(`${url}/chat/${id}`, 'DELETE')).status).toBe(204)
      expect((await ask(`${url}/chat/${id}`, 'DELETE', { 'x-user': 'bob' })).status).toBe(204)
    }
    // It was kept for the question on its way.
    const stopped = await ask(`${url}/chat`, 'POST', { 'x-run-id': RUN })
    expect([stopped.status, ((await stopped.json()) as { error: { code: string } }).error.code]).toEqual([
      409,
      'stopped',
    ])
  })

  it('answer places that are none: 404, and 204 where nothing is asked for', async () => {
    const { url } = await serve(make)
    for (const id of ['x', `${RUN}:0`, `${RUN}:999999999999999`, `${RUN}:-1`]) {
      expect((await ask(`${url}/chat`, 'GET', { 'last-event-id': id })).status).toBe(404)
    }
    expect((await ask(`${url}/chat`, 'GET')).status).toBe(204)
  })

  it('take a place that is empty for none: a page that has no id yet may send it all the same', async () => {
    const { url } = await serve(make)
    expect((await ask(`${url}/chat`, 'GET', { 'last-event-id': '' })).status).toBe(204)
    const asked = await ask(`${url}/chat`, 'POST', { 'last-event-id': '', 'x-run-id': RUN })
    expect(asked.status).toBe(200)
    expect(await asked.text()).toContain('[DONE]')
  })
})

describe('a log that closes', () => {
  it('begins no run any more, and lets what it has be read', async () => {
    const { url, log } = await serve(express)
    const first = await fetch(`${url}/chat`, { method: 'POST', headers: { 'x-run-id': RUN } })
    const text = await first.text()
    const closed = log.close({ graceMs: 10 })
    const ends: unknown[] = []
    const refused = await fetch(`${url}/chat`, { method: 'POST' })
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ error: { code: 'shutdown', retryable: true } })
    await closed
    const job = record(() => ends.push('asked') as never, { log, runId: 'run-of-a-test-0002', owner: 'ann' })
    await expect(job).rejects.toMatchObject({ code: 'shutdown', retryable: true })
    expect(ends).toEqual([])
    const again = await fetch(`${url}/chat`, { headers: { 'last-event-id': `${RUN}:0` } })
    expect(await again.text()).toBe(text)
  })
})
