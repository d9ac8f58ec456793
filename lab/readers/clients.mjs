// A share of the readers: compares every byte that comes with what is due.
import { get } from 'node:http'
import { data, serve, tell } from '../../scripts/processes.mjs'
import { answerOf, runIdOf } from './tokens.mjs'

const { port, localAddress } = data()
/** So many come at once, and the next when those have their first token. */
const AT_ONCE = 100
let seen

setInterval(() => seen && tell(seen), 250).unref()

serve({
  /** Reads the answers of the readers `from` to `to` to their ends. */
  async read({ round, runs, tokens, from, to }) {
    seen = { round, opened: 0, closed: 0, bytes: 0, heartbeats: 0, failures: 0, examples: [] }
    const answers = Array.from({ length: runs }, (_, run) => answerOf(round, run, tokens))
    const reading = []
    for (let reader = from; reader < to; reader += AT_ONCE) {
      const some = Array.from({ length: Math.min(AT_ONCE, to - reader) }, (_, index) => {
        const run = (reader + index) % runs
        return read(`reader ${reader + index}`, runIdOf(round, run), answers[run])
      })
      reading.push(...some.map(({ ended }) => ended))
      await Promise.all(some.map(({ opened, ended }) => Promise.race([opened, ended])))
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
  let open
  const opened = new Promise((resolve) => {
    open = resolve
  })
  const ended = new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, localAddress, path: `/${runId}`, agent: false }, (response) => {
      if (response.statusCode !== 200) fail(`was answered ${response.statusCode}`)
      response.setEncoding('utf8')
      response.once('data', () => {
        seen.opened++
        open()
      })
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
  return { opened, ended }
}
