import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type RelayHandle, type RequestHead, relayTo, type Sink } from 'sse-relay'
import type { AdapterHost } from 'sse-relay/testing'

/** Everything an adapter does for Node's `http`, step by step, so that each step can be done wrong. */
export interface Steps {
  /** What the relay is told of the request. */
  request(req: IncomingMessage): Pick<RequestHead, 'method' | 'header'>
  /** Reads what nobody reads; after the source was asked. */
  drain(req: IncomingMessage): void
  /** Runs before the source is asked. */
  early(req: IncomingMessage, res: ServerResponse): void
  /** Tells the relay what the host tells. */
  connect(handle: RelayHandle, req: IncomingMessage, res: ServerResponse): void
  sink(res: ServerResponse): Sink
  /** What `relay` returns. */
  result(handle: RelayHandle, res: ServerResponse): Promise<unknown>
  /** The host's own handling of errors. */
  handle(res: ServerResponse): void
}

export const steps: Steps = {
  request: ({ method, headers }) => ({ method, header: (name) => headers[name] }),
  early() {},
  drain(req) {
    if (req.readableFlowing === null) req.resume()
  },
  connect(handle, _, res) {
    res.on('close', () => handle.left())
    res.on('error', () => handle.left())
    res.on('drain', () => setImmediate(() => handle.drained()))
    res.on('finish', () => handle.drained())
  },
  sink: (res) => ({
    get gone() {
      return res.destroyed
    },
    open(status, headers) {
      const cookies = [res.getHeader('set-cookie') ?? [], headers['set-cookie'] ?? []].flat() as string[]
      res.removeHeader('content-length')
      res.writeHead(status, { ...headers, ...(cookies.length > 0 && { 'set-cookie': cookies }) })
    },
    write: (text) => res.write(text),
    end: (text) => void (text === undefined ? res.end() : res.end(text)),
    destroy: () => void res.destroy(),
    schedule: process.nextTick,
  }),
  result: ({ done }) => done,
  handle: (res) => void res.writeHead(500).end('handled'),
}

