/** Do the streams of the Claude Agent SDK come out right? Its program is a stand-in, which asks the fake provider. */
import { fileURLToPath } from 'node:url'
import { type Options, query } from '@anthropic-ai/claude-agent-sdk'
import { AFTER, CALL, describePackage, type PackageStream, SECRET } from '../harness.js'
import { anthropic } from '../wires.js'

/** `query()`, which takes an AbortController instead of a signal. */
function open(includePartialMessages: boolean): PackageStream['open'] {
  return (url, signal) => {
    const options: Options = {
      pathToClaudeCodeExecutable: fileURLToPath(new URL('cli.mjs', import.meta.url)),
      systemPrompt: SECRET,
      includePartialMessages,
      env: { ...process.env, ANTHROPIC_BASE_URL: url, STAND_IN_SECRET: SECRET },
    }
    if (signal) {
      options.abortController = new AbortController()
      signal.addEventListener('abort', () => options.abortController?.abort())
    }
    return query({ prompt: 'Hi', options })
  }
}

const usage = { inputTokens: 25, outputTokens: 15, cachedInputTokens: 5 }
const common = { wire: anthropic, turns: [CALL, AFTER], bare: 'stops' } as const

describePackage('@anthropic-ai/claude-agent-sdk', [
  {
    ...common,
    name: 'query with partial messages',
    open: open(true),
    differs: { whole: { usage } },
  },
  {
    ...common,
    name: 'query without partial messages',
    open: open(false),
    isWhole: true,
    differs: { whole: { usage } },
  },
])
