import type { Encoder, Part, Protocol, RelayOptions, Source } from 'sse-relay'
import { parseSSE } from 'sse-relay/client'
import { agui, anthropicMessages, openaiChat, openaiResponses, parts, raw, text, uiMessage } from 'sse-relay/protocols'
import { readTrace } from 'sse-relay/testing'
import { relay } from 'sse-relay/web'
import { describe, expect, it } from 'vitest'

/** What a client receives. */
async function wire(protocol: Protocol | undefined, source: Source, options: RelayOptions = {}): Promise<string> {
  const response = await relay(new Request('http://localhost/'), source, { protocol, onError() {}, ...options })
  return response.text()
}

/** The chunks of a trace, as an SDK gives them: pings, sentinels and comments are its own. */
async function* replay(trace: string) {
  for await (const { data } of parseSSE(readTrace(trace).toString(), { sentinel: false })) {
    if (data !== '[DONE]' && data !== '{"type":"ping"}') yield JSON.parse(data)
  }
}

async function* fail(error: unknown, ...chunks: unknown[]) {
  yield* chunks
  throw error
}

const CITATION: Part = { type: 'data', name: 'citation', data: { url: 'https://example.com', title: 'a\nb' } }
const USAGE: Part = { type: 'usage', usage: { inputTokens: 3, outputTokens: 5 } }

/** One of everything that a source may yield. */
const everything: unknown[] = [
  'Hello',
  '',
  null,
  undefined,
  { type: 'text', text: ' wörld\n' },
  { type: 'reasoning', text: 'Hm' },
  USAGE,
  { type: 'tool-call', index: 0, id: 'call_1', name: 'search', input: '' },
  { type: 'finish', reason: 'length' },
  { type: 'tool-call', index: 0, input: '{"q":1}' },
  CITATION,
  { custom: [1, null] },
  { event: 'progress', data: { step: 1 }, id: '7', retry: 5 },
  { data: 'two\r\nlines' },
  { data: null },
  { type: 'usage', usage: { outputTokens: 8 } },
]

describe('text()', () => {
  it('is the text, data under its name, events of one’s own, and nothing else', async () => {
    expect(await wire(text(), everything)).toBe(`data: {"text":"Hello"}

data: {"text":" wörld\\n"}

event: citation
data: {"url":"https://example.com","title":"a\\nb"}

event: data
data: {"custom":[1,null]}

event: progress
id: 7
retry: 5
data: {"step":1}

data: two
data: lines

data: null

data: [DONE]

`)
  })

  it('is the default', async () => {
    expect(await wire(undefined, everything)).toBe(await wire(text(), everything))
  })

  it('is complete with nothing at all', async () => {
    expect(await wire(text(), [])).toBe('data: [DONE]\n\n')
  })

  it('is its text whatever the provider', async () => {
    const traces = ['openai-chat-text.sse', 'openai-responses-text.sse', 'anthropic-text.sse']
    for (const trace of traces) {
      expect(await wire(text(), replay(trace))).toBe(`data: {"text":"Hello"}

data: {"text":" there"}

data: {"text":"! "}

data: {"text":"Streams"}

data: {"text":"\\n\\n"}

data: {"text":"work "}

data: {"text":"— "}

data: {"text":"naïve "}

data: {"text":"日本"}

data: {"text":"🚀"}

data: [DONE]

`)
    }
  })

  it('fails as an event named error, without the sentinel', async () => {
    expect(
      await wire(text(), fail(Object.assign(new Error('key sk-1'), { status: 429 }), 'Hello')),
    ).toBe(`data: {"text":"Hello"}

event: error
data: {"error":{"code":"rate-limit","message":"Too many requests right now. Please try again in a moment.","retryable":true}}

`)
  })
})

