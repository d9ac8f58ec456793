/** Do the pages of the AI SDK's versions 5 to 7 answer the calls that they are asked to? */
import { createOpenAI as openai7 } from '@ai-sdk/openai'
import * as ai7 from 'ai'
import * as ai5 from 'ai5'
import * as ai6 from 'ai6'
import { createOpenAI as openai5 } from 'openai5'
import { createOpenAI as openai6 } from 'openai6'
import { relay } from 'sse-relay/node'
import { type UIMessageOptions, uiMessage } from 'sse-relay/protocols'
import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { listening } from '../../serving.js'
import { calls, provider, SECRET, says, text } from '../modes.js'

type Message = ai7.UIMessage
type Chat = ai7.AbstractChat<Message>

/** What is used of every version, whose types have nothing in common. */
interface Version {
  AbstractChat: new (init: object) => Chat
  DefaultChatTransport: new (options: object) => object
  convertToModelMessages(messages: Message[], options?: object): unknown
  streamText(options: object): { stream: unknown; fullStream: unknown; toUIMessageStream(options: object): unknown }
  stepCountIs?(count: number): unknown
  isStepCount?(count: number): unknown
  lastAssistantMessageIsCompleteWithToolCalls(chat: { messages: Message[] }): boolean
  lastAssistantMessageIsCompleteWithApprovalResponses?(chat: { messages: Message[] }): boolean
}
type CreateOpenAI = (options: object) => { chat(model: string): unknown }

const versions = { 5: [ai5, openai5], 6: [ai6, openai6], 7: [ai7, openai7] } as unknown as Record<
  5 | 6 | 7,
  [Version, CreateOpenAI]
>

class State {
  status = 'ready'
  error: Error | undefined
  messages: Message[] = []
  pushMessage = (message: Message) => void this.messages.push(message)
  popMessage = () => void this.messages.pop()
  replaceMessage = (index: number, message: Message) => {
    this.messages[index] = message
  }
  snapshot = structuredClone
}

interface Flow {
  page: 5 | 6 | 7
  server: 5 | 6 | 7
  /** Whose the tool is: the page's, the server's after a person has agreed, or after the application has. */
  tool: 'page' | 'asked' | 'allowed'
  isUI?: boolean
  client?: UIMessageOptions['client']
}

async function chatOf({ page, server, tool, isUI, client }: Flow) {
  const [{ streamText, convertToModelMessages, stepCountIs, isStepCount }, createOpenAI] = versions[server]
  const openai = createOpenAI({
    apiKey: SECRET,
    baseURL: `${await provider(says(calls('weather')), says(text('2', 'It rains.')))}/v1`,
  })
  const weather = {
    description: 'd',
    inputSchema: z.object({ city: z.string() }),
    ...(tool !== 'page' && { execute: async () => 'rain' }),
    ...(server === 6 && tool === 'asked' && { needsApproval: true }),
  }
  const url = await listening(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk)
    const { messages: originalMessages } = JSON.parse(Buffer.concat(chunks).toString()) as { messages: Message[] }
    const messages = await convertToModelMessages(originalMessages, { tools: { weather } })
    const source = ({ signal }: { signal: AbortSignal }) => {
      const result = streamText({
        model: openai.chat('m'),
        messages,
        tools: { weather },
        stopWhen: (isStepCount ?? stepCountIs)?.(5),
        abortSignal: signal,
        ...(server === 7 && {
          toolApproval: { weather: { page: undefined, asked: 'user-approval', allowed: 'approved' }[tool] },
        }),
      })
      return isUI ? result.toUIMessageStream({ originalMessages }) : server === 7 ? result.stream : result.fullStream
    }
    await relay(req, res, source as never, { protocol: uiMessage({ originalMessages, ...(client && { client }) }) })
  })
  const ai = versions[page][0]
  const onToolCall = vi.fn()
  const chat = new ai.AbstractChat({
    state: new State(),
    transport: new ai.DefaultChatTransport({ api: url }),
    sendAutomaticallyWhen: (chat: { messages: Message[] }) =>
      ai.lastAssistantMessageIsCompleteWithToolCalls(chat) ||
      ai.lastAssistantMessageIsCompleteWithApprovalResponses?.(chat),
    onToolCall,
  })
  await chat.sendMessage({ text: 'Hi' })
  return { chat, onToolCall }
}

