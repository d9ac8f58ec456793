// A share of the readers: compares every byte that comes with what is due.
import { get } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { data, serve, tell } from '../processes.mjs'
import { answerOf, runIdOf } from './tokens.mjs'

const { port, localAddress } = data()
let seen

setInterval(() => seen && tell(seen), 250).unref()

serve({
  /** Reads the answers of the readers `from` to `to` to their ends, `perSecond` new ones a second. */
  async read({ round, runs, tokens, from, to, perSecond }) {
    seen = { round, opened: 0, closed: 0, bytes: 0, heartbeats: 0, failures: 0, examples: [] }
    const answers = Array.from({ length: runs }, (_, run) => answerOf(round, run, tokens))
    const started = performance.now()
    const reading = []
    for (let reader = from; reader < to; reader++) {
      const early = ((reader - from) / perSecond) * 1000 - (performance.now() - started)
      if (early > 0) await wait(early)
      const run = reader % runs
      reading.push(read(`reader ${reader}`, runIdOf(round, run), answers[run]))
    }
    await Promise.all(reading)
    return seen
  },
})

function read(name, runId, due) {
  let at = 0
  let rest = ''
  let failed = false
  const fail = (what) => {
    if (!failed) seen.failures++
    if (!failed && seen.examples.length < 10) seen.examples.push(`${name} of ${runId} ${what}`)
    failed = true
  }
  const take = (piece) => {
    const text = rest + piece
    const end = text.lastIndexOf('\n') + 1
    rest = text.slice(end)
    const lines = text.slice(0, end)
    const events = lines.replaceAll(/^: \n/gm, '')
    seen.heartbeats += (lines.length - events.length) / 3
    seen.bytes += events.length
    if (!due.startsWith(events, at)) {
      fail(`got ${JSON.stringify(events.slice(0, 200))} where ${JSON.stringify(due.slice(at, at + 200))} was due`)
    }
    at += events.length
  }
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, localAddress, path: `/${runId}`, agent: false }, (response) => {
      if (response.statusCode !== 200) fail(`was answered ${response.statusCode}`)
      response.setEncoding('utf8')
      response.once('data', () => seen.opened++)
      response.on('data', take)
      response.on('error', (error) => fail(`broke: ${error.message}`))
      response.on('close', () => {
        seen.closed++
        if (!response.complete) fail('was cut')
        if (at !== due.length || rest !== '') fail(`got ${at} of ${due.length} characters`)
        resolve()
      })
    })
    request.on('error', (error) => {
      fail(`broke: ${error.message}`)
      if (!request.res) resolve()
    })
  })
}
