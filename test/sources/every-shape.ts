/** An answer in every shape there is, with a secret in each place that is none of the answer’s. */
/** A secret by the place where it is: a test that fails names the place. */
export const S = (place: string) => `SECRET-${place}`

export interface Shape {
  /** A whole answer that says "Hello there." */
  chunks: unknown[]
  /** How it says that it failed. */
  failure?: unknown
  /** A provider's own wire: `raw()` sends the chunks, with fields that nobody knows yet. */
  isWire?: boolean
  /** Its chunks are known by having no other keys. */
  isClosed?: boolean
}

/** What belongs to the request and to what lies around an answer, under the names it has at one package or another. */
export const around = (place: string) => ({
  request: { body: S(`${place}.request`), headers: { authorization: S(`${place}.request.headers`) } },
  headers: { 'x-request-id': S(`${place}.headers`) },
  responseHeaders: { 'set-cookie': S(`${place}.responseHeaders`) },
  sdkHttpResponse: { headers: { a: S(`${place}.sdkHttpResponse`) } },
  system: S(`${place}.system`),
  instructions: S(`${place}.instructions`),
  messages: [{ role: 'system', content: S(`${place}.messages`) }],
  configurable: { user: S(`${place}.configurable`) },
  hook_results: { a: S(`${place}.hook_results`) },
  guardrails: { log: S(`${place}.guardrails`) },
  debug_output: { prompt: S(`${place}.debug_output`) },
  'amazon-bedrock-trace': { a: S(`${place}.amazon-bedrock-trace`) },
  rawEvent: { a: S(`${place}.rawEvent`) },
  providerData: { a: S(`${place}.providerData`) },
  stack: S(`${place}.stack`),
  cwd: S(`${place}.cwd`),
})

const CALL = { city: 'Oslo' }
const ARGS = '{"city":"Oslo"}'
export const failed = (place: string) => ({
  message: S(`${place}.message`),
  code: S(`${place}.code`),
  type: S(`${place}.type`),
  param: S(`${place}.param`),
  ...around(place),
})

/** An instance, as the packages' own chunks are. */
function instance(name: string, fields: object): object {
  const { [name]: Class } = { [name]: class {} } as Record<string, new () => object>
  return Object.assign(new (Class as new () => object)(), fields)
}

const delta = (delta: object, more: object = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  model: 'm',
  choices: [{ index: 0, delta, finish_reason: null, ...more }],
})
const message = (fields: object) =>
  instance('AIMessageChunk', {
    lc_kwargs: { content: S('lc_kwargs') },
    lc_namespace: ['langchain_core', 'messages'],
    id: 'msg_1',
    name: S('message.name'),
    content: '',
    tool_call_chunks: [],
    tool_calls: [],
    invalid_tool_calls: [{ args: 'x', error: S('invalid_tool_calls') }],
    additional_kwargs: { __raw_response: { a: S('additional_kwargs') } },
    response_metadata: {
      model_provider: 'openai',
      instructions: S('response_metadata.instructions'),
      headers: S('response_metadata.headers'),
      metadata: { a: S('response_metadata.metadata') },
    },
    ...fields,
  })
const pieces = () => [
  message({ content: 'Hello ' }),
  message({ content: 'there.' }),
  message({ tool_call_chunks: [{ index: 0, id: 'call_1', name: 'weather', args: ARGS }] }),
  message({ response_metadata: { finish_reason: 'tool_calls', instructions: S('last.instructions') } }),
]
const whole = (fields: object) => ({
  content: '',
  additional_kwargs: { a: S('whole.additional_kwargs') },
  response_metadata: { instructions: S('whole.response_metadata') },
  ...fields,
})
const human = () => whole({ type: 'human', id: 'h', content: S('human') })
const answer = () =>
  whole({
    type: 'ai',
    id: 'a',
    content: 'Hello there.',
    tool_calls: [],
    response_metadata: { finish_reason: 'stop', instructions: S('answer') },
  })
const toolMessage = () =>
  whole({ type: 'tool', id: 't', content: S('tool.content'), artifact: S('artifact'), tool_call_id: 'call_1' })
