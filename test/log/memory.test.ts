import { createMemoryLog, type Log, type MemoryLogOptions, record } from 'sse-relay/log'
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

describe('a run of many events', () => {
  const scripts = [
    'word ',
    'naïve \u0080\u00ff ',
    '日本語 ',
    '🙂 ',
    '\ud83d',
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
    await expect(whole(log, 'a')).rejects.toMatchObject({ code: 'run-exists' })
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
