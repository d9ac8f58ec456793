/** What does the demo ask when no key is set, or when a failure is wanted: which answer is on tape? */
import type { Replay } from '../../testing/index.js'

/** The failures that a request can ask for. */
export const FAILURES = ['overloaded', 'midway', 'cut'] as const
export type Failure = (typeof FAILURES)[number]

const ANSWER = `\
An event stream is an ordinary HTTP answer that takes its time. 🌊 The server leaves it open and writes one small event \
after another: a line that starts with “data:”, then an empty line. That is nearly the whole format.

It is only text, so every language travels well: 日本語, ελληνικά, हिन्दी, العربية, українська. So does a rocket 🚀.

What takes care is everything around it. Somebody closes the tab, and the model should stop at once. 🛑 A proxy gathers \
the words and hands them over in one lump. ⏳ The line breaks in the middle, and nobody must take half a sentence for \
the end.

This answer ends the way a good one does: on purpose, and with a mark that says so. ✅`

// About as long as a model's tokens. Cut by code points, so that no emoji is split.
const TOKENS = ANSWER.match(/\s*\S{1,7}/gu) ?? []

const frame = (type: string, fields: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

const HEAD = [
  frame('message_start', {
    message: {
      id: 'msg_replayed',
      type: 'message',
      role: 'assistant',
      model: 'replayed',
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 14, output_tokens: 1 },
    },
  }),
  frame('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
]
const BODY = TOKENS.map((text) => frame('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }))
const TAIL = [
  frame('content_block_stop', { index: 0 }),
  frame('message_delta', {
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: TOKENS.length },
  }),
  frame('message_stop', {}),
]
const OVERLOADED = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }
const HALF = [...HEAD, ...BODY.slice(0, TOKENS.length / 2)]

/** A pause like a model's, longer after a sentence. */
function pauseMs(index: number): number {
  if (index < HEAD.length) return 0
  const afterSentence = /[.:]\s*$/.test(TOKENS[index - HEAD.length - 1] ?? '')
  return 18 + Math.random() * 40 + (afterSentence ? 140 : 0)
}

/** How the upstream answers. */
export function tape(failure?: Failure): Replay {
  const how = { delayMs: 350, pauseMs }
  if (failure === 'overloaded') return { ...how, status: 529, body: JSON.stringify(OVERLOADED) }
  if (failure === 'midway') return { ...how, body: [...HALF, frame('error', OVERLOADED)].join('') }
  if (failure === 'cut') return { ...how, body: HALF.join('') }
  return { ...how, body: [...HEAD, ...BODY, ...TAIL].join('') }
}

/** The number of tokens on tape (`total`), and among the first `frames` frames (`sent`). */
export function tokensIn(frames: number): { sent: number; total: number } {
  return { sent: Math.min(Math.max(frames - HEAD.length, 0), TOKENS.length), total: TOKENS.length }
}
