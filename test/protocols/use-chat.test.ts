/** Do the flows of the AI SDK's own `Chat` end as they do against its own server, where this library answers it? */
import { Chat } from '@ai-sdk/react'
import {
  type ChatInit,
  convertToModelMessages,
  DefaultChatTransport,
  isStepCount,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
  streamText,
  tool,
  type UIMessage,
} from 'ai'
import { MockLanguageModelV4, simulateReadableStream } from 'ai/test'
import type { Source, SourceStream } from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { relay, resume } from 'sse-relay/node'
import { type UIMessageOptions, uiMessage } from 'sse-relay/protocols'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { z } from 'zod'
import { listening } from '../serving.js'
import { type Chunk, call, finish, pieces, plain, text } from './ai-sdk-model.js'

interface Prompt {
  role: string
  content: string | { type: string; output?: { type: string } }[]
}

/** The request's body, as `DefaultChatTransport` sends it. */
interface Body {
  id: string
  messages: UIMessage[]
  trigger: string
}

const city = z.object({ city: z.string() })

/** One server for the whole flow: what its model says depends on what it was told last. */
interface Flow {
  source?: Source
  says(prompt: Prompt[]): Chunk[]
  ran?: string[]
}

function ask({ says, ran = [] }: Flow, body: Body, abortSignal?: AbortSignal) {
  const model = new MockLanguageModelV4({
    doStream: async ({ prompt }) => ({
      stream: simulateReadableStream({
        chunks: [{ type: 'stream-start', warnings: [] }, ...says(prompt as Prompt[])],
        initialDelayInMs: null,
        chunkDelayInMs: null,
      }) as never,
    }),
  })
  const tools = {
    ask: tool({ description: 'd', inputSchema: city }),
    pay: tool({
      description: 'd',
      inputSchema: city,
      execute: async ({ city }) => {
        ran.push(city)
        if (city === 'Nowhere') throw new Error('sk-secret')
        return `paid in ${city}`
      },
    }),
    grows: tool({
      description: 'd',
      inputSchema: city,
      async *execute() {
        yield 'so far'
        yield 'so far, all'
      },
    }),
    weather: tool({ description: 'd', inputSchema: city, execute: async () => 'rain' }),
  }
  return convertToModelMessages(body.messages, { tools }).then((messages) =>
    streamText({
      model,
      tools,
      messages,
      toolApproval: { pay: 'user-approval' },
      stopWhen: isStepCount(5),
      onError() {},
      ...(abortSignal && { abortSignal }),
    }),
  )
}

/** How a server may answer: the AI SDK itself, and we. */
type Way = 'their own' | 'the full stream' | 'the UI message stream'
const ways: Way[] = ['the full stream', 'the UI message stream']

interface Page {
  chat: Chat<UIMessage>
  bodies: Body[]
}

async function page(
  way: Way,
  flow: Flow,
  {
    options,
    toolResults,
    ...init
  }: Partial<ChatInit<UIMessage>> & { options?: UIMessageOptions; toolResults?: boolean } = {},
): Promise<Page> {
  const bodies: Body[] = []
  const url = await listening(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk)
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Body
    bodies.push(body)
    const { messages: originalMessages } = body
    const source: Source = async (context) => {
      if (flow.source) return (flow.source as (given: typeof context) => SourceStream)(context)
      const { signal } = context
      const result = await ask(flow, body, signal)
      return way === 'the full stream' ? result.stream : (result.toUIMessageStream({ originalMessages }) as never)
    }
    if (way !== 'their own') {
      const protocol = uiMessage(options ?? { originalMessages })
      await relay(req, res, source, { protocol, toolResults, onError() {} })
    } else {
      const result = await ask(flow, body)
      result.pipeUIMessageStreamToResponse(res, { originalMessages, generateMessageId: () => crypto.randomUUID() })
    }
  })
  let ids = 0
  const chat = new Chat<UIMessage>({
    transport: new DefaultChatTransport({ api: `${url}/api/chat` }),
    generateId: () => `page-${ids++}`,
    ...init,
  })
  return { chat, bodies }
}

/** Until the chat does nothing more, for as long as a microtask storm takes. */
async function settled({ chat }: Page): Promise<void> {
  let quiet = 0
  while (quiet < 5) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    quiet = /submitted|streaming/.test(chat.status) ? 0 : quiet + 1
  }
}

const last = (prompt: Prompt[]) => prompt.at(-1)?.role
/** A model that calls once, and then says what came of it. */
const calling = (...calls: Chunk[]): Flow => ({
  ran: [],
  says: (prompt) =>
    last(prompt) === 'tool'
      ? [...text('1', 'There you are.'), finish()]
      : [...text('1', 'Let me see.'), ...calls, finish('tool-calls')],
})