describe('parts()', () => {
  it('is every part as JSON, with usage and finish once, at the end', async () => {
    expect(await wire(parts(), everything)).toBe(`data: {"type":"text","text":"Hello"}

data: {"type":"text","text":" wörld\\n"}

data: {"type":"reasoning","text":"Hm"}

data: {"type":"tool-call","index":0,"id":"call_1","name":"search","input":""}

data: {"type":"tool-call","index":0,"input":"{\\"q\\":1}"}

data: {"type":"data","name":"citation","data":{"url":"https://example.com","title":"a\\nb"}}

data: {"type":"data","name":"data","data":{"custom":[1,null]}}

event: progress
id: 7
retry: 5
data: {"step":1}

data: two
data: lines

data: null

data: {"type":"usage","usage":{"inputTokens":3,"outputTokens":8}}

data: {"type":"finish","reason":"length"}

data: [DONE]

`)
  })

  it.each([
    [
      'anthropic-thinking.sse',
      `data: {"type":"start","id":"msg_01XFDUDYJgAACzvnptvVoYEL","model":"claude-sonnet-4-5-20250929"}

data: {"type":"reasoning","text":"Let me add "}

data: {"type":"reasoning","text":"27*453."}

data: {"type":"reasoning","text":"","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h=="}

data: {"type":"text","text":"27 × 453 = 12,231"}

data: {"type":"usage","usage":{"inputTokens":25,"outputTokens":48,"cachedInputTokens":0,"cacheWriteInputTokens":0}}

data: {"type":"finish","reason":"stop"}

data: [DONE]

`,
    ],
    [
      'openai-chat-refusal.sse',
      `data: {"type":"start","id":"chatcmpl-C9Zq1Yb3kQ2mV7tXwR5nL8sD4fGhJ","model":"gpt-5-mini-2025-08-07","created":1794873600}

data: {"type":"text","text":"I'm sorry, "}

data: {"type":"text","text":"I can't help with that."}

data: {"type":"finish","reason":"content-filter"}

data: [DONE]

`,
    ],
    [
      'openai-responses-reasoning-tool.sse',
      `data: {"type":"start","id":"resp_68f0c1","model":"gpt-5-mini-2025-08-07","created":1794873600}

data: {"type":"reasoning","text":"**Checking"}

data: {"type":"reasoning","text":" weather**"}

data: {"type":"tool-call","index":1,"id":"call_x9","name":"get_weather","input":""}

data: {"type":"tool-call","index":1,"input":"{\\"ci"}

data: {"type":"tool-call","index":1,"input":"ty\\":\\"Paris\\"}"}

data: {"type":"tool-call","index":1,"input":"","done":true}

data: {"type":"usage","usage":{"inputTokens":11,"cachedInputTokens":0,"outputTokens":90,"reasoningTokens":64,"totalTokens":101}}

data: {"type":"finish","reason":"tool-calls"}

data: [DONE]

`,
    ],
  ])('is %s so', async (trace, expected) => {
    expect(await wire(parts(), replay(trace))).toBe(expected)
  })

  it('says neither usage nor finish where there is none', async () => {
    expect(await wire(parts(), ['a'])).toBe('data: {"type":"text","text":"a"}\n\ndata: [DONE]\n\n')
  })

  it('fails as text() does', async () => {
    const failure =
      'event: error\ndata: {"error":{"code":"internal","message":"Something went wrong on the server.","retryable":false}}\n\n'
    expect(await wire(parts(), fail(new Error('secret'), 'a'))).toBe(`data: {"type":"text","text":"a"}\n\n${failure}`)
    expect(await wire(text(), fail(new Error('secret'), 'a'))).toBe(`data: {"text":"a"}\n\n${failure}`)
  })
})

