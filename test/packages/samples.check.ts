/** Do the samples of the guides that need a package of these folders compile, and answer? */
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Express } from 'express'
import { collect, type ReplayUpstream, replayUpstream } from 'sse-relay/testing'
import ts from 'typescript'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { blocksOf, read, root } from '../package/samples/blocks.js'
import { moduleOf } from '../package/samples/module.js'

/** Those whose word after the language is `package`; the folder with the package is named after it. */
const samples = ['docs/sources.md', 'docs/agents.md'].flatMap((page) =>
  blocksOf(read(page))
    .filter(({ words }) => words[0] === 'package')
    // It listens here, on a port that is free.
    .map(({ line, text, words }) => ({
      name: `${page}:${line}`,
      text: text.replace('app.listen(3000)\n', ''),
      family: words[1] ?? '',
    })),
)

const QUESTION = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ messages: [{ role: 'user', content: 'What is an event stream?' }] }),
}
const cli = fileURLToPath(new URL('claude-agent/cli.mjs', import.meta.url))

/** One for all: some packages keep the first client that they made. */
let upstream: ReplayUpstream
beforeAll(async () => {
  upstream = await replayUpstream()
})
afterAll(() => upstream.close())

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** The sample as a file beside its package's node_modules. */
function write(family: string, name: string, text: string): string {
  const path = join(root, 'test/packages', family, '.run', `${name.replace(/[^\w-]+/g, '-')}.ts`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  cleanups.push(() => rmSync(path))
  return path
}

function problemsOf(path: string): string[] {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile).config
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram([path], options)
  return ts
    .getPreEmitDiagnostics(program, program.getSourceFile(path))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

describe('the samples for packages', () => {
  it('are those of each family that the guides speak of', () => {
    expect(samples.map(({ family }) => family)).toEqual(
      expect.arrayContaining(['langchain', 'openai-agents', 'mastra', 'claude-agent']),
    )
  })

  it.each(samples)('$name compiles', { timeout: 300_000 }, ({ name, text, family }) => {
    const app = /const app\b/.test(text) ? '' : `declare const app: import('express').Express\n`
    expect(problemsOf(write(family, `${name}-types`, app + text))).toEqual([])
  })

  it.each(samples)('$name answers', async ({ name, text, family }) => {
    vi.stubEnv('OPENAI_API_KEY', 'test')
    vi.stubEnv('OPENAI_BASE_URL', `${upstream.url}/v1`)
    vi.stubEnv('ANTHROPIC_BASE_URL', upstream.url)
    // Within a graph the counts are OpenAI's only sign of the end.
    upstream.always(/createAgent/.test(text) ? { trace: 'openai-chat-usage.sse' } : {})
    // The program that the Claude Agent SDK would start is a stand-in here, and Mastra asks here instead of its provider.
    const here = `{ id: 'openai/gpt-5.5', url: '${upstream.url}/v1', apiKey: 'test' }`
    const stood = text
      .replace('options: {', `options: { pathToClaudeCodeExecutable: ${JSON.stringify(cli)},`)
      .replace("'openai/gpt-5.5'", here)
    const prelude = join(root, 'test/package/samples/prelude.ts')
    const { made } = (await import(
      /* @vite-ignore */ write(family, name, moduleOf(stood, `${prelude}?${name}`, ['app']))
    )) as {
      made: Express
    }
    const server: Server = made.listen(0, '127.0.0.1')
    cleanups.push(() => server.close())
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/chat`
    const { text: answer, outcome } = await collect(await fetch(url, QUESTION))
    expect({ answer, outcome }).toEqual({ answer: expect.stringMatching(/^Hello there!/), outcome: 'done' })
  })
})
