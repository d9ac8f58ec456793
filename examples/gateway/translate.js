// Requests: three APIs in, two providers out. What comes back is the relay's business and not looked at here.
//
// In between is one request:
//
//   { model, system, messages, tools, toolChoice, maxTokens, temperature, stop }
//
//   messages    [{ role: 'user' | 'assistant', content: [block, …] }], and a block is one of
//               { text } · { thought, signature, hidden } · { call: { id, name, input } } · { result: { id, text, failed } }
//   tools       [{ name, description, schema }]
//   toolChoice  'auto' | 'any' | 'none' | { name }
//
// Left out:
// - refused with a 400, since the answer would be to another question: images, files, audio, and what is kept at the
//   provider (`previous_response_id`, `conversation`, `item_reference`)
// - dropped, since the answer is only a little different: tools that a provider runs itself (web search, code, MCP) and
//   tools whose input is free text, structured output, caching, thinking budgets, log probabilities, seeds, `n`, metadata
// - thoughts, on the way to an OpenAI-compatible provider; and on the way to Anthropic those that it did not sign

/** `POST /v1/messages`, of Claude Code and the Anthropic SDK. */
export function fromMessages(body) {
  const request = begin(body)
  request.system = textOf(body.system)
  request.maxTokens = body.max_tokens
  request.stop = body.stop_sequences
  for (const { role, content } of body.messages ?? []) {
    if (role === 'system') {
      request.system = joined(request.system, textOf(content))
      continue
    }
    for (const block of typeof content === 'string' ? [{ type: 'text', text: content }] : content) {
      if (block.type === 'text') add(request, role, { text: block.text })
      else if (block.type === 'thinking') add(request, role, { thought: block.thinking, signature: block.signature })
      else if (block.type === 'redacted_thinking') add(request, role, { thought: '', hidden: block.data })
      else if (block.type === 'tool_use') {
        add(request, role, { call: { id: block.id, name: block.name, input: JSON.stringify(block.input) } })
      } else if (block.type === 'tool_result') {
        const { tool_use_id: id, content, is_error: failed = false } = block
        add(request, role, { result: { id, text: textOf(content), failed } })
      } else refuse(`content of the type ${block.type}`)
    }
  }
  // Those without a schema are run by Anthropic.
  request.tools = (body.tools ?? [])
    .filter((tool) => tool.input_schema)
    .map(({ name, description, input_schema: schema }) => ({ name, description, schema }))
  const { type, name } = body.tool_choice ?? {}
  if (type) request.toolChoice = type === 'tool' ? { name } : type
  return request
}

/** `POST /v1/chat/completions`, of nearly everything. */
export function fromChat(body) {
  const request = begin(body)
  request.maxTokens = body.max_completion_tokens ?? body.max_tokens
  request.stop = body.stop && [body.stop].flat()
  for (const { role, content, tool_calls: calls = [], tool_call_id: id } of body.messages ?? []) {
    if (role === 'system' || role === 'developer') request.system = joined(request.system, textOf(content))
    else if (role === 'tool') add(request, 'user', { result: { id, text: textOf(content), failed: false } })
    else {
      const text = textOf(content)
      if (text) add(request, role, { text })
      for (const { id, function: call } of calls) {
        if (call) add(request, role, { call: { id, name: call.name, input: call.arguments } })
      }
    }
  }
  request.tools = (body.tools ?? [])
    .filter(({ type }) => type === 'function')
    .map(({ function: { name, description, parameters } }) => ({ name, description, schema: parameters }))
  request.toolChoice = choiceOf(body.tool_choice)
  return request
}

/** `POST /v1/responses`, of Codex, the Agents SDK and newer code for OpenAI. */
export function fromResponses(body) {
  if (body.previous_response_id || body.conversation) refuse('a conversation that is kept at the provider')
  const request = begin(body)
  request.system = body.instructions ?? ''
  request.maxTokens = body.max_output_tokens
  for (const item of typeof body.input === 'string' ? [{ role: 'user', content: body.input }] : (body.input ?? [])) {
    const { type = 'message', role, call_id: id } = item
    if (type === 'message' && /^(system|developer)$/.test(role)) {
      request.system = joined(request.system, textOf(item.content))
    } else if (type === 'message') add(request, role, { text: textOf(item.content) })
    else if (type === 'function_call')
      add(request, 'assistant', { call: { id, name: item.name, input: item.arguments } })
    else if (type === 'function_call_output') {
      add(request, 'user', { result: { id, text: textOf(item.output), failed: false } })
    } else if (type === 'reasoning') {
      // As openaiResponses() says them: with a summary it is a signature, without one the thought itself is encrypted.
      const thought = (item.summary ?? []).map(({ text }) => text).join('\n\n')
      const { encrypted_content: encrypted } = item
      add(request, 'assistant', thought ? { thought, signature: encrypted } : { thought, hidden: encrypted })
    } else if (type === 'item_reference') refuse('an item that is kept at the provider')
  }
  request.tools = (body.tools ?? [])
    .filter(({ type }) => type === 'function')
    .map(({ name, description, parameters }) => ({ name, description, schema: parameters }))
  request.toolChoice = choiceOf(body.tool_choice)
  return request
}

