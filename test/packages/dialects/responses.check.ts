/** Do the clients of the Responses API read what openaiResponses() says? */
import { createOpenAI } from '@ai-sdk/openai'
import { Agent, OpenAIResponsesModel, Runner, tool } from '@openai/agents'
import { tool as sdkTool, streamText } from 'ai'
import OpenAI from 'openai'
import type { Source } from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { resume } from 'sse-relay/node'
import { openaiResponses } from 'sse-relay/protocols'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { listening } from '../../serving.js'
import { answers, cutting, failing, pausing, refused, relaying, TEXT, TIME, USAGE, WEATHER } from './serving.js'

/** What a client knows in the end. */
interface Read {
  text: string
  reasoning?: string
  /** The calls that it would run. */
  calls?: [id: string, name: string, input: unknown][]
  usage?: object
  finish?: string
  failure?: string
}
type Reader = (url: string, isWhole?: boolean) => Promise<Read>

const client = (url: string) => new OpenAI({ apiKey: 'test', baseURL: `${url}/v1`, maxRetries: 0 })
const asked = { model: 'any', input: 'Hi' }

function ofResponse(response: OpenAI.Responses.Response): Read {
  const read: Read = {
    text: response.output_text,
    finish: response.incomplete_details?.reason ?? response.status ?? '',
  }
  for (const item of response.output) {
    if (item.type === 'reasoning') read.reasoning = item.summary.map(({ text }) => text).join('')
    else if (item.type === 'function_call' && item.status === 'completed')
      read.calls = [...(read.calls ?? []), [item.call_id, item.name, JSON.parse(item.arguments)]]
  }
  if (response.usage) read.usage = response.usage
  return read
}

const failureOf = async (reading: () => Promise<Read>): Promise<Read> => {
  try {
    return await reading()
  } catch (error) {
    return { text: '', failure: (error as Error).message }
  }
}

const helper: Reader = (url, isWhole) =>
  failureOf(async () => {
    if (isWhole) return ofResponse(await client(url).responses.create(asked))
    return ofResponse(await client(url).responses.stream(asked).finalResponse())
  })

/** As many write it: the events alone. */
const events: Reader = (url, isWhole) =>
  failureOf(async () => {
    if (isWhole) return ofResponse(await client(url).responses.create(asked))
    let text = ''
    let response: OpenAI.Responses.Response | undefined
    for await (const event of await client(url).responses.create({ ...asked, stream: true })) {
      if (event.type === 'response.output_text.delta') text += event.delta
      else if (event.type === 'response.completed' || event.type === 'response.incomplete') response = event.response
    }
    if (!response) return { text }
    const { output } = response
    const messages = output.flatMap((item) => (item.type === 'message' ? item.content : []))
    const whole = messages.map((part) => (part.type === 'output_text' ? part.text : '')).join('')
    if (whole !== text) throw new Error('The response is not what was streamed')
    return ofResponse({ ...response, output_text: text })
  })

const aiSDK: Reader = (url) =>
  failureOf(async () => {
    const provider = createOpenAI({ apiKey: 'test', baseURL: `${url}/v1` })
    const inputSchema = z.looseObject({})
    const tools = Object.fromEntries(
      ['weather', 'time', 'now', 'search'].map((name) => [name, sdkTool({ inputSchema })]),
    )
    let failure: unknown
    const result = streamText({
      model: provider('any'),
      prompt: 'Hi',
      maxRetries: 0,
      tools,
      onError({ error }) {
        failure ??= error
      },
    })
    const read: Read = { text: '' }
    for await (const part of result.stream) {
      if (part.type === 'text-delta') read.text += part.text
      else if (part.type === 'reasoning-delta') read.reasoning = (read.reasoning ?? '') + part.text
      else if (part.type === 'tool-call') {
        if ('invalid' in part && part.invalid) throw new Error(`${part.toolName} is invalid`)
        read.calls = [...(read.calls ?? []), [part.toolCallId, part.toolName, part.input]]
      } else if (part.type === 'finish') {
        read.finish = part.finishReason
        read.usage = part.totalUsage
      }
    }
    if (failure) return { ...read, failure: (failure as Error).message ?? String(failure) }
    return read
  })

const agents: Reader = (url, isWhole) =>
  failureOf(async () => {
    const read: Read = { text: '' }
    const run = (name: string) =>
      tool({
        name,
        description: 'd',
        parameters: { type: 'object', properties: {}, required: [], additionalProperties: true },
        strict: false,
        execute: (input: unknown, _context: unknown, details?: { toolCall?: { callId?: string } }) => {
          read.calls = [...(read.calls ?? []), [details?.toolCall?.callId ?? '', name, input]]
          return 'ok'
        },
      } as Parameters<typeof tool>[0])
    const agent = new Agent({
      name: 'a',
      model: new OpenAIResponsesModel(client(url) as never, 'any'),
      tools: ['weather', 'time', 'now', 'search'].map(run),
      // One turn is what is looked at.
      toolUseBehavior: 'stop_on_first_tool',
    })
    const runner = new Runner({ tracingDisabled: true })
    if (isWhole) {
      const result = await runner.run(agent, 'Hi', { maxTurns: 1 })
      read.text = texts(result.rawResponses)
      return read
    }
    const result = await runner.run(agent, 'Hi', { stream: true, maxTurns: 1 })
    for await (const _ of result) {
      // Read to its end.
    }
    await result.completed
    if (result.error) throw result.error
    read.text = texts(result.rawResponses)
    return read
  })

