/** What do the events of an A2A agent say, as JSON-RPC, REST or its SDK deliver them? */
import { isObject } from '../errors.js'
import { hasKey } from './keys.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface ContentPart {
  text?: string
  /** The SDK's form of a part. */
  content?: { $case?: string; value?: unknown }
}

interface Message {
  role?: string | number
  parts?: ContentPart[]
}

interface A2AEvent extends Message {
  status?: { state?: string | number; message?: Message }
  artifact?: { artifactId?: string; parts?: ContentPart[] }
  artifacts?: { artifactId?: string; parts?: ContentPart[] }[]
}

/** The task states behind the SDK's numbers, except those of a task that is still at work. */
const STATES: Record<number, string> = {
  3: 'completed',
  4: 'failed',
  5: 'canceled',
  6: 'input-required',
  7: 'rejected',
  8: 'auth-required',
}
/** The SDK's number for the role of an agent. */
const AGENT = 2
const KINDS = /^(task|message|status-?update|artifact-?update)$/i

/**
 * An A2A agent. The answer is the text of its artifacts or message, complete when the task is or waits for the user.
 */
export const a2a: ChunkShape = {
  is: (chunk) => eventOf(chunk) !== undefined,

  read(chunk: object, reading: Reading) {
    const { parts, role, status, artifact, artifacts } = eventOf(chunk) as A2AEvent
    for (const { artifactId, parts } of artifacts ?? (artifact ? [artifact] : [])) {
      if (artifactId !== reading.notes.artifact) reading.paragraph('text')
      reading.notes.artifact = artifactId
      readParts(parts, reading)
    }
    if (parts && isAgent(role)) {
      readParts(parts, reading)
      reading.end('stop')
    }
    if (status) readStatus(status, reading)
  },
}

/** A message of a task that is still at work reports progress: it is not part of the answer. */
function readStatus({ state, message }: NonNullable<A2AEvent['status']>, reading: Reading): void {
  const word =
    typeof state === 'number'
      ? STATES[state]
      : String(state).toLowerCase().replace('task_state_', '').replaceAll('_', '-')
  if (word === 'failed' || word === 'rejected') reading.error({ message: message?.parts?.map(textOf).join('') })
  else if (word === 'canceled') reading.end(word)
  else if (word === 'auth-required') reading.end('suspended')
  else if (word === 'completed' || word === 'input-required') {
    if (word !== 'completed' || reading.isBlank) readParts(message?.parts, reading)
    reading.end('stop')
  }
}

function isAgent(role: unknown): boolean {
  return /agent$/i.test(String(role)) || role === AGENT
}

/** The event in a chunk, in whichever version of the protocol. */
function eventOf(chunk: object): A2AEvent | undefined {
  const { jsonrpc, result, payload, kind } = chunk as Record<string, unknown>
  if (jsonrpc && isObject(result)) return eventOf(result)
  if (typeof kind === 'string') return isOne(kind, chunk) && hasTask(chunk) ? chunk : undefined
  const { $case, value } = (payload ?? {}) as { $case?: string; value?: unknown }
  if ($case) return isOne($case, value) ? value : undefined
  const [key = '', ...more] = Object.keys(chunk)
  if (more.length > 0 || !KINDS.test(key)) return
  const inner = (chunk as Record<string, unknown>)[key]
  return isOne(key, inner) && hasTask(inner) ? inner : undefined
}

/** `task` and `message` are common words, so the event's fields are checked as well. */
function isOne(kind: string, event: unknown): event is A2AEvent {
  if (!KINDS.test(kind) || !isObject(event)) return false
  const { parts, role, status, artifact } = event as A2AEvent
  if (kind === 'message') return Array.isArray(parts) && role !== undefined
  return isObject(status) ? 'state' in status : Array.isArray(artifact?.parts)
}

/** Every event of the protocol has the id of its context, task or message. */
function hasTask(event: object): boolean {
  return hasKey(event, 'contextId', 'taskId', 'messageId')
}

function readParts(parts: ContentPart[] | undefined, reading: Reading): void {
  for (const part of parts ?? []) reading.text(textOf(part))
}

function textOf({ text, content }: ContentPart): string | undefined {
  return content?.$case === 'text' ? String(content.value) : text
}
