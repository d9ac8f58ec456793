/** How do OpenAI and Anthropic stream a text? Makes a long answer for a test from any text. */

type Writer = (pieces: string[], counts: { input: number; output: number }) => string

const event = (data: object, name?: string) => `${name ? `event: ${name}\n` : ''}data: ${JSON.stringify(data)}\n\n`

const chat: Writer = (pieces, { input, output }) => {
  const chunk = (delta: object, finish_reason: string | null = null) =>
    event({
      id: 'chatcmpl-test',
      object: 'chat.completion.chunk',
      created: 0,
      model: 'test',
      choices: [{ index: 0, delta, finish_reason }],
    })
  const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output }
  return [
    chunk({ role: 'assistant', content: '' }),
    ...pieces.map((content) => chunk({ content })),
    chunk({}, 'stop'),
    event({ id: 'chatcmpl-test', object: 'chat.completion.chunk', created: 0, model: 'test', choices: [], usage }),
    'data: [DONE]\n\n',
  ].join('')
}

const responses: Writer = (pieces, { input, output }) => {
  let sequence_number = 0
  const say = (type: string, fields: object) => event({ type, sequence_number: sequence_number++, ...fields }, type)
  const response = { id: 'resp_test', object: 'response', created_at: 0, model: 'test' }
  const text = pieces.join('')
  const at = { item_id: 'msg_test', output_index: 0, content_index: 0 }
  const part = { type: 'output_text', text, annotations: [] }
  const item = { id: 'msg_test', type: 'message', role: 'assistant' }
  const whole = { ...item, status: 'completed', content: [part] }
  const usage = { input_tokens: input, output_tokens: output, total_tokens: input + output }
  return [
    say('response.created', { response: { ...response, status: 'in_progress', output: [] } }),
    say('response.output_item.added', { output_index: 0, item: { ...item, status: 'in_progress', content: [] } }),
    say('response.content_part.added', { ...at, part: { ...part, text: '' } }),
    ...pieces.map((delta) => say('response.output_text.delta', { ...at, delta })),
    say('response.output_text.done', { ...at, text }),
    say('response.content_part.done', { ...at, part }),
    say('response.output_item.done', { output_index: 0, item: whole }),
    say('response.completed', { response: { ...response, status: 'completed', output: [whole], usage } }),
  ].join('')
}

const messages: Writer = (pieces, { input, output }) => {
  const say = (type: string, fields: object = {}) => event({ type, ...fields }, type)
  const message = { id: 'msg_test', type: 'message', role: 'assistant', model: 'test', content: [], stop_reason: null }
  return [
    say('message_start', { message: { ...message, usage: { input_tokens: input, output_tokens: 1 } } }),
    say('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    ...pieces.map((text) => say('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    say('content_block_stop', { index: 0 }),
    say('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: output } }),
    say('message_stop'),
  ].join('')
}

/** By the path of the request. */
export const WRITERS: Readonly<Record<string, Writer>> = {
  '/v1/chat/completions': chat,
  '/v1/responses': responses,
  '/v1/messages': messages,
}

/** The body of an answer that streams the text in pieces of about a token, and counts a token for each. */
export function answerOf(write: Writer, text: string): string {
  const pieces = text.match(/\s*\S{1,6}|\s+$/gu) ?? []
  return write(pieces, { input: 10, output: Math.max(pieces.length, 1) })
}
