// A port that nobody listens on and that the system gives to nobody by itself.
import { createServer } from 'node:net'

// Below those that systems give out themselves (from 32768 or 49152 on): a port of those may be given to another
// socket, of this process or of any, before the program that is told it listens there.
const FIRST = 10_000
const LAST = 32_000

let next = FIRST + Math.floor(Math.random() * (LAST - FIRST))

/** A port of 127.0.0.1 that nobody listens on, for a program that has to be told one. Not the same one again soon. */
export async function freePort() {
  for (;;) {
    const port = next
    next = port === LAST ? FIRST : port + 1
    if (await isFree(port)) return port
  }
}

function isFree(port) {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', (error) => {
      // Windows reserves some ports, and says that access is denied.
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false)
      else reject(error)
    })
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
