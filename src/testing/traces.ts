/** Which streams of providers can be replayed, by name, and how is another one recorded? */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

// The build is one flat file beside the same folder, so this path must stay as it is.
const folder = new URL('./traces/', import.meta.url)

/** What stands in the JSON file beside a recorded trace. */
export interface Recorded {
  status: number
  contentType: string
  /** For each chunk: when it came, in milliseconds after the request, and its length in bytes. */
  chunks: [atMs: number, bytes: number][]
  /** How the answer ended: at its end, broken, or left by the client. */
  end: 'end' | 'reset' | 'left'
}

/** The names of the provider wire traces, `anthropic-text.sse` for example. */
export function traceNames(): string[] {
  return readdirSync(folder).sort()
}

/**
 * The bytes of a trace, as the provider sends them.
 *
 * @param trace A name among {@link traceNames}, or the path of a file.
 * @throws {RangeError} If there is neither.
 */
export function readTrace(trace: string): Buffer {
  const names = traceNames()
  if (names.includes(trace)) return readFileSync(new URL(trace, folder))
  if (existsSync(trace)) return readFileSync(trace)
  throw new RangeError(`There is no trace "${trace}": take one of ${names.join(', ')}, or give the path of a file`)
}

/** What was recorded beside a trace; undefined for a trace that has no such file. */
export function readRecorded(trace: string): Recorded | undefined {
  const beside = `${trace}.json`
  if (traceNames().includes(trace) || !existsSync(beside)) return
  return JSON.parse(readFileSync(beside, 'utf8')) as Recorded
}

/** Records an answer: its bytes, and when each chunk came. Nothing of the request is in it. */
export class Recording {
  readonly #started = performance.now()
  readonly #chunks: Uint8Array[] = []
  readonly #times: Recorded['chunks'] = []

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#times.push([Math.round(performance.now() - this.#started), chunk.byteLength])
  }

  /** Writes the bytes to `path`, and the rest to `path` with `.json` after it. */
  async save(path: string, told: Omit<Recorded, 'chunks'>): Promise<void> {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, Buffer.concat(this.#chunks))
    await writeFile(`${path}.json`, `${JSON.stringify({ ...told, chunks: this.#times })}\n`)
  }
}
