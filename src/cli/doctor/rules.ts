/** What can be wrong with a stream? One rule for each fault, with its reason and its remedy. */
import { isComplete, isFailed } from '../../client/final-events.js'
import { asLine, duration } from '../terminal.js'
import { exceeded, FIRST_BYTE_LIMIT, LIMITS, type Limit } from './idle-timeouts.js'
import {
  type CorsObservation,
  isEventStream,
  isKept,
  type Observation,
  type Preflight,
  SAFE_METHODS,
  type SeenEvent,
} from './observe.js'
import type { Flaw } from './strict-lines.js'

/** `fault`: a reader gets something wrong, late or not at all. `warning`: it works here, but will not everywhere. */
export type Severity = 'fault' | 'warning'

export interface Rule {
  code: string
  severity: Severity
  /** What the rule applies to: every answer, or only an event stream. */
  of: 'answer' | 'stream'
  /** What is wrong, with its values; undefined if nothing is. */
  find(observation: Observation): string | undefined
  /** The places of the fault, if it has any. */
  places?(observation: Observation): Flaw[]
  why: string
  fix: string
}

/** If the head waits for the first event, a heartbeat should have sent it before this: the relay's is due after 8 s. */
const LATE_HEAD_MS = 10_000
/** These tell a burst from a quick answer. */
const MIN_EVENTS = 10
const MIN_SILENCE_MS = 1000
const MIN_LUMP_SILENCE_MS = 500
const QUIET_MS = 100
const MS_PER_EVENT = 5
const EVENTS_PER_ARRIVAL = 4
/**
 * Small lumps at an even pace, which a page shows as jerks: at least this many, this far apart, and this near to their
 * median. What comes within `AT_ONCE_MS` is one lump.
 */
const MIN_BEATS = 5
const MIN_BEAT_MS = 150
const AT_ONCE_MS = 25
const EVEN = 0.3

