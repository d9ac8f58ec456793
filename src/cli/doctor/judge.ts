/** What is wrong with an observation? Pure: the same bytes at the same times get the same judgement. */

import { duration } from '../terminal.js'
import { isEventStream, type Observation } from './observe.js'
import { endingOf, findLumps, isBuffered, longestSilence, RULES, type Rule, type Severity } from './rules.js'
import type { Flaw } from './strict-lines.js'

export interface Finding {
  code: string
  severity: Severity
  what: string
  why: string
  fix: string
  places?: Flaw[]
}

export interface Judgement {
  /** Faults first, each kind in the order of the rules. */
  findings: Finding[]
  /** Facts worth knowing that are no finding. */
  notes: string[]
  /**
   * `buffering`: it is unknown whether something holds the tokens back, which is the first question; `rest`: something
   * else could not be checked, and a note names it.
   */
  unsure?: 'buffering' | 'rest'
}

export function judge(observation: Observation): Judgement {
  const applies = ({ of }: Rule) => of === 'answer' || isEventStream(observation)
  const findings = RULES.filter(applies).flatMap((rule) => {
    const { code, severity, why, fix } = rule
    const what = rule.find(observation)
    const places = rule.places?.(observation)
    return what ? [{ code, severity, what, why, fix, ...(places && { places }) }] : []
  })
  const isFault = ({ severity }: Finding) => severity === 'fault'
  const doubts = isEventStream(observation) ? doubtsOn(observation) : []
  const [first] = doubts
  return {
    findings: [...findings.filter(isFault), ...findings.filter((finding) => !isFault(finding))],
    notes: [
      ...doubts.map(({ note }) => note),
      ...(isEventStream(observation) ? notesOn(observation) : []),
      ...notesOnCors(observation, findings),
    ],
    ...(first && { unsure: first.about }),
  }
}

/** What could not be checked, so that nobody takes it for good. The most important comes first. */
function doubtsOn(observation: Observation): { about: NonNullable<Judgement['unsure']>; note: string }[] {
  const { ending, endMs, limit, head, request } = observation
  const doubts: ReturnType<typeof doubtsOn> = []
  if (!isBuffered(observation) && !streamsVisibly(observation)) {
    doubts.push({ about: 'buffering', note: whyNotTold(observation) })
  }
  if (ending === 'open' && endingOf(observation) === undefined) {
    const after = limit ?? duration(endMs)
    doubts.push({
      about: 'rest',
      note: `Left after ${after}, with the stream still open: its ending was not judged.`,
    })
  }
  if (request.method === 'GET' && head?.answer && head.busy === undefined) {
    doubts.push({
      about: 'rest',
      note: 'Whether HEAD starts a run could not be told: HTTP/2, a closed connection, or an answer that short.',
    })
  }
  return doubts
}

/** A quick answer and one that was held back look the same to this command. */
function whyNotTold({ arrivals, events }: Observation): string {
  const [lump] = findLumps({ arrivals, events }).lumps
  const ask = 'ask for a longer answer'
  if (lump) {
    return `${lump.events} of ${events.length} events came at once, after ${duration(lump.silenceMs)} of nothing: the answer was that quick, or something held it back; ${ask}.`
  }
  return `Too short to tell whether something buffers (${events.length} events): ${ask}.`
}

function notesOn(observation: Observation): string[] {
  const { comments, ending, headers } = observation
  const notes: string[] = []
  const { ms } = longestSilence(observation)
  let gap = 0
  for (let index = 1; index < comments.length; index++) {
    gap = Math.max(gap, (comments[index] as number) - (comments[index - 1] as number))
  }
  if (comments.length > 1) notes.push(`Heartbeats came ${duration(gap)} apart, or less.`)
  else if (comments.length === 0 && ms < 8000 && !isBuffered(observation)) {
    notes.push(`No heartbeat was due: the longest silence was ${duration(ms)}.`)
  }
  if (ending === 'cut' && endingOf(observation)) notes.push('The connection was closed without an end of HTTP’s own.')
  if (headers['x-accel-buffering'] === undefined) {
    const seen = streamsVisibly(observation)
      ? 'The pieces came as they were made, so there is nothing to fix on this way'
      : 'Ask the server itself to see whether it sends it'
    notes.push(
      `No x-accel-buffering: no. ${seen}. An nginx needs the header of the server behind it to pass tokens on as they come, and takes it away where it obeyed.`,
    )
  }
  return notes
}

/** A note that CORS was checked, if nothing was found. */
function notesOnCors({ cors }: Observation, findings: readonly Finding[]): string[] {
  if (!cors || findings.some(({ code }) => code === 'cors-preflight' || code === 'cors-origin')) return []
  if (findings.some(({ code }) => code === 'cors-resume')) return []
  const rest = cors.resume ? ', also to read on,' : ''
  return [`A page of ${cors.origin} may send this request${rest} and read its answer.`]
}

/** Whether events came at clearly different moments. */
function streamsVisibly({ arrivals, events }: Observation): boolean {
  const times = arrivals.filter(({ events }) => events > 0).map(({ atMs }) => atMs)
  const spread = (times.at(-1) ?? 0) - (times[0] ?? 0)
  return findLumps({ arrivals, events }).lumps.length === 0 && times.length >= 3 && spread >= 200
}
