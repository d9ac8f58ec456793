/** What does a model of the AI SDK say, and what is in the message that comes of it? */
import type { UIMessage } from 'ai'

export type Chunk = Record<string, unknown> & { type: string }

const usage = {
  inputTokens: { total: 25, noCache: 20, cacheRead: 5, cacheWrite: 0 },
  outputTokens: { total: 15, text: 11, reasoning: 4 },
}
export const finish = (unified = 'stop') => ({ type: 'finish', finishReason: { unified, raw: unified }, usage })
export const text = (id: string, ...deltas: string[]) => [
  { type: 'text-start', id },
  ...deltas.map((delta) => ({ type: 'text-delta', id, delta })),
  { type: 'text-end', id },
]
export const reasoning = (id: string, ...deltas: string[]) => [
  { type: 'reasoning-start', id },
  ...deltas.map((delta) => ({ type: 'reasoning-delta', id, delta })),
  { type: 'reasoning-end', id },
]
export const pieces = (id: string, toolName: string, deltas: string[], more: object = {}) => [
  { type: 'tool-input-start', id, toolName, ...more },
  ...deltas.map((delta) => ({ type: 'tool-input-delta', id, delta })),
  { type: 'tool-input-end', id },
]
export const call = (toolCallId: string, toolName: string, input: string, more: object = {}) => ({
  type: 'tool-call',
  toolCallId,
  toolName,
  input,
  ...more,
})

/**
 * A message without what differs for no reader: ids of blocks and approvals, and whose words a failure has, which here are
 * never those of a tool.
 */
export function plain(message: UIMessage | undefined): Record<string, unknown>[] {
  return (message?.parts ?? []).flatMap((part) => {
    const { id, errorText, input, rawInput, ...rest } = part as unknown as Record<string, unknown>
    const fields = {
      ...rest,
      ...(/^data-/.test(rest.type as string) && { id }),
      ...(rest.approval !== undefined && { approval: ofChance(rest.approval as object) }),
      input: input ?? rawInput,
      ...(errorText !== undefined && { hasError: true }),
    }
    return [Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))]
  })
}

/** An approval without what is another each time; a signature is of the id. */
function ofChance(approval: object): object {
  return { ...approval, id: 'any', ...('signature' in approval && { signature: 'any' }) }
}