/** What Anthropic is asked. */
export function toAnthropic({ model, system, messages, tools, toolChoice, maxTokens = 8192, temperature, stop }) {
  const blockOf = ({ text, thought, signature, hidden, call, result }) => {
    if (call) return { type: 'tool_use', id: call.id, name: call.name, input: JSON.parse(call.input || '{}') }
    if (result) return { type: 'tool_result', tool_use_id: result.id, content: result.text, is_error: result.failed }
    if (hidden) return { type: 'redacted_thinking', data: hidden }
    if (signature) return { type: 'thinking', thinking: thought, signature }
    return text ? { type: 'text', text } : undefined
  }
  // Results stand first in a message, and an empty text is refused.
  const contentOf = (content) => [...content.filter(({ result }) => result), ...content.filter(({ result }) => !result)]
  const { name } = toolChoice
  return {
    model,
    max_tokens: maxTokens,
    messages: messages
      .map(({ role, content }) => ({ role, content: contentOf(content).map(blockOf).filter(Boolean) }))
      .filter(({ content }) => content.length > 0),
    ...(system && { system }),
    ...(tools.length > 0 && {
      tools: tools.map(({ name, description, schema }) => ({ name, description, input_schema: schema ?? ANYTHING })),
      tool_choice: name ? { type: 'tool', name } : { type: toolChoice },
    }),
    ...(temperature !== undefined && { temperature: Math.min(temperature, 1) }),
    ...(stop && { stop_sequences: stop }),
  }
}

/** What a provider with OpenAI's chat completions is asked. */
export function toOpenAI({ model, system, messages, tools, toolChoice, maxTokens, temperature, stop }) {
  const told = system ? [{ role: 'system', content: system }] : []
  for (const { role, content } of messages) {
    for (const { result } of content) {
      if (result) told.push({ role: 'tool', tool_call_id: result.id, content: result.text })
    }
    const text = content
      .map(({ text }) => text)
      .filter(Boolean)
      .join('\n\n')
    const calls = content.flatMap(({ call }) =>
      call ? [{ id: call.id, type: 'function', function: { name: call.name, arguments: call.input } }] : [],
    )
    if (calls.length > 0) told.push({ role, content: text || null, tool_calls: calls })
    else if (text) told.push({ role, content: text })
  }
  const { name } = toolChoice
  return {
    model,
    messages: told,
    ...(maxTokens !== undefined && { max_completion_tokens: maxTokens }),
    ...(tools.length > 0 && {
      tools: tools.map(({ name, description, schema }) => ({
        type: 'function',
        function: { name, description, parameters: schema ?? ANYTHING },
      })),
      tool_choice: name ? { type: 'function', function: { name } } : toolChoice === 'any' ? 'required' : toolChoice,
    }),
    ...(temperature !== undefined && { temperature }),
    ...(stop && { stop }),
    stream_options: { include_usage: true },
  }
}

const ANYTHING = { type: 'object', properties: {} }

function begin({ model, temperature }) {
  if (typeof model !== 'string') refuse('a request without a model')
  return { model, system: '', messages: [], tools: [], toolChoice: 'auto', temperature: temperature ?? undefined }
}

/** Blocks of one role that follow each other are one message. */
function add({ messages }, role, block) {
  const last = messages.at(-1)
  if (last?.role === role) last.content.push(block)
  else messages.push({ role, content: [block] })
}

/** A text, or the texts of a list of parts. */
function textOf(content) {
  if (typeof content === 'string') return content
  return (content ?? [])
    .map((part) => {
      if (typeof part.text !== 'string') refuse(`content of the type ${part.type}`)
      return part.text
    })
    .join('\n\n')
}

function joined(before, text) {
  return before && text ? `${before}\n\n${text}` : before || text
}

function choiceOf(choice = 'auto') {
  if (typeof choice === 'string') return choice === 'required' ? 'any' : choice
  const { name = choice.function?.name } = choice
  return name ? { name } : 'auto'
}

/** A mistake of the client's: `expose` lets it read the words. */
function refuse(what) {
  throw Object.assign(new Error(`This gateway does not translate ${what}.`), {
    status: 400,
    code: 'not-translated',
    expose: true,
  })
}
