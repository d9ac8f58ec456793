/** How is a judgement reported, as text for people or as JSON for programs? */
import { duration, type Paint, printable } from '../terminal.js'
import type { Judgement } from './judge.js'
import type { Observation } from './observe.js'

const ROWS = 12
const COLUMNS = 40
const MAX_PLACES = 10

export function toText(observation: Observation, { findings, notes, unsure }: Judgement, paint: Paint): string {
  const { request, status, headers, httpVersion, connectMs, headMs, events, comments, endMs, ending } = observation
  const faults = findings.filter(({ severity }) => severity === 'fault').length
  const lines = [
    `${paint.bold(`${request.method} ${request.url}`)}`,
    `HTTP/${httpVersion} ${status}  ${printable(headers['content-type'] ?? 'no content-type')}`,
    `connected in ${duration(connectMs)}, head after ${duration(headMs)}, ${count(events.length, 'event')} and ${count(comments.length, 'comment')} in ${duration(endMs)}${ending === 'complete' ? '' : `, ${ending}`}`,
    '',
    ...chart(observation, paint),
  ]
  for (const { code, severity, what, why, fix, places = [] } of findings) {
    const colour = severity === 'fault' ? paint.red : paint.yellow
    lines.push(`${colour(severity)} ${paint.bold(code)}: ${printable(what)}`)
    if (places.length > 1) {
      for (const { line, byte, what } of places.slice(0, MAX_PLACES))
        lines.push(`    line ${line}, byte ${byte}: ${printable(what)}`)
      if (places.length > MAX_PLACES) lines.push(`    … and ${places.length - MAX_PLACES} more`)
    }
    lines.push(`  why   ${why}`, `  fix   ${fix}`, '')
  }
  for (const note of notes) lines.push(`${paint.dim('note')} ${note}`)
  if (notes.length > 0) lines.push('')
  const verdict = findings.length > 0 ? `${count(faults, 'fault')}, ${count(findings.length - faults, 'warning')}.` : ''
  if (unsure === 'buffering') {
    lines.push(`${verdict} Whether something buffers could not be told.`.trim())
  } else if (verdict) lines.push(verdict)
  else if (unsure) lines.push('Nothing was found in what could be looked at.')
  else lines.push(paint.green('Nothing is wrong with this stream.'))
  return `${lines.join('\n')}\n`
}

export function toJSON(observation: Observation, judgement: Judgement): string {
  const { request, httpVersion, status, headers, connectMs, headMs, endMs, ending, arrivals, events, comments } =
    observation
  const rounded = (ms: number) => Math.round(ms * 10) / 10
  return `${JSON.stringify(
    {
      // The request itself is left out: it may contain keys.
      url: request.url,
      method: request.method,
      good: judgement.findings.every(({ severity }) => severity !== 'fault'),
      findings: judgement.findings,
      notes: judgement.notes,
      ...(judgement.unsure && { unsure: judgement.unsure }),
      httpVersion,
      status,
      headers,
      connectMs: rounded(connectMs),
      headMs: rounded(headMs),
      endMs: rounded(endMs),
      ending,
      events: events.length,
      comments: comments.length,
      arrivals: arrivals.map((arrival) => ({ ...arrival, atMs: rounded(arrival.atMs) })),
    },
    undefined,
    2,
  )}\n`
}

/** Shows when the bytes came: a row for each span of time, with a bar for its bytes. A refusal has no chart. */
function chart({ arrivals, endMs, status }: Observation, paint: Paint): string[] {
  if (arrivals.length === 0 || status >= 300) return []
  const span = niceSpan(Math.max(endMs, 1) / ROWS)
  const rows = Array.from({ length: Math.floor(endMs / span) + 1 }, () => ({ bytes: 0, events: 0 }))
  for (const { atMs, bytes, events } of arrivals) {
    const row = rows[Math.floor(Math.min(atMs, endMs) / span)] as { bytes: number; events: number }
    row.bytes += bytes
    row.events += events
  }
  const most = Math.max(...rows.map(({ bytes }) => bytes))
  const lines = rows.map(({ bytes, events }, index) => {
    const bar = '█'.repeat(bytes === 0 ? 0 : Math.max(1, Math.round((bytes / most) * COLUMNS)))
    const said = bytes === 0 ? '' : `${paint.cyan(bar)} ${paint.dim(`${bytes} B, ${count(events, 'event')}`)}`
    return `${duration(index * span).padStart(8)} │${said}`
  })
  return ['when the bytes came', ...lines, '']
}

/** The span rounded up to 1, 2 or 5 times a power of ten, in milliseconds. */
function niceSpan(ms: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(ms, 1)))
  return power * ([1, 2, 5, 10].find((step) => step * power >= ms) as number)
}

const count = (number: number, thing: string) => `${number} ${thing}${number === 1 ? '' : 's'}`
