import { adapterBehaviours } from 'sse-relay/testing'
import { beforeEach, describe, it, vi } from 'vitest'
import { h3 } from './h3.js'

// Apart from the other hosts: one of them puts a `Response` of its own in the place of the global one.
beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => {}))

describe('on h3', () => {
  it.each(adapterBehaviours.map((each) => [each.name, each] as const))('%s', { timeout: 40_000 }, (_, { run }) =>
    run(h3, { limitMs: 30_000 }),
  )
})
