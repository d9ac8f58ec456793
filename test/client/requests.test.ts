// What goes out in requests, and what is refused before: bodies, ids, caches, redirects, and questions that never arrive.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type FetchSSEOptions, fetchSSE, parseSSE, type RelayError, readText } from 'sse-relay/client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

const RUN = 'run-0123456789abcdef'
const END = 'data: [DONE]\n\n'
const HEAD = { 'content-type': 'text/event-stream' }

interface Asked {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: string
}

const closing: (() => unknown)[] = []
beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0)
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  for (const close of closing.splice(0)) await close()
})

/** A server, with what it was asked. */
async function serve(handle: (req: IncomingMessage, res: ServerResponse, count: number) => unknown) {
  const asked: Asked[] = []
  const server = createServer(async (req, res) => {
    const { method = '', url = '', headers } = req
    asked.push({ method, url, headers, body: await text(req) })
    handle(req, res, asked.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      }),
  )
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

async function read(stream: ReturnType<typeof fetchSSE>): Promise<{ data: string[]; error?: RelayError }> {
  const data: string[] = []
  try {
    for await (const event of stream) data.push(event.data)
  } catch (error) {
    return { data, error: error as RelayError }
  }
  return { data }
}

/** The first request of a stream with these options, as `fetch` is given it. */
async function requestOf(options: FetchSSEOptions): Promise<RequestInit & { headers: Headers }> {
  const inits: RequestInit[] = []
  const fetch = async (_: string, init: RequestInit) => {
    inits.push(init)
    return new Response(END, { headers: HEAD })
  }
  await read(fetchSSE('http://localhost/', { ...options, fetch }))
  return inits[0] as RequestInit & { headers: Headers }
}

describe('the body', () => {
  class Question {
    text = 'Hello?'
  }
  it.each<[string, unknown, string]>([
    ['an object', { messages: [] }, '{"messages":[]}'],
    ['a list', [1, 'a'], '[1,"a"]'],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ['an instance of a class', new Question(), '{"text":"Hello?"}'],
    ['what has a JSON of its own', { toJSON: () => 'mine' }, '"mine"'],
  ])('is JSON when it is %s, and says so', async (_, body, due) => {
    const { body: sent, headers } = await requestOf({ method: 'POST', body: body as object })
    expect([sent, headers.get('content-type')]).toEqual([due, 'application/json'])
    const own = await requestOf({
      method: 'POST',
      body: body as object,
      headers: { 'Content-Type': 'application/vnd.x+json' },
    })
    expect([own.body, own.headers.get('content-type')]).toEqual([due, 'application/vnd.x+json'])
  })

  it.each<[string, unknown]>([
    ['a string', '{"a":1}'],
    ['bytes', new Uint8Array(3)],
    ['a buffer', new ArrayBuffer(3)],
    ['a form', new FormData()],
    ['parameters', new URLSearchParams('a=1')],
    ['a blob', new Blob(['a'])],
    ['a stream', new ReadableStream()],
    ['an async iterable', (async function* () {})()],
    ['a form of React Native', { append() {}, getParts() {} }],
    ['none', undefined],
    ['null', null],
  ])('goes out as it is when it is %s', async (_, body) => {
    const { body: sent, headers } = await requestOf({ method: 'POST', body: body as BodyInit })
    expect(sent).toBe(body)
    expect(headers.has('content-type')).toBe(false)
  })

  const circle: object[] = []
  circle.push(circle)
  it.each<[string, object]>([
    ['a BigInt', { count: 1n }],
    ['a circle', circle],
  ])('that has no JSON, for %s, is a mistake that is said at once', (_, body) => {
    expect(() => fetchSSE('/', { method: 'POST', body })).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining('cannot be sent') }),
    )
  })

  it('reaches a server as JSON', async () => {
    const { url, asked } = await serve((_, res) => res.writeHead(200, HEAD).end(END))
    await read(fetchSSE(url, { method: 'POST', body: { messages: ['ä'] } }))
    expect(asked).toMatchObject([{ body: '{"messages":["ä"]}', headers: { 'content-type': 'application/json' } }])
  })
})

it('a fetch of null is the platform’s', async () => {
  const { url, asked } = await serve((_, res) => res.writeHead(200, HEAD).end(END))
  for await (const _ of fetchSSE(url, { fetch: null as never }));
  expect(asked).toHaveLength(1)
})

