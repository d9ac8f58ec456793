/** What do both ends of a pipe see: colours for people, plain text for programs, and no report of a closed pipe? */
import { once } from 'node:events'
import type { WriteStream } from 'node:tty'

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const

export type Paint = Record<keyof typeof CODES, (text: string) => string>

/** Colours, if the stream is a terminal and `NO_COLOR` (no-color.org) is not set. */
export function painter(stream: Pick<WriteStream, 'isTTY'>, env: NodeJS.ProcessEnv = process.env): Paint {
  const isPlain = !stream.isTTY || Boolean(env.NO_COLOR) || env.TERM === 'dumb'
  const paint = Object.entries(CODES).map(([name, code]) => [
    name,
    (text: string) => (isPlain ? text : `\u001b[${code}m${text}\u001b[0m`),
  ])
  return Object.fromEntries(paint) as Paint
}

// Characters that a terminal obeys instead of showing: control characters, and those that reverse the order of others.
const UNSEEN = /(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu

/** A stranger's text, safe to show on a terminal. */
export function printable(text: string): string {
  return text.replace(UNSEEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A body's words in one line; for an HTML page its title, or its words without the tags. */
export function asLine(body = ''): string {
  const [, title] = /<title[^>]*>([^<]+)</i.exec(body) ?? []
  const isPage = /^\s*(<!doctype|<html|<head|<body|<h1|<center)/i.test(body)
  const words = isPage
    ? (title ?? body.replace(/<(script|style)[^>]*>.*?(<\/\1>|$)/gis, ' ').replace(/<[^>]*>?/g, ' '))
    : body
  return words.replace(/\s+/g, ' ').trim().slice(0, 200)
}

/**
 * Ignores an output that nobody reads any more (`| head`, `2>&-`): the command goes on, for its exit status. If the
 * output cannot be written, for example on a full disk, the command ends with 2, since what was written is not the
 * answer.
 */
export function ignoreClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') return
      process.stderr.write(`The output cannot be written: ${error.message}\n`)
      process.exit(2)
    })
  }
}

/** Resolves when the output's reader has taken everything, at once if it already has. */
export async function roomIn(stream: WriteStream, signal: AbortSignal): Promise<void> {
  if (stream.writableNeedDrain) await once(stream, 'drain', { signal })
}

/**
 * Shows on stderr what takes more than a second: a changing line on a terminal, a permanent line elsewhere.
 *
 * @returns ends it, and removes the changing line.
 */
export function progress(line: () => string): () => void {
  const { stderr } = process
  // A line wider than the terminal would leave a row behind at each change.
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