function texts(responses: { output: { type?: string; content?: unknown }[] }[]): string {
  return responses
    .flatMap(({ output }) => output)
    .flatMap(({ type, content }) => (type === 'message' && Array.isArray(content) ? content : []))
    .map(({ text = '' }: { text?: string }) => text)
    .join('')
}

const readers: [string, Reader][] = [
  ['openai, responses.stream()', helper],
  ['openai, the events', events],
  ['@ai-sdk/openai', aiSDK],
  ['@openai/agents', agents],
]

const weather = [WEATHER.id, WEATHER.name, JSON.parse(WEATHER.input)] as const
const time = [TIME.id, TIME.name, JSON.parse(TIME.input)] as const

const expected = {
  text: { text: TEXT },
  nothing: { text: '' },
  reasoning: { text: TEXT, reasoning: 'Look.' },
  'one call': { text: TEXT, calls: [weather] },
  'parallel calls': { text: '', calls: [weather, time] },
  'text after a call': { text: `${TEXT}So.`, calls: [weather] },
  'a call without arguments': { text: '', calls: [['call_1', 'now', {}]] },
  'calls of an agent': { text: TEXT },
  'own events': { text: TEXT },
  usage: { text: TEXT },
  length: { text: TEXT, finish: 'max_output_tokens' },
  'content-filter': { text: TEXT, finish: 'content_filter' },
  other: { text: TEXT },
  'half a call': { text: TEXT, calls: [time], finish: 'max_output_tokens' },
} satisfies { [Name in keyof typeof answers]: object }
const names = Object.keys(answers) as (keyof typeof answers)[]

describe.each(readers)('%s', (name, read) => {
  const isAgents = name === '@openai/agents'
  const isSDK = name === '@ai-sdk/openai'

  const check = (scenario: (typeof names)[number], seen: Read) => {
    const { text, calls, finish = undefined, reasoning = undefined } = expected[scenario] as Partial<Read>
    if (isAgents && finish) {
      // What is not complete is a failure to it, with OpenAI too.
      expect(seen.failure).toMatch(/response.incomplete/)
      return
    }
    expect(seen.failure).toBeUndefined()
    expect(seen.text).toBe(text)
    // The Agents SDK runs every call that the response names, whatever its status.
    if (!isAgents || scenario !== 'calls of an agent') expect(seen.calls).toEqual(calls)
    if (!isAgents) expect(seen.reasoning).toBe(reasoning)
    if (finish && !isSDK) expect(seen.finish).toBe(finish)
    if (isSDK && finish) expect(seen.finish).toBe(finish === 'content_filter' ? 'content-filter' : 'length')
    if (scenario === 'usage' && isSDK) {
      expect(seen.usage).toMatchObject({
        inputTokens: 25,
        outputTokens: 15,
        totalTokens: 40,
        inputTokenDetails: { cacheReadTokens: 5, cacheWriteTokens: 2 },
        outputTokenDetails: { reasoningTokens: 3 },
      })
    } else if (scenario === 'usage' && !isAgents) {
      expect(seen.usage).toEqual({
        input_tokens: 25,
        input_tokens_details: { cached_tokens: 5, cache_write_tokens: 2 },
        output_tokens: 15,
        output_tokens_details: { reasoning_tokens: 3 },
        total_tokens: USAGE.totalTokens,
      })
    }
  }

  it.each(names)('reads %s', async (scenario) => {
    check(scenario, await read(await relaying(openaiResponses(), answers[scenario] as Source)))
  })

  if (!isSDK) {
    it.each(names)('reads %s in one body', async (scenario) => {
      check(
        scenario,
        await read(await relaying(openaiResponses(), answers[scenario] as Source, { stream: false }), true),
      )
    })
  }

  it('takes a failure in the middle for one', async () => {
    const seen = await read(await relaying(openaiResponses(), failing))
    expect(seen.failure).toMatch(isAgents ? /response.failed/ : /overload/i)
    expect(JSON.stringify(seen)).not.toContain('SECRET')
  })

  it('takes a refusal before the first word for one, with our words', async () => {
    const seen = await read(await relaying(openaiResponses(), refused))
    expect(seen.failure).toMatch(/overload/i)
  })

  it('takes a connection that is reset for a failure', async () => {
    const seen = await read(await cutting(openaiResponses(), answers.usage, 'reset'))
    expect(seen.failure).toBeDefined()
  })

  it('reads an answer with silences, which are filled with heartbeats', async () => {
    const { source, go } = pausing()
    const url = await relaying(openaiResponses(), source, { heartbeatMs: 10 })
    setTimeout(go, 100)
    const seen = await read(url)
    expect(seen).toMatchObject({ text: TEXT })
    expect(seen.failure).toBeUndefined()
  })

  it('reads a run that a log keeps', async () => {
    const options = { log: createMemoryLog(), owner: null }
    const seen = await read(await relaying(openaiResponses(), answers['one call'] as Source, options))
    expect(seen).toMatchObject({ text: TEXT, calls: [weather] })
    expect(seen.failure).toBeUndefined()
  })

  it('is told by the log when a run has failed without a word', async () => {
    const log = createMemoryLog()
    const runId = 'run-0123456789-abcdef'
    await log.create(runId, { owner: null, startMs: 100 })
    const own = { log, owner: null, runId, protocol: openaiResponses(), heartbeatMs: 10, onError() {} }
    const seen = await read(await listening((req, res) => void resume(req, res, own)))
    expect(seen.failure).toBeDefined()
  })

  it('takes a clean end in the middle for what it can', async () => {
    const seen = await read(await cutting(openaiResponses(), answers.usage, 'end'))
    // docs/protocols.md says so.
    if (isAgents) expect(seen.failure).toBeDefined()
    else expect(seen.finish).not.toBe('completed')
  })
})
