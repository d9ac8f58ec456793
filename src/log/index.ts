/** What is in `sse-relay/log`? Runs that outlive a connection: the log, and how a worker records into it. */
export type { Log, RunStatus } from '../options.js'
export { createLog } from './log.js'
export { createMemoryLog, type MemoryLogOptions } from './memory.js'
export { type RecordOptions, record } from './record-run.js'
export type {
  Channel,
  LogEnd,
  LogEntry,
  LogStore,
  MaybePromise,
  ProducerNews,
  RunStart,
  SharedStore,
  StoredRun,
} from './store.js'
