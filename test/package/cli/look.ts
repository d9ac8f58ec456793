// How the tests of doctor have it look at a server, and the relay's answer that it is shown.
import { setTimeout as wait } from 'node:timers/promises'
import { judge } from '../../../src/cli/doctor/judge.js'
import { type ObserveOptions, observe } from '../../../src/cli/doctor/observe.js'

export const POST = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }

export interface Ask {
  method?: string
  body?: string
  headers?: Record<string, string>
}

export async function look(url: string, ask: Ask = {}, options: Partial<ObserveOptions> = {}) {
  const { method = 'GET', headers = {}, ...body } = ask
  const request = { url: new URL(url), method, headers: { accept: 'text/event-stream', ...headers }, ...body }
  const observation = await observe(request, { maxMs: 45_000, ...options })
  const { findings, notes, unsure } = judge(observation)
  return { observation, findings, notes, unsure, codes: findings.map(({ code }) => code).sort() }
}

export async function* tokens({ signal }: { signal: AbortSignal }, count = 30, pauseMs = 120) {
  for (let index = 0; index < count; index++) {
    yield `piece ${index} `
    await wait(pauseMs, undefined, { signal })
  }
}
