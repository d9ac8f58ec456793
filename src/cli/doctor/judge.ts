/** An observation → what is wrong with it. Pure: the same bytes at the same times are judged the same. */

import { duration } from '../terminal.js'
import type { Flaw } from './lines.js'
import { isEventStream, type Observation } from './observe.js'
import { endingOf, findLumps, isBuffered, longestSilence, RULES, type Rule, type Severity } from './rules.js'

export interface Finding {
  code: string
  severity: Severity
  what: string
  why: string
  mend: string
  places?: Flaw[]
}

export interface Judgement {
  /** Faults first, each kind in the order of the rules. */
  findings: Finding[]
  /** What is worth knowing and wrong with nothing. */
  notes: string[]
}

export function judge(observation: Observation): Judgement {
  const applies = ({ of }: Rule) => of === 'answer' || isEventStream(observation)
  const findings = RULES.filter(applies).flatMap((rule) => {
    const { code, severity, why, mend } = rule
    const what = rule.find(observation)
    const places = rule.places?.(observation)
    return what ? [{ code, severity, what, why, mend, ...(places && { places }) }] : []
  })
  const isFault = ({ severity }: Finding) => severity === 'fault'
  return {
    findings: [...findings.filter(isFault), ...findings.filter((finding) => !isFault(finding))],
    notes: [...(isEventStream(observation) ? notesOn(observation) : []), ...notesOnCors(observation, findings)],
  }
}

function notesOn(observation: Observation): string[] {
  const { arrivals, events, comments, ending, endMs, head, request } = observation
  const notes: string[] = []
  const { ms } = longestSilence(observation)
  if (!isBuffered(observation) && arrivals.length > 0 && !streamsVisibly(observation)) {
    notes.push(`Too short to tell whether something buffers (${events.length} events): ask for a longer answer.`)
  }
  const gaps = comments.slice(1).map((atMs, index) => atMs - (comments[index] as number))
  if (gaps.length > 0) notes.push(`Heartbeats came ${duration(Math.max(...gaps))} apart, or less.`)
  else if (comments.length === 0 && ms < 8000) {
    notes.push(`No heartbeat was due: the longest silence was ${duration(ms)}.`)
  }
  if (ending === 'open' && endingOf(observation) === undefined) {
    notes.push(`Left after ${duration(endMs)}, with the stream still open: its ending was not judged.`)
  }
  if (ending === 'cut' && endingOf(observation)) notes.push('The connection was closed without an end of HTTP’s own.')
  if (request.method === 'GET' && head?.answer && head.busy === undefined) {
    notes.push('Whether HEAD starts a run could not be told: HTTP/2, a closed connection, or an answer that short.')
  }
  return notes
}

/** That it was asked, where there is nothing to find. */
function notesOnCors({ cors }: Observation, findings: readonly Finding[]): string[] {
  if (!cors || findings.some(({ code }) => code.startsWith('cors-'))) return []
  return [`A page of ${cors.origin} may send this request and read its answer.`]
}

/** Whether events came at moments that are clearly apart. */
function streamsVisibly({ arrivals, events }: Observation): boolean {
  const times = arrivals.filter(({ events }) => events > 0).map(({ atMs }) => atMs)
  const spread = (times.at(-1) ?? 0) - (times[0] ?? 0)
  return findLumps({ arrivals, events }).lumps.length === 0 && times.length >= 3 && spread >= 200
}