/** The parts of the answer without the marks of steps. */
const shown = ({ lastMessage }: Chat) => lastMessage?.parts.filter(({ type }) => type !== 'step-start')

const ways = ([5, 6, 7] as const).flatMap((version) => [
  { version, isUI: false, name: `version ${version}, the full stream` },
  { version, isUI: true, name: `version ${version}, the UI message stream` },
])

describe('a page of the AI SDK', () => {
  it.each(ways)('runs its own tool, and the answer goes on in the same message: $name', async ({ version, isUI }) => {
    const { chat, onToolCall } = await chatOf({ page: version, server: version, tool: 'page', isUI })
    expect(onToolCall).toHaveBeenCalledTimes(1)
    expect(shown(chat)?.at(-1)).toMatchObject({ type: 'tool-weather', state: 'input-available' })
    await chat.addToolOutput({ tool: 'weather', toolCallId: 'call_1', output: 'rain' } as never)
    await vi.waitFor(() => expect(shown(chat)?.at(-1)).toMatchObject({ text: 'It rains.', state: 'done' }))
    expect(chat.messages).toHaveLength(2)
    expect(shown(chat)).toMatchObject([
      { text: 'Let me see.' },
      { type: 'tool-weather', state: 'output-available', output: 'rain' },
      { text: 'It rains.' },
    ])
  })

  it.each(ways.filter(({ version }) => version > 5))(
    'is asked whether a tool may run, and goes on with the answer: $name',
    async ({ version, isUI }) => {
      for (const approved of [true, false]) {
        const { chat } = await chatOf({ page: version, server: version, tool: 'asked', isUI })
        const asked = shown(chat)?.at(-1) as { approval: { id: string } }
        expect(asked).toMatchObject({ type: 'tool-weather', state: 'approval-requested' })
        await chat.addToolApprovalResponse({ id: asked.approval.id, approved })
        await vi.waitFor(() => expect(shown(chat)?.at(-1)).toMatchObject({ text: 'It rains.', state: 'done' }))
        expect(chat.messages).toHaveLength(2)
        expect(shown(chat)?.[1]).toMatchObject(
          approved ? { state: 'output-available', output: 'rain' } : { state: 'output-denied' },
        )
      }
    },
  )

  it('of version 5 shows a call that waits as one that runs elsewhere, where it is told so', async () => {
    const { chat, onToolCall } = await chatOf({ page: 5, server: 7, tool: 'asked', client: 'ai-5' })
    expect(chat.status).toBe('ready')
    expect(shown(chat)?.at(-1)).toMatchObject({ type: 'tool-weather', state: 'input-available' })
    expect(onToolCall).toHaveBeenCalledTimes(1)
    // What it does not know is an error of the whole chat, as it is from the SDK's own server.
    expect((await chatOf({ page: 5, server: 7, tool: 'asked' })).chat.status).toBe('error')
  })

  it('of version 6 shows a call that the application allowed, where it is told so', async () => {
    const { chat } = await chatOf({ page: 6, server: 7, tool: 'allowed', client: 'ai-6' })
    expect(chat.status).toBe('ready')
    expect(shown(chat)).toMatchObject([{}, { state: 'output-available', output: 'rain' }, { text: 'It rains.' }])
    expect(shown(chat)?.[1]).not.toHaveProperty('approval')
    expect((await chatOf({ page: 6, server: 7, tool: 'allowed' })).chat.status).toBe('error')
  })
})
