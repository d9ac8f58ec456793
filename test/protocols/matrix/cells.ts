/** One cell of the matrix: a trace, the way it came in, and the protocol it went out by. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import { createParser } from 'eventsource-parser'
import type { FinishReason, RelayOptions, Source, SourceStream, Summary } from 'sse-relay'
import { relay } from 'sse-relay/node'
import { type Replay, type ReplayUpstream, readTrace, replayUpstream, traceNames } from 'sse-relay/testing'
import { type Expected, expected } from './expected.js'
import { plain } from './plain.js'
import { type Answer, type ProtocolUnderTest, protocols, read } from './readers.js'
import { variants } from './variants.js'
import { type Family, familyOf, response, type Way, ways } from './ways.js'

/** A row of the matrix: what comes in, and how. */
export interface Row {
  trace: string
  way: string
  expected: Expected
  /** Whose chunks raw() passes on, if their SDK reads event streams. */
  family?: Family
  /** What is replayed upstream; a plain source has none. */
  replay?: Replay
  /** The protocol of the relay in between. */
  via?: ProtocolUnderTest
  open(url: string, signal: AbortSignal): SourceStream | PromiseLike<SourceStream>
}

export interface Cell {
  /** What was not as the table says; empty if all was. */
  wrong: string[]
  answer: Answer
  summary: Summary
}

/**
 * Asks that are refused before the first token, by every provider in its own words. Those that imitate one have none of
 * their own, and the AI SDK's own stream comes from no provider.
 */
const refusals: Record<Exclude<Family, 'openai-compat' | 'ai-sdk-ui'>, Replay> = {
  'openai-chat': { body: '{"error":{"message":"SECRET","type":"requests","code":"rate_limit_exceeded"}}' },
  'openai-responses': { body: '{"error":{"message":"SECRET","type":"requests","code":"rate_limit_exceeded"}}' },
  anthropic: { body: '{"type":"error","error":{"type":"rate_limit_error","message":"SECRET"}}' },
  gemini: { body: '{"error":{"code":429,"message":"SECRET","status":"RESOURCE_EXHAUSTED"}}' },
  mistral: { body: '{"object":"error","message":"SECRET","type":"rate_limited","code":"1300"}' },
  ollama: { body: '{"error":"SECRET"}' },
  bedrock: { body: '{"message":"SECRET"}', headers: { 'x-amzn-errortype': 'ThrottlingException' } },
}
const refused: Expected = { text: '', outcome: 'error', code: 'rate-limit', status: 429 }

const failed = { outcome: 'error', code: 'upstream-failure' } as const

/** Of what is relayed twice, one of each kind. */
const RELAYED = [
  'anthropic-thinking.sse',
  'anthropic-tool-use.sse',
  'anthropic-error-overloaded.sse',
  'anthropic-truncated.sse',
  'openai-responses: citation',
]

export const rows: Row[] = [
  ...traceNames().flatMap((trace) => rowsOf(trace, familyOf(trace), expected[trace], { trace })),
  ...Object.entries(variants).flatMap(([name, variant]) => {
    const { body, contentType } = variant
    const headers = contentType && { headers: { 'content-type': contentType } }
    // Of strings there is nothing more to learn than the traces show.
    return rowsOf(name, familyOf(name), variant, { body, ...headers }).filter(({ way }) => !way.endsWith('textStream'))
  }),
  ...Object.entries(refusals).flatMap(([family, replay]) =>
    rowsOf(`${family}: refused with 429`, family as Family, refused, { ...replay, status: 429 }),
  ),
  ...RELAYED.flatMap((trace) => protocols.map((via) => relayed(trace, via))),
  ...plain.map(({ name, open, ...expected }) => ({ trace: 'no provider', way: name, expected, open })),
]

/** The row of a relay that reads what another relay sends, and so only what its protocol carries. */
function relayed(trace: string, via: ProtocolUnderTest): Row {
  const { text, reasoning, tools, data, finish, usage, outcome, code } = (expected[trace] ??
    variants[trace]) as Expected
  const { carries, name } = via
  const [way] = ways[familyOf(trace)]
  // Counts are said at the end: one that fails has none to tell. The provider's own chunks tell as they come.
  const counted = carries.usage && (outcome === 'done' || name === 'raw')
  return {
    trace,
    way: `another relay's ${name}()`,
    expected: {
      text,
      reasoning: carries.reasoning ? reasoning : undefined,
      tools: carries.tools ? tools : undefined,
      data: carries.data ? data : undefined,
      finish: carries.finish ? finish : undefined,
      usage: counted ? dueUsage(via, usage) : name === 'openaiResponses' ? undefined : via.usage?.(undefined),
      // The first word of a failure is the API's own there, and it has none for this.
      ...(name === 'openaiResponses' && code === 'truncated' ? failed : { outcome, code }),
    },
    replay: { ...(expected[trace] ? { trace } : { body: variants[trace]?.body }) },
    via,
    open: (way as Way).open,
  }
}

