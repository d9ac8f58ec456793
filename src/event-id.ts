/** How are runs and their events named, and where does one event end and the next begin? */

const RUN_ID = /^[A-Za-z0-9_-]{16,128}$/
const LF = 10
const EVENT_ID = /^([A-Za-z0-9_-]{16,128}):(\d{1,15}|end)$/

/** The id of an event of a run. */
export interface EventId {
  runId: string
  /** From 1. 0 is the position before the first event; `end` marks an ending that is not an event of the run. */
  seq: number | 'end'
}

export function isRunId(value: unknown): value is string {
  return typeof value === 'string' && RUN_ID.test(value)
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const ID_LENGTH = 22
/** Random digits for 64 ids. Asking for those of one id took a tenth of the time of a request with a short answer. */
let digits = new Uint8Array()

/** 22 random characters, 132 bits: with a log each event repeats the id, so it is kept short. */
export function newRunId(): string {
  if (digits.length === 0) {
    digits = crypto.getRandomValues(new Uint8Array(64 * ID_LENGTH)).map((byte) => DIGITS.charCodeAt(byte & 63))
  }
  // In one call: V8 keeps a string that was built piece by piece as its pieces, ten times its size.
  const id = String.fromCharCode(...digits.subarray(0, ID_LENGTH))
  digits = digits.subarray(ID_LENGTH)
  return id
}

/** The run and the number in an event id; `undefined` if it is not an id of this library. */
export function parseEventId(text: string | undefined): EventId | undefined {
  const [, runId, seq] = EVENT_ID.exec(text ?? '') ?? []
  return runId === undefined ? undefined : { runId, seq: seq === 'end' ? seq : Number(seq) }
}

/** What the `id` line of each event of a run begins with. */
export function idPrefix(runId: string): string {
  return `id: ${runId}:`
}

/** The `id` line of one event. */
export function idLine(runId: string, seq: EventId['seq']): string {
  return `${idPrefix(runId)}${seq}\n`
}

/** The frames, with the id `<runId>:end` on the last one: it says that nothing follows. */
export function markEnd(frames: string, runId: string): string {
  const before = frames.lastIndexOf('\n\n', frames.length - 3)
  const from = before === -1 ? 0 : before + 2
  return frames.slice(0, from) + idLine(runId, 'end') + frames.slice(from)
}

/** How many events are in a text of whole frames. Each ends with a blank line, and has none inside. */
export function countFrames(frames: string): number {
  let count = 0
  for (let end = frames.indexOf('\n\n'); end !== -1; end = frames.indexOf('\n\n', end + 2)) count++
  return count
}

/** Whether the last event has its blank line. `endsWith` took some 160 instructions a token, counted by callgrind. */
export function isWhole(frames: string): boolean {
  return frames.charCodeAt(frames.length - 1) === LF && frames.charCodeAt(frames.length - 2) === LF
}

/** Gives each of `count` events its id, from the number `first` on. What follows the last blank line is left out. */
export function numberFrames(frames: string, count: number, prefix: string, first: number): string {
  if (count === 1 && isWhole(frames)) {
    // V8 copies a text as short as the number, and joins longer ones. In the bench row `relay + log, 20 a tick` one
    // join less saved a sixth of the time.
    const number = `${first}\n`
    return `${prefix}${number}${frames}`
  }
  let numbered = ''
  let from = 0
  for (let seq = first; seq < first + count; seq++) {
    const end = frames.indexOf('\n\n', from) + 2
    const number = `${seq}\n`
    numbered += `${prefix}${number}${frames.slice(from, end)}`
    from = end
  }
  return numbered
}

/** The events after the number `seq`. The numbered frames must hold the event with the next number. */
export function framesAfter(frames: string, prefix: string, seq: number): string {
  // A blank line ends an event: nothing inside an event can look like this.
  return frames.slice(frames.indexOf(`\n\n${prefix}${seq + 1}\n`) + 2)
}
