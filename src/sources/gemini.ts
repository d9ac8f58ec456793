/** What do Gemini's chunks say, from `generateContentStream` and over the wire? */
import { isObject } from '../errors.js'
import { listOf } from './list-of.js'
import type { ChunkShape, Reading } from './reading-state.js'
import { emptied, withoutRequest } from './redact.js'

interface FunctionCall {
  id?: string
  name?: string
  args?: unknown
  /** The arguments piece by piece, as paths and values. */
  partialArgs?: {
    jsonPath?: string
    stringValue?: string
    numberValue?: number
    boolValue?: boolean
    nullValue?: unknown
  }[]
  willContinue?: boolean
}

export interface ContentPart {
  text?: string
  thought?: boolean
  thoughtSignature?: string
  functionCall?: FunctionCall
  inlineData?: { mimeType?: string; data?: string }
  fileData?: { mimeType?: string; fileUri?: string }
  executableCode?: { id?: string; code?: string }
  functionResponse?: { id?: string; name?: string; response?: unknown }
}

export interface UsageMetadata {
  promptTokenCount?: number
  toolUsePromptTokenCount?: number
  candidatesTokenCount?: number
  /** In the Live API. */
  responseTokenCount?: number
  thoughtsTokenCount?: number
  totalTokenCount?: number
  cachedContentTokenCount?: number
}

interface GeminiChunk {
  responseId?: string
  modelVersion?: string
  candidates?: {
    index?: number
    content?: { parts?: ContentPart[] }
    finishReason?: string
    groundingMetadata?: unknown
    citationMetadata?: unknown
  }[]
  promptFeedback?: { blockReason?: string }
  usageMetadata?: UsageMetadata
}

/**
 * Google Gemini. The answer is complete at a `finishReason`, or if the prompt was blocked. The chunks of
 * `@google/genai` are class instances whose getters `text` and `data` warn on the console, so only own fields are read.
 */
export const gemini: ChunkShape = {
  // The SDK answers calls itself if it was given functions (automatic function calling).
  hasResults: true,

  signalOnly: () => 'Gemini',

  hasEnd: () => true,

  is(chunk) {
    const { candidates, promptFeedback, usageMetadata } = chunk as GeminiChunk
    return (
      (Array.isArray(candidates) && candidates.every(isObject)) || isObject(promptFeedback) || isObject(usageMetadata)
    )
  },

  read(chunk: GeminiChunk, reading: Reading) {
    const { candidates, promptFeedback, usageMetadata, responseId: id } = chunk
    for (const { index = 0, content, finishReason, groundingMetadata, citationMetadata } of candidates ?? []) {
      if (index !== 0) continue
      // The results of the functions that the SDK called.
      const answers = content?.parts?.flatMap((part) => part?.functionResponse ?? []) ?? []
      for (const { id, name, response } of answers) reading.result(id ?? name, response, name)
      if (answers.length > 0) {
        reading.begin()
        continue
      }
      const parts = content?.parts ?? []
      if (parts.length > 0) {
        // After an end, content without an id, or with another id, belongs to another answer.
        if (reading.proof === 'given' && (!id || reading.notes.id !== id)) reading.begin()
        reading.notes.id = id
        reading.start(id, chunk.modelVersion)
      }
      for (const part of parts) if (part) readContentPart(part, reading)
      reading.citation(groundingMetadata)
      reading.citation(citationMetadata)
      if (finishReason) reading.end(finishReason)
    }
    if (promptFeedback?.blockReason) reading.end('content_filter')
    if (usageMetadata) readUsage(usageMetadata, reading)
  },

  // The SDK adds the response's headers to every chunk. Tool results and the words of a refusal stay here, too.
  redact(chunk: GeminiChunk) {
    const { candidates, promptFeedback } = chunk
    return {
      ...withoutRequest(chunk),
      ...(candidates && { candidates: candidates.map(redactCandidate) }),
      ...(promptFeedback && { promptFeedback: emptied(promptFeedback, { blockReasonMessage: undefined }) }),
    }
  },
}

/** Tool results: the output of executed code, and what the caller's functions returned. */
const ANSWERED = { codeExecutionResult: {}, functionResponse: {}, toolResponse: {} }

interface Wrapped {
  response: GeminiChunk
}

/** The same chunks inside another object, as Code Assist sends them, which Gemini's command line uses. */
export const geminiWrapped: ChunkShape = {
  hasEnd: () => true,
  hasResults: true,
  is: ({ response }: Partial<Wrapped>) => isObject(response) && gemini.is(response),
  read: ({ response }: Wrapped, reading) => gemini.read(response as never, reading),
  redact: ({ response }: Wrapped) => ({ response: gemini.redact?.(response as never) }),
}

