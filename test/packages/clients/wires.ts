/** What do the providers behind these clients send? */
import { type Answer, openaiChat, SECRET, USAGE, type Wire } from '../wires.js'

const frame = (json: object | string, event?: string) =>
  `${event ? `event: ${event}\n` : ''}data: ${typeof json === 'string' ? json : JSON.stringify(json)}\n\n`

const googleRefusal = (status: number) =>
  JSON.stringify({
    error: {
      code: status,
      message: `${SECRET} refusal`,
      status: status === 429 ? 'RESOURCE_EXHAUSTED' : 'INTERNAL',
    },
  })

/** Gemini's Interactions. */
export function interactions({ reasoning, text, call }: Answer): Wire {
  const event = (event_type: string, fields: object) => frame({ event_type, ...fields }, event_type)
  const interaction = { id: 'i_1', model: 'm', system_instruction: SECRET }
  const body = [event('interaction.created', { interaction: { ...interaction, status: 'in_progress' } })]
  let index = 0
  const step = (step: object, deltas: object[]) => {
    body.push(
      event('step.start', { index, step }),
      ...deltas.map((delta) => event('step.delta', { index, delta })),
      event('step.stop', { index }),
    )
    index++
  }
  if (reasoning.length > 0) {
    step({ type: 'thought' }, [
      ...reasoning.map((text) => ({ type: 'thought_summary', content: { type: 'text', text } })),
      { type: 'thought_signature', signature: 'c2ln' },
    ])
  }
  const untilText = body.length + 2
  step(
    { type: 'model_output' },
    text.map((text) => ({ type: 'text', text })),
  )
  if (call) {
    step(
      { type: 'function_call', id: call.id, name: call.name, arguments: {} },
      call.input.map((piece) => ({ type: 'arguments_delta', arguments: piece })),
    )
  }
  const status = call ? 'requires_action' : 'completed'
  return {
    untilText,
    body,
    end: [
      event('interaction.status_update', { interaction_id: 'i_1', status }),
      event('interaction.completed', {
        interaction: {
          ...interaction,
          status,
          usage: {
            total_input_tokens: USAGE.input,
            total_cached_tokens: USAGE.cached,
            total_output_tokens: USAGE.output - USAGE.reasoning,
            total_thought_tokens: USAGE.reasoning,
            total_tokens: USAGE.input + USAGE.output,
          },
        },
      }),
      frame('[DONE]', 'done'),
    ],
    failure: event('error', { error: { code: 'internal', message: `${SECRET} failure` } }),
    refusal: googleRefusal,
  }
}

/** Mistral's conversations, and its agents. */
export function conversations({ text, call }: Answer): Wire {
  const event = (type: string, fields: object = {}) =>
    frame({ type, created_at: '2026-11-29T00:00:00Z', ...fields }, type)
  const output = (content: string | object) =>
    event('message.output.delta', { id: 'm_1', role: 'assistant', output_index: 0, content_index: 0, content })
  const head = [event('conversation.response.started', { conversation_id: 'conv_1' })]
  return {
    untilText: head.length + 1,
    body: [
      ...head,
      // Text is a string, or a chunk with a type.
      ...text.map((piece, n) => output(n % 2 ? { type: 'text', text: piece } : piece)),
      event('tool.execution.started', { id: 't_1', name: 'web_search', arguments: SECRET, output_index: 1 }),
      event('tool.execution.done', { id: 't_1', name: 'web_search', output_index: 1, info: { note: SECRET } }),
      ...(call
        ? call.input.map((piece) =>
            event('function.call.delta', {
              id: 'fc_1',
              tool_call_id: call.id,
              name: call.name,
              arguments: piece,
              output_index: 2,
            }),
          )
        : []),
    ],
    end: [
      event('conversation.response.done', {
        usage: {
          prompt_tokens: USAGE.input,
          completion_tokens: USAGE.output,
          total_tokens: USAGE.input + USAGE.output,
        },
      }),
    ],
    failure: event('conversation.response.error', { message: `${SECRET} failure`, code: 500 }),
    refusal: (status) => JSON.stringify({ message: `${SECRET} refusal`, code: status }),
  }
}

/** A prediction of Replicate: text, and the logs of the machine it runs on. */
export function replicate({ text }: Answer): Wire {
  const event = (name: string, data: string) => `event: ${name}\nid: 1:0\ndata: ${data}\n\n`
  return {
    untilText: 1,
    body: [...text.map((piece) => event('output', piece)), event('logs', SECRET)],
    end: [event('done', '{}')],
    failure: event('error', JSON.stringify({ detail: `${SECRET} failure` })),
    refusal: (status) => JSON.stringify({ detail: `${SECRET} refusal`, status }),
  }
}

/** Text Generation Inference, as Hugging Face's own servers and `textGenerationStream` have it. */
export function textGeneration({ text }: Answer): Wire {
  const token = (text: string, special: boolean, fields: object = {}) =>
    frame({
      index: 1,
      token: { id: 5, text, logprob: -1, special },
      generated_text: null,
      details: null,
      ...fields,
    })
  return {
    untilText: 1,
    body: text.map((piece) => token(piece, false)),
    end: [
      token('</s>', true, {
        generated_text: text.join(''),
        details: { finish_reason: 'eos_token', generated_tokens: USAGE.output, input_length: USAGE.input },
      }),
    ],
    failure: frame({ error: `${SECRET} failure`, error_type: 'generation' }),
    refusal: () => JSON.stringify({ error: `${SECRET} refusal` }),
  }
}

/** OpenAI's chunks as watsonx numbers and names them. */
export function watsonx(answer: Answer): Wire {
  const { body, end, ...wire } = openaiChat(answer)
  let id = 0
  const numbered = (frames: string[]) => frames.map((frame) => `id: ${++id}\nevent: message\n${frame}`)
  return {
    ...wire,
    body: numbered(body),
    // It has no `[DONE]`.
    end: numbered(end.slice(0, -1)),
    failure: `id: 99\nevent: error\n${frame({ errors: [{ code: 'x', message: `${SECRET} failure` }], status_code: 500 })}`,
    refusal: (status) => JSON.stringify({ errors: [{ code: 'x', message: `${SECRET} refusal` }], status_code: status }),
  }
}

/** Workers AI, whose chunks hold the text alone, as bytes. */
export function workersAI({ text, call }: Answer): Wire {
  return {
    untilText: 1,
    body: [
      ...text.map((response) => frame({ response, p: 'abcd' })),
      ...(call
        ? [frame({ response: '', tool_calls: [{ name: call.name, arguments: JSON.parse(call.input.join('')) }] })]
        : []),
    ],
    end: [
      frame({
        response: '',
        usage: {
          prompt_tokens: USAGE.input,
          completion_tokens: USAGE.output,
          total_tokens: USAGE.input + USAGE.output,
        },
      }),
      frame('[DONE]'),
    ],
    failure: frame({ error: `3040: ${SECRET} failure` }),
    refusal: (status) => JSON.stringify({ errors: [{ code: status, message: `${SECRET} refusal` }], success: false }),
  }
}
