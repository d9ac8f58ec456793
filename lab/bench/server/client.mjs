// The readers, in a process of their own: their work is nobody's figure.

import { Agent, get } from 'node:http'
import { createServer } from 'node:net'

const LF = 10

/** The streams of the provider that wait until every answer has begun. */
const held = []

/** Asks once and counts what comes: bytes and empty lines. Rejects for what is no answer or was cut. */
function read({ port, path = '/' }, agent, { keep, onBegin, onBody } = {}) {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent }, (response) => {
      let bytes = 0
      let frames = 0
      let last = 0
      let body = ''
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`))
      if (onBegin) response.once('data', onBegin)
      response.on('data', (piece) => {
        bytes += piece.length
        for (let index = piece.indexOf(LF); index !== -1; index = piece.indexOf(LF, index + 1)) {
          if ((index === 0 ? last : piece[index - 1]) === LF) frames++
        }
        last = piece[piece.length - 1]
        if (keep) body += piece.latin1Slice()
        onBody?.(piece)
      })
      response.on('end', () => resolve({ bytes, frames, body: Buffer.from(body, 'latin1').toString() }))
      response.on('error', reject)
    })
    request.on('error', reject)
  })
}

function ranges(answers) {
  const range = (name) => [
    Math.min(...answers.map((answer) => answer[name])),
    Math.max(...answers.map((answer) => answer[name])),
  ]
  return { bytes: range('bytes'), frames: range('frames') }
}

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]

let open

const tasks = {
  /** The whole body of one answer. */
  async one(target) {
    return read(target, undefined, { keep: true })
  },

  /** Many answers at once, read to their ends. */
  async many({ connections, ...target }) {
    const agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
    const answers = await Promise.all(Array.from({ length: connections }, () => read(target, agent)))
    return ranges(answers)
  },

  /** How long the first bytes of each answer took, one answer after the other. */
  async first({ requests, ...target }) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const waits = []
    for (let count = 0; count < requests; count++) {
      const asked = performance.now()
      const onBegin = (piece) => {
        if (!piece.includes('data: ')) throw new Error(`An answer begins with no token: ${piece}`)
        waits.push(performance.now() - asked)
      }
      await read(target, agent, { onBegin })
    }
    agent.destroy()
    waits.sort((a, b) => a - b)
    return { p50: percentile(waits, 0.5) }
  },

  /**
   * Opens a provider that stamps each token with the time, `perWrite` at once; `latency` reads them back. With `holds`
   * it says one word without a time, and goes on when all answers have begun.
   */
  async upstream({ tokens, everyMs, perWrite = 1, holds = false }) {
    const server = createServer((socket) => {
      socket.setNoDelay(true)
      socket.on('error', () => {})
      let left = tokens
      let timer
      const go = () => {
        timer = setInterval(() => {
          const count = Math.min(left, perWrite)
          socket.write(`<${performance.now().toFixed(3)}>\n`.repeat(count))
          left -= count
          if (left > 0) return
          clearInterval(timer)
          socket.end()
        }, everyMs)
      }
      socket.on('close', () => clearInterval(timer))
      if (!holds) return go()
      socket.write('and\n')
      // Providers do not send in step.
      held.push(() => setTimeout(go, Math.random() * everyMs))
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { port: server.address().port }
  },

  /** What each token was late by. With `paths` every connection has one of its own. */
  async latency({ connections, paths, ...target }) {
    const agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
    const delays = []
    let begun = 0
    const onBegin = () => {
      if (++begun === connections) for (const go of held.splice(0)) go()
    }
    const readOne = (_, index) => {
      let rest = ''
      const onBody = (piece) => {
        const now = performance.now()
        const text = rest + piece.latin1Slice()
        const end = text.lastIndexOf('\n') + 1
        for (const [, stamp] of text.slice(0, end).matchAll(/<([\d.]+)>/g)) delays.push(now - Number(stamp))
        rest = text.slice(end)
      }
      return read({ ...target, ...(paths && { path: paths[index] }) }, agent, { onBegin, onBody })
    }
    const answers = await Promise.all(Array.from({ length: connections }, readOne))
    delays.sort((a, b) => a - b)
    return { count: delays.length, ...ranges(answers), p50: percentile(delays, 0.5), p99: percentile(delays, 0.99) }
  },

  /** Opens streams and leaves them open; resolves when each has had its first bytes. */
  async hold({ connections, port, path = '/' }) {
    const agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
    open = Array.from({ length: connections }, () => ({ beats: 0, longest: 0, last: 0, closed: false }))
    const connect = (stream) =>
      new Promise((resolve, reject) => {
        const request = get({ host: '127.0.0.1', port, path, agent }, (response) => {
          response.on('data', () => {
            const now = performance.now()
            if (stream.last !== 0) {
              stream.beats++
              stream.longest = Math.max(stream.longest, now - stream.last)
            }
            stream.last = now
            resolve()
          })
          response.on('error', () => {
            stream.closed = true
          })
        })
        request.on('error', reject)
        stream.request = request
      })
    // Not all in one moment: the queue of a listening socket is short.
    for (let at = 0; at < connections; at += 250) await Promise.all(open.slice(at, at + 250).map(connect))
    return {}
  },

  /** What the open streams had since: heartbeats, the longest silence, how many were lost. */
  async held() {
    const now = performance.now()
    return {
      beats: Math.min(...open.map(({ beats }) => beats)),
      longest: Math.max(...open.map(({ longest, last }) => Math.max(longest, now - last))),
      lost: open.filter(({ closed }) => closed).length,
    }
  },

  async release() {
    for (const { request } of open) request.destroy()
    open = undefined
    return {}
  },
}

process.on('message', async ({ id, task, ...rest }) => {
  try {
    process.send({ id, answer: await tasks[task](rest) })
  } catch (error) {
    process.send({ id, failure: error.stack })
  }
})
process.on('disconnect', () => process.exit())