describe('no cache answers', () => {
  it.each([undefined, 'GET', 'get'])('a first request by %s', async (method) => {
    expect((await requestOf({ method } as FetchSSEOptions)).cache).toBe('no-store')
    expect((await requestOf({ method, cache: 'reload' } as FetchSSEOptions)).cache).toBe('reload')
  })

  it('a POST, which no cache does: some platforms refuse the word', async () => {
    expect(await requestOf({ method: 'POST' })).not.toHaveProperty('cache')
  })
})

describe('an id that no header can carry', () => {
  const ids = ['a\nb', 'a\rb', 'a\0b', '\u0001', '\u007f', ' a', 'a ', '\ta', 'x'.repeat(5000), '日'.repeat(2000)]
  it.each(ids)('is refused at once as the lastEventId: %j', (lastEventId) => {
    expect(() => fetchSSE('/', { lastEventId })).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining('lastEventId cannot be "') }),
    )
  })

  it.each(['a', 'a b', 'a\tb', 'é', '€ 日', '🚀', 'x'.repeat(4096)])('is none of these: %j', async (lastEventId) => {
    const { headers } = await requestOf({ lastEventId })
    expect(Buffer.from(headers.get('last-event-id') ?? '', 'latin1').toString()).toBe(lastEventId)
  })

  it.each(ids.filter((id) => !/[\n\r\0]/.test(id)))(
    'makes a lost connection an error that names it, without one more request: %j',
    async (id) => {
      const fetch = vi.fn(async () => new Response(`id: ${id}\ndata: a\n\n`, { headers: HEAD }))
      const { data, error } = await read(fetchSSE('/', { method: 'POST', fetch }))
      expect(data).toEqual(['a'])
      expect(error).toMatchObject({
        code: 'network',
        retryable: true,
        received: 1,
        lastEventId: id,
        message: expect.stringMatching(/the last event id cannot be ".*a header carries/),
        cause: { code: 'truncated' },
      })
      expect(fetch).toHaveBeenCalledOnce()
    },
  )

  it('is refused as the run’s id', () => {
    for (const runId of ['short', 'a b c d e f g h i j', `${RUN}\n`, 'é'.repeat(20), 'x'.repeat(300_000)]) {
      expect(() => fetchSSE('/', { runId })).toThrow(
        expect.objectContaining({
          code: 'invalid-option',
          message: expect.stringMatching(/^runId cannot be ".{1,200}$/),
        }),
      )
    }
  })
})

describe('an option that nearly is one', () => {
  it.each([
    ['resumeURL', 'resumeUrl'],
    ['stopURL', 'stopUrl'],
    ['runID', 'runId'],
    ['lastEventID', 'lastEventId'],
    ['maxRetrys', 'maxRetries'],
    ['retryFor', 'retryForMs'],
    ['idleTimeout', 'idleTimeoutMs'],
    ['onopen', 'onOpen'],
    ['sentinal', 'sentinel'],
  ])('is refused: %s', (given, meant) => {
    expect(() => fetchSSE('/', { [given]: 5 })).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(`use ${meant}`) }),
    )
  })

  it.each([
    'next',
    'cf',
    'dispatcher',
    'agent',
    'proxy',
    'tls',
    'client',
    'verbose',
    'duplex',
    'priority',
    'keepalive',
  ])('is none of those that hosts have for fetch: %s', (name) => {
    expect(() => fetchSSE('/', { [name]: {} })).not.toThrow()
  })
})

describe('parseSSE', () => {
  it.each([
    '/api/chat',
    'api/chat',
    './chat',
    '../chat',
    '//host/chat',
    'http://localhost:3000/api',
    'https://example.com',
    'localhost:3000/api/chat?x=1',
    'blob:http://localhost/1',
    new URL('http://localhost/api'),
    new Request('http://localhost/api', { method: 'POST', body: 'x' }),
    Promise.resolve(new Response('')),
    { url: '/api/chat' },
    null,
    5,
  ])('refuses what is no stream, an address above all: %s', (input) => {
    for (const reader of [parseSSE, readText]) {
      expect(() => reader(input as never)).toThrow(
        expect.objectContaining({ code: 'invalid-source', message: expect.stringContaining('fetchSSE') }),
      )
    }
  })

  it.each([
    '',
    'data: x',
    'data:/x',
    'data:',
    ':/comment',
    'id:1/2',
    'retry:5',
    'x',
    'Hello there/here',
    `data: /a\n\n${END}`,
  ])('takes other text for a stream: %j', (input) => {
    expect(() => parseSSE(input)).not.toThrow()
  })
})

