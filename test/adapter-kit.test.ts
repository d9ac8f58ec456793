import { type AdapterHost, adapterBehaviours } from 'sse-relay/testing'
import { beforeEach, describe, it, vi } from 'vitest'
import { type Host, hosts, start } from './hosts.js'

// Some hosts print the error of a body that was dropped.
beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => {}))

/** One of our own hosts, as the table wants it. */
function hostOf(host: Host): AdapterHost {
  return {
    returns: host.returns,
    httpVersion: host.httpVersion,
    listen: ({ headers, answer }) =>
      start(host, { source: [], headers: headers.map(([name, value]) => [name, value]), answer }),
  }
}

describe.each(hosts.map((host) => [host.name, hostOf(host)] as const))('%s', (_, host) => {
  it.each(adapterBehaviours.map((each) => [each.name, each] as const))('%s', (_, { run }) => run(host))
})
