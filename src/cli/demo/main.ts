/** The demo of `npm start`. */
import type { AddressInfo } from 'node:net'
import { createDemo } from './server.js'

const demo = createDemo()
const port = Number(process.env.PORT || 3000)

demo.server.on('error', (error: NodeJS.ErrnoException) => {
  console.error(error.code === 'EADDRINUSE' ? `Port ${port} is taken: set PORT to another one` : error.message)
  process.exitCode = 1
})

demo.server.listen(port, '0.0.0.0', () => {
  const url = `http://localhost:${(demo.server.address() as AddressInfo).port}`
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'What is an event stream?' }] })
  console.log(`
  sse-relay demo   ${url}
  answers from     ${demo.provider}

  curl -N ${url}/api/chat -H 'content-type: application/json' -d '${body}'
`)
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Asked a second time, it goes at once.
  process.once(signal, async () => {
    await demo.close()
    process.exit()
  })
}
