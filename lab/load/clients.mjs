// A share of the readers: opens its streams one after the other, checks every line of each, tells what it saw.
import { get } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { data, serve, tell } from '../../scripts/processes.mjs'
import { frameOf } from './tokens.mjs'

const { port, localAddress } = data()

/** A server that is slow is not given more to do than this; those that begin with a silence are not counted. */
const MOST_UNANSWERED = 100
let unanswered = 0

let seen = fresh()
let late = []
const lag = monitorEventLoopDelay()
setInterval(() => tell(seen), 500).unref()

serve({ read })

function fresh() {
  return { opened: 0, closed: 0, tokens: 0, heartbeats: 0, longestGapMs: 0, failures: 0, examples: [] }
}

/** Reads the streams `from` to `to`, `perSecond` new ones a second, to their end. */
async function read({ from, to, perSecond, count, silentEvery, silentMs, heartbeatMs }) {
  seen = fresh()
  late = []
  lag.enable()
  const started = performance.now()
  const streams = []
  for (let id = from; id < to; id++) {
    const early = ((id - from) / perSecond) * 1000 - (performance.now() - started)
    if (early > 0) await wait(early)
    while (unanswered >= MOST_UNANSWERED) await wait(5)
    const silent = id % silentEvery === 0
    streams.push(new Stream(id, silent ? { count: 1, silentMs, heartbeatMs } : { count }).ended)
  }
  await Promise.all(streams)
  return { ...seen, late, lagMs: lag.max / 1e6 }
}

class Stream {
  #id
  #count
  #silentMs
  #heartbeatMs
  #next = 0
  #heartbeats = 0
  #rest = ''
  #done = false
  #failed = false
  /** When a byte of a silent stream came last. Who waits to be let in is no business of heartbeats. */
  #heard
  ended

  constructor(id, { count, silentMs = 0, heartbeatMs = 0 }) {
    this.#id = id
    this.#count = count
    this.#silentMs = silentMs
    this.#heartbeatMs = heartbeatMs
    const path = `/${id}/${count}/${silentMs}`
    if (!silentMs) unanswered++
    this.ended = new Promise((resolve) => {
      const request = get({ host: '127.0.0.1', port, localAddress, path, agent: false }, (response) => {
        seen.opened++
        if (!silentMs) unanswered--
        if (response.statusCode !== 200) this.#fail(`has status ${response.statusCode}`)
        response.setEncoding('utf8')
        response.on('data', (text) => this.#read(text))
        response.on('error', (error) => this.#fail(`broke: ${error.message}`))
        response.on('close', () => {
          this.#close(response.complete)
          resolve()
        })
      })
      request.on('error', (error) => {
        this.#fail(`broke: ${error.message}`)
        if (request.res) return
        if (!silentMs) unanswered--
        resolve()
      })
    })
  }

  #read(text) {
    const lines = (this.#rest + text).split(/(?<=\n)/)
    this.#rest = lines.at(-1).endsWith('\n') ? '' : lines.pop()
    if (this.#silentMs) this.#hear()
    for (const line of lines) this.#line(line)
  }

  #line(line) {
    if (line === '\n') return
    if (line === ': \n') {
      this.#heartbeats++
      seen.heartbeats++
    } else if (this.#done) this.#fail(`went on after [DONE]: ${JSON.stringify(line)}`)
    else if (`${line}\n` === frameOf(this.#id, this.#next)) {
      this.#next++
      seen.tokens++
    } else if (line === 'data: [DONE]\n') this.#done = true
    else this.#fail(`has ${JSON.stringify(line)} instead of token ${this.#next}`)
  }

  /** One heartbeat that does not come makes a silence of two; whether it was for that, who knows both processes says. */
  #hear() {
    const now = performance.now()
    const gap = now - (this.#heard ?? now)
    this.#heard = now
    if (gap > seen.longestGapMs) seen.longestGapMs = gap
    if (gap > 2 * this.#heartbeatMs) late.push({ id: this.#id, gapMs: Math.round(gap) })
  }

  #close(complete) {
    seen.closed++
    if (!complete) this.#fail('was cut')
    if (this.#rest !== '') this.#fail(`ends with half a line: ${JSON.stringify(this.#rest)}`)
    if (this.#next !== this.#count) this.#fail(`has ${this.#next} of ${this.#count} tokens`)
    if (!this.#done) this.#fail('ended without [DONE]')
    if (!this.#silentMs) return
    // The clock of each begins again with the one before, so late ones add up; the last may meet the token.
    const expected = Math.floor(this.#silentMs / (this.#heartbeatMs * 1.2)) - 1
    if (this.#heartbeats < expected) this.#fail(`has ${this.#heartbeats} heartbeats, not ${expected} or more`)
  }

  /** The first thing that is wrong with a stream; the rest follows from it. */
  #fail(what) {
    if (this.#failed) return
    this.#failed = true
    seen.failures++
    if (seen.examples.length < 10) seen.examples.push(`stream ${this.#id} ${what}`)
  }
}
