/** What may a client see of an error? */
import { isObject, isRelayError, RelayError } from './errors.js'
import type { Failure, Outcome } from './types.js'

/** A failure as a client may see it, and its HTTP status, which is used if nothing was sent yet. */
export interface FailureAnswer extends Failure {
  status: number
  /** The upstream's own `Retry-After`. */
  retryAfter?: string
}

/** By code: the HTTP status, whether asking again may help, and a message that is safe to show. */
const TABLE: Record<string, readonly [number, boolean, string]> = {
  'rate-limit': [429, true, 'Too many requests right now. Please try again in a moment.'],
  overload: [503, true, 'The service is overloaded. Please try again in a moment.'],
  'upstream-timeout': [504, true, 'The answer took too long. Please try again.'],
  'upstream-failure': [502, true, 'The service behind this one could not answer.'],
  internal: [500, false, 'Something went wrong on the server.'],
  truncated: [502, true, 'The answer was cut off before it was complete.'],
  stopped: [409, false, 'The answer was stopped.'],
  shutdown: [503, true, 'The server is going away. Please try again.'],
  expired: [504, false, 'The answer took longer than is allowed.'],
  'run-exists': [409, false, 'There is an answer under this id already.'],
  'run-not-found': [404, false, 'There is no such answer.'],
  'cursor-gone': [410, false, 'The beginning of this answer is kept no longer.'],
  'producer-lost': [502, true, 'The answer was lost on its way. Please try again.'],
  'log-failure': [503, true, 'The answer cannot be continued right now. Please try again.'],
}

/** The failure that a code stands for. A code that is not in the table is a mistake of the server's developer. */
export function failureOf(code: string): FailureAnswer {
  const known = Object.hasOwn(TABLE, code) ? code : 'internal'
  const [status, retryable, message] = TABLE[known] as (typeof TABLE)[string]
  return { code, message, retryable, status }
}

/** The outcome that a code names; `error` for all other codes. */
export function outcomeOf(code: string): Outcome {
  return /^(truncated|stopped|shutdown|expired)$/.test(code) ? (code as Outcome) : 'error'
}

/** The members that are read, of the errors of SDKs, of `fetch` and of http-errors. */
interface ErrorLike {
  name?: unknown
  message?: unknown
  status?: unknown
  statusCode?: unknown
  /** Ollama. */
  status_code?: unknown
  code?: unknown
  type?: unknown
  error?: { type?: unknown; error?: { type?: unknown } }
  cause?: unknown
  /** What each try failed with: in the AI SDK's error after several tries, and in an AggregateError. */
  lastError?: unknown
  errors?: unknown
  expose?: unknown
  retryable?: unknown
  headers?: unknown
  /** The AI SDK. */
  responseHeaders?: unknown
  $metadata?: unknown
  /** Replicate, xsai, axios, got: the response. */
  response?: unknown
  /** Hugging Face. */
  httpResponse?: unknown
}

/**
 * Codes of sockets, DNS, TLS, HTTP, compression and undici: the network between here and the provider. Deno's and
 * workerd's errors have no code, so the last two are their words for a connection that broke.
 */
const NETWORK =
  /^(UND_ERR|E(CONN|NOTFOUND|AI_|PIPE|PROTO|NET|HOST)|HPE_|Z_|ERR_(HTTP2|SSL|TLS|STREAM_PREMATURE_CLOSE)|(CERT|DEPTH|SELF|UNABLE)_|Connection|FailedToOpen)|^(terminated|fetch failed|error reading a body from connection|Network connection lost\.)$/
/**
 * Messages of SDK errors that hold nothing else: a broken stream, the provider's error, the end of the SDK's program.
 */
