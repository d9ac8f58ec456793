// A client: asks and reads on over whatever happens, and looks whether every token comes once and in order.
import { fetchSSE } from 'sse-relay/client'

/** How often the whole question is asked again because there is no such run, or because it was lost. */
const MAX_AGAIN = 8

/** Asks a question under its run's id. */
export function askRun(run, url, limitMs) {
  const { runId, owner, prompt, hold, order } = run.plan
  return read(run, limitMs, () => ({
    url: `${url}/runs`,
    // Once: the answer of that one is to be lost.
    headers: { 'x-user': owner, 'x-order': order, ...(hold && !run.wasHeld && { 'x-hold': hold.point }) },
    method: 'POST',
    body: prompt,
    runId,
    resumeUrl: `${url}/runs`,
  }))
}

/** Asks a process for the end of a run, whose readers read on until they are told. */
export async function stopRun(run, url) {
  const { runId, owner } = run.plan
  const response = await fetch(`${url}/runs/${runId}`, { method: 'DELETE', headers: { 'x-user': owner } })
  if (response.ok) run.stopAnsweredAt = performance.now()
}

/** Reads along from the first event. */
export function followRun(run, url, limitMs) {
  const { runId, owner } = run.plan
  const headers = { 'x-user': owner, 'last-event-id': `${runId}:0` }
  return read(run, limitMs, () => ({ url: `${url}/runs`, headers, runId, resumeUrl: `${url}/runs` }))
}

async function read(run, limitMs, requestOf) {
  const { runId, tokens } = run.plan
  const reading = {
    outcome: undefined,
    answers: 0,
    received: 0,
    mistakes: [],
    notFound: 0,
    lost: 0,
    /** When it was first told that the run is lost, and when the answer had begun in which it was told. */
    lostAt: undefined,
    openedAt: undefined,
    stream: undefined,
  }
  const limit = AbortSignal.timeout(limitMs)
  run.readings.push(reading)
  for (;;) {
    const { url, ...request } = requestOf()
    reading.stream = fetchSSE(url, {
      ...request,
      signal: limit,
      onOpen() {
        reading.answers++
        if (reading.lost === 0) reading.openedAt = performance.now()
      },
    })
    try {
      for await (const { id, data } of reading.stream) {
        const expected = {
          id: `${runId}:${reading.received + 1}`,
          data: JSON.stringify({ text: tokens[reading.received] }),
        }
        reading.received++
        if (id !== expected.id || data !== expected.data) {
          reading.mistakes.push(`in place of ${expected.id} ${expected.data} came ${id} ${data}`)
        }
      }
      reading.outcome = 'done'
      return reading
    } catch (error) {
      const { code, status } = error
      if (code === 'producer-lost') {
        reading.lostAt ??= performance.now()
        reading.lost++
      }
      // By its status, because the rest of a refusal may have been cut off; or as an event, where a heartbeat went before
      // Redis had answered.
      const isNotFound = status === 404 || code === 'run-not-found'
      if (isNotFound) reading.notFound++
      // Nothing came, so the question may not have been taken, or no worker came for it. Asked under the same id, it is
      // answered once, whatever had become of it.
      const isSafe = request.method === 'POST' && reading.received === 0
      const mayHelp =
        (isNotFound && reading.notFound <= MAX_AGAIN) || (code === 'producer-lost' && reading.lost <= MAX_AGAIN)
      // The log was out of reach: what was not taken is asked again.
      const isRefused = status === 503 || code === 'network'
      if (reading.received === 0 && isRefused && !limit.aborted) {
        await new Promise((resolve) => setTimeout(resolve, 200))
        continue
      }
      if (!(isSafe && mayHelp)) {
        reading.outcome = limit.aborted ? `no end within ${limitMs} ms` : (code ?? String(error))
        reading.error = error
        return reading
      }
    }
  }
}
