// Does every adapter do what the table says, over HTTP/2?

import { describe } from 'vitest'
import { supports } from '../../support.js'
import { hostOf, hosts } from '../hosts.js'
import { conforms } from './conforms.js'

describe.each(hosts.filter(({ httpVersion }) => httpVersion === '2'))('on $name', (host) => {
  supports(host.name)
  conforms(hostOf(host), host.missing)
})
