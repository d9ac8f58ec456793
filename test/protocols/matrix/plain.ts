/** What no provider is behind: strings and parts of one's own, in every kind of stream. */
import { Readable } from 'node:stream'
import type { Part, SourceStream } from 'sse-relay'
import type { Expected } from './expected.js'

export interface Plain extends Expected {
  name: string
  open(): SourceStream
}

const pieces = ['Hello', '', ' there! ', 'naïve\n\n日本🚀']
const strings: Expected = { text: 'Hello there! naïve\n\n日本🚀', outcome: 'done' }

const own: Part[] = [
  { type: 'usage', usage: { inputTokens: 1 } },
  { type: 'reasoning', text: 'Hm.' },
  { type: 'text', text: 'Hello' },
  { type: 'tool-call', index: 4, id: 'call_1', name: 'get_weather', input: '{"city":' },
  { type: 'tool-call', index: 4, input: '"Paris"}' },
  { type: 'data', name: 'progress', data: { percent: 50 } },
  { type: 'finish', reason: 'tool-calls' },
  { type: 'usage', usage: { outputTokens: 2 } },
]

async function* generate<T>(values: Iterable<T>): AsyncGenerator<T> {
  yield* values
}

export const plain: Plain[] = [
  { name: 'generator of strings', open: () => generate(pieces), ...strings },
  { name: 'array of strings', open: () => pieces, ...strings },
  { name: 'one string', open: () => strings.text, ...strings },
  {
    name: 'Web stream of strings',
    open: () => Readable.toWeb(Readable.from(pieces)) as ReadableStream<string>,
    ...strings,
  },
  {
    name: 'Node stream of strings',
    open: () => Readable.from(pieces, { objectMode: false, encoding: 'utf8' }),
    ...strings,
  },
  {
    name: 'generator of parts',
    open: () => generate(own),
    text: 'Hello',
    reasoning: 'Hm.',
    tools: [{ id: 'call_1', name: 'get_weather', input: { city: 'Paris' } }],
    data: ['progress'],
    finish: 'tool-calls',
    usage: { inputTokens: 1, outputTokens: 2 },
    outcome: 'done',
  },
]