describe('a tool of the page', () => {
  /** It answers as its documentation has it. */
  const answering = async (way: Way, options?: UIMessageOptions) => {
    const flow = calling(...pieces('c1', 'ask', ['{"city":"Oslo"}']), call('c1', 'ask', '{"city":"Oslo"}'))
    const onToolCall = vi.fn(({ toolCall }: { toolCall: { toolCallId: string } }) => {
      void told.chat.addToolOutput({ tool: 'ask', toolCallId: toolCall.toolCallId, output: 'yes' } as never)
    })
    const told = await page(way, flow, {
      ...(options && { options }),
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
      onToolCall,
    })
    await told.chat.sendMessage({ text: 'Hi' })
    await settled(told)
    return { ...told, onToolCall }
  }

  it.each(ways)('is run once, and the answer goes on in the same message: %s', async (way) => {
    const theirs = await answering('their own')
    const ours = await answering(way)
    expect(ours.onToolCall).toHaveBeenCalledTimes(1)
    expect(ours.chat.messages).toHaveLength(2)
    expect(ours.chat.messages.map(plain)).toEqual(theirs.chat.messages.map(plain))
    expect(ours.bodies).toHaveLength(2)
    expect(ours.chat.status).toBe('ready')
  })
})

describe('a tool of the server', () => {
  const flow = () => calling(call('c1', 'weather', '{"city":"Oslo"}'))
  const ownParts: Source = () => [
    { type: 'tool-call', index: 0, id: 'c1', name: 'weather', input: '{"city":"Oslo"}', done: true },
    { type: 'tool-result', id: 'c1', output: 'rain' },
    { type: 'text', text: 'There you are.' },
    { type: 'finish', reason: 'stop' },
  ]

  it.each([...ways, 'parts of one’s own'])('has answered, and the page does not send it again: %s', async (way) => {
    const isOwn = way === 'parts of one’s own'
    const told = await page(way as Way, isOwn ? { ...flow(), source: ownParts } : flow(), {
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
    })
    await told.chat.sendMessage({ text: 'Hi' })
    await settled(told)
    expect(told.bodies).toHaveLength(1)
    const answered = ['step-start', isOwn ? 'dynamic-tool' : 'tool-weather', 'step-start', 'text']
    expect(plain(told.chat.lastMessage).map(({ type }) => type)).toEqual(
      isOwn ? answered : ['step-start', 'text', ...answered.slice(1)],
    )
  })

  it.each(ways)(
    'stays here with what it answered, and with what it has so far, where that was said: %s',
    async (way) => {
      const told = await page(way, calling(call('c1', 'grows', '{"city":"sk-secret"}')), { toolResults: false })
      await told.chat.sendMessage({ text: 'Hi' })
      const [, tool] = shown(told.chat.lastMessage)
      expect(tool).toMatchObject({ state: 'output-available', output: null })
      expect(JSON.stringify(told.chat.messages)).not.toContain('so far')
    },
  )
})

