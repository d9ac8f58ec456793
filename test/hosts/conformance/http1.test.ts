// Does every adapter do what the table says, over HTTP/1.1?

import type { AdapterHost } from 'sse-relay/testing'
import { describe } from 'vitest'
import { supports } from '../../support.js'
import { hostOf, hosts } from '../hosts.js'
import { conforms } from './conforms.js'

const overHttp1 = hosts.filter(({ httpVersion }) => httpVersion === '1.1')

describe.each(overHttp1)('on $name', (host) => {
  supports(host.name)
  conforms(hostOf(host), host.missing)
})

describe.each(overHttp1.filter(({ name }) => ['node http', 'fastify', 'koa 3'].includes(name)))(
  'on a response of $name without direct writes',
  (host) => conforms(throughTheResponse(hostOf(host))),
)

/** The host, with the option that has all of it written by Node's response. */
function throughTheResponse(host: AdapterHost): AdapterHost {
  return {
    ...host,
    listen: (serving) =>
      host.listen({
        ...serving,
        answer: (relay, read) =>
          serving.answer((source, options) => relay(source, { ...options, directWrites: false }), read),
      }),
  }
}
