/** How does `sse-relay tail` show the events of a stream as they come? */

import { access, constants, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fetchSSE } from '../client/fetch-sse.js'
import { isComplete } from '../client/final-events.js'
import { isRelayError, RelayError } from '../errors.js'
import { toParts } from '../sources/read-chunk.js'
import { Recording } from '../testing/traces.js'
import type { ParsedEvent, Part } from '../types.js'
import { describeOptions, type Options, parseArguments, UsageError } from './arguments.js'
import { explain, REQUEST_OPTIONS, toRequest } from './request.js'
import { asLine, painter, printable, progress, roomIn } from './terminal.js'

const OPTIONS = {
  ...REQUEST_OPTIONS,
  text: { type: 'boolean', short: 't', help: 'the answer’s text alone; how it went goes to stderr' },
  comments: { type: 'boolean', short: 'c', help: 'comments too: heartbeats, mostly' },
  sentinel: { type: 'string', value: 'DATA', help: 'the data that completes an answer; [DONE] unless given' },
  'no-sentinel': { type: 'boolean', help: 'the stream ends without one: its end is complete' },
  save: {
    type: 'string',
    value: 'FILE',
    help: 'writes the stream there, and when its pieces came to FILE.json, for replayUpstream',
  },
} as const satisfies Options

/** In characters: a line may be endless, but memory is not. */
const MAX_EVENT_SIZE = 32 * 1024 * 1024

export const HELP = `\
sse-relay tail URL [options]

Shows the events of a stream as they come: when, under which name and id, and
what they say. The chunks of the known providers and protocols are read as
text, tool calls and so on; anything else is shown as it is. If the events
have ids, a lost connection is resumed where it was, without a second run.

${describeOptions(OPTIONS)}

  sse-relay tail localhost:3000/api/chat -d '{"messages":[{"role":"user","content":"Hi"}]}'
  sse-relay tail https://your.app/api/chat -d @question.json --text > answer.txt
  sse-relay tail https://your.app/events --no-sentinel --comments

Exit status: 0 complete, 1 failed or cut, 2 could not connect, 130 after Ctrl-C.
`

export async function run(args: string[]): Promise<number> {
  const { values, words } = parseArguments(args, OPTIONS)
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  const { url, method, headers, body } = await toRequest(words, values)
  const { sentinel, 'no-sentinel': endless, text: textOnly, comments, save, insecure } = values
  if (sentinel !== undefined && endless) {
    throw new UsageError('--sentinel and --no-sentinel contradict each other: give one of them')
  }

  if (save !== undefined) await checkPlace(save)
  // With `fetch` this is the only way. Node warns about it.
  if (insecure) process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'

  const leaving = new AbortController()
  const leave = (status: number) => leaving.abort(new Leaving(status))
  process.stdout.on('error', () => leave(0))
  const onInterrupt = () => leave(130)
  process.once('SIGINT', onInterrupt).once('SIGTERM', onInterrupt)
  // Node has nothing left to wait for. Its `fetch` may report neither a closed connection nor bytes that are not gzip.
  const onIdle = () =>
    leaving.abort(new RelayError('network', 'The connection was closed, or what it brought cannot be read'))
  process.once('beforeExit', onIdle)

  const paint = painter(process.stdout)
  const status = painter(process.stderr)
  const started = performance.now()
  const now = () => `${((performance.now() - started) / 1000).toFixed(3).padStart(8)} s`
  const say = (line: string) => process.stdout.write(`${line}\n`)
  /** Reports progress: between the lines of the answer, or on stderr if only the text is shown. */
  const remark = (line: string) =>
    textOnly ? process.stderr.write(`${status.dim(line)}\n`) : say(paint.dim(`${now()}  ${line}`))

  let unseen = 0
  const sayComment = (comment: string) => {
    // Comments do not wait for the output, so those that it has no room for are only counted.
    if (process.stdout.writableNeedDrain) unseen++
    else say(paint.dim(`${now()}  comment  ${printable(comment)}`))
  }

  const recording = save === undefined ? undefined : new Recorder()
  let hasOpened = false
  let endsLine = true
  const done = progress(() => `${method} ${url}: waiting for the first event, ${now().trim()}`)
  const stream = fetchSSE(url, {
    method,
    headers,
    body,
    signal: leaving.signal,
    fetch: recording && ((url, init) => recording.fetch(url, init)),
    sentinel: endless ? false : (event) => isComplete(event, sentinel),
    maxEventSize: MAX_EVENT_SIZE,
    onComment: comments && !textOnly ? sayComment : undefined,
    onOpen({ status, headers }) {
      done()
      if (hasOpened) remark(`the connection was lost; resumed after id ${printable(stream.lastEventId)}`)
      else if (!textOnly) remark(`${status} ${printable(headers.get('content-type') ?? '')}`)
      hasOpened = true
    },
  })
  const exit = await show()
  if (!recording || save === undefined) return exit
  try {
    if (await recording.save(save)) remark(`saved to ${save}`)
    return exit
  } catch (error) {
    process.stderr.write(`${status.red(`The stream could not be saved: ${(error as Error).message}`)}\n`)
    return exit || 1
  }

  async function show(): Promise<number> {
    try {
      for await (const event of stream) {
        const text = textOf(event)
        if (!textOnly) say(describe(event, now(), paint))
        else if (text !== '') {
          // A file or a program gets the text as it is; a terminal would obey some of its characters.
          process.stdout.write(process.stdout.isTTY ? printable(text) : text)
          endsLine = text.endsWith('\n')
        }
        // A slow reader of the output slows the stream: nothing piles up here.
        await roomIn(process.stdout, leaving.signal)
        if (unseen > 0) say(paint.dim(`${now()}  and ${unseen} more comments`))
        unseen = 0
      }
      if (textOnly && !endsLine && process.stdout.isTTY) process.stdout.write('\n')
      remark('complete')
      return 0
    } catch (error) {
      if (recording) recording.end = leaving.signal.aborted ? 'left' : 'reset'
      const { reason } = leaving.signal
      if (reason instanceof Leaving) return reason.status
      if (textOnly && !endsLine && process.stdout.isTTY) process.stdout.write('\n')
      process.stderr.write(`${status.red(printable(tell(error as Error)))}\n`)
      return hasOpened || (error as RelayError).status !== undefined ? 1 : 2
    } finally {
      done()
      process.off('SIGINT', onInterrupt).off('SIGTERM', onInterrupt).off('beforeExit', onIdle)
    }
  }
}