describe('a question that never arrived', () => {
  const notFound = (_: IncomingMessage, res: ServerResponse) =>
    res
      .writeHead(404, { 'content-type': 'application/json' })
      .end('{"error":{"code":"run-not-found","message":"No","retryable":false}}')
  const failing =
    (times: number): FetchSSEOptions['fetch'] =>
    async (url, init) => {
      if (times-- > 0) throw new TypeError('fetch failed')
      return fetch(url, init)
    }

  it.each([1, 3])('is a network failure that asking again may mend, after %d failures', async (times) => {
    const { url, asked } = await serve(notFound)
    const options = { method: 'POST', body: {}, resumeUrl: url, runId: RUN, fetch: failing(times) }
    expect((await read(fetchSSE(url, options))).error).toMatchObject({
      code: 'network',
      retryable: true,
      received: 0,
      message: expect.stringContaining('never arrived'),
      cause: expect.any(TypeError),
    })
    expect(asked).toMatchObject([{ method: 'GET', headers: { 'last-event-id': `${RUN}:0` } }])
  })

  it('is one whose connection was silent, too', async () => {
    const { url } = await serve(notFound)
    const silent: FetchSSEOptions['fetch'] = (url, init) =>
      init.method === 'POST'
        ? new Promise((_, reject) => init.signal?.addEventListener('abort', reject))
        : fetch(url, init)
    const options = { method: 'POST', resumeUrl: url, idleTimeoutMs: 500, fetch: silent }
    expect((await read(fetchSSE(url, options))).error).toMatchObject({ code: 'network', retryable: true })
  })

  it('is none whose run is there no more: it was answered, or is a place to come back to', async () => {
    const { url } = await serve((req, res, count) => {
      if (count > 1) return notFound(req, res)
      res.writeHead(200, HEAD).write(': \n')
      setTimeout(() => res.destroy(), 20)
    })
    expect((await read(fetchSSE(url, { method: 'POST', resumeUrl: url }))).error).toMatchObject({
      code: 'run-not-found',
    })
    const place = { lastEventId: `${RUN}:0`, fetch: failing(1) }
    expect((await read(fetchSSE(url, place))).error).toMatchObject({ code: 'run-not-found', status: 404 })
  })
})

