// A stand-in for the program that @anthropic-ai/claude-agent-sdk starts: it speaks the SDK's protocol on stdin and
// stdout, asks the fake provider for each turn, "runs" the tool that is called, and tells what it does as the real one.
import { createInterface } from 'node:readline'

const SECRET = process.env.STAND_IN_SECRET
const session = { session_id: 'session-1' }
let number = 0
const say = (message) =>
  process.stdout.write(`${JSON.stringify({ ...message, uuid: `uuid-${number++}`, ...session })}\n`)
const partial = process.argv.includes('--include-partial-messages')

const lines = createInterface({ input: process.stdin })
// Who aborts closes stdin.
lines.on('close', () => process.exit(0))
lines.on('line', async (line) => {
  const message = JSON.parse(line)
  if (message.type === 'control_request') {
    const response = { subtype: 'success', request_id: message.request_id, response: { commands: [], models: [] } }
    process.stdout.write(`${JSON.stringify({ type: 'control_response', response })}\n`)
  } else if (message.type === 'user') {
    await run()
    process.exit(0)
  }
})

async function run() {
  say({ type: 'system', subtype: 'init', cwd: `/home/${SECRET}`, tools: [SECRET], mcp_servers: [], model: 'm' })
  for (let turns = 1; ; turns++) {
    const response = await fetch(`${process.env.ANTHROPIC_BASE_URL}/v1/messages`, { method: 'POST' })
    if (!response.ok) {
      const { error } = await response.json()
      const text = `API Error: ${response.status} ${error.message}`
      say({
        type: 'assistant',
        message: message([{ type: 'text', text }]),
        parent_tool_use_id: null,
        error: response.status === 429 ? 'rate_limit' : 'server_error',
      })
      say({ ...result(turns), is_error: true, api_error_status: response.status, result: text })
      return
    }
    const blocks = []
    let stop
    try {
      for await (const event of events(response)) {
        if (event.type === 'error') throw new Error(event.error.message)
        if (partial) say({ type: 'stream_event', event, parent_tool_use_id: null })
        if (event.type === 'content_block_start') blocks.push({ ...event.content_block, json: '' })
        const block = blocks[event.index]
        if (event.type === 'content_block_delta') {
          const { text = '', thinking = '', partial_json = '' } = event.delta
          block.json += partial_json
          if ('text' in block) block.text += text
          if ('thinking' in block) block.thinking += thinking
        }
        if (event.type === 'content_block_stop') {
          const { json, ...content } = block
          if (content.type === 'tool_use') content.input = JSON.parse(json)
          say({ type: 'assistant', message: message([content], turns), parent_tool_use_id: null })
        }
        if (event.type === 'message_delta') stop = event.delta.stop_reason
      }
    } catch (error) {
      // As the real one does when its connection breaks for good.
      process.stderr.write(`${error.message}\n`)
      process.exit(1)
    }
    // As the real one when it dies of a cut: it ends without a result.
    if (!stop) return
    const call = blocks.find(({ type }) => type === 'tool_use')
    if (!call) return say(result(turns))
    const content = [{ type: 'tool_result', tool_use_id: call.id, content: `${SECRET} file` }]
    say({ type: 'user', message: { role: 'user', content }, parent_tool_use_id: null })
  }
}

const usage = { input_tokens: 20, cache_creation_input_tokens: 0, cache_read_input_tokens: 5, output_tokens: 15 }
const message = (content, turn = 1) => ({
  id: `msg_${turn}`,
  type: 'message',
  role: 'assistant',
  model: 'm',
  content,
  stop_reason: null,
  usage,
})
const result = (num_turns) => ({
  type: 'result',
  subtype: 'success',
  is_error: false,
  duration_ms: 1,
  result: 'the text again',
  stop_reason: 'end_turn',
  num_turns,
  total_cost_usd: 0.01,
  usage,
})

async function* events(response) {
  let rest = ''
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    rest += text
    const frames = rest.split('\n\n')
    rest = frames.pop()
    for (const frame of frames) yield JSON.parse(frame.slice(frame.indexOf('data: ') + 6))
  }
}
