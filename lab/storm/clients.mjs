// The readers: those who read, those who leave at every point, those who do not speak HTTP.
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { collect, openClient } from 'sse-relay/testing'
import { serve, tell, within } from '../../scripts/processes.mjs'
import { expectedOf, planOf, randomOf } from './plan.mjs'

/** For what must happen by itself; more than a busy machine needs. */
const LIMIT_MS = 60_000
/** After this, who waits for more of the answer leaves without it. */
const SILENCE_MS = 300

let ports
let finished = 0
setInterval(() => tell({ finished }), 200).unref()

serve({
  /** Has all exchanges, so many at a time, and tells what was wrong with them. */
  async run({ seed, indices, concurrency, ports: found }) {
    ports = found
    const problems = []
    const rest = indices.values()
    await Promise.all(
      Array.from({ length: concurrency }, async () => {
        for (const index of rest) {
          const plan = planOf(seed, index)
          const problem = await readers[plan.reader](plan).catch((error) => error.stack ?? String(error))
          if (problem) problems.push({ index, what: problem })
          finished++
        }
      }),
    )
    return problems
  },
})

const urlOf = ({ host, seed, index }, part = 0) => `http://127.0.0.1:${ports[host]}/${seed}/${index}/${part}`

function open(plan, options) {
  return openClient(urlOf(plan), { httpVersion: plan.http === 2 ? '2' : '1.1', ...options })
}