export const RULES: readonly Rule[] = [
  {
    code: 'http-status',
    severity: 'fault',
    of: 'answer',
    find({ status, headers, refusal }) {
      if (status >= 300 && status < 400 && headers.location) return `${status}, to ${headers.location}`
      if (status >= 200 && status < 300 && status !== 204 && status !== 205) return
      const said = asLine(refusal)
      return `status ${status}${said ? `: ${said}` : ''}`
    },
    why: 'There is no stream to look at: the server refused, moved, or has nothing to say.',
    fix: 'Give the request what it needs: -X POST, -d with the body, -H with the authorization. For a redirect, ask the address it names; for a 5xx, read the log of the server; for a 429, wait.',
  },
  {
    code: 'content-type',
    severity: 'fault',
    of: 'answer',
    find(observation) {
      const { status, headers } = observation
      if (status !== 200 || isEventStream(observation) || isEmpty(observation)) return
      return `content-type is ${headers['content-type'] ?? 'missing'}`
    },
    why: 'EventSource refuses anything but text/event-stream, other clients read it as what it says, and proxies buffer it as a page.',
    fix: 'Answer with content-type: text/event-stream; charset=utf-8. If this is a page of HTML, the address or the proxy’s route is wrong.',
  },
  {
    code: 'empty',
    severity: 'fault',
    of: 'answer',
    find: (observation) =>
      isEmpty(observation)
        ? `status 200, no body, and content-type is ${observation.headers['content-type'] ?? 'missing'}`
        : undefined,
    why: 'Nothing was said. On hosts that answer as soon as a handler is over, Fastify for one, this is a handler that did not wait for its stream.',
    fix: 'Return what relay returns from the handler, or await it. The console of the server names it.',
  },
  {
    code: 'charset',
    severity: 'warning',
    of: 'stream',
    find({ headers }) {
      const [, charset] = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(headers['content-type'] ?? '') ?? []
      return charset && !/^utf-?8$/i.test(charset) ? `charset is ${charset}` : undefined
    },
    why: 'An event stream is UTF-8 whatever its header says; what is written in another encoding arrives garbled.',
    fix: 'Write UTF-8, and say charset=utf-8 or nothing.',
  },
  {
    code: 'no-transform',
    severity: 'warning',
    of: 'stream',
    find: ({ headers }) =>
      /(^|[\s,])no-transform([\s,]|$)/i.test(headers['cache-control'] ?? '')
        ? undefined
        : `cache-control is ${headers['cache-control'] ?? 'missing'}`,
    why: 'Compression middleware and some proxies compress event streams, and hold the tokens back to do it, unless told not to.',
    fix: 'Send cache-control: no-store, no-transform.',
  },
  {
    code: 'cacheable',
    severity: 'warning',
    of: 'stream',
    find: ({ request, headers }) =>
      request.method !== 'GET' || /no-store|no-cache/i.test(headers['cache-control'] ?? '')
        ? undefined
        : `cache-control is ${headers['cache-control'] ?? 'missing'}`,
    why: 'A cache may answer the next reader with this one’s stream, all at once.',
    fix: 'Send cache-control: no-store, no-transform.',
  },
  {
    code: 'compressed',
    severity: 'warning',
    of: 'stream',
    find: ({ headers }) =>
      // `none` is not a coding; it keeps compression off.
      /^\s*((identity|none)\s*)?$/i.test(headers['content-encoding'] ?? '')
        ? undefined
        : `content-encoding is ${headers['content-encoding']}`,
    why: 'Whatever compresses must flush after every event, or the tokens wait for its buffer to fill.',
    fix: 'Leave event streams out of the compression (cache-control: no-transform does it for compression and most proxies), or flush after every write.',
  },
  {
    code: 'content-length',
    severity: 'fault',
    of: 'stream',
    find: ({ headers }) => headers['content-length'] && `content-length is ${headers['content-length']}`,
    why: 'Its length is known only when the whole answer is: it was gathered before it was sent, here or in a proxy.',
    fix: 'Send no content-length, and look for what gathers the answer: a framework’s send(body), a serverless adapter, a proxy.',
  },
  {
    code: 'held-headers',
    severity: 'fault',
    of: 'stream',
    find(observation) {
      const { headMs } = observation
      if (headMs < LATE_HEAD_MS || isBuffered(observation)) return
      const cut = exceeded(headMs, [...LIMITS, FIRST_BYTE_LIMIT])
      return `the head came after ${duration(headMs)} without a byte${list(cut)}`
    },
    why: 'While the model thinks, nothing is sent, not even the headers: clients and proxies take the server for dead.',
    fix: 'Flush the headers, and send a heartbeat comment (": " and a line break) every eight seconds from the beginning.',
  },
  {
    code: 'buffered',
    severity: 'fault',
    of: 'stream',
    find(observation) {
      const { lumps, events } = findLumps(observation)
      const [first] = lumps
      if (!first || !isBuffered(observation)) return
      if (lumps.length > 1) return `${events} events came in ${lumps.length} lumps, with nothing in between`
      return `${first.events} events came within ${duration(first.toMs - first.fromMs)}, after ${duration(first.silenceMs)} of nothing`
    },
    why: 'Something on the way gathers the answer and hands it over in one piece: a proxy, compression, or the server itself.',
    fix: 'Ask the server directly, then through each proxy, to see which one it is. nginx: set proxy_buffering off in the one that shows it; the header x-accel-buffering is no help behind proxy_ignore_headers or a second nginx. Compression: cache-control: no-transform. A server of your own: write each event as it comes, and flush.',
  },
  {
    code: 'lumps',
    severity: 'warning',
    of: 'stream',
    find(observation) {
      const beat = isBuffered(observation) ? undefined : findBeat(observation)
      if (!beat) return
      return `events came ${beat.events} at a time, every ${duration(beat.ms)}, with nothing in between`
    },
    why: 'A model writes its tokens one by one. Something gathers them for a moment, and the page shows the text in jerks.',
    fix: 'Ask the server directly: if it shows the same, it is the provider, or a loop of your own that waits. HAProxy: option http-no-delay. Compression and other middleware: leave this route out, or flush after each event.',
  },
  {
    code: 'silence',
    severity: 'warning',
    of: 'stream',
    find(observation) {
      if (isBuffered(observation)) return
      const { fromMs, ms } = longestSilence(observation)
      const cut = exceeded(ms)
      if (cut.length === 0) return
      return `nothing came for ${duration(ms)}, from ${duration(fromMs)} on${list(cut)}`
    },
    why: 'Servers and proxies cut a connection that is silent for too long, in the middle of the answer.',
    fix: 'Send a comment (": " and a line break) after eight seconds of silence: shorter than all of these limits.',
  },
  {
    code: 'malformed',
    severity: 'fault',
    of: 'stream',
    find(observation) {
      const flaws = flawsOf(observation)
      return flaws[0] && `line ${flaws[0].line}, byte ${flaws[0].byte}: ${flaws[0].what}${more(flaws.length - 1)}`
    },
    places: (observation) => flawsOf(observation),
    why: 'Clients pass over in silence what they do not understand, so a piece of the answer is missing without an error.',
    fix: 'Write events with encodeEvent, or: each line of the data as a data line of its own, data as JSON, a blank line after every event.',
  },
  {
    code: 'truncated',
    severity: 'fault',
    of: 'stream',
    find: (observation) =>
      observation.ending === 'cut' && endingOf(observation) === undefined
        ? `${observation.error}, after ${duration(observation.endMs)} and ${observation.events.length} events`
        : undefined,
    why: 'The connection broke before the answer was over: a crash, a deployment, or a time limit on the way.',
    fix: 'Compare the time with the limits of your platform. For a limit on the whole request set maxDurationMs below it; for one on silence, heartbeats.',
  },
  {
    code: 'sentinel-missing',
    severity: 'fault',
    of: 'stream',
    find(observation) {
      const { ending, events, sentinel } = observation
      if (ending !== 'complete' || sentinel === false || endingOf(observation) || endsUnfinished(observation)) return
      return `the body ended after ${events.length} events without ${sentinel}`
    },
    why: 'A body that just ends looks the same whether the answer is whole or was cut, so no client can tell.',
    fix: 'End a complete answer, and only that, with data: [DONE], and a failed one with event: error. For streams that end otherwise: --sentinel, or --no-sentinel.',
  },
  {
    code: 'sentinel-doubled',
    severity: 'fault',
    of: 'stream',
    find({ events, sentinel }) {
      const count = events.filter(({ data }) => data === sentinel).length
      return count > 1 ? `${sentinel} came ${count} times` : undefined
    },
    why: 'Two layers each end the answer. Clients stop at the first, and what comes after it is lost.',
    fix: 'Let one layer speak the protocol: if the upstream’s own [DONE] is passed through, do not write another.',
  },
  {
    code: 'after-end',
    severity: 'fault',
    of: 'stream',
    find(observation) {
      const { events, sentinel } = observation
      const last = endingOf(observation)
      if (last === undefined) return
      const after = events
        .slice(events.indexOf(last) + 1)
        .filter(({ data }) => last.event === 'error' || data !== sentinel)
      const [first] = after
      return first && `${after.length} after ${nameOf(last)}, the first of them ${nameOf(first)}`
    },
    why: 'Clients stop reading at the end, so this is lost; and a [DONE] after an error makes a failed answer look complete.',
    fix: 'Write nothing after [DONE] or event: error, and never both.',
  },
  {
    code: 'left-open',
    severity: 'fault',
    of: 'stream',
    find(observation) {
      const { ending, endMs } = observation
      const last = endingOf(observation)
      if (ending !== 'open' || last === undefined) return
      return `the response was still open ${duration(endMs - last.atMs)} after ${nameOf(last)}`
    },
    why: 'Clients that read to the end of the body wait for ever, and each answer keeps a connection.',
    fix: 'End the response right after its last event.',
  },
  {
    code: 'failed',
    severity: 'fault',
    of: 'stream',
    find(observation) {
      const last = endingOf(observation)
      if (!last || !isFailed(last)) return
      return `${last.event === undefined ? '' : `${nameOf(last)}, `}${last.data.slice(0, 200)}`
    },
    why: 'The answer itself failed, and the stream said so as it should.',
    fix: 'Look at the server’s log for the original error. The rest was judged by what came before.',
  },
  {
    code: 'head',
    severity: 'fault',
    of: 'stream',
    find({ head, headers }) {
      if (!head) return
      const { answer, busy, waitedMs } = head
      if (!answer) return `HEAD was not answered within ${duration(waitedMs)}`
      if (busy) return 'HEAD was answered, and the server went on as if for a GET'
      // Refusing HEAD is a valid answer.
      if (answer.status >= 400) return
      const type = answer.headers['content-type']
      return type === headers['content-type']
        ? undefined
        : `content-type is ${type ?? 'missing'} to HEAD, ${headers['content-type']} to GET`
    },
    why: 'Monitors and link previews send HEAD. A server that runs the stream for it pays for answers that nobody reads.',
    fix: 'Answer HEAD with the headers alone, before the provider is asked; or with 405.',
  },
  {
    code: 'cors-preflight',
    severity: 'fault',
    of: 'answer',
    find: ({ cors }) => cors?.preflight && deniedBy(cors.preflight, cors),
    why: 'Before this request the browser asks whether it may, and without this permission it never sends it.',
    fix: 'Answer OPTIONS before any authentication, with 204 and the three access-control-allow headers: the cors middleware of your framework, put first.',
  },
  {
    code: 'cors-origin',
    severity: 'fault',
    of: 'answer',
    find: ({ cors, headers }) => cors && corsRefusal(headers, cors),
    why: 'The browser hides the answer from the page, which sees a failed request and no reason.',
    fix: 'Set access-control-allow-origin on the answer itself, errors included, to this origin; with cookies also access-control-allow-credentials: true.',
  },
  {
    code: 'cors-resume',
    severity: 'warning',
    of: 'stream',
    find({ cors }) {
      if (!cors?.resume || (cors.preflight && deniedBy(cors.preflight, cors))) return
      return deniedBy(cors.resume, cors)
    },
    why: 'The events of this answer have ids, so it can be read on. fetchSSE with a resumeUrl or a stopUrl sends x-run-id with each request, the first one included, and last-event-id to read on: without this permission such a page cannot ask at all.',
    fix: 'Allow the headers x-run-id and last-event-id besides those of the request. A page that only reads, and never reads on, needs neither.',
  },
  {
    code: 'cors-stop',
    severity: 'warning',
    of: 'stream',
    find({ cors }) {
      if (!cors?.stop || (cors.preflight && deniedBy(cors.preflight, cors))) return
      if (allows(cors.stop.headers, 'DELETE', cors)) return
      return `access-control-allow-methods is ${cors.stop.headers['access-control-allow-methods'] ?? 'missing'}, without DELETE`
    },
    why: 'This is a run of a log, which goes on without its reader. A Stop button sends DELETE; where the browser may not send it, the run goes on and is paid for, while the page looks stopped.',
    fix: 'Allow DELETE: @fastify/cors does only if its methods name it. What was asked is this address: a stopUrl elsewhere needs the same.',
  },
  {
    code: 'cors-exposed',
    severity: 'warning',
    of: 'stream',
    find(observation) {
      const { cors, headers } = observation
      if (!cors || corsRefusal(headers, cors)) return
      const value = headers['access-control-expose-headers']
      const exposed = listOf(value)
      const read = ['x-run-id', 'x-heartbeat-ms'].filter((name) => name in headers)
      if (isKept(observation)) read.push('retry-after', 'date')
      const hidden = read.filter((name) => !exposed.includes(name) && (cors.credentials || !exposed.includes('*')))
      if (hidden.length === 0) return
      return `access-control-expose-headers is ${value ?? 'missing'}, without ${hidden.join(', ')}`
    },
    why: 'The browser hides these headers of the answer from the page, so the client does not know what they say: how often heartbeats come, without which it cannot tell a silent connection from a dead one; the run’s id; and how long to wait before it asks again.',
    fix: 'Expose them, with a log x-run-id, x-heartbeat-ms, retry-after and date: exposedHeaders in the cors of Express and Fastify, exposeHeaders in hono/cors and @koa/cors.',
  },
]

