/** What do the clients of the dialects read from? Servers on loopback that say one answer, whole, failed or cut. */
import type { Part, Protocol, RelayOptions, Source } from 'sse-relay'
import { relay } from 'sse-relay/node'
import { listening } from '../../serving.js'

type Script = (string | Part | { event?: string; data: unknown })[]

export const TEXT = 'Let me see: naïve\n\n日本🚀'
export const WEATHER = { id: 'call_1', name: 'weather', input: '{"city":"Oslo"}' }
export const TIME = { id: 'call_2', name: 'time', input: '{"zone":"CET"}' }
export const USAGE = {
  inputTokens: 25,
  outputTokens: 15,
  totalTokens: 40,
  cachedInputTokens: 5,
  cacheWriteInputTokens: 2,
  reasoningTokens: 3,
}

const text: Script = ['Let me see: ', 'naïve\n\n', '日本🚀']
const call = (index: number, { id, name, input }: typeof WEATHER): Script => [
  { type: 'tool-call', index, id, name, input: '' },
  { type: 'tool-call', index, input: input.slice(0, 5) },
  { type: 'tool-call', index, input: input.slice(5) },
  { type: 'tool-call', index, input: '', done: true },
]
const finish = (reason: Extract<Part, { type: 'finish' }>['reason']): Script => [{ type: 'finish', reason }]

/** The answers that every client is to read. */
export const answers = {
  text,
  nothing: [],
  reasoning: [
    { type: 'reasoning', text: 'Look' },
    { type: 'reasoning', text: '.' },
    { type: 'reasoning', text: '', signature: 'c2ln' },
    ...text,
  ],
  'one call': [...text, ...call(0, WEATHER), ...finish('tool-calls')],
  'parallel calls': [
    { type: 'tool-call', index: 0, id: WEATHER.id, name: WEATHER.name, input: '' },
    { type: 'tool-call', index: 1, id: TIME.id, name: TIME.name, input: '' },
    { type: 'tool-call', index: 1, input: TIME.input },
    { type: 'tool-call', index: 0, input: WEATHER.input, done: true },
    { type: 'tool-call', index: 1, input: '', done: true },
    ...finish('tool-calls'),
  ],
  'text after a call': [...text, ...call(0, WEATHER), 'So.', ...finish('tool-calls')],
  'a call without arguments': [
    { type: 'tool-call', index: 0, id: 'call_1', name: 'now', input: '', done: true },
    ...finish('tool-calls'),
  ],
  'calls of an agent': [
    ...call(0, WEATHER),
    { type: 'tool-result', id: WEATHER.id, name: WEATHER.name, output: { degrees: 21 } },
    { type: 'tool-call', index: 1, id: 'call_3', name: 'search', input: '{"q":1}', executed: true, done: true },
    { type: 'tool-call', index: 2, id: 'call_4', name: 'weather', input: '{"x', error: 'It could not be called.' },
    ...text,
    ...finish('stop'),
  ],
  'own events': [{ event: 'status', data: { step: 1 } }, ...text, { type: 'data', name: 'citation', data: { n: 1 } }],
  usage: [...text, { type: 'usage', usage: USAGE }, ...finish('stop')],
  length: [...text, ...finish('length')],
  'content-filter': [...text, ...finish('content-filter')],
  other: [...text, ...finish('other')],
  'half a call': [...text, ...call(0, WEATHER).slice(0, 2), ...call(1, TIME), ...finish('length')],
} satisfies Record<string, Script>

/** A server that relays the source. Errors are expected. */
export function relaying(protocol: Protocol, source: Source, options: RelayOptions = {}): Promise<string> {
  return listening(
    (req, res) => void relay(req, res, source, { onError() {}, toolResults: true, ...options, protocol }),
  )
}

/** A source that fails after its first pieces. */
export async function* failing(): AsyncGenerator<string> {
  yield 'Let me '
  yield 'see'
  throw Object.assign(new Error('SECRET'), { status: 529 })
}

/** A source that is refused before it says anything. */
export const refused: Source = () => {
  throw Object.assign(new Error('SECRET'), { status: 529 })
}

/** A server whose answer is broken off in the middle, by a clean end or by a reset. */
export async function cutting(protocol: Protocol, script: Script, how: 'end' | 'reset'): Promise<string> {
  const whole = await (await fetch(await relaying(protocol, script as Source), { method: 'POST' })).text()
  const frames = whole.split(/(?<=\n\n)/)
  return listening((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write(frames.slice(0, Math.ceil(frames.length / 2)).join(''), () => {
      if (how === 'end') res.end()
      else res.socket?.destroy()
    })
  })
}

/** A source that is silent until it is told to go on. */
export function pausing(): { source: Source; go(): void } {
  let go = () => {}
  const silence = new Promise<void>((resolve) => {
    go = resolve
  })
  return {
    source: async function* () {
      yield 'Let me see: '
      await silence
      yield 'naïve\n\n日本🚀'
    },
    go: () => go(),
  }
}
