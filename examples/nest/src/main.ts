// NestJS on Express: a chat whose answers come from Anthropic, token by token.
// Start it with ANTHROPIC_API_KEY=… npm start
import 'reflect-metadata'
import { Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import type { NestExpressApplication } from '@nestjs/platform-express'
import { ChatController } from './chat.controller.js'

@Module({ controllers: [ChatController] })
class AppModule {}

const app = await NestFactory.create<NestExpressApplication>(AppModule)
// Long chats grow; the default is 100 kB.
app.useBodyParser('json', { limit: '1mb' })
app.enableShutdownHooks()
await app.listen(process.env.PORT ?? 3000)
console.log(`Listening on http://localhost:${new URL(await app.getUrl()).port}`)
