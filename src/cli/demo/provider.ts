/** Whom the demo asks: the provider a key is set for, or the replay. */
import { RelayError } from '../../errors.js'
import { replayUpstream } from '../../testing/index.js'
import type { SourceStream } from '../../types.js'
import { type Failure, tape, tokensIn } from './replay.js'

/** A turn of the conversation. */
export interface Message {
  role: 'user' | 'assistant'
  content: string
}

/** How the request to the provider ended; `aborted` is all that is known of a connection the SDK owns. */
export interface UpstreamEnd {
  by: 'client' | 'server' | 'aborted'
  /** Tokens the replay had sent, and would have. */
  sent?: number
  total?: number
}

/** One request to a provider. */
export interface Call {
  start(signal: AbortSignal): Promise<SourceStream>
  /** Once the run is over; undefined if the provider was never reached. */
  ended(): Promise<UpstreamEnd | undefined>
}

export interface Provider {
  /** As page and log say it. */
  name: string
  real: boolean
  call(messages: Message[], failure?: Failure): Call
}

type Ask = (messages: Message[], signal: AbortSignal) => Promise<SourceStream>

const SYSTEM = 'Answer in a few short paragraphs of plain text, without Markdown.'
const MAX_TOKENS = 2048

/** Finds the provider in the environment. */
export function findProvider(env: NodeJS.ProcessEnv): Provider {
  const {
    ANTHROPIC_API_KEY,
    ANTHROPIC_BASE_URL,
    ANTHROPIC_MODEL = 'claude-sonnet-5-5',
    OPENAI_API_KEY,
    OPENAI_BASE_URL,
    OPENAI_MODEL = 'gpt-5.5',
  } = env
  if (ANTHROPIC_API_KEY) {
    const options = { apiKey: ANTHROPIC_API_KEY, baseURL: ANTHROPIC_BASE_URL }
    return realProvider(`Anthropic, ${ANTHROPIC_MODEL}`, askAnthropic(options, ANTHROPIC_MODEL))
  }
  if (OPENAI_API_KEY) {
    const options = { apiKey: OPENAI_API_KEY, baseURL: OPENAI_BASE_URL }
    return realProvider(`OpenAI, ${OPENAI_MODEL}`, askOpenAI(options, OPENAI_MODEL))
  }
  return { name: 'replayed answer: no key set', real: false, call: replayCall }
}

function askAnthropic(options: { apiKey: string; baseURL?: string; maxRetries?: number }, model: string): Ask {
  return async (messages, signal) => {
    const { Anthropic } = await import('@anthropic-ai/sdk').catch(notInstalled('@anthropic-ai/sdk'))
    return new Anthropic(options).messages.create(
      { model, max_tokens: MAX_TOKENS, system: SYSTEM, messages, stream: true },
      { signal },
    )
  }
}

function askOpenAI(options: { apiKey: string; baseURL?: string }, model: string): Ask {
  return async (messages, signal) => {
    const { OpenAI } = await import('openai').catch(notInstalled('openai'))
    return new OpenAI(options).chat.completions.create(
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
}

function notInstalled(name: string) {
  return (cause: unknown): never => {
    const message = `The demo speaks to the provider through its SDK: npm install ${name}`
    throw new RelayError('internal', message, { status: 500, expose: true, cause })
  }
}

function realProvider(name: string, ask: Ask): Provider {
  return {
    name,
    real: true,
    call(messages, failure) {
      if (failure) return replayCall(messages, failure)
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

/** An upstream of its own for each call, so that the request it saw is this one; no retries, to see the failure. */
function replayCall(messages: Message[], failure?: Failure): Call {
  const opened = replayUpstream(tape(failure))
  return {
    async start(signal) {
      const { url: baseURL } = await opened
      return askAnthropic({ apiKey: 'none', baseURL, maxRetries: 0 }, 'replayed')(messages, signal)
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
