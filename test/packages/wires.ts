/** What do providers send? The same answer in the words of each API, cut into frames, written after their references. */

/** What every fake provider says, one piece a frame. */
export interface Answer {
  /** What the provider's id of it ends in. @default '1' */
  id?: string
  reasoning: string[]
  text: string[]
  call?: { id: string; name: string; input: string[] }
}

/** An answer of one provider as frames of an event stream (or lines, where `type` says so). */
export interface Wire {
  /** Everything before the provider says that the answer is complete. */
  body: string[]
  /** What says so. */
  end: string[]
  /** How many frames of the body come up to the first piece of text, that one included. */
  untilText: number
  /** A failure amid the answer. */
  failure: string
  /** The body of a refusal. */
  refusal(status: number): string
  /** @default an event stream */
  type?: string
}

/** Stands in everything that is not for a client: prompts, metadata, tool outputs, error words, headers. */
export const SECRET = 'sk-SECRET'

/** With a call whose arguments grow, as a model without tools of its own would be asked to make. */
export const CALL: Answer = {
  reasoning: ['Let me ', 'think.'],
  text: ['Hello ', 'world'],
  call: { id: 'call_1', name: 'weather', input: ['{"city":', '"Oslo"}'] },
}
/** What follows in an agent's next turn. */
export const AFTER: Answer = { id: '2', reasoning: [], text: ['It ', 'rains.'] }
/** Text, and nothing to be done by anyone. */
export const TEXT: Answer = { reasoning: ['Let me ', 'think.'], text: ['Hello ', 'world'] }
/** Long enough to leave in the middle of it. */
export const LONG: Answer = { reasoning: [], text: Array.from({ length: 400 }, (_, n) => `${n} `) }

export const USAGE = { input: 25, output: 15, cached: 5, reasoning: 4 }

const frame = (json: object | string, event?: string) =>
  `${event ? `event: ${event}\n` : ''}data: ${typeof json === 'string' ? json : JSON.stringify(json)}\n\n`
/** An event that is named like its type. */
const typed = (json: { type: string }) => frame(json, json.type)

const openaiRefusal = (status: number) =>
  JSON.stringify({
    error: {
      message: `${SECRET} refusal`,
      type: status === 429 ? 'requests' : 'server_error',
      param: null,
      code: status === 429 ? 'rate_limit_exceeded' : null,
    },
  })

export function openaiChat({ id = '1', reasoning, text, call }: Answer, reasoningKey = 'reasoning_content'): Wire {
  const head = {
    id: `chatcmpl-${id}`,
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    system_fingerprint: SECRET,
  }
  const delta = (delta: object, finish_reason: string | null = null) =>
    frame({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason }] })
  const thoughts = [
    delta({ role: 'assistant', content: '' }),
    ...reasoning.map((piece) => delta({ [reasoningKey]: piece })),
  ]
  return {
    untilText: thoughts.length + 1,
    body: [
      ...thoughts,
      ...text.map((content) => delta({ content })),
      ...(call
        ? [
            delta({
              tool_calls: [{ index: 0, id: call.id, type: 'function', function: { name: call.name, arguments: '' } }],
            }),
            ...call.input.map((piece) => delta({ tool_calls: [{ index: 0, function: { arguments: piece } }] })),
          ]
        : []),
    ],
    end: [
      delta({}, call ? 'tool_calls' : 'stop'),
      frame({
        ...head,
        choices: [],
        usage: {
          prompt_tokens: USAGE.input,
          completion_tokens: USAGE.output,
          total_tokens: USAGE.input + USAGE.output,
          prompt_tokens_details: { cached_tokens: USAGE.cached },
          completion_tokens_details: { reasoning_tokens: USAGE.reasoning },
        },
      }),
      frame('[DONE]'),
    ],
    failure: frame({ error: { message: `${SECRET} failure`, type: 'server_error', param: null, code: null } }),
    refusal: openaiRefusal,
  }
}

/** As OpenRouter has it: the failure is a chunk with a code. */
export function openrouter(answer: Answer): Wire {
  const failure = {
    id: 'gen-1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    error: { code: 502, message: `${SECRET} failure`, metadata: { error_type: 'server', raw: SECRET } },
    choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }],
  }
  return { ...openaiChat(answer, 'reasoning'), failure: frame(failure) }
}

