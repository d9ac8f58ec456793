/** Which provider does the demo ask: one with a key, or the replay? */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { replayUpstream } from '../../testing/index.js'
import type { SourceStream } from '../../types.js'
import { type Failure, tape, tokensIn } from './replay.js'

/** A turn of the conversation. */
export interface Message {
  role: 'user' | 'assistant'
  content: string
}

/** How the request to the provider ended. If the SDK owns the connection, `aborted` is all that is known. */
export interface UpstreamEnd {
  by: 'client' | 'server' | 'aborted'
  /** The tokens that the replay had sent, and all its tokens. */
  sent?: number
  total?: number
}

/** One request to a provider. */
export interface Call {
  start(signal: AbortSignal): Promise<SourceStream>
  /** Resolves once the run is over; to undefined if the provider was never reached. */
  ended(): Promise<UpstreamEnd | undefined>
}

export interface Provider {
  /** The name on the page and in the log. */
  name: string
  real: boolean
  call(messages: Message[], failure?: Failure): Call
}

type Ask = (messages: Message[], signal: AbortSignal) => Promise<SourceStream>

const SYSTEM = 'Answer in a few short paragraphs of plain text, without Markdown.'
const MAX_TOKENS = 2048

/** Finds the provider by the environment, and its SDK if that is installed. */
export async function findProvider(env: NodeJS.ProcessEnv): Promise<Provider> {
  const {
    ANTHROPIC_API_KEY,
    ANTHROPIC_BASE_URL,
    ANTHROPIC_MODEL = 'claude-sonnet-5-5',
    OPENAI_API_KEY,
    OPENAI_BASE_URL,
    OPENAI_MODEL = 'gpt-5.5',
  } = env
  const anthropic = await load<AnthropicSDK>(ANTHROPIC)
  const askReplay = anthropic ? replayThrough(anthropic) : fetchReplay
  const replayed = (name: string): Provider => ({ name, real: false, call: replayCall(askReplay) })

  if (ANTHROPIC_API_KEY) {
    if (!anthropic)
      return replayed(`replayed answer: a key is set, and the SDK is not installed (npm install ${ANTHROPIC})`)
    const options = { apiKey: ANTHROPIC_API_KEY, baseURL: ANTHROPIC_BASE_URL }
    return realProvider(`Anthropic, ${ANTHROPIC_MODEL}`, askAnthropic(anthropic, options, ANTHROPIC_MODEL), askReplay)
  }
  if (OPENAI_API_KEY) {
    const openai = await load<OpenAISDK>(OPENAI)
    if (!openai) return replayed(`replayed answer: a key is set, and the SDK is not installed (npm install ${OPENAI})`)
    const options = { apiKey: OPENAI_API_KEY, baseURL: OPENAI_BASE_URL }
    return realProvider(`OpenAI, ${OPENAI_MODEL}`, askOpenAI(openai, options, OPENAI_MODEL), askReplay)
  }
  return replayed(`replayed answer: no key set${anthropic ? '' : ', read with fetch because no SDK is installed'}`)
}

const ANTHROPIC = '@anthropic-ai/sdk'
const OPENAI = 'openai'
type AnthropicSDK = typeof import('@anthropic-ai/sdk')
type OpenAISDK = typeof import('openai')

/** The SDK beside this package, or else in the folder where the demo was started: `npx` keeps the two apart. */
async function load<SDK>(name: string): Promise<SDK | undefined> {
  try {
    return await import(name)
  } catch {
    try {
      return createRequire(join(process.cwd(), 'package.json'))(name)
    } catch {
      return undefined
    }
  }
}

function askAnthropic(
  { Anthropic }: AnthropicSDK,
  options: { apiKey: string; baseURL?: string; maxRetries?: number },
  model: string,
): Ask {
  return (messages, signal) =>
    new Anthropic(options).messages.create(
      { model, max_tokens: MAX_TOKENS, system: SYSTEM, messages, stream: true },
      { signal },
    )
}

function askOpenAI({ OpenAI }: OpenAISDK, options: { apiKey: string; baseURL?: string }, model: string): Ask {
  return (messages, signal) =>
    new OpenAI(options).chat.completions.create(
      {
        model,
        max_completion_tokens: MAX_TOKENS,
        messages: [{ role: 'system', content: SYSTEM }, ...messages],
        stream: true,
        stream_options: { include_usage: true },
      },
      { signal },
    )
}

/** Asks the replay at this address. */
type AskReplay = (baseURL: string, messages: Message[], signal: AbortSignal) => Promise<SourceStream>

/** Without retries, so that the failure shows. */
const replayThrough =
  (sdk: AnthropicSDK): AskReplay =>
  (baseURL, messages, signal) =>
    askAnthropic(sdk, { apiKey: 'none', baseURL, maxRetries: 0 }, 'replayed')(messages, signal)

/** The relay reads the answer with `parseSSE`, like any `Response`. */
const fetchReplay: AskReplay = (baseURL, messages, signal) =>
  fetch(`${baseURL}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'replayed', max_tokens: MAX_TOKENS, system: SYSTEM, messages, stream: true }),
    signal,
  })

function realProvider(name: string, ask: Ask, askReplay: AskReplay): Provider {
  return {
    name,
    real: true,
    call(messages, failure) {
      if (failure) return replayCall(askReplay)(messages, failure)
      let signal: AbortSignal | undefined
      return {
        start(given) {
          signal = given
          return ask(messages, signal)
        },
        ended: async () => signal && { by: signal.aborted ? 'aborted' : 'server' },
      }
    },
  }
}

/** Each call has its own upstream, so the upstream's one request is this call's. */
function replayCall(askReplay: AskReplay): Provider['call'] {
  return (messages, failure) => {
    const opened = replayUpstream(tape(failure))
    return {
      async start(signal) {
        const { url } = await opened
        return askReplay(url, messages, signal)
      },
      async ended() {
        const upstream = await opened
        const [request] = upstream.requests
        const ending = await request?.closed
        upstream.close()
        return request && ending && { by: ending.by, ...tokensIn(request.sent) }
      },
    }
  }
}
