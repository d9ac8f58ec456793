/** What is a list of chunks read as, one after the other? Shared by the tests of the shapes. */
import type { Part } from 'sse-relay'
import { Reading, readChunk } from '../../src/sources/read-chunk.js'

export interface Read {
  parts: Part[]
  proof: Reading['proof']
  /** What failed, if the stream ends with it. */
  failure?: Error | undefined
  text: string
  reasoning: string
  /** As a client puts them together. */
  calls: { id?: string; name?: string; input: string; done?: boolean; executed?: boolean; approval?: string }[]
  results: { id: string; output: unknown; error?: string }[]
  usage: object
  finishReason?: string
  errors: unknown[]
  data: [string, unknown][]
  /** Of the warning that only the signal stops it. */
  signalOnly?: string | undefined
}

export function readAll(chunks: unknown[]): Read {
  const reading = new Reading()
  const read: Read = {
    parts: [],
    proof: 'not-needed',
    text: '',
    reasoning: '',
    calls: [],
    results: [],
    usage: {},
    errors: [],
    data: [],
  }
  const calls = new Map<number, Read['calls'][number]>()
  for (const chunk of chunks) {
    const own = readChunk(chunk, reading)
    if (own) read.data.push([own.event ?? 'own', own.data])
    read.signalOnly ??= reading.shape?.signalOnly?.(chunk as never)
    for (const part of reading.parts) {
      read.parts.push(part)
      add(part, read, calls)
    }
  }
  reading.parts.length = 0
  reading.close()
  for (const part of reading.parts) {
    read.parts.push(part)
    add(part, read, calls)
  }
  read.proof = reading.proof
  read.failure = reading.failure
  return read
}

function add(part: Part, read: Read, calls: Map<number, Read['calls'][number]>): void {
  if (part.type === 'text') read.text += part.text
  else if (part.type === 'reasoning') read.reasoning += part.text
  else if (part.type === 'usage') Object.assign(read.usage, part.usage)
  else if (part.type === 'finish') read.finishReason = part.reason
  else if (part.type === 'error') read.errors.push(part.error)
  else if (part.type === 'data') read.data.push([part.name, part.data])
  else if (part.type === 'tool-result') {
    const { id, output, error } = part
    read.results.push({ id, output, ...(error !== undefined && { error }) })
  } else if (part.type === 'tool-call') {
    const { index, id, name, input, done, executed, approval, replaces } = part
    const call = calls.get(index) ?? { input: '' }
    if (!calls.has(index)) read.calls.push(call)
    calls.set(index, call)
    call.input = replaces ? input : call.input + input
    Object.assign(call, {
      ...(id && { id }),
      ...(name && { name }),
      ...(done && { done }),
      ...(executed && { executed }),
      ...(approval !== undefined && { approval }),
    })
  }
}
