/**
 * The server of `test/hosts/runtimes.test.ts`, written once for every runtime: the first part of the path is the adapter, the
 * second the source; `case` names the test, `options` are those of `relay` that are JSON. What the tests cannot see
 * from outside, `/seen` tells.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { Hono } from 'hono'
import OpenAI from 'openai'
import { isRelayError, type RelayOptions, type Source, type SourceContext, type Summary } from 'sse-relay'
import { relay as relayHono } from 'sse-relay/hono'
import { relay as relayWeb } from 'sse-relay/web'

/** What one case came to. */
export interface Seen {
  /** How often the source was asked. */
  asked: number
  /** How many pieces the flood was asked for. */
  pulled: number
  /** The name of the signal's reason, once it has aborted. */
  aborted?: string
  ends: Summary[]
  /** The messages of what `onError` was given. */
  errors: string[]
  /** What ran in the context of its own request, and what ran in another one or in none. */
  contexts: { own: string[]; strays: string[] }
}

/** Under which it is in every error: it must never come out. */
export const SECRET = 'sk-secret-0123456789'
/** How many pieces of 64 KiB a flood has. */
export const FLOOD = 3200

const seen = new Map<string, Seen>()
/** The name of the case in whose request something runs. */
const requests = new AsyncLocalStorage<string>()
/** One for the whole server, as it has it for its restart. A request makes another when it has aborted this one. */
let shutdown = new AbortController()
const unhandled: string[] = []

export function onUnhandled(reason: unknown): void {
  unhandled.push(String(reason))
}

/** What a runtime offers for work that outlives its response. */
type WaitUntil = (promise: Promise<unknown>) => void

function seenBy(name: string): Seen {
  const found = seen.get(name) ?? { asked: 0, pulled: 0, ends: [], errors: [], contexts: { own: [], strays: [] } }
  seen.set(name, found)
  return found
}

type Sources = Record<string, (context: SourceContext, query: URLSearchParams, seen: Seen) => ReturnType<typeof ask>>

/** Anything that may be relayed. */
function ask(source: Source, context: SourceContext) {
  return typeof source === 'function' ? source(context) : source
}

const sources: Sources = {
  /** The provider that the test replays, through its real SDK. */
  openai: ({ signal }, query) =>
    new OpenAI({ apiKey: SECRET, baseURL: `${query.get('upstream')}/v1`, maxRetries: 0 }).chat.completions.create(
      { model: 'm', messages: [{ role: 'user', content: 'Hello' }], stream: true },
      { signal },
    ),
  /** What the query holds as JSON. */
  given: (_, query) => JSON.parse(query.get('given') ?? '[]'),
  /** Tells a secret, after as many tokens as the query says. */
  async *failing(_, query) {
    for (let index = 0; index < Number(query.get('after')); index++) yield `${index} `
    throw Object.assign(new Error(`The key ${SECRET} is wrong`), { headers: { authorization: SECRET } })
  },
  /** As much as is asked for. */
  async *flood(_, __, seen) {
    const piece = 'x'.repeat(65_536)
    for (let index = 0; index < FLOOD; index++) {
      seen.pulled++
      yield piece
    }
  },
  async *counting(_, query) {
    for (let index = 0; index < Number(query.get('count')); index++) yield `${index} `
  },
}

/** The source that the query names, the options that go with it. */
function relayed(request: Request, waitUntil: WaitUntil | undefined): [Source, RelayOptions] {
  const { pathname, searchParams: query } = new URL(request.url)
  const name = query.get('case') ?? ''
  const seen = seenBy(name)
  const note = (what: string) => {
    const { own, strays } = seen.contexts
    if (requests.getStore() === name) own.push(what)
    else strays.push(`${what} in the context of ${requests.getStore()}`)
  }
  const source = sources[pathname.split('/')[2] ?? '']
  if (!source) throw new Error(`There is no source for ${pathname}`)
  return [
    (context) => {
      seen.asked++
      note('source')
      context.signal.addEventListener('abort', () => {
        note('abort')
        seen.aborted = context.signal.reason?.name
      })
      return source(context, query, seen)
    },
    {
      ...JSON.parse(query.get('options') ?? '{}'),
      waitUntil,
      ...(query.has('shutdown') && { shutdown: shutdown.signal }),
      onClose: () => note('onClose'),
      onEnd: ({ error, ...summary }) => {
        note('onEnd')
        seen.ends.push({ ...summary, ...(isRelayError(error) && { error }) })
      },
      onError: (error) => {
        note('onError')
        seen.errors.push(String((error as Error)?.message))
      },
    },
  ]
}

const app = new Hono()
app.use(async (c, next) => {
  c.header('set-cookie', 'session=1', { append: true })
  await next()
})
app.all('/hono/*', (c) => {
  let waitUntil: WaitUntil | undefined
  try {
    const { executionCtx } = c
    waitUntil = (promise) => executionCtx.waitUntil(promise)
  } catch {
    // Hono throws where the runtime has none.
  }
  return relayHono(c, ...relayed(c.req.raw, waitUntil))
})

/** What workerd gives a handler besides the request. */
interface Context {
  waitUntil: WaitUntil
  passThroughOnException(): void
}

export function handle(request: Request, context?: Context): Promise<Response> {
  const name = new URL(request.url).searchParams.get('case') ?? 'none of the cases'
  return requests.run(name, () => answer(request, context))
}

async function answer(request: Request, context?: Context): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url)
  if (pathname === '/shutdown') {
    shutdown.abort()
    shutdown = new AbortController()
    return new Response(null, { status: 204 })
  }
  if (pathname === '/seen') return Response.json(seenBy(searchParams.get('case') ?? ''))
  if (pathname === '/unhandled') return Response.json(unhandled)
  if (pathname.startsWith('/web/')) {
    const waitUntil: WaitUntil | undefined = context && ((promise) => context.waitUntil(promise))
    return relayWeb(request, ...relayed(request, waitUntil))
  }
  if (pathname.startsWith('/hono/')) return app.fetch(request, {}, context as never)
  return new Response(null, { status: 404 })
}
