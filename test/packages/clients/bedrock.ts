/** How does Bedrock's client read a provider that speaks an event stream of text? Each event becomes one of its messages. */
import { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import { parseSSE } from 'sse-relay/client'

interface Request {
  method: string
  path: string
  body?: string | Uint8Array
}

/** A handler of requests for the AWS SDK that asks `url` instead, and encodes what it answers as AWS does. */
export function bedrockHandler(url: string) {
  return {
    async handle({ method, path, body }: Request, { abortSignal }: { abortSignal?: AbortSignal } = {}) {
      // The SDK's signal is any object with `aborted` and `addEventListener`; what it was given is a real one.
      const response = await fetch(url + path, {
        method,
        ...(body && { body: body as BodyInit }),
        ...(abortSignal && { signal: abortSignal }),
      })
      const headers = { 'content-type': response.headers.get('content-type') ?? '' }
      if (!response.ok) {
        return { response: { statusCode: response.status, headers, body: Readable.from([await response.text()]) } }
      }
      return {
        response: {
          statusCode: 200,
          headers: { 'content-type': 'application/vnd.amazon.eventstream' },
          body: Readable.from(messagesOf(response)),
        },
      }
    },
    destroy() {},
    metadata: { handlerProtocol: 'http/1.1' },
    updateHttpClientConfig() {},
    httpHandlerConfigs: () => ({}),
  }
}

async function* messagesOf(response: Response): AsyncGenerator<Buffer> {
  for await (const { event, data } of parseSSE(response, { sentinel: false })) {
    if (event === 'error')
      yield message({ ':message-type': 'exception', ':exception-type': 'modelStreamErrorException' }, data)
    else yield message({ ':message-type': 'event', ':event-type': 'chunk' }, JSON.stringify({ bytes: btoa(data) }))
  }
}

/** One message of AWS's event stream: lengths, headers, payload, and a checksum of each part. */
function message(headers: Record<string, string>, payload: string): Buffer {
  const head = Buffer.concat(
    Object.entries({ ...headers, ':content-type': 'application/json' }).map(([name, value]) =>
      Buffer.concat([
        Buffer.from([name.length]),
        Buffer.from(name),
        Buffer.from([7]),
        uint16(value.length),
        Buffer.from(value),
      ]),
    ),
  )
  const body = Buffer.from(payload)
  const prelude = Buffer.concat([uint32(head.length + body.length + 16), uint32(head.length)])
  const unsigned = Buffer.concat([prelude, uint32(crc32(prelude)), head, body])
  return Buffer.concat([unsigned, uint32(crc32(unsigned))])
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