interface Lump {
  events: number
  arrivals: number
  fromMs: number
  toMs: number
  /** The silence before it. */
  silenceMs: number
}

/** Groups of many events that came almost at once, after a silence. */
export function findLumps({ arrivals, events }: Pick<Observation, 'arrivals' | 'events'>): {
  lumps: Lump[]
  events: number
} {
  const groups: Lump[] = []
  let lastMs = 0
  for (const { atMs, events } of arrivals) {
    const group = groups.at(-1)
    if (group && atMs - lastMs < QUIET_MS) {
      group.events += events
      group.arrivals++
      group.toMs = atMs
    } else groups.push({ events, arrivals: 1, fromMs: atMs, toMs: atMs, silenceMs: atMs - lastMs })
    lastMs = atMs
  }
  const lumps = groups.filter(
    ({ events, arrivals, fromMs, toMs, silenceMs }) =>
      events >= MIN_EVENTS &&
      events >= arrivals * EVENTS_PER_ARRIVAL &&
      toMs - fromMs <= events * MS_PER_EVENT &&
      silenceMs >= MIN_LUMP_SILENCE_MS,
  )
  return { lumps, events: events.length }
}

/** Whether almost all events came in lumps. */
export function isBuffered(observation: Pick<Observation, 'arrivals' | 'events'>): boolean {
  const { lumps, events } = findLumps(observation)
  const inLumps = lumps.reduce((sum, lump) => sum + lump.events, 0)
  const silenceMs = lumps.reduce((sum, lump) => sum + lump.silenceMs, 0)
  return inLumps > 0 && inLumps >= events * 0.8 && silenceMs >= MIN_SILENCE_MS
}

