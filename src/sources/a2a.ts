/** What do agents say that speak A2A: in JSON-RPC, over REST, or by its SDK? */
import { isObject } from '../errors.js'
import type { ChunkShape, Reading } from './reading-state.js'

interface ContentPart {
  text?: string
  /** By the SDK. */
  content?: { $case?: string; value?: unknown }
}

interface Message {
  role?: string | number
  parts?: ContentPart[]
}

interface Event extends Message {
  status?: { state?: string | number; message?: Message }
  artifact?: { artifactId?: string; parts?: ContentPart[] }
  artifacts?: { artifactId?: string; parts?: ContentPart[] }[]
}

/** The SDK has numbers for them. */
const STATES = ',,working,completed,failed,canceled,input-required,rejected,auth-required'.split(',')
const KINDS = /^(task|message|status-?update|artifact-?update)$/i

/** An A2A agent. The answer is the text of its artifacts, or of its message; it is complete where its task is, or waits for the user. */
export const a2a: ChunkShape = {
  redact: false,

  is: (chunk) => eventOf(chunk) !== undefined,

  isEarly: (chunk: object) => eventOf(chunk)?.artifact === undefined,

  read(chunk: object, reading: Reading) {
    const { parts, role, status, artifact, artifacts } = eventOf(chunk) as Event
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

/** What an agent says while it works is news of its steps. */
function readStatus({ state, message }: NonNullable<Event['status']>, reading: Reading): void {
  const word =
    typeof state === 'number'
      ? STATES[state]
      : String(state).toLowerCase().replace('task_state_', '').replaceAll('_', '-')
  if (word === 'failed' || word === 'rejected') reading.error({ message: message?.parts?.map(textOf).join('') })
  else if (word === 'canceled') reading.finish('cancelled')
  else if (word === 'auth-required') reading.end('suspended')
  else if (word === 'completed' || word === 'input-required') {
    if (word !== 'completed' || reading.isBlank) readParts(message?.parts, reading)
    reading.end('stop')
  }
}

function isAgent(role: unknown): boolean {
  return /agent$/i.test(String(role)) || role === 2
}

/** The event in a chunk, by whichever version of the protocol. */
function eventOf(chunk: object): Event | undefined {
  const { jsonrpc, result, payload, kind, ...event } = chunk as Record<string, unknown>
  if (jsonrpc && isObject(result)) return eventOf(result)
  if (typeof kind === 'string') return KINDS.test(kind) && isOne(event) ? event : undefined
  const { $case, value } = (payload ?? {}) as { $case?: string; value?: unknown }
  if ($case) return KINDS.test($case) && isObject(value) ? value : undefined
  const [[key = '', inner] = [], ...more] = Object.entries(event)
  return more.length === 0 && KINDS.test(key) && isObject(inner) && isOne(inner) ? inner : undefined
}

function isOne(event: object): boolean {
  return ['contextId', 'taskId', 'messageId'].some((key) => key in event)
}

function readParts(parts: ContentPart[] | undefined, reading: Reading): void {
  for (const part of parts ?? []) reading.text(textOf(part))
}

function textOf({ text, content }: ContentPart): string | undefined {
  return content?.$case === 'text' ? String(content.value) : text
}