/** Each has its exchange, and returns what was wrong with it, if anything was. */
const readers = {
  read: (plan) => readWhole(plan, open(plan)),
  post: (plan) => readWhole(plan, open(plan, { body: 'x'.repeat(plan.bodyLength) })),
  http10: (plan) => readWhole(plan, open(plan, { httpVersion: '1.0' })),

  async pause(plan) {
    const client = open(plan)
    await received(client, plan)
    client.pause()
    await wait(50)
    client.resume()
    return readWhole(plan, client)
  },

  async 'after-end'(plan) {
    const { answers, socket } = await exchange(plan, { requests: 1 })
    await wait(plan.afterMs)
    socket.resetAndDestroy()
    return judgeAll(plan, answers)
  },

  async pipelined(plan) {
    const { answers, socket } = await exchange(plan, { requests: plan.requests })
    socket.destroy()
    return judgeAll(plan, answers)
  },

  async 'pipelined-leave'(plan) {
    const socket = dial(plan)
    socket.write(requestsOf(plan, plan.requests))
    await somethingOf(socket, plan)
    leave(socket, plan)
  },

  async multiplexed(plan) {
    const session = connectHttp2(`http://127.0.0.1:${ports[plan.host]}`)
    session.on('error', () => {})
    const problems = []
    const streams = Array.from({ length: plan.requests }, async (_, part) => {
      const stream = session.request({ ':path': new URL(urlOf(plan, part)).pathname })
      let status
      let received = ''
      stream.setEncoding('utf8')
      stream.on('response', (headers) => {
        status = headers[':status']
      })
      stream.on('data', (text) => {
        received += text
      })
      let error
      stream.on('error', (cause) => {
        error = cause
      })
      const closed = new Promise((resolve) => stream.on('close', resolve))
      // Every other one is cancelled; the ones beside it must not notice.
      if (part % 2) {
        await wait(plan.afterMs)
        stream.close(randomOf(plan, `cancel ${part}`).pick([8, 2, 7, 5]))
      }
      await soon(closed, 'a stream of the connection')
      if (part % 2 === 0) problems.push(await judge({ ...plan, part }, { status, received, complete: !error }))
    })
    await Promise.all(streams)
    if (plan.variant % 2) session.destroy()
    else session.close()
    return problems.find((problem) => problem)
  },

  async leave(plan) {
    const client = open(plan)
    await received(client, plan)
    client.leave()
    await soon(client.closed, 'the connection to close')
  },

  async reset(plan) {
    const client = open(plan)
    await received(client, plan)
    client.reset()
    await soon(client.closed, 'the connection to close')
  },

  async 'leave-soon'(plan) {
    const client = open(plan)
    await wait(plan.afterMs)
    client.leave()
    await soon(client.closed, 'the connection to close')
  },

  async 'reset-soon'(plan) {
    const client = open(plan)
    await wait(plan.afterMs)
    client.reset()
    await soon(client.closed, 'the connection to close')
  },

  async half(plan) {
    const client = open(plan)
    if (plan.variant % 2) await received(client, plan)
    client.halfClose()
    await soon(client.closed, 'the connection to close')
  },

  async 'never-reads'(plan) {
    const client = open(plan)
    client.pause()
    await wait(1000)
    client.leave()
    // An HTTP/2 stream is not closed while something of it waits to be read.
    client.resume()
    await soon(client.closed, 'the connection to close')
  },

  async 'reads-a-byte'(plan) {
    const client = open(plan)
    client.slow(1)
    await wait(1300)
    client.leave()
    // An HTTP/2 stream is not closed while something of it waits to be read.
    client.resume()
    await soon(client.closed, 'the connection to close')
  },

  async before(plan) {
    const socket = dial(plan)
    await wait(plan.afterMs)
    leave(socket, plan)
  },

  async 'in-head'(plan) {
    const socket = dial(plan)
    const request = plan.http === 2 ? 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' : requestsOf(plan, 1)
    socket.write(request.subarray?.(0, (plan.variant % (request.length - 1)) + 1) ?? request)
    await wait(plan.afterMs)
    leave(socket, plan)
  },

  async 'in-body'(plan) {
    const socket = dial(plan)
    socket.write(`POST ${new URL(urlOf(plan)).pathname} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n0123456789`)
    if (plan.variant % 2) await somethingOf(socket, plan)
    leave(socket, plan)
  },

  async 'in-upload'(plan) {
    const client = open(plan, { method: 'POST', body: 'x'.repeat(plan.variant % 2 ? 300_000 : 2_000_000) })
    await received(client, plan)
    client.leave()
    await soon(client.closed, 'the connection to close')
  },

  async answered(plan) {
    const client = open(plan)
    const { complete, error } = await soon(client.closed, 'the end of the answer')
    const status = await client.status.catch(() => undefined)
    if (status === undefined) return `there is no answer: ${error}`
    if (status === 504 && !complete) return 'what answered instead was cut'
  },

  async garbage(plan) {
    const random = randomOf(plan, 'garbage')
    const socket = dial(plan)
    socket.write(plan.http === 2 ? random.bytes(200) : random.pick(noRequests)(random))
    socket.resume()
    await soon(closeOf(socket), 'the server to close what is no HTTP')
  },

  async 'bad-body'(plan) {
    const socket = dial(plan)
    const { pathname } = new URL(urlOf(plan))
    socket.write(`POST ${pathname} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n`)
    await wait(plan.afterMs)
    socket.write(randomOf(plan, 'body').pick(['zz\r\n', 'ffffffffffffffffff\r\n', '3\r\nabcdef\r\n', '\0']))
    socket.resume()
    await soon(closeOf(socket), 'the server to close a body that is none')
  },

  async oversized(plan) {
    const client = open(plan, { headers: { 'x-large': 'x'.repeat(plan.variant % 2 ? 20_000 : 80_000) } })
    const status = await client.status.catch(() => undefined)
    await soon(client.closed, 'the connection to close')
    if (plan.http === 1 && status !== 431) return `large headers are answered with ${status}`
  },

  async head(plan) {
    const client = open(plan, { method: 'HEAD' })
    const status = await client.status
    await soon(client.closed, 'the answer to HEAD')
    if (status !== 200 || client.received !== '') return `HEAD is answered with ${status} and ${client.received}`
  },

  async over(plan) {
    const client = open(plan, { headers: { accept: 'text/event-stream', 'last-event-id': 'a_run_that_has_ended:end' } })
    const status = await client.status
    await soon(client.closed, 'the answer to who has it all')
    if (status !== 204) return `an EventSource that has it all is answered with ${status}`
  },
}

/** What no server takes for a request. */
const noRequests = [
  (random) => random.bytes(random.integer(1, 3000)).fill(0, 0, 1),
  // A TLS client that was sent to the wrong port.
  (random) => Buffer.concat([Buffer.from('16030100f8010000f40303', 'hex'), random.bytes(200)]),
  () => 'GET / HTTP/9.9\r\n\r\n',
  () => 'GET / HTTP/1.1\r\nhost: x\r\nno colon here\r\n\r\n',
  () => 'GET / HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n',
  () => 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  () => 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n',
  () => 'GET / HTTP/1.1\r\n\r\n',
  () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
]

/** So much of the answer, or its end; or nothing more for a while. */
function received(client, { afterBytes }) {
  const enough = client.until((text) => text.length >= afterBytes).catch(() => {})
  return Promise.race([enough, wait(SILENCE_MS)])
}

