/** What stands between a reader and a server: every row of the table in docs/deploy.md. */
import { readFileSync } from 'node:fs'
import { type Host, hosts, type Middleware } from '../hosts.js'
import type { Verdicts } from './behaviours.js'
import type { NginxServer } from './nginx.js'

export interface Row {
  /** What is in front, for the table. */
  front: string
  /** From the server outwards. */
  nginx: readonly NginxServer[]
  middleware?: readonly Middleware[]
  host: Host
  /** Whether the reader accepts a compressed answer, and whether it gets one. */
  gzip?: boolean
  encoding?: 'gzip'
  /** What the reader speaks, if not HTTP/1.1. */
  httpVersion?: '2'
  heartbeatMs: number
  /** How many heartbeats of silence; with the time between them that is longer than a limit in front. */
  silence: number
  /** Where it is not as it should be. */
  instead: Partial<Verdicts>
  remark: string
}

type Front = Omit<Row, 'host' | 'heartbeatMs' | 'silence' | 'instead' | 'remark' | 'nginx'> &
  Partial<Row> & { hosts: readonly Host[] }

const http1 = hosts.filter(({ httpVersion, tls }) => httpVersion === '1.1' && !tls)
const one = http1.slice(0, 1)
const having = (...middleware: Middleware[]) =>
  http1.filter((host) => middleware.every((name) => host.middleware[name]))

/** A location with these lines. */
const nginx = (...lines: string[]): NginxServer => ({
  lines: (upstream) => `location / {\n${[`proxy_pass ${upstream};`, ...lines].join('\n')}\n}`,
})

/** The configuration that the page recommends, as it stands there but for where things are. */
function recommended(): NginxServer {
  const page = readFileSync(new URL('../../../docs/deploy.md', import.meta.url), 'utf8')
  const [, lines] = /```nginx\n([\s\S]*?)```/.exec(page) ?? []
  if (!lines?.includes('location /api/') || !lines.includes('http://127.0.0.1:3000')) {
    throw new Error('docs/deploy.md has no nginx block with `location /api/` and `http://127.0.0.1:3000`')
  }
  return {
    lines: (upstream) => lines.replace('location /api/', 'location /').replace('http://127.0.0.1:3000', upstream),
  }
}

const HELD = 'no: all at the end'
const BY_SENTINEL = 'by the missing `[DONE]` alone'
/** nginx speaks HTTP/1.0 to the server unless told otherwise, and there an end is an end. */
const HTTP_1_0: Partial<Verdicts> = { cut: BY_SENTINEL }

const fronts: readonly Front[] = [
  { front: 'nothing', hosts: http1 },
  {
    front: 'nginx as it comes',
    nginx: [nginx()],
    hosts: http1,
    instead: HTTP_1_0,
    remark: 'HTTP/1.0 to the server',
  },
  { front: 'nginx, `proxy_http_version 1.1`', nginx: [nginx('proxy_http_version 1.1;')], hosts: http1 },
  {
    front: 'nginx as recommended below',
    nginx: [recommended()],
    hosts: http1,
  },
  {
    front: 'nginx, `gzip on; gzip_types text/event-stream`',
    nginx: [nginx('gzip on;', 'gzip_types text/event-stream;')],
    gzip: true,
    encoding: 'gzip',
    hosts: http1,
    instead: HTTP_1_0,
    remark: 'compressed, and flushed after every event',
  },
  {
    front: 'nginx, HTTP/2 to the reader',
    nginx: [{ ...nginx('proxy_http_version 1.1;'), listen: 'http2' }],
    httpVersion: '2',
    hosts: one,
  },
  {
    front: 'nginx, `proxy_read_timeout 2s`',
    nginx: [nginx('proxy_read_timeout 2s;')],
    heartbeatMs: 200,
    silence: 15,
    hosts: one,
    instead: HTTP_1_0,
    remark: 'three seconds of silence, a heartbeat every 200 ms',
  },
  {
    front: 'nginx, `proxy_read_timeout 2s`',
    nginx: [nginx('proxy_read_timeout 2s;')],
    heartbeatMs: 0,
    hosts: one,
    instead: { ...HTTP_1_0, silence: 'no: 504 before the first token, cut after it' },
    remark: '`heartbeatMs: 0`',
  },
  {
    front: 'nginx, `proxy_ignore_headers X-Accel-Buffering`',
    nginx: [nginx('proxy_ignore_headers X-Accel-Buffering;')],
    hosts: one,
    instead: { ...HTTP_1_0, tokens: HELD, silence: 'no: held back' },
    remark: 'a proxy that buffers: nothing a server sends can help',
  },
  {
    front: 'nginx, the same and `proxy_buffering off`',
    nginx: [nginx('proxy_ignore_headers X-Accel-Buffering;', 'proxy_buffering off;')],
    hosts: one,
    instead: HTTP_1_0,
  },
  {
    front: 'two nginx as they come, one behind the other',
    nginx: [nginx(), nginx()],
    hosts: one,
    instead: { ...HTTP_1_0, tokens: HELD, silence: 'no: held back' },
    remark: 'the inner one takes `x-accel-buffering` off',
  },
  {
    front: 'two nginx, the inner one with `proxy_pass_header X-Accel-Buffering`',
    nginx: [nginx('proxy_pass_header X-Accel-Buffering;'), nginx()],
    hosts: one,
    instead: HTTP_1_0,
  },
  {
    front: 'two nginx, the outer one as recommended below',
    nginx: [nginx('proxy_http_version 1.1;'), recommended()],
    hosts: one,
  },
  {
    front: 'nginx, `proxy_ignore_client_abort on`',
    nginx: [nginx('proxy_ignore_client_abort on;')],
    hosts: one,
    instead: { ...HTTP_1_0, leaving: 'no: paid to the end' },
    remark: 'a proxy that reads on for nobody',
  },
  {
    front: 'compression',
    middleware: ['compression'],
    gzip: true,
    hosts: having('compression'),
    remark: 'not compressed',
  },
  { front: 'CORS', middleware: ['cors'], hosts: having('cors') },
  { front: 'security headers', middleware: ['security'], hosts: having('security') },
  {
    front: 'nginx with `gzip on` for event streams, compression, CORS and security headers',
    nginx: [nginx('gzip on;', 'gzip_types text/event-stream;')],
    middleware: ['compression', 'cors', 'security'],
    gzip: true,
    encoding: 'gzip',
    hosts: having('compression', 'cors', 'security'),
    instead: HTTP_1_0,
    remark: 'all at once',
  },
]

export const rows: readonly Row[] = fronts.flatMap(({ hosts, ...front }) =>
  hosts.map((host) => ({ heartbeatMs: 30, silence: 3, nginx: [], instead: {}, remark: '', ...front, host })),
)
