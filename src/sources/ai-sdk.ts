/** What do the parts of the AI SDK's full stream say (`streamText`, versions 5 to 7)? */
import type { UIChunk } from '../types.js'
import { hasKey } from './keys.js'
import type { ChunkShape, Reading } from './reading-state.js'
import { withoutRequest } from './redact.js'

/** A part of a stream of the AI SDK (any version), of its UI message stream, or of a library that imitates it. */
export interface StreamPart {
  type: string
  id?: string
  text?: string
  delta?: string
  /** In version 4. */
  textDelta?: string
  toolName?: string
  toolCallId?: string
  /** In a request for approval and in the answer to it. */
  approvalId?: string
  toolCall?: { toolCallId?: string }
  isAutomatic?: boolean
  signature?: string
  /** This field and most of the next ones are for the AI SDK's own client. */
  approvalDescriptor?: unknown
  approved?: boolean
  citations?: unknown
  dynamic?: boolean
  inputEncoding?: string
  inputSchemaInput?: unknown
  kind?: string
  messageId?: string
  messageMetadata?: unknown
  providerMetadata?: unknown
  reason?: string
  toolMetadata?: unknown
  sourceId?: string
  providerExecuted?: boolean
  invalid?: boolean
  preliminary?: boolean
  isError?: boolean
  inputTextDelta?: string
  argsTextDelta?: string
  input?: unknown
  args?: unknown
  output?: unknown
  result?: unknown
  data?: unknown
  url?: string
  title?: string
  filename?: string
  mediaType?: string
  mimeType?: string
  base64?: string
  file?: { mediaType?: string; base64?: string }
  error?: unknown
  errorText?: string
  /** In the stream of a model alone, since version 6, an object with two words. */
  finishReason?: string | { unified?: string }
  rawFinishReason?: string
  totalUsage?: { outputTokens?: number }
}

/** The types that only this shape has, except the deltas. Most of these parts say nothing to a client. */
const TYPE =
  /^((text|reasoning)-(start|end)|(start|finish)-step|stream-start|response-metadata|reasoning-file|steering-message|ping|abort|raw)$/

const TOOL = /^tool-(result|error|output-denied|approval-re(quest|sponse))$/

/**
 * The full stream of the AI SDK's `streamText`. The answer is complete at `finish`, unless the finish reason says that
 * it was broken off. What its tools returned goes out by default only through `uiMessage()`.
 */
export const aiSDK: ChunkShape = {
  hasResults: true,

  // The UI message stream shares the other types, but it is the body of a response and is stopped like one.
  signalOnly: ({ text, totalUsage }: StreamPart) => (text !== undefined || totalUsage ? 'the AI SDK' : undefined),

  // These parts come before the provider was asked: a refusal after them must still become an HTTP status.
  isEarly: ({ type }: StreamPart) => type === 'start' || type === 'start-step',

  showsResults: true,

  aside: asideOf,

  is(chunk) {
    const { type, finishReason, toolCallId, toolCall, approvalId, sourceType, file, kind, text, delta } =
      chunk as Record<string, unknown>
    switch (type) {
      case 'text-delta':
      case 'reasoning-delta':
        return typeof text === 'string'
      case 'tool-input-delta':
        return typeof delta === 'string'
      case 'tool-input-start':
      case 'tool-input-end':
        // In the UI message stream this field is called `toolCallId`.
        return 'id' in chunk
      case 'finish':
        return finishReason !== undefined && 'totalUsage' in chunk
      case 'tool-call':
        return toolCallId !== undefined && 'input' in chunk
      case 'source':
        return sourceType !== undefined
      case 'file':
        return file !== undefined
      case 'custom':
        return typeof kind === 'string'
      case 'object':
        // From `streamObject`: the whole object so far, which its text says as well.
        return 'object' in chunk && Object.keys(chunk).length === 2
      case 'start':
        // With one of these keys it is a `start` part of the application's own.
        return !hasKey(chunk, 'id', 'model', 'created')
      default:
        if (typeof type !== 'string') return false
        // A `tool-result` part of the application's own has the call's id in `id`.
        return TYPE.test(type) || (TOOL.test(type) && (toolCallId ?? toolCall ?? approvalId) !== undefined)
    }
  },

  read(part: StreamPart, reading: Reading) {
    switch (part.type) {
      case 'start':
        reading.begin()
        break
      case 'start-step':
        reading.step()
        break
      case 'source':
        readSource(part, reading)
        break
      case 'finish':
        reading.counts(part.totalUsage)
        reading.end(
          isCut(part) ||
            (part.rawFinishReason ? { unified: part.finishReason, raw: part.rawFinishReason } : part.finishReason),
        )
        break
      default:
        readPart(part, reading)
    }
  },

  // Steps carry the request's body and the response's headers, and the error of a tool call may carry both. Tool
  // outputs are not for the client. A `steering-message` is for the agent's model.
  redact({
    response: _1,
    rawValue: _2,
    error: _3,
    output: _4,
    warnings: _5,
    message: _6,
    ...part
  }: Record<string, unknown>) {
    return withoutRequest(part)
  },
}

