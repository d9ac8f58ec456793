/** Which lines of an event stream, read strictly, would a client skip in silence? */

/** A line that does not mean what its writer intended. */
export interface Flaw {
  /** From 1. */
  line: number
  /** The offset of the line's beginning, from 0, in the body after any decompression. */
  byte: number
  what: string
}

/** A last block without a blank line after it, which clients discard. */
export interface Unfinished {
  line: number
  byte: number
  text: string
}

const LF = 10
const CR = 13
const FIELDS = ['data', 'event', 'id', 'retry']
/** The most flaws that are reported: more would show nothing new. */
const MAX_FLAWS = 1000

export function checkLines(body: Uint8Array): { flaws: Flaw[]; unfinished?: Unfinished } {
  const flaws: Flaw[] = []
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const lenient = new TextDecoder('utf-8', { ignoreBOM: true })
  let block: { line: number; byte: number; event?: string; data?: string; text: string } | undefined
  let speaksJSON: boolean | undefined

  const endBlock = () => {
    if (!block) return
    const { event, data, ...at } = block
    block = undefined
    if (data === undefined) {
      if (event !== undefined) {
        flaws.push({ line: at.line, byte: at.byte, what: `event "${event}" has no data line, so clients drop it` })
      }
    } else if (event === undefined && data.startsWith('{')) {
      // A `{` alone may be a piece of plain text, but not in a stream that began with JSON.
      const isJSON = parses(data)
      speaksJSON ??= isJSON
      if (speaksJSON && !isJSON) {
        flaws.push({ line: at.line, byte: at.byte, what: `data begins as JSON and is none: ${shorten(data)}` })
      }
    }
  }

  const readLine = (line: number, byte: number, bytes: Uint8Array) => {
    if (bytes.length === 0) return endBlock()
    const flaw = (what: string) => flaws.push({ line, byte, what })
    let text: string
    try {
      text = strict.decode(bytes)
    } catch {
      text = lenient.decode(bytes)
      flaw(`bytes that are no UTF-8: ${shorten(text)}`)
    }
    if (byte === 0) text = text.replace(/^\ufeff/, '')
    if (text === '') return endBlock()
    if (text.startsWith(':')) return
    block ??= { line, byte, text: '' }
    block.text += `${text}\n`
    const colon = text.indexOf(':')
    const field = colon < 0 ? text : text.slice(0, colon)
    const value = colon < 0 ? '' : text.slice(text[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (field === 'data') block.data = block.data === undefined ? value : `${block.data}\n${value}`
    else if (field === 'event') block.event = value
    else if (field === 'id') {
      if (value.includes('\0')) flaw(`an id with NUL, which clients ignore: ${shorten(text)}`)
    } else if (field === 'retry') {
      if (!/^\d+$/.test(value))
        flaw(`a retry that is no number of milliseconds, which clients ignore: ${shorten(text)}`)
    } else flaw(unknown(text, field, block.data !== undefined))
  }

  let line = 1
  let start = 0
  for (let index = 0; index < body.length && flaws.length < MAX_FLAWS; index++) {
    if (body[index] !== LF && body[index] !== CR) continue
    readLine(line++, start, body.subarray(start, index))
    if (body[index] === CR && body[index + 1] === LF) index++
    start = index + 1
  }
  if (start < body.length && flaws.length < MAX_FLAWS) {
    // If the connection was cut, a character may be cut, too.
    const text = lenient.decode(body.subarray(start))
    if (!text.startsWith(':')) {
      block ??= { line, byte: start, text: '' }
      block.text += text
    }
  }
  return { flaws, ...(block && { unfinished: { line: block.line, byte: block.byte, text: block.text } }) }
}

function unknown(text: string, field: string, afterData: boolean): string {
  const known = FIELDS.find(
    (name) =>
      field
        .trim()
        .replace(/^\ufeff/, '')
        .toLowerCase() === name,
  )
  if (known) return `"${printed(field)}" is no field, which clients ignore: write "${known}"`
  const reason = afterData ? ' (a line break inside of the data before it?)' : ''
  return `no field, which clients ignore${reason}: ${shorten(text)}`
}

function parses(data: string): boolean {
  try {
    JSON.parse(data)
    return true
  } catch {
    return false
  }
}

const printed = (text: string) => JSON.stringify(text).slice(1, -1)

function shorten(text: string): string {
  return text.length <= 60 ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, 60))} …`
}
