/** Does the stream of the Codex SDK come out right? Its own program is stood in for. */
import { fileURLToPath } from 'node:url'
import { Codex } from '@openai/codex-sdk'
import { describePackage, SECRET } from '../harness.js'
import { type Answer, USAGE, type Wire } from '../wires.js'

const standIn = fileURLToPath(new URL('codex-stand-in.mjs', import.meta.url))

function codex({ reasoning, text }: Answer): Wire {
  const event = (type: string, fields: object = {}) => `data: ${JSON.stringify({ type, ...fields })}\n\n`
  let id = 0
  const item = (type: string, fields: object) =>
    event('item.completed', { item: { id: `item_${id++}`, type, ...fields } })
  const command = { command: `cat ${SECRET}`, aggregated_output: SECRET, status: 'completed', exit_code: 0 }
  const head = [
    event('thread.started', { thread_id: 't_1' }),
    event('turn.started'),
    // Codex says so of itself, and goes on.
    event('error', { message: `Reconnecting... 1/5 (${SECRET})` }),
    ...(reasoning.length > 0 ? [item('reasoning', { text: reasoning.join('') })] : []),
    event('item.started', { item: { id: 'item_9', type: 'command_execution', ...command, aggregated_output: '' } }),
    item('command_execution', command),
    item('error', { message: `${SECRET} was deprecated` }),
  ]
  return {
    untilText: head.length + 1,
    // It has whole messages only. Those who read for long read several.
    body: [...head, ...(text.length > 9 ? text : [text.join('')]).map((text) => item('agent_message', { text }))],
    end: [
      event('turn.completed', {
        usage: {
          input_tokens: USAGE.input,
          cached_input_tokens: USAGE.cached,
          output_tokens: USAGE.output,
          reasoning_output_tokens: USAGE.reasoning,
        },
      }),
    ],
    failure: event('turn.failed', { error: { message: `${SECRET} failure` } }),
    refusal: (status) => JSON.stringify({ error: { message: `${SECRET} refusal`, status } }),
  }
}

describePackage('Codex', [
  {
    name: '@openai/codex-sdk, the result of runStreamed',
    wire: codex,
    open: (url, signal) =>
      new Codex({
        codexPathOverride: standIn,
        apiKey: SECRET,
        env: { PATH: process.env.PATH ?? '', FAKE_PROVIDER: url },
      })
        .startThread({ skipGitRepoCheck: true })
        .runStreamed('Hi', signal ? { signal } : {}),
    differs: {
      whole: {
        calls: [],
        finishReason: 'stop',
        usage: { inputTokens: 25, outputTokens: 15, cachedInputTokens: 5, reasoningTokens: 4 },
      },
    },
    bare: 'at a token',
  },
])