const graphMetadata = () => ({
  langgraph_node: S('langgraph_node'),
  langgraph_path: S('langgraph_path'),
  thread_id: S('thread_id'),
  tags: [S('tags')],
  ...around('metadata'),
})
const agent = (type: string, data: object) => instance('RunRawModelStreamEvent', { type, data, source: S('source') })
const responses = (): object[] => [
  {
    type: 'response.created',
    sequence_number: 0,
    response: {
      id: 'resp_1',
      model: 'm',
      output: [],
      error: null,
      instructions: [{ role: 'system', content: S('instructions') }],
      input: [{ role: 'user', content: S('input') }],
      metadata: { a: S('metadata') },
      prompt: { id: S('prompt'), variables: { a: S('prompt.variables') } },
      prompt_cache_key: S('prompt_cache_key'),
      safety_identifier: S('safety_identifier'),
      user: S('user'),
      tools: [{ type: 'mcp', server_url: S('server_url'), headers: { authorization: S('tools.headers') } }],
      tool_choice: { type: 'mcp', server_label: S('tool_choice') },
      text: { format: { type: 'json_schema', schema: { description: S('text.format') } } },
      conversation: { id: S('conversation') },
      previous_response_id: S('previous_response_id'),
    },
  },
  {
    type: 'response.output_item.done',
    output_index: 0,
    item: {
      type: 'mcp_list_tools',
      id: 'l',
      server_label: 'label',
      tools: [{ name: S('mcp.tools') }],
      error: S('l'),
    },
  },
  {
    type: 'response.output_item.done',
    output_index: 0,
    item: { type: 'additional_tools', id: 'at', role: 'system', tools: [{ name: S('additional_tools') }] },
  },
  {
    type: 'response.output_item.done',
    output_index: 0,
    item: { type: 'program_output', id: 'po', call_id: 'p', result: S('program_output') },
  },
  {
    type: 'response.output_item.done',
    output_index: 0,
    item: { type: 'image_generation_call', id: 'ig', result: null, error: { message: S('image_generation_call') } },
  },
  { type: 'response.output_item.added', output_index: 1, item: { type: 'message', id: 'm', content: [] } },
  { type: 'response.output_text.delta', output_index: 1, delta: 'Hello ' },
  { type: 'response.output_text.delta', output_index: 1, delta: 'there.' },
  {
    type: 'response.output_item.done',
    output_index: 2,
    item: {
      type: 'mcp_call',
      id: 'mcp_1',
      name: 'weather',
      arguments: ARGS,
      output: S('mcp.output'),
      error: S('mcp.error'),
    },
  },
  {
    type: 'response.output_item.done',
    output_index: 3,
    item: { type: 'code_interpreter_call', id: 'ci', code: '1', outputs: [{ type: 'logs', logs: S('logs') }] },
  },
  {
    type: 'response.output_item.done',
    output_index: 7,
    item: { type: 'server_tool_call', id: 'st', name: 'search', arguments: ARGS, output: S('server_tool_call') },
  },
  {
    type: 'response.output_item.done',
    output_index: 4,
    item: { type: 'file_search_call', id: 'fs', queries: [], results: [{ text: S('results') }] },
  },
  {
    type: 'response.output_item.done',
    output_index: 5,
    item: { type: 'shell_call_output', output: [{ stdout: S('stdout') }] },
  },
  { type: 'response.shell_call_output_content.delta', output_index: 5, delta: { stdout: S('stdout.delta') } },
  {
    type: 'response.output_item.done',
    output_index: 6,
    item: { type: 'function_call', id: 'fc', call_id: 'call_1', name: 'weather', arguments: ARGS },
  },
  {
    type: 'response.completed',
    response: {
      id: 'resp_1',
      status: 'completed',
      instructions: S('completed.instructions'),
      metadata: { a: S('completed.metadata') },
      output: [{ type: 'mcp_call', id: 'mcp_1', output: S('completed.output') }],
      usage: { input_tokens: 1, output_tokens: 1 },
    },
  },
]
const claude = (type: string, fields: object) => ({ type, session_id: S('session_id'), uuid: S('uuid'), ...fields })
const messages = (): object[] => [
  {
    type: 'message_start',
    message: {
      id: 'msg_1',
      model: 'm',
      role: 'assistant',
      content: [],
      usage: { input_tokens: 1 },
      ...around('message'),
    },
  },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello ' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'there.' } },
  { type: 'content_block_stop', index: 0 },
  {
    type: 'content_block_start',
    index: 1,
    content_block: { type: 'mcp_tool_use', id: 'u', name: 'weather', input: {} },
  },
  { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: ARGS } },
  { type: 'content_block_stop', index: 1 },
  {
    type: 'content_block_start',
    index: 2,
    content_block: {
      type: 'mcp_tool_result',
      tool_use_id: 'u',
      content: [{ type: 'text', text: S('mcp_tool_result') }],
    },
  },
  { type: 'content_block_stop', index: 2 },
  {
    type: 'content_block_start',
    index: 3,
    content_block: { type: 'mcp_tool_listing', mcp_server_name: 's', tools: [{ description: S('mcp_tool_listing') }] },
  },
  { type: 'content_block_stop', index: 3 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } },
  { type: 'message_stop' },
]
const aiStep = () => ({
  request: { body: S('step.request') },
  response: { headers: { a: S('step.response') }, body: S('step.body') },
  warnings: [{ message: S('warnings') }],
})

const gemini = (): object[] => [
  instance('GenerateContentResponse', {
    sdkHttpResponse: { headers: { a: S('sdkHttpResponse') } },
    candidates: [{ index: 0, content: { parts: [{ text: 'Hello ' }] } }],
  }),
  { candidates: [{ content: { parts: [{ text: 'there.' }, { executableCode: { code: '1' } }] } }] },
  {
    candidates: [
      {
        content: {
          parts: [
            { codeExecutionResult: { outcome: 'OUTCOME_OK', output: S('codeExecutionResult') } },
            { functionResponse: { name: 'weather', response: { output: S('functionResponse') } } },
            { toolResponse: { toolType: 'X', response: S('toolResponse') } },
            { functionCall: { name: 'weather', args: CALL } },
          ],
        },
      },
    ],
  },
  {
    candidates: [{ content: { parts: [] }, finishReason: 'STOP', finishMessage: S('finishMessage') }],
    promptFeedback: { blockReasonMessage: S('blockReasonMessage') },
    usageMetadata: { promptTokenCount: 1 },
  },
]

