// How the tests of doctor have it look at a server, and the relay's answer that it is shown.
import { setTimeout as wait } from 'node:timers/promises'
import { judge } from '../../../src/cli/doctor/judge.js'
import { type Observation, type ObserveOptions, observe } from '../../../src/cli/doctor/observe.js'
import { eventsIn, type Script, schedule } from './broken.js'

export const POST = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }

export interface Ask {
  method?: string
  body?: string
  headers?: Record<string, string>
}

/**
 * Of a server that plays `onTime`, all is judged as if it had come when the script says: a machine that is busy makes
 * lumps where there are none, and none where there are.
 */
export async function look(url: string, ask: Ask = {}, options: Partial<ObserveOptions> = {}, onTime?: Script) {
  const { method = 'GET', headers = {}, ...body } = ask
  const request = { url: new URL(url), method, headers: { accept: 'text/event-stream', ...headers }, ...body }
  const observed = await observe(request, { maxMs: 45_000, ...options })
  const observation = onTime ? asWritten(observed, onTime) : observed
  const { findings, notes, unsure } = judge(observation)
  return { observation, findings, notes, unsure, codes: findings.map(({ code }) => code).sort() }
}

function asWritten(observation: Observation, script: Script): Observation {
  const written = schedule(script)
  const times = written.flatMap(({ atMs, frame }) => Array.from({ length: eventsIn(frame) }, () => atMs))
  return {
    ...observation,
    headMs: 0,
    endMs: written.at(-1)?.atMs ?? 0,
    arrivals: written.map(({ atMs, frame }) => ({ atMs, bytes: frame.length, events: eventsIn(frame), comments: 0 })),
    events: observation.events.map((event, index) => ({ ...event, atMs: times[index] ?? Number.NaN })),
  }
}

export async function* tokens({ signal }: { signal: AbortSignal }, count = 30, pauseMs = 120) {
  for (let index = 0; index < count; index++) {
    yield `piece ${index} `
    await wait(pauseMs, undefined, { signal })
  }
}
