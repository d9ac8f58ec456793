/** Runs the suite where this script was loaded, and reports to the server. */
import { runSuite } from './suite.js'

/** Said by the line the server puts before this script. */
declare const SUITE: { base: string; report: string }

const { base, report } = SUITE

async function run(): Promise<void> {
  const told = await runSuite(base).then(
    (results) => ({ results }),
    (error) => ({ error: String(error) }),
  )
  await fetch(`${base}/report/${report}`, { method: 'POST', body: JSON.stringify(told) })
}

// A page waits for it before it goes on, and is told by a worker.
Object.assign(globalThis, {
  finished: run().then(
    () => typeof postMessage === 'function' && typeof document === 'undefined' && postMessage('done'),
  ),
})
