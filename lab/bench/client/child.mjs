// One contender with one input, in a process of its own: what runs beside it in one process changes what the
// compiler makes of both.
import { reading } from './contenders.mjs'
import { grown, inBytes, inStrings, longLine } from './inputs.mjs'

const [kind, name, what, chunks, size] = process.argv.slice(2)

const strings = chunks === 'line' ? longLine(Number(size)) : undefined
const encoder = new TextEncoder()
const input = strings
  ? kind === 'parser'
    ? strings
    : strings.map((text) => encoder.encode(text))
  : (kind === 'parser' ? inStrings : inBytes)(grown(what, Number(size)), chunks)
const run = await reading(kind, name, input)

const tasks = {
  /** Reads it until the compiler is done with it; what came is compared. */
  async warm({ ms }) {
    const until = performance.now() + ms
    let result
    do result = await run()
    while (performance.now() < until)
    return { ...result, bytes: input.reduce((sum, chunk) => sum + chunk.length, 0) }
  },
  /** How many times it is read in so long. */
  async count({ ms }) {
    const before = process.cpuUsage()
    let times = 0
    let used = 0
    do {
      await run()
      times++
      used = cpuSince(before)
    } while (used < ms * 1000)
    return times
  },
  /** The processor time of so many readings, in nanoseconds for each character. */
  async time({ times }) {
    const before = process.cpuUsage()
    for (let time = 0; time < times; time++) await run()
    return cpuSince(before) / times
  },
}

function cpuSince(before) {
  const { user, system } = process.cpuUsage(before)
  return user + system
}

process.on('message', async ({ id, task, ...more }) => {
  try {
    process.send({ id, answer: await tasks[task](more) })
  } catch (error) {
    process.send({ id, failure: String(error?.stack ?? error) })
  }
})
