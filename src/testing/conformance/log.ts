/** Does a log do what every log does? Sentence by sentence. */
import assert from 'node:assert/strict'
import type { SinkHeaders } from '../../headers.js'
import { record } from '../../log/record-run.js'
import type { MaybePromise } from '../../log/store.js'
import type { Log, RelayOptions, ResumeToOptions } from '../../options.js'
import { relayTo, resumeTo } from '../../relay.js'
import type { Sink } from '../../sink.js'
import type { Protocol, SourceContext, Summary } from '../../types.js'
import { Waiting } from '../waiting.js'

/** One thing that every log does. */
export interface LogBehaviour {
  /** A sentence. */
  readonly name: string
  /** Whether it is about several processes, which a log in memory does not connect. */
  readonly isShared: boolean
  /**
   * Tries it.
   *
   * @param open Makes a log as one process has it. Two calls stand for two processes over one store.
   * @throws what was expected, and what was found.
   */
  run(open: () => MaybePromise<Log>): Promise<void>
}

/** A source that the behaviour controls. */
class Told implements AsyncIterable<unknown> {
  calls = 0
  context!: SourceContext
  readonly #waiting = new Waiting()
  readonly #steps: (() => IteratorResult<unknown>)[] = []

  /** What `relay` and `record` take. */
  readonly source = (context: SourceContext): AsyncIterable<unknown> => {
    this.calls++
    this.context = context
    context.signal.addEventListener('abort', () => this.#waiting.changed())
    this.#waiting.changed()
    return this
  }

  yield(...chunks: unknown[]): this {
    for (const value of chunks) this.#steps.push(() => ({ done: false, value }))
    this.#waiting.changed()
    return this
  }

  end(): this {
    this.#steps.push(() => ({ done: true, value: undefined }))
    this.#waiting.changed()
    return this
  }

  fail(error: unknown): this {
    this.#steps.push(() => {
      throw error
    })
    this.#waiting.changed()
    return this
  }

  called(): Promise<void> {
    return this.#waiting.until(
      () => this.calls > 0,
      () => 'The source was never called',
    )
  }

  aborted(): Promise<void> {
    return this.#waiting.until(
      () => this.context?.signal.aborted,
      () => 'The source was never aborted',
    )
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    return {
      next: async () => {
        await this.#waiting.until(
          () => this.#steps.length > 0 || this.context.signal.aborted,
          () => 'The source was told nothing more',
        )
        if (this.#steps.length === 0) throw this.context.signal.reason
        return (this.#steps.shift() as () => IteratorResult<unknown>)()
      },
    }
  }
}

/** A connection, which keeps what its sink was given. */
class Connection implements Sink {
  status: number | undefined
  headers: SinkHeaders = {}
  text = ''
  ended = false
  destroyed = false
  /** How many characters it takes before it is full. */
  room = Number.POSITIVE_INFINITY
  done!: Promise<Summary>
  drained!: () => void
  left!: () => void
  readonly #waiting = new Waiting()

  open(status: number, headers: SinkHeaders): void {
    this.status = status
    this.headers = headers
    this.#waiting.changed()
  }

  write(text: string): boolean {
    this.text += text
    this.#waiting.changed()
    return this.text.length < this.room
  }

  end(text = ''): void {
    this.text += text
    this.ended = true
    queueMicrotask(() => this.drained())
    this.#waiting.changed()
  }

  destroy(): void {
    this.destroyed = true
    this.#waiting.changed()
  }

  schedule(task: () => void): void {
    setImmediate(task)
  }

  /** The events without the heartbeats. */
  get events(): string[] {
    return this.text.split('\n\n').filter((frame) => frame.includes('data: '))
  }

  /** The numbers of the events, as their ids say them. */
  get numbers(): number[] {
    return this.events.map((event) => Number(/^id: [\w-]+:(\d+)$/m.exec(event)?.[1]))
  }

  /** The text of the answer, of the `text()` protocol. */
  get answer(): string {
    return this.events
      .map((event) => /^data: \{"text":(".*")\}$/m.exec(event)?.[1] ?? '""')
      .map(unquote)
      .join('')
  }

  until(holds: (connection: this) => boolean, what: string): Promise<void> {
    return this.#waiting.until(
      () => holds(this),
      () => `The reader ${what}: never. It has the status ${this.status} and ${JSON.stringify(this.text.slice(-300))}`,
    )
  }

  untilText(text: string): Promise<void> {
    return this.until((connection) => connection.text.includes(text), `gets ${JSON.stringify(text)}`)
  }

  over(): Promise<void> {
    return this.until(({ ended, destroyed }) => ended || destroyed, 'comes to an end')
  }
}