describe('a redirect', () => {
  const headers = { authorization: 'Bearer s', 'x-api-key': 's', cookie: 's', 'content-type': 'application/json' }
  const options = { method: 'POST', headers, body: '{}', runId: RUN, lastEventId: `${RUN}:1` }
  const SECRETS = ['x-run-id', 'last-event-id', 'authorization', 'x-api-key']
  const answering = () => serve((_, res) => res.writeHead(200, HEAD).end(`id: ${RUN}:2\ndata: a\n\n${END}`))

  it.each([301, 302, 303, 307, 308])(
    '%i to another origin takes nothing of the run along, and no key',
    async (status) => {
      const other = await answering()
      const { url, asked } = await serve((_, res) => res.writeHead(status, { location: `${other.url}/taken` }).end())
      expect(await read(fetchSSE(url, options))).toEqual({ data: ['a'] })
      expect(asked[0]?.headers).toMatchObject({ 'x-run-id': RUN, 'last-event-id': `${RUN}:1`, 'x-api-key': 's' })
      expect(other.asked).toMatchObject([{ url: '/taken', headers: { accept: 'text/event-stream' } }])
      for (const name of SECRETS) expect(other.asked[0]?.headers).not.toHaveProperty(name)
      // As fetch has it: only 307 and 308 keep the method and the body.
      expect(other.asked[0]).toMatchObject(status < 307 ? { method: 'GET', body: '' } : { method: 'POST', body: '{}' })
    },
  )

  it('to another origin by way of its own, and of the request that resumes and of a stop', async () => {
    const other = await answering()
    const { url } = await serve((req, res, count) => {
      if (count === 1) {
        res.writeHead(200, HEAD).write(`id: ${RUN}:1\ndata: 1\n\n`)
        setTimeout(() => res.destroy(), 20)
      } else if (req.url === '/') res.writeHead(307, { location: '/again' }).end()
      else res.writeHead(307, { location: other.url }).end()
    })
    await read(fetchSSE(`${url}/`, { method: 'POST', headers: { 'x-api-key': 's' }, runId: RUN }))
    const stream = fetchSSE(url, { stopUrl: `${url}/stop`, runId: RUN, headers: { 'x-api-key': 's' } })
    const reading = read(stream)
    await vi.waitFor(() => expect(stream.response).toBeDefined())
    await reading
    expect(other.asked.length).toBeGreaterThan(0)
    for (const { headers } of other.asked) for (const name of SECRETS) expect(headers).not.toHaveProperty(name)
  })

  it('within the origin takes all along', async () => {
    const { url, asked } = await serve((req, res) =>
      req.url === '/end/' ? res.writeHead(200, HEAD).end(END) : res.writeHead(308, { location: '/end/' }).end(),
    )
    expect(await read(fetchSSE(`${url}/begin`, options))).toEqual({ data: [] })
    expect(asked).toMatchObject([{ url: '/begin' }, { url: '/end/', method: 'POST', body: '{}' }])
    expect(asked[1]?.headers).toMatchObject({ 'x-run-id': RUN, 'last-event-id': `${RUN}:1`, 'x-api-key': 's' })
  })

  it('that never ends is an error', async () => {
    const { url, asked } = await serve((_, res) => res.writeHead(307, { location: '/' }).end())
    expect((await read(fetchSSE(url, { method: 'POST' }))).error).toMatchObject({ code: 'network' })
    expect(asked.length).toBeLessThanOrEqual(21)
  })

  it.each(['http://[', 'http://127.0.0.1:1/login'])(
    'to where nobody can ask is a lost connection, and no mistake of the page: %s',
    async (location) => {
      const { url, asked } = await serve((_, res, count) => {
        if (count === 1) {
          res.writeHead(200, HEAD).write(`id: ${RUN}:1\ndata: 1\n\n`)
          setTimeout(() => res.destroy(), 20)
        } else if (count === 2) res.writeHead(302, { location }).end()
        else res.writeHead(200, HEAD).end(`id: ${RUN}:2\ndata: 2\n\n${END}`)
      })
      expect(await read(fetchSSE(url, { method: 'POST' }))).toEqual({ data: ['1', '2'] })
      expect(asked).toHaveLength(3)
    },
  )

  it('in a page is the browser’s to refuse: it is not told where it would lead', async () => {
    vi.stubGlobal('location', new URL('http://page.example/chat'))
    const inits: RequestInit[] = []
    const fetch = async (_: string, init: RequestInit) => {
      inits.push(init)
      return new Response(END, { headers: HEAD })
    }
    for (const url of ['/api', 'http://page.example/api', 'https://api.example/']) await read(fetchSSE(url, { fetch }))
    expect(inits.map(({ mode, redirect }) => [mode, redirect])).toEqual([
      ['same-origin', undefined],
      ['same-origin', undefined],
      [undefined, 'manual'],
    ])
  })

  it('in a page whose addresses begin elsewhere, by its <base>, is that other origin’s', async () => {
    vi.stubGlobal('location', new URL('http://page.example/chat'))
    vi.stubGlobal('document', { baseURI: 'https://api.example/v1/' })
    const inits: RequestInit[] = []
    const fetch = async (_: string, init: RequestInit) => {
      inits.push(init)
      return new Response(END, { headers: HEAD })
    }
    for (const url of ['chat', '/chat', 'http://page.example/chat']) await read(fetchSSE(url, { fetch }))
    expect(inits.map(({ mode }) => mode)).toEqual([undefined, undefined, 'same-origin'])
  })

  it('of another origin whose target a page is not told is followed without the run', async () => {
    vi.stubGlobal('location', new URL('http://page.example/chat'))
    const inits: RequestInit[] = []
    const opaque = Object.assign(Object.create(Response.prototype), {})
    Object.defineProperties(opaque, {
      type: { value: 'opaqueredirect' },
      status: { value: 0 },
      ok: { value: false },
      headers: { value: new Headers() },
      body: { value: null },
    })
    const fetch = async (_: string, init: RequestInit) => {
      inits.push(init)
      return inits.length === 1 ? opaque : new Response(END, { headers: HEAD })
    }
    expect(await read(fetchSSE('https://api.example/', { ...options, fetch }))).toEqual({ data: [] })
    expect(inits.map(({ redirect }) => redirect)).toEqual(['manual', undefined])
    expect([...new Headers(inits[1]?.headers).keys()]).toEqual(['accept', 'content-type'])
    expect(inits[1]).toMatchObject({ method: 'POST', body: '{}' })
  })

  it('is left to the caller who says what is to become of it', async () => {
    const other = await answering()
    const { url } = await serve((_, res) => res.writeHead(307, { location: other.url }).end())
    await read(fetchSSE(url, { ...options, redirect: 'follow' }))
    expect(other.asked[0]?.headers).toMatchObject({ 'x-run-id': RUN })
    expect((await read(fetchSSE(url, { ...options, redirect: 'error', maxRetries: 0 }))).error).toMatchObject({
      code: 'network',
    })
  })
})