/** What was read to its end must be what the plan says. */
async function readWhole(plan, client) {
  const { complete, error } = await soon(client.closed, 'the end of the answer')
  const status = await client.status.catch(() => undefined)
  return judge(plan, { status, received: client.received, complete, error })
}

async function judge(plan, { status, received, complete, error }) {
  const { outcomes, isRight } = expectedOf(plan)
  if (status === undefined) return `there is no answer: ${error}`
  if (!complete) return `the answer with status ${status} was cut: ${error ?? ''} after ${received.length} characters`
  let outcome
  let text = ''
  if (status === 200) ({ outcome, text } = await collect(received))
  else {
    const code = received.startsWith('{') ? JSON.parse(received).error.code : 'error'
    outcome = ['expired', 'truncated'].includes(code) ? code : 'error'
  }
  // What onError shows in its place, or the host when it throws, is an error like any other.
  if (plan.hook.startsWith('onError') && outcome === 'error' && outcomes.includes('truncated')) outcome = 'truncated'
  if (!outcomes.includes(outcome)) return `the reader sees ${outcome} (status ${status}), not ${outcomes.join(' or ')}`
  if (!isRight(text)) return `the reader has read ${JSON.stringify(text.slice(-200))}, ${text.length} characters`
}

function dial({ host }) {
  const socket = connect(ports[host], '127.0.0.1')
  // What is written to who has hung up already.
  socket.on('error', () => {})
  return socket
}

function closeOf(socket) {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve()
    else socket.on('close', resolve)
  })
}

/** The same of a bare socket. */
function somethingOf(socket, { afterBytes }) {
  return new Promise((resolve) => {
    let length = 0
    socket.on('data', (bytes) => {
      length += bytes.length
      if (length >= afterBytes) resolve()
    })
    socket.on('close', resolve)
    setTimeout(resolve, SILENCE_MS)
  })
}

function leave(socket, { variant }) {
  if (variant % 3 === 0) socket.resetAndDestroy()
  else if (variant % 3 === 1) socket.destroy()
  else socket.end(() => socket.destroy())
}

/** The requests of a connection, as one piece. */
function requestsOf(plan, count) {
  return Buffer.from(
    Array.from({ length: count }, (_, part) => {
      const { pathname } = new URL(urlOf(plan, part))
      return `GET ${pathname} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`
    }).join(''),
  )
}

/** Sends so many requests at once, and reads the answers to all of them over the one connection. */
async function exchange(plan, { requests }) {
  const socket = dial(plan)
  socket.write(requestsOf(plan, requests))
  const answers = []
  const reading = (async () => {
    let bytes = Buffer.alloc(0)
    for await (const piece of socket.iterator({ destroyOnReturn: false })) {
      bytes = Buffer.concat([bytes, piece])
      for (let answer = answerIn(bytes); answer; answer = answerIn(bytes)) {
        answers.push(answer)
        bytes = bytes.subarray(answer.length)
        if (answers.length === requests) return
      }
    }
  })().catch(() => {})
  await soon(reading, `the answers to ${requests} requests`)
  return { answers, socket }
}

/** The first answer in what came over a connection that is kept alive, if all of it is there. */
function answerIn(bytes) {
  const head = bytes.indexOf('\r\n\r\n')
  if (head < 0) return
  const fields = bytes.toString('latin1', 0, head).toLowerCase()
  const status = Number(fields.slice(9, 12))
  let at = head + 4
  const length = /\r\ncontent-length: (\d+)/.exec(fields)?.[1]
  if (length !== undefined) {
    const end = at + Number(length)
    return bytes.length >= end ? { status, body: bytes.toString('utf8', at, end), length: end } : undefined
  }
  const pieces = []
  for (;;) {
    const line = bytes.indexOf('\r\n', at)
    if (line < 0) return
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16)
    const end = line + 2 + size + 2
    if (bytes.length < end) return
    if (size === 0) return { status, body: Buffer.concat(pieces).toString(), length: end }
    pieces.push(bytes.subarray(line + 2, end - 2))
    at = end
  }
}

async function judgeAll(plan, answers) {
  for (let part = 0; part < Math.max(plan.requests, 1); part++) {
    const answer = answers[part]
    if (!answer) return `request ${part} of ${plan.requests} has no whole answer`
    const problem = await judge({ ...plan, part }, { status: answer.status, received: answer.body, complete: true })
    if (problem) return `request ${part} of ${plan.requests}: ${problem}`
  }
}

/** What must happen by itself. */
function soon(promise, what) {
  return within(promise, LIMIT_MS, what).catch((error) => {
    // The stack says nothing more.
    throw error.message
  })
}