/** If almost all events came two or more at once, at an even pace: how many, and how far apart. */
function findBeat({ arrivals }: Pick<Observation, 'arrivals'>): { events: number; ms: number } | undefined {
  const groups: { events: number; atMs: number; lastMs: number }[] = []
  for (const { atMs, events } of arrivals) {
    if (events === 0) continue
    const group = groups.at(-1)
    if (group && atMs - group.lastMs < AT_ONCE_MS) {
      group.events += events
      group.lastMs = atMs
    } else groups.push({ events, atMs, lastMs: atMs })
  }
  // The first group often contains the start of the answer beside its text, and the last one the end.
  const inner = groups.slice(1, -1)
  const gaps = inner.map(({ atMs }, index) => atMs - (groups[index] as { atMs: number }).atMs)
  const ms = median(gaps)
  const isEven = (gap: number) => Math.abs(gap - ms) <= ms * EVEN
  const most = inner.length * 0.8
  if (inner.length < MIN_BEATS || ms < MIN_BEAT_MS || gaps.filter(isEven).length < most) return
  if (inner.filter(({ events }) => events > 1).length < most) return
  return { events: median(inner.map(({ events }) => events)), ms }
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0
}

/** The longest silence in the body, up to the answer's last event. */
export function longestSilence(
  observation: Pick<Observation, 'arrivals' | 'events' | 'headMs' | 'endMs' | 'sentinel'>,
): {
  fromMs: number
  ms: number
} {
  const { arrivals, headMs, endMs } = observation
  const end = endingOf(observation)?.atMs ?? endMs
  const times = [headMs, ...arrivals.map(({ atMs }) => atMs).filter((atMs) => atMs < end), end]
  let longest = { fromMs: headMs, ms: 0 }
  for (const [index, atMs] of times.entries()) {
    const fromMs = times[index - 1] ?? headMs
    if (atMs - fromMs > longest.ms) longest = { fromMs, ms: atMs - fromMs }
  }
  return longest
}

