import Anthropic from '@anthropic-ai/sdk'
import { type BeforeApplicationShutdown, Body, Controller, Post, Req, Res } from '@nestjs/common'
import type { Request, Response } from 'express'
import { relay } from 'sse-relay/node'

@Controller('api/chat')
export class ChatController implements BeforeApplicationShutdown {
  readonly #anthropic = new Anthropic()
  readonly #shutdown = new AbortController()

  // With @Res() Nest leaves the response to the relay, and what is returned alone. From sse-relay/node rather than
  // /express, so that what `onError` throws rejects here and reaches Nest's exception filters.
  @Post()
  chat(@Body() body: { messages: Anthropic.MessageParam[] }, @Req() req: Request, @Res() res: Response) {
    const { messages } = body
    return relay(
      req,
      res,
      ({ signal }) =>
        this.#anthropic.messages.create(
          { model: 'claude-sonnet-5-5', max_tokens: 1024, messages, stream: true },
          { signal },
        ),
      { shutdown: this.#shutdown.signal },
    )
  }

  // Nest waits until every open answer has ended, however long a model takes: so end them.
  beforeApplicationShutdown() {
    this.#shutdown.abort()
  }
}
