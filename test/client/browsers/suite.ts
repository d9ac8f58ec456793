/**
 * What the client must do wherever it runs, as plain asserts: runs in pages, workers, Node, Bun and Deno against the
 * server of `suite-server.ts`.
 */
import {
  fetchSSE,
  type ParsedEvent,
  parseSSE,
  RelayError,
  readParts,
  readText,
  SSEParserStream,
} from 'sse-relay/client'

/** One case's view of the server. */
interface Scene {
  /** The address of this answer; each case has its own copy of it. */
  url(answer: string): string
  /** Tells the answer to go on, where it waits to be told. */
  go(): Promise<void>
  /** Resolves once the latest request of this case is over, to who ended it. */
  closed(): Promise<'server' | 'client'>
  /** Every request of this case so far. */
  requests(): Promise<SeenRequest[]>
}

export interface SeenRequest {
  method: string
  body: string
  lastEventId?: string
  contentType?: string
  accept?: string
  runId?: string
}

export interface SuiteResult {
  name: string
  /** Absent if all went well. */
  error?: string
}

const POST = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"messages":[]}' }

/** The longest any case may take. */
const LIMIT_MS = 30_000

export const MIXED = 'aé日🚀\u2028 "\\\n'
export const LARGE = MIXED.repeat(Math.ceil(1_048_576 / MIXED.length))
export const TOKENS = ['The', ' answer', ' is', ' naïve', ' 日本', ' 🚀']