function unquote(json: string): string {
  return JSON.parse(json) as string
}

const OWNER = 'ann'

function newId(): string {
  return `test-${crypto.randomUUID()}`
}

/** Reads a run as `resume` does. */
function read(
  log: Log,
  { lastEventId, owner = OWNER, room, ...options }: Partial<ResumeToOptions> & { lastEventId?: string; room?: number },
): Connection {
  const connection = new Connection()
  if (room !== undefined) connection.room = room
  const handle = resumeTo(connection, lastEventId, { log, owner, heartbeatMs: 200, ...options })
  return Object.assign(connection, {
    done: handle.done,
    drained: () => handle.drained(),
    left: () => handle.left(),
  })
}

/** Makes and reads a run as `relay` does. */
function relayed(log: Log, source: Told, runId: string, header?: string, options: RelayOptions = {}): Connection {
  const connection = new Connection()
  const request = { method: 'POST', header: (name: string) => (name === 'x-run-id' ? header : undefined) }
  const id = header === undefined ? { runId } : {}
  const shared = { log, owner: OWNER, request, onError: () => {} }
  const handle = relayTo(connection, source.source, { ...shared, ...id, ...options })
  return Object.assign(connection, {
    done: handle.done,
    drained: () => handle.drained(),
    left: () => handle.left(),
  })
}

/** Produces a run as a worker does. */
function recorded(
  log: Log,
  runId: string,
  source: Told,
  options: { protocol?: Protocol; abandonMs?: number; onEnd?(): unknown } = {},
) {
  return record(source.source, { log, runId, owner: OWNER, onError: () => {}, ...options })
}

async function refused(log: Log, status: number, code: string | undefined, what: Parameters<typeof read>[1]) {
  const reader = read(log, what)
  await reader.over()
  assert.equal(reader.status, status)
  if (code !== undefined) assert.equal((JSON.parse(reader.text) as { error: { code: string } }).error.code, code)
  else assert.equal(reader.text, '')
}

