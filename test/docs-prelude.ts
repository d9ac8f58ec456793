/**
 * What the samples in the README, in docs and in JSDoc use without saying where it is from: a reader has it already.
 * Nothing here exists at run time. `test/docs.test.ts` makes these names global for the samples, and only for them.
 */
import type Anthropic from '@anthropic-ai/sdk'
import type { Express } from 'express'
import type OpenAI from 'openai'
import type { SourceStream } from 'sse-relay'
import type { ReplayUpstream } from 'sse-relay/testing'

/** An Express app. */
export declare const app: Express
export declare const anthropic: Anthropic
export declare const openai: OpenAI
/** The conversation so far, as the request's body brought it. */
export declare const messages: { role: 'user' | 'assistant'; content: string }[]
/** The request of a Web handler. */
export declare const request: Request
/** The answer to a `fetch`. */
export declare const response: Response
/** Where a page shows the answer. */
export declare const output: HTMLElement
/** Where a page shows how it went. */
export declare const status: HTMLElement
export declare const url: string
/** Any source's stream, for samples about something else. */
export declare function source(): SourceStream
/** Wherever an application keeps it. */
export declare function save(fields: object): Promise<void>
export declare const upstream: ReplayUpstream

/** JSDoc says `client` and `params` for whichever SDK it speaks of. */
export declare const client: Pick<Anthropic, 'messages'> & Pick<OpenAI, 'chat' | 'responses'>
export declare const params: Omit<Anthropic.MessageCreateParams, 'stream'> & {
  messages: { role: 'user' | 'assistant'; content: string }[]
  input: string
}
