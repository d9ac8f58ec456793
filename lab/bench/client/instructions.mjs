// Instructions instead of time: the same on a busy machine. Run under callgrind, a program counts everything, its own
// start included; what twice as many rounds add is what the rounds cost.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const ROUNDS = 200

export async function hasCallgrind() {
  return run('valgrind', ['--version']).then(
    () => true,
    () => false,
  )
}

/** For each character read or written, once the compiler is done. */
export async function instructions(kind, name, what) {
  const [once, twice] = await Promise.all([total(kind, name, what, ROUNDS), total(kind, name, what, 2 * ROUNDS)])
  return (twice.instructions - once.instructions) / once.characters
}

async function total(kind, name, what, rounds) {
  const program = fileURLToPath(new URL('./rounds.mjs', import.meta.url))
  const { stdout, stderr } = await run(
    'valgrind',
    [
      '--tool=callgrind',
      '--callgrind-out-file=/dev/null',
      // The compiler writes code while it runs.
      '--smc-check=all-non-file',
      process.execPath,
      // No second thread that compiles or collects at times of its own.
      '--single-threaded',
      '--predictable-gc-schedule',
      program,
      kind,
      name,
      what,
      String(rounds),
    ],
    { timeout: 600_000, maxBuffer: 1 << 24 },
  )
  const instructions = Number(/refs:\s+([\d,]+)/.exec(stderr)?.[1].replaceAll(',', ''))
  return { instructions, characters: Number(stdout) }
}