const WORDS =
  /^(\[GoogleGenerativeAI Error\]: |\[VertexAI\.\w+\]: |Error from server: |Error (received from the server|while iterating over SSE)|\{"detail":)|^(Codex Exec|Claude Code process) (exited|terminated|error)/
/** Errors of the AI SDK for what a provider sent, or did not send. */
const MALFORMED = /^AI_(TypeValidation|InvalidResponseData|EmptyResponseBody|No\w+Generated)Error$/
const TIMEOUT = /time.?d?.?out|deadline/i
/** Messages of SDKs that look for the end of the answer, when it is missing. */
const CUT =
  /missing finish_reason|stream ended before|ended without|did not (receive done|produce a final response)|incomplete json segment/i
const RATE_LIMIT = /rate.?limit|throttl|too.?many.?requests|(insufficient|service).?quota|resource.?exhausted/i
const OVERLOAD = /overload|unavailable/i
/** gRPC clients have a number as the code, and its name at the beginning of the message: `14 UNAVAILABLE: …`. */
const GRPC = /^\d{1,2} ([A-Z]+_?[A-Z_]+): /

/** A status that SDKs and hand-written code give only in the message: `HTTP error! status: 429`. */
const STATUSES = [
  /\b(?:HTTP(?:\/[\d.]+)?|status)(?:[!:=,"( ]|\b(?:error|code|response|status|with|of|was|is)\b)*([45]\d\d)(?!\w| ?(?:m?s|min|[a-z]+s)\b)/i,
  /\bHTTP (?:error|request|response)\b[^.\n]{0,80}?[:(] ?([45]\d\d)(?!\w| ?(?:m?s|min|[a-z]+s)\b)/i,
]

/**
 * What an error becomes for the client. Only an error with `expose: true` keeps its own message: a provider's may hold
 * keys, prompts and names of systems.
 */
export function toFailure(error: unknown): FailureAnswer {
  try {
    return describe(error)
  } catch {
    // Reading the thrown value throws.
    return failureOf('internal')
  }
}

function describe(error: unknown): FailureAnswer {
  const { expose, message, code, retryable } = (error ?? {}) as ErrorLike
  const failure = failureOf(classify(error))
  const status = statusOf(error)
  const retryAfter = retryAfterOf(error)
  if (retryAfter !== undefined) failure.retryAfter = retryAfter
  // A status of 200 belongs to an answer that failed later.
  if (failure.code === 'upstream-failure' && status !== undefined && status >= 400 && status < 500)
    failure.retryable = false
  if (expose !== true) return failure
  if (failure.code === 'internal' || failure.code === 'upstream-failure') failure.code = 'http-status'
  return withShown(failure, { status, code, message, retryable })
}

/** The failure, with the given fields put over it where they are valid. */
export function withShown(
  failure: FailureAnswer,
  { status, code, message, retryable }: { [K in keyof FailureAnswer]?: unknown },
): FailureAnswer {
  return {
    ...failure,
    ...(typeof code === 'string' && code !== '' && { code }),
    ...(typeof message === 'string' && { message }),
    ...(typeof retryable === 'boolean' && { retryable }),
    ...(Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599 && { status }),
  } as FailureAnswer
}

/** Whether an otherwise unknown error comes from the provider: broken JSON, or an SDK's error that is not a bug. */
export function isOfProvider(error: unknown, isSDKs: boolean): boolean {
  try {
    // SDK helpers that run tools wrap what the application's tools have thrown.
    const { name, message, cause } = error as Error & { cause?: { name?: unknown } }
    if ((cause ?? (error as Error)).name === 'SyntaxError') return message.includes('JSON')
    if (MALFORMED.test(name)) return true
    return isSDKs && !cause && !/^(Type|Reference|Range)Error$/.test(name)
  } catch {
    return false
  }
}

/** A code of the table, or the code of a `mistake`. */
function classify(error: unknown, depth = 0): string {
  if (!isObject(error)) return 'internal'
  const { name, message, code, type, error: inner } = error as ErrorLike
  const status = statusOf(error)
  const [, grpc] = GRPC.exec(String(message)) ?? []
  if (mistakes.has(error)) return code as string
  if (isRelayError(error)) {
    if (Object.hasOwn(TABLE, code as string)) return code as string
    if (/^(network|content-type|invalid-json)$/.test(code as string)) return 'upstream-failure'
  }
  if (status === 429) return 'rate-limit'
  if (status === 503 || status === 529) return 'overload'
  if (status === 408 || status === 504) return 'upstream-timeout'
  const words = [
    name,
    code,
    type,
    (error as ErrorLike).status,
    inner?.type,
    inner?.error?.type,
    grpc,
    error.constructor?.name,
  ]
    .filter((word) => typeof word === 'string')
    .join(' ')
  if (RATE_LIMIT.test(words)) return 'rate-limit'
  if (OVERLOAD.test(words)) return 'overload'
  if (TIMEOUT.test(words)) return 'upstream-timeout'
  if (status !== undefined || grpc) return 'upstream-failure'
  const deeper = within(error, depth).map((deep) => classify(deep, depth + 1))
  const told = deeper.find((code) => code !== 'internal')
  if (told) return told
  if (CUT.test(String(message))) return 'truncated'
  if (NETWORK.test(String(code)) || NETWORK.test(String(message)) || WORDS.test(String(message)))
    return 'upstream-failure'
  // OpenRouter's SDK checks its frames below `data`. An error of the user's own schema has other paths.
  if (name === 'ZodError' && (error as { issues?: { path?: unknown[] }[] }).issues?.[0]?.path?.[0] === 'data')
    return 'upstream-failure'
  // An error of a provider's SDK has one of these keys even without a value, if the failure came in the stream. An
  // error of parseSSE has `received`.
  return ['status', 'status_code', '$metadata', 'received', 'envelopeCode'].some((key) => key in error)
    ? 'upstream-failure'
    : 'internal'
}

/** The errors within one: what caused it, or what the last of several tries failed with. */
function within(error: unknown, depth: number): object[] {
  const { cause, lastError, errors } = (error ?? {}) as ErrorLike
  const last: unknown = Array.isArray(errors) ? errors.at(-1) : undefined
  return depth < 4 ? [cause, lastError, last].filter(isObject) : []
}

function statusOf(error: unknown): number | undefined {
  const { status, statusCode, status_code, $metadata, response, httpResponse, code, message } = (error ??
    {}) as ErrorLike
  const inner = (response ?? httpResponse) as { status?: unknown; statusCode?: unknown } | undefined
  const sdk = ($metadata as { httpStatusCode?: unknown } | undefined)?.httpStatusCode
  const value = status ?? statusCode ?? status_code ?? sdk ?? inner?.status ?? inner?.statusCode
  if (typeof value === 'number') return value
  // Google's errors have a word as the status and the number as the code; others have only the code.
  const number = Number(code)
  if (number >= 400 && number <= 599) return number
  const words = typeof message === 'string' ? message.slice(0, 500) : ''
  const said = STATUSES.map((pattern) => pattern.exec(words)?.[1]).find((found) => found !== undefined)
  return said === undefined || mistakes.has(error as object) || isRelayError(error) ? undefined : Number(said)
}

/** The upstream's `Retry-After`. Only a number of seconds or a date is passed on. */
function retryAfterOf(error: unknown, depth = 0): string | undefined {
  const { headers: own, responseHeaders, response, httpResponse } = (error ?? {}) as ErrorLike
  const inner = (response ?? httpResponse) as { headers?: unknown } | undefined
  const headers = (own ?? responseHeaders ?? inner?.headers) as
    | { get?(name: string): unknown; 'retry-after'?: unknown }
    | undefined
  const value = typeof headers?.get === 'function' ? headers.get('retry-after') : headers?.['retry-after']
  const text = isObject(value) ? '' : String(value)
  if (/^(\d{1,9}|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} GMT)$/.test(text)) return text
  const deeper = within(error, depth).map((deep) => retryAfterOf(deep, depth + 1))
  return deeper.find((told) => told !== undefined)
}

/**
 * The errors made by this library, whose codes may be shown. A `RelayError` thrown by a source may be what `parseSSE`
 * made of an upstream's words.
 */
const mistakes = new WeakSet<object>()

/** A mistake of the server's developer: the client learns the code, the developer the message. */
export function mistake(code: string, message: string, cause?: unknown): RelayError {
  return asMistake(new RelayError(code, message, { cause, status: 500 }))
}

/** Marks an error as one made here. */
export function asMistake<E extends object>(error: E): E {
  mistakes.add(error)
  return error
}

/** Like `mistake`, where the language's own error is a `TypeError`. */
export function typeMistake(code: string, message: string): TypeError {
  return asMistake(Object.assign(new TypeError(message), { code }))
}
