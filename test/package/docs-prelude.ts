/**
 * What the samples in the README, in docs and in JSDoc use without saying where it is from: a reader has it already.
 * Nothing here exists at run time. `test/package/docs.test.ts` makes these names global for the samples, and only for them.
 */
import type { createServer as createNodeServer, Server } from 'node:http'
import type Anthropic from '@anthropic-ai/sdk'
import type { Express } from 'express'
import type { FastifyInstance } from 'fastify'
import type { Hono } from 'hono'
import type Koa from 'koa'
import type OpenAIClient from 'openai'
import type { createClient as createRedisClient } from 'redis'
import type { Log, SourceContext, SourceStream } from 'sse-relay'
import type { LogStore } from 'sse-relay/log'
import type { LogBehaviour, Probe, ReplayUpstream } from 'sse-relay/testing'

/** An Express app. */
export declare const app: Express
export declare const anthropic: Anthropic
export declare const openai: OpenAIClient
/** The conversation so far, as the request's body brought it. */
export declare const messages: { role: 'user' | 'assistant'; content: string }[]
/** The request of a Web handler. */
export declare const request: Request
/** The answer to a `fetch`. */
export declare const response: Response
/** Where a page shows the answer. */
export declare const output: HTMLElement
/** Where a page shows how it went. */
export declare const notice: HTMLElement
export declare const url: string
/** A POST with its headers and its JSON. */
export declare const question: RequestInit
/** Any source, for samples about something else. */
export declare const source: (() => SourceStream) & Probe<string>
/** What a request for an answer brings. */
export declare const chat: { messages: typeof messages }
/** The source for a conversation. */
export declare function ask(chat: typeof messages): (context?: SourceContext) => SourceStream
type Answer = (request: Request) => Promise<Response>
export declare const Deno: { serve(...given: [Answer] | [options: { port: number }, Answer]): unknown }
/** One for the whole server. */
export declare const log: Log
/** The id of the user who asks. */
export declare const owner: string
export declare const runId: string
export declare const model: string
/** Wherever an application keeps it. */
export declare function save(fields: object): Promise<void>
export declare const upstream: ReplayUpstream
/** What `listen` returned. */
export declare const server: Server
/** One for the whole server. */
export declare const shutdown: AbortController
/** As much of Bun's global as a sample uses. */
export declare const Bun: {
  serve(options: {
    fetch?(request: Request): Response | Promise<Response>
    routes?: object
    idleTimeout?: number
    port?: string | number | undefined
  }): {
    stop(closeActiveConnections?: boolean): Promise<void>
  }
}

/** JSDoc says `client` and `params` for whichever SDK it speaks of. */
export declare const client: Pick<Anthropic, 'messages'> & Pick<OpenAIClient, 'chat' | 'responses'>
export declare const params: {
  model: string
  max_tokens: number
  messages: { role: 'user' | 'assistant'; content: string }[]
  input: string
}
export declare const fastify: FastifyInstance
export declare const koa: Koa
/** What JSDoc calls `app` where it speaks of Hono, behind a middleware that knows the user. */
export declare const hono: Hono<{ Variables: { userId: string } }>
export declare const createServer: typeof createNodeServer
export declare const OpenAI: new (options: object) => OpenAIClient
export declare const createClient: typeof createRedisClient
export declare const logBehaviours: readonly LogBehaviour[]
/** Of any test runner. */
export declare function test(name: string, run: () => Promise<void>): void
/** A log's store over something else. */
export declare const MyStore: new (pool: object) => LogStore
export declare const pool: object
