// A Redis for scripts, which dies with the one that started it, however that dies.
import { spawn, spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { freePort } from './free-port.mjs'

export const hasRedis = () => spawnSync('redis-server', ['--version']).status === 0

/** A Redis that keeps nothing but what it is told to save in its folder, on a free port, and under another program if it is given. */
export async function startRedis({ dir = tmpdir(), wrapper = [] } = {}) {
  if (!hasRedis()) throw new Error('redis-server is not installed')
  const port = await freePort()
  const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir]
  // The shell's input ends with this process, and then the shell ends Redis.
  const shell = spawn(
    'sh',
    ['-c', '"$@" & read _; kill -9 $! 2>/dev/null; wait', 'sh', ...wrapper, 'redis-server', ...args.map(String)],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  let output = ''
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`redis-server does not come up: ${output}`)), 20_000)
    shell.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
      if (!output.includes('Ready to accept connections')) return
      clearTimeout(timer)
      resolve()
    })
  })
  return { port, pid: Number(/pid=(\d+)/.exec(output)?.[1]), close: () => shell.stdin.end() }
}
