// The app under test: two chats, of two providers. Where they are is said by whoever starts it, as their SDKs take it.
import Anthropic from '@anthropic-ai/sdk'
import express from 'express'
import OpenAI from 'openai'
import { relay } from 'sse-relay/express'

export function createApp({ anthropicURL, openaiURL }) {
  const anthropic = new Anthropic({ apiKey: 'test', baseURL: anthropicURL, maxRetries: 0 })
  const openai = new OpenAI({ apiKey: 'test', baseURL: openaiURL, maxRetries: 0 })
  const app = express()
  // What a test provokes is no news.
  const options = { onError() {} }

  app.post('/api/claude', express.json(), (req, res) =>
    relay(
      req,
      res,
      ({ signal }) =>
        anthropic.messages.create(
          { model: 'claude-sonnet-5-5', max_tokens: 1024, messages: req.body.messages, stream: true },
          { signal },
        ),
      options,
    ),
  )
  app.post('/api/gpt', express.json(), (req, res) =>
    relay(
      req,
      res,
      ({ signal }) =>
        openai.chat.completions.create({ model: 'gpt-5.5', messages: req.body.messages, stream: true }, { signal }),
      options,
    ),
  )
  return app
}