const cases: Record<string, (scene: Scene) => Promise<void>> = {
  async 'a POST is answered token by token'({ url, go, closed, requests }) {
    const seen: string[] = []
    // The server says each token only once it is told that the one before was read.
    for await (const text of readText(await fetch(url('tokens'), POST))) {
      seen.push(text)
      await go()
    }
    equal(seen, TOKENS)
    equal(await closed(), 'server')
    const [request, ...more] = await requests()
    equal(more, [])
    equal([request?.method, request?.body, request?.contentType], ['POST', POST.body, 'application/json'])
  },

  async 'fetchSSE sends one POST and reads to the sentinel'({ url, go, requests }) {
    const stream = fetchSSE(url('tokens'), POST)
    const seen: string[] = []
    for await (const text of readText(stream)) {
      seen.push(text)
      await go()
    }
    equal(seen, TOKENS)
    equal(stream.response?.status, 200)
    equal(
      (await requests()).map(({ method, accept }) => [method, accept]),
      [['POST', 'text/event-stream']],
    )
  },

  async 'an answer that is cut without an ending is an error, and not paid for twice'({ url, go, requests }) {
    for (const way of ['cut', 'reset']) {
      const count = (await requests()).length
      const seen: ParsedEvent[] = []
      const error = await failure(async () => {
        for await (const event of fetchSSE(url(way), POST)) {
          seen.push(event)
          await go()
        }
      })
      // Not every engine tells its reader that a chunked body was cut.
      ok(error.code === 'network' || error.code === 'truncated', `the code is ${error.code}`)
      equal([seen, error.received, error.retryable], [[{ data: 'a' }], 1, true])
      equal((await requests()).length, count + 1)
    }
  },

  async 'an answer that ends without the sentinel is truncated'({ url }) {
    const error = await failure(() => read(fetch(url('unended'))))
    equal([error.code, error.received, error.pending], ['truncated', 1, 'data: pend'])
  },

  async 'a failure in the middle is the error of the server, after what came before'({ url }) {
    const seen: string[] = []
    const error = await failure(async () => {
      for await (const text of readText(fetchSSE(url('failing'), POST))) seen.push(text)
    })
    ok(error instanceof RelayError, 'it is a RelayError')
    equal([error.code, error.retryable, error.received, error.status], ['rate-limit', true, 2, undefined])
    ok(!error.message.includes('secret'), 'its words are safe')
    equal(seen, ['The', ' answer'])
  },

  async 'a failure before the first token is an HTTP status with the same error'({ url }) {
    const error = await failure(() => read(fetch(url('refused'), POST)))
    equal([error.code, error.retryable, error.status], ['rate-limit', true, 429])
  },

  async 'an HTML page is an error, with its text, whatever its status'({ url }) {
    for (const [status, code] of [
      [502, 'http-status'],
      [200, 'content-type'],
    ] as const) {
      const error = await failure(() => read(fetch(url(`html/${status}`))))
      equal([error.code, error.status, error.body], [code, status, '<h1>Bad gateway €</h1>'])
    }
  },

  async 'an abort during a read is an AbortError, and the server sees it'({ url, closed }) {
    const controller = new AbortController()
    const { signal } = controller
    const response = await fetch(url('endless'), { ...POST, signal })
    const events = parseSSE(response, { signal })
    equal(await events.next(), { done: false, value: { data: '{"text":"The"}' } })
    const next = events.next()
    controller.abort()
    equal((await failure(() => next)).name, 'AbortError')
    equal(await closed(), 'client')
    equal([response.body?.locked, await events.next()], [false, { done: true }])
  },

  async 'an abort of the reading alone is one, too'({ url, closed }) {
    const controller = new AbortController()
    const events = parseSSE(await fetch(url('beating'), POST), { signal: controller.signal })
    await events.next()
    const next = events.next()
    controller.abort()
    equal((await failure(() => next)).name, 'AbortError')
    equal(await closed(), 'client')
  },

  async 'an abort before the headers is one, too'({ url, closed, requests }) {
    const controller = new AbortController()
    const next = fetchSSE(url('silent'), { ...POST, signal: controller.signal }).next()
    const error = failure(() => next)
    while ((await requests()).length === 0) await sleep(10)
    controller.abort()
    equal((await error).name, 'AbortError')
    equal(await closed(), 'client')
  },

  async 'a signal that has aborted sends nothing'({ url, requests }) {
    const controller = new AbortController()
    controller.abort()
    const error = await failure(() => fetchSSE(url('tokens'), { ...POST, signal: controller.signal }).next())
    equal([error.name, await requests()], ['AbortError', []])
  },

  async 'break cancels, and the server sees it'({ url, closed }) {
    const response = await fetch(url('beating'), POST)
    for await (const text of readText(response)) {
      equal(text, 'The')
      break
    }
    equal([await closed(), response.body?.locked], ['client', false])
    for await (const _ of fetchSSE(url('endless'), POST)) break
    equal(await closed(), 'client')
  },

  async 'return() during a read acts at once, and the server sees it'({ url, closed }) {
    const stream = fetchSSE(url('endless'), POST)
    await stream.next()
    const next = stream.next()
    equal(await stream.return(), { done: true })
    equal(await next, { done: true })
    equal(await closed(), 'client')
  },

  async 'a lost connection is resumed by its ids: every event once'({ url, go, requests }) {
    const stream = fetchSSE(url('resumable'), POST)
    const seen: string[] = []
    for await (const { data } of stream) {
      seen.push(data)
      await go()
    }
    equal(
      seen,
      Array.from({ length: 9 }, (_, index) => `token ${index + 1}`),
    )
    equal(stream.lastEventId, 'run-0123456789abc:9')
    const [first, ...again] = await requests()
    equal([first?.method, first?.lastEventId, again.length], ['POST', undefined, 3])
    for (const { method, body, contentType, lastEventId } of again) {
      equal([method, body, contentType], ['GET', '', undefined])
      ok(/^run-0123456789abc:[3-9]$/.test(lastEventId ?? ''), `Last-Event-ID is ${lastEventId}`)
    }
  },

  async 'an id beyond ASCII comes back as it was'({ url, requests }) {
    equal(await read(fetchSSE(url('wide'), POST)), [{ data: 'a', id: '€ 日' }])
    const id = (await requests())[1]?.lastEventId
    // WebKit with libsoup sends each of its bytes as UTF-8 once more; nothing in a page can tell or help.
    const twice = Array.from(new TextEncoder().encode('€ 日'), (byte) => String.fromCharCode(byte)).join('')
    ok(id === '€ 日' || (id === twice && /AppleWebKit(?!.*Chrome)/.test(navigator.userAgent)), `it is ${id}`)
  },

  async 'a retry waits for the network, if the platform says when it is there'({ url, requests }) {
    if (typeof globalThis.dispatchEvent !== 'function') return
    // The server asks for a wait of an hour, which the client shortens to half a minute at most.
    const online = setInterval(() => globalThis.dispatchEvent(new Event('online')), 20)
    try {
      equal(await read(fetchSSE(url('offline'), POST)), [
        { data: 'a', id: 'run-0123456789abc:1' },
        { data: 'b', id: 'run-0123456789abc:2' },
      ])
    } finally {
      clearInterval(online)
    }
    equal((await requests()).length, 2)
  },

  async 'stop() ends the run at the server'({ url, requests, closed }) {
    const stream = fetchSSE(url('stoppable'), { ...POST, stopUrl: url('stoppable/:runId') })
    const { runId } = stream
    await stream.next()
    const next = failure(() => stream.next())
    equal(await stream.stop(), true)
    equal((await next).code, 'stopped')
    // By the client, which leaves first, unless the server hears of the stop before it sees that.
    await closed()
    equal(
      (await requests()).map((request) => [request.method, request.runId]),
      [
        ['POST', runId],
        ['DELETE', runId],
      ],
    )
  },

  async 'a slow answer is kept open by heartbeats, which are no events'({ url }) {
    const comments: string[] = []
    const retries: number[] = []
    const response = await fetch(url('slow'), POST)
    const events = await read(response, {
      onComment: (comment) => comments.push(comment),
      onRetry: (retry) => retries.push(retry),
    })
    equal(events, [{ data: '{"text":"The"}' }, { data: '{"text":" answer"}' }])
    ok(comments.length > 0 && comments.every((comment) => comment === ''), `the comments are ${comments}`)
    equal(retries, [50])
  },

  async 'an event of 1 MB arrives whole'({ url }) {
    let text = ''
    for await (const piece of readText(await fetch(url('large'), POST))) text += piece
    equal(text.length, LARGE.length)
    ok(text === LARGE, 'the text is the same')
  },

  async 'text that is split at every byte arrives whole'({ url }) {
    let text = ''
    for await (const piece of readText(await fetch(url('bytes'), POST))) text += piece
    equal(text, MIXED)
    // What the network joins again is split here for certain.
    const bytes = new TextEncoder().encode(
      `\ufeffid: é\r\ndata: ${MIXED.slice(0, -1)}\r\ndata: \r\n\r\ndata: [DONE]\n\n`,
    )
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let index = 0; index < bytes.length; index++) controller.enqueue(bytes.slice(index, index + 1))
        controller.close()
      },
    })
    equal(await read(body), [{ data: MIXED, id: 'é' }])
  },

  async 'silence is an idle timeout, and the server is left'({ url, closed }) {
    const error = await failure(() => read(fetch(url('beating'), POST), { idleTimeoutMs: 100 }))
    equal([error.code, error.retryable, error.received], ['idle-timeout', true, 1])
    equal(await closed(), 'client')
  },

  async 'heartbeats alone are an event timeout, and the server is left'({ url, closed }) {
    let comments = 0
    const error = await failure(() =>
      read(fetch(url('heartbeats'), POST), {
        idleTimeoutMs: 15_000,
        eventTimeoutMs: 3000,
        onComment: () => comments++,
      }),
    )
    equal([error.code, error.retryable, error.received], ['event-timeout', true, 1])
    ok(comments > 0, 'heartbeats came')
    equal(await closed(), 'client')
  },

  async 'readParts gives the parts of a provider, and how it ended'({ url }) {
    let text = ''
    const types: string[] = []
    for await (const part of readParts(await fetch(url('parts'), POST))) {
      if (part.type === 'text') text += part.text
      if (part.type !== types.at(-1)) types.push(part.type)
      if (part.type === 'finish') equal(part.reason, 'stop')
      if (part.type === 'usage') ok((part.usage.outputTokens ?? 0) > 0, 'tokens were counted')
    }
    ok(text.length > 0, 'there is text')
    equal(types.sort(), ['finish', 'start', 'text', 'usage'])
  },

  async 'SSEParserStream gives the events of a body'({ url }) {
    const { body } = await fetch(url('own'), POST)
    const parser = new SSEParserStream()
    // Its types are those of any stream, and a body's are of its platform's.
    const reader = (body as ReadableStream<Uint8Array>).pipeThrough(parser).getReader()
    const events: ParsedEvent[] = []
    for (let read = await reader.read(); !read.done; read = await reader.read()) events.push(read.value)
    equal(events, [
      { data: '{"text":"The"}' },
      { data: '{"page":1}', event: 'citation', id: 'é-1' },
      { data: 'one\ntwo' },
      { data: '[DONE]' },
    ])
    equal(parser.lastEventId, 'é-1')
  },

  async 'ten answers at once do not mix'({ url }) {
    const texts = await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        let text = ''
        for await (const piece of readText(await fetch(`${url('echo')}&text=${index}`, POST))) text += piece
        return text
      }),
    )
    equal(
      texts,
      Array.from({ length: 10 }, (_, index) => String(index).repeat(20)),
    )
  },
}

