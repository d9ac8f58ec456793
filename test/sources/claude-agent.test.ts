import { describe, expect, it } from 'vitest'
import { toFailure } from '../../src/failure.js'
import { readAll } from './read-all.js'

const message = (type: string, fields: object) => ({
  type,
  session_id: 's',
  uuid: 'u',
  parent_tool_use_id: null,
  ...fields,
})
const event = (type: string, fields: object = {}) => message('stream_event', { event: { type, ...fields } })
const init = message('system', { subtype: 'init', cwd: '/home/SECRET', tools: ['SECRET'], apiKeySource: 'SECRET' })
const turn = (id: string, text: string) => [
  event('message_start', {
    message: { id, usage: { input_tokens: 20, cache_read_input_tokens: 5, output_tokens: 1 } },
  }),
  event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
  event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
  event('content_block_stop', { index: 0 }),
]
const call = [
  event('content_block_start', {
    index: 1,
    content_block: { type: 'tool_use', id: 'toolu_1', name: 'Read', input: {} },
  }),
  event('content_block_delta', { index: 1, delta: { type: 'input_json_delta', partial_json: '{"path":"a"}' } }),
  event('content_block_stop', { index: 1 }),
]
const stop = (reason: string) => [event('message_delta', { delta: { stop_reason: reason } }), event('message_stop')]
const assistant = (id: string, block: object, more: object = {}) =>
  message('assistant', { message: { id, content: [block], stop_reason: null }, ...more })
const answered = message('user', {
  message: { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'file' }] },
})
const usage = { input_tokens: 20, cache_read_input_tokens: 5, cache_creation_input_tokens: 0, output_tokens: 15 }
const result = (fields: object = {}) =>
  message('result', {
    subtype: 'success',
    is_error: false,
    result: 'SECRET again',
    stop_reason: 'end_turn',
    usage,
    ...fields,
  })

