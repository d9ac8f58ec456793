/** What both ends of a pipe see: colours for people, plain text for programs, and nothing said of a closed pipe. */
import { once } from 'node:events'
import type { WriteStream } from 'node:tty'

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const

export type Paint = Record<keyof typeof CODES, (text: string) => string>

/** Colours if this stream is a terminal and nobody said `NO_COLOR` (no-color.org). */
export function painter(stream: Pick<WriteStream, 'isTTY'>, env: NodeJS.ProcessEnv = process.env): Paint {
  const isPlain = !stream.isTTY || Boolean(env.NO_COLOR) || env.TERM === 'dumb'
  const paint = Object.entries(CODES).map(([name, code]) => [
    name,
    (text: string) => (isPlain ? text : `\u001b[${code}m${text}\u001b[0m`),
  ])
  return Object.fromEntries(paint) as Paint
}

// What a terminal obeys rather than shows: control characters, and those that turn the order of the others around.
const UNSEEN = /(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu

/** A stranger's text, safe to show on a terminal. */
export function printable(text: string): string {
  return text.replace(UNSEEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** What a body says in one line: of a page of HTML its title, or its words without the tags. */
export function asLine(body = ''): string {
  const [, title] = /<title[^>]*>([^<]+)</i.exec(body) ?? []
  const isPage = /^\s*(<!doctype|<html|<head|<body|<h1|<center)/i.test(body)
  const words = isPage
    ? (title ?? body.replace(/<(script|style)[^>]*>.*?(<\/\1>|$)/gis, ' ').replace(/<[^>]*>?/g, ' '))
    : body
  return words.replace(/\s+/g, ' ').trim().slice(0, 200)
}

/**
 * Says nothing where nobody reads the output any more (`| head`, `2>&-`), and goes on for its status. Where it cannot be
 * written, on a full disk for example, what is there is not the answer.
 */
export function bearClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') return
      process.stderr.write(`The output cannot be written: ${error.message}\n`)
      process.exit(2)
    })
  }
}

/** Resolves when the output's reader has taken what it was given; at once where it has. */
export async function roomIn(stream: WriteStream, signal: AbortSignal): Promise<void> {
  if (stream.writableNeedDrain) await once(stream, 'drain', { signal })
}

/**
 * Says on stderr what takes more than a second: on a terminal a line that changes, elsewhere one that stays.
 *
 * @returns ends it, and takes the changing line away.
 */
export function progress(line: () => string): () => void {
  const { stderr } = process
  // One that is wider than the terminal would leave a row behind at each change.
  const show = () =>
    stderr.write(stderr.isTTY ? `\r\u001b[K${line().slice(0, (stderr.columns || 80) - 1)}` : `${line()}\n`)
  let ticking: ReturnType<typeof setInterval> | undefined
  const timer = setTimeout(() => {
    show()
    if (stderr.isTTY) ticking = setInterval(show, 200)
  }, 1000)
  return () => {
    clearTimeout(timer)
    if (ticking) stderr.write('\r\u001b[K')
    clearInterval(ticking)
  }
}

/** `350 ms`, `12.3 s`. */
export function duration(ms: number): string {
  return Math.round(ms) < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}
