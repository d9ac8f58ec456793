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
      'Outside the kernel a token is little more than half the instructions of the loop by hand (0.57 on Node, counted), because it goes to the socket in one string, where Node makes three pieces and a `writev` of it. Both sides make one system call for it, and that call is two thirds of the processor time of either: it is what is left.',
    rows: server('tick'),
  },
  {
    what: 'relay, 20 tokens per tick',
    against: 'the same',
    target: '≤ 0.55 (Node), ≤ 0.45 (Express)',
    bound:
      'Both sides make one system call of 20 tokens, since Node gathers what is written in one tick. Outside the kernel a token is 0.44 of the instructions of the loop by hand on Node and 0.49 on Express (counted), with three quarters of its garbage. What is left is that call, a third of ours, and Node’s request and response, of which there is one for 200 tokens. A server’s first seconds look worse: they are the compiler’s, which had two and a half times as much to do here as for the loop.',
    rows: server('burst'),
  },
  {
    what: 'relay, a token every 10 ms',
    against: 'hand-written `res.write` loop',
    target: '≤ 0.9 (Node, Express)',
    bound:
      'Each token wakes a server that has nothing else to do: the system call is half of its processor time, the timer and the turn of the event loop most of the rest, on both sides. A request here has 60 tokens, so what is made of a request counts three times as much as in the rows above.',
    rows: server('paced'),
  },
  {
    what: 'relay on Hono, one per tick / 20 per tick',
    against: 'hono `streamSSE`',
    target: '≤ 0.5 / 0.2',
    bound:
      'The answer goes through a `Response` and the streams of the web: outside the kernel a token is 38,000 instructions, and 15,000 where it goes to Node’s response (counted). Writing to Node’s response instead would save that, and lose what middleware does with a `Response`: from the stream nobody can tell whether it is the host that reads it.',
    rows: (row) => isOf('tick', 'sse-relay/hono')(row) || isOf('burst', 'sse-relay/hono')(row),
  },
  {
    what: 'relay on Web, one per tick / 20 per tick',
    against: 'a hand-written pull `ReadableStream`',
    target: '≤ 1.0 / 0.45',
    bound:
      'Most of it is the `ReadableStream`, and the host’s loop that reads it and writes to Node’s response: the same on both sides, and `writev` is half of the processor time. Outside the kernel ours is 1.04 of theirs at one token per tick, and 0.40 in bursts (counted). Text to bytes is 4 %: `encodeInto` and a copy take a third of the time of `encode` alone, and nothing of a token less once the chunk is written.',
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
    bound:
      'Two of 26 rows are over 1.0, both of one event a chunk: Anthropic’s (1.08 by time and by instructions: 12.3 a character where the peer has 11.5) and those with ids (1.03, and 1.02 by instructions). A chunk is one short event there, and what each call costs besides its lines is what is left; in chunks of any other size the same streams are at or under 1.0. The geometric mean is within the noise of its target.',
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
      'Counted, a token with a log is 1.27 of the instructions of one without, in both rows: 2,400 to 3,500 more. What goes to the socket in one piece made the token without a log cheaper, and the log has stayed as it was. By the clock processes differ by more than what is left to find. Of what a log adds, three tenths were garbage when it was taken apart, since what is kept is moved; the rest was the record of the run, its reader and its id, and the joints of the text. Outside the heap the text was no cheaper, nor without its ids, nor in pieces that all runs share.',
    rows: (row) => /^log/.test(row.group) && row.target !== undefined,
  },
  {
    what: 'Redis log, read in another process: CPU of the producer and the reader / of Redis / p50 and p99',
    against: '`resumable-stream`, one Redis',
    target: '≤ 0.9 / 1.0 / 1.0',
    bound:
      'Redis is asked nothing for a token but its message, and the messages of a turn are one. What is left is that it wakes for them (more than half of its time is the kernel’s, on either side), and what keeps the run: an entry twice a second, and what is asked at its begin and its end, some thirty commands inside the scripts in a run of two seconds, which `resumable-stream` has not. Scripts are shared by all runs of a turn; outside the kernel Redis has 0.82 of its instructions for such runs (counted by callgrind). The longer a run is the less of it is at each token.',
    rows: (row) => row.group === 'redis' && row.target !== undefined,
  },
  {
    what: 'Redis log, read where it is produced, 50 tokens a second a run: CPU of the producer / commands to Redis per token',
    against: 'the same run without a log',
    target: '≤ 1.15 / 0.05',
    bound:
      'The system calls are those of the run without a log (strace: half a percent more writes, a tenth more awakenings). What is left is in the process: each event gets its number, goes to a reader and into an entry, and what was stored in the last five seconds is kept. With nothing stored at all it was 1.20; with entries 1.14 to 1.47, by the process that was measured: two processes without a log, of two versions, took 37 and 47 µs a token on one occasion. Counted instructions do not settle it: what is done twice a second is compiled late, and by callgrind, outside the compiler, the row was 1.24 with eight runs in a process and 1.90 with sixteen. Under a profiler on a busy machine, where a token seldom wakes a process of its own, it was 1.06.',
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
      'An open stream of either side is 6 KB of Node’s socket, parser, request and response. By heap snapshots a stream of the relay that waits is 9.5 KB and that of the loop 8.1: the run, what it has read and the relay are 630 bytes of it, the timer and its deadlines 210, four bound functions 190, ten numbers 160, what writes 100. A loop that has none of that leaves out what would take the memory; one that waits for room and closes is at 1.14 of it already.',
    rows: (row) => row.group === 'memory' && row.target !== undefined,
  },
  {
    what: 'bundles, min + gzip: `./node`, `./web`, each with every provider',
    against: '',
    target: '≤ 26 kB; the others grow by what a changeset says',
    bound:
      'The 27 shapes of providers and frameworks, taken out one by one, are a third of a bundle of `./node` (`node scripts/sizes.mjs` prints what each costs). The rest is what all of them feed (what proves an answer, tool calls, counts, the words of every provider for an end or a failure), what is read of bytes and event streams, the run, the relay, the errors and the checks of options with their words.',
    rows: (row) => row.group === 'sizes' && row.limit !== undefined,
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
