/** Which message do the chunks of an answer make, for `stream: false`? */

import { isObject } from '../errors.js'
import type { UIChunk } from '../types.js'

/** The message that the chunks of these frames make. */
export function toMessage(frames: string): object {
  let parts: Record<string, unknown>[] = []
  let id: unknown
  let metadata: object | undefined
  const last = (key: string, value: unknown) => parts.findLast((part) => part[key] === value) ?? {}
  for (const line of frames.split('\n\n')) {
    if (line === '') continue
    const { type, ...rest } = JSON.parse(line.slice('data: '.length)) as UIChunk
    const { delta, input, output, errorText, providerMetadata } = rest
    const more = providerMetadata !== undefined && { providerMetadata }
    const call = last('toolCallId', rest.toolCallId)
    if (isObject(rest.messageMetadata)) metadata = { ...metadata, ...rest.messageMetadata }
    if (type === 'start') id = rest.messageId
    else if (type === 'start-step') parts.push({ type: 'step-start' })
    else if (type === 'reset-step')
      parts = parts.slice(0, parts.findLastIndex((part) => part.type === 'step-start') + 1)
    else if (/^(text|reasoning)-start$/.test(type))
      parts.push({ type: type.slice(0, -6), ...(type === 'text-start' ? more : rest), text: '', state: 'done' })
    else if (/^(text|reasoning)-(delta|end)$/.test(type)) {
      // Data may have come amid a text.
      const block = parts.findLast(({ text }) => text !== undefined) ?? {}
      Object.assign(block, more, rest.citations ? { citations: rest.citations } : {})
      if (delta !== undefined) block.text += delta as string
    } else if (type === 'tool-input-start') parts.push(toCall(rest))
    else if (type === 'tool-input-available') Object.assign(call, toCall(rest), { state: 'input-available', input })
    else if (type === 'tool-input-error') Object.assign(call, toCall(rest), { state: 'output-error', input, errorText })
    else if (type === 'tool-approval-request') {
      const { toolCallId: _, approvalId, reason: requestReason, approvalDescriptor: descriptor, ...request } = rest
      const told = {
        ...(requestReason !== undefined && { requestReason }),
        ...(descriptor !== undefined && { descriptor }),
      }
      const approval = { id: approvalId, ...told, ...request }
      Object.assign(call, { state: 'approval-requested', approval })
    } else if (type === 'tool-approval-response') {
      const { approvalId, approved, reason } = rest
      const asked = parts.find(({ approval }) => (approval as { id?: unknown } | undefined)?.id === approvalId)
      const approval = { ...(asked?.approval as object), approved, ...(reason !== undefined && { reason }) }
      if (asked) Object.assign(asked, { state: 'approval-responded', approval })
    } else if (type === 'tool-output-denied') Object.assign(call, { state: 'output-denied' })
    else if (/^tool-output/.test(type)) {
      const { toolMetadata, preliminary } = rest
      delete call.preliminary
      Object.assign(call, type === 'tool-output-error' ? { state: 'output-error', errorText } : { output }, {
        ...(type === 'tool-output-available' && { state: 'output-available' }),
        ...(preliminary === true && { preliminary }),
        ...(toolMetadata !== undefined && { toolMetadata }),
        ...(more && { resultProviderMetadata: providerMetadata }),
      })
    } else if (type.startsWith('data-')) addData(parts, { type, ...rest })
    else if (/^(source|file|reasoning-file|custom)/.test(type)) parts.push({ type, ...rest })
  }
  return { id, role: 'assistant', ...(metadata && { metadata }), parts }
}

function toCall(chunk: Record<string, unknown>): Record<string, unknown> {
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
function addData(parts: Record<string, unknown>[], part: Record<string, unknown>): void {
  if (part.transient) return
  const known = part.id === undefined ? -1 : parts.findIndex(({ type, id }) => type === part.type && id === part.id)
  if (known === -1) parts.push(part)
  else parts[known] = part
}
