// CPU time per relayed token: every contender in a process of its own, all of them in turn, round after round; and then
// again in new processes.
import { alternate, compare, median, renew } from '../statistics.mjs'
import { contenders } from './contenders.mjs'
import { start } from './processes.mjs'
import { textOfWords } from './sources.mjs'

const GUIDE = 'hand-written, Express'
const HAND = 'hand-written, Node'
const PULL = 'hand-written pull ReadableStream, Web'
const UI = 'ai pipeUIMessageStreamToResponse'
const LOG = 'sse-relay/node, memory log'

/** Which two are compared, and what the ratio is to be at most. */
const pairs = ({ node, express, hono, web, ui } = {}) => [
  { ours: 'sse-relay/node', theirs: HAND, target: node },
  { ours: 'sse-relay/express', theirs: GUIDE, target: express },
  { ours: 'sse-relay/fastify', theirs: HAND },
  { ours: 'sse-relay/koa', theirs: HAND },
  { ours: 'sse-relay/hono', theirs: 'hono streamSSE', target: hono },
  { ours: 'sse-relay/web', theirs: PULL, target: web },
  { ours: 'sse-relay/node, uiMessage()', theirs: UI, target: ui },
]

const CHAT = 'sse-relay/node, openaiChat()'
const dialects = ['openaiResponses()', 'anthropicMessages()', 'agui()'].map((name) => `sse-relay/node, ${name}`)
const everyone = Object.keys(contenders).filter((name) => ![LOG, CHAT, ...dialects].includes(name))
const withLog = ['sse-relay/node', LOG]

const single = { kind: 'ticks', tokens: 200, perTick: 1, connections: 200 }
const burst = { kind: 'ticks', tokens: 200, perTick: 20, connections: 200 }

export const loads = {
  tick: {
    title: 'Server: one token per tick',
    note: ({ connections }) =>
      `${connections} connections, each with one token in every turn of the event loop: each token is a write of its own.`,
    load: single,
    names: everyone,
    pairs: pairs({ node: 0.8, express: 0.8, hono: 0.5, web: 1, ui: 0.25 }),
  },
  burst: {
    title: 'Server: 20 tokens per tick',
    note: ({ connections }) =>
      `${connections} connections, 20 tokens in every turn of the event loop, as when a provider’s packets hold many events.`,
    load: burst,
    names: everyone,
    pairs: pairs({ node: 0.55, express: 0.45, hono: 0.2, web: 0.45, ui: 0.1 }),
  },
  paced: {
    title: 'Server: a token every 10 ms',
    note: ({ connections }) =>
      `${connections} connections with a token every 10 ms each, not in step: a server with time to spare.`,
    load: { kind: 'paced', tokens: 60, everyMs: 10, connections: 200 },
    names: everyone,
    pairs: pairs({ node: 0.9, express: 0.9 }),
  },
  sdk: {
    title: 'Server: a stream of the OpenAI SDK',
    note: ({ connections }) =>
      `${connections} connections, each with a stream of the \`openai\` package from a local upstream that sends a chunk every 5 ms. The SDK’s own work is in every figure.`,
    load: { kind: 'openai', tokens: 100, everyMs: 5, connections: 40 },
    names: everyone,
    pairs: pairs(),
  },
  dialects: {
    title: 'Server: the dialects, one token per tick',
    note: () => 'What the clients of other APIs cost beside those of the oldest one.',
    load: single,
    names: [CHAT, ...dialects],
    pairs: dialects.map((ours) => ({ ours, theirs: CHAT, target: 1.3 })),
  },
  'dialects-burst': {
    title: 'Server: the dialects, 20 tokens per tick',
    note: () => 'The same in bursts, where the socket is a smaller part.',
    load: burst,
    names: [CHAT, ...dialects],
    pairs: dialects.map((ours) => ({ ours, theirs: CHAT, target: 1.3 })),
  },
  log: {
    title: 'Server: the memory log, one token per tick',
    note: () => 'What it costs that a run can be resumed.',
    load: single,
    names: withLog,
    pairs: [{ ours: LOG, theirs: 'sse-relay/node', target: 1.05 }],
  },
  'log-burst': {
    title: 'Server: the memory log, 20 tokens per tick',
    note: () => 'The same in bursts.',
    load: burst,
    names: withLog,
    pairs: [{ ours: LOG, theirs: 'sse-relay/node', target: 1.1 }],
  },
}

/**
 * Rounds before the first that counts. A server's first seconds are the compiler's: with two rounds it was still at work
 * in those that counted, and who has more code had more of it.
 */
