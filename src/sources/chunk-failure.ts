/** Does an object say that something failed, and what does it say of it? */
import { isObject } from '../errors.js'
import { meaningOf } from './finish.js'

/** Words in a `type`, `event`, `object` or `status` that say that something failed. */
const FAILED = /(^|[^a-z])(error|failed|failure)$/i

/** Under which names servers have the words of a failure, and its code. */
const WORDS = /^(message|msg|details?|description|err(or)?_?(msg|message|description)|status_?(msg|message))$/i
const CODE = /^(code|ret|__type|status|http_?(code|status)|status_?code|error_?code|err_?(code|no))$/i
/** What may stand beside the words alone. */
const BESIDE = /^(request_?id|trace_?id|timestamp|path|instance)$/i
/** Codes and words that say that all is well. */
const FINE = /^(0|2\d\d\d*|ok|success\w*)$/i

export function isFailed(word: unknown): boolean {
  return typeof word === 'string' && FAILED.test(word)
}

/**
 * What an object tells of a failure, if it does: `{ error: … }`, `{ object: 'error', … }`, `{ type: 'x.failed', message }`.
 * One that is no object of the user's own (it came amid a provider's chunks, or in an upstream's bytes) does so, too, by
 * whatever else servers have for it: a code with words, words alone, `success: false`.
 */
export function failureIn(told: object, isOwn: boolean): unknown {
  // Google's, behind OpenAI's API, are in a list.
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
  // Words alone may be news there: of a search, of a step.
  return Object.values(chunk).find((inner) => isObject(inner) && hasBadCode(inner) && isReport(inner))
}

/** `{ error: … }`, and nothing that is not of it. */
function isAlone(chunk: object): boolean {
  return Object.keys(chunk).every((key) => /^error(_?type|_?code)?$/i.test(key) || CODE.test(key) || BESIDE.test(key))
}

/** Words with a code that is no good one, or words alone. */
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

/** Whether it says that all is well, or that it is the end, or no more than that the server lives. */
export function isFine(told: object): boolean {
  const words = Object.entries(told).map(([key, value]) =>
    typeof value === 'string' || CODE.test(key) ? String(value) : value ? key : 'no',
  )
  return words.length === 0 || words.some((word) => FINE.test(word) || isIdle(word) || meaningOf(word) === 'stop')
}

/** For the developer, where no field of it has the words: all of it. */
function wordsIn(told: unknown): string {
  try {
    return `: ${JSON.stringify(told)}`.slice(0, 1000)
  } catch {
    return ''
  }
}

/**
 * A failure that a provider tells in its stream, as an error for the developer. `status`, even if undefined,
 * marks it as the provider's, as the SDKs' own errors do.
 */
export function providerError(told: unknown): Error {
  if (told instanceof Error) return told
  const fields: object = isObject(told) ? told : { message: told }
  const { type } = fields as { type?: unknown }
  const codes = Object.entries(fields).flatMap(([key, value]) => (CODE.test(key) && !isObject(value) ? [value] : []))
  const error = new Error(wordsOf(fields)[0] ?? `The provider reported a failure${wordsIn(told)}`)
  const status = codes.map(Number).find((code) => code >= 400 && code <= 599)
  // Google's have a word beside the number.
  const code = codes.find((code) => typeof code === 'string' && Number.isNaN(Number(code))) ?? codes[0]
  return Object.assign(error, { status, code, type })
}

/**
 * What keeps a connection alive, and says nothing. Where words may be the answer none is as a sentence begins, nor what
 * answers a ping.
 */
export function isIdle(data: string, mayBeText = false): boolean {
  const [word, pong] = /^\W*(?:ping|(pong)|heart.?beat|keep.?alive|(?:\w+ )?processing|noop)[\W\d]*$/i.exec(data) ?? []
  if (!mayBeText) return word !== undefined || data.trim() === ''
  return word !== undefined && !pong && (word === word.toLowerCase() || word === word.toUpperCase())
}
