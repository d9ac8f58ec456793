// Which model answers, and what it is asked: the one place that knows a provider.
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'

const openai = process.env.OPENAI_API_KEY ? new OpenAI() : undefined
const anthropic = openai ? undefined : new Anthropic()

/** Asks OpenAI if there is a key for it, Anthropic otherwise. What reasoning and tool calls they stream is relayed too. */
export function ask(uiMessages, signal) {
  const messages = toMessages(uiMessages)
  return openai
    ? openai.chat.completions.create(
        { model: 'gpt-5.5', messages, stream: true, stream_options: { include_usage: true } },
        { signal },
      )
    : anthropic.messages.create({ model: 'claude-sonnet-5-5', max_tokens: 1024, messages, stream: true }, { signal })
}

/** The messages of `useChat` as both providers take them: their text, without answers that never came to any. */
function toMessages(uiMessages) {
  return uiMessages
    .map(({ role, parts }) => ({
      role,
      content: parts.map(({ type, text }) => (type === 'text' ? text : '')).join(''),
    }))
    .filter(({ content }) => content !== '')
}
