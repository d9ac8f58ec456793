/** Which request do `doctor` and `tail` send, with options like curl's, and why could it not be sent? */
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { type Options, UsageError, type Values } from './arguments.js'

export interface CliRequest {
  url: URL
  method: string
  /** By lower-case name. */
  headers: Record<string, string>
  body?: string
}

export const REQUEST_OPTIONS = {
  request: { type: 'string', short: 'X', value: 'METHOD', help: 'the method; GET unless there is a body, then POST' },
  data: {
    type: 'string',
    short: 'd',
    value: 'BODY',
    help: 'the body; @file reads one, @- the standard input. Sent as application/json unless -H says otherwise',
  },
  header: { type: 'string', short: 'H', multiple: true, value: "'NAME: VALUE'", help: 'a header; may be repeated' },
  insecure: { type: 'boolean', short: 'k', help: 'take any certificate' },
} as const satisfies Options

/** Headers that follow from the connection and the body. */
const OF_THE_CONNECTION =
  /^(connection|content-length|expect|http2-settings|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/i

/** @throws {UsageError} for a request that cannot be sent. */
export async function toRequest(
  words: string[],
  { request, data, header = [] }: Values<typeof REQUEST_OPTIONS>,
): Promise<CliRequest> {
  const [address, ...more] = words
  if (address === undefined) throw new UsageError('The address is missing: https://your.app/api/chat, for example')
  if (more.length > 0) {
    throw new UsageError(`One address at a time, and not also ${more.map((word) => `"${word}"`).join(' ')}: quote it?`)
  }
  const headers: Record<string, string> = { accept: 'text/event-stream', 'user-agent': 'sse-relay-cli' }
  if (data !== undefined) headers['content-type'] = 'application/json'
  for (const line of header) {
    const [, name, value] = /^([!#$%&'*+.^`|~\w-]+):\s*([^\r\n\0]*)$/.exec(line) ?? []
    if (!name) throw new UsageError(`"${line}" is no header: write 'name: value'`)
    if (OF_THE_CONNECTION.test(name)) {
      throw new UsageError(`"${line}" is not to be chosen, it follows from the connection and the body: leave it out`)
    }
    // A header is bytes, and these characters have no single form in bytes.
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value as string)) {
      throw new UsageError(
        `"${line}" cannot be sent: a header has the characters up to U+00FF, and no control characters`,
      )
    }
    headers[name.toLowerCase()] = (value as string).trim()
  }
  const method = (request ?? (data === undefined ? 'GET' : 'POST')).toUpperCase()
  // `fetch` refuses the last three, and an answer to `HEAD` has no stream.
  if (!/^(?!(HEAD|CONNECT|TRACE|TRACK)$)[A-Z]+$/.test(method)) {
    throw new UsageError(`"${request}" is no method that a stream answers: write GET or POST, for example`)
  }
  if (data !== undefined && method === 'GET') {
    throw new UsageError(`A ${method} has no body: leave out -X ${method}, or -d`)
  }
  const url = toURL(address)
  if (url.username || url.password) {
    const pair = [url.username, url.password].map(unescaped).join(':')
    headers.authorization ??= `Basic ${Buffer.from(pair).toString('base64')}`
    // They must not be shown with the address.
    url.username = url.password = ''
  }
  const body = data === undefined ? undefined : await readBody(data)
  return { url, method, headers, ...(body !== undefined && { body }) }
}

/** A name or a password from an address. A `%` that begins no escape stands for itself. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The names of this machine. */
const LOCAL = /^(([\w-]+\.)*localhost|127(\.\d+){3}|0\.0\.0\.0|\[::1?\])([:/?#]|$)/i

/** `localhost:3000/api` means http, `your.app/api` means https. */
function toURL(address: string): URL {
  const url = /^[a-z][a-z0-9+.-]*:(\/|[^@\d]*$)/i.test(address)
    ? address
    : `${LOCAL.test(address) ? 'http' : 'https'}://${address}`
  // A path alone would be taken for a host.
  const isPath = /^[/.]/.test(address)
  if (isPath || !URL.canParse(url)) throw new UsageError(`"${address}" is no address: write https://your.app/api/chat`)
  const parsed = new URL(url)
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
    throw new UsageError(`"${address}" is not asked over HTTP: write an address with http: or https:`)
  }
  return parsed
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the host’s name cannot be looked up now',
  ECONNRESET: 'the connection was closed before an answer came',
  UND_ERR_SOCKET: 'the connection was closed',
  ETIMEDOUT: 'the host does not answer',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed; -k takes it all the same',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is self-signed; -k takes it all the same',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate cannot be verified; -k takes it all the same',
  CERT_HAS_EXPIRED: 'its certificate has expired; -k takes it all the same',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host; -k takes it all the same',
  EPROTO: 'it does not speak TLS there; is it http: rather than https:?',
}

/** The reason why a server could not be asked, in words. */
export function explain(error: NodeJS.ErrnoException): string {
  const { code = '', message } = error
  const [first] = (error as unknown as AggregateError).errors ?? []
  if (first && !message) return explain(first as NodeJS.ErrnoException)
  const reason =
    REASONS[code] ?? (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/.test(code) ? REASONS.EPROTO : undefined)
  return reason ? `${reason} (${code})` : message
}

async function readBody(data: string): Promise<string> {
  if (!data.startsWith('@')) return data
  const file = data.slice(1)
  if (file === '-') return text(process.stdin)
  return readFile(file, 'utf8').catch((error: Error) => {
    throw new UsageError(`The body cannot be read from ${file}: ${error.message}`)
  })
}