describe('raw()', () => {
  it('is what the source yields, as it is', async () => {
    expect(await wire(raw(), everything)).toBe(`data: "Hello"

data: {"type":"text","text":" wörld\\n"}

data: {"type":"reasoning","text":"Hm"}

data: {"type":"usage","usage":{"inputTokens":3,"outputTokens":5}}

data: {"type":"tool-call","index":0,"id":"call_1","name":"search","input":""}

data: {"type":"finish","reason":"length"}

data: {"type":"tool-call","index":0,"input":"{\\"q\\":1}"}

data: {"type":"data","name":"citation","data":{"url":"https://example.com","title":"a\\nb"}}

data: {"custom":[1,null]}

event: progress
id: 7
retry: 5
data: {"step":1}

data: two
data: lines

data: null

data: {"type":"usage","usage":{"outputTokens":8}}

data: [DONE]

`)
  })

  it.each([
    'anthropic-tool-use.sse',
    'openai-responses-reasoning-tool.sse',
    'openai-chat-usage.sse',
    'openai-compat-deepseek-reasoning.sse',
  ])("is the provider's own stream, event names and all: %s", async (trace) => {
    const frames = readTrace(trace)
      .toString()
      .replace(/^: .*\n\n|event: ping\ndata: .*\n\n|data: \[DONE\]\n\n/gm, '')
    // 1.0 is a number as good as 1, and comes back as that.
    const expected = frames.replace(/^data: (.*)$/gm, (_, json) => `data: ${JSON.stringify(JSON.parse(json))}`)
    expect(await wire(raw(), replay(trace))).toBe(`${expected}data: [DONE]\n\n`)
  })

  it('fails in words of its own, which the Anthropic client understands', async () => {
    const answer = await wire(raw(), replay('anthropic-error-overloaded.sse'))
    expect(answer).not.toContain('req_011CSHoEeqs5C35K2UUqR7Fy')
    expect(answer.slice(answer.indexOf('event: error'))).toBe(`event: error
data: {"type":"error","error":{"type":"overloaded_error","code":"overload","message":"The service is overloaded. Please try again in a moment.","retryable":true}}

`)
  })

  it.each([
    ['openai-responses-error-event.sse', 'An error occurred while processing your request.'],
    ['openai-chat-error-midstream.sse', 'Sorry about that'],
  ])("keeps the provider's own failure to itself: %s", async (trace, secret) => {
    const answer = await wire(raw(), replay(trace))
    expect(answer).not.toContain(secret)
    expect(answer).toMatch(
      /event: error\ndata: \{"type":"error","error":\{"type":"api_error","code":"upstream-failure",.*\}\}\n\n$/,
    )
  })

  it('keeps what the request was made of to itself', async () => {
    const response = { id: 'r', instructions: 'SECRET', tools: [{ server_url: 'SECRET' }], metadata: { a: 'SECRET' } }
    const answer = await wire(raw(), [
      { type: 'response.created', sequence_number: 0, response: { ...response, user: 'SECRET', prompt: 'SECRET' } },
      { type: 'response.completed', sequence_number: 1, response: { ...response, output: [] } },
    ])
    expect(answer.match(/^event: .*$|^data: \[DONE\]$|SECRET/gm)).toEqual([
      'event: response.created',
      'event: response.completed',
      'data: [DONE]',
    ])
    const ollama = await wire(raw(), [{ response: 'Hi', done: true, context: [1, 2, 3] }])
    expect(ollama).toContain('data: {"response":"Hi","done":true}\n')
  })

  it('keeps the failure to itself that has text beside it', async () => {
    const chunk = {
      choices: [{ index: 0, delta: { content: 'a' } }],
      error: { message: 'secret', metadata: { raw: 'secret' } },
    }
    expect(await wire(raw(), ['b', chunk])).not.toContain('secret')
  })
})

/** The failure at the end of an answer. */
const failureOf = (answer: string) => /event: error\ndata: ([^\n]*)\n\n$/.exec(answer)?.[1] ?? answer

