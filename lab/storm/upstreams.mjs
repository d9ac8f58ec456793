// The providers, in a process of their own: one for each way to answer.
import { replayUpstream } from 'sse-relay/testing'
import { serve, within } from '../../scripts/processes.mjs'
import { UPSTREAMS } from './plan.mjs'

const upstreams = new Map()

serve({
  async listen() {
    for (const [name, replay] of Object.entries(UPSTREAMS)) upstreams.set(name, await replayUpstream(replay))
    return Object.fromEntries([...upstreams].map(([name, { url }]) => [name, url]))
  },

  /** The exchanges whose request to a provider is still open after the wait, and how many there were. */
  async quiet(limitMs) {
    const open = []
    let count = 0
    for (const [name, { requests }] of upstreams) {
      for (const request of requests) {
        count++
        // Only the first that stays open is waited for all that long.
        const limit = open.length === 0 ? limitMs : 1000
        await within(request.closed, limit, 'the end').catch(() => open.push([exchangeOf(request), name]))
      }
      // Over, and a hundred thousand of them are much to remember.
      requests.length = 0
    }
    return { open, count }
  },
})

function exchangeOf({ json }) {
  return Number.parseInt(json?.messages?.[0]?.content, 10)
}