/** The host with an adapter that does some of the steps otherwise. */
export function hostWith(wrong: Partial<Steps>): AdapterHost {
  const { request, early, drain, connect, sink, result, handle } = { ...steps, ...wrong }
  return {
    returns: 'summary',
    async listen({ headers, answer }) {
      const server = createServer((req, res) => {
        for (const [name, value] of headers) res.appendHeader(name, value)
        answer(
          (source, options) => {
            early(req, res)
            const relay = relayTo(sink(res), source, {
              ...options,
              request: { ...request(req), drain: () => drain(req) },
            })
            connect(relay, req, res)
            return result(relay, res)
          },
          () => text(req),
        ).catch(() => handle(res))
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return {
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
        close() {
          server.closeAllConnections()
          server.close()
        },
      }
    },
  }
}

/** The sink, with some of its methods otherwise. */
function sinkWith(wrong: (right: Sink, res: ServerResponse) => Partial<Sink>): Partial<Steps> {
  return {
    sink(res) {
      const right = steps.sink(res)
      return Object.assign(Object.create(right), wrong(right, res))
    },
  }
}

/** Adapters that do one thing wrong, each with behaviours that must fail of it. */
export const broken: { what: string; wrong: Partial<Steps>; fails: string[] }[] = [
  {
    what: 'takes 200 for an event stream',
    wrong: sinkWith((right) => ({
      open: (status, headers) =>
        right.open(
          status,
          status === 200 ? { ...headers, 'content-type': 'text/event-stream; charset=utf-8' } : headers,
        ),
    })),
    fails: ['one body comes when the run is over, and nothing before it'],
  },
  {
    what: 'never calls left()',
    wrong: {
      connect(handle, _, res) {
        res.on('drain', () => handle.drained())
        res.on('finish', () => handle.drained())
      },
    },
    fails: ['the reader of a GET leaves before the first token', "the reader's machine crashes"],
  },
  {
    what: 'takes the end of the request for the leaving of the reader',
    wrong: {
      connect(handle, req, res) {
        steps.connect(handle, req, res)
        req.on('close', () => handle.left())
      },
    },
    fails: ['heartbeats are comments while the source is silent'],
  },
  {
    what: 'listens only once the body has been read',
    wrong: {
      connect(handle, req, res) {
        req.on('end', () => steps.connect(handle, req, res))
      },
    },
    fails: ['the reader of a POST whose body was read a while before leaves before the first token'],
  },
  {
    what: 'calls left() late',
    wrong: {
      connect(handle, req, res) {
        const { done, isClosed } = handle
        const later = { left: () => void setTimeout(() => handle.left(), 50), drained: () => handle.drained() }
        steps.connect({ ...later, done, isClosed }, req, res)
      },
    },
    fails: ['the reader leaves while the source function reads its body, which is no error'],
  },
  {
    what: 'calls left() only if the answer was begun',
    wrong: {
      connect(handle, _, res) {
        res.on('close', () => res.headersSent && handle.left())
        res.on('drain', () => handle.drained())
        res.on('finish', () => handle.drained())
      },
    },
    fails: [
      'the reader of a GET leaves before the first token',
      'the reader leaves while its body is still on its way',
    ],
  },
  {
    what: 'ignores backpressure',
    wrong: sinkWith((right) => ({
      write(text) {
        right.write(text)
        return true
      },
    })),
    fails: ['a reader that takes nothing costs little, and is dropped', 'the wait ends when the reader leaves'],
  },
  {
    what: 'never says that there is room again',
    wrong: {
      connect(handle, _, res) {
        res.on('close', () => handle.left())
        res.on('finish', () => handle.drained())
      },
    },
    fails: ['a reader that reads on gets everything'],
  },
  {
    what: 'never says that the end was sent',
    wrong: {
      connect(handle, _, res) {
        res.on('close', () => res.writableFinished || handle.left())
        res.on('drain', () => handle.drained())
      },
    },
    fails: ['no timer is left behind'],
  },
  {
    what: 'forgets to end',
    wrong: sinkWith((right) => ({
      end(text) {
        if (text !== undefined) right.write(text)
      },
    })),
    fails: ['done: the events, the sentinel, and nothing more', 'HEAD is answered with the headers only'],
  },
  {
    what: 'forgets the last text',
    wrong: sinkWith((right) => ({ end: () => right.end() })),
    fails: [
      'done: the events, the sentinel, and nothing more',
      'a failure before the first part has a status and a JSON body',
    ],
  },
  {
    what: 'ends instead of dropping the connection',
    wrong: sinkWith((right) => ({ destroy: () => right.end() })),
    fails: ['a reader that takes nothing costs little, and is dropped'],
  },
  {
    what: 'loses the cookies of the host',
    wrong: sinkWith((_, res) => ({ open: (status, headers) => void res.writeHead(status, headers) })),
    fails: ['the cookies of the options and of the host are all sent'],
  },
  {
    what: 'loses the headers of the host',
    wrong: sinkWith((right, res) => ({
      open(status, headers) {
        for (const name of res.getHeaderNames()) res.removeHeader(name)
        right.open(status, headers)
      },
    })),
    fails: [
      'headers that the host set earlier are on a stream',
      'headers that the host set earlier are on a failure',
      'headers that the host set earlier are on HEAD and on 204',
    ],
  },
  {
    what: 'prefers the headers of the host',
    wrong: sinkWith((right, res) => ({
      open(status, headers) {
        const others = Object.entries(headers).filter(([name]) => !res.hasHeader(name))
        right.open(status, Object.fromEntries(others))
      },
    })),
    fails: ["the options' headers win over those the host set earlier"],
  },
  {
    what: 'keeps a content-length',
    wrong: sinkWith((_, res) => ({ open: (status, headers) => void res.writeHead(status, headers) })),
    fails: ['a content-length does not cut the stream'],
  },
  {
    what: 'does not send the headers it is given',
    wrong: sinkWith((right) => ({ open: (status) => right.open(status, {}) })),
    fails: [
      'the headers are those of an event stream',
      "the options' headers win over the library's, except content-type",
      'a request that brings the id of the end is answered 204',
    ],
  },
  {
    what: 'holds everything back until the end',
    wrong: sinkWith((right) => {
      let held = ''
      return {
        write(text) {
          held += text
          return true
        },
        end: (text = '') => right.end(held + text || undefined),
      }
    }),
    fails: [
      'the answer begins with the first event, while the source goes on',
      'heartbeats begin before the source function has answered',
      'a client that accepts gzip gets the tokens one by one',
    ],
  },
  {
    what: 'answers 200 to everything',
    wrong: sinkWith((right) => ({ open: (_, headers) => right.open(200, headers) })),
    fails: [
      'a failure before the first part has a status and a JSON body',
      'shutdown: an error frame after the first event, status 503 before it',
      'stopped, for a reason of its own: an error frame after the first event, status 409 before it',
      'expired, by a signal with a TimeoutError: an error frame after the first event, status 504 before it',
      'a request that brings the id of the end is answered 204',
      'a mistake of the caller is an answer too, and does not throw',
    ],
  },
  {
    what: 'sends the head at once',
    wrong: { early: (_, res) => void res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders() },
    fails: ['a failure before the first part has a status and a JSON body', 'the headers are those of an event stream'],
  },
  {
    what: 'does not read the body',
    wrong: { drain() {} },
    fails: [
      'the reader of a POST with 5 MB that nobody reads leaves before the first token',
      'the reader of a POST with 300 kB that nobody reads who had left before relay was called is noticed',
    ],
  },
  {
    what: 'drops a body that is being read',
    wrong: {
      drain(req) {
        req.removeAllListeners('data')
        req.removeAllListeners('readable')
        req.resume()
      },
    },
    fails: ['the source function reads the whole body, if it begins synchronously'],
  },
  {
    what: 'does not look whether the reader is gone',
    wrong: sinkWith(() => ({ gone: false })),
    fails: ['the reader of a GET who had left before relay was called is noticed'],
  },
  {
    what: 'does not tell the method',
    wrong: { request: (req) => ({ header: steps.request(req).header }) },
    fails: ['HEAD is answered with the headers only', 'a GET that accepts event streams is told that it is over'],
  },
  {
    what: 'tells the wrong method',
    wrong: { request: (req) => ({ method: 'GET', header: steps.request(req).header }) },
    fails: ['a POST, and a GET that accepts something else, have no ids', 'HEAD is answered with the headers only'],
  },
  {
    what: 'does not tell the headers',
    wrong: { request: ({ method }) => ({ method, header: () => undefined }) },
    fails: [
      'any other id reaches the source function',
      'a run with a log goes on when its reader leaves, and who comes back reads the rest, once',
      'what is asked of a log and not there is 204 or 404, and the source is not called for it',
      'a POST that is repeated under the same name follows its run',
      'a request that brings the id of the end is answered 204',
      'a GET that accepts event streams is told that it is over',
    ],
  },
  {
    what: 'writes one byte for a character',
    wrong: sinkWith((_, res) => ({ write: (text) => res.write(text, 'latin1') })),
    fails: ['every line of the data is a data line, and every character arrives'],
  },
  {
    what: 'trims what it writes',
    wrong: sinkWith((right) => ({ write: (text) => right.write(`${text.trim()}\n\n`) })),
    fails: ['heartbeats are comments while the source is silent'],
  },
  {
    what: 'throws instead of rejecting',
    wrong: {
      early() {
        throw new Error('at once')
      },
    },
    fails: [
      'done: the events, the sentinel, and nothing more',
      'relay returns a promise of how it went, and onEnd is told the same',
    ],
  },
  {
    what: 'swallows what onError throws',
    wrong: { result: ({ done }) => done.catch(() => ({ outcome: 'error' })) },
    fails: ["what onError throws before anything was sent is for the host's own error handling"],
  },
  {
    what: 'returns a promise that is never settled',
    wrong: { result: () => new Promise(() => {}) },
    fails: [
      'relay returns a promise of how it went, and onEnd is told the same',
      'HEAD is answered with the headers only',
    ],
  },
  {
    what: 'resolves to something of its own',
    wrong: { result: ({ done }) => done.then(() => true) },
    fails: ['relay returns a promise of how it went, and onEnd is told the same'],
  },
  {
    what: 'leaves a rejection unhandled',
    wrong: {
      result({ done }) {
        done.then(() => {})
        return done
      },
    },
    fails: ["what onError throws before anything was sent is for the host's own error handling"],
  },
  {
    what: 'closes the connection of others',
    wrong: (() => {
      const all = new Set<ServerResponse>()
      return {
        connect(handle: RelayHandle, req: IncomingMessage, res: ServerResponse) {
          all.add(res)
          steps.connect(handle, req, res)
          res.on('close', () => {
            for (const each of all) each.destroy()
            all.clear()
          })
        },
      }
    })(),
    fails: ['a reader who leaves takes nobody else along'],
  },
  {
    what: 'keeps what it was given',
    wrong: (() => {
      const all: RelayHandle[] = []
      return {
        connect(handle: RelayHandle, req: IncomingMessage, res: ServerResponse) {
          all.push(handle)
          steps.connect(handle, req, res)
        },
      }
    })(),
    fails: ['no run is left behind'],
  },
]
