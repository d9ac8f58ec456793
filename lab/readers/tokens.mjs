// What every run says: its own number, so that a token that strays is seen.
export const TOKEN_MS = 1000

export const runIdOf = (round, run) => `readers-${round}-run-${String(run).padStart(6, '0')}`

export const textOf = (run, index) => `${run}.${index} `

/** The whole answer, as a reader from the beginning gets it. */
export function answerOf(round, run, count) {
  const runId = runIdOf(round, run)
  let answer = ''
  for (let index = 0; index < count; index++) {
    answer += `id: ${runId}:${index + 1}\ndata: ${JSON.stringify({ text: textOf(run, index) })}\n\n`
  }
  return `${answer}id: ${runId}:${count + 1}\ndata: [DONE]\n\n`
}
