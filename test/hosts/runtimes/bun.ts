import { handle, onUnhandled } from './server.js'

declare const Bun: {
  serve(options: { port: number; hostname: string; fetch(request: Request): Promise<Response> }): { port: number }
}

process.on('unhandledRejection', onUnhandled)
const { port } = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => handle(request) })
console.log(`127.0.0.1:${port}`)