const behaviours: [name: string, run: (open: () => MaybePromise<Log>) => Promise<void>][] = [
  [
    'a run that has ended is replayed whole, with the ids of its events from 1 and the sentinel last',
    async (open) => {
      const log = await open()
      const runId = newId()
      const source = new Told().yield('one ', 'two ', 'three').end()
      assert.equal((await recorded(log, runId, source)).outcome, 'done')
      const reader = read(log, { lastEventId: `${runId}:0` })
      await reader.over()
      assert.equal(reader.status, 200)
      assert.equal(reader.headers['x-run-id'], runId)
      assert.deepEqual(reader.numbers, [1, 2, 3, 4])
      assert.equal(reader.answer, 'one two three')
      assert.ok(reader.text.endsWith(`id: ${runId}:4\ndata: [DONE]\n\n`), reader.text)
    },
  ],
  [
    'a reader gets exactly what comes after its last event id, wherever that is',
    async (open) => {
      const log = await open()
      const runId = newId()
      await recorded(log, runId, new Told().yield('a', 'b', 'c', 'd').end())
      for (const after of [0, 1, 2, 3, 4]) {
        const reader = read(log, { lastEventId: `${runId}:${after}` })
        await reader.over()
        assert.deepEqual(
          reader.numbers,
          [1, 2, 3, 4, 5].filter((number) => number > after),
        )
      }
    },
  ],
  [
    'after its last event a run that has ended has nothing: 204',
    async (open) => {
      const log = await open()
      const runId = newId()
      await recorded(log, runId, new Told().yield('a').end())
      await refused(log, 204, undefined, { lastEventId: `${runId}:2` })
      await refused(log, 204, undefined, { lastEventId: `${runId}:99` })
      await refused(log, 204, undefined, { lastEventId: `${runId}:end` })
    },
  ],
  [
    'readers that join a run that goes on, at any time, get every event once and in order',
    async (open) => {
      const log = await open()
      const runId = newId()
      const source = new Told()
      const summary = recorded(log, runId, source)
      await source.called()
      const readers: Connection[] = []
      for (let token = 1; token <= 40; token++) {
        source.yield(`${token} `)
        if (token % 4 === 0) readers.push(read(log, { lastEventId: `${runId}:0` }))
        // Some readers come while a tick's events wait, some after.
        if (token % 3 === 0) await new Promise(setImmediate)
      }
      source.end()
      await summary
      const expected = Array.from({ length: 40 }, (_, index) => `${index + 1} `).join('')
      for (const reader of readers) {
        await reader.over()
        assert.equal(reader.answer, expected)
        assert.deepEqual(
          reader.numbers,
          Array.from({ length: 41 }, (_, index) => index + 1),
        )
      }
    },
  ],
  [
    'an unknown run and a foreign one are not found: 404, or nothing for one who only knows the run',
    async (open) => {
      const log = await open()
      const runId = newId()
      const source = new Told().yield('secret')
      const summary = recorded(log, runId, source)
      await source.called()
      await refused(log, 404, 'run-not-found', { lastEventId: `${newId()}:0` })
      for (const owner of ['ann2', 'an', 'Ann', 'null', ' ann', '*', null]) {
        await refused(log, 404, 'run-not-found', { lastEventId: `${runId}:0`, owner })
        await refused(log, 204, undefined, { runId, owner })
        assert.equal(await log.stop(runId, { owner }), false)
      }
      source.end()
      await summary
      await refused(log, 404, 'run-not-found', { lastEventId: `${runId}:0`, owner: 'bob' })
    },
  ],
  [
    'the run of nobody is read by whoever holds its id, and by no owner',
    async (open) => {
      const log = await open()
      const runId = newId()
      await record(new Told().yield('a').end().source, { log, runId, owner: null })
      const reader = read(log, { lastEventId: `${runId}:0`, owner: null })
      await reader.over()
      assert.equal(reader.answer, 'a')
      await refused(log, 404, 'run-not-found', { lastEventId: `${runId}:0`, owner: 'null' })
    },
  ],
  [
    'an id that is none is not found, whatever is in it',
    async (open) => {
      const log = await open()
      for (const lastEventId of [
        '',
        ':',
        'x',
        '*',
        `${newId()}`,
        `${newId()}:-1`,
        `${newId()}:1.5`,
        '../../etc:1',
        `a b{c}d e f g h i:0`,
      ]) {
        await refused(log, 404, 'run-not-found', { lastEventId })
      }
      assert.equal(await log.stop('*', { owner: OWNER }), false)
    },
  ],
  [
    'who knows only the run reads it from its first event while it goes on, and nothing after: 204',
    async (open) => {
      const log = await open()
      const runId = newId()
      const source = new Told().yield('a', 'b')
      const summary = recorded(log, runId, source)
      await source.called()
      const reader = read(log, { runId })
      await reader.untilText('"b"')
      source.yield('c').end()
      await summary
      await reader.over()
      assert.equal(reader.answer, 'abc')
      await refused(log, 204, undefined, { runId })
      await refused(log, 204, undefined, { runId: newId() })
      await refused(log, 204, undefined, {})
    },
  ],
  [
    'a failure ends every reading alike: its event last, under its id, and no sentinel',
    async (open) => {
      const log = await open()
      const runId = newId()
      const source = new Told().yield('a')
      const summary = recorded(log, runId, source)
      await source.called()
      const live = read(log, { lastEventId: `${runId}:0` })
      await live.untilText('"a"')
      source.fail(Object.assign(new Error('secret words'), { status: 529 }))
      assert.equal((await summary).outcome, 'error')
      const late = read(log, { lastEventId: `${runId}:0` })
      await Promise.all([live.over(), late.over()])
      assert.equal(late.text.replaceAll(': \n\n', ''), live.text.replaceAll(': \n\n', ''))
      assert.match(late.text, new RegExp(`id: ${runId}:2\\nevent: error\\ndata: .*"overload".*\\n\\n$`))
      assert.doesNotMatch(late.text, /DONE|secret words/)
      await refused(log, 204, undefined, { lastEventId: `${runId}:2` })
    },
  ],
  [
    'a run is begun once: of two under one id, one wins, and the source of the other is not called',
    async (open) => {
      const log = await open()
      const runId = newId()
      const sources = [new Told().yield('a').end(), new Told().yield('a').end()] as const
      const results = await Promise.allSettled([recorded(log, runId, sources[0]), recorded(log, runId, sources[1])])
      assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
      const lost = results.find(({ status }) => status === 'rejected') as PromiseRejectedResult
      assert.equal((lost.reason as { code: string }).code, 'run-exists')
      assert.equal(sources[0].calls + sources[1].calls, 1)
      await assert.rejects(log.create(runId, { owner: 'bob' }), { code: 'run-exists' })
      assert.equal(await log.create(runId, { owner: OWNER }), false)
    },
  ],
  [
    "the same owner's request that names the run follows it, and the source is called once",
    async (open) => {
      const log = await open()
      const runId = newId()
      const source = new Told().yield('a')
      const first = relayed(log, source, runId, runId)
      await first.untilText('"a"')
      const again = relayed(log, source, runId, runId)
      await again.untilText('"a"')
      source.yield('b').end()
      await Promise.all([first.over(), again.over()])
      assert.equal(again.text, first.text)
      assert.equal(source.calls, 1)
      const late = relayed(log, source, runId, runId)
      await late.over()
      assert.equal(late.text, first.text)
      // A run that the application itself names twice is its mistake.
      const other = relayed(log, source, runId)
      await other.over()
      assert.equal(other.status, 409)
      assert.equal(source.calls, 1)
      // An answer in one body cannot follow a stream, and another owner's run cannot be followed.
      for (const options of [{ stream: false }, { owner: 'bob' }, { owner: 'bob', stream: false }]) {
        const refused = relayed(log, source, runId, runId, options)
        await refused.over()
        assert.equal(refused.status, 409)
        assert.equal(source.calls, 1)
      }
    },
  ],
  [
    'the readers of a run that was created wait for it to begin, and then follow it',
    async (open) => {
      const log = await open()
      const runId = newId()
      assert.equal(await log.create(runId, { owner: OWNER }), true)
      assert.equal(await log.create(runId, { owner: OWNER }), false)
      const early = read(log, { runId })
      await early.untilText(': ')
      const source = new Told().yield('a')
      const summary = recorded(log, runId, source)
      await early.untilText('"a"')
      source.end()
      await summary
      await early.over()
      assert.equal(early.answer, 'a')
    },
  ],
  [
    'the headers of the protocol come with every reading',
    async (open) => {
      const log = await open()
      const runId = newId()
      const frame = (text: string) => `data: ${JSON.stringify({ text })}\n\n`
      const protocol: Protocol = {
        name: 'test',
        headers: { 'x-protocol': 'test' },
        encoder: () => ({
          part: (part) => (part.type === 'text' ? frame(part.text) : ''),
          event: () => '',
          end: () => '',
          fail: () => '',
        }),
      }
      await log.create(runId, { owner: OWNER })
      const source = new Told()
      const early = read(log, { runId, heartbeatMs: 0 })
      // A reader that begins before the run has the headers of its own protocol.
      const told = read(log, { runId, heartbeatMs: 1, protocol })
      await told.until(({ status }) => status === 200, 'is answered')
      const summary = recorded(log, runId, source.yield('a').end(), { protocol })
      await summary
      await Promise.all([early.over(), told.over()])
      const late = read(log, { lastEventId: `${runId}:0` })
      await late.over()
      assert.equal(told.headers['x-protocol'], 'test')
      assert.equal(early.headers['x-protocol'], 'test')
      assert.equal(late.headers['x-protocol'], 'test')
    },
  ],
  [
    'a run that was created and never begins is lost: its readers are told',
    async (open) => {
      const log = await open()
      const runId = newId()
      await log.create(runId, { owner: OWNER, startMs: 300 })
      const reader = read(log, { lastEventId: `${runId}:0` })
      await reader.over()
      assert.match(reader.text, /event: error\ndata: .*"producer-lost"/)
      assert.doesNotMatch(reader.text, /DONE/)
      await refused(log, 204, undefined, { runId })
      const source = new Told()
      await assert.rejects(recorded(log, runId, source), { code: 'run-exists' })
      assert.equal(source.calls, 0)
    },
  ],
  [
    'a run that was created and did not begin in time is created again, by its owner, and then it begins',
    async (open) => {
      const log = await open()
      const runId = newId()
      assert.equal(await log.create(runId, { owner: OWNER, startMs: 100 }), true)
      const early = read(log, { lastEventId: `${runId}:0` })
      await early.over()
      assert.match(early.text, /"producer-lost"/)
      await assert.rejects(log.create(runId, { owner: 'bob' }), { code: 'run-exists' })
      assert.equal(await log.create(runId, { owner: OWNER }), true)
      assert.equal(await log.create(runId, { owner: OWNER }), false)
      const again = read(log, { lastEventId: `${runId}:0` })
      assert.equal((await recorded(log, runId, new Told().yield('a').end())).outcome, 'done')
      await again.over()
      assert.equal(again.answer, 'a')
      assert.equal(await log.create(runId, { owner: OWNER }), false)
    },
  ],
  [
    'a run that is stopped aborts its source, and all its readers are told',
    async (open) => {
      const log = await open()
      const runId = newId()
      const source = new Told().yield('a')
      const summary = recorded(log, runId, source)
      await source.called()
      const reader = read(log, { runId })
      await reader.untilText('"a"')
      assert.equal(await log.stop(runId, { owner: OWNER }), true)
      await source.aborted()
      assert.equal((await summary).outcome, 'stopped')
      await reader.over()
      assert.match(reader.text, /event: error\ndata: .*"stopped"/)
      assert.equal(await log.stop(runId, { owner: OWNER }), false)
      assert.equal(await log.stop(newId(), { owner: OWNER }), false)
    },
  ],
  [
    'a run that is stopped before it begins never calls its source',
    async (open) => {
      const log = await open()
      const runId = newId()
      await log.create(runId, { owner: OWNER })
      const reader = read(log, { runId })
      assert.equal(await log.stop(runId, { owner: OWNER }), true)
      await reader.over()
      assert.match(reader.text, /event: error\ndata: .*"stopped"/)
      const source = new Told()
      assert.equal((await recorded(log, runId, source)).outcome, 'stopped')
      assert.equal(source.calls, 0)
    },
  ],
  [
    'a reader that takes nothing slows neither the run nor another reader, and then gets it all',
    async (open) => {
      const log = await open()
      const runId = newId()
      const source = new Told()
      const summary = recorded(log, runId, source)
      await source.called()
      const slow = read(log, { lastEventId: `${runId}:0`, room: 1 })
      const quick = read(log, { lastEventId: `${runId}:0` })
      source.yield('0 ')
      await slow.untilText('"0 "')
      for (let token = 1; token < 300; token++) {
        source.yield(`${token} `)
        if (token % 10 === 0) await new Promise(setImmediate)
      }
      source.end()
      await summary
      await quick.over()
      assert.ok(slow.numbers.length < 10, `the slow reader has ${slow.numbers.length} events`)
      slow.room = Number.POSITIVE_INFINITY
      slow.drained()
      await slow.over()
      assert.equal(slow.answer, quick.answer)
      assert.deepEqual(slow.numbers, quick.numbers)
    },
  ],
  [
    'ten thousand events of one tick, and large ones, are replayed as they were',
    async (open) => {
      const log = await open()
      const runId = newId()
      const texts = Array.from({ length: 10_000 }, (_, index) => `${index} `)
      texts[5000] = 'x'.repeat(1_500_000)
      const source = new Told().yield(...texts).end()
      await recorded(log, runId, source)
      const whole = read(log, { lastEventId: `${runId}:0` })
      await whole.over()
      assert.equal(whole.answer, texts.join(''))
      const rest = read(log, { lastEventId: `${runId}:7777` })
      await rest.over()
      assert.equal(rest.answer, texts.slice(7777).join(''))
    },
  ],
  [
    'what looks like the wire in an answer is replayed as the text it is',
    async (open) => {
      const log = await open()
      const runId = newId()
      const data = [`\n\nid: ${runId}:2\ndata: [DONE]\n\n`, 'ä€🙂\u2028', 'id: x', '\r', '[DONE] ', '']
      const source = new Told().yield(...data.map((each) => ({ event: 'own', data: each, id: 'mine' }))).end()
      await recorded(log, runId, source)
      for (const after of [0, 1, 3]) {
        const reader = read(log, { lastEventId: `${runId}:${after}` })
        await reader.over()
        assert.deepEqual(
          reader.numbers,
          [1, 2, 3, 4, 5, 6, 7].filter((number) => number > after),
        )
        assert.doesNotMatch(reader.text, /id: mine/)
        assert.ok(after > 1 || reader.text.includes('data: ä€🙂\u2028\n'))
      }
    },
  ],
  [
    'a run that nobody reads is aborted after abandonMs, and one that is read is not',
    async (open) => {
      const log = await open()
      const runId = newId()
      const source = new Told().yield('a')
      const summary = recorded(log, runId, source, { abandonMs: 100 })
      await source.called()
      const reader = read(log, { runId })
      await reader.untilText('"a"')
      await new Promise((resolve) => setTimeout(resolve, 400))
      assert.equal(source.context.signal.aborted, false)
      reader.left()
      await source.aborted()
      assert.equal((await summary).outcome, 'disconnected')
      const late = read(log, { lastEventId: `${runId}:1` })
      await late.over()
      assert.match(late.text, /event: error\ndata: .*"stopped"/)
    },
  ],
  [
    'a stop that comes before its run is kept: the run is stopped when it begins, and its source is never called',
    async (open) => {
      const log = await open()
      for (const begin of ['relay', 'record'] as const) {
        const runId = newId()
        assert.equal(await log.stop(runId, { owner: OWNER }), false)
        const source = new Told().yield('a').end()
        if (begin === 'record') assert.equal((await recorded(log, runId, source)).outcome, 'stopped')
        else {
          const first = relayed(log, source, runId, runId)
          await first.over()
          assert.equal(first.status, 409)
          assert.match(first.text, /"stopped"/)
        }
        assert.equal(source.calls, 0)
        const late = read(log, { lastEventId: `${runId}:0` })
        await late.over()
        assert.match(late.text, /event: error\ndata: .*"stopped"/)
      }
    },
  ],
  [
    "somebody else's stop of a run that is not known yet does nothing to it",
    async (open) => {
      const log = await open()
      const runId = newId()
      for (const owner of ['bob', null, 'an']) assert.equal(await log.stop(runId, { owner }), false)
      const source = new Told().yield('a').end()
      assert.equal((await recorded(log, runId, source)).outcome, 'done')
      assert.equal(source.calls, 1)
    },
  ],
  [
    'a place that a run has not come to is gone: 410, and no other reader is touched',
    async (open) => {
      const log = await open()
      const runId = newId()
      const source = new Told().yield('a')
      const summary = recorded(log, runId, source)
      await source.called()
      const good = read(log, { lastEventId: `${runId}:0` })
      await good.untilText('"a"')
      const bad = ['2', '3', '999999999999999'].map((seq) =>
        refused(log, 410, 'cursor-gone', { lastEventId: `${runId}:${seq}` }),
      )
      const newest = read(log, { lastEventId: `${runId}:1` })
      await Promise.all(bad)
      source.yield('b').end()
      await summary
      await Promise.all([good.over(), newest.over()])
      assert.equal(good.answer, 'ab')
      assert.equal(newest.answer, 'b')
    },
  ],
  [
    'a producer that is faster than the store is slowed, and nothing of its run is lost',
    async (open) => {
      const log = await open()
      const texts = Array.from({ length: 4 }, (_, index) => String(index).repeat(1_000_000))
      const large = newId()
      assert.equal((await recorded(log, large, new Told().yield(...texts).end())).outcome, 'done')
      const whole = read(log, { lastEventId: `${large}:0` })
      const many = newId()
      const pieces = Array.from({ length: 20_000 }, (_, index) => `${index} and so on, and so on, `)
      assert.equal((await recorded(log, many, new Told().yield(...pieces).end())).outcome, 'done')
      const all = read(log, { lastEventId: `${many}:0` })
      await Promise.all([whole.over(), all.over()])
      assert.ok(whole.answer === texts.join(''), `${whole.answer.length} of 4000000 characters came back`)
      assert.ok(all.answer === pieces.join(''), `${all.numbers.length} of 20001 events came back`)
    },
  ],
  [
    'until its onEnd has settled a run is found by its id alone, and is read to its end at once',
    async (open) => {
      const log = await open()
      const runId = newId()
      const source = new Told().yield('a')
      let save = () => {}
      const saving = new Promise<void>((resolve) => {
        save = resolve
      })
      const summary = recorded(log, runId, source, { onEnd: () => saving })
      await source.called()
      source.end()
      await summary
      for (let load = 0; load < 5; load++) {
        const reader = read(log, { runId })
        await reader.over()
        assert.equal(reader.status, 200)
        assert.ok(reader.text.endsWith('data: [DONE]\n\n'), reader.text)
      }
      save()
      await gone(log, runId)
    },
  ],
  [
    'the status of a run is told to its owner alone: unknown, waiting, running, and how it ended',
    async (open) => {
      const log = await open()
      const runId = newId()
      const status = (owner: string | null = OWNER) => log.status(runId, { owner })
      assert.deepEqual(await status(), { state: 'unknown' })
      await log.create(runId, { owner: OWNER })
      assert.deepEqual(await status(), { state: 'waiting' })
      const source = new Told().yield('a')
      const summary = recorded(log, runId, source)
      await source.called()
      assert.deepEqual(await status(), { state: 'running' })
      for (const owner of ['bob', null]) assert.deepEqual(await status(owner), { state: 'unknown' })
      source.end()
      await summary
      assert.deepEqual(await status(), { state: 'ended', outcome: 'done' })
      const failed = newId()
      await recorded(log, failed, new Told().fail(new Error('of the provider')))
      assert.deepEqual(await log.status(failed, { owner: OWNER }), { state: 'ended', outcome: 'error' })
      assert.deepEqual(await log.status('*', { owner: OWNER }), { state: 'unknown' })
    },
  ],
  [
    'a place from code is as good as one of the request, which comes first; and 200 can stand for nothing to read',
    async (open) => {
      const log = await open()
      const runId = newId()
      await recorded(log, runId, new Told().yield('a', 'b', 'c').end())
      const places: Parameters<typeof read>[1][] = [
        { runId, after: 2 },
        { after: `${runId}:2` },
        { runId, after: 0, lastEventId: `${runId}:2` },
        { runId, after: 2, lastEventId: `${newId()}:1` },
      ]
      for (const place of places) {
        const reader = read(log, place)
        await reader.over()
        assert.deepEqual(reader.numbers, [3, 4])
      }
      await refused(log, 204, undefined, { runId, after: 4 })
      await refused(log, 200, undefined, { runId, after: 4, empty: 200 })
      await refused(log, 200, undefined, { runId: newId(), empty: 200 })
      await refused(log, 404, 'run-not-found', { after: `${newId()}:1`, empty: 200 })
    },
  ],
  [
    'what is no id of a run is that of none, and a place in another run is none in this one',
    async (open) => {
      const log = await open()
      for (const runId of ['', 'short', '*', '{}', `${newId()}:1`, 'x'.repeat(500)]) {
        await refused(log, 204, undefined, { runId })
        await refused(log, 200, undefined, { runId, after: 1, empty: 200 })
      }
      const runId = newId()
      const source = new Told().yield('a', 'b')
      const recording = recorded(log, runId, source)
      await source.called()
      for (const place of [{ lastEventId: `${newId()}:1` }, { after: `${newId()}:1` }, { after: 'none' }]) {
        const reader = read(log, { runId, ...place })
        await reader.untilText('"b"')
        assert.deepEqual(reader.numbers, [1, 2])
        reader.left()
      }
      source.end()
      await recording
    },
  ],
]

