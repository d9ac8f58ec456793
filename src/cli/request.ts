/** The request that `doctor` and `tail` send, as `curl` would be told. */
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { type Options, UsageError, type Values } from './arguments.js'

export interface CliRequest {
  url: URL
  method: string
  /** By their lower-case names. */
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
} as const satisfies Options

/** @throws {UsageError} for what cannot be sent. */
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
    headers[name.toLowerCase()] = (value as string).trim()
  }
  const method = (request ?? (data === undefined ? 'GET' : 'POST')).toUpperCase()
  if (!/^[A-Z]+$/.test(method)) throw new UsageError(`"${request}" is no method: write GET or POST, for example`)
  if (data !== undefined && (method === 'GET' || method === 'HEAD')) {
    throw new UsageError(`A ${method} has no body: leave out -X ${method}, or -d`)
  }
  const url = toURL(address)
  if (url.username || url.password) {
    const pair = [url.username, url.password].map(unescaped).join(':')
    headers.authorization ??= `Basic ${Buffer.from(pair).toString('base64')}`
    // Not to be shown with the address.
    url.username = url.password = ''
  }
  const body = data === undefined ? undefined : await readBody(data)
  return { url, method, headers, ...(body !== undefined && { body }) }
}

/** A name or a password as it stands in an address; a `%` that begins no escape is meant as it is. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** `localhost:3000/api` is meant as http, `your.app/api` as https. */
function toURL(address: string): URL {
  const isLocal = /^(localhost|127\.|\[?::1)/.test(address)
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(address) ? address : `${isLocal ? 'http' : 'https'}://${address}`
  if (!URL.canParse(url)) throw new UsageError(`"${address}" is no address: write https://your.app/api/chat`)
  const parsed = new URL(url)
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
    throw new UsageError(`"${address}" is not asked over HTTP: write an address with http: or https:`)
  }
  return parsed
}

async function readBody(data: string): Promise<string> {
  if (!data.startsWith('@')) return data
  const file = data.slice(1)
  if (file === '-') return text(process.stdin)
  return readFile(file, 'utf8').catch((error: Error) => {
    throw new UsageError(`The body cannot be read from ${file}: ${error.message}`)
  })
}
