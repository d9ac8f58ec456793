/** Does an object report a failure, and what does it say about it? */
import { isObject } from '../errors.js'
import { meaningOf } from './finish.js'

/** Words in a `type`, `event`, `object` or `status` that mean a failure. */
const FAILED = /(^|[^a-z])(error|failed|failure|fault|exception)$/i

/** The names under which servers put the words of a failure, and its code. */
const WORDS = /^(message|msg|details?|description|err(or)?_?(msg|message|description)|status_?(msg|message))$/i
const CODE = /^(code|ret|__type|status|http_?(code|status)|status_?code|error_?code|err_?(code|no))$/i
/** Fields that may stand beside words that come without a code. */
const BESIDE = /^(request_?id|trace_?id|timestamp|path|instance)$/i
/** Codes and words that mean success. */
const FINE = /^(0|2\d\d\d*|ok|success\w*)$/i

/** Whether the name of an event says that the answer was broken off. */
export function isBroken(event: unknown): boolean {
  return meaningOf(event) === 'broken'
}

export function isFailed(word: unknown): boolean {
  return typeof word === 'string' && FAILED.test(word)
}

/**
 * The failure that an object reports, if any: `{ error: … }`, `{ object: 'error', … }`,
 * `{ type: 'x.failed', message }`. Any other form that servers use (a code with words, words alone, `success: false`)
 * counts only in an object that is not the user's own: one that came among a provider's chunks, or in an upstream's
 * bytes.
 */
export function failureIn(told: object, isOwn: boolean): unknown {
  // Google's OpenAI-compatible API puts them in a list.
  const chunk = !isOwn && Array.isArray(told) && isObject(told[0]) ? told[0] : told
  const {
    err,
    error: said = err,
    errors,
    object,
    type,
    event,
    status,
    message,
    data,
    success,
  } = chunk as Record<string, unknown>
  const error: unknown = Array.isArray(said) && (!isOwn || isAlone(chunk)) ? (said[0] ?? said) : said
  if (object === 'error') return chunk
  const isError = isOwn ? isAlone(chunk) || (isObject(error) && isReport(error)) : true
  if (error && isError) return { ...chunk, ...(isObject(error) ? error : { message: error }) }
  const isTold = [type, event, object].some(isFailed)
  if ((isTold && message) || (!isOwn && (isTold || isFailed(status)))) return isObject(data) ? data : chunk
  if (isOwn) return undefined
  if (Array.isArray(errors) && errors.length > 0) return errors[0]
  if (success === false || isReport(chunk)) return chunk
  // Words without a code are not enough there: they may report on a search or a step.
  return Object.values(chunk).find((inner) => isObject(inner) && hasBadCode(inner) && isReport(inner))
}

/** Whether the object is `{ error: … }` with nothing that does not belong to the failure. */
function isAlone(chunk: object): boolean {
  return Object.keys(chunk).every((key) => /^error(_?type|_?code)?$/i.test(key) || CODE.test(key) || BESIDE.test(key))
}

/** Whether it has words with a code that is not a success, or words alone. */
function isReport(told: object): boolean {
  if (wordsOf(told).every((word) => FINE.test(word))) return false
  return hasBadCode(told) || Object.keys(told).every((key) => WORDS.test(key) || BESIDE.test(key))
}

function wordsOf(told: object): string[] {
  return Object.entries(told).flatMap(([key, value]) => (WORDS.test(key) && typeof value === 'string' ? value : []))
}

function hasBadCode(told: object): boolean {
  return Object.entries(told).some(
    ([key, value]) =>
      CODE.test(key) &&
      !isObject(value) &&
      (key === 'status' ? Number(value) >= 400 : !!value && !FINE.test(String(value))),
  )
}

/** Whether the object reports success, or the end, or only that the server is alive. */
export function isFine(told: object): boolean {
  const words = Object.entries(told).map(([key, value]) =>
    typeof value === 'string' || CODE.test(key) ? String(value) : value ? key : 'no',
  )
  if (Array.isArray(told)) return words.length === 0
  return words.length === 0 || words.some((word) => FINE.test(word) || isIdle(word) || meaningOf(word) === 'stop')
}

/** The whole object, for the developer, when none of its fields has the words. */
function wordsIn(told: unknown): string {
  try {
    return `: ${JSON.stringify(told)}`.slice(0, 1000)
  } catch {
    return ''
  }
}

/**
 * A failure that a provider reports in its stream, as an error for the developer. `status`, even when it is undefined,
 * marks the error as the provider's, as it does in the SDKs' own errors.
 */
export function providerError(told: unknown): Error {
  if (told instanceof Error) return told
  const fields: object = isObject(told) ? told : { message: told }
  const { type } = fields as { type?: unknown }
  const codes = Object.entries(fields).flatMap(([key, value]) => (CODE.test(key) && !isObject(value) ? [value] : []))
  const error = new Error(wordsOf(fields)[0] ?? `The provider reported a failure${wordsIn(told)}`)
  const status = codes.map(Number).find((code) => code >= 400 && code <= 599)
  // Google sends a word beside the number.
  const code = codes.find((code) => typeof code === 'string' && Number.isNaN(Number(code))) ?? codes[0]
  return Object.assign(error, { status, code, type })
}

/**
 * Whether the data only keeps a connection alive. Where words may be the answer (`mayBeText`), a capitalised word does
 * not count, since a sentence may begin so, and neither does `pong`, which may answer a question.
 */
export function isIdle(data: string, mayBeText = false): boolean {
  const [word, pong] = /^\W*(?:ping|(pong)|heart.?beat|keep.?alive|(?:\w+ )?processing|noop)[\W\d]*$/i.exec(data) ?? []
  if (!mayBeText) return word !== undefined || data.trim() === ''
  return word !== undefined && !pong && (word === word.toLowerCase() || word === word.toUpperCase())
}