describe('calls that wait for a person', () => {
  const flow = () =>
    calling(
      call('c1', 'pay', '{"city":"Oslo"}'),
      call('c2', 'pay', '{"city":"Rome"}'),
      call('c3', 'weather', '{"city":"Oslo"}'),
    )
  /** Asks, and answers what is asked. */
  const deciding = async (way: Way, flow: Flow, answers: boolean[], options?: UIMessageOptions) => {
    const told = await page(way, flow, {
      ...(options && { options }),
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
    })
    await told.chat.sendMessage({ text: 'Hi' })
    await settled(told)
    const asked = approvalsOf(told.chat.lastMessage)
    for (const [number, id] of asked.entries())
      await told.chat.addToolApprovalResponse({ id, approved: answers[number] === true })
    await settled(told)
    return { ...told, asked, ran: flow.ran }
  }

  it.each(ways)('ask for it, and go on in the same message, allowed or not: %s', async (way) => {
    const theirs = await deciding('their own', flow(), [true, false])
    const ours = await deciding(way, flow(), [true, false])
    expect(ours.asked).toHaveLength(2)
    expect(ours.chat.messages.map(plain)).toEqual(theirs.chat.messages.map(plain))
    expect(ours.chat.messages).toHaveLength(2)
    expect(ours.ran).toEqual(['Oslo'])
    expect(shown(ours.chat.lastMessage)).toMatchObject([
      { text: 'Let me see.' },
      { type: 'tool-pay', state: 'output-available', output: 'paid in Oslo' },
      { type: 'tool-pay', state: 'output-denied', approval: { approved: false } },
      { type: 'tool-weather', state: 'output-available' },
      { text: 'There you are.' },
    ])
    expect(ours.bodies).toHaveLength(2)
  })

  it.each(ways)('go on in the same message even if nobody said that there is one: %s', async (way) => {
    const { chat, ran } = await deciding(way, flow(), [true, false], {})
    expect(chat.messages).toHaveLength(2)
    expect(ran).toEqual(['Oslo'])
    expect(shown(chat.lastMessage).map(({ state }) => state)).toEqual([
      ...['done', 'output-available', 'output-denied', 'output-available', 'done'],
    ])
  })

  it.each(ways)('fail as the tool does, once they are allowed: %s', async (way) => {
    const fails = () => calling(call('c1', 'pay', '{"city":"Nowhere"}'))
    const theirs = await deciding('their own', fails(), [true])
    const { chat } = await deciding(way, fails(), [true])
    expect(chat.messages.map(plain)).toEqual(theirs.chat.messages.map(plain))
    expect(shown(chat.lastMessage)[1]).toMatchObject({ state: 'output-error', hasError: true })
    expect(JSON.stringify(chat.messages)).not.toContain('sk-secret')
  })

  it.each(ways)(
    'are an error of the chat where the answer fails that goes on, and can be sent again: %s',
    async (way) => {
      let fails = true
      const { says, ...rest } = flow()
      const failing: Flow = {
        ...rest,
        says: (prompt) =>
          last(prompt) === 'tool' && fails
            ? [...text('1', 'There '), { type: 'error', error: 'sk-secret' }]
            : says(prompt),
      }
      const told = await deciding(way, failing, [true, false])
      const { chat } = told
      expect(chat.status).toBe('error')
      expect(JSON.stringify([chat.messages, chat.error?.message])).not.toContain('sk-secret')
      expect(chat.messages).toHaveLength(2)
      fails = false
      await chat.sendMessage({ text: 'Again' })
      await settled(told)
      expect(chat.status).toBe('ready')
      expect(chat.messages).toHaveLength(4)
    },
  )
})

describe('the buttons of a page', () => {
  it.each(ways)('ask for the same answer again, which takes the place of the one that was: %s', async (way) => {
    let turn = 0
    const told = await page(way, { says: () => [...text('1', `Answer ${++turn}.`), finish()] })
    await told.chat.sendMessage({ text: 'Hi' })
    await told.chat.regenerate()
    await settled(told)
    expect(told.bodies.map(({ trigger }) => trigger)).toEqual(['submit-message', 'regenerate-message'])
    expect(told.chat.messages.map((message) => shown(message)[0]?.text)).toEqual(['Hi', 'Answer 2.'])
  })
})

/** Without the marks of steps. */
function shown(message: UIMessage | undefined): Record<string, unknown>[] {
  return plain(message).filter(({ type }) => type !== 'step-start')
}