export function openaiResponses({ id: answer = '1', reasoning, text, call }: Answer): Wire {
  let sequence = 0
  const event = (type: string, fields: object) => typed({ type, sequence_number: sequence++, ...fields } as never)
  const response = (status: string, output: object[], usage: object | null) => ({
    response: {
      id: `resp_${answer}`,
      object: 'response',
      created_at: 1,
      status,
      background: false,
      error: null,
      incomplete_details: null,
      instructions: `${SECRET} instructions`,
      max_output_tokens: null,
      model: 'm',
      output,
      parallel_tool_calls: true,
      previous_response_id: null,
      reasoning: { effort: 'medium', summary: 'auto' },
      store: true,
      temperature: 1,
      text: { format: { type: 'text' } },
      tool_choice: 'auto',
      tools: [],
      top_p: 1,
      truncation: 'disabled',
      usage,
      user: null,
      metadata: { note: SECRET },
    },
  })
  const body = [
    event('response.created', response('in_progress', [], null)),
    event('response.in_progress', response('in_progress', [], null)),
  ]
  const output: object[] = []

  if (reasoning.length > 0) {
    const at = { item_id: `rs_${answer}`, output_index: output.length, summary_index: 0 }
    const part = { type: 'summary_text', text: reasoning.join('') }
    const item = { id: `rs_${answer}`, type: 'reasoning', summary: [part] }
    body.push(
      event('response.output_item.added', {
        output_index: at.output_index,
        item: { id: `rs_${answer}`, type: 'reasoning', summary: [] },
      }),
      event('response.reasoning_summary_part.added', { ...at, part: { type: 'summary_text', text: '' } }),
      ...reasoning.map((delta) => event('response.reasoning_summary_text.delta', { ...at, delta })),
      event('response.reasoning_summary_text.done', { ...at, text: part.text }),
      event('response.reasoning_summary_part.done', { ...at, part }),
      event('response.output_item.done', { output_index: at.output_index, item }),
    )
    output.push(item)
  }

  const at = { item_id: `msg_${answer}`, output_index: output.length, content_index: 0 }
  const message = { id: `msg_${answer}`, type: 'message', role: 'assistant' }
  const part = { type: 'output_text', annotations: [], logprobs: [], text: '' }
  const whole = { ...part, text: text.join('') }
  body.push(
    event('response.output_item.added', {
      output_index: at.output_index,
      item: { ...message, status: 'in_progress', content: [] },
    }),
    event('response.content_part.added', { ...at, part }),
  )
  const untilText = body.length + 1
  body.push(
    ...text.map((delta) => event('response.output_text.delta', { ...at, delta, logprobs: [] })),
    event('response.output_text.done', { ...at, text: whole.text, logprobs: [] }),
    event('response.content_part.done', { ...at, part: whole }),
    event('response.output_item.done', {
      output_index: at.output_index,
      item: { ...message, status: 'completed', content: [whole] },
    }),
  )
  output.push({ ...message, status: 'completed', content: [whole] })

  if (call) {
    const at = { item_id: 'fc_1', output_index: output.length }
    const item = { id: 'fc_1', type: 'function_call', call_id: call.id, name: call.name }
    const done = { ...item, status: 'completed', arguments: call.input.join('') }
    body.push(
      event('response.output_item.added', {
        output_index: at.output_index,
        item: { ...item, status: 'in_progress', arguments: '' },
      }),
      ...call.input.map((delta) => event('response.function_call_arguments.delta', { ...at, delta })),
      event('response.function_call_arguments.done', { ...at, name: call.name, arguments: done.arguments }),
      event('response.output_item.done', { output_index: at.output_index, item: done }),
    )
    output.push(done)
  }

  const usage = {
    input_tokens: USAGE.input,
    input_tokens_details: { cached_tokens: USAGE.cached },
    output_tokens: USAGE.output,
    output_tokens_details: { reasoning_tokens: USAGE.reasoning },
    total_tokens: USAGE.input + USAGE.output,
  }
  return {
    untilText,
    body,
    end: [event('response.completed', response('completed', output, usage))],
    failure: event('error', { code: 'server_error', message: `${SECRET} failure`, param: null }),
    refusal: openaiRefusal,
  }
}