export const shapes: Record<string, Shape> = {
  'OpenAI chat': {
    isWire: true,
    chunks: [
      {
        choices: [],
        model: 'm',
        prompt_filter_results: [],
        prompt_token_ids: S('ids'),
        prompt_logprobs: S('logprobs'),
      },
      delta({ role: 'assistant', content: 'Hello ' }),
      delta({ content: 'there.', annotations: [{ type: 'file', file: { content: [{ text: S('file') }] } }] }),
      // Groq's own tools.
      delta({ tool_calls: [{ index: 0, id: 's', type: 'mcp', mcp: { name: 'search', output: S('tool_calls.mcp') } }] }),
      // Vercel's gateway, Writer, Volcengine.
      delta({ provider_metadata: { gateway: { routing: S('provider_metadata') } } }),
      { ...delta({ graph_data: { sources: [{ snippet: S('graph_data') }] } }), bot_usage: { details: S('bot_usage') } },
      delta({ executed_tools: [{ name: 'search', arguments: '{}', output: S('executed_tools'), search_results: [] }] }),
      delta({ tool_calls: [{ index: 0, id: 'call_1', function: { name: 'weather', arguments: ARGS } }] }),
      {
        choices: [
          { index: 0, delta: {}, finish_reason: 'tool_calls', prompt_logprobs: [S('choice.logprobs')] },
          { index: 1, delta: {}, finish_reason: 'error', error: { message: S('second.error') } },
        ],
        __verbose: { prompt: S('verbose') },
      },
    ],
    failure: delta({}, { finish_reason: 'error', error: failed('choice.error') }),
  },
  'OpenAI Responses': {
    isWire: true,
    chunks: responses(),
    failure: { type: 'response.failed', response: { error: failed('error'), instructions: S('failed') } },
  },
  'OpenAI, a session of hosted agents': {
    chunks: [
      { type: 'agent.session.created', event_id: 'e', session: { instructions: S('instructions') } },
      { type: 'agent.session.turn.created', event_id: 'e', turn: { input: S('input') } },
      {
        type: 'agent.session.turn.item.added',
        event_id: 'e',
        item: { type: 'message', role: 'user', content: [{ text: S('user') }] },
      },
      { type: 'agent.session.turn.output_text.delta', event_id: 'e', item_id: 'i', output_index: 0, delta: 'Hello ' },
      { type: 'agent.output.command_execution_output.delta', event_id: 'e', delta: S('command') },
      {
        type: 'agent.session.turn.item.done',
        event_id: 'e',
        item: { type: 'mcp_call', id: 'm', name: 'search', arguments: CALL, output: S('mcp'), error: S('mcp.error') },
      },
      { type: 'agent.session.turn.output_text.delta', event_id: 'e', item_id: 'i', output_index: 0, delta: 'there.' },
      { type: 'agent.session.turn.completed', event_id: 'e', turn: { output: S('output') } },
      { type: 'agent.session.idle', event_id: 'e', session: { instructions: S('idle') } },
    ],
    failure: { type: 'agent.session.turn.failed', event_id: 'e', turn: { error: failed('error') } },
  },
  'OpenAI Realtime': {
    isWire: true,
    chunks: [
      { type: 'session.created', event_id: 'e', session: { instructions: S('instructions'), tools: [S('tools')] } },
      { type: 'conversation.item.added', event_id: 'e', item: { role: 'user', content: [{ text: S('user') }] } },
      { type: 'response.created', event_id: 'e', response: { id: 'r', status: 'in_progress', output: [] } },
      { type: 'response.output_text.delta', event_id: 'e', item_id: 'i', output_index: 0, delta: 'Hello ' },
      { type: 'response.output_text.delta', event_id: 'e', item_id: 'i', output_index: 0, delta: 'there.' },
      { type: 'response.done', event_id: 'e', response: { id: 'r', status: 'completed', output: [] } },
    ],
    failure: { type: 'error', event_id: 'e', error: failed('error') },
  },
  Anthropic: { isWire: true, chunks: messages(), failure: { type: 'error', error: failed('error') } },
  Gemini: { isWire: true, chunks: gemini(), failure: { error: failed('error') } },
  'Gemini in Code Assist': {
    isWire: true,
    chunks: gemini().map((response) => ({ response, traceId: S('trace') })),
    failure: { error: failed('error') },
  },
  'Gemini Live': {
    chunks: [
      { setupComplete: { sessionId: S('sessionId') } },
      { sessionResumptionUpdate: { newHandle: S('newHandle') } },
      { toolCall: { functionCalls: [{ id: 'c', name: 'weather', args: CALL }] } },
      {
        serverContent: { modelTurn: { parts: [{ text: 'Hello ' }, { codeExecutionResult: { output: S('output') } }] } },
      },
      { serverContent: { inputTranscription: { text: S('inputTranscription') } } },
      { serverContent: { modelTurn: { parts: [{ text: 'there.' }] } } },
      { serverContent: { turnComplete: true }, usageMetadata: { promptTokenCount: 1 } },
    ],
    failure: { error: failed('error') },
  },
  'Gemini Interactions': {
    chunks: [
      {
        event_type: 'interaction.created',
        interaction: {
          id: 'i',
          model: 'm',
          system_instruction: S('system_instruction'),
          input: S('input'),
          tools: [S('tools')],
        },
      },
      { event_type: 'step.start', index: 0, step: { type: 'model_output' } },
      { event_type: 'step.delta', index: 0, delta: { type: 'text', text: 'Hello there.' } },
      { event_type: 'step.start', index: 1, step: { type: 'function_result', result: S('step.result') } },
      { event_type: 'step.delta', index: 1, delta: { type: 'function_result', result: S('delta.result') } },
      { event_type: 'interaction.completed', interaction: { status: 'completed', outputs: [S('outputs')] } },
    ],
    failure: { event_type: 'error', error: failed('error') },
  },
  Mistral: {
    isWire: true,
    chunks: [
      { data: delta({ role: 'assistant', content: 'Hello ' }), ...around('mistral') },
      { data: delta({ content: 'there.' }) },
      {
        data: {
          id: '1',
          choices: [
            { index: 0, delta: {}, finishReason: 'stop' },
            { index: 1, delta: {}, error: S('second.error') },
          ],
        },
      },
    ],
    failure: { error: failed('error') },
  },
  'Mistral conversations': {
    chunks: [
      {
        event: 'conversation.response.started',
        data: {
          type: 'conversation.response.started',
          conversationId: S('conversationId'),
          instructions: S('instructions'),
        },
      },
      { event: 'message.output.delta', data: { type: 'message.output.delta', id: 'm', content: 'Hello there.' } },
      {
        event: 'tool.execution.done',
        data: { type: 'tool.execution.done', info: { output: S('info') }, arguments: S('arguments') },
      },
      {
        event: 'conversation.response.done',
        data: { type: 'conversation.response.done', usage: {}, ...around('done') },
      },
    ],
    failure: {
      event: 'conversation.response.error',
      data: { type: 'conversation.response.error', message: S('message'), code: 500 },
    },
  },
  Ollama: {
    isWire: true,
    chunks: [
      { model: 'm', message: { role: 'assistant', content: 'Hello ' }, done: false },
      { model: 'm', message: { content: 'there.' }, done: false, _debug_info: { rendered_template: S('template') } },
      { model: 'm', response: '', done: true, done_reason: 'stop', context: [S('context')] },
    ],
    failure: { error: S('error') },
  },
  Bedrock: {
    isWire: true,
    isClosed: true,
    chunks: [
      { messageStart: { role: 'assistant' } },
      { contentBlockDelta: { contentBlockIndex: 0, delta: { text: 'Hello there.' } } },
      { contentBlockStop: { contentBlockIndex: 0 } },
      { contentBlockStart: { contentBlockIndex: 1, start: { toolResult: { toolUseId: 'u', content: S('start') } } } },
      { contentBlockDelta: { contentBlockIndex: 1, delta: { toolResult: [{ text: S('toolResult') }] } } },
      { contentBlockStop: { contentBlockIndex: 1 } },
      { messageStop: { stopReason: 'end_turn' } },
      {
        metadata: {
          usage: { inputTokens: 1, outputTokens: 1 },
          trace: { guardrail: { modelOutput: [S('modelOutput')], inputAssessment: { a: S('inputAssessment') } } },
        },
      },
    ],
    failure: { internalServerException: { ...failed('error'), $response: { headers: S('$response') } } },
  },
  'Bedrock InvokeModel': {
    isClosed: true,
    chunks: messages().map((event) => ({
      chunk: { bytes: new TextEncoder().encode(JSON.stringify({ ...event, ...around('bytes') })) },
    })),
    failure: { modelStreamErrorException: failed('error') },
  },
  Cohere: {
    isWire: true,
    chunks: [
      { type: 'message-start', id: 'c', delta: { message: { role: 'assistant' } } },
      { type: 'debug', prompt: S('debug') },
      { type: 'content-start', index: 0, delta: { message: { content: { type: 'text', text: 'Hello ' } } } },
      { type: 'content-delta', index: 0, delta: { message: { content: { text: 'there.' } } } },
      {
        type: 'citation-start',
        index: 0,
        delta: {
          message: {
            citations: {
              text: 'Hello',
              sources: [
                { type: 'tool', id: 's', toolOutput: { a: S('toolOutput') } },
                { type: 'document', id: 'd', document: { id: 'd', title: 'A title', snippet: S('document') } },
              ],
            },
          },
        },
      },
      {
        type: 'citation-start',
        index: 1,
        delta: {
          message: {
            citations: { text: 'there', sources: [{ type: 'tool', id: 's', tool_output: { a: S('tool_output') } }] },
          },
        },
      },
      { type: 'message-end', delta: { finishReason: 'COMPLETE', usage: { tokens: { inputTokens: 1 } } } },
    ],
    failure: { type: 'message-end', delta: { finishReason: 'ERROR', error: S('delta.error') } },
  },
  'Hugging Face text': {
    isWire: true,
    chunks: [
      { index: 0, token: { id: 1, text: 'Hello there.', special: false }, generated_text: null, details: null },
      {
        index: 1,
        token: { id: 2, text: '', special: true },
        generated_text: 'Hello there.',
        details: { finish_reason: 'stop_sequence', generated_tokens: 1, prefill: [{ text: S('prefill') }] },
      },
    ],
    failure: { error: S('error'), error_type: S('error_type') },
  },
  'Workers AI': {
    isWire: true,
    isClosed: true,
    chunks: [{ response: 'Hello there.' }, { response: '', usage: { prompt_tokens: 1 } }],
    failure: { error: S('error') },
  },
  LangChain: { chunks: pieces(), failure: { type: 'error', error: failed('error') } },
  'LangChain, events of a run': {
    chunks: [
      {
        event: 'on_chat_model_start',
        run_id: 'r',
        name: 'M',
        metadata: around('m'),
        data: { input: { messages: [human()] } },
      },
      { event: 'on_chain_start', run_id: 'r', name: 'C', data: { input: S('chain.input') } },
      ...pieces().map((chunk) => ({ event: 'on_chat_model_stream', run_id: 'r', tags: [S('tags')], data: { chunk } })),
      { event: 'on_tool_start', run_id: 'r', name: 'T', data: { input: S('tool.input') } },
      { event: 'on_tool_end', run_id: 'r', name: 'T', data: { output: toolMessage(), input: S('tool_end.input') } },
      { event: 'on_tool_end', run_id: 'r', name: 'T', data: { output: S('tool_end.output') } },
      { event: 'on_prompt_end', run_id: 'r', data: { output: S('prompt_end') } },
      { event: 'on_retriever_end', run_id: 'r', data: { output: [{ pageContent: S('pageContent') }] } },
      { event: 'on_chat_model_end', run_id: 'r', data: { output: answer(), input: S('model_end') } },
    ],
    failure: { event: 'on_chain_error', run_id: 'r', error: failed('error'), data: { error: S('data.error') } },
  },
  'LangChain, events of a model': {
    chunks: [
      { event: 'message-start', id: 'm' },
      { event: 'provider', provider: 'openai', name: 'stream_metadata', payload: { headers: S('payload') } },
      { event: 'content-block-start', index: 0, content: { type: 'text', text: '' } },
      { event: 'content-block-delta', index: 0, delta: { type: 'text-delta', text: 'Hello there.' } },
      { event: 'message-finish', reason: 'stop', responseMetadata: { ...around('r'), a: S('responseMetadata') } },
    ],
    failure: { event: 'error', message: S('message'), code: S('code') },
  },
  'LangGraph, messages': {
    chunks: [
      [human(), graphMetadata()],
      ...pieces().map((chunk) => [chunk, graphMetadata()]),
      [toolMessage(), graphMetadata()],
      [answer(), graphMetadata()],
    ],
  },
  'LangGraph, several modes': {
    chunks: [
      ['values', { messages: [human()], secret: S('values') }],
      ['debug', { type: 'task', payload: S('debug') }],
      ['tasks', { id: 't', input: S('tasks'), error: S('tasks.error') }],
      ['checkpoints', { config: { configurable: S('checkpoints') } }],
      ['tools', { event: 'tool-finished', tool_call_id: 'call_1', output: S('tools'), input: S('tools.input') }],
      ['custom', { type: 'text', text: 'Hello there.' }],
      ['updates', { tools: { messages: [toolMessage()], path: S('updates') } }],
      ['updates', { agent: { messages: [answer()], state: S('state') } }],
      [['sub'], 'updates', { agent: { state: S('sub') } }],
    ],
  },
  'LangGraph, states': {
    chunks: [
      { messages: [human()], user: S('user') },
      { messages: [human(), answer()], user: S('user') },
      { messages: [human(), answer(), toolMessage()], __interrupt__: [{ value: S('interrupt') }] },
      { __interrupt__: [{ value: S('interrupt'), ns: [S('ns')] }] },
    ],
  },
  'LangGraph, events': {
    chunks: [
      { type: 'event', seq: 0, method: 'lifecycle', params: { data: { event: 'started', input: S('lifecycle') } } },
      {
        type: 'event',
        seq: 1,
        method: 'messages',
        params: { node: S('node'), data: { event: 'message-start', id: 'm' } },
      },
      {
        type: 'event',
        method: 'messages',
        params: {
          data: { event: 'content-block-delta', index: 0, delta: { type: 'text-delta', text: 'Hello there.' } },
        },
      },
      {
        type: 'event',
        method: 'messages',
        params: { data: { event: 'message-finish', reason: 'stop', ...around('f') } },
      },
      { type: 'event', method: 'values', params: { data: { messages: [human()] } } },
      {
        type: 'event',
        method: 'tools',
        params: { data: { event: 'tool-finished', tool_call_id: 'call_1', output: S('tools') } },
      },
    ],
    failure: { type: 'event', method: 'lifecycle', params: { data: { event: 'failed', error: S('lifecycle.error') } } },
  },
  'LangGraph Platform': {
    chunks: [
      { id: '1', event: 'metadata', data: { run_id: 'r', thread: S('thread') } },
      { id: '2', event: 'values', data: { messages: [human()], user: S('values') } },
      {
        id: '3',
        event: 'messages',
        data: [{ ...message({ content: 'Hello there.' }), type: 'AIMessageChunk' }, graphMetadata()],
      },
      {
        id: '4',
        event: 'messages',
        data: [message({ response_metadata: { finish_reason: 'stop' } }), graphMetadata()],
      },
      { id: '5', event: 'messages/metadata', data: { m: graphMetadata() } },
      { id: '6', event: 'updates', data: { tools: { messages: [toolMessage()] } } },
      { id: '7', event: 'events', data: { event: 'on_chat_model_start', data: S('events') } },
      { id: '8', event: 'feedback', data: { url: S('feedback') } },
    ],
    failure: { id: '9', event: 'error', data: { error: S('error'), message: S('message') } },
  },
  'OpenAI Agents': {
    chunks: [
      instance('RunAgentUpdatedStreamEvent', {
        type: 'agent_updated_stream_event',
        agent: { name: S('agent'), instructions: S('agent.instructions') },
      }),
      agent('raw_model_stream_event', { type: 'response_started', providerData: { response: around('started') } }),
      ...responses().map((event) =>
        agent('raw_model_stream_event', { type: 'model', event, providerData: around('p') }),
      ),
      agent('raw_model_stream_event', { type: 'output_text_delta', delta: 'Hello there.', providerData: around('d') }),
      agent('raw_model_stream_event', {
        type: 'response_done',
        response: { id: 'r', usage: {}, output: [{ content: S('done.output') }], providerData: around('done') },
      }),
      instance('RunItemStreamEvent', {
        type: 'run_item_stream_event',
        name: 'tool_output',
        item: {
          type: 'tool_call_output_item',
          rawItem: { callId: 'call_1', output: S('rawItem'), providerData: around('rawItem') },
          output: S('item.output'),
          agent: { instructions: S('item.agent') },
        },
      }),
    ],
    failure: agent('raw_model_stream_event', {
      type: 'model',
      event: { type: 'response.failed', response: { error: failed('error') } },
    }),
  },
  'Claude Agent SDK': {
    chunks: [
      claude('system', {
        subtype: 'init',
        cwd: S('cwd'),
        tools: [S('tools')],
        mcp_servers: [{ name: S('mcp') }],
        apiKeySource: S('k'),
      }),
      ...messages().map((event) => claude('stream_event', { event, parent_tool_use_id: null })),
      claude('assistant', {
        message: { id: 'x', content: [{ type: 'text', text: 'Hello there.' }], ...around('message') },
      }),
      claude('user', {
        message: { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'u', content: S('tool_result') }] },
        tool_use_result: { file: { filePath: S('filePath'), content: S('file') } },
      }),
      claude('user', { message: { content: S('user.content') } }),
      claude('assistant', { parent_tool_use_id: 'p', message: { content: [{ type: 'text', text: S('subagent') }] } }),
      claude('tool_progress', { tool_name: S('tool_progress') }),
      claude('result', {
        subtype: 'success',
        is_error: false,
        result: 'Hello there.',
        stop_reason: 'end_turn',
        permission_denials: [{ tool_input: S('denials') }],
        structured_output: S('structured_output'),
      }),
    ],
    failure: claude('result', {
      subtype: 'error_during_execution',
      is_error: true,
      errors: [S('errors')],
      result: S('result'),
    }),
  },
  Mastra: {
    chunks: [
      { type: 'start', from: 'AGENT', runId: S('runId'), payload: { id: S('id'), ...around('start') } },
      { type: 'step-start', from: 'AGENT', runId: 'r', payload: around('step-start') },
      {
        type: 'text-delta',
        from: 'AGENT',
        runId: 'r',
        payload: { id: 't', text: 'Hello there.', providerMetadata: around('t') },
      },
      { type: 'tool-call', from: 'AGENT', runId: 'r', payload: { toolCallId: 'c', toolName: 'weather', args: CALL } },
      {
        type: 'tool-result',
        from: 'AGENT',
        runId: 'r',
        payload: { toolCallId: 'c', toolName: 'weather', result: S('result') },
      },
      { type: 'tool-error', from: 'AGENT', runId: 'r', payload: { toolCallId: 'c', error: failed('tool-error') } },
      { type: 'tool-output', from: 'AGENT', runId: 'r', payload: { output: S('tool-output'), toolCallId: 'c' } },
      {
        type: 'source',
        from: 'AGENT',
        runId: 'r',
        payload: { id: 's', url: 'https://a.example', title: 'A', providerMetadata: around('s'), ...around('source') },
      },
      {
        type: 'step-finish',
        from: 'AGENT',
        runId: 'r',
        payload: { metadata: around('metadata'), messages: [S('messages')] },
      },
      { type: 'workflow-step-result', from: 'WORKFLOW', runId: 'r', payload: { output: S('step.output') } },
      { type: 'finish', from: 'AGENT', runId: 'r', payload: { stepResult: { reason: 'stop' }, ...around('finish') } },
    ],
    failure: { type: 'error', from: 'AGENT', runId: 'r', payload: { error: failed('error') } },
  },
  'AI SDK 5 to 7': {
    isWire: true,
    chunks: [
      { type: 'start', ...around('start') },
      { type: 'start-step', ...aiStep() },
      { type: 'text-start', id: 't' },
      { type: 'text-delta', id: 't', text: 'Hello ' },
      { type: 'text-delta', id: 't', text: 'there.' },
      { type: 'text-end', id: 't' },
      { type: 'tool-input-start', id: 'c', toolName: 'weather' },
      { type: 'tool-input-delta', id: 'c', delta: ARGS },
      { type: 'tool-input-end', id: 'c' },
      { type: 'tool-call', toolCallId: 'c', toolName: 'weather', input: CALL, invalid: true, error: failed('invalid') },
      { type: 'tool-call', toolCallId: 'd', toolName: 'weather', input: CALL },
      { type: 'tool-result', toolCallId: 'd', toolName: 'weather', input: CALL, output: S('output') },
      { type: 'tool-error', toolCallId: 'd', toolName: 'weather', input: CALL, error: failed('tool-error') },
      { type: 'steering-message', id: 's', message: { role: 'user', content: S('steering-message') } },
      { type: 'raw', rawValue: around('rawValue') },
      { type: 'finish-step', finishReason: 'stop', usage: {}, ...aiStep() },
      { type: 'finish', finishReason: 'stop', rawFinishReason: 'stop', totalUsage: { inputTokens: 1, raw: {} } },
    ],
    failure: { type: 'error', error: failed('error') },
  },
  'AI SDK, UI message stream': {
    isWire: true,
    chunks: [
      { type: 'start', messageId: 'm' },
      { type: 'start-step' },
      { type: 'text-start', id: 't' },
      { type: 'text-delta', id: 't', delta: 'Hello there.' },
      { type: 'text-end', id: 't' },
      { type: 'tool-input-start', toolCallId: 'c', toolName: 'weather' },
      { type: 'tool-input-available', toolCallId: 'c', toolName: 'weather', input: CALL },
      { type: 'tool-output-available', toolCallId: 'c', output: { a: S('output') } },
      { type: 'tool-output-error', toolCallId: 'c', errorText: S('tool-output-error') },
      { type: 'tool-input-error', toolCallId: 'e', toolName: 'weather', input: CALL, errorText: S('tool-input-error') },
      { type: 'finish-step' },
      { type: 'finish', finishReason: 'stop' },
    ],
    failure: { type: 'error', errorText: S('errorText') },
  },
  'AI SDK 4': {
    chunks: [
      {
        type: 'step-start',
        messageId: S('messageId'),
        request: { body: S('request.body') },
        warnings: [S('warnings')],
      },
      { type: 'text-delta', textDelta: 'Hello there.' },
      { type: 'source', source: { url: 'https://a.example', title: 'A', providerMetadata: around('source') } },
      { type: 'tool-call', toolCallId: 'c', toolName: 'weather', args: CALL },
      { type: 'tool-result', toolCallId: 'c', toolName: 'weather', args: CALL, result: S('result') },
      { type: 'step-finish', finishReason: 'stop', ...aiStep(), experimental_providerMetadata: around('x') },
      { type: 'finish', finishReason: 'stop', usage: { promptTokens: 1, completionTokens: 1 }, ...aiStep() },
    ],
    failure: { type: 'error', error: failed('error') },
  },
  xsai: {
    chunks: [
      { type: 'text-delta', text: 'Hello there.' },
      { type: 'tool-call-streaming-start', toolCallId: 'c', toolName: 'weather' },
      { type: 'tool-call-delta', argsTextDelta: ARGS, toolName: 'weather' },
      { type: 'tool-result', toolCallId: 'c', toolName: 'weather', args: CALL, result: S('result') },
      { type: 'finish', finishReason: 'stop', usage: { prompt_tokens: 1, completion_tokens: 1 } },
    ],
    failure: { type: 'error', error: failed('error') },
  },
  'AG-UI': {
    chunks: [
      { type: 'RUN_STARTED', threadId: S('threadId'), runId: S('runId'), input: { messages: [S('input')] } },
      { type: 'STATE_SNAPSHOT', snapshot: { a: S('snapshot') } },
      { type: 'STATE_DELTA', delta: [{ op: 'add', value: S('state.delta') }] },
      { type: 'MESSAGES_SNAPSHOT', messages: [{ role: 'system', content: S('messages') }] },
      { type: 'TEXT_MESSAGE_START', messageId: 's', role: 'system' },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 's', delta: S('system') },
      { type: 'TEXT_MESSAGE_START', messageId: 'm', role: 'assistant', rawEvent: around('rawEvent') },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta: 'Hello there.', rawEvent: around('rawEvent') },
      { type: 'TEXT_MESSAGE_CONTENT', messageId: 'x', delta: S('subagent'), subagentRunId: 'sub' },
      { type: 'ACTIVITY_SNAPSHOT', messageId: 'a', activityType: 'X', content: { a: S('activity') } },
      { type: 'TOOL_CALL_START', toolCallId: 'c', toolCallName: 'weather' },
      { type: 'TOOL_CALL_ARGS', toolCallId: 'c', delta: ARGS },
      { type: 'TOOL_CALL_END', toolCallId: 'c' },
      { type: 'TOOL_CALL_RESULT', messageId: 'r', toolCallId: 'c', content: S('result') },
      { type: 'RAW', event: around('raw'), source: S('source') },
      { type: 'RUN_FINISHED', threadId: 't', runId: 'r', result: S('run.result') },
    ],
    failure: { type: 'RUN_ERROR', message: S('message'), code: S('code'), rawEvent: around('error') },
  },
  'Google ADK': {
    chunks: [
      { invocationId: 'i', author: 'user', content: { role: 'user', parts: [{ text: S('user') }] } },
      {
        invocationId: 'i',
        author: 'agent',
        partial: true,
        content: { role: 'model', parts: [{ text: 'Hello there.' }] },
      },
      {
        invocationId: 'i',
        author: 'agent',
        content: { parts: [{ text: 'Hello there.' }, { functionCall: { id: 'c', name: 'weather', args: CALL } }] },
        actions: { stateDelta: { a: S('stateDelta') }, artifactDelta: { a: S('artifactDelta') } },
      },
      {
        invocationId: 'i',
        author: S('author'),
        content: { parts: [{ functionResponse: { id: 'c', name: 'weather', response: { a: S('response') } } }] },
      },
      {
        invocationId: 'i',
        author: 'agent',
        content: { parts: [{ text: 'It rains.' }, { codeExecutionResult: { output: S('codeExecutionResult') } }] },
        finishReason: 'STOP',
        customMetadata: around('customMetadata'),
      },
    ],
    failure: { invocationId: 'i', author: 'agent', errorCode: '429', errorMessage: S('errorMessage') },
  },
  Genkit: {
    chunks: [
      instance('GenerateResponseChunk', {
        role: 'model',
        index: 0,
        content: [{ text: 'Hello there.', metadata: around('part'), custom: around('part.custom') }],
        previousChunks: [S('previousChunks')],
        custom: around('custom'),
      }),
      instance('GenerateResponseChunk', {
        role: 'tool',
        index: 1,
        content: [{ toolResponse: { name: 'weather', ref: 'c', output: S('toolResponse') } }, { text: S('tool.text') }],
      }),
      instance('GenerateResponseChunk', { role: 'system', index: 2, content: [{ text: S('system') }] }),
      {
        message: { role: 'model', content: [{ text: S('response.message') }] },
        finishReason: 'stop',
        finishMessage: S('finishMessage'),
        usage: { inputTokens: 1 },
        request: { messages: [S('request')] },
        raw: around('raw'),
      },
    ],
    failure: { error: failed('error') },
  },
  Strands: {
    chunks: [
      { type: 'beforeInvocationEvent', agent: { systemPrompt: S('systemPrompt'), messages: [S('messages')] } },
      { type: 'messageAddedEvent', agent: {}, message: { role: 'user', content: S('message') } },
      { type: 'modelStreamUpdateEvent', agent: around('agent'), event: { type: 'modelMessageStartEvent' } },
      {
        type: 'modelStreamUpdateEvent',
        agent: {},
        event: { type: 'modelContentBlockDeltaEvent', delta: { type: 'textDelta', text: 'Hello there.' } },
      },
      {
        type: 'afterToolCallEvent',
        agent: {},
        result: { toolUseId: 'c', status: 'error', content: S('result') },
        error: S('e'),
      },
      { type: 'modelStreamUpdateEvent', agent: {}, event: { type: 'modelMessageStopEvent', stopReason: 'endTurn' } },
      { type: 'afterModelCallEvent', agent: {}, error: failed('afterModelCallEvent') },
      { type: 'agentResultEvent', agent: {}, result: { lastMessage: S('lastMessage') } },
    ],
  },
  Codex: {
    chunks: [
      { type: 'thread.started', thread_id: S('thread_id') },
      { type: 'turn.started', ...around('turn') },
      { type: 'item.completed', item: { id: '1', type: 'agent_message', text: 'Hello there.' } },
      {
        type: 'item.completed',
        item: { id: '2', type: 'command_execution', command: S('command'), aggregated_output: S('aggregated_output') },
      },
      { type: 'item.completed', item: { id: '3', type: 'file_change', changes: [{ path: S('path') }] } },
      {
        type: 'item.completed',
        item: { id: '4', type: 'mcp_tool_call', arguments: S('arguments'), result: S('result') },
      },
      { type: 'item.completed', item: { id: '5', type: 'error', message: S('item.error') } },
      { type: 'item.updated', item: { id: '6', type: 'todo_list', items: [{ text: S('todo') }] } },
      { type: 'error', message: `Reconnecting… ${S('reconnecting')}` },
      { type: 'turn.completed', usage: { input_tokens: 1 } },
    ],
    failure: { type: 'turn.failed', error: failed('error') },
  },
  Replicate: {
    chunks: [
      instance('ServerSentEvent', { event: 'logs', data: S('logs'), id: S('id') }),
      instance('ServerSentEvent', { event: 'output', data: 'Hello there.', id: S('id') }),
      instance('ServerSentEvent', { event: 'done', data: JSON.stringify({ output: S('done') }) }),
    ],
    failure: instance('ServerSentEvent', { event: 'error', data: S('error') }),
  },
  LlamaIndex: {
    chunks: [
      { delta: 'Hello ', raw: delta({ content: 'Hello ' }), options: around('options') },
      {
        delta: 'there.',
        raw: delta({ content: 'there.' }, { finish_reason: 'stop' }),
        sourceNodes: [S('sourceNodes')],
      },
    ],
    failure: { delta: '', raw: { choices: [], model: 'm', error: failed('error') } },
  },
  'llama.cpp': {
    chunks: [
      { content: 'Hello ', stop: false, tokens: [1], id_slot: 0 },
      { content: 'there.', stop: false, tokens: [2], id_slot: 0 },
      {
        content: '',
        stop: true,
        tokens: [],
        prompt: S('prompt'),
        model: S('model'),
        generation_settings: around('gen'),
      },
    ],
    failure: { error: failed('error') },
  },
  watsonx: {
    chunks: [
      { model_id: S('model_id'), results: [{ generated_text: 'Hello there.', stop_reason: 'not_finished' }] },
      {
        model_id: S('model_id'),
        system: { warnings: [{ message: S('warnings') }] },
        results: [{ generated_text: '', stop_reason: 'eos_token', input_text: S('input_text') }],
      },
    ],
  },
  Ax: {
    chunks: [
      {
        results: [{ index: 0, content: 'Hello there.', id: S('id') }],
        remoteId: S('remoteId'),
        sessionId: S('session'),
      },
      { results: [{ index: 1, content: S('another'), finishReason: 'stop' }], providerMetadata: around('metadata') },
      { results: [{ index: 0, finishReason: 'stop' }], modelUsage: { ai: S('ai'), tokens: { promptTokens: 1 } } },
    ],
  },
  'LM Studio': {
    chunks: ['Hello ', 'there.'].map((content) => ({
      content,
      reasoningType: 'none',
      tokensCount: 2,
      [S('k')]: S('v'),
    })),
  },
  DashScope: {
    chunks: [
      {
        request_id: S('request_id'),
        output: { text: 'Hello there.', finish_reason: 'null', session_id: S('session_id'), thoughts: [S('thoughts')] },
      },
      { request_id: S('request_id'), output: { text: '', finish_reason: 'stop', doc_references: [S('doc')] } },
    ],
  },
  SAP: {
    chunks: [
      {
        request_id: S('request_id'),
        intermediate_results: { templating: [{ role: 'user', content: S('templating') }], llm: around('llm') },
      },
      {
        request_id: S('request_id'),
        intermediate_results: { grounding: { data: S('grounding') } },
        final_result: delta({ content: 'Hello there.' }),
      },
      { request_id: S('request_id'), final_result: delta({}, { finish_reason: 'stop' }) },
    ],
    failure: { error: { request_id: S('request_id'), location: S('location'), ...failed('error') } },
  },
  Dify: {
    chunks: [
      {
        event: 'workflow_started',
        task_id: S('task_id'),
        workflow_run_id: S('run'),
        data: { inputs: { a: S('inputs') } },
      },
      { event: 'node_finished', task_id: 't', workflow_run_id: 'w', data: { process_data: S('process_data') } },
      { event: 'agent_thought', task_id: 't', message_id: 'm', tool_input: S('tool_input'), observation: S('seen') },
      { event: 'message', task_id: 't', message_id: 'm', answer: 'Hello there.', from_variable_selector: [S('from')] },
      { event: 'message_end', task_id: 't', message_id: 'm', metadata: { retriever_resources: [S('resources')] } },
    ],
    failure: { event: 'error', task_id: 't', message_id: 'm', ...failed('error') },
  },
  A2A: {
    chunks: [
      {
        task: {
          id: S('id'),
          contextId: 'c',
          status: { state: 'submitted', message: { role: 'agent', parts: [{ text: S('status') }] } },
          history: [{ role: 'user', parts: [{ text: S('history') }] }],
          metadata: around('metadata'),
        },
      },
      { message: { messageId: 'm', role: 'ROLE_USER', parts: [{ text: S('user') }] } },
      {
        artifactUpdate: { taskId: 't', artifact: { artifactId: 'a', name: S('n'), parts: [{ text: 'Hello there.' }] } },
      },
      { statusUpdate: { taskId: 't', status: { state: 'completed', message: { parts: [{ text: S('done') }] } } } },
    ],
    failure: {
      statusUpdate: {
        taskId: 't',
        status: { state: 'failed', message: { role: 'agent', parts: [{ text: S('failed') }] } },
      },
    },
    isClosed: true,
  },
  'Claude’s managed agents': {
    chunks: [
      { type: 'user.message', id: 'u', processed_at: 'now', content: [{ type: 'text', text: S('user') }] },
      { type: 'system.message', id: 's', processed_at: 'now', content: [{ type: 'text', text: S('system') }] },
      { type: 'agent.thinking', id: 't', processed_at: 'now', content: S('thinking') },
      { type: 'agent.tool_use', id: 'c', processed_at: 'now', name: 'bash', input: CALL },
      { type: 'agent.tool_result', id: 'r', processed_at: 'now', tool_use_id: 'c', content: [{ text: S('result') }] },
      {
        type: 'agent.message',
        id: 'x',
        processed_at: 'now',
        session_thread_id: 'sub',
        content: [{ type: 'text', text: S('thread') }],
      },
      { type: 'agent.message', id: 'm', processed_at: 'now', content: [{ type: 'text', text: 'Hello there.' }] },
      {
        type: 'session.error',
        id: 'e',
        processed_at: 'now',
        error: { ...failed('retried'), retry_status: { type: 'retrying' } },
      },
      { type: 'session.status_idle', id: 'i', processed_at: 'now', stop_reason: { type: 'end_turn' } },
    ],
    failure: { type: 'session.error', id: 'e', processed_at: 'now', error: failed('error') },
  },
  opencode: {
    chunks: [
      { type: 'server.connected', properties: {} },
      {
        type: 'message.updated',
        properties: { sessionID: 's', info: { system: S('info.system'), path: { cwd: S('cwd') } } },
      },
      { type: 'message.part.updated', properties: { part: { id: 'u', type: 'text', text: S('user') } } },
      { type: 'message.part.updated', properties: { part: { id: 'f', type: 'file', url: S('file') } } },
      {
        type: 'message.part.updated',
        properties: {
          part: {
            id: 'x',
            type: 'tool',
            callID: 'c',
            tool: 'bash',
            state: { status: 'completed', input: CALL, output: S('out'), title: S('title') },
          },
        },
      },
      {
        type: 'message.part.updated',
        properties: { part: { id: 'a', type: 'text', text: S('whole') }, delta: 'Hello there.' },
      },
      { type: 'file.edited', properties: { file: S('edited') } },
      { type: 'session.idle', properties: { sessionID: 's' } },
    ],
    failure: {
      type: 'session.error',
      properties: { sessionID: 's', error: { name: 'APIError', data: failed('data') } },
    },
    isClosed: true,
  },
  'Bedrock, a flow': {
    chunks: [
      { flowTraceEvent: { trace: S('trace') } },
      { flowOutputEvent: { nodeName: S('nodeName'), content: { document: 'Hello there.' } } },
      { flowCompletionEvent: { completionReason: 'SUCCESS' } },
    ],
    failure: { throttlingException: failed('throttling') },
  },
}
