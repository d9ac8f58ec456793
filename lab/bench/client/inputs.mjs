// What is read: traces of the providers and of plain text, repeated to size and cut in ways that occur.
import { readFileSync } from 'node:fs'
import { DONE } from 'sse-relay'

const trace = (name) =>
  readFileSync(new URL(`../../../src/testing/traces/${name}.sse`, import.meta.url), 'utf8').replace(
    `data: ${DONE}\n\n`,
    '',
  )

const LATIN = 'The quick brown fox, naïve and honest, jumps over 13 lazy dogs; then it rests under the old oak. '
const MIXED = 'Die Straße heißt „Grün“. 日本語の文章です。 Привет, мир! 🚀 And some plain words, as there always are. '

/** What `text()` makes of a text, word by word. */
const frames = (text) =>
  text
    .match(/\s*\S+/g)
    .map((word) => `data: ${JSON.stringify({ text: word })}\n\n`)
    .join('')

const SOURCES = {
  OpenAI: () => trace('openai-chat-text'),
  Anthropic: () => trace('anthropic-text'),
  'plain text': () => frames(LATIN),
  'mixed scripts': () => frames(MIXED),
  'event ids': () => frames(LATIN).replaceAll('data:', 'id: 0123456789abcdef:1000\ndata:'),
  CRLF: () => frames(LATIN).replaceAll('\n', '\r\n'),
}

/** The three that the targets are about, and what else occurs. */
export const TARGETED = ['OpenAI', 'Anthropic', 'plain text']
export const OTHERS = ['mixed scripts', 'event ids', 'CRLF']

export const CHUNKS = ['64 KB', '1400 B', 'one event', '16 B']

const encoder = new TextEncoder()

/** A trace of about so many characters, in whole events. */
export function grown(name, size) {
  const once = SOURCES[name]()
  return once.repeat(Math.ceil(size / once.length))
}

/** In chunks of bytes. */
export function inBytes(text, chunks) {
  if (chunks === 'one event') return text.split(/(?<=(?:\r?\n){2})/).map((event) => encoder.encode(event))
  const length = chunks === '64 KB' ? 65_536 : Number.parseInt(chunks, 10)
  const bytes = encoder.encode(text)
  return Array.from({ length: Math.ceil(bytes.length / length) }, (_, at) =>
    bytes.slice(at * length, (at + 1) * length),
  )
}

/** The same in strings, each made by a decoder, as they come from the network. */
export function inStrings(text, chunks) {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  return inBytes(text, chunks).map((bytes) => decoder.decode(bytes, { stream: true }))
}

/** One data line of so many characters, in chunks of 64. */
export function longLine(size) {
  return ['data: ', ...Array.from({ length: size / 64 }, (_, at) => String(at % 10).repeat(64)), '\n\n']
}