interface LiveMessage {
  setupComplete?: object
  serverContent?: {
    modelTurn?: { parts?: ContentPart[] }
    outputTranscription?: { text?: string }
    groundingMetadata?: unknown
    interrupted?: boolean
    turnComplete?: boolean
  }
  toolCall?: { functionCalls?: FunctionCall[] }
  usageMetadata?: UsageMetadata
}

/**
 * A session of the Live API, which goes on after the answer. Its calls are answered within the session, so no client
 * may run them. Of what it speaks, the transcript is read.
 */
export const geminiLive: ChunkShape = {
  hasEnd: () => true,

  is: ({ setupComplete, serverContent, toolCall }: LiveMessage) =>
    isObject(setupComplete) || isObject(serverContent) || Array.isArray(toolCall?.functionCalls),

  follows: ({ usageMetadata }: LiveMessage) => isObject(usageMetadata),

  read({ serverContent: said, toolCall, usageMetadata }: LiveMessage, reading: Reading) {
    const { modelTurn, outputTranscription: spoken, groundingMetadata, interrupted, turnComplete } = said ?? {}
    if (toolCall) reading.calls.areExecuted = true
    for (const call of listOf(toolCall?.functionCalls)) readFunctionCall(call, reading)
    for (const part of listOf(modelTurn?.parts)) if (!part.inlineData) readContentPart(part, reading)
    reading.text(spoken?.text)
    reading.citation(groundingMetadata)
    if (usageMetadata) readUsage(usageMetadata, reading)
    if (interrupted) reading.finish('interrupted')
    if (!turnComplete) return
    reading.end('stop')
    reading.isOver = true
  },
}

function redactCandidate(candidate: NonNullable<GeminiChunk['candidates']>[number]): object {
  const { content } = candidate
  const parts = content?.parts?.map((part) => emptied(part, ANSWERED))
  return emptied(candidate, { finishMessage: undefined, content: parts ? { ...content, parts } : content })
}

export function readContentPart(part: ContentPart, reading: Reading): void {
  const { text, thought, thoughtSignature, functionCall, inlineData, fileData } = part
  if (thought) reading.reasoning(text)
  else reading.text(text)
  if (functionCall) readFunctionCall(functionCall, reading)
  reading.signature(thoughtSignature)
  reading.file(inlineData?.mimeType ?? fileData?.mimeType, fileData?.fileUri, inlineData?.data)
}

/** A call comes whole, or as values at paths until a piece comes without `willContinue`. */
function readFunctionCall({ id, name, args, partialArgs, willContinue }: FunctionCall, reading: Reading): void {
  const { notes } = reading
  if (!partialArgs && !willContinue && !notes.args) {
    reading.call(undefined, args ?? {}, { id, name })
    return
  }
  notes.args ??= {}
  notes.name = name ?? notes.name
  notes.call = id ?? notes.call
  for (const piece of partialArgs ?? []) {
    setAt(
      notes.args as object,
      piece.jsonPath ?? '$',
      piece.stringValue ?? piece.numberValue ?? piece.boolValue ?? null,
    )
  }
  if (willContinue) return
  reading.call(undefined, args ?? notes.args, { id: notes.call as string, name: notes.name as string })
  notes.args = notes.name = notes.call = undefined
}

/** Sets the value at a path such as `$.a.b[0]`; a string is appended to the string that is there. */
function setAt(root: object, path: string, value: unknown): void {
  const keys = path.match(/[^$.[\]'"]+/g) ?? []
  let target = root as Record<string, unknown>
  keys.forEach((key, at) => {
    if (key === '__proto__') return
    const next = keys[at + 1]
    if (next === undefined) {
      const old = Object.hasOwn(target, key) ? target[key] : undefined
      target[key] = typeof old === 'string' && typeof value === 'string' ? old + value : value
    } else {
      if (!Object.hasOwn(target, key) || !isObject(target[key])) target[key] = /^\d+$/.test(next) ? [] : {}
      target = target[key] as Record<string, unknown>
    }
  })
}

export function readUsage(counts: UsageMetadata, reading: Reading): void {
  const { promptTokenCount, toolUsePromptTokenCount, responseTokenCount, thoughtsTokenCount } = counts
  const { candidatesTokenCount = responseTokenCount } = counts
  reading.usage({
    inputTokens: sum(promptTokenCount, toolUsePromptTokenCount),
    // Gemini counts thoughts beside the answer; on our common scale they are part of the output.
    outputTokens: sum(candidatesTokenCount, thoughtsTokenCount),
    totalTokens: counts.totalTokenCount,
    cachedInputTokens: counts.cachedContentTokenCount,
    reasoningTokens: thoughtsTokenCount,
  })
}

function sum(...counts: unknown[]): number | undefined {
  const given = counts.filter((count) => typeof count === 'number')
  return given.length > 0 ? given.reduce((total, count) => total + count) : undefined
}