describe('a query of the Claude Agent SDK', () => {
  it('has the text of its partial messages once, its turns as paragraphs, and is complete at its result', () => {
    const whole = assistant('m1', { type: 'text', text: 'Hello' })
    const turns = [
      init,
      ...turn('m1', 'Hello'),
      whole,
      ...call,
      ...stop('tool_use'),
      answered,
      ...turn('m2', 'Done.'),
      ...stop('end_turn'),
    ]
    expect(readAll(turns).proof).toBe('missing')
    const read = readAll([...turns, result()])
    expect(read).toMatchObject({
      proof: 'given',
      text: 'Hello\n\nDone.',
      calls: [{ id: 'toolu_1', name: 'Read', input: '{"path":"a"}', done: true, executed: true }],
      results: [{ id: 'toolu_1', output: 'file' }],
      usage: { inputTokens: 25, outputTokens: 15, cachedInputTokens: 5 },
      finishReason: 'stop',
    })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('without partial messages has the text and the calls of its whole ones', () => {
    const read = readAll([
      init,
      assistant('m1', { type: 'thinking', thinking: 'Let me think.' }),
      assistant('m1', { type: 'text', text: 'Hello' }),
      assistant('m1', { type: 'tool_use', id: 'toolu_1', name: 'Read', input: { path: 'a' } }),
      answered,
      assistant('m2', { type: 'text', text: 'Done.' }),
      result(),
    ])
    expect(read).toMatchObject({
      proof: 'given',
      text: 'Hello\n\nDone.',
      reasoning: 'Let me think.',
      calls: [{ id: 'toolu_1', name: 'Read', input: '{"path":"a"}', done: true }],
    })
  })

  it('of a command that no model answers has the text of its result', () => {
    const output = message('system', { subtype: 'local_command_output', content: 'SECRET' })
    const read = readAll([init, output, result({ result: 'Three commands.' })])
    expect(read).toMatchObject({ text: 'Three commands.', proof: 'given' })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('that was compacted, hooked and denied on its way is what its model says', () => {
    const of = { parent_tool_use_id: 'toolu_1' }
    const read = readAll([
      init,
      message('system', { subtype: 'hook_response', stdout: 'SECRET', stderr: 'SECRET' }),
      ...turn('m1', 'Hello'),
      ...call,
      ...stop('tool_use'),
      message('user', { ...of, message: { role: 'user', content: 'SECRET prompt' } }),
      { ...turn('m8', 'SECRET')[2], ...of },
      assistant('m8', { type: 'tool_use', id: 'toolu_9', name: 'SECRET', input: {} }, of),
      message('system', { subtype: 'permission_denied', tool_name: 'SECRET' }),
      answered,
      message('system', { subtype: 'compact_boundary', compact_metadata: { trigger: 'SECRET' } }),
      message('user', { isSynthetic: true, message: { role: 'user', content: 'SECRET summary' } }),
      ...turn('m2', 'Done.'),
      ...stop('end_turn'),
      result({ permission_denials: [{ tool_name: 'SECRET', tool_input: 'SECRET' }] }),
    ])
    expect(read).toMatchObject({ text: 'Hello\n\nDone.', proof: 'given', calls: [{ id: 'toolu_1' }] })
    expect(read.calls).toHaveLength(1)
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('leaves out what a subagent says', () => {
    const of = { parent_tool_use_id: 'toolu_1' }
    const sub = [{ ...turn('m9', 'SECRET')[2], ...of }, assistant('m9', { type: 'text', text: 'SECRET' }, of)]
    expect(readAll(sub).parts).toEqual([])
  })

  it.each([
    [{ is_error: true, api_error_status: 529, result: 'API Error: SECRET' }, 'overload'],
    [{ is_error: true, api_error_status: 429 }, 'rate-limit'],
    [{ subtype: 'error_during_execution', is_error: true, errors: ['SECRET'] }, 'upstream-failure'],
    [{ subtype: 'error_max_turns', is_error: true }, 'upstream-failure'],
  ])('whose result is %o has failed', (fields, code) => {
    const read = readAll([init, result(fields)])
    expect(read.errors).toHaveLength(1)
    expect(read.proof).toBe('missing')
    expect(toFailure(read.errors[0])).toMatchObject({ code, message: expect.not.stringContaining('SECRET') })
  })

  it('that the API refused does not have the API’s words for text', () => {
    const refused = assistant('m1', { type: 'text', text: 'API Error: SECRET' }, { error: 'rate_limit' })
    const { text, errors } = readAll([init, refused, result({ is_error: true })])
    expect(text).toBe('')
    expect(toFailure(errors[0]).code).toBe('rate-limit')
  })

  it('is known without the ids that its messages had not in the package before it, and its folders stay here', () => {
    const bare = ({ uuid: _, ...told }: ReturnType<typeof message>) => told
    const { parent_tool_use_id: _1, ...first } = bare(init)
    const { parent_tool_use_id: _2, ...last } = bare(result({ num_turns: 1 }))
    const read = readAll([
      first,
      bare(assistant('m1', { type: 'text', text: 'Hello' })),
      bare(assistant('m1', { type: 'tool_use', id: 'toolu_1', name: 'Read', input: { path: 'a' } })),
      bare(answered),
      bare(assistant('m2', { type: 'text', text: 'Done.' })),
      last,
    ])
    expect(read).toMatchObject({ text: 'Hello\n\nDone.', proof: 'given', data: [] })
    expect(JSON.stringify(read)).not.toContain('SECRET')
  })

  it('passes over everything else that a session says', () => {
    const status = message('system', { subtype: 'status', status: 'SECRET' })
    const progress = message('tool_progress', { tool_name: 'SECRET', elapsed_time_seconds: 1 })
    const auth = message('auth_status', { output: ['SECRET'] })
    expect(readAll([status, progress, auth]).parts).toEqual([])
  })
})