const warmUp = ({ kind }) => (kind === 'ticks' ? 8 : 2)

/** The names that this version of the package has. */
export async function present(names) {
  const missing = new Set()
  for (const { needs } of names.map((name) => contenders[name])) {
    if (!needs) continue
    await import(needs).catch((error) => {
      if (error.code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw error
      missing.add(needs)
    })
  }
  return names.filter((name) => !missing.has(contenders[name].needs))
}

/** Quick leaves out who is in no target, and measures less of the rest. Who is in no target is measured in one process. */
export async function measureLoad(id, { quick, progress }) {
  const { title, note, load, names, pairs } = loads[id]
  const compared = new Set([GUIDE, ...pairs.flatMap(({ ours, theirs }) => [ours, theirs])])
  const chosen = await present(names.filter((name) => !quick || compared.has(name)))
  const counts = pairs.filter(({ ours, theirs }) => chosen.includes(ours) && chosen.includes(theirs))
  if (counts.length === 0) return undefined
  const size = quick ? { ...load, tokens: load.tokens / 2, connections: load.connections / 2 } : { ...load }
  const rounds = quick ? [3] : names.length > 2 ? [7, 5, 5] : [7, 7, 7, 7, 7]
  const total = size.connections * size.tokens

  const client = start('client.mjs')
  const upstream = load.kind === 'openai' ? start('upstream.mjs') : undefined
  try {
    if (upstream) Object.assign(size, await upstream.ask('open', size))
    const values = await renew(rounds, async (rounds, process) => {
      const present = process === 0 ? chosen : chosen.filter((name) => compared.has(name))
      const servers = {}
      try {
        for (const name of present) {
          progress(`${title}: checking ${name}`)
          servers[name] = await prepare(name, size, client)
        }
        return await alternate(present, rounds, async (name, round) => {
          progress(`${title}: process ${process + 1}, ${round + 1} of ${rounds}, ${name}`)
          return (await run(servers[name], size, client)) / total
        })
      } finally {
        await Promise.all(Object.values(servers).map(({ child }) => child.stop()))
      }
    })
    const guide = values[chosen.includes(GUIDE) ? GUIDE : chosen[0]]
    return {
      id,
      title,
      note: note(size),
      unit: 'µs of CPU per token',
      figures: chosen.map((name) => ({
        name,
        ours: contenders[name].ours === true,
        value: median(values[name]),
        ratio: compare(values[name], guide).ratio,
      })),
      rows: counts.map(({ ours, theirs, target }) => ({
        group: id,
        name: `${ours} / ${theirs}`,
        unit: 'µs of CPU per token',
        ...(target !== undefined && { target }),
        ...compare(values[ours], values[theirs]),
      })),
    }
  } finally {
    await Promise.all([client, upstream].map((child) => child?.stop()))
  }
}

/** A server that was seen to send every token, and warmed up by that. */
export async function prepare(name, load, client, nodeArguments = ['--expose-gc'], wrapper = []) {
  const { path, text } = contenders[name]
  const child = start('child.mjs', [name], nodeArguments, wrapper)
  const { port } = await child.ask('serve', { load })
  const { body, bytes, frames } = await client.ask('one', { port, path })
  const read = textOfBody(body, text)
  if (read !== textOfWords(load.tokens)) {
    throw new Error(`${name} sends another text: ${JSON.stringify(read.slice(0, 200))} … of\n${body.slice(0, 600)}`)
  }
  const server = { name, child, port, path, bytes, frames }
  for (let warm = 0; warm < warmUp(load); warm++) await run(server, load, client)
  return server
}

/** Microseconds of CPU for one run of all connections; throws if a byte was lost. */
export async function run({ name, child, port, path, bytes, frames }, { connections }, client) {
  const before = await child.ask('used', { coming: connections })
  const seen = await client.ask('many', { port, path, connections })
  const after = await child.ask('used')
  for (const [what, due] of Object.entries({ bytes, frames })) {
    if (seen[what].some((count) => count !== due)) {
      throw new Error(`${name} sent ${seen[what].join(' to ')} ${what} where ${due} were due`)
    }
  }
  return after.cpu - before.cpu
}

/** The text in an event stream, by what each event's data says. */
function textOfBody(body, text) {
  let whole = ''
  for (const block of body.split('\n\n')) {
    const data = block
      .split('\n')
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice(line[5] === ' ' ? 6 : 5))
      .join('\n')
    if (!data.startsWith('{')) continue
    whole += text(data)
  }
  return whole
}
