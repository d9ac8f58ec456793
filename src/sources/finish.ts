/** What the providers' words for an ending mean: why the model stopped, or that the answer was broken off. */
import type { FinishReason } from '../types.js'

/** Words in small letters, without what joins them. None of them is another provider's word for something else. */
const WORDS: readonly (readonly [FinishReason, RegExp])[] = [
  ['stop', /^(stop|endturn|stopsequence|eos(token)?|completed?|success)$/],
  [
    'length',
    /^(length|(max|limit)\w*tokens?|tokenlimit|modellength|modelcontextwindowexceeded|budgetexceeded|incomplete|maxturns)$/,
  ],
  ['tool-calls', /^(toolcalls?|tooluse|functioncall|requiresaction|suspended)$/],
  [
    'content-filter',
    /^(contentfilter(ed)?|refusal|blocked|sensitive|guardrailintervened|tripwire|errortoxic|(image)?(safety|recitation|prohibitedcontent)|blocklist|spii|language)$/,
  ],
  ['error', /^(error|malformed\w+|unexpectedtoolcall|toomanytoolcalls|missingthoughtsignature)$/],
]

/** Words of an answer that was broken off: after one of them it is not complete, whatever else is said. */
const BROKEN =
  /^(abort(ed)?|network_?error|insufficient_system_resource|interrupted|unknown|cancell?ed|failed|time_?out|disconnected|unavailable)$/i

export function isBrokenOff(word: string): boolean {
  return BROKEN.test(word)
}

/** Why the model stopped, in our words. */
export function toReason(word: string): FinishReason {
  const plain = word.toLowerCase().replace(/[^a-z]/g, '')
  return WORDS.find(([, words]) => words.test(plain))?.[0] ?? 'other'
}
