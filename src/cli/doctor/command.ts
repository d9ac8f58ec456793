/** What does `sse-relay doctor` find wrong with the stream that answers one request? */
import { describeOptions, type Options, parseArguments, UsageError } from '../arguments.js'
import { explain, REQUEST_OPTIONS, toRequest } from '../request.js'
import { duration, painter, printable, progress } from '../terminal.js'
import { judge } from './judge.js'
import { observe } from './observe.js'
import { toJSON, toText } from './report.js'

const OPTIONS = {
  ...REQUEST_OPTIONS,
  origin: { type: 'string', value: 'ORIGIN', help: 'also ask as a page of this origin does: CORS, with its preflight' },
  wait: { type: 'string', short: 'w', value: 'SECONDS', help: 'how long to look at most; 120 unless given' },
  sentinel: { type: 'string', value: 'DATA', help: 'the data that completes an answer; [DONE] unless given' },
  'no-sentinel': { type: 'boolean', help: 'the stream ends without one' },
  strict: { type: 'boolean', help: 'warnings count as faults in the exit status' },
  json: { type: 'boolean', help: 'the findings and all times, as JSON' },
} as const satisfies Options

export const HELP = `\
sse-relay doctor URL [options]

Asks once, and says what is wrong with the event stream that answers, why it
matters and how to fix it: headers, compression, buffering proxies, silences
that get cut, endings that cannot be told, lines that clients pass over.
With --origin an OPTIONS request comes after it, and for a GET a HEAD.
The request is a real one: a model behind it is paid for one answer.

${describeOptions(OPTIONS)}

Look at the server itself first, then through each proxy in front of it:
  sse-relay doctor localhost:3000/api/chat -d '{"messages":[{"role":"user","content":"Count to fifty."}]}'
  sse-relay doctor https://your.app/api/chat -d @question.json -H 'authorization: Bearer …'

From a page of another origin, and in CI:
  sse-relay doctor https://api.your.app/chat -d @question.json --origin https://your.app
  sse-relay doctor "$URL" -d @question.json --strict --json > doctor.json

Exit status: 0 good (warnings allowed), 1 faults found, 2 could not look, or
could not tell whether something buffers: ask for a longer answer then.
`

export async function run(args: string[]): Promise<number> {
  const { values, words } = parseArguments(args, OPTIONS)
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  const request = await toRequest(words, values)
  const maxMs = toMs(values.wait ?? '120')
  if (values.sentinel !== undefined && values['no-sentinel']) {
    throw new UsageError('--sentinel and --no-sentinel contradict each other: give one of them')
  }
  const leaving = new AbortController()
  const onInterrupt = () => leaving.abort(new Error('Interrupted'))
  process.once('SIGINT', onInterrupt)
  let state = 'connecting'
  const started = performance.now()
  const done = progress(() => `${request.method} ${request.url}: ${state}, ${duration(performance.now() - started)}`)
  try {
    const observation = await observe(request, {
      maxMs,
      ...(values.origin !== undefined && { origin: toOrigin(values.origin) }),
      sentinel: values['no-sentinel'] ? false : values.sentinel,
      insecure: values.insecure,
      signal: leaving.signal,
      onProgress(now) {
        state = now
      },
    })
    done()
    if (leaving.signal.aborted) return 130
    const judgement = judge(observation)
    process.stdout.write(
      values.json ? toJSON(observation, judgement) : toText(observation, judgement, painter(process.stdout)),
    )
    const counts = values.strict
      ? judgement.findings
      : judgement.findings.filter(({ severity }) => severity === 'fault')
    if (counts.length > 0) return 1
    return judgement.unsure === 'buffering' ? 2 : 0
  } catch (error) {
    done()
    if (leaving.signal.aborted) return 130
    if (error instanceof UsageError) throw error
    const message = `${request.method} ${request.url} cannot be looked at: ${explain(error as NodeJS.ErrnoException)}`
    if (values.json) {
      const answer = { url: request.url.href, method: request.method, good: false, error: message }
      process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`)
    }
    process.stderr.write(`${printable(message)}\n`)
    return 2
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}

function toMs(seconds: string): number {
  const ms = Number(seconds) * 1000
  if (!(ms > 0 && ms < 2 ** 31)) throw new UsageError(`--wait cannot be "${seconds}": give a number of seconds`)
  return ms
}

function toOrigin(origin: string): string {
  if (!URL.canParse(origin) || !/^https?:$/.test(new URL(origin).protocol)) {
    throw new UsageError(`--origin cannot be "${origin}": write https://your.app`)
  }
  return new URL(origin).origin
}
