/** Does what a package streams arrive in the clients people have: through Express, with its text, calls and counts? */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { AbstractChat, type ChatState, DefaultChatTransport, getToolName, isToolUIPart, type UIMessage } from 'ai'
import express from 'express'
import OpenAI from 'openai'
import type { Source, Summary, Usage } from 'sse-relay'
import { readParts, readText } from 'sse-relay/client'
import { relay } from 'sse-relay/express'
import { openaiChat, parts, uiMessage } from 'sse-relay/protocols'

/** What a client was told. */
export interface Told {
  text: string
  calls: { id?: string | undefined; name?: string | undefined; input: unknown }[]
  /** Of text() nothing but the text goes out. */
  usage?: Usage | undefined
  finish?: string | null | undefined
}

export const CLIENTS = { 'readText()': asText, 'readParts()': asParts, useChat: asMessage, 'the openai client': asChat }

/** An app with a route for each protocol, all of the same source. */
export async function appOf(source: () => Source): Promise<{ url: string; summary: Promise<Summary>; close(): void }> {
  const app = express()
  let ended: (summary: Summary) => void
  const summary = new Promise<Summary>((resolve) => {
    ended = resolve
  })
  const routes = {
    '/text': undefined,
    '/parts': parts(),
    '/message': uiMessage(),
    '/v1/chat/completions': openaiChat({ usage: true }),
  }
  for (const [path, protocol] of Object.entries(routes)) {
    app.post(path, express.json(), (req, res) =>
      relay(req, res, source(), { onError() {}, onEnd: (summary) => ended(summary), ...(protocol && { protocol }) }),
    )
  }
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, summary, close: () => void server.close().closeAllConnections() }
}

async function asText(url: string): Promise<Told> {
  let text = ''
  for await (const piece of readText(await fetch(`${url}/text`, { method: 'POST' }))) text += piece
  return { text, calls: [] }
}

async function asParts(url: string): Promise<Told> {
  const told: Told = { text: '', calls: [] }
  const inputs: string[] = []
  for await (const part of readParts(await fetch(`${url}/parts`, { method: 'POST' }))) {
    if (part.type === 'text') told.text += part.text
    else if (part.type === 'usage') told.usage = { ...told.usage, ...part.usage }
    else if (part.type === 'finish') told.finish = part.reason
    else if (part.type === 'tool-call') {
      const { index, id, name, input, replaces } = part
      inputs[index] = replaces ? input : (inputs[index] ?? '') + input
      if (name !== undefined) told.calls[index] = { id, name, input: undefined }
    }
  }
  told.calls.forEach((call, index) => {
    call.input = JSON.parse(inputs[index] || '{}')
  })
  // Numbers are unique in a run; some are those of the provider's blocks.
  return { ...told, calls: told.calls.filter(Boolean) }
}

/** The state that `useChat` keeps in React. */
class State implements ChatState<UIMessage> {
  status: ChatState<UIMessage>['status'] = 'ready'
  error: Error | undefined
  messages: UIMessage[] = []
  pushMessage = (message: UIMessage) => void this.messages.push(message)
  popMessage = () => void this.messages.pop()
  replaceMessage = (index: number, message: UIMessage) => {
    this.messages[index] = message
  }
  snapshot = structuredClone
}

class Chat extends AbstractChat<UIMessage> {}

async function asMessage(url: string): Promise<Told> {
  const transport = new DefaultChatTransport<UIMessage>({ api: `${url}/message` })
  const chat = new Chat({ state: new State(), transport })
  await chat.sendMessage({ text: 'Hi' })
  if (chat.error) throw chat.error
  const told: Told = { text: '', calls: [] }
  const { metadata, parts } = chat.lastMessage as UIMessage
  for (const part of parts) {
    // Each is shown by itself.
    if (part.type === 'text') told.text += ` ${part.text}`
    else if (isToolUIPart(part)) told.calls.push({ id: part.toolCallId, name: getToolName(part), input: part.input })
  }
  return { ...told, usage: (metadata as { usage?: Usage } | undefined)?.usage }
}

async function asChat(url: string): Promise<Told> {
  const client = new OpenAI({ apiKey: 'test', baseURL: `${url}/v1`, maxRetries: 0 })
  const stream = client.chat.completions.stream({
    model: 'any',
    messages: [{ role: 'user', content: 'Hi' }],
    stream_options: { include_usage: true },
  })
  const { choices, usage } = await stream.finalChatCompletion()
  const [choice] = choices
  const calls = (choice?.message.tool_calls ?? []).map((call) => {
    if (call.type !== 'function') throw new Error('Only functions are called')
    return { id: call.id, name: call.function.name, input: JSON.parse(call.function.arguments) as unknown }
  })
  return {
    text: choice?.message.content ?? '',
    calls,
    finish: choice?.finish_reason,
    ...(usage && {
      usage: {
        inputTokens: usage.prompt_tokens,
        outputTokens: usage.completion_tokens,
        ...(usage.prompt_tokens_details && { cachedInputTokens: usage.prompt_tokens_details.cached_tokens }),
        ...(usage.completion_tokens_details && { reasoningTokens: usage.completion_tokens_details.reasoning_tokens }),
      },
    }),
  }
}
