// What is to be reached: one line a promise, which rows tell whether it is kept, and what bounds it where it is not.

import { NOISE } from './machine.mjs'

const isOf = (group, start) => (row) => row.group === group && row.name.startsWith(start) && row.target !== undefined
const server = (group) => (row) =>
  row.group === group && /^sse-relay\/(node|express) \/ /.test(row.name) && row.target !== undefined

export const targets = [
  {
    what: 'relay, one token per tick, CPU per token',
    against: 'hand-written `res.write` loop',
    target: '≤ 0.8 (Node, Express)',
    bound:
      'Both sides make the same writes: `writev` and what Node’s streams do around it are 70 % of the processor time of either. Asking the source, making the frame and keeping the clocks is 6 % of ours; the loop by hand has 4 % for the same, and pays a tick of its own for each connection, where here all connections of a tick share one and are written to in a row. The difference is less than two processes of one program differ.',
    rows: server('tick'),
  },
  {
    what: 'relay, 20 tokens per tick',
    against: 'the same',
    target: '≤ 0.55 (Node), ≤ 0.45 (Express)',
    bound:
      'Twenty frames make one write here and twenty there. Of ours `writev` is 36 %, garbage 9 %, the loop and the frames 11 %; most of the rest is Node’s request and response, of which there is one for 200 tokens.',
    rows: server('burst'),
  },
  {
    what: 'relay, a token every 10 ms',
    against: 'hand-written `res.write` loop',
    target: '≤ 0.9 (Node, Express)',
    rows: server('paced'),
  },
  {
    what: 'relay on Hono, one per tick / 20 per tick',
    against: 'hono `streamSSE`',
    target: '≤ 0.5 / 0.2',
    bound:
      'The answer goes through a `Response` and the streams of the web: of 20 tokens per tick the socket is 19 %, garbage 13 %, text to bytes 9 %, and much of the rest what is made of each request (`Request`, `AbortSignal`, a reader) and the streams of the web. Writing to Node’s response instead would save it, and lose what middleware does with a `Response`.',
    rows: (row) => isOf('tick', 'sse-relay/hono')(row) || isOf('burst', 'sse-relay/hono')(row),
  },
  {
    what: 'relay on Web, one per tick / 20 per tick',
    against: 'a hand-written pull `ReadableStream`',
    target: '≤ 1.0 / 0.45',
    bound:
      '`writev` is 41 %. Most of the rest is the `ReadableStream`, and the host’s loop that reads it and writes to Node’s response, on both sides; text to bytes is 3 %, our own loop and frames 5 %. The difference is less than two processes of one program differ.',
    rows: (row) => isOf('tick', 'sse-relay/web')(row) || isOf('burst', 'sse-relay/web')(row),
  },
  {
    what: '`uiMessage()` on Node, one per tick / 20 per tick',
    against: '`pipeUIMessageStreamToResponse` of `ai` 7',
    target: '≤ 0.25 / 0.1',
    rows: (row) => isOf('tick', 'sse-relay/node, ui')(row) || isOf('burst', 'sse-relay/node, ui')(row),
  },
  {
    what: '`createParser`, 64 KB / 1400 B / one event / 16 B chunks × OpenAI, Anthropic, plain text, with ids, CRLF',
    against: 'eventsource-parser 4.1',
    target: 'time ≤ 0.75 geometric mean, none over 1.0',
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
    target: '≤ 1.05 / 1.1',
    bound:
      'By the clock processes differ by more than what is left to find, so it was counted, by `cachegrind`, in one process with 200 streams of 200 tokens and a socket that only looks at what is written: a token is 16,100 instructions without a log and 18,900 with one, and 46 and 76 lines of memory that a cache of 1.25 MB does not have (19,300 and 89 before the log was handed half a kilobyte at a time, and before what a token needs stood together). Of the 30 lines, 10 are the record of the run, its reader and its id, 9 are collections of garbage, which have a longer list of pages to look through and what is kept to move, 5 are the joints of the text. Of the 2,800 instructions three tenths are garbage. It is less the fewer streams there are: 1.06 with 20 (of 2000 tokens), 1.08 with 50 (of 800), and more with 1000 (of 100), 1.16 to 1.19. Outside the heap the text was no cheaper, nor without its ids, nor in pieces that all runs share.',
    rows: (row) => /^log/.test(row.group) && row.target !== undefined,
  },
  {
    what: 'Redis log, read in another process: CPU of the producer and the reader / of Redis / p50 and p99',
    against: '`resumable-stream`, one Redis',
    target: '≤ 0.9 / 1.0 / 1.0',
    bound:
      'Redis is asked nothing for a token but its message, and the messages of a turn are one. What is left is that it wakes for them (more than half of its time is the kernel’s, on either side), and what keeps the run: an entry twice a second, and ten scripts or so in a run of two seconds, which `resumable-stream` has not. The longer a run is the less of it is at each token.',
    rows: (row) => row.group === 'redis' && row.target !== undefined,
  },
  {
    what: 'Redis log, read where it is produced, 50 tokens a second a run: CPU of the producer / commands to Redis per token',
    against: 'the same run without a log',
    target: '≤ 1.15 / 0.05',
    rows: (row) => row.group === 'redis-kept' && row.target !== undefined,
  },
  {
    what: 'first token through the memory log, time from the request',
    against: 'log off',
    target: '≤ 1.05: as soon, within the noise',
    bound:
      'The log makes 10 to 30 µs of a request more: a record of the run, what stores and what reads it, and one header. Nothing waits for the store. Beside a source that has its token in the next turn of the event loop, and a whole exchange over loopback of 80 to 140 µs, that is seen; beside the stream of an SDK it is not.',
    rows: (row) => row.group === 'first',
  },
  {
    what: '10 000 open streams in one process',
    against: 'hand-written loop',
    target: '≤ 1.1× memory, no missed heartbeat',
    bound:
      'An open stream of either side is 6 KB of Node’s socket, parser, request and response. Of the 1.2 KB that the relay keeps besides, 760 bytes are the `AbortController` that stops the provider, 200 the run, 200 the timer, 180 the relay, 160 its promise. A loop that has none of that leaves out what would take the memory.',
    rows: (row) => row.group === 'memory' && row.target !== undefined,
  },
  {
    what: 'bundles, min + gzip: `createParser` / `parseSSE` / `parseSSE` + `readText` + `fetchSSE`; `./node`, `./web` each with every provider',
    against: '',
    target: '≤ 0.8 / 1.8 / 2.8 kB; ≤ 5 kB',
    bound:
      'Each behaviour was taken out once to see what it costs, and the code was rebuilt twice to say things once. Of the 2.9 kB of `parseSSE` 1.0 is the parser with its error, 0.3 the words of the messages and codes, 0.4 names of the platform and of the contract, 0.4 what a refusal and `event: error` say, 0.1 each the two clocks and `maxEventSize`; without a word in any message it would be 2.7. The last 30 bytes of `createParser` are the lines of ids and names read in place, a quarter of the time of a resumable stream. Of `./node` the shapes of nine providers add 2.8 kB one by one, the reader of upstream event streams, which is the client’s own loop, 2.6 (a second, smaller loop for the server would save 0.9, and be a second one), the run and the relay about 4, errors and the checks of options about 2.3.',
    rows: (row) => row.group === 'sizes',
  },
]

/** Whether a row is what it should be; undefined if nothing is asked of it. */
export function isMet({ target, limit, ratio, ours, counted }) {
  if (limit !== undefined) return ours <= limit
  if (target === undefined) return undefined
  const isNear = ratio !== undefined && Math.abs(ratio / target - 1) <= NOISE
  // Two digits are shown, and two digits are meant.
  return Math.round(((isNear && counted) || (ratio ?? ours)) * 100) / 100 <= target
}
