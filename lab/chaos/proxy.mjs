// What is between a client and the API processes: it cuts connections, after a number of bytes or when it is told.
import { connect, createServer } from 'node:net'

/**
 * @param pick chooses the port of an API process, and waits for one that is up
 * @param budgets how many bytes of answers each connection lets through, one after the other; -1: it is cut at once
 */
export async function openProxy(pick, budgets = []) {
  const left = [...budgets]
  const sockets = new Set()
  const proxy = { url: '', port: undefined, cuts: 0, cut, close }
  const server = createServer(async (near) => {
    let budget = left.shift() ?? Number.POSITIVE_INFINITY
    keep(near)
    if (budget < 0) {
      proxy.cuts++
      near.resetAndDestroy()
      return
    }
    const port = await pick()
    if (near.destroyed) return
    proxy.port = port
    const far = keep(connect(port, '127.0.0.1'))
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
    near.pipe(far)
    far.on('data', (data) => {
      if (data.length < budget) {
        budget -= data.length
        near.write(data)
        return
      }
      proxy.cuts++
      far.removeAllListeners('data')
      far.removeAllListeners('close')
      // Both ways in which connections are lost: with an end that comes too early, and with a reset.
      if (budget % 2) near.end(data.subarray(0, budget))
      else near.write(data.subarray(0, budget), () => near.resetAndDestroy())
      far.destroy()
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  proxy.url = `http://127.0.0.1:${server.address().port}`
  return proxy

  function keep(socket) {
    sockets.add(socket)
    return socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  }

  function cut() {
    proxy.cuts++
    for (const socket of sockets) socket.destroy()
  }

  function close() {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
}
