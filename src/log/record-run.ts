/** What is `record()`: how does a worker run a source into a log, for readers in any process? */
import { newRunId } from '../event-id.js'
import { checkRelayOptions, type RelayOptions } from '../options.js'
import type { Source, Summary } from '../types.js'
import { discard } from '../upstream.js'
import type { RunLog } from './log.js'

/** Options of {@link record}: those of `relay` that are about the run, and `log` and `owner`, which it needs. */
export interface RecordOptions
  extends Pick<
      RelayOptions,
      'runId' | 'protocol' | 'requireFinish' | 'signal' | 'shutdown' | 'onError' | 'onEnd' | 'waitUntil'
    >,
    Required<Pick<RelayOptions, 'log' | 'owner'>> {
  /** The run is aborted when nobody has read it for this long, in milliseconds. @default Infinity */
  abandonMs?: number | undefined
}

/**
 * Produces a run into a log without a reader of its own: in a worker, for readers that `resume` in any process.
 *
 * @returns how it ended, once its end is stored. `stopped` also for a run that was stopped before it began.
 * @throws {RelayError} `run-exists` if the run has begun already, `log-failure` if the log is out of reach; the
 * source is not called then. `invalid-option` for what `relay` would refuse. What the source throws is in the summary.
 * @example
 * ```ts
 * const { outcome } = await record(({ signal }) => openai.chat.completions.create({ model, messages, stream: true }, { signal }), {
 *   log,
 *   runId,
 *   owner,
 * })
 * ```
 */
export async function record(source: Source, options: RecordOptions): Promise<Summary> {
  try {
    checkRelayOptions('record', options)
  } catch (error) {
    discard(source)
    throw error
  }
  return (options.log as RunLog).record(source, options.runId ?? newRunId(), options)
}
