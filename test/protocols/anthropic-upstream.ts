// An upstream that speaks Anthropic's language, and a source that asks it with the official client.
import Anthropic from '@anthropic-ai/sdk'
import type { Source } from 'sse-relay'
import type { replayUpstream } from 'sse-relay/testing'
import { replaying } from '../serving.js'

export async function anthropicUpstream(...replay: Parameters<typeof replayUpstream>) {
  const upstream = await replaying(...replay)
  const anthropic = new Anthropic({ apiKey: 'test', baseURL: upstream.url, maxRetries: 0 })
  const messages = [{ role: 'user' as const, content: 'Hello?' }]
  const source: Source = ({ signal }) =>
    anthropic.messages.create({ model: 'any', max_tokens: 64, messages, stream: true }, { signal })
  return { upstream, source }
}
