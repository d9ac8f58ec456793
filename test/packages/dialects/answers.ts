/** Which answers may a source give? As many as one likes, each from its number, with what a client is to make of it. */
import type { FinishReason, Part } from 'sse-relay'
import type { Call } from './clients.js'

export interface Answer {
  /** What is in it, for a title. */
  name: string
  source: object[]
  text: string
  reasoning: string
  /** The calls that a client is to run. */
  calls: Call[]
  /** Those and the ones that nobody said to be whole, of an answer that was cut: they look as if they were. */
  told: Call[]
  /** Some call is not whole. */
  hasHalf: boolean
  finish: FinishReason | undefined
}

type Chooser = ReturnType<typeof chooser>

/** Choices that are the same for the same number. */
function chooser(seed: number) {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  const below = (limit: number) => Math.floor(next() * limit)
  return {
    below,
    often: (share: number) => next() < share,
    of: <T>(list: readonly T[]): T => list[below(list.length)] as T,
  }
}

/** Words as they are met: characters of two halves, of several letters, what JSON and event streams escape. */
const TEXTS = [
  'Hello ',
  'naïve 日本',
  '🚀👩‍👩‍👧 ',
  'a\r\nb\n\nc ',
  '\u2028"\\</script> ',
  'data: [DONE]\n\n ',
  ' ',
  '{"a":1} ',
]
const INPUTS = ['{"city":"Oslo"}', '{"city":"🚀"}', '{"a":{"b":[1,"}"]}}', '{"q":"\\u00e9\\n"}', '{}', '']

/** A text in pieces: cut anywhere, in the middle of a character, too; some of them are empty. */
function pieces(text: string, { below, often }: Chooser): string[] {
  const cuts = Array.from({ length: below(4) }, () => below(text.length + 1)).sort((a, b) => a - b)
  const list = [...cuts, text.length].map((cut, index) => text.slice(cuts[index - 1] ?? 0, cut))
  return often(0.2) ? [...list, ''] : list
}

/** One thing that an answer says, in steps between which others may say theirs. */
interface Thing {
  kind: string
  steps: Part[]
  call?: Call
  isHalf?: boolean
}

const NAMES = ['weather', 'time', 'now', 'search']

function callOf(index: number, saysDone: boolean, choose: Chooser): Thing {
  const { of, often } = choose
  const name = of(NAMES)
  const kind = of(['call', 'call', 'call', 'call', 'executed', 'rejected', 'half'])
  const whole = of(INPUTS)
  const input = kind === 'half' ? '{"ci' : whole
  const id = often(0.85) ? { id: `call_${index}` } : {}
  const steps: Part[] = pieces(input, choose).map((input) => ({ type: 'tool-call', index, input }))
  // Many say the name, and later the input.
  if (often(0.5)) steps.unshift({ type: 'tool-call', index, input: '' })
  Object.assign(steps[0] as Part, { name, ...id })
  if (kind === 'executed') Object.assign(steps[0] as Part, { executed: true })
  if (kind === 'rejected') Object.assign(steps[0] as Part, { error: 'It cannot be called.' })
  if (saysDone && kind !== 'half') {
    if (often(0.5)) steps.push({ type: 'tool-call', index, input: '', done: true })
    else Object.assign(steps.at(-1) as Part, { done: true })
  }
  return {
    kind,
    steps,
    ...(kind === 'call' && { call: [name, JSON.parse(input || '{}')] as Call }),
    isHalf: kind === 'half',
  }
}

function reasoningOf(choose: Chooser): Thing {
  const { of, often } = choose
  const kind = of(['reasoning', 'reasoning', 'signed', 'redacted'])
  const steps: Part[] =
    kind === 'redacted'
      ? [{ type: 'reasoning', text: '', redacted: 'aGlkZGVu' }]
      : pieces(of(TEXTS), choose).map((text) => ({ type: 'reasoning', text }))
  if (kind === 'signed') {
    if (often(0.5)) steps.push({ type: 'reasoning', text: '', signature: 'c2ln' })
    else Object.assign(steps.at(-1) as Part, { signature: 'c2ln' })
  }
  return { kind, steps }
}

