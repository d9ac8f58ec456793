/** What `test/package/docs-prelude.ts` promises the samples, for those that are run on a server. */
import Anthropic from '@anthropic-ai/sdk'
import express, { type Express } from 'express'
import OpenAIClient from 'openai'
import type { Source } from 'sse-relay'
import { createMemoryLog } from 'sse-relay/log'
import { tokens } from 'sse-relay/testing'

/** A login that lets everybody in as Ann. */
function login(): Express {
  const app = express()
  app.use(express.json(), (_req, res, next) => {
    res.locals.user = { id: 'ann' }
    next()
  })
  return app
}

export const app = login()
export const anthropic = new Anthropic({ maxRetries: 0 })
export const openai = new OpenAIClient({ maxRetries: 0 })
export const messages = [{ role: 'user' as const, content: 'What is an event stream?' }]
export const chat = { messages }
export const source = () => tokens('Hello there!')
export const ask = (): Source => source
export const log = createMemoryLog()
export const owner = 'ann'
export const model = 'gpt-5.5'
export const shutdown = new AbortController()
export const request = new Request('http://localhost/api/chat', { method: 'POST' })
export const save = async (_fields: object): Promise<void> => {}
