/** The matrix as a page of the documentation. */
import { namesCalls, type Row } from './cells.js'
import { type ProtocolUnderTest, protocols } from './readers.js'
import type { Family } from './ways.js'

/** In this order. */
const SECTIONS: Record<Family | 'no provider', string> = {
  'openai-chat': 'OpenAI chat completions',
  'openai-compat': 'Servers that imitate them',
  'openai-responses': 'OpenAI Responses',
  anthropic: 'Anthropic messages',
  gemini: 'Google Gemini',
  mistral: 'Mistral',
  ollama: 'Ollama',
  bedrock: 'AWS Bedrock ConverseStream',
  'ai-sdk-ui': 'AI SDK UI message stream',
  'no provider': 'No provider',
}

const INTRODUCTION = `# What comes in and what goes out

Every provider's real SDK, read by \`relay\`, written in every protocol over HTTP, and read back by that protocol's real
client: \`readText\` for \`text()\`, \`parseSSE\` for \`parts()\`, the \`openai\` client for \`openaiChat()\` and
\`openaiResponses()\`, Anthropic's for \`anthropicMessages()\`, the AI SDK's own reader for \`uiMessage()\`, a reader as strict
as the strictest client for \`agui()\`; for \`raw()\` the provider's own client where it reads event streams, else
\`parseSSE\`.
Written by \`node scripts/matrix.mjs\` from the tests: each cell is what a client got and was right.

- **T** text · **R** reasoning · **C** tool calls, with ids, names and arguments · **D** data: citations, files
- **F** the finish reason · **U** the token counts
- \`done\`: complete, and the client knows. Anything else is the code of the failure that the client was told; in
  \`uiMessage()\` its text.

A letter that is missing in a row is not in that answer. A letter that is missing in one column is what the protocol
has no place for: \`text()\` is text and data; \`openaiChat()\`, \`openaiResponses()\` and \`anthropicMessages()\` have no data,
and in their scales of finish reasons \`error\` and \`other\` are \`stop\`. \`raw()\` has everything, in the provider's own words. Counts and finish come at the end, so an answer
that fails has none; what was counted until then is in the summary on the server.

The AI SDK's \`textStream\` is text and nothing else: not the tool calls, and not the failures. An answer that broke off is
\`done\` there. Relay its \`stream\`. Its OpenAI provider passes over an error inside a chunk, as OpenRouter sends it.
`

/** The beginning of the last table. Its clients are not installed with this repository: `test/packages/dialects` writes it. */
export const CLIENTS = `
## More clients

The same answers of all providers, read by each client that people have for a dialect. What is counted is right in text,
reasoning, calls and the ending. Written by \`npm run packages -- dialects --update\`.

| protocol | client | right | what it does besides |
|---|---|---|---|
`

/** The page with another last table. */
export function withClients(page: string, table: string): string {
  const [title = ''] = CLIENTS.trim().split('\n')
  const [before = ''] = page.split(`\n${title}`)
  return before + table
}

/** The page, from what was wrong in each cell. */
export function render(
  rows: readonly Row[],
  wrong: (row: Row, protocol: ProtocolUnderTest) => readonly string[],
): string {
  const sections = Object.entries(SECTIONS).map(([prefix, title]) => {
    const own = rows.filter(({ trace }) => trace.startsWith(prefix))
    const lines = [...new Set(own.map(({ trace }) => trace))].flatMap((trace) => {
      // Ways with the same cells make one line.
      const lines = new Map<string, string[]>()
      for (const row of own.filter((row) => row.trace === trace)) {
        const cells = protocols.map((protocol) => cellOf(row, protocol, wrong(row, protocol))).join(' | ')
        lines.set(cells, [...(lines.get(cells) ?? []), row.way])
      }
      return [...lines].map(([cells, ways]) => `| ${nameOf(trace, prefix)} | ${ways.join('<br>')} | ${cells} |`)
    })
    const head = ['answer', 'read through', ...protocols.map(({ name }) => `\`${name}()\``)]
    return [`## ${title}\n`, `| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...lines].join('\n')
  })
  return `${[INTRODUCTION, ...sections.map((section) => `${section}\n`)].join('\n')}`
}

function cellOf({ expected }: Row, protocol: ProtocolUnderTest, wrong: readonly string[]): string {
  const { carries } = protocol
  if (wrong.length > 0) return '**wrong**'
  const { text, reasoning, tools, data, finish, usage, outcome, code } = expected
  const done = outcome === 'done'
  const letters = [
    text && 'T',
    reasoning && carries.reasoning && 'R',
    tools && namesCalls(expected, protocol) && 'C',
    data && carries.data && 'D',
    done && finish && carries.finish && !(protocol.finish && /other|error/.test(finish)) && 'F',
    done && usage && carries.usage && 'U',
    `\`${done ? 'done' : code}\``,
  ]
  return letters.filter(Boolean).join(' ')
}

function nameOf(trace: string, prefix: string): string {
  return (
    trace
      .slice(prefix.length)
      .replace(/^(: |-)/, '')
      .replace(/\.\w+$/, '') || 'its own streams'
  )
}
