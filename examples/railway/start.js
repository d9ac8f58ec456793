// All three on this machine, the page and the API as two origins: http://localhost:3000 and http://localhost:3001.
// Start it with ANTHROPIC_API_KEY=… npm start
import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const { FRONTEND_PORT = 3000, API_PORT = 3001, WORKER_PORT = 3002, ANTHROPIC_API_KEY, ...env } = process.env
const cwd = fileURLToPath(new URL('.', import.meta.url))
const VITE_API_URL = `http://localhost:${API_PORT}`

// What each may know is said as on Railway: the key to the worker alone.
const services = {
  worker: { PORT: WORKER_PORT, ANTHROPIC_API_KEY },
  api: {
    PORT: API_PORT,
    FRONTEND_ORIGIN: `http://localhost:${FRONTEND_PORT}`,
    WORKER_URL: `http://localhost:${WORKER_PORT}`,
  },
  frontend: { PORT: FRONTEND_PORT },
}

const vite = fileURLToPath(new URL('node_modules/vite/bin/vite.js', import.meta.url))
const { status } = spawnSync(process.execPath, [vite, 'build', 'frontend', '--logLevel', 'warn'], {
  cwd,
  env: { ...env, VITE_API_URL },
  stdio: 'inherit',
})
if (status !== 0) process.exit(1)

const children = Object.entries(services).map(([name, own]) => {
  const child = spawn(process.execPath, [`${name}/server.js`], { cwd, env: { ...env, ...own }, stdio: 'inherit' })
  // One that ends takes the others with it.
  child.on('exit', (code) => {
    process.exitCode ||= code ?? 0
    end()
  })
  return child
})

function end() {
  for (const child of children) child.kill('SIGTERM')
}
process.once('SIGTERM', end)
process.once('SIGINT', end)