describe('a fetch of one’s own that gives no answer', () => {
  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['its text', 'data: a'],
    ['its stream, as ofetch does', new ReadableStream()],
    ['its JSON', { ok: true, status: 200 }],
  ])('but %s, is a mistake that no repetition mends', async (_, given) => {
    let count = 0
    const fetch = async () => {
      count++
      return given as Response
    }
    const { error } = await read(fetchSSE('http://localhost/', { method: 'POST', runId: RUN, fetch }))
    expect(error).toMatchObject({
      code: 'invalid-source',
      message: expect.stringMatching(/^what fetch gave, .*Response/),
    })
    expect(count).toBe(1)
  })
})

describe('a fetch of one’s own that throws what it was answered', () => {
  // As ky, ofetch, axios, and what many write.
  const throws: [string, (response: Response) => object][] = [
    ['with a response', (response) => ({ response })],
    ['with a status', ({ status }) => ({ status })],
  ]
  const throwing = (told: (response: Response) => object) => async (url: string, init: RequestInit) => {
    const response = await globalThis.fetch(url, init)
    if (!response.ok)
      throw Object.assign(new Error(`Request failed with status code ${response.status}`), told(response))
    return response
  }

  it.each(throws)('has its status, %s, and is not asked again', async (_, told) => {
    const { url, asked } = await serve((_, res, count) => {
      if (count > 1) res.writeHead(401).end()
      else {
        res.writeHead(200, HEAD).write(`id: ${RUN}:1\ndata: 1\n\n`)
        setTimeout(() => res.destroy(), 20)
      }
    })
    const { data, error } = await read(fetchSSE(url, { method: 'POST', fetch: throwing(told) }))
    expect({ data, error }).toMatchObject({
      data: ['1'],
      error: {
        code: 'http-status',
        status: 401,
        retryable: false,
        message: expect.stringContaining('return the answer'),
      },
    })
    expect(asked).toHaveLength(2)
  })

  it.each(throws)('has its status, %s, also where that is a redirect', async (_, told) => {
    const { url, asked } = await serve((_, res) => void res.writeHead(307, { location: '/elsewhere' }).end())
    const { error } = await read(fetchSSE(url, { method: 'POST', runId: RUN, fetch: throwing(told) }))
    expect(error).toMatchObject({ code: 'http-status', status: 307, retryable: false })
    expect(asked).toHaveLength(1)
  })

  it.each(throws)('is asked again where the server is not up yet, %s', async (_, told) => {
    const { url } = await serve((_, res, count) => {
      if (count === 2) res.writeHead(503).end()
      else if (count > 2) res.writeHead(200, HEAD).end(`id: ${RUN}:2\ndata: 2\n\n${END}`)
      else {
        res.writeHead(200, HEAD).write(`id: ${RUN}:1\ndata: 1\n\n`)
        setTimeout(() => res.destroy(), 20)
      }
    })
    expect(await read(fetchSSE(url, { method: 'POST', fetch: throwing(told) }))).toEqual({ data: ['1', '2'] })
  })

  it('is a lost connection where the status is 0, as of an answer that never came', async () => {
    const fetch = async () => {
      throw Object.assign(new Error('Unknown error'), { status: 0 })
    }
    expect((await read(fetchSSE('http://localhost/', { fetch }))).error).toMatchObject({
      code: 'network',
      retryable: true,
    })
  })

  it.each(throws)('has a stop refused at once, %s', async (_, told) => {
    const { url, asked } = await serve((req, res) => {
      if (req.method === 'DELETE') res.writeHead(404).end()
      else res.writeHead(200, HEAD).write('data: 1\n\n')
    })
    const stream = fetchSSE(url, { method: 'POST', stopUrl: url, runId: RUN, fetch: throwing(told) })
    await stream.next()
    expect(await stream.stop()).toBe(false)
    expect(asked).toHaveLength(2)
  })
})

