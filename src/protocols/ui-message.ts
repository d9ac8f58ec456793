/** How does a run look to `useChat` of the AI SDK? */

import { callback, type Rules, words } from '../check.js'
import { checkOptions } from '../options.js'
import type { Encoder, EncoderEnd, Protocol } from '../types.js'
import { dataFrame, failureFrame, toJson } from './frames.js'

/** Options of {@link uiMessage}. */
export interface UIMessageOptions {
  /** The id of the message being answered with. @default the run's id */
  messageId?: string
  /** More for the message's metadata, beside the `usage` of a finished answer. Called once, at its end. */
  metadata?(end: EncoderEnd): Record<string, unknown> | undefined
}

const OPTIONS: Rules<keyof UIMessageOptions> = { messageId: words, metadata: callback }

/**
 * The AI SDK's UI message stream, readable by `useChat` (versions 5 to 7). Tool calls are dynamic tools; own
 * events and data parts become `data-<name>`, citations with a `url` become sources, files become files. A failure is
 * an `error` chunk and nothing after it, so the chat is in its error state and not at a finished answer.
 */
export function uiMessage(options: UIMessageOptions = {}): Protocol {
  checkOptions('uiMessage', options, OPTIONS)
  const { messageId, metadata } = options
  return {
    name: 'ui-message',
    headers: { 'x-vercel-ai-ui-message-stream': 'v1' },
    encoder: ({ runId }) => createEncoder(messageId ?? runId, metadata),
  }
}

interface Call {
  id: string
  name: string
  input: string
  /** How often the input was parsed to see whether it is whole. */
  asked: number
}

/** Each look parses the whole input. A call that is interrupted more often than this is closed at the end of the run. */
const MAX_ASKED = 16

function createEncoder(messageId: string, metadata: UIMessageOptions['metadata']): Encoder {
  let begun = false
  let blocks = 0
  let sources = 0
  let unnamed = 0
  let open: { kind: 'text' | 'reasoning'; id: string } | undefined
  const calls = new Map<number, Call>()

  const frame = (chunk: Record<string, unknown>) => dataFrame(toJson(chunk))
  const begin = () => {
    if (begun) return ''
    begun = true
    return frame({ type: 'start', messageId }) + frame({ type: 'start-step' })
  }
  const closeBlock = () => {
    if (!open) return ''
    const { kind, id } = open
    open = undefined
    return frame({ type: `${kind}-end`, id })
  }
  const closeCall = (index: number, { id: toolCallId, name: toolName, input }: Call) => {
    calls.delete(index)
    const call = { toolCallId, toolName, dynamic: true }
    try {
      return frame({ type: 'tool-input-available', ...call, input: parseInput(input || '{}') })
    } catch {
      return frame({
        type: 'tool-input-error',
        ...call,
        input,
        errorText: 'The input of this tool call is not JSON.',
      })
    }
  }
  /** Closes the calls whose input is whole JSON; at the end of the run, all of them. */
  const closeCalls = (isEnd = false) => {
    let frames = ''
    for (const [index, call] of calls)
      if (isEnd || (call.asked++ < MAX_ASKED && isWhole(call.input))) frames += closeCall(index, call)
    return frames
  }
  const data = (name: string, value: unknown, id?: string) =>
    frame({ type: `data-${name}`, ...(id !== undefined && { id }), data: value })

  return {
    part(part) {
      if (part.type === 'start') return ''
      let frames = begin()
      switch (part.type) {
        case 'text':
        case 'reasoning': {
          if (open?.kind !== part.type) {
            frames += closeBlock() + closeCalls()
            open = { kind: part.type, id: String(blocks++) }
            frames += frame({ type: `${part.type}-start`, id: open.id })
          }
          return (
            frames + dataFrame(`{"type":"${part.type}-delta","id":"${open.id}","delta":${JSON.stringify(part.text)}}`)
          )
        }
        case 'tool-call': {
          frames += closeBlock()
          const { index, id, name = 'tool', input } = part
          let call = calls.get(index)
          // Another id is another call: the next answer of a source that has several counts from 0 again.
          if (call && id !== undefined && id !== call.id) {
            frames += closeCall(index, call)
            call = undefined
          }
          if (!call) {
            call = { id: id ?? `${messageId}-call-${unnamed++}`, name, input: '', asked: 0 }
            calls.set(index, call)
            frames += frame({ type: 'tool-input-start', toolCallId: call.id, toolName: name, dynamic: true })
          }
          if (input === '') return frames
          call.input += input
          return frames + frame({ type: 'tool-input-delta', toolCallId: call.id, inputTextDelta: input })
        }
        case 'tool-result':
          return ''
        default: {
          const { name, data: value } = part
          const { url, title, mediaType } = (value ?? {}) as Record<string, unknown>
          if (name === 'citation' && typeof url === 'string') {
            const sourceId = `${messageId}-source-${sources++}`
            return frames + frame({ type: 'source-url', sourceId, url, ...(typeof title === 'string' && { title }) })
          }
          if (name === 'file' && typeof url === 'string' && typeof mediaType === 'string') {
            return frames + frame({ type: 'file', url, mediaType })
          }
          return frames + data(name, value)
        }
      }
    },
    event({ event = 'data', data: text, id }) {
      return begin() + data(event, parse(text), id)
    },
    end(end) {
      const { finishReason, usage } = end
      const messageMetadata = { ...(usage && { usage }), ...metadata?.(end) }
      return (
        begin() +
        closeBlock() +
        closeCalls(true) +
        frame({ type: 'finish-step' }) +
        frame({
          type: 'finish',
          ...(finishReason && { finishReason }),
          ...(Object.keys(messageMetadata).length > 0 && { messageMetadata }),
        })
      )
    },
    fail: (error) => failureFrame({ type: 'error', errorText: error.message, error }),
  }
}

/** The data of an own event is text by now. If the text is JSON, its value goes into the part. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function isWhole(input: string): boolean {
  try {
    JSON.parse(input)
    return true
  } catch {
    return false
  }
}

/** The AI SDK rejects these keys at any depth, and the whole chat would fail: here only the one call does. */
function parseInput(input: string): unknown {
  return JSON.parse(input, (key, value) => {
    if (key === '__proto__' || (key === 'constructor' && Object.hasOwn(Object(value), 'prototype')))
      throw new TypeError(key)
    return value
  })
}