describe.each([
  ['text()', text()],
  ['parts()', parts()],
  ['raw()', raw()],
])('with %s', (_, protocol) => {
  it.each<[string, unknown]>([
    ['an event named error', { event: 'error', data: '{"error":{}}' }],
    ['an event that is the sentinel', { data: '[DONE]' }],
    ['a named event that is the sentinel', { event: 'a', data: '[DONE]' }],
    ['a line break in an event name', { event: 'a\ndata: [DONE]', data: 1 }],
    ['a line break in an id', { id: 'a\r\r', data: 1 }],
    ['NUL in an id', { id: 'a\0', data: 1 }],
    ['a retry that is no integer', { retry: 1.5, data: 1 }],
    ['an event name that is no string', { event: 1, data: 1 }],
  ])('a source cannot send %s', async (_, chunk) => {
    const answer = await wire(protocol, ['a', chunk, 'b'])
    expect(JSON.parse(failureOf(answer))).toMatchObject({ error: { code: 'invalid-field', retryable: false } })
    expect(answer.split('\n\n')).toHaveLength(3)
    expect(answer).not.toContain('[DONE]')
  })

  it.each<[string, unknown]>([
    ['a BigInt', { a: 1n }],
    ['a cycle', Object.assign([] as unknown[], { 0: [] })],
    ['an event without JSON', { data: undefined }],
    ['an event that is a function', { data: () => {} }],
    ['bytes', new Uint8Array(1)],
    ['a number', 1],
  ])('a source cannot send %s', async (what, chunk) => {
    if (what === 'a cycle') (chunk as unknown[])[0] = chunk
    expect(JSON.parse(failureOf(await wire(protocol, ['a', chunk, 'b'])))).toMatchObject({
      error: { code: 'invalid-source', retryable: false },
    })
  })

  it('a data part cannot pass for an ending', async () => {
    const answer = await wire(protocol, ['a', { type: 'data', name: 'error', data: { error: {} } }])
    // Under its name it is refused; as JSON it is data like any other.
    if (protocol === text()) expect(JSON.parse(failureOf(answer))).toMatchObject({ error: { code: 'invalid-field' } })
    else expect(answer).toMatch(/"name":"error".*\n\ndata: \[DONE\]\n\n$/)
    expect(answer.match(/event: error/g)?.length ?? 0).toBe(protocol === text() ? 1 : 0)
    const done = await wire(protocol, [{ type: 'data', name: 'x', data: '[DONE]' }, '[DONE]'])
    expect(done.match(/^data: \[DONE\]$/gm)).toHaveLength(1)
  })

  it('what came before a failure in the same chunk is sent', async () => {
    const chunk = { choices: [{ index: 0, delta: { content: 'Hello' } }], error: { message: 'no' } }
    const answer = await wire(protocol, ['a', chunk])
    if (protocol !== raw()) expect(answer).toContain('Hello')
    expect(JSON.parse(failureOf(answer))).toMatchObject({ error: { code: 'upstream-failure' } })
  })

  it.each(['rate-limit', 'overload', 'upstream-timeout', 'internal', 'constructor', '__proto__'])(
    'a failure frame holds the code %s, message and retryable, as JSON on one line',
    async (code) => {
      const answer = await wire(protocol, fail(new Error('no'), 'a'), {
        onError: () => ({ code, message: 'a\nb\r\n\n\u2028"', retryable: true }),
      })
      const { error } = JSON.parse(failureOf(answer))
      expect(error).toMatchObject({ code, message: 'a\nb\r\n\n\u2028"', retryable: true })
      if (protocol === raw()) expect(error.type).toEqual(expect.stringMatching(/_error$/))
    },
  )

  it('is one object for all runs', () => {
    expect([text(), parts(), raw()]).toContain(protocol)
    expect(protocol).toEqual({ name: expect.any(String), encoder: expect.any(Function) })
  })
})

describe('a protocol of one’s own', () => {
  it('is given parts, events, the end and failures, once a run', async () => {
    const calls: unknown[][] = []
    const protocol: Protocol = {
      name: 'mine',
      headers: { 'x-mine': '1' },
      encoder({ runId }): Encoder {
        calls.push(['run', typeof runId])
        const call = (name: string) => (value: unknown) => {
          calls.push([name, value])
          return `data: ${name}\n\n`
        }
        return { part: call('part'), event: call('event'), end: call('end'), fail: call('fail') }
      },
    }
    const response = await relay(
      new Request('http://localhost/'),
      ['a', USAGE, { event: 'x', data: [1] }, { type: 'finish', reason: 'stop' }],
      { protocol },
    )
    expect(response.headers.get('x-mine')).toBe('1')
    expect(await response.text()).toBe('data: part\n\ndata: event\n\ndata: end\n\ndata: [DONE]\n\n')
    expect(await wire(protocol, fail(new Error('no'), 'a'))).toBe('data: part\n\ndata: fail\n\n')
    expect(calls).toEqual([
      ['run', 'string'],
      ['part', { type: 'text', text: 'a' }],
      ['event', { event: 'x', data: '[1]' }],
      ['end', { finishReason: 'stop', usage: { inputTokens: 3, outputTokens: 5 } }],
      ['run', 'string'],
      ['part', { type: 'text', text: 'a' }],
      ['fail', { code: 'internal', message: 'Something went wrong on the server.', retryable: false }],
    ])
  })

  it('that throws ends the run, and its failure is said all the same', async () => {
    const broken = (): never => {
      throw new Error('no')
    }
    const none = () => undefined as never
    for (const [method, fails] of [
      ['part', broken],
      ['end', broken],
      ['end', none],
    ] as const) {
      const encoder = { ...text().encoder({ runId: '' }), [method]: broken, fail: fails }
      const source = method === 'part' ? [{ data: 1 }, 'a'] : ['a']
      const answer = await wire({ name: 'broken', encoder: () => encoder }, source)
      expect(JSON.parse(failureOf(answer))).toMatchObject({ error: { code: 'internal' } })
      expect(answer).not.toContain('[DONE]')
    }
  })
})

