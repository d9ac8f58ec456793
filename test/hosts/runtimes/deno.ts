import { handle, onUnhandled } from './server.js'

interface Options {
  port: number
  hostname: string
  onListen(address: { port: number }): void
}
declare const Deno: { serve(options: Options, fetch: (request: Request) => Promise<Response>): void }

globalThis.addEventListener('unhandledrejection', (event) => {
  event.preventDefault()
  onUnhandled(event.reason)
})
Deno.serve({ port: 0, hostname: '127.0.0.1', onListen: ({ port }) => console.log(`127.0.0.1:${port}`) }, (request) =>
  handle(request),
)