describe('an address that fetch cannot ask', () => {
  it.each([
    '/api/chat',
    'localhost:3000/api',
    'http://',
    'http://me:secret@localhost/',
    'about:blank',
    'http://localhost:6000/',
  ])('is a mistake that no repetition mends, also with a resumeUrl: %s', async (url) => {
    const { error } = await read(fetchSSE(url, { resumeUrl: url }))
    expect(error).toMatchObject({ code: 'invalid-option', retryable: false })
    expect(error?.message).toMatch(/^The request cannot be sent .*give a whole URL/)
  })

  it.each([
    ['Chromium', "Failed to execute 'fetch' on 'Window': Failed to parse URL from http://"],
    [
      'Chromium, of a password',
      "Failed to execute 'fetch' on 'Window': Request cannot be constructed from a URL that includes credentials: http://a:b@c/",
    ],
    ['Firefox', 'Window.fetch: http:// is not a valid URL.'],
    ['Safari', 'URL is not valid or contains user credentials.'],
    ['Bun', 'fetch() URL is invalid'],
    ['Deno', "Invalid URL: '/api/chat'"],
  ])('is known by the words of %s', async (_, words) => {
    const fetch = () => Promise.reject(new TypeError(words))
    expect((await read(fetchSSE('/api', { fetch }))).error?.code).toBe('invalid-option')
  })

  it('is not what a failed connection says', async () => {
    for (const words of ['Failed to fetch', 'fetch failed', 'Load failed', 'Network request failed']) {
      const fetch = () => Promise.reject(new TypeError(words))
      expect((await read(fetchSSE('/api', { fetch }))).error?.code).toBe('network')
    }
  })

  it.each<[string, object, value: string]>([
    ['credentials', { credentials: 'includes' }, 'includes'],
    ['credentials, as withCredentials was', { credentials: true }, 'true'],
    ['a mode', { mode: 'CORS' }, 'CORS'],
    ['a cache', { method: 'POST', cache: 'none' }, 'none'],
    ['a method', { method: 'GE T' }, 'GE T'],
  ])('has options that it does not take: %s', async (_, options, value) => {
    let asked = 0
    const { url } = await serve((_req, res) => void res.end(String(asked++)))
    const { error } = await read(
      fetchSSE(url, { stopUrl: url, resumeUrl: url, ...(options as { mode?: RequestMode }) }),
    )
    expect(error).toMatchObject({ code: 'invalid-option', retryable: false })
    expect(error?.message).toMatch(/^The request cannot be sent .*: give what fetch takes/)
    expect([error?.message.includes(value), asked]).toEqual([true, 0])
  })

  it.each<[string, HeadersInit]>([
    ['with a line break', { 'x-a': 'a\nb' }],
    ['with a name that is none', { 'x a': '1' }],
    ['that are a text', 'x' as never],
  ])('has headers %s, which is said at once', (_, headers) => {
    expect(() => fetchSSE('http://localhost/', { headers })).toThrow(
      expect.objectContaining({ code: 'invalid-option', cause: expect.any(TypeError) }),
    )
  })

  it('ends the telling of stop() at once', async () => {
    const { url } = await serve((_req, res) => void res.writeHead(200, HEAD).write('data: a\n\n'))
    const stream = fetchSSE(url, { stopUrl: '/api/chat' })
    await stream.next()
    expect(await stream.stop()).toBe(false)
  })
})
