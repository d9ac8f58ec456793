// An API, a worker, and Redis if REDIS_URL does not say where one is: three processes, of which any may be killed.
// Start it with ANTHROPIC_API_KEY=… npm start
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'

const children = new Map()
let ending = false
const redis = process.env.REDIS_URL ? undefined : await startRedis()
for (const name of ['worker.js', 'api.js']) start(name)
process.once('SIGTERM', end)

/** Starts it, and again when it dies. */
function start(name) {
  const child = spawn(process.execPath, [fileURLToPath(new URL(name, import.meta.url))], {
    env: { ...process.env, ...(redis && { REDIS_URL: redis.url }) },
    stdio: 'inherit',
  })
  children.set(name, child)
  child.on('exit', (code, signal) => {
    children.delete(name)
    if (ending) return
    console.error(`${name} ended (${signal ?? code}): it is started again`)
    setTimeout(() => ending || start(name), 1000)
  })
}

/** Lets both come to their end, and only then Redis. */
async function end() {
  ending = true
  for (const child of children.values()) child.kill('SIGTERM')
  await Promise.all([...children.values()].map((child) => once(child, 'exit')))
  redis?.child.kill()
}

async function startRedis() {
  const port = await freePort()
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()]
  const child = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'inherit'] })
  child.on('error', () => {
    console.error('There is no redis-server: install it, or say with REDIS_URL where a Redis is')
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (ending) return
    console.error(`Redis ended (${signal ?? code})`)
    process.exitCode = 1
    end()
  })
  await new Promise((resolve) => {
    child.stdout.on('data', (bytes) => String(bytes).includes('Ready to accept connections') && resolve())
  })
  return { child, url: `redis://127.0.0.1:${port}` }
}

async function freePort() {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}
