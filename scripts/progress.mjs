// What a long script shows while it runs: one line that is rewritten on a terminal, and elsewhere a line now and then.
const EVERY_MS = process.stdout.isTTY ? 250 : 10_000

let last = 0
let shown = false

/** Shows the line, unless one was shown a moment ago. */
export function progress(text) {
  const now = performance.now()
  if (now - last < EVERY_MS) return
  last = now
  if (!process.stdout.isTTY) {
    console.log(text)
    return
  }
  process.stdout.write(`\r\x1b[K${text.slice(0, process.stdout.columns - 1)}`)
  shown = true
}

/** Prints a line that stays. */
export function print(text = '') {
  if (shown) process.stdout.write('\r\x1b[K')
  shown = false
  last = performance.now()
  console.log(text)
}
