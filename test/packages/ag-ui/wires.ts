/** What do AG-UI servers send? */
import { type Answer, SECRET, USAGE, type Wire } from '../wires.js'

/** An answer as AG-UI 1.0 has it, over an event stream: events without names, no `[DONE]`. */
export function agui({ reasoning, text, call }: Answer): Wire {
  const event = (type: string, fields: object = {}) => `data: ${JSON.stringify({ type, ...fields })}\n\n`
  const run = { threadId: 't_1', runId: 'r_1' }
  const message = (kind: string, messageId: string, role: string, pieces: string[]) => [
    event(`${kind}_START`, { messageId, role }),
    ...pieces.map((delta) => event(`${kind}_CONTENT`, { messageId, delta })),
    event(`${kind}_END`, { messageId }),
  ]
  const thoughts = reasoning.length
    ? [
        event('REASONING_START', { messageId: 'm_1' }),
        ...message('REASONING_MESSAGE', 'm_1', 'reasoning', reasoning),
        event('REASONING_END', { messageId: 'm_1' }),
      ]
    : []
  const head = [
    event('RUN_STARTED', { ...run, input: { ...run, messages: [{ id: 'u_1', role: 'user', content: SECRET }] } }),
    event('STATE_SNAPSHOT', { snapshot: { note: SECRET } }),
    event('MESSAGES_SNAPSHOT', { messages: [{ id: 'u_1', role: 'user', content: SECRET }] }),
    ...thoughts,
  ]
  return {
    // The message's start is one of them.
    untilText: head.length + 2,
    body: [
      ...head,
      ...message('TEXT_MESSAGE', 'm_2', 'assistant', text),
      ...(call
        ? [
            event('TOOL_CALL_START', { toolCallId: call.id, toolCallName: call.name, parentMessageId: 'm_2' }),
            ...call.input.map((delta) => event('TOOL_CALL_ARGS', { toolCallId: call.id, delta })),
            event('TOOL_CALL_END', { toolCallId: call.id }),
          ]
        : []),
      event('RAW', { event: { note: SECRET } }),
    ],
    end: [
      event('RUN_FINISHED', {
        ...run,
        outcome: { type: 'success' },
        usage: [
          {
            model: 'm',
            inputTokens: USAGE.input,
            outputTokens: USAGE.output,
            totalTokens: USAGE.input + USAGE.output,
            cachedInputTokens: USAGE.cached,
            reasoningTokens: USAGE.reasoning,
          },
        ],
      }),
    ],
    failure: event('RUN_ERROR', { message: `${SECRET} failure`, code: 'server_error' }),
    refusal: (status) => JSON.stringify({ error: `${SECRET} refusal`, status }),
  }
}
