import { createServer } from 'node:net'

/** A port of 127.0.0.1 that nobody listens on, for a program that has to be told one. It may be taken by then. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