/** The event that ends the answer: the sentinel or a failure, else the last event of a dialect. */
export function endingOf({ events, sentinel }: Pick<Observation, 'events' | 'sentinel'>): SeenEvent | undefined {
  if (sentinel === false) return
  return (
    events.find(({ event, data }) => event === 'error' || data === sentinel) ??
    events.find((event) => isFailed(event) || isComplete(event, sentinel))
  )
}

/** Whether the sentinel came, but clients discard it because no blank line follows. */
function endsUnfinished({ unfinished, sentinel }: Observation): boolean {
  const lines = unfinished?.text.split('\n') ?? []
  return lines.some((line) => sentinel !== false && line.replace(/^data: ?/, '') === sentinel)
}

function flawsOf(observation: Observation): Flaw[] {
  const { flaws, unfinished } = observation
  if (!unfinished || !endsUnfinished(observation)) return flaws
  const { line, byte } = unfinished
  return [...flaws, { line, byte, what: 'the last block has no blank line after it, so clients discard it' }]
}

/** Whether the answer is empty. */
function isEmpty(observation: Observation): boolean {
  const { status, arrivals, ending } = observation
  return status === 200 && arrivals.length === 0 && ending === 'complete' && !isEventStream(observation)
}

/** What a preflight's answer lacks, without which the browser does not send the request. */
function deniedBy({ status, headers, method, asked }: Preflight, cors: CorsObservation): string | undefined {
  if (status === 0) return 'OPTIONS was not answered'
  if (status < 200 || status > 299) return `OPTIONS was answered with ${status}`
  const origin = corsRefusal(headers, cors)
  if (origin) return `OPTIONS: ${origin}`
  const wildcard = !cors.credentials
  if (!allows(headers, method, cors)) {
    return `access-control-allow-methods is ${headers['access-control-allow-methods'] ?? 'missing'}, without ${method}`
  }
  const allowed = listOf(headers['access-control-allow-headers'])
  // The wildcard never includes `authorization`.
  const missing = asked.filter(
    (name) => !allowed.includes(name) && !(wildcard && allowed.includes('*') && name !== 'authorization'),
  )
  if (missing.length === 0) return
  return `access-control-allow-headers is ${headers['access-control-allow-headers'] ?? 'missing'}, without ${missing.join(', ')}`
}

