// The providers, in a process of their own: one for each way to answer.
import { replayUpstream } from 'sse-relay/testing'
import { serve } from '../processes.mjs'
import { UPSTREAMS } from './plan.mjs'

const upstreams = new Map()

serve({
  async listen() {
    for (const [name, replay] of Object.entries(UPSTREAMS)) upstreams.set(name, await replayUpstream(replay))
    return Object.fromEntries([...upstreams].map(([name, { url }]) => [name, url]))
  },

  /** The exchanges whose request to a provider is still open after the wait, and how many there were. */
  async quiet(limitMs) {
    const limit = performance.now() + limitMs
    const open = []
    let count = 0
    for (const [name, { requests }] of upstreams) {
      for (const request of requests) {
        count++
        let timer
        const late = new Promise((resolve) => {
          timer = setTimeout(resolve, Math.max(0, limit - performance.now()), 'late')
        })
        if ((await Promise.race([request.closed, late])) === 'late') open.push([exchangeOf(request), name])
        clearTimeout(timer)
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