/** Waits until a reader who knows only the id finds nothing any more. */
async function gone(log: Log, runId: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const reader = read(log, { runId })
    await reader.over()
    if (reader.status === 204) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  assert.fail('The run is active still, though its onEnd has settled')
}

const shared: typeof behaviours = [
  [
    'another process reads a run from its first event and follows it to its end',
    async (open) => {
      const [here, there] = [await open(), await open()]
      const runId = newId()
      const source = new Told().yield('a')
      const summary = recorded(here, runId, source)
      await source.called()
      const reader = read(there, { lastEventId: `${runId}:0` })
      await reader.untilText('"a"')
      for (let token = 0; token < 50; token++) {
        source.yield(`${token} `)
        if (token % 7 === 0) await new Promise(setImmediate)
      }
      source.end()
      await summary
      await reader.over()
      assert.deepEqual(
        reader.numbers,
        Array.from({ length: 52 }, (_, index) => index + 1),
      )
      assert.ok(reader.text.endsWith('data: [DONE]\n\n'))
    },
  ],
  [
    'readers of another process join at any time, and get every event once',
    async (open) => {
      const [here, there] = [await open(), await open()]
      const runId = newId()
      const source = new Told()
      const summary = recorded(here, runId, source)
      await source.called()
      const readers: Connection[] = []
      for (let token = 1; token <= 60; token++) {
        source.yield(`${token} `)
        if (token % 6 === 0) readers.push(read(there, { lastEventId: `${runId}:0` }))
        await new Promise(token % 2 ? setImmediate : (resolve) => setTimeout(resolve, 2))
      }
      source.end()
      await summary
      for (const reader of readers) {
        await reader.over()
        assert.deepEqual(
          reader.numbers,
          Array.from({ length: 61 }, (_, index) => index + 1),
        )
      }
    },
  ],
  [
    'another process stops a run',
    async (open) => {
      const [here, there] = [await open(), await open()]
      const runId = newId()
      const source = new Told().yield('a')
      const summary = recorded(here, runId, source)
      await source.called()
      const reader = read(there, { lastEventId: `${runId}:0` })
      await reader.untilText('"a"')
      assert.equal(await there.stop(runId, { owner: 'bob' }), false)
      assert.equal(await there.stop(runId, { owner: OWNER }), true)
      assert.equal((await summary).outcome, 'stopped')
      await reader.over()
      assert.match(reader.text, /"stopped"/)
    },
  ],
  [
    'a run that was created in one process, and is stopped in another before it begins, is over in all',
    async (open) => {
      const [here, there] = [await open(), await open()]
      const runId = newId()
      await here.create(runId, { owner: OWNER })
      const reader = read(here, { runId })
      await reader.untilText(': ')
      assert.equal(await there.stop(runId, { owner: OWNER }), true)
      await reader.over()
      assert.match(reader.text, /"stopped"/)
      const source = new Told()
      assert.equal((await recorded(here, runId, source)).outcome, 'stopped')
      assert.equal(source.calls, 0)
    },
  ],
  [
    'of two processes that begin a run, one produces it',
    async (open) => {
      const [here, there] = [await open(), await open()]
      for (let round = 0; round < 5; round++) {
        const runId = newId()
        if (round % 2) await here.create(runId, { owner: OWNER })
        const sources = [new Told().yield('a').end(), new Told().yield('a').end()] as const
        const results = await Promise.allSettled([
          recorded(here, runId, sources[0]),
          recorded(there, runId, sources[1]),
        ])
        assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
        assert.equal(sources[0].calls + sources[1].calls, 1)
      }
    },
  ],
  [
    'a reader in another process keeps a run from being abandoned',
    async (open) => {
      const [here, there] = [await open(), await open()]
      const runId = newId()
      const source = new Told().yield('a')
      const summary = recorded(here, runId, source, { abandonMs: 100 })
      await source.called()
      const reader = read(there, { runId })
      await reader.untilText('"a"')
      await new Promise((resolve) => setTimeout(resolve, 2800))
      assert.equal(source.context.signal.aborted, false)
      reader.left()
      await source.aborted()
      assert.equal((await summary).outcome, 'disconnected')
    },
  ],
  [
    'a stop that another process was asked for before the run begins is kept, and only its owner has a say',
    async (open) => {
      const [here, there] = [await open(), await open()]
      for (const owner of [OWNER, 'bob']) {
        const runId = newId()
        assert.equal(await there.stop(runId, { owner }), false)
        const source = new Told().yield('a').end()
        const { outcome } = await recorded(here, runId, source)
        assert.equal(outcome, owner === OWNER ? 'stopped' : 'done')
        assert.equal(source.calls, owner === OWNER ? 0 : 1)
      }
    },
  ],
  [
    'a place that a run has not come to is gone in another process as well, and no other reader is touched',
    async (open) => {
      const [here, there] = [await open(), await open()]
      const runId = newId()
      const source = new Told().yield('a')
      const summary = recorded(here, runId, source)
      await source.called()
      const bad = refused(there, 410, 'cursor-gone', { lastEventId: `${runId}:999999999999999` })
      const good = read(there, { lastEventId: `${runId}:0` })
      await good.untilText('"a"')
      source.yield('b')
      // The position of an event that was sent there and is not stored yet counts as well.
      await good.untilText('"b"')
      const newest = read(there, { lastEventId: `${runId}:2` })
      await bad
      source.yield('c').end()
      await summary
      await Promise.all([good.over(), newest.over()])
      assert.deepEqual(good.numbers, [1, 2, 3, 4])
      assert.deepEqual(newest.numbers, [3, 4])
    },
  ],
  [
    'another process finds a run by its id alone until its onEnd has settled, and tells its status',
    async (open) => {
      const [here, there] = [await open(), await open()]
      const runId = newId()
      const source = new Told().yield('a')
      let save = () => {}
      const saving = new Promise<void>((resolve) => {
        save = resolve
      })
      const summary = recorded(here, runId, source, { onEnd: () => saving })
      await source.called()
      assert.deepEqual(await there.status(runId, { owner: OWNER }), { state: 'running' })
      assert.deepEqual(await there.status(runId, { owner: 'bob' }), { state: 'unknown' })
      source.end()
      await summary
      assert.deepEqual(await there.status(runId, { owner: OWNER }), { state: 'ended', outcome: 'done' })
      const reader = read(there, { runId })
      await reader.over()
      assert.ok(reader.text.endsWith('data: [DONE]\n\n'), reader.text)
      save()
      await gone(there, runId)
    },
  ],
]

/**
 * What every log does: for a store of your own, run each of them in your test runner.
 *
 * @example
 * ```ts
 * for (const { name, run } of logBehaviours) test(name, () => run(() => createLog(new MyStore(pool))))
 * ```
 */
export const logBehaviours: readonly LogBehaviour[] = [
  ...behaviours.map(([name, run]) => ({ name, isShared: false, run })),
  ...shared.map(([name, run]) => ({ name, isShared: true, run })),
]