export function anthropic({ id = '1', reasoning, text, call }: Answer): Wire {
  const event = (type: string, fields: object = {}) => typed({ type, ...fields })
  const body = [
    event('message_start', {
      message: {
        id: `msg_${id}`,
        type: 'message',
        role: 'assistant',
        model: 'm',
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: {
          input_tokens: USAGE.input - USAGE.cached,
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: USAGE.cached,
          output_tokens: 1,
        },
      },
    }),
    event('ping'),
  ]
  let index = 0
  const block = (content_block: object, deltas: object[]) => {
    body.push(
      event('content_block_start', { index, content_block }),
      ...deltas.map((delta) => event('content_block_delta', { index, delta })),
      event('content_block_stop', { index }),
    )
    index++
  }
  if (reasoning.length > 0) {
    block({ type: 'thinking', thinking: '', signature: '' }, [
      ...reasoning.map((thinking) => ({ type: 'thinking_delta', thinking })),
      { type: 'signature_delta', signature: 'c2ln' },
    ])
  }
  const untilText = body.length + 2
  block(
    { type: 'text', text: '' },
    text.map((text) => ({ type: 'text_delta', text })),
  )
  if (call) {
    block(
      { type: 'tool_use', id: call.id, name: call.name, input: {} },
      call.input.map((partial_json) => ({ type: 'input_json_delta', partial_json })),
    )
  }
  return {
    untilText,
    body,
    end: [
      event('message_delta', {
        delta: { stop_reason: call ? 'tool_use' : 'end_turn', stop_sequence: null },
        usage: { output_tokens: USAGE.output },
      }),
      event('message_stop'),
    ],
    failure: event('error', { error: { type: 'api_error', message: `${SECRET} failure` }, request_id: SECRET }),
    refusal: (status) =>
      JSON.stringify({
        type: 'error',
        error: { type: status === 429 ? 'rate_limit_error' : 'api_error', message: `${SECRET} refusal` },
        request_id: SECRET,
      }),
  }
}

export function gemini({ id = '1', reasoning, text, call }: Answer): Wire {
  const usage = { promptTokenCount: USAGE.input, cachedContentTokenCount: USAGE.cached, totalTokenCount: USAGE.input }
  const chunk = (part: object, fields: object = {}, usageMetadata: object = usage) =>
    frame({
      candidates: [{ content: { parts: [part], role: 'model' }, index: 0, ...fields }],
      usageMetadata,
      modelVersion: 'm',
      responseId: `r_${id}`,
    })
  const error = (code: number, status: string, what: string) => ({
    error: { code, message: `${SECRET} ${what}`, status },
  })
  return {
    untilText: reasoning.length + 1,
    body: [
      ...reasoning.map((text) => chunk({ text, thought: true })),
      ...text.map((text) => chunk({ text })),
      // Gemini gives the arguments whole.
      ...(call ? [chunk({ functionCall: { name: call.name, args: JSON.parse(call.input.join('')) } })] : []),
    ],
    end: [
      chunk(
        { text: '' },
        { finishReason: 'STOP' },
        {
          ...usage,
          candidatesTokenCount: USAGE.output - USAGE.reasoning,
          thoughtsTokenCount: USAGE.reasoning,
          totalTokenCount: USAGE.input + USAGE.output,
        },
      ),
    ],
    failure: frame(error(500, 'INTERNAL', 'failure')),
    refusal: (status) => JSON.stringify(error(status, status === 429 ? 'RESOURCE_EXHAUSTED' : 'INTERNAL', 'refusal')),
  }
}

export function cohere({ id = '1', reasoning, text, call }: Answer): Wire {
  const event = (type: string, fields: object = {}) => typed({ type, ...fields })
  const body = [event('message-start', { id: `c_${id}`, delta: { message: { role: 'assistant', content: [] } } })]
  let index = 0
  const block = (type: 'thinking' | 'text', pieces: string[]) => {
    const content = (content: object) => ({ delta: { message: { content } } })
    body.push(
      event('content-start', { index, ...content({ type, [type]: '' }) }),
      ...pieces.map((piece) => event('content-delta', { index, ...content({ [type]: piece }) })),
      event('content-end', { index }),
    )
    index++
  }
  if (reasoning.length > 0) block('thinking', reasoning)
  const untilText = body.length + 2
  block('text', text)
  if (call) {
    const calls = (tool_calls: object) => ({ index: 0, delta: { message: { tool_calls } } })
    body.push(
      event('tool-call-start', calls({ id: call.id, type: 'function', function: { name: call.name, arguments: '' } })),
      ...call.input.map((piece) => event('tool-call-delta', calls({ function: { arguments: piece } }))),
      event('tool-call-end', { index: 0 }),
    )
  }
  return {
    untilText,
    body,
    end: [
      event('message-end', {
        delta: {
          finish_reason: call ? 'TOOL_CALL' : 'COMPLETE',
          usage: {
            billed_units: { input_tokens: 20, output_tokens: 11 },
            tokens: { input_tokens: USAGE.input, output_tokens: USAGE.output },
            cached_tokens: USAGE.cached,
          },
        },
      }),
    ],
    failure: event('message-end', { delta: { finish_reason: 'ERROR', error: `${SECRET} failure` } }),
    refusal: () => JSON.stringify({ id: SECRET, message: `${SECRET} refusal` }),
  }
}
