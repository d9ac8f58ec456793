/** What can be chosen of a UI message stream, and what does that mean for its reader? */

import { anything, callback, flag, type Rules, words } from '../check.js'
import type { EncoderEnd, UIChunk } from '../types.js'

/** As much of a message of the AI SDK as is looked at: its own `UIMessage` is one. */
export interface UIMessageLike {
  readonly id: string
  readonly role: string
  readonly parts?: readonly object[]
}

/** Options of {@link uiMessage}. */
export interface UIMessageOptions {
  /**
   * The id of the message being answered with, unless the answer goes on with one of `originalMessages`.
   * @default the one that the source names, else the run's id
   */
  messageId?: string
  /**
   * The messages of the request, as `useChat` sends them. Where the last is the assistant's, the answer goes on with it:
   * it keeps its id, and what a tool answers to a call in it becomes the output of that call. Needed where the page
   * answers calls or approvals. What is no message there is left out of account, and is no error.
   * @default none: each answer is a message of its own
   */
  originalMessages?: readonly UIMessageLike[]
  /**
   * Whether what the provider says for itself goes along, as `providerMetadata`: signatures of reasoning, ids of items,
   * and `custom` parts. The next turn needs it where the page keeps the history. Of streams of the AI SDK.
   * @default false
   */
  providerMetadata?: boolean
  /**
   * Who reads it, where that is not `useChat` of the AI SDK's version 7. Versions 5 and 6 end the chat at a chunk that
   * they do not know: with `ai-5` nobody is asked for an approval, and neither gets what is newer. `assistant-ui` is
   * assistant-ui's own reader (`assistant-stream`), which ends with an error of its own where the stream does not end
   * with `[DONE]`: a failure is told as the AI SDK tells it, an `error` chunk and then `[DONE]`, which this library's
   * client takes for a complete answer.
   * @default none: `useChat` of version 7
   */
  client?: 'ai-5' | 'ai-6' | 'assistant-ui'
  /** More for the message's metadata, beside the `usage` of a finished answer. Called once, at its end. */
  metadata?(end: EncoderEnd): Record<string, unknown> | undefined
}

/** What each option can be. */
export const OPTIONS: Rules<keyof UIMessageOptions> = {
  messageId: words,
  // A page's own words: whatever it sends is no mistake of the application's.
  originalMessages: anything,
  providerMetadata: flag,
  client: [
    (value: unknown) => typeof value === 'string' && /^(ai-5|ai-6|assistant-ui)$/.test(value),
    "give 'ai-5', 'ai-6' or 'assistant-ui', or leave it out",
  ],
  metadata: callback,
}

/** The version of the AI SDK's reader that first knew a chunk, or a field. An older one ends the chat with an error. */
const SINCE: Record<string, number> = {
  'tool-approval-request': 6,
  'tool-output-denied': 6,
  'tool-approval-response': 7,
  'reset-step': 7,
  'reasoning-file': 7,
  custom: 7,
  citations: 7,
}

/** Whether the reader knows a chunk of this type, or this field. */
export function isKnown(type: string, { client }: UIMessageOptions): boolean {
  return !client?.startsWith('ai-') || Number(client.slice(3)) >= (SINCE[type] ?? 0)
}

/** What the provider says for itself, where it may go along. */
export function metadataOf({ providerMetadata }: UIChunk, options: UIMessageOptions): { providerMetadata?: unknown } {
  return { providerMetadata: options.providerMetadata ? providerMetadata : undefined }
}

/** The message of the request that the answer goes on with, if it does. */
export function earlierMessage({ originalMessages }: UIMessageOptions): UIMessageLike | undefined {
  const last = Array.isArray(originalMessages) ? (originalMessages.at(-1) as UIMessageLike | undefined) : undefined
  return last?.role === 'assistant' && typeof last.id === 'string' ? last : undefined
}
