// What is to be reached: one line a promise, which rows tell whether it is kept, and what bounds it where it is not.

const isOf = (group, start) => (row) => row.group === group && row.name.startsWith(start) && row.target !== undefined
const server = (group) => (row) =>
  row.group === group && /^sse-relay\/(node|express) \/ /.test(row.name) && row.target !== undefined

export const targets = [
  {
    what: 'relay, one token per tick, CPU per token',
    against: 'hand-written `res.write` loop',
    target: '≤ 1.0 (Node, Express)',
    rows: server('tick'),
  },
  {
    what: 'relay, 20 tokens per tick',
    against: 'the same',
    target: '≤ 0.75',
    rows: server('burst'),
  },
  {
    what: 'relay on Hono, one per tick / 20 per tick',
    against: 'hono `streamSSE`',
    target: '≤ 0.7 / 0.45',
    rows: (row) => isOf('tick', 'sse-relay/hono')(row) || isOf('burst', 'sse-relay/hono')(row),
  },
  {
    what: 'relay on Web, one per tick / 20 per tick',
    against: 'a hand-written pull `ReadableStream`',
    target: '≤ 1.0 / 0.75',
    rows: (row) => isOf('tick', 'sse-relay/web')(row) || isOf('burst', 'sse-relay/web')(row),
  },
  {
    what: '`uiMessage()` on Node, one per tick / 20 per tick',
    against: '`pipeUIMessageStreamToResponse` of `ai` 7',
    target: '≤ 0.33 / 0.16',
    rows: (row) => isOf('tick', 'sse-relay/node, ui')(row) || isOf('burst', 'sse-relay/node, ui')(row),
  },
  {
    what: '`createParser`, 64 KB / 1400 B / one event / 16 B chunks × OpenAI, Anthropic, plain text',
    against: 'eventsource-parser 4.1',
    target: 'time ≤ 0.9 geometric mean, none over 1.1',
    rows: (row) => /createParser/.test(`${row.group} ${row.name}`) && row.target !== undefined,
  },
  {
    what: '`parseSSE` end to end, one event per chunk / 1400 B / 64 KB',
    against: '`TextDecoderStream` + `EventSourceParserStream`',
    target: 'time ≤ 0.25 / 0.37 / 0.4',
    rows: (row) => row.group !== 'sizes' && /parseSSE/.test(`${row.group} ${row.name}`) && row.target !== undefined,
  },
  {
    what: 'one data line growing 2× in 64-byte chunks',
    against: 'itself',
    target: '≤ 2.2× time (linear)',
    rows: (row) => /grow|linear|2×/i.test(`${row.group} ${row.name}`) && row.target !== undefined,
  },
  {
    what: 'memory log on, CPU per token, one / 20 per tick',
    against: 'log off',
    target: '≤ 1.1 / 1.25',
    rows: (row) => /^log/.test(row.group) && row.target !== undefined,
  },
  {
    what: 'first token through the memory log, time from the request',
    against: 'log off',
    target: '≤ 1.05: as soon, within the noise',
    rows: (row) => row.group === 'first',
  },
  {
    what: '10 000 open streams in one process',
    against: 'hand-written loop',
    target: '≤ 1.2× memory, no missed heartbeat',
    rows: (row) => row.group === 'memory' && row.target !== undefined,
  },
  {
    what: 'bundles, min + gzip: `createParser` / `parseSSE` / `parseSSE` + `readText` + `fetchSSE`; `./node`, `./web` each with every provider',
    against: '',
    target: '≤ 0.8 / 1.8 / 2.8 kB; ≤ 5 kB',
    rows: (row) => row.group === 'sizes',
  },
]

/** Whether a row is what it should be; undefined if nothing is asked of it. */
export function isMet({ target, limit, ratio, ours }) {
  if (limit !== undefined) return ours <= limit
  if (target === undefined) return undefined
  // Two digits are shown, and two digits are meant.
  return Math.round((ratio ?? ours) * 100) / 100 <= target
}