/** Records what comes, over as many connections as it takes. */
class Recorder {
  end: 'end' | 'reset' | 'left' = 'end'
  readonly #recording = new Recording()
  #head: { status: number; contentType: string } | undefined

  async fetch(url: string, init: RequestInit): Promise<Response> {
    const response = await fetch(url, init)
    const { status, headers, body } = response
    this.#head ??= { status, contentType: headers.get('content-type') ?? '' }
    if (!body) return response
    const recorded = body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform: (chunk, controller) => {
          this.#recording.add(chunk)
          controller.enqueue(chunk)
        },
      }),
    )
    return new Response(recorded, response)
  }

  /** Resolves to whether there was anything to save. */
  async save(path: string): Promise<boolean> {
    if (this.#head) await this.#recording.save(path, { ...this.#head, end: this.end })
    return this.#head !== undefined
  }
}

/** Not a failure: the user, or the reader of the output, has seen enough. */
class Leaving extends Error {
  constructor(readonly status: number) {
    super('Leaving')
  }
}

/** @throws {UsageError} if the stream could not be saved: the answer is requested and paid for only once. */
async function checkPlace(path: string): Promise<void> {
  for (const file of [path, `${path}.json`]) {
    try {
      const known = await stat(file).catch(() => undefined)
      if (known?.isDirectory()) throw new Error('it is a folder')
      await access(known ? file : dirname(file), constants.W_OK)
    } catch (error) {
      throw new UsageError(`The stream cannot be saved to ${file}: ${(error as Error).message}`)
    }
  }
}

function tell(error: Error): string {
  if (!isRelayError(error)) return `${error.name}: ${error.message}`
  const { code, message, body, cause } = error
  const isUnsent = code === 'network' || code === 'invalid-option'
  const reason = isUnsent && (cause as Error | undefined)?.cause
  if (reason) return `${code}: The request failed: ${explain(reason as Error)}`
  const said = (code === 'http-status' || code === 'content-type') && body ? `\n${asLine(body)}` : ''
  return `${code}: ${message}${said}`
}

/** `     0.352 s  status  id r:3  {"step":"searching"}` */
function describe(event: ParsedEvent, now: string, paint: ReturnType<typeof painter>): string {
  const { event: name, id, data } = event
  const said = partsOf(event)?.map((part) => `${paint.cyan(part.type)} ${fieldsOf(part)}`)
  const columns = [
    paint.dim(now),
    name !== undefined && paint.bold(printable(name)),
    id !== undefined && paint.dim(`id ${printable(id)}`),
    // Further lines are indented below the first, so that none looks like an event.
    said ? said.join(paint.dim(' · ')) : printable(data).replaceAll('\n', `\n${' '.repeat(12)}`),
  ]
  return columns.filter(Boolean).join('  ')
}

/** The event's JSON as parts, if it is text, a tool call or the like; undefined for an event that is shown as it is. */
function partsOf({ data, event }: ParsedEvent): Part[] | undefined {
  if (!data.startsWith('{')) return
  try {
    const json = JSON.parse(data)
    // The `text()` protocol has only the text.
    if (event === undefined && typeof json.text === 'string' && json.type === undefined) {
      return [{ type: 'text', text: json.text }]
    }
    const parts = toParts(json).filter(({ type }) => type !== 'data' && type !== 'error')
    return parts.length > 0 ? parts : undefined
  } catch {
    return
  }
}

function textOf(event: ParsedEvent): string {
  const texts = partsOf(event)?.map((part) => (part.type === 'text' ? part.text : ''))
  return texts?.join('') ?? ''
}

/** The fields on one line, and without anything that a terminal would obey: JSON escapes that. */
function fieldsOf(part: Part): string {
  if (part.type === 'text' || part.type === 'reasoning') return printable(JSON.stringify(part.text))
  const { type: _, ...fields } = part
  return printable(JSON.stringify(fields))
}
