// The program under callgrind: parser or encoder, so many rounds over 16 KB; prints the characters of all rounds.
import { encodeEvent } from 'sse-relay'
import { reading } from './contenders.mjs'
import { grown, inStrings } from './inputs.mjs'

const [kind, name, what, rounds] = process.argv.slice(2)
const text = grown(what, 16_384)

const encoders = {
  'sse-relay': (data) => encodeEvent({ data }),
  'hand-written': (data) => `data: ${data}\n\n`,
}

let characters = 0
if (kind === 'parser') {
  const run = await reading('parser', name, inStrings(text, 'one event'))
  for (let round = 0; round < Number(rounds); round++) run()
  characters = text.length * Number(rounds)
} else {
  const encode = encoders[name]
  const payloads = text
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => line.slice(6))
  for (let round = 0; round < Number(rounds); round++) {
    for (const payload of payloads) characters += encode(payload).length
  }
}
process.stdout.write(String(characters))
