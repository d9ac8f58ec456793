/** What do tests of streaming code need? Answers read to the end, sources and clients that misbehave, an upstream. */

export { type ClientEnding, type ClientOptions, openClient, type TestClient } from './clients.js'
export { type Collected, type CollectedOutcome, collect, type WholeResponse } from './collect.js'
export {
  type AdapterBehaviour,
  type AdapterHost,
  type AdapterServer,
  type AdapterServing,
  adapterBehaviours,
  type BehaviourOptions,
} from './conformance/adapter.js'
export { type LogBehaviour, logBehaviours } from './conformance/log.js'
export {
  type ProviderName,
  providerError,
  type Replay,
  type ReplayEnding,
  type ReplayRequest,
  type ReplayUpstream,
  replayUpstream,
} from './replay-upstream.js'
export {
  type ChatChunk,
  type FloodingOptions,
  flooding,
  type Probe,
  probe,
  type SourceOptions,
  type StallingOptions,
  stalling,
  type TokensOptions,
  throwing,
  tokens,
  truncated,
} from './sources.js'
export { readTrace, traceNames } from './traces.js'