/** Reads the parts that all versions, and the libraries that imitate them, share under one name or another. */
export function readPart(part: StreamPart, reading: Reading): void {
  const { type, id, toolCallId = id, toolName: name, providerExecuted: executed } = part
  switch (type) {
    case 'text-delta':
      reading.text(part.text ?? part.delta ?? part.textDelta)
      break
    case 'reasoning':
    case 'reasoning-delta':
      reading.reasoning(part.text ?? part.delta ?? part.textDelta)
      break
    case 'reasoning-signature':
      reading.signature(part.signature)
      break
    case 'redacted-reasoning':
      reading.redacted(part.data)
      break
    case 'tool-input-start':
    case 'tool-call-streaming-start':
    case 'tool-call-input-streaming-start':
      reading.notes.call = toolCallId
      reading.call(toolCallId, '', { id: toolCallId, name, executed })
      break
    case 'tool-input-delta':
    case 'tool-call-delta':
      // Without an id it belongs to the call that began last.
      reading.call(
        toolCallId ?? (reading.notes.call as string | undefined),
        part.delta ?? part.inputTextDelta ?? part.argsTextDelta,
        { id: toolCallId, name },
      )
      break
    case 'tool-call':
    case 'tool-input-available':
    case 'tool-input-error': {
      const head = { id: toolCallId, name, executed }
      const input = part.input ?? part.args
      if (part.invalid || type === 'tool-input-error') reading.reject(toolCallId, head, input)
      else reading.calls.whole(toolCallId, input, head)
      break
    }
    case 'tool-result':
    case 'tool-output-available':
      if (!part.preliminary) reading.result(toolCallId, part.output ?? part.result, name, part.isError)
      break
    case 'tool-error':
    case 'tool-output-error':
      reading.result(toolCallId, null, name, true)
      break
    case 'tool-output-denied':
      reading.deny(toolCallId, name)
      break
    case 'tool-approval-request':
      // When the application answers the request itself, no person is asked.
      reading.calls.postpone(part.toolCall?.toolCallId ?? toolCallId, part.isAutomatic ? undefined : part.approvalId)
      break
    case 'reset-step':
      reading.takeBack()
      break
    case 'file':
    case 'reasoning-file': {
      const { file = part, url, mimeType } = part
      reading.file(file.mediaType ?? mimeType, url, file.base64)
      break
    }
    case 'error':
      reading.error(part.error ?? part.errorText)
      break
    case 'abort':
      reading.cut('The upstream was aborted')
  }
}

/** The fields of a part that the page needs. Nothing about the request or the response is among them. */
const FOR_PAGE = [
  'approvalDescriptor',
  'approvalId',
  'approved',
  'citations',
  'dynamic',
  'inputEncoding',
  'inputSchemaInput',
  'isAutomatic',
  'kind',
  'messageId',
  'messageMetadata',
  'preliminary',
  'providerExecuted',
  'providerMetadata',
  'reason',
  'signature',
  'title',
  'toolMetadata',
] as const

/**
 * What a part says that no part of ours can hold, as a UI message stream's chunk. Shared, since both streams are alike.
 */
export function asideOf(part: StreamPart): UIChunk | undefined {
  const { type, id, providerMetadata, toolCallId = part.toolCall?.toolCallId ?? id, sourceId = id } = part
  // Deltas are by far the most common parts.
  if (type.endsWith('-delta')) return providerMetadata ? { type, providerMetadata } : undefined
  if (type === 'error' || type === 'raw') return
  // For an invalid call the AI SDK sets `dynamic` whatever the tool, which is right only where no tool has this name.
  const isKnownTool = part.invalid && (part.error as Error | undefined)?.name !== 'AI_NoSuchToolError'
  const told = FOR_PAGE.filter((name) => part[name] !== undefined && !(isKnownTool && name === 'dynamic'))
  return {
    ...Object.fromEntries(told.map((name) => [name, part[name]])),
    type,
    ...(type.startsWith('tool-') && { toolCallId }),
    ...(type.startsWith('source') && { sourceId }),
    ...(part.preliminary && { output: part.output }),
  }
}

/** Reads a source: an address or a document. */
export function readSource(
  { url, title, mediaType, filename }: Pick<StreamPart, 'url' | 'title' | 'mediaType' | 'filename'>,
  reading: Reading,
): void {
  reading.citation(url === undefined ? { title, mediaType, filename } : { url, title })
}

/**
 * Version 6 says only `other` when an answer is cut, and has no word of the provider's. Version 5 and JSON have no field
 * for that word: there only counts show that the provider said the end.
 */
function isCut({ finishReason, totalUsage, ...part }: StreamPart): 'interrupted' | false {
  const isUntold = 'rawFinishReason' in part ? part.rawFinishReason === undefined : !totalUsage?.outputTokens
  return finishReason === 'other' && isUntold && 'interrupted'
}
