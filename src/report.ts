/** Who hears of an error or an ending: the application's hooks, or the console? failure.ts has what a client sees. */
import type { Scope } from './async-context.js'
import { findMeant, flag, type Rules, unknownIn, words, wrongIn } from './check.js'
import { isObject, isRelayError } from './errors.js'
import { type FailureAnswer, toFailure, withShown } from './failure.js'
import type { Connection, ErrorContext, RelayOptions, ShownFailure } from './options.js'
import { isThenable } from './promises.js'
import type { Summary } from './types.js'

type Hooks = Pick<RelayOptions, 'onError' | 'onEnd' | 'onClose'>

/** What `onError` may return. */
const SHOWN: Rules<keyof ShownFailure> = {
  status: [
    (value: unknown) => Number.isInteger(value) && (value as number) >= 400 && (value as number) <= 599,
    'give a status from 400 to 599',
  ],
  code: words,
  message: words,
  retryable: flag,
}

/** What the client is shown of an error, or what `onError` threw instead. */
export interface Reported {
  failure: FailureAnswer
  thrown?: { error: unknown } | undefined
}

/** Reports an error that ends something for a client. Hooks run in the context of their request. */
export function reportFailure(
  options: Hooks,
  error: unknown,
  runId: string,
  sent: boolean,
  scope: Scope,
  failure = toFailure(error),
): Reported {
  const { code, message, retryable, status } = failure
  try {
    const context = { runId, failure: { code, message, retryable, status }, sent }
    return { failure: withShown(failure, callOnError(options, error, context, scope) ?? {}) }
  } catch (unhandled) {
    if (!sent) return { failure, thrown: { error: unhandled } }
    printError(unhandled)
    return { failure }
  }
}

/** Reports an error that no client will see. */
export function reportUnseen(options: Hooks, error: unknown, runId: string, scope: Scope): void {
  try {
    callOnError(options, error, { runId, sent: true }, scope)
  } catch (unhandled) {
    printError(unhandled)
  }
}

/** Tells `onEnd` how a run ended. The wire does not wait for it, and what it throws is reported. */
export function reportEnd(options: Hooks, summary: Summary, scope: Scope): Promise<void> {
  return tell(options, 'onEnd', summary, scope)
}

/** Tells `onClose` that a connection is over. */
export function reportClose(options: Hooks, connection: Connection, scope: Scope): Promise<void> {
  return tell(options, 'onClose', connection, scope)
}

async function tell<T extends { runId: string }>(
  options: Hooks,
  name: 'onEnd' | 'onClose',
  what: T,
  scope: Scope,
): Promise<void> {
  try {
    const hook = options[name] as ((what: T) => unknown) | undefined
    if (typeof hook === 'function') await scope.runInAsyncScope(() => hook.call(options, what))
  } catch (error) {
    reportUnseen(options, error, what.runId, scope)
  }
}

/** Prints whatever was thrown to the console. Some values throw again when they are printed. */
export function printError(error: unknown): void {
  try {
    console.error(error)
  } catch {
    console.error('sse-relay: something was thrown that cannot be shown')
  }
}

const warned = new Set<string>()

/** Warns on the console, once a process for each `key`. */
export function warnOnce(key: string, message: string): void {
  if (warned.has(key)) return
  warned.add(key)
  console.warn(`sse-relay: ${message}`)
}

function callOnError(options: Hooks, error: unknown, context: ErrorContext, scope: Scope): ShownFailure | undefined {
  const { onError } = options
  if (typeof onError !== 'function') {
    printError(error)
    return
  }
  const shown = scope.runInAsyncScope(() => onError.call(options, error, context)) as ShownFailure | undefined
  // The result of an async onError comes too late to be shown. Its rejection must not end the process.
  if (isThenable(shown)) shown.then(warnOfLate, printError)
  else if (
    shown instanceof Error &&
    (shown as { expose?: unknown }).expose !== true &&
    (shown === error || !isRelayError(shown))
  ) {
    // Its message may be the provider's.
    warnOnce('error', 'onError returned an error, and nobody was shown it: return { message }, in words of your own')
    return
  } else if (typeof shown === 'string') {
    warnOnce('shown', 'onError returned a text, and nobody was shown it: return { message }')
  } else if (isObject(shown) && Object.getPrototypeOf(shown) === Object.prototype) {
    const mistake = unknownIn('What onError returns', shown, SHOWN, findMeant) ?? wrongIn(shown, SHOWN)
    if (mistake) warnOnce(mistake, `${mistake}. Nobody was shown it`)
  }
  return shown
}

/** Warns of a result that came too late and was meant to be shown. What a logger returns was not. */
function warnOfLate(shown: unknown): void {
  if (isObject(shown) && ['status', 'code', 'message'].some((name) => name in shown))
    warnOnce(
      'late',
      'what an async onError returned came too late to be shown: return { message } from one that is not',
    )
}
