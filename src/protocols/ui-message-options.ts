/** Which options does a UI message stream have, and what do they mean for its reader? */

import { anything, callback, flag, type Rules, words } from '../check.js'
import type { EncoderEnd, UIChunk } from '../types.js'

/** The fields of an AI SDK message that are read: its own `UIMessage` is one. */
export interface UIMessageLike {
  readonly id: string
  readonly role: string
  readonly parts?: readonly object[]
}

/** Options of {@link uiMessage}. */
export interface UIMessageOptions {
  /**
   * The id of the answer's message, unless the answer continues one of `originalMessages`.
   * @default the id that the source gives, else the run's id
   */
  messageId?: string
  /**
   * The messages of the request, as `useChat` sends them. If the last one is the assistant's, the answer continues it:
   * the id stays, and a tool's answer to a call in it becomes that call's output. Needed if the page answers calls or
   * approvals. Entries that are not messages are ignored, without an error.
   * @default none: each answer is a message of its own
   */
  originalMessages?: readonly UIMessageLike[]
  /**
   * Whether the provider's own data goes out as `providerMetadata`: signatures of reasoning, ids of items, and `custom`
   * parts. The next turn needs it if the page keeps the history. For streams of the AI SDK only.
   * @default false
   */
  providerMetadata?: boolean
  /**
   * The reader, if it is not `useChat` of the AI SDK's version 7. Versions 5 and 6 end the chat at a chunk that they do
   * not know, so chunks that are newer than the version are left out; with `ai-5` nobody is asked for an approval.
   * `assistant-ui` is assistant-ui's own reader (`assistant-stream`), which reports an error of its own if the stream
   * does not end with `[DONE]`. So a failure is sent as the AI SDK sends it, an `error` chunk and then `[DONE]`, which
   * this library's client takes for a complete answer.
   * @default none: `useChat` of version 7
   */
  client?: 'ai-5' | 'ai-6' | 'assistant-ui'
  /** Adds to the message's metadata, beside the `usage` of a finished answer. Called once, at the end. */
  metadata?(end: EncoderEnd): Record<string, unknown> | undefined
}

/** What each option may be. */
export const OPTIONS: Rules<keyof UIMessageOptions> = {
  messageId: words,
  // This comes from the page: whatever it sends is not the application's mistake.
  originalMessages: anything,
  providerMetadata: flag,
  client: [
    (value: unknown) => typeof value === 'string' && /^(ai-5|ai-6|assistant-ui)$/.test(value),
    "give 'ai-5', 'ai-6' or 'assistant-ui', or leave it out",
  ],
  metadata: callback,
}

/** The first version of the AI SDK's reader that knows a chunk or a field. An older one ends the chat with an error. */
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

/** The provider's own metadata, if it may go out. */
export function metadataOf({ providerMetadata }: UIChunk, options: UIMessageOptions): { providerMetadata?: unknown } {
  return { providerMetadata: options.providerMetadata ? providerMetadata : undefined }
}

/** The message of the request that the answer continues, if it does. */
export function earlierMessage({ originalMessages }: UIMessageOptions): UIMessageLike | undefined {
  const last = Array.isArray(originalMessages) ? (originalMessages.at(-1) as UIMessageLike | undefined) : undefined
  return last?.role === 'assistant' && typeof last.id === 'string' ? last : undefined
}
