import { handle, onUnhandled } from './server.js'

globalThis.addEventListener('unhandledrejection', (event) => onUnhandled(event.reason))

export default {
  fetch: (request: Request, _env: unknown, context: Parameters<typeof handle>[1]) => handle(request, context),
}
