/**
 * What does a provider's word for an ending mean: why did the model stop, or was the answer broken off? The names of
 * events that end a stream are in sse-event.ts.
 */
import type { FinishReason } from '../types.js'

/**
 * Matched in lower case, without `_`, `-`, digits and a leading `FINISH_REASON_`; the first that fits decides.
 * Providers build new words from the same pieces, so the pieces are what is listed.
 */
const WORDS: readonly (readonly [FinishReason | 'broken' | 'nothing', RegExp])[] = [
  // Some servers send a word with every chunk, or have a value for "not yet".
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

/** Why the model stopped, on our scale. After `broken` the answer is not complete, whatever else is said. */
export function meaningOf(said: unknown): FinishReason | 'broken' | 'nothing' {
  // The AI SDK sends two words: where its own is vague, the provider's says more. Some servers send objects or numbers.
  const { unified, raw, reason = unified, type = reason } = (said ?? {}) as { [word: string]: unknown }
  // So a model of the AI SDK ends where its provider said no end.
  if (unified === 'other' && raw === undefined) return 'broken'
  const word = typeof said === 'string' ? said : (/^(other|error)$/.test(`${unified}`) && raw) || type
  if (typeof word !== 'string') return 'other'
  const plain = word
    .toLowerCase()
    .replace(/[^a-z]/g, '')
    .replace(/^(finish)?reason/, '')
  return WORDS.find(([, words]) => words.test(plain))?.[0] ?? 'other'
}
