#!/usr/bin/env node
// In the place of Codex's own program: it prints what the fake provider sends, one event a line, and ends as that does.
import process, { env, stderr, stdin, stdout } from 'node:process'

stdin.resume()
try {
  const response = await fetch(env.FAKE_PROVIDER)
  const decoder = new TextDecoder()
  let rest = ''
  if (!response.ok)
    stdout.write(`${JSON.stringify({ type: 'turn.failed', error: { message: await response.text() } })}\n`)
  else
    for await (const bytes of response.body) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (line.startsWith('data: ')) stdout.write(`${line.slice(6)}\n`)
    }
  process.exit(0)
} catch (error) {
  stderr.write(`${error.message} ${env.CODEX_API_KEY}\n`)
  process.exit(1)
}
