/** How does a request of Koa become a relay? Only a translation: readable-sink.ts writes. */

import { awaited } from '../awaited-promise.js'
import { typeMistake } from '../failure.js'
import { lastEventIdOf, type RequestHead } from '../headers.js'
import { type RelayOptions, type ResumeOptions, withRequest } from '../options.js'
import { relayTo, resumeTo } from '../relay.js'
import type { RelayHandle, Sink } from '../sink.js'
import type { Source } from '../types.js'
import { lackOf, type NodeRequest, type NodeResponse, type Remedies, serveNode } from './node-sink.js'
import { BodySink } from './readable-sink.js'

export type { Connection, ErrorContext, RelayOptions, ResumeOptions, ShownFailure } from '../options.js'
export type { Source, SourceContext, Summary } from '../types.js'
export type { NodeRequest, NodeResponse } from './node-sink.js'

/** The members that are used of Koa's context, in Koa 2 and 3. */
export interface KoaContext {
  readonly req: NodeRequest & { readonly socket?: { readonly errored?: Error | null } | null }
  readonly res: NodeResponse
  status: number
  body: unknown
  respond?: boolean | undefined
  /** Of `koa-compress`. */
  compress?: unknown
  set(headers: Record<string, string | string[]>): unknown
  append(name: string, value: string | string[]): void
  remove(name: string): void
  onerror(error: Error & { code?: unknown }): void
}

/**
 * Relays a source as the answer to a Koa request: its `ctx.body` is the stream, so middleware sees status and headers
 * before they are sent, and may add to them. Put body parsers before it, or begin to read `ctx.req` synchronously in
 * the source function.
 *
 * @returns at the first event, the first heartbeat or the first failure, because Koa sends nothing before; `onEnd` gets
 * how the run ended. Return or await it: Koa would answer 404 otherwise. Rejects only with what `onError` throws before
 * that, for the middleware around it and `app.on('error')`.
 * @example
 * ```ts
 * koa.use((ctx) =>
 *   relay(ctx, ({ signal }) => client.messages.create({ ...params, stream: true }, { signal })))
 * ```
 */
export function relay(ctx: KoaContext, source: Source, options?: RelayOptions): Promise<void> {
  return connect(ctx, options, (sink, request) => relayTo(sink, source, withRequest(options, request)))
}

/**
 * Answers a Koa request with events of a run in a log: those after the request's `Last-Event-ID`; without one, all of
 * the run with `runId` while that goes on. 204 if there is nothing to read, 404 if the run is unknown or another
 * owner's, 410 if those events are no longer kept. The source is never called.
 *
 * @returns at the first event or heartbeat. Rejects only with what `onError` throws before that.
 * @example
 * ```ts
 * koa.use((ctx) => resume(ctx, { log, owner }))
 * ```
 */
export function resume(ctx: KoaContext, options: ResumeOptions): Promise<void> {
  return connect(ctx, options, (sink, request) => resumeTo(sink, lastEventIdOf(request), withRequest(options, request)))
}

const REMEDIES: Remedies = {
  before:
    'It sends the head itself: take out ctx.respond = false, ctx.flushHeaders() and what writes to ctx.res before it',
  since:
    'Koa answers as soon as the middleware is over: return what relay returns, or await it, and await next() before it. Or is it a timeout?',
}

function connect(
  ctx: KoaContext,
  options: RelayOptions | undefined,
  begin: (sink: Sink, request: RequestHead) => RelayHandle,
): Promise<void> {
  const { req, res } = ctx ?? {}
  const lack = ctx ? (lackOf(req, res) ?? (typeof ctx.append !== 'function' && 'it has no append')) : 'there is none'
  if (lack) {
    const remedy = "Node's own req and res are for sse-relay/node, a context of Hono for sse-relay/hono"
    return Promise.reject(
      typeMistake('invalid-option', `relay takes a context of Koa here, and so does resume, and ${lack}; ${remedy}`),
    )
  }
  return awaited(
    (resolve, reject) => {
      const sink = new BodySink({
        res,
        options,
        remedies: REMEDIES,
        isUsed: () => ctx.respond === false,
        send(status, { 'set-cookie': cookies, ...headers }, body) {
          ctx.status = status
          ctx.body = body
          // A content-length set earlier would cut the stream off.
          ctx.remove('content-length')
          ctx.set(headers)
          // Added to the cookies that middleware set.
          if (cookies) ctx.append('set-cookie', cookies)
          // koa-compress would hold tokens back until they fill a block, if the headers of the options allow it to
          // compress.
          ctx.compress ??= false
          resolve()
        },
      })
      ignoreLeaving(ctx)
      serveNode(req, res, sink, begin).then(({ outcome }) => {
        // The client left, or something else answers: Koa's 404 would be for neither.
        if (!sink.sent) {
          ctx.respond = false
          // 499, client closed request: for access logs.
          if (outcome === 'disconnected') ctx.status = 499
        }
        resolve()
      }, reject)
      // Nobody awaited the promise, so Koa has answered: the error goes to its app.
    },
    ctx.onerror.bind(ctx) as (error: unknown) => void,
  )
}

/** Koa treats a client that leaves as an error of the app, and prints a stack. `onEnd` reports it instead. */
function ignoreLeaving(ctx: KoaContext): void {
  const { onerror, req } = ctx
  ctx.onerror = (error) => {
    const lost = error && (error === req.socket?.errored || error.code === 'ERR_STREAM_PREMATURE_CLOSE')
    if (!lost) onerror.call(ctx, error)
  }
}