/** The names of the cases, in their order. */
export const suiteCases: readonly string[] = Object.keys(cases)

/** Runs every case, one after another. */
export async function runSuite(base: string): Promise<SuiteResult[]> {
  const results: SuiteResult[] = []
  const rejections: unknown[] = []
  const onRejection = (event: Event) => {
    rejections.push((event as PromiseRejectionEvent).reason)
    event.preventDefault()
  }
  // Node has another event for it, and ends the process all by itself.
  globalThis.addEventListener?.('unhandledrejection', onRejection)
  for (const [name, run] of Object.entries(cases)) {
    const error = await attempt(() => run(scene(base)))
    // Rejections are told once the promises of a turn are through.
    await sleep(0)
    const unhandled = rejections.splice(0)[0]
    const wrong = error ?? (unhandled === undefined ? undefined : `unhandled rejection: ${show(unhandled)}`)
    results.push({ name, ...(wrong !== undefined && { error: wrong }) })
  }
  globalThis.removeEventListener?.('unhandledrejection', onRejection)
  return results
}

function scene(base: string): Scene {
  // Not every place has `crypto`.
  const key = `${Date.now()}-${Math.random()}`
  const ask = async (what: string) => (await fetch(`${base}/scene/${what}?key=${key}`, { method: 'POST' })).json()
  return {
    url: (answer) => `${base}/answer/${answer}?key=${key}`,
    go: () => ask('go'),
    closed: () => ask('closed'),
    requests: () => ask('requests'),
  }
}

