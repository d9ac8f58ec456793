import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { fetchSSE, readText } from 'sse-relay/client'
import { createMemoryLog, type Log, type MemoryLogOptions, record } from 'sse-relay/log'
import { relay as relayOnNode, resume as resumeOnNode } from 'sse-relay/node'
import * as protocols from 'sse-relay/protocols'
import { collect } from 'sse-relay/testing'
import { relay, resume } from 'sse-relay/web'
import { afterEach, describe, expect, it, vi } from 'vitest'

const closing: Log[] = []
afterEach(async () => {
  for (const log of closing.splice(0)) await log.close()
})

function open(options: MemoryLogOptions): Log {
  const log = createMemoryLog(options)
  closing.push(log)
  return log
}

const idOf = (name: string) => `run-of-a-test-000${name}`
const owner = 'ann'

/** A run of so many pieces of 500 characters, about 1.1 kB each in the log, from its beginning to its end. */
function whole(log: Log, name: string, pieces = 1) {
  const source = Array.from({ length: pieces }, () => name.repeat(500))
  return record(source, { log, runId: idOf(name), owner })
}

/** A run that goes on until it is told to end. */
function begun(log: Log, name: string) {
  let wake = () => {}
  const said: string[] = []
  let isOver = false
  const source = async function* () {
    while (said.length > 0 || !isOver) {
      const next = said.shift()
      if (next !== undefined) yield next
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  const done = record(source, { log, runId: idOf(name), owner })
  return {
    async say(text: string) {
      said.push(text)
      wake()
      // Into the store: a turn for the source, and one for what it said.
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    },
    async end() {
      isOver = true
      wake()
      await done
    },
  }
}

function read(log: Log, name: string, after = 0): Promise<Response> {
  const request = new Request('http://localhost/', { headers: { 'last-event-id': `${idOf(name)}:${after}` } })
  return resume(request, { log, owner })
}

async function kept(log: Log, ...names: string[]): Promise<string> {
  const found = []
  for (const name of names) {
    const response = await read(log, name)
    await response.text()
    if (response.status === 200) found.push(name)
  }
  return found.join('')
}

describe('maxBytes', () => {
  it('takes away runs that have ended, the oldest first', async () => {
    const log = open({ maxBytes: 4000 })
    for (const name of ['a', 'b', 'c']) await whole(log, name)
    expect(await kept(log, 'a', 'b', 'c')).toBe('abc')
    await whole(log, 'd')
    expect(await kept(log, 'a', 'b', 'c', 'd')).toBe('bcd')
    expect((await read(log, 'a')).status).toBe(404)
    await whole(log, 'e', 3)
    expect(await kept(log, 'b', 'c', 'd', 'e')).toBe('e')
  })

  it('leaves the run that goes on alone while others can go', async () => {
    const log = open({ maxBytes: 4000 })
    const run = begun(log, 'a')
    await run.say('x'.repeat(500))
    for (const name of ['b', 'c', 'd', 'e']) await whole(log, name)
    await run.end()
    const { text, outcome } = await collect(await read(log, 'a'))
    expect([text.length, outcome]).toEqual([500, 'done'])
  })

  it('takes the oldest events of a run that goes on, whose readers get them all, and later ones are told', async () => {
    const log = open({ maxBytes: 4000 })
    const run = begun(log, 'a')
    await run.say('first ')
    const reader = collect(await read(log, 'a'))
    for (let index = 0; index < 20; index++) await run.say(`${index} `.padEnd(500))
    const late = await read(log, 'a')
    expect(late.status).toBe(410)
    expect(await late.json()).toMatchObject({ error: { code: 'cursor-gone' } })
    const rest = collect(await read(log, 'a', 20))
    await run.end()
    expect((await reader).text.match(/\S+/g)).toEqual([
      'first',
      ...Array.from({ length: 20 }, (_, index) => `${index}`),
    ])
    expect((await rest).text.match(/\S+/g)).toEqual(['19'])
  })

  it('is never so small that the newest event is lost', async () => {
    const log = open({ maxBytes: 1 })
    const run = begun(log, 'a')
    const reader = read(log, 'a').then(collect)
    await run.say('one ')
    await run.say('two ')
    await run.end()
    expect(await reader).toMatchObject({ text: 'one two ', outcome: 'done' })
  })
})

describe('the runs of several owners', () => {
  /** Of other owners; the helpers above have one. */
  const readOf = (log: Log, owner: string | null, name: string, after = 0) =>
    resume(new Request('http://localhost/', { headers: { 'last-event-id': `${idOf(name)}:${after}` } }), { log, owner })
  const recorded = (log: Log, owner: string | null, name: string, pieces: string[]) =>
    record(pieces, { log, runId: idOf(name), owner })
  /** An entry each. */
  async function* inTurn(pieces: string[]) {
    for (const piece of pieces) {
      yield piece
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const large = (count: number) => Array.from({ length: count }, () => 'x'.repeat(500))

  it('take nothing from each other: a small run that goes on keeps all beside eight large ones that go on', async () => {
    const log = open({ maxBytes: 40_000 })
    const small = begun(log, 'a')
    await small.say('small ')
    let stop = () => {}
    const stopped = new Promise<void>((resolve) => (stop = resolve))
    const others = ['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].map((name) =>
      record(
        async function* () {
          yield* inTurn(large(100))
          await stopped
        },
        { log, runId: idOf(name), owner: 'bob' },
      ),
    )
    for (let turn = 0; turn < 400; turn++) await new Promise((resolve) => setImmediate(resolve))
    // Bob has cut himself.
    expect((await readOf(log, 'bob', 'b')).status).toBe(410)
    await small.say('and more')
    const reader = readOf(log, owner, 'a').then(collect)
    await small.end()
    expect(await reader).toMatchObject({ text: 'small and more', outcome: 'done' })
    stop()
    await Promise.all(others)
  })

  it('take nothing from each other: a run that has ended stays beside many of another owner', async () => {
    const log = open({ maxBytes: 40_000 })
    await recorded(log, 'ann', 'a', large(5))
    for (let round = 0; round < 100; round++) {
      const request = new Request('http://localhost/', { method: 'POST' })
      await (await relay(request, large(5), { log, owner: 'bob' })).text()
    }
    expect((await collect(await readOf(log, 'ann', 'a'))).text).toBe(large(5).join(''))
  })

  it('are as many as there is room for, and the owner of many makes room first', async () => {
    const log = open({ maxRuns: 20 })
    for (const name of ['a', 'b']) await recorded(log, 'ann', name, [name])
    for (let round = 0; round < 100; round++) {
      const request = new Request('http://localhost/', { method: 'POST' })
      await (await relay(request, ['x'], { log, owner: 'bob' })).text()
    }
    for (const name of ['a', 'b']) expect((await collect(await readOf(log, 'ann', name))).text).toBe(name)
  })

  it('of nobody take from the largest of them: a small one that goes on keeps all', async () => {
    const log = open({ maxBytes: 20_000 })
    let stop = () => {}
    const stopped = new Promise<void>((resolve) => (stop = resolve))
    const runs = [
      ['a', ['small']],
      ['b', large(100)],
    ].map(([name, pieces]) =>
      record(
        async function* () {
          yield* inTurn(pieces as string[])
          await stopped
        },
        { log, runId: idOf(name as string), owner: null },
      ),
    )
    for (let turn = 0; turn < 300; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect((await readOf(log, null, 'b')).status).toBe(410)
    stop()
    await Promise.all(runs)
    expect((await collect(await readOf(log, null, 'a'))).text).toBe('small')
  })

  it('may be stopped before they are known, by each its own, and that takes no room without end', async () => {
    const log = open({ maxRuns: 5 })
    await log.stop(idOf('a'), { owner: 'ann' })
    for (let other = 0; other < 20_000; other++) await log.stop(`another-run-of-a-test-${other}`, { owner: 'bob' })
    expect(await recorded(log, 'ann', 'a', ['paid'])).toMatchObject({ outcome: 'stopped' })
    expect(await recorded(log, 'ann', 'b', ['paid'])).toMatchObject({ outcome: 'done' })
  })
})

describe('a run of many events', () => {
  const scripts = [
    'word ',
    'naïve \u0080\u00ff ',
    '日本語 ',
    '🙂 ',
    '👋🏽',
    'plain '.repeat(20),
    '長い'.repeat(200),
    '',
  ]
  const runs = {
    'that are small': Array.from({ length: 100 }, (_, index) => `${index} `),
    'in many scripts, short and long': Array.from({ length: 100 }, (_, index) =>
      `${index} ${scripts[index % scripts.length]}`.repeat(1 + (index % 3)),
    ),
    'in another script in its second half': Array.from(
      { length: 100 },
      (_, index) => `${index} ${index < 50 ? 'a' : 'ж'} `,
    ),
    'of all lengths': Array.from({ length: 100 }, (_, index) => 'x'.repeat(3 * index + 1)),
  }

  for (const [what, words] of Object.entries(runs)) {
    it(`${what} is read from each of them, while it goes on and when it has ended`, async () => {
      const log = open({})
      const run = begun(log, 'a')
      const following: Promise<{ text: string }>[] = []
      for (const [index, word] of words.entries()) {
        following.push(read(log, 'a', index).then(collect))
        await run.say(word)
      }
      await run.end()
      for (const [index, reader] of following.entries()) {
        const rest = words.slice(index).join('')
        expect((await reader).text).toBe(rest)
        expect((await collect(await read(log, 'a', index))).text).toBe(rest)
      }
    }, 60_000)
  }

  it('that was stopped is not taken for one that was stopped before it began', async () => {
    const log = open({})
    const run = begun(log, 'a')
    await run.say('x')
    await log.stop(idOf('a'), { owner })
    await run.end()
    await expect(whole(log, 'a')).rejects.toMatchObject({ code: 'run-exists', status: 409 })
  })
})

describe('maxRuns', () => {
  it('takes away the oldest run that has ended', async () => {
    const log = open({ maxRuns: 2 })
    for (const name of ['a', 'b', 'c']) await whole(log, name)
    expect(await kept(log, 'a', 'b', 'c')).toBe('bc')
  })

  it('takes away one after the other, where none that has ended is left meanwhile', async () => {
    const log = open({ maxRuns: 1 })
    for (const name of ['a', 'b', 'c']) await whole(log, name)
    expect(await kept(log, 'a', 'b', 'c')).toBe('c')
  })

  it('refuses the next where all go on, and drops none of them', async () => {
    const log = open({ maxRuns: 2 })
    const runs = [begun(log, 'a'), begun(log, 'b')]
    for (const run of runs) await run.say('x')
    const source = vi.fn(() => ['y'])
    await expect(record(source, { log, runId: idOf('c'), owner })).rejects.toMatchObject({
      code: 'overload',
      retryable: true,
    })
    const refused = await relay(new Request('http://localhost/', { method: 'POST' }), source, {
      log,
      owner,
      onError() {},
    })
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ error: { code: 'overload', retryable: true } })
    expect(source).not.toHaveBeenCalled()
    await runs[0]?.end()
    await whole(log, 'c')
    await runs[1]?.end()
    expect(await kept(log, 'a', 'b', 'c')).toBe('bc')
  })

  it('takes away a run whose producer never came, before it refuses', async () => {
    const log = open({ maxRuns: 2 })
    const run = begun(log, 'a')
    await log.create(idOf('b'), { owner, startMs: 1 })
    await vi.waitFor(() => whole(log, 'c'), { timeout: 10_000 })
    await run.end()
    expect(await kept(log, 'a', 'b', 'c')).toBe('ac')
  })
})

describe('ttlMs', () => {
  it('is how long a run is kept after its end', async () => {
    const log = open({ ttlMs: 100 })
    const run = begun(log, 'a')
    await run.say('x')
    await whole(log, 'b')
    await vi.waitFor(async () => expect((await read(log, 'b')).status).toBe(404), { timeout: 10_000 })
    await run.end()
    expect(await kept(log, 'a')).toBe('a')
    await vi.waitFor(async () => expect((await read(log, 'a')).status).toBe(404), { timeout: 10_000 })
  })

  it('that is over makes the id free', async () => {
    const log = open({ ttlMs: 20 })
    await whole(log, 'a')
    await vi.waitFor(() => whole(log, 'a'), { timeout: 10_000 })
  })

  it('that is over takes nothing of the run that has the id next', async () => {
    const log = open({ ttlMs: 1000, maxRuns: 2 })
    await whole(log, 'a')
    await vi.waitFor(async () => expect((await read(log, 'a')).status).toBe(404), { timeout: 10_000 })
    const run = begun(log, 'a')
    await run.say('one ')
    for (const name of ['b', 'c']) await whole(log, name)
    const reader = read(log, 'a').then(collect)
    await run.end()
    expect(await reader).toMatchObject({ text: 'one ', outcome: 'done' })
  })
})

describe('a reader that was cut', () => {
  it('comes back to all that came meanwhile, a part of it stored and a part not yet, and has all of it at once', async () => {
    const log = open({})
    let more = () => {}
    let allowed = 8
    let isRead = false
    const source = async function* () {
      for (let seq = 1; seq <= 25; seq++) {
        while (seq > allowed) await new Promise<void>((resolve) => (more = resolve))
        yield `${seq} `
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      while (!isRead) await new Promise<void>((resolve) => (more = resolve))
    }
    const sockets = new Set<Socket>()
    const server = createServer((req, res) => {
      if (req.method === 'POST') relayOnNode(req, res, source, { log, owner, runId: idOf('1') })
      else resumeOnNode(req, res, { log, owner })
    })
    server.on('connection', (socket) => sockets.add(socket))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const seen: string[] = []
    for await (const text of readText(fetchSSE(url, { method: 'POST', resumeUrl: url, runId: idOf('1') }))) {
      seen.push(text)
      if (seen.length === 8) {
        setTimeout(() => {
          for (const socket of sockets) socket.resetAndDestroy()
          allowed = 25
          more()
        }, 50)
      } else if (seen.length === 25) {
        isRead = true
        more()
      }
    }
    expect(seen.join('')).toBe(Array.from({ length: 25 }, (_, index) => `${index + 1} `).join(''))
    server.close()
    server.closeAllConnections()
  }, 20_000)
})

describe('what fails before its first part', () => {
  const sources = {
    async 'is refused by the provider'() {
      throw Object.assign(new Error('slow down'), { status: 429 })
    },
    // A part that opens the answer is none of it.
    async *'is refused after it was begun'() {
      yield { type: 'start', id: 'a' }
      throw Object.assign(new Error('busy'), { status: 529 })
    },
    *'is cut'() {
      yield { id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { role: 'assistant' } }] }
    },
  }
  const cases = Object.entries(protocols).flatMap(([name, make]) =>
    Object.entries(sources).map(([how, source]) => ({ name, make, how, source })),
  )
  it.each(cases)(
    'and $how has its status in $name, as without a log, and again when it is asked again',
    async (row) => {
      const ask = async (kept: object) => {
        const request = new Request('http://localhost/', { method: 'POST', headers: { 'x-run-id': idOf('a') } })
        const answer = await relay(request, row.source, { ...kept, protocol: row.make(), onError() {} })
        // What raw() has sent by then has ids with a log.
        const body = (await answer.text()).replaceAll(/^id: .*\n/gm, '')
        return [answer.status, answer.headers.get('content-type'), body]
      }
      const wanted = await ask({})
      const log = open({})
      expect(await ask({ log, owner })).toEqual(wanted)
      expect(await ask({ log, owner })).toEqual(wanted)
    },
  )

  it.each(Object.entries(protocols))('since it was stopped on its way has a status in %s', async (_, make) => {
    const log = open({})
    await log.stop(idOf('a'), { owner })
    for (let tries = 0; tries < 2; tries++) {
      const request = new Request('http://localhost/', { method: 'POST', headers: { 'x-run-id': idOf('a') } })
      const answer = await relay(request, ['paid'], { log, owner, protocol: make() })
      expect(answer.status).toBe(409)
      expect(await answer.json()).toMatchObject({ error: { code: 'stopped' } })
    }
  })
})
