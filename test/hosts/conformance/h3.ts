import { H3, type H3Event, serve } from 'h3'
import type { RelayOptions, Source } from 'sse-relay'
import type { AdapterHost } from 'sse-relay/testing'
import { relay as relayWeb } from 'sse-relay/web'

/** The adapter, made after docs/adapter.md: h3 has a Web `Request` and takes a `Response`. */
export async function relay(event: H3Event, source: Source, options?: RelayOptions): Promise<Response> {
  const response = await relayWeb(event.req, source, options)
  const { headers, errHeaders } = event.res
  headers.delete('content-length')
  // h3 keeps a second set for errors, which CORS has filled already.
  if (response.status >= 400) {
    for (const [name, value] of headers) {
      if (name === 'set-cookie') errHeaders.append(name, value)
      else errHeaders.set(name, value)
    }
  }
  return response
}

export const h3: AdapterHost = {
  returns: 'response',
  async listen({ headers, answer }) {
    const app = new H3()
    app.all('/', (event) => {
      for (const [name, value] of headers) event.res.headers.append(name, value)
      return answer(
        (source, options) => relay(event, source, options),
        () => event.req.text(),
      )
    })
    const server = serve(app, { port: 0, hostname: '127.0.0.1', silent: true })
    await server.ready()
    return { url: server.url as string, close: () => server.close(true) }
  },
}