async function attempt(run: () => Promise<void>): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, LIMIT_MS, `nothing came of it in ${LIMIT_MS} ms`)
  })
  try {
    return await Promise.race([run().then(() => undefined), late])
  } catch (error) {
    return show(error)
  } finally {
    clearTimeout(timer)
  }
}

const show = (error: unknown) =>
  error instanceof Error ? `${error.name}: ${error.message}\n${error.stack}` : String(error)

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function read(
  input: Promise<Response> | Parameters<typeof parseSSE>[0] | ReturnType<typeof fetchSSE>,
  options?: Parameters<typeof parseSSE>[1],
): Promise<ParsedEvent[]> {
  const source = await input
  const events: ParsedEvent[] = []
  const stream = typeof source === 'object' && 'lastEventId' in source ? source : parseSSE(source, options)
  for await (const event of stream) events.push(event)
  return events
}

async function failure(run: () => Promise<unknown>): Promise<RelayError> {
  let result: unknown
  try {
    result = await run()
  } catch (error) {
    return error as RelayError
  }
  throw new Error(`nothing failed, but the result is ${JSON.stringify(result)}`)
}

function ok(holds: boolean, what: string): void {
  if (!holds) throw new Error(`expected that ${what}`)
}

function equal(actual: unknown, expected: unknown): void {
  const [is, should] = [actual, expected].map((value) => JSON.stringify(value)?.slice(0, 2000))
  if (is !== should) throw new Error(`expected ${should}, but it is ${is}`)
}
