import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'

const dist = fileURLToPath(new URL('../../dist', import.meta.url))

/** What a user's bundler makes of a line of theirs, from the built package. */
async function bundle(line: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: line.replace(/'sse-relay\/(\w+)'/, `'${dist}/$1.js'`), resolveDir: dist },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    external: ['node:*', 'react'],
  })
  return outputFiles[0]?.text ?? ''
}

/** Words that only one part of the library says, and a line that needs it: the word must be in that bundle. */
const marks = {
  'chat.completion.chunk': `export { openaiChat } from 'sse-relay/protocols'`,
  'response.function_call_arguments.delta': `export { openaiResponses } from 'sse-relay/protocols'`,
  RUN_FINISHED: `export { agui } from 'sse-relay/protocols'`,
  'x-vercel-ai-ui-message-stream': `export { uiMessage } from 'sse-relay/protocols'`,
  overloaded_error: `export { raw } from 'sse-relay/protocols'`,
  'last-event-id': `export { fetchSSE } from 'sse-relay/client'`,
  TransformStream: `export { SSEParserStream } from 'sse-relay/client'`,
  useSyncExternalStore: `export { useRelay } from 'sse-relay/react'`,
  TextDecoder: `export { parseSSE } from 'sse-relay/client'`,
  HSET: `export { createRedisLog } from 'sse-relay/redis'`,
  'The log is full': `export { createMemoryLog } from 'sse-relay/log'`,
  // Who reads and who produces a run comes with the log, and not with every adapter.
  'The log has lost events': `export { createLog } from 'sse-relay/log'`,
}
type Mark = keyof typeof marks

describe('what is not imported is not in the bundle', () => {
  it.each(Object.entries(marks))('%s tells its part apart', async (mark, line) => {
    expect(await bundle(line)).toContain(mark)
  })

  it.each<[string, Mark[]]>([
    [
      `export { createParser } from 'sse-relay/client'`,
      ['TextDecoder', 'last-event-id', 'TransformStream', 'useSyncExternalStore'],
    ],
    [`export { parseSSE } from 'sse-relay/client'`, ['last-event-id', 'TransformStream', 'useSyncExternalStore']],
    [`export { fetchSSE } from 'sse-relay/client'`, ['TransformStream', 'useSyncExternalStore']],
    [
      `export { text } from 'sse-relay/protocols'`,
      [
        'chat.completion.chunk',
        'response.function_call_arguments.delta',
        'RUN_FINISHED',
        'x-vercel-ai-ui-message-stream',
        'overloaded_error',
      ],
    ],
    [`export { uiMessage } from 'sse-relay/protocols'`, ['chat.completion.chunk', 'overloaded_error']],
    [
      `export { relay } from 'sse-relay/node'`,
      [
        'chat.completion.chunk',
        'x-vercel-ai-ui-message-stream',
        'TransformStream',
        'useSyncExternalStore',
        'The log has lost events',
        'The log is full',
      ],
    ],
    [`export { relay, resume } from 'sse-relay/node'`, ['The log has lost events', 'The log is full', 'HSET']],
    [`export { createMemoryLog, record } from 'sse-relay/log'`, ['HSET']],
    [`export { createRedisLog } from 'sse-relay/redis'`, ['The log is full']],
    [
      `export { relay } from 'sse-relay/web'`,
      ['chat.completion.chunk', 'x-vercel-ai-ui-message-stream', 'useSyncExternalStore'],
    ],
  ])('%s', async (line, absent) => {
    const code = await bundle(line)
    expect(absent.filter((mark) => code.includes(mark))).toEqual([])
  })
})