function once(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

function approvalsOf(message: UIMessage | undefined): string[] {
  return (message?.parts ?? []).flatMap((part) =>
    'approval' in part && part.state === 'approval-requested' ? [part.approval.id] : [],
  )
}

describe('a page of a run that is kept', () => {
  /** A server with a log, whose model waits in the middle of what it says until it is let go. */
  async function kept(flow: Flow, waitsAt?: string) {
    const log = createMemoryLog()
    onTestFinished(() => log.close())
    let go = () => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const saved: UIMessage[] = []
    let runId: string | undefined
    const url = await listening(async (req, res) => {
      if (req.method === 'DELETE') {
        if (runId) await log.stop(runId, { owner: 'o' })
        return void res.writeHead(204).end()
      }
      if (req.method === 'GET') {
        return void resume(req, res, { log, owner: 'o', protocol: uiMessage(), ...(runId && { runId }) })
      }
      const chunks: Buffer[] = []
      for await (const chunk of req) chunks.push(chunk)
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Body
      saved.splice(0, saved.length, ...body.messages)
      runId = crypto.randomUUID()
      const source: Source = async function* ({ signal }) {
        for await (const chunk of (await ask(flow, body, signal)).stream) {
          yield chunk
          if (chunk.type === 'tool-input-delta' || waitsAt === chunk.type) await Promise.race([gate, once(signal)])
        }
      }
      const protocol = uiMessage({ originalMessages: body.messages })
      await relay(req, res, source, { log, owner: 'o', runId, protocol, onError() {} })
    })
    /** Another tab, or the same one after a reload: it knows what was sent, and asks for the rest. */
    const open = (messages: UIMessage[] = [], resumeStreamIsReplay = true): Page => ({
      chat: new Chat<UIMessage>({
        id: 'chat',
        messages,
        transport: new DefaultChatTransport({ api: `${url}/api/chat`, resumeStreamIsReplay }),
        sendAutomaticallyWhen: (chat) =>
          lastAssistantMessageIsCompleteWithToolCalls(chat) ||
          lastAssistantMessageIsCompleteWithApprovalResponses(chat),
      }),
      bodies: [],
    })
    return { open, go, saved, stop: () => fetch(`${url}/api/chat/chat`, { method: 'DELETE' }) }
  }
  const amid = ({ chat }: Page) =>
    vi.waitFor(() => expect(chat.lastMessage?.parts.at(-1)).toMatchObject({ state: 'input-streaming' }))
  const asking = () => calling(...pieces('c1', 'pay', ['{"city":', '"Oslo"}']), call('c1', 'pay', '{"city":"Oslo"}'))

  it('is loaded again in the middle of a call, and in a second tab, and shows the message once', async () => {
    const { open, go, saved } = await kept(asking())
    const first = open()
    const sent = first.chat.sendMessage({ text: 'Hi' })
    await amid(first)
    await first.chat.stop()
    const tabs = [open(structuredClone(saved)), open(structuredClone(saved))]
    const read = tabs.map(({ chat }) => chat.resumeStream())
    for (const tab of tabs) await amid(tab)
    go()
    await Promise.all([sent, ...read])
    for (const { chat } of tabs) {
      expect(chat.messages).toHaveLength(2)
      expect(shown(chat.lastMessage)).toMatchObject([{ text: 'Let me see.' }, { state: 'approval-requested' }])
    }
    expect(tabs[0]?.chat.lastMessage?.id).toBe(first.chat.lastMessage?.id)
    // Either may answer.
    const { chat } = tabs[1] as Page
    await chat.addToolApprovalResponse({ id: approvalsOf(chat.lastMessage)[0] as string, approved: true })
    await settled(tabs[1] as Page)
    expect(chat.messages).toHaveLength(2)
    expect(shown(chat.lastMessage)).toMatchObject([
      { text: 'Let me see.' },
      { state: 'output-available', output: 'paid in Oslo' },
      { text: 'There you are.' },
    ])
  })

  it('that is loaded while an approval waits has it from what was saved, and there is nothing to read', async () => {
    const { open, go } = await kept(asking())
    go()
    const first = open()
    await first.chat.sendMessage({ text: 'Hi' })
    const again = open(structuredClone(first.chat.messages))
    await again.chat.resumeStream()
    expect(again.chat.messages).toEqual(first.chat.messages)
    await again.chat.addToolApprovalResponse({ id: approvalsOf(again.chat.lastMessage)[0] as string, approved: false })
    await settled(again)
    expect(again.chat.messages).toHaveLength(2)
    expect(shown(again.chat.lastMessage)[1]).toMatchObject({ state: 'output-denied' })
  })

  it('that is loaded in the middle of an answer that goes on after an approval reads on, where its transport says so', async () => {
    const { open, go, saved } = await kept(calling(call('c1', 'pay', '{"city":"Oslo"}')), 'tool-result')
    const first = open()
    await first.chat.sendMessage({ text: 'Hi' })
    await first.chat.addToolApprovalResponse({ id: approvalsOf(first.chat.lastMessage)[0] as string, approved: true })
    await vi.waitFor(() => expect(first.chat.lastMessage?.parts.at(-1)).toMatchObject({ state: 'output-available' }))
    const again = open(structuredClone(saved), false)
    const read = again.chat.resumeStream()
    await vi.waitFor(() => expect(again.chat.lastMessage?.parts.at(-1)).toMatchObject({ state: 'output-available' }))
    go()
    await read
    await settled(first)
    expect(again.chat.status).toBe('ready')
    expect(again.chat.messages.map(plain)).toEqual(first.chat.messages.map(plain))
    expect(shown(again.chat.lastMessage)).toMatchObject([
      { text: 'Let me see.' },
      { state: 'output-available', output: 'paid in Oslo' },
      { text: 'There you are.' },
    ])
  })

  it('stops in the middle of a call, and sends again', async () => {
    const { open, go, stop } = await kept(asking())
    const page = open()
    const sent = page.chat.sendMessage({ text: 'Hi' })
    await amid(page)
    await stop()
    await page.chat.stop()
    await sent
    go()
    await page.chat.sendMessage({ text: 'Again' })
    expect(page.chat.status).toBe('ready')
    expect(page.chat.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant'])
    expect(new Set(page.chat.messages.map(({ id }) => id)).size).toBe(4)
  })
})
