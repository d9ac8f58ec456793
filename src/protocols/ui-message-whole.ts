/** Which message do the chunks of an answer make, for `stream: false`? */

import { isObject } from '../errors.js'
import type { UIChunk } from '../types.js'

type MessagePart = Record<string, unknown>

interface Message {
  id: unknown
  metadata: object | undefined
  parts: MessagePart[]
}

/** The message that the chunks of these frames make. */
export function toMessage(frames: string): object {
  const message: Message = { id: undefined, metadata: undefined, parts: [] }
  for (const line of frames.split('\n\n')) {
    if (line !== '') addChunk(JSON.parse(line.slice('data: '.length)) as UIChunk, message)
  }
  const { id, metadata, parts } = message
  return { id, role: 'assistant', ...(metadata && { metadata }), parts }
}

function addChunk({ type, ...rest }: UIChunk, message: Message): void {
  const { parts } = message
  const { delta, providerMetadata, messageMetadata } = rest
  const more = providerMetadata !== undefined && { providerMetadata }
  if (isObject(messageMetadata)) message.metadata = { ...message.metadata, ...messageMetadata }
  if (type === 'start') message.id = rest.messageId
  else if (type === 'start-step') parts.push({ type: 'step-start' })
  else if (type === 'reset-step') parts.splice(parts.findLastIndex((part) => part.type === 'step-start') + 1)
  else if (/^(text|reasoning)-start$/.test(type))
    parts.push({ type: type.slice(0, -6), ...(type === 'text-start' ? more : rest), text: '', state: 'done' })
  else if (/^(text|reasoning)-(delta|end)$/.test(type)) {
    // Data may have come in the middle of a text.
    const block = parts.findLast(({ text }) => text !== undefined) ?? {}
    Object.assign(block, more, rest.citations ? { citations: rest.citations } : {})
    if (delta !== undefined) block.text += delta as string
  } else if (type === 'tool-input-start') parts.push(toCall(rest))
  else if (type === 'tool-approval-response') answerApproval(rest, parts)
  else if (type.startsWith('tool-')) {
    const call = parts.findLast(({ toolCallId }) => toolCallId === rest.toolCallId)
    if (call) addToCall(type, rest, call)
  } else if (type.startsWith('data-')) addData(parts, { type, ...rest })
  else if (/^(source|file|reasoning-file|custom)/.test(type)) parts.push({ type, ...rest })
}

function addToCall(type: string, chunk: Omit<UIChunk, 'type'>, call: MessagePart): void {
  const { input, output, errorText } = chunk
  switch (type) {
    case 'tool-input-available':
      Object.assign(call, toCall(chunk), { state: 'input-available', input })
      break
    case 'tool-input-error':
      Object.assign(call, toCall(chunk), { state: 'output-error', input, errorText })
      break
    case 'tool-approval-request': {
      const { toolCallId: _, approvalId, reason: requestReason, approvalDescriptor: descriptor, ...request } = chunk
      const told = {
        ...(requestReason !== undefined && { requestReason }),
        ...(descriptor !== undefined && { descriptor }),
      }
      const approval = { id: approvalId, ...told, ...request }
      Object.assign(call, { state: 'approval-requested', approval })
      break
    }
    case 'tool-output-denied':
      call.state = 'output-denied'
      break
    case 'tool-output-error':
      delete call.output
      Object.assign(call, { state: 'output-error', errorText })
      addOutputMore(chunk, call)
      break
    case 'tool-output-available':
      delete call.errorText
      Object.assign(call, { output, state: 'output-available' })
      addOutputMore(chunk, call)
  }
}

/** Adds the fields beside an output. Whether it is preliminary, the latest chunk decides. */
function addOutputMore(
  { toolMetadata, preliminary, providerMetadata }: Omit<UIChunk, 'type'>,
  call: MessagePart,
): void {
  delete call.preliminary
  if (preliminary === true) call.preliminary = true
  if (toolMetadata !== undefined) call.toolMetadata = toolMetadata
  if (providerMetadata !== undefined) call.resultProviderMetadata = providerMetadata
}

function answerApproval({ approvalId, approved, reason }: Omit<UIChunk, 'type'>, parts: readonly MessagePart[]): void {
  const asked = parts.find(({ approval }) => (approval as { id?: unknown } | undefined)?.id === approvalId)
  if (!asked) return
  const approval = { ...(asked.approval as object), approved, ...(reason !== undefined && { reason }) }
  Object.assign(asked, { state: 'approval-responded', approval })
}

function toCall(chunk: Omit<UIChunk, 'type'>): MessagePart {
  const { toolName, toolCallId, dynamic, providerExecuted, title, toolMetadata, providerMetadata } = chunk
  return {
    ...(dynamic ? { type: 'dynamic-tool', toolName } : { type: `tool-${toolName}` }),
    toolCallId,
    ...(providerExecuted === true && { providerExecuted }),
    ...(title !== undefined && { title }),
    ...(toolMetadata !== undefined && { toolMetadata }),
    ...(providerMetadata !== undefined && { callProviderMetadata: providerMetadata }),
  }
}

/** Data with the same name and id replaces what came before. */
function addData(parts: MessagePart[], part: MessagePart): void {
  if (part.transient) return
  const known = part.id === undefined ? -1 : parts.findIndex(({ type, id }) => type === part.type && id === part.id)
  if (known === -1) parts.push(part)
  else parts[known] = part
}