/** Whether a preflight's answer allows the method. */
function allows(
  headers: Record<string, string>,
  method: string,
  { credentials }: Pick<CorsObservation, 'credentials'>,
): boolean {
  const methods = listOf(headers['access-control-allow-methods'])
  return SAFE_METHODS.has(method) || methods.includes(method.toLowerCase()) || (!credentials && methods.includes('*'))
}

/** Why the browser would hide the answer from a page of this origin. */
function corsRefusal(headers: Record<string, string>, { origin, credentials }: CorsObservation): string | undefined {
  const allowed = headers['access-control-allow-origin']
  if (allowed !== origin && (allowed !== '*' || credentials)) {
    const hint = allowed?.includes(',') ? ' (two layers set it, and one value is all there may be)' : ''
    return `access-control-allow-origin is ${allowed ?? 'missing'}${hint}, for the origin ${origin}${allowed === '*' ? ' with cookies' : ''}`
  }
  const allows = headers['access-control-allow-credentials']
  return credentials && allows !== 'true'
    ? `access-control-allow-credentials is ${allows ?? 'missing'}, with cookies`
    : undefined
}

const listOf = (value = '') =>
  value
    .toLowerCase()
    .split(',')
    .map((item) => item.trim())

const list = (limits: Limit[]) =>
  limits.length === 0
    ? ''
    : `, which is cut by ${limits.map(({ where, seconds, source }) => `${where} after ${seconds} s [${source}]`).join('; ')}`

const more = (count: number) => (count > 0 ? ` (and ${count} more)` : '')

const nameOf = ({ event, data }: SeenEvent) => (event === undefined ? data.slice(0, 60) : `event: ${event}`)
