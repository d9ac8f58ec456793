/** What the providers' words for an ending mean: why the model stopped, or that the answer was broken off. */
import type { FinishReason } from '../types.js'

/**
 * Matched in small letters, without `_`, `-`, digits and a `FINISH_REASON_`; the first that fits decides. Providers put new words together of
 * the same pieces, so the pieces are what is known.
 */
const WORDS: readonly (readonly [FinishReason | 'broken' | 'nothing', RegExp])[] = [
  // Servers that say a word with every chunk, or have a value for "not yet".
  ['nothing', /^(null|none|nil|unspecified|inprogress|queued|pending|running|notfinished)$/],
  [
    'content-filter',
    /filter|refus|block|sensitive|guardrail|tripwire|toxic|safety|recitation|prohibited|^spii$|^language$|moderat|policy|flagged|armor|riskcontrol|copyright|unsafe|harm/,
  ],
  [
    'broken',
    /abort|cancel|interrupted|network|connection|disconnect|closed|premature|crash|unexpectedeof|outofmemory|^internal|^time(d?out)|unavailable|insufficient|overload|\werror$|preempt|streamtruncat|evict|shutdown|fail(ed|ure)|deadline|expired|^unknown|kill|terminated|(rate|time)limit|quota|exhausted/,
  ],
  ['tool-calls', /^(client)?(tools?|tool(calls?|use)|functioncalls?|requiresaction|suspended)$/],
  [
    'stop',
    /^(imend|stop(ped|sequences?|token|str(ing)?|words?)?|end(of)?(turn|text|token|sentence|sequence|stream|message)?|eo[st](token)?|completed?|success(ful)?|finish(ed)?|done|normal)$/,
  ],
  ['error', /^error$|malformed|unexpected|toomany|missingthought/],
  ['length', /length|token|limit|truncat|^max|contextwindow|budget|^incomplete$/],
]

/** Why the model stopped, in our words; `broken` after which the answer is not complete, whatever else is said. */
export function meaningOf(said: unknown): FinishReason | 'broken' | 'nothing' {
  // The AI SDK has two words, of which the provider's tells more where the other tells little; some servers have an
  // object or a number.
  const { unified, raw, reason = unified, type = reason } = (said ?? {}) as { [word: string]: unknown }
  const word = typeof said === 'string' ? said : (/^(other|error)$/.test(`${unified}`) && raw) || type
  if (typeof word !== 'string') return 'other'
  const plain = word
    .toLowerCase()
    .replace(/[^a-z]/g, '')
    .replace(/^(finish)?reason/, '')
  return WORDS.find(([, words]) => words.test(plain))?.[0] ?? 'other'
}
