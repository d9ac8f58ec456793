/** What do chunks say, read one after another as a run reads them? */
import type { Part } from 'sse-relay'
import { Reading, readChunk } from '../../src/sources/read-chunk.js'

/** What a reader is told of a run. */
export interface Read {
  /** Joined: all of its text, its reasoning. */
  text: string
  reasoning: string
  /** Each call with its pieces joined, and what was said of it. */
  calls: object[]
  /** Everything else, in order. */
  rest: Part[]
  /** Counts, merged. */
  usage: object
  /** The last reason. */
  finish: string | undefined
  /** Whether the answer is complete, if it ends now. */
  isComplete: boolean
  /** The failure that was told. */
  error: Error | undefined
  /** The parts of each chunk. */
  parts: Part[][]
}

export function read(chunks: Iterable<unknown>, reading = new Reading()): Read {
  const told: Read = {
    text: '',
    reasoning: '',
    calls: [],
    rest: [],
    usage: {},
    finish: undefined,
    isComplete: false,
    error: undefined,
    parts: [],
  }
  const calls = new Map<number, { input: string }>()
  const take = (isLast = false) => {
    if (!isLast || reading.parts.length > 0) told.parts.push([...reading.parts])
    for (const part of reading.parts) {
      if (part.type === 'text') told.text += part.text
      else if (part.type === 'reasoning') {
        told.reasoning += part.text
        if (part.signature || part.redacted) told.rest.push(part)
      } else if (part.type === 'tool-call') {
        const { type: _, index, input, replaces, ...more } = part
        const call = calls.get(index) ?? { input: '' }
        if (!calls.has(index)) told.calls.push(call)
        calls.set(index, Object.assign(call, more, { input: replaces ? input : call.input + input }))
      } else if (part.type === 'usage') Object.assign(told.usage, part.usage)
      else if (part.type === 'finish') told.finish = part.reason
      else if (part.type === 'error') told.error ??= part.error as Error
      else told.rest.push(part)
    }
  }
  for (const chunk of chunks) {
    const own = readChunk(chunk, reading)
    if (own) throw new Error(`An event of the user's own: ${JSON.stringify(own)}`)
    take()
  }
  reading.parts.length = 0
  reading.close()
  take(true)
  told.isComplete = reading.proof === 'given' || reading.proof === 'not-needed'
  return told
}