function rowsOf(trace: string, family: Family, expected: Expected | undefined, replay: Replay): Row[] {
  if (!expected) throw new Error(`The table of expected values does not have ${trace}`)
  return ways[family].map((way) => ({
    trace,
    way: way.name,
    expected: through(way, expected),
    ...(/^(openai|anthropic|fetch)/.test(way.name) && { family }),
    replay,
    open: way.open,
  }))
}

/** What is left of the expected values in this way. */
function through(way: Way, all: Expected): Expected {
  let result = all
  const special = Object.keys(all.ways ?? {}).filter((name) => way.name.startsWith(name))
  for (const name of special.sort((a, b) => a.length - b.length)) result = { ...result, ...all.ways?.[name] }
  return way.textOnly ? { text: all.text, outcome: 'done' } : result
}

export interface Matrix {
  run(row: Row, protocol: ProtocolUnderTest): Promise<Cell>
  close(): Promise<void>
}

/** A server that relays what the cells ask for. */
export async function startMatrix(): Promise<Matrix> {
  const asked = new Map<string, { source: Source; options: RelayOptions; settle(summary: Promise<Summary>): void }>()
  const upstreams = new Map<Row['replay'], Promise<ReplayUpstream>>()
  // Longer than any client keeps a connection: else, on a busy machine, it is closed while the next request is sent.
  const server = createServer({ keepAliveTimeout: 600_000 }, (req, res) => {
    const ask = asked.get(req.url?.split('/')[1] ?? '')
    if (ask) ask.settle(relay(req, res, ask.source, ask.options))
    else res.writeHead(404).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  const upstreamOf = (replay: Replay) => {
    const upstream = upstreams.get(replay) ?? replayUpstream(replay)
    upstreams.set(replay, upstream)
    return upstream
  }

  return {
    async run(row, protocol) {
      const { replay, open, via } = row
      const upstream = replay && (await upstreamOf(replay))
      const seen: unknown[] = []
      let shown: { code: string; message: string } | undefined
      const name = String(asked.size)
      const direct: Source = async ({ signal }) => {
        const stream = await open(upstream?.url ?? url, signal)
        return protocol.name === 'raw' && !via && !(stream instanceof Response) ? tap(stream, seen) : stream
      }
      if (via) {
        const options = { protocol: via.protocol(), onError() {} }
        asked.set(`${name}-first`, { source: direct, options, settle() {} })
      }
      const summary = new Promise<Summary>((settle) => {
        asked.set(name, {
          source: via ? ({ signal }) => fetch(`${url}/${name}-first`, { signal }) : direct,
          options: {
            protocol: protocol.protocol(),
            onError: (_, { failure }) => {
              shown = failure
            },
            onEnd() {},
          },
          settle,
        })
      })
      const answer = await read(protocol, `${url}/${name}`, row.family)
      const said = await summary
      return { answer, summary: said, wrong: compare(row, protocol, answer, said, shown, seen) }
    },
    async close() {
      server.closeAllConnections()
      server.close()
      for (const upstream of upstreams.values()) await (await upstream).close()
    },
  }
}

/** The stream, with what it yields written down as JSON, and with what stops it: by that it is known for an SDK's. */
function tap(stream: SourceStream, seen: unknown[]): SourceStream {
  const { controller, abort } = stream as { controller?: unknown; abort?(): void }
  const stops = { ...(controller !== undefined && { controller }), ...(abort && { abort: () => abort.call(stream) }) }
  return Object.assign(written(stream, seen), stops)
}

async function* written(stream: SourceStream, seen: unknown[]): AsyncGenerator<unknown> {
  for await (const chunk of stream as AsyncIterable<unknown>) {
    seen.push(JSON.parse(JSON.stringify(chunk)))
    yield chunk
  }
}

function compare(
  row: Row,
  protocol: ProtocolUnderTest,
  answer: Answer,
  summary: Summary,
  shown: { code: string; message: string } | undefined,
  seen: unknown[],
): string[] {
  const { carries, name } = protocol
  const { text, reasoning = '', tools = [], data = [], finish, usage, outcome, code, status = 200 } = row.expected
  const wrong: string[] = []
  const check = (what: string, is: unknown, due: unknown) => {
    if (!isDeepStrictEqual(is, due)) wrong.push(`${what} is ${JSON.stringify(is)} and not ${JSON.stringify(due)}`)
  }
  const done = outcome === 'done'
  check('status', answer.status, status)

  if (name === 'raw' && !row.via)
    check('chunks', comparable(answer.chunks), status === 200 ? comparable(dueChunks(row, seen)) : [])
  else if (name !== 'raw') {
    check('text', answer.text, text)
    check('reasoning', answer.reasoning, carries.reasoning ? reasoning : '')
    check('tools', withIds(answer.tools, tools), namesCalls(row.expected, protocol) ? tools : [])
    check('data', answer.data, carries.data ? data : [])
    const hasCalls = tools.length > 0 && namesCalls(row.expected, protocol)
    check('finish', answer.finish, done && carries.finish ? dueFinish(protocol, finish, hasCalls) : undefined)
    check('usage', answer.usage, done && carries.usage ? dueUsage(protocol, usage) : undefined)
  }

  check('summary.outcome', summary.outcome, outcome)
  check('summary.text', summary.text, text)
  check('summary.finishReason', summary.finishReason, finish)
  check('summary.usage', summary.usage, usage)

  check('the end', (protocol.end ?? /^data: \[DONE\]\n\n$/m).test(answer.wire), done)
  check('words of the provider', answer.wire.includes('SECRET'), false)
  if (done) check('failure', answer.failure, undefined)
  else {
    check('the failure that is shown', shown?.code, code)
    check('failure.message', uiBody(answer.failure?.message), shown?.message)
    if (name !== 'uiMessage') check('failure.code', answer.failure?.code, code)
  }
  return wrong
}

/** Whether the client is told of the calls. */
export function namesCalls({ isAnswered }: Expected, { runsCalls, carries }: ProtocolUnderTest): boolean {
  return carries.tools && !(isAnswered && runsCalls)
}

/** Of a refusal the AI SDK's client has the body, as it is. */
function uiBody(message: string | undefined): string | undefined {
  return message?.startsWith('{"error"') ? JSON.parse(message).error.message : message
}

/** The ids that a protocol made up count as right where the provider has none. */
function withIds(tools: Answer['tools'], due: NonNullable<Expected['tools']>): Answer['tools'] {
  return tools.map(({ id, ...call }, index) => (due[index]?.id === undefined && id !== '' ? call : { id, ...call }))
}

function dueFinish(
  { finish: told }: ProtocolUnderTest,
  finish: FinishReason | undefined,
  hasCalls: boolean,
): FinishReason | undefined {
  return told ? told(finish, hasCalls) : finish
}

function dueUsage({ usage: told }: ProtocolUnderTest, usage: Expected['usage']): Expected['usage'] {
  return told ? told(usage) : usage
}

/** What raw() is to pass on: what the SDK yielded or the upstream sent. */
function dueChunks({ replay, way }: Row, seen: unknown[]): unknown[] {
  return way === response.name && replay ? eventsOf(replay) : seen
}

function eventsOf({ trace, body }: Replay): unknown[] {
  const events: unknown[] = []
  const parser = createParser({
    onEvent({ event, data }) {
      if (event !== 'error' && data !== '[DONE]') events.push(JSON.parse(data))
    },
  })
  if (body !== undefined || trace?.endsWith('.sse')) parser.feed(String(body ?? readTrace(trace as string)))
  return events
}

/** Chunks as they are compared: without what is not for the client, and what its SDK keeps to itself. */
function comparable(chunks: unknown[] = []): unknown[] {
  return chunks.filter((chunk) => chunk !== '' && !isLeftOut(chunk)).map(withoutSecrets)
}

function isLeftOut(chunk: unknown): boolean {
  const { type, error } = Object(chunk) as { type?: string; error?: unknown }
  // The failures are ours to say; Anthropic's client says nothing of pings.
  if (type === undefined) return error !== undefined
  return ['error', 'abort', 'response.failed', 'ping'].includes(type)
}

/** Without headers and requests, and without the errors of tools, all of which the AI SDK and Gemini's hang on them. */
function withoutSecrets(chunk: unknown): unknown {
  if (typeof chunk !== 'object') return chunk
  const {
    sdkHttpResponse: _,
    request: __,
    response,
    error,
    output,
    warnings,
    ...bare
  } = JSON.parse(JSON.stringify(chunk))
  // The Responses API has fields of that name, too.
  return String(bare.type).startsWith('response.') ? { ...bare, response, error } : bare
}