describe('what Unicode calls a line break, and an event stream does not,', () => {
  // Many readers split lines there: Python's `splitlines`, httpx, a `.` in JavaScript.
  const odd = 'a\u0085b\u2028c\u2029d'
  const source: unknown[] = [
    { type: 'reasoning', text: odd, signature: odd },
    odd,
    { type: 'tool-call', index: 0, id: odd, name: odd, input: JSON.stringify({ odd }), done: true },
    { type: 'tool-call', index: 1, id: 'b', name: 'b', input: JSON.stringify({ odd }), executed: true, done: true },
    { type: 'tool-result', id: 'b', output: { odd } },
    { type: 'data', name: 'citation', data: { url: odd, title: odd } },
    { event: 'status', data: { odd } },
    { unknown: odd },
  ]

  const all = [text, parts, raw, openaiChat, openaiResponses, anthropicMessages, agui, uiMessage]
  it.each(all.map((protocol) => ({ name: protocol().name, protocol })))(
    'is escaped in the JSON of $name',
    async ({ protocol }) => {
      const answer = await wire(protocol(), source, { toolResults: true })
      expect(answer).not.toMatch(/[\u0085\u2028\u2029]/)
      const told = answer.match(/(?<=^data: )\{.*/gm)?.map((json) => JSON.stringify(JSON.parse(json)))
      expect(told?.join()).toContain(odd)
      const failed = await wire(protocol(), fail(new Error('no'), 'a'), { onError: () => ({ message: odd }) })
      expect(failed).not.toMatch(/[\u0085\u2028\u2029]/)
      expect(JSON.parse(failureOf(failed))).toMatchObject({ error: { message: odd } })
    },
  )

  it('goes out as it is in an event of one’s own that is text, since that may be no JSON', async () => {
    expect(await wire(text(), [{ event: 'html', data: odd }])).toContain(`data: ${odd}\n\n`)
  })
})

describe.each(
  [openaiChat, openaiResponses, anthropicMessages, agui, uiMessage].map((protocol) => ({
    name: protocol().name,
    protocol,
  })),
)('$name', ({ name, protocol }) => {
  const pieces = (...given: object[]) => given.map((piece) => ({ type: 'tool-call', index: 0, input: '', ...piece }))

  it('takes what comes after a rejection for the rest of what was rejected, which is nobody’s to run', async () => {
    const call = { id: 'call_1', name: 'weather', error: 'It cannot be called.' }
    const said = await wire(
      protocol(),
      pieces({ ...call, input: '{"ci' }, { input: 'ty":' }, { input: '1}', done: true }),
    )
    const begun = said.match(/"name":"|"toolCallName":"|tool-input-start/g) ?? []
    expect(begun).toHaveLength(/agui|ui-message/.test(name) ? 1 : 0)
    expect(said).not.toMatch(/tool_use|"tool_calls"|tool-input-available/)
  })

  it('knows the calls of turns that count anew apart: what was answered, and what is for the client', async () => {
    const turn = (more: object[]) => [
      { type: 'start-step', request: {}, warnings: [] },
      { type: 'tool-call', toolCallId: 'call_0', toolName: 'weather', input: { turn: more.length } },
      ...more,
      { type: 'finish-step', finishReason: 'tool-calls', usage: {}, response: {} },
    ]
    const result = { type: 'tool-result', toolCallId: 'call_0', toolName: 'weather', input: {}, output: 1 }
    const end = { type: 'finish', finishReason: 'tool-calls', totalUsage: {} }
    const allAnswered = [...turn([result]), ...turn([result]), { ...end, finishReason: 'stop' }]
    const lastOpen = [...turn([result]), ...turn([]), end]
    const asks = /tool_use"|"tool_calls"|"type":"function_call"/
    for (const stream of [true, false]) {
      if (/agui|ui-message/.test(name)) continue
      expect(await wire(protocol(), allAnswered, { stream, toolResults: false })).not.toMatch(asks)
      const said = await wire(protocol(), lastOpen, { stream, toolResults: false })
      expect(said).toMatch(asks)
      expect(said).toContain('call_0')
      expect(said).not.toMatch(/turn[\\":]+1/)
    }
  })

  it('calls a tool that has no name "tool", as all the others do', async () => {
    const call = pieces({ id: 'call_1', input: '{}', done: true })
    expect(await wire(protocol(), call)).toMatch(/"(name|toolCallName|toolName)":"tool"/)
    expect(await wire(protocol(), call, { stream: false })).toMatch(/"(name|toolName)":"tool"/)
  })
})
