/** Do the samples of docs/observability.md tell OpenTelemetry and Prometheus of every run, and of its ending? */
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { context, metrics, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { Express } from 'express'
import { collect, openClient, type ReplayUpstream, replayUpstream } from 'sse-relay/testing'
import ts from 'typescript'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { blocksOf, read, root } from '../../package/samples/blocks.js'

const [otel = '', prometheus = ''] = blocksOf(read('docs/observability.md'))
  .filter(({ words }) => words[0] === 'package')
  .map(({ text }) => text)

/** A route more for the sample, whose source is a generator: its code runs step by step. */
const STEPS = `
app.post('/api/steps', (req, res) => {
  const { source, onEnd } = observe('anthropic', 'steps', async function* () {
    yield { event: 'step', data: 1 }
    tracer.startSpan('a step').end()
    yield 'Hello'
  })
  return relay(req, res, source, { onEnd, requireFinish: false })
})
`

const QUESTION = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ messages: [{ role: 'user', content: 'What is an event stream?' }] }),
}

// Without `onError` a refusal is written to the console.
vi.spyOn(console, 'error').mockImplementation(() => {})

const cleanups: (() => unknown)[] = []
let upstream: ReplayUpstream
beforeAll(async () => {
  upstream = await replayUpstream()
  vi.stubEnv('ANTHROPIC_API_KEY', 'test')
  vi.stubEnv('ANTHROPIC_BASE_URL', upstream.url)
})
afterAll(async () => {
  vi.unstubAllEnvs()
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  await upstream.close()
})

/** The sample as a file beside its packages. */
function write(name: string, text: string): string {
  const path = join(root, 'test/packages/observability/.run', `${name}.ts`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${text}\nexport { app }\n`)
  cleanups.push(() => rmSync(path, { force: true }))
  return path
}

async function start(name: string, text: string): Promise<string> {
  const { app } = (await import(/* @vite-ignore */ write(name, text))) as { app: Express }
  const server: Server = app.listen(0, '127.0.0.1')
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

it.each([
  ['OpenTelemetry', otel],
  ['Prometheus', prometheus],
])('the sample for %s compiles', { timeout: 300_000 }, (name, text) => {
  const path = write(`${name}-types`, text)
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram([path], options)
  const problems = ts.getPreEmitDiagnostics(program, program.getSourceFile(path))
  expect(problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([])
})

describe('OpenTelemetry', () => {
  const spans = new InMemorySpanExporter()
  const exported = new InMemoryMetricExporter(AggregationTemporality.DELTA)
  const reader = new PeriodicExportingMetricReader({ exporter: exported, exportIntervalMillis: 3_600_000 })
  let url: string
  beforeAll(async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }))
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
    cleanups.push(() => reader.shutdown())
    url = await start('opentelemetry', `${otel}${STEPS}`)
  })
  beforeEach(() => spans.reset())

  /** The points of a metric since it was asked the last time. */
  async function points(): Promise<Record<string, { value: unknown; attributes: Record<string, unknown> }[]>> {
    exported.reset()
    await reader.forceFlush()
    const all = exported.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
    return Object.fromEntries(all.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints as never]))
  }
  const span = async () => {
    await vi.waitFor(() => expect(spans.getFinishedSpans()).toHaveLength(1), { timeout: 20_000 })
    return spans.getFinishedSpans()[0]
  }

  it('is told of a whole answer: a span with its counts, and the metrics', async () => {
    expect(await collect(await fetch(`${url}/api/chat`, QUESTION))).toMatchObject({ outcome: 'done' })
    const found = await span()
    expect(found).toMatchObject({ name: 'chat claude-sonnet-5-5', status: { code: SpanStatusCode.UNSET } })
    expect(found?.attributes).toMatchObject({
      'gen_ai.provider.name': 'anthropic',
      'gen_ai.usage.output_tokens': expect.any(Number),
      'gen_ai.response.finish_reasons': ['stop'],
      'chat.outcome': 'done',
    })
    const told = await points()
    expect(told['gen_ai.client.token.usage']?.map(({ attributes }) => attributes['gen_ai.token.type'])).toEqual([
      'input',
      'output',
    ])
    expect(told['gen_ai.client.operation.duration']).toHaveLength(1)
    expect(told['gen_ai.client.operation.time_to_first_chunk']).toHaveLength(1)
    expect(told['chat.runs.active']?.[0]?.value).toBe(0)
  })

  it('has what a generator starts between its chunks as children of the span', async () => {
    await collect(await fetch(`${url}/api/steps`, QUESTION))
    await vi.waitFor(() => expect(spans.getFinishedSpans()).toHaveLength(2), { timeout: 20_000 })
    const [step, run] = spans.getFinishedSpans()
    expect([step?.name, run?.name]).toEqual(['a step', 'chat steps'])
    expect(step?.parentSpanContext?.spanId).toBe(run?.spanContext().spanId)
  })

  it('is told of a refusal as an error', async () => {
    // The SDK asks three times.
    for (let time = 0; time < 3; time++) upstream.next({ status: 529, headers: { 'retry-after-ms': '1' } })
    expect((await fetch(`${url}/api/chat`, QUESTION)).status).toBe(503)
    const found = await span()
    expect(found?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'error' })
    expect(found?.attributes).toMatchObject({ 'error.type': 'error' })
  })

  it('is told of a reader who left, which is no failure', async () => {
    upstream.next({ pauseMs: 100 })
    const client = openClient(`${url}/api/chat`, QUESTION)
    await client.until('data:')
    client.leave()
    const found = await span()
    expect(found?.status.code).toBe(SpanStatusCode.UNSET)
    expect(found?.attributes).toMatchObject({ 'chat.outcome': 'disconnected' })
    expect((await points())['chat.runs.active']?.[0]?.value).toBe(0)
  })
})

describe('Prometheus', () => {
  it('is told of every run, and gets back what was counted for a connection', async () => {
    const url = await start('prometheus', prometheus)
    await collect(await fetch(`${url}/api/chat`, QUESTION))
    for (let time = 0; time < 3; time++) upstream.next({ status: 529, headers: { 'retry-after-ms': '1' } })
    await fetch(`${url}/api/chat`, QUESTION)
    const page = () => fetch(`${url}/metrics`).then((response) => response.text())
    await vi.waitFor(async () => expect(await page()).toMatch(/^chat_connections 0$/m), { timeout: 20_000 })
    const text = await page()
    expect(text).toMatch(/^chat_runs_total\{outcome="done"\} 1$/m)
    expect(text).toMatch(/^chat_runs_total\{outcome="error"\} 1$/m)
    expect(text).toMatch(/^chat_tokens_total\{type="output"\} [1-9]\d*$/m)
    expect(text).toMatch(/^chat_duration_seconds_count 2$/m)
    expect(text).toMatch(/^chat_first_event_seconds_count 1$/m)
  })
})
