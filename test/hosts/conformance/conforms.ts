/** Does a host do what the table of behaviours says? */
import { type AdapterHost, adapterBehaviours } from 'sse-relay/testing'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'

/** A limit that a busy machine does not reach: it is for what hangs. */
const UNHURRIED = { limitMs: 30_000 }

const logged = vi.spyOn(console, 'error')
const table = adapterBehaviours.map((each) => [each.name, each] as const)

/** Within a `describe`: runs the table over the host. */
export function conforms(host: AdapterHost, missing = false): void {
  beforeEach(() => void logged.mockReset())
  // The server of the fetch hosts prints the error of a body that was dropped; nobody else has anything to complain of.
  if (host.returns !== 'response') afterEach(() => expect(logged.mock.calls).toEqual([]))
  it.skipIf(missing).each(table)('%s', { timeout: 40_000 }, (_, { run }) => run(host, UNHURRIED))
}