/** The answer with a number. */
export function answerOf(seed: number): Answer {
  const choose = chooser(seed)
  const { below, of, often } = choose
  const finish = of<FinishReason | undefined>([
    undefined,
    undefined,
    'stop',
    'tool-calls',
    'tool-calls',
    'length',
    'content-filter',
    'other',
    'error',
  ])
  const saysDone = often(0.7)
  let index = 0
  const things = Array.from({ length: below(6) }, (): Thing => {
    switch (of(['text', 'text', 'call', 'call', 'reasoning', 'data', 'own', 'usage', 'start'])) {
      case 'text':
        return { kind: 'text', steps: pieces(of(TEXTS), choose).map((text) => ({ type: 'text', text })) }
      case 'call':
        return callOf(index++, saysDone, choose)
      case 'reasoning':
        return reasoningOf(choose)
      case 'data':
        return { kind: 'data', steps: [{ type: 'data', name: 'citation', data: { n: below(9) } }] }
      case 'own':
        return { kind: 'own', steps: [{ event: 'status', data: { step: below(9) } } as unknown as Part] }
      case 'usage':
        return { kind: 'usage', steps: [{ type: 'usage', usage: { inputTokens: below(9), outputTokens: below(9) } }] }
      default:
        return { kind: 'start', steps: [{ type: 'start', id: `a_${below(9)}` }] }
    }
  })
  const name = `${seed}: ${things.map(({ kind }) => kind).join(', ') || 'nothing'}; ${finish ?? 'no finish'}`

  // Each says its steps in order; up to three of them at once.
  const source: Part[] = []
  const waiting = [...things]
  const open: Thing[] = []
  const kept = new Map<Thing, Part[]>()
  const atOnce = 1 + below(3)
  while (waiting.length + open.length > 0) {
    while (waiting.length > 0 && open.length < atOnce) {
      const thing = waiting.shift() as Thing
      kept.set(thing, [...thing.steps])
      open.push(thing)
    }
    const thing = of(open)
    const rest = kept.get(thing) as Part[]
    source.push(rest.shift() as Part)
    if (rest.length === 0) open.splice(open.indexOf(thing), 1)
  }
  if (finish) source.push({ type: 'finish', reason: finish })
  if (often(0.3)) source.push({ type: 'usage', usage: { inputTokens: 25, outputTokens: 15, cachedInputTokens: 5 } })

  const hasHalf = things.some(({ isHalf }) => isHalf)
  // Where nobody says of a call that it is whole, a finish that is a cut leaves none whole.
  const isWhole = saysDone || !/length|content-filter|error/.test(finish ?? '')
  const told = things.flatMap(({ call }) => (call ? [call] : []))
  return {
    name,
    source,
    text: joined(source, 'text'),
    reasoning: joined(source, 'reasoning'),
    calls: isWhole ? told : [],
    told,
    hasHalf: hasHalf || (!isWhole && told.length > 0),
    finish,
  }
}

/** What a text comes to. What was cut in the middle of a character and did not go on there is whole again at its end. */
function joined(source: readonly Part[], type: 'text' | 'reasoning'): string {
  return source.map((part) => (part.type === type ? part.text : '')).join('')
}

/**
 * The answer of an agent with a number, as the AI SDK streams it: turns with calls that it runs itself, or its provider
 * does; those of the last turn may be for the client.
 */
export function agentAnswerOf(seed: number): Answer {
  const choose = chooser(seed)
  const { below, of, often } = choose
  const turns = 1 + below(3)
  const source: object[] = [{ type: 'start' }]
  const calls: Call[] = []
  const kinds: string[] = []
  let text = ''
  let reasoning = ''
  let reason = 'stop'
  for (let turn = 0; turn < turns; turn++) {
    const results: object[] = []
    source.push({ type: 'start-step', request: {}, warnings: [] })
    reason = 'stop'
    for (let count = below(4), thing = 0; thing < count; thing++) {
      const kind = of(['text', 'reasoning', 'call', 'call'])
      // Some agents count anew in each turn.
      const id = often(0.5) ? `call_${thing}` : `call_${turn}_${thing}`
      if (kind !== 'call') {
        const said = of(TEXTS)
        source.push({ type: `${kind}-start`, id: `${kind}-${turn}-${thing}` })
        for (const piece of pieces(said, choose))
          source.push({ type: `${kind}-delta`, id: `${kind}-${turn}-${thing}`, text: piece })
        source.push({ type: `${kind}-end`, id: `${kind}-${turn}-${thing}` })
        if (kind === 'text') text += said
        else reasoning += said
        kinds.push(kind)
        continue
      }
      const toolName = of(NAMES)
      const input = JSON.parse(of(INPUTS) || '{}')
      const whose = of(turn === turns - 1 ? ['client', 'agent', 'provider'] : ['agent', 'provider'])
      const executed = whose === 'provider' && { providerExecuted: true }
      if (often(0.7)) {
        source.push({ type: 'tool-input-start', id, toolName, ...executed })
        for (const delta of pieces(JSON.stringify(input), choose)) source.push({ type: 'tool-input-delta', id, delta })
        source.push({ type: 'tool-input-end', id })
      }
      source.push({ type: 'tool-call', toolCallId: id, toolName, input, ...executed })
      const result = often(0.8)
        ? { type: 'tool-result', toolCallId: id, toolName, input, output: { degrees: 21 }, ...executed }
        : { type: 'tool-error', toolCallId: id, toolName, input, error: new Error('SECRET'), ...executed }
      if (whose === 'client') {
        calls.push([toolName, input])
        reason = 'tool-calls'
      } else if (often(0.5)) source.push(result)
      else results.push(result)
      kinds.push(`call of the ${whose}`)
    }
    source.push(...results)
    const usage = { inputTokens: 5, outputTokens: 3, totalTokens: 8 }
    source.push({ type: 'finish-step', finishReason: turn === turns - 1 ? reason : 'tool-calls', usage, response: {} })
    kinds.push(';')
  }
  const totalUsage = { inputTokens: 5 * turns, outputTokens: 3 * turns, totalTokens: 8 * turns }
  source.push({ type: 'finish', finishReason: reason, totalUsage })
  const name = `agent ${seed}: ${kinds.join(' ')}`
  const finish = reason as FinishReason
  return { name, source, text, reasoning, calls, told: calls, hasHalf: false, finish }
}
